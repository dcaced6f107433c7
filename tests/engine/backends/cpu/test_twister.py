"""Random numbers in generated code are NumPy's and PyTorch's own."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.engine.backends.cpu import twister
from rushlight.engine.core import mt19937
from rushlight.engine.core.mt19937 import Engine

COUNTS = (1, 65, 100, 623, 624, 625, 1000, 5000, 70, 4096, 64, 3, 1249)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(mt19937.native, "fill", None)
    monkeypatch.setattr(twister, "_twister", twister._Twister())


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("seed", [0, 5, 2**63])
def test_the_stream_is_the_same_and_so_is_the_state_after_it(seed: int) -> None:
    plain = Engine(seed)
    wanted = [plain.draw32(count) for count in COUNTS]
    twister.install()
    assert mt19937.native.fill is not None
    generated = Engine(seed)
    for count, draws in zip(COUNTS, wanted, strict=True):
        np.testing.assert_array_equal(generated.draw32(count), draws)
    np.testing.assert_array_equal(generated.get_state(), plain.get_state())


@pytest.mark.usefixtures("native")
def test_a_stream_can_change_over_in_the_middle() -> None:
    plain, changing = Engine(1), Engine(1)
    first = changing.draw32(300)
    twister.install()
    kept = changing.reserve(700)
    rest = changing.draw32(500)
    found = np.concatenate([first, kept.draw32(700), rest])
    np.testing.assert_array_equal(found, plain.draw32(1500))
