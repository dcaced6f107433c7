"""Where values lie: one working memory, reused by lifetime; results over dead inputs."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rushlight.engine.backends.cpu.onednn_prepared import ALIGNMENT
from rushlight.engine.compiler.classify import Way
from rushlight.engine.compiler.fuse import CallUnit, Unit, Units, reads_of
from rushlight.engine.compiler.graph import GraphValue
from rushlight.engine.compiler.group import Group, KernelInputs, Level, Tracer
from rushlight.engine.ir.scalar import Expr


class Arena:
    """Places in one memory for values that live from one unit to another."""

    def __init__(self) -> None:
        self.size = 0
        self._taken: list[tuple[int, int, int, int]] = []  # offset, end, first unit, last unit

    def place(self, size: int, first: int, last: int) -> int:
        """The offset of ``size`` bytes that are used from unit ``first`` to unit ``last``."""
        size = -(-max(size, 1) // ALIGNMENT) * ALIGNMENT
        busy = sorted(
            (offset, end) for offset, end, begin, stop in self._taken
            if begin <= last and first <= stop
        )  # fmt: skip
        best, room, at = -1, 0, 0
        for offset, end in busy:
            gap = offset - at
            if gap >= size and (best < 0 or gap < room):
                best, room = at, gap
            at = max(at, end)
        if best < 0:
            best = at
        self._taken.append((best, best + size, first, last))
        self.size = max(self.size, best + size)
        return best


def _loads(root: Expr, target: Any) -> dict[int, Expr]:
    """The loads of a buffer in an expression."""
    found: dict[int, Expr] = {}
    stack, seen = [root], set()
    while stack:
        expr = stack.pop()
        if id(expr) in seen:
            continue
        seen.add(id(expr))
        if expr.op == "load":
            if expr.extra[0] is target:
                found[id(expr)] = expr
            stack.extend(e for e, _ in expr.extra[1].dynamic)
        stack.extend(expr.args)
    return found


def _in_place(group: Group, result: GraphValue, before: GraphValue) -> bool:
    """Whether ``result`` can be stored over ``before``.

    All members must read ``before`` at the very element they are at, none in a later stage; and in
    the stage of the store by one and the same expression, which is evaluated before the store.
    """
    inputs = KernelInputs()
    target = inputs.buffer(before)
    own = {
        id(x): s for x, s in zip(group.loops, result.meta.strides, strict=True)
        if not isinstance(x, int)
    }  # fmt: skip
    writer = group.members[result]
    for stage in {m.stage for m in group.members.values()}:
        members = [m for m in group.members.values() if m.stage == stage]
        tracer = Tracer(group, stage, members[0], inputs)
        found: dict[int, Expr] = {}
        for member in members:
            root = tracer.compute(member)
            if member.level is Level.FULL:
                tracer.full[member.value] = root
            found |= _loads(root, target)
        for expr in found.values():
            index = expr.extra[1]
            if index.offset or index.dynamic or {id(x): s for x, s in index.terms} != own:
                return False
        if (stage > writer.stage and found) or (stage == writer.stage and len(found) > 1):
            return False
    return True


def choose_reuse(units: Units, forbidden: Iterable[GraphValue]) -> dict[GraphValue, GraphValue]:
    """Results that are written over an outside value that nobody needs any more."""
    owned = {units.graph.outside[n] for n in units.graph.owned if n in units.graph.outside}
    owned -= set(forbidden)
    kept = set(units.graph.keep.values())
    reuse: dict[GraphValue, GraphValue] = {}
    fallible = [k for k, unit in enumerate(units.order) if _may_fail(unit)]
    for position, group in enumerate(units.order):
        if not isinstance(group, Group) or (fallible and position < fallible[-1]):
            continue  # what has failed must leave everything outside as it was
        # the last ones first: a parameter, not its gradient, goes where the parameter was
        for member in reversed(group.members.values()):
            if member.level is not Level.FULL or member.value not in kept:
                continue
            for before in _candidates(units, member.reads & owned, member.value, position):
                if not _in_place(group, member.value, before):
                    continue
                reuse[member.value] = before
                owned.discard(before)
                break
    return reuse


def _may_fail(unit: Unit) -> bool:
    return isinstance(unit, CallUnit) and unit.way is Way.PYTHON and unit.node.spec.op.may_fail


def _candidates(
    units: Units, reads: set[GraphValue], value: GraphValue, position: int
) -> list[GraphValue]:
    found = [
        before for before in reads
        if before.meta is value.meta and before.meta.numel
        and max(units.readers.get(before, {0})) <= position
    ]  # fmt: skip
    return sorted(found, key=lambda v: v.number)


def last_uses(units: Units) -> dict[GraphValue, int]:
    """The last unit that reads each value in memory."""
    last: dict[GraphValue, int] = {}
    for position, unit in enumerate(units.order):
        for value in reads_of(unit):
            last[value] = position
    return last
