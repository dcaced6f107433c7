"""Recording a rule for all tensors of a group as one node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import repeat
from operator import is_
from typing import Any
from weakref import ref

from rushlight.engine.ir.graph import RULE_METAS, SHARED, Meta, Value
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.program import Program
from rushlight.engine.ops.group import GroupPlan, RowRule, foreach
from rushlight.engine.runtime.cache import ForeignValueError, Slot, State, Trace, here, slots
from rushlight.engine.trace.appending import append, rows_of
from rushlight.engine.trace.group_rules import outputs_of, resized
from rushlight.engine.trace.recorder import record_values, wrap

new = object.__new__

_rules: dict[Any, tuple[RowRule, tuple[Meta, ...]]] = {}
_plans: dict[Any, GroupPlan] = {}


def capture(
    rule: Callable[..., Any], names: Sequence[str], kinds: Sequence[Meta],
    row: Sequence[Meta], flags: Mapping[str, Any],
) -> tuple[RowRule, tuple[Meta, ...]]:  # fmt: skip
    """Record ``rule`` once on placeholders; its program and the metas of its results."""
    outer = here.trace
    here.trace = trace = Trace(Slot(slots.CAPTURE << 32), grad=False, inference=False)
    trace.limit = 1 << 60
    try:
        placeholders = []
        for meta in (*kinds, *row):
            value = Value(meta, len(trace.values))
            trace.values.append(value)
            placeholders.append(value)
        trace.state.end = len(trace.values)
        tensors = [wrap(value) for value in placeholders]
        count = len(kinds)
        numbers = dict(zip(names, tensors[:count], strict=True))
        results = rule(*tensors[count:], **numbers, **flags)
        listed = results if isinstance(results, tuple) else (results,)
        outs = [x._value if x._alias is None else x._alias.read(x) for x in listed]
        return _close(trace, placeholders, count, outs)
    finally:
        here.trace = outer


def _close(
    trace: Trace, placeholders: Sequence[Value], count: int, outs: Sequence[Value]
) -> tuple[RowRule, tuple[Meta, ...]]:
    values, base = trace.values[:], trace.slot.base
    held = [False] * len(values)
    for out in outs:
        held[out.pos - base] = True
    program = Program(trace.state.nodes(base), len(values), tuple(held))
    given = {id(value) for value in placeholders}
    constants = [
        (i, values[i].buffer) for i in program.inputs if id(values[i]) not in given
    ]
    positions = [value.pos - base for value in placeholders]
    rule = RowRule(
        program, positions[:count], positions[count:], [out.pos - base for out in outs], constants
    )
    return rule, tuple(out.meta for out in outs)


def record_group(
    rule: Callable[..., Any],
    rows: Sequence[Sequence[Any]],
    scalars: Mapping[str, float],
    flags: Mapping[str, Any],
) -> list[tuple[Any, ...]]:
    """Record ``rule(*row, **scalars, **flags)`` for every row of tensors as one node.

    Args:
        rule: a pure function of tensors and numbers that returns new tensors, one per tensor of
            the row without the second (the gradient): parameter first, then the state.
        rows: tensors of equal number in every row.
        scalars: numbers that may differ at every call; they are inputs of the program.
        flags: what decides the course of the rule; part of the program's key.

    Returns:
        The results of every row, outside the autograd graph.
    """
    names = tuple(scalars)
    numbers = [Value(RULE_METAS[type(x)], -1, x) for x in scalars.values()]
    kinds = tuple([value.meta for value in numbers])
    frozen = tuple(flags.items())
    values = numbers
    metas = []
    for row in rows:
        found = [x._value if x._alias is None else x._alias.read(x) for x in row]
        values = values + found
        metas.append(tuple([value.meta for value in found]))
    spec = _spec_for(rule, names, kinds, frozen, tuple(metas), flags)
    record_values(spec, values)
    made = here.trace.values[-len(spec.outs) :]
    width = len(spec.outs) // len(rows)
    results = [wrap(value) for value in made]
    return [tuple(results[i : i + width]) for i in range(0, len(results), width)]


def _spec_for(
    rule: Callable[..., Any], names: tuple[str, ...], kinds: tuple[Meta, ...],
    frozen: tuple[Any, ...], rows: tuple[tuple[Meta, ...], ...], flags: Mapping[str, Any],
) -> Spec:  # fmt: skip
    """The node for rows of these metas."""
    key = (rule, names, kinds, frozen, rows)
    plan = _plans.get(key)
    if plan is None:
        plan = _plans[key] = _make_plan(key, flags)
    every = (kinds + tuple([m for row in rows for m in row]), (plan,))
    return foreach.specs.get(every) or foreach.specialize(*every)


def _make_plan(key: Any, flags: Mapping[str, Any]) -> GroupPlan:
    rule, names, kinds, frozen, metas = key
    captured: list[tuple[RowRule, tuple[Meta, ...]]] = []
    for row in metas:
        row_key = (rule, names, kinds, frozen, row)
        found = _rules.get(row_key)
        if found is None:
            like = resized(captured[0][0], metas[0], row) if captured else None
            if like is not None:
                found = like, outputs_of(like, row)
            else:
                found = capture(rule, names, kinds, row, flags)
            _rules[row_key] = found
        captured.append(found)
    outputs = tuple(meta for _, found in captured for meta in found)
    return GroupPlan(len(kinds), len(metas[0]), [found for found, _ in captured], outputs)


class _Column:
    """A tensor of every row, which the rule gives anew: all parameters, or all of one state.

    Attributes:
        tensors: the tensors.
        storages: the storages of which they are the whole, or ``None`` for each.
        alone: whether none of them has a storage.
        references: weak references to what holds their values.
    """

    __slots__ = ("alone", "references", "storages", "tensors")

    def __init__(self, tensors: Sequence[Any]) -> None:
        self.tensors = list(tensors)
        self.storages = [tensor._alias for tensor in tensors]
        self.alone = not any(self.storages)
        holders = self.tensors if self.alone else self.storages
        self.references = [ref(holder) for holder in holders if holder is not None]

    @property
    def regular(self) -> bool:
        """Whether all of them have a storage that is theirs alone, or none has."""
        return self.alone or all(
            storage is not None and tensor._chain == () and tensor._base is None
            for storage, tensor in zip(self.storages, self.tensors, strict=True)
        )

    def values(self) -> list[Value] | None:
        """The newest values, ``None`` if a tensor has got another storage or only some have one."""
        for storage, tensor in zip(self.storages, self.tensors, strict=True):
            if tensor._alias is not storage:
                return None
        if self.alone:
            return [tensor._value for tensor in self.tensors]
        if None in self.storages:
            return None
        return [storage.value for storage in self.storages]

    def assign(self, values: Sequence[Value]) -> None:
        """Make ``values`` the newest ones."""
        if self.alone:
            for tensor, value in zip(self.tensors, values, strict=True):
                tensor._value = value
                tensor._version_count += 1
            return
        for tensor, storage, value in zip(self.tensors, self.storages, values, strict=True):
            storage.value = tensor._value = value
            storage.version = tensor._seen = storage.version + 1


class _Recording:
    """What recording a step did, begun in one state with the values at these places.

    Attributes:
        state: the state before.
        positions: where the inputs stood, -1 for those that were not in the trace yet.
        writes: what was written to, for ``Trace.writes``.
    """

    __slots__ = ("_end", "_entering", "_outs", "_rows", "positions", "state", "writes")

    def __init__(
        self, state: State, positions: list[int], end: State,
        writes: list[tuple[Any, int, Any]], outs: tuple[Meta, ...],
    ) -> None:  # fmt: skip
        self.state = state
        self.positions = positions
        self.writes = writes
        self._end = end
        self._outs = outs
        self._entering = [i for i, position in enumerate(positions) if position < 0]
        self._rows = rows_of(outs, [None] * len(outs))

    def again(self, trace: Trace, values: list[Value], positions: list[int]) -> bool:
        """Do the same once more, if it is the same: as many values to enter, at the same places."""
        if self.state is not trace.state or self.positions != positions:
            return False
        entering = [values[index] for index in self._entering]
        if len(set(map(id, entering))) != len(entering):
            return False  # a state that stands in two rows enters once
        listed = trace.values
        number = len(listed)
        try:
            for value in entering:  # Ctrl-C may come at the end of every turn
                value.pos = number
                number += 1
                listed.append(value)
            append(listed, self._outs, self._rows, number)
            trace.state = self._end
        except BaseException:
            trace.trim()
            raise
        return True


class GroupUpdate:
    """A rule that is applied to the same tensors at every step: looks up nothing a second time.

    Does what ``record_group`` and ``views.assign`` of every result do.

    Args:
        rule: as for ``record_group``.
        columns: the parameters, and every state the rule takes.
    """

    __slots__ = ("_last", "columns", "flags", "metas", "names", "rule", "spec")

    def __init__(self, rule: Callable[..., Any], columns: Sequence[Sequence[Any]]) -> None:
        self.rule = rule
        self.columns = [_Column(column) for column in columns]
        self.names: tuple[str, ...] = ()
        self.flags: Any = None
        self.metas: list[Meta] = []
        self.spec: Spec | None = None
        self._last: _Recording | None = None

    def record(
        self, gradients: Sequence[Any], scalars: Mapping[str, Any], flags: Mapping[str, Any]
    ) -> bool:
        """Record one step and hand out its results; ``False``: it is not a plain case."""
        trace = here.trace
        before = [column.values() for column in self.columns]
        if trace.grad or None in before:
            return False
        given = [g._value if g._alias is None else g._alias.read(g) for g in gradients]
        values: list[Value] = []
        for number in scalars.values():
            value = new(Value)
            value.meta, value.pos, value.buffer = RULE_METAS[number.__class__], -1, number
            values.append(value)
        for row in zip(before[0], given, *before[1:], strict=True):  # type: ignore[arg-type]
            values += row
        metas = [value.meta for value in values]
        if metas != self.metas or flags != self.flags or (*scalars,) != self.names:
            if not self._look_up(metas, scalars, flags):
                return False
        positions = [value.pos for value in values]
        last = self._last
        if last is None or not last.again(trace, values, positions):
            last = self._record(trace, values, positions)
            if last is None:
                return False
        width = len(before)
        made = trace.values[-width * len(given) :]
        if trace.writes is None:
            trace.writes = []
        trace.writes += last.writes
        for k, column in enumerate(self.columns):
            column.assign(made[k::width])
        return True

    def _record(
        self, trace: Trace, values: list[Value], positions: list[int]
    ) -> _Recording | None:
        """Record one step the long way; what is needed to do the same again."""
        assert self.spec is not None
        state = trace.state
        places = _record(trace, self.spec, values)
        if places is None:
            return None
        width, first = len(self.columns), len(self.names)
        writes: list[tuple[Any, int, Any]] = []
        for k, column in enumerate(self.columns):
            start = first if k == 0 else first + k + 1
            writes.extend(zip(column.references, places[start :: width + 1], repeat(None)))
        self._last = made = _Recording(state, positions, trace.state, writes, self.spec.outs)
        return made

    def _look_up(
        self, metas: list[Meta], scalars: Mapping[str, Any], flags: Mapping[str, Any]
    ) -> bool:
        """Find the node for these metas; whether its results may be handed out as they are."""
        self.spec, self.metas, self._last = None, [], None
        if not all(column.regular for column in self.columns):
            return False
        count, width = len(scalars), len(self.columns) + 1
        listed = tuple(metas)
        rows = tuple(listed[i : i + width] for i in range(count, len(listed), width))
        names = tuple(scalars)
        spec = _spec_for(self.rule, names, listed[:count], tuple(flags.items()), rows, flags)
        wanted = [meta for row in rows for k, meta in enumerate(row) if k != 1]
        if len(spec.outs) != len(wanted) or not all(map(is_, spec.outs, wanted)):
            return False
        self.spec, self.metas, self.flags, self.names = spec, metas, dict(flags), names
        return True


def _record(trace: Trace, spec: Spec, values: list[Value]) -> list[int] | None:
    """As ``record_values``, for values that all exist; where these stand in the trace."""
    positions = [value.pos for value in values]
    if min(positions) == SHARED:
        return None  # memory that others see: written to at once
    listed = trace.values
    try:
        number = len(listed)
        if -1 in positions:
            for value in values:
                if value.pos < 0:  # as `enter` does
                    value.pos = number
                    number += 1
                    listed.append(value)
            positions = [value.pos for value in values]
        append(listed, spec.outs, None, number)
        trace.state = trace.state[spec, *positions]
    except ForeignValueError:
        trace.trim()
        return None
    except BaseException:
        trace.trim()
        raise
    base = trace.slot.base
    return [position - base for position in positions] if base else positions
