"""Calls that stand in the records and from which tests are generated."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class T:
    """A tensor of a sample: ``t(2, 3)`` draws numbers between ``low`` and ``high``.

    ``kind`` restricts the dtypes the generated tests try: ``"float"`` (default; also tried in
    float64 for gradients), ``"int"``, ``"bool"``, ``"complex"``, or ``"any"``.
    ``grad`` False keeps it out of gradient checks (an index, a target).
    ``values`` gives the very contents instead of random ones.
    """

    shape: tuple[int, ...]
    kind: str = "float"
    low: float = -2.0
    high: float = 2.0
    grad: bool = True
    values: Any = None
    dtype: str | None = None


def t(*shape: int, **options: Any) -> T:
    """A float tensor of a sample."""
    return T(shape, **options)


def ti(*shape: int, low: int = -5, high: int = 6, **options: Any) -> T:
    """An int64 tensor of a sample, ``low`` <= element < ``high``."""
    return T(shape, kind="int", low=low, high=high, grad=False, **options)


def tb(*shape: int) -> T:
    """A boolean tensor of a sample."""
    return T(shape, kind="bool", grad=False)


def tc(*shape: int, **options: Any) -> T:
    """A complex tensor of a sample."""
    return T(shape, kind="complex", **options)


@dataclass(frozen=True, slots=True)
class Sample:
    """One call: arguments with ``T`` where a tensor stands (also inside lists and tuples).

    ``tolerance`` multiplies the dtype's usual one; ``check_grad`` False leaves gradients out,
    ``twice`` False the second derivative, ``numeric`` False the numeric ones (where what PyTorch
    calls the gradient is not the derivative); ``oracle`` False keeps it from PyTorch.
    """

    args: tuple[Any, ...]
    kwargs: dict[str, Any] = field(default_factory=dict)
    tolerance: float = 1.0
    check_grad: bool = True
    twice: bool = True
    oracle: bool = True
    numeric: bool = True


def S(
    *args: Any,
    tolerance: float = 1.0,
    check_grad: bool = True,
    twice: bool = True,
    oracle: bool = True,
    numeric: bool = True,
    **kwargs: Any,
) -> Sample:
    """A sample call with the usual checks, or fewer; see ``Sample``."""
    return Sample(args, kwargs, tolerance, check_grad, twice, oracle, numeric)


@dataclass(frozen=True, slots=True)
class ErrorSample:
    """A call that must raise ``error`` with a message matching ``match``."""

    sample: Sample
    error: type[Exception]
    match: str


UNARY = (S(t(3, 4)), S(t()), S(t(0, 3)), S(t(2, 1, 3)))
BINARY = (
    S(t(3, 4), t(3, 4)),
    S(t(3, 4), t(4)),
    S(t(2, 1, 3), t(4, 1)),
    S(t(), t(2)),
    S(t(0, 3), t(3)),
)
