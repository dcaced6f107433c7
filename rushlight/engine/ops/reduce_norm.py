"""Norms of vectors along axes: the record and its gradient."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, dtype
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.op import REDUCTION, Op, Spec
from rushlight.engine.ir.scalar import Expr, Reduction, cast, function
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.reduce import reduced_count, reduced_shape, restore_dims, summation
from rushlight.engine.ops.reduce_select import tie_share
from rushlight.engine.ops.written_out import Build, narrowed, usable, widened

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
        reduce: Any = np.maximum.reduce if ord > 0 else np.minimum.reduce
        function = lambda x: reduce(np.abs(x), axis=dims, keepdims=keepdim)  # noqa: E731
    else:
        power, root = real.type(ord), real.type(1 / ord)
        function = lambda x: total(np.abs(x) ** power) ** root  # noqa: E731
    return lambda x: np.asarray(function(x.astype(compute, copy=False))).astype(out, copy=False)


def _prepared(x: Expr, spec: Spec) -> Expr:
    """What is added up for a norm that is a sum, from an element."""
    order = spec.attr("ord")
    x = cast(x, computing(spec.out.dtype))
    if order == 0:
        return cast(x.ne(0), x.dtype)
    if order == 2:
        return x * x
    size = function("abs", x)
    return size if order == 1 else function("pow", size, order)


def _finished(total: Expr, count: int, spec: Spec) -> Expr:
    order = spec.attr("ord")
    if order == 2:
        return function("sqrt", total)
    return total if order in (0, 1) else function("pow", total, 1 / order)


def _written_out(build: Build, x: Any, ord: float, dims: Shape, keepdim: bool, kind: Any) -> Any:
    """The norms that are extremes."""
    if ord not in (inf, -inf) or not usable(x):
        return None
    out = kind or x.meta.dtype
    size = build("abs", widened(build, x, out))
    made = build("amax_" if ord > 0 else "amin_", size, dims=dims, keepdim=keepdim)
    return narrowed(build, made, out)


def norm_grad(
    g: Any, input: Any, result: Any, input_meta: Meta, ord: float, dims: Shape, keepdim: bool
) -> Any:
    """The gradient of a vector norm; 0 where the norm has a corner."""
    g = restore_dims(g, input_meta, dims, keepdim)
    norm = restore_dims(result, input_meta, dims, keepdim)
    if input.dtype.to_real() is not norm.dtype:
        input = input.to(norm.dtype.to_complex() if input.dtype.is_complex else norm.dtype)
    if ord == 0:
        return None
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


def _record(name: str, grad_name: str) -> Op:
    return Op(
        f"{name}(Tensor input, float ord, int[] dims, bool keepdim=False, dtype? dtype=None)",
        kind=REDUCTION,
        infer=_infer,
        kernel=_kernel,
        reduce=Reduction("add", _prepared, _finished),
        decompose=_written_out,
        grad={"input": norm_grad},
        grad_name=grad_name,
    )


# 1-, 2-, inf- or any other norm of all elements along ``dims``
vector_norm = _record("vector_norm_", "LinalgVectorNorm")
pairwise_norm = _record("pairwise_norm", "NormBackward1")


# scaling to a norm -----------------------------------------------------------------------------

#: What PyTorch adds to a norm before it divides by it.
RENORM_MARGIN = 1e-7


def _renorm_infer(input: Meta, maxnorm: Meta, p: float, dim: int) -> Meta:
    if input.ndim < 2:
        raise RuntimeError(
            f"renorm: input needs at least 2 dimensions, got {input.ndim} dimensions"
        )
    if p <= 0:
        raise RuntimeError("renorm: non-positive-norm not supported")
    require_inexact(input, "linalg.vector_norm")
    return input.like()


def _other_axes(ndim: int, dim: int) -> Shape:
    return tuple([d for d in range(ndim) if d != dim])


def _renorm_kernel(spec: Spec, p: float, dim: int) -> Callable[..., Array]:
    source = spec.inputs[0]
    assert source is not None
    dims = _other_axes(source.ndim, dim)
    size_spec = vector_norm.specialize((source,), (p, dims, True, None))
    measure, out = size_spec.kernel, spec.out.dtype.numpy

    def scale(x: Array, largest: Any) -> Array:
        if largest < 0:
            raise RuntimeError(f"renorm: expected maxnorm to be >= 0 but got {largest}")
        size = measure(x)
        factor = np.where(size > largest, largest / (size + size.dtype.type(RENORM_MARGIN)), 1)
        return np.asarray(x * factor.astype(size.dtype)).astype(out, copy=False)

    return scale


def _renorm_written_out(build: Build, x: Any, maxnorm: Any, p: float, dim: int) -> Any:
    if not usable(x):
        return None
    found = x.meta.dtype
    dims = _other_axes(x.meta.ndim, dim)
    size = build("vector_norm_", x, ord=p, dims=dims, keepdim=True, dtype=None)
    size, x = widened(build, size), widened(build, x)
    scaled = build("div", maxnorm, build("add", size, RENORM_MARGIN))
    factor = build("where", build("gt", size, maxnorm), scaled, 1.0)
    return narrowed(build, build("mul", x, factor), found)


def _renorm_grad(g: Any, input: Any, maxnorm: Any, input_meta: Meta, p: float, dim: int) -> Any:
    dims = _other_axes(input_meta.ndim, dim)
    size = vector_norm(input, ord=p, dims=dims, keepdim=True, dtype=None)
    padded = size + RENORM_MARGIN
    large = size > maxnorm
    factor = where_op(large, maxnorm / padded, 1.0)
    along = (g * (input.conj() if input.dtype.is_complex else input)).sum(dims, True)
    if along.dtype.is_complex:
        along = along.real
    slope = where_op(large, -along * maxnorm / (padded * padded), 0.0)
    return g * factor + norm_grad(slope, input, size, input_meta, p, dims, True)


# slices along ``dim`` scaled down to a p-norm of at most ``maxnorm``
renorm = Op(
    "renorm_(Tensor input, Tensor maxnorm, float p, int dim)",
    kind=REDUCTION,
    infer=_renorm_infer,
    kernel=_renorm_kernel,
    decompose=_renorm_written_out,
    grad={"input": _renorm_grad},
    grad_name="Renorm",
)
