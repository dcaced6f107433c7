"""Runs programs one after the other in a process of its own and tells what came of each."""

from __future__ import annotations

import faulthandler
import json
import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from rushlight.engine.runtime.cache import counters
from tests.fuzz.compare import Failure, available, check
from tests.fuzz.draw import generate
from tests.fuzz.programs import Program
from tests.fuzz.shrink import shrink


def examine(
    seed: int, modes: Sequence[str], attempts: int = 300
) -> tuple[Program, Failure | None, set[str]]:
    """The program of a seed (made small if it fails), how it fails, and what was compared."""
    program = generate(seed)
    failure, compared = check(program, available(modes))
    if failure is None:
        return program, None, compared
    return (*reduce(program, failure, modes, attempts), compared)


def reduce(
    program: Program, failure: Failure, modes: Sequence[str], attempts: int
) -> tuple[Program, Failure]:
    """A small program that fails the same way."""
    last = [failure]

    def fails(smaller: Program) -> bool:
        found, _ = check(smaller, available(modes))
        if found is not None and found.key == failure.key:
            last[0] = found
            return True
        return False

    return shrink(program, fails, attempts), last[0]


def tell(**words: Any) -> None:
    """One line for the process that started this one."""
    sys.stdout.write(json.dumps(words) + "\n")
    sys.stdout.flush()


def work(seeds: Iterable[int], modes: Sequence[str], attempts: int) -> None:
    """Examine the programs of some seeds."""
    faulthandler.enable()
    for seed in seeds:
        tell(seed=seed, begins=True)
        before = counters.compiled_runs
        program, failure, compared = examine(seed, modes, attempts)
        words: dict[str, Any] = {}
        if failure is not None:
            words = {"modes": failure.modes, "kind": failure.kind, "message": failure.message,
                     "script": program.script(), "lines": len(program.body)}  # fmt: skip
        tell(
            seed=seed, compared=sorted(compared), compiled_runs=counters.compiled_runs - before,
            failure=words,
        )  # fmt: skip
    tell(done=True)
    sys.stdout.flush()
    os._exit(0)  # a process whose memory was written over is not ended tidily


if __name__ == "__main__":
    start, stop, step, attempts = map(int, sys.argv[1:5])
    work(range(start, stop, step), sys.argv[5].split(","), attempts)
