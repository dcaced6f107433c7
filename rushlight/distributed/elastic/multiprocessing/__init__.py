"""Errors of launched ranks: ``torch.distributed.elastic.multiprocessing``."""

from rushlight.distributed.elastic.multiprocessing import errors
