"""The same programs in processes that ``rushlight run`` has begun: no other ``torch`` is near."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.seeds.conftest import PROGRAMS, ROOT, UNDER_RUN

pytestmark = pytest.mark.skipif(UNDER_RUN, reason="it starts rushlight run itself")


def rushlight_run(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """``rushlight run`` in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "rushlight", "run", *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.parametrize("note", ["000", "001", "002", "003", "004"])
def test_every_block_of_a_note(note: str, tmp_path: Path) -> None:
    """The note's own tests, with rushlight as ``torch`` for them, for pytest and for the blocks."""
    file = f"tests/seeds/test_note_{note}.py"
    options = ("-q", "-p", "no:cacheprovider", "--basetemp", str(tmp_path / "made"))
    done = rushlight_run(ROOT, "-m", "pytest", *options, file)
    assert done.returncode == 0, done.stdout[-4000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    assert passed is not None
    assert int(passed[1]) >= 8


LOSSES = r"(\d+ \d+\.\d+(e-\d+)?\n){5}"
NETWORK = r"Net\(\n  \(conv1\): Conv2d\(1, 6, kernel_size=\(3, 3\), stride=\(1, 1\)\)\n(  .*\n){4}\)\n"


@pytest.mark.parametrize(
    ("program", "printed"),
    [
        (
            "note_000/backward",
            r"tensor\(\[\[1.5000, 2.0000\],\n +\[2.5000, 3.0000\]\], dtype=torch.float64\)\n",
        ),
        ("note_001/network", NETWORK),
        ("note_001/two_layers", LOSSES),
        ("note_004/backward_hook", r"Linear\(in_features=4, out_features=1, bias=True\)\n(.*\n)+"),
    ],
)
def test_a_block_that_is_a_whole_program(program: str, printed: str, tmp_path: Path) -> None:
    done = rushlight_run(tmp_path, str(PROGRAMS / f"{program}.py"))
    assert done.returncode == 0, done.stderr
    assert re.fullmatch(printed, done.stdout)
