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

from rushlight.engine.core.dtype import BOOL, COMPLEX, FLOATING, bool_
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import Spec, composite
from rushlight.engine.ir.samples import UNARY, S, t, tc, ti
from rushlight.engine.ir.scalar import Expr, const, function
from rushlight.engine.ops.arithmetic_rules import no_gradient, numbered, plain, refuse
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.bodies import applied
from rushlight.engine.ops.elementwise import FLOAT, SAME, infer_rule, numpy_kernel, pointwise

POSITIVE: Final = (
    S(t(3, 4, low=0.2)),
    S(t(low=0.2)),
    S(t(0, 3)),
    S(t(2, 1, 3, low=0.2)),
)
_FACE: dict[str, Any] = {"namespaces": ("torch",), "method": True, "inplace": True}

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
        if math.isfinite(exponent) and exponent == int(exponent):
            # NumPy's power of negative numbers is a hundred times slower than of positive ones
            found = np.power(np.abs(x), exponent)
            return np.copysign(found, x) if exponent % 2 else found
        if x.ndim and math.isfinite(exponent):
            found = np.power(np.abs(x), exponent)
            np.copyto(found, np.nan, where=np.logical_and(x < 0, x != -np.inf))
            return found
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


def _scalar_power(x: Expr, exponent: Expr) -> Expr | None:
    if x.dtype.category == BOOL:
        return x | ~exponent
    return function("pow", x, exponent) if x.floating else None  # integers would need a loop


def _scalar_fixed_power(x: Expr, exponent: float) -> Expr:
    """The same multiplications as ``fixed_power``."""
    if exponent == 0 or x.dtype.category == BOOL:
        return const(1, x.dtype) if exponent == 0 else x
    size = abs(exponent)
    found = None if size == int(size) else function("sqrt", x)
    if size == 1.5:
        assert found is not None
        found = found * x
    square, left = x, 0 if found is not None else int(size)
    while left:
        if left & 1:
            found = square if found is None else found * square
        left >>= 1
        square = square * square
    assert found is not None
    return found if exponent > 0 else 1 / found


def _reciprocal(x: Any) -> Any:
    return np.divide(1, x, x if isinstance(x, np.ndarray) else None)


# gradients --------------------------------------------------------------------------------------


def _base_gradient(g: Any, input: Any, other: Any) -> Any:
    exponent: Any = plain(other)
    is_number = not isinstance(exponent, TensorBase)
    if is_number:
        if exponent == 0:
            return no_gradient(g)
        return g * (exponent * power(input, exponent - 1)).conj()
    slope = (exponent * power(input, exponent - 1)).conj()
    return g * where_op(exponent == 0, 0, slope)


def _exponent_gradient(g: Any, input: Any, other: Any, result: Any) -> Any:
    base: Any = plain(input)
    is_number = not isinstance(base, TensorBase)
    if is_number:
        if base == 0:
            return where_op(other >= 0, 0, g * -math.inf)
        logarithm: Any = math.log(base) if not isinstance(base, complex) and base > 0 else (
            float("nan") if not result.dtype.is_complex else complex(np.log(complex(base)))
        )
        return g * (result * logarithm).conj()
    dead = base == 0
    if not other._value.meta.dtype.is_complex:
        dead = dead & (other >= 0)
    return g * where_op(dead, 0, (result * base.log()).conj())


def _power_infer(input: Meta, other: Meta) -> Meta:
    if input.dtype is other.dtype is bool_ and not other.weak:
        refuse("pow", bool_)
    return infer_rule(SAME, 2)(input, other)


pow_op = pointwise(
    "pow(Tensor input, Tensor other)",
    np.power,
    infer=_power_infer,
    kernel=_power_kernel,
    scalar=_scalar_power,
    grad={"input": _base_gradient, "other": _exponent_gradient},
    grad_name=numbered("Pow", tensors=1, number=0, first=2),
)


def _fixed_kernel(spec: Spec, exponent: float) -> Callable[..., Any]:
    return numpy_kernel(lambda x: fixed_power(x, exponent), SAME, 1)(spec)


def _fixed_gradient(g: Any, input: Any, exponent: float) -> Any:
    if exponent == 0:
        return no_gradient(g)
    if exponent == 1:
        return g
    if exponent == 2:
        return g * (input * 2).conj()
    return g * (power(input, exponent - 1) * exponent).conj()


pow_fixed = pointwise(
    "pow_fixed(Tensor input, number exponent)",
    fixed_power,
    infer=lambda input, exponent: infer_rule(SAME, 1)(input),
    kernel=_fixed_kernel,
    scalar=_scalar_fixed_power,
    grad={"input": _fixed_gradient},
    grad_name="PowBackward0",
)


def power(input: Any, exponent: Any) -> Any:
    """``input ** exponent`` by the operator that suits the exponent."""
    kind = exponent.__class__
    if kind is float or kind is int:
        category = input._value.meta.dtype.category
        if category >= FLOATING:
            if exponent in FIXED:
                return pow_fixed.fixed(float(exponent))(input)
            return pow_op.quick(input, exponent)
        if kind is int and category != BOOL:
            if exponent < 0:
                raise RuntimeError(NEGATIVE_INTEGER_POWER)
            if exponent in FIXED:
                return pow_fixed(input, exponent=exponent)
        return pow_op.quick(input, exponent)
    return pow_op.quick(input, exponent)


@composite(
    method=True,
    inplace=True,
    samples=(
        S(t(3, 4), 2),
        S(t(3, 4), 3),
        S(t(3, 4), -1),
        S(t(3, 4, low=0.5), 0.5),
        S(t(3, 4, low=0.5), -1.5),
        S(t(3, 4, low=0.5), 2.3),
        S(t(3, 4, low=0.5), t(4)),
        S(t(2, 1, 3, low=0.5), t(4, 1)),
        S(t(), 2),
        S(t(0, 3), 2),
        S(ti(4), 3),
        S(ti(4), 1.5, check_grad=False),
        S(ti(4), ti(4)),
        S(2, t(3)),
        S(tc(3, low=0.5), 2),
        S(tc(3, low=0.5), 1.7),
    ),
)
def pow(input: Any, exponent: Any) -> Any:
    """``input ** exponent``.

    Args:
        input: a tensor or, where ``exponent`` is a tensor, a number.
        exponent: a number or a tensor that broadcasts with ``input``.

    Raises:
        RuntimeError: integers to a negative integer number.

    >>> import rushlight as torch
    >>> torch.pow(torch.tensor([1.0, 2.0, 3.0]), 2)
    tensor([1., 4., 9.])
    """
    if not isinstance(input, TensorBase) and not isinstance(exponent, TensorBase):
        raise TypeError(
            "pow() received an invalid combination of arguments - got "
            f"({type(input).__name__}, {type(exponent).__name__})\nGive at least one tensor."
        )
    return power(input, exponent)


def _operand(x: Any) -> bool:
    return isinstance(x, (int, float, complex, TensorBase, np.generic))


@composite(namespaces=(), method=True, samples=(S(t(3), 2), S(t(3, low=0.1), t(2, 3))))
def __pow__(self: Any, other: Any) -> Any:
    """``self ** other``."""
    return power(self, other) if _operand(other) else NotImplemented


@composite(namespaces=(), method=True, samples=(S(t(3), 2.5), S(t(3), t(2, 3, low=0.1))))
def __rpow__(self: Any, other: Any) -> Any:
    """``other ** self``."""
    return pow_op.quick(other, self) if _operand(other) else NotImplemented


@composite(method=True, inplace="torch", samples=(*UNARY, S(ti(4)), S(tc(3))))
def square(input: Any) -> Any:
    """``input ** 2``.

    >>> import rushlight as torch
    >>> torch.square(torch.tensor([-2.0, 3.0]))
    tensor([4., 9.])
    """
    return power(input, 2)


sqrt = pointwise(
    "sqrt(Tensor input)",
    np.sqrt,
    scalar=applied("sqrt"),
    rule=FLOAT,
    grad={"input": lambda g, result: g / (result * 2).conj()},
    samples=(*POSITIVE, S(ti(4, low=0)), S(tc(3))),
    doc="""The square root; NaN for negative numbers.

    >>> import rushlight as torch
    >>> torch.sqrt(torch.tensor([4.0, 9.0]))
    tensor([2., 3.])
    """,
    **_FACE,
)

rsqrt = pointwise(
    "rsqrt(Tensor input)",
    lambda x: _reciprocal(np.sqrt(x)),
    scalar=lambda x: 1 / function("sqrt", x),
    rule=FLOAT,
    grad={"input": lambda g, result: g * (power(result, 3) * -0.5).conj()},
    samples=(*POSITIVE, S(ti(4, low=1, high=9)), S(tc(3, low=0.5))),
    doc="""One over the square root.

    >>> import rushlight as torch
    >>> torch.rsqrt(torch.tensor([4.0, 16.0]))
    tensor([0.5000, 0.2500])
    """,
    **_FACE,
)

reciprocal = pointwise(
    "reciprocal(Tensor input)",
    np.reciprocal,
    scalar=lambda x: 1 / x,
    rule=FLOAT,
    grad={"input": lambda g, result: -g * power(result, 2).conj()},
    samples=(*POSITIVE, S(ti(4, low=1, high=9)), S(tc(3, low=0.5))),
    doc="""``1 / input``.

    >>> import rushlight as torch
    >>> torch.reciprocal(torch.tensor([4.0, -0.5]))
    tensor([ 0.2500, -2.0000])
    """,
    **_FACE,
)
