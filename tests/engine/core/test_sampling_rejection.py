"""Poisson, gamma, Dirichlet and binomial numbers, against PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.engine.core import dtype as types
from rushlight.engine.core.mt19937 import Engine
from rushlight.engine.core.sampling_rejection import binomial, dirichlet, poisson, standard_gamma
from tests.engine.core.stream_oracle import Twins, load_torch

EXACT = [np.float32, np.float64]


def _spread(seed: int, shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(seed).random(shape)


@pytest.mark.parametrize("largest", [1, 9, 30, 1000, 1e6])
@pytest.mark.parametrize("dtype", [types.float32, types.float64, types.bfloat16], ids=repr)
def test_poisson(dtype: types.dtype, largest: float) -> None:
    twins = Twins(1)
    rates = _spread(0, (400, 2)).astype(np.float32) * np.float32(largest)
    rates[0] = 0
    theirs = twins.torch.poisson(twins.torch.from_numpy(rates).to(twins.named(dtype)))
    twins.agree(poisson(twins.engine, rates.astype(dtype.numpy)), theirs)


@pytest.mark.parametrize("largest", [1, 3, 50])
@pytest.mark.parametrize("dtype", EXACT)
def test_standard_gamma(dtype: type, largest: float) -> None:
    twins = Twins(2)
    shapes = (_spread(1, (50, 8)) * largest).astype(dtype)
    shapes[0, 0] = 0
    theirs = twins.torch._standard_gamma(twins.torch.from_numpy(shapes))
    twins.agree(standard_gamma(twins.engine, shapes), theirs)


@pytest.mark.parametrize("columns", [1, 2, 5, 17])
def test_dirichlet(columns: int) -> None:
    twins = Twins(3)
    weights = (_spread(2, (60, columns)) * 3 + 1e-3).astype(np.float32)
    theirs = twins.torch._sample_dirichlet(twins.torch.from_numpy(weights))
    twins.agree(dirichlet(twins.engine, weights), theirs)


def test_dirichlet_in_double_precision_differs_by_the_order_of_the_sum_at_most() -> None:
    twins = Twins(4)
    weights = _spread(3, (60, 17)) + 0.1
    theirs = twins.torch._sample_dirichlet(twins.torch.from_numpy(weights)).numpy()
    np.testing.assert_allclose(dirichlet(twins.engine, weights), theirs, rtol=2e-15)
    twins.agree_on_state()


@pytest.mark.parametrize("trials", [1, 5, 30, 200, 1e5])
@pytest.mark.parametrize("dtype", EXACT)
def test_binomial(dtype: type, trials: float) -> None:
    twins = Twins(5)
    counts = np.floor(_spread(4, (400, 2)) * (trials + 1)).astype(dtype)
    chances = _spread(5, (400, 2)).astype(dtype)
    chances[:3, 0] = 0, 1, np.nan
    from_numpy = twins.torch.from_numpy
    theirs = twins.torch.binomial(from_numpy(counts), from_numpy(chances))
    twins.agree(binomial(twins.engine, counts, chances), theirs)


def test_empty() -> None:
    none = np.empty((0, 2), np.float32)
    for found in (poisson(Engine(0), none), standard_gamma(Engine(0), none)):
        assert found.shape == (0, 2)
    assert binomial(Engine(0), none, none).shape == (0, 2)
    assert dirichlet(Engine(0), none).shape == (0, 2)


def test_refusals() -> None:
    engine, torch = Engine(0), load_torch()
    with pytest.raises(RuntimeError) as theirs:
        torch.poisson(torch.tensor([-1.0]))
    with pytest.raises(RuntimeError) as ours:
        poisson(engine, np.array([-1.0]))
    assert str(ours.value) == str(theirs.value)
    with pytest.raises(NotImplementedError, match="\"poisson_cpu\" not implemented for 'Long'"):
        poisson(engine, np.array([1]))
    with pytest.raises(NotImplementedError, match="\"gamma_cpu\" not implemented for 'Half'"):
        standard_gamma(engine, np.ones(2, np.float16))
    with pytest.raises(ValueError, match="dtypes for count, got: Long"):
        binomial(engine, np.array([3]), np.array([0.5]))
    with pytest.raises(ValueError, match="dtypes for prob, got: Int"):
        binomial(engine, np.array([3.0]), np.array([1], np.int32))
