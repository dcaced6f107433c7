"""What the trainer costs: its steps beside those of a loop written by hand, in turn.

``python -m benchmarks.trainer [--rounds 31] [--steps 150]`` trains one network on one thread, with
steps of about a millisecond, by hand and with the trainer (with progress bar, CSV logger and
``self.log``; and without). First come steps that do nothing: what is left of them is the trainer's
own time, and no other process hides it. Then real steps: printed are the median step, from one
batch to the next, the mean processor time of a step, and both as ratios to the loop by hand, as
medians over the rounds.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import itertools
import json
import statistics
import tempfile
import time
from typing import Any

import rushlight as torch
import rushlight.lightning as pl
from rushlight import nn
from rushlight.utils.data import DataLoader, TensorDataset

WIDTH = 512
BATCH = 64


class Net(pl.LightningModule):
    """Two hidden layers; a step takes about a millisecond."""

    def __init__(self, logs: bool) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.logs = logs
        self.layers = nn.Sequential(
            nn.Linear(WIDTH, WIDTH), nn.ReLU(), nn.Linear(WIDTH, WIDTH), nn.ReLU(),
            nn.Linear(WIDTH, 10),
        )  # fmt: skip

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """The loss of a batch."""
        x, y = batch
        loss = nn.functional.cross_entropy(self.layers(x), y)
        if self.logs:
            self.log("train_loss", loss, prog_bar=True)
        return loss

    def configure_optimizers(self) -> Any:
        """Adam."""
        return torch.optim.Adam(self.parameters(), lr=1e-3)


class Nothing(Net):
    """A step that computes nothing."""

    def __init__(self, logs: bool) -> None:
        super().__init__(logs)
        self.loss = torch.zeros(())

    def training_step(self, batch: Any, batch_idx: int) -> Any:
        """A loss that is there already."""
        if self.logs:
            self.log("train_loss", self.loss, prog_bar=True)
        return self.loss

    def backward(self, loss: Any, *args: Any, **kwargs: Any) -> None:
        """No gradients."""

    def configure_optimizers(self) -> Any:
        """An optimizer that finds none."""
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Batches:
    """The same few batches again and again: loading is not what is measured.

    Attributes:
        times: when each batch of the newest pass was asked for, and the end.
        processor: the processor seconds of the newest pass.
    """

    def __init__(self, steps: int) -> None:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(BATCH * 8, WIDTH, generator=generator)
        y = torch.randint(0, 10, (BATCH * 8,), generator=generator)
        self.batches = list(DataLoader(TensorDataset(x, y), BATCH))
        self.steps = steps
        self.times: list[float] = []
        self.processor = 0.0

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Any:
        self.times = times = []
        clock, batches = time.perf_counter, self.batches
        begun = time.process_time()
        for index in range(self.steps):
            times.append(clock())
            self.processor = time.process_time() - begun
            yield batches[index % len(batches)]

    def result(self) -> tuple[float, float]:
        """Median seconds and mean processor seconds of a step."""
        steps = [b - a for a, b in itertools.pairwise(self.times)]
        return statistics.median(steps), self.processor / len(steps)


def by_hand(batches: Batches, kind: type[Net] = Net) -> tuple[float, float]:
    """A loop as one writes it."""
    module = kind(False)
    optimizer = module.configure_optimizers()
    for index, batch in enumerate(batches):
        loss = module.training_step(batch, index)
        optimizer.zero_grad()
        module.backward(loss)
        optimizer.step()
    return batches.result()


def with_trainer(batches: Batches, everything: bool, kind: type[Net] = Net) -> tuple[float, float]:
    """The trainer, likewise."""
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trainer = pl.Trainer(
            max_epochs=1, default_root_dir=folder, enable_checkpointing=False,
            enable_model_summary=False, enable_progress_bar=everything,
            logger=pl.loggers.CSVLogger(folder) if everything else False,
        )  # fmt: skip
        trainer.fit(kind(everything), batches)
    return batches.result()


def own_time() -> dict[str, Any]:
    """Microseconds of processor time that the trainer adds to every step."""
    batches = Batches(5000)
    least = {
        name: min(side()[1] for _ in range(5)) * 1e6
        for name, side in {
            "by hand": lambda: by_hand(batches, Nothing),
            "bare": lambda: with_trainer(batches, False, Nothing),
            "bar, logger and log": lambda: with_trainer(batches, True, Nothing),
        }.items()
    }
    hand = least.pop("by hand")
    return {"own microseconds of a step": {k: round(v - hand, 2) for k, v in least.items()}}


def main() -> None:
    """Measure, and print lines of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=31)
    parser.add_argument("--steps", type=int, default=150)
    given = parser.parse_args()
    torch.set_num_threads(1)
    print(json.dumps(own_time()))
    batches = Batches(given.steps)
    sides = {
        "by hand": lambda: by_hand(batches),
        "trainer, bare": lambda: with_trainer(batches, False),
        "trainer, bar, logger and log": lambda: with_trainer(batches, True),
    }
    found: dict[str, list[tuple[float, float]]] = {name: [] for name in sides}
    for side in sides.values():
        side()  # compiles
    for _ in range(given.rounds):
        for name, side in sides.items():
            found[name].append(side())
    hand = found["by hand"]
    for name, rounds in found.items():
        pairs = list(zip(rounds, hand, strict=True))
        record = {
            "side": name,
            "median_ms": round(statistics.median(one for one, _ in rounds) * 1e3, 4),
            "processor_ms": round(statistics.median(two for _, two in rounds) * 1e3, 4),
            "ratio": round(statistics.median(a[0] / b[0] for a, b in pairs), 4),
            "processor_ratio": round(statistics.median(a[1] / b[1] for a, b in pairs), 4),
        }
        print(json.dumps(record))


if __name__ == "__main__":
    main()
