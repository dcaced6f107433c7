"""What a run is put together from: callbacks, loggers, data."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from rushlight.lightning.callbacks.callback import Callback
from rushlight.lightning.callbacks.model_checkpoint import Checkpoint, ModelCheckpoint
from rushlight.lightning.callbacks.model_summary import ModelSummary
from rushlight.lightning.callbacks.progress import ProgressBar, TQDMProgressBar
from rushlight.lightning.callbacks.timer import Timer
from rushlight.lightning.hooks import DataHooks, overridden
from rushlight.lightning.loggers.csv_logs import CSVLogger
from rushlight.lightning.loggers.logger import Logger
from rushlight.lightning.loggers.tensorboard import TensorBoardLogger
from rushlight.lightning.module import LightningModule
from rushlight.lightning.sources import Source, as_list, unshuffled
from rushlight.lightning.utilities.exceptions import MisconfigurationException


def loggers_for(trainer: Any, given: Any) -> list[Any]:
    """The loggers; ``True`` is TensorBoard where it is installed, else CSV files."""
    if given is False:
        return []
    if given is None or given is True:
        tensorboard = find_spec("tensorboard") and find_spec("rushlight.utils.tensorboard")
        kind = TensorBoardLogger if tensorboard else CSVLogger
        return [kind(trainer.default_root_dir)]
    listed = list(given) if isinstance(given, (list, tuple)) else [given]
    for logger in listed:
        if not isinstance(logger, Logger):
            raise MisconfigurationException(
                f"`logger` must be a `Logger`, a list of them or a bool, got {type(logger)}"
            )
    return listed


def callbacks_for(trainer: Any, settings: dict[str, Any]) -> list[Callback]:
    """The callbacks given, and those a run has anyway; those that save come last."""
    given = settings["callbacks"]
    listed = list(given) if isinstance(given, (list, tuple)) else ([] if given is None else [given])
    enable = settings["enable_checkpointing"]
    if isinstance(enable, Callback):
        listed.append(enable)
    elif enable is False and any(isinstance(callback, Checkpoint) for callback in listed):
        raise MisconfigurationException(
            "Trainer was configured with `enable_checkpointing=False` but found "
            "`ModelCheckpoint` in callbacks list."
        )
    bars = [callback for callback in listed if isinstance(callback, ProgressBar)]
    if settings["enable_progress_bar"] is False and bars:
        raise MisconfigurationException(
            "Trainer was configured with `enable_progress_bar=False` but found "
            f"`{type(bars[0]).__name__}` in callbacks list."
        )
    if settings["enable_progress_bar"] is not False and not bars:
        listed.append(TQDMProgressBar(settings.get("progress_bar_refresh_rate") or 1))
    if settings["enable_model_summary"] is not False and not any(
        isinstance(callback, ModelSummary) for callback in listed
    ):
        listed.append(ModelSummary())
    if settings["max_time"] is not None:
        listed.append(Timer(settings["max_time"]))
    if settings["fast_dev_run"]:
        listed = [callback for callback in listed if not callback.saves]
    elif enable is not False and not any(isinstance(c, Checkpoint) for c in listed):
        listed.append(ModelCheckpoint())
    keys = [callback.state_key for callback in listed if callback.state_dict()]
    if len(set(keys)) < len(keys):
        raise RuntimeError(
            "Found more than one stateful callback of one kind; give them different arguments, or "
            "a `state_key` of their own"
        )
    return sorted(listed, key=lambda callback: callback.saves)


def attach_data(trainer: Any, datamodule: Any) -> None:
    """Let trainer, module and data module know of each other."""
    trainer.datamodule = datamodule
    if datamodule is not None:
        datamodule.trainer = trainer


def _requested(trainer: Any, given: Any, name: str) -> Any:
    """A loader: the one given, the data module's, or the module's."""
    if given is not None:
        return given
    for owner in (trainer.datamodule, trainer.lightning_module):
        if owner is not None and _has(owner, name):
            return getattr(owner, name)()
    return None


def _has(owner: Any, name: str) -> bool:
    return overridden(owner, name, LightningModule) and overridden(owner, name, DataHooks)


def _step_written(module: Any, key: str) -> bool:
    name = {"train": "training_step", "val": "validation_step"}.get(key, f"{key}_step")
    return key == "predict" or overridden(module, name, LightningModule)


def sources_for(
    trainer: Any, given: dict[str, Any], only: str | None = None
) -> tuple[Any, list[Source]]:
    """The batches of a run.

    Args:
        given: loaders by ``train``, ``val``, ``test``, ``predict``.
        only: which of them an evaluation needs; ``None`` for training.

    Raises:
        MisconfigurationException: something is missing.
    """
    module = trainer.lightning_module
    train: Source | None = None
    if only is None:
        for name in ("training_step", "configure_optimizers"):
            if not overridden(module, name, LightningModule):
                raise MisconfigurationException(
                    f"No `{name}()` method defined. Lightning `Trainer` expects as minimum "
                    "`training_step()`, `train_dataloader()` and `configure_optimizers()` to be "
                    "defined."
                )
        train = training_source(trainer, given["train"])
    key = only or "val"
    limit = getattr(trainer, f"limit_{key}_batches")
    if only is not None and not _step_written(module, key):
        step = "validation_step" if key == "val" else f"{key}_step"
        raise MisconfigurationException(
            f"No `{step}()` method defined to run `Trainer.{trainer.stage}`."
        )
    loaders = []
    if _step_written(module, key):
        loaders = as_list(_requested(trainer, given.get(key), f"{key}_dataloader"))
    if only is not None and not loaders:
        raise MisconfigurationException(
            f"An invalid dataloader was passed to `Trainer.{trainer.stage}(dataloaders=...)`; "
            f"write `{key}_dataloader()` or pass a loader"
        )
    if only is None and trainer.overfit_batches:
        loaders = [unshuffled(loader) for loader in loaders]
    sources = [Source(loader, limit, f"limit_{key}_batches") for loader in loaders]
    return train, [source for source in sources if source.count or only is not None]


def training_source(trainer: Any, given: Any) -> Source:
    """The training batches.

    Raises:
        MisconfigurationException: there are none.
    """
    loader = _requested(trainer, given, "train_dataloader")
    if loader is None:
        raise MisconfigurationException(
            "An invalid dataloader was passed to `Trainer.fit(train_dataloaders=...)`; write "
            "`train_dataloader()` in the module or the data module, or pass a loader"
        )
    if trainer.overfit_batches:
        loader = unshuffled(loader)
    return Source(loader, trainer.limit_train_batches)
