"""A small module and its data, from which the tests alter one thing at a time."""

from __future__ import annotations

from typing import Any

import rushlight as torch
import rushlight.lightning as pl
from rushlight import nn
from rushlight.utils.data import DataLoader, TensorDataset


def data(samples: int = 24, features: int = 4) -> TensorDataset:
    """Always the same samples, of three classes."""
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(samples, features, generator=generator)
    return TensorDataset(x, torch.randint(0, 3, (samples,), generator=generator))


def loader(samples: int = 24, batch_size: int = 4, **options: Any) -> DataLoader:
    """A loader of them, in their order."""
    return DataLoader(data(samples), batch_size, **options)


class Boring(pl.LightningModule):
    """A linear layer; remembers the losses of its steps."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.layer = nn.Linear(4, 3)
        self.losses: list[Any] = []

    def forward(self, x):
        return self.layer(x)

    def loss(self, batch):
        x, y = batch
        return nn.functional.cross_entropy(self(x), y)

    def training_step(self, batch, batch_idx):
        loss = self.loss(batch)
        self.losses.append(loss.detach())
        self.log("train_loss", loss)
        return loss

    def validation_step(self, batch, batch_idx):
        self.log("val_loss", self.loss(batch))

    def test_step(self, batch, batch_idx):
        self.log("test_loss", self.loss(batch))

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def quiet(folder: Any, **options: Any) -> pl.Trainer:
    """A trainer that prints and writes nothing unless told to."""
    settings = {
        "default_root_dir": folder, "logger": False, "enable_checkpointing": False,
        "enable_progress_bar": False, "enable_model_summary": False, "max_epochs": 1,
    }  # fmt: skip
    return pl.Trainer(**{**settings, **options})


def numbers(losses: list[Any]) -> list[float]:
    """The losses of a run as numbers."""
    return [loss.item() for loss in losses]
