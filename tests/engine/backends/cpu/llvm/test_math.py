"""Functions of mathematics: distance from float64 (float32) and from longdouble (float64)."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from rushlight.engine.core.dtype import dtype, float32, float64
from rushlight.engine.ir.loops import Buffer, Loop, load
from rushlight.engine.ir.scalar import function
from tests.engine.backends.cpu.llvm.interpret import UNARY, Native, elementwise, flat, ulps

#: Units in the last place that float32 results may be off, over all of float32.
LIMITS_32 = {
    "exp": 1.1, "exp2": 1.2, "expm1": 1.7, "sigmoid": 2.5, "tanh": 2.5, "log": 1.0, "log1p": 1.0,
    "log2": 1.1, "log10": 1.1, "erf": 1.5, "sin": 1.7, "cos": 1.7,
}  # fmt: skip
#: The same for those that the C library computes.
LIBRARY_32 = {
    "tan": 4, "asin": 4, "acos": 4, "atan": 4, "sinh": 4, "cosh": 4, "asinh": 4, "acosh": 4,
    "atanh": 4,
}  # fmt: skip
LIMITS_64 = {"exp": 1.1, "exp2": 1.3, "expm1": 2.0, "sigmoid": 2.5, "tanh": 2.7, "log": 1.0,
             "log1p": 1.0}  # fmt: skip
LIBRARY_64 = {
    "log2": 2, "log10": 2, "sin": 2, "cos": 2, "tan": 2, "asin": 2, "acos": 2, "atan": 2,
    "sinh": 3, "cosh": 2, "asinh": 3, "acosh": 3, "atanh": 3, "erf": 4,
}  # fmt: skip


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Overflow and NaN are what is tested."""
    with np.errstate(all="ignore"):
        yield


SPECIAL = [
    0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 2, 4, 8, 10, 100, 1000, 0.5, -0.5, 1e-40, -1e-40,
    88.72283, 88.72284, 88.73, -87.33654, -87.33655, -103.97, -103.98, -104.1, 128.0, 127.99999,
    -149.0, -149.5, -150.0, -151.0, 16777216.0, 3.4e38, -3.4e38, 1.1754944e-38, 1e-45, -1e-45,
    709.78, 709.79, -745.13, -745.14, 1023.99, 1024, -1074, -1075, -1076,
]  # fmt: skip


def run(name: str, kind: dtype, *arrays: np.ndarray) -> np.ndarray:
    """A function of arrays of one type."""
    loop = Loop(arrays[0].size)
    buffers = [Buffer(kind) for _ in arrays]
    out = np.zeros_like(arrays[0])
    expr = function(name, *(load(b, flat(loop)) for b in buffers))
    Native(elementwise(expr, buffers, Buffer(kind), loop), [*arrays, out])()
    return out


def dense_32() -> np.ndarray:
    """Numbers spread over all bit patterns, and more where functions do something."""
    random = np.random.default_rng(3)
    patterns = np.arange(0, 1 << 32, 4093, dtype=np.uint64).astype(np.uint32).view(np.float32)
    parts = [
        np.array(SPECIAL),
        random.standard_normal(1 << 17) * 3,
        np.linspace(-110, 110, 1 << 17),
        1 + random.standard_normal(1 << 16) * 0.1,
    ]
    return np.concatenate([patterns, *(p.astype(np.float32) for p in parts)])


def dense_64() -> np.ndarray:
    random = np.random.default_rng(4)
    return np.concatenate([
        np.array(SPECIAL), random.standard_normal(1 << 15) * 3, np.linspace(-750, 750, 1 << 15),
        np.exp(random.uniform(-700, 700, 1 << 14)), -np.exp(random.uniform(-700, 700, 1 << 14)),
        1 + random.standard_normal(1 << 14) * 1e-2, random.uniform(-1, 1, 1 << 14),
    ])  # fmt: skip


def exact(name: str, x: np.ndarray) -> np.ndarray:
    """The function in the type of ``x``; the sigmoid without overflow."""
    if name == "sigmoid":
        e = np.exp(-np.abs(x))
        return np.where(x < 0, e, np.where(np.isnan(x), x, 1.0)) / (1 + e)
    if name == "erf":  # SciPy has it for float64 alone
        return UNARY[name](x.astype(np.float64)).astype(x.dtype)
    return UNARY[name](x)


def check(name: str, found: np.ndarray, wanted: np.ndarray, x: np.ndarray, limit: float) -> None:
    off = ulps(found, wanted)
    worst = int(off.argmax())
    message = f"{name}({x[worst]!r}) is {found[worst]!r} not {wanted[worst]!r}: {off[worst]} ulp"
    assert off[worst] <= limit, message
    signs = (np.signbit(found) != np.signbit(wanted)) & ~np.isnan(found)
    assert not signs.any(), f"{name}: wrong sign for {x[signs][:5]}"


@pytest.mark.parametrize("name", [*LIMITS_32, *LIBRARY_32])
def test_float32(name: str) -> None:
    x = dense_32()
    limit = LIMITS_32.get(name) or LIBRARY_32[name]
    check(name, run(name, float32, x), exact(name, x.astype(np.float64)), x, limit)


@pytest.mark.parametrize("name", [*LIMITS_64, *LIBRARY_64])
def test_float64(name: str) -> None:
    x = dense_64()
    if np.finfo(np.longdouble).nmant <= 52:
        pytest.skip("no wider type to compare with")
    limit = LIMITS_64.get(name) or LIBRARY_64[name]
    check(name, run(name, float64, x), exact(name, x.astype(np.longdouble)), x, limit)


@pytest.mark.parametrize("name", ["sin", "cos"])
def test_waves_of_huge_numbers(name: str) -> None:
    x = np.concatenate([s * 2.0 ** np.arange(-10, 127, 0.37) for s in (1, -1)]).astype(np.float32)
    near = (np.arange(1, 1 << 16, 7) * (np.pi / 2)).astype(np.float32)
    x = np.concatenate([x, near, -near])
    check(name, run(name, float32, x), exact(name, x.astype(np.float64)), x, 1.7)


POWERS = np.array([
    0, -0.0, 1, -1, 2, -2, 3, -3, 0.5, -0.5, 1.5, np.inf, -np.inf, np.nan, 1e-45, -1e-45, 3e38,
    -3e38, 1e38, 2.0**24 + 2, -(2.0**24 + 2), 1 - 6e-8, 1 + 1.2e-7, 5, -5, 0.3, 16777215, -7,
], np.float32)  # fmt: skip


@pytest.mark.parametrize("kind", [float32, float64], ids=str)
def test_special_cases_of_powers(kind: dtype) -> None:
    x, y = (a.reshape(-1).astype(kind.numpy) for a in np.meshgrid(POWERS, POWERS))
    wanted = np.power(x.astype(np.float64), y.astype(np.float64))
    check("pow", run("pow", kind, x, y), wanted, x, 0.6 if kind is float32 else 1.0)


@pytest.mark.parametrize("near_one", [False, True])
def test_powers(near_one: bool) -> None:
    random = np.random.default_rng(8)
    count = 1 << 17
    if near_one:
        x = (1 + random.standard_normal(count) * 1e-3).astype(np.float32)
        y = random.uniform(-80000, 80000, count).astype(np.float32)
    else:
        x = np.exp(random.uniform(-100, 80, count)).astype(np.float32)
        wide = random.uniform(-105, 95, count) / np.maximum(np.abs(np.log(x)), 1e-3)
        y = wide.astype(np.float32)
    wanted = np.power(x.astype(np.float64), y.astype(np.float64))
    check("pow", run("pow", float32, x, y), wanted, x, 0.6)


@pytest.mark.parametrize("kind", [float32, float64], ids=str)
@pytest.mark.parametrize("name", ["atan2", "fmod"])
def test_functions_of_two_numbers(name: str, kind: dtype) -> None:
    x, y = (a.reshape(-1).astype(kind.numpy) for a in np.meshgrid(POWERS, POWERS))
    ufunc = {"atan2": np.arctan2, "fmod": np.fmod}[name]
    wanted = ufunc(x.astype(np.float64), y.astype(np.float64))
    check(name, run(name, kind, x, y), wanted, x, 2)
