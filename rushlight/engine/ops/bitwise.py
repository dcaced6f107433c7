"""Operations on the bits of integers, and their divisors and multiples."""

from __future__ import annotations

from operator import and_, or_, xor
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import S, tb, ti
from rushlight.engine.ir.scalar import Expr, where
from rushlight.engine.ops.arithmetic_rules import example, guarded, require_tensor
from rushlight.engine.ops.elementwise import pointwise

_FACE: dict[str, Any] = {"namespaces": ("torch",), "method": True, "inplace": True}
_BITS = (S(ti(3, 4), ti(4)), S(ti(3), 3), S(tb(3), tb(3)), S(tb(3), ti(3)), S(ti(0, 3), ti(3)))
_SHIFTS = (S(ti(3, low=0), ti(3, low=0)), S(ti(4), 2), S(ti(2, 1, low=0), ti(3, low=0)))


def _whole(count: int, name: str, boolean: bool = True) -> Any:
    """The ``infer`` of an operator on integers (and booleans)."""
    return guarded(count, boolean=None if boolean else name, floating=name, complex=name)


bitwise_and = pointwise(
    "bitwise_and(Tensor input, Tensor other)",
    np.bitwise_and,
    scalar=and_,
    infer=_whole(2, "bitwise_and_cpu"),
    samples=_BITS,
    doc="The bits set in both; for booleans their logical and."
    + example("bitwise_and(torch.tensor([6, 5]), 3)", "tensor([2, 1])"),
    **_FACE,
)

bitwise_or = pointwise(
    "bitwise_or(Tensor input, Tensor other)",
    np.bitwise_or,
    scalar=or_,
    infer=_whole(2, "bitwise_or_cpu"),
    samples=_BITS,
    doc="The bits set in either; for booleans their logical or."
    + example("bitwise_or(torch.tensor([4, 1]), 2)", "tensor([6, 3])"),
    **_FACE,
)

bitwise_xor = pointwise(
    "bitwise_xor(Tensor input, Tensor other)",
    np.bitwise_xor,
    scalar=xor,
    infer=_whole(2, "bitwise_xor_cpu"),
    samples=_BITS,
    doc="The bits set in one of the two; for booleans where they differ."
    + example("bitwise_xor(torch.tensor([6, 5]), 3)", "tensor([5, 6])"),
    **_FACE,
)

bitwise_not = pointwise(
    "bitwise_not(Tensor input)",
    np.invert,
    scalar=lambda x: ~x,
    infer=_whole(1, "bitwise_not_cpu"),
    samples=(S(ti(3, 4)), S(tb(3)), S(ti(0))),
    doc="All bits turned over; for booleans the logical not."
    + example("bitwise_not(torch.tensor([0, 5]))", "tensor([-1, -6])"),
    **_FACE,
)

def _within(x: Expr, places: Expr) -> Expr:
    """Whether so many places are fewer than the type has."""
    found = places < 8 * x.dtype.itemsize
    return found & (places >= 0) if x.dtype.is_signed else found


def _shifted_left(x: Expr, places: Expr) -> Expr:
    inside = _within(x, places)
    return where(inside, x << where(inside, places, 0), 0)


def _shifted_right(x: Expr, places: Expr) -> Expr:
    inside, last = _within(x, places), 8 * x.dtype.itemsize - 1
    found = x >> where(inside, places, last)
    return found if x.dtype.is_signed else where(inside, found, 0)


bitwise_left_shift = pointwise(
    "bitwise_left_shift(Tensor input, Tensor other)",
    np.left_shift,
    scalar=_shifted_left,
    infer=_whole(2, "lshift_cpu", boolean=False),
    samples=_SHIFTS,
    doc="The bits moved ``other`` places up."
    + example("bitwise_left_shift(torch.tensor([1, 3]), 2)", "tensor([ 4, 12])"),
    **_FACE,
)

bitwise_right_shift = pointwise(
    "bitwise_right_shift(Tensor input, Tensor other)",
    np.right_shift,
    scalar=_shifted_right,
    infer=_whole(2, "rshift_cpu", boolean=False),
    samples=_SHIFTS,
    doc="The bits moved ``other`` places down; the sign stays."
    + example("bitwise_right_shift(torch.tensor([9, -8]), 2)", "tensor([ 2, -2])"),
    **_FACE,
)


@composite(namespaces=(), method=True, samples=(S(ti(3, 4)), S(tb(3))))
def __invert__(self: Any) -> Any:
    """``~self``."""
    if self._value.meta.dtype.category >= FLOATING:
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return bitwise_not.quick(self)


gcd_op = pointwise(
    "gcd(Tensor input, Tensor other)",
    np.gcd,
    infer=_whole(2, "gcd_cpu", boolean=False),
)

lcm_op = pointwise(
    "lcm(Tensor input, Tensor other)",
    np.lcm,
    infer=_whole(2, "lcm_cpu", boolean=False),
)


@composite(method=True, inplace="torch", samples=(S(ti(3, 4), ti(4)), S(ti(), ti(2))))
def gcd(input: Any, other: Any) -> Any:
    """The greatest common divisor.

    Args:
        input: a tensor of integers.
        other: a tensor of integers that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.gcd(torch.tensor([12, 7]), torch.tensor([18, 3]))
    tensor([6, 1])
    """
    require_tensor(other, "gcd", "other", 2)
    return gcd_op.quick(input, other)


@composite(method=True, inplace="torch", samples=(S(ti(3, 4), ti(4)), S(ti(), ti(2))))
def lcm(input: Any, other: Any) -> Any:
    """The least common multiple.

    Args:
        input: a tensor of integers.
        other: a tensor of integers that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.lcm(torch.tensor([4, 7]), torch.tensor([6, 3]))
    tensor([12, 21])
    """
    require_tensor(other, "lcm", "other", 2)
    return lcm_op.quick(input, other)
