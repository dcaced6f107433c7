"""Exponential, geometric, Cauchy, log-normal and multinomial random numbers, as PyTorch's.

Each is a function of uniform or normal doubles, taken from the C library as PyTorch does it.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from rushlight.engine.core import dtype as types
from rushlight.engine.core.dtype import from_numpy_dtype
from rushlight.engine.core.mt19937 import Engine, Source
from rushlight.engine.core.sampling_checks import (
    check_cauchy,
    check_exponential,
    check_geometric,
    check_log_normal,
    check_multinomial,
)
from rushlight.engine.core.sampling_normal import normal_doubles
from rushlight.engine.core.sampling_numerics import (
    Array,
    Doubles,
    Shape,
    draw_doubles,
    exp_c,
    fused_float64,
    log_c,
    narrow,
    size_of,
    through_c,
)


def exponential(
    source: Source, shape: Shape, lambd: float = 1.0, dtype: types.dtype = types.float32
) -> Array:
    """Exponential random numbers of rate ``lambd``: ``-log(1 - u) / lambd``.

    Args:
        source: an engine, or a reservation of ``double_draws``.
        shape: shape of the result.
        lambd: the rate.
        dtype: the type of the result.

    Raises:
        RuntimeError: if the rate is not positive, or the type is not floating-point.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> exponential(Engine(3), 3)
    array([0.03470346, 0.33790958, 1.4824307 ], dtype=float32)
    """
    check_exponential(dtype, lambd)
    numbers = through_c(math.log1p, -draw_doubles(source, size_of(shape)))
    return narrow(-1.0 / lambd * numbers, dtype).reshape(shape)


def geometric(source: Source, shape: Shape, p: float, dtype: types.dtype = types.float32) -> Array:
    """How many trials of probability ``p`` it takes to succeed: ``ceil(log(u) / log(1 - p))``.

    Args:
        source: an engine, or a reservation of ``double_draws``.
        shape: shape of the result.
        p: the probability of success.
        dtype: the type of the result.

    Raises:
        RuntimeError: if ``p`` is not strictly between 0 and 1.
        NotImplementedError: for bool, complex and the wider unsigned types.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> geometric(Engine(0), 3, 0.1)
    array([1., 4., 8.], dtype=float32)
    """
    check_geometric(dtype, p)
    numbers = np.ceil(log_c(draw_doubles(source, size_of(shape))) / math.log1p(-p))
    return narrow(numbers, dtype).reshape(shape)


def cauchy(
    source: Source,
    shape: Shape,
    median: float = 0.0,
    sigma: float = 1.0,
    dtype: types.dtype = types.float32,
) -> Array:
    """Cauchy random numbers: ``median + sigma * tan(pi * (u - 1 / 2))``.

    Args:
        source: an engine, or a reservation of ``double_draws``.
        shape: shape of the result.
        median: the middle of the distribution.
        sigma: its scale.
        dtype: the type of the result.

    Raises:
        RuntimeError: if ``sigma`` is not positive, or the type is not floating-point.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> cauchy(Engine(0), 2)
    array([10.59773  ,  0.7647673], dtype=float32)
    """
    check_cauchy(dtype, sigma)
    angles: Doubles = math.pi * (draw_doubles(source, size_of(shape)) - 0.5)
    numbers = fused_float64(through_c(math.tan, angles), sigma, median)
    return narrow(numbers, dtype).reshape(shape)


def log_normal(
    engine: Engine,
    shape: Shape,
    dtype: types.dtype = types.float32,
    mean: float = 1.0,
    std: float = 2.0,
) -> Array:
    """Numbers whose logarithm is normal, as ``log_normal_`` writes them.

    Args:
        engine: the engine; cached normal values are used and left as in small normal results.
        shape: shape of the result.
        dtype: its type.
        mean: the mean of the logarithm.
        std: the standard deviation of the logarithm.

    Raises:
        RuntimeError: if ``std`` is not positive.
        NotImplementedError: if the type is not floating-point.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> log_normal(Engine(0), 2, types.float64)
    array([59.26341788,  1.51155994])
    """
    check_log_normal(dtype, std)
    size = size_of(shape)
    if size == 0:
        return np.empty(shape, dtype.numpy)
    return narrow(exp_c(normal_doubles(engine, size, mean, std)), dtype).reshape(shape)


def multinomial_draws(shape: tuple[int, ...], samples: int, replacement: bool) -> int:
    """How many 32-bit draws ``multinomial`` takes for probabilities of this shape."""
    if replacement and samples > 1:
        return 2 * samples * math.prod(shape[:-1])
    return 2 * math.prod(shape)


def multinomial(
    source: Source, probabilities: Array, samples: int, replacement: bool = False
) -> npt.NDArray[np.int64]:
    """Indices drawn in proportion to each row's weights.

    Without replacement these are the largest of weight over exponential number, in order;
    with replacement, places in the cumulative sum.

    Args:
        source: an engine, or a reservation of ``multinomial_draws``.
        probabilities: floating-point weights of shape (categories,) or (rows, categories).
        samples: indices for each row.
        replacement: whether an index may come again.

    Returns:
        Indices of shape (samples,) or (rows, samples).

    Raises:
        RuntimeError: if a weight is negative or not finite, if all are zero, or if too many
            samples are asked for.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> multinomial(Engine(0), np.array([0.1, 0.2, 0.7], np.float32), 2)
    array([2, 1])
    """
    given = from_numpy_dtype(probabilities.dtype)
    check_multinomial(probabilities.shape, given, samples, replacement)
    shape = (*probabilities.shape[:-1], samples)
    if math.prod(shape) == 0:
        return np.empty(shape, np.int64)
    rows = probabilities.reshape(-1, probabilities.shape[-1])
    if replacement and samples > 1:
        return _with_replacement(source, rows, samples).reshape(shape)
    _check_weights(rows)
    ratios = rows / exponential(source, rows.shape, 1.0, given)
    ratios = ratios.astype(np.float64)
    if samples == 1:
        return np.argmax(ratios, axis=-1).reshape(shape)
    return np.argsort(-ratios, axis=-1, kind="stable")[:, :samples].reshape(shape)


def _check_weights(rows: Array) -> None:
    exact = rows.astype(np.float64)
    if not (np.isfinite(exact) & (exact >= 0)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    if (exact.sum(axis=-1) == 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")


def _with_replacement(source: Source, rows: Array, samples: int) -> npt.NDArray[np.int64]:
    summed = np.float64 if rows.dtype == np.float64 else np.float32
    exact: Array = rows.astype(summed, copy=False)
    if not (exact >= 0).all():
        raise RuntimeError("invalid multinomial distribution (encountering probability entry < 0)")
    if not np.isfinite(exact).all():
        raise RuntimeError(
            "invalid multinomial distribution (encountering probability entry = infinity or NaN)"
        )
    sums = np.cumsum(exact, axis=-1, dtype=exact.dtype)
    if not (sums[:, -1] > 0).all():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    sums = sums / sums[:, -1:]
    sums[:, -1] = 1
    numbers = draw_doubles(source, len(rows) * samples).reshape(len(rows), samples)
    indices = np.empty((len(rows), samples), np.int64)
    for row, (limits, values) in enumerate(zip(sums, numbers, strict=True)):
        indices[row] = np.searchsorted(limits.astype(np.float64), values)
    return indices
