"""The compile-time graph: operations on values, before it is decided where these lie."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from rushlight.engine.ir.graph import WEAK_BOOL, WEAK_FLOAT, WEAK_INT, WEAK_METAS, Meta
from rushlight.engine.ir.op import VIEW, Op, Spec
from rushlight.engine.ir.plan import DataSource
from rushlight.engine.ir.program import Program
from rushlight.engine.ops.group import foreach
from rushlight.engine.ops.view import unsafe_view

#: Python numbers that can be passed to native code.
NATIVE_NUMBERS = (WEAK_BOOL, WEAK_INT, WEAK_FLOAT)


class GraphValue:
    """What a node computes, an outside value, or a number known when the program is compiled.

    Attributes:
        meta: what is known of it.
        node: what computes it; ``None`` for outside values and numbers.
        number: its number in the program, -1 if it only exists here.
        constant: the number itself, if it is known.
    """

    __slots__ = ("constant", "meta", "node", "number", "users")

    def __init__(
        self, meta: Meta, node: GraphNode | None = None, number: int = -1, constant: Any = None
    ) -> None:
        self.meta = meta
        self.node = node
        self.number = number
        self.constant = constant
        self.users: list[GraphNode] = []

    def __repr__(self) -> str:
        if self.constant is not None:
            return f"{self.constant!r}"
        return f"%{self.number}" if self.number >= 0 else f"%t{id(self) % 100000}"


class GraphNode:
    """An operator applied to values."""

    __slots__ = ("inputs", "origin", "outs", "spec")

    def __init__(
        self, spec: Spec, inputs: Sequence[GraphValue | None], origin: Any = None
    ) -> None:
        self.spec = spec
        self.inputs = tuple(inputs)
        self.origin = origin  # the recorded node it comes from
        self.outs = [GraphValue(meta, self) for meta in spec.outs]

    def __repr__(self) -> str:
        outs = ", ".join(f"{v!r}: {v.meta!r}" for v in self.outs)
        return f"{outs} = {self.spec.op.name}({', '.join(map(repr, self.inputs))})"


class Graph:
    """A program's nodes in order.

    Attributes:
        nodes: the nodes, each after those it needs.
        outside: the outside values by their number.
        keep: the wanted values by their number.
        owned: numbers of the outside values whose memory may be written over.
        checks: nodes whose data has to be looked at before anything else.
    """

    __slots__ = ("checks", "keep", "nodes", "outside", "owned")

    def __init__(self) -> None:
        self.nodes: list[GraphNode] = []
        self.outside: dict[int, GraphValue] = {}
        self.keep: dict[int, GraphValue] = {}
        self.owned: frozenset[int] = frozenset()
        self.checks: list[GraphNode] = []

    def add(
        self, spec: Spec, inputs: Sequence[GraphValue | None], origin: Any = None
    ) -> GraphNode:
        """A new node at the end."""
        node = GraphNode(spec, inputs, origin)
        self.nodes.append(node)
        return node

    def link(self) -> None:
        """Drop the nodes nobody needs and note who uses every value."""
        needed: set[int] = {id(v) for v in self.keep.values()}
        live = []
        for node in reversed(self.nodes):
            if any(id(out) in needed for out in node.outs):
                needed.update(id(v) for v in node.inputs if v is not None)
                live.append(node)
        live.reverse()
        self.nodes = live
        for value in self.values():
            value.users = []
        for node in live:
            for used in {v for v in node.inputs if v is not None}:
                used.users.append(node)

    def values(self) -> Iterable[GraphValue]:
        """Every value."""
        yield from self.outside.values()
        for node in self.nodes:
            yield from node.outs
            for value in node.inputs:
                if value is not None and value.constant is not None:
                    yield value

    def __str__(self) -> str:
        lines = [f"  {node!r}" for node in self.nodes]
        kept = " ".join(f"%{number}={value!r}" for number, value in self.keep.items())
        return "\n".join([*lines, f"keep {kept}"])


def import_program(program: Program) -> Graph:
    """The graph of a recorded program; a node for a group of tensors becomes one for each row."""
    graph = Graph()
    values: dict[int, GraphValue] = {}
    metas: dict[int, Meta] = {}
    for node in program.nodes:
        for number, meta in zip(node.inputs, node.spec.inputs, strict=True):
            if number >= 0 and meta is not None:
                metas.setdefault(number, meta)
    for number in program.inputs:
        values[number] = graph.outside[number] = GraphValue(metas[number], None, number)
    for node in program.nodes:
        inputs = [values[i] if i >= 0 else None for i in node.inputs]
        if node.spec.op is foreach:
            outs = _expand_rows(graph, node, inputs)
        else:
            outs = graph.add(node.spec, inputs, node).outs
        for number, value in zip(node.outputs, outs, strict=True):
            values[number] = value
            if value.number < 0:
                value.number = number
    graph.keep = {number: values[number] for number in program.keep}
    graph.owned = program.owned
    return graph


def _expand_rows(graph: Graph, node: Any, inputs: Sequence[GraphValue | None]) -> list[GraphValue]:
    plan = node.spec.attr("plan")
    outs: list[GraphValue] = []
    for k, rule in enumerate(plan.rows):
        start = plan.scalars + k * plan.width
        local: dict[int, GraphValue | None] = {}
        local.update(zip(rule.scalars, inputs[: plan.scalars], strict=True))
        local.update(zip(rule.inputs, inputs[start : start + plan.width], strict=True))
        for position, known in rule.constants:
            kind = WEAK_METAS[type(known)]
            local[position] = GraphValue(kind, None, -1, known)
        for inner in rule.program.nodes:
            made = graph.add(inner.spec, [local[i] if i >= 0 else None for i in inner.inputs], node)
            local.update(zip(inner.outputs, made.outs, strict=True))
        for position in rule.outputs:
            value = local[position]
            assert value is not None
            outs.append(value)
    return outs


class Builder:
    """Writes operators with other operators, for ``Op.decompose``."""

    __slots__ = ("_graph", "_origin")

    def __init__(self, graph: Graph, origin: Any) -> None:
        self._graph = graph
        self._origin = origin

    def __call__(self, name: str, *values: Any, **attrs: Any) -> Any:
        """Apply the operator ``name`` to values and numbers; its value, or a list of them."""
        op = Op.registry[name]
        given = [self._lift(value) for value in values]
        metas = tuple([None if v is None else v.meta for v in given])
        packed = op.pack(attrs) if op.attr_names else ()
        spec = op.specs.get((metas, packed)) or op.specialize(metas, packed)
        outs = self._graph.add(spec, given, self._origin).outs
        return outs if len(outs) > 1 else outs[0]

    @staticmethod
    def _lift(value: Any) -> GraphValue | None:
        if value is None or isinstance(value, GraphValue):
            return value
        return GraphValue(WEAK_METAS[type(value)], None, -1, value)


#: Elements up to which a value is computed a second time, by Python, to look at its data.
_FEW = 1 << 14


def data_source(value: GraphValue | None) -> DataSource | None:
    """How to get a value's data before the program runs.

    Returns:
        ``None`` if it is more than an outside value looked at, copied or converted.
    """
    views = []
    while value is not None and value.node is not None and len(value.node.inputs) == 1:
        if not is_view(value.node) and value.meta.numel > _FEW:
            return None
        views.append(value.node.spec.kernel)
        value = value.node.inputs[0]
    if value is None or value.node is not None or value.number < 0:
        return None
    return value.number, tuple(reversed(views))


def can_check(node: GraphNode) -> bool:
    """Whether a node cannot fail, or its data can be looked at before the program runs."""
    op = node.spec.op
    if not op.may_fail:
        return True
    if op.check is None:
        return False
    decided = op.check[1](node.spec, *node.spec.attrs)
    if decided is None:  # not with these types
        return True
    return all(node.inputs[k] is None or data_source(node.inputs[k]) for k in op.check[0])


def is_view(node: GraphNode) -> bool:
    """Whether the node only looks at its input in another way."""
    return node.spec.op.kind == VIEW or node.spec.op is unsafe_view


Pass = Callable[[Graph], None]
