"""Samplers that draw until a trial is accepted, value by value, as PyTorch's CPU kernels do.

How many draws they take depends on the draws, so they read from the engine itself: their numbers
are made when the operation is recorded.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Final

import numpy as np

from rushlight.engine.core import dtype as types
from rushlight.engine.core.dtype import SCALAR_NAMES, from_numpy_dtype
from rushlight.engine.core.mt19937 import Engine
from rushlight.engine.core.sampling_checks import FLOATING_TYPES, require
from rushlight.engine.core.sampling_normal import normal_doubles
from rushlight.engine.core.sampling_numerics import Array, narrow

#: Rounds a double to the precision of the type a formula is evaluated in.
Rounding = Callable[[float], float]

_SINGLE_AND_DOUBLE: Final = frozenset({types.float32, types.float64})

#: From this mean on, Poisson and binomial numbers come from transformed rejection.
_TRANSFORMED: Final = 10

#: Stirling's series falls short of log(k!) by these amounts, k = 0 .. 9.
_STIRLING_TAIL: Final = (
    0.0810614667953272, 0.0413406959554092, 0.0276779256849983, 0.02079067210376509,
    0.0166446911898211, 0.0138761288230707, 0.0118967099458917, 0.0104112652619720,
    0.00925546218271273, 0.00833056343336287,
)  # fmt: skip

_ONE_THIRD: Final = float(np.float32(1.0) / np.float32(3.0))
_SQUEEZE: Final = float(np.float32(0.0331))


def _single(value: float) -> float:
    return float(np.float32(value))


def _rounding(found: types.dtype) -> Rounding:
    return float if found is types.float64 else _single


def _log(value: float) -> float:
    """The natural logarithm, minus infinity for zero."""
    return math.log(value) if value > 0.0 else -math.inf


def poisson(engine: Engine, rates: Array) -> Array:
    """A Poisson random number for every rate.

    Means of 10 and more take the transformed rejection of Hörmann (1993,
    https://doi.org/10.1016/0167-6687(93)90997-4), smaller ones Knuth's product of uniform numbers.

    Args:
        engine: the engine.
        rates: floating-point, zero or more.

    Returns:
        An array of the shape and type of ``rates``.

    Raises:
        RuntimeError: if a rate is negative or no number.
        NotImplementedError: if the rates are not floating-point.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> poisson(Engine(0), np.array([0.5, 5.0, 50.0]))
    array([ 2.,  6., 49.])
    """
    found = from_numpy_dtype(rates.dtype)
    if rates.size == 0:
        return np.empty(rates.shape, rates.dtype)
    require("poisson_cpu", found, FLOATING_TYPES)
    exact = rates.astype(np.float64).ravel()
    if not (exact >= 0).all():
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    with engine.lock:
        values = [_poisson(engine.draw_double, rate) for rate in exact.tolist()]
    return narrow(np.array(values, np.float64), found).reshape(rates.shape)


def _poisson(uniform: Callable[[], float], rate: float) -> float:
    if rate == 0.0:
        return 0.0
    if rate < _TRANSFORMED:
        limit, count, product = math.exp(-rate), 0, uniform()
        while product > limit:
            count += 1
            product *= uniform()
        return float(count)
    root, log_rate = math.sqrt(rate), math.log(rate)
    b = 0.931 + 2.53 * root
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    limit = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = uniform() - 0.5
        v = uniform()
        near = 0.5 - abs(u)
        if near == 0.0:
            continue
        k = float(math.floor((2 * a / near + b) * u + rate + 0.43))
        if near >= 0.07 and v <= limit:
            return k
        if k < 0 or (near < 0.013 and v > near):
            continue
        left = _log(v) + math.log(inverse_alpha) - math.log(a / (near * near) + b)
        if left <= -rate + k * log_rate - math.lgamma(k + 1):
            return k


def standard_gamma(engine: Engine, shapes: Array) -> Array:
    """A gamma random number of scale 1 for every shape parameter.

    Method of Marsaglia and Tsang (2000, https://doi.org/10.1145/358407.358414).

    Args:
        engine: the engine; normal values come and go through its cache.
        shapes: shape parameters, float32 or float64.

    Returns:
        An array of the shape and type of ``shapes``, no value below the type's smallest normal.

    Raises:
        NotImplementedError: if the type is neither float32 nor float64.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> standard_gamma(Engine(0), np.array([0.5, 2.0]))
    array([0.00078936, 0.6315406 ])
    """
    found = from_numpy_dtype(shapes.dtype)
    if shapes.size == 0:
        return np.empty(shapes.shape, shapes.dtype)
    require("gamma_cpu", found, _SINGLE_AND_DOUBLE)
    rounded, least = _rounding(found), float(np.finfo(found.numpy).tiny)
    with engine.lock:
        values = [
            max(least, rounded(_gamma(engine, shape, rounded))) for shape in shapes.ravel().tolist()
        ]
    return np.array(values, np.float64).astype(shapes.dtype).reshape(shapes.shape)


def dirichlet(engine: Engine, concentrations: Array) -> Array:
    """Random probabilities along the last axis: gamma numbers divided by their sum.

    Args:
        engine: the engine.
        concentrations: float32 or float64.

    Returns:
        An array of the shape and type of ``concentrations``.

    Raises:
        NotImplementedError: if the type is neither float32 nor float64.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> round(float(dirichlet(Engine(0), np.ones(4)).sum()), 12)
    1.0
    """
    found = from_numpy_dtype(concentrations.dtype)
    require("dirichlet", found, _SINGLE_AND_DOUBLE)
    parts = standard_gamma(engine, concentrations.astype(np.float64)).astype(np.float64)
    shares = (parts / parts.sum(axis=-1, keepdims=True)).astype(found.numpy)
    least = np.finfo(found.numpy).tiny
    most = np.nextafter(found.numpy.type(1), found.numpy.type(0))
    return np.clip(shares, least, most)


def _gamma(engine: Engine, shape: float, rounded: Rounding) -> float:
    scale = 1.0
    if shape < 1.0:
        if shape == 0.0:
            return 0.0
        scale = (1.0 - engine.draw_double()) ** rounded(1.0 / shape)
        shape = rounded(shape + 1.0)
    d = rounded(shape - _ONE_THIRD)
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        y = 0.0
        while y <= 0.0:
            x = float(normal_doubles(engine, 1, 0.0, 1.0)[0])
            y = 1.0 + c * x
        v = y * y * y
        u = 1.0 - engine.draw_double()
        square = x * x
        if u < 1.0 - _SQUEEZE * square * square:
            return scale * d * v
        if math.log(u) < 0.5 * square + d * (1.0 - v + math.log(v)):
            return scale * d * v


def binomial(engine: Engine, counts: Array, probabilities: Array) -> Array:
    """How many of ``counts`` trials succeed, each with the probability at its place.

    Where ten or more of the rarer outcome are expected, the transformed rejection of Hörmann
    (1993, https://doi.org/10.1080/00949659308811496); else waiting times are added up.

    Args:
        engine: the engine.
        counts: numbers of trials, float32 or float64.
        probabilities: of the same shape and type.

    Returns:
        An array of the shape and type of ``counts``.

    Raises:
        ValueError: if a type is not floating-point.
        NotImplementedError: if it is neither float32 nor float64.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> binomial(Engine(0), np.array([10.0, 100.0]), np.array([0.5, 0.25]))
    array([ 7., 26.])
    """
    found, given = from_numpy_dtype(counts.dtype), from_numpy_dtype(probabilities.dtype)
    for name, kind in (("count", found), ("prob", given)):
        if not kind.is_floating_point:
            raise ValueError(
                f"binomial only supports floating-point dtypes for {name}, got: "
                + SCALAR_NAMES[kind]
            )
    require("binomial_cpu", found, _SINGLE_AND_DOUBLE)
    rounded = _rounding(found)
    pairs = zip(counts.ravel().tolist(), probabilities.ravel().tolist(), strict=True)
    with engine.lock:
        values = [_binomial(engine.draw_double, n, p, rounded) for n, p in pairs]
    return np.array(values, np.float64).astype(counts.dtype).reshape(counts.shape)


def _binomial(uniform: Callable[[], float], count: float, p: float, rounded: Rounding) -> float:
    if count <= 0.0 or p <= 0.0:
        return 0.0
    if p >= 1.0:
        return count
    if math.isnan(p):
        return math.nan
    rarer = p if p <= 0.5 else rounded(1.0 - p)
    sampler = _rejected if rounded(count * rarer) >= _TRANSFORMED else _waited
    value = sampler(uniform, count, rarer, rounded)
    return value if p <= 0.5 else rounded(count - value)


def _waited(uniform: Callable[[], float], count: float, p: float, rounded: Rounding) -> float:
    log_failure = rounded(math.log1p(-p))
    trials, successes = 0.0, 0.0
    while True:
        waiting = _log(uniform()) / log_failure
        trials += math.ceil(waiting) if math.isfinite(waiting) else waiting
        if trials > count:
            return successes
        successes = rounded(successes + 1.0)


def _rejected(uniform: Callable[[], float], count: float, p: float, rounded: Rounding) -> float:
    mean = rounded(count * p)
    failure = rounded(1.0 - p)
    deviation = rounded(math.sqrt(rounded(mean * failure)))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = mean + 0.5
    limit = 0.92 - 4.2 / b
    odds = rounded(p / failure)
    alpha = (2.83 + 5.1 / b) * deviation
    mode = float(math.floor(rounded(rounded(count + 1.0) * p)))
    while True:
        u = uniform() - 0.5
        v = uniform()
        near = 0.5 - abs(u)
        if near == 0.0:
            continue
        k = rounded(float(math.floor((2 * a / near + b) * u + c)))
        if k < 0 or k > count:
            continue
        if near >= 0.07 and v <= limit:
            return k
        v = _log(v * alpha / (a / (near * near) + b))
        left = rounded(rounded(count - k) + 1.0)
        bound = (
            (mode + 0.5) * math.log((mode + 1) / (odds * (count - mode + 1)))
            + rounded(count + 1.0) * math.log((count - mode + 1) / left)
            + (k + 0.5) * math.log(odds * left / rounded(k + 1.0))
            + _stirling_tail(mode)
            + _stirling_tail(count - mode)
            - _stirling_tail(k)
            - _stirling_tail(rounded(count - k))
        )
        if v <= bound:
            return k


def _stirling_tail(k: float) -> float:
    if k < len(_STIRLING_TAIL):
        return _STIRLING_TAIL[int(k)]
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)
