"""Remainders and rounded quotients on NumPy arrays.

NumPy's take about 15 ns an element. Two float32 numbers have a quotient that double precision
tells apart from every whole number below 2**28, so there one division and one rounding are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

from rushlight.engine.core.dtype import (
    FLOATING,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint16,
    uint32,
    uint64,
)
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.scalar import Expr, cast, const, function, where
from rushlight.engine.ops.bodies import absolute

#: Quotients above this go to NumPy's own functions.
_EXACT: Final = 2.0**28


def _singles(x: Any, y: Any) -> tuple[Any, Any]:
    """Both operands as float32, plain numbers too."""
    return np.asarray(x, np.float32), np.asarray(y, np.float32)


def _quotient(x: Any, y: Any, rounding: Callable[..., Any]) -> np.ndarray | None:
    """The rounded quotient of float32 numbers, ``None`` where it is not certainly exact."""
    found = np.divide(x, y, dtype=np.float64)
    if found.ndim == 0 or not (np.abs(found).max(initial=0.0) < _EXACT) or np.isinf(y).any():
        return None
    return rounding(found, found)


def _rest(rounding: Callable[..., Any], plain: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    def rest(x: Any, y: Any) -> Any:
        if np.result_type(x, y) != np.float32:
            return plain(x, y)
        x, y = _singles(x, y)
        whole = _quotient(x, y, rounding)
        if whole is None:
            return plain(x, y)
        np.multiply(whole, y, whole)
        np.subtract(x, whole, whole)
        return whole.astype(np.float32)

    return rest


def floor_divide_floats(x: Any, y: Any) -> Any:
    """``x / y`` rounded down."""
    if np.result_type(x, y) != np.float32:
        return np.floor_divide(x, y)
    x, y = _singles(x, y)
    whole = _quotient(x, y, np.floor)
    return np.floor_divide(x, y) if whole is None else whole.astype(np.float32)


#: With the sign of the divisor, and with that of the dividend.
remainder_floats = _rest(np.floor, np.remainder)
fmod_floats = _rest(np.trunc, np.fmod)


# bodies -----------------------------------------------------------------------------------------

_UNSIGNED: Final = {int8: uint8, int16: uint16, int32: uint32, int64: uint64}


def _magnitudes(x: Expr, y: Expr) -> tuple[Expr, Expr]:
    """The sizes of two integers; a divisor 0 has been refused before the loop and must not trap."""
    kind = _UNSIGNED.get(x.dtype, x.dtype)
    sizes = [cast(absolute(part), kind) for part in (x, y)]
    return sizes[0], where(sizes[1].eq(0), 1, sizes[1])


def _differ(x: Expr, y: Expr) -> Expr:
    """Whether two signed numbers have different signs."""
    return (x < 0) ^ (y < 0)


def _integer_rest(x: Expr, y: Expr) -> Expr:
    """The rest with the dividend's sign."""
    size, divisor = _magnitudes(x, y)
    rest = cast(size % divisor, x.dtype)
    return where(x < 0, -rest, rest) if x.dtype.is_signed else rest


def _integer_quotient(x: Expr, y: Expr, down: bool) -> Expr:
    """The quotient rounded down or towards 0."""
    size, divisor = _magnitudes(x, y)
    quotient = cast(size // divisor, x.dtype)
    if not x.dtype.is_signed:
        return quotient
    below = -quotient
    if down:
        below = where((size % divisor).eq(0), below, below - 1)
    return where(_differ(x, y), below, quotient)


def check_divisor(spec: Spec) -> Callable[[Any], None]:
    """The check of an operator that raises where an integer is divided by 0."""

    def check(divisor: Any) -> None:
        if integers and not np.all(divisor):
            raise RuntimeError("ZeroDivisionError")

    integers = spec.out.dtype.category < FLOATING and spec.out.numel > 0
    return check


def dividend_signed_rest(x: Expr, y: Expr) -> Expr:
    """``fmod``."""
    return function("fmod", x, y) if x.floating else _integer_rest(x, y)


def divisor_signed_rest(x: Expr, y: Expr) -> Expr:
    """``remainder``."""
    rest = dividend_signed_rest(x, y)
    if not x.dtype.is_signed:
        return rest
    return where(rest.ne(0) & _differ(rest, y), rest + y, rest)


def floor_quotient(x: Expr, y: Expr) -> Expr:
    """``floor_divide``; floating-point numbers by way of the rest, which is exact."""
    if not x.floating:
        return _integer_quotient(x, y, down=True)
    rest = function("fmod", x, y)
    quotient = (x - rest) / y
    quotient = where(rest.ne(0) & _differ(rest, y), quotient - 1, quotient)
    whole = function("floor", quotient)
    whole = where(quotient - whole > 0.5, whole + 1, whole)
    plain = x / y
    whole = where(quotient.eq(0), function("copysign", const(0.0, x.dtype), plain), whole)
    return where(y.eq(0), plain, whole)


def truncated_quotient(x: Expr, y: Expr) -> Expr:
    """The quotient without what follows the point."""
    return function("trunc", x / y) if x.floating else _integer_quotient(x, y, down=False)
