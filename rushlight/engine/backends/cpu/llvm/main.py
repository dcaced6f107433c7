"""The generated ``main``: the calls of a program, one after the other.

``i32 main(ptr table, ptr numbers, ptr context)``: the addresses of the slots, the run-time numbers
and the context. It returns 0, or for the call that failed its place, counted from 1.
"""

from __future__ import annotations

import ctypes
import time
from collections.abc import Collection, Sequence
from typing import Final

from rushlight.engine.backends.cpu.llvm import context
from rushlight.engine.backends.cpu.llvm.module import Module, load_entry
from rushlight.engine.backends.cpu.llvm.writer import Writer, literal, register_type
from rushlight.engine.core.dtype import FLOATING, dtype, float64, int64
from rushlight.engine.ir.plan import Constant, KernelCall, Place, PrimitiveCall

#: The name of the function that is called from outside.
MAIN = "rushlight_main"


class Clock:
    """The system's clock that `time.perf_counter_ns` reads, for code: seconds and nanoseconds."""

    SIZE: Final = 16
    NUMBER: Final = getattr(time, "CLOCK_UPTIME_RAW", None) or getattr(time, "CLOCK_MONOTONIC", 0)

    @staticmethod
    def function() -> int:
        """The address of ``clock_gettime(number, place)``."""
        found = ctypes.cast(ctypes.CDLL(None).clock_gettime, ctypes.c_void_p).value
        assert found is not None
        return found


class MainWriter:
    """Writes ``main``.

    Args:
        module: where kernels go.
        numbers: for each run-time number ``"d"`` (float64) or ``"q"`` (int64).
        fixed: slots whose address stays the same from call to call: the arena's and constants'.
        stamps: where to note the time before every call and after the last one (`Clock`), or 0.
    """

    def __init__(
        self, module: Module, numbers: Sequence[str], fixed: Collection[int], stamps: int = 0
    ) -> None:
        self.module = module
        self.context = module.context
        self.numbers = [float64 if kind == "d" else int64 for kind in numbers]
        self.fixed = fixed
        self.writer = Writer(f"define i32 @{MAIN}(ptr %table, ptr %numbers, ptr %context)")
        self._slots: dict[int, str] = {}
        self._entries: dict[int, str] = {}
        self._known: dict[tuple[int, dtype], str] = {}
        self._threads: int | None = None
        self._before: str | None = None
        #: For each memory object that never moves: how to tell it where it lies.
        self.placements: list[tuple[int, Place]] = []
        self._stamps = ""
        if stamps:
            self._clock = self._entry(self.context.add(Clock.function()))
            self._stamps = self._entry(self.context.add(stamps))

    def text(self, calls: Sequence[KernelCall | PrimitiveCall]) -> str:
        """The function that does these calls in order."""
        writer = self.writer
        shared = _shared_objects(calls)
        primitives = any(isinstance(call, PrimitiveCall) for call in calls)
        status = place = ""
        if primitives:
            place = writer.variable("i32")
            self._before = self._ask_threads()
            status = "failed"
        for number, call in enumerate(calls):
            self._stamp(number)
            if isinstance(call, KernelCall):
                self._kernel(call)
            else:
                self._primitive(call, number, id(call.prepared) in shared, place, status)
        self._stamp(len(calls))
        self._restore()
        writer.line("ret i32 0")
        if primitives:
            writer.begin(status)
            self._restore()
            writer.line(f"ret i32 {writer.value(f'load i32, ptr {place}')}")
        return writer.text()

    # addresses and numbers ---------------------------------------------------------------------

    def _address(self, place: Place) -> str:
        base = self._slots.get(place.slot)
        if base is None:
            base = load_entry(self.writer, "%table", place.slot, "ptr")
            self._slots[place.slot] = base
        if not place.offset:
            return base
        return self.writer.value(f"getelementptr inbounds i8, ptr {base}, i64 {place.offset}")

    def _entry(self, entry: int, kind: str = "ptr") -> str:
        """An entry of the context, read once."""
        found = self._entries.get(entry)
        if found is None:
            found = self._entries[entry] = load_entry(self.writer, "%context", entry, kind)
        return found

    def _number(self, what: int | Constant, kind: dtype) -> str:
        if isinstance(what, Constant):
            return literal(what.value, kind)
        found = self._known.get((what, kind))
        if found is None:
            have = self.numbers[what]
            found = load_entry(self.writer, "%numbers", what, register_type(have))
            if have is not kind:
                how = "sitofp" if kind.category == FLOATING else "fptosi"
                found = self.writer.value(
                    f"{how} {register_type(have)} {found} to {register_type(kind)}"
                )
            self._known[what, kind] = found
        return found

    # calls -------------------------------------------------------------------------------------

    def _kernel(self, call: KernelCall) -> None:
        name, team = self.module.kernel(call.kernel, call.threads)
        passed = ["ptr %context", f"i32 {call.threads}"] if team else []
        passed += [f"ptr {self._address(place)}" for place in call.places]
        passed += [
            f"{register_type(kind)} {self._number(what, kind)}"
            for what, kind in zip(call.numbers, call.kernel.scalars, strict=True)
        ]
        self.writer.line(f"call void @{name}({', '.join(passed)})")

    def _primitive(
        self, call: PrimitiveCall, number: int, shared: bool, place: str, failed: str
    ) -> None:
        writer, prepared = self.writer, call.prepared
        handles = list(zip(prepared.handles, call.places, strict=True))
        if call.scratch is not None:
            spot = call.scratch
            for memory, offset in prepared.internal:
                handles.append((memory.address, Place(spot.slot, spot.offset + offset)))
        for handle, target in handles:
            if target.slot in self.fixed and not shared:
                self.placements.append((handle, target))
                continue
            function = self._entry(self.context.need(context.SET_HANDLE))
            memory = self._entry(self.context.add(handle))
            writer.value(f"call i32 {function}(ptr {memory}, ptr {self._address(target)})")
        self._set_threads(prepared.threads)
        execute = self._entry(self.context.need(context.EXECUTE))
        stream = self._entry(self.context.need(context.STREAM))
        for primitive, count, arguments in prepared.executions:
            what = self._entry(self.context.add(primitive))
            where = self._entry(self.context.add(arguments))
            result = writer.value(
                f"call i32 {execute}(ptr {what}, ptr {stream}, i32 {count}, ptr {where})"
            )
            writer.line(f"store i32 {number + 1}, ptr {place}")
            good, following = writer.value(f"icmp eq i32 {result}, 0"), writer.name("next")
            writer.line(f"br i1 {good}, label %{following}, label %{failed}")
            writer.begin(following)

    def _stamp(self, number: int) -> None:
        if self._stamps:
            where = f"getelementptr inbounds i8, ptr {self._stamps}, i64 {Clock.SIZE * number}"
            spot = self.writer.value(where)
            self.writer.value(f"call i32 {self._clock}(i32 {Clock.NUMBER}, ptr {spot})")

    # threads -----------------------------------------------------------------------------------

    def _ask_threads(self) -> str:
        function = self._entry(self.context.need(context.MAX_THREADS))
        self._entry(self.context.need(context.SET_THREADS))
        return self.writer.value(f"call i32 {function}()")

    def _set_threads(self, count: int) -> None:
        if count != self._threads:
            self._threads = count
            function = self._entry(self.context.need(context.SET_THREADS))
            self.writer.line(f"call void {function}(i32 {count})")

    def _restore(self) -> None:
        if self._before is not None:
            function = self._entry(self.context.need(context.SET_THREADS))
            self.writer.line(f"call void {function}(i32 {self._before})")


def _shared_objects(calls: Sequence[KernelCall | PrimitiveCall]) -> set[int]:
    """Prepared objects that occur more than once: their memories move during a step."""
    seen: set[int] = set()
    twice: set[int] = set()
    for call in calls:
        if isinstance(call, PrimitiveCall):
            key = id(call.prepared)
            (twice if key in seen else seen).add(key)
    return twice
