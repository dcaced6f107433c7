"""Microseconds that the transforms of one image take, beside torchvision's in the same run.

``python -m benchmarks.transforms`` prints a table. Both sides run in turn in one process, on one
thread, on the same image; the least of several rounds counts, as other programs on the machine can
only add to it. The result of rushlight's side is read each time, so nothing is put off. Without
torchvision rushlight's times stand alone.
"""

from __future__ import annotations

import argparse
import importlib
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from PIL import Image

from benchmarks import torchvision_peer
from rushlight._tensor import Tensor

MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)

#: Name, what it is applied to, and how a library's module of transforms makes it.
ROWS: list[tuple[str, str, Callable[[Any, int], Any]]] = [
    ("ToTensor", "picture", lambda t, n: t.ToTensor()),
    ("Normalize", "tensor", lambda t, n: t.Normalize(MEAN, DEVIATION)),
    ("RandomHorizontalFlip, picture", "picture", lambda t, n: t.RandomHorizontalFlip()),
    ("RandomHorizontalFlip, tensor", "tensor", lambda t, n: t.RandomHorizontalFlip()),
    ("RandomCrop, picture", "picture", lambda t, n: t.RandomCrop(n, padding=4)),
    ("RandomCrop, tensor", "tensor", lambda t, n: t.RandomCrop(n, padding=4)),
    ("RandomResizedCrop, picture", "picture", lambda t, n: t.RandomResizedCrop(n)),
    ("RandomErasing, tensor", "tensor", lambda t, n: t.RandomErasing(1.0)),
    ("ColorJitter, picture", "picture", lambda t, n: t.ColorJitter(0.3, 0.3, 0.3, 0.1)),
    (
        "crop, flip, to tensor, normalize",
        "picture",
        lambda t, n: t.Compose(
            [
                t.RandomCrop(n, padding=4),
                t.RandomHorizontalFlip(),
                t.ToTensor(),
                t.Normalize(MEAN, DEVIATION),
            ]
        ),
    ),
]


def _read(result: Any) -> Any:
    return result._array() if isinstance(result, Tensor) else result


def measure(call: Callable[[], Any], calls: int) -> float:
    """Microseconds of one call among so many."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls * 1e6


def libraries() -> dict[str, Any]:
    """The modules of transforms to compare."""
    found = {"rushlight": importlib.import_module("rushlight.vision.transforms")}
    try:
        torchvision_peer.load()
    except ImportError as error:
        print(f"torchvision is left out: {error}")
        return found
    importlib.import_module("torch").set_num_threads(1)
    return {**found, "torchvision": importlib.import_module("torchvision.transforms")}


def compare(size: int, rounds: int, calls: int) -> list[tuple[str, dict[str, float]]]:
    """The least microseconds of each row for an image of ``size`` by ``size``."""
    pixels = np.random.default_rng(0).integers(0, 256, (size, size, 3), dtype=np.uint8)
    picture = Image.fromarray(pixels)
    table = []
    sides = libraries()
    for name, kind, make in ROWS:
        calls_of = {}
        for side, module in sides.items():
            image = picture if kind == "picture" else module.ToTensor()(picture)
            transform = make(module, size)
            calls_of[side] = lambda transform=transform, image=image: _read(transform(image))
        times: dict[str, list[float]] = {side: [] for side in sides}
        for _ in range(rounds):
            for side, call in calls_of.items():
                times[side].append(measure(call, calls))
        table.append((name, {side: min(taken) for side, taken in times.items()}))
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sizes", type=int, nargs="+", default=[32, 224])
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--calls", type=int, default=50)
    chosen = parser.parse_args()
    for size in chosen.sizes:
        print(f"\n| {size} × {size} | rushlight, µs | torchvision, µs | ratio |\n|---|---|---|---|")
        for name, times in compare(size, chosen.rounds, chosen.calls):
            own, other = times["rushlight"], times.get("torchvision")
            shown = "| |" if other is None else f"{other:.1f} | {other / own:.2f} |"
            print(f"| {name} | {own:.1f} | {shown}")


if __name__ == "__main__":
    main()
