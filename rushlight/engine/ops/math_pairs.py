"""Functions of two numbers, and their parts: atan2, hypot, copysign, ldexp, frexp, fmax."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import BOOL, COMPLEX, FLOATING, float32, float64, int32, int64
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import POINTWISE, Op, Spec, composite
from rushlight.engine.ir.samples import BINARY, S, Sample, t, ti
from rushlight.engine.ir.scalar import (
    Expr,
    bits,
    cast,
    const,
    function as apply,
    maximum,
    minimum,
    where,
)
from rushlight.engine.ops import return_types
from rushlight.engine.ops.arithmetic_rules import (
    NOT_IMPLEMENTED,
    between_tensors,
    example,
    floats_only,
    guarded,
    no_gradient,
    not_differentiable,
    numbered,
    require_tensor,
)
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.bodies import applied, larger, smaller
from rushlight.engine.ops.elementwise import FLOAT, broadcast_meta, numpy_compute, pointwise
from rushlight.engine.ops.math import exp2
from rushlight.engine.ops.predicates import isnan

_LN2 = 0.6931471805599453


# plane ------------------------------------------------------------------------------------------


def _atan2_share(g: Any, wanted: Any, input: Any, other: Any) -> Any:
    slope = wanted / (input * input + other * other)
    return where_op((input == 0) & (other == 0), 0, g * slope)


atan2_op = pointwise(
    "atan2(Tensor input, Tensor other)",
    np.arctan2,
    scalar=applied("atan2"),
    rule=FLOAT,
    infer=guarded(2, FLOAT, complex="atan2_cpu"),
    grad={
        "input": lambda g, input, other: _atan2_share(g, other, input, other),
        "other": lambda g, input, other: _atan2_share(g, -input, input, other),
    },
)


@composite(method=True, inplace=True, samples=(*BINARY, S(ti(3), t(3))))
def atan2(input: Any, other: Any) -> Any:
    """The angle of the point (``other``, ``input``), from -pi to pi.

    Args:
        input: the ordinates, a tensor.
        other: the abscissas, a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.atan2(torch.tensor([1.0, -1.0]), torch.tensor([1.0, 0.0]))
    tensor([ 0.7854, -1.5708])
    """
    return between_tensors(atan2_op, "atan2", input, other)


@composite(method=True, inplace=True, samples=BINARY)
def arctan2(input: Any, other: Any) -> Any:
    """Another name of ``atan2``.

    >>> import rushlight as torch
    >>> torch.arctan2(torch.tensor([1.0]), torch.tensor([1.0]))
    tensor([0.7854])
    """
    return between_tensors(atan2_op, "arctan2", input, other)


def _hypot(x: Any, y: Any) -> Any:
    if np.result_type(x) != np.float32:
        return np.hypot(x, y)
    # squares of float32 numbers cannot overflow in double precision
    found = np.asarray(np.square(x, dtype=np.float64) + np.square(y, dtype=np.float64))
    np.sqrt(found, found)
    return np.hypot(x, y) if np.isnan(found).any() else found.astype(np.float32)


def _scalar_hypot(x: Expr, y: Expr) -> Expr:
    x, y = apply("abs", x), apply("abs", y)
    if x.dtype is float32:  # as above
        wide = cast(x, float64), cast(y, float64)
        found = cast(apply("sqrt", wide[0] * wide[0] + wide[1] * wide[1]), float32)
    else:
        size = maximum(x, y)
        share = minimum(x, y) / size
        found = where(size.eq(0), 0, size * apply("sqrt", share * share + 1))
    return where(x.eq(math.inf) | y.eq(math.inf), math.inf, found)


hypot_op = pointwise(
    "hypot(Tensor input, Tensor other)",
    _hypot,
    scalar=_scalar_hypot,
    infer=floats_only("hypot_cpu", 2),
    grad={
        "input": lambda g, input, result: g * (input / result),
        "other": lambda g, other, result: g * (other / result),
    },
)


@composite(method=True, inplace=True, samples=BINARY)
def hypot(input: Any, other: Any) -> Any:
    """``sqrt(input ** 2 + other ** 2)`` without overflow on the way.

    Args:
        input: a floating-point tensor.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.hypot(torch.tensor([3.0]), torch.tensor([4.0]))
    tensor([5.])
    """
    return between_tensors(hypot_op, "hypot", input, other)


# parts of the number format ---------------------------------------------------------------------


def _copysign_gradient(g: Any, input: Any, result: Any) -> Any:
    return g * where_op(input == 0, 0, result / input)


copysign_tensor = pointwise(
    "copysign(Tensor input, Tensor other)",
    np.copysign,
    scalar=applied("copysign"),
    rule=FLOAT,
    infer=guarded(2, FLOAT, complex="copysign_cpu"),
    grad={"input": _copysign_gradient, "other": no_gradient},
    grad_name=numbered("Copysign"),
)


@composite(
    method=True, inplace=True, samples=(*BINARY, S(t(3), -1.0), S(ti(3), -2), S(ti(3), t(3)))
)
def copysign(input: Any, other: Any) -> Any:
    """The size of ``input`` with the sign of ``other``.

    Args:
        input: a tensor of a real type.
        other: a tensor or a number that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.copysign(torch.tensor([1.0, 2.0]), torch.tensor([-3.0, 0.0]))
    tensor([-1.,  2.])
    """
    require_tensor(input, "copysign", "input", 1)
    return copysign_tensor.quick(input, other)


def _nextafter_kernel(spec: Spec) -> Callable[..., Any]:
    target = spec.out.dtype.numpy  # the half types too: their neighbours are not float32's
    return lambda x, y: np.asarray(np.nextafter(x.astype(target), y.astype(target)))


nextafter_op = pointwise(
    "nextafter(Tensor input, Tensor other)",
    np.nextafter,
    infer=floats_only("nextafter_cpu", 2),
    kernel=_nextafter_kernel,
    grad={
        "input": lambda g, input, other: where_op(input == other, 0, g),
        "other": no_gradient,
    },
)


@composite(method=True, inplace=True, samples=BINARY)
def nextafter(input: Any, other: Any) -> Any:
    """The next number the type can hold from ``input`` towards ``other``.

    Args:
        input: a floating-point tensor.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.nextafter(torch.tensor([1.0]), torch.tensor([2.0])) > 1
    tensor([True])
    """
    return between_tensors(nextafter_op, "nextafter", input, other)


#: PyTorch's gradient takes 2 to a negative whole exponent for 0, so gradients are not compared.
_WHOLE_EXPONENTS = Sample((t(3), ti(3)), check_grad=False)

ldexp_op = pointwise(
    "ldexp(Tensor input, Tensor other)",
    lambda x, y: np.multiply(x, np.power(y.dtype.type(2), y)),
    scalar=lambda x, other: x * apply("exp2", other),
    rule=FLOAT,
    grad={
        "input": lambda g, other: g * exp2(other).conj(),
        "other": lambda g, result: g * (result * _LN2).conj(),
    },
)


@composite(method=True, inplace="torch", samples=(*BINARY, _WHOLE_EXPONENTS, S(ti(3), ti(3))))
def ldexp(input: Any, other: Any) -> Any:
    """``input * 2 ** other``.

    Args:
        input: a tensor.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.ldexp(torch.tensor([1.0, 3.0]), torch.tensor([1, 2]))
    tensor([ 2., 12.])
    """
    return between_tensors(ldexp_op, "ldexp", input, other)


def _frexp_infer(input: Meta) -> tuple[Meta, Meta]:
    if input.dtype.category != FLOATING:
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    return broadcast_meta((input,), input.dtype), broadcast_meta((input,), int32)


def _frexp_kernel(spec: Spec) -> Callable[[Any], tuple[np.ndarray, np.ndarray]]:
    compute, target = numpy_compute(spec.out.dtype), spec.out.dtype.numpy

    def frexp(x: Any) -> tuple[np.ndarray, np.ndarray]:
        mantissa, exponent = np.frexp(x.astype(compute, copy=False))
        return np.asarray(mantissa).astype(target, copy=False), np.asarray(exponent, np.int32)

    return frexp


def _frexp_element(load: Callable[..., Expr], index: Any, spec: Spec) -> tuple[Expr, Expr]:
    x = load(0, index)
    kind, fraction = (int64, 52) if x.dtype is float64 else (int32, 23)
    bias = 1022 if x.dtype is float64 else 126  # of the numbers from 1/2 on
    field = 2 * bias + 3
    small = apply("abs", x) < float(np.finfo(x.dtype.numpy).tiny)
    raw = bits(where(small, x * 2.0**64, x), kind)
    exponent = ((raw >> fraction) & field) - where(small, bias + 64, const(bias, kind))
    mantissa = bits((raw & ~(field << fraction)) | (bias << fraction), x.dtype)
    plain = ~((x - x).eq(0)) | x.eq(0)
    return where(plain, x, mantissa), cast(where(plain, 0, exponent), int32)


frexp_op = Op(
    "frexp(Tensor input)",
    kind=POINTWISE,
    infer=_frexp_infer,
    kernel=_frexp_kernel,
    element=_frexp_element,
    grad={"input": lambda g0, result1: g0 / exp2(result1)},
    differentiable=1,
)


@composite(method=True, samples=(S(t(3, 4)), S(t()), S(t(0, 3))))
def frexp(input: Any) -> Any:
    """Mantissas in [0.5, 1) and whole exponents, so that ``mantissa * 2**exponent`` is ``input``.

    Args:
        input: a floating-point tensor.

    Returns:
        A named tuple ``(mantissa, exponent)``.

    >>> import rushlight as torch
    >>> torch.frexp(torch.tensor([3.0]))
    torch.return_types.frexp(
    mantissa=tensor([0.7500]),
    exponent=tensor([2], dtype=torch.int32))
    """
    return return_types.frexp(*frexp_op(input))


# steps and extremes -----------------------------------------------------------------------------


def _heaviside_infer(input: Meta, values: Meta) -> Meta:
    if input.dtype.category == COMPLEX or values.dtype.category == COMPLEX:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if input.dtype is not values.dtype:
        raise RuntimeError(
            "heaviside is not yet implemented for tensors with different dtypes."
        )
    return broadcast_meta((input, values), input.dtype)


def _heaviside(x: Any, values: Any) -> Any:
    step = np.greater(x, 0).astype(x.dtype)
    return np.where(np.equal(x, 0), values, np.where(np.isnan(x), x, step))


def _scalar_heaviside(x: Expr, values: Expr) -> Expr:
    if x.dtype.category == BOOL:
        return x | values
    return where(x.eq(0), values, where(x > 0, 1, where(x < 0, 0, x)))


heaviside_op = pointwise(
    "heaviside(Tensor input, Tensor values)",
    _heaviside,
    scalar=_scalar_heaviside,
    infer=_heaviside_infer,
    grad={
        "input": not_differentiable("heaviside"),
        "values": not_differentiable("heaviside"),
    },
    grad_name=NOT_IMPLEMENTED,
)


_STEPS = (
    S(t(3, 4, grad=False), t(4, grad=False)),
    S(ti(4), ti(4)),
    S(t(0, grad=False), t(0, grad=False)),
)


@composite(method=True, inplace=True, samples=_STEPS)
def heaviside(input: Any, values: Any) -> Any:
    """0 for negative numbers, 1 for positive ones, ``values`` at 0.

    Args:
        input: a tensor of a real type.
        values: a tensor of the same type that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.heaviside(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([0.5]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return between_tensors(heaviside_op, "heaviside", input, values, "values")


def _ignores_nan(name: str, function: np.ufunc, largest: bool, words: str, shown: str) -> None:
    """Record ``fmax`` or ``fmin``."""

    def first(input: Any, other: Any) -> Any:
        return ((input >= other) if largest else (input <= other)) | isnan(other)

    def body(x: Expr, y: Expr) -> Expr:
        if not x.floating:
            return larger(x, y) if largest else smaller(x, y)
        leads = x >= y if largest else x <= y
        return where(leads | apply("isnan", y), x, y)

    op = pointwise(
        f"{name}(Tensor input, Tensor other)",
        function,
        scalar=body,
        infer=guarded(
            2, complex=(RuntimeError, f"{name} not implemented for complex tensors.")
        ),
        grad={
            "input": lambda g, input, other: where_op(first(input, other), g, 0),
            "other": lambda g, input, other: where_op(first(input, other), 0, g),
        },
    )

    def call(input: Any, other: Any) -> Any:
        return between_tensors(op, name, input, other)

    call.__doc__ = (
        f"The {words} of two tensors, element by element; a NaN gives way to a number.\n\n"
        "    Args:\n        input: a tensor of a real type.\n"
        "        other: a tensor that broadcasts with it."
    ) + example(f"{name}(torch.tensor([1.0, 2.0]), torch.tensor([float('nan'), 3.0]))", shown)
    composite(name=name, method=True, samples=(*BINARY, S(ti(3), ti(3)), S(ti(3), t(3))))(call)


_ignores_nan("fmax", np.fmax, True, "larger", "tensor([1., 3.])")
_ignores_nan("fmin", np.fmin, False, "smaller", "tensor([1., 2.])")
