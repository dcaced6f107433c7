"""The hooks of a run that somebody has written, found once and called without looking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from rushlight.lightning.callbacks.callback import Callback
from rushlight.lightning.hooks import ModelHooks, overridden

Hook = Callable[..., Any]

#: Those callbacks have: every name that begins with ``on_``, except saving and loading.
NAMES = [
    name for name in vars(Callback)
    if name.startswith("on_") and not name.endswith("_checkpoint")
]  # fmt: skip


class Calls:
    """For every hook the functions to call: the callbacks' in their order, then the module's.

    Those of callbacks that save come after the module's, so that what they save is complete.

    Attributes:
        on_train_batch_start, ...: lists of functions that take what the module's hook takes.
    """

    on_exception: list[Hook]
    on_fit_start: list[Hook]
    on_fit_end: list[Hook]
    on_sanity_check_start: list[Hook]
    on_sanity_check_end: list[Hook]
    on_train_start: list[Hook]
    on_train_end: list[Hook]
    on_train_epoch_start: list[Hook]
    on_train_batch_start: list[Hook]
    on_train_batch_end: list[Hook]
    on_before_zero_grad: list[Hook]
    on_before_backward: list[Hook]
    on_after_backward: list[Hook]
    on_before_optimizer_step: list[Hook]

    def __init__(self, trainer: Any, module: Any, callbacks: Sequence[Callback]) -> None:
        early = [callback for callback in callbacks if not callback.saves]
        late = [callback for callback in callbacks if callback.saves]
        for name in NAMES:
            listed = [
                *_of_callbacks(early, name, trainer, module),
                *_of_module(module, name),
                *_of_callbacks(late, name, trainer, module),
            ]
            setattr(self, name, listed)
        # what is logged at a step is told to loggers between these two
        self.on_train_batch_end = [
            *_of_callbacks(early, "on_train_batch_end", trainer, module),
            *_of_module(module, "on_train_batch_end"),
        ]
        self.on_train_batch_saved = _of_callbacks(late, "on_train_batch_end", trainer, module)
        # metrics of the epoch are read between these two, see ``TrainingLoop.end_epoch``
        self.on_train_epoch_end = [
            *_of_callbacks([c for c in early if not c.monitors], "on_train_epoch_end", trainer,
                           module),
            *_of_module(module, "on_train_epoch_end"),
        ]  # fmt: skip
        watching = [callback for callback in callbacks if callback.monitors]
        self.on_train_epoch_judged = _of_callbacks(watching, "on_train_epoch_end", trainer, module)

    def evaluation(self, stage: str) -> EvaluationCalls:
        """Those of one kind of evaluation."""
        prefix = {"validate": "validation", "sanity_check": "validation"}.get(stage, stage)
        return EvaluationCalls(self, prefix)


class EvaluationCalls:
    """The hooks of validation, test or prediction."""

    def __init__(self, calls: Calls, prefix: str) -> None:
        self.start: list[Hook] = getattr(calls, f"on_{prefix}_start")
        self.end: list[Hook] = getattr(calls, f"on_{prefix}_end")
        self.epoch_start: list[Hook] = getattr(calls, f"on_{prefix}_epoch_start")
        self.epoch_end: list[Hook] = getattr(calls, f"on_{prefix}_epoch_end")
        self.batch_start: list[Hook] = getattr(calls, f"on_{prefix}_batch_start")
        self.batch_end: list[Hook] = getattr(calls, f"on_{prefix}_batch_end")


def _of_callbacks(
    callbacks: Sequence[Callback], name: str, trainer: Any, module: Any
) -> list[Hook]:
    return [
        partial(getattr(callback, name), trainer, module)
        for callback in callbacks
        if overridden(callback, name, Callback)
    ]


def _of_module(module: Any, name: str) -> list[Hook]:
    return [getattr(module, name)] if overridden(module, name, ModelHooks) else []
