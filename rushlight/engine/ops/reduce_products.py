"""More reductions: products, sums without NaN, truth, and the logarithm of sums."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import (
    FLOATING,
    SCALAR_NAMES,
    bool_,
    dtype,
    from_numpy_dtype,
    int64,
    uint8,
)
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import REDUCTION, Op, Spec, constant
from rushlight.engine.ir.scalar import Expr, Reduction, cast, function, where
from rushlight.engine.ops.bodies import true
from rushlight.engine.ops.elementwise import as_floating, numpy_compute
from rushlight.engine.ops.reduce import (
    expand_back,
    reduced_shape,
    restore_dims,
    sum_infer,
    summation,
    truth,
)
from rushlight.engine.ops.scan import cumprod, shift
from rushlight.engine.ops.written_out import Build, narrowed, shaped, usable, widened

Array = np.ndarray

# products --------------------------------------------------------------------------------------


def _prod_kernel(spec: Spec, dims: Shape, keepdim: bool, _: Any) -> Callable[[Array], Array]:
    out, compute = spec.out.dtype.numpy, numpy_compute(spec.out.dtype)
    reduce: Callable[..., Any] = np.multiply.reduce
    return lambda x: np.asarray(
        reduce(x.astype(compute, copy=False), axis=dims, keepdims=keepdim)
    ).astype(out, copy=False)


def _others(x: Any, dim: int) -> Any:
    """For every element the product of all others along ``dim``."""
    before = shift(cumprod(x, dim=dim, reverse=False, dtype=None), dim=dim, offset=1, fill=1)
    behind = shift(cumprod(x, dim=dim, reverse=True, dtype=None), dim=dim, offset=-1, fill=1)
    return before * behind


def _prod_grad(g: Any, input: Any, input_meta: Meta, dims: Shape, keepdim: bool) -> Any:
    if not input_meta.ndim:
        return g
    if input.dtype is not g.dtype:
        input = input.to(g.dtype)
    if len(dims) == 1:
        others = _others(input, dims[0])
    else:
        others = _others(input.reshape((-1,)), 0).reshape(input_meta.shape)
    if others.dtype.is_complex:
        others = others.conj()
    return restore_dims(g, input_meta, dims, keepdim) * others


_PROD: dict[str, Any] = {"kind": REDUCTION, "infer": sum_infer, "kernel": _prod_kernel,
                         "grad": {"input": _prod_grad}, "reduce": Reduction("mul"),
                         "decompose": truth("all_")}  # fmt: skip

prod_dim = Op(
    "prod_dim(Tensor input, int[] dims, bool keepdim=False, dtype? dtype=None)",
    grad_name="ProdBackward1",
    **_PROD,
)

prod_all = Op(
    "prod_all(Tensor input, int[] dims, bool keepdim=False, dtype? dtype=None)",
    grad_name="ProdBackward0",
    **_PROD,
)


# sums without NaN ------------------------------------------------------------------------------


def _nansum_infer(input: Meta, dims: Shape, keepdim: bool, dtype: dtype | None) -> Meta:
    if input.dtype.is_complex:
        raise RuntimeError("nansum does not support complex inputs")
    if dtype is not None and dtype.category < FLOATING <= input.dtype.category:
        raise NotImplementedError(f"\"nansum_cpu\" not implemented for '{SCALAR_NAMES[dtype]}'")
    return sum_infer(input, dims, keepdim, dtype)


def _nansum_kernel(spec: Spec, dims: Shape, keepdim: bool, _: Any) -> Callable[[Array], Array]:
    source = spec.inputs[0]
    assert source is not None
    out, compute = spec.out.dtype.numpy, numpy_compute(spec.out.dtype)
    broken = source.dtype.is_floating_point
    inner = summation(source.like(dtype=from_numpy_dtype(compute)), compute, dims, keepdim)

    def total(x: Array) -> Array:
        if broken:
            x = np.where(np.isnan(x), x.dtype.type(0), x)
        return inner(x.astype(compute, copy=False)).astype(out, copy=False)

    return total


def _not_broken(x: Expr, spec: Spec) -> Expr:
    return where(function("isnan", x), 0, x) if x.floating else x


nansum = Op(
    "nansum_(Tensor input, int[] dims, bool keepdim=False, dtype? dtype=None)",
    kind=REDUCTION,
    infer=_nansum_infer,
    kernel=_nansum_kernel,
    reduce=Reduction("add", _not_broken),
    decompose=truth("any_"),
    grad={
        "input": lambda g, input, input_meta, dims, keepdim: (
            expand_back(g, input_meta, dims, keepdim) * (input == input)
        )
    },
    grad_name="Nansum",
)


# truth -----------------------------------------------------------------------------------------


def _truth_infer(input: Meta, dims: Shape, keepdim: bool) -> Meta:
    out = uint8 if input.dtype is uint8 else bool_
    return make_meta(reduced_shape(tuple(input.shape), dims, keepdim), out)


def _truth(name: str, function: Any) -> Op:
    def kernel(spec: Spec, dims: Shape, keepdim: bool) -> Callable[[Array], Array]:
        out = spec.out.dtype.numpy
        source = spec.inputs[0]
        assert source is not None
        plain = numpy_compute(source.dtype)
        if source.dtype is bool_:
            return lambda x: np.asarray(function.reduce(x, axis=dims, keepdims=keepdim))
        return lambda x: np.asarray(
            function.reduce(x.astype(plain, copy=False) != 0, axis=dims, keepdims=keepdim)
        ).astype(out, copy=False)

    return Op(
        f"{name}_(Tensor input, int[] dims, bool keepdim=False)",
        kind=REDUCTION,
        infer=_truth_infer,
        kernel=kernel,
        reduce=Reduction("and" if name == "all" else "or", lambda x, spec: true(x)),
    )


all_true = _truth("all", np.logical_and)
any_true = _truth("any", np.logical_or)

count_nonzero = Op(
    "count_nonzero_(Tensor input, int[] dims)",
    kind=REDUCTION,
    infer=lambda input, dims: make_meta(reduced_shape(tuple(input.shape), dims, False), int64),
    kernel=lambda spec, dims: (
        lambda x: np.asarray(np.add.reduce(x != 0, axis=dims, dtype=np.int64))
    ),
    reduce=Reduction("add", lambda x, spec: cast(true(x), int64)),
)


# the logarithm of a sum of exponentials --------------------------------------------------------


def _logsumexp_infer(input: Meta, dims: Shape, keepdim: bool) -> Meta:
    shape = reduced_shape(tuple(input.shape), dims, keepdim)
    return make_meta(shape, as_floating(input.dtype))


def _logsumexp_kernel(spec: Spec, dims: Shape, keepdim: bool) -> Callable[[Array], Array]:
    source = spec.inputs[0]
    assert source is not None
    out, compute = spec.out.dtype.numpy, numpy_compute(spec.out.dtype)
    if source.numel == 0:
        empty = reduced_shape(tuple(source.shape), dims, keepdim)
        return lambda x: np.full(empty, -np.inf, out)

    total = summation(source.like(dtype=from_numpy_dtype(compute)), compute, dims, True)
    largest: Callable[..., Any] = np.maximum.reduce

    def call(x: Array) -> Array:
        x = x.astype(compute, copy=False)
        peak = largest(x.real, axis=dims, keepdims=True)
        peak = np.where(np.isinf(peak), compute.type(0).real, peak)
        made = np.log(total(np.asarray(np.exp(x - peak)))) + peak
        if not keepdim:
            made = made.reshape(spec.out.shape)
        return np.asarray(made).astype(out, copy=False)

    return call


def _logsumexp_written_out(build: Build, x: Any, dims: Shape, keepdim: bool) -> Any:
    if not usable(x):
        return None
    out = as_floating(x.meta.dtype)
    x = widened(build, x, out)
    peak = build("amax_", x, dims=dims, keepdim=True)
    peak = build("where", build("isinf", peak), 0.0, peak)
    powers = build("exp", build("sub", x, peak))
    total = build("sum", powers, dims=dims, keepdim=keepdim)
    made = build("add", build("log", total), shaped(build, peak, total.meta.shape))
    return narrowed(build, made, out)


def _logsumexp_grad(
    g: Any, input: Any, result: Any, input_meta: Meta, dims: Shape, keepdim: bool
) -> Any:
    result = restore_dims(result, input_meta, dims, keepdim)
    weight = (input - result).exp()
    if weight.dtype.is_complex:
        weight = weight.conj()
    return restore_dims(g, input_meta, dims, keepdim) * weight


logsumexp = Op(
    "logsumexp_(Tensor input, int[] dims, bool keepdim=False)",
    kind=REDUCTION,
    infer=_logsumexp_infer,
    kernel=_logsumexp_kernel,
    decompose=_logsumexp_written_out,
    grad={"input": _logsumexp_grad},
    grad_name="Logsumexp",
)


# the sum of a diagonal -------------------------------------------------------------------------


def _trace_infer(input: Meta) -> Meta:
    if input.ndim != 2:
        raise RuntimeError(f"trace: expected a matrix, but got tensor with dim {input.ndim}")
    return make_meta((), input.dtype if input.dtype.category >= FLOATING else int64)


def _trace_kernel(spec: Spec) -> Callable[[Array], Array]:
    out, compute = spec.out.dtype.numpy, numpy_compute(spec.out.dtype)
    return lambda x: np.asarray(np.trace(x.astype(compute, copy=False)), compute).astype(out)


trace = Op(
    "trace_(Tensor input)",
    kind=REDUCTION,
    infer=_trace_infer,
    kernel=_trace_kernel,
    decompose=lambda build, x: build(
        "sum_all", build("diagonal", x, offset=0, dim1=0, dim2=1), dims=(0,)
    ),
    grad={
        "input": lambda g, input_meta: g * constant(np.eye(*input_meta.shape, dtype=g.dtype.numpy))
    },
    grad_name="Trace",
)
