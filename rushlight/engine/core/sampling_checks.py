"""What the samplers accept: PyTorch's checks and words, and the range a call of ``random_`` means.

The checks need no draws, so they can be made when an operation is recorded.
"""

from __future__ import annotations

import math
import warnings
from typing import Final, NamedTuple

import numpy as np

from rushlight.engine.core import dtype as types
from rushlight.engine.core.dtype import SCALAR_NAMES

FLOATING_TYPES: Final = frozenset({types.float16, types.bfloat16, types.float32, types.float64})

#: The types that PyTorch's macros call "all types": not bool, nor the wider unsigned ones.
BASIC_TYPES: Final = FLOATING_TYPES | {
    types.uint8,
    types.int8,
    types.int16,
    types.int32,
    types.int64,
}

#: How C++ spells the types in messages about bounds.
_CPP_NAMES: Final = {
    types.uint8: "unsigned char", types.int8: "signed char", types.int16: "short int",
    types.int32: "int", types.int64: "long int", types.uint16: "short unsigned int",
    types.uint32: "unsigned int", types.uint64: "long unsigned int", types.bool_: "bool",
    types.float16: "c10::Half", types.bfloat16: "c10::BFloat16", types.float32: "float",
    types.float64: "double",
}  # fmt: skip

#: Bits of the significand: integers up to two to that power are exact.
DIGITS: Final = {types.float16: 11, types.bfloat16: 8, types.float32: 24, types.float64: 53}

_LOWEST: Final = -(2**63)
_HIGHEST: Final = 2**63 - 1

#: From this many values on, the remainder of a 32-bit draw would be noticeably skewed.
_WIDE_SPAN: Final = 2**28

#: Types whose full 64-bit range ``random_`` can fill.
_FULL_RANGE_TYPES: Final = frozenset({types.int64, types.float64, types.float32, types.bfloat16})


class IntegerRange(NamedTuple):
    """The values a draw may take: ``base``, ``base + 1``, ... up to ``span`` of them.

    ``wide`` ranges take 64-bit draws.
    """

    base: int
    span: int
    wide: bool


def require(kernel: str, dtype: types.dtype, accepted: frozenset[types.dtype]) -> None:
    """Raise ``NotImplementedError`` in PyTorch's words unless ``dtype`` is one of ``accepted``."""
    if dtype not in accepted:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{SCALAR_NAMES[dtype]}'")


def largest(dtype: types.dtype) -> float:
    """The largest finite value of a floating-point type."""
    if dtype is types.bfloat16:
        return (2.0 - 2.0**-7) * 2.0**127
    return float(np.finfo(dtype.numpy).max)


def check_uniform(dtype: types.dtype, low: float, high: float) -> None:
    """Check the bounds of ``uniform_``.

    Raises:
        NotImplementedError: if the type is not floating-point.
        RuntimeError: if a bound is outside the type, or the bounds are in the wrong order.
    """
    require("check_uniform_bounds", dtype, FLOATING_TYPES)
    limit = largest(dtype)
    for name, value in (("from", low), ("to", high)):
        if not -limit <= value <= limit:
            raise RuntimeError(f"{name} is out of bounds for {_CPP_NAMES[dtype]}")
    if low > high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if high - low > limit:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{SCALAR_NAMES[dtype]}>::max(), "
            f"but found to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )


def check_normal(std: float) -> None:
    """Raise ``RuntimeError`` unless the standard deviation is zero or more."""
    if not std >= 0.0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")


def check_bernoulli(p: float) -> None:
    """Raise ``RuntimeError`` unless ``p`` is a probability."""
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")


def check_exponential(dtype: types.dtype, lambd: float) -> None:
    """Raise ``RuntimeError`` unless the rate is positive and the type floating-point."""
    if not lambd > 0.0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    if dtype not in FLOATING_TYPES:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {SCALAR_NAMES[dtype]}"
        )


def check_geometric(dtype: types.dtype, p: float) -> None:
    """Raise ``RuntimeError`` unless ``p`` lies strictly between 0 and 1."""
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    require("geometric_cpu", dtype, BASIC_TYPES)


def check_cauchy(dtype: types.dtype, sigma: float) -> None:
    """Raise ``RuntimeError`` unless the scale is positive and the type floating-point."""
    if not sigma > 0.0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    if dtype not in FLOATING_TYPES:
        name = _CPP_NAMES.get(dtype, SCALAR_NAMES[dtype])
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {name}"
        )


def check_log_normal(dtype: types.dtype, std: float) -> None:
    """Raise ``RuntimeError`` unless the standard deviation is positive."""
    if not std > 0.0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    require("log_normal_cpu", dtype, FLOATING_TYPES)


def check_randperm(n: int, dtype: types.dtype) -> None:
    """Check that all of ``0 .. n - 1`` can be told apart in the type.

    Raises:
        NotImplementedError: if PyTorch has no permutations of this type.
        RuntimeError: if ``n`` is negative or too large.
    """
    if n < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {n}: [{n}]")
    if dtype.category == types.INTEGRAL and n - 1 > np.iinfo(dtype.numpy).max:
        raise RuntimeError(f"value cannot be converted to type {dtype.name}_t without overflow")
    if dtype is types.float16 and n > 2049:
        raise RuntimeError("n cannot be greater than 2049 for Half type.")
    if dtype is types.float32 and n > 2**24 + 1:
        raise RuntimeError("n cannot be greater than 2^24+1 for Float type.")
    if dtype is types.float64 and n > 2**53 + 1:
        raise RuntimeError("n cannot be greater than 2^53+1 for Double type.")
    require("randperm", dtype, BASIC_TYPES)


def check_multinomial(
    shape: tuple[int, ...], dtype: types.dtype, samples: int, again: bool
) -> None:
    """Check the arguments of ``multinomial``; ``again`` means with replacement.

    Raises:
        RuntimeError: if the probabilities' shape or type does not fit, or too few or too many
            samples are asked for.
    """
    if not 0 < len(shape) <= 2:
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not dtype.is_floating_point:
        raise RuntimeError(
            "multinomial only supports floating-point dtypes for input, got: " + SCALAR_NAMES[dtype]
        )
    if samples <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    if not again and samples > shape[-1]:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if shape[-1] > 2**24:
        raise RuntimeError("number of categories cannot exceed 2^24")


def integer_range(dtype: types.dtype, low: int, high: int | None) -> IntegerRange:
    """The values ``random_(low, high)`` draws from, after PyTorch's checks.

    Args:
        dtype: the type of the result; in floating-point types the bounds move inward to values
            that survive the conversion.
        low: the smallest value.
        high: one more than the largest value; ``None`` means as far as the type goes.

    Raises:
        RuntimeError: if the range is empty or does not fit into the type.

    >>> integer_range(types.int64, 0, 10)
    IntegerRange(base=0, span=10, wide=False)
    """
    if high is None and low == _LOWEST:
        require("random_full_64_bits_range_kernel_cpu", dtype, BASIC_TYPES - {types.float16})
        if dtype not in _FULL_RANGE_TYPES:
            raise RuntimeError(
                "random_full_64_bits_range_kernel_cpu handles only int64, double, float and "
                "bfloat16"
            )
        return IntegerRange(low, 2**64, True)
    if high is not None:
        low, last = _bounded(dtype, low, high)
    else:
        low, last = _open(dtype, low)
    _check_bounds(dtype, low, last)
    span = last - low + 1
    return IntegerRange(low, span, span >= _WIDE_SPAN)


def _bounded(dtype: types.dtype, low: int, high: int) -> tuple[int, int]:
    if low >= high:
        raise RuntimeError(
            "random_ expects 'from' to be less than 'to', but got "
            f"from={low} >= to={high}\ntake a larger upper bound: it is not drawn itself"
        )
    if dtype in FLOATING_TYPES:
        low, high = _first_exact(dtype, low), _last_exact(dtype, high)
        if low >= high:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, "
                f"but got from={low} >= to={high}"
            )
    return low, high - 1


def _open(dtype: types.dtype, low: int) -> tuple[int, int]:
    if dtype in FLOATING_TYPES:
        last = 2 ** DIGITS[dtype]
        low = _first_exact(dtype, low)
        if low >= last:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' "
                f"casted to dtype, but got from={low} > to_inc={last}"
            )
        return low, last
    if dtype is types.bool_:
        return low, 1
    if dtype.category != types.INTEGRAL:
        raise RuntimeError(
            "random_from_to_impl handles only integral, floating-point and boolean types"
        )
    # The largest unsigned 64-bit number reads as -1 in PyTorch's signed arithmetic.
    return low, -1 if dtype is types.uint64 else int(np.iinfo(dtype.numpy).max)


def _check_bounds(dtype: types.dtype, low: int, last: int) -> None:
    name = _CPP_NAMES.get(dtype)
    if name is None:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    least: float
    most: float
    if dtype in FLOATING_TYPES:
        most = largest(dtype)
        least = -most
    elif dtype is types.bool_:
        least, most = 0, 1
    elif dtype is types.uint64:
        least, most = 0, _HIGHEST
    else:
        least, most = int(np.iinfo(dtype.numpy).min), int(np.iinfo(dtype.numpy).max)
    for label, value in (("from", low), ("to - 1", last)):
        if not least <= value <= most:
            raise RuntimeError(f"{label} is out of bounds for {name}")
    digits = DIGITS.get(dtype, 64)
    for label, value in (("from", low), ("to - 1", last)):
        if abs(value) > 2**digits:
            warnings.warn(
                f"{label} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                f"limitations {name} can support discrete uniform distribution only within this "
                "range. This warning will become an error in version 1.7 release, please fix the "
                "code in advance",
                UserWarning,
                stacklevel=3,
            )


def _rounded(dtype: types.dtype, value: int) -> int:
    """``value`` converted to the type and back, as C++ does it on x86."""
    single = dtype.itemsize < 8
    there = np.int64(value).astype(np.float32 if single else np.float64)
    with np.errstate(over="ignore"):
        back = float(there.astype(dtype.numpy).astype(np.float64))
    # Conversions that overflow leave the smallest integer.
    return int(back) if math.isfinite(back) and -(2.0**63) <= back < 2.0**63 else _LOWEST


def _spacing(dtype: types.dtype, value: int) -> int:
    """The distance between neighbours of the type near ``value``."""
    exponent = max(abs(value), 1).bit_length() - 1 - DIGITS[dtype] + 1
    return 2**exponent if exponent >= 0 else 0


def _first_exact(dtype: types.dtype, low: int) -> int:
    above = _rounded(dtype, low + 1)
    return above + _spacing(dtype, low + 1) if above < low else low


def _last_exact(dtype: types.dtype, high: int) -> int:
    below = _rounded(dtype, high - 1)
    return below - _spacing(dtype, high - 1) if below >= high else high
