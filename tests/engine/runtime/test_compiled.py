"""Compiled programs: when they run, what they write over, and when the interpreter steps in."""

from __future__ import annotations

import os
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight.engine.backends.cpu import threads
from rushlight.engine.compiler import choices
from rushlight.engine.core.config import config
from rushlight.engine.runtime import compiled, compiling
from rushlight.engine.runtime.cache import counters
from rushlight.engine.runtime.executor import flush


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program is compiled when it runs for the second time."""
    for name, value in (("begin", 1), ("use", 1), ("nodes", 1), ("patient", False)):
        monkeypatch.setattr(compiling.thresholds, name, value)



def compiled_runs(step: Any, times: int) -> int:
    before = counters.compiled_runs
    for _ in range(times):
        step()
        flush()
    return counters.compiled_runs - before


def three_operations(x: torch.Tensor) -> list[Any]:
    return ((x * 2 + 1).relu() * 3).tolist()


# when --------------------------------------------------------------------------------------------


def test_a_program_runs_compiled_from_a_fixed_run_on() -> None:
    x = torch.randn(37)
    assert compiled_runs(lambda: three_operations(x), choices.USE_FROM) == 0
    assert compiled_runs(lambda: three_operations(x), 3) == 3


def test_what_comes_back_too_seldom_is_not_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    """The last, smaller batch of an epoch."""
    monkeypatch.setattr(choices, "WINDOW", 4)
    x, rest = torch.randn(41), torch.randn(43)
    ragged = 0
    for _ in range(12):
        compiled_runs(lambda: three_operations(x), 5)
        ragged += compiled_runs(lambda: three_operations(rest), 1)
    assert ragged == 0


def test_a_short_program_and_a_switched_off_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    x = torch.randn(47)
    assert compiled_runs(lambda: (x + 1).tolist(), 20) == 0
    monkeypatch.setattr(config, "compiler", False)
    y = torch.randn(53)
    assert compiled_runs(lambda: three_operations(y), 20) == 0


def test_another_number_of_threads_compiles_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(threads.state, "epoch", threads.state.epoch)
    x = torch.randn(59)
    wanted = three_operations(x)
    compiled_runs(lambda: three_operations(x), 20)
    threads.state.epoch += 1
    assert compiled_runs(lambda: three_operations(x), 10) == 10
    assert three_operations(x) == pytest.approx(wanted, abs=1e-5)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_compiles_nothing_and_computes_the_same() -> None:
    x = torch.randn(61)
    wanted = three_operations(x)
    compiled_runs(lambda: three_operations(x), 20)
    child = os.fork()
    if not child:
        before = counters.compiled_runs
        right = all(np.allclose(three_operations(x), wanted, 1e-5, 1e-5) for _ in range(20))
        os._exit(0 if right and counters.compiled_runs == before else 1)
    assert os.waitpid(child, 0)[1] == 0


# what is written over ----------------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_a_parameter_stays_where_it_is_and_what_was_saved_stays_as_it_was() -> None:
    w = torch.ones(300, requires_grad=True)
    optimizer = torch.optim.Adam([w], lr=0.1)

    def step() -> int:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        return int(w._value.buffer.ctypes.data)

    for _ in range(3):
        step()
    assert len({step() for _ in range(5)}) == 1
    held, array = w.detach().clone(), w.detach().numpy()
    alias = w.detach()
    before = held.tolist()
    step()
    assert held.tolist() == before
    assert alias.tolist() == w.tolist() == array.tolist() != before


@pytest.mark.usefixtures("at_once")
def test_results_that_are_held_are_not_written_over() -> None:
    x = torch.randn(64)
    held = []
    for number in range(6):
        y = x * number + 1
        held.append((number, y, y.numpy() if number % 2 else None))
    for number in range(6):
        held.append((number, x * number + 1, None))
        flush()
    for number, y, array in held:
        assert y.tolist() == pytest.approx((x * number + 1).tolist(), abs=1e-5)
        assert array is None or array.tolist() == y.tolist()


@pytest.mark.usefixtures("at_once")
def test_two_programs_hand_results_to_each_other() -> None:
    """What one program would use again is another one's parameter by now."""
    w = torch.zeros(200)
    with torch.no_grad():
        for number in range(8):
            w = w + 1
            flush()
            w.mul_(2).add_(number)
            flush()
    expected = 0
    for number in range(8):
        expected = (expected + 1) * 2 + number
    assert w.tolist() == [expected] * 200


# when the interpreter steps in -------------------------------------------------------------------


@pytest.mark.usefixtures("at_once")
def test_an_index_out_of_range_is_found_before_anything_is_touched() -> None:
    table = torch.randn(5, 3, requires_grad=True)
    optimizer = torch.optim.SGD([table], lr=0.1)

    def step(rows: list[int]) -> None:
        optimizer.zero_grad()
        shift = torch.tensor(rows)
        (F.embedding(shift, table) * 2).sum().backward()
        optimizer.step()

    for _ in range(4):
        step([0, 4, 2])
    before = table.tolist()
    with pytest.raises(IndexError, match="index out of range in self"):
        step([0, 5, 2])
    assert table.tolist() == before
    step([1, 1, 1])
    assert table[1].tolist() == pytest.approx([x - 0.6 for x in before[1]])


@pytest.mark.usefixtures("at_once")
def test_an_integer_beyond_64_bits_is_left_to_the_interpreter() -> None:
    x = torch.arange(3)
    for number in (2, 3, 4, 2**64 + 5):
        assert (x + number - number).tolist() == [0, 1, 2]


@pytest.mark.usefixtures("at_once")
def test_complex_numbers_and_random_ones_are_python_calls_inside() -> None:
    x = torch.randn(6)
    for _ in range(4):
        z = torch.complex(x, x * 2) * 2
        assert torch.view_as_real(z)[:, 1].tolist() == pytest.approx((x * 4).tolist())
    torch.manual_seed(3)
    wanted = F.dropout(x, 0.5).tolist()
    for _ in range(4):
        torch.manual_seed(3)
        assert F.dropout(x, 0.5).tolist() == wanted


@pytest.mark.usefixtures("at_once")
def test_half_types_are_rounded_at_every_operation() -> None:
    x = torch.randn(50)
    for kind in (torch.bfloat16, torch.float16):
        found = [((x.to(kind) * 3 + 1) / 7).float().tolist() for _ in range(4)]
        assert found[0] == found[3]


def test_the_addresses_of_inputs_are_found_without_generated_code(
    monkeypatch: pytest.MonkeyPatch, at_once: None
) -> None:
    monkeypatch.setattr(compiled.objects, "ready", lambda: False)
    net = torch.nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.01)
    x = torch.randn(5, 4)
    losses = []
    for _ in range(6):
        optimizer.zero_grad()
        loss = (net(x) ** 2).mean()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses == sorted(losses, reverse=True)
