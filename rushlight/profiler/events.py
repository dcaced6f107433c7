"""What a profiler has seen: spans of time, one inside the other."""

from __future__ import annotations

import threading
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

from rushlight.profiler.table import format_memory, format_table, format_time

#: Kinds of spans.
OPERATOR, ANNOTATION, RUNTIME = "cpu_op", "user_annotation", "cpu_runtime"


@dataclass(eq=False)
class FunctionEvent:
    """A span of time in which something ran.

    Attributes:
        name: an operator (``aten::add``), the name of a ``record_function``, or what the engine
            did (``recording``, ``flush: item()``).
        start_ns, end_ns: when, in nanoseconds of ``time.perf_counter_ns``.
        thread: the thread's identity.
        kind: ``"cpu_op"``, ``"user_annotation"`` or ``"cpu_runtime"``.
        input_shapes: shapes of the inputs, where asked for.
        self_cpu_memory_usage: bytes of the results, where asked for.
        stack: the user's lines, where asked for.
        details: what else is known: the operations that compiled code comes from, its threads.
        id: its number.
        cpu_parent, cpu_children: the span around it, the spans inside it.
    """

    name: str
    start_ns: int
    end_ns: int
    thread: int
    kind: str = OPERATOR
    input_shapes: list[Any] = field(default_factory=list)
    self_cpu_memory_usage: int = 0
    stack: list[str] = field(default_factory=list)
    details: dict[str, Any] = field(default_factory=dict)
    id: int = 0
    cpu_parent: FunctionEvent | None = None
    cpu_children: list[FunctionEvent] = field(default_factory=list)

    count = 1
    is_async = is_remote = is_legacy = False

    @property
    def key(self) -> str:
        """The name."""
        return self.name

    @property
    def cpu_time_total(self) -> float:
        """How long it took, in microseconds."""
        return (self.end_ns - self.start_ns) / 1000

    cpu_time = cpu_time_total

    @property
    def self_cpu_time_total(self) -> float:
        """How long it took without the spans inside it, in microseconds."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    @property
    def cpu_memory_usage(self) -> int:
        """Bytes of the results, with those of the spans inside."""
        inner = sum(child.cpu_memory_usage for child in self.cpu_children)
        return self.self_cpu_memory_usage + inner

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} cpu_time={self.cpu_time_total_str} "
            f"start_us={self.start_ns / 1000:.3f} end_us={self.end_ns / 1000:.3f} "
            f"cpu_children={[child.id for child in self.cpu_children]} thread={self.thread}>"
        )

    @property
    def cpu_time_total_str(self) -> str:
        """``cpu_time_total`` with its unit."""
        return format_time(self.cpu_time_total)


class FunctionEventAvg:
    """All spans of one name (and, where asked for, the same shapes), added up."""

    def __init__(self) -> None:
        self.key = ""
        self.count = 0
        self.cpu_time_total = 0.0
        self.self_cpu_time_total = 0.0
        self.cpu_memory_usage = 0
        self.self_cpu_memory_usage = 0
        self.input_shapes: Any = None
        self.stack: list[str] = []
        self.kind = OPERATOR

    cuda_time_total = self_cuda_time_total = device_time_total = self_device_time_total = 0.0
    device_memory_usage = self_device_memory_usage = flops = 0
    is_user_annotation = False

    def add(self, event: FunctionEvent | FunctionEventAvg) -> FunctionEventAvg:
        """Add another span, or other sums."""
        self.key = self.key or event.key
        self.count += event.count
        # what is inside a span of the same name has been counted with that already
        inner = isinstance(event, FunctionEvent) and _inside_same(event)
        self.cpu_time_total += 0.0 if inner else event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total
        self.cpu_memory_usage += 0 if inner else event.cpu_memory_usage
        self.self_cpu_memory_usage += event.self_cpu_memory_usage
        self.input_shapes = event.input_shapes
        self.stack = event.stack
        self.kind = event.kind
        return self

    @property
    def cpu_time(self) -> float:
        """The time of one call on the average, in microseconds."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        """``cpu_time`` with its unit."""
        return format_time(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        """``cpu_time_total`` with its unit."""
        return format_time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        """``self_cpu_time_total`` with its unit."""
        return format_time(self.self_cpu_time_total)

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} input_shapes={self.input_shapes or ''} "
            f"cpu_memory_usage={self.cpu_memory_usage}>"
        )


def _inside_same(event: FunctionEvent) -> bool:
    parent = event.cpu_parent
    while parent is not None:
        if parent.name == event.name:
            return True
        parent = parent.cpu_parent
    return False


class EventList(list[Any]):
    """Spans, or their sums, with the ways to look at them."""

    def __init__(self, events: Iterable[Any] = (), profile_memory: bool = False) -> None:
        super().__init__(events)
        self.profile_memory = profile_memory

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all, in microseconds."""
        return sum(event.self_cpu_time_total for event in self)

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0
    ) -> EventList:
        """The sums of all spans of each name.

        Args:
            group_by_input_shapes: tell calls with inputs of different shapes apart.
            group_by_stack_n: tell calls from different lines apart.
        """
        sums: dict[Any, FunctionEventAvg] = defaultdict(FunctionEventAvg)
        for event in self:
            key: tuple[Any, ...] = (event.name,)
            if group_by_input_shapes:
                key += (str(event.input_shapes),)
            if group_by_stack_n:
                key += tuple(event.stack[:group_by_stack_n])
            found = sums[key].add(event)
            if not group_by_input_shapes:
                found.input_shapes = None
            if not group_by_stack_n:
                found.stack = []
        return EventList(sums.values(), self.profile_memory)

    def total_average(self) -> FunctionEventAvg:
        """The sum of everything."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
        total.key = "Total"
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int = 75,
        max_name_column_width: int = 55,
        max_shapes_column_width: int = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The spans as a table.

        Args:
            sort_by: ``"cpu_time_total"``, ``"self_cpu_time_total"``, ``"cpu_time"``, ``"count"``,
                ``"cpu_memory_usage"``, ``"self_cpu_memory_usage"``; the largest come first.
            row_limit: how many rows; -1 for all.
            time_unit: ``"s"``, ``"ms"`` or ``"us"``; chosen for each entry by default.
        """
        events = list(self)
        if top_level_events_only:
            events = [event for event in events if getattr(event, "cpu_parent", None) is None]
        if sort_by is not None:
            events.sort(key=lambda event: getattr(event, sort_by), reverse=True)
        shown = events if row_limit < 0 else events[:row_limit]
        total = self.self_cpu_time_total
        columns: dict[str, Callable[[Any], str]] = {
            "Name": lambda e: _shortened(e.key, max_name_column_width),
            "Self CPU %": lambda e: _share(e.self_cpu_time_total, total),
            "Self CPU": lambda e: format_time(e.self_cpu_time_total, time_unit),
            "CPU total %": lambda e: _share(e.cpu_time_total, total),
            "CPU total": lambda e: format_time(e.cpu_time_total, time_unit),
            "CPU time avg": lambda e: format_time(e.cpu_time, time_unit),
        }
        if self.profile_memory:
            columns["CPU Mem"] = lambda e: format_memory(e.cpu_memory_usage)
            columns["Self CPU Mem"] = lambda e: format_memory(e.self_cpu_memory_usage)
        columns["# of Calls"] = lambda e: str(e.count)
        if any(event.input_shapes for event in shown):
            columns["Input Shapes"] = lambda e: _shortened(
                str(e.input_shapes or []), max_shapes_column_width
            )
        if any(event.stack for event in shown):
            columns["Source Location"] = lambda e: _shortened(
                e.stack[0] if e.stack else "", max_src_column_width
            )
        rows = [[make(event) for make in columns.values()] for event in shown]
        footer = f"Self CPU time total: {format_time(total, time_unit)}"
        return format_table(list(columns), rows, footer, header)

    def __str__(self) -> str:
        return self.table()


def _shortened(text: str, width: int) -> str:
    return text if width < 0 or len(text) <= width else text[: width - 3] + "..."


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.2f}%" if whole else "0.00%"


def nested(events: Iterable[FunctionEvent]) -> list[FunctionEvent]:
    """The spans in the order in which they began, each linked with the span around it.

    >>> outer, inner = FunctionEvent("a", 0, 10, 1), FunctionEvent("b", 2, 5, 1)
    >>> _ = nested([inner, outer])
    >>> inner.cpu_parent is outer, outer.self_cpu_time_total
    (True, 0.007)
    """
    ordered = sorted(events, key=lambda event: (event.start_ns, -event.end_ns))
    open_spans: dict[int, list[FunctionEvent]] = defaultdict(list)
    for number, event in enumerate(ordered, 1):
        event.id = number
        event.cpu_parent, event.cpu_children = None, []
        stack = open_spans[event.thread]
        while stack and stack[-1].end_ns <= event.start_ns:
            stack.pop()
        if stack:
            event.cpu_parent = stack[-1]
            stack[-1].cpu_children.append(event)
        stack.append(event)
    return ordered


def this_thread() -> int:
    """The identity of the calling thread."""
    return threading.get_ident()
