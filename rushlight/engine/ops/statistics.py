"""Variance and standard deviation: the records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import REDUCTION, Op, Spec
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.reduce import (
    expand_back,
    mean,
    reduced_count,
    reduced_shape,
    restore_dims,
    summation,
)
from rushlight.engine.ops.written_out import Build, narrowed, shaped, usable, widened

Array = np.ndarray


def _infer(input: Meta, dims: Shape, correction: float, keepdim: bool) -> Meta:
    if input.dtype.category < FLOATING:
        raise RuntimeError(
            "std and var only support floating point and complex dtypes\n"
            "Convert the tensor first, for example with .float()."
        )
    return make_meta(reduced_shape(tuple(input.shape), dims, keepdim), input.dtype.to_real())


def _pair_infer(input: Meta, dims: Shape, correction: float, keepdim: bool) -> tuple[Meta, Meta]:
    first = _infer(input, dims, correction, keepdim)
    return first, make_meta(tuple(first.shape), input.dtype)


def _moments(
    spec: Spec, dims: Shape, correction: float, keepdim: bool, root: bool
) -> Callable[[Array], tuple[Array, Array]]:
    """The mean first, then the mean square of the distances from it (two passes)."""
    source = spec.inputs[0]
    assert source is not None
    compute, real = numpy_compute(source.dtype), numpy_compute(source.dtype.to_real())
    total = summation(source, compute, dims, True)
    squares = summation(source.like(dtype=source.dtype.to_real()), real, dims, keepdim)
    count = reduced_count(source, dims)
    number, freedom = real.type(count), real.type(max(count - correction, 0))
    shape = tuple(spec.out.shape)
    complex_input = source.dtype.is_complex

    def call(x: Array) -> tuple[Array, Array]:
        x = x.astype(compute, copy=False)
        center = np.asarray(total(x) / number)
        distance = np.asarray(x - center)
        if complex_input:
            square = distance.real**2 + distance.imag**2
        else:
            square = np.multiply(distance, distance, out=distance)
        spread = np.asarray(squares(square) / freedom)
        if root:
            spread = np.sqrt(spread)
        return spread, center.reshape(shape)

    return call


def _kernel(root: bool, pair: bool) -> Callable[..., Callable[[Array], Any]]:
    def prepare(spec: Spec, dims: Shape, correction: float, keepdim: bool) -> Any:
        call = _moments(spec, dims, correction, keepdim, root)
        types = [meta.dtype.numpy for meta in spec.outs]
        if pair:
            return lambda x: tuple(
                [
                    np.asarray(made).astype(kind, copy=False)
                    for made, kind in zip(call(x), types, strict=True)
                ]
            )
        return lambda x: np.asarray(call(x)[0]).astype(types[0], copy=False)

    return prepare


def _written_out(root: bool, pair: bool) -> Callable[..., Any]:
    def decompose(build: Build, x: Any, dims: Shape, correction: float, keepdim: bool) -> Any:
        if not usable(x):
            return None
        found, shape = x.meta.dtype, tuple(x.meta.shape)
        freedom = float(max(reduced_count(x.meta, dims) - correction, 0))
        x = widened(build, x)
        center = build("mean", x, dims=dims, keepdim=keepdim)
        distance = build("sub", x, shaped(build, center, reduced_shape(shape, dims, True)))
        square = build("mul", distance, distance)
        spread = build("div", build("sum", square, dims=dims, keepdim=keepdim), freedom)
        spread = narrowed(build, build("sqrt", spread) if root else spread, found)
        return (spread, narrowed(build, center, found)) if pair else spread

    return decompose


def _var_grad(
    g: Any, input: Any, input_meta: Meta, dims: Shape, correction: float, keepdim: bool
) -> Any:
    freedom = reduced_count(input_meta, dims) - correction
    scale = 2.0 / freedom if freedom else float("inf")
    distance = input - mean(input, dims=dims, keepdim=True, dtype=None)
    return restore_dims(g * scale, input_meta, dims, keepdim) * distance


def _std_grad(
    g: Any, input: Any, result: Any, input_meta: Meta, dims: Shape, correction: float,
    keepdim: bool,
) -> Any:  # fmt: skip
    to_var = where_op(result == 0, 0.0, g / (result * 2))
    return _var_grad(to_var, input, input_meta, dims, correction, keepdim)


def _to_mean(g: Any, input_meta: Meta, dims: Shape, keepdim: bool) -> Any:
    return expand_back(g / max(reduced_count(input_meta, dims), 1), input_meta, dims, keepdim)


def _var_mean_grad(
    g0: Any, g1: Any, input: Any, input_meta: Meta, dims: Shape, correction: float, keepdim: bool
) -> Any:
    to_var = _var_grad(g0, input, input_meta, dims, correction, keepdim)
    return to_var + _to_mean(g1, input_meta, dims, keepdim)


def _std_mean_grad(
    g0: Any, g1: Any, input: Any, result: Any, input_meta: Meta, dims: Shape, correction: float,
    keepdim: bool,
) -> Any:  # fmt: skip
    to_std = _std_grad(g0, input, result, input_meta, dims, correction, keepdim)
    return to_std + _to_mean(g1, input_meta, dims, keepdim)


def _record(name: str, grad: Callable[..., Any], root: bool, pair: bool) -> Op:
    return Op(
        f"{name}_(Tensor input, int[] dims, float correction, bool keepdim=False)",
        kind=REDUCTION,
        infer=_pair_infer if pair else _infer,
        kernel=_kernel(root, pair),
        decompose=_written_out(root, pair),
        grad={"input": grad},
    )


var = _record("var", _var_grad, False, False)
std = _record("std", _std_grad, True, False)
var_mean = _record("var_mean", _var_mean_grad, False, True)
std_mean = _record("std_mean", _std_mean_grad, True, True)
