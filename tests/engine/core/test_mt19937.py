"""The engine: draws, seeds, state bytes, reservations, threads."""

from __future__ import annotations

import copy
import gc
import hashlib
import pickle
import threading

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

from rushlight.engine.backends.cpu import twister
from rushlight.engine.core import mt19937
from rushlight.engine.core.mt19937 import (
    DEFAULT_SEED,
    STATE_SIZE,
    Engine,
    Reservation,
    normalize_seed,
)
from tests.engine.core.stream_oracle import SEEDS, Twins, load_torch

#: The first 16 digits of the sha256 of torch.get_rng_state() in torch 2.13.
RECORDED_STATES = ["1ccf17250133dec5", "aaf8baabbbcc40c8", "dea7848bfc17ded0"]

COUNTS = (1, 3, 623, 1, 624, 5000, 0, 1, 256, 257)


def stream(seed: int, count: int) -> np.ndarray:
    """The first draws of a seed, by way of NumPy alone."""
    return np.random.RandomState(seed % 2**32).randint(0, 2**32, size=count, dtype=np.uint32)


def digest(array: np.ndarray) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()[:16]


# -- draws ----------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", SEEDS)
def test_draws_are_the_mersenne_twister(seed: int) -> None:
    engine = Engine(seed)
    pieces = [engine.draw32(count) for count in COUNTS]
    assert all(piece.dtype == np.uint32 for piece in pieces)
    assert np.array_equal(np.concatenate(pieces), stream(seed, sum(COUNTS)))


def test_the_published_check_value() -> None:
    # The 10,000th draw of the reference implementation with seed 5489.
    engine = Engine(5489)
    engine.skip(9999)
    assert engine.draw32(1).tolist() == [4123659995]


def test_wide_draws_have_their_high_half_first() -> None:
    raw = stream(0, 2000).astype(object)
    assert Engine(0).draw64(1000).tolist() == [(a << 32) | b for a, b in raw.reshape(-1, 2)]


def test_one_double_is_a_wide_draw() -> None:
    engine, other = Engine(3), Engine(3)
    expected = (other.draw64(5) & np.uint64(2**53 - 1)).astype(np.float64) * 2.0**-53
    assert [engine.draw_double() for _ in range(5)] == expected.tolist()


def test_skip_leaves_draws_out() -> None:
    engine = Engine(1)
    engine.skip(700)
    engine.skip(0)
    assert np.array_equal(engine.draw32(10), stream(1, 710)[700:])


# -- seeds ----------------------------------------------------------------------------------


def test_seeds_are_64_bits() -> None:
    assert normalize_seed(-1) == 2**64 - 1
    assert normalize_seed(-(2**63)) == 2**63
    assert Engine(2**64 - 1).initial_seed() == 2**64 - 1
    assert Engine().initial_seed() == DEFAULT_SEED
    for seed in (2**64, -(2**63) - 1):
        with pytest.raises(ValueError, match="Overflow when unpacking long long"):
            Engine().manual_seed(seed)
    with pytest.raises(TypeError):
        Engine().manual_seed(1.5)  # type: ignore[arg-type]


def test_only_the_low_half_of_a_seed_counts() -> None:
    assert np.array_equal(Engine(2**40 + 5).draw32(4), Engine(5).draw32(4))


def test_manual_seed_starts_afresh() -> None:
    engine = Engine(9)
    engine.draw32(100)
    engine.double_normal, engine.float_normal = 1.0, 2.0
    engine.manual_seed(9)
    assert engine.double_normal is None
    assert engine.float_normal is None
    assert engine.get_state().tobytes() == Engine(9).get_state().tobytes()


def test_seed_is_never_the_same() -> None:
    engine = Engine()
    seeds = {engine.seed() for _ in range(5)}
    assert len(seeds) == 5
    assert engine.initial_seed() in seeds
    assert np.array_equal(engine.draw32(3), Engine(engine.initial_seed()).draw32(3))


# -- state ----------------------------------------------------------------------------------


def test_state_bytes_are_those_recorded_from_torch() -> None:
    engine = Engine(0)
    found = [digest(engine.get_state())]
    for count in (1, 999):
        engine.draw32(count)
        found.append(digest(engine.get_state()))
    assert found == RECORDED_STATES


@pytest.mark.parametrize("seed", SEEDS)
def test_state_bytes_equal_torch(seed: int) -> None:
    twins = Twins(seed)
    twins.agree_on_state()
    for count in COUNTS:
        twins.engine.skip(count)
        twins.torch.empty(count, dtype=twins.torch.int32).random_()
        twins.agree_on_state()


@pytest.mark.parametrize("count", [0, 1, 623, 624, 625, 2000])
def test_state_travels_both_ways(count: int) -> None:
    torch = load_torch()
    torch.manual_seed(5)
    torch.rand(count)
    torch.randn(3)  # leaves a cached normal value
    engine = Engine()
    engine.set_state(torch.get_rng_state().numpy())
    assert engine.double_normal is not None
    assert engine.initial_seed() == 5
    expected = torch.rand(50).numpy()
    fractions = (engine.draw32(50) & np.uint32(2**24 - 1)) * np.float64(2.0**-24)
    assert fractions.tolist() == expected.tolist()
    torch.manual_seed(0)
    torch.set_rng_state(torch.from_numpy(engine.get_state()))
    assert torch.initial_seed() == 5
    assert torch.get_rng_state().numpy().tobytes() == engine.get_state().tobytes()


def test_both_cached_values_travel() -> None:
    engine = Engine(1)
    engine.double_normal, engine.float_normal = 0.1, 0.5
    other = Engine()
    other.set_state(engine.get_state())
    assert (other.double_normal, other.float_normal) == (0.1, 0.5)


def test_a_fresh_state_is_fresh_again() -> None:
    engine, fresh = Engine(), Engine(3).get_state()
    engine.set_state(fresh)
    assert engine.get_state().tobytes() == fresh.tobytes()
    assert np.array_equal(engine.draw32(5), stream(3, 5))


def test_damaged_states_are_refused() -> None:
    engine = Engine(1)
    engine.draw32(10)
    good = engine.get_state()
    with pytest.raises(RuntimeError, match="of size 5056 but found the input RNG state size to be"):
        engine.set_state(good[:-8])
    with pytest.raises(TypeError, match=r"RNG state must be a torch\.ByteTensor"):
        engine.set_state(good.astype(np.float32))
    with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
        engine.set_state(np.zeros(STATE_SIZE, np.uint8))
    for offset, value in ((8, 0), (12, 0), (16, 11)):  # left, seeded, next
        bad = good.copy()
        bad[offset : offset + 4] = 0
        bad[offset] = value
        with pytest.raises(RuntimeError, match="Invalid mt19937 state"):
            engine.set_state(bad)
    assert engine.get_state().tobytes() == good.tobytes()


@pytest.mark.parametrize("drawn", [0, 1, 700])
@pytest.mark.parametrize("how", [Engine.clone, lambda e: pickle.loads(pickle.dumps(e)), copy.copy])
def test_copies_go_their_own_way(drawn: int, how) -> None:
    engine = Engine(4)
    engine.draw32(drawn)
    engine.double_normal = 0.25
    other = how(engine)
    assert other.get_state().tobytes() == engine.get_state().tobytes()
    assert np.array_equal(engine.draw32(9), other.draw32(9))
    other.draw32(1)
    assert other.get_state().tobytes() != engine.get_state().tobytes()


# -- reservations ---------------------------------------------------------------------------


def test_reservations_may_be_read_in_any_order() -> None:
    expected, engine = stream(0, 60), Engine(0)
    first, second, third = (engine.reserve(20) for _ in range(3))
    assert np.array_equal(third.draw32(20), expected[40:])
    assert np.array_equal(first.draw32(20), expected[:20])
    assert np.array_equal(second.draw32(20), expected[20:40])
    assert np.array_equal(second.draw32(5), expected[20:25]), "reading again"


def test_reservations_nobody_holds_are_passed_over() -> None:
    expected, engine = stream(0, 2010), Engine(0)
    kept = engine.reserve(5)
    engine.reserve(1000)
    gc.collect()
    assert np.array_equal(engine.draw32(1005), expected[1005:2010])
    assert np.array_equal(kept.draw32(5), expected[:5])


def test_reservations_outlive_a_new_seed_or_state() -> None:
    expected, engine = stream(0, 30), Engine(0)
    first = engine.reserve(10)
    engine.manual_seed(1)
    second = engine.reserve(10)
    engine.set_state(Engine(2).get_state())
    assert np.array_equal(engine.draw32(4), stream(2, 4))
    assert np.array_equal(first.draw32(10), expected[:10])
    assert np.array_equal(second.draw32(10), stream(1, 10))


def test_state_and_clone_stand_behind_a_reservation() -> None:
    engine, plain = Engine(0), Engine(0)
    kept = engine.reserve(700)
    plain.draw32(700)
    assert engine.get_state().tobytes() == plain.get_state().tobytes()
    assert engine.clone().get_state().tobytes() == plain.get_state().tobytes()
    assert np.array_equal(kept.draw32(700), stream(0, 700))


def test_more_reservations_than_are_kept_pending() -> None:
    engine = Engine(0)
    kept = [engine.reserve(3) for _ in range(1500)]
    assert np.array_equal(engine.draw32(1), stream(0, 4501)[-1:])
    found = np.concatenate([one.draw32(3) for one in reversed(kept)][::-1])
    assert np.array_equal(found, stream(0, 4500))


def test_wide_draws_of_a_reservation() -> None:
    assert np.array_equal(Engine(0).reserve(8).draw64(4), Engine(0).draw64(4))


def test_a_reservation_guards_its_draws() -> None:
    kept = Engine(0).reserve(4)
    with pytest.raises(ValueError, match="expected at most 4 draws, got 5"):
        kept.draw32(5)
    with pytest.raises(ValueError, match="read-only"):
        kept.draw32(4)[0] = 1
    kept.release()
    with pytest.raises(ValueError, match="was released"):
        kept.draw32(1)


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize("count", [4, 2000])
def test_wide_draws_of_a_reservation_can_be_read_again(
    native: bool, count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    twister.install()
    if not native:
        monkeypatch.setattr(mt19937.native, "fill", None)
    expected, engine = stream(0, 3 * count), Engine(0)
    first, second = engine.reserve(count), engine.reserve(count)
    pairs = expected[count : 2 * count].astype(np.uint64).reshape(-1, 2)
    wide = pairs[:, 0] << np.uint64(32) | pairs[:, 1]
    taken = second.draw64(count // 2)
    assert np.array_equal(taken, wide)
    taken[...] = 0  # whoever takes them may change them
    assert np.array_equal(second.draw64(count // 2), wide), "again"
    assert np.array_equal(second.draw32(count), expected[count : 2 * count]), "as they were made"
    assert np.array_equal(first.draw32(count), expected[:count])
    assert np.array_equal(engine.draw32(count), expected[2 * count :])


def test_draws_written_elsewhere_can_be_read_again() -> None:
    twister.install()
    expected, engine = stream(0, 3000), Engine(0)
    first, second = engine.reserve(1000), engine.reserve(1500)
    out = np.empty(1500, np.uint32)
    second.draw_into(out)
    assert np.array_equal(out, expected[1000:2500]), "out of turn"
    first.draw_into(out[:1000])
    assert np.array_equal(out[:1000], expected[:1000])
    third = engine.reserve(300)
    third.draw_into(out[:300])
    assert np.array_equal(out[:300], expected[2500:2800])
    assert np.array_equal(third.draw32(300), expected[2500:2800]), "again"
    third.release()
    with pytest.raises(ValueError, match="was released"):
        third.draw_into(out[:300])
    assert np.array_equal(engine.draw32(200), expected[2800:])


def test_released_before_it_was_read() -> None:
    engine = Engine(0)
    kept = engine.reserve(10)
    kept.release()
    assert np.array_equal(engine.draw32(3), stream(0, 13)[10:])
    with pytest.raises(ValueError, match="was released"):
        kept.draw32(1)


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["draw", "reserve", "read", "into", "drop", "release", "state", "skip"]),
        st.integers(0, 700),
    ),
    max_size=25,
)


@given(STEPS)
@settings(max_examples=60, deadline=None)
def test_any_course_of_events_keeps_the_stream(steps: list[tuple[str, int]]) -> None:
    twister.install()
    expected, engine = stream(8, 700 * 26), Engine(8)
    place = 0
    kept: list[tuple[int, Reservation]] = []
    for step, number in steps:
        if step == "draw":
            found = engine.draw32(number)
            assert np.array_equal(found, expected[place : place + number])
        elif step == "skip":
            engine.skip(number)
        elif step == "reserve":
            kept.append((place, engine.reserve(number)))
        elif step == "state":
            engine.set_state(engine.get_state())
        elif kept:
            begin, one = kept[number % len(kept)]
            if step == "read":
                assert np.array_equal(one.draw32(one.count), expected[begin : begin + one.count])
            elif step == "into":
                out = np.empty(one.count, np.uint32)
                one.draw_into(out)
                assert np.array_equal(out, expected[begin : begin + one.count])
            else:
                if step == "release":
                    one.release()
                del kept[number % len(kept)], one
        place += number if step in ("draw", "skip", "reserve") else 0
    for begin, one in reversed(kept):
        assert np.array_equal(one.draw32(one.count), expected[begin : begin + one.count])


# -- threads --------------------------------------------------------------------------------


def test_threads_share_one_stream() -> None:
    engine = Engine(0)
    pieces: list[np.ndarray] = []
    begin = threading.Barrier(4)

    def work() -> None:
        begin.wait()
        for number in range(50):
            read = engine.draw32(300) if number % 2 else engine.reserve(300).draw32(300)
            pieces.append(read)

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    expected = stream(0, 4 * 50 * 300).reshape(-1, 300)
    assert {piece.tobytes() for piece in pieces} == {piece.tobytes() for piece in expected}
