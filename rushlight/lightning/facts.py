"""What a trainer says about its run."""

from __future__ import annotations

import os
import warnings
from types import SimpleNamespace
from typing import Any

from rushlight._tensor import Tensor
from rushlight.lightning.callbacks.early_stopping import EarlyStopping
from rushlight.lightning.callbacks.model_checkpoint import Checkpoint
from rushlight.lightning.callbacks.progress import ProgressBar
from rushlight.lightning.logged import as_number, as_tensor, reduction_name, snapshot
from rushlight.lightning.loop import EvaluationLoop, TrainingLoop
from rushlight.lightning.optimizers import LRSchedulerConfig
from rushlight.lightning.places import Place
from rushlight.lightning.progress import Progress
from rushlight.lightning.utilities.exceptions import MisconfigurationException


class TrainerFacts:
    """The part of the trainer that is read: by modules, by callbacks, after a run.

    Attributes:
        stage: what is being done: ``fit``, ``validate``, ``test``, ``predict`` or
            ``sanity_check``; empty outside a run.
        optimizers: those of the module.
        lr_scheduler_configs: its learning-rate schedules.
        should_stop: set it to end training after the batch at hand.
        interrupted: whether Ctrl-C has been pressed.
    """

    callbacks: list[Any]
    loggers: list[Any]
    default_root_dir: str
    log_every_n_steps: int
    progress: Progress
    training_loop: TrainingLoop | None
    validation_loop: EvaluationLoop | None
    evaluation_loop: EvaluationLoop | None
    place: Place | None
    seen: dict[str, Any]
    optimizers: list[Any]
    lr_scheduler_configs: list[LRSchedulerConfig]
    stage: str
    interrupted: bool
    should_stop: bool

    # where the run is ----------------------------------------------------------------------------

    @property
    def current_epoch(self) -> int:
        """The number of the epoch, from 0."""
        return self.progress.epoch

    @property
    def global_step(self) -> int:
        """The steps optimizers have taken, in all epochs."""
        return self.progress.steps

    @property
    def logger_step(self) -> int:
        """The step under which values are logged."""
        stepped = self.progress.stepped
        return max(stepped - 1, 0) if self.training_loop is not None else stepped

    @property
    def training(self) -> bool:
        """Whether training batches are run."""
        return self.stage == "fit"

    @property
    def validating(self) -> bool:
        """Whether validation batches are run."""
        return self.stage == "validate"

    @property
    def testing(self) -> bool:
        """Whether test batches are run."""
        return self.stage == "test"

    @property
    def predicting(self) -> bool:
        """Whether predictions are made."""
        return self.stage == "predict"

    @property
    def sanity_checking(self) -> bool:
        """Whether these are the validation batches before training."""
        return self.stage == "sanity_check"

    @property
    def evaluating(self) -> bool:
        """Whether validation or test batches are run."""
        return self.stage in ("validate", "test")

    @property
    def state(self) -> SimpleNamespace:
        """What was asked for, what is done, and how it went."""
        return SimpleNamespace(fn=self._asked, stage=self.stage or None, status=self._status)

    _asked: str = ""
    _status: str = "initializing"

    @property
    def global_rank(self) -> int:
        """The number of this process."""
        return 0

    local_rank = global_rank
    node_rank = global_rank

    @property
    def world_size(self) -> int:
        """How many processes train."""
        return 1

    num_devices = world_size
    num_nodes = world_size

    @property
    def is_global_zero(self) -> bool:
        """Whether this process writes the files."""
        return True

    # what it was given ---------------------------------------------------------------------------

    @property
    def logger(self) -> Any:
        """The first logger, or ``None``."""
        return self.loggers[0] if self.loggers else None

    @logger.setter
    def logger(self, logger: Any) -> None:
        self.loggers = [logger] if logger else []

    @property
    def log_dir(self) -> str | None:
        """The folder of this run's logs."""
        for logger in self.loggers:
            found = logger.log_dir or logger.save_dir
            if found is not None:
                return str(found)
        return self.default_root_dir

    def _callbacks_of(self, kind: type) -> list[Any]:
        return [callback for callback in self.callbacks if isinstance(callback, kind)]

    @property
    def checkpoint_callbacks(self) -> list[Any]:
        """All callbacks that write checkpoints."""
        return self._callbacks_of(Checkpoint)

    @property
    def checkpoint_callback(self) -> Any:
        """The first callback that writes checkpoints, or ``None``."""
        return next(iter(self.checkpoint_callbacks), None)

    @property
    def early_stopping_callbacks(self) -> list[Any]:
        """All callbacks that stop early."""
        return self._callbacks_of(EarlyStopping)

    @property
    def early_stopping_callback(self) -> Any:
        """The first callback that stops early, or ``None``."""
        return next(iter(self.early_stopping_callbacks), None)

    @property
    def progress_bar_callback(self) -> Any:
        """The progress bar, or ``None``."""
        return next(iter(self._callbacks_of(ProgressBar)), None)

    @property
    def num_training_batches(self) -> float:
        """The batches of a training epoch."""
        return self.training_loop.source.count if self.training_loop is not None else 0

    @property
    def num_val_batches(self) -> list[float]:
        """The validation batches, by loader."""
        return _counts(self.validation_loop)

    num_sanity_val_batches = num_val_batches

    @property
    def num_test_batches(self) -> list[float]:
        """The test batches, by loader."""
        return _counts(self.evaluation_loop)

    num_predict_batches = num_test_batches

    @property
    def estimated_stepping_batches(self) -> float:
        """How many optimizer steps training will take, for schedules that must know it."""
        return self._estimated_steps()  # type: ignore[attr-defined,no-any-return]

    @property
    def train_dataloader(self) -> Any:
        """The loader of training batches."""
        return None if self.training_loop is None else self.training_loop.source.loader

    @property
    def val_dataloaders(self) -> Any:
        """The loader of validation batches, or the list of them."""
        return _loaders(self.validation_loop)

    @property
    def test_dataloaders(self) -> Any:
        """The loader of test batches, or the list of them."""
        return _loaders(self.evaluation_loop)

    predict_dataloaders = test_dataloaders

    # what was logged -----------------------------------------------------------------------------

    @property
    def callback_metrics(self) -> dict[str, Tensor]:
        """Everything logged last, by name, as tensors."""
        found = dict(self.seen)
        if self.training_loop is not None:
            found.update(self.training_loop.logged.step_values())
        return {name: as_tensor(value) for name, value in found.items()}

    @property
    def progress_bar_metrics(self) -> dict[str, Any]:
        """What the progress bar shows, as numbers."""
        found: dict[str, Any] = {}
        for loop in (self.training_loop, self.validation_loop, self.evaluation_loop):
            if loop is not None:
                wanted = loop.logged.step_values("prog_bar")
                entries = loop.logged.entries.values()
                names = {e.full_name + "_epoch" * e.forked for e in entries if e.prog_bar}
                wanted.update({name: self.seen[name] for name in names if name in self.seen})
                found.update(wanted)
        return {name: as_number(value) for name, value in found.items()}

    @property
    def logged_metrics(self) -> dict[str, Any]:
        """What the loggers got last."""
        return self._logged_last

    _logged_last: dict[str, Any] = {}

    def update_metrics(self, values: dict[str, Any]) -> None:
        """Take over the values of an epoch."""
        if self.stage != "sanity_check":
            self.seen.update(values)

    def monitored(self, name: str, strict: bool) -> Any:
        """The value a schedule watches; ``None`` if it is not there and need not be.

        Raises:
            MisconfigurationException: it has to be there.
        """
        values = self.callback_metrics
        if name in values:
            return values[name]
        if strict:
            raise MisconfigurationException(
                f"ReduceLROnPlateau conditioned on metric {name} which is not available. Available "
                f"metrics are: {list(values)}. Condition can be set using `monitor` key in lr "
                "scheduler dict"
            )
        return None

    def log_metrics(self, values: dict[str, Any], step: int) -> None:
        """Give values to all loggers."""
        if not values:
            return
        numbers = {name: as_number(value) for name, value in values.items()}
        self._logged_last = {**self._logged_last, **numbers}
        numbers.setdefault("epoch", self.current_epoch)
        for logger in self.loggers:
            logger.log_metrics(numbers, step=int(numbers.get("step", step)))

    def log_value(
        self, name: str, value: Any, metric: Any, prog_bar: bool, logger: bool,
        on_step: bool | None, on_epoch: bool | None, reduce: Any, add_loader: bool,
        batch_size: int | None,
    ) -> None:  # fmt: skip
        """What ``LightningModule.log`` does inside a run."""
        place = self.place
        if place is None or self.stage == "predict":
            raise MisconfigurationException(
                "You can't `self.log()` here: values belong to training, validation and test; "
                f"`{name}` was logged outside of them"
            )
        entry = place.logged.entries.get((name, place.loader if add_loader else None))
        if entry is not None and entry.metric is None and metric is None and on_step is None:
            # known by name: what was said the first time holds
            weight = 1
            if entry.on_epoch:
                weight = place.weight() if batch_size is None else batch_size
            entry.add(snapshot(value), weight)
            return
        on_step = place.on_step if on_step is None else on_step
        on_epoch = place.on_epoch if on_epoch is None else on_epoch
        if not place.on_step and place is not None and place.batch is None:
            on_step = False  # where no batch is at hand only the epoch counts
        weight = batch_size if batch_size is not None else (place.weight() if on_epoch else 1)
        place.logged.log(
            name, value, place.loader if add_loader else None, weight, on_step, on_epoch,
            prog_bar, logger, reduction_name(reduce), metric,
        )  # fmt: skip

    def print(self, *args: Any, **kwargs: Any) -> None:
        """``print`` that does not tear the progress bar."""
        bar = self.progress_bar_callback
        if bar is not None:
            bar.print(*args, **kwargs)
        else:
            print(*args, **kwargs)

    def ckpt_of(self, wanted: Any) -> Any:
        """The file that ``ckpt_path`` means.

        ``"last"`` is none, with a warning, where nothing has been written yet.

        Raises:
            ValueError: ``"best"``, and there is none.
        """
        if wanted not in ("best", "last"):
            return os.fspath(wanted) if isinstance(wanted, os.PathLike) else wanted
        for callback in self.checkpoint_callbacks:
            found = callback.best_model_path if wanted == "best" else callback.newest()
            if found:
                return found
        if wanted == "last":
            warnings.warn(
                f'.{self._asked}(ckpt_path="last") is set, but there is no last checkpoint '
                "available. No checkpoint will be loaded.",
                stacklevel=5,
            )
            return None
        raise ValueError(
            f'`.{self._asked}(ckpt_path="{wanted}")` is set but `ModelCheckpoint` is not '
            "configured to save it, or has not saved anything yet"
        )


def _counts(loop: EvaluationLoop | None) -> list[float]:
    return [] if loop is None else [source.count for source in loop.sources]


def _loaders(loop: EvaluationLoop | None) -> Any:
    if loop is None or not loop.sources:
        return None
    found = [source.loader for source in loop.sources]
    return found[0] if len(found) == 1 else found
