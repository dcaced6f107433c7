"""Recording a rule for all tensors of a group as one node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rushlight.engine.ir.graph import RULE_METAS, Meta, Value
from rushlight.engine.ir.program import Program
from rushlight.engine.ops.group import GroupPlan, RowRule, foreach
from rushlight.engine.runtime.cache import Slot, Trace, here, slots
from rushlight.engine.trace.recorder import record_values, wrap

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
    key = (rule, names, kinds, frozen, tuple(metas))
    plan = _plans.get(key)
    if plan is None:
        plan = _plans[key] = _make_plan(key, flags)
    every = (kinds + tuple([m for row in metas for m in row]), (plan,))
    spec = foreach.specs.get(every) or foreach.specialize(*every)
    record_values(spec, values)
    made = here.trace.values[-len(spec.outs) :]
    width = len(spec.outs) // len(rows)
    results = [wrap(value) for value in made]
    return [tuple(results[i : i + width]) for i in range(0, len(results), width)]


def _make_plan(key: Any, flags: Mapping[str, Any]) -> GroupPlan:
    rule, names, kinds, frozen, metas = key
    captured = []
    for row in metas:
        row_key = (rule, names, kinds, frozen, row)
        found = _rules.get(row_key)
        if found is None:
            found = _rules[row_key] = capture(rule, names, kinds, row, flags)
        captured.append(found)
    outputs = tuple(meta for _, found in captured for meta in found)
    return GroupPlan(len(kinds), len(metas[0]), [found for found, _ in captured], outputs)
