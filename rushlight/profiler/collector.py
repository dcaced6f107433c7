"""Collecting spans of time while programs run."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from time import perf_counter_ns
from typing import Any

from rushlight.engine.core.watch import watching
from rushlight.engine.ir.program import Node, Program
from rushlight.engine.runtime.cache import here
from rushlight.engine.runtime.executor import flush
from rushlight.profiler.events import (
    ANNOTATION,
    OPERATOR,
    RUNTIME,
    FunctionEvent,
    nested,
    this_thread,
)


class Collector:
    """Notes what runs between ``start`` and ``stop``.

    Operations are recorded first and run at the next flush. Interpreted programs give a span for
    every operation, compiled ones a span for the program. What Python took to record them is the
    span ``recording`` before it.

    Args:
        shapes: note the shapes of inputs.
        memory: note the size of results.
        stack: note the user's lines.
    """

    def __init__(self, shapes: bool = False, memory: bool = False, stack: bool = False) -> None:
        self.shapes = shapes
        self.memory = memory
        self.stack = stack
        self.events: list[FunctionEvent] = []
        self._marks: dict[int, int] = {}
        self._watching: ExitStack | None = None

    def start(self) -> None:
        """Begin; what was recorded before is run first."""
        if active.collector is not None:
            raise RuntimeError("Profiler is already enabled on this thread")
        flush("profiler")
        active.collector = self
        self._watching = ExitStack()
        self._watching.enter_context(watching(flush=self._flush, step=self._step))
        self._marks[this_thread()] = perf_counter_ns()

    def stop(self) -> None:
        """Run what has been recorded, and end."""
        if self._watching is None:
            return
        try:
            flush("profiler")
        finally:
            self._watching.close()
            self._watching = None
            active.collector = None

    def result(self) -> list[FunctionEvent]:
        """All spans."""
        return nested(self.events)

    def add(self, name: str, start: int, end: int, kind: str, **facts: Any) -> None:
        """Note a span."""
        self.events.append(FunctionEvent(name, start, end, this_thread(), kind, **facts))

    def boundary(self) -> int:
        """Run what was recorded so far, so that it is counted where it was written; the time."""
        flush("record_function")
        now = perf_counter_ns()
        self._marks[this_thread()] = now
        return now

    def _flush(self, trace: Any, program: Program, reason: str) -> Callable[[], None]:
        start = perf_counter_ns()
        thread = this_thread()
        if trace is not None and thread in self._marks and here.trace is not trace:
            self.add("recording", self._marks[thread], start, RUNTIME)
        known = len(self.events)
        start = perf_counter_ns()

        def ended() -> None:
            end = perf_counter_ns()
            interpreted = any(event.thread == thread for event in self.events[known:])
            if not interpreted and program.nodes:
                name = f"compiled program ({len(program.nodes)} operations)"
                self.add(name, start, end, OPERATOR)
            self.add(f"flush: {reason or 'read'}", start, perf_counter_ns(), RUNTIME)
            self._marks[thread] = perf_counter_ns()

        return ended

    def _step(self, node: Node, start: int, end: int, environment: list[Any]) -> None:
        facts: dict[str, Any] = {}
        if self.shapes:
            facts["input_shapes"] = [
                [] if meta is None else list(meta.shape) for meta in node.spec.inputs
            ]
        if self.memory:
            facts["self_cpu_memory_usage"] = sum(meta.nbytes for meta in node.spec.outs)
        if self.stack and node.location is not None:
            place = node.location
            facts["stack"] = [f"{place.filename}({place.line}): {place.function}"]
        self.add(f"aten::{node.spec.op.name}", start, end, OPERATOR, **facts)


class _Active:
    """The collector at work, if there is one."""

    collector: Collector | None = None


active = _Active()


class record_function:
    """Names a part of a program in the profile; a context manager and a decorator.

    While a profiler is on, what was recorded is run at the beginning and at the end of the part,
    so that operations are counted where they were written. Else it does nothing.
    See https://pytorch.org/docs/stable/autograd.html#torch.autograd.profiler.record_function.

    >>> import rushlight as torch
    >>> with torch.profiler.profile() as prof:
    ...     with torch.profiler.record_function("mine"):
    ...         x = torch.ones(3) + 1
    >>> [e.name for e in prof.events() if e.cpu_parent and e.cpu_parent.name == "mine"]
    ['recording', 'flush: record_function']
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name
        self.args = args
        self._start = 0
        self._collector: Collector | None = None

    def __enter__(self) -> record_function:
        self._collector = active.collector
        if self._collector is not None:
            self._start = self._collector.boundary()
        return self

    def __exit__(self, *exception: object) -> None:
        collector = self._collector
        if collector is not None and active.collector is collector:
            end = collector.boundary()
            collector.add(self.name, self._start, end, ANNOTATION)

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        name, args = self.name, self.args

        def call(*positional: Any, **named: Any) -> Any:
            with record_function(name, args):
                return function(*positional, **named)

        call.__name__ = getattr(function, "__name__", "call")
        call.__doc__ = function.__doc__
        return call
