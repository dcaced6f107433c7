"""The steady step and the fresh process: every workload, all sides in turn."""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.sides import (
    SIDES,
    Failure,
    Process,
    available,
    in_turn,
    medians,
    missing,
    note,
    own_folder,
    processes,
    unsteady,
    warm,
)
from benchmarks.workloads import WORKLOADS


def steady_row(key: str, sides: Sequence[str], rounds: int | None = None) -> dict[str, Any]:
    """One workload: seconds of a step, with the loss read every step and only at the end."""
    workload = WORKLOADS[key]
    note(f"steady step: {workload.title}")
    failed = {side: missing(side) for side in sides if missing(side)}
    with processes(available(sides, key), key) as started:
        workers = dict(started)
        warm(workers, workload.warmup, failed)
        times = rounds or workload.rounds
        read = in_turn(workers, workload.steps, times, failed)
        end = in_turn(workers, workload.steps, max(3, times // 2), failed, read=False)
        versions = {side: worker.describe()["version"] for side, worker in workers.items()}
    return {
        "workload": key, "title": workload.title, "read every step": medians(read),
        "read at the end": medians(end), "processor": medians(read, "processor"),
        "unsteady": unsteady(read),
        "rounds": {side: [each["seconds"] for each in taken] for side, taken in read.items()},
        "versions": versions, "absent": failed,
    }  # fmt: skip


def steady(
    keys: Sequence[str], sides: Sequence[str] = tuple(SIDES), rounds: int | None = None
) -> Iterator[dict[str, Any]]:
    """The rows of the steady table."""
    for key in keys:
        yield steady_row(key, sides, rounds)


def _start(side: str, key: str, early: int) -> dict[str, float]:
    """A fresh process with no compiled code on disk: seconds and bytes."""
    with (
        tempfile.TemporaryDirectory() as folder,
        Process(side, key, own_folder(side, folder)) as worker,
    ):
        first = worker.run(1)
        last = worker.run(early - 1)
        about = worker.describe()
    return {
        "import": about["imported"], "first step": first["seconds"], "early": last["since_start"],
        "first step, processor": first["processor"],
        "peak": about["peak"], "above import": about["above_import"],
    }  # fmt: skip


def startup_row(key: str, sides: Sequence[str], early: int, repeats: int) -> dict[str, Any]:
    """Fresh processes: import, first step, the first ``early`` steps, peak memory."""
    note(f"fresh processes: {WORKLOADS[key].title}")
    seen: dict[str, list[dict[str, float]]] = {side: [] for side in available(sides, key)}
    failed = {side: missing(side) for side in sides if missing(side)}
    for _ in range(repeats):
        for side in list(seen):
            try:
                seen[side].append(_start(side, key, early))
            except Failure as failure:
                failed[side] = str(failure)
                del seen[side]
    typical = {
        side: {what: statistics.median(each[what] for each in taken) for what in taken[0]}
        for side, taken in seen.items()
    }
    return {
        "workload": key, "title": WORKLOADS[key].title, "early steps": early, "sides": typical,
        "absent": failed,
    }  # fmt: skip


#: Steps after which the early row of a workload stops; 100 where nothing is said.
EARLY = {"vit": 20, "gpt": 20, "resnet18": 20, "resnet18_224": 20}


def startup(
    keys: Sequence[str], sides: Sequence[str] = ("rushlight", "torch"), repeats: int = 3
) -> Iterator[dict[str, Any]]:
    """The rows of the start-up table."""
    for side in available(sides, "mlp"):
        _start(side, "mlp", 2)  # leaves byte code and file caches warm
    for key in keys:
        yield startup_row(key, sides, EARLY.get(key, 100), repeats)
