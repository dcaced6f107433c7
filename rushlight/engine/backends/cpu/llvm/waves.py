"""Sine and cosine in float32, by way of float64, right for every argument.

A small argument is reduced with a quarter turn held in two parts. Of a large one, ``m 2**e``, only
``2**e`` modulo four quarter turns counts: it stands in a table.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Final

from rushlight.engine.backends.cpu.llvm.library import Shared
from rushlight.engine.backends.cpu.llvm.reals import Maths, Real
from rushlight.engine.backends.cpu.llvm.writer import double_literal

#: A quarter turn: the nearest float64, and what it lacks.
_QUARTER: Final = (math.pi / 2, 6.123233995736766e-17)

#: Arguments from here on are reduced with the table.
_LARGE: Final = 2.0**27

#: The exponents (of the last bit of a float32) that the table holds.
_FIRST, _ENTRIES = 4, 101

#: Bits after the point to which 2 / pi is computed for it.
_BITS: Final = 260

#: ``(sin(r) / r - 1) / r**2`` and ``(cos(r) - 1 + r**2 / 2) / r**4`` in ``r**2``, ``|r| <= pi/4``.
_SINE: Final = (-0.166666552, 0.00833217334, -0.000195166562)
_COSINE: Final = (0.0416666456, -0.00138873619, 2.44377316e-05)

#: Added to a float64 it leaves a whole number in the low bits.
_MAGIC: Final = 1.5 * 2.0**52


@cache
def _two_over_pi() -> int:
    """``2 / pi``, times ``2**_BITS``, by Machin's formula for pi."""
    scale = 1 << (_BITS + 20)

    def inverse_tangent(x: int) -> int:
        total, term, k = 0, scale // x, 1
        while term:
            total += term // k if k % 4 == 1 else -(term // k)
            term //= x * x
            k += 2
        return total

    half_pi = 2 * (4 * inverse_tangent(5) - inverse_tangent(239))
    return (scale << _BITS) // half_pi


@cache
def _table() -> list[tuple[float, float]]:
    """``2**e * 2 / pi`` modulo 4 for each exponent: 29 bits, then the rest."""
    out = []
    for e in range(_FIRST, _FIRST + _ENTRIES):
        value = (_two_over_pi() << e) % (4 << _BITS)
        high = value >> (_BITS - 27)
        low = value - (high << (_BITS - 27))
        out.append((high / (1 << 27), low / (1 << _BITS)))
    return out


def _tables(shared: Shared) -> tuple[str, str]:
    names = ("rushlight.turns.high", "rushlight.turns.low")
    for name, column in zip(names, zip(*_table(), strict=True), strict=True):
        numbers = ", ".join(f"double {double_literal(x)}" for x in column)
        shared.constant(name, f"[{_ENTRIES} x double] [{numbers}]")
    return names


def _reduced(m: Maths, x: Real) -> tuple[Real, str]:
    """The distance to the nearest quarter turn, in float32, and the number of quarter turns."""
    wide = Maths(m.writer, m.shared, 64)
    write = m.write
    near = wide.widened(x)
    turns = near * (2 / math.pi)
    raised = turns + _MAGIC
    whole = raised - _MAGIC
    r = wide.exactly_fused(whole, -_QUARTER[0], near)
    r = wide.exactly_fused(whole, -_QUARTER[1], r)
    # The same for large ones: 24 bits of x, times what its exponent is worth.
    bits = x.bits().register
    exponent = write(f"and i32 {write(f'lshr i32 {bits}, 23')}, 255")
    place = write(f"sub i32 {exponent}, {150 + _FIRST}")
    least = m.shared.declare("llvm.smax.i32", "i32", "i32", "i32")
    most = m.shared.declare("llvm.smin.i32", "i32", "i32", "i32")
    place = write(f"call i32 {least}(i32 {place}, i32 0)")
    place = write(f"call i32 {most}(i32 {place}, i32 {_ENTRIES - 1})")
    place = write(f"zext i32 {place} to i64")
    parts = []
    for name in _tables(m.shared):
        spot = write(f"getelementptr inbounds double, ptr @{name}, i64 {place}")
        parts.append(Real(wide, write(f"load double, ptr {spot}, align 8")))
    mantissa = write(f"or i32 {write(f'and i32 {bits}, 8388607')}, 8388608")
    digits = Real(wide, write(f"sitofp i32 {mantissa} to double")).sign_of(near)
    high = digits * parts[0]
    raised_large = wide.fused(digits, parts[1], high) + _MAGIC
    rest = wide.fused(digits, parts[1], high - (raised_large - _MAGIC))
    # Infinity has no distance to anything; NaN stays.
    rest = near.size().equals(math.inf).choose(math.nan, rest * _QUARTER[0])
    large = near.size() > _LARGE
    distance = large.choose(rest, r).register
    count = large.choose(raised_large, raised).bits().register
    return (
        Real(m, write(f"fptrunc double {distance} to float")),
        write(f"trunc i64 {count} to i32"),
    )


def _wave(m: Maths, x: Real, shift: int) -> Real:
    """The sine of ``x`` and ``shift`` quarter turns more."""
    r, count = _reduced(m, x)
    write = m.write
    if shift:
        count = write(f"add i32 {count}, {shift}")
    z = r * r
    sine = m.fused(r * z, m.polynomial(z, _SINE), r)
    cosine = m.fused(z * z, m.polynomial(z, _COSINE), m.fused(z, -0.5, 1.0))
    odd = write(f"trunc i32 {count} to i1")
    chosen = write(f"select i1 {odd}, float {cosine.register}, float {sine.register}")
    sign = write(f"shl i32 {write(f'and i32 {count}, 2')}, 30")
    raw = write(f"bitcast float {chosen} to i32")
    return Real(m, write(f"bitcast i32 {write(f'xor i32 {raw}, {sign}')} to float"))


def sine32(m: Maths, x: Real) -> Real:
    """``sin`` in float32."""
    return x.equals(0.0).choose(x, _wave(m, x, 0))


def cosine32(m: Maths, x: Real) -> Real:
    """``cos`` in float32."""
    return _wave(m, x, 1)
