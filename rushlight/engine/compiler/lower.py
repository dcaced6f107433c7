"""From a group of values to a loop kernel."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.engine.compiler.bodies import narrowed, number_type
from rushlight.engine.compiler.graph import GraphValue
from rushlight.engine.compiler.group import (
    Group,
    KernelInputs,
    Level,
    Member,
    Tracer,
    reduced_axes,
    source_of,
)
from rushlight.engine.compiler.loop_nest import collapse, count_work
from rushlight.engine.compiler.windows import over_windows
from rushlight.engine.core.dtype import bool_
from rushlight.engine.ir.loops import (
    Accumulator,
    Declare,
    For,
    Kernel,
    Loop,
    Reduce,
    Statement,
    Store,
    at,
    computing,
    load,
)
from rushlight.engine.ir.scalar import Expr, cast, const


class Lowered:
    """A kernel with what it works on.

    Attributes:
        kernel: the kernel.
        operands: the value in memory for each of its buffers.
        numbers: the run-time number for each of its scalars.
    """

    __slots__ = ("kernel", "numbers", "operands")

    def __init__(self, kernel: Kernel, inputs: KernelInputs) -> None:
        self.kernel = kernel
        operands: dict[int, GraphValue] = {}
        for value, buffer in inputs.buffers.items():
            operands[id(buffer)] = value  # for a reused one the last: the result
        self.operands = [operands[id(buffer)] for buffer in kernel.buffers]
        self.numbers = list(inputs.numbers)


def lower(group: Group, name: str, reuse: dict[GraphValue, GraphValue]) -> Lowered:
    """The kernel of a group.

    Args:
        group: the group.
        name: the kernel's name.
        reuse: results that are written over an outside value that the group reads.
    """
    return _Lowering(group, reuse).kernel(name)


class _Lowering:
    def __init__(self, group: Group, reuse: dict[GraphValue, GraphValue]) -> None:
        self.group = group
        self.inputs = KernelInputs()
        self.rows: dict[GraphValue, Expr] = {}
        for result, before in reuse.items():
            if result in group.members:
                self.inputs.buffers[result] = self.inputs.buffer(before)
        self.written: list[GraphValue] = []
        self.members = list(group.members.values())
        self.prologue: list[Statement] = []
        self.epilogue: list[Statement] = []
        self.outer, self.inner = self._axes()

    def _axes(self) -> tuple[list[int], list[int]]:
        """The axes of the outer and the inner loops, far strides first."""
        group = self.group
        strides = tuple(self._reference().meta.strides)
        axes = [a for a, part in enumerate(group.loops) if isinstance(part, Loop)]
        axes.sort(key=lambda a: -strides[a])
        reduced = group.reduced
        if reduced is None:
            return [], axes
        return [a for a in axes if a not in reduced], [a for a in axes if a in reduced]

    def _reference(self) -> GraphValue:
        for member in self.members:
            if member.level is Level.FULL:
                return member.value
        node = self.members[0].value.node
        assert node is not None
        return source_of(node)

    def kernel(self, name: str) -> Lowered:
        group = self.group
        body: list[Statement] = []
        for stage in range(max(m.stage for m in self.members) + 1):
            body += self._stage(stage)
        nest = _nested(body, [group.loops[a] for a in self.outer], not group.columns)
        if not self.outer and not group.columns and group.reduced is None:
            for item in nest:
                if isinstance(item, For):
                    item.parallel = True
        statements = [*self.prologue, *nest, *self.epilogue]
        buffers, outputs = [], []
        for value, buffer in self.inputs.buffers.items():
            if buffer not in buffers:
                buffers.append(buffer)
            if value in self.written and buffer not in outputs:
                outputs.append(buffer)
        kernel = Kernel(
            name, buffers, outputs, [number_type(v.meta) for v in self.inputs.numbers],
            collapse(over_windows(statements)),
        )  # fmt: skip
        kernel.operations, kernel.moved = count_work(kernel)
        return Lowered(kernel, self.inputs)

    # one stage ---------------------------------------------------------------------------------

    def _stage(self, stage: int) -> list[Statement]:
        members = [m for m in self.members if m.stage == stage]
        tracer = Tracer(self.group, stage, members[0] if members else self.members[0], self.inputs)
        tracer.rows = self.rows
        before: list[Statement] = []
        inside: list[Statement] = []
        stores: list[Statement] = []
        sums: list[tuple[Member, Accumulator]] = []
        for member in members:
            if member.level is Level.FULL:
                value = tracer.full[member.value] = tracer.compute(member)
                if member.stored:
                    stores.append(self._store(member, value, self.group.loops))
            elif member.level is Level.ROW_SUM:
                accumulator = self._accumulator(member)
                before.append(Declare(accumulator))
                prepared = cast(tracer.compute(member), accumulator.dtype)
                inside.append(Reduce(accumulator, prepared))
                sums.append((member, accumulator))
            elif member.level is Level.COLUMN_SUM:
                inside.append(self._column(tracer, member))
            elif member.level is Level.SCATTER:
                inside.append(self._scatter(tracer, member))
        loops = [self.group.loops[a] for a in self.inner]
        body = [*before, *_nested([*inside, *stores], loops)]
        if not inside and not stores:
            body = before
        for member, accumulator in sums:
            node = member.value.node
            assert node is not None
            count = 1
            for axis in self.group.reduced or ():
                count *= self.group.domain[axis]
            total = node.spec.op.reduce.finish(accumulator.read(), count, node.spec)
            total = cast(total, computing(member.value.meta.dtype))
            self._row(member, narrowed(total, member.value.meta.dtype), body)
        for member in members:
            if member.level is Level.ROW:
                self._row(member, tracer.compute(member), body)
        return body

    def _row(self, member: Member, value: Expr, body: list[Statement]) -> None:
        self.rows[member.value] = value
        if member.stored:
            index = self.group.row_index(member.value.meta.ndim)
            body.append(self._store(member, value, index))

    def _store(self, member: Member, value: Expr, index: Sequence[Any], op: Any = None) -> Store:
        buffer = self.inputs.buffer(member.value)
        self.written.append(member.value)
        return Store(buffer, at(member.value.meta.strides, index), value, op)

    def _accumulator(self, member: Member) -> Accumulator:
        node = member.value.node
        assert node is not None
        op = node.spec.op.reduce.op
        if op in ("and", "or"):
            return Accumulator(op, bool_)
        if op in ("add", "mul"):
            return Accumulator(op, computing(member.value.meta.dtype))
        return Accumulator(op, computing(source_of(node).meta.dtype))

    # sums in memory ----------------------------------------------------------------------------

    def _column(self, tracer: Tracer, member: Member) -> Statement:
        node = member.value.node
        assert node is not None
        meta = member.value.meta
        axes = set(_reduced(member))
        keep = len(meta.shape) == len(self.group.domain)
        index = [
            0 if a in axes else x
            for a, x in enumerate(self.group.loops) if keep or a not in axes
        ]  # fmt: skip
        prepared = cast(tracer.compute(member), computing(meta.dtype))
        self._zero(member)
        count = 1
        for axis in axes:
            count *= self.group.domain[axis]
        self._finish_columns(member, count)
        return self._store(member, prepared, index, "add")

    def _scatter(self, tracer: Tracer, member: Member) -> Statement:
        index, value = tracer.place(member)
        self._zero(member)
        return self._store(member, cast(value, computing(member.value.meta.dtype)), index, "add")

    def _over(self, member: Member) -> tuple[list[Any], list[Loop]]:
        """Fresh loops over the elements of a member."""
        index: list[Any] = [Loop(n) if n != 1 else 0 for n in member.value.meta.shape]
        return index, [x for x in index if isinstance(x, Loop)]

    def _zero(self, member: Member) -> None:
        index, loops = self._over(member)
        zero = const(0, computing(member.value.meta.dtype))
        self.prologue += _nested([self._store(member, zero, index)], loops)

    def _finish_columns(self, member: Member, count: int) -> None:
        node = member.value.node
        assert node is not None
        index, loops = self._over(member)
        buffer = self.inputs.buffer(member.value)
        total = load(buffer, at(member.value.meta.strides, index))
        done = node.spec.op.reduce.finish(total, count, node.spec)
        if done is total:
            return
        finished = cast(done, computing(member.value.meta.dtype))
        self.epilogue += _nested([self._store(member, finished, index)], loops)


def _nested(
    body: list[Statement], loops: Sequence[Loop], parallel: bool = False
) -> list[Statement]:
    """The loops around a body, the first one outermost and perhaps parallel."""
    for place, loop in reversed(list(enumerate(loops))):
        body = [For(loop, body, parallel and place == 0)]
    return body


def _reduced(member: Member) -> tuple[int, ...]:
    assert member.value.node is not None
    return reduced_axes(member.value.node)
