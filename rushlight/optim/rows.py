"""The parameters of a group that have gradients, with what an optimizer looks up for them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain
from operator import is_
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._tensor import Tensor
from rushlight.engine.ir.graph import Value
from rushlight.engine.trace import views
from rushlight.engine.trace.group import GroupUpdate

#: Groups an optimizer remembers.
REMEMBERED = 256


class Rows(list[Any]):
    """Parameters with gradients, their state, and the updates recorded for them.

    The same object serves the next step, if parameters and state are still the same objects.

    Attributes:
        state: the optimizer's state.
        mine: the state of every parameter; empty if one of them has none.
        stale: whether the state has got new tensors since.
    """

    __slots__ = ("_count", "_have", "_items", "_keys", "_owns", "_sizes", "_step", "_updates",
                 "mine", "stale", "state")  # fmt: skip

    def __init__(self, params: Iterable[Any], state: Any) -> None:
        super().__init__(params)
        self.state = state
        self._keys = list(state)
        self._owns = list(state.values())
        found: list[Any] = [state.get(p) for p in self] if state else [None]
        self.mine: list[dict[str, Any]] = [] if None in found else found
        self._sizes = list(map(len, self.mine))
        self._items = list(chain.from_iterable(map(dict.values, self.mine)))
        self._updates: dict[Any, GroupUpdate] = {}
        self._have: dict[str, bool] = {}
        self._step: Any = None
        self._count = 0
        self.stale = False

    def holds(self, params: Sequence[Any], state: Any) -> bool:
        """Whether these are still its parameters and the state as it was."""
        mine = self.mine
        return (
            not self.stale
            and self.state is state
            and len(self) == len(params)
            and len(self._keys) == len(state)
            and all(map(is_, self, params))
            and all(map(is_, self._keys, state))
            and all(map(is_, self._owns, state.values()))
            and self._sizes == list(map(len, mine))
            and all(map(is_, self._items, chain.from_iterable(map(dict.values, mine))))
        )

    def all_have(self, name: str) -> bool:
        """Whether every parameter has a state tensor of this name."""
        known = None if self.stale else self._have.get(name)
        if known is None:
            known = bool(self.mine) and None not in [own.get(name) for own in self.mine]
            self._have[name] = known
        return known

    def next_count(self) -> int | None:
        """Count one step if all parameters are at the same one, known from the last time."""
        known = self._step
        if known is None or self.stale:
            return None
        step, tensors = known
        for tensor in tensors:
            if tensor._value is not step or tensor._alias is not None:
                return None
        self._count += 1
        value = Value(step.meta, -1, np.array(self._count, np.float32))
        self._step = value, tensors
        for tensor in tensors:
            tensor._value = value
            tensor._version_count += 1
        return self._count

    def counted(self, count: int) -> None:
        """All parameters are at this step now."""
        tensors = [own["step"] for own in self.mine]
        self._step, self._count = (tensors[0]._value, tensors) if tensors else None, count

    def update(
        self, rule: Callable[..., Any], states: Sequence[str], scalars: Mapping[str, Any],
        flags: Mapping[str, Any],
    ) -> bool:  # fmt: skip
        """Record ``rule`` as ``Optimizer._apply`` does, but quickly; whether that was possible."""
        key = rule, *states
        found = self._updates.get(key)
        if found is None or self.stale:
            if self.stale or (states and not all(map(self.all_have, states))):
                return False
            columns = [[own[name] for own in self.mine] for name in states]
            found = self._updates[key] = GroupUpdate(rule, [list(self), *columns])
        return found.record([p._grad for p in self], scalars, flags)


def new_step(count: float = 0.0) -> Tensor:
    """A step count, kept as PyTorch keeps it."""
    return tensor_of_array(np.array(count, np.float32))


def advance(params: Sequence[Any], state: Any) -> dict[int, list[Any]]:
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
    if rows is not None and len(by_count) == 1 and rows.mine and not rows.stale:
        (count,) = by_count
        rows.counted(count)
        return {count: rows}
    return by_count
