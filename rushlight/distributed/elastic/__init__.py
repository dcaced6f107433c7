"""What scripts for torchrun import: ``torch.distributed.elastic``."""

from rushlight.distributed.elastic import multiprocessing
