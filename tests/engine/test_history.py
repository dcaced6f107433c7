"""How far programs have come, and taking it up again."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import rushlight as torch
from rushlight.engine.runtime import history, misses
from rushlight.engine.runtime.compiling import thresholds
from rushlight.engine.runtime.executor import flush


@pytest.fixture(autouse=True)
def _nothing_stays_expected() -> Iterator[None]:
    yield
    history._expected.clear()


def work(x: torch.Tensor) -> float:
    """A program long enough to be compiled, and nothing that was recorded before it."""
    flush("test")
    return ((x * 2 + 1).tanh() * x).sum().item()


def newest() -> object:
    return misses.history[-1].program


def test_a_program_goes_on_from_where_it_was() -> None:
    x = torch.rand(17, 3, generator=torch.Generator().manual_seed(0))
    work(x)
    program = newest()
    early = history.recorded()
    assert early["programs"][history.digest(program)]["runs"] == program.runs == 1
    for _ in range(thresholds.use + 1):
        work(x)
    assert program.compiled is not None
    late = history.recorded()
    history.restore(early)
    assert (program.runs, program.compiled) == (1, None)
    history.restore(late)
    value = work(x)
    assert program.compiled is not None  # at once, as it was
    assert program.runs == late["programs"][history.digest(program)]["runs"] + 1
    assert abs(value - float(((x * 2 + 1).tanh() * x).sum().numpy())) < 1e-4


def test_what_had_not_come_counts_as_new() -> None:
    before = history.recorded()
    x = torch.rand(19, 3)
    work(x)
    program = newest()
    history.restore(before)
    assert program.runs == 0
    work(x)
    assert program.runs == 1


def test_what_is_expected_is_kept_until_it_comes() -> None:
    saved = history.recorded()
    saved["programs"]["0" * 64] = {
        "runs": 9, "seen": 0, "compiled": True, "refused": False, "varying": False,
    }  # fmt: skip
    history.restore(saved)
    assert history.recorded()["programs"]["0" * 64]["runs"] == 9
