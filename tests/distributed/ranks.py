"""Running small programs as several ranks, and counting what they leave behind."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

#: What every program begins with.
HEAD = """\
import os, sys, time
import numpy as np
import torch
import torch.distributed as dist
from torch import nn
"""


def missing() -> str:
    """Why no ranks can be started here, empty if they can."""
    if importlib.util.find_spec("mpi4py") is None:
        return "mpi4py is not installed (extra 'distributed'): ranks talk by MPI"
    try:
        importlib.metadata.distribution("mpich")
    except importlib.metadata.PackageNotFoundError:
        return "the mpich wheel is not installed (extra 'distributed'): the launcher speaks PMI-1"
    return ""


needs_mpi = pytest.mark.skipif(bool(missing()), reason=missing() or "MPI is there")


def write(folder: Path, program: str, name: str = "program.py") -> Path:
    """Save a program with the usual imports before it."""
    file = folder / name
    file.write_text(HEAD + textwrap.dedent(program))
    return file


def environment(**changes: str) -> dict[str, str]:
    """The environment of the children: this source tree, no launcher's variables."""
    mine = {k: v for k, v in os.environ.items() if not k.startswith(("PMI", "TORCHELASTIC"))}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK", "OMP_NUM_THREADS", "PYTHONUNBUFFERED"):
        mine.pop(name, None)
    return {**mine, "PYTHONPATH": str(ROOT), **changes}


#: Every launcher and program that was started; a test that fails ends those it leaves.
started: list[subprocess.Popen[str]] = []


def start(words: list[str], folder: Path, **changes: str) -> subprocess.Popen[str]:
    """Start ``rushlight`` with these words."""
    process = subprocess.Popen(
        [sys.executable, "-m", "rushlight", *words], cwd=folder, env=environment(**changes),
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    started.append(process)
    return process


def end_started() -> None:
    """End what still runs."""
    while started:
        process = started.pop()
        if process.poll() is None:
            process.kill()
            process.communicate()


def finish(
    process: subprocess.Popen[str], text: str | None = None, timeout: float = 60
) -> tuple[int, str, str]:
    """Exit status and output of a started process; it is killed when it takes too long."""
    try:
        out, err = process.communicate(text, timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"still running after {timeout} s\n{out}\n{err}") from None
    return process.returncode, out, err


def launch(
    folder: Path, program: str, ranks: int, *arguments: str, options: tuple[str, ...] = ()
) -> tuple[int, str, str]:
    """Run a program as several ranks; exit status and output."""
    file = write(folder, program)
    words = ["launch", f"--nproc_per_node={ranks}", *options, str(file), *arguments]
    return finish(start(words, folder))


def run(
    folder: Path, program: str, ranks: int, *arguments: str, options: tuple[str, ...] = ()
) -> str:
    """Run a program that must end well; what it printed."""
    code, out, err = launch(folder, program, ranks, *arguments, options=options)
    assert code == 0, f"exit status {code}\n{out}\n{err}"
    return out


def left_behind(mark: str) -> list[str]:
    """The command lines of running processes that have ``mark`` in it."""
    found = []
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit() and int(folder.name) != os.getpid():
            try:
                words = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            except OSError:
                words = ""  # it has just ended
            if mark in words:
                found.append(words)
    return found
