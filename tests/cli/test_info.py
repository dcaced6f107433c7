"""The command line."""

from __future__ import annotations

import subprocess
import sys

import pytest

import rushlight
from rushlight.cli import main
from rushlight.engine.backends.cpu.llvm import store


def test_info_says_what_a_report_of_a_problem_needs(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["info"]) == 0
    shown = capsys.readouterr().out
    for wanted in (rushlight.__version__, "numpy", "threads", "oneDNN", "cache"):
        assert wanted in shown
    folder = store.usage().folder
    assert folder is None or str(folder) in shown


def test_it_runs_as_a_module() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "rushlight", "info"], capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("rushlight")


def test_an_unknown_command_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as raised:
        main(["dance"])
    assert raised.value.code == 2
    assert "invalid choice" in capsys.readouterr().err


def test_the_cache_can_be_cleared(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["cache", "clear"]) == 0
    assert "entries=0" in capsys.readouterr().out
