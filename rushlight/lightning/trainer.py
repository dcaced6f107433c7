"""The trainer: runs a module over data, with everything around the steps."""

from __future__ import annotations

import math
import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

from rushlight._info import are_deterministic_algorithms_enabled, use_deterministic_algorithms
from rushlight.autograd.anomaly_mode import set_detect_anomaly
from rushlight.engine.trace.differentiate import anomaly
from rushlight.lightning import checkpoint as checkpoints, options
from rushlight.lightning.calls import Calls
from rushlight.lightning.connect import attach_data, callbacks_for, loggers_for, sources_for
from rushlight.lightning.datamodule import LightningDataModule
from rushlight.lightning.facts import TrainerFacts
from rushlight.lightning.hooks import DataHooks, overridden
from rushlight.lightning.loop import EvaluationLoop, TrainingLoop
from rushlight.lightning.module import LightningModule
from rushlight.lightning.optimizers import configured
from rushlight.lightning.precision import Precision
from rushlight.lightning.progress import Progress
from rushlight.lightning.report import print_results
from rushlight.lightning.seed import random_states, restore_random_states
from rushlight.lightning.sources import UNKNOWN, Source
from rushlight.lightning.utilities.exceptions import MisconfigurationException


class Trainer(TrainerFacts):
    """Trains, validates and tests modules.

    Args:
        max_epochs, min_epochs, max_steps, min_steps: how long to train; -1 is without end. With
            neither ``max_epochs`` nor ``max_steps`` it is 1000 epochs.
        limit_train_batches, limit_val_batches, limit_test_batches, limit_predict_batches: batches
            to run at most: a number, or a part of all as a float.
        overfit_batches: train on these few again and again, not shuffled.
        fast_dev_run: run so many batches of everything, to see whether it runs at all.
        val_check_interval: after how many batches to validate; a float is a part of the epoch.
        check_val_every_n_epoch: in which epochs; ``None``: ``val_check_interval`` counts on.
        num_sanity_val_steps: validation batches before training, -1 for all.
        accumulate_grad_batches: batches whose gradients are added up for one step.
        gradient_clip_val, gradient_clip_algorithm: bound gradients by ``norm`` or by ``value``.
        precision: ``32-true``, ``64-true``, ``bf16-true`` or ``bf16-mixed``.
        logger: loggers, or whether there is one. callbacks: a callback or a list of them.
        log_every_n_steps: how often values of steps are logged.
        enable_checkpointing, enable_progress_bar, enable_model_summary: without them the run
            brings no such callback along.
        default_root_dir: where files go that say nothing else (default: the working folder).
        detect_anomaly: find the operation a NaN gradient came from; slow.
        deterministic: ``use_deterministic_algorithms`` during the run.
        inference_mode: whether evaluation runs in it rather than in ``no_grad``.
        reload_dataloaders_every_n_epochs: ask for the training loader anew.
        accelerator, devices: ``auto`` or ``cpu``, and 1.
        old: options under the names of Lightning 1.x.

    See https://lightning.ai/docs/pytorch/stable/common/trainer.html.

    >>> Trainer(max_epochs=3, logger=False, enable_checkpointing=False).max_epochs
    3
    """

    def __init__(
        self, *, accelerator: str | None = "auto", devices: Any = "auto", precision: Any = None,
        logger: Any = None, callbacks: Any = None, fast_dev_run: int | bool = False,
        max_epochs: int | None = None, min_epochs: int | None = None, max_steps: int = -1,
        min_steps: int | None = None, max_time: Any = None,
        limit_train_batches: float | None = None, limit_val_batches: float | None = None,
        limit_test_batches: float | None = None, limit_predict_batches: float | None = None,
        overfit_batches: float = 0.0, val_check_interval: float | None = None,
        check_val_every_n_epoch: int | None = 1, num_sanity_val_steps: int | None = None,
        log_every_n_steps: int | None = None, enable_checkpointing: bool | None = None,
        enable_progress_bar: bool | None = None, enable_model_summary: bool | None = None,
        accumulate_grad_batches: int = 1, gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None, deterministic: Any = None,
        inference_mode: bool = True, detect_anomaly: bool = False,
        default_root_dir: Any = None, reload_dataloaders_every_n_epochs: int = 0, **old: Any,
    ) -> None:  # fmt: skip
        settings = {k: v for k, v in locals().items() if k not in ("self", "old", "__class__")}
        options.modern(old, settings)
        options.check(settings)
        if settings["fast_dev_run"]:
            options.fast(settings)
        self._take(settings)
        self.training_loop = self.validation_loop = self.evaluation_loop = None
        self.lightning_module: Any = None
        self.datamodule: Any = None
        self.calls: Any = None
        self.place = None
        self.prepare_batch: Callable[[Any, int], Any] | None = None
        self.is_last_batch = self.steps_itself = self.clips_itself = False
        self.optimizers, self.lr_scheduler_configs = [], []
        self.stage, self.seen, self.return_predictions = "", {}, True
        self.interrupted = self.should_stop = False
        self.progress = Progress()
        self.ckpt_path: Any = None
        self.loggers = loggers_for(self, settings["logger"])
        self.callbacks = callbacks_for(self, settings)

    def _take(self, settings: dict[str, Any]) -> None:
        """Set the options as attributes, with the defaults for those not given."""
        defaults: dict[str, Any] = {
            "val_check_interval": 1.0, "num_sanity_val_steps": 2, "log_every_n_steps": 50,
            "default_root_dir": os.getcwd(), "resume_from_checkpoint": None,
        }  # fmt: skip
        for name, value in {**defaults, **settings}.items():
            if name in ("logger", "callbacks", "precision"):
                continue
            setattr(self, name, defaults.get(name) if value is None else value)
        self.default_root_dir = os.fspath(self.default_root_dir)
        self.precision = Precision(settings["precision"] or "32-true")
        if self.max_epochs is None and self.max_steps == -1 and self.max_time is None:
            self.max_epochs = 1000
        if self.overfit_batches:
            self.limit_train_batches = self.limit_val_batches = self.overfit_batches
        self.num_sanity_val_steps = (
            math.inf if self.num_sanity_val_steps == -1 else self.num_sanity_val_steps
        )

    max_epochs: int | None
    min_epochs: int | None
    max_steps: int
    min_steps: int | None
    max_time: Any
    fast_dev_run: int | bool
    overfit_batches: float
    limit_train_batches: float | None
    limit_val_batches: float | None
    val_check_interval: float
    check_val_every_n_epoch: int | None
    num_sanity_val_steps: float
    accumulate_grad_batches: int
    gradient_clip_val: float | None
    gradient_clip_algorithm: str | None
    deterministic: Any
    detect_anomaly: bool
    inference_mode: bool
    enable_checkpointing: bool | None
    reload_dataloaders_every_n_epochs: int
    resume_from_checkpoint: Any

    # what users call -----------------------------------------------------------------------------

    def fit(
        self, model: Any, train_dataloaders: Any = None, val_dataloaders: Any = None,
        datamodule: Any = None, ckpt_path: Any = None, weights_only: bool | None = None,
        train_dataloader: Any = None,
    ) -> None:  # fmt: skip
        """Train a module.

        Args:
            model: a ``LightningModule``.
            train_dataloaders, val_dataloaders: loaders; otherwise those of ``datamodule`` or of
                the module.
            ckpt_path: a checkpoint to go on from, ``"last"`` or ``"best"``.
        """
        train = train_dataloaders if train_dataloaders is not None else train_dataloader
        given = {"train": train, "val": val_dataloaders}
        self.should_stop = False
        ckpt_path = ckpt_path if ckpt_path is not None else self.resume_from_checkpoint
        with self._run("fit", model, given, datamodule):
            self._fit(given, ckpt_path, weights_only)

    def validate(
        self, model: Any = None, dataloaders: Any = None, ckpt_path: Any = None,
        verbose: bool = True, datamodule: Any = None, weights_only: bool | None = None,
        val_dataloaders: Any = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Evaluate on the validation data; the logged values, by loader."""
        given = dataloaders if dataloaders is not None else val_dataloaders
        return self._evaluate("validate", model, given, ckpt_path, verbose, datamodule)

    def test(
        self, model: Any = None, dataloaders: Any = None, ckpt_path: Any = None,
        verbose: bool = True, datamodule: Any = None, weights_only: bool | None = None,
        test_dataloaders: Any = None,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Evaluate on the test data; the logged values, by loader."""
        given = dataloaders if dataloaders is not None else test_dataloaders
        return self._evaluate("test", model, given, ckpt_path, verbose, datamodule)

    def predict(
        self, model: Any = None, dataloaders: Any = None, datamodule: Any = None,
        return_predictions: bool | None = None, ckpt_path: Any = None,
        weights_only: bool | None = None,
    ) -> Any:  # fmt: skip
        """What ``predict_step`` gives for every batch; by loader where there are several."""
        self.return_predictions = return_predictions is not False
        results: Any = None
        with self._run("predict", model, {"predict": dataloaders}, datamodule):
            loop = self._evaluation("predict", dataloaders, ckpt_path)
            results = loop.run()
        if not self.return_predictions:
            return None
        return results[0] if results is not None and len(results) == 1 else results

    def save_checkpoint(
        self, filepath: Any, weights_only: bool = False, storage_options: Any = None
    ) -> None:
        """Write a checkpoint."""
        if self.lightning_module is None:
            raise AttributeError(
                "Saving a checkpoint is only possible if a model is attached to the Trainer. Did "
                "you call `Trainer.save_checkpoint()` before calling "
                "`Trainer.{fit,validate,test,predict}`?"
            )
        folder = os.path.dirname(os.fspath(filepath))
        if folder:
            os.makedirs(folder, exist_ok=True)
        checkpoints.write(self, os.fspath(filepath), weights_only)

    def backward(self, loss: Any, *args: Any, **kwargs: Any) -> None:
        """The gradients of a loss, with the hooks around them."""
        assert self.training_loop is not None
        self.training_loop.backward(loss, *args, **kwargs)

    # a run ---------------------------------------------------------------------------------------

    @contextmanager
    def _run(
        self, stage: str, model: Any, given: dict[str, Any], datamodule: Any
    ) -> Iterator[None]:
        """Everything around a run: set up before it, tidy up after it, however it ends."""
        if any(isinstance(each, LightningDataModule) for each in given.values()):
            datamodule = next(v for v in given.values() if isinstance(v, LightningDataModule))
            given.update(dict.fromkeys(given))
        module = model if model is not None else self.lightning_module
        if not isinstance(module, LightningModule):
            kind = "nothing" if module is None else type(module).__qualname__
            raise TypeError(f"`model` must be a `LightningModule`, got `{kind}`")
        self._asked = self.stage = stage
        self._status, self.interrupted = "running", False
        self.lightning_module, module.trainer = module, self
        attach_data(self, datamodule)
        self.calls = Calls(self, module, self.callbacks)
        anomalies, deterministic = anomaly.enabled, are_deterministic_algorithms_enabled()
        with self._patient(stage):
            try:
                if self.detect_anomaly:
                    set_detect_anomaly(True)
                if self.deterministic:
                    use_deterministic_algorithms(True, warn_only=self.deterministic == "warn")
                self._set_up(stage)
                yield
                self._status = "finished"
            except KeyboardInterrupt as error:  # raised by somebody, not by the keys
                self._broken_off(error)
                if stage != "fit" or self.interrupted:
                    raise
                self.interrupted = True
                self._save_if_interrupted()
            except BaseException as error:
                self._broken_off(error)
                raise
            finally:
                anomaly.enabled = anomalies
                use_deterministic_algorithms(deterministic)
                self._tear_down(stage)
        if self.interrupted:
            self._status = "interrupted"
            raise SystemExit(1)

    def _set_up(self, stage: str) -> None:
        module, data = self.lightning_module, self.datamodule
        owners = [owner for owner in (data, module) if owner is not None]
        for callback in callbacks_of_module(module):
            self.callbacks = [c for c in self.callbacks if type(c) is not type(callback)]
            self.callbacks.append(callback)
        self.callbacks.sort(key=lambda callback: callback.saves)
        for owner in owners:
            owner.prepare_data()
        if data is not None:
            data.setup(stage)
        for callback in self.callbacks:
            callback.setup(self, module, stage)
        module.setup(stage)
        module.configure_model()
        self.precision.convert(module)
        self.calls = Calls(self, module, self.callbacks)
        self.prepare_batch = self._preparation(owners)

    def _preparation(self, owners: list[Any]) -> Callable[[Any, int], Any] | None:
        """What is done to every batch; ``None`` if nothing is."""
        names = ("on_before_batch_transfer", "transfer_batch_to_device", "on_after_batch_transfer")
        chosen = [
            next((o for o in owners if overridden(o, name, DataHooks)), None) for name in names
        ]
        convert = self.precision.convert_batch if self.precision.converts_batches else None
        if not any(chosen) and convert is None:
            return None
        before, move, after = chosen
        where = self.lightning_module.device

        def prepare(batch: Any, number: int) -> Any:
            if before is not None:
                batch = before.on_before_batch_transfer(batch, number)
            if convert is not None:
                batch = convert(batch)
            if move is not None:
                batch = move.transfer_batch_to_device(batch, where, number)
            return batch if after is None else after.on_after_batch_transfer(batch, number)

        return prepare

    def _fit(self, given: dict[str, Any], ckpt_path: Any, weights_only: bool | None) -> None:
        module, calls = self.lightning_module, self.calls
        self.progress = Progress()
        self.seen = {}
        self.ckpt_path = None if ckpt_path is None else self.ckpt_of(ckpt_path)
        saved = None if self.ckpt_path is None else checkpoints.read(self.ckpt_path, weights_only)
        if saved is not None:
            checkpoints.restore_module(self, saved, training=True)
        self.steps_itself = overridden(module, "optimizer_step", LightningModule)
        self.clips_itself = overridden(module, "configure_gradient_clipping", LightningModule)
        if not module.automatic_optimization and self.accumulate_grad_batches != 1:
            raise MisconfigurationException(
                "Automatic gradient accumulation is not supported for manual optimization. Remove "
                f"`Trainer(accumulate_grad_batches={self.accumulate_grad_batches})`"
            )
        self.training_loop = self.validation_loop = None
        train, validation = sources_for(self, given)
        self.validation_loop = (
            EvaluationLoop(self, module, calls, "validate", validation) if validation else None
        )
        self.training_loop = TrainingLoop(self, module, calls, train, self.validation_loop)
        self.optimizers, self.lr_scheduler_configs = configured(module.configure_optimizers())
        if len(self.optimizers) > 1 and module.automatic_optimization:
            raise RuntimeError(
                "Training with multiple optimizers is only supported with manual optimization. Set "
                "`self.automatic_optimization = False`, then access your optimizers in "
                "`training_step` with `opt1, opt2, ... = self.optimizers()`."
            )
        for call in calls.on_fit_start:
            call()
        for logger in self.loggers:
            logger.begin(self)
        counting = [] if module.automatic_optimization else [
            optimizer.register_step_post_hook(self._count_step) for optimizer in self.optimizers
        ]  # fmt: skip
        modes = {child: child.training for child in module.modules()}
        try:
            kept = None
            if saved is not None:
                checkpoints.restore_training(self, saved)
                kept = saved.pop("resume", None)
            else:
                self._sanity_check(validation)
            saved = None
            for child, mode in modes.items():
                child.training = mode
            if kept is not None:
                checkpoints.restore_place(self, kept)
            kept = None
            self.training_loop.run()
            if self.interrupted:
                self._save_if_interrupted()
                for callback in self.callbacks:
                    callback.on_exception(self, module, KeyboardInterrupt())
            for call in calls.on_fit_end:
                call()
        finally:
            for handle in counting:
                handle.remove()

    def _count_step(self, *_: Any) -> None:
        self.progress.steps += 1

    def _sanity_check(self, validation: list[Source]) -> None:
        """A few validation batches, so that their mistakes show before hours of training."""
        if not validation or not self.num_sanity_val_steps:
            return
        few = [
            Source(source.loader, int(min(source.count, self.num_sanity_val_steps)))
            if source.count != UNKNOWN or self.num_sanity_val_steps != math.inf
            else source
            for source in validation
        ]
        loop = EvaluationLoop(self, self.lightning_module, self.calls, "sanity_check", few)
        before = random_states()
        self.stage = "sanity_check"
        for call in self.calls.on_sanity_check_start:
            call()
        loop.run()
        for call in self.calls.on_sanity_check_end:
            call()
        restore_random_states(before)  # training draws the numbers it would have drawn without
        self.seen = {}
        self.stage = "fit"

    def _evaluation(self, stage: str, given: Any, ckpt_path: Any) -> EvaluationLoop:
        module = self.lightning_module
        if ckpt_path is not None:
            self.ckpt_path = self.ckpt_of(ckpt_path)
            if self.ckpt_path is not None:
                saved = checkpoints.read(self.ckpt_path)
                checkpoints.restore_module(self, saved, training=False)
        key = {"validate": "val"}.get(stage, stage)
        self.training_loop = None
        _, sources = sources_for(self, {key: given}, key)
        for logger in self.loggers:
            logger.begin(self)
        loop = self.evaluation_loop = EvaluationLoop(self, module, self.calls, stage, sources)
        if stage == "validate":
            self.validation_loop = loop
        return loop

    def _evaluate(
        self, stage: str, model: Any, given: Any, ckpt_path: Any, verbose: bool, datamodule: Any
    ) -> list[dict[str, Any]]:
        if model is None and ckpt_path is None and self.checkpoint_callback is not None:
            ckpt_path = "best" if self.checkpoint_callback.best_model_path else None
        loaders = {{"validate": "val"}.get(stage, stage): given}
        results: list[dict[str, Any]] = []
        with self._run(stage, model, loaders, datamodule):
            loop = self._evaluation(stage, next(iter(loaders.values())), ckpt_path)
            loop.run()
            results = loop.found
            for logger in self.loggers:
                logger.save()
        if verbose:
            print_results(results, "test" if stage == "test" else "validate")
        return results

    def _estimated_steps(self) -> float:
        if self.max_epochs in (None, -1) or self.training_loop is None:
            return self.max_steps if self.max_steps != -1 else math.inf
        batches = self.training_loop.source.count / self.accumulate_grad_batches
        steps = batches if math.isinf(batches) else math.ceil(batches)
        total = steps * self.max_epochs  # type: ignore[operator]
        return total if self.max_steps == -1 else min(total, self.max_steps)

    # ends ----------------------------------------------------------------------------------------

    @contextmanager
    def _patient(self, stage: str) -> Iterator[None]:
        """The first Ctrl-C lets the batch at hand end; the second one does not."""
        if stage != "fit" or threading.current_thread() is not threading.main_thread():
            yield
            return
        before = signal.getsignal(signal.SIGINT)

        def note(number: int, frame: FrameType | None) -> None:
            if self.interrupted:
                signal.default_int_handler(number, frame)
            self.interrupted = True

        signal.signal(signal.SIGINT, note)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    def _save_if_interrupted(self) -> None:
        """After Ctrl-C: everything that is needed to go on is written."""
        self.print("\nDetected KeyboardInterrupt, attempting graceful shutdown ...")
        if self.enable_checkpointing is not False:
            owner = self.checkpoint_callback
            folder = getattr(owner, "dirpath", None) or self.default_root_dir
            path = os.path.join(folder, "interrupted.ckpt")
            self.save_checkpoint(path)
            self.print(f"Saved {path}; fit(..., ckpt_path={path!r}) goes on from there")

    def _broken_off(self, error: BaseException) -> None:
        self._status = "interrupted"
        for callback in self.callbacks:
            callback.on_exception(self, self.lightning_module, error)
        for logger in self.loggers:
            logger.finalize("failed")

    def _tear_down(self, stage: str) -> None:
        module = self.lightning_module
        for callback in self.callbacks:
            callback.teardown(self, module, stage)
        for owner in (self.datamodule, module):
            if owner is not None:
                owner.teardown(stage)
        if self._status != "interrupted":
            for logger in self.loggers:
                logger.finalize("success")
        for loop in (self.training_loop, self.validation_loop, self.evaluation_loop):
            for source in [] if loop is None else getattr(loop, "sources", ()):
                source.close()
        self.place, self.stage = None, ""


def callbacks_of_module(module: Any) -> list[Any]:
    """The callbacks a module brings along."""
    found = module.configure_callbacks()
    return list(found) if isinstance(found, (list, tuple)) else [found]
