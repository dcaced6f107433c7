"""Sums in float32 keep their accuracy over many elements, in every layout."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight.engine.ops.reduce_sums import blocked_sum

#: What a sum of positive float32 numbers may be off, relatively.
ALLOWED = 1e-6


def exact(x: np.ndarray, dims: Any) -> np.ndarray:
    return np.asarray(x.astype(np.float64).sum(dims))


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    return np.random.default_rng(0).random(shape, dtype=np.float32)


SHAPES = [
    ((100_000,), (0,)), ((20_000, 7), (0,)), ((7, 20_003), (1,)), ((300, 1000), (0,)),
    ((300, 1000), (1,)), ((5, 4000, 9), (1,)), ((50, 6, 24, 24), (0, 2, 3)), ((3, 40, 5), (0, 1)),
    ((3, 40, 5), (1, 2)), ((3, 40, 5), (0, 2)), ((2, 3, 4, 5, 6), (1, 3)), ((4, 1, 5), (1,)),
    ((1, 1), (0,)), ((6, 5000, 1), (1, 2)), ((2, 1021, 3), (1,)), ((300, 30_000), (0,)),
]  # fmt: skip


@pytest.mark.parametrize(("shape", "dims"), SHAPES)
@pytest.mark.parametrize("keepdim", [False, True])
def test_accuracy(shape: tuple[int, ...], dims: tuple[int, ...], keepdim: bool) -> None:
    x = numbers(shape)
    made = rushlight.tensor(x).sum(dims, keepdim)
    expected = x.astype(np.float64).sum(dims, keepdims=keepdim)
    assert tuple(made.shape) == expected.shape
    np.testing.assert_allclose(made.numpy(), expected, rtol=ALLOWED)


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_axes_in_another_order(order: tuple[int, ...]) -> None:
    x = numbers((30, 4000, 3))
    for dim in range(3):
        made = rushlight.tensor(x).permute(*order).sum(dim)
        np.testing.assert_allclose(made.numpy(), exact(x.transpose(order), dim), rtol=ALLOWED)


def test_gaps_in_memory() -> None:
    x = numbers((20_000, 6))
    made = rushlight.tensor(x)[::2, ::3].sum(0)
    np.testing.assert_allclose(made.numpy(), exact(x[::2, ::3], 0), rtol=ALLOWED)


def test_an_expanded_axis_is_a_factor() -> None:
    x = numbers((1, 3))
    made = rushlight.tensor(x).expand(100_000, 3)
    np.testing.assert_allclose(made.sum(0).numpy(), x[0].astype(np.float64) * 1e5, rtol=1e-7)
    np.testing.assert_allclose(made.sum(1).numpy(), np.full(100_000, exact(x, None)), rtol=ALLOWED)


@pytest.mark.parametrize("name", ["mean", "var", "std", "norm", "logsumexp", "nansum"])
def test_what_is_made_of_sums(name: str) -> None:
    x = numbers((20_000, 5))
    wide = x.astype(np.float64)
    expected = {
        "mean": wide.mean(0),
        "var": wide.var(0, ddof=1),
        "std": wide.std(0, ddof=1),
        "norm": np.sqrt((wide**2).sum(0)),
        "logsumexp": np.log(np.exp(wide).sum(0)),
        "nansum": wide.sum(0),
    }[name]
    made = getattr(rushlight.tensor(x), name)(dim=0)
    np.testing.assert_allclose(made.numpy(), expected, rtol=ALLOWED)


def test_special_numbers_come_through() -> None:
    x = np.ones((300, 4), np.float32)
    x[7, 1], x[8, 2], x[9, 2] = np.nan, np.inf, -np.inf
    made = rushlight.tensor(x).sum(0).numpy()
    assert made[0] == 300
    assert np.isnan(made[1])
    assert np.isnan(made[2])


def test_nothing_to_block_is_left_to_numpy() -> None:
    assert blocked_sum((2, 3, 4, 5), (0, 2), np.dtype(np.float32), False) is None
    assert blocked_sum((0, 3), (0,), np.dtype(np.float32), False) is None
