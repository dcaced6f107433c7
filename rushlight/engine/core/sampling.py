"""Random numbers from a stream of draws, bit for bit as PyTorch's CPU kernels make them.

Every sampler takes a source first: the engine itself, or a reservation in its stream that was made
with the matching ``..._draws`` count. From a reservation the numbers may be computed later, in any
order or never, and are the same. Arrays come out in the order of memory: PyTorch fills a tensor in
the order of its strides, whatever its shape says.

Normal numbers are in ``sampling_normal``; those that take an unknown number of draws (Poisson,
binomial, gamma) in ``sampling_rejection``.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np
import numpy.typing as npt

from rushlight.engine.core import dtype as types
from rushlight.engine.core.dtype import from_numpy_dtype
from rushlight.engine.core.mt19937 import Draws32, Source
from rushlight.engine.core.sampling_checks import (
    BASIC_TYPES,
    DIGITS,
    FLOATING_TYPES,
    IntegerRange,
    check_bernoulli,
    check_randperm,
    check_uniform,
    integer_range,
    require,
)
from rushlight.engine.core.sampling_numerics import (
    Array,
    Doubles,
    Floats,
    Shape,
    draw_doubles,
    fused_float32,
    fused_float64,
    in_shape,
    size_of,
)

Mask = npt.NDArray[np.bool_]

#: Draws converted at a time, so that the intermediate values stay in the processor's cache.
_AT_ONCE: Final = 16384

#: From this length on, PyTorch shuffles with 64-bit draws and from the inside out.
_LONG_PERMUTATION: Final = (2**32 - 1) // 20

_FRACTION_24: Final = np.uint32(2**24 - 1)
_FRACTION_53: Final = np.uint64(2**53 - 1)


def _wide(dtype: types.dtype) -> bool:
    return dtype is types.float64 or dtype is types.complex128


def uniform_draws(size: int, dtype: types.dtype) -> int:
    """How many 32-bit draws ``uniform`` takes for ``size`` values."""
    return size * (2 if _wide(dtype) else 1) * (2 if dtype.is_complex else 1)


def uniform(
    source: Source,
    shape: Shape,
    dtype: types.dtype = types.float32,
    low: float = 0.0,
    high: float = 1.0,
) -> Array:
    """Uniform random numbers from [low, high), as ``rand`` and ``uniform_`` make them.

    Args:
        source: an engine, or a reservation of ``uniform_draws``.
        shape: shape of the result.
        dtype: its type; complex types get two numbers for each value.
        low: the lower bound.
        high: the upper bound.

    Returns:
        An array of the given shape and type.

    Raises:
        NotImplementedError: if the type is not floating-point.
        RuntimeError: if a bound is outside the type, or the bounds are in the wrong order.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> uniform(Engine(0), 3)
    array([0.4962566 , 0.7682218 , 0.08847743], dtype=float32)
    """
    size, real = size_of(shape), dtype
    if dtype.is_complex:
        size, real = 2 * size, dtype.to_real()
    check_uniform(real, low, high)
    if real is types.float64:
        doubles = draw_doubles(source, size)
        if (low, high) != (0.0, 1.0):
            for begin in range(0, size, _AT_ONCE):
                _stretch(doubles[begin : begin + _AT_ONCE], low, high)
        return in_shape(doubles if real is dtype else doubles.view(dtype.numpy), shape)
    draws = source.draw32(size)
    values = np.empty(size, real.numpy)
    for begin in range(0, size, _AT_ONCE):
        end = begin + _AT_ONCE
        _fill_uniform(draws[begin:end], values[begin:end], real, low, high)
    return in_shape(values if real is dtype else values.view(dtype.numpy), shape)


def _stretch(fractions: Doubles, low: float, high: float) -> None:
    """Spread numbers from [0, 1) over [low, high), in place."""
    values = fused_float64(fractions, high - low, low)
    values[values == high] = low
    fractions[...] = values


def _fill_uniform(draws: Draws32, out: Array, real: types.dtype, low: float, high: float) -> None:
    """``fraction * (high - low) + low`` in float32, rounded once, then to the type of ``out``."""
    bottom, top = np.float32(low), np.float32(high)
    fractions = (draws & _FRACTION_24).view(np.int32)
    singles: Floats
    if bottom == 0.0:
        singles = fractions.astype(np.float32)
        singles *= np.float32(2.0**-24)
        if top != 1.0:
            singles *= top
    else:
        scale = float(top - bottom) * 2.0**-24
        singles = fused_float32(fractions.astype(np.float64), scale, float(bottom))
    out[...] = singles
    if real is not types.float32 or (low, high) != (0.0, 1.0):
        # Rounding may reach the upper bound, which does not belong to the interval.
        first, last = np.array([bottom, top]).astype(real.numpy)
        beyond = out == last
        if beyond.any():
            out[beyond] = first


def random_draws(size: int, dtype: types.dtype) -> int:
    """How many 32-bit draws ``random`` takes for ``size`` values."""
    return size * (2 if dtype is types.int64 or dtype is types.float64 else 1)


def random(source: Source, shape: Shape, dtype: types.dtype = types.int64) -> Array:
    """Integers from zero up to the largest that the type holds exactly: ``random_()``.

    Args:
        source: an engine, or a reservation of ``random_draws``.
        shape: shape of the result.
        dtype: its type.

    Raises:
        NotImplementedError: for complex and the wider unsigned types.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> random(Engine(0), 2)
    array([ 900450186894289455, 3969543146641149120])
    """
    size = size_of(shape)
    if size == 0:
        return np.empty(shape, dtype.numpy)
    require("random_kernel_cpu", dtype, BASIC_TYPES | {types.bool_})
    if dtype is types.bool_:
        return (source.draw32(size) & np.uint32(1)).astype(np.bool_).reshape(shape)
    if dtype in FLOATING_TYPES:
        span = 2 ** DIGITS[dtype] + 1
    else:
        span = int(np.iinfo(dtype.numpy).max) + 1
    wide = random_draws(1, dtype) == 2
    return _integers(source, size, IntegerRange(0, span, wide), dtype).reshape(shape)


def randint_draws(size: int, values: IntegerRange) -> int:
    """How many 32-bit draws ``randint`` takes for ``size`` values of this range."""
    return size * (2 if values.wide else 1)


def randint(
    source: Source, shape: Shape, low: int, high: int | None, dtype: types.dtype = types.int64
) -> Array:
    """Integers from ``low`` to ``high - 1``, as ``randint`` and ``random_(low, high)`` make them.

    Args:
        source: an engine, or a reservation of ``randint_draws`` for
            ``integer_range(dtype, low, high)``.
        shape: shape of the result.
        low: the smallest value.
        high: one more than the largest value; ``None`` means as far as the type goes.
        dtype: the type of the result.

    Raises:
        RuntimeError: if the range is empty or does not fit into the type.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> randint(Engine(0), 4, 0, 10)
    array([4, 9, 3, 0])
    """
    values = integer_range(dtype, low, high)
    return _integers(source, size_of(shape), values, dtype).reshape(shape)


def _integers(source: Source, size: int, values: IntegerRange, dtype: types.dtype) -> Array:
    if values.span == 2**64:
        return narrow_integers(source.draw64(size).view(np.int64), dtype)
    if values.wide:
        wide = source.draw64(size)
        wide %= np.uint64(values.span)
        numbers = wide.view(np.int64)
    else:
        draws = source.draw32(size)
        if values.span < 2**32:
            span = np.uint32(values.span)
            # Dividing by a constant is vectorised, the remainder is not.
            draws = draws - draws // span * span
        numbers = draws.astype(np.int64)
    if values.base:
        numbers += np.int64(values.base)
    return narrow_integers(numbers, dtype)


def narrow_integers(numbers: npt.NDArray[np.int64], dtype: types.dtype) -> Array:
    """64-bit integers as another type; 16-bit floating types by way of float32."""
    if dtype.itemsize == 2 and dtype.is_floating_point:
        return numbers.astype(np.float32).astype(dtype.numpy)
    return numbers.astype(dtype.numpy, copy=False)


def draw_seed(source: Source) -> int:
    """A seed as data loaders draw it: ``torch.empty((), dtype=torch.int64).random_().item()``.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> draw_seed(Engine(0))
    900450186894289455
    """
    return int(source.draw64(1)[0]) % 2**63


def randperm_draws(n: int) -> int:
    """How many 32-bit draws ``randperm`` takes."""
    return 2 * n if n >= _LONG_PERMUTATION else max(n - 1, 0)


def randperm(source: Source, n: int, dtype: types.dtype = types.int64) -> Array:
    """The numbers ``0 .. n - 1`` in random order.

    The shuffle of Fisher and Yates, see Knuth, The Art of Computer Programming, volume 2, 3.4.2.

    Args:
        source: an engine, or a reservation of ``randperm_draws``.
        n: how many numbers.
        dtype: the type of the result.

    Raises:
        RuntimeError: if ``n`` is negative or does not fit into the type.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> randperm(Engine(0), 5)
    array([4, 0, 1, 3, 2])
    """
    check_randperm(n, dtype)
    if n >= _LONG_PERMUTATION:
        return narrow_integers(_from_inside_out(source, n), dtype)
    order = list(range(n))
    if n > 1:
        here = np.arange(n - 1)
        choice = here + source.draw32(n - 1) % (n - here)
        for i, j in enumerate(choice.tolist()):
            order[i], order[j] = order[j], order[i]
    return narrow_integers(np.array(order, np.int64), dtype)


def _from_inside_out(source: Source, n: int) -> npt.NDArray[np.int64]:
    order = np.empty(n, np.int64)
    choice = source.draw64(n) % np.arange(1, n + 1, dtype=np.uint64)
    for i, j in enumerate(map(int, choice)):
        order[i] = order[j]
        order[j] = i
    return order


def bernoulli_draws(size: int) -> int:
    """How many 32-bit draws ``bernoulli`` and the dropout masks take for ``size`` values."""
    return 2 * size


def bernoulli_mask(source: Source, shape: Shape, p: float) -> Mask:
    """True with probability ``p``, value by value, as ``bernoulli_(p)`` decides.

    Args:
        source: an engine, or a reservation of ``bernoulli_draws``.
        shape: shape of the result.
        p: the probability.

    Raises:
        RuntimeError: if ``p`` is not in [0, 1].

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> bernoulli_mask(Engine(0), 5, 0.5)
    array([False, False,  True, False, False])
    """
    check_bernoulli(p)
    # A double of 53 random bits is below p where these bits, as a number, are below this one.
    numbers = source.draw64(size_of(shape))
    numbers &= _FRACTION_53
    mask: Mask = numbers < np.uint64(math.ceil(p * 2.0**53))
    return mask.reshape(shape)


def bernoulli(source: Source, shape: Shape, p: float, dtype: types.dtype = types.float32) -> Array:
    """Ones with probability ``p``, else zeros: ``bernoulli_(p)``.

    Args:
        source: an engine, or a reservation of ``bernoulli_draws``.
        shape: shape of the result.
        p: the probability.
        dtype: the type of the result.

    Raises:
        RuntimeError: if ``p`` is not in [0, 1].
        NotImplementedError: for complex and the wider unsigned types.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> bernoulli(Engine(0), 4, 0.9)
    array([0., 1., 1., 0.], dtype=float32)
    """
    check_bernoulli(p)
    if size_of(shape):
        require("bernoulli_scalar_cpu_", dtype, BASIC_TYPES | {types.bool_})
    return bernoulli_mask(source, shape, p).astype(dtype.numpy, copy=False)


def bernoulli_each_draws(size: int, probability: types.dtype) -> int:
    """How many 32-bit draws ``bernoulli_each`` takes for probabilities of this type."""
    return size * (2 if probability is types.float64 else 1)


def bernoulli_each(source: Source, probabilities: Array, dtype: types.dtype | None = None) -> Array:
    """Ones where a uniform number is below that place's probability: ``bernoulli(input)``.

    Args:
        source: an engine, or a reservation of ``bernoulli_each_draws``.
        probabilities: floating-point, of the shape of the result.
        dtype: the type of the result; that of the probabilities by default.

    Raises:
        RuntimeError: if a probability is not in [0, 1].
        NotImplementedError: if the probabilities are not floating-point.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> bernoulli_each(Engine(0), np.array([0.4, 0.9, 0.1], np.float32))
    array([0., 1., 1.], dtype=float32)
    """
    given = from_numpy_dtype(probabilities.dtype)
    wanted = given if dtype is None else dtype
    if probabilities.size == 0:
        return np.empty(probabilities.shape, wanted.numpy)
    require("bernoulli_tensor_cpu_self_", wanted, BASIC_TYPES | {types.bool_})
    require("bernoulli_tensor_cpu_p_", given, FLOATING_TYPES)
    exact = np.float64 if given is types.float64 else np.float32
    limits: Array = probabilities.astype(exact, copy=False).ravel()
    if not ((limits >= 0) & (limits <= 1)).all():
        raise RuntimeError(
            "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error "
            "message be improved?  If so, please report an enhancement request to PyTorch.)\n"
            "bernoulli takes probabilities; a sigmoid or a softmax makes them from scores"
        )
    numbers = uniform(source, limits.size, from_numpy_dtype(limits.dtype))
    return (numbers < limits).astype(wanted.numpy).reshape(probabilities.shape)


def dropout_draws(size: int, p: float) -> int:
    """How many 32-bit draws ``dropout(p)`` takes in training; none where ``p`` is 0 or 1."""
    return bernoulli_draws(size) if 0 < p < 1 else 0


def dropout_scale(p: float, dtype: types.dtype = types.float32) -> float:
    """What ``nn.functional.dropout`` multiplies a kept value by: 1 / (1 - p), in the type.

    >>> dropout_scale(0.5)
    2.0
    """
    if dtype is types.float64:
        return 1.0 / (1.0 - p)
    quotient = np.float32(1.0) / np.float32(1.0 - p)
    return float(quotient.astype(dtype.numpy))


def dropout_noise(
    source: Source, shape: Shape, p: float, dtype: types.dtype = types.float32
) -> Array:
    """The factors of ``nn.functional.dropout`` in training: 0 or ``dropout_scale``.

    PyTorch fills them in the order of the input's memory, where that is dense.

    Args:
        source: an engine, or a reservation of ``dropout_draws``.
        shape: shape of the result.
        p: the probability of a zero, strictly between 0 and 1; PyTorch draws nothing otherwise.
        dtype: the type of the result.

    >>> from rushlight.engine.core.mt19937 import Engine
    >>> dropout_noise(Engine(3), 4, 0.5)
    array([2., 2., 0., 2.], dtype=float32)
    """
    kept = bernoulli_mask(source, shape, 1.0 - p)
    scale = dtype.numpy.type(dropout_scale(p, dtype))
    return np.multiply(kept, scale, dtype=dtype.numpy)
