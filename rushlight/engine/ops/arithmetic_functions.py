"""PyTorch's faces of the arithmetic operators: ``alpha``, ``rounding_mode``, and other names."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import BINARY, UNARY, S, t, tb, tc, ti
from rushlight.engine.ops import arithmetic, arithmetic_power
from rushlight.engine.ops.elementwise import result_type

_MIXED = (S(ti(3, 2), t(2)), S(t(3), 2.5), S(ti(3), 2), S(tc(3), t(3)))


def _scale(input: Any, other: Any, alpha: Any) -> Any:
    """``alpha * other`` in the type of ``input`` with ``other``, PyTorch's checks made."""
    if isinstance(other, TensorBase):
        return arithmetic.mul(other, alpha)
    return other * alpha


@composite(
    method=True,
    inplace=True,
    samples=(*BINARY, *_MIXED, S(t(3), t(3), alpha=2), S(tb(3), tb(3)), S(t(3), 2, alpha=0.5)),
)
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input + alpha * other``.

    Args:
        input: a tensor or a number.
        other: a tensor or a number that broadcasts with it.
        alpha: a number; a whole one for integers.

    >>> import rushlight as torch
    >>> torch.add(torch.ones(2), 2.0, alpha=3)
    tensor([7., 7.])
    """
    if alpha == 1 and alpha is not True:
        return arithmetic.add.quick(input, other)
    return arithmetic.add_scaled(input, other, alpha)


@composite(
    method=True,
    inplace=True,
    samples=(*BINARY, *_MIXED, S(t(3), t(3), alpha=2), S(t(3), 2, alpha=0.5)),
)
def sub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input - alpha * other``.

    Args:
        input: a tensor or a number.
        other: a tensor or a number that broadcasts with it.
        alpha: a number; a whole one for integers.

    Raises:
        RuntimeError: one of them is a bool tensor.

    >>> import rushlight as torch
    >>> torch.sub(torch.ones(2), 2.0, alpha=3)
    tensor([-5., -5.])
    """
    if alpha == 1 and alpha is not True:
        return arithmetic.sub.quick(input, other)
    return arithmetic.sub_scaled(input, other, alpha)


@composite(method=True, inplace=False, samples=(*BINARY, S(t(3), t(3), alpha=2), S(t(3), 1)))
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``other - alpha * input``.

    >>> import rushlight as torch
    >>> torch.rsub(torch.ones(2), 3)
    tensor([2., 2.])
    """
    if alpha == 1:
        return arithmetic.rsub.quick(input, other)
    return arithmetic.sub_scaled(other, input, alpha)


_ROUNDED = (
    S(t(3, 4), t(4, low=0.5), rounding_mode="floor"),
    S(t(3, 4), t(4, low=0.5), rounding_mode="trunc"),
    S(ti(9, low=-20, high=20), ti(9, low=1), rounding_mode="floor"),
    S(ti(9, low=-20, high=20), -3, rounding_mode="trunc"),
)


@composite(
    method=True,
    inplace=True,
    samples=(S(t(3, 4), t(4, low=0.5)), S(t(3), 2), S(ti(3), ti(3, low=1)), S(t(), t(2, low=0.5)),
             S(3.0, t(2, low=0.5)), S(tc(3), tc(3, low=0.5)), *_ROUNDED),
)  # fmt: skip
def div(input: Any, other: Any, *, rounding_mode: Any = None) -> Any:
    """``input / other``, integers divided as floating-point numbers.

    Args:
        input: a tensor or a number.
        other: a tensor or a number that broadcasts with it.
        rounding_mode: ``None``; ``"trunc"`` rounds towards 0, ``"floor"`` down, keeping the type.

    >>> import rushlight as torch
    >>> torch.div(torch.tensor([5, -5]), 2, rounding_mode="trunc")
    tensor([ 2, -2])
    """
    if rounding_mode is None:
        return arithmetic.div.quick(input, other)
    if rounding_mode == "floor":
        return arithmetic.div_floor(input, other)
    if rounding_mode == "trunc":
        return arithmetic.div_trunc(input, other)
    raise RuntimeError(
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
        f"'{rounding_mode}'"
    )
