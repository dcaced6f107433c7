"""Facts about number types, and small settings of the process."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np

from rushlight.engine.backends.cpu import threads
from rushlight.engine.core.dtype import dtype, get_default_dtype
from rushlight.engine.core.layout import Named, layout as layout, strided as strided
from rushlight.engine.ir.graph import TensorBase


class finfo:
    """The limits of a floating-point type.

    >>> import rushlight as torch
    >>> torch.finfo(torch.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type: dtype | None = None) -> None:
        found = type or get_default_dtype()
        if not (found.is_floating_point or found.is_complex):
            raise TypeError(
                f"torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                f"'{found.name}'"
            )
        real = found.to_real()
        limits = ml_dtypes.finfo(real.numpy)
        self.bits = real.itemsize * 8
        self.eps = float(limits.eps)
        self.max = float(limits.max)
        self.min = float(limits.min)
        self.tiny = self.smallest_normal = float(limits.smallest_normal)
        self.resolution = float(limits.resolution)
        self.dtype = real.name

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """The limits of a whole-number type.

    >>> import rushlight as torch
    >>> torch.iinfo(torch.int8).max
    127
    """

    def __init__(self, type: dtype) -> None:
        if type.is_floating_point or type.is_complex or type.name == "bool":
            raise TypeError(
                f"torch.iinfo() requires an integer input type. Use torch.finfo to handle "
                f"'{type.name}'"
            )
        limits = np.iinfo(type.numpy)
        self.bits = type.itemsize * 8
        self.max = int(limits.max)
        self.min = int(limits.min)
        self.dtype = type.name

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"


class memory_format(Named):
    """A memory order, such as ``torch.contiguous_format``."""


contiguous_format = memory_format("torch.contiguous_format")
channels_last = memory_format("torch.channels_last")
channels_last_3d = memory_format("torch.channels_last_3d")
preserve_format = memory_format("torch.preserve_format")


class _Deterministic:
    enabled = False


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Accepted for PyTorch's sake: every operator here is deterministic."""
    _Deterministic.enabled = bool(mode)


def are_deterministic_algorithms_enabled() -> bool:
    """What ``use_deterministic_algorithms`` was last told.

    >>> import rushlight as torch
    >>> torch.are_deterministic_algorithms_enabled()
    False
    """
    return _Deterministic.enabled


def set_num_threads(count: int) -> None:
    """How many threads a large operation may use.

    >>> import rushlight as torch
    >>> torch.set_num_threads(torch.get_num_threads())
    """
    if isinstance(count, bool) or not isinstance(count, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(count).__name__}")
    threads.set_limit(count)


def get_num_threads() -> int:
    """How many threads a large operation may use."""
    return threads.limit()


def typename(obj: Any) -> str:
    """The full name of an object's type."""
    if isinstance(obj, TensorBase):
        return str(obj.type())
    kind = obj if isinstance(obj, type) else type(obj)
    if kind.__module__ == "builtins":
        return kind.__qualname__
    package, _, rest = kind.__module__.partition(".")
    module = "torch" if package == "rushlight" else package
    return ".".join(part for part in (module, rest, kind.__qualname__) if part)
