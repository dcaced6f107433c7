"""A run that is broken off and resumed ends in the bits of the one that was not."""

from __future__ import annotations

import subprocess
import sys
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


# a batch sampler of three kinds, a stream without length, and gradients of two batches
@pytest.mark.parametrize(
    ("options", "kill"),
    [
        (["--loader", "shuffled"], 11),
        (["--loader", "weighted"], 23),
        (["--loader", "iterable"], 14),
        (["--loader", "generator", "--parts", "2"], 7),
    ],
    ids=["shuffled", "weighted", "iterable", "accumulated"],
)
def test_killed_in_the_middle_of_an_epoch(tmp_path, options: list[str], kill: int) -> None:
    whole = digest(run(tmp_path / "whole", *options))
    killed = run(tmp_path / "broken", *options, "--kill", str(kill))
    assert killed.returncode == -9
    assert digest(run(tmp_path / "broken", *options, "--resume", "last")) == whole
    expected, got = steps(tmp_path / "whole"), steps(tmp_path / "broken")
    assert got.keys() == expected.keys()
    for place, (loss,) in expected.items():
        assert set(got[place]) == {loss}, place


def test_interrupted_by_keys(tmp_path) -> None:
    whole = digest(run(tmp_path / "whole"))
    stopped = run(tmp_path / "broken", "--interrupt", "13")
    assert stopped.returncode == 1
    assert "graceful shutdown" in stopped.stdout
    assert "Traceback" not in stopped.stderr
    saved = tmp_path / "broken" / "kept" / "interrupted.ckpt"
    assert str(saved) in stopped.stdout
    assert digest(run(tmp_path / "broken", "--resume", str(saved))) == whole
    expected, got = steps(tmp_path / "whole"), steps(tmp_path / "broken")
    assert got == expected  # no step was lost, none was taken twice
