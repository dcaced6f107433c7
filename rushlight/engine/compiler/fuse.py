"""Which values are computed together: the graph as a list of units, each one call."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rushlight.engine.compiler import choices
from rushlight.engine.compiler.classify import CALLS, Classes, Way
from rushlight.engine.compiler.graph import Graph, GraphNode, GraphValue
from rushlight.engine.compiler.group import Group, source_of


@dataclass(eq=False, slots=True)
class CallUnit:
    """A contraction, a library primitive or an interpreter's kernel.

    Attributes:
        node: the node.
        reads: the values in memory it reads.
    """

    node: GraphNode
    way: Way
    reads: set[GraphValue] = field(default_factory=set)


Unit = Group | CallUnit


class Units:
    """The units of a graph in the order in which they run.

    Attributes:
        order: the units.
        made: the position of the unit that computes each value in memory.
        readers: the positions of the units that read each value in memory.
    """

    def __init__(self, graph: Graph, classes: Classes) -> None:
        self.graph = graph
        self.classes = classes
        self.order: list[Unit] = []
        self.made: dict[GraphValue, int] = {}
        self.readers: dict[GraphValue, set[int]] = {}
        for value in graph.outside.values():
            self.made[value] = -1
        for node in self._early_first():
            self._place(node)
        self._note_readers()

    def _early_first(self) -> list[GraphNode]:
        """The nodes, those first that Python can compute before the native part begins."""
        early: list[GraphNode] = []
        later: list[GraphNode] = []
        for node in self.graph.nodes:
            python = self.classes.ways[node] is Way.PYTHON
            free = all(v is None or v.node is None for v in node.inputs)
            (early if python and free else later).append(node)
        return [*early, *later]

    def _place(self, node: GraphNode) -> None:
        way = self.classes.ways[node]
        if way in CALLS:
            self._call(node, way)
            return
        for value in node.outs:
            if value in self.classes.memory:
                self._join(value)

    def _call(self, node: GraphNode, way: Way) -> None:
        unit = CallUnit(node, way)
        for value in node.inputs:
            if value is not None and not value.meta.weak:
                unit.reads.add(self.classes.base(value))
        for value in node.outs:
            self.made[value] = len(self.order)
        self.order.append(unit)

    # groups ------------------------------------------------------------------------------------

    def _join(self, value: GraphValue) -> None:
        """Compute ``value`` in a group it is related to, or in a new one."""
        related = self._related(value)
        tried = 0
        for position in range(len(self.order) - 1, -1, -1):
            unit = self.order[position]
            if not isinstance(unit, Group):
                continue
            tried += 1
            if tried > choices.LOOK_BACK:
                break
            if not (related & unit.touched()):
                continue
            if unit.admit(value, self._ready_before(position)):
                self.made[value] = position
                return
        domain = self._domain(value)
        group = Group(self.classes, len(self.order), domain)
        if not group.admit(value, self._ready_before(len(self.order))):
            raise Uncompilable(f"{value!r} = {value.node!r}")
        self.made[value] = len(self.order)
        self.order.append(group)

    def _ready_before(self, position: int) -> Any:
        made = self.made
        return lambda value: made.get(value, position) < position

    def _domain(self, value: GraphValue) -> tuple[int, ...]:
        node = value.node
        assert node is not None
        way = self.classes.ways[node]
        if way in (Way.REDUCE, Way.SCATTER):
            return tuple(source_of(node).meta.shape)
        return tuple(value.meta.shape)

    def _related(self, value: GraphValue) -> set[GraphValue]:
        """The values in memory that ``value`` is computed from."""
        found: set[GraphValue] = set()
        assert value.node is not None
        stack = [x for x in value.node.inputs if x is not None]
        seen = set(stack)
        while stack:
            x = stack.pop()
            inner = self.classes.base(x)
            if inner in self.classes.memory:
                found.add(inner)
            elif inner.node is not None:
                for y in inner.node.inputs:
                    if y is not None and y not in seen:
                        seen.add(y)
                        stack.append(y)
        return found

    # who reads what ----------------------------------------------------------------------------

    def _note_readers(self) -> None:
        for position, unit in enumerate(self.order):
            for value in reads_of(unit):
                self.readers.setdefault(value, set()).add(position)
        kept = set(self.graph.keep.values())
        for position, unit in enumerate(self.order):
            if isinstance(unit, Group):
                for member in unit.members.values():
                    others = self.readers.get(member.value, set()) - {position}
                    member.stored = member.stored or bool(others) or member.value in kept


def reads_of(unit: Unit) -> set[GraphValue]:
    """The values in memory, computed elsewhere, that a unit reads."""
    if isinstance(unit, CallUnit):
        return unit.reads
    return {value for member in unit.members.values() for value in member.reads}


class Uncompilable(Exception):
    """A program that the compiler leaves to the interpreter."""
