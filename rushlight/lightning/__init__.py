"""What PyTorch users import as ``pytorch_lightning`` or ``lightning.pytorch``: a trainer."""

from importlib import import_module as _import_module

from rushlight.lightning import (
    callbacks as callbacks,
    loggers as loggers,
    metrics as metrics,
    utilities as utilities,
)
from rushlight.lightning.callbacks.callback import Callback as Callback
from rushlight.lightning.datamodule import LightningDataModule as LightningDataModule
from rushlight.lightning.module import LightningModule as LightningModule
from rushlight.lightning.seed import seed_everything as seed_everything
from rushlight.lightning.trainer import Trainer as Trainer

__version__ = "2.6.0"


def __getattr__(name: str) -> object:
    if name == "pytorch":  # import lightning as L; L.pytorch.Trainer
        return _import_module("rushlight.lightning")
    raise AttributeError(f"module 'lightning' has no attribute '{name}'")
