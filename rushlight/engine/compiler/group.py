"""A group of values computed by one loop kernel: what fits together, and in which stage.

Note: stages
    A group runs over a domain, say (64, 100). Its members are values of that shape ("full"),
    reductions over some axes ("rows": the reduced axes become inner loops with accumulators; or
    "columns": added up in memory while the loops run), and values of the shape of the rows. For
    every row the kernel runs stage after stage: in stage 0 whatever needs no row value, in stage
    s + 1 whatever needs a row value of stage s. A softmax is one kernel of three stages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

from rushlight.engine.compiler import choices
from rushlight.engine.compiler.access import index_through
from rushlight.engine.compiler.bodies import apply_element, apply_scalar, number_type
from rushlight.engine.compiler.classify import Classes, Way
from rushlight.engine.compiler.graph import GraphNode, GraphValue
from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.ir.loops import Buffer, Loop, at, computing, load
from rushlight.engine.ir.scalar import Expr, const, number


class Rejected(Exception):
    """A value cannot be computed in this group."""


class TooEarly(Rejected):
    """Not in this stage: a value is needed that a later one computes."""


class Level(Enum):
    """How a member relates to the domain of its group."""

    FULL = "an element for each turn of the loops"
    ROW = "an element for each row"
    ROW_SUM = "reduced along each row"
    COLUMN_SUM = "added up in memory over the rows"
    SCATTER = "added up in memory at computed places"


class Member:
    """A value of a group.

    Attributes:
        level: see ``Level``.
        stage: when it is computed.
        reads: the values in memory, computed elsewhere, that it reads.
        stored: whether it is written to memory, because somebody reads it there.
    """

    __slots__ = ("level", "reads", "stage", "stored", "value")

    def __init__(self, value: GraphValue, level: Level) -> None:
        self.value = value
        self.level = level
        self.stage = 0
        self.reads: set[GraphValue] = set()
        self.stored = False


def reduced_axes(node: GraphNode) -> tuple[int, ...]:
    """The axes that a reduction combines."""
    source = node.inputs[0]
    assert source is not None
    if "dims" in node.spec.op.attr_names:
        return tuple(node.spec.attr("dims"))
    return tuple(range(source.meta.ndim))


def source_of(node: GraphNode) -> GraphValue:
    """The input whose shape a reduction or a scatter runs over."""
    scatter = node.spec.op.scatter
    source = node.inputs[0 if scatter is None else scatter.domain]  # type: ignore[attr-defined]
    assert source is not None
    return source


class Group:
    """Values computed together.

    Attributes:
        position: its place in the order of units.
        domain: the sizes of its loops.
        loops: a loop for each axis of the domain, the number 0 for an axis of size 1.
        reduced: the axes along which rows run, ``None`` while there are no rows.
        members: by value, in the order in which they are computed.
    """

    def __init__(self, classes: Classes, position: int, domain: tuple[int, ...]) -> None:
        self.classes = classes
        self.position = position
        self.domain = domain
        self.loops: list[Any] = [Loop(n) if n != 1 else 0 for n in domain]
        self.reduced: frozenset[int] | None = None
        self.members: dict[GraphValue, Member] = {}
        self.columns = False

    # joining -----------------------------------------------------------------------------------

    def admit(self, value: GraphValue, ready: Callable[[GraphValue], bool]) -> bool:
        """Take ``value`` in if it fits; ``ready`` tells whether a value in memory exists by now."""
        if len(self.members) >= choices.MEMBERS:
            return False
        level = self._level(value)
        if level is None:
            return False
        member = Member(value, level)
        before = self.reduced, self.columns
        if level is Level.ROW_SUM:
            assert value.node is not None
            self.reduced = frozenset(reduced_axes(value.node))
        self.columns = self.columns or level in (Level.COLUMN_SUM, Level.SCATTER)
        try:
            member.stage = self._stage(member)
            tracer = Tracer(self, member.stage, member)
            tracer.compute(member)
        except Rejected:
            self.reduced, self.columns = before
            return False
        if not all(ready(read) for read in member.reads):
            self.reduced, self.columns = before
            return False
        for dependency in tracer.later:
            dependency.stored = True
        self.members[value] = member
        return True

    def touched(self) -> set[GraphValue]:
        """What the group computes and reads."""
        found: set[GraphValue] = set(self.members)
        for member in self.members.values():
            found |= member.reads
        return found

    def _level(self, value: GraphValue) -> Level | None:
        shape = tuple(value.meta.shape)
        node = value.node
        assert node is not None
        if self.classes.ways[node] is Way.REDUCE:
            return self._reduction_level(node)
        if self.classes.ways[node] is Way.SCATTER:
            fits = tuple(source_of(node).meta.shape) == self.domain
            return Level.SCATTER if fits else None
        if shape == self.domain:
            return Level.FULL
        if self.reduced is not None and shape in self.row_shapes():
            return Level.ROW
        return None

    def _reduction_level(self, node: GraphNode) -> Level | None:
        source = node.inputs[0]
        assert source is not None
        if tuple(source.meta.shape) != self.domain:
            return None
        axes = frozenset(a for a in reduced_axes(node))
        strides = source.meta.strides
        long = [a for a, n in enumerate(self.domain) if n != 1]
        long.sort(key=lambda a: -strides[a])
        kept_last = bool(long) and long[-1] not in axes
        reduction = node.spec.op.reduce
        half = node.spec.out.dtype.category == FLOATING and node.spec.out.dtype.itemsize < 4
        if kept_last and reduction.op == "add" and not half:
            return Level.COLUMN_SUM
        if self.reduced is None or self.reduced == axes:
            return Level.ROW_SUM
        return None

    def row_shapes(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """The shapes of a row value, with and without the reduced axes."""
        assert self.reduced is not None
        kept = tuple([1 if a in self.reduced else n for a, n in enumerate(self.domain)])
        return kept, tuple([n for a, n in enumerate(self.domain) if a not in self.reduced])

    def row_index(self, ndim: int) -> list[Any]:
        """The index of a row value with so many axes, for the current turn of the outer loops."""
        assert self.reduced is not None
        if ndim == len(self.domain):
            return [0 if a in self.reduced else x for a, x in enumerate(self.loops)]
        return [x for a, x in enumerate(self.loops) if a not in self.reduced]

    def _stage(self, member: Member) -> int:
        """The first stage in which everything the member needs is there."""
        for stage in range(len(self.members) + 1):
            tracer = Tracer(self, stage, Member(member.value, member.level))
            try:
                tracer.compute(tracer.member)
            except TooEarly:
                continue
            return stage
        raise Rejected


class Tracer:
    """Makes the expressions of members, for one stage of a group.

    Attributes:
        stage: the stage.
        member: the one whose expression is made.
        inputs: the buffers and run-time numbers that the expressions have come to need.
        later: members whose elements are read back from memory in a later stage.
        full: the expressions of elements that this stage has computed.
        rows: those of the row values there are by now.
    """

    def __init__(
        self, group: Group, stage: int, member: Member, kernel: KernelInputs | None = None
    ) -> None:
        self.group = group
        self.classes = group.classes
        self.stage = stage
        self.member = member
        self.inputs = kernel or KernelInputs()
        self.later: list[Member] = []
        self.full: dict[GraphValue, Expr] = {}
        self.rows: dict[GraphValue, Expr] = {}
        self._known: dict[Any, Any] = {}

    # members -----------------------------------------------------------------------------------

    def place(self, member: Member) -> tuple[Sequence[Any], Expr]:
        """Where a scatter adds something, and what."""
        self.member = member
        node = member.value.node
        assert node is not None
        assert node.spec.op.scatter is not None
        index, made = node.spec.op.scatter(
            self._reader(node), self.group.loops, node.spec, *node.spec.attrs
        )
        return index, made

    def compute(self, member: Member) -> Expr:
        """The expression of a member's element: what is stored, or what is combined."""
        self.member = member
        node = member.value.node
        assert node is not None
        if member.level is Level.SCATTER:
            return self.place(member)[1]
        if member.level in (Level.ROW_SUM, Level.COLUMN_SUM):
            element = self.element(source_of(node), self.group.loops)
            return node.spec.op.reduce.prepare(element, node.spec)  # type: ignore[no-any-return]
        if member.level is Level.ROW:
            return self._inline(member.value, self.group.row_index(member.value.meta.ndim))
        return self._inline(member.value, self.group.loops)

    # elements ----------------------------------------------------------------------------------

    def element(self, value: GraphValue, index: Sequence[Any]) -> Expr:
        """An element of a value: known already, loaded, or computed here."""
        if value.meta.weak:
            return self._number(value)
        own = self.group.members.get(value)
        looked_through = self.classes.way(value) is Way.VIEW
        if own is not None and own is not self.member and not looked_through:
            return self._own(own, index)
        stored = value in self.classes.memory and not looked_through
        if own is None and stored and value is not self.member.value:
            self.member.reads.add(value)
            buffer = self.inputs.buffer(value)
            return self._load(buffer, value.meta.strides, index, 0)
        if value is self.member.value:
            raise Rejected
        return self._inline(value, index)

    def _load(self, buffer: Buffer, strides: Sequence[int], index: Sequence[Any], offset: int) -> (
        Expr
    ):
        key = ("load", buffer, _key(index))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = load(buffer, at(strides, index, offset)), index
        return found[0]  # type: ignore[no-any-return]

    def _own(self, own: Member, index: Sequence[Any]) -> Expr:
        """An element of another member: only the one at the present place can be had."""
        group, value = self.group, own.value
        if own.level in (Level.COLUMN_SUM, Level.SCATTER):
            raise Rejected
        if own.level is Level.FULL:
            if not _same(index, group.loops):
                raise Rejected
            if own.stage == self.stage and self.member.level is not Level.ROW:
                if value not in self.full:  # only to see whether it fits
                    self.full[value] = Expr("member", (), computing(value.meta.dtype), value)
                return self.full[value]
            if own.stage > self.stage or self.member.level is Level.ROW:
                raise TooEarly if own.stage > self.stage else Rejected
            self.later.append(own)
            buffer = self.inputs.buffer(value)
            return self._load(buffer, value.meta.strides, index, 0)
        if not _same(index, group.row_index(value.meta.ndim)):
            raise Rejected
        ready = self.stage if self.member.level is Level.ROW else self.stage - 1
        if own.stage > ready:
            raise TooEarly
        if value not in self.rows:
            self.rows[value] = Expr("accumulator", (), computing(value.meta.dtype), value)
        return self.rows[value]

    def _inline(self, value: GraphValue, index: Sequence[Any]) -> Expr:
        key = (value, _key(index))
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self._body(value, index), tuple(index)
        return found[0]  # type: ignore[no-any-return]

    def _body(self, value: GraphValue, index: Sequence[Any]) -> Expr:
        node = value.node
        assert node is not None
        way = self.classes.ways[node]
        if way is Way.VIEW:
            source = node.inputs[0]
            assert source is not None
            resolved = self.classes.resolve(value)
            if resolved is not None and resolved[0] not in self.group.members:
                root, strides, offset = resolved
                self.member.reads.add(root)
                return load(self.inputs.buffer(root), at(strides, index, offset))
            inner = index_through(node.spec, index)
            if inner is None:
                raise Rejected
            return self.element(source, inner)
        if way is not Way.MAP:
            raise Rejected
        if node.spec.op.scalar is not None:
            operands = [
                None if x is None else self.element(x, _broadcast(x, index)) for x in node.inputs
            ]
            made = apply_scalar(node.spec, operands)
            assert made is not None
            return made[node.outs.index(value)]
        return self._looked_up(node, index)[node.outs.index(value)]

    def _looked_up(self, node: GraphNode, index: Sequence[Any]) -> tuple[Expr, ...]:
        key = (node, _key(index))
        found = self._known.get(key)
        if found is None:
            made = apply_element(node.spec, self._reader(node), index)
            assert made is not None
            found = self._known[key] = made, tuple(index)
        return found[0]  # type: ignore[no-any-return]

    def _reader(self, node: GraphNode) -> Callable[[int, Sequence[Any]], Expr]:
        """How a record's body asks for elements of its inputs, by their number."""

        def read(k: int, where: Sequence[Any]) -> Expr:
            source = node.inputs[k]
            assert source is not None
            return self.element(source, where)

        return read

    def _number(self, value: GraphValue) -> Expr:
        kind = number_type(value.meta)
        if value.constant is not None:
            return const(value.constant, kind)
        if value.node is not None:
            if self.classes.ways[value.node] is not Way.NUMBER:
                raise Rejected
            key = (value, ())
            if key not in self._known:
                operands = [None if x is None else self._number(x) for x in value.node.inputs]
                made = apply_scalar(value.node.spec, operands)
                assert made is not None
                self._known[key] = made[0], ()
            return self._known[key][0]  # type: ignore[no-any-return]
        return number(self.inputs.number(value), kind)


class KernelInputs:
    """The arguments a kernel has come to need."""

    __slots__ = ("buffers", "numbers")

    def __init__(self) -> None:
        self.buffers: dict[GraphValue, Buffer] = {}
        self.numbers: list[GraphValue] = []

    def buffer(self, value: GraphValue) -> Buffer:
        """The buffer in which a value lies."""
        found = self.buffers.get(value)
        if found is None:
            found = self.buffers[value] = Buffer(value.meta.dtype, f"b{len(self.buffers)}")
        return found

    def number(self, value: GraphValue) -> int:
        """The place of a run-time number among the kernel's scalars."""
        for place, known in enumerate(self.numbers):
            if known is value:
                return place
        self.numbers.append(value)
        return len(self.numbers) - 1


def _broadcast(value: GraphValue, index: Sequence[Any]) -> list[Any]:
    """The index of an operand that broadcasts to the shape of ``index``."""
    shape = value.meta.shape
    last = index[len(index) - len(shape) :]
    return [0 if n == 1 else x for n, x in zip(shape, last, strict=True)]


def _key(index: Sequence[Any]) -> tuple[Any, ...]:
    return tuple([x if isinstance(x, int) else id(x) for x in index])


def _same(index: Sequence[Any], wanted: Sequence[Any]) -> bool:
    return len(index) == len(wanted) and all(
        x is y or (isinstance(x, int) and isinstance(y, int) and x == y)
        for x, y in zip(index, wanted, strict=True)
    )
