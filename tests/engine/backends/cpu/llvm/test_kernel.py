"""Loop kernels against an interpreter of them: loops, accumulators, indices, order, threads."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.engine.backends.cpu import threads
from rushlight.engine.core.dtype import (
    bfloat16,
    bool_,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int32,
    int64,
    uint8,
)
from rushlight.engine.ir.loops import (
    Accumulator,
    Buffer,
    Declare,
    For,
    Index,
    Kernel,
    Loop,
    Reduce,
    Statement,
    Store,
    at,
    load,
)
from rushlight.engine.ir.plan import Constant
from rushlight.engine.ir.scalar import Expr, cast, const, function, loop_value, number, where
from tests.engine.backends.cpu.llvm.interpret import Native, both, flat

random = np.random.default_rng(11)


def row(loop: Loop, inner: Loop, width: int) -> Index:
    return at((width, 1), (loop, inner))


@pytest.mark.parametrize("size", [0, 1, 2, 15, 16, 17, 100])
def test_sizes(size: int) -> None:
    x, y, i = Buffer(float32), Buffer(float32), Loop(size)
    kernel = Kernel("k", [x, y], [y], [], [For(i, [Store(y, flat(i), load(x, flat(i)) * 2.0)])])
    both(kernel, [random.random(100, np.float32), np.zeros(100, np.float32)])


@pytest.mark.parametrize("kind", [uint8, int8, int32, int64, float32, float64, bool_], ids=str)
@pytest.mark.parametrize("op", ["add", "mul", "maximum", "minimum", "and", "or"])
def test_reductions(op: str, kind: dtype) -> None:
    if kind.is_floating_point and op in ("and", "or"):
        pytest.skip("not for floating-point numbers")
    rows, width = 5, 37
    x, y, i, j = Buffer(kind), Buffer(kind), Loop(rows), Loop(width)
    a = Accumulator(op, kind)
    body: list[Statement] = [
        For(i, [Declare(a), For(j, [Reduce(a, load(x, row(i, j, width)))]),
                Store(y, flat(i), a.read())], True)
    ]  # fmt: skip
    given = (random.standard_normal((rows, width)) * (2 if kind.is_floating_point else 50) + 1)
    given = (given > 60).astype(bool) if kind is bool_ else given.astype(kind.numpy)
    out = np.zeros(rows, kind.numpy)
    both(Kernel("k", [x, y], [y], [], body), [given, out], tolerance=1e-4 * kind.is_floating_point)


@pytest.mark.parametrize("kind", [float32, float64], ids=str)
@pytest.mark.parametrize("op", ["maximum", "minimum"])
def test_extremes_of_many_keep_nan(op: str, kind: dtype) -> None:
    width = 301
    x, y, i, j = Buffer(kind), Buffer(kind), Loop(6), Loop(width)
    a = Accumulator(op, kind)
    body: list[Statement] = [
        For(i, [Declare(a), For(j, [Reduce(a, load(x, row(i, j, width)))]),
                Store(y, flat(i), a.read())])
    ]  # fmt: skip
    given = random.standard_normal((6, width)).astype(kind.numpy)
    given[1, 7] = given[2, 300] = np.nan
    given[3, 5], given[4, 6] = np.inf, -np.inf
    given[5] = -np.inf
    found = both(Kernel("k", [x, y], [y], [], body), [given, np.zeros(6, kind.numpy)])[1]
    assert np.isnan(found).tolist() == [False, True, True, False, False, False]


def softmax(rows: int, width: int) -> Kernel:
    x, y, i = Buffer(float32), Buffer(float32), Loop(rows)
    j, k, n = Loop(width), Loop(width), Loop(width)
    top, total = Accumulator("maximum", float32), Accumulator("add", float32)

    def power(loop: Loop) -> Expr:
        return function("exp", load(x, row(i, loop, width)) - top.read())

    body: list[Statement] = [For(i, [
        Declare(top), For(j, [Reduce(top, load(x, row(i, j, width)))]),
        Declare(total), For(k, [Reduce(total, power(k))]),
        For(n, [Store(y, row(i, n, width), power(n) / total.read())]),
    ], True)]  # fmt: skip
    return Kernel("softmax", [x, y], [y], [], body)


@pytest.mark.parametrize("count", [1, 2])
def test_softmax(count: int) -> None:
    x = random.standard_normal((9, 101)).astype(np.float32)
    found = both(softmax(9, 101), [x, np.zeros_like(x)], tolerance=1e-6, count=count)[1]
    np.testing.assert_allclose(found.sum(1), 1, 1e-6)


def test_sums_in_memory() -> None:
    x, y, i, j = Buffer(float32), Buffer(float32), Loop(50), Loop(33)
    store = Store(y, flat(j), load(x, row(i, j, 33)), "add")
    kernel = Kernel("k", [x, y], [y], [], [For(i, [For(j, [store])])])
    both(kernel, [random.random((50, 33), np.float32), np.ones(33, np.float32)], tolerance=1e-6)


@pytest.mark.parametrize("kind", [float16, bfloat16, int32, bool_], ids=str)
def test_adding_to_other_types_in_memory(kind: dtype) -> None:
    x, y, i = Buffer(kind), Buffer(kind), Loop(40)
    kernel = Kernel("k", [x, y], [y], [], [For(i, [Store(y, flat(i), load(x, flat(i)), "add")])])
    given = [(random.random(40) * 3).astype(kind.numpy) for _ in range(2)]
    both(kernel, given)


def test_adding_at_places_read_from_memory() -> None:
    where_, x, y, i, j = Buffer(int64), Buffer(float32), Buffer(float32), Loop(60), Loop(4)
    index = Index(0, ((j, 1),), ((load(where_, flat(i)), 4),))
    kernel = Kernel(
        "k", [where_, x, y], [y], [],
        [For(i, [For(j, [Store(y, index, load(x, row(i, j, 4)), "add")])])],
    )  # fmt: skip
    places = random.integers(0, 7, 60)
    given: list[np.ndarray] = [places, random.random((60, 4), np.float32)]
    given.append(np.zeros((7, 4), np.float32))
    both(kernel, given, tolerance=1e-5)


def test_reading_at_places_read_from_memory() -> None:
    where_, x, y, i, j = Buffer(int64), Buffer(float32), Buffer(float32), Loop(60), Loop(4)
    known = load(where_, flat(i))
    index = Index(0, ((j, 1),), ((known, 4), (cast(known < 3, int64), 0)))
    kernel = Kernel(
        "k", [where_, x, y], [y], [], [For(i, [For(j, [Store(y, row(i, j, 4), load(x, index))])])]
    )
    given: list[np.ndarray] = [
        random.integers(0, 7, 60), random.random((7, 4), np.float32), np.zeros((60, 4), np.float32)
    ]  # fmt: skip
    both(kernel, given)


def test_strides_of_every_kind() -> None:
    x, y, i, j = Buffer(float32), Buffer(float32), Loop(6), Loop(7)
    body: list[Statement] = [
        For(i, [For(j, [Store(y, at((7, 1), (i, j)),
                              load(x, at((1, 6), (i, j))) + load(x, at((0, -1), (i, j), 30)))])])
    ]  # fmt: skip
    kernel = Kernel("k", [x, y], [y], [], body)
    both(kernel, [random.random(42, np.float32), np.zeros(42, np.float32)])


def test_loops_as_numbers() -> None:
    y, i, j = Buffer(float32), Loop(5), Loop(20)
    inside = loop_value(j) <= loop_value(i) + 3
    value = where(inside, cast(loop_value(i) * 20 + loop_value(j), float32), -1.0)
    both(Kernel("k", [y], [y], [], [For(i, [For(j, [Store(y, row(i, j, 20), value)])])]),
         [np.zeros(100, np.float32)])  # fmt: skip


def test_numbers_of_both_types() -> None:
    x, y, i = Buffer(float32), Buffer(float32), Loop(30)
    value = load(x, flat(i)) * number(0, float32) + cast(number(1, int64), float32)
    value = value - cast(number(2, float64), float32) + cast(number(3, int64), float32)
    kernel = Kernel(
        "k", [x, y], [y], [float64, int64, float64, int64], [For(i, [Store(y, flat(i), value)])]
    )
    arrays = [random.random(30, np.float32), np.zeros(30, np.float32)]
    for numbers in ([2.5, 7, 0.5, 3], [Constant(2.5), 7, Constant(0.5), Constant(3)]):
        both(kernel, arrays, numbers, tolerance=1e-6)


def test_numbers_are_converted_to_what_the_kernel_takes() -> None:
    y, i = Buffer(float64), Loop(3)
    value = number(0, float64) + cast(number(1, int64), float64)
    kernel = Kernel("k", [y], [y], [float64, int64], [For(i, [Store(y, flat(i), value)])])
    out = np.zeros(3)
    Native(kernel, [out], [3, 4.0])()
    np.testing.assert_array_equal(out, 7.0)


@pytest.mark.parametrize("size", [0, 1, 7, 64, 100])
def test_sizes_known_at_run_time(size: int) -> None:
    x, y, i = Buffer(float32), Buffer(float32), Loop(number(0, int64) + 1)
    j = Loop(number(0, int64))
    body: list[Statement] = [
        For(i, [Store(y, flat(i), const(1, float32))]),
        For(j, [Store(y, flat(j), load(x, flat(j)))]),
    ]
    kernel = Kernel("k", [x, y], [y], [int64], body)
    both(kernel, [random.random(128, np.float32), np.zeros(128, np.float32)], [size])


def test_a_value_survives_that_its_memory_is_written() -> None:
    """As an optimizer's rule needs it: the new moment is stored, then used."""
    p, m, i = Buffer(float32), Buffer(float32), Loop(40)
    moment = load(m, flat(i)) * 0.5 + 1.0
    body: list[Statement] = [For(i, [
        Store(m, flat(i), moment), Store(p, flat(i), load(p, flat(i)) - moment)
    ])]  # fmt: skip
    start = [random.random(40, np.float32), random.random(40, np.float32)]
    found = both(Kernel("k", [p, m], [p, m], [], body), start, tolerance=1e-6)
    np.testing.assert_allclose(found[0], start[0] - (start[1] * 0.5 + 1), 1e-5, 1e-6)


def test_a_new_load_sees_what_was_stored() -> None:
    x, y, i = Buffer(float32), Buffer(float32), Loop(40)
    body: list[Statement] = [For(i, [
        Store(x, flat(i), load(x, flat(i)) + 1.0), Store(y, flat(i), load(x, flat(i)) * 2.0)
    ])]  # fmt: skip
    start = [random.random(40, np.float32), np.zeros(40, np.float32)]
    found = both(Kernel("k", [x, y], [x, y], [], body), start, tolerance=1e-6)
    np.testing.assert_allclose(found[1], (start[0] + 1) * 2, 1e-6)


def test_running_sums() -> None:
    x, y, i = Buffer(float32), Buffer(float32), Loop(50)
    a = Accumulator("add", float32)
    body: list[Statement] = [
        Declare(a), For(i, [Reduce(a, load(x, flat(i))), Store(y, flat(i), a.read())])
    ]
    given = [random.random(50, np.float32), np.zeros(50, np.float32)]
    both(Kernel("k", [x, y], [y], [], body), given, tolerance=1e-5)


def test_recurrence_through_memory() -> None:
    x, i = Buffer(int64), Loop(30)
    after, before = Index(1, ((i, 1),)), Index(0, ((i, 1),))
    body: list[Statement] = [For(i, [Store(x, after, load(x, before) * 3 + 1)])]
    both(Kernel("k", [x], [x], [], body), [np.ones(31, np.int64)])


def test_one_value_used_inside_and_after_a_loop() -> None:
    x, y, z, i, j = Buffer(float32), Buffer(float32), Buffer(float32), Loop(3), Loop(4)
    mean = load(x, flat(i)) * 0.25
    body: list[Statement] = [For(i, [
        For(j, [Store(y, row(i, j, 4), mean + cast(loop_value(j), float32))]),
        Store(z, flat(i), mean),
    ])]  # fmt: skip
    arrays = [random.random(3, np.float32), *(np.zeros(n, np.float32) for n in (12, 3))]
    both(Kernel("k", [x, y, z], [y, z], [], body), arrays)


def test_very_deep_expressions() -> None:
    x, y, i = Buffer(float64), Buffer(float64), Loop(5)
    value = load(x, flat(i))
    for _ in range(3000):
        value = value + 1.0
    out = np.zeros(5)
    kernel = Kernel("k", [x, y], [y], [], [For(i, [Store(y, flat(i), value)])])
    Native(kernel, [np.arange(5.0), out])()
    np.testing.assert_allclose(out, np.arange(5.0) + 3000)


def test_kernels_without_loops_or_arguments() -> None:
    y = Buffer(int32)
    both(Kernel("k", [y], [y], [], [Store(y, Index(2), const(7, int32))]), [np.zeros(4, np.int32)])
    Native(Kernel("k", [], [], [], []), [])()


# threads ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("size", [2, 3, 63, 64, 65, 1000, 4097])
@pytest.mark.parametrize("count", [2, 3])
def test_every_turn_is_done_once(two_threads: None, size: int, count: int) -> None:
    y, i = Buffer(int32), Loop(size)
    kernel = Kernel("k", [y], [y], [], [For(i, [Store(y, flat(i), const(1, int32), "add")], True)])
    threads.set_limit(count)
    out = np.zeros(size, np.int32)
    run = Native(kernel, [out], threads=count)
    for turn in range(1, 4):
        run()
        np.testing.assert_array_equal(out, turn)


def test_statements_around_a_parallel_loop(two_threads: None) -> None:
    x, y, z = Buffer(float32), Buffer(float32), Buffer(float32)
    i, j, k = Loop(500), Loop(500), Loop(500)
    scale = number(0, float32)
    body: list[Statement] = [
        For(i, [Store(y, flat(i), const(1, float32))]),
        For(j, [Store(z, flat(j), load(x, flat(j)) * scale + load(y, flat(j)))], True),
        For(k, [Store(y, flat(k), load(z, flat(k)) + 1.0)]),
    ]
    arrays = [random.random(500, np.float32), *(np.zeros(500, np.float32) for _ in range(2))]
    both(Kernel("k", [x, y, z], [y, z], [float64], body), arrays, [1.5], 1e-6, count=2)


def test_sums_over_all_turns_stay_on_one_thread(two_threads: None) -> None:
    x, y, i = Buffer(float32), Buffer(float32), Loop(500)
    a = Accumulator("add", float32)
    body: list[Statement] = [
        Declare(a), For(i, [Reduce(a, load(x, flat(i)))], True), Store(y, Index(0), a.read())
    ]
    arrays = [random.random(500, np.float32), np.zeros(1, np.float32)]
    both(Kernel("k", [x, y], [y], [], body), arrays, tolerance=1e-5, count=2)


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 5000])
def test_parallel_loops_of_a_size_known_at_run_time(two_threads: None, size: int) -> None:
    x, y, i = Buffer(float32), Buffer(float32), Loop(number(0, int64))
    value = load(x, flat(i)) * number(1, float32)
    body: list[Statement] = [For(i, [Store(y, flat(i), value, "add")], True)]
    kernel = Kernel("k", [x, y], [y], [int64, float64], body)
    arrays = [random.random(5000, np.float32), np.zeros(5000, np.float32)]
    both(kernel, arrays, [size, 1.5], 1e-6, count=2)


# long sums -------------------------------------------------------------------------------------


def exact_sum(x: np.ndarray) -> float:
    return float(x.astype(np.float64).sum())


@pytest.mark.parametrize("size", [16383, 16384, 16385, 100_003, 1_000_000])
def test_long_sums_are_as_exact_as_short_ones(size: int) -> None:
    x, y, i = Buffer(float32), Buffer(float32), Loop(size)
    a, b, most = Accumulator("add", float32), Accumulator("add", float32), Accumulator(
        "maximum", float32
    )
    element = load(x, flat(i))
    body: list[Statement] = [
        Declare(a), Declare(b), Declare(most),
        For(i, [Reduce(a, element), Reduce(b, element * element), Reduce(most, element)]),
        Store(y, Index(0), a.read()), Store(y, Index(1), b.read()), Store(y, Index(2), most.read()),
    ]  # fmt: skip
    given, out = random.random(size, np.float32), np.zeros(3, np.float32)
    Native(Kernel("k", [x, y], [y], [], body), [given, out])()
    wanted = [exact_sum(given), exact_sum(given.astype(np.float64) ** 2), given.max()]
    np.testing.assert_allclose(out, wanted, 3e-7)


@pytest.mark.parametrize("rows, width", [(100_000, 10), (1000, 1000), (7, 100_000), (20_000, 9)])
def test_long_sums_over_nested_loops(rows: int, width: int) -> None:
    x, y, i, j = Buffer(float32), Buffer(float32), Loop(rows), Loop(width)
    a = Accumulator("add", float32)
    body: list[Statement] = [
        Declare(a), For(i, [For(j, [Reduce(a, load(x, row(i, j, width)))])]),
        Store(y, Index(0), a.read()),
    ]  # fmt: skip
    given, out = random.random((rows, width), np.float32), np.zeros(1, np.float32)
    Native(Kernel("k", [x, y], [y], [], body), [given, out])()
    np.testing.assert_allclose(out, exact_sum(given), 3e-7)


def test_long_running_sums() -> None:
    size = 20_000
    x, y, i = Buffer(float32), Buffer(float32), Loop(size)
    a, b = Accumulator("add", float32), Accumulator("add", float32)
    body: list[Statement] = [
        Declare(a), Declare(b),
        For(i, [Reduce(a, load(x, flat(i))), Store(y, flat(i), a.read()),
                Reduce(b, load(x, flat(i)))]),
        Store(y, Index(0), b.read()),
    ]  # fmt: skip
    given, out = random.random(size, np.float32), np.zeros(size, np.float32)
    Native(Kernel("k", [x, y], [y], [], body), [given, out])()
    np.testing.assert_allclose(out[1:], np.cumsum(given.astype(np.float64))[1:], 1e-5)
    np.testing.assert_allclose(out[0], exact_sum(given), 1e-5)
