"""The parameters of a group that have gradients, with what an optimizer looks up for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from operator import is_
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._tensor import Tensor
from rushlight.engine.trace import views
from rushlight.engine.trace.group import GroupUpdate

#: Sets of parameters an optimizer remembers.
REMEMBERED = 256


class Rows(list[Any]):
    """Parameters with gradients, their state, and the updates recorded for them.

    It is found again at the next step if parameters and state are still the same objects.
    """

    __slots__ = ("_count", "_keys", "_owns", "_step", "_updates", "mine", "state")

    def __init__(self, params: Iterable[Any], state: Any) -> None:
        super().__init__(params)
        self.state = state
        self._keys = list(state)
        self._owns = list(state.values())
        found = [state.get(p) for p in self] if state else [None]
        self.mine: list[dict[str, Any]] = [] if None in found else found
        self._updates: dict[Any, GroupUpdate] = {}
        self._step: Any = None
        self._count = 0

    def holds(self, params: Sequence[Any], state: Any) -> bool:
        """Whether these are still its parameters and the state as it was."""
        return (
            self.state is state
            and len(self) == len(params)
            and len(self._keys) == len(state)
            and all(map(is_, self, params))
            and all(map(is_, self._keys, state))
            and all(map(is_, self._owns, state.values()))
        )

    def all_have(self, name: str) -> bool:
        """Whether every parameter has a state tensor of this name."""
        return bool(self.mine) and None not in [own.get(name) for own in self.mine]

    def next_count(self) -> int | None:
        """Count one step if all parameters are at the same one, known from the last time."""
        step = self._step
        if step is None:
            return None
        steps = [own.get("step") for own in self.mine]
        for tensor in steps:
            if tensor is None or tensor._value is not step or tensor._alias is not None:
                return None
        self._count += 1
        self._step = value = new_step(float(self._count))._value
        for tensor in steps:
            tensor._value = value
            tensor._version_count += 1
        return self._count

    def counted(self, count: int) -> None:
        """All parameters are at this step now."""
        step = self.mine[0]["step"] if self.mine else None
        self._step, self._count = (None, 0) if step is None else (step._value, count)

    def update(
        self, rule: Callable[..., Any], states: Sequence[str], scalars: Mapping[str, Any],
        flags: Mapping[str, Any],
    ) -> bool:  # fmt: skip
        """Record ``rule`` the short way, as ``Optimizer._apply`` does; whether that was possible."""
        if len(self.mine) != len(self):
            if states:
                return False
        try:
            columns = [self, *[[own[name] for own in self.mine] for name in states]]
        except KeyError:
            return False
        key = rule, *states
        found = self._updates.get(key)
        if found is None or not found.holds(columns):
            found = self._updates[key] = GroupUpdate(rule, columns)
        return found.record([p._grad for p in self], scalars, flags)


def new_step(count: float = 0.0) -> Tensor:
    """A step count, kept as PyTorch keeps it."""
    return tensor_of_array(np.array(count, np.float32))


def advance(params: Sequence[Any], state: Any) -> dict[int, Sequence[Any]]:
    """Count one step for every parameter; the parameters by the number of their step."""
    rows = params if isinstance(params, Rows) and params.state is state else None
    if rows is not None:
        count = rows.next_count()
        if count is not None:
            return {count: rows}
    by_count: dict[int, list[Any]] = {}
    for p in params:
        by_count.setdefault(int(state[p]["step"].item()) + 1, []).append(p)
    for count, some in by_count.items():
        value = new_step(float(count))._value
        for p in some:
            views.assign(state[p]["step"], value, None)
    if rows is not None and len(by_count) == 1 and len(rows.mine) == len(rows):
        (count,) = by_count
        rows.counted(count)
        return {count: rows}
    return by_count  # type: ignore[return-value]
