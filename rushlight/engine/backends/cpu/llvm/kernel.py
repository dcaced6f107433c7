"""From a loop kernel to a function.

A kernel for several threads becomes two: one with its statements in order, which opens a team for
the parallel loop, and one for the turns ``begin`` to ``end`` of that loop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from rushlight.engine.backends.cpu.llvm.contraction import ContractWriter
from rushlight.engine.backends.cpu.llvm.jit import vector_width
from rushlight.engine.backends.cpu.llvm.library import Shared
from rushlight.engine.backends.cpu.llvm.scalar import FLAGS, Scalars
from rushlight.engine.backends.cpu.llvm.writer import Writer, literal, register_type
from rushlight.engine.core.dtype import BOOL, FLOATING, dtype, float32
from rushlight.engine.ir.loops import (
    Accumulator,
    Contract,
    Declare,
    For,
    Kernel,
    Reduce,
    Statement,
    Store,
    every_expression,
    statements,
)
from rushlight.engine.ir.scalar import Expr

#: Sums may be taken in another order, so that several are under way at once.
REDUCTION_FLAGS: Final = "reassoc contract "

#: Loops inside others with at most so many turns, and so many statements in all turns together, are
#: written out: the loop around them can be vectorised then. A window of a pooling is such a loop.
SHORT: Final = 8
FEW: Final = 32

#: Terms of a float32 sum that are added up apart from those before: about 64 go into one register,
#: and rounding errors grow with the number of terms in one sum.
BLOCK: Final = 8192


@dataclass(frozen=True, slots=True)
class Body:
    """The text of a function that has no name yet.

    Attributes:
        arguments: with their types, as in the head.
        text: in braces.
    """

    arguments: str
    text: str


def neutral(op: str, kind: dtype) -> float | int | bool:
    """What an accumulator begins with.

    Raises:
        ValueError: no reduction of that name on this type.
    """
    if op in ("add", "or"):
        return 0
    if op == "and":
        return -1 if kind.category != BOOL else True
    if op == "mul":
        return 1
    if op not in ("maximum", "minimum"):
        raise ValueError(f"no reduction {op!r}")
    if kind.category == FLOATING:
        return float("-inf") if op == "maximum" else float("inf")
    if kind.category == BOOL:
        return op == "minimum"
    bits = kind.itemsize * 8
    low = -(1 << (bits - 1)) if kind.is_signed else 0
    high = (1 << (bits - 1)) - 1 if kind.is_signed else (1 << bits) - 1
    return low if op == "maximum" else high


def arguments_of(kernel: Kernel) -> list[str]:
    """The types of a kernel's arguments."""
    return ["ptr"] * len(kernel.buffers) + [register_type(kind) for kind in kernel.scalars]


def _statements_done(body: Sequence[Statement]) -> float:
    """How many statements are run, those in loops as often as they are."""
    total = 0.0
    for item in body:
        if isinstance(item, Contract):
            return float("inf")
        if not isinstance(item, For):
            total += 1
        elif isinstance(item.loop.size, int):
            total += item.loop.size * _statements_done(item.body)
        else:
            return float("inf")
    return total


def _sums(body: Sequence[Statement]) -> dict[Accumulator, float]:
    """The float32 sums that are begun outside, and how many terms each turn adds to them."""
    found: dict[Accumulator, float] = {}
    inside: set[Accumulator] = set()
    for item in body:
        if isinstance(item, Declare):
            inside.add(item.accumulator)
        elif isinstance(item, Reduce):
            if item.accumulator.op == "add" and item.accumulator.dtype is float32:
                found[item.accumulator] = found.get(item.accumulator, 0.0) + 1
        elif isinstance(item, For):
            size = item.loop.size if isinstance(item.loop.size, int) else float("inf")
            for accumulator, terms in _sums(item.body).items():
                found[accumulator] = found.get(accumulator, 0.0) + size * terms
    return {a: terms for a, terms in found.items() if a not in inside}


def _read(body: Sequence[Statement]) -> set[Accumulator]:
    """The accumulators whose value is used."""
    return {expr.extra for expr in every_expression(body) if expr.op == "accumulator"}


def parallel_loop(kernel: Kernel) -> For | None:
    """The loop that several threads can share, if the kernel has one."""
    found = [s for s in kernel.body if isinstance(s, For) and s.parallel]
    if len(found) != 1:
        return None
    turn = list(statements(found[0].body))
    inside = {id(s.accumulator) for s in turn if isinstance(s, Declare)}
    used = {id(s.accumulator) for s in turn if isinstance(s, Reduce)}
    # A sum begun outside would be added to by all threads at once; a sum read inside is not there.
    every = [s.accumulator for s in statements(kernel.body) if isinstance(s, Declare)]
    return found[0] if used <= inside and all(id(a) in inside for a in every) else None


class KernelWriter:
    """Writes one kernel.

    Args:
        kernel: the kernel.
        shared: what the module has besides.
    """

    def __init__(self, kernel: Kernel, shared: Shared) -> None:
        self.kernel = kernel
        self.writer = Writer("")
        self.scalars = Scalars(self.writer, shared)
        self._inside = 0  # how many loops

    def whole(self) -> Body:
        """The kernel on one thread."""
        arguments = self._bind("noalias ")
        self._statements(self.kernel.body)
        self.writer.line("ret void")
        return Body(arguments, self.writer.body())

    def part(self, loop: For) -> Body:
        """Some turns of a loop: the arguments are the first turn, the one after the last, and
        those of the kernel."""
        arguments = self._bind("noalias ")
        self._loop(loop, "%begin", "%end")
        self.writer.line("ret void")
        return Body(f"i64 %begin, i64 %end, {arguments}".rstrip(", "), self.writer.body())

    def around(self, loop: For, share: str) -> Body:
        """The kernel whose parallel loop is left to ``share``: the name of a function that takes
        the context, the number of threads and that of turns, then what the kernel takes."""
        arguments = self._bind("")
        for item in self.kernel.body:
            if item is not loop:
                self._statement(item)
                continue
            size = loop.loop.size
            turns = self.scalars.emit(size) if isinstance(size, Expr) else str(size)
            passed = f"ptr %context, i32 %threads, i64 {turns}, {arguments}".rstrip(", ")
            self.writer.line(f"call void @{share}({passed})")
        self.writer.line("ret void")
        return Body(f"ptr %context, i32 %threads, {arguments}".rstrip(", "), self.writer.body())

    def _bind(self, attribute: str) -> str:
        arguments = []
        for place, buffer in enumerate(self.kernel.buffers):
            self.scalars.buffers[buffer] = f"%b{place}"
            arguments.append(f"ptr {attribute}%b{place}")
        for place, kind in enumerate(self.kernel.scalars):
            self.scalars.numbers.append((f"%s{place}", kind))
            arguments.append(f"{register_type(kind)} %s{place}")
        return ", ".join(arguments)

    # statements --------------------------------------------------------------------------------

    def _statements(self, body: Sequence[Statement]) -> None:
        for item in body:
            self._statement(item)

    def _statement(self, item: Statement) -> None:
        if isinstance(item, For):
            self._loop(item)
        elif isinstance(item, Store):
            self._store(item)
        elif isinstance(item, Declare):
            self._declare(item.accumulator)
        elif isinstance(item, Contract):
            ContractWriter(self.scalars, self._repeat, item, vector_width()).write()
        else:
            self._reduce(item)

    def _store(self, item: Store) -> None:
        scalars = self.scalars
        value = scalars.emit(item.value)
        for part, _ in item.index.dynamic:
            scalars.emit(part)
        if item.op is not None:
            before = scalars.load(item.buffer, item.index)
            value = scalars.apply(item.op, item.value.dtype, before, value)
        scalars.store(item.buffer, item.index, value)

    def _declare(self, accumulator: Accumulator) -> None:
        kind = register_type(accumulator.dtype)
        place = self.scalars.accumulators.get(accumulator)
        if place is None:
            place = self.scalars.accumulators[accumulator] = self.writer.variable(kind)
        start = literal(neutral(accumulator.op, accumulator.dtype), accumulator.dtype)
        self.writer.line(f"store {kind} {start}, ptr {place}")

    def _reduce(self, item: Reduce) -> None:
        accumulator = item.accumulator
        kind = register_type(accumulator.dtype)
        value = self.scalars.emit(item.value)
        place = self.scalars.accumulators[accumulator]
        before = self.writer.value(f"load {kind}, ptr {place}")
        flags = REDUCTION_FLAGS if accumulator.op in ("add", "mul") else FLAGS
        after = self._combined(accumulator, before, value, flags)
        self.writer.line(f"store {kind} {after}, ptr {place}")

    def _combined(self, accumulator: Accumulator, x: str, y: str, flags: str) -> str:
        return self.scalars.apply(accumulator.op, accumulator.dtype, x, y, flags=flags)

    # loops -------------------------------------------------------------------------------------

    def _loop(self, item: For, begin: str = "0", end: str = "") -> None:
        size = item.loop.size
        if not end and isinstance(size, int):
            if size <= 1:
                if size == 1:
                    self._turn(item, "0")
                return
            if self._inside and size <= SHORT and size * _statements_done(item.body) <= FEW:
                for turn in range(size):
                    self._turn(item, str(turn))
                return
            block = self._block(item)
            if block < size:
                self._blocks(item, size, block)
            else:
                self._turns(item, begin, str(size))
            return
        writer = self.writer
        if not end:
            assert isinstance(size, Expr)
            end = self.scalars.emit(size)
        inside, after = writer.name("guarded"), writer.name("after")
        some = writer.value(f"icmp slt i64 {begin}, {end}")
        writer.line(f"br i1 {some}, label %{inside}, label %{after}")
        writer.begin(inside)
        self._turns(item, begin, end)
        writer.line(f"br label %{after}")
        writer.begin(after)

    def _block(self, item: For) -> int:
        """How many turns of a loop add up to `BLOCK` terms of a sum; all turns if none need be
        kept apart."""
        size = item.loop.size
        assert isinstance(size, int)
        terms = max(_sums(item.body).values(), default=0.0)
        if terms * size < 2 * BLOCK or terms > BLOCK / 2:  # few, or kept apart further inside
            return size
        if _sums(item.body).keys() & _read(item.body):  # a sum that is used while it grows
            return size
        return int(BLOCK / terms)

    def _blocks(self, item: For, size: int, block: int) -> None:
        """A loop in blocks of turns, each with sums of its own, which are added up in float64."""
        writer, places = self.writer, self.scalars.accumulators
        outer = {a: (places[a], writer.variable("double")) for a in _sums(item.body)}
        least = self.scalars.shared.declare("llvm.smin.i64", "i64", "i64", "i64")
        for place, wide in outer.values():
            writer.line(f"store double {self._widened(place)}, ptr {wide}")

        def one(number: str) -> None:
            for a in outer:
                places.pop(a)
                self._declare(a)
            begin = writer.value(f"mul nuw nsw i64 {number}, {block}")
            stop = writer.value(f"add nuw nsw i64 {begin}, {block}")
            end = writer.value(f"call i64 {least}(i64 {stop}, i64 {size})")
            self._turns(item, begin, end)
            for a, (_, wide) in outer.items():
                before = writer.value(f"load double, ptr {wide}")
                total = writer.value(f"fadd double {before}, {self._widened(places[a])}")
                writer.line(f"store double {total}, ptr {wide}")

        self._repeat("0", str(-(-size // block)), one)
        for a, (place, wide) in outer.items():
            places[a] = place
            total = writer.value(f"load double, ptr {wide}")
            narrow = writer.value(f"fptrunc double {total} to float")
            writer.line(f"store float {narrow}, ptr {place}")

    def _widened(self, place: str) -> str:
        """A float32 in memory as float64."""
        narrow = self.writer.value(f"load float, ptr {place}")
        return self.writer.value(f"fpext float {narrow} to double")

    def _turn(self, item: For, register: str) -> None:
        self.scalars.loops[item.loop] = register
        self.scalars.enter()
        self._statements(item.body)
        self.scalars.leave()
        del self.scalars.loops[item.loop]

    def _turns(self, item: For, begin: str, end: str) -> None:
        """A loop that runs at least once."""
        self._repeat(begin, end, lambda register: self._turn(item, register))

    def _repeat(self, begin: str, end: str, body: Callable[[str], None]) -> None:
        writer = self.writer
        before = writer.block
        head, after = writer.name("loop"), writer.name("done")
        writer.line(f"br label %{head}")
        writer.begin(head)
        variable, following = f"%{writer.name('i')}", f"%{writer.name('n')}"
        phi = writer.reserve()
        self._inside += 1
        body(variable)
        self._inside -= 1
        writer.line(f"{following} = add nuw nsw i64 {variable}, 1")
        last = writer.value(f"icmp eq i64 {following}, {end}")
        writer.line(f"br i1 {last}, label %{after}, label %{head}")
        writer.fill(
            phi, f"{variable} = phi i64 [ {begin}, %{before} ], [ {following}, %{writer.block} ]"
        )
        writer.begin(after)
