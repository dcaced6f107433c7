"""Training over two ranks, beside PyTorch's gloo in the same run: ``python -m benchmarks.ranks``.

Both launchers run ``benchmarks/programs/ranks.py``, one after the other and three times, with one
thread for each rank; the table has the best time of each side in milliseconds.
"""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

from benchmarks.sides import ROOT, environment

PROGRAM = Path(__file__).parent / "programs" / "ranks.py"

#: How each side launches ranks.
LAUNCHERS = {
    "rushlight": ["-m", "rushlight", "launch"],
    "PyTorch": ["-m", "torch.distributed.run", "--standalone"],
}


def measure(side: str, ranks: int) -> dict[str, float]:
    """The times of one side."""
    words = [sys.executable, *LAUNCHERS[side], f"--nproc_per_node={ranks}", str(PROGRAM)]
    variables = {**environment(), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        words, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=600, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{side} ended with {done.returncode}:\n{done.stderr}")
    times: dict[str, float] = json.loads(done.stdout.strip().splitlines()[-1])
    return times


def main() -> None:
    """Print the table."""
    sides = [s for s in LAUNCHERS if s == "rushlight" or importlib.util.find_spec("torch")]
    best: dict[str, dict[str, float]] = {side: {} for side in sides}
    for _ in range(3):
        for side in sides:
            for name, value in measure(side, 2).items():
                best[side][name] = min(value, best[side].get(name, value))
    print(f"{'milliseconds, two ranks':36}" + "".join(f"{side:>12}" for side in sides))
    for name in best["rushlight"]:
        print(f"{name:36}" + "".join(f"{best[side][name]:12.2f}" for side in sides))


if __name__ == "__main__":
    main()
