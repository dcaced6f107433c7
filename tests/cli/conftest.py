"""Programs run by ``python`` and by ``rushlight run``, each in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
LIMIT = 120  #: seconds until a process counts as hanging

Done = subprocess.CompletedProcess[str]
Start = Callable[..., Done]


def _starter(folder: Path, *before: str) -> Start:
    def start(*words: str, stdin: str = "") -> Done:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
        return subprocess.run(
            [sys.executable, *before, *words],
            cwd=folder,
            env=environment,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=LIMIT,
        )

    return start


@pytest.fixture
def python(tmp_path: Path) -> Start:
    """``python(*words)`` in a folder of the test's own."""
    return _starter(tmp_path)


@pytest.fixture
def rushlight_run(tmp_path: Path) -> Start:
    """``rushlight run *words`` in the same folder."""
    return _starter(tmp_path, "-m", "rushlight", "run")
