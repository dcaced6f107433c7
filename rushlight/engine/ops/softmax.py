"""Softmax and its logarithm along an axis, and their gradients: the records.

With ``y = softmax(x)`` the gradient is ``y * (g - sum(g * y))``; with ``y = log_softmax(x)`` it is
``g - exp(y) * sum(g)`` (sums along the axis).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, dtype, float32
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import REDUCTION, Op, Spec
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.reduce import sum_, summation
from rushlight.engine.ops.written_out import Build, narrowed, usable, widened

Array = np.ndarray


def _infer_named(name: str) -> Callable[..., Meta]:
    def infer(input: Meta, dim: int, dtype: dtype | None) -> Meta:
        out = dtype or input.dtype
        if out.category < FLOATING:
            last = dim == input.ndim - 1 or not input.ndim
            kernel = f"{name}_lastdim_kernel_impl" if last else f"{name}_kernel_impl"
            raise NotImplementedError(
                f"\"{kernel}\" not implemented for '{SCALAR_NAMES[out]}'\n"
                "Convert the tensor first, for example with .float()."
            )
        return make_meta(tuple(input.shape), out)

    return infer


def _forward(
    finish: Callable[[Array, Array, Callable[[Array], Array]], Array],
) -> Callable[[Spec, int, Any], Callable[[Array], Array]]:
    """The kernel factory: subtract the peak, take exponentials, then ``finish``."""

    def prepare(spec: Spec, dim: int, _: Any) -> Callable[[Array], Array]:
        source = spec.inputs[0]
        assert source is not None
        out, compute = spec.out.dtype.numpy, numpy_compute(spec.out.dtype)
        axis = dim if source.ndim else None
        if source.numel == 0:
            return lambda x: np.zeros(x.shape, out)
        same = source.dtype.numpy == compute
        total = _axis_total(spec.out, dim)

        def call(x: Array) -> Array:
            if not same:
                x = x.astype(compute)
            moved = np.asarray(x - np.maximum.reduce(x, axis=axis, keepdims=True))
            return finish(moved, np.exp(moved), total)

        if compute == out:
            return call
        return lambda x: call(x).astype(out)

    return prepare


def _softmax_finish(moved: Array, powers: Array, total: Callable[[Array], Array]) -> Array:
    made = np.asarray(powers)
    made /= total(made)
    return made


def _log_softmax_finish(moved: Array, powers: Array, total: Callable[[Array], Array]) -> Array:
    moved -= np.log(total(np.asarray(powers)))
    return moved


def _written_out(last: Callable[[Build, Any, Any], Any]) -> Callable[..., Any]:
    """The decomposition: subtract the peak, then ``last`` of that and its exponentials' sum."""

    def decompose(build: Build, x: Any, dim: int, kind: dtype | None) -> Any:
        if not usable(x) or not x.meta.ndim:
            return None
        out = kind or x.meta.dtype
        x = widened(build, x, out)
        moved = build("sub", x, build("amax_", x, dims=(dim,), keepdim=True))
        return narrowed(build, last(build, moved, (dim,)), out)

    return decompose


def _softmax_last(build: Build, moved: Any, dims: Any) -> Any:
    powers = build("exp", moved)
    return build("div", powers, build("sum", powers, dims=dims, keepdim=True))


def _log_softmax_last(build: Build, moved: Any, dims: Any) -> Any:
    total = build("sum", build("exp", moved), dims=dims, keepdim=True)
    return build("sub", moved, build("log", total))


def _backward_written_out(last: Callable[[Build, Any, Any, Any], Any]) -> Callable[..., Any]:
    """The decomposition of a gradient from that of the result and the result."""

    def decompose(build: Build, g: Any, y: Any, dim: int) -> Any:
        if not usable(g, y) or not y.meta.ndim:
            return None
        out = y.meta.dtype
        g, y = widened(build, g, out), widened(build, y)
        return narrowed(build, last(build, g, y, (dim,)), out)

    return decompose


def _softmax_backward_last(build: Build, g: Any, y: Any, dims: Any) -> Any:
    product = build("mul", g, y)
    return build("sub", product, build("mul", y, build("sum", product, dims=dims, keepdim=True)))


def _log_softmax_backward_last(build: Build, g: Any, y: Any, dims: Any) -> Any:
    total = build("sum", g, dims=dims, keepdim=True)
    return build("sub", g, build("mul", build("exp", y), total))


def _axis_total(meta: Meta, dim: int) -> Callable[[Array], Array]:
    """A function that sums along the axis, in the computing type, and keeps it."""
    compute = numpy_compute(meta.dtype)
    working = meta if compute == meta.dtype.numpy else meta.like(dtype=float32)
    return summation(working, compute, (dim,) if meta.ndim else (), True)


def _axis_sum(x: Any, dim: int) -> Any:
    dims = (dim,) if x._value.meta.ndim else ()
    return sum_(x, dims=dims, keepdim=True, dtype=None)


def _backward_infer(input: Meta, result: Meta, dim: int) -> Meta:
    return make_meta(tuple(result.shape), result.dtype)


def _softmax_backward_kernel(spec: Spec, dim: int) -> Callable[[Array, Array], Array]:
    out, compute = spec.out.dtype.numpy, numpy_compute(spec.out.dtype)
    total = _axis_total(spec.out, dim)

    def call(g: Array, y: Array) -> Array:
        made = np.asarray(g * y)
        made -= y * total(made)
        return made

    if compute == out:
        return call
    return lambda g, y: call(g.astype(compute), y.astype(compute)).astype(out)


softmax_backward: Op = Op(
    "softmax_backward(Tensor input, Tensor output, int dim)",
    kind=REDUCTION,
    infer=_backward_infer,
    kernel=_softmax_backward_kernel,
    decompose=_backward_written_out(_softmax_backward_last),
    grad={
        "input": lambda g, output, dim: softmax_backward(g, output, dim=dim),
        "output": lambda g, input, output, dim: (
            g * (input - _axis_sum(input * output, dim)) - input * _axis_sum(g * output, dim)
        ),
    },
)

softmax = Op(
    "softmax_(Tensor input, int dim, dtype? dtype=None)",
    kind=REDUCTION,
    infer=_infer_named("softmax"),
    kernel=_forward(_softmax_finish),
    decompose=_written_out(_softmax_last),
    grad={"input": lambda g, result, dim: softmax_backward(g, result, dim=dim)},
    grad_name="Softmax",
)


def _log_softmax_backward_kernel(spec: Spec, dim: int) -> Callable[[Array, Array], Array]:
    out, compute = spec.out.dtype.numpy, numpy_compute(spec.out.dtype)
    total = _axis_total(spec.out, dim)

    def call(g: Array, y: Array) -> Array:
        made = np.asarray(np.exp(y))
        made *= total(g)
        return np.subtract(g, made, out=made)

    if compute == out:
        return call
    return lambda g, y: call(g.astype(compute), y.astype(compute)).astype(out)


log_softmax_backward = Op(
    "log_softmax_backward(Tensor input, Tensor output, int dim)",
    kind=REDUCTION,
    infer=_backward_infer,
    kernel=_log_softmax_backward_kernel,
    decompose=_backward_written_out(_log_softmax_backward_last),
    grad={
        "input": lambda g, output, dim: g - _axis_sum(g * output.exp(), dim),
        "output": lambda g, input, output, dim: -g * output.exp() * _axis_sum(input, dim),
    },
)

log_softmax = Op(
    "log_softmax_(Tensor input, int dim, dtype? dtype=None)",
    kind=REDUCTION,
    infer=_infer_named("log_softmax"),
    kernel=_forward(_log_softmax_finish),
    decompose=_written_out(_log_softmax_last),
    grad={"input": lambda g, result, dim: log_softmax_backward(g, result, dim=dim)},
    grad_name="LogSoftmax",
)
