"""Remainders and rounded quotients on NumPy arrays.

NumPy's take about 15 ns an element. Two float32 numbers have a quotient that double precision
tells apart from every whole number below 2**28, so there one division and one rounding are exact.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

import numpy as np

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
