"""Collecting spans of time while programs run."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from itertools import pairwise
from time import perf_counter_ns
from typing import Any

from rushlight.engine.core.watch import watching
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.plan import PrimitiveCall, PythonCall
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

#: Operations that the name of a kernel lists.
LISTED = 5

#: Characters of an operation in a trace.
LONGEST = 200


def call_name(call: Any) -> str:
    """What a span of compiled code is called: what runs, and the operations it does."""
    names = list(dict.fromkeys(node.spec.op.name for node in call.sources))
    if len(names) > LISTED:
        names = [*names[: LISTED - 1], f"{len(names) - LISTED + 1} more"]
    listed = ", ".join(names)
    if isinstance(call, PythonCall):
        return f"aten::{listed}"
    return f"{'onednn' if isinstance(call, PrimitiveCall) else 'kernel'}: {listed}"


def call_details(call: Any) -> dict[str, Any]:
    """What a trace says of a call of compiled code besides."""
    found: dict[str, Any] = {"Operations": [str(node)[:LONGEST] for node in call.sources]}
    if isinstance(call, PrimitiveCall):
        found["Threads"] = call.prepared.threads
        found["Implementation"] = call.prepared.implementation
    elif not isinstance(call, PythonCall):
        found["Threads"] = call.threads
        found["Kernel"] = call.kernel.name
    return found


class Collector:
    """Notes what runs between ``start`` and ``stop``.

    Operations are recorded first and run at the next flush. Interpreted programs give a span for
    every operation, compiled ones a span for the program with one for every kernel inside. What
    Python took to record them is the span ``recording`` before it.

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
        self._interpreted: set[int] = set()  # threads whose present program is interpreted
        self._calls: list[tuple[Sequence[Any], Sequence[int], int]] = []
        self._watching: ExitStack | None = None

    def start(self) -> None:
        """Begin; what was recorded before is run first."""
        if active.collector is not None:
            raise RuntimeError("Profiler is already enabled on this thread")
        flush("profiler")
        active.collector = self
        self._watching = ExitStack()
        self._watching.enter_context(watching(flush=self._flush, step=self._step, calls=self._note))
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
        self._put_calls()
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
        self._interpreted.discard(thread)
        if program.compiled is not None:
            program.compiled.with_clock()  # made before the time counts
        start = perf_counter_ns()

        def ended() -> None:
            end = perf_counter_ns()
            if thread not in self._interpreted and program.nodes:
                name = f"compiled program ({len(program.nodes)} operations)"
                self.add(name, start, end, OPERATOR)
            self.add(f"flush: {reason or 'read'}", start, perf_counter_ns(), RUNTIME)
            self._marks[thread] = perf_counter_ns()

        return ended

    def _note(self, calls: Sequence[Any], times: Sequence[int]) -> None:
        self._calls.append((calls, times, this_thread()))

    def _put_calls(self) -> None:
        """Spans for the calls of compiled programs; made late, as it takes longer than a call."""
        known: dict[int, tuple[str, dict[str, Any]]] = {}
        noted, self._calls = self._calls, []
        spans = [
            (call, start, end, thread)
            for calls, times, thread in noted
            for call, (start, end) in zip(calls, pairwise(times), strict=True)
        ]
        for call, start, end, thread in spans:
            if id(call) not in known:
                facts = {"details": call_details(call), **self._place(call.sources)}
                spec = call.sources[0].spec if len(call.sources) == 1 else None
                if self.shapes and spec is not None and not spec.op.variadic:
                    facts["input_shapes"] = _shapes(spec)
                known[id(call)] = call_name(call), facts
            name, facts = known[id(call)]
            self.events.append(FunctionEvent(name, start, end, thread, OPERATOR, **facts))

    def _step(self, node: Node, start: int, end: int, environment: list[Any]) -> None:
        self._interpreted.add(this_thread())
        self.add(f"aten::{node.spec.op.name}", start, end, OPERATOR, **self._facts(node))

    def _facts(self, node: Node) -> dict[str, Any]:
        facts = self._place([node])
        if self.shapes:
            facts["input_shapes"] = _shapes(node.spec)
        if self.memory:
            facts["self_cpu_memory_usage"] = sum(meta.nbytes for meta in node.spec.outs)
        return facts

    def _place(self, nodes: Sequence[Node]) -> dict[str, Any]:
        """The user's line of the first of some operations that has one."""
        places = [node.location for node in nodes if self.stack and node.location is not None]
        if not places:
            return {}
        return {"stack": [f"{places[0].filename}({places[0].line}): {places[0].function}"]}


def _shapes(spec: Spec) -> list[list[int]]:
    return [[] if meta is None else list(meta.shape) for meta in spec.inputs]


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
