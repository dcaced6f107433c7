"""What the compiler can do with each node, and which values have to lie in memory."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum
from typing import Any

from rushlight.engine.backends.cpu.contractions import Contraction, contraction_for
from rushlight.engine.backends.cpu.primitives import primitive_for
from rushlight.engine.compiler import choices
from rushlight.engine.compiler.access import alias, logical
from rushlight.engine.compiler.bodies import body_cost, has_body
from rushlight.engine.compiler.graph import (
    NATIVE_NUMBERS,
    Graph,
    GraphNode,
    GraphValue,
    can_check,
    is_view,
)
from rushlight.engine.core.config import config
from rushlight.engine.core.dtype import COMPLEX, FLOATING
from rushlight.engine.ir.graph import RULE_FLOAT, RULE_INT
from rushlight.engine.ir.loops import Kernel
from rushlight.engine.ir.op import RANDOM


class Way(Enum):
    """How a node is computed."""

    NUMBER = "a number from numbers"
    VIEW = "looked at where it lies"
    MAP = "element by element"
    REDUCE = "a reduction"
    SCATTER = "added up at computed places"
    CONTRACTION = "sums of products in registers"
    PRIMITIVE = "a library primitive"
    LOOPS = "a loop kernel of its own"
    PYTHON = "the interpreter's kernel"


#: The ways that are calls of their own: their inputs and results lie in memory.
CALLS = (Way.CONTRACTION, Way.PRIMITIVE, Way.LOOPS, Way.PYTHON)

_NUMBERS = (*NATIVE_NUMBERS, RULE_FLOAT, RULE_INT)


def _plain(node: GraphNode) -> bool:
    """Whether loops can handle the types: no complex ones, numbers that native code takes."""
    metas = [v.meta for v in node.inputs if v is not None]
    metas += [v.meta for v in node.outs]
    return all(
        m in _NUMBERS if m.weak else m.dtype.category != COMPLEX for m in metas
    )


def own_loops(node: GraphNode, strides: Sequence[tuple[int, ...] | None]) -> Kernel | None:
    """The loop kernel that the record of a node's operator gives, for inputs with these strides."""
    loops = node.spec.op.loops
    assert loops is not None
    found: Kernel | None = loops(node.spec, strides, *node.spec.attrs)
    return found


def _plain_strides(node: GraphNode) -> list[tuple[int, ...] | None]:
    return [None if meta is None else tuple(meta.strides) for meta in node.spec.inputs]


class Classes:
    """The way of every node, and the values that are stored.

    Attributes:
        memory: the values that lie in memory (if anybody outside their kernel reads them).
        cut: whether products may get code that is cut to their sizes.
    """

    def __init__(self, graph: Graph, cut: bool = True) -> None:
        self.graph = graph
        self.cut = cut and "contract" not in config.passes_off
        self.ways: dict[GraphNode, Way] = {}
        self.primitives: dict[GraphNode, Any] = {}
        self.contractions: dict[GraphNode, Contraction] = {}
        self.memory: set[GraphValue] = set()
        self._costs: dict[GraphValue, int] = {}
        for node in graph.nodes:
            self.ways[node] = self._way(node)
            if node.spec.op.may_fail and self.ways[node] is not Way.PYTHON:
                graph.checks.append(node)
        self._choose_memory()

    def way(self, value: GraphValue) -> Way | None:
        """How a value is computed; ``None`` for outside values and constants."""
        return None if value.node is None else self.ways[value.node]

    def _way(self, node: GraphNode) -> Way:
        op, spec = node.spec.op, node.spec
        if spec.out.weak:
            plain = op.scalar is not None and _plain(node) and has_body(spec)
            return Way.NUMBER if plain else Way.PYTHON
        if op.kind == RANDOM:
            return Way.PYTHON
        if is_view(node):
            whole = node.inputs[0]
            plain = whole is not None and not whole.meta.weak and _plain(node)
            return Way.VIEW if plain and alias(spec) is not None else Way.PYTHON
        own = contraction_for(spec) if self.cut else None
        if own is not None:
            self.contractions[node] = own
            return Way.CONTRACTION
        found = primitive_for(spec)
        if found is not None:
            self.primitives[node] = found
            return Way.PRIMITIVE
        if not _plain(node) or not any(meta.numel for meta in spec.outs):
            return Way.PYTHON
        if not can_check(node):
            return Way.PYTHON
        if op.loops is not None:
            return Way.PYTHON if own_loops(node, _plain_strides(node)) is None else Way.LOOPS
        if op.scatter is not None:
            half = spec.out.dtype.category == FLOATING and spec.out.dtype.itemsize < 4
            return Way.PYTHON if half else Way.SCATTER
        if op.reduce is not None and len(spec.outs) == 1:
            return Way.REDUCE
        if (op.element is not None or op.scalar is not None) and has_body(spec):
            return Way.MAP
        return Way.PYTHON

    # memory ------------------------------------------------------------------------------------

    def base(self, value: GraphValue) -> GraphValue:
        """The value that a chain of views looks at."""
        while value.node is not None and self.ways[value.node] is Way.VIEW:
            inner = value.node.inputs[0]
            assert inner is not None
            value = inner
        return value

    def resolve(self, value: GraphValue) -> tuple[GraphValue, tuple[int, ...], int] | None:
        """The value in memory that this one is or looks at, with strides and offset.

        A view is looked through even where it is stored itself, for somebody outside.
        """
        offset = 0
        strides: tuple[int, ...] | None = None
        while self.way(value) is Way.VIEW:
            assert value.node is not None
            found = alias(value.node.spec)
            inner = value.node.inputs[0]
            assert found is not None
            assert inner is not None
            strides = found[0] if strides is None else strides
            offset += found[1]
            value = inner
        if value not in self.memory:
            return None
        return value, tuple(value.meta.strides) if strides is None else strides, offset

    def _need(self, value: GraphValue | None) -> None:
        """A library or Python reads this value: it, or what it looks at, lies in memory."""
        if value is not None and not value.meta.weak:
            self.memory.add(self.base(value))

    def _choose_memory(self) -> None:
        for value in self.graph.outside.values():
            if not value.meta.weak:
                self.memory.add(value)
        for value in self.graph.keep.values():
            if not value.meta.weak:
                self.memory.add(value)
                if self.way(value) is Way.VIEW:
                    self._need(value)
        for node in self.graph.nodes:
            way = self.ways[node]
            if way in CALLS:
                for used in node.inputs:
                    self._need(used)
            if way in (*CALLS, Way.REDUCE, Way.SCATTER):
                self.memory.update(v for v in node.outs if not v.meta.weak)
            if way is Way.VIEW and logical(node.spec) is None:
                self._need(node.inputs[0])
        for node in self.graph.nodes:
            if self.ways[node] is Way.MAP:
                self._consider(node)

    def _consider(self, node: GraphNode) -> None:
        """Store what is dear to compute and read more than once."""
        looks_up = node.spec.op.scalar is None
        for value in node.inputs:
            if value is None or value.meta.weak:
                continue
            inner = self.base(value)
            repeated = node.spec.out.numel >= 4 * inner.meta.numel
            if (looks_up or repeated) and self.cost(inner) > choices.CHEAP:
                self.memory.add(inner)
        for out in node.outs:
            cost = self.cost(out)
            if cost > choices.LONGEST or (
                cost > choices.CHEAP and self._readers(out) > 1
            ):
                self.memory.add(out)

    def _readers(self, value: GraphValue) -> int:
        count = 0
        for user in value.users:
            if self.ways[user] is Way.VIEW:
                count += self._readers(user.outs[0])
            else:
                count += 1
        return count

    def cost(self, value: GraphValue) -> int:
        """Rough number of scalar operations to compute an element anew from memory."""
        if value in self.memory or value.meta.weak or value.node is None:
            return 0
        known = self._costs.get(value)
        if known is None:
            node = value.node
            known = sum(self.cost(v) for v in node.inputs if v is not None)
            if self.ways[node] is Way.MAP:
                known += body_cost(node.spec)
            self._costs[value] = known
        return 0 if value in self.memory else known
