"""Views that look at memory in unusual ways: diagonals, windows, strides, bytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import dtype
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.buffers import settle, span_of, window
from rushlight.engine.ir.graph import Meta, strided_meta
from rushlight.engine.ir.op import VIEW, Op, Spec
from rushlight.engine.ops.view import embed, view_embed

Array = np.ndarray


# the bytes as another type ---------------------------------------------------------------------


def _dtype_infer(input: Meta, dtype: dtype) -> Meta:
    shape, strides = list(input.shape), list(input.strides)
    have, wanted = input.dtype.itemsize, dtype.itemsize
    if have != wanted:
        shape[-1] = shape[-1] * have // wanted
        strides = [stride * have // wanted for stride in strides[:-1]] + [1]
    return strided_meta(tuple(shape), tuple(strides), dtype, input.device)


def _dtype_kernel(spec: Spec, dtype: dtype) -> Callable[[Array], Array]:
    source, target = spec.inputs[0], dtype.numpy
    assert source is not None
    if source.dtype.itemsize == dtype.itemsize:
        return lambda x: x.view(target)
    return lambda x: settle(x, source).view(target)


view_dtype = Op(
    "view_dtype(Tensor input, dtype dtype)",
    kind=VIEW,
    infer=_dtype_infer,
    kernel=_dtype_kernel,
)


# diagonal --------------------------------------------------------------------------------------


def _diagonal_infer(input: Meta, offset: int, dim1: int, dim2: int) -> Meta:
    shape, strides = list(input.shape), list(input.strides)
    rows, columns = shape[dim1], shape[dim2]
    length = min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns)
    step = strides[dim1] + strides[dim2]
    for axis in sorted((dim1, dim2), reverse=True):
        del shape[axis], strides[axis]
    return strided_meta(
        (*shape, max(length, 0)), (*strides, step), input.dtype, input.device
    )


diagonal: Op = Op(
    "diagonal(Tensor input, int offset, int dim1, int dim2)",
    kind=VIEW,
    infer=_diagonal_infer,
    offset=lambda input, offset, dim1, dim2: (
        input.strides[dim2] * offset if offset >= 0 else input.strides[dim1] * -offset
    ),
    # NumPy marks the view read-only, although its memory may be written
    kernel=lambda spec, offset, dim1, dim2: lambda x: _writeable(
        np.diagonal(x, offset, dim1, dim2), x
    ),
    grad={
        "input": lambda g, input_meta, offset, dim1, dim2: embed(
            g, diagonal, input_meta, offset, dim1, dim2
        )
    },
)


def _writeable(part: Array, whole: Array) -> Array:
    if whole.flags.writeable:
        part.flags.writeable = True
    return part


# windows ---------------------------------------------------------------------------------------


def _unfold_infer(input: Meta, dim: int, size: int, step: int) -> Meta:
    if not input.ndim:
        shape: tuple[int, ...] = (size,)
        return strided_meta(shape, (1,), input.dtype, input.device)
    shape_, strides = list(input.shape), list(input.strides)
    shape_[dim] = (shape_[dim] - size) // step + 1
    stride = strides[dim]
    strides[dim] = stride * step
    return strided_meta((*shape_, size), (*strides, stride), input.dtype, input.device)


def _unfold_kernel(spec: Spec, dim: int, size: int, step: int) -> Callable[[Array], Array]:
    shape = tuple(spec.out.shape)

    def windows(x: Array) -> Array:
        if not x.ndim:
            return x.reshape(1)[:size]
        strides = list(x.strides)
        stride = strides[dim]
        strides[dim] = stride * step
        return window(x, shape, (*strides, stride))

    return windows


unfold: Op = Op(
    "unfold(Tensor input, int dim, int size, int step)",
    kind=VIEW,
    infer=_unfold_infer,
    kernel=_unfold_kernel,
    grad={
        "input": lambda g, input_meta, dim, size, step: embed(
            g, unfold, input_meta, dim, size, step
        )
    },
)


# any strides -----------------------------------------------------------------------------------


def _strided_infer(input: Meta, size: Shape, stride: Shape, storage_offset: int) -> Meta:
    return strided_meta(size, stride, input.dtype, input.device)


def _strided_kernel(
    spec: Spec, size: Shape, stride: Shape, storage_offset: int
) -> Callable[[Array], Array]:
    source = spec.inputs[0]
    assert source is not None

    def look(x: Array) -> Array:
        x = settle(x, source)
        itemsize = x.itemsize
        strides = tuple(s * itemsize for s in stride)
        flat = window(x, (source_span,), (itemsize,))
        return window(flat[storage_offset:], size, strides)

    source_span = span_of(tuple(source.shape), source.strides)
    return look


def _strided_grad(
    g: Any, input_meta: Meta, size: Shape, stride: Shape, storage_offset: int
) -> Any:
    """The gradient per place in memory, read again with the layout of the input."""
    attrs = (size, stride, storage_offset)
    shape = tuple(input_meta.shape)
    if input_meta.contiguous:
        return embed(g, as_strided, input_meta, *attrs)
    memory = strided_meta(
        (span_of(shape, input_meta.strides),), (1,), input_meta.dtype, input_meta.device
    )
    spec = as_strided.specialize((memory,), attrs)
    whole = view_embed(g, whole=memory, chain=(spec,))
    return as_strided(whole, size=shape, stride=input_meta.strides, storage_offset=0)


as_strided = Op(
    "as_strided(Tensor input, int[] size, int[] stride, int storage_offset)",
    kind=VIEW,
    infer=_strided_infer,
    kernel=_strided_kernel,
    offset=lambda input, size, stride, storage_offset: storage_offset,
    grad={"input": _strided_grad},
)
