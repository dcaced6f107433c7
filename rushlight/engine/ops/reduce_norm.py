"""Norms of vectors along axes: the record and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, dtype
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import REDUCTION, Op, Spec
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.reduce import reduced_count, reduced_shape, restore_dims, summation
from rushlight.engine.ops.reduce_select import tie_share

Array = np.ndarray


def require_inexact(meta: Meta, function: str) -> None:
    """PyTorch's error for a function of real or complex numbers called on integers."""
    if meta.dtype.category < FLOATING:
        raise RuntimeError(
            f"{function}: Expected a floating point or complex tensor as input. Got "
            f"{SCALAR_NAMES[meta.dtype]}"
        )


def _infer(input: Meta, ord: float, dims: Shape, keepdim: bool, dtype: dtype | None) -> Meta:
    require_inexact(input, "linalg.vector_norm")
    out = dtype or input.dtype
    if (ord < 0 or ord == inf) and reduced_count(input, dims) == 0:
        shown = "inf" if ord == inf else f"{ord:g}"
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {shown} norm on an empty tensor because the "
            "operation does not have an identity"
        )
    return make_meta(reduced_shape(tuple(input.shape), dims, keepdim), out.to_real())


def _kernel(spec: Spec, ord: float, dims: Shape, keepdim: bool, _: Any) -> Callable[..., Array]:
    source = spec.inputs[0]
    assert source is not None
    out = spec.out.dtype.numpy
    real = numpy_compute(spec.out.dtype)
    compute = np.result_type(real, np.complex64) if source.dtype.is_complex else real
    total = summation(source.like(dtype=spec.out.dtype), real, dims, keepdim)
    if ord == 2 and not source.dtype.is_complex:
        function = lambda x: np.sqrt(total(x * x))  # noqa: E731
    elif ord == 2:
        function = lambda x: np.sqrt(total(x.real**2 + x.imag**2))  # noqa: E731
    elif ord == 1:
        function = lambda x: total(np.abs(x))  # noqa: E731
    elif ord == 0:
        function = lambda x: total((x != 0).astype(real))  # noqa: E731
    elif ord in (inf, -inf):
        reduce = np.maximum.reduce if ord > 0 else np.minimum.reduce
        function = lambda x: reduce(np.abs(x), axis=dims, keepdims=keepdim)  # noqa: E731
    else:
        power, root = real.type(ord), real.type(1 / ord)
        function = lambda x: total(np.abs(x) ** power) ** root  # noqa: E731
    return lambda x: np.asarray(function(x.astype(compute, copy=False))).astype(out, copy=False)


def _grad(
    g: Any, input: Any, result: Any, input_meta: Meta, ord: float, dims: Shape, keepdim: bool
) -> Any:
    g = restore_dims(g, input_meta, dims, keepdim)
    norm = restore_dims(result, input_meta, dims, keepdim)
    if input.dtype.to_real() is not norm.dtype:
        input = input.to(norm.dtype.to_complex() if input.dtype.is_complex else norm.dtype)
    if ord == 0:
        return input * 0.0
    if ord == 1:
        return g * input.sgn()
    if ord == 2:
        return where_op(norm == 0, 0.0, input / norm) * g
    if ord in (inf, -inf):
        return g * input.sgn() * tie_share(input.abs(), norm, dims=dims)
    size = input.abs()
    if ord < 1:
        steep = where_op(input == 0, 0.0, size ** (ord - 1))
        return where_op(norm == 0, 0.0, g * norm ** (1 - ord)) * input.sgn() * steep
    if ord < 2:
        steep = input.sgn() * size ** (ord - 1)
    else:
        steep = input * size ** (ord - 2)
    return steep * where_op(norm == 0, 0.0, g / norm ** (ord - 1))


# 1-, 2-, inf- or any other norm of all elements along ``dims``
vector_norm = Op(
    "vector_norm_(Tensor input, float ord, int[] dims, bool keepdim=False, dtype? dtype=None)",
    kind=REDUCTION,
    infer=_infer,
    kernel=_kernel,
    grad={"input": _grad},
    grad_name="LinalgVectorNorm",
)
