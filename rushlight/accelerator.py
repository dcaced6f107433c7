"""The accelerator of this machine, whichever it is: ``torch.accelerator``."""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight import cuda
from rushlight.engine.core.device import device


def is_available() -> bool:
    """Whether tensors can be put on an accelerator.

    >>> import rushlight as torch
    >>> torch.accelerator.is_available() == torch.cuda.is_available()
    True
    """
    return cuda.is_available()


def device_count() -> int:
    """How many accelerators there are."""
    return cuda.device_count()


def current_accelerator(check_available: bool = False) -> device | None:
    """The kind of accelerator, as a device without a number; ``None`` where there is none.

    Args:
        check_available: accepted for PyTorch's sake: what is there can be used.
    """
    return device("cuda") if is_available() else None


def _refuse() -> NoReturn:
    raise RuntimeError("Cannot access accelerator device when none is available.")


def current_device_index() -> int:
    """The number of the accelerator in use.

    Raises:
        RuntimeError: there is none.
    """
    return cuda.current_device() if is_available() else _refuse()


def set_device_index(device: Any, /) -> None:
    """Use the accelerator with this number.

    Raises:
        RuntimeError: there is none.
    """
    if not is_available():
        _refuse()
    cuda.set_device(device)


def synchronize(device: Any = None, /) -> None:
    """Wait until the accelerator has done all it was told.

    Raises:
        RuntimeError: there is none.
    """
    if not is_available():
        _refuse()
    cuda.synchronize(device)


def empty_cache() -> None:
    """Give back memory that is kept for later tensors.

    Raises:
        RuntimeError: there is no accelerator.
    """
    if not is_available():
        _refuse()
    cuda.empty_cache()


def memory_allocated(device_index: Any = None, /) -> int:
    """Bytes that tensors hold on the accelerator.

    Raises:
        RuntimeError: there is none.
    """
    return cuda.memory_allocated(device_index) if is_available() else _refuse()


def max_memory_allocated(device_index: Any = None, /) -> int:
    """The most bytes that tensors have held on the accelerator.

    Raises:
        RuntimeError: there is none.
    """
    return cuda.max_memory_allocated(device_index) if is_available() else _refuse()


def memory_reserved(device_index: Any = None, /) -> int:
    """Bytes of the accelerator that are taken, in use or not.

    Raises:
        RuntimeError: there is none.
    """
    return cuda.memory_reserved(device_index) if is_available() else _refuse()


class device_index:
    """Use another accelerator inside a ``with`` block.

    Args:
        device: its number; ``None`` changes nothing.
    """

    def __init__(self, device: int | None, /) -> None:
        self.idx = device
        self.prev_idx = -1

    def __enter__(self) -> None:
        if self.idx is not None:
            self.prev_idx = current_device_index()
            set_device_index(self.idx)

    def __exit__(self, *rest: Any) -> None:
        if self.idx is not None:
            set_device_index(self.prev_idx)


current_device_idx = current_device_index
set_device_idx = set_device_index
