"""A program that trains, may kill itself, and goes on: run by ``test_resume.py``.

``python resumable.py FOLDER [--kill STEP] [--resume] [--iterable] [--interrupt STEP]`` writes a
line for every step (the loss as a hexadecimal number), and at the end a digest of everything.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import random
import signal
from pathlib import Path

import numpy as np

import rushlight as torch
import rushlight.lightning as pl
from rushlight import nn
from rushlight.lightning.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from rushlight.lightning.loggers import CSVLogger
from rushlight.lightning.metrics import MeanMetric
from rushlight.utils.data import DataLoader, Dataset, IterableDataset, WeightedRandomSampler

SAMPLES = 90


class Noisy(Dataset):
    """Samples that are disturbed anew each time, with all three sources of random numbers."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(5)
        self.x = torch.randn(SAMPLES, 6, generator=generator)
        self.y = torch.randint(0, 3, (SAMPLES,), generator=generator)

    def __len__(self) -> int:
        return SAMPLES

    def __getitem__(self, index: int):
        noise = torch.randn(6) * 0.1 + random.random() * 0.1 + float(np.random.rand()) * 0.1
        return self.x[index] + noise, self.y[index]


class Stream(IterableDataset):
    """The same as a stream whose length nobody knows."""

    def __init__(self) -> None:
        self.samples = Noisy()

    def __iter__(self):
        return (self.samples[i] for i in torch.randperm(SAMPLES).tolist())


class Net(pl.LightningModule):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.save_hyperparameters()
        self.layers = nn.Sequential(
            nn.Linear(6, width), nn.BatchNorm1d(width), nn.Tanh(), nn.Dropout(0.2),
            nn.Linear(width, 3),
        )  # fmt: skip
        self.average = MeanMetric()

    def training_step(self, batch, batch_idx):
        x, y = batch
        loss = nn.functional.cross_entropy(self.layers(x), y)
        self.average.update(loss)
        self.log("train_loss", loss, on_step=True, on_epoch=True)
        self.log("average", self.average, on_step=False, on_epoch=True)
        return loss

    def validation_step(self, batch, batch_idx):
        x, y = batch
        self.log("val_loss", nn.functional.cross_entropy(self.layers(x), y))

    def configure_optimizers(self):
        optimizer = torch.optim.AdamW(self.parameters(), lr=0.01)
        by_step = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": by_step, "interval": "step"}}


class Diary(Callback):
    """Writes down every step, and breaks the run off where it is told to."""

    def __init__(self, path: str, kill: int, interrupt: int) -> None:
        self.path = Path(path)
        self.kill, self.interrupt = kill, interrupt
        self.epochs: list[str] = []

    def on_train_batch_end(self, trainer, pl_module, outputs, batch, batch_idx) -> None:
        place = f"{trainer.current_epoch} {batch_idx} {trainer.global_step}"
        with self.path.open("a") as file:
            file.write(f"{place} {outputs['loss'].item().hex()}\n")
        if trainer.global_step == self.kill:
            os.kill(os.getpid(), signal.SIGKILL)
        if trainer.global_step == self.interrupt:
            os.kill(os.getpid(), signal.SIGINT)

    def on_train_epoch_end(self, trainer, pl_module) -> None:
        self.epochs.append(str(trainer.current_epoch))


def loader_of(kind: str) -> DataLoader:
    generator = torch.Generator().manual_seed(11)
    if kind == "iterable":
        return DataLoader(Stream(), 10)
    if kind == "weighted":
        weights = torch.linspace(0.1, 1.0, SAMPLES)
        sampler = WeightedRandomSampler(weights, SAMPLES, generator=generator)
        return DataLoader(Noisy(), 10, sampler=sampler)
    if kind == "generator":
        return DataLoader(Noisy(), 10, shuffle=True, generator=generator)
    if kind == "workers":
        return DataLoader(Noisy(), 10, shuffle=True, num_workers=2)
    return DataLoader(Noisy(), 10, shuffle=True)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder")
    parser.add_argument("--kill", type=int, default=-1)
    parser.add_argument("--interrupt", type=int, default=-1)
    parser.add_argument("--every", type=int, default=4)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--parts", type=int, default=1)
    parser.add_argument("--loader", default="shuffled")
    parser.add_argument("--resume")
    given = parser.parse_args()
    pl.seed_everything(3)
    module = Net()
    diary = Diary(os.path.join(given.folder, "diary.txt"), given.kill, given.interrupt)
    checkpoint = ModelCheckpoint(
        os.path.join(given.folder, "kept"), save_last=True, every_n_train_steps=given.every
    )
    logger = CSVLogger(given.folder, version="resumed" if given.resume else "first")
    trainer = pl.Trainer(
        max_epochs=given.epochs, callbacks=[diary, checkpoint, LearningRateMonitor()],
        logger=logger, enable_progress_bar=False, enable_model_summary=False,
        val_check_interval=1.0 if given.loader == "iterable" else 0.5, log_every_n_steps=2,
        accumulate_grad_batches=given.parts, gradient_clip_val=1.0,
    )  # fmt: skip
    validation = DataLoader(Noisy(), 30)
    trainer.fit(module, loader_of(given.loader), validation, ckpt_path=given.resume)
    total = hashlib.sha256()
    for name, value in sorted(module.state_dict().items()):
        total.update(name.encode() + value.numpy().tobytes())
    for state in trainer.optimizers[0].state_dict()["state"].values():
        for name, value in sorted(state.items()):
            total.update(name.encode() + value.numpy().tobytes())
    total.update(torch.get_rng_state().numpy().tobytes())
    total.update(repr((random.random(), np.random.rand())).encode())
    logged = {name: float(value).hex() for name, value in trainer.callback_metrics.items()}
    print("digest", total.hexdigest(), sorted(logged.items()))


if __name__ == "__main__":
    main()
