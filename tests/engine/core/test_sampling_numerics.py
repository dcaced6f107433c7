"""The once-rounded arithmetic, against exact fractions."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
from hypothesis import given, settings, strategies as st

from rushlight.engine.core import dtype as types
from rushlight.engine.core.sampling_numerics import (
    exp_c,
    fused_float32,
    fused_float64,
    log_c,
    narrow,
    size_of,
)

ORDINARY = st.floats(-1e6, 1e6).filter(lambda x: x == 0 or abs(x) > 1e-6)
SINGLE = st.floats(-1e6, 1e6, width=32).filter(lambda x: x == 0 or abs(x) > 1e-6)


def nearest_float32(exact: Fraction) -> float:
    """The float32 number nearest to a fraction, the even one of two."""
    guess = np.float32(float(exact))
    near = [np.nextafter(guess, np.float32(end)) for end in (-np.inf, np.inf)] + [guess]
    best = min(near, key=lambda x: (abs(Fraction(float(x)) - exact), int(x.view(np.uint32)) & 1))
    return float(best)


@given(ORDINARY, ORDINARY, ORDINARY)
@settings(max_examples=300, deadline=None)
def test_float64_is_rounded_once(a: float, b: float, c: float) -> None:
    found = fused_float64(np.array([a, -a]), b, c).tolist()
    assert found == [float(Fraction(x) * Fraction(b) + Fraction(c)) for x in (a, -a)]


@given(ORDINARY, ORDINARY)
@settings(max_examples=200, deadline=None)
def test_float64_where_the_terms_cancel(a: float, b: float) -> None:
    expected = float(Fraction(a) * Fraction(b) - Fraction(a * b))
    assert fused_float64(np.array([a]), b, -(a * b)).tolist() == [expected]


@given(SINGLE, SINGLE, SINGLE)
@settings(max_examples=300, deadline=None)
def test_float32_is_rounded_once(a: float, b: float, c: float) -> None:
    found = fused_float32(np.array([a]), b, c).tolist()
    assert found == [nearest_float32(Fraction(a) * Fraction(b) + Fraction(c))]


@given(st.integers(2**23, 2**24 - 1), st.integers(-(2**12), 2**12), st.sampled_from([-1, 1]))
@settings(max_examples=300, deadline=None)
def test_float32_half_way_between_two_numbers(unit: int, off: int, sign: int) -> None:
    # c is a whole number of units in its last place, a * b nearly half of one.
    c = float(unit)
    a, b = 1 + off * 2.0**-20, sign * 0.5 * (1 - off * 2.0**-20)
    found = fused_float32(np.array([a]), b, c).tolist()
    assert found == [nearest_float32(Fraction(a) * Fraction(b) + Fraction(c))]


def test_a_zero_shift_gives_no_negative_zero() -> None:
    for fused in (fused_float32, fused_float64):
        found = fused(np.array([-0.0, 1.0]), 1.0, 0.0)
        assert not np.signbit(found).any()


def test_the_c_library_at_its_ends() -> None:
    assert log_c(np.array([0.0, 1.0])).tolist() == [-math.inf, 0.0]
    assert exp_c(np.array([709.0, 710.0, -800.0, math.nan])).tolist()[:3] == [
        math.exp(709.0), math.inf, 0.0,
    ]  # fmt: skip


def test_narrow_goes_by_way_of_float32() -> None:
    # Just above the middle of two float16 numbers: rounding to float32 first loses the excess.
    value = np.array([1 + 2.0**-11 + 2.0**-40, 1e9])
    assert narrow(value, types.float16).tolist() == [1.0, math.inf]
    assert narrow(value, types.float64) is value


def test_size_of() -> None:
    assert [size_of(5), size_of(()), size_of((2, 0)), size_of((2, 3))] == [5, 1, 0, 6]
