"""NumPy memory with the layout a meta asks for."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from rushlight.engine.core.dtype import float8_e5m2
from rushlight.engine.ir.graph import Meta


def span_of(shape: Sequence[int], strides: Sequence[int]) -> int:
    """How many elements of memory a layout reaches over."""
    if 0 in shape:
        return 0
    return 1 + sum((n - 1) * s for n, s in zip(shape, strides, strict=True))


def empty_strided(meta: Meta) -> np.ndarray:
    """Uninitialised memory with the strides of ``meta``."""
    if meta.contiguous:
        return np.empty(meta.shape, meta.dtype.numpy)
    memory = np.empty(span_of(meta.shape, meta.strides), meta.dtype.numpy)
    itemsize = meta.dtype.itemsize
    return window(memory, meta.shape, tuple(s * itemsize for s in meta.strides))


def window(array: np.ndarray, shape: Sequence[int], strides: Sequence[int]) -> np.ndarray:
    """The memory of ``array`` with another shape and other strides, in bytes."""
    if array.dtype is float8_e5m2.numpy:  # NumPy takes its description for one of its own types
        seen = np.lib.stride_tricks.as_strided(array.view(np.uint8), shape, strides)
        return seen.view(array.dtype)
    return np.lib.stride_tricks.as_strided(array, shape, strides)



def copy_strided(buffer: np.ndarray, meta: Meta) -> np.ndarray:
    """A copy of ``buffer`` with the strides of ``meta``."""
    made = empty_strided(meta)
    made[...] = buffer
    return made


def settle(buffer: np.ndarray, meta: Meta) -> np.ndarray:
    """``buffer`` itself if it lies in memory as ``meta`` says, else a copy that does."""
    if meta.contiguous:
        return buffer if buffer.flags.c_contiguous else np.array(buffer, order="C")
    itemsize = buffer.itemsize
    for size, stride, have in zip(meta.shape, meta.strides, buffer.strides, strict=True):
        if size > 1 and stride * itemsize != have:
            return copy_strided(buffer, meta)
    return buffer
