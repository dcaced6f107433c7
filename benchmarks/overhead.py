"""What rushlight costs besides arithmetic: recording, importing, the first step, a step.

``python -m benchmarks.overhead`` prints a table and writes it as JSON. Every row is a ratio: both
sides run in turn in one process (imports and first steps: in fresh processes, in turn), the median
of several.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import platform
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from benchmarks.models import WORKLOADS

Row = dict[str, Any]


def alternate(sides: dict[str, Callable[[], float]], rounds: int) -> dict[str, float]:
    """The median of every side's measurements, taken in turn."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            taken[name].append(measure())
    return {name: statistics.median(times) for name, times in taken.items()}


def _per_call(function: Callable[[], Any], calls: int, after: Callable[[], Any]) -> float:
    start = time.perf_counter()
    for _ in range(calls):
        function()
    elapsed = (time.perf_counter() - start) / calls
    after()
    return elapsed


def recording(peer: Any) -> Row:
    """Recording ``a + b`` of 15 numbers, against PyTorch computing it."""
    import rushlight
    from rushlight.engine.runtime.executor import flush

    sides = {}
    for name, framework, after in (
        ("rushlight", rushlight, flush),
        ("torch", peer, lambda: None),
    ):
        if framework is not None:
            a, b = framework.ones(15), framework.ones(15)
            sides[name] = _side(a, b, after)
    return {"what": "record one operation (a + b)", **alternate(sides, 15), "budget": 1.0}


def _side(a: Any, b: Any, after: Callable[[], Any]) -> Callable[[], float]:
    return lambda: _per_call(lambda: a + b, 1000, after)


# As an installed package runs: with its byte code on disk.
_ENVIRONMENT = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _fresh(code: str) -> float:
    """Seconds that ``code`` says it took, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=_ENVIRONMENT
    )
    return float(done.stdout.split()[-1])


_IMPORT = "import time; t = time.perf_counter(); import {name}; print(time.perf_counter() - t)"

_FIRST = (
    "import time, {name} as torch, importlib; torch.nn, torch.optim\n"
    "from benchmarks.models import WORKLOADS\n"
    "step = WORKLOADS[{workload!r}](torch)\n"
    "t = time.perf_counter(); step().item(); print(time.perf_counter() - t)"
)


def in_processes(what: str, template: str, with_peer: bool, budget: float, **fields: str) -> Row:
    """A row measured in fresh processes."""
    names = ("rushlight", "torch") if with_peer else ("rushlight",)
    sides = {name: _process_side(template.format(name=name, **fields)) for name in names}
    for measure_once in sides.values():
        measure_once()  # leaves byte code and file caches warm for both sides
    return {"what": what, **alternate(sides, 5), "budget": budget}


def _process_side(code: str) -> Callable[[], float]:
    return lambda: _fresh(code)


def steps(name: str, peer: Any, calls: int = 50) -> Row:
    """A training step in the interpreter, loss read every step, against PyTorch eager."""
    import rushlight
    from rushlight.engine.core.config import config

    config.compiler = False
    sides = {"rushlight": _reading(WORKLOADS[name](rushlight))}
    if peer is not None:
        sides["torch"] = _reading(WORKLOADS[name](peer))
    for step in sides.values():
        _per_call(step, 10, lambda: None)
    measured = {side: _step_side(step, calls) for side, step in sides.items()}
    return {"what": f"interpreter step: {name}", **alternate(measured, 7), "budget": 1.0}


def _reading(step: Callable[[], Any]) -> Callable[[], float]:
    return lambda: step().item()  # type: ignore[no-any-return]


def _step_side(step: Callable[[], Any], calls: int) -> Callable[[], float]:
    return lambda: _per_call(step, calls, lambda: None)


def _format(row: Row) -> str:
    def shown(seconds: float | None) -> str:
        if seconds is None:
            return "-"
        return f"{seconds * 1e6:.2f} us" if seconds < 1e-3 else f"{seconds * 1e3:.2f} ms"

    ratio = row["rushlight"] / row["torch"] if "torch" in row else None
    text = "-" if ratio is None else f"{ratio:.2f}"
    return (
        f"| {row['what']} | {shown(row['rushlight'])} | {shown(row.get('torch'))} | {text} "
        f"| <= {row['budget']:.2f} |"
    )


def measure(peer: Any) -> list[Row]:
    """All rows."""
    known = peer is not None
    first = "LeNet, batch 4, momentum"
    rows = [
        recording(peer),
        in_processes("import", _IMPORT, known, 0.25),
        in_processes(f"first step, cold: {first}", _FIRST, known, 1.0, workload=first),
    ]
    return rows + [steps(name, peer) for name in WORKLOADS]


def main() -> None:
    """Measure, print the table, write the JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, default=Path("benchmarks/results/overhead.json"))
    arguments = parser.parse_args()
    peer: Any = None
    if importlib.util.find_spec("torch") is not None:
        peer = importlib.import_module("torch")
    else:
        print("PyTorch is not installed (extra `oracle`): no ratios, only rushlight's own times.")
    rows = measure(peer)
    print("| what | rushlight | PyTorch | ratio | budget |")
    print("|---|---|---|---|---|")
    for row in rows:
        print(_format(row))
    arguments.json.parent.mkdir(parents=True, exist_ok=True)
    machine = platform.processor() or platform.machine()
    about = {"machine": machine, "python": sys.version.split()[0]}
    arguments.json.write_text(json.dumps({"about": about, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
