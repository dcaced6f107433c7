"""What compiling costs and when it has paid: fresh processes, their start included.

Cold: the folder of compiled code is empty. Warm: the cold process before has filled it. PyTorch
eager has no such folder; ``torch.compile`` gets an empty one of its own.
"""

from __future__ import annotations

import statistics
import tempfile
from collections.abc import Iterator, Sequence
from typing import Any

from benchmarks.sides import Failure, Process, available, missing, note, own_folder
from benchmarks.workloads import WORKLOADS

#: How many steps belong to the cold row; the warm row has the first 20.
COLD = {"mlp": 500, "lenet": 500, "resnet18": 50}
WARM = 20


def _seconds(side: str, key: str, steps: int, folder: str) -> float:
    with Process(side, key, own_folder(side, folder)) as worker:
        return worker.run(steps, read=False)["since_start"]


def payback_row(key: str, sides: Sequence[str], repeats: int) -> dict[str, Any]:
    """Seconds from the start of the process until the steps are done, cold and warm."""
    note(f"pay-back: {WORKLOADS[key].title}")
    cold: dict[str, list[float]] = {side: [] for side in available(sides, key)}
    warm: dict[str, list[float]] = {side: [] for side in cold}
    absent = {side: missing(side) for side in sides if missing(side)}
    for repeat in range(repeats):
        for side in list(cold):
            if repeat and side == "torch.compile":
                continue  # once: it takes ten times as long as all the others
            try:
                with tempfile.TemporaryDirectory() as folder:
                    cold[side].append(_seconds(side, key, COLD[key], folder))
                    warm[side].append(_seconds(side, key, WARM, folder))
            except Failure as failure:
                absent[side] = str(failure)
                del cold[side], warm[side]
    return {
        "workload": key, "title": WORKLOADS[key].title, "cold steps": COLD[key],
        "warm steps": WARM, "absent": absent,
        "cold": {side: statistics.median(taken) for side, taken in cold.items()},
        "warm": {side: statistics.median(taken) for side, taken in warm.items()},
        "rushlight keeps code": bool(own_folder("rushlight", ".")),
    }  # fmt: skip


def payback(
    keys: Sequence[str], sides: Sequence[str], repeats: int = 3
) -> Iterator[dict[str, Any]]:
    """The rows of the pay-back table."""
    for key in keys:
        if key in COLD:
            yield payback_row(key, sides, repeats)
