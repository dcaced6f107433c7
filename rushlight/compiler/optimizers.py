"""The numbers of an optimizer's step: learning rate, step counts and what is computed from them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from operator import is_
from typing import Any

import numpy as np

from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import no_grad
from rushlight.compiler.references import UnsupportedError
from rushlight.engine.ir.graph import Value
from rushlight.optim.adagrad import Adagrad
from rushlight.optim.adam import Adam, AdamW, _numbers as adam_numbers
from rushlight.optim.adaptive import Adadelta, Adamax, NAdam
from rushlight.optim.optimizer import Optimizer, _number
from rushlight.optim.rmsprop import RMSprop
from rushlight.optim.sgd import SGD
from rushlight.optim.signs import Rprop

#: Optimizers whose course depends on the options of the groups and on which state exists alone.
STEADY = (SGD, Adam, AdamW, Adagrad, Adadelta, Adamax, NAdam, RMSprop, Rprop)


def has_hooks(optimizer: Any) -> bool:
    """Whether the user has hooks on the optimizer's steps; a schedule's own only sets a flag."""
    own = [h for h in optimizer._hooks["post"].values() if not _of_a_schedule(h)]
    return bool(own or optimizer._hooks["pre"])


def _of_a_schedule(hook: Any) -> bool:
    return getattr(hook, "__module__", "") == "rushlight.optim.scheduler_base"


def step_numbers(optimizer: Optimizer) -> StepNumbers:
    """The numbers of an optimizer's steps.

    Raises:
        UnsupportedError: what the optimizer does may change from step to step.
    """
    if type(optimizer) in (Adam, AdamW):
        return AdamNumbers(optimizer)
    return StepNumbers(optimizer)


class StepNumbers:
    """Runs an optimizer's own ``step`` for its numbers alone; the tensors come from a program.

    Step counts and other state outside the program move on as in a real step.

    Args:
        optimizer: one of ``STEADY``.
    """

    def __init__(self, optimizer: Optimizer) -> None:
        if type(optimizer) not in STEADY:
            raise UnsupportedError(
                f"what {type(optimizer).__name__} does may change from step to step"
            )
        self.optimizer = optimizer
        step: Any = type(optimizer).step
        self.step: Callable[..., Any] = step.__wrapped__

    def collect(self) -> list[Any]:
        """The numbers of the next step, in the order in which they enter a trace."""
        found: list[Any] = []

        def note(
            rule: Any, params: Sequence[Any], states: Any, scalars: dict[str, Any], **flags: Any
        ) -> None:
            if params:
                found.extend([_number(value) for value in scalars.values()])

        attributes = self.optimizer.__dict__
        attributes["_apply"] = note
        try:
            with no_grad():
                self.step(self.optimizer)
        finally:
            del attributes["_apply"]
        return found

    def state_tensors(self) -> set[int]:
        """The tensors of the state, by ``id``, if the state holds nothing else."""
        owns = list(self.optimizer.state.values())
        if not all(isinstance(own, dict) for own in owns):
            return set()
        tensors = [x for own in owns for x in own.values()]
        return set(map(id, tensors)) if all(isinstance(x, Tensor) for x in tensors) else set()

    def _state_conditions(self, mark: str) -> list[tuple[str, dict[str, Any]]]:
        """That the state consists of the same tensors."""
        if not self.state_tensors():
            return []
        state = self.optimizer.state
        names = {
            f"{mark}_a": self.optimizer.__dict__, f"{mark}_s": state,
            f"{mark}_w": list(state.values()), "is_": is_, "values": dict.values,
            f"{mark}_i": [x for own in state.values() for x in own.values()],
            "chained": chain.from_iterable,
        }  # fmt: skip
        condition = (
            f"{mark}_a['state'] is {mark}_s and len({mark}_s) == {len(state)} and "
            f"all(map(is_, {mark}_w, {mark}_s.values())) and "
            f"all(map(is_, {mark}_i, chained(map(values, {mark}_w))))"
        )
        return [(condition, names)]

    def gradients_stay(self, changed: set[int]) -> list[tuple[str, dict[str, Any]]]:
        """That parameters without a new gradient (by ``id``) have one, or none, as before."""
        found: list[tuple[str, dict[str, Any]]] = []
        for group in self.optimizer.param_groups:
            for p in group["params"]:
                if id(p) not in changed:
                    none = p._grad is None
                    found.append((f"(p{id(p)}._grad is None) is {none}", {f"p{id(p)}": p}))
        return found

    def forget_failed_step(self) -> None:
        """Count no step for parameters whose gradient could not be computed."""
        self.optimizer._forget_failed_step()

    def conditions(self) -> list[tuple[str, dict[str, Any]]]:
        """What has to stay for the course of the step to stay, for ``guard_function``."""
        found: list[tuple[str, dict[str, Any]]] = []
        mark = f"g{id(self.optimizer)}"
        groups = self.optimizer.param_groups
        found.append((f"len({mark}) == {len(groups)}", {mark: groups}))
        for number, group in enumerate(groups):
            name = f"{mark}_{number}"
            found.append((f"{mark}[{number}] is {name}", {name: group}))
            size = len(group["params"])
            found.append((f"len({name}['params']) == {size}", {}))
            for key, value in group.items():
                if isinstance(value, bool) or value is None:
                    found.append((f"{name}[{key!r}] is {value!r}", {}))
                elif isinstance(value, (int, float)) and key != "lr":
                    found.append((f"({name}[{key!r}] == 0) is {value == 0}", {}))
        found.extend(self._state_conditions(mark))
        hooks = self.optimizer._hooks
        post = f"tuple({mark}_h['post']) == {tuple(hooks['post'])}" if hooks["post"] else (
            f"not {mark}_h['post']"
        )
        found.append((f"not {mark}_h['pre'] and {post}", {f"{mark}_h": hooks}))
        return found


class AdamNumbers(StepNumbers):
    """The same for Adam: the step count is remembered as long as nobody else changes it."""

    def __init__(self, optimizer: Optimizer) -> None:
        super().__init__(optimizer)
        self.count = 0
        self.last: Value | None = None
        self.rows: list[tuple[dict[str, Any], list[Any]]] = []

    def collect(self) -> list[Any]:
        """The numbers of the next step; the tensors that count steps move on."""
        last = self.last
        for _, tensors in self.rows:
            for tensor in tensors:
                if tensor._value is not last:
                    return self._anew()
        if last is None:
            return self._anew()
        self.count += 1
        value = Value(last.meta, -1, np.array(self.count, np.float32))
        found: list[Any] = []
        for group, tensors in self.rows:
            for tensor in tensors:
                tensor._value = value
                tensor._version_count += 1
            found.extend(adam_numbers(group, self.count).values())
        self.last = value
        return [x if x.__class__ is float or x.__class__ is int else _number(x) for x in found]

    def _anew(self) -> list[Any]:
        """The numbers by the optimizer's own code, and what can be remembered from now on."""
        found = super().collect()
        self.last, self.rows = None, []
        rows = []
        for group in self.optimizer.param_groups:
            params = self.optimizer._with_gradients(group)
            tensors = [self.optimizer.state[p]["step"] for p in params]
            if tensors:
                rows.append((group, tensors))
        steps = [tensor for _, tensors in rows for tensor in tensors]
        if all(x._alias is None and x._value is steps[0]._value for x in steps):
            self.count, self.last = int(steps[0].item()), steps[0]._value
            self.rows = rows
        return found
