"""Reductions: sums and means over axes, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, dtype, int64
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import REDUCTION, Op, Spec
from rushlight.engine.ops.elementwise import numpy_compute


def reduced_shape(shape: Shape, dims: Shape, keepdim: bool) -> Shape:
    """The shape after reducing over ``dims``."""
    if keepdim:
        return tuple(1 if a in dims else n for a, n in enumerate(shape))
    return tuple(n for a, n in enumerate(shape) if a not in dims)


def restore_dims(g: Any, meta: Meta, dims: Shape, keepdim: bool) -> Any:
    """A reduced tensor with its reduced axes back as axes of size 1."""
    if keepdim or not meta.ndim:
        return g
    return g.reshape(reduced_shape(tuple(meta.shape), dims, True))


def _sum_infer(input: Meta, dims: Shape, keepdim: bool, dtype: dtype | None) -> Meta:
    out = dtype or (input.dtype if input.dtype.category >= FLOATING else int64)
    return make_meta(reduced_shape(tuple(input.shape), dims, keepdim), out)


def _sum_kernel(spec: Spec, dims: Shape, keepdim: bool, _: Any) -> Callable[[Any], Any]:
    out = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    reduce = np.add.reduce
    if compute != out:
        return lambda x: np.asarray(
            reduce(x.astype(compute), axis=dims, keepdims=keepdim)
        ).astype(out)
    if spec.out.ndim == 0:
        return lambda x: np.asarray(reduce(x, axis=dims, dtype=out))
    return lambda x: reduce(x, axis=dims, dtype=out, keepdims=keepdim)


def _expand_back(g: Any, input_meta: Meta, dims: Shape, keepdim: bool) -> Any:
    return restore_dims(g, input_meta, dims, keepdim).expand(input_meta.shape)


sum_ = Op(
    "sum(Tensor input, int[] dims, bool keepdim=False, dtype? dtype=None)",
    kind=REDUCTION,
    infer=_sum_infer,
    kernel=_sum_kernel,
    grad={"input": _expand_back},
)


def _mean_infer(input: Meta, dims: Shape, keepdim: bool, dtype: dtype | None) -> Meta:
    out = dtype or input.dtype
    if out.category < FLOATING:
        what = "Input" if dtype is None else "Output"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {what} dtype must be either a floating point "
            f"or complex dtype. Got: {SCALAR_NAMES[out]}"
        )
    return make_meta(reduced_shape(tuple(input.shape), dims, keepdim), out)




def _mean_kernel(spec: Spec, dims: Shape, keepdim: bool, _: Any) -> Callable[[Any], Any]:
    source = spec.inputs[0]
    assert source is not None
    count = 1
    for d in dims:
        count *= source.shape[d]
    total = _sum_kernel(spec, dims, keepdim, _)
    out = spec.out.dtype.numpy
    if numpy_compute(spec.out.dtype) != out:
        return lambda x: (np.asarray(total(x.astype(np.float32))) / np.float32(count)).astype(out)
    divisor = out.type(count)
    return lambda x: np.asarray(total(x) / divisor)


mean = Op(
    "mean(Tensor input, int[] dims, bool keepdim=False, dtype? dtype=None)",
    kind=REDUCTION,
    infer=_mean_infer,
    kernel=_mean_kernel,
    grad={
        "input": lambda g, input_meta, dims, keepdim: _expand_back(g, input_meta, dims, keepdim)
        / max(prod(input_meta.shape[d] for d in dims), 1)
    },
)
