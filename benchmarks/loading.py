"""Images per second through a ``DataLoader``, beside PyTorch's in the same run.

``python -m benchmarks.loading`` unpacks a part of CIFAR-10's JPEG files to a folder of its own and
loads them as a training on CIFAR-10 does: decode with Pillow, crop at random from the padded image,
flip at random, to a tensor, normalise, collate. PyTorch's side takes torchvision's dataset and
transforms where torchvision is installed. Each side is a process of its own that waits while the
other one is measured; an epoch includes the start and the end of its workers. Both sides draw the
same random numbers, and their batches must be equal.
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.sides import ROOT, environment, note

ARCHIVE = ROOT.parent / "shared" / "data" / "cifar10-images.zip"
MEAN, DEVIATION = (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)
SIDES = {"rushlight": ("rushlight", "rushlight.vision"), "torch": ("torch", "torchvision")}

#: Operators that torchvision's own library would define, for a build that does not fit PyTorch's:
#: its datasets and transforms need none of them.
_UNUSED = ("nms", "qnms")
_SCHEMA = "{}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"


def unpack(archive: Path, folder: Path, per_class: int) -> int:
    """Put the first images of every class of the training set below ``folder``; how many."""
    counts: dict[str, int] = {}
    with zipfile.ZipFile(archive) as packed:
        for name in packed.namelist():
            if name.startswith("train/") and name.endswith(".jpg"):
                kind = name.split("/")[1]
                if counts.setdefault(kind, 0) < per_class:
                    counts[kind] += 1
                    packed.extract(name, folder)
    return sum(counts.values())


# one side ----------------------------------------------------------------------------------------


def modules(side: str) -> tuple[Any, Any]:
    """The framework and what it has for images."""
    framework, vision = SIDES[side]
    torch = importlib.import_module(framework)
    try:
        return torch, importlib.import_module(vision)
    except RuntimeError:
        library = torch.library.Library("torchvision", "DEF")
        for name in _UNUSED:
            library.define(_SCHEMA.format(name))
        globals()["_library"] = library  # it lasts as long as somebody holds it
        for name in [name for name in sys.modules if name.split(".")[0] == "torchvision"]:
            del sys.modules[name]
        return torch, importlib.import_module(vision)


def dataset(vision: Any, folder: str) -> Any:
    """The images with the transforms of a training."""
    datasets = importlib.import_module(f"{vision.__name__}.datasets")
    transforms = importlib.import_module(f"{vision.__name__}.transforms")
    steps = [
        transforms.RandomCrop(32, padding=4),
        transforms.RandomHorizontalFlip(),
        transforms.ToTensor(),
        transforms.Normalize(MEAN, DEVIATION),
    ]
    return datasets.ImageFolder(folder, transforms.Compose(steps))


def epoch(torch: Any, images: Any, workers: int, batch: int, seed: int) -> dict[str, float]:
    """Seconds until the first and the last batch of an epoch, and sums to compare."""
    torch.manual_seed(seed)
    loader = torch.utils.data.DataLoader(images, batch, shuffle=True, num_workers=workers)
    begin = time.perf_counter()
    first = seen = 0.0
    total = labels = 0.0
    for number, (x, y) in enumerate(loader):
        first = first or time.perf_counter() - begin
        seen += len(y)
        if number < 2:
            total += float(x.abs().sum())
            labels += int((y * torch.arange(len(y))).sum())
    seconds = time.perf_counter() - begin
    return {"seconds": seconds, "first": first, "images": seen, "sum": total, "labels": labels}


def serve(side: str, folder: str, batch: int) -> None:
    """Answer orders: each line is the number of workers and a seed."""
    torch, vision = modules(side)
    images = dataset(vision, folder)
    versions = {side: torch.__version__, "vision": getattr(vision, "__version__", "")}
    print(json.dumps(versions), flush=True)
    for line in sys.stdin:
        workers, seed = map(int, line.split())
        print(json.dumps(epoch(torch, images, workers, batch, seed)), flush=True)


# both sides --------------------------------------------------------------------------------------


@contextmanager
def process(side: str, folder: Path, batch: int) -> Iterator[subprocess.Popen[str]]:
    """A process that serves a side."""
    command = [sys.executable, "-m", "benchmarks.loading", "--serve", side]
    command += ["--folder", str(folder), "--batch", str(batch)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT,
        env=environment(),
    ) as started:  # fmt: skip
        yield started
        assert started.stdin is not None
        started.stdin.close()


def ask(server: subprocess.Popen[str], order: str = "") -> Any:
    """What a side answers."""
    assert server.stdin is not None
    assert server.stdout is not None
    if order:
        print(order, file=server.stdin, flush=True)
    return json.loads(server.stdout.readline())


def measure(folder: Path, workers: Sequence[int], batch: int, rounds: int) -> dict[str, Any]:
    """Epochs of both sides in turn, for every number of workers."""
    with ExitStack() as stack:
        servers = {s: stack.enter_context(process(s, folder / "train", batch)) for s in SIDES}
        versions = {side: ask(server) for side, server in servers.items()}
        rows = []
        for count in workers:
            note(f"loading with {count} workers")
            taken: dict[str, list[dict[str, float]]] = {side: [] for side in servers}
            for seed in range(rounds + 1):
                for side, server in servers.items():
                    taken[side].append(ask(server, f"{count} {seed}"))
            rows.append(summary(count, taken))
    return {"versions": versions, "batch": batch, "rounds": rounds, "rows": rows}


def summary(workers: int, taken: dict[str, list[dict[str, float]]]) -> dict[str, Any]:
    """Medians without the first round, and whether the sides have loaded the same."""
    for ours, theirs in zip(taken["rushlight"], taken["torch"], strict=True):
        assert ours["labels"] == theirs["labels"], "the sides loaded other samples"
        assert abs(ours["sum"] / theirs["sum"] - 1) < 1e-5, "the sides loaded other images"
    row: dict[str, Any] = {"workers": workers, "images": taken["torch"][0]["images"]}
    for side, epochs in taken.items():
        rest = epochs[1:]
        row[side] = {
            "images a second": statistics.median(e["images"] / e["seconds"] for e in rest),
            "first batch": statistics.median(e["first"] for e in rest),
            "epochs": [e["seconds"] for e in epochs],
        }
    pairs = zip(taken["torch"][1:], taken["rushlight"][1:], strict=True)
    row["ratio"] = statistics.median(t["seconds"] / o["seconds"] for t, o in pairs)
    return row


def table(found: dict[str, Any]) -> str:
    """The figures for readers."""
    lines = [
        "| workers | rushlight, images/s | PyTorch, images/s | times as fast | first batch, ms |",
        "|---|---|---|---|---|",
    ]
    for row in found["rows"]:
        ours, theirs = row["rushlight"], row["torch"]
        first = f"{ours['first batch'] * 1e3:.0f} / {theirs['first batch'] * 1e3:.0f}"
        lines.append(
            f"| {row['workers']} | {ours['images a second']:,.0f} | "
            f"{theirs['images a second']:,.0f} | {row['ratio']:.2f} | {first} |"
        )
    return "\n".join(lines)


def main() -> None:
    """Measure, print a table, and write every figure to a file."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, default=ARCHIVE, help="the zip file of the images")
    parser.add_argument("--per-class", type=int, default=500, help="images of each class")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--output", type=Path, default=ROOT / "benchmarks/results/loading.json")
    parser.add_argument("--serve", choices=list(SIDES), help=argparse.SUPPRESS)
    parser.add_argument("--folder", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.serve:
        serve(given.serve, given.folder, given.batch)
        return
    with tempfile.TemporaryDirectory() as folder:
        count = unpack(given.archive, Path(folder), given.per_class)
        note(f"{count} images")
        found = measure(Path(folder), given.workers, given.batch, given.rounds)
    print(table(found))
    given.output.parent.mkdir(parents=True, exist_ok=True)
    given.output.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
