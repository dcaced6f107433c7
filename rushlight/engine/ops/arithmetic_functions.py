"""PyTorch's faces of the arithmetic operators: ``alpha``, ``rounding_mode``, and other names."""

from __future__ import annotations

from typing import Any

from rushlight.engine.core.dtype import COMPLEX, bool_, complex128, float64
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import BINARY, UNARY, S, t, tb, tc, ti
from rushlight.engine.ops import arithmetic
from rushlight.engine.ops.arithmetic_power import power
from rushlight.engine.ops.view import to_dtype

_MIXED = (S(ti(3, 2), t(2)), S(t(3), 2.5), S(ti(3), 2), S(tc(3), t(3)))


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
    if alpha.__class__ is int and alpha == 1:
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
    if alpha.__class__ is int and alpha == 1:
        return arithmetic.sub.quick(input, other)
    return arithmetic.sub_scaled(input, other, alpha)


@composite(method=True, inplace=False, samples=(*BINARY, S(t(3), t(3), alpha=2), S(t(3), 1)))
def rsub(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``other - alpha * input``.

    >>> import rushlight as torch
    >>> torch.rsub(torch.ones(2), 3)
    tensor([2., 2.])
    """
    if alpha.__class__ is int and alpha == 1:
        return arithmetic.rsub.quick(input, other)
    return arithmetic.rsub_scaled(input, other, alpha)


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


# other names ------------------------------------------------------------------------------------


@composite(method=True, inplace=True, samples=(*BINARY, S(t(3), t(3), alpha=2)))
def subtract(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """Another name of ``sub``.

    >>> import rushlight as torch
    >>> torch.subtract(torch.ones(2), 2.0)
    tensor([-1., -1.])
    """
    return sub(input, other, alpha=alpha)


@composite(method=True, inplace=True, samples=(*BINARY, S(t(3), 2.5)))
def multiply(input: Any, other: Any) -> Any:
    """Another name of ``mul``.

    >>> import rushlight as torch
    >>> torch.multiply(torch.ones(2), 2.0)
    tensor([2., 2.])
    """
    return arithmetic.mul.quick(input, other)


@composite(method=True, inplace=True, samples=(S(t(3), t(3, low=0.5)), S(ti(3), 2), *_ROUNDED))
def divide(input: Any, other: Any, *, rounding_mode: Any = None) -> Any:
    """Another name of ``div``.

    >>> import rushlight as torch
    >>> torch.divide(torch.ones(2), 2.0)
    tensor([0.5000, 0.5000])
    """
    return div(input, other, rounding_mode=rounding_mode)


@composite(method=True, inplace=True, samples=(S(t(3), t(3, low=0.5)), S(ti(3), 2)))
def true_divide(input: Any, other: Any) -> Any:
    """``div`` without rounding.

    >>> import rushlight as torch
    >>> torch.true_divide(torch.tensor([1, 2]), 2)
    tensor([0.5000, 1.0000])
    """
    return arithmetic.div.quick(input, other)


@composite(method=True, inplace="torch", samples=UNARY)
def negative(input: Any) -> Any:
    """Another name of ``neg``.

    >>> import rushlight as torch
    >>> torch.negative(torch.ones(2))
    tensor([-1., -1.])
    """
    return arithmetic.neg.quick(input)


@composite(method=True, samples=(*UNARY, S(tc(3))))
def absolute(input: Any) -> Any:
    """Another name of ``abs``.

    >>> import rushlight as torch
    >>> torch.absolute(torch.tensor([-1.0]))
    tensor([1.])
    """
    return arithmetic.abs_.quick(input)


@composite(method=True, samples=(*UNARY, S(ti(3))))
def positive(input: Any) -> Any:
    """``input`` itself.

    Raises:
        RuntimeError: ``input`` is boolean.

    >>> import rushlight as torch
    >>> torch.positive(torch.tensor([-1.0]))
    tensor([-1.])
    """
    if input.dtype is bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


@composite(namespaces=(), method=True, samples=(S(t(3)), S(ti(3))))
def __pos__(self: Any) -> Any:
    """``+self``."""
    return positive(self)


def _doubled(x: Any) -> Any:
    if not isinstance(x, TensorBase):
        return x
    wanted = complex128 if x.dtype.category == COMPLEX else float64
    return x if x.dtype is wanted else to_dtype(x, dtype=wanted)


@composite(
    method=True,
    samples=(S(t(3, low=0.5), 2.5), S(ti(3), 2), S(t(3, low=0.5), t(3)), S(2, t(3)), S(tc(3), 2)),
)
def float_power(input: Any, exponent: Any) -> Any:
    """``input ** exponent`` in double precision.

    Args:
        input: a tensor or, where ``exponent`` is a tensor, a number.
        exponent: a tensor or a number.

    >>> import rushlight as torch
    >>> torch.float_power(torch.tensor([1, 2]), 0.5)
    tensor([1.0000, 1.4142], dtype=torch.float64)
    """
    return power(_doubled(input), _doubled(exponent))
