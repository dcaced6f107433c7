"""What the trainer costs: its steps beside those of a loop written by hand, in turn.

``python -m benchmarks.trainer [--rounds 7] [--steps 300]`` trains one network on one thread, with
steps of about a millisecond, by hand and with the trainer (with progress bar, CSV logger and
``self.log``; and without), and prints the medians over the rounds. Measured is processor time,
which other processes disturb less.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import statistics
import tempfile
import time
from typing import Any

import rushlight as torch
import rushlight.lightning as pl
from rushlight import nn
from rushlight.utils.data import DataLoader, TensorDataset

WIDTH = 320
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


class Clock(pl.Callback):
    """The time from the first batch of the second epoch to the last one's end."""

    def __init__(self) -> None:
        self.begun = self.ended = 0.0

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """The first epoch compiles; the second is measured."""
        self.begun = time.process_time()

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Stop."""
        self.ended = time.process_time()


class Batches:
    """The same few batches again and again: loading is not what is measured."""

    def __init__(self, steps: int) -> None:
        generator = torch.Generator().manual_seed(0)
        x = torch.randn(BATCH * 8, WIDTH, generator=generator)
        y = torch.randint(0, 10, (BATCH * 8,), generator=generator)
        self.batches = list(DataLoader(TensorDataset(x, y), BATCH))
        self.steps = steps

    def __len__(self) -> int:
        return self.steps

    def __iter__(self) -> Any:
        return (self.batches[i % len(self.batches)] for i in range(self.steps))


def by_hand(batches: Batches) -> float:
    """Processor seconds of a step in a loop as one writes it."""
    module = Net(False)
    optimizer = module.configure_optimizers()
    seconds = 0.0
    for _ in range(2):
        begun = time.process_time()
        for index, batch in enumerate(batches):
            loss = module.training_step(batch, index)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        seconds = time.process_time() - begun
    return seconds / batches.steps


def with_trainer(batches: Batches, everything: bool) -> float:
    """Processor seconds of a step of the trainer."""
    clock = Clock()
    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        trainer = pl.Trainer(
            max_epochs=2, callbacks=[clock], default_root_dir=folder, enable_checkpointing=False,
            enable_model_summary=False, enable_progress_bar=everything,
            logger=pl.loggers.CSVLogger(folder) if everything else False,
        )  # fmt: skip
        trainer.fit(Net(everything), batches)
    return (clock.ended - clock.begun) / batches.steps


def main() -> None:
    """Measure, and print one line of JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=300)
    given = parser.parse_args()
    torch.set_num_threads(1)
    batches = Batches(given.steps)
    sides = {
        "by hand": lambda: by_hand(batches),
        "trainer, bare": lambda: with_trainer(batches, False),
        "trainer, bar, logger and log": lambda: with_trainer(batches, True),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(given.rounds):
        for name, side in sides.items():
            times[name].append(side())
    hand = times["by hand"]
    for name, each in times.items():
        ratio = statistics.median(a / b for a, b in zip(each, hand, strict=True))
        least = min(each) / min(hand)
        record = {
            "side": name, "ms": round(statistics.median(each) * 1e3, 4),
            "least_ms": round(min(each) * 1e3, 4), "ratio": round(ratio, 4),
            "ratio_of_least": round(least, 4),
        }  # fmt: skip
        print(json.dumps(record))


if __name__ == "__main__":
    main()
