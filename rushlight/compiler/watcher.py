"""Looking on while a call is run and recorded as usual."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rushlight.compiler.optimizers import StepNumbers, has_hooks, step_numbers
from rushlight.compiler.references import UnsupportedError
from rushlight.engine.core.errors import user_location
from rushlight.engine.core.watch import watching
from rushlight.engine.ir.graph import Value
from rushlight.engine.ir.program import Node, Program
from rushlight.engine.ops.random import default_engine
from rushlight.engine.runtime.cache import here
from rushlight.engine.runtime.executor import flush
from rushlight.optim.hooks import (
    register_optimizer_step_post_hook,
    register_optimizer_step_pre_hook,
)

#: Why a trace may be run in the middle of a call without Python having seen a value.
HARMLESS = ("optimizer.step()", "compile", "trace limit")


@dataclass(eq=False, slots=True)
class Segment:
    """What was recorded between two flushes of the call."""

    values: list[Any]
    nodes: list[Node]
    state: Any


@dataclass(eq=False, slots=True)
class Step:
    """A step of an optimizer during the call: where its operations begin and end."""

    numbers: StepNumbers
    segment: int
    first: int
    end: int = -1


@dataclass(eq=False)
class Watched:
    """What was seen of a call.

    Attributes:
        segments: what was recorded.
        steps: the optimizer steps.
        copies: copies of shared memory, by ``id``, each with the value it was made of.
        result: what the function returned.
    """

    segments: list[Segment] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    copies: dict[int, tuple[Value, Value]] = field(default_factory=dict)
    result: Any = None
    reasons: list[str] = field(default_factory=list)

    def refuse(self, reason: str) -> None:
        """Note why the call cannot be replayed."""
        where = user_location()
        self.reasons.append(reason + (f" at {where}" if where is not None else ""))


class _Watcher:
    def __init__(self, watched: Watched) -> None:
        self.watched = watched
        self.thread = threading.get_ident()
        self.step: Step | None = None

    def flush(self, trace: Any, program: Program, reason: str) -> Callable[[], None] | None:
        """A part of the call is about to be run."""
        if threading.get_ident() != self.thread:
            return None
        if reason not in HARMLESS:
            self.watched.refuse(f"{reason} looks at a value")
        if trace.copies:
            self.watched.refuse("a tensor of another thread is read")
        if self.step is not None:
            self.watched.refuse("an optimizer's step runs in parts")
        base = trace.slot.base
        self.watched.segments.append(
            Segment(trace.values[:], trace.state.nodes(base), trace.state)
        )
        return _nothing  # its values are looked at afterwards, so all of them are let go

    def read(self, value: Value, reason: str) -> None:
        """Python looks at contents."""
        if self.step is None and reason != "view" and threading.get_ident() == self.thread:
            self.watched.refuse(f"{reason} looks at a value")

    def copied(self, value: Value, copy: Value) -> None:
        """Shared memory is copied into the trace."""
        self.watched.copies[id(copy)] = value, copy

    def before_step(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """An optimizer's step begins."""
        if threading.get_ident() != self.thread:
            return
        if args or any(x is not None for x in kwargs.values()):
            self.watched.refuse("an optimizer's step gets a closure")
        if has_hooks(optimizer):
            self.watched.refuse("an optimizer has hooks")
        try:
            numbers = step_numbers(optimizer)
        except UnsupportedError as reason:
            self.watched.refuse(str(reason))
            return
        if self.step is not None:
            self.watched.refuse("an optimizer's step calls another one")
        self.step = Step(numbers, len(self.watched.segments), _recorded())

    def after_step(self, optimizer: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        """An optimizer's step has been recorded."""
        step = self.step
        if step is None or threading.get_ident() != self.thread:
            return
        step.end = _recorded()
        self.watched.steps.append(step)
        self.step = None


def _nothing() -> None:
    """Called when a part of the call has been run."""


def _recorded() -> int:
    """How many values the trace being recorded has."""
    return len(here.trace.values) - here.trace.slot.base


@contextmanager
def _hooked(watcher: _Watcher) -> Iterator[None]:
    before = register_optimizer_step_pre_hook(watcher.before_step)
    after = register_optimizer_step_post_hook(watcher.after_step)
    try:
        yield
    finally:
        before.remove()
        after.remove()


def watch_call(function: Callable[..., Any], args: Any, kwargs: Any) -> Watched:
    """Run a call as usual, and what it has recorded, under observation."""
    watched = Watched()
    watcher = _Watcher(watched)
    before = default_engine.clone()
    with (
        watching(flush=watcher.flush, read=watcher.read, copied=watcher.copied),
        _hooked(watcher),
    ):
        watched.result = function(*args, **kwargs)
        flush("compile")
    drawn = sum(
        value.buffer.count
        for segment in watched.segments
        for value in segment.values
        if hasattr(value.buffer, "draw32") and value.buffer._engine is default_engine
    )
    if drawn:
        before.skip(drawn)
    if before.get_state().tobytes() != default_engine.get_state().tobytes():
        watched.refuse("random numbers are drawn at the call (randn, rand, normal_, ...)")
    return watched
