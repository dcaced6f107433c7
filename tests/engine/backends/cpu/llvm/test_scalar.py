"""Every operation on every type, against NumPy, over numbers chosen to be awkward."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest

from rushlight.engine.core.dtype import (
    BY_NAME,
    FLOATING,
    bfloat16,
    bool_,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
    uint32,
)
from rushlight.engine.ir import scalar
from rushlight.engine.ir.loops import Buffer, Loop, load
from rushlight.engine.ir.scalar import Expr, bits, cast, const, function, where
from tests.engine.backends.cpu.llvm.interpret import (
    BINARY,
    UNARY,
    Native,
    converted,
    elementwise,
    flat,
)

INTEGERS = [uint8, int8, int16, int32, int64]
FLOATS = [float32, float64]
EVERY = [bool_, *INTEGERS, *FLOATS]


def awkward(kind: dtype, count: int = 203) -> np.ndarray:
    """Numbers of a type: its limits, what lies around zero, and random ones."""
    random = np.random.default_rng(5)
    if kind is bool_:
        return random.integers(0, 2, count).astype(bool)
    if kind.category == FLOATING:
        info = np.finfo(kind.numpy)
        special = [0.0, -0.0, 1, -1, 0.5, -0.5, 1.5, 2.5, -2.5, np.inf, -np.inf, np.nan,
                   info.max, info.min, info.tiny, -info.tiny, info.smallest_subnormal]  # fmt: skip
        rest = random.standard_normal(count - len(special)) * 10 ** random.uniform(
            -3, 3, count - len(special)
        )
        return np.concatenate([special, rest]).astype(kind.numpy)
    limits = np.iinfo(kind.numpy)
    ends = [limits.min, limits.min + 1, limits.max, limits.max - 1, 0, 1, 2, 3]
    if limits.min < 0:
        ends += [-1, -2]
    rest = random.integers(limits.min, limits.max, count - len(ends), dtype=kind.numpy)
    return np.concatenate([np.array(ends, kind.numpy), rest])


def pairs(kind: dtype) -> tuple[np.ndarray, np.ndarray]:
    """All pairs of some awkward numbers, and random ones."""
    some = awkward(kind)[:24]
    x, y = np.meshgrid(some, some)
    random = np.random.default_rng(6)
    more = awkward(kind)
    return (
        np.concatenate([x.reshape(-1), more]),
        np.concatenate([y.reshape(-1), random.permutation(more)]),
    )


def compute(make: Any, kinds: list[dtype], arrays: list[np.ndarray], result: dtype) -> np.ndarray:
    """``make(elements)`` for all elements, natively."""
    loop = Loop(arrays[0].size)
    buffers = [Buffer(kind, f"x{k}") for k, kind in enumerate(kinds)]
    out = Buffer(result, "out")
    expr = make(*(load(b, flat(loop)) for b in buffers))
    made = np.zeros(arrays[0].size, result.numpy)
    Native(elementwise(expr, buffers, out, loop), [*arrays, made])()
    return made


def equal(x: np.ndarray, y: np.ndarray) -> None:
    """The same numbers, of whatever sign zero is; NaN is NaN."""
    np.testing.assert_array_equal(x, y)


@pytest.mark.parametrize("kind", EVERY, ids=str)
@pytest.mark.parametrize("op", sorted(scalar.COMPARISONS))
def test_comparisons(op: str, kind: dtype) -> None:
    x, y = pairs(kind)
    found = compute(lambda a, b: Expr(op, (a, b), bool_), [kind, kind], [x, y], bool_)
    equal(found, BINARY[op](x, y))


@pytest.mark.parametrize("kind", EVERY, ids=str)
@pytest.mark.parametrize("op", ["add", "mul", "minimum", "maximum", "and", "or", "xor", "sub"])
def test_arithmetic(op: str, kind: dtype) -> None:
    if kind.category == FLOATING and op in ("and", "or", "xor"):
        pytest.skip("not for floating-point numbers")
    x, y = pairs(kind)
    found = compute(lambda a, b: function(op, a, b), [kind, kind], [x, y], kind)
    with np.errstate(all="ignore"):
        equal(found, x ^ y if kind is bool_ and op == "sub" else BINARY[op](x, y))


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@pytest.mark.parametrize("op", ["div", "copysign", "fmod"])
def test_arithmetic_of_floating_point_numbers(op: str, kind: dtype) -> None:
    x, y = pairs(kind)
    found = compute(lambda a, b: function(op, a, b), [kind, kind], [x, y], kind)
    with np.errstate(all="ignore"):
        equal(found, BINARY[op](x, y))


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
@pytest.mark.parametrize("op", ["quotient", "rest"])
def test_division_of_numbers_that_are_not_negative(op: str, kind: dtype) -> None:
    x, y = (np.where(v < 0, v & kind.numpy.type(np.iinfo(kind.numpy).max), v) for v in pairs(kind))
    found = compute(lambda a, b: function(op, a, b), [kind, kind], [x, y], kind)
    with np.errstate(all="ignore"):
        equal(found, BINARY[op](x, y))
    found = compute(lambda a: function(op, a, 7), [kind], [x], kind)
    equal(found, BINARY[op](x, kind.numpy.type(7)))


@pytest.mark.parametrize("kind", [int8, int32, int64], ids=str)
def test_remainder_with_the_sign_of_the_dividend(kind: dtype) -> None:
    x, y = pairs(kind)
    found = compute(lambda a, b: function("fmod", a, b), [kind, kind], [x, y], kind)
    with np.errstate(all="ignore"):
        equal(found, np.fmod(x, y))


@pytest.mark.parametrize("kind", INTEGERS, ids=str)
@pytest.mark.parametrize("op", ["shl", "shr"])
def test_shifts(op: str, kind: dtype) -> None:
    x, y = pairs(kind)
    y = np.where(np.arange(y.size) % 2 == 0, y % kind.numpy.type(kind.itemsize * 8), y)
    found = compute(lambda a, b: function(op, a, b), [kind, kind], [x, y], kind)
    equal(found, BINARY[op](x, y))
    found = compute(lambda a: function(op, a, 3), [kind], [x], kind)
    equal(found, BINARY[op](x, kind.numpy.type(3)))


@pytest.mark.parametrize("op", ["shl", "shr"])
def test_shifts_by_another_type(op: str) -> None:
    x = awkward(int8)
    by = np.arange(x.size).astype(np.int64) - 20
    found = compute(lambda a, b: Expr(op, (a, b), int8), [int8, int64], [x, by], int8)
    wide = x.astype(np.int64)
    inside = (by >= 0) & (by < 8)
    shifted = BINARY[op](wide, np.clip(by, 0, 7)).astype(np.int8)
    equal(found, np.where(inside, shifted, np.where((op == "shr") & (x < 0), -1, 0)))


@pytest.mark.parametrize("kind", EVERY, ids=str)
@pytest.mark.parametrize(
    "op", ["neg", "not", "abs", "sqrt", "floor", "ceil", "trunc", "round", "isnan"]
)
def test_functions_without_rounding_error(op: str, kind: dtype) -> None:
    floating = kind.category == FLOATING
    if (op == "not" and floating) or (op == "sqrt" and not floating):
        pytest.skip("not for this type")
    if kind is bool_ and op == "neg":
        pytest.skip("not for booleans")
    x = awkward(kind)
    result = bool_ if op == "isnan" else kind
    found = compute(lambda a: function(op, a), [kind], [x], result)
    with np.errstate(all="ignore"):
        wanted = UNARY[op](x) if floating or op in ("neg", "not", "abs") else x
    equal(found, np.zeros(x.size, bool) if op == "isnan" and not floating else wanted)
    if floating and op != "isnan":
        equal(np.signbit(found[:8]), np.signbit(wanted[:8]))


@pytest.mark.parametrize("after", EVERY, ids=str)
@pytest.mark.parametrize("before", EVERY, ids=str)
def test_conversions(before: dtype, after: dtype) -> None:
    x = awkward(before)
    if before.category == FLOATING and after.category not in (FLOATING, bool_.category):
        limits = np.iinfo(after.numpy)
        low = -(2.0**31) if limits.bits < 32 else float(limits.min)
        high = 2.0**31 - 1024 if limits.bits <= 32 else 2.0**62
        x = np.where((x > low) & (x < high), x, 3.7).astype(before.numpy)
    found = compute(lambda a: cast(a, after), [before], [x], after)
    with np.errstate(all="ignore"):
        equal(found, converted(x, after))


def test_conversion_from_unsigned() -> None:
    x = np.array([0, 1, 2**31, 2**32 - 1], np.uint32)
    for kind in (float32, float64, int64, uint8):
        equal(compute(lambda a, k=kind: cast(a, k), [uint32], [x], kind), x.astype(kind.numpy))


def test_what_does_not_fit_an_integer_stops_nothing() -> None:
    x = np.array([1e30, -1e30, np.nan, np.inf, 5.0] * 9, np.float32)
    for kind in INTEGERS:
        found = compute(lambda a, k=kind: cast(a, k), [float32], [x], kind)
        assert found[4] == 5


@pytest.mark.parametrize("kind", [float16, bfloat16], ids=str)
def test_half_types_round_to_nearest_even(kind: dtype) -> None:
    every = np.arange(1 << 16, dtype=np.uint16).view(kind.numpy)
    found = compute(lambda a: a, [kind], [every], float32)
    equal(found, every.astype(np.float32))
    back = compute(lambda a: a, [kind], [every], kind)
    numbers = ~np.isnan(every.astype(np.float32))
    equal(back.view(np.uint16)[numbers], every.view(np.uint16)[numbers])
    assert np.isnan(back.astype(np.float32)[~numbers]).all()
    # Numbers in the middle of two, and right beside it; subnormals; what overflows.
    with np.errstate(all="ignore"):
        wide = every.astype(np.float32)
        middle = (wide[:-1] + wide[1:]) / 2
        x = np.concatenate([middle, np.nextafter(middle, np.inf), np.nextafter(middle, -np.inf)])
        x = np.concatenate([x, awkward(float32)])
        equal(
            compute(lambda a: a, [float32], [x], kind).astype(np.float32),
            x.astype(kind.numpy).astype(np.float32),
        )


@pytest.mark.parametrize("kind", [float16, bfloat16], ids=str)
def test_rounding_to_a_half_type_in_registers(kind: dtype) -> None:
    x = awkward(float32)
    with np.errstate(all="ignore"):
        wanted = x.astype(kind.numpy).astype(np.float32)
    equal(compute(lambda a: scalar.rounded(a, kind), [float32], [x], float32), wanted)
    stays = compute(lambda a: a.eq(scalar.rounded(a, kind)), [float32], [x], bool_)
    equal(stays, x == wanted)


def test_half_types_are_computed_with_as_float32() -> None:
    x = np.array([1.0, 3e4, 1 / 3], np.float16)
    equal(compute(lambda a: a * 3.0 / 3.0, [float16], [x], float16), x)
    y = np.array([1.0, 1 / 3, 7], ml_dtypes.bfloat16)
    expected = (y.astype(np.float32) * np.float32(1.5)).astype(ml_dtypes.bfloat16)
    equal(compute(lambda a: a * 1.5, [bfloat16], [y], bfloat16), expected)


@pytest.mark.parametrize("kind", EVERY, ids=str)
def test_where(kind: dtype) -> None:
    x, y = pairs(kind)
    condition = np.arange(x.size) % 3 == 0
    found = compute(lambda c, a, b: where(c, a, b), [bool_, kind, kind], [condition, x, y], kind)
    equal(found, np.where(condition, x, y))


@pytest.mark.parametrize("kind", EVERY, ids=str)
def test_numbers_in_the_code(kind: dtype) -> None:
    for x in awkward(kind)[:24]:
        found = compute(lambda a, v=x: const(v.item(), kind), [kind], [awkward(kind)], kind)
        equal(found, np.full(found.size, x))


def test_integers_in_the_code_wrap_around() -> None:
    assert compute(lambda a: const(300, uint8), [uint8], [awkward(uint8)], uint8)[0] == 44
    assert compute(lambda a: const(200, int8), [uint8], [awkward(uint8)], int8)[0] == -56
    assert compute(lambda a: const(1e300, float32), [uint8], [awkward(uint8)], float32)[0] == np.inf


@pytest.mark.parametrize("kind, other", [(float32, int32), (float64, int64)])
def test_bits(kind: dtype, other: dtype) -> None:
    x = awkward(kind)
    equal(compute(lambda a: bits(a, other), [kind], [x], other), x.view(other.numpy))
    flipped = compute(lambda a: bits(bits(a, other) ^ 1, kind), [kind], [x], kind)
    equal(flipped.view(other.numpy), x.view(other.numpy) ^ other.numpy.type(1))


@pytest.mark.parametrize("op", ["minimum", "maximum"])
@pytest.mark.parametrize("number", [0.0, 1.5, float("nan"), float("inf")])
def test_extremes_with_a_number_keep_nan(op: str, number: float) -> None:
    x = awkward(float32)
    for make in (lambda a: function(op, a, number), lambda a: function(op, number, a)):
        equal(compute(make, [float32], [x], float32), BINARY[op](x, np.float32(number)))


@pytest.mark.parametrize("name", sorted(BY_NAME))
def test_every_type_is_known_or_refused(name: str) -> None:
    kind = BY_NAME[name]
    x = np.zeros(3, kind.numpy)
    if name.startswith(("complex", "float8")):
        with pytest.raises(TypeError):
            compute(lambda a: a, [kind], [x], kind)
    else:
        equal(compute(lambda a: a, [kind], [x], kind), x)
