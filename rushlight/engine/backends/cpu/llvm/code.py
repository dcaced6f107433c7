"""A program's machine code: made in two steps, then called once per training step."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter_ns
from typing import Any, Final

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.llvm import jit, store, template
from rushlight.engine.backends.cpu.llvm.context import PARALLEL, THREAD_LIMIT, Context
from rushlight.engine.backends.cpu.llvm.library import Shared
from rushlight.engine.backends.cpu.llvm.main import MAIN, MainWriter
from rushlight.engine.backends.cpu.llvm.math import WRITERS
from rushlight.engine.backends.cpu.llvm.module import Module
from rushlight.engine.backends.cpu.llvm.pace import Pace
from rushlight.engine.backends.cpu.onednn_prepared import BRIEF, address as address_of
from rushlight.engine.core import log
from rushlight.engine.ir.plan import KernelCall, Plan, PrimitiveCall

_TYPES: Final = (ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p)
_releasing = ctypes.CFUNCTYPE(*_TYPES)
_keeping = ctypes.PYFUNCTYPE(*_TYPES)


def microseconds(calls: Sequence[KernelCall | PrimitiveCall]) -> float:
    """What calls cost on one thread, roughly."""
    total = 0.0
    for call in calls:
        if isinstance(call, KernelCall):
            total += threads.cost(call.kernel.operations, call.kernel.moved)
        else:
            total += getattr(call.owner, "microseconds", BRIEF)
    return total


class NativeCode:
    """The code of one native segment of a plan.

    `compile` takes long and may run on any thread; `load` is quick and makes ``run``.

    Args:
        plan: the plan; its numbers and constants are used.
        calls: the calls of the segment.
        stamps: an array for the times at which its calls begin and the last one ends, seconds and
            nanoseconds in each row; by default they are not looked at.

    Attributes:
        text: the module in LLVM's language, once compiled.
        numbers: what a module that serves programs of many shapes reads from its table.
        cached: whether the machine code came from disk.
        main: the addresses of the loaded function and of its context.
        brief: whether other Python threads wait while it runs: getting the interpreter's lock back
            may take longer than the code does.
    """

    def __init__(
        self, plan: Plan, calls: Sequence[KernelCall | PrimitiveCall], stamps: Any = None
    ) -> None:
        self.plan = plan
        self.stamps = stamps
        self.calls = list(calls)
        self.epoch = threads.state.epoch
        self.text = ""
        self.cached = False
        self.main = 0, 0
        self.brief = False
        self._function: Callable[[int, int, int], int] | None = None
        self._pace: Pace | None = None
        self._kept: Any = None
        self._context = Context()
        self._shared = Shared(WRITERS)
        self._placements: list[Any] = []
        self.numbers: tuple[tuple[str, str], ...] = ()
        self._code: bytes | None = None

    def run(self, table: int, numbers: int) -> int:
        """Do the calls.

        Args:
            table, numbers: the addresses of the table of addresses and of the run-time numbers.

        Returns:
            0, or which call failed, counted from 1.
        """
        if self._function is None:
            raise RuntimeError("the code has not been loaded")
        return self.timed(self._function, table, numbers, self.main[1])

    def timed(self, function: Callable[..., int], *arguments: Any) -> int:
        """What ``function`` gives, which runs this code once."""
        pace = self._pace
        if pace is None:
            with threads.lock:
                return function(*arguments)
        with threads.lock:
            start = perf_counter_ns()
            result = function(*arguments)
            pace.note(perf_counter_ns() - start)
        return result

    def write(self) -> str:
        """Write the module's text."""
        self._context, self._shared = Context(), Shared(WRITERS)
        module = Module(self._shared, self._context)
        kinds = [kind for _, kind in self.plan.numbers]
        stamps = 0 if self.stamps is None else address_of(self.stamps)
        main = MainWriter(module, kinds, {0, *self.plan.constants}, stamps)
        body = main.text(self.calls)
        self._placements = main.placements
        self.text = module.text(body, jit.target().attributes)
        return self.text

    def compile(self) -> None:
        """Make the machine code.

        Raises:
            RuntimeError: LLVM does not accept it, which is an error of the code generator's.
        """
        text = self.write()
        if self.plan.varying:
            fitted = template.shared.fit(text)
            self.text = text = fitted.text
            self.numbers = fitted.numbers
        name = jit.identity(text)
        kept = store.shared()
        self._code = template.shared.code.get(name) or kept.get(name)
        self.cached = self._code is not None
        log.write("code", f"{'found on disk' if self.cached else 'compiled'}\n{text}")
        if self._code is None:
            self._code = jit.object_code(text)
            kept.put(name, self._code)
        if self.numbers:
            template.shared.code[name] = self._code

    def load(self, addresses: Mapping[int, int]) -> None:
        """Make the code callable.

        Args:
            addresses: where the arena (slot 0) lies, for good; constants lie in their arrays.

        Raises:
            RuntimeError: it has not been compiled; GNU OpenMP or oneDNN is missing.
        """
        if self._code is None:
            raise RuntimeError("the code has not been compiled")
        symbols = sorted(self._shared.symbols)
        loaded = jit.Loaded(self._code, MAIN, symbols, template.TABLE if self.numbers else None)
        template.fill(loaded.table, self.numbers)
        table = self._context.table()
        self.place(addresses)
        self.brief = microseconds(self.calls) < BRIEF
        teams = PARALLEL in self._context.needs and table[THREAD_LIMIT] > 1
        self._pace = Pace(table, THREAD_LIMIT) if teams else None
        self._kept = loaded, table
        self.main = loaded.address, ctypes.addressof(table)
        self._function = (_keeping if self.brief else _releasing)(loaded.address)

    def place(self, addresses: Mapping[int, int]) -> None:
        """Tell oneDNN where the memories lie that do not move from call to call."""
        if not self._placements:
            return
        set_handle = onednn.library().function("memory_set_data_handle", brief=True)
        constants = self.plan.constants
        for memory, place in self._placements:
            base = addresses.get(place.slot)
            if base is None:
                base = address_of(constants[place.slot])
            set_handle(memory, base + place.offset)
