"""The sides of a comparison: which there are, which can run here, and processes that run them."""

from __future__ import annotations

import functools
import json
import os
import select
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class Side:
    """A framework and how the program is put to it."""

    name: str
    module: str
    compiled: bool = False  # the framework's own `compile` around the whole step
    peer: bool = False  # another programming model: the workload is written again for it
    variables: tuple[tuple[str, str], ...] = ()  # what it gets in its environment


SIDES = {
    side.name: side
    for side in [
        Side("rushlight", "rushlight"),
        Side("rushlight.compile", "rushlight", compiled=True),
        Side("interpreter", "rushlight", variables=(("RUSHLIGHT_COMPILE", "0"),)),
        Side("torch", "torch"),
        Side("torch.compile", "torch", compiled=True),
        Side("jax", "jax", peer=True),
        Side("tinygrad", "tinygrad", peer=True),
    ]
}

#: What a peer has been written for (`peers_jax.py`, `peers_tinygrad.py`).
PEER_WORKLOADS = ("mlp", "lenet", "lit_mnist")


class Settings:
    """What the command line says of all measurements."""

    peers_python = sys.executable  # JAX and tinygrad may live in an environment of their own
    verbose = True


def note(text: str) -> None:
    """Tell what is being measured."""
    if Settings.verbose:
        print(f"... {text}", file=sys.stderr, flush=True)


def python_of(side: str) -> str:
    """The interpreter that has this side's framework."""
    return Settings.peers_python if SIDES[side].peer else sys.executable


def environment(extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """That of a program installed as usual, with its byte code on disk."""
    kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    path = os.pathsep.join(p for p in (str(ROOT), os.environ.get("PYTHONPATH", "")) if p)
    beside = os.pathsep.join((str(Path(Settings.peers_python).parent), os.environ.get("PATH", "")))
    return {**kept, "PYTHONPATH": path, "PATH": beside, **(extra or {})}


_CHECK = "import {module}; print(getattr({module}, '__version__', '')); {more}"
_COMPILES = (
    "f = torch.compile(lambda x: x.sin() + 1); assert abs(float(f(torch.zeros(()))) - 1) < 1e-6"
)
_DEVICE = "import tinygrad; tinygrad.Tensor.ones(2).tolist()"


_FOLDERS = {"rushlight": "RUSHLIGHT_CACHE_DIR", "torch": "TORCHINDUCTOR_CACHE_DIR"}


@functools.cache
def _refused(variable: str) -> bool:
    """Whether rushlight does not know the variable."""
    done = subprocess.run(
        [sys.executable, "-c", "import rushlight"],
        env=environment({variable: "."}),
        capture_output=True,
    )
    return done.returncode != 0


def own_folder(side: str, folder: str) -> dict[str, str]:
    """What lets a side keep its compiled code in ``folder``; nothing where it keeps none."""
    variable = _FOLDERS.get(SIDES[side].module)
    if variable is None or (SIDES[side].module == "rushlight" and _refused(variable)):
        return {}
    return {variable: folder}


@functools.cache
def missing(side: str) -> str:
    """Why a side cannot run here; empty where it can."""
    about = SIDES[side]
    more = {"tinygrad": _DEVICE, "torch.compile": _COMPILES}.get(side, "pass")
    if side == "rushlight.compile":
        more = "rushlight.compile"
    code = _CHECK.format(module=about.module, more=more)
    done = subprocess.run(
        [python_of(side), "-c", code], capture_output=True, text=True, env=environment()
    )
    if done.returncode == 0:
        return ""
    if side == "rushlight.compile" and "AttributeError" in done.stderr:
        return "rushlight has no `compile` yet"
    return done.stderr.strip().splitlines()[-1]


def available(sides: Iterable[str], workload: str) -> list[str]:
    """The sides that can run a workload here."""
    return [
        side
        for side in sides
        if not missing(side) and (not SIDES[side].peer or workload in PEER_WORKLOADS)
    ]


#: Seconds after which a worker that does not answer is given up.
PATIENCE = 300

#: Turns of warming up after which a side is measured as it is.
MOST_TURNS = 8


Taken = dict[str, list[dict[str, float]]]


class Failure(Exception):
    """A side cannot run a workload; the others go on without it."""


class Process:
    """A running worker."""

    def __init__(self, side: str, workload: str, extra: Mapping[str, str] | None = None) -> None:
        self.side, self.workload = side, workload
        self.errors = tempfile.TemporaryFile("w+")  # noqa: SIM115  # closed in `close`
        self.process = subprocess.Popen(
            [python_of(side), "-m", "benchmarks.worker", side, workload, repr(time.monotonic())],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self.errors, text=True,
            cwd=ROOT, env=environment({**dict(SIDES[side].variables), **(extra or {})}),
        )  # fmt: skip

    def _ask(self, **order: Any) -> dict[str, Any]:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        answer = ""
        with suppress(BrokenPipeError):
            print(json.dumps(order), file=self.process.stdin, flush=True)
            if not select.select([self.process.stdout], [], [], PATIENCE)[0]:
                self.process.kill()
                raise Failure(f"{self.workload}: no answer within {PATIENCE} seconds")
            answer = self.process.stdout.readline()
        if not answer:
            self.process.wait()
            self.errors.seek(0)
            said = self.errors.read().strip().splitlines() or ["no word"]
            raise Failure(f"{self.workload}: {said[-1]}")
        return json.loads(answer)  # type: ignore[no-any-return]

    def run(self, steps: int, read: bool = True) -> dict[str, float]:
        """Seconds and processor seconds a step, the last loss, seconds since the process began."""
        return self._ask(do="run", steps=steps, read=read)

    def describe(self) -> dict[str, Any]:
        """Version, seconds until everything was imported, bytes of memory."""
        return self._ask(do="describe")

    def close(self) -> None:
        """Let it end."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):  # it may have ended by itself
            self.process.stdin.close()
        self.process.wait(timeout=60)
        self.process.stdout.close()
        self.errors.close()

    def __enter__(self) -> Process:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


@contextmanager
def processes(sides: Iterable[str], workload: str) -> Iterator[dict[str, Process]]:
    """One worker for each side, each with a folder for compiled code that is empty at first."""
    with ExitStack() as stack:
        started = {}
        for side in sides:
            folder = stack.enter_context(tempfile.TemporaryDirectory())
            started[side] = stack.enter_context(Process(side, workload, own_folder(side, folder)))
        yield started


def _settle(worker: Process, steps: int) -> None:
    """Run turns of steps until the last one was no faster than the one before: all has compiled."""
    before = worker.run(steps)["seconds"]
    for _ in range(MOST_TURNS):
        seconds = worker.run(steps)["seconds"]
        if seconds > 0.9 * before:
            return
        before = seconds


def warm(workers: dict[str, Process], steps: int, failed: dict[str, str]) -> None:
    """Run the first steps of every side; who fails leaves ``workers``, with the reason."""
    for side in list(workers):
        try:
            _settle(workers[side], steps)
        except Failure as failure:
            failed[side] = str(failure)
            del workers[side]


def in_turn(
    workers: dict[str, Process], steps: int, rounds: int, failed: dict[str, str], read: bool = True
) -> Taken:
    """What ``Process.run`` says of every side, taken in turn; who fails leaves ``workers``."""
    taken: Taken = {side: [] for side in workers}
    for _ in range(rounds):
        for side in list(workers):
            time.sleep(0.02)  # threads of the side before may still be spinning
            try:  # the unmeasured steps bring back what another side displaced from the caches
                workers[side].run(max(1, steps // 10), read)
                taken[side].append(workers[side].run(steps, read))
            except Failure as failure:
                failed[side] = str(failure)
                del workers[side], taken[side]
    return taken


def medians(taken: Taken, what: str = "seconds") -> dict[str, float]:
    """The median of every side: seconds a step, or processor seconds of all its threads."""
    return {
        side: statistics.median(each[what] for each in rounds) for side, rounds in taken.items()
    }


def unsteady(taken: Taken) -> dict[str, float]:
    """Sides whose upper quarter is well above their lower one: slowest round over fastest."""
    found = {}
    for side, rounds in taken.items():
        seconds = sorted(each["seconds"] for each in rounds)
        if seconds[3 * len(seconds) // 4] > 1.4 * seconds[len(seconds) // 4]:
            found[side] = seconds[-1] / seconds[0]
    return found
