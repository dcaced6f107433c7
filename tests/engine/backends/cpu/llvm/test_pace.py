"""Teams are opened where that takes less, and the numbers are the same either way."""

from __future__ import annotations

import ctypes
import gc

import numpy as np

import rushlight as torch
from rushlight.engine.backends.cpu.llvm.pace import LONGEST, TRIAL, WINDOW, Pace

ENTRY = 3


def begin() -> tuple[Pace, ctypes.Array]:
    table = (ctypes.c_uint64 * 5)(*[7, 7, 7, 2, 7])
    return Pace(table, ENTRY), table


def run(pace: Pace, table: ctypes.Array, count: int, team: int, alone: int) -> float:
    """How large a share of the runs opened a team, when both ways take so long."""
    opened = 0
    for _ in range(count):
        opened += table[ENTRY] == 2
        pace.note(team if table[ENTRY] == 2 else alone)
    return opened / count


def test_a_team_that_pays_is_kept() -> None:
    pace, table = begin()
    assert run(pace, table, 4000, team=75, alone=130) > 0.95
    assert pace.team
    assert list(table) == [7, 7, 7, 2, 7]


def test_a_team_that_waits_is_given_up() -> None:
    pace, table = begin()
    run(pace, table, 1000, team=75, alone=130)
    assert run(pace, table, 4 * WINDOW, team=600, alone=130) < 0.75  # soon
    assert run(pace, table, 20_000, team=600, alone=130) < 0.01
    assert table[ENTRY] == 1


def test_it_comes_back_when_the_neighbour_has_gone() -> None:
    pace, table = begin()
    run(pace, table, 50_000, team=600, alone=130)
    assert not pace.team
    run(pace, table, (LONGEST + 2) * WINDOW + 2 * TRIAL, team=75, alone=130)
    assert pace.team


def test_one_slow_run_after_a_change_does_not_count() -> None:
    pace, table = begin()
    for _ in range(2000):
        changed = table[ENTRY]
        pace.note(75 if changed == 2 else 130)
        if table[ENTRY] == 2 and changed == 1:
            pace.note(100_000)  # the team had to be woken
    assert pace.team


def test_team_and_single_thread_give_the_same_bits(two_threads: None) -> None:
    torch.manual_seed(0)
    layers = torch.nn.Linear(1000, 100), torch.nn.ReLU(), torch.nn.Linear(100, 9)
    net = torch.nn.Sequential(*layers)
    x = torch.randn(64, 1000)

    def step() -> np.ndarray:
        net.zero_grad()
        loss = (net(x) ** 2).sum()
        loss.backward()
        return np.append(net[0].weight.grad.numpy().copy(), loss.item())

    for _ in range(12):
        step()
    paces = [found for found in gc.get_objects() if type(found) is Pace]
    assert paces, "no program with a team was compiled"
    seen = []
    for team in (True, False):
        for pace in paces:
            pace._use(team)
        seen.append(step())
    np.testing.assert_array_equal(seen[0], seen[1])
