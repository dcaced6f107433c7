"""What ``configure_optimizers`` may give, and what is made of it."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from rushlight.optim.optimizer import Optimizer
from rushlight.optim.plateau import ReduceLROnPlateau


@dataclass
class LRSchedulerConfig:
    """A learning-rate schedule and when it steps.

    Attributes:
        scheduler: the schedule.
        name: under which ``LearningRateMonitor`` logs it.
        interval: ``epoch`` or ``step``.
        frequency: how many of them lie between two steps of the schedule.
        reduce_on_plateau: whether it watches a value.
        monitor: the logged value it watches.
        strict: whether it is an error when that value has not been logged.
    """

    scheduler: Any
    name: str | None = None
    interval: str = "epoch"
    frequency: int = 1
    reduce_on_plateau: bool = False
    monitor: str | None = None
    strict: bool = True


_OPTIONS = {field.name for field in fields(LRSchedulerConfig)}

_WRONG = (
    "Unknown configuration for model optimizers. Output from `model.configure_optimizers()` "
    "should be one of:\n"
    " * `Optimizer`\n"
    " * [`Optimizer`]\n"
    " * ([`Optimizer`], [`LRScheduler`])\n"
    ' * {"optimizer": `Optimizer`, (optional) "lr_scheduler": `LRScheduler`}\n'
)


def configured(given: Any) -> tuple[list[Any], list[LRSchedulerConfig]]:
    """The optimizers and the schedules of an answer of ``configure_optimizers``.

    >>> import rushlight as torch
    >>> sgd = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.1)
    >>> schedule = torch.optim.lr_scheduler.StepLR(sgd, 1)
    >>> options = {"optimizer": sgd, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
    >>> configured(options)[1][0].interval
    'step'
    """
    optimizers, schedules, monitor = _split(given)
    if not all(_is_optimizer(each) for each in optimizers):
        raise ValueError(_WRONG)
    return optimizers, [_schedule(each, monitor) for each in schedules]


def _is_optimizer(given: Any) -> bool:
    return isinstance(given, Optimizer) or (
        hasattr(given, "step") and hasattr(given, "param_groups")
    )


def _split(given: Any) -> tuple[list[Any], list[Any], str | None]:
    if given is None:
        return [], [], None
    if _is_optimizer(given):
        return [given], [], None
    if isinstance(given, Mapping):
        return _from_mapping(given)
    if not isinstance(given, Sequence):
        raise ValueError(_WRONG)
    if len(given) == 2 and isinstance(given[0], (list, tuple)):
        schedules = given[1] if isinstance(given[1], (list, tuple)) else [given[1]]
        return list(given[0]), list(schedules), None
    optimizers, schedules = [], []
    for each in given:
        if not isinstance(each, Mapping):
            optimizers.append(each)
            continue
        own, found, _ = _from_mapping(each)
        optimizers += own
        schedules += found
    return optimizers, schedules, None


def _from_mapping(given: Mapping[str, Any]) -> tuple[list[Any], list[Any], str | None]:
    if "optimizer" not in given:
        raise ValueError(_WRONG)
    unknown = sorted(set(given) - {"optimizer", "lr_scheduler", "monitor", "frequency"})
    if unknown:
        warnings.warn(
            f"Found unsupported keys in the optimizer configuration: {set(unknown)}", stacklevel=4
        )
    schedule = given.get("lr_scheduler")
    if schedule is None:
        return [given["optimizer"]], [], None
    if "monitor" in given:
        schedule = dict(schedule) if isinstance(schedule, Mapping) else {"scheduler": schedule}
        schedule.setdefault("monitor", given["monitor"])
    return [given["optimizer"]], [schedule], given.get("monitor")


def _schedule(given: Any, monitor: str | None) -> LRSchedulerConfig:
    if not isinstance(given, Mapping):
        plateau = isinstance(given, ReduceLROnPlateau)
        if plateau and monitor is None:
            raise _monitor_missing()
        return LRSchedulerConfig(given, reduce_on_plateau=plateau, monitor=monitor)
    if "scheduler" not in given:
        raise ValueError('The lr scheduler dict must have the key "scheduler" with its item being '
                         "an lr scheduler")  # fmt: skip
    unknown = sorted(set(given) - _OPTIONS)
    if unknown:
        warnings.warn(f"Found unsupported keys in the lr scheduler dict: {unknown}", stacklevel=4)
    made = LRSchedulerConfig(**{key: value for key, value in given.items() if key in _OPTIONS})
    if made.interval not in ("epoch", "step"):
        raise ValueError(
            'The "interval" key in lr scheduler dict must be "step" or "epoch" but is '
            f'"{made.interval}"'
        )
    made.reduce_on_plateau |= isinstance(made.scheduler, ReduceLROnPlateau)
    if made.reduce_on_plateau and made.monitor is None:
        raise _monitor_missing()
    return made


def _monitor_missing() -> ValueError:
    return ValueError(
        "The lr scheduler dict must include a monitor when a `ReduceLROnPlateau` scheduler is "
        'used. For example: {"optimizer": optimizer, "lr_scheduler": {"scheduler": scheduler, '
        '"monitor": "your_loss"}}'
    )
