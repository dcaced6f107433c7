"""Finding the program of a trace: a tree of recorded operations, walked while recording.

Note: the key of a trace
    Every recorded operation moves the trace from one ``State`` to the next along the key
    ``(spec, positions of the inputs)``. A spec stands for operator, attributes and the metas of
    the inputs, so two traces end in the same state exactly if they did the same operations on
    values of the same shapes and types in the same order. At the flush the reference counts of the
    values tell which of them somebody still holds; state and held values together are the key of
    the program. Python numbers and the contents of tensors are not part of it.
"""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Sequence
from itertools import count
from typing import Any

from rushlight.engine.core import log
from rushlight.engine.core.config import config
from rushlight.engine.core.errors import Location, user_location
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.program import Node, Program
from rushlight.engine.runtime import misses

#: States kept before the tree starts anew: a bound for programs that never come back.
MAX_STATES = 100_000


class Counters:
    """What has happened since the start, for ``rushlight.debug.stats``."""

    __slots__ = (
        "compiled_runs", "flushes", "nodes_run", "programs", "runs", "states", "tree_resets",
    )  # fmt: skip

    def __init__(self) -> None:
        self.flushes = self.runs = self.programs = self.states = 0
        self.tree_resets = self.nodes_run = self.compiled_runs = 0


counters = Counters()


class ForeignValueError(Exception):
    """An operation takes a value of another thread's trace; the recorder enters a copy instead."""


class State(dict[Any, "State"]):
    """A place in the tree: the operations recorded so far, in this order."""

    __slots__ = ("by_counts", "by_held", "end", "first", "key", "location", "parent", "passes")

    def __init__(self, parent: State | None, key: Any, first: int, end: int, location: Any) -> None:
        self.parent = parent
        self.key = key
        self.first = first  # number of the first output of the last operation
        self.end = end  # how many values the trace has here
        self.location: Location | None = location
        self.by_counts: dict[tuple[int, ...], Program] | None = None
        self.by_held: dict[tuple[bool, ...], Program] | None = None
        self.passes: Any = None  # backward passes that began here (``engine.trace.replay``)

    def __missing__(self, key: Any) -> State:
        trace = here.trace
        end = len(trace.values)
        first = end - len(key[0].outs)
        for position in key[1:]:
            if position != -1 and not trace.slot.base <= position < first:
                raise ForeignValueError
        counters.states += 1
        made = self[key] = State(self, key, first, end, user_location())
        return made

    def programs(self) -> dict[tuple[bool, ...], Program]:
        """The programs that end here, by which of their values are held."""
        if self.by_held is None:
            self.by_held = {}
        return self.by_held

    def nodes(self, base: int = 0) -> list[Node]:
        """The operations from the root to here, their values numbered from ``base`` on."""
        listed = []
        state = self
        while state.parent is not None:
            spec, inputs = state.key[0], state.key[1:]
            if base:
                inputs = tuple([i - base if i >= 0 else i for i in inputs])
            listed.append(Node(spec, inputs, state.first - base, state.location))
            state = state.parent
        listed.reverse()
        return listed


class Slot:
    """What a recording thread has to itself: its numbers, its tree, and its current trace.

    Note: several threads
        Every thread records into a trace of its own, so that recording needs no lock. Its values
        are numbered from ``base`` on, and no two slots share a number: a number tells whose value
        it is. A value of another thread's trace therefore leads to no state that exists; the
        recorder then enters a copy of it, computed by whoever needs it first
        (``executor.adopt``). Programs run one at a time.
    """

    __slots__ = ("base", "root", "trace", "turn")

    trace: Trace
    turn: Spec | None  # the operation at which the last trace that had become too long was run

    def __init__(self, base: int) -> None:
        self.base = base
        self.turn = None
        self.root = State(None, None, base, base, None)
        self.trace = Trace(self, True, False)


class _Numbers(list[Any]):
    """The values of a slot whose numbers do not begin at 0."""

    __slots__ = ("base",)

    base: int

    def __len__(self) -> int:
        return self.base + list.__len__(self)


#: Far enough apart for the places of any trace between them.
next_origin = count(0, 1 << 24).__next__


class Trace:
    """What one thread has recorded since its last flush.

    Attributes:
        slot: whose trace it is.
        values: what takes part, in the order in which it appeared; empty again after the flush.
        state: the place in the tree that the recorded operations have led to.
        limit: the number from which on the trace has become too long.
        pinned: bytes of outside values that the trace keeps alive.
        grad: whether operations are differentiated.
        inference: whether inference mode is on.
        locations: the lines of operations that may fail when they run, by their first output.
        writes: what was written to in place, with the value it had before.
        origin: what a place in it begins with, so that no two places of any traces are the same.
        copies: values of other threads, by ``id``, each with the copy that was entered for it.
    """

    __slots__ = (
        "copies", "grad", "inference", "limit", "locations", "origin", "pinned", "slot", "state",
        "values", "writes",
    )  # fmt: skip

    def __init__(self, slot: Slot, grad: bool, inference: bool) -> None:
        self.slot = slot
        self.values: list[Any] = []
        self.origin = next_origin()
        self.limit = -1 if config.eager else config.trace_limit
        if slot.base:
            self.values = numbers = _Numbers()
            numbers.base = slot.base
            self.limit += slot.base
            self.origin -= slot.base
        self.state = slot.root
        self.pinned = 0
        self.grad = grad
        self.inference = inference
        self.locations: dict[int, Location] | None = None
        self.writes: list[tuple[Any, int, Any]] | None = None
        self.copies: dict[int, tuple[Any, Any]] | None = None

    def trim(self) -> None:
        """Forget the values of an operation whose recording was broken off."""
        count = self.state.end - self.slot.base
        for value in self.values[count:]:
            if value.pos >= 0:
                value.pos = -1
        del self.values[count:]

    def close(self, held: Sequence[int] | None = None) -> None:
        """Let go of everything; of all values but those at the places ``held`` nothing is left."""
        for value in self.values if held is None else [self.values[i] for i in held]:
            if value.pos >= 0:
                value.pos = -1
        self.values.clear()
        self.writes = self.locations = self.copies = None


class _Slots:
    """All slots, and those that no thread uses any more."""

    #: The number of the slot in which an optimizer's rule is captured.
    CAPTURE = 1

    def __init__(self) -> None:
        self.every: dict[int, Slot] = {}
        self.free: list[Slot] = []
        self.finish: Callable[[Slot], object] = id  # runs what a slot has left, set by the executor
        self._number = count().__next__  # one step of the interpreter, so no two threads get one

    def take(self) -> Slot:
        """A slot for a thread that begins to record."""
        try:
            return self.free.pop()
        except IndexError:
            number = self._number()
            if number == self.CAPTURE:
                number = self._number()
            slot = self.every[number] = Slot(number << 32)
            return slot

    def of(self, value: Any) -> Slot:
        """The slot that has recorded a pending value."""
        return self.every[value.pos >> 32]


class _Tenancy:
    """Kept by a thread as long as it lives; then its slot is free for another one.

    In a forked child the other threads are gone too, but what they have recorded is the parent's.
    """

    def __init__(self) -> None:
        self.slot = slots.take()
        self.process = os.getpid()

    def __del__(
        self,
        finalizing: Callable[[], bool] = sys.is_finalizing,
        process: Callable[[], int] = os.getpid,
    ) -> None:
        if not finalizing() and process() == self.process:
            slots.finish(self.slot)
            slots.free.append(self.slot)


class _Here(threading.local):
    """What the current thread is recording."""

    trace: Trace

    def __init__(self) -> None:
        self.tenancy = _Tenancy()
        self.trace = self.tenancy.slot.trace


slots = _Slots()
here = _Here()


def forget_states() -> None:
    """Begin new trees when the old ones have outgrown their bound."""
    if counters.states > MAX_STATES:
        counters.states = 0
        counters.tree_resets += 1
        misses.history.clear()  # what it remembers would keep the old trees alive
        for slot in list(slots.every.values()):
            slot.root = State(None, None, slot.base, slot.base, None)


def find_program(
    trace: Trace, counts: tuple[int, ...], unheld: int, reason: str = ""
) -> Program:
    """The program for a trace with these reference counts.

    Args:
        trace: what has been recorded.
        counts: the reference count of every value.
        unheld: the count of a value nobody but the trace holds.
        reason: why it is run, for the report on new programs.
    """
    state = trace.state
    if state.by_counts is None:
        state.by_counts = {}
    program = state.by_counts.get(counts)
    if program is not None:
        return program
    held = tuple([count > unheld for count in counts])
    programs = state.programs()
    program = programs.get(held)
    if program is None:
        program = programs[held] = Program(state.nodes(trace.slot.base), len(counts), held)
        counters.programs += 1
        misses.note(state, program, reason)
        if log.enabled("programs"):
            log.write("programs", f"new program\n{program}")
    if len(state.by_counts) > 64:
        state.by_counts.clear()
    state.by_counts[counts] = program
    return program
