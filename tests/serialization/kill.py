"""A program is killed while it saves: the old file or the new one is there, whole.

``python -m tests.serialization.kill --times 100`` kills that many, each at a random moment.
"""

from __future__ import annotations

import argparse
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import rushlight as torch

#: The elements of what is saved: enough for a save to take some milliseconds.
_SIZE = 1 << 18

_PROGRAM = """
import sys, rushlight as torch
path, size, number = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
print("ready", flush=True)
while True:
    number += 1
    numbers = torch.full((size,), float(number))
    torch.save({"number": number, "first": numbers, "second": numbers + 1}, path)
"""


def killed_while_saving(path: Path, number: int, seconds: float) -> int:
    """Let a program save again and again, and kill it.

    Args:
        path: where it saves; the numbers it saves rise from call to call.
        number: what the file holds before.
        seconds: after which it is killed.

    Returns:
        The number that the file holds then.

    Raises:
        AssertionError: the file is not whole.
    """
    command = [sys.executable, "-c", _PROGRAM, str(path), str(_SIZE), str(number)]
    program = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert program.stdout is not None
    assert program.stdout.readline() == b"ready\n"
    time.sleep(seconds)
    program.send_signal(signal.SIGKILL)
    program.communicate()
    assert program.returncode == -signal.SIGKILL
    found = torch.load(path)
    assert found["number"] >= number
    assert found["first"].shape == found["second"].shape == (_SIZE,)
    assert bool((found["first"] == found["number"]).all())
    assert bool((found["second"] == found["number"] + 1).all())
    return int(found["number"])


def kill(folder: Path, times: int, seed: int) -> Counter[str]:
    """Kill so many saves at random moments, all to one file.

    Returns:
        How often something was left half written beside the file, and how often nothing was.
    """
    draw = random.Random(seed)
    path, number = folder / "model.pt", 0
    numbers = torch.zeros(_SIZE)
    torch.save({"number": 0, "first": numbers, "second": numbers + 1}, path)
    moments: Counter[str] = Counter()
    for _ in range(times):
        number = killed_while_saving(path, number, draw.uniform(0.0, 0.15))
        left = list(folder.glob(".saving-*"))
        moments["while writing" if left else "between writes"] += 1
        for file in left:
            file.unlink()
    return moments


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        moments = kill(Path(folder), arguments.times, arguments.seed)
    print(f"{sum(moments.values())} saves killed, {dict(moments)}: the file was whole every time")


if __name__ == "__main__":
    _main()
