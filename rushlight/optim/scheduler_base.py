"""What all learning-rate schedules share."""

from __future__ import annotations

import warnings
from typing import Any

from rushlight._tensor import Tensor
from rushlight.optim.optimizer import Optimizer


class LRScheduler:
    """Base of schedules: subclasses say in ``get_lr`` what the next learning rates are.

    See https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate.
    """

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        if not isinstance(optimizer, Optimizer):
            raise TypeError(f"{type(optimizer).__name__} is not an Optimizer")
        self.optimizer = optimizer
        if last_epoch == -1:
            for group in optimizer.param_groups:
                group.setdefault("initial_lr", _plain(group["lr"]))
        else:
            for i, group in enumerate(optimizer.param_groups):
                if "initial_lr" not in group:
                    raise KeyError(
                        "param 'initial_lr' is not specified in "
                        f"param_groups[{i}] when resuming scheduler with last_epoch >= 0.\nThis "
                        "typically happens when:\n1. You're trying to resume training from a "
                        "checkpoint but haven't properly loaded the optimizer state\n2. You're "
                        "using last_epoch >= 0 for a fresh training run (not recommended)"
                    )
        self.base_lrs = [group["initial_lr"] for group in optimizer.param_groups]
        self.last_epoch = last_epoch
        self._step_count = 0
        self._stepped = False
        self._watch()
        self._initial_step()

    def _watch(self) -> None:
        """Notice whether the optimizer steps before the schedule does."""

        def note(*_: Any) -> None:
            self._stepped = True

        self._handle = self.optimizer.register_step_post_hook(note)

    def _initial_step(self) -> None:
        self.step()

    def state_dict(self) -> dict[str, Any]:
        """The state of the schedule as plain containers."""
        left_out = ("optimizer", "_handle", "_stepped")
        return {key: value for key, value in self.__dict__.items() if key not in left_out}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[float]:
        """The learning rates set last."""
        return self._last_lr

    def get_lr(self) -> list[float]:
        """The learning rates of the next epoch; to be written by the subclass."""
        raise NotImplementedError

    def step(self, epoch: int | None = None) -> None:
        """Go on by one epoch (or to ``epoch``)."""
        if self._step_count == 1 and not self._stepped:
            warnings.warn(
                "Detected call of `lr_scheduler.step()` before `optimizer.step()`. In PyTorch "
                "1.1.0 and later, you should call them in the opposite order: `optimizer.step()` "
                "before `lr_scheduler.step()`.  Failure to do this will result in PyTorch skipping "
                "the first value of the learning rate schedule. See more details at "
                "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate",
                UserWarning,
                stacklevel=2,
            )
        self._step_count += 1
        if epoch is None:
            self.last_epoch += 1
            values = self.get_lr()
        else:
            self.last_epoch = epoch
            closed = getattr(self, "_get_closed_form_lr", None)
            values = closed() if closed is not None else self.get_lr()
        self._set(values)

    def _set(self, values: Any) -> None:
        for group, value in zip(self.optimizer.param_groups, values, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].fill_(value)
            else:
                group["lr"] = value
        self._last_lr: list[float] = [_plain(g["lr"]) for g in self.optimizer.param_groups]

    def _now(self) -> list[float]:
        return [_plain(group["lr"]) for group in self.optimizer.param_groups]


def _plain(lr: Any) -> float:
    return lr.item() if isinstance(lr, Tensor) else lr
