"""Small max pooling with NumPy against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.engine.backends.cpu.tiled_pooling import MOST, prepare_tiled_max_pool

torch = pytest.importorskip("torch", reason="the oracle extra is not installed")

FLOAT = np.dtype(np.float32)
CASES = [
    ((2, 3, 8, 8), (2, 2)), ((2, 3, 9, 7), (2, 2)), ((1, 2, 9, 9), (3, 3)), ((3, 4, 10), (2,)),
    ((1, 2, 4, 6, 5), (2, 2, 2)), ((1, 1, 6, 4), (3, 1)), ((1, 1, 2, 2), (2, 2)),
]  # fmt: skip


def expected(x: np.ndarray, kernel: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    function = getattr(torch.nn.functional, f"max_pool{len(kernel)}d")
    y, places = function(torch.from_numpy(x), kernel, return_indices=True)
    return y.numpy(), places.numpy()


def prepare(x: np.ndarray, kernel: tuple[int, ...]):
    one, none = (1,) * len(kernel), (0,) * len(kernel)
    return prepare_tiled_max_pool(x.shape, kernel, kernel, none, one, False, FLOAT)


@pytest.mark.parametrize(("shape", "kernel"), CASES)
@pytest.mark.parametrize("kind", ["normal", "ties", "nan", "infinite"])
def test_maxima_and_their_places(shape, kernel, kind: str) -> None:
    random = np.random.default_rng(0)
    x = random.standard_normal(shape, dtype=np.float32)
    if kind == "ties":
        x = np.round(x)
    elif kind == "nan":
        x.ravel()[random.integers(0, x.size, x.size // 4)] = np.nan
    elif kind == "infinite":
        x.ravel()[random.integers(0, x.size, x.size // 2)] = -np.inf
    for array in (x, np.asfortranarray(x)):
        found = prepare(array, kernel)(array)
        for mine, wanted in zip(found, expected(x, kernel), strict=True):
            np.testing.assert_array_equal(mine, wanted)
            assert mine.dtype == wanted.dtype


def test_the_input_is_left_alone() -> None:
    x = np.random.default_rng(0).standard_normal((1, 2, 4, 4), dtype=np.float32)
    before = x.copy()
    y, _ = prepare(x, (2, 2))(x)
    y[...] = 0
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("shape", "kernel", "stride", "padding", "dilation", "ceil"),
    [
        ((1, 1, 8, 8), (3, 3), (2, 2), (0, 0), (1, 1), False),
        ((1, 1, 8, 8), (2, 2), (2, 2), (1, 1), (1, 1), False),
        ((1, 1, 8, 8), (2, 2), (2, 2), (0, 0), (2, 2), False),
        ((1, 1, 7, 7), (2, 2), (2, 2), (0, 0), (1, 1), True),
        ((1, 1, 8, 8), (4, 4), (4, 4), (0, 0), (1, 1), False),
        ((1, MOST, 2, 2), (2, 2), (2, 2), (0, 0), (1, 1), False),
    ],
)
def test_others_are_left_to_the_library(shape, kernel, stride, padding, dilation, ceil) -> None:
    sizes = shape, kernel, stride, padding, dilation, ceil, FLOAT
    assert prepare_tiled_max_pool(*sizes) is None
