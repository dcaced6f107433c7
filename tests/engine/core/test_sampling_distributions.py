"""Exponential, geometric, Cauchy, log-normal and multinomial numbers, against PyTorch."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest

from rushlight.engine.core import dtype as types
from rushlight.engine.core.mt19937 import Engine, Source
from rushlight.engine.core.sampling import uniform
from rushlight.engine.core.sampling_distributions import (
    cauchy,
    exponential,
    geometric,
    log_normal,
    multinomial,
    multinomial_draws,
)
from rushlight.engine.core.sampling_numerics import double_draws
from tests.engine.core.stream_oracle import SIZES, Twins, load_torch

REALS = [types.float32, types.float64, types.float16, types.bfloat16]
INTEGERS = [types.uint8, types.int8, types.int16, types.int32, types.int64]


@pytest.mark.parametrize("dtype", REALS, ids=repr)
def test_exponential(dtype: types.dtype) -> None:
    twins = Twins(1)
    for size in SIZES:
        for rate in (1, 0.5, 3.3, math.inf):
            ours = exponential(twins.engine, (size, 1), rate, dtype)
            twins.agree(ours, twins.empty((size, 1), dtype).exponential_(rate))


@pytest.mark.parametrize("dtype", REALS, ids=repr)
def test_cauchy(dtype: types.dtype) -> None:
    twins = Twins(2)
    for size in SIZES:
        for median, sigma in ((0, 1), (1.3, 2.7)):
            ours = cauchy(twins.engine, size, median, sigma, dtype)
            twins.agree(ours, twins.empty(size, dtype).cauchy_(median, sigma))


@pytest.mark.parametrize("dtype", REALS + INTEGERS, ids=repr)
def test_geometric(dtype: types.dtype) -> None:
    twins = Twins(3)
    for size in SIZES:
        for p in (0.5, 0.2, 0.9):
            ours = geometric(twins.engine, size, p, dtype)
            twins.agree(ours, twins.empty(size, dtype).geometric_(p))


@pytest.mark.parametrize("dtype", REALS, ids=repr)
def test_log_normal(dtype: types.dtype) -> None:
    twins = Twins(4)
    for size in SIZES:
        for mean, std in ((1, 2), (0, 0.25)):
            ours = log_normal(twins.engine, size, dtype, mean, std)
            twins.agree(ours, twins.empty(size, dtype).log_normal_(mean, std))


WEIGHTS = [(5,), (1,), (3, 7), (100,), (20, 50), (1000,), (4, 1000)]


def _weights(twins: Twins, shape: tuple[int, ...], dtype: types.dtype) -> tuple[np.ndarray, object]:
    theirs = twins.torch.rand(shape, generator=twins.torch.Generator().manual_seed(9))
    return uniform(Engine(9), shape).astype(dtype.numpy), theirs.to(twins.named(dtype))


@pytest.mark.parametrize("dtype", REALS, ids=repr)
@pytest.mark.parametrize("shape", WEIGHTS, ids=repr)
def test_multinomial_with_replacement(shape: tuple[int, ...], dtype: types.dtype) -> None:
    twins = Twins(5)
    ours, theirs = _weights(twins, shape, dtype)
    for count in (1, 2, 9, 1000):
        found = multinomial(twins.engine, ours, count, True)
        twins.agree(found, twins.torch.multinomial(theirs, count, True))


@pytest.mark.parametrize("dtype", REALS, ids=repr)
@pytest.mark.parametrize("shape", WEIGHTS, ids=repr)
def test_multinomial_without_replacement(shape: tuple[int, ...], dtype: types.dtype) -> None:
    twins = Twins(6)
    ours, theirs = _weights(twins, shape, dtype)
    # In 16 bits many ratios are equal, and PyTorch's order of equal ones is unspecified.
    counts = {1} if dtype.itemsize == 2 else {1, min(2, shape[-1]), shape[-1]}
    for count in counts:
        found = multinomial(twins.engine, ours, count)
        twins.agree(found, twins.torch.multinomial(theirs, count))


def test_multinomial_without_replacement_repeats_nothing() -> None:
    found = multinomial(Engine(0), np.ones((50, 20), np.float16), 20)
    assert (np.sort(found, axis=1) == np.arange(20)).all()


def test_multinomial_of_no_rows() -> None:
    assert multinomial(Engine(0), np.zeros((0, 3)), 1).shape == (0, 1)


@pytest.mark.parametrize(
    ("weights", "count", "again"),
    [
        (np.ones(3), 4, False),
        (np.ones(3), 0, False),
        (np.ones(3, np.int64), 1, False),
        (np.ones((3, 3, 3)), 1, False),
        (np.array([-1.0, 2.0]), 1, False),
        (np.array([-1.0, 2.0]), 3, True),
        (np.zeros(3), 1, False),
        (np.zeros((3, 2)), 1, False),
        (np.zeros(3), 3, True),
        (np.array([math.inf, 2.0]), 1, False),
        (np.array([math.inf, 2.0]), 3, True),
        (np.array([math.nan, 2.0]), 1, False),
        (np.array([math.nan, 2.0]), 3, True),
    ],
)
def test_multinomial_refuses(weights: np.ndarray, count: int, again: bool) -> None:
    torch = load_torch()
    with pytest.raises(RuntimeError) as theirs:
        torch.multinomial(torch.from_numpy(weights), count, again)
    with pytest.raises(RuntimeError) as ours:
        multinomial(Engine(0), weights, count, again)
    assert str(ours.value) == str(theirs.value)


REFUSED: list[tuple[str, tuple[float, ...], types.dtype, Callable[..., object]]] = [
    ("exponential_", (0,), types.float32, lambda t, a: exponential(Engine(0), 3, *a, t)),
    ("exponential_", (math.nan,), types.float32, lambda t, a: exponential(Engine(0), 3, *a, t)),
    ("exponential_", (1,), types.int32, lambda t, a: exponential(Engine(0), 3, *a, t)),
    ("geometric_", (0,), types.float32, lambda t, a: geometric(Engine(0), 3, *a, t)),
    ("geometric_", (1,), types.float32, lambda t, a: geometric(Engine(0), 3, *a, t)),
    ("geometric_", (0.5,), types.bool_, lambda t, a: geometric(Engine(0), 3, *a, t)),
    ("cauchy_", (0, 0), types.float32, lambda t, a: cauchy(Engine(0), 3, *a, t)),
    ("cauchy_", (0, 1), types.int8, lambda t, a: cauchy(Engine(0), 3, *a, t)),
    ("log_normal_", (0, 0), types.float32, lambda t, a: log_normal(Engine(0), 3, t, *a)),
    ("log_normal_", (0, 1), types.int8, lambda t, a: log_normal(Engine(0), 3, t, *a)),
]


@pytest.mark.parametrize(("name", "arguments", "dtype", "call"), REFUSED)
def test_refusals(
    name: str, arguments: tuple[float, ...], dtype: types.dtype, call: Callable[..., object]
) -> None:
    torch = load_torch()
    with pytest.raises((RuntimeError, NotImplementedError)) as theirs:
        getattr(torch.empty(3, dtype=getattr(torch, dtype.name)), name)(*arguments)
    with pytest.raises(theirs.type) as ours:
        call(dtype, arguments)
    assert str(ours.value) == str(theirs.value)


TABLE = np.linspace(0.1, 1.0, 12).reshape(3, 4)
RESERVED: list[tuple[int, Callable[[Source], np.ndarray]]] = [
    (double_draws(33), lambda s: exponential(s, 33)),
    (double_draws(33), lambda s: geometric(s, 33, 0.3)),
    (double_draws(33), lambda s: cauchy(s, 33)),
    (multinomial_draws((3, 4), 1, True), lambda s: multinomial(s, TABLE, 1, True)),
    (multinomial_draws((3, 4), 5, True), lambda s: multinomial(s, TABLE, 5, True)),
    (multinomial_draws((3, 4), 2, False), lambda s: multinomial(s, TABLE, 2)),
    (multinomial_draws((4,), 2, True), lambda s: multinomial(s, TABLE[0], 2, True)),
]


@pytest.mark.parametrize(("draws", "sample"), RESERVED)
def test_a_reservation_gives_the_same_numbers_later(
    draws: int, sample: Callable[[Source], np.ndarray]
) -> None:
    engine, plain = Engine(21), Engine(21)
    kept = engine.reserve(draws)
    after = engine.draw32(7)
    expected = sample(plain)
    assert np.array_equal(plain.draw32(7), after)
    assert sample(kept).tobytes() == expected.tobytes()
