"""Powers in float32: ``2**(y log2(x))`` in float64, then what C says about special cases."""

from __future__ import annotations

import math
from typing import Final

from rushlight.engine.backends.cpu.llvm.reals import Maths, Real

#: ``log2((1 + s) / (1 - s)) / s`` as a polynomial in ``s**2``.
_LOGARITHM: Final = (
    2.885390081777849, 0.9617966941149131, 0.5770779418970803, 0.41220930077220697,
    0.3199036664892311, 0.2829298097044403,
)  # fmt: skip

#: ``2**r`` for ``|r| <= 1/2``.
_POWER: Final = (
    0.9999999999588998, 0.6931471805346218, 0.24022651219818877, 0.055504109774406965,
    0.009618024773770127, 0.0013333421550618281, 0.00015469996987125823, 1.5316718702646682e-05,
)  # fmt: skip

_ROOT_BITS: Final = 0x3FE6A09E667F3BCD
_MAGIC: Final = 1.5 * 2.0**52
#: Exponents beyond this give zero or infinity in float32.
_LIMIT: Final = 200.0


def _logarithm(m: Maths, x: Real) -> Real:
    """``log2`` of a number that is not negative; a float32 is never subnormal in float64."""
    bits = x.bits()
    e = (bits - _ROOT_BITS) >> 52
    f = (bits - (e << 52)).as_real() - 1.0
    s = f / (f + 2.0)
    result = m.fused(s, m.polynomial(s * s, _LOGARITHM), e.to_real())
    result = x.equals(0.0).choose(-math.inf, result)
    return (x < math.inf).choose(result, x)


def _power_of_two(m: Maths, t: Real) -> Real:
    t = m.at_most(m.at_least(t, -_LIMIT), _LIMIT)
    raised = t + _MAGIC
    r = t - (raised - _MAGIC)
    n = raised.bits() - Real(m, m.text(_MAGIC)).bits()
    return m.polynomial(r, _POWER) * ((n + 1023) << 52).as_real()


def power32(narrow: Maths, x: Real, y: Real) -> Real:
    """``pow`` in float32."""
    m = Maths(narrow.writer, narrow.shared, 64)
    base, power = m.widened(x), m.widened(y)
    size = base.size()
    one = size.equals(1.0)
    product = power * _logarithm(m, size)
    product = (one & power.is_number() & base.is_number()).choose(0.0, product)
    result = _power_of_two(m, product)
    # The sign: that of the base where the exponent is an odd whole number.
    half = power * 0.5
    whole = m.intrinsic("trunc", power).equals(power)
    even = m.intrinsic("trunc", half).equals(half)
    result = (whole & ~even).choose(result.sign_of(base), result)
    negative = (base < 0.0) & (size < math.inf)
    result = (negative & ~whole).choose(math.nan, result)
    result = power.equals(0.0).choose(1.0, result)
    result = base.equals(1.0).choose(1.0, result)
    return Real(narrow, narrow.write(f"fptrunc double {result.register} to float"))
