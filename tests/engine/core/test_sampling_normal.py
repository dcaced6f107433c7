"""Normal numbers against PyTorch: every path, every argument of the transform."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.engine.core import dtype as types
from rushlight.engine.core.mt19937 import Engine
from rushlight.engine.core.sampling_normal import normal, normal_doubles, normal_draws
from tests.engine.core.stream_oracle import SEEDS, SIZES, Twins, load_torch

REALS = [types.float32, types.float64, types.float16, types.bfloat16]
COMPLEX = [types.complex64, types.complex128]
SHAPES = [(0, 1), (0.1, 0.02), (-3.7, 2.5), (1.0, 0.0)]


@pytest.mark.parametrize("dtype", REALS + COMPLEX, ids=repr)
@pytest.mark.parametrize("seed", SEEDS)
def test_normal(seed: int, dtype: types.dtype) -> None:
    twins = Twins(seed)
    for size in SIZES:
        for mean, std in SHAPES:
            ours = normal(twins.engine, (1, size), dtype, mean, std)
            twins.agree(ours, twins.empty((1, size), dtype).normal_(mean, std))


@pytest.mark.parametrize("dtype", [types.float32, types.float64], ids=repr)
def test_normal_in_quantity(dtype: types.dtype) -> None:
    twins = Twins(1)
    theirs = twins.empty(300_001, dtype).normal_(0.7, 0.3)
    twins.agree(normal(twins.engine, 300_001, dtype, 0.7, 0.3), theirs)


@pytest.mark.parametrize("dtype", REALS, ids=repr)
def test_strided_tensors_are_filled_value_by_value(dtype: types.dtype) -> None:
    twins = Twins(2)
    for size in (16, 33, 1000):
        theirs = twins.empty((size, 2), dtype)[:, 0].normal_(0.3, 0.7)
        twins.agree(normal(twins.engine, size, dtype, 0.3, 0.7, contiguous=False), theirs)


def test_the_second_of_a_pair_waits_in_the_engine() -> None:
    pair = normal(Engine(3), 2, types.float64)
    engine = Engine(3)
    first = normal(engine, 1, types.float64)
    assert engine.double_normal == pair[1]
    place = engine.get_state()
    normal(engine, 32)
    assert engine.double_normal == pair[1], "blocks of 16 leave it alone"
    engine.set_state(place)
    second = normal(engine, 1, types.float64)
    assert engine.double_normal is None
    assert [first[0], second[0]] == pair.tolist()
    normal(engine, 0)
    assert engine.double_normal is None


def test_nothing_drawn_for_an_empty_result() -> None:
    engine = Engine(0)
    assert normal(engine, (3, 0), types.int64).shape == (3, 0)
    assert engine.get_state().tobytes() == Engine(0).get_state().tobytes()


@pytest.mark.parametrize("size", [16, 17, 32, 47])
@pytest.mark.parametrize("dtype", REALS, ids=repr)
def test_a_reservation_gives_the_same_numbers_later(size: int, dtype: types.dtype) -> None:
    engine, plain = Engine(4), Engine(4)
    kept = engine.reserve(normal_draws(size, dtype))
    after = engine.draw32(5)
    expected = normal(plain, size, dtype)
    assert np.array_equal(plain.draw32(5), after)
    assert normal(kept, size, dtype).tobytes() == expected.tobytes()


def test_few_numbers_need_the_engine() -> None:
    with pytest.raises(TypeError, match="drawn from the engine itself"):
        normal(Engine(0).reserve(30), 15)
    with pytest.raises(TypeError, match="drawn from the engine itself"):
        normal_doubles(Engine(0).reserve(30), 15, 0.0, 1.0)


def test_refusals() -> None:
    with pytest.raises(RuntimeError, match=r"^normal expects std >= 0\.0, but found std -1$"):
        normal(Engine(0), 3, std=-1)
    with pytest.raises(NotImplementedError, match=r"normal_kernel_cpu.*'Int'"):
        normal(Engine(0), 3, types.int32)


def _untempered(draws: np.ndarray) -> np.ndarray:
    """The words of the twister's state that come out as these draws."""
    words = draws ^ (draws >> np.uint32(18))
    words ^= (words << np.uint32(15)) & np.uint32(0xEFC60000)
    mixed = words.copy()
    for _ in range(5):
        mixed = words ^ ((mixed << np.uint32(7)) & np.uint32(0x9D2C5680))
    words = mixed.copy()
    for _ in range(3):
        mixed = words ^ (mixed >> np.uint32(11))
    return mixed


@pytest.mark.parametrize("partner", [2654435761, 40503])
def test_every_argument_that_can_occur(partner: int) -> None:
    # All 2**24 radii, and all 2**24 angles in another order, by states made up for the purpose.
    torch = load_torch()
    generator = torch.Generator()
    state = generator.get_state().numpy()
    state[8:24].view(np.int32)[...] = (624, 1, 0, 0)
    words, tensor = state[24:5016].view(np.uint64), torch.from_numpy(state)
    out, engine = torch.empty(608), Engine()
    radii = np.arange(2**24, dtype=np.uint32)
    angles = (radii * np.uint32(partner % 2**32) + np.uint32(99)) & np.uint32(2**24 - 1)
    blocks = np.stack([radii.reshape(-1, 8), angles.reshape(-1, 8)], 1).reshape(-1)
    for draws in np.array_split(blocks, 128):
        whole = np.resize(draws, -(-draws.size // 608) * 608)
        theirs = np.empty((whole.size // 608, 608), np.float32)
        for row, key in zip(theirs, _untempered(whole).reshape(-1, 608), strict=True):
            words[:608] = key
            generator.set_state(tensor)
            row[...] = out.normal_(generator=generator).numpy()
        kept = engine.reserve(0)
        kept.count, kept._draws = whole.size, whole
        assert normal(kept, whole.size).tobytes() == theirs.tobytes()
