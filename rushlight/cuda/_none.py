"""What PyTorch's ``torch.cuda`` answers on a machine without a usable GPU."""

from __future__ import annotations

from typing import Any, NoReturn

from rushlight.engine.core.device import require_device


def is_available() -> bool:
    """Whether tensors can be put on a GPU.

    >>> import rushlight as torch
    >>> torch.cuda.is_available()
    False
    """
    return False


def device_count() -> int:
    """How many GPUs there are.

    >>> import rushlight as torch
    >>> torch.cuda.device_count()
    0
    """
    return 0


def is_initialized() -> bool:
    """Whether a GPU has been used."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """Whether the GPU computes in bfloat16."""
    return False


def _refuse() -> NoReturn:
    require_device("cuda")
    raise AssertionError("unreachable")


def init() -> None:
    """Get the GPU ready; PyTorch's error where there is none."""
    _refuse()


def current_device() -> int:
    """The number of the GPU in use; PyTorch's error where there is none."""
    _refuse()


def get_device_name(device: Any = None) -> str:
    """The name of a GPU; PyTorch's error where there is none."""
    _refuse()


def get_device_properties(device: Any = None) -> Any:
    """Facts about a GPU; PyTorch's error where there is none."""
    _refuse()


def get_device_capability(device: Any = None) -> tuple[int, int]:
    """The compute capability of a GPU; PyTorch's error where there is none."""
    _refuse()


def set_device(device: Any) -> None:
    """Choose a GPU; PyTorch's error where there is none."""
    _refuse()


def synchronize(device: Any = None) -> None:
    """Wait for the GPU; PyTorch's error where there is none."""
    _refuse()


def empty_cache() -> None:
    """Give unused GPU memory back; nothing to do without a GPU."""


def manual_seed(seed: int) -> None:
    """Seed the GPU's generator; PyTorch ignores this without a GPU."""


def manual_seed_all(seed: int) -> None:
    """Seed the generators of all GPUs; PyTorch ignores this without a GPU."""


def memory_allocated(device: Any = None) -> int:
    """Bytes of GPU memory in tensors.

    >>> import rushlight as torch
    >>> torch.cuda.memory_allocated()
    0
    """
    return 0


def max_memory_allocated(device: Any = None) -> int:
    """The most bytes of GPU memory that were in tensors."""
    return 0


def memory_reserved(device: Any = None) -> int:
    """Bytes of GPU memory held by the pool."""
    return 0
