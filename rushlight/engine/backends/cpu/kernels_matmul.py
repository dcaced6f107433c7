"""Matrix products through oneDNN, which runs a small one on one thread.

NumPy's own library wakes all cores for a product of some size and lets them spin; on a busy
machine a product that takes 7 microseconds alone was seen to take 5 milliseconds.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_matmul import prepare_matmul
from rushlight.engine.core.dtype import float32
from rushlight.engine.core.shape import Shape, contiguous_strides
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Spec, register_kernel

Array = np.ndarray
Kernel = Callable[..., Any]

_SINGLE = np.dtype(np.float32)


def _usable(spec: Spec) -> bool:
    metas = [m for m in spec.inputs if m is not None]
    return all(m.dtype is float32 and m.numel > 0 for m in (*metas, spec.out)) and (
        onednn.available()
    )


def _matrix(meta: Meta) -> tuple[Shape, Shape]:
    """Shape and strides of a value seen as one matrix: leading axes are rows."""
    if meta.ndim == 2:
        return tuple(meta.shape), meta.strides
    shape = (prod(meta.shape[:-1]), meta.shape[-1])
    return shape, contiguous_strides(shape)


def _turned(matrix: tuple[Shape, Shape]) -> tuple[Shape, Shape]:
    shape, strides = matrix
    return shape[::-1], strides[::-1]


def _prepare(
    first: tuple[Shape, Shape], second: tuple[Shape, Shape], bias: Shape | None = None
) -> Kernel | None:
    try:
        return prepare_matmul(*first, *second, bias, _SINGLE)
    except onednn.Unsupported:
        return None


def _rows(spec: Spec, transposed: bool) -> Kernel | None:
    """``x W`` or ``x W^T``."""
    x, weight = spec.inputs
    if not _usable(spec) or x is None or weight is None or weight.ndim != 2:
        return None
    second = _matrix(weight)
    product = _prepare(_matrix(x), _turned(second) if transposed else second)
    if product is None:
        return None
    call = product
    if x.ndim == 2:
        return (lambda a, w: call(a, w.T)) if transposed else call
    size, shape = _matrix(x)[0], tuple(spec.out.shape)
    if transposed:
        return lambda a, w: call(a.reshape(size), w.T).reshape(shape)
    return lambda a, w: call(a.reshape(size), w).reshape(shape)


@register_kernel("matmul_nn")
def matmul_nn(spec: Spec) -> Kernel | None:
    """``x W``."""
    return _rows(spec, False)


@register_kernel("matmul_nt", "matmul_nt_rows")
def matmul_nt(spec: Spec) -> Kernel | None:
    """``x W^T``."""
    return _rows(spec, True)


@register_kernel("matmul_tn")
def matmul_tn(spec: Spec) -> Kernel | None:
    """``x^T y``, leading axes being rows."""
    x, y = spec.inputs
    if not _usable(spec) or x is None or y is None:
        return None
    first, second = _matrix(x), _matrix(y)
    product = _prepare(_turned(first), second)
    if product is None:
        return None
    call = product
    if x.ndim == 2 and y.ndim == 2:
        return lambda a, b: call(a.T, b)
    return lambda a, b: call(a.reshape(first[0]).T, b.reshape(second[0]))


@register_kernel("linear_", "linear_rows")
def linear(spec: Spec) -> Kernel | None:
    """``x W^T + b`` in one call."""
    bias, x, weight = spec.inputs
    if not _usable(spec) or bias is None or x is None or weight is None:
        return None
    if bias.ndim != 1 or weight.ndim != 2:
        return None
    first = _matrix(x)
    product = _prepare(first, _turned(_matrix(weight)), tuple(bias.shape))
    if product is None:
        return None
    call = product
    if x.ndim == 2:
        return lambda b, a, w: call(a, w.T, b)
    shape = tuple(spec.out.shape)
    return lambda b, a, w: call(a.reshape(first[0]), w.T, b).reshape(shape)


@register_kernel("mm", "bmm")
def product(spec: Spec) -> Kernel | None:
    """The product of two matrices, or of two batches of them."""
    a, b = spec.inputs
    if not _usable(spec) or a is None or b is None:
        return None
    return _prepare((tuple(a.shape), a.strides), (tuple(b.shape), b.strides))


def _last_turned(meta: Meta, turned: bool) -> tuple[Shape, Shape]:
    """Shape and strides of a batch, its matrices transposed if asked for."""
    shape, strides = tuple(meta.shape), tuple(meta.strides)
    if not turned:
        return shape, strides
    return (*shape[:-2], shape[-1], shape[-2]), (*strides[:-2], strides[-1], strides[-2])


@register_kernel("batched")
def batched(spec: Spec, transpose1: bool, transpose2: bool) -> Kernel | None:
    """Batches of products, with either factor transposed."""
    a, b = spec.inputs
    if not _usable(spec) or a is None or b is None or a.ndim < 2 or b.ndim < 2:
        return None
    call = _prepare(_last_turned(a, transpose1), _last_turned(b, transpose2))
    if call is None:
        return None
    inner = call

    def run(x: Array, y: Array) -> Any:
        return inner(
            x.swapaxes(-1, -2) if transpose1 else x, y.swapaxes(-1, -2) if transpose2 else y
        )

    return run
