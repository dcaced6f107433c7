"""Uniform numbers, integers, permutations, Bernoulli numbers and dropout, against PyTorch."""

from __future__ import annotations

import hashlib
import math
import re
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rushlight.engine.core import dtype as types, sampling
from rushlight.engine.core.mt19937 import Draws32, Draws64, Engine, Source
from rushlight.engine.core.sampling import (
    bernoulli,
    bernoulli_draws,
    bernoulli_each,
    bernoulli_each_draws,
    bernoulli_mask,
    draw_seed,
    dropout_draws,
    dropout_noise,
    dropout_scale,
    randint,
    randint_draws,
    random,
    random_draws,
    randperm,
    randperm_draws,
    uniform,
    uniform_draws,
)
from rushlight.engine.core.sampling_checks import integer_range
from rushlight.engine.core.sampling_normal import normal
from tests.engine.core.stream_oracle import SEEDS, SIZES, Twins, load_torch

REALS = [types.float32, types.float64, types.float16, types.bfloat16]
COMPLEX = [types.complex64, types.complex128]
INTEGERS = [types.uint8, types.int8, types.int16, types.int32, types.int64]
UNSIGNED = [types.uint16, types.uint32, types.uint64]

BOUNDS = [(-0.3, 0.3), (0, 7.3), (1.7, 1.9), (-2, 5.5), (3, 3), (1000, 1001), (-1e-3, 7)]

RANGES = [
    (0, 2), (0, 10), (-5, 100), (0, 256), (-(2**31), 2**31), (0, 2**28 - 1), (0, 2**28),
    (0, 2**28 + 12345), (5, 2**40), (-(2**62), 2**62), (0, 2**63 - 1), (-(2**63), 2**63 - 1),
    (0, None), (1, None), (-(2**63), None), (3, 2**32), (3, 2**32 + 4), (0, 1000), (0, 5000),
    (0, 2**32), (-100, 70000), (2**62, None), (9, 9),
]  # fmt: skip

#: The first 16 digits of the sha256 of what torch 2.13 makes of seed 0.
RECORDED: dict[str, tuple[Callable[[Engine], np.ndarray], str]] = {
    "rand(1000)": (lambda e: uniform(e, 1000), "20221bec9830215c"),
    "rand(1000, dtype=float64)": (lambda e: uniform(e, 1000, types.float64), "c59b53ef72076721"),
    "empty(1000).uniform_(-0.3, 0.1)": (
        lambda e: uniform(e, 1000, types.float32, -0.3, 0.1),
        "e182a353a110a93b",
    ),
    "randint(10, (1000,))": (lambda e: randint(e, 1000, 0, 10), "0015317fea1e0d43"),
    "randint(2**40, (1000,))": (lambda e: randint(e, 1000, 0, 2**40), "7ee676fe3b205c41"),
    "empty(1000, dtype=int64).random_()": (lambda e: random(e, 1000), "35fbbccf4a403543"),
    "randperm(1000)": (lambda e: randperm(e, 1000), "cee4a88ef6120e8e"),
    "empty(1000).bernoulli_(0.3)": (lambda e: bernoulli(e, 1000, 0.3), "23f60bc641a0332d"),
    "nn.functional.dropout(ones(1000), 0.1)": (
        lambda e: dropout_noise(e, 1000, 0.1),
        "7afd72bacc3d6571",
    ),
    "randn(1000)": (lambda e: normal(e, 1000), "43678415636bbad8"),
    "randn(1007, dtype=bfloat16).view(int16)": (
        lambda e: normal(e, 1007, types.bfloat16),
        "ce4e5a9a8009816e",
    ),
}


@pytest.mark.parametrize("call", RECORDED)
def test_numbers_recorded_from_torch(call: str) -> None:
    ours, recorded = RECORDED[call]
    assert hashlib.sha256(ours(Engine(0)).tobytes()).hexdigest()[:16] == recorded


@pytest.mark.parametrize("call", RECORDED)
def test_the_record_is_right(call: str) -> None:
    torch = load_torch()
    torch.manual_seed(0)
    call_of_torch = re.sub(r"\b(ones\(|float64|bfloat16|int64|int16)", r"torch.\1", call)
    made = eval("torch." + call_of_torch, {"torch": torch})
    assert hashlib.sha256(made.numpy().tobytes()).hexdigest()[:16] == RECORDED[call][1]


# -- uniform --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", REALS + COMPLEX, ids=repr)
@pytest.mark.parametrize("seed", SEEDS)
def test_uniform(seed: int, dtype: types.dtype) -> None:
    twins = Twins(seed)
    for size in SIZES:
        twins.agree(uniform(twins.engine, size, dtype), twins.empty(size, dtype).uniform_())
        for low, high in BOUNDS:
            ours = uniform(twins.engine, (size, 1), dtype, low, high)
            twins.agree(ours, twins.empty((size, 1), dtype).uniform_(low, high))


def test_uniform_in_quantity() -> None:
    twins = Twins(3)
    for dtype, bounds in ((types.float32, (-0.01, 0.03)), (types.float64, (-0.01, 0.03))):
        ours = uniform(twins.engine, 300_000, dtype, *bounds)
        twins.agree(ours, twins.empty(300_000, dtype).uniform_(*bounds))


def test_the_upper_bound_is_never_drawn() -> None:
    for dtype in REALS:
        assert float(uniform(Engine(0), 200_000, dtype).max()) < 1.0


@pytest.mark.parametrize(
    ("dtype", "low", "high"),
    [
        (types.float32, 1, 0),
        (types.float32, -3e38, 3e38),
        (types.float32, 0, 1e39),
        (types.float32, math.nan, 1),
        (types.float16, 0, 1e6),
        (types.float16, -65000, 65000),
        (types.bfloat16, 0, 3.4e38),
        (types.float64, 0.25, 0),
        (types.int64, 0, 1),
        (types.bool_, 0, 1),
    ],
)
def test_uniform_refuses(dtype: types.dtype, low: float, high: float) -> None:
    twins = Twins(0)
    with pytest.raises((RuntimeError, NotImplementedError)) as theirs:
        twins.empty(3, dtype).uniform_(low, high)
    with pytest.raises(theirs.type) as ours:
        uniform(twins.engine, 3, dtype, low, high)
    assert str(ours.value) == str(theirs.value)
    twins.agree_on_state()


# -- integers -------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*REALS, *INTEGERS, types.bool_], ids=repr)
def test_random(dtype: types.dtype) -> None:
    twins = Twins(11)
    for size in SIZES:
        twins.agree(random(twins.engine, size, dtype), twins.empty(size, dtype).random_())


def test_random_refuses() -> None:
    for dtype in UNSIGNED + COMPLEX:
        with pytest.raises(NotImplementedError, match='"random_kernel_cpu" not implemented for'):
            random(Engine(0), 3, dtype)


@pytest.mark.filterwarnings("ignore:.*is out of bounds")
@pytest.mark.parametrize(
    "dtype", [*REALS, *INTEGERS, *UNSIGNED, types.bool_, types.complex64], ids=repr
)
def test_randint(dtype: types.dtype) -> None:
    twins = Twins(12)
    for low, high in RANGES:
        for size in (1, 3, 100, 12345):
            theirs, refusal = _outcome(twins.empty(size, dtype).random_, low, high)
            ours, our_refusal = _outcome(randint, twins.engine, size, low, high, dtype)
            assert (refusal is None) == (our_refusal is None)
            if refusal is not None and our_refusal is not None:
                assert refusal[0] is our_refusal[0]
                assert refusal[1] == our_refusal[1].split("\n")[0]
            else:
                twins.agree(ours, theirs)


def _outcome(call: Callable[..., Any], *arguments: object) -> tuple[Any, tuple[type, str] | None]:
    try:
        return call(*arguments), None
    except (RuntimeError, NotImplementedError) as error:
        return None, (type(error), str(error))


def test_integers_beyond_the_precision_are_warned_of() -> None:
    torch = load_torch()
    with warnings.catch_warnings(record=True) as theirs:
        warnings.simplefilter("always")
        torch.empty(3).random_(0, 2**25)
    with pytest.warns(UserWarning, match="is out of bounds") as ours:
        randint(Engine(0), 3, 0, 2**25, types.float32)
    assert str(theirs[0].message).startswith(str(ours[0].message))


def test_the_seed_of_a_data_loader() -> None:
    twins = Twins(5)
    theirs = twins.torch.empty((), dtype=twins.torch.int64).random_().item()
    assert draw_seed(twins.engine) == theirs
    twins.agree_on_state()


def test_the_order_of_a_shuffling_data_loader() -> None:
    twins = Twins(7)
    loader = twins.torch.utils.data.DataLoader(list(range(100)), shuffle=True)
    for _ in range(2):
        draw_seed(twins.engine)  # the seed of the workers, drawn even where there are none
        order = randperm(Engine(draw_seed(twins.engine)), 100)
        assert [int(batch[0]) for batch in loader] == order.tolist()
    twins.agree_on_state()


# -- permutations ---------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*REALS, *INTEGERS], ids=repr)
def test_randperm(dtype: types.dtype) -> None:
    twins = Twins(13)
    for size in (0, 1, 2, 3, 16, 100, 128):
        theirs = twins.torch.randperm(size, dtype=twins.named(dtype))
        twins.agree(randperm(twins.engine, size, dtype), theirs)


def test_long_permutations() -> None:
    twins = Twins(14)
    for size in (1000, 60_000):
        twins.agree(randperm(twins.engine, size), twins.torch.randperm(size))


class Scripted:
    """A source whose 64-bit draws are 0, 1, 2, ..."""

    def draw32(self, count: int) -> Draws32:
        raise AssertionError("a very long permutation takes 64-bit draws")

    def draw64(self, count: int) -> Draws64:
        return np.arange(count, dtype=np.uint64)


def test_very_long_permutations_grow_from_the_inside(monkeypatch: pytest.MonkeyPatch) -> None:
    # PyTorch changes its method at 214,748,364 numbers; the border is moved to try the method.
    monkeypatch.setattr(sampling, "_LONG_PERMUTATION", 5)
    assert randperm_draws(6) == 12
    source: Source = Scripted()
    assert randperm(source, 6).tolist() == list(range(6)), "each number swapped with itself"
    found = randperm(Engine(0), 1000)
    draws = Engine(0).draw64(1000).tolist()
    expected: list[int] = []
    for i, draw in enumerate(draws):
        expected.append(i)
        j = draw % (i + 1)
        expected[i], expected[j] = expected[j], expected[i]
    assert found.tolist() == expected


@pytest.mark.parametrize(
    ("n", "dtype"),
    [
        (-1, types.int64),
        (300, types.uint8),
        (200, types.int8),
        (40000, types.int16),
        (3000, types.float16),
        (2**24 + 2, types.float32),
        (3, types.bool_),
        (3, types.uint16),
        (3, types.complex64),
    ],
)
def test_randperm_refuses(n: int, dtype: types.dtype) -> None:
    torch = load_torch()
    with pytest.raises((RuntimeError, NotImplementedError)) as theirs:
        torch.randperm(n, dtype=getattr(torch, dtype.name))
    with pytest.raises(theirs.type) as ours:
        randperm(Engine(0), n, dtype)
    assert str(ours.value) == str(theirs.value)


# -- Bernoulli and dropout ------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [*REALS, *INTEGERS, types.bool_], ids=repr)
def test_bernoulli(dtype: types.dtype) -> None:
    twins = Twins(15)
    for size in SIZES:
        for p in (0, 0.1, 0.5, 0.9, 1, 1e-9, 1 / 3):
            ours = bernoulli(twins.engine, size, p, dtype)
            twins.agree(ours, twins.empty(size, dtype).bernoulli_(p))


def test_bernoulli_where_the_upper_bits_do_not_decide() -> None:
    class Fixed:
        def draw32(self, count: int) -> Draws32:
            # Four numbers just around 1/2 + 3 * 2**-53: upper bits equal, lower bits 2 to 5.
            return np.array([[2**20 | 2**31, low] for low in (2, 3, 4, 5)], np.uint32).ravel()

        def draw64(self, count: int) -> Draws64:
            high, low = self.draw32(2 * count).astype(np.uint64).reshape(-1, 2).T
            return high << np.uint64(32) | low

    mask = bernoulli_mask(Fixed(), 4, 0.5 + 4 * 2.0**-53)
    assert mask.tolist() == [True, True, False, False]


@pytest.mark.parametrize("dtype", REALS, ids=repr)
def test_bernoulli_each(dtype: types.dtype) -> None:
    twins = Twins(16)
    for size in SIZES:
        chances = uniform(Engine(1), (size, 1)).astype(dtype.numpy)
        theirs = twins.torch.rand((size, 1), generator=twins.torch.Generator().manual_seed(1))
        theirs = theirs.to(twins.named(dtype))
        twins.agree(bernoulli_each(twins.engine, chances), twins.torch.bernoulli(theirs))
        ours = bernoulli_each(twins.engine, chances, types.int32)
        twins.agree(ours, twins.empty((size, 1), types.int32).bernoulli_(theirs))


def test_bernoulli_refuses() -> None:
    with pytest.raises(RuntimeError, match=r"expects p to be in \[0, 1\], but got p=1\.5"):
        bernoulli(Engine(0), 3, 1.5)
    with pytest.raises(NotImplementedError, match="'UInt16'"):
        bernoulli(Engine(0), 3, 0.5, types.uint16)
    with pytest.raises(NotImplementedError, match=r"bernoulli_tensor_cpu_p_.*'Long'"):
        bernoulli_each(Engine(0), np.array([1, 0]))
    for bad in (1.5, -0.1, math.nan):
        with pytest.raises(RuntimeError, match="Expected p_in >= 0 && p_in <= 1 to be true"):
            bernoulli_each(Engine(0), np.array([0.5, bad]))


@pytest.mark.parametrize("dtype", REALS, ids=repr)
def test_dropout(dtype: types.dtype) -> None:
    twins = Twins(17)
    functional = twins.torch.nn.functional
    for size in SIZES:
        ones = twins.torch.ones(size, dtype=twins.named(dtype))
        for p in (0.1, 0.5, 0.3, 0.9):
            ours = dropout_noise(twins.engine, size, p, dtype)
            twins.agree(ours, functional.dropout(ones, p))
            assert set(ours.tolist()) <= {0.0, dropout_scale(p, dtype)}
            if size:
                _, mask = twins.torch.native_dropout(ones, p, True)
                twins.agree(bernoulli_mask(twins.engine, size, 1 - p), mask)
        for p in (0.0, 1.0):
            functional.dropout(ones, p)
            twins.engine.skip(dropout_draws(size, p))
            twins.agree_on_state()


def test_dropout_fills_in_the_order_of_memory() -> None:
    twins = Twins(18)
    dropped = twins.torch.nn.functional.dropout(twins.torch.ones(5, 7).t(), 0.5)
    twins.agree(dropout_noise(twins.engine, (5, 7), 0.5), dropped.t())
    images = twins.torch.ones(2, 3, 4, 5).to(memory_format=twins.torch.channels_last)
    dropped = twins.torch.nn.functional.dropout(images, 0.5)
    twins.agree(dropout_noise(twins.engine, (2, 4, 5, 3), 0.5), dropped.permute(0, 2, 3, 1))


def test_the_number_of_threads_does_not_matter() -> None:
    twins = Twins(19)
    before = twins.torch.get_num_threads()
    twins.torch.set_num_threads(2)
    try:
        dropped = twins.torch.nn.functional.dropout(twins.torch.ones(200_000), 0.2)
    finally:
        twins.torch.set_num_threads(before)
    twins.agree(dropout_noise(twins.engine, 200_000, 0.2), dropped)


# -- layers, reservations, mixed calls ------------------------------------------------------


def test_default_initialisation_of_layers() -> None:
    twins = Twins(20)
    nn = twins.torch.nn
    for layer, fan in ((nn.Linear(300, 120), 300), (nn.Conv2d(6, 16, 5), 150)):
        # kaiming_uniform_ with a = sqrt(5): gain times sqrt(3), over the root of the inputs.
        bound = math.sqrt(3.0) * (math.sqrt(2.0 / (1 + math.sqrt(5) ** 2)) / math.sqrt(fan))
        weight = uniform(twins.engine, tuple(layer.weight.shape), types.float32, -bound, bound)
        bound = 1 / math.sqrt(fan)
        bias = uniform(twins.engine, tuple(layer.bias.shape), types.float32, -bound, bound)
        assert weight.tobytes() == layer.weight.detach().numpy().tobytes()
        assert bias.tobytes() == layer.bias.detach().numpy().tobytes()
    twins.agree_on_state()


CHANCES = np.linspace(0, 1, 33)
RESERVED: list[tuple[int, Callable[[Source], np.ndarray]]] = [
    (uniform_draws(33, types.float32), lambda s: uniform(s, 33)),
    (uniform_draws(33, types.float64), lambda s: uniform(s, 33, types.float64)),
    (uniform_draws(33, types.complex64), lambda s: uniform(s, 33, types.complex64)),
    (uniform_draws(33, types.complex128), lambda s: uniform(s, 33, types.complex128)),
    (random_draws(33, types.int64), lambda s: random(s, 33)),
    (random_draws(33, types.uint8), lambda s: random(s, 33, types.uint8)),
    (randint_draws(33, integer_range(types.int64, 0, 10)), lambda s: randint(s, 33, 0, 10)),
    (randint_draws(33, integer_range(types.int64, 0, 2**30)), lambda s: randint(s, 33, 0, 2**30)),
    (randperm_draws(33), lambda s: randperm(s, 33)),
    (bernoulli_draws(33), lambda s: bernoulli(s, 33, 0.4)),
    (bernoulli_each_draws(33, types.float64), lambda s: bernoulli_each(s, CHANCES)),
    (
        bernoulli_each_draws(33, types.float32),
        lambda s: bernoulli_each(s, CHANCES.astype(np.float32)),
    ),
    (dropout_draws(33, 0.5), lambda s: dropout_noise(s, 33, 0.5)),
]


@pytest.mark.parametrize(("draws", "sample"), RESERVED)
def test_a_reservation_gives_the_same_numbers_later(
    draws: int, sample: Callable[[Source], np.ndarray]
) -> None:
    engine, plain = Engine(21), Engine(21)
    kept = engine.reserve(draws)
    after = engine.draw32(7)
    expected = sample(plain)
    assert np.array_equal(plain.draw32(7), after), "exactly the draws that were reserved"
    assert sample(kept).tobytes() == expected.tobytes()
    assert sample(kept).tobytes() == expected.tobytes(), "and again"


def _step(twins: Twins, name: str, size: int) -> tuple[np.ndarray, object]:
    engine, torch = twins.engine, twins.torch
    if name == "rand":
        return uniform(engine, size), torch.rand(size)
    if name == "rand64":
        return uniform(engine, size, types.float64), torch.rand(size, dtype=torch.float64)
    if name == "randn":
        return normal(engine, size), torch.randn(size)
    if name == "randn64":
        return normal(engine, size, types.float64), torch.randn(size, dtype=torch.float64)
    if name == "randint":
        return randint(engine, size, -3, 9), torch.randint(-3, 9, (size,))
    if name == "randperm":
        return randperm(engine, size), torch.randperm(size)
    return bernoulli(engine, size, 0.3), torch.empty(size).bernoulli_(0.3)


NAMES = ["rand", "rand64", "randn", "randn64", "randint", "randperm", "bernoulli"]


@given(st.lists(st.tuples(st.sampled_from(NAMES), st.integers(0, 40)), max_size=12))
@settings(max_examples=60, deadline=None)
def test_mixed_calls_stay_in_step(steps: list[tuple[str, int]]) -> None:
    twins = Twins(22)
    for name, size in steps:
        twins.agree(*_step(twins, name, size))
