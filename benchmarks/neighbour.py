"""A busy neighbour: how much slower steps get while another process keeps one core busy."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from benchmarks.sides import available, in_turn, medians, note, processes, warm
from benchmarks.workloads import WORKLOADS

_BUSY = "import os, sys; os.sched_setaffinity(0, {int(sys.argv[1])})\nwhile True: pass"


@contextmanager
def _neighbour(core: int) -> Iterator[None]:
    busy = subprocess.Popen([sys.executable, "-c", _BUSY, str(core)])
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def neighbour_row(key: str, sides: Sequence[str], rounds: int) -> dict[str, Any]:
    """Seconds of a step alone and beside the neighbour, for every side."""
    workload = WORKLOADS[key]
    note(f"busy neighbour: {workload.title}")
    failed: dict[str, str] = {}
    with processes(available(sides, key), key) as started:
        workers = dict(started)
        warm(workers, workload.warmup, failed)
        alone = medians(in_turn(workers, workload.steps, rounds, failed))
        with _neighbour(min(os.sched_getaffinity(0))):
            beside = medians(in_turn(workers, workload.steps, rounds, failed))
    factors = {side: beside[side] / alone[side] for side in beside}
    return {
        "workload": key, "title": workload.title, "alone": alone, "beside": beside,
        "factor": factors, "absent": failed, "cores": len(os.sched_getaffinity(0)),
    }  # fmt: skip


def neighbours(
    keys: Sequence[str], sides: Sequence[str], rounds: int = 7
) -> Iterator[dict[str, Any]]:
    """The rows of the busy-neighbour table; none where a process cannot be tied to a core."""
    if hasattr(os, "sched_setaffinity"):
        for key in keys:
            yield neighbour_row(key, sides, rounds)
