"""Softmax and layer normalisation against PyTorch's."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_normalization import (
    prepare_layer_norm,
    prepare_softmax,
)

torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")

FLOAT = np.dtype(np.float32)


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Random numbers."""
    return np.random.default_rng(seed).standard_normal(shape, dtype=np.float32)


def assert_close(result: np.ndarray, expected) -> None:
    """Equal up to rounding, relative to the largest element."""
    wanted = expected.detach().numpy()
    assert result.shape == wanted.shape
    assert np.abs(result - wanted).max() <= 1e-5 * max(1.0, np.abs(wanted).max())


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    ("shape", "axis"), [((64, 10), -1), ((2, 3, 16, 16), 3), ((7,), 0), ((5, 1), 1), ((3, 4, 5), 1)]
)
def test_softmax(shape: tuple[int, ...], axis: int, log: bool) -> None:
    x = normal(shape) * 5
    y = (torch.log_softmax if log else torch.softmax)(torch.from_numpy(x), axis)
    try:
        mine = prepare_softmax(shape, axis, log, FLOAT)(x)
    except onednn.Unsupported as error:
        pytest.skip(str(error))
    assert_close(mine, y)


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize(
    "row",
    [
        [np.nan, 0.0, 1.0],
        [np.inf, 0.0, 1.0],
        [-np.inf, 0.0, 1.0],
        [-np.inf, -np.inf, -np.inf],
        [200.0, 0.0, -200.0],
        [-3e38, 3e38, 0.0],
    ],
)
def test_softmax_of_unusual_values(row: list[float], log: bool) -> None:
    x = np.array([row, [1.0, 2.0, 3.0]], np.float32)
    expected = (torch.log_softmax if log else torch.softmax)(torch.from_numpy(x), 1).numpy()
    mine = prepare_softmax(x.shape, 1, log, FLOAT)(x)
    assert np.allclose(mine, expected, rtol=1e-5, atol=1e-6, equal_nan=True)


@pytest.mark.parametrize("weight", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("shape", "normalized"), [((8, 16, 32), 1), ((4, 6, 8), 2), ((3, 5), 1)])
def test_layer_norm(shape: tuple[int, ...], normalized: int, weight: bool, bias: bool) -> None:
    inner = shape[len(shape) - normalized :]
    x, w, b = normal(shape), normal(inner, 1), normal(inner, 2)
    affine = [torch.from_numpy(array) for array in (w, b)]
    y = torch.nn.functional.layer_norm(
        torch.from_numpy(x), inner, affine[0] if weight else None, affine[1] if bias else None
    )
    given = (shape, normalized, weight, bias, 1e-5, FLOAT)
    mine, mean, variance = prepare_layer_norm(*given)(x, w if weight else None, b if bias else None)
    assert_close(mine, y)
    rows = x.reshape(-1, int(np.prod(inner)))
    assert np.allclose(mean, rows.mean(1), atol=1e-6)
    assert np.allclose(variance, rows.var(1), rtol=1e-5)
