"""The parts of the loader, under PyTorch's names where it has them."""

from rushlight.utils.data._utils import (
    collate as collate,
    fetch as fetch,
    pin_memory as pin_memory,
    worker as worker,
)
