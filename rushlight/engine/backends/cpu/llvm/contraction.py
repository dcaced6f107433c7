"""From a contraction to instructions: sums in registers, vectors of the processor's width.

LLVM turns simple loops into vectors, but keeps no tile of a product in registers: a sum of products
in a loop nest reaches a tenth of what the processor can do. So tiles are written out here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import product
from typing import Any, Final

from rushlight.engine.backends.cpu.llvm.scalar import Scalars
from rushlight.engine.ir.loops import Axis, Buffer, Contract, Index

#: Vectors of a summed axis up to which all are written out.
FEW_VECTORS: Final = 3

Place = dict[Axis, int]


class ContractWriter:
    """Writes one contraction.

    Args:
        scalars: of the function it is written into.
        repeat: writes a loop: ``repeat(first turn, end, what writes a turn)``.
        width: elements of a vector.
    """

    def __init__(self, scalars: Scalars, repeat: Any, item: Contract, width: int) -> None:
        self.scalars = scalars
        self.writer = scalars.writer
        self.repeat = repeat
        self.item = item
        self.width = width
        self.vector = f"<{width} x float>"
        self._loaded: dict[Any, str] = {}
        self._sums: dict[Any, str] = {}  # the variable of each sum
        self._running: dict[str, str] = {}  # what has not been stored in its variable yet

    def write(self) -> None:
        """The whole tile."""
        item = self.item
        self.first = self._begin(*item.first)
        self.second = self._begin(*item.second)
        self.result = self._begin(*item.result)
        self.places = [
            dict(zip(item.kept, place, strict=True))
            for place in product(*[range(axis.size) for axis in item.kept])
        ]
        self._start()
        self._walk(item.summed, {}, self.first, self.second)
        self._settle()
        if item.sums_lanes:
            self._store_totals()
        else:
            self._store_vectors()

    # addresses ---------------------------------------------------------------------------------

    def _begin(self, buffer: Buffer, index: Index) -> str:
        for part, _ in index.dynamic:
            self.scalars.emit(part)
        return self.scalars.address(buffer, index)

    def _at(self, base: str, offset: int) -> str:
        if not offset:
            return base
        return self.writer.value(f"getelementptr float, ptr {base}, i64 {offset}")

    def _moved(self, base: str, register: str, step: int) -> str:
        """``base`` after so many turns of a loop."""
        if not step:
            return base
        far = self.writer.value(f"mul nsw i64 {register}, {step}")
        return self.writer.value(f"getelementptr float, ptr {base}, i64 {far}")

    def _offset(self, where: Place, array: int) -> int:
        return sum(axis.at(place)[array] for axis, place in where.items())

    # vectors -----------------------------------------------------------------------------------

    def _vectors(self) -> list[tuple[int, tuple[int, int] | None]]:
        """Where the vectors of a kept axis of lanes begin; the last one may overlap."""
        size = self.item.lanes.size
        if size < self.width:
            return [(0, (0, size))]
        begins = list(range(0, size - self.width + 1, self.width))
        if size % self.width:
            begins.append(size - self.width)
        return [(begin, None) for begin in begins]

    def _mask(self, valid: tuple[int, int]) -> str:
        bits = ["true" if valid[0] <= k < valid[1] else "false" for k in range(self.width)]
        return f"<{self.width} x i1> <{', '.join('i1 ' + bit for bit in bits)}>"

    def _load(self, base: str, offset: int, valid: tuple[int, int] | None) -> str:
        """A vector; where it is not valid, zeros, and memory there is not touched."""
        key = base, offset, valid
        found = self._loaded.get(key)
        if found is None:
            where = self._at(base, offset)
            if valid is None:
                made = f"load {self.vector}, ptr {where}, align 4"
            else:
                name = self.scalars.shared.declare(
                    f"llvm.masked.load.v{self.width}f32.p0", self.vector,
                    "ptr", "i32", f"<{self.width} x i1>", self.vector,
                )  # fmt: skip
                made = (
                    f"call {self.vector} {name}(ptr {where}, i32 4, {self._mask(valid)}, "
                    f"{self.vector} zeroinitializer)"
                )
            found = self._loaded[key] = self.writer.value(made)
        return found

    def _spread(self, base: str, offset: int) -> str:
        """An element in all places of a vector."""
        key = base, offset, "spread"
        found = self._loaded.get(key)
        if found is None:
            value = self.writer.value
            one = value(f"load float, ptr {self._at(base, offset)}, align 4")
            first = value(f"insertelement {self.vector} poison, float {one}, i64 0")
            zeros = f"<{self.width} x i32> zeroinitializer"
            found = self._loaded[key] = value(
                f"shufflevector {self.vector} {first}, {self.vector} poison, {zeros}"
            )
        return found

    # sums --------------------------------------------------------------------------------------

    def _start(self) -> None:
        """The sums begin."""
        item = self.item
        vectors = [(0, None)] if item.sums_lanes else self._vectors()
        base = "" if item.start is None else self._begin(*item.start[:2])
        for number, where in enumerate(self.places):
            value = "zeroinitializer"
            if item.start is not None and not item.sums_lanes:
                value = self._spread(base, self._start_offset(where))
            for begin, _ in vectors:
                variable = self._sums[number, begin] = self.writer.variable(self.vector)
                self.writer.line(f"store {self.vector} {value}, ptr {variable}, align 8")

    def _start_offset(self, where: Place) -> int:
        assert self.item.start is not None
        pairs = zip(where.values(), self.item.start[2], strict=True)
        return sum(place * step for place, step in pairs)

    def _walk(self, axes: Sequence[Axis], where: Place, first: str, second: str) -> None:
        """The loops over the summed axes, outer ones first."""
        if not axes:
            self._lanes(where, first, second)
            return
        axis, rest = axes[0], axes[1:]
        if axis.written_out or axis.size == 1:
            for place in range(axis.size):
                self._walk(rest, {**where, axis: place}, first, second)
            return

        def turn(register: str) -> None:
            begin = self._moved(first, register, axis.steps[0])
            other = self._moved(second, register, axis.steps[1])
            self._walk(rest, where, begin, other)

        self._loop(axis.size, turn)

    def _loop(self, turns: int, turn: Callable[[str], None]) -> None:
        """A loop: what it needs and makes goes through memory, which LLVM turns into registers."""

        def one(register: str) -> None:
            turn(register)
            self._settle()

        self._settle()
        self.repeat("0", str(turns), one)

    def _settle(self) -> None:
        """Store the sums; another block follows."""
        for variable, value in self._running.items():
            self.writer.line(f"store {self.vector} {value}, ptr {variable}, align 8")
        self._running.clear()
        self._loaded.clear()

    def _lanes(self, where: Place, first: str, second: str) -> None:
        item = self.item
        if not item.sums_lanes:
            self._add(where, first, second, self._vectors())
            return
        whole, rest = divmod(item.lanes.size, self.width)
        tail = [(whole * self.width, (0, rest))] if rest else []
        if whole <= FEW_VECTORS:
            for begin in range(whole):
                self._add(where, first, second, [(begin * self.width, None)])
        else:
            def turn(register: str) -> None:
                here = self._moved(first, register, self.width)
                there = self._moved(second, register, self.width)
                self._add(where, here, there, [(0, None)])

            self._loop(whole, turn)
        for vector in tail:
            self._add(where, first, second, [vector])

    def _add(self, summed: Place, first: str, second: str, vectors: Sequence[Any]) -> None:
        """Add one product to each sum."""
        writer, item = self.writer, self.item
        add = self.scalars.shared.declare(
            f"llvm.fmuladd.v{self.width}f32", self.vector, *[self.vector] * 3
        )
        for number, kept in enumerate(self.places):
            where = {**summed, **kept}
            right = self._offset(where, 1)
            for begin, valid in vectors:
                seen = self._valid(where, begin, valid)
                if seen is not None and seen[0] >= seen[1]:
                    continue
                x = self._load(first, self._offset(where, 0) + begin, seen)
                if item.sums_lanes:
                    y = self._load(second, right + begin, seen)
                else:
                    y = self._spread(second, right)
                variable = self._sums[number, 0 if item.sums_lanes else begin]
                before = self._running.get(variable)
                if before is None:
                    before = writer.value(f"load {self.vector}, ptr {variable}, align 8")
                terms = ", ".join(f"{self.vector} {part}" for part in (x, y, before))
                self._running[variable] = writer.value(f"call {self.vector} {add}({terms})")

    def _valid(self, where: Place, begin: int, valid: tuple[int, int] | None) -> Any:
        """The lanes of a vector in which the first factor is not zero; ``None``: all."""
        walked: dict[tuple[int, int], int] = {}
        for axis, place in where.items():
            if axis.edge is not None:
                step = axis.steps[0] // axis.edge[0]
                walked[axis.edge] = walked.get(axis.edge, 0) + step * place
        low, high = (0, self.width) if valid is None else valid
        for edge, place in walked.items():
            if edge == self.item.lanes.edge:
                low, high = max(low, -place - begin), min(high, edge[1] - place - begin)
            elif not 0 <= place < edge[1]:
                return 0, 0
        return None if (low, high) == (0, self.width) else (low, high)

    # results -----------------------------------------------------------------------------------

    def _sum(self, number: int, begin: int) -> str:
        return self.writer.value(f"load {self.vector}, ptr {self._sums[number, begin]}, align 8")

    def _store_vectors(self) -> None:
        for number, where in enumerate(self.places):
            for begin, valid in self._vectors():
                total = self._sum(number, begin)
                place = self._at(self.result, self._offset(where, 2) + begin)
                if valid is None:
                    self.writer.line(f"store {self.vector} {total}, ptr {place}, align 4")
                    continue
                name = self.scalars.shared.declare(
                    f"llvm.masked.store.v{self.width}f32.p0", "void",
                    self.vector, "ptr", "i32", f"<{self.width} x i1>",
                )  # fmt: skip
                self.writer.line(
                    f"call void {name}({self.vector} {total}, ptr {place}, i32 4, "
                    f"{self._mask(valid)})"
                )

    def _store_totals(self) -> None:
        """Add up the lanes of every sum, and store rows of them."""
        writer, item = self.writer, self.item
        totals = self._totals([self._sum(number, 0) for number in range(len(self.places))])
        last = item.kept[-1] if item.kept else None
        side_by_side = last is not None and last.steps[2] == 1
        run = last.size if last is not None and side_by_side else 1
        kind = f"<{run} x float>"
        base = "" if item.start is None else self._begin(*item.start[:2])
        for number in range(0, len(self.places), run):
            where = self.places[number]
            value = self._picked(totals, number, run)
            if item.start is not None:
                begin = self._start_row(base, self._start_offset(where), run)
                value = writer.value(f"fadd {kind} {value}, {begin}")
            place = self._at(self.result, self._offset(where, 2))
            writer.line(f"store {kind} {value}, ptr {place}, align 4")

    def _start_row(self, base: str, offset: int, run: int) -> str:
        """What a row of sums begins with."""
        assert self.item.start is not None
        step = self.item.start[2][-1] if run > 1 else 1
        kind, place = f"<{run} x float>", self._at(base, offset)
        if step == 1:
            return self.writer.value(f"load {kind}, ptr {place}, align 4")
        one = self.writer.value(f"load float, ptr {place}, align 4")
        first = self.writer.value(f"insertelement {kind} poison, float {one}, i64 0")
        return self._shuffled(first, None, [0] * run, run)

    def _shuffled(self, x: str, y: str | None, lanes: Sequence[int], width: int) -> str:
        """Elements of two vectors of a width side by side."""
        kind = f"<{width} x float>"
        chosen = ", ".join(f"i32 {lane}" for lane in lanes)
        return self.writer.value(
            f"shufflevector {kind} {x}, {kind} {y or 'poison'}, <{len(lanes)} x i32> <{chosen}>"
        )

    def _totals(self, sums: list[str]) -> list[str]:
        """The sums of the lanes of vectors, in vectors: pairs are halved and put together."""
        half = self.width // 2
        while half:
            made = []
            for k in range(0, len(sums), 2):
                x = sums[k]
                y = sums[k + 1] if k + 1 < len(sums) else None
                low = [lane for lane in range(2 * self.width) if lane % (2 * half) < half]
                high = [lane + half for lane in low]
                if y is None:  # anything: nobody looks at these lanes
                    low = [lane % self.width for lane in low]
                    high = [lane % self.width for lane in high]
                first = self._shuffled(x, y, low, self.width)
                second = self._shuffled(x, y, high, self.width)
                made.append(self.writer.value(f"fadd {self.vector} {first}, {second}"))
            sums = made
            half //= 2
        return sums

    def _picked(self, totals: list[str], number: int, run: int) -> str:
        """Totals from a number on, as one vector."""
        block, lane = divmod(number, self.width)
        follows = totals[block + 1] if lane + run > self.width else None
        return self._shuffled(totals[block], follows, range(lane, lane + run), self.width)
