"""Two runs with one seed are the same, bit for bit, whatever is on disk and whatever ran before."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.compiler import training
from tests.fuzz import modes

pytestmark = pytest.mark.skipif(not modes.COMPILER, reason=modes.NO_COMPILER)


@pytest.fixture(scope="module")
def cold(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A cache folder that was empty, and what the run that filled it has told."""
    folder = tmp_path_factory.mktemp("cache") / "made" / "by_the_run"
    return folder, training.run(RUSHLIGHT_CACHE_DIR=folder, PYTHONHASHSEED=1)


def entries(folder: Path) -> dict[str, int]:
    """The files of a cache, with the times at which they were written."""
    return {p.name: p.stat().st_ino for p in folder.rglob("*") if p.is_file()}


def test_most_steps_run_compiled(cold: tuple[Path, dict[str, Any]]) -> None:
    assert cold[1]["compiled_runs"] > training.STEPS / 2
    assert entries(cold[0])


def test_a_warm_cache_changes_nothing(cold: tuple[Path, dict[str, Any]]) -> None:
    folder, first = cold
    before = entries(folder)
    assert training.run(RUSHLIGHT_CACHE_DIR=folder, PYTHONHASHSEED=2) == first
    assert entries(folder) == before  # nothing had to be compiled again


def test_no_cache_changes_nothing(cold: tuple[Path, dict[str, Any]]) -> None:
    assert training.run(RUSHLIGHT_CACHE=0, PYTHONHASHSEED=3) == cold[1]


def test_another_empty_cache_changes_nothing(
    cold: tuple[Path, dict[str, Any]], tmp_path: Path
) -> None:
    assert training.run(RUSHLIGHT_CACHE_DIR=tmp_path, PYTHONHASHSEED=4) == cold[1]
    assert entries(tmp_path).keys() == entries(cold[0]).keys()


def test_what_ran_before_changes_nothing(cold: tuple[Path, dict[str, Any]], tmp_path: Path) -> None:
    code = (
        "import rushlight as torch\n"
        "kept = [torch.rand(100 + n).exp().sum() for n in range(50)]\n"
        "print([k.item() for k in kept[::2]])\n"
    )
    told = training.run(code + training.PLAIN, RUSHLIGHT_CACHE_DIR=tmp_path, PYTHONHASHSEED=5)
    assert told == cold[1]


def test_logging_changes_nothing(cold: tuple[Path, dict[str, Any]]) -> None:
    told = training.run(RUSHLIGHT_CACHE_DIR=cold[0], RUSHLIGHT_LOG="recompiles,programs")
    assert told == cold[1]


def test_the_interpreter_agrees_as_far_as_rounding_lets_it(
    cold: tuple[Path, dict[str, Any]],
) -> None:
    told = training.run(RUSHLIGHT_COMPILE=0)
    assert told["compiled_runs"] == 0
    losses = [[float.fromhex(x) for x in run["losses"]] for run in (told, cold[1])]
    np.testing.assert_allclose(losses[0], losses[1], rtol=5e-3)
