"""Pooling against PyTorch's: indices, ties, padding, NaN and infinities."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.engine.backends.cpu import onednn, onednn_pooling
from rushlight.engine.backends.cpu.onednn_pooling import (
    prepare_average_pool,
    prepare_max_pool,
)

torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")

FLOAT = np.dtype(np.float32)
functional = torch.nn.functional

#: Input, window, stride, padding, ceil_mode.
CASES = [
    ((4, 6, 28, 28), 2, 2, 0, False),
    ((4, 16, 10, 10), 2, 2, 0, False),
    ((32, 1, 28, 28), 2, 2, 0, False),
    ((2, 8, 13, 13), 3, 2, 1, False),
    ((2, 8, 13, 13), 3, 2, 1, True),
    ((2, 3, 9, 9), 2, 3, 0, True),
    ((2, 3, 9, 9), 3, 1, 1, False),
    ((1, 1, 4, 4), 4, 4, 0, False),
    ((2, 5, 21), 3, 2, 1, False),
    ((2, 4, 6, 7, 8), 2, 2, 0, False),
    ((2, 4, 6, 7, 8), 3, 2, 1, True),
    ((1, 2, 40, 40), 17, 5, 8, False),
]


def spread(case: tuple) -> tuple:
    """Window, stride and padding, one number per dimension."""
    x_shape, *numbers, _ = case
    return tuple((number,) * (len(x_shape) - 2) for number in numbers)


def named(kind: str, case: tuple):
    """PyTorch's function for these dimensions."""
    return getattr(functional, f"{kind}_pool{len(case[0]) - 2}d")


def values(shape: tuple[int, ...], special: str) -> np.ndarray:
    """What a ReLU leaves (many equal zeros), or something a maximum may stumble over."""
    source = np.random.default_rng(5)
    x = np.maximum(source.standard_normal(shape, dtype=np.float32), 0)
    if special == "nan":
        x.reshape(-1)[source.integers(0, x.size, 5)] = np.nan
    elif special == "-inf":
        x[:] = -np.inf
    elif special == "some -inf":
        x[:, :, :4] = -np.inf
    elif special == "lowest":
        x[:] = np.finfo(np.float32).min
    elif special == "inf":
        x.reshape(-1)[::3] = np.inf
    elif special == "negative":
        x = -1 - x
    return x


@pytest.mark.parametrize(
    "special", ["usual", "negative", "nan", "-inf", "some -inf", "inf", "lowest"]
)
@pytest.mark.parametrize("case", CASES, ids=str)
def test_max_pool(case: tuple, special: str) -> None:
    shape, kernel, stride, padding, ceil_mode = case
    x = values(shape, special)
    y, indices = named("max", case)(
        torch.from_numpy(x), kernel, stride, padding, ceil_mode=ceil_mode, return_indices=True
    )
    given = (shape, *spread(case), (1,) * (len(shape) - 2), ceil_mode, FLOAT)
    mine, places = prepare_max_pool(*given)(x)
    assert np.array_equal(mine, y.numpy(), equal_nan=True)
    assert places.dtype == np.int64
    assert np.array_equal(places, indices.numpy())
    alone = prepare_max_pool(*given, indices=False)(x)
    assert np.array_equal(alone, mine, equal_nan=True)


def beyond_the_padding(case: tuple) -> bool:
    """Whether a last window reaches further than the padding."""
    shape, kernel, stride, padding, _ = case
    window = onednn_pooling.Window(shape, *spread(case), (1,) * (len(shape) - 2), case[-1], FLOAT)
    return any(
        (count - 1) * stride + kernel > size + 2 * padding
        for size, count in zip(shape[2:], window.y_shape[2:], strict=True)
    )


@pytest.mark.parametrize("include", [False, True])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_average_pool(case: tuple, include: bool) -> None:
    shape, kernel, stride, padding, ceil_mode = case
    x = np.random.default_rng(5).standard_normal(shape, dtype=np.float32)
    y = named("avg", case)(torch.from_numpy(x), kernel, stride, padding, ceil_mode, include)
    given = (shape, *spread(case), ceil_mode, include, FLOAT)
    if include and beyond_the_padding(case):
        with pytest.raises(onednn.Unsupported, match="beyond"):
            prepare_average_pool(*given)
        return
    mine = prepare_average_pool(*given)(x)
    assert np.allclose(mine, y.numpy(), rtol=1e-5, atol=1e-6)


def test_dilated_maxima() -> None:
    x = values((2, 4, 12, 12), "usual")
    expected = functional.max_pool2d(torch.from_numpy(x), 3, 2, 1, 2, return_indices=True)
    try:
        y, places = prepare_max_pool(x.shape, (3, 3), (2, 2), (1, 1), (2, 2), False, FLOAT)(x)
    except onednn.Unsupported as error:
        pytest.skip(str(error))
    assert np.array_equal(y, expected[0].numpy())
    assert np.array_equal(places, expected[1].numpy())


@pytest.mark.parametrize("case", CASES, ids=str)
def test_the_way_for_unusual_values_agrees_on_usual_ones(case: tuple) -> None:
    shape, *_, ceil_mode = case
    x = values(shape, "usual")
    given = (shape, *spread(case), (1,) * (len(shape) - 2), ceil_mode, FLOAT)
    y, places = prepare_max_pool(*given)(x)
    window = onednn_pooling.Window(*given)
    out = np.empty(window.y_shape, FLOAT)
    found = window.offsets[onednn_pooling.slow_max_pool(window, x, out)] + window.first
    assert np.array_equal(out, y)
    assert np.array_equal(found, places)
