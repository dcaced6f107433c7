"""``python -m benchmarks``: rushlight beside PyTorch, ``torch.compile``, JAX and tinygrad.

Both sides run in turn, each in a process of its own, and the median of several counts. Prints
Markdown and writes it with JSON and a plot. ``--quick`` measures less: under two minutes.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.limit import limits
from benchmarks.neighbour import neighbours
from benchmarks.payback import payback
from benchmarks.report import markdown, plot
from benchmarks.sides import SIDES, Settings
from benchmarks.steady import startup, steady
from benchmarks.workloads import WORKLOADS

PARTS = ("steady", "startup", "payback", "neighbour", "limit")
SMALL = ("mlp", "lenet", "lit_mnist")
QUICK = (*SMALL, "lstm", "gpt", "resnet18")
PLAIN = ("rushlight", "rushlight.compile", "interpreter", "torch")
FRESH = ("rushlight", "torch")


def machine() -> str:
    """The processor's name."""
    information = Path("/proc/cpuinfo")
    if information.exists():
        for line in information.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def about() -> dict[str, Any]:
    """Where and when."""
    threads = {n: os.environ[n] for n in ("OMP_NUM_THREADS",) if n in os.environ}
    return {
        "date": datetime.datetime.now(datetime.UTC).date().isoformat(), "machine": machine(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else
        os.cpu_count(), "load": f"{os.getloadavg()[0]:.1f}", "python": platform.python_version(),
        "threads": threads or "each framework's default", "versions": {},
    }  # fmt: skip


def measure(
    part: str, keys: Sequence[str], quick: bool, sides: Sequence[str]
) -> Iterable[dict[str, Any]]:
    """The rows of one part."""
    few = [key for key in SMALL if key in keys]
    plain = [side for side in sides if side in PLAIN]
    fresh = [side for side in sides if side in FRESH]
    whole = [side for side in sides if not SIDES[side].peer and side != "interpreter"]
    if part == "steady":
        return steady(keys, plain if quick else sides, rounds=3 if quick else None)
    if part == "startup":
        return startup(few[:2] if quick else keys, fresh, repeats=1 if quick else 3)
    if part == "payback":
        return payback(few if quick else keys, fresh if quick else whole, repeats=1 if quick else 3)
    if part == "neighbour":
        return neighbours(few, fresh, rounds=3 if quick else 7)
    return limits(few if quick else keys)


def measure_all(arguments: argparse.Namespace, keys: Sequence[str]) -> dict[str, Any]:
    """Every part asked for; what there is so far is written after each row."""
    results: dict[str, Any] = {"about": about()}
    for part in arguments.part:
        results[part] = []
        for row in measure(part, keys, arguments.quick, arguments.side):
            results[part].append(row)
            results["about"]["versions"].update(row.get("versions", {}))
            text = json.dumps(results, indent=1) + "\n"
            arguments.output.with_suffix(".json").write_text(text)
    return results


def main() -> None:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(prog="benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="fewer workloads, sides and rounds")
    parser.add_argument("--part", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--workload", nargs="+", choices=list(WORKLOADS), default=None)
    parser.add_argument("--side", nargs="+", choices=list(SIDES), default=list(SIDES))
    parser.add_argument(
        "--peers-python", default=sys.executable, help="an interpreter with JAX and tinygrad"
    )
    parser.add_argument("--output", type=Path, default=Path("benchmarks/results/training"))
    parser.add_argument("--render", type=Path, help="only write the tables of this JSON file")
    arguments = parser.parse_args()
    Settings.peers_python = arguments.peers_python
    keys = arguments.workload or (QUICK if arguments.quick else list(WORKLOADS))
    output: Path = arguments.output
    output.parent.mkdir(parents=True, exist_ok=True)
    if arguments.render:
        results = json.loads(arguments.render.read_text())
    else:
        results = measure_all(arguments, keys)
    text = markdown(results)
    print(text)
    output.with_suffix(".md").write_text(text)
    if not plot(results, output.with_suffix(".png")):
        print("No plot: it needs matplotlib and PyTorch's side.", file=sys.stderr)


if __name__ == "__main__":
    main()
