"""Stop when a value has not become better for a while."""

from __future__ import annotations

import math
from typing import Any

from rushlight.lightning.callbacks.callback import Callback
from rushlight.lightning.utilities.exceptions import MisconfigurationException
from rushlight.lightning.utilities.rank_zero import log


class EarlyStopping(Callback):
    """Ends training when a logged value has stopped becoming better.

    Args:
        monitor: the logged value.
        min_delta: a change smaller than this is none.
        patience: how many checks without a better value are allowed.
        mode: ``min`` or ``max``: what is better.
        strict: whether it is an error when the value has not been logged.
        check_finite: stop when the value is not finite.
        stopping_threshold: stop once the value is better than this.
        divergence_threshold: stop once the value is worse than this.
        check_on_train_epoch_end: check at the end of training epochs (default: where there is no
            validation).

    >>> EarlyStopping(monitor="val_loss", patience=2).state_dict()["wait_count"]
    0
    """

    monitors = True

    def __init__(
        self, monitor: str = "early_stop_on", min_delta: float = 0.0, patience: int = 3,
        verbose: bool = False, mode: str = "min", strict: bool = True, check_finite: bool = True,
        stopping_threshold: float | None = None, divergence_threshold: float | None = None,
        check_on_train_epoch_end: bool | None = None, log_rank_zero_only: bool = False,
    ) -> None:  # fmt: skip
        if mode not in ("min", "max"):
            raise MisconfigurationException(f"`mode` can be min, max, got {mode}")
        self.monitor = monitor
        self.min_delta = abs(min_delta) * (1 if mode == "max" else -1)
        self.patience = patience
        self.verbose = verbose
        self.mode = mode
        self.strict = strict
        self.check_finite = check_finite
        self.stopping_threshold = stopping_threshold
        self.divergence_threshold = divergence_threshold
        self.wait_count = 0
        self.stopped_epoch = 0
        self.best_score = math.inf if mode == "min" else -math.inf
        self._check_on_train_epoch_end = check_on_train_epoch_end

    @property
    def state_key(self) -> str:
        """Under which a checkpoint keeps its state."""
        return self._generate_state_key(monitor=self.monitor, mode=self.mode)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {
            "wait_count": self.wait_count,
            "stopped_epoch": self.stopped_epoch,
            "best_score": self.best_score,
            "patience": self.patience,
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self.wait_count = state_dict["wait_count"]
        self.stopped_epoch = state_dict["stopped_epoch"]
        self.best_score = float(state_dict["best_score"])
        self.patience = state_dict["patience"]

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Check, where that is the place."""
        if self._at_train_end(trainer):
            self._check(trainer)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """Check, where that is the place."""
        if trainer.validating and trainer.training_loop and not self._at_train_end(trainer):
            self._check(trainer)

    def _at_train_end(self, trainer: Any) -> bool:
        wanted = self._check_on_train_epoch_end
        return trainer.validation_loop is None if wanted is None else wanted

    def _check(self, trainer: Any) -> None:
        values = trainer.callback_metrics
        if self.monitor not in values:
            if trainer.fast_dev_run:
                return
            if self.strict:
                raise RuntimeError(
                    f"Early stopping conditioned on metric `{self.monitor}` which is not "
                    "available. Pass in or modify your `EarlyStopping` callback to use any of the "
                    f"following: `{'`, `'.join(values)}`"
                )
            return
        stop, reason = self._judge(float(values[self.monitor]))
        if stop:
            trainer.should_stop = True
            self.stopped_epoch = trainer.current_epoch
        if reason and self.verbose:
            log.info(reason)

    def _better(self, value: float, than: float) -> bool:
        return value > than if self.mode == "max" else value < than

    def _judge(self, value: float) -> tuple[bool, str]:
        if self.check_finite and not math.isfinite(value):
            return True, f"Monitored metric {self.monitor} = {value} is not finite."
        if self.stopping_threshold is not None and self._better(value, self.stopping_threshold):
            self.best_score = value
            return True, f"Stopping threshold reached: {self.monitor} = {value}."
        bound = self.divergence_threshold
        if bound is not None and self._better(-value, -bound):
            return True, f"Divergence threshold reached: {self.monitor} = {value}."
        if self._better(value - self.min_delta, self.best_score):
            self.best_score = value
            self.wait_count = 0
            return False, f"Metric {self.monitor} improved. New best score: {value:.3f}"
        self.wait_count += 1
        if self.wait_count >= self.patience:
            return True, (
                f"Monitored metric {self.monitor} did not improve in the last {self.wait_count} "
                f"records. Best score: {self.best_score:.3f}. Signaling Trainer to stop."
            )
        return False, ""
