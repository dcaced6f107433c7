"""One side of a comparison in a process of its own: started, warmed and timed by order.

``python -m benchmarks.worker SIDE WORKLOAD STARTED`` builds the workload and then answers one line
of JSON for every line of JSON it reads. Between two orders it waits, so that the other side has the
machine to itself. ``STARTED`` is the parent's ``time.monotonic()`` when it started this process.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import sys
import time
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks.sides import SIDES
from benchmarks.workloads import WORKLOADS

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def _resident(field: str) -> int:
    """``VmRSS`` (now) or ``VmHWM`` (peak) of this process in bytes."""
    if not _STATUS.exists():
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) * 1024
    raise LookupError(field)


def _forget_peak() -> None:
    """Let the peak begin anew, so that what importing took is not counted."""
    if os.access(_CLEAR, os.W_OK):
        _CLEAR.write_text("5")


class Worker:
    """The workload of one side and what has been seen of it."""

    def __init__(self, side: str, workload: str, started: float) -> None:
        self.started = started
        about = SIDES[side]
        chosen = WORKLOADS[workload]
        framework = importlib.import_module(about.module)
        wrap: dict[str, Callable[[Any], Any]] = {}
        if about.compiled:
            wrap["wrap"] = framework.compile
        if about.peer:
            peer = importlib.import_module(f"benchmarks.peers_{about.module}")
            build = peer.WORKLOADS[workload]
            self.ready(framework)
            self.step = build()
        else:
            _ = framework.nn, framework.optim  # imported late by some
            self.ready(framework)
            self.step = chosen.build(framework, **wrap)

    def ready(self, framework: Any) -> None:
        """Note time and memory when everything has been imported and nothing built."""
        name = framework.__name__
        self.version = str(getattr(framework, "__version__", None) or metadata.version(name))
        self.imported = time.monotonic() - self.started
        _forget_peak()
        self.memory_before = _resident("VmRSS")

    def run(self, steps: int, read: bool) -> dict[str, float]:
        """Run steps; the loss is read after every one, or after the last one alone."""
        loss = None
        start, busy = time.perf_counter(), time.process_time()
        for _ in range(steps):
            loss = self.step()
            if read:
                loss.item()
        assert loss is not None
        value = float(loss.item())
        seconds = (time.perf_counter() - start) / steps
        return {
            "seconds": seconds, "loss": value, "since_start": time.monotonic() - self.started,
            "processor": (time.process_time() - busy) / steps,
        }  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """Version, time of the import, memory."""
        peak = _resident("VmHWM")
        return {
            "version": self.version, "imported": self.imported, "peak": peak,
            "above_import": peak - self.memory_before,
        }  # fmt: skip


def main() -> None:
    """Serve orders until standard input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a framework prints must not come between the answers
    side, workload, started = sys.argv[1:]
    worker = Worker(side, workload, float(started))
    for line in sys.stdin:
        order = json.loads(line)
        if order["do"] == "run":
            answer: dict[str, Any] = worker.run(order["steps"], order["read"])
        else:
            answer = worker.describe()
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
