"""Normal random numbers, bit for bit as PyTorch's CPU kernels make them.

Contiguous results of 16 or more values come from blocks of 16 uniform numbers by the transform of
Box and Muller (1958, https://doi.org/10.1214/aoms/1177706645); smaller ones pair by pair in double
precision, the second value of a pair waiting in the engine for the next call.

In float32 the logarithm, sine and cosine are those of the Cephes library (S. L. Moshier,
https://www.netlib.org/cephes), evaluated in single precision with fused multiply-add exactly
where PyTorch's AVX2 kernel has it. Each fused step is done in double precision and rounded once;
for every one of the 2**24 arguments that can occur the outcome equals the hardware's.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from rushlight.engine.core import dtype as types
from rushlight.engine.core.mt19937 import Draws32, Engine, Source
from rushlight.engine.core.sampling_checks import FLOATING_TYPES, check_normal, require
from rushlight.engine.core.sampling_numerics import (
    Array,
    Doubles,
    Floats,
    Shape,
    draw_doubles,
    fused_float32,
    fused_float64,
    in_shape,
    log_c,
    narrow,
    size_of,
    through_c,
)

#: Values that one step of the transform turns out; smaller results are made pair by pair.
BLOCK: Final = 16
_HALF: Final = BLOCK // 2

#: Blocks done at a time, so that the intermediate values stay in the processor's cache.
_BLOCKS_AT_ONCE: Final = 1024

_single = np.float32

#: Cephes' logf: coefficients of the polynomial, and ln 2 in two parts.
_LOG: Final = tuple(
    map(
        _single,
        (
            7.0376836292e-2, -1.1514610310e-1, 1.1676998740e-1, -1.2420140846e-1,
            1.4249322787e-1, -1.6668057665e-1, 2.0000714765e-1, -2.4999993993e-1,
            3.3333331174e-1,
        ),
    )
)  # fmt: skip
_LN2_LOW: Final = _single(-2.12194440e-4)
_LN2_HIGH: Final = float(_single(0.693359375))
_SQRT_HALF: Final = _single(0.707106781186547524)

#: Cephes' sinf and cosf: minus pi / 4 in three parts, and the coefficients of the polynomials.
_MINUS_QUARTER_PI: Final = tuple(
    float(_single(part))
    for part in (-0.78515625, -2.4187564849853515625e-4, -3.77489497744594108e-8)
)
_FOUR_OVER_PI: Final = _single(1.27323954473516)
_SIN: Final = tuple(map(_single, (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)))
_COS: Final = tuple(
    map(_single, (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2))
)
_TWO_PI: Final = _single(2 * math.pi)


def normal_draws(size: int, real: types.dtype) -> int:
    """How many 32-bit draws a contiguous normal result of ``size`` >= 16 real values takes."""
    rest = size % BLOCK
    # The narrow types leave out the draws of a block that is not whole; the others make them.
    whole = size - rest if real.itemsize == 2 else size
    draws = whole + (BLOCK if rest else 0)
    return 2 * draws if real is types.float64 else draws


def normal(
    source: Source,
    shape: Shape,
    dtype: types.dtype = types.float32,
    mean: float = 0.0,
    std: float = 1.0,
    *,
    contiguous: bool = True,
) -> Array:
    """Normal random numbers as ``normal_`` writes them, in the order of memory.

    Args:
        source: an engine; a reservation of ``normal_draws`` will do for 16 values or more.
        shape: shape of the result.
        dtype: its type; complex types get independent parts of half the variance each.
        mean: the mean.
        std: the standard deviation.
        contiguous: whether the tensor that is filled is contiguous. Others are filled value by
            value even where they are large.

    Returns:
        An array of the given shape and type.

    Raises:
        RuntimeError: if ``std`` is negative.
        NotImplementedError: if the type is not floating-point.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> normal(Engine(0), 3)
    array([ 1.5409961, -0.2934289, -2.1787894], dtype=float32)
    """
    check_normal(std)
    size, real = size_of(shape), dtype
    if dtype.is_complex:
        size, real, std = 2 * size, dtype.to_real(), std / math.sqrt(2.0)
    if size == 0:
        return np.empty(shape, dtype.numpy)
    require("normal_kernel_cpu", real, FLOATING_TYPES)
    if size < BLOCK or not contiguous:
        values: Array = narrow(normal_doubles(source, size, mean, std), real)
    elif real is types.float64:
        values = _blocks_of_doubles(source, size, mean, std)
    else:
        singles = _blocks_of_floats(source, size, mean, std, real)
        values = singles if real is types.float32 else singles.astype(real.numpy)
    return in_shape(values if real is dtype else values.view(dtype.numpy), shape)


def normal_doubles(source: Source, size: int, mean: float, std: float) -> Doubles:
    """``size`` normal doubles made pair by pair, as for small or strided tensors.

    Raises:
        TypeError: if ``source`` is a reservation: how many draws it takes depends on the engine.
    """
    if not isinstance(source, Engine):
        raise TypeError(
            "normal: fewer than 16 values, or values in a strided tensor, are drawn from the "
            "engine itself; make them when the operation is recorded"
        )
    with source.lock:
        cached = source.double_normal
        values = np.empty(size + 2)
        start = 0
        if cached is not None:
            values[0], start = cached, 1
        pairs = (size - start + 1) // 2
        uniform = draw_doubles(source, 2 * pairs)
        radius = np.sqrt(-2.0 * through_c(math.log1p, -uniform[1::2]))
        angle = (2.0 * math.pi) * uniform[0::2]
        end = start + 2 * pairs
        values[start:end:2] = radius * through_c(math.cos, angle)
        values[start + 1 : end : 2] = radius * through_c(math.sin, angle)
        source.double_normal = float(values[size]) if end > size else None
    return fused_float64(values[:size], std, mean)


def _blocks_of_doubles(source: Source, size: int, mean: float, std: float) -> Doubles:
    rest = size % BLOCK
    uniform = draw_doubles(source, normal_draws(size, types.float64) // 2)
    values = np.empty(size)
    whole = size - rest
    values[:whole] = _box_muller_doubles(uniform[:whole], mean, std)
    if rest:
        values[size - BLOCK :] = _box_muller_doubles(uniform[size:], mean, std)
    return values


def _box_muller_doubles(uniform: Doubles, mean: float, std: float) -> Doubles:
    blocks = uniform.reshape(-1, 2, _HALF)
    radius = np.sqrt(-2.0 * log_c(1.0 - blocks[:, 0].ravel()))
    angle = (2.0 * math.pi) * blocks[:, 1].ravel()
    values = np.empty(blocks.shape)
    cosine, sine = through_c(math.cos, angle), through_c(math.sin, angle)
    values[:, 0] = fused_float64(radius * cosine, std, mean).reshape(-1, _HALF)
    values[:, 1] = fused_float64(radius * sine, std, mean).reshape(-1, _HALF)
    return values.ravel()


def _blocks_of_floats(
    source: Source, size: int, mean: float, std: float, real: types.dtype
) -> Floats:
    draws = source.draw32(normal_draws(size, real))
    values = np.empty(size, np.float32)
    rest = size % BLOCK
    whole = size - rest
    step = BLOCK * _BLOCKS_AT_ONCE
    mean, std = float(_single(mean)), float(_single(std))
    for begin in range(0, whole, step):
        end = min(begin + step, whole)
        _box_muller(draws[begin:end], values[begin:end], mean, std)
    if rest:
        _box_muller(draws[-BLOCK:], values[-BLOCK:], mean, std)
    return values


def _box_muller(draws: Draws32, out: Floats, mean: float, std: float) -> None:
    """Fill ``out`` block by block: 8 draws for radii, 8 for angles, 8 cosines, 8 sines."""
    fractions = (draws & np.uint32(0xFFFFFF)).view(np.int32).astype(np.float32)
    fractions *= _single(2.0**-24)
    blocks = fractions.reshape(-1, 2, _HALF)
    radius = np.sqrt(_single(-2.0) * _log(_single(1.0) - blocks[:, 0].ravel()))
    sine, cosine = _sincos(_TWO_PI * blocks[:, 1].ravel())
    results = out.reshape(-1, 2, _HALF)
    for place, values in enumerate((cosine, sine)):
        values *= radius
        shifted = fused_float32(values.astype(np.float64), std, mean)
        results[:, place] = shifted.reshape(-1, _HALF)


def _fused(a: Floats, b: Doubles | float, c: Floats | np.float32) -> Floats:
    """``a * b + c`` rounded once, for arguments where no rounding falls half-way."""
    return (a.astype(np.float64) * b + c).astype(np.float32)


def _log(x: Floats) -> Floats:
    """Natural logarithm of values in (0, 1]."""
    bits = x.view(np.int32)
    exponent = ((bits >> 23) - 126).astype(np.float32)
    fraction = ((bits & 0x7FFFFF) | 0x3F000000).view(np.float32)
    small = fraction < _SQRT_HALF
    exponent -= small
    x = (fraction - _single(1.0)) + fraction * small
    square = x * x
    wide = x.astype(np.float64)
    y = np.broadcast_to(_LOG[0], x.shape)
    for coefficient in _LOG[1:]:
        y = _fused(y, wide, coefficient)
    y = _fused(y * x, square.astype(np.float64), exponent * _LN2_LOW)
    y = _fused(square, -0.5, y)
    return _fused(exponent, _LN2_HIGH, x + y)


def _sincos(x: Floats) -> tuple[Floats, Floats]:
    """Sine and cosine of values in [0, 2 pi)."""
    octant = (x * _FOUR_OVER_PI).astype(np.int32)
    octant += 1
    octant &= ~1
    turns = octant.astype(np.float64)
    for part in _MINUS_QUARTER_PI:
        x = (turns * part + x).astype(np.float32)
    square = x * x
    wide = square.astype(np.float64)
    cosine = _fused(_fused(np.broadcast_to(_COS[0], x.shape), wide, _COS[1]), wide, _COS[2])
    cosine = _fused(cosine * square, wide, square * _single(-0.5))
    cosine += _single(1.0)
    sine = _fused(_fused(np.broadcast_to(_SIN[0], x.shape), wide, _SIN[1]), wide, _SIN[2])
    sine = _fused(sine * square, x.astype(np.float64), x)
    swap = (octant & 2) != 0
    first = np.where(swap, cosine, sine)
    second = np.where(swap, sine, cosine)
    # The sign bit: sine is negative in octants 4 to 7, cosine in 2 to 5.
    first.view(np.int32)[...] ^= (octant & 4) << 29
    second.view(np.int32)[...] ^= (~(octant - 2) & 4) << 29
    return first, second
