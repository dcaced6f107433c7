"""Arithmetic that the samplers need exactly as PyTorch's kernels do it.

PyTorch's kernels are compiled with fused multiply-add, which rounds once, and call the C
library's double precision functions. NumPy has neither: its product and sum round twice, and its
vectorised logarithm and sine differ from the C library's in the last bit. The functions here give
the once-rounded results; the C library is reached through ``math``.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from rushlight.engine.core import dtype as types
from rushlight.engine.core.mt19937 import Draws64, Source

Shape = int | tuple[int, ...]
Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]
Doubles = npt.NDArray[np.float64]

#: Low bits of a double that a float32 has no room for, and their value half-way between two.
_BELOW_FLOAT = np.int64(2**29 - 1)
_HALF_WAY = np.int64(2**28)

#: Above this, the exponential of a double overflows.
_EXP_LIMIT = 709.782712893384

#: Veltkamp's constant: splits a double into two halves whose products are exact.
_SPLITTER = 2.0**27 + 1


def fused_float32(a: Doubles, b: float, c: float) -> Floats:
    """``a * b + c`` rounded once to float32, where ``a`` and ``b`` hold float32 values.

    The product is exact in double precision. The sum is rounded to a double first, which changes
    the result only where that lands half-way between two float32 numbers; there the part that
    was rounded away decides.
    """
    product = a * b
    total = product + c
    rounded = total.astype(np.float32)
    if c != 0.0:
        half_way = (total.view(np.int64) & _BELOW_FLOAT) == _HALF_WAY
        if half_way.any():
            where = np.nonzero(half_way)[0]
            near = total[where]
            _, lost = _two_sum(product[where], c)
            toward = np.where(lost > 0, np.inf, np.where(lost < 0, -np.inf, near))
            rounded[where] = np.nextafter(near, toward).astype(np.float32)
    return rounded


def fused_float64(a: Doubles, b: float, c: float) -> Doubles:
    """``a * b + c`` rounded once to float64.

    Method of Boldo and Melquiond, "Emulation of FMA and correctly rounded sums: proved
    algorithms using rounding to odd" (https://doi.org/10.1109/TC.2007.70819).
    """
    if c == 0.0:
        return a * b + c
    high, low = _two_product(a, b)
    sum_high, sum_low = _two_sum(low, c)
    total, error = _two_sum(high, sum_high)
    rest: Doubles = total + _add_to_odd(error, sum_low)
    return rest


def _two_sum(a: Doubles, b: Doubles | float) -> tuple[Doubles, Doubles]:
    """The rounded sum and what the rounding lost (Knuth)."""
    total = a + b
    part = total - a
    return total, (a - (total - part)) + (b - part)


def _split(a: Doubles | float) -> tuple[Doubles | float, Doubles | float]:
    scaled = a * _SPLITTER
    high = scaled - (scaled - a)
    return high, a - high


def _two_product(a: Doubles, b: float) -> tuple[Doubles, Doubles]:
    """The rounded product and what the rounding lost (Dekker)."""
    product = a * b
    a_high, a_low = _split(a)
    b_high, b_low = _split(b)
    error = a_low * b_low - (((product - a_high * b_high) - a_low * b_high) - a_high * b_low)
    return product, np.asarray(error)


def _add_to_odd(a: Doubles, b: Doubles) -> Doubles:
    """The sum, where inexact replaced by that one of its two neighbours whose last bit is odd."""
    total, lost = _two_sum(a, b)
    bits = total.view(np.int64)
    adjust = (lost != 0) & ((bits & 1) == 0)
    away = (lost > 0) == (total > 0)
    step = np.where(adjust, np.where(away, 1, -1), 0)
    return (bits + step).view(np.float64)


def through_c(function: Callable[[float], float], values: Doubles) -> Doubles:
    """The C library's ``function`` of every value, by way of the ``math`` module."""
    return np.fromiter(map(function, values.tolist()), np.float64, count=values.size)


def log_c(values: Doubles) -> Doubles:
    """The C library's logarithm, with minus infinity for zero."""
    positive = values > 0
    if positive.all():
        return through_c(math.log, values)
    logs = np.full(values.shape, -np.inf)
    logs[positive] = through_c(math.log, values[positive])
    return logs


def exp_c(values: Doubles) -> Doubles:
    """The C library's exponential, with infinity where it overflows."""
    finite = values < _EXP_LIMIT
    if finite.all():
        return through_c(math.exp, values)
    results = np.where(np.isnan(values), np.nan, np.inf)
    results[finite] = through_c(math.exp, values[finite])
    return results


def to_doubles(draws: Draws64) -> Doubles:
    """Doubles in [0, 1) from the low 53 bits of 64-bit draws."""
    draws &= np.uint64(2**53 - 1)
    doubles = draws.view(np.int64).astype(np.float64)
    doubles *= 2.0**-53
    return doubles


def double_draws(size: int) -> int:
    """How many 32-bit draws ``size`` doubles take."""
    return 2 * size


def draw_doubles(source: Source, count: int) -> Doubles:
    """``count`` doubles in [0, 1), two 32-bit draws each."""
    return to_doubles(source.draw64(count))


def narrow(values: Doubles, dtype: types.dtype) -> Array:
    """``values`` as another type; 16-bit types by way of float32, as PyTorch converts them."""
    with np.errstate(over="ignore", invalid="ignore"):
        if dtype.itemsize == 2 and dtype.is_floating_point:
            return values.astype(np.float32).astype(dtype.numpy)
        return values.astype(dtype.numpy, copy=False)


def in_shape(values: Array, shape: Shape) -> Array:
    """A flat array in another shape: itself, if the memory is its own, so that it stays so.

    What owns its memory can be written over in place by the first step of an optimizer.
    """
    if values.base is not None:
        return values.reshape(shape)
    values.resize(shape, refcheck=False)
    return values


def size_of(shape: Shape) -> int:
    """The number of values in an array of this shape."""
    return shape if isinstance(shape, int) else math.prod(shape)
