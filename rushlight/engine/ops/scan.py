"""Running sums, products and extremes along an axis, and their gradients.

Note: one recurrence behind all of them
    ``recurrence`` computes ``s[j] = b[j] + a[j] * s[j - 1]``. The gradient of a running product is
    such a recurrence, and the gradient of a recurrence is one again, in the other direction. So
    zeros among the factors need no care, and derivatives of any order are right.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, dtype, int64
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.elementwise import result_type
from rushlight.engine.ops.places import (
    Load,
    Place,
    as_result,
    below,
    from_on,
    guarded,
    pick,
    plus,
)
from rushlight.engine.ops.reduce_select import comparable, require_ordered, spread_along

Array = np.ndarray


def _flipped(dim: int) -> tuple[Any, ...]:
    return (slice(None),) * dim + (slice(None, None, -1),)


def _directed(function: Callable[..., Array], dim: int, reverse: bool) -> Callable[..., Array]:
    """``function`` run from the end of the axis to its beginning if ``reverse``."""
    if not reverse:
        return function
    flip = _flipped(dim)
    return lambda *arrays: function(*[x[flip] for x in arrays])[flip]


def wide(meta: Meta) -> np.dtype:
    """The type running values are kept in: twice as precise as the type of the result."""
    if meta.dtype.is_complex:
        return np.dtype(np.complex128)
    return np.dtype(np.float64) if meta.dtype.category == FLOATING else meta.dtype.numpy


# running sums and products ---------------------------------------------------------------------


def _scan_infer(input: Meta, dim: int, reverse: bool, dtype: dtype | None) -> Meta:
    return make_meta(
        tuple(input.shape), dtype or (input.dtype if input.dtype.category >= FLOATING else int64)
    )


def _scan(name: str, function: Any, grad: Callable[..., Any]) -> Op:
    def kernel(spec: Spec, dim: int, reverse: bool, _: Any) -> Callable[[Array], Array]:
        out, compute = spec.out.dtype.numpy, wide(spec.out)
        first = spec.out.dtype.numpy if spec.out.dtype.category < FLOATING else compute
        if not spec.out.ndim:
            return lambda x: np.asarray(x).astype(out)
        if not spec.out.shape[dim]:
            return lambda x: np.zeros(spec.out.shape, out)

        def run(x: Array) -> Array:
            made = function.accumulate(x.astype(first, copy=False), axis=dim)
            return np.asarray(made).astype(out, copy=False)

        return _directed(run, dim, reverse)

    return Op(
        f"{name}_(Tensor input, int dim, bool reverse=False, dtype? dtype=None)",
        kind=OTHER,
        infer=_scan_infer,
        kernel=kernel,
        grad={"input": grad},
        grad_name=name.capitalize(),
    )


def _cumprod_grad(
    g: Any, input: Any, result: Any, input_meta: Meta, dim: int, reverse: bool
) -> Any:
    if not input_meta.ndim:
        return g
    step = -1 if reverse else 1
    before = shift(result, dim=dim, offset=step, fill=1)
    factor = input if input.dtype is g.dtype else input.to(g.dtype)
    if factor.dtype.is_complex:
        before, factor = before.conj(), factor.conj()
    following = shift(factor, dim=dim, offset=-step, fill=0)
    return before * recurrence(following, g, dim=dim, reverse=not reverse)


cumsum: Op = _scan(
    "cumsum",
    np.add,
    lambda g, dim, reverse: cumsum(g, dim=dim, reverse=not reverse, dtype=None),
)
cumprod = _scan("cumprod", np.multiply, _cumprod_grad)


# moving along an axis --------------------------------------------------------------------------


def _shift_kernel(spec: Spec, dim: int, offset: int, fill: int) -> Callable[[Array], Array]:
    lead = (slice(None),) * dim
    if offset > 0:
        target, source = (*lead, slice(offset, None)), (*lead, slice(None, -offset))
    else:
        target, source = (*lead, slice(None, offset)), (*lead, slice(-offset, None))

    def move(x: Array) -> Array:
        made = np.full(x.shape, fill, x.dtype)
        made[target] = x[source]
        return made

    return move


def _shift_element(
    load: Load, index: Place, spec: Spec, dim: int, offset: int, fill: int
) -> Expr:
    place, size = list(index), spec.out.shape[dim]
    inside = from_on(index[dim], offset) if offset > 0 else below(index[dim], size + offset)
    place[dim] = guarded(inside, plus(index[dim], -offset))
    return as_result(pick(inside, load(0, place), fill), spec)


# the element ``offset`` places before, ``fill`` where there is none
shift: Op = Op(
    "shift(Tensor input, int dim, int offset, int fill)",
    kind=OTHER,
    infer=lambda input, dim, offset, fill: input.like(),
    kernel=_shift_kernel,
    element=_shift_element,
    grad={"input": lambda g, dim, offset: shift(g, dim=dim, offset=-offset, fill=0)},
    grad_name="Slice",
)


# recurrences -----------------------------------------------------------------------------------


def _recurrence_infer(factor: Meta, input: Meta, dim: int, reverse: bool) -> Meta:
    return make_meta(tuple(input.shape), result_type((factor, input)))


def _recurrence_kernel(spec: Spec, dim: int, reverse: bool) -> Callable[..., Array]:
    out, compute = spec.out.dtype.numpy, wide(spec.out)
    count = spec.out.shape[dim]

    def run(factor: Array, input: Array) -> Array:
        a = np.moveaxis(factor.astype(compute, copy=False), dim, 0)
        b = np.moveaxis(input.astype(compute, copy=False), dim, 0)
        made = np.empty(b.shape, compute)
        for j in range(count):
            made[j] = b[j] if j == 0 else b[j] + a[j] * made[j - 1]
        return np.moveaxis(made, 0, dim).astype(out)

    return _directed(run, dim, reverse)


def _recurrence_grad(
    g: Any, factor: Any, result: Any, dim: int, reverse: bool, needs: tuple[bool, bool]
) -> tuple[Any, Any]:
    step = -1 if reverse else 1
    if factor.dtype.is_complex:
        factor, result = factor.conj(), result.conj()
    following = shift(factor, dim=dim, offset=-step, fill=0)
    to_input = recurrence(following, g, dim=dim, reverse=not reverse)
    to_factor = to_input * shift(result, dim=dim, offset=step, fill=0) if needs[0] else None
    return to_factor, to_input


# s[j] = input[j] + factor[j] * s[j - 1], from the first element on (from the last if reverse)
recurrence = Op(
    "recurrence(Tensor factor, Tensor input, int dim, bool reverse)",
    kind=OTHER,
    infer=_recurrence_infer,
    kernel=_recurrence_kernel,
    grad={"factor, input": _recurrence_grad},
)


# running logarithms of sums ---------------------------------------------------------------------


def _logcumsumexp_infer(input: Meta, dim: int) -> Meta:
    if input.dtype.category < FLOATING:
        name = SCALAR_NAMES[input.dtype]
        raise NotImplementedError(f"\"logcumsumexp_out_cpu\" not implemented for '{name}'")
    return input.like()


def _logcumsumexp_kernel(spec: Spec, dim: int) -> Callable[[Array], Array]:
    out, compute = spec.out.dtype.numpy, wide(spec.out)
    if not spec.out.ndim or not spec.out.numel:
        return lambda x: x.copy()
    if spec.out.dtype.is_complex:
        return lambda x: np.log(np.cumsum(np.exp(x.astype(compute)), axis=dim)).astype(out)
    return lambda x: np.logaddexp.accumulate(x.astype(compute), axis=dim).astype(out)


def _logcumsumexp_grad(g: Any, input: Any, result: Any, input_meta: Meta, dim: int) -> Any:
    if not input_meta.ndim:
        return g
    # exp(result[j] - result[j + 1]) is at most 1, so nothing overflows.
    ratio = shift((shift(result, dim=dim, offset=1, fill=0) - result).exp(), dim=dim, offset=-1,
                  fill=0)  # fmt: skip
    return (input - result).exp() * recurrence(ratio, g, dim=dim, reverse=True)


logcumsumexp = Op(
    "logcumsumexp_(Tensor input, int dim)",
    kind=OTHER,
    infer=_logcumsumexp_infer,
    kernel=_logcumsumexp_kernel,
    grad={"input": _logcumsumexp_grad},
    grad_name="Logcumsumexp",
)


# running extremes ------------------------------------------------------------------------------


def _running(name: str, function: Any) -> Op:
    def infer(input: Meta, dim: int) -> tuple[Meta, Meta]:
        require_ordered(input, f"{name}_cpu")
        return input.like(), make_meta(tuple(input.shape), int64)

    def kernel(spec: Spec, dim: int) -> Callable[[Array], tuple[Array, Array]]:
        source = spec.inputs[0]
        assert source is not None
        prepare, out = comparable(source), spec.out.dtype.numpy
        if not source.ndim or not source.numel:
            return lambda x: (x.copy(), np.zeros(x.shape, np.int64))
        shape = [1] * source.ndim
        shape[dim] = -1
        places = np.arange(source.shape[dim]).reshape(shape)

        def run(x: Array) -> tuple[Array, Array]:
            x = prepare(x)
            values = function.accumulate(x, axis=dim)
            # among equals the last one counts, as in PyTorch
            found = np.where((x == values) | (x != x), places, 0)
            return values.astype(out, copy=False), np.maximum.accumulate(found, axis=dim)

        return run

    return Op(
        f"{name}_(Tensor input, int dim)",
        kind=OTHER,
        infer=infer,
        kernel=kernel,
        grad={
            "input": lambda g0, result1, input_meta, dim: spread_along(
                g0,
                result1,
                dim=dim,
                size=input_meta.shape[dim] if input_meta.ndim else 1,
                unique=False,
            )
        },
        grad_name=name.capitalize(),
        differentiable=1,
    )


cummax = _running("cummax", np.maximum)
cummin = _running("cummin", np.minimum)
