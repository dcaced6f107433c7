"""Pointwise kernels where they take another way: large arrays, single precision, hard numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight.engine.ops import arithmetic_division, special_erf
from rushlight.engine.ops.blend import MASKED_FROM
from rushlight.engine.ops.elementwise import INTO_FROM

pytestmark = pytest.mark.filterwarnings("ignore:.*encountered in:RuntimeWarning")

LARGE = 2 * max(MASKED_FROM, INTO_FROM) + 3


def numbers(seed: int, size: int = LARGE, dtype: str = "float32") -> np.ndarray:
    """Random numbers with a few NaN, infinities and zeros of both signs."""
    made = np.random.default_rng(seed).normal(size=size).astype(dtype)
    made[:5] = [np.nan, np.inf, -np.inf, 0.0, -0.0]
    return made


def gradient(function, array: np.ndarray, incoming: np.ndarray) -> np.ndarray:
    x = torch.tensor(array, requires_grad=True)
    function(x).backward(torch.tensor(incoming))
    return x.grad.numpy()


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64", "int32", "int64"])
def test_where_by_bits(dtype: str) -> None:
    x, y = (np.nan_to_num(numbers(i), posinf=9, neginf=-9).astype(dtype) for i in (1, 2))
    mask = np.random.default_rng(3).random(LARGE) < 0.5
    for first, second in ((x, y), (x, 2), (0, y), (x, 0)):
        ours = torch.where(
            torch.tensor(mask),
            torch.tensor(first) if isinstance(first, np.ndarray) else first,
            torch.tensor(second) if isinstance(second, np.ndarray) else second,
        )
        expected = np.where(mask, first, second).astype(dtype)
        np.testing.assert_array_equal(ours.numpy(), expected)


def test_where_broadcasts_by_bits() -> None:
    mask = np.random.default_rng(1).random((64, 1, 128)) < 0.5
    x = np.random.default_rng(2).normal(size=(1, 32, 128)).astype("float32")
    ours = torch.where(torch.tensor(mask), torch.tensor(x), -math.inf)
    np.testing.assert_array_equal(ours.numpy(), np.where(mask, x, np.float32(-np.inf)))


PIECES = {
    "relu": (F.relu, lambda x: np.maximum(x, 0), lambda x: x > 0),
    "hardtanh": (F.hardtanh, lambda x: np.clip(x, -1, 1), lambda x: (x > -1) & (x < 1)),
    "clamp": (lambda x: x.clamp(-1, 0.5), lambda x: np.clip(x, -1, 0.5),
              lambda x: (x >= -1) & (x <= 0.5)),
    "hardshrink": (F.hardshrink, lambda x: np.where(np.abs(x) <= 0.5, 0, x),
                   lambda x: ~(np.abs(x) <= 0.5)),
}  # fmt: skip


@pytest.mark.parametrize("name", PIECES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_pieces(name: str, dtype: str) -> None:
    function, reference, passes = PIECES[name]
    x, g = numbers(1, dtype=dtype), numbers(2, dtype=dtype)[::-1].copy()
    np.testing.assert_array_equal(function(torch.tensor(x)).numpy(), reference(x).astype(dtype))
    known = ~np.isnan(x)
    expected = np.where(passes(x), g, 0).astype(dtype)
    np.testing.assert_array_equal(gradient(function, x, g)[known], expected[known])


def test_relu_blocks_an_infinite_gradient() -> None:
    x = np.full(LARGE, -1.0, "float32")
    assert not gradient(F.relu, x, np.full(LARGE, np.inf, "float32")).any()


@pytest.mark.parametrize("slope", [0.01, 0.0, 1.0, 1.5, -0.5])
def test_leaky_relu(slope: float) -> None:
    x, g = numbers(1)[5:], numbers(2)[5:]
    expected = np.where(x > 0, x, x * np.float32(slope))
    np.testing.assert_array_equal(F.leaky_relu(torch.tensor(x), slope).numpy(), expected)
    expected = np.where(x > 0, g, g * np.float32(slope))
    ours = gradient(lambda t: F.leaky_relu(t, slope), x, g)
    np.testing.assert_array_equal(ours, expected)


def test_writing_over_an_input_nobody_needs() -> None:
    x, y = (np.random.default_rng(i).normal(size=LARGE).astype("float32") for i in (1, 2))
    kept = torch.tensor(x)
    made = kept + torch.tensor(y)
    total = ((made * 2 - made) * made).maximum(kept)
    made.add_(1, alpha=3).lerp_(kept, 0.25).addcmul_(kept, kept, value=0.5)
    expected = x + y
    np.testing.assert_allclose(total.numpy(), np.maximum(expected * expected, x), rtol=1e-6)
    moved = expected + 3
    moved = moved + (x - moved) * 0.25 + 0.5 * x * x
    np.testing.assert_allclose(made.numpy(), moved, rtol=1e-5, atol=1e-6)
    np.testing.assert_array_equal(kept.numpy(), x)


# division ---------------------------------------------------------------------------------------

HARD = np.array(
    [0.0, -0.0, 1.0, -1.0, 3.0, 0.1, -0.1, 1e-30, -1e-30, 1e30, -1e30, 16777216.0, 16777215.0,
     1.5, 2.9999998, np.inf, -np.inf, np.nan, 1e-45, 3.4e38],
    "float32",
)  # fmt: skip


@pytest.mark.parametrize(
    ("ours", "reference"),
    [
        (arithmetic_division.remainder_floats, np.remainder),
        (arithmetic_division.fmod_floats, np.fmod),
        (arithmetic_division.floor_divide_floats, np.floor_divide),
    ],
)
def test_division_of_singles(ours, reference) -> None:
    draw = np.random.default_rng(1)
    with np.errstate(all="ignore"):
        x, y = (draw.normal(size=20000).astype("float32") for _ in range(2))
        # whole multiples of the divisor and their neighbours
        near = np.nextafter(y * draw.integers(-999, 999, y.size).astype("float32"), np.float32(0))
        for a, b in ((x, y), (near, y), (x, np.float32(0.3)), (x * 1000, y)):
            np.testing.assert_array_equal(ours(a, b), reference(a, b))
        for a in HARD:
            for b in HARD:
                np.testing.assert_array_equal(
                    ours(np.array([a]), np.array([b])), reference(np.array([a]), np.array([b]))
                )


@pytest.mark.parametrize("function", ["remainder", "fmod", "floor_divide"])
def test_integers_by_zero(function: str) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        getattr(torch, function)(torch.tensor([1, 2]), torch.tensor([1, 0])).tolist()
    with pytest.raises(RuntimeError, match="ZeroDivisionError"):
        torch.div(torch.tensor([1, 2]), 0, rounding_mode="trunc").tolist()


def test_truncated_quotients_of_integers() -> None:
    x = torch.tensor([-7, 7, -6, 6, -1])
    assert torch.div(x, 3, rounding_mode="trunc").tolist() == [-2, 2, -2, 2, 0]
    assert torch.div(x, 3, rounding_mode="floor").tolist() == [-3, 2, -2, 2, -1]


# error functions --------------------------------------------------------------------------------


def test_erf_in_single_precision() -> None:
    x = np.linspace(-6, 6, 20001).astype("float32")
    exact = np.array([math.erf(float(v)) for v in x])
    ours = special_erf.erf_float32(x)
    assert np.abs(ours - exact).max() < 3e-7
    assert (np.abs(ours - exact) <= 4e-7 * np.abs(exact)).all()
    blocks = special_erf.erf_float32(np.tile(x, 9))
    np.testing.assert_array_equal(blocks, np.tile(ours, 9))
    edges = special_erf.erf_float32(np.array([np.inf, -np.inf, 3e38, -0.0, np.nan], "float32"))
    np.testing.assert_array_equal(edges, np.array([1, -1, 1, 0, np.nan], "float32"))


def test_erfinv_in_single_precision() -> None:
    x = np.linspace(-0.999999, 0.999999, 20001).astype("float32")
    back = np.array([math.erf(float(v)) for v in special_erf.erfinv_float32(x)])
    # erf is steep or flat; what is asked is that erfinv is right to some roundings
    slope = 2 / math.sqrt(math.pi) * np.exp(-special_erf.erfinv_float32(x).astype(float) ** 2)
    assert (np.abs(back - x) <= 4e-7 * np.abs(special_erf.erfinv_float32(x)) * slope + 1e-9).all()
    edges = special_erf.erfinv_float32(np.array([1, -1, 0, 1.5, np.nan], "float32"))
    np.testing.assert_array_equal(edges, np.array([np.inf, -np.inf, 0, np.nan, np.nan], "float32"))


# powers -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("exponent", [-4, -3, -1.5, -0.5, 0, 0.5, 1.5, 3, 7, 8, 11, -5, 2.5])
def test_powers_by_numbers(exponent: float) -> None:
    x = np.array([-3.0, -1.0, -0.5, 0.0, 0.5, 1.0, 2.5, np.inf, -np.inf, np.nan])
    with np.errstate(all="ignore"):
        expected = np.array([math.nan if v < 0 and exponent % 1 and not math.isinf(v)
                             else np.power(v, exponent) for v in x])  # fmt: skip
    ours = torch.tensor(x) ** exponent
    if exponent in (0.5, -0.5, 1.5, -1.5):
        expected[-2] = math.nan  # the root of minus infinity, as PyTorch has it for 0.5
        ours, expected = ours[:-2], expected[:-2]
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-12)


def test_powers_of_integers() -> None:
    x = torch.tensor([-2, -1, 0, 1, 2])
    assert (x**3).tolist() == [-8, -1, 0, 1, 8]
    assert torch.pow(x[[0, 1, 3, 4]], torch.tensor([-1, -3, -2, -2])).tolist() == [0, -1, 1, 0]
    with pytest.raises(RuntimeError, match="Integers to negative integer powers"):
        x**-1


# storing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dtype", "value", "name"),
    [("uint8", 300, "uint8_t"), ("int64", math.nan, "int64_t"), ("float32", 1j, "float")],
)
def test_fill_refuses_what_does_not_fit(dtype: str, value: complex, name: str) -> None:
    with pytest.raises(RuntimeError, match=f"cannot be converted to type {name} without overflow"):
        torch.zeros(2, dtype=getattr(torch, dtype)).fill_(value)


def test_parts_of_complex_numbers_are_views() -> None:
    x = torch.zeros(3, dtype=torch.complex64)
    x.real = torch.tensor([1.0, 2.0, 3.0])
    x.imag.fill_(0.5)
    x[1].real.add_(1)
    assert x.tolist() == [1 + 0.5j, 3 + 0.5j, 3 + 0.5j]
    torch.view_as_real(x)[:, 1] = 0
    assert x.tolist() == [1, 3, 3]


def test_written_over_values_leave_the_graph() -> None:
    leaf = torch.ones(3, requires_grad=True)
    for write in (
        lambda t: t.zero_(),
        lambda t: t.fill_(2),
        lambda t: t.copy_(torch.zeros(3)),
        lambda t: t.eq_(1),
    ):
        x = leaf * 2
        write(x)
        assert x.requires_grad
        (gradient_,) = torch.autograd.grad(x.sum(), leaf)
        assert gradient_.tolist() == [0, 0, 0]
