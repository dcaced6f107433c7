"""What steps of a module want to be given, and what is made of their results."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from rushlight._tensor import Tensor
from rushlight.lightning.logged import snapshot
from rushlight.lightning.sources import UNKNOWN
from rushlight.lightning.utilities.exceptions import MisconfigurationException
from rushlight.optim.lbfgs import LBFGS
from rushlight.optim.optimizer import Optimizer


def step_arguments(step: Callable[..., Any]) -> int:
    """How many of batch, number of the batch and number of the loader a step takes.

    >>> step_arguments(lambda batch: None), step_arguments(lambda batch, batch_idx: None)
    (1, 2)
    """
    count = 0
    for parameter in inspect.signature(step).parameters.values():
        if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
            return 3
        if parameter.kind is not inspect.Parameter.VAR_KEYWORD:
            count += parameter.kind is not inspect.Parameter.KEYWORD_ONLY
    return count


def loss_of(output: Any) -> Any:
    """The loss in what ``training_step`` gave."""
    if output is None or isinstance(output, Tensor):
        return output
    if isinstance(output, dict):
        if "loss" in output:
            return output["loss"]
        raise MisconfigurationException(
            "In automatic_optimization, when `training_step` returns a dict, the 'loss' key "
            "needs to be present"
        )
    raise MisconfigurationException(
        "In automatic optimization, `training_step` must return a Tensor, a dict, or None (where "
        "the step will be skipped)."
    )


def needs_no_closure(optimizer: Any) -> bool:
    """Whether a step needs nothing but gradients that are there: no closure."""
    kind = type(optimizer)
    return (
        isinstance(optimizer, Optimizer)
        and not isinstance(optimizer, LBFGS)
        and (kind.__module__.startswith("rushlight."))
    )


def outputs_of(output: Any) -> dict[str, Any]:
    """What ``on_train_batch_end`` is given for the result of ``training_step``.

    Nothing is computed for it and nothing held that the loop does not hold anyway, so that the
    recorded programs are those of a loop without hooks.

    >>> outputs_of(None)
    {}
    """
    if isinstance(output, dict):
        return {key: detached(value) for key, value in output.items()}
    return {} if output is None else {"loss": snapshot(output)}


def detached(output: Any) -> Any:
    """A step's result without its graph, to be kept until the epoch ends.

    >>> detached({"n": 1})
    {'n': 1}
    """
    if isinstance(output, Tensor):
        return snapshot(output) if output._value.meta.numel == 1 else output.detach()
    if isinstance(output, dict):
        return {key: detached(value) for key, value in output.items()}
    return output


def validation_interval(trainer: Any, count: float) -> float:
    """After how many batches validation is due; infinite: after the last one."""
    interval = trainer.val_check_interval
    if isinstance(interval, int) and interval is not True:
        if interval > count and trainer.check_val_every_n_epoch is not None:
            raise ValueError(
                f"`val_check_interval` ({interval}) must be less than or equal to the number of "
                f"the training batches ({count}). If you want to disable validation set "
                "`limit_val_batches` to 0.0 instead. If you want to validate based on the total "
                "training batches, set `check_val_every_n_epoch=None`."
            )
        return interval
    if count == UNKNOWN:
        if interval != 1.0:
            raise MisconfigurationException(
                "When using an IterableDataset for `train_dataloader`, "
                "`Trainer(val_check_interval)` must be `1.0` or an int. An int k specifies "
                "checking validation every k training batches."
            )
        return UNKNOWN
    return max(1, int(count * interval))
