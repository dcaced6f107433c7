"""Matrix products against exact ones: strides, batches, biases, small sizes."""

from __future__ import annotations

import itertools

import ml_dtypes
import numpy as np
import pytest

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_matmul import prepare_matmul

pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")

FLOAT = np.dtype(np.float32)
PLAIN, TRANSPOSED, CUT = "plain", "transposed", "cut from a wider one"


def make(shape: tuple[int, ...], layout: str = PLAIN, seed: int = 0) -> np.ndarray:
    """A random array whose matrices lie in memory in one of three ways."""
    source = np.random.default_rng(seed)
    *batch, rows, columns = shape
    if layout == TRANSPOSED:
        made = source.standard_normal((*batch, columns, rows), dtype=np.float32)
        return made.swapaxes(-1, -2)
    if layout == CUT:
        return source.standard_normal((*batch, rows, columns + 3), dtype=np.float32)[..., :columns]
    return source.standard_normal(shape, dtype=np.float32)


def strides(array: np.ndarray) -> tuple[int, ...]:
    """Strides in elements."""
    return tuple(step // array.itemsize for step in array.strides)


def check(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """Compare with the product in double precision; errors relative to the sizes of the terms."""
    size = None if bias is None else bias.shape
    call = prepare_matmul(a.shape, strides(a), b.shape, strides(b), size, FLOAT)
    y = call(a, b, bias)
    wide = a.astype(np.float64) @ b.astype(np.float64)
    scale = np.abs(a).astype(np.float64) @ np.abs(b)
    if bias is not None:
        wide, scale = wide + bias, scale + np.abs(bias)
    assert y.shape == wide.shape
    assert y.flags.c_contiguous
    assert (np.abs(y - wide) <= 1e-6 * scale).all()
    out = np.empty_like(y)
    assert call(a, b, bias, out=out) is out
    assert np.array_equal(out, y)
    return y


LAYOUTS = list(itertools.product((PLAIN, TRANSPOSED, CUT), repeat=2))


@pytest.mark.parametrize("with_bias", [False, True])
@pytest.mark.parametrize("layouts", LAYOUTS)
@pytest.mark.parametrize(
    "size",
    [
        (64, 100, 80), (256, 30, 64), (128, 100, 96), (1, 200, 80), (50, 300, 1), (1, 30000, 1),
        (4, 3, 2), (64, 1000, 10),
    ],
)  # fmt: skip
def test_two_matrices(size: tuple[int, int, int], layouts, with_bias: bool) -> None:
    m, k, n = size
    bias = make((1, n), seed=3)[0] if with_bias else None
    check(make((m, k), layouts[0]), make((k, n), layouts[1], 1), bias)


BATCHES = [
    ((3,), (3,)),
    ((3,), ()),
    ((), (3,)),
    ((2, 3), (2, 3)),
    ((2, 1), (3,)),
    ((2, 3), (1,)),
    ((2, 3), (2, 1)),
    ((4, 1, 2), (2,)),
    ((2, 3, 4), (2, 3, 4)),
]


@pytest.mark.parametrize("layouts", LAYOUTS)
@pytest.mark.parametrize("batches", BATCHES)
@pytest.mark.parametrize("size", [(5, 7, 6), (1, 16, 8), (9, 16, 1)])
def test_batches(batches, size: tuple[int, int, int], layouts) -> None:
    m, k, n = size
    a, b = make((*batches[0], m, k), layouts[0]), make((*batches[1], k, n), layouts[1], 1)
    check(a, b)
    check(a, b, make((1, n), seed=3)[0])


def test_expanded_batches_are_not_copied() -> None:
    a = np.broadcast_to(make((1, 5, 7)), (3, 5, 7))
    check(a, make((3, 7, 4), seed=1))


def test_heads_of_attention_are_read_where_they_lie() -> None:
    q = make((2, 6, 3, 8)).transpose(0, 2, 1, 3)
    k = make((2, 6, 3, 8), seed=1).transpose(0, 2, 3, 1)
    check(q, k)


def test_other_strides_than_prepared_for() -> None:
    a, b = make((40, 60)), make((60, 50), seed=1)
    call = prepare_matmul(a.shape, strides(a), b.shape, strides(b), None, FLOAT)
    assert np.allclose(call(np.asfortranarray(a), b), call(a, b), rtol=1e-5)


def test_bfloat16() -> None:
    kind = np.dtype(ml_dtypes.bfloat16)
    a, b = make((32, 64)).astype(kind), make((64, 48), seed=1).astype(kind)
    try:
        call = prepare_matmul(a.shape, (64, 1), b.shape, (48, 1), None, kind)
    except onednn.Unsupported as error:
        pytest.skip(f"this processor has no code for bfloat16: {error}")
    expected = a.astype(np.float32) @ b.astype(np.float32)
    assert np.abs(call(a, b).astype(np.float32) - expected).max() <= 1e-2 * np.abs(expected).max()


def test_what_onednn_lacks_is_unsupported() -> None:
    b = make((600, 500))
    with pytest.raises(onednn.Unsupported, match="strides"):
        prepare_matmul((400, 600), (1200, 2), b.shape, strides(b), None, FLOAT)
    with pytest.raises(onednn.Unsupported, match="bias"):
        prepare_matmul((400, 600), (600, 1), b.shape, strides(b), (400, 1), FLOAT)
    with pytest.raises(onednn.Unsupported, match="float64"):
        prepare_matmul((400, 600), (600, 1), b.shape, strides(b), None, np.dtype(np.float64))


def test_not_a_number_is_passed_on() -> None:
    for m in (1, 30):
        a, b = make((m, 200)), make((200, 100), seed=1)
        a[0, 5] = np.nan
        y = prepare_matmul(a.shape, strides(a), b.shape, strides(b), None, FLOAT)(a, b)
        assert np.isnan(y[0]).all()
        assert np.isfinite(y[1:]).all()
