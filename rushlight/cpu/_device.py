"""What PyTorch's ``torch.cpu`` answers."""

from __future__ import annotations

from typing import Any


def is_available() -> bool:
    """Whether there is a processor.

    >>> import rushlight as torch
    >>> torch.cpu.is_available(), torch.cpu.device_count()
    (True, 1)
    """
    return True


def is_initialized() -> bool:
    """Whether it is ready."""
    return True


def device_count() -> int:
    """How many devices of type ``cpu`` there are: one."""
    return 1


def current_device() -> str:
    """The name of the device."""
    return "cpu"


def set_device(device: Any) -> None:
    """Nothing to choose."""


def synchronize(device: Any = None) -> None:
    """Nothing to wait for."""
