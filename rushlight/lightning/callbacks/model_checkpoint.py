"""Write checkpoints: the best ones, and the last."""

from __future__ import annotations

import math
import os
import re
import time
from datetime import timedelta
from typing import Any

from rushlight._creation import tensor
from rushlight.lightning.callbacks.callback import Callback
from rushlight.lightning.callbacks.file_names import filled, unused
from rushlight.lightning.utilities.exceptions import MisconfigurationException
from rushlight.lightning.utilities.rank_zero import log


class Checkpoint(Callback):
    """The base of callbacks that write checkpoints; they are called after all others."""

    saves = True
    monitors = True
    best_model_path: str = ""
    last_model_path: str = ""
    dirpath: str | None = None

    def newest(self) -> str:
        """The file written last; empty if there is none."""
        return self.last_model_path


class ModelCheckpoint(Checkpoint):
    """Writes the best models by a logged value, and the last one.

    Args:
        dirpath: the folder (default: ``checkpoints`` in the logger's folder of this run).
        filename: without ending; ``{epoch}``, ``{step}`` and logged values are filled in, such as
            ``"{epoch}-{val_loss:.2f}"``.
        monitor: the logged value by which models are compared; ``None`` keeps the newest.
        save_last: write ``last.ckpt`` too; ``"link"`` makes it a link.
        save_top_k: how many of the best to keep; -1 is all.
        mode: ``min`` or ``max``: what is better.
        save_weights_only: leave out what is only needed to train on.
        auto_insert_metric_name: write ``epoch=1`` for ``{epoch}``, not ``1``.
        every_n_train_steps, train_time_interval, every_n_epochs: when; only one of them.
        save_on_train_epoch_end: at the end of training epochs or of validations.
        enable_version_counter: give a file another name if one of its name is there.

    >>> ModelCheckpoint(filename="{epoch}-{loss:.2f}").format_checkpoint_name(
    ...     {"epoch": 3, "loss": 0.25})
    'epoch=3-loss=0.25.ckpt'
    """

    FILE_EXTENSION = ".ckpt"
    CHECKPOINT_NAME_LAST = "last"
    CHECKPOINT_JOIN_CHAR = "-"
    CHECKPOINT_EQUALS_CHAR = "="

    def __init__(
        self, dirpath: Any = None, filename: str | None = None, monitor: str | None = None,
        verbose: bool = False, save_last: bool | str | None = None, save_top_k: int = 1,
        save_weights_only: bool = False, mode: str = "min", auto_insert_metric_name: bool = True,
        every_n_train_steps: int | None = None, train_time_interval: timedelta | None = None,
        every_n_epochs: int | None = None, save_on_train_epoch_end: bool | None = None,
        enable_version_counter: bool = True, filepath: Any = None,
    ) -> None:  # fmt: skip
        if filepath is not None:  # the old name of folder and file in one
            dirpath, name = os.path.split(os.fspath(filepath))
            filename = name or filename
        self.dirpath = None if dirpath is None else os.path.realpath(os.fspath(dirpath))
        self._given = self.dirpath
        self.filename = filename
        self.monitor = monitor
        self.verbose = verbose
        self.save_last = save_last
        self.save_top_k = save_top_k
        self.save_weights_only = save_weights_only
        self.mode = mode
        self.auto_insert_metric_name = auto_insert_metric_name
        self._enable_version_counter = enable_version_counter
        self._save_on_train_epoch_end = save_on_train_epoch_end
        self._set_triggers(every_n_train_steps, every_n_epochs, train_time_interval)
        self._check()
        self.best_k_models: dict[str, Any] = {}
        self.kth_best_model_path = ""
        self.kth_value: Any = tensor(math.inf if mode == "min" else -math.inf)
        self.current_score: Any = None
        self.best_model_score: Any = None
        self._saved_at_step = 0
        self._last_time = time.monotonic()

    def _set_triggers(
        self, steps: int | None, epochs: int | None, interval: timedelta | None
    ) -> None:
        if sum((bool(steps), bool(epochs), interval is not None)) > 1:
            raise MisconfigurationException(
                f"Combination of parameters every_n_train_steps={steps}, every_n_epochs={epochs} "
                f"and train_time_interval={interval} should be mutually exclusive."
            )
        if steps is None and epochs is None and interval is None:
            steps, epochs = 0, 1
        self._every_n_train_steps = steps or 0
        self._every_n_epochs = epochs or 0
        self._train_time_interval = interval
        if self._every_n_train_steps < 0 or self._every_n_epochs < 0:
            raise MisconfigurationException(
                "Invalid value for every_n_train_steps or every_n_epochs. Must be >= 0"
            )

    def _check(self) -> None:
        if self.mode not in ("min", "max"):
            raise MisconfigurationException(f"`mode` can be min, max but got {self.mode}")
        if self.save_top_k < -1:
            raise MisconfigurationException(
                f"Invalid value for save_top_k={self.save_top_k}. Must be >= -1"
            )
        if self.monitor is None and self.save_top_k not in (-1, 0, 1):
            raise MisconfigurationException(
                f"ModelCheckpoint(save_top_k={self.save_top_k}, monitor=None) is not a valid "
                "configuration. No quantity for top_k to track."
            )

    @property
    def every_n_epochs(self) -> int | None:
        """After how many epochs a checkpoint is written."""
        return self._every_n_epochs

    @property
    def state_key(self) -> str:
        """Under which a checkpoint keeps its state."""
        return self._generate_state_key(
            monitor=self.monitor, mode=self.mode, every_n_train_steps=self._every_n_train_steps,
            every_n_epochs=self._every_n_epochs, train_time_interval=self._train_time_interval,
        )  # fmt: skip

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "monitor": self.monitor,
            "best_model_score": _number(self.best_model_score),
            "best_model_path": self.best_model_path,
            "current_score": _number(self.current_score),
            "dirpath": self.dirpath,
            "best_k_models": {path: _number(v) for path, v in self.best_k_models.items()},
            "kth_best_model_path": self.kth_best_model_path,
            "kth_value": _number(self.kth_value),
            "last_model_path": self.last_model_path,
            "saved_at_step": self._saved_at_step,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave; the files are its own only in the same folder."""
        self.best_model_path = state_dict["best_model_path"]
        self.best_model_score = _score(state_dict["best_model_score"])
        self._saved_at_step = state_dict.get("saved_at_step", 0)
        if self.dirpath == state_dict.get("dirpath", self.dirpath):
            self.current_score = _score(state_dict["current_score"])
            self.last_model_path = state_dict["last_model_path"]
            kept = state_dict["best_k_models"]
            self.best_k_models = {path: _score(value) for path, value in kept.items()}
            self.kth_best_model_path = state_dict["kth_best_model_path"]
            self.kth_value = _score(state_dict["kth_value"])

    # when ----------------------------------------------------------------------------------------

    def setup(self, trainer: Any, pl_module: Any, stage: str) -> None:
        """Find the folder."""
        if self._given is None and stage == "fit":
            self.dirpath = os.path.realpath(_folder(trainer))

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The clock runs."""
        self._last_time = time.monotonic()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Save, where steps count or the time has come."""
        if self._train_time_interval is not None:
            now = time.monotonic()
            if now - self._last_time < self._train_time_interval.total_seconds():
                return
            self._last_time = now
        elif self._every_n_train_steps < 1 or trainer.progress.steps % self._every_n_train_steps:
            return
        self._save(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Save, where epochs count."""
        if self._at_train_end(trainer) and self._epoch_due(trainer):
            self._save(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Save, where validations count."""
        inside = trainer.validating and trainer.training_loop is not None
        if inside and not self._at_train_end(trainer) and self._epoch_due(trainer):
            self._save(trainer)

    def _at_train_end(self, trainer: Any) -> bool:
        if self._save_on_train_epoch_end is not None:
            return self._save_on_train_epoch_end
        if trainer.check_val_every_n_epoch != 1:
            return trainer.validation_loop is None
        return trainer.validation_loop is None or trainer.val_check_interval == 1.0

    def _epoch_due(self, trainer: Any) -> bool:
        every = self._every_n_epochs
        return every >= 1 and (trainer.current_epoch + 1) % every == 0

    # what ----------------------------------------------------------------------------------------

    def _save(self, trainer: Any) -> None:
        if self._saved_at_step == trainer.global_step or trainer.fast_dev_run:
            return
        values = trainer.callback_metrics
        values.setdefault("epoch", trainer.current_epoch)
        values["step"] = trainer.global_step
        before = self._saved_at_step
        self._saved_at_step = trainer.global_step
        if self.monitor is None:
            wrote = self._save_newest(trainer, values)
        elif self.monitor not in values:
            raise MisconfigurationException(
                f"`ModelCheckpoint(monitor={self.monitor!r})` could not find the monitored key in "
                f"the returned metrics: {list(values)}. HINT: Did you call "
                f"`log({self.monitor!r}, value)` in the `LightningModule`?"
            )
        else:
            wrote = self._save_if_good(trainer, values)
        if self.save_last:
            self._save_last(trainer, values)
        elif not wrote:
            self._saved_at_step = before

    def _write(self, trainer: Any, path: str) -> None:
        trainer.save_checkpoint(path, self.save_weights_only)
        if self.verbose:
            place = trainer.current_epoch, trainer.global_step
            log.info("Epoch %d, step %d: saved %s", *place, path)

    def _path(self, values: dict[str, Any], ours: str = "") -> str:
        path = os.path.join(self.dirpath or "", self.format_checkpoint_name(values))
        if not self._enable_version_counter or path == ours:
            return path
        return unused(path)

    def _save_newest(self, trainer: Any, values: dict[str, Any]) -> bool:
        if self.save_top_k == 0:
            return False
        before = self.best_model_path
        path = self.best_model_path = self._path(values, before)
        self._write(trainer, path)
        if self.save_top_k == 1 and before and before != path:
            self._remove(before)
        return True

    def check_monitor_top_k(self, trainer: Any, current: Any = None) -> bool:
        """Whether a value is among the best."""
        if current is None:
            return False
        if self.save_top_k == -1 or len(self.best_k_models) < self.save_top_k:
            return self.save_top_k != 0
        if self.save_top_k == 0:
            return False
        number, bound = float(current), float(self.best_k_models[self.kth_best_model_path])
        return number < bound if self.mode == "min" else number > bound

    def _save_if_good(self, trainer: Any, values: dict[str, Any]) -> bool:
        current = values[self.monitor or ""]
        if math.isnan(float(current)):
            current = tensor(math.inf if self.mode == "min" else -math.inf)
        if not self.check_monitor_top_k(trainer, current):
            return False
        removed = ""
        if len(self.best_k_models) == self.save_top_k:
            removed = self.kth_best_model_path
            self.best_k_models.pop(removed)
        path = self._path(values, removed)
        self.current_score = self.best_k_models[path] = current
        order = sorted(self.best_k_models, key=lambda key: float(self.best_k_models[key]))
        best, worst = (order[0], order[-1]) if self.mode == "min" else (order[-1], order[0])
        self.best_model_path, self.best_model_score = best, self.best_k_models[best]
        if len(self.best_k_models) == self.save_top_k:
            self.kth_best_model_path, self.kth_value = worst, self.best_k_models[worst]
        self._write(trainer, path)
        if removed and removed != path:
            self._remove(removed)
        return True

    def _save_last(self, trainer: Any, values: dict[str, Any]) -> None:
        name = filled(self.CHECKPOINT_NAME_LAST, values, self.auto_insert_metric_name)
        path = os.path.join(self.dirpath or "", name + self.FILE_EXTENSION)
        before, self.last_model_path = self.last_model_path, path
        newest = self.best_model_path
        if self.save_last == "link" and newest and os.path.exists(newest):
            if os.path.lexists(path):
                os.unlink(path)
            os.symlink(os.path.relpath(newest, os.path.dirname(path)), path)
        else:
            self._write(trainer, path)
        if before and before != path:
            self._remove(before)

    def _remove(self, path: str) -> None:
        if os.path.exists(path):
            os.unlink(path)

    def newest(self) -> str:
        """The file written last, also by an earlier run in the same folder."""
        found = [self.last_model_path, self.best_model_path]
        if self.dirpath and os.path.isdir(self.dirpath):
            found += [
                os.path.join(self.dirpath, name) for name in os.listdir(self.dirpath)
                if re.fullmatch(r"(last.*|interrupted)\.ckpt", name)
            ]  # fmt: skip
        there = [path for path in found if path and os.path.exists(path)]
        return max(there, key=os.path.getmtime, default="")

    def format_checkpoint_name(
        self, metrics: dict[str, Any], filename: str | None = None, ver: int | None = None
    ) -> str:
        """The name of a file for these values."""
        pattern = filename or self.filename or "{epoch}-{step}"
        name = filled(pattern, metrics, self.auto_insert_metric_name)
        return f"{name}{'' if ver is None else f'-v{ver}'}{self.FILE_EXTENSION}"


def _folder(trainer: Any) -> str:
    """Where checkpoints go that say nothing else."""
    if not trainer.loggers:
        return os.path.join(trainer.default_root_dir, "checkpoints")
    logger = trainer.loggers[0]
    version = logger.version
    version = version if isinstance(version, str) else f"version_{version}"
    root = logger.save_dir or trainer.default_root_dir
    return os.path.join(root, str(logger.name), version, "checkpoints")


def _number(score: Any) -> float | None:
    return None if score is None else float(score)


def _score(number: Any) -> Any:
    return None if number is None else tensor(float(number))
