"""Powers, roots and reciprocals.

Note: powers by a number
    The exponents people write (squares, cubes, roots, reciprocals) are attributes of
    ``pow_fixed``, so that a compiler sees a multiplication instead of a call; there are few of
    them, so programs do not multiply. Any other exponent is a run-time number.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rushlight.engine.core.dtype import BOOL, COMPLEX, FLOATING, bool_, get_default_dtype
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import Spec, composite
from rushlight.engine.ir.samples import UNARY, S, t, tc, ti
from rushlight.engine.ops.arithmetic_rules import no_gradient, plain
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import FLOAT, SAME, broadcast_meta, numpy_kernel, pointwise

_FACE = {"namespaces": ("torch",), "method": True, "inplace": True}

NEGATIVE_INTEGER_POWER: Final = "Integers to negative integer powers are not allowed."

#: Exponents that become part of the program.
FIXED: Final[frozenset[float]] = frozenset(
    (-4, -3, -2, -1.5, -1, -0.5, 0, 0.5, 1, 1.5, 2, 3, 4, 5, 6, 7, 8)
)


# kernels ----------------------------------------------------------------------------------------


def _by_squaring(x: Any, exponent: int) -> Any:
    """``x`` to a small whole power by multiplications."""
    result = None
    square = x
    while True:
        if exponent & 1:
            result = square if result is None else np.multiply(result, square)
        exponent >>= 1
        if not exponent:
            return result
        square = np.square(square)


def fixed_power(x: Any, exponent: float) -> Any:
    """``x`` to one of the usual powers, by multiplications and square roots."""
    if exponent == 1:
        return x.copy(order="K")
    if exponent == 0:
        return np.ones_like(x)
    size = abs(exponent)
    if size == int(size):
        found = _by_squaring(x, int(size))
    elif size == 0.5:
        found = np.sqrt(x)
    else:
        found = np.multiply(np.sqrt(x), x)
    return found if exponent > 0 else np.reciprocal(found)


def _integer_power(x: Any, exponent: Any) -> Any:
    """Powers of integers as PyTorch's kernel has them: negative exponents give 0 but for ±1."""
    exponent = np.asarray(exponent)
    if exponent.dtype.kind == "u" or not (exponent < 0).any():
        return np.power(x, exponent)
    positive = np.power(x, np.maximum(exponent, 0))
    units = np.where(x == 1, 1, np.where(x == -1, 1 - 2 * (exponent & 1), 0)).astype(x.dtype)
    return np.where(exponent < 0, units, positive)


def _real_power(x: Any, exponent: Any) -> Any:
    if isinstance(exponent, (int, float)):
        if exponent in FIXED:
            return fixed_power(x, exponent)
        if exponent == int(exponent) if math.isfinite(exponent) else False:
            # NumPy's power of negative numbers is a hundred times slower
            found = np.power(np.abs(x), exponent)
            return np.copysign(found, x) if exponent % 2 else found
    return np.power(x, exponent)


def _power_kernel(spec: Spec) -> Callable[..., Any]:
    category = spec.out.dtype.category
    if category == FLOATING:
        return numpy_kernel(_real_power, SAME, 2)(spec)
    if category == COMPLEX:
        return numpy_kernel(np.power, SAME, 2)(spec)
    if category == BOOL:
        return numpy_kernel(lambda x, y: np.logical_or(x, np.logical_not(y)), SAME, 2)(spec)
    return numpy_kernel(_integer_power, SAME, 2)(spec)


# gradients --------------------------------------------------------------------------------------


def _base_gradient(g: Any, input: Any, other: Any) -> Any:
    exponent = plain(other)
    if not isinstance(exponent, TensorBase):
        if exponent == 0:
            return no_gradient(g)
        return g * (exponent * power(input, exponent - 1)).conj()
    slope = (exponent * power(input, exponent - 1)).conj()
    return g * where_op(exponent == 0, 0, slope)


def _exponent_gradient(g: Any, input: Any, other: Any, result: Any) -> Any:
    base = plain(input)
    if not isinstance(base, TensorBase):
        if base == 0:
            return where_op(other >= 0, 0, g * -math.inf)
        logarithm: Any = math.log(base) if not isinstance(base, complex) and base > 0 else (
            float("nan") if not result.dtype.is_complex else complex(np.log(complex(base)))
        )
        return g * (result * logarithm).conj()
    dead = base == 0
    if not plain_is_complex(other):
        dead = dead & (other >= 0)
    return g * where_op(dead, 0, (result * base.log()).conj())


def plain_is_complex(x: Any) -> bool:
    """Whether a saved operand is complex."""
    return bool(x._value.meta.dtype.is_complex)


pow_tensor = pointwise(
    "pow(Tensor input, Tensor other)",
    np.power,
    kernel=_power_kernel,
    grad={"input": _base_gradient, "other": _exponent_gradient},
    grad_name="PowBackward1",
)

pow_number = pointwise(
    "pow_number(Tensor input, Tensor other)",
    np.power,
    kernel=_power_kernel,
    grad={"input": _base_gradient},
)

number_pow = pointwise(
    "number_pow(Tensor input, Tensor other)",
    np.power,
    kernel=_power_kernel,
    grad={"other": _exponent_gradient},
    grad_name="PowBackward2",
)


def _fixed_infer(input: Meta, exponent: float) -> Meta:
    found = input.dtype
    if found.category < FLOATING and isinstance(exponent, float):
        found = get_default_dtype()
    elif found is bool_:
        found = _INT64
    return broadcast_meta((input,), found)


def _fixed_kernel(spec: Spec, exponent: float) -> Callable[..., Any]:
    rule = FLOAT if isinstance(exponent, float) else SAME
    source = spec.inputs[0]
    assert source is not None
    if source.dtype is bool_:
        target = spec.out.dtype.numpy
        return lambda x: np.asarray(fixed_power(x.astype(target), exponent))
    return numpy_kernel(lambda x: fixed_power(x, exponent), rule, 1)(spec)


def _fixed_gradient(g: Any, input: Any, exponent: float) -> Any:
    if exponent == 0:
        return no_gradient(g)
    if exponent == 1:
        return g
    if exponent == 2:
        return g * (input * 2).conj()
    return g * (power(input, exponent - 1) * exponent).conj()
