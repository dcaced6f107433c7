"""``torch.profiler.profile``: what takes how long, over the steps of a training."""

from __future__ import annotations

import gzip
import json
import os
import socket
import time
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any

from rushlight.profiler.collector import Collector, record_function
from rushlight.profiler.events import EventList, FunctionEvent


class ProfilerActivity(Enum):
    """Where things run; only the processor is looked at."""

    CPU = 0
    XPU = 1
    CUDA = 3
    MTIA = 2


class ProfilerAction(Enum):
    """What to do in a step.

    >>> ProfilerAction.RECORD.value
    2
    """

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def supported_activities() -> set[ProfilerActivity]:
    """The activities that can be looked at.

    >>> supported_activities()
    {<ProfilerActivity.CPU: 0>}
    """
    return {ProfilerActivity.CPU}


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:  # fmt: skip
    """A function that says what to do in a step: wait, warm up, record, and again.

    Args:
        wait, warmup, active: how many steps of each.
        repeat: how often; 0: until the end.
        skip_first: steps before the first cycle.
        skip_first_wait: begin the first cycle without waiting.

    >>> plan = schedule(wait=1, warmup=1, active=2, repeat=1)
    >>> [plan(i).name for i in range(5)]
    ['NONE', 'WARMUP', 'RECORD', 'RECORD_AND_SAVE', 'NONE']
    """
    if wait < 0 or warmup < 0 or active < 0 or repeat < 0 or skip_first < 0:
        raise AssertionError("Invalid profiler schedule arguments. ")

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError("Step must be non-negative")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait:
            step += wait
        cycle = wait + warmup + active
        if repeat and step // cycle >= repeat:
            return ProfilerAction.NONE
        within = step % cycle
        if within < wait:
            return ProfilerAction.NONE
        if within < wait + warmup:
            return ProfilerAction.WARMUP
        last = within == cycle - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action


def _always(step: int) -> ProfilerAction:
    return ProfilerAction.RECORD


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False,
    use_python_export: bool = False,
) -> Callable[[profile], None]:  # fmt: skip
    """A function for ``on_trace_ready`` that writes each trace into a folder for TensorBoard.

    Args:
        dir_name: the folder.
        worker_name: part of the file's name; host and process by default.
        use_gzip: compress the file.
    """
    if not os.path.isdir(dir_name):
        os.makedirs(dir_name, exist_ok=True)

    def write(prof: profile) -> None:
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        prof.export_chrome_trace(os.path.join(dir_name, name))

    return write


class profile:
    """Notes how long operations take, and where.

    While it is on, there is a clock beside every operation of the interpreter and every kernel of
    compiled programs. See https://pytorch.org/docs/stable/profiler.html.

    Args:
        activities: accepted; the processor is looked at.
        schedule: what to do in which step, see ``schedule``; everything is recorded by default.
        on_trace_ready: called with the profiler when a cycle of the schedule is complete.
        record_shapes: note the shapes of inputs.
        profile_memory: note the size of results.
        with_stack: note the user's lines.
        with_flops, with_modules, experimental_config, execution_trace_observer, acc_events,
            use_cuda, custom_trace_id_callback: accepted.

    >>> import rushlight as torch
    >>> with torch.profiler.profile(record_shapes=True) as prof:
    ...     _ = (torch.ones(2, 3) @ torch.ones(3, 4)).sum().item()
    >>> rows = prof.key_averages()
    >>> sorted(row.key for row in rows if row.key.startswith("aten"))
    ['aten::mm', 'aten::sum_all']
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[..., Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Any = None,
    ) -> None:
        chosen = supported_activities() if activities is None else set(activities)
        if not chosen:
            raise AssertionError("No valid profiler activities found")
        self.activities = chosen
        self.schedule = schedule or _always
        self._scheduled = schedule is not None
        self.on_trace_ready = on_trace_ready
        self.record_shapes = record_shapes
        self.profile_memory = profile_memory
        self.with_stack = with_stack
        self.step_num = 0
        self.current_action = self.schedule(0)
        self._collector: Collector | None = None
        self._events: list[FunctionEvent] = []
        self._step_span: record_function | None = None
        self._metadata: dict[str, Any] = {}

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    # steps -------------------------------------------------------------------------------------

    def start(self) -> None:
        """Begin with step 0."""
        self._turn(ProfilerAction.NONE, self.current_action)
        self._open_step()

    def stop(self) -> None:
        """End; a cycle that is being recorded is handed on."""
        self._close_step()
        recording = self.current_action in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        self._stop_recording()
        if recording and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """Say that the next step of the training begins."""
        self._close_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        self._turn(before, self.current_action)
        self._open_step()

    def _turn(self, before: ProfilerAction, now: ProfilerAction) -> None:
        if before is ProfilerAction.RECORD_AND_SAVE:
            self._stop_recording()
            if self.on_trace_ready is not None:
                self.on_trace_ready(self)
        wanted = now in (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if wanted and self._collector is None:
            self._collector = Collector(self.record_shapes, self.profile_memory, self.with_stack)
            self._collector.start()
        elif not wanted:
            self._stop_recording()

    def _stop_recording(self) -> None:
        if self._collector is not None:
            self._collector.stop()
            self._events = self._collector.result()
            self._collector = None

    def _open_step(self) -> None:
        if self._scheduled and self._collector is not None:
            self._step_span = record_function(f"ProfilerStep#{self.step_num}").__enter__()

    def _close_step(self) -> None:
        if self._step_span is not None:
            self._step_span.__exit__()
            self._step_span = None

    # results -----------------------------------------------------------------------------------

    def events(self) -> EventList:
        """All spans of the last cycle."""
        if self._collector is not None:
            return EventList(self._collector.result(), self.profile_memory)
        return EventList(self._events, self.profile_memory)

    def key_averages(
        self, group_by_input_shape: bool = False, group_by_stack_n: int = 0, **_: Any
    ) -> EventList:
        """The sums of all spans of each name; its ``table()`` is what one prints."""
        return self.events().key_averages(group_by_input_shape, group_by_stack_n)

    def add_metadata(self, key: str, value: str) -> None:
        """Add a string to the exported trace."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Add a value, given as JSON, to the exported trace."""
        self._metadata[key] = json.loads(value)

    preset_metadata_json = add_metadata_json

    def export_chrome_trace(self, path: str) -> None:
        """Write the spans as a trace for ``chrome://tracing`` or https://ui.perfetto.dev.

        A name that ends in ``.gz`` is compressed.
        """
        text = json.dumps(chrome_trace(self.events(), self._metadata))
        if str(path).endswith(".gz"):
            with gzip.open(path, "wt", encoding="utf-8") as file:
                file.write(text)
        else:
            with open(path, "w", encoding="utf-8") as plain:
                plain.write(text)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Write a line for each of the user's lines with its time, for flame graphs.

        Needs ``with_stack=True``.
        """
        if not self.with_stack:
            raise AssertionError("export_stacks() requires with_stack=True")
        lines = []
        for found in self.events().key_averages(group_by_stack_n=1):
            value = int(getattr(found, metric))
            if found.stack and value > 0:
                stack = ";".join([*reversed(found.stack), found.key]).replace(" ", "_")
                lines.append(f"{stack} {value}\n")
        with open(path, "w", encoding="utf-8") as file:
            file.writelines(lines)


def chrome_trace(events: Iterable[FunctionEvent], metadata: dict[str, Any]) -> dict[str, Any]:
    """The spans in Chrome's trace event format.

    See https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU.
    """
    process = os.getpid()
    traced = [
        {
            "ph": "X",
            "cat": event.kind,
            "name": event.name,
            "pid": process,
            "tid": event.thread,
            "ts": event.start_ns / 1000,
            "dur": (event.end_ns - event.start_ns) / 1000,
            "args": _arguments(event),
        }
        for event in events
    ]
    named = {
        "ph": "M", "name": "process_name", "pid": process, "tid": 0, "ts": 0,
        "args": {"name": "rushlight"},
    }  # fmt: skip
    listed = [named, *traced]
    return {"schemaVersion": 1, **metadata, "displayTimeUnit": "ms", "traceEvents": listed}


def _arguments(event: FunctionEvent) -> dict[str, Any]:
    found: dict[str, Any] = {"External id": event.id}
    if event.input_shapes:
        found["Input Dims"] = event.input_shapes
    if event.stack:
        found["Call stack"] = ";".join(event.stack)
    if event.self_cpu_memory_usage:
        found["Bytes"] = event.self_cpu_memory_usage
    return found | event.details
