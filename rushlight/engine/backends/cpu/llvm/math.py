"""Exponentials, logarithms and their kin without branches, so that loops over them vectorise.

Polynomials are minimax approximations (Remez' algorithm at 50 digits, made for these functions);
the reductions are the classic ones of W. J. Cody and W. Waite, "Software Manual for the Elementary
Functions", 1980, and J.-M. Muller, "Elementary Functions", 3rd edition, 2016. What is not here
calls the C library.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from rushlight.engine.backends.cpu.llvm.library import Shared
from rushlight.engine.backends.cpu.llvm.powers import power32
from rushlight.engine.backends.cpu.llvm.reals import Maths, Real, Whole, define
from rushlight.engine.backends.cpu.llvm.waves import cosine32, sine32

_INFINITY: Final = math.inf


@dataclass(frozen=True)
class Format:
    """What depends on the type: sizes of fields, constants split in two, polynomials.

    Attributes:
        mantissa: bits of the fraction.
        bias: of the exponent.
        magic: adding it leaves a whole number in the low bits.
        lowest, highest: beyond, ``exp`` is zero or infinite.
        ln2: the natural logarithm of 2: a part with few bits, and the rest.
        exponential: ``(exp(r) - 1 - r) / r**2`` for ``|r| <= log(2) / 2``.
        tiny: the smallest normal number.
        ln2_lacks: what the nearest number of this type lacks to the natural logarithm of 2.
    """

    mantissa: int
    bias: int
    magic: float
    lowest: float
    highest: float
    ln2: tuple[float, float]
    exponential: tuple[float, ...]
    tiny: float
    ln2_lacks: float

    @property
    def root(self) -> int:
        """The bits of the square root of one half."""
        return 0x3F3504F3 if self.mantissa == 23 else 0x3FE6A09E667F3BCD


FORMATS: Final = {
    32: Format(
        23, 127, 1.5 * 2.0**23, -104.0, 89.0, (0.693145751953125, 1.4286068203094172e-06),
        (0.5, 0.166665182, 0.041666206, 0.00836895313, 0.00139505963),
        2.0**-126, -1.904654299957768e-09,
    ),
    64: Format(
        52, 1023, 1.5 * 2.0**52, -746.0, 710.0, (0.6931471803691238, 1.9082149292705877e-10),
        (0.5, 0.1666666666666667, 0.041666666666666685, 0.008333333333326082,
         0.001388888888887429, 0.00019841269875003773, 2.4801587347591545e-05,
         2.7557255168352456e-06, 2.7557252672159105e-07, 2.5105313336916906e-08,
         2.0921669819335872e-09),
        2.0**-1022, 2.3190468138462996e-17,
    ),
}  # fmt: skip

#: ``(log(1 + f) - f) / f**2`` for ``1 + f`` between the roots of 1/2 and 2.
_LOGARITHM_32: Final = (
    -0.5, 0.333333224, -0.249999717, 0.200014398, -0.166696295, 0.142341375, -0.123848699,
    0.117625073, -0.117535412, 0.0711951181,
)  # fmt: skip

#: ``(log((1 + s) / (1 - s)) / s - 2) / s**2`` as a polynomial in ``s**2``, on that interval.
_LOGARITHM_64: Final = (
    0.6666666666666666, 0.4000000000000089, 0.28571428570794766, 0.22222222393603783,
    0.1818179544827098, 0.15386249681084868, 0.13268516288443394, 0.13089219145858638,
)  # fmt: skip

#: ``erf(x) / x - 1`` as a polynomial in ``x**2``, for ``|x| <= 0.93``.
_ERROR_SMALL: Final = (
    0.128379166, -0.376126349, 0.112836942, -0.0268592704, 0.00520063471, -0.000813743973,
    8.34523162e-05,
)  # fmt: skip

#: ``log(1 - erf(x)) / x`` for x from 0.91 to 3.95; beyond, erf is 1 in float32.
_ERROR_LARGE: Final = (
    -1.12864661, -0.635158658, -0.106225573, 0.0237530265, -0.00363850477, 0.000321905536,
    -1.11485078e-05,
)  # fmt: skip


# exponentials ----------------------------------------------------------------------------------


def _nearest(m: Maths, x: Real) -> tuple[Real, Whole]:
    """The whole number nearest to a small ``x``, as both kinds; any integer for NaN."""
    magic = FORMATS[m.size].magic
    raised = x + magic
    bits = Real(m, m.text(magic)).bits()
    return raised - magic, raised.bits() - bits


def _reduced(m: Maths, x: Real) -> tuple[Real, Whole]:
    """``r`` and ``n`` with ``x = n log(2) + r``."""
    high, low = FORMATS[m.size].ln2
    whole, n = _nearest(m, x * (1 / math.log(2)))
    r = m.fused(whole, -high, x)
    return m.fused(whole, -low, r), n


def _power_of_two(m: Maths, n: Whole) -> Real:
    """``2**n`` for exponents of normal numbers."""
    f = FORMATS[m.size]
    return ((n + f.bias) << f.mantissa).as_real()


def _scaled(m: Maths, x: Real, n: Whole) -> Real:
    """``x 2**n`` in two steps: the result may be subnormal, or the power too large."""
    half = n >> 1
    return x * _power_of_two(m, half) * _power_of_two(m, n - half)


def _exp_less_one(m: Maths, r: Real) -> Real:
    """``exp(r) - 1`` for a reduced ``r``."""
    return m.fused(r * r, m.polynomial(r, FORMATS[m.size].exponential), r)


def exponential(m: Maths, x: Real) -> Real:
    """``exp``."""
    f = FORMATS[m.size]
    r, n = _reduced(m, m.at_most(m.at_least(x, f.lowest), f.highest))
    return _scaled(m, _exp_less_one(m, r) + 1.0, n)


def exponential_2(m: Maths, x: Real) -> Real:
    """``exp2``."""
    f = FORMATS[m.size]
    low = -float(f.bias + f.mantissa + 1)
    inside = m.at_most(m.at_least(x, low), float(f.bias + 1))
    whole, n = _nearest(m, inside)
    r = inside - whole
    # The rounding error of r log(2) counts as much as that of the result.
    product = r * math.log(2)
    rest = m.fused(r, math.log(2), -product)
    rest = m.fused(r, f.ln2_lacks, rest)
    return _scaled(m, _exp_less_one(m, product) + rest + 1.0, n)


def exponential_less_one(m: Maths, x: Real) -> Real:
    """``expm1``: exact near zero, where the power of two is 1."""
    f = FORMATS[m.size]
    least = -(f.mantissa + 3) * math.log(2)
    r, n = _reduced(m, m.at_most(m.at_least(x, least), f.highest))
    near = _exp_less_one(m, r)
    # With half the power, the largest results do not overflow on the way.
    half = _power_of_two(m, n - 1)
    far = m.fused(near, half, half - 0.5) * 2.0
    result = n.equals(0).choose(near, far)
    return x.equals(0.0).choose(x, result)


def sigmoid(m: Maths, x: Real) -> Real:
    """``1 / (1 + exp(-x))``, with an exponential that never overflows."""
    e = exponential(m, -x.size())
    return (x < 0.0).choose(e, 1.0) / (e + 1.0)


def hyperbolic_tangent(m: Maths, x: Real) -> Real:
    """``tanh(x) = t / (t + 2)`` with ``t = expm1(2 x)``."""
    limit = 10.0 if m.size == 32 else 20.0  # beyond, the result is 1
    t = exponential_less_one(m, m.at_most(x.size(), limit) * 2.0)
    return (t / (t + 2.0)).sign_of(x)


def error_function_32(m: Maths, x: Real) -> Real:
    """``erf`` in float32: by a polynomial near zero, else as ``1 - exp(p(x))``."""
    t = x.size()
    near = m.fused(x, m.polynomial(x * x, _ERROR_SMALL), x)
    limited = m.at_most(t, 4.0)
    far = 1.0 - exponential(m, limited * m.polynomial(limited, _ERROR_LARGE))
    return (t < 0.92).choose(near, far.sign_of(x))


# logarithms ------------------------------------------------------------------------------------


def split(m: Maths, x: Real) -> tuple[Real, Real]:
    """``f`` and ``e`` with ``x = (1 + f) 2**e`` and ``1 + f`` between the roots of 1/2 and 2."""
    f = FORMATS[m.size]
    small = x < f.tiny
    lift = f.mantissa + 2
    normal = small.choose(x * 2.0**lift, x)
    bits = normal.bits()
    e = (bits - f.root) >> f.mantissa
    fraction = (bits - (e << f.mantissa)).as_real() - 1.0
    return fraction, (e - small.choose_whole(lift, 0)).to_real()


def ends(m: Maths, x: Real, result: Real) -> Real:
    """A logarithm's result, with what it is for 0, infinity, negative numbers and NaN."""
    result = x.equals(_INFINITY).choose(x, result)
    result = x.equals(0.0).choose(-_INFINITY, result)
    return (x < 0.0).choose(math.nan, (x.is_number()).choose(result, x))


def logarithm(m: Maths, x: Real) -> Real:
    """``log``."""
    fraction, e = split(m, x)
    return ends(m, x, _sum_of_logarithms(m, fraction, e, None))


def _sum_of_logarithms(m: Maths, f: Real, e: Real, extra: Real | None) -> Real:
    """``log(1 + f) + e log(2) + extra``, small parts first."""
    high, low = FORMATS[m.size].ln2
    small = e * low if extra is None else m.fused(e, low, extra)
    if m.size == 32:
        curve = m.fused(f * f, m.polynomial(f, _LOGARITHM_32), small)
        return m.fused(e, high, f + curve)
    s = f / (f + 2.0)
    z = s * s
    half = f * f * 0.5
    rest = m.fused(z, m.polynomial(z, _LOGARITHM_64), half)
    inner = half - m.fused(s, rest, small)
    return e * high - (inner - f)


def logarithm_of_next(m: Maths, x: Real) -> Real:
    """``log1p``: the logarithm of ``u = 1 + x``, and what the sum lost."""
    u = x + 1.0
    large = x > 1.0
    lost = large.choose(1.0 - (u - x), x - (u - 1.0)) / u
    fraction, e = split(m, u)
    result = ends(m, u, _sum_of_logarithms(m, fraction, e, lost))
    return x.size().__lt__(FORMATS[m.size].tiny).choose(x, result)


def _logarithm_32(base: float, factor: float, rest: float) -> Callable[[Maths, Real], Real]:
    """A logarithm to another base in float32.

    Args:
        base: 2 or 10.
        factor: the logarithm of e to that base.
        rest: what the float32 nearest to it lacks.
    """

    def body(m: Maths, x: Real) -> Real:
        f, e = split(m, x)
        product = f * factor
        lost = m.exactly_fused(f, factor, -product)
        lost = m.fused(f, rest, lost)
        curve = m.polynomial(f, [c * factor for c in _LOGARITHM_32])
        small = m.fused(f * f, curve, lost)
        if base == 2.0:
            return ends(m, x, e + (product + small))
        high = 0.301025390625  # few bits of the logarithm of 2, so that its products are exact
        low = math.log10(2) - high
        return ends(m, x, m.fused(e, high, product + m.fused(e, low, small)))

    return body


def _entry(name: str, size: int, count: int, body: Callable[..., Real]) -> None:
    full = f"rushlight.{name}.f{size}"
    WRITERS[full] = lambda shared: define(full, size, count, body, shared)


#: What writes each function, by its name in the module.
WRITERS: Final[dict[str, Callable[[Shared], str]]] = {}

for _size in (32, 64):
    _entry("exp", _size, 1, exponential)
    _entry("exp2", _size, 1, exponential_2)
    _entry("expm1", _size, 1, exponential_less_one)
    _entry("sigmoid", _size, 1, sigmoid)
    _entry("tanh", _size, 1, hyperbolic_tangent)
    _entry("log", _size, 1, logarithm)
    _entry("log1p", _size, 1, logarithm_of_next)
_entry("erf", 32, 1, error_function_32)
_entry("log2", 32, 1, _logarithm_32(2.0, 1 / math.log(2), 1.9259629911266175e-08))
_entry("log10", 32, 1, _logarithm_32(10.0, 1 / math.log(10), -1.0103050052231683e-08))
_entry("sin", 32, 1, sine32)
_entry("cos", 32, 1, cosine32)
_entry("pow", 32, 2, power32)
