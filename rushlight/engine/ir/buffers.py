"""NumPy memory with the layout a meta asks for."""

from __future__ import annotations

import numpy as np

from rushlight.engine.ir.graph import Meta


def empty_strided(meta: Meta) -> np.ndarray:
    """Uninitialised memory with the strides of ``meta``."""
    if meta.contiguous:
        return np.empty(meta.shape, meta.dtype.numpy)
    span = 1 + sum((n - 1) * s for n, s in zip(meta.shape, meta.strides, strict=True))
    memory = np.empty(max(span, 0) if meta.numel else 0, meta.dtype.numpy)
    itemsize = meta.dtype.itemsize
    return np.lib.stride_tricks.as_strided(
        memory, meta.shape, tuple(s * itemsize for s in meta.strides)
    )


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
