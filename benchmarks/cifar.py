"""Seed 001's CIFAR-10 program on 60,000 JPEG files: under `rushlight run` and on PyTorch.

``python -m benchmarks.cifar --archive cifar10-images.zip`` unpacks the archive into a new
folder and runs ``benchmarks/programs/cifar10.py`` unmodified on both, one after the other; it
prints their losses side by side, the accuracies and the seconds, and writes them as JSON. The
PyTorch side needs torchvision; without it, or without PyTorch, that column stays empty.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from tqdm import tqdm

PROGRAM = Path(__file__).parent / "programs" / "cifar10.py"
RESULTS = Path(__file__).parent / "results" / "cifar10.json"
SIDES = {
    "rushlight": [sys.executable, "-m", "rushlight", "run", str(PROGRAM)],
    "PyTorch": [sys.executable, "-m", "benchmarks.torchvision_peer", str(PROGRAM)],
}
Result = dict[str, float]

_LOSS = re.compile(r"\[(\d+), +(\d+)\] loss: ([\d.]+)")
_ACCURACY = re.compile(r"Accuracy .*: (\d+) %")
_SECONDS = re.compile(r"Finished (\w+) in ([\d.]+) s")


def read(line: str) -> tuple[str, float] | None:
    """What a line of the program's output says, as a name and a number.

    >>> read("[2, 12000] loss: 1.272")
    ('epoch 2, batch 12000', 1.272)
    >>> read("Accuracy of the network on the 10000 test images: 55 %")
    ('accuracy (%)', 55.0)
    """
    if found := _LOSS.match(line):
        return f"epoch {found[1]}, batch {found[2]}", float(found[3])
    if found := _ACCURACY.match(line):
        return "accuracy (%)", float(found[1])
    if found := _SECONDS.match(line):
        return f"{found[1].lower()} (s)", float(found[2])
    return None


def run(side: str, arguments: list[str]) -> Result | str:
    """The numbers that one side prints, or why it cannot run."""
    command = [*SIDES[side], *arguments]
    root = Path(__file__).parent.parent
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=root
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        found: Result = {}
        for line in tqdm(process.stdout, desc=side, unit=" lines", leave=False):
            number = read(line)
            if number is not None:
                found[number[0]] = number[1]
        errors = process.stderr.read()
    if process.returncode:
        return (errors.strip().splitlines() or ["no message"])[-1]
    return found


def table(results: dict[str, Result | str]) -> str:
    """The sides' numbers beside each other, as Markdown."""
    sides = {name: result for name, result in results.items() if not isinstance(result, str)}
    rows = dict.fromkeys(row for result in sides.values() for row in result)
    lines = [f"| | {' | '.join(sides)} |", "|---|" + "---|" * len(sides)]
    for row in rows:
        numbers = [f"{result[row]:g}" if row in result else "" for result in sides.values()]
        lines.append(f"| {row} | {' | '.join(numbers)} |")
    lines += [f"\n{name}: not run: {why}" for name, why in results.items() if isinstance(why, str)]
    return "\n".join(lines)


def main() -> None:
    """Unpack, run both, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--archive", type=Path, required=True, help="the images, train/CLASS/*.jpg")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--workers", type=int, default=2, help="loading processes")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--output", type=Path, default=RESULTS)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(chosen.archive) as archive:
            for member in tqdm(archive.infolist(), desc="unpacking", unit=" files", leave=False):
                archive.extract(member, folder)
        arguments = [folder, str(chosen.epochs), str(chosen.workers), str(chosen.seed)]
        results = {side: run(side, arguments) for side in SIDES}
    print(table(results))
    chosen.output.parent.mkdir(parents=True, exist_ok=True)
    chosen.output.write_text(json.dumps(results, indent=1) + "\n")


if __name__ == "__main__":
    main()
