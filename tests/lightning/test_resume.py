"""A run that is broken off and resumed ends in the bits of the one that was not."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

PROGRAM = Path(__file__).with_name("resumable.py")


def run(folder: Path, *options: str) -> subprocess.CompletedProcess[str]:
    """Run the program in a process of its own."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, str(PROGRAM), str(folder), *options]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def digest(done: subprocess.CompletedProcess[str]) -> str:
    """Parameters, optimizer, generators and logged values at the end."""
    assert done.returncode == 0, done.stderr[-2000:]
    return next(line for line in done.stdout.splitlines() if line.startswith("digest"))


def steps(folder: Path) -> dict[str, list[str]]:
    """What the diary says of every step; several losses where a step was taken twice."""
    found: dict[str, list[str]] = {}
    for line in (folder / "diary.txt").read_text().splitlines():
        place, _, loss = line.rpartition(" ")
        found.setdefault(place, []).append(loss)
    return found


@pytest.fixture(name="whole", scope="module")
def _whole(tmp_path_factory) -> Callable[..., tuple[str, Path]]:
    """The uninterrupted run with these options: its digest and its folder."""
    done: dict[tuple[str, ...], tuple[str, Path]] = {}

    def run_once(*options: str) -> tuple[str, Path]:
        if options not in done:
            folder = tmp_path_factory.mktemp("whole")
            done[options] = digest(run(folder, *options)), folder
        return done[options]

    return run_once


# a shuffled data set, a stream without length, and gradients of two batches
@pytest.mark.parametrize(
    ("options", "kill"),
    [
        ([], 11),
        (["--loader", "iterable"], 14),
        (["--loader", "generator", "--parts", "2"], 7),
    ],
    ids=["shuffled", "iterable", "accumulated"],
)
def test_killed_in_the_middle_of_an_epoch(tmp_path, whole, options, kill) -> None:
    expected, folder = whole(*options)
    killed = run(tmp_path / "broken", *options, "--kill", str(kill))
    assert killed.returncode == -9
    assert digest(run(tmp_path / "broken", *options, "--resume", "last")) == expected
    planned, got = steps(folder), steps(tmp_path / "broken")
    assert got.keys() == planned.keys()
    for place, (loss,) in planned.items():
        assert set(got[place]) == {loss}, place


def test_interrupted_by_keys(tmp_path, whole) -> None:
    expected, folder = whole()
    stopped = run(tmp_path / "broken", "--interrupt", "13")
    assert stopped.returncode == 1
    assert "graceful shutdown" in stopped.stdout
    assert "Traceback" not in stopped.stderr
    saved = tmp_path / "broken" / "kept" / "interrupted.ckpt"
    assert str(saved) in stopped.stdout
    assert digest(run(tmp_path / "broken", "--resume", str(saved))) == expected
    assert steps(tmp_path / "broken") == steps(folder)  # no step was lost, none was taken twice
