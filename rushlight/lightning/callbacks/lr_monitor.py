"""Log the learning rates."""

from __future__ import annotations

from typing import Any

from rushlight.lightning.callbacks.callback import Callback
from rushlight.lightning.utilities.exceptions import MisconfigurationException


class LearningRateMonitor(Callback):
    """Gives the loggers the learning rate of every parameter group.

    Args:
        logging_interval: ``step``, ``epoch``, or ``None`` for when each schedule steps.
        log_momentum: log the momentum too.
        log_weight_decay: log the weight decay too.

    >>> LearningRateMonitor("epoch").lrs
    {}
    """

    def __init__(
        self, logging_interval: str | None = None, log_momentum: bool = False,
        log_weight_decay: bool = False,
    ) -> None:  # fmt: skip
        if logging_interval not in (None, "step", "epoch"):
            raise MisconfigurationException(
                "logging_interval should be `step` or `epoch` or `None`."
            )
        self.logging_interval = logging_interval
        self.log_momentum = log_momentum
        self.log_weight_decay = log_weight_decay
        self.lrs: dict[str, list[float]] = {}

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """Find the names."""
        if not trainer.loggers:
            raise MisconfigurationException(
                "Cannot use `LearningRateMonitor` callback with `Trainer` that has no logger."
            )
        self._names = self._find_names(trainer)
        self.lrs = {name: [] for names in self._names for name in names}

    def _find_names(self, trainer: Any) -> list[list[str]]:
        scheduled = {id(c.scheduler.optimizer): c.name for c in trainer.lr_scheduler_configs}
        kinds: dict[str, int] = {}
        found = []
        for optimizer in trainer.optimizers:
            base = scheduled.get(id(optimizer)) or f"lr-{type(optimizer).__name__}"
            kinds[base] = kinds.get(base, 0) + 1
            if kinds[base] > 1:
                base = f"{base}-{kinds[base] - 1}"
            groups = optimizer.param_groups
            if len(groups) == 1:
                found.append([groups[0].get("name", base)] if "name" in groups[0] else [base])
            else:
                found.append([f"{base}/{g.get('name', f'pg{i}')}" for i, g in enumerate(groups, 1)])
        return found

    def on_train_batch_start(
        self, trainer: Any, pl_module: Any, batch: Any, batch_idx: int
    ) -> None:
        """Log, where steps count."""
        stepped = trainer.progress.stepped
        if self.logging_interval != "epoch" and (stepped + 1) % trainer.log_every_n_steps == 0:
            wanted = None if self.logging_interval is None else "any"
            self._log(trainer, wanted or "step", stepped)

    def on_train_epoch_start(self, trainer: Any, pl_module: Any) -> None:
        """Log, where epochs count."""
        if self.logging_interval != "step":
            wanted = "epoch" if self.logging_interval is None else "any"
            self._log(trainer, wanted, trainer.progress.stepped)

    def _log(self, trainer: Any, interval: str, step: int) -> None:
        due = {
            id(config.scheduler.optimizer) for config in trainer.lr_scheduler_configs
            if interval in ("any", config.interval)
        }  # fmt: skip
        values: dict[str, float] = {}
        for optimizer, names in zip(trainer.optimizers, self._names, strict=True):
            if interval != "any" and id(optimizer) not in due:
                continue
            for name, group in zip(names, optimizer.param_groups, strict=True):
                values[name] = float(group["lr"])
                if self.log_momentum:
                    momentum = group.get("momentum", group.get("betas", (0.0,)))
                    found = momentum[0] if isinstance(momentum, (tuple, list)) else momentum
                    values[f"{name}-momentum"] = float(found)
                if self.log_weight_decay:
                    values[f"{name}-weight_decay"] = float(group.get("weight_decay", 0.0))
        for name, value in values.items():
            self.lrs.setdefault(name, []).append(value)
        if values:
            for logger in trainer.loggers:
                logger.log_metrics(values, step=step)
            trainer.seen.update(values)
