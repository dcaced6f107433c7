"""Importing the package: what it does to the process besides."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from rushlight._loading import Pause


def _run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.mark.parametrize("running", [True, False])
def test_the_garbage_collector_is_left_as_it_was(running: bool) -> None:
    before = "" if running else "gc.disable(); "
    assert _run(f"import gc; {before}import rushlight; print(gc.isenabled())") == str(running)


def test_it_runs_again_after_a_failed_import() -> None:
    pause = Pause()
    assert not gc.isenabled()
    del pause
    assert gc.isenabled()


def test_what_is_seldom_needed_is_not_loaded() -> None:
    seldom = ["importlib.metadata", "hashlib", "email", "llvmlite.binding", "PIL", "scipy"]
    said = _run(f"import sys, rushlight; print([m for m in {seldom} if m in sys.modules])")
    assert said == "[]"
