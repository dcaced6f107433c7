"""Loop kernels: how fused operations are computed. Code generators take these and nothing else.

A kernel is a function of buffers and scalars whose body is loops over integers:

    for i in 0..64 (parallel):
      total = 0
      for j in 0..100:
        total += x[100 i + j]
      for j in 0..100:
        y[100 i + j] = x[100 i + j] / total

Buffers that are not the same one never overlap. Statements of a body run in order; a loop marked
``parallel`` may run its turns in any order and on several threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from rushlight.engine.core.dtype import FLOATING, dtype, float32
from rushlight.engine.ir.scalar import Expr, cast, loop_value, walk

_numbers = count()


@dataclass(eq=False, slots=True)
class Loop:
    """A loop variable: runs from 0 to ``size - 1``; a size that is an expression is known at run
    time (it may use ``scalar`` arguments only)."""

    size: int | Expr
    number: int = field(default_factory=lambda: next(_numbers))

    def __repr__(self) -> str:
        return f"i{self.number}"


@dataclass(eq=False, slots=True)
class Buffer:
    """An argument of a kernel: the address of elements of one type.

    Attributes:
        dtype: the type in memory; half types are computed with as float32, booleans are bytes.
        name: for the reader of a dump.
    """

    dtype: dtype
    name: str = ""

    def __repr__(self) -> str:
        return self.name or "buffer"


@dataclass(frozen=True, slots=True)
class Index:
    """The place of an element in a buffer, in elements.

    Attributes:
        offset: a number.
        terms: pairs of a loop and its stride.
        dynamic: pairs of an int64 expression and its stride.
    """

    offset: int = 0
    terms: tuple[tuple[Loop, int], ...] = ()
    dynamic: tuple[tuple[Expr, int], ...] = ()

    def __repr__(self) -> str:
        parts = [f"{s} {v}" for v, s in self.terms] + [f"{s} {e!r}" for e, s in self.dynamic]
        return " + ".join([*parts, *([str(self.offset)] if self.offset or not parts else [])])


def computing(kind: dtype) -> dtype:
    """The type that elements of type ``kind`` are computed in."""
    return float32 if kind.category == FLOATING and kind.itemsize < 4 else kind


def load(buffer: Buffer, index: Index) -> Expr:
    """An element, in the type it is computed in."""
    return Expr("load", (), computing(buffer.dtype), (buffer, index))


@dataclass(eq=False, slots=True)
class Accumulator:
    """A variable that a loop adds to: set to the neutral element where it is declared.

    Attributes:
        op: ``add``, ``mul``, ``maximum``, ``minimum``, ``and``, ``or``; additions of floating-
            point numbers may be reordered.
        dtype: its type.
    """

    op: str
    dtype: dtype
    number: int = field(default_factory=lambda: next(_numbers))

    def read(self) -> Expr:
        """Its value, for statements after the loop."""
        return Expr("accumulator", (), self.dtype, self)

    def __repr__(self) -> str:
        return f"a{self.number}"


@dataclass(eq=False, slots=True)
class Store:
    """``buffer[index] = value``, or ``buffer[index] op= value`` if ``op`` is given (``add``)."""

    buffer: Buffer
    index: Index
    value: Expr
    op: str | None = None


@dataclass(eq=False, slots=True)
class Declare:
    """The accumulator begins here, with its neutral element."""

    accumulator: Accumulator


@dataclass(eq=False, slots=True)
class Reduce:
    """``accumulator op= value``."""

    accumulator: Accumulator
    value: Expr


@dataclass(frozen=True, eq=False, slots=True)
class Axis:
    """An axis of a contraction.

    Attributes:
        size: how many places.
        steps: from one place to the next in the first factor, the second, and the result, in
            elements.
        written_out: for an axis that is summed over: no loop, but all turns one after the other.
        edge: ``(unit, limit)``: of an axis of the first factor, whose places lie ``unit`` elements
            apart, only ``0`` to ``limit - 1`` exist; beyond them it is zero. Axes with the same
            edge walk along it together.
    """

    size: int
    steps: tuple[int, int, int]
    written_out: bool = False
    edge: tuple[int, int] | None = None

    def at(self, place: int) -> tuple[int, int, int]:
        """How far a place is from the first, in the three arrays."""
        first, second, result = self.steps
        return first * place, second * place, result * place


@dataclass(eq=False, slots=True)
class Contract:
    """``result[...] = start[...] + sum of first[...] * second[...]``, of float32 numbers.

    One tile of a product: the sums of all its elements are kept in registers. The elements of the
    first factor along the axis ``lanes`` lie side by side; those of the second do so too if that
    axis is summed over, and are one and the same if it is not.

    Attributes:
        first, second, result: the arrays, and where the tile begins in each.
        kept: the axes of the tile besides ``lanes``.
        summed: the axes that are summed over besides ``lanes``, outer loops first.
        lanes: the axis along which vectors lie.
        start: what the sums begin with, and how far it is from one place to the next along each
            axis of ``kept``; ``None``: zero.
    """

    first: tuple[Buffer, Index]
    second: tuple[Buffer, Index]
    result: tuple[Buffer, Index]
    kept: list[Axis]
    summed: list[Axis]
    lanes: Axis
    start: tuple[Buffer, Index, tuple[int, ...]] | None = None

    @property
    def sums_lanes(self) -> bool:
        """Whether the axis along which vectors lie is summed over."""
        return self.lanes.steps[2] == 0


@dataclass(eq=False, slots=True)
class For:
    """A loop."""

    loop: Loop
    body: list[Statement]
    parallel: bool = False


Statement = Store | Declare | Reduce | For | Contract


@dataclass(eq=False, slots=True)
class Kernel:
    """A function ``name(address of each buffer, each scalar)``.

    Attributes:
        name: unique in its program, a C identifier.
        buffers: the arguments that are addresses; each is written in ``outputs`` or only read.
        outputs: those that are written.
        scalars: the types of the scalar arguments (float64 or int64).
        body: what it does.
        operations: rough number of scalar operations, for the choice of threads.
        moved: rough number of bytes read and written.
    """

    name: str
    buffers: list[Buffer]
    outputs: list[Buffer]
    scalars: list[dtype]
    body: list[Statement]
    operations: float = 0.0
    moved: float = 0.0

    def __str__(self) -> str:
        arguments = [f"{b}: {b.dtype.name}*" for b in self.buffers]
        arguments += [f"s{i}: {kind.name}" for i, kind in enumerate(self.scalars)]
        return "\n".join([f"{self.name}({', '.join(arguments)})", *_lines(self.body, 1)])


def statements(body: Sequence[Statement]) -> Iterator[Statement]:
    """Every statement of a body in order: a loop, then those inside it."""
    for item in body:
        yield item
        if isinstance(item, For):
            yield from statements(item.body)


def every_expression(body: Sequence[Statement]) -> list[Expr]:
    """All expressions of a body, those inside indices included, each once."""
    roots: list[Expr] = []
    for item in statements(body):
        if isinstance(item, Store):
            roots += [item.value, *(part for part, _ in item.index.dynamic)]
        elif isinstance(item, Reduce):
            roots.append(item.value)
    found: dict[int, Expr] = {}

    def visit(expr: Expr) -> None:
        if id(expr) in found:
            return
        found[id(expr)] = expr
        if expr.op == "load":
            for inner, _ in expr.extra[1].dynamic:
                walk([inner], visit)

    walk(roots, visit)
    return list(found.values())


def _lines(body: Sequence[Statement], depth: int) -> list[str]:
    out = []
    pad = "  " * depth
    for item in body:
        if isinstance(item, For):
            note = " (parallel)" if item.parallel else ""
            out.append(f"{pad}for {item.loop} in 0..{item.loop.size}{note}:")
            out += _lines(item.body, depth + 1)
        elif isinstance(item, Store):
            sign = f"{item.op}=" if item.op else "="
            out.append(f"{pad}{item.buffer}[{item.index}] {sign} {item.value!r}")
        elif isinstance(item, Declare):
            out.append(f"{pad}{item.accumulator} = neutral of {item.accumulator.op}")
        elif isinstance(item, Contract):
            arrays = [f"{b}[{i}]" for b, i in (item.result, item.first, item.second)]
            kept = [axis.size for axis in (*item.kept, item.lanes) if axis.steps[2]]
            out.append(f"{pad}{arrays[0]} = {arrays[1]} * {arrays[2]} (tile {kept})")
        else:
            out.append(f"{pad}{item.accumulator} {item.accumulator.op}= {item.value!r}")
    return out


def at(strides: Sequence[int], index: Sequence[Any], offset: int = 0) -> Index:
    """The place of the element with this index (loops, numbers, int64 expressions)."""
    terms: dict[int, tuple[Loop, int]] = {}
    dynamic = []
    for step, part in zip(strides, index, strict=True):
        if isinstance(part, int):
            offset += step * part
        elif isinstance(part, Loop):
            terms[part.number] = part, terms.get(part.number, (part, 0))[1] + step
        elif step:
            dynamic.append((part, step))
    kept = tuple(pair for pair in terms.values() if pair[1])
    return Index(offset, kept, tuple(dynamic))


def as_expr(part: Any, kind: dtype) -> Expr:
    """A component of an index (loop, number or expression) as an expression of type ``kind``."""
    if isinstance(part, Loop):
        return cast(loop_value(part), kind)
    if isinstance(part, Expr):
        return cast(part, kind)
    return Expr("const", (), kind, part)
