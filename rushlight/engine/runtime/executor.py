"""Running the recorded operations when a value is needed."""

from __future__ import annotations

import os
import threading
from _signal import SIGINT, getsignal, signal  # their wrappers in `signal` take ten times as long
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from sys import getrefcount
from types import FrameType
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import (
    kernels as kernels,
    kernels_matmul as kernels_matmul,
    kernels_recurrent as kernels_recurrent,
    threads,
)
from rushlight.engine.core import log
from rushlight.engine.core.config import config
from rushlight.engine.core.watch import watch
from rushlight.engine.interpreter import Failed, prepare, run
from rushlight.engine.ir.buffers import settle
from rushlight.engine.ir.checked import checked
from rushlight.engine.ir.graph import TensorBase, Value, forget_metas
from rushlight.engine.ir.program import Program
from rushlight.engine.runtime import misses
from rushlight.engine.runtime.cache import (
    Slot,
    Trace,
    counters,
    find_program,
    forget_states,
    here,
    slots,
)
from rushlight.engine.runtime.compiled import DataError
from rushlight.engine.runtime.compiling import consider, thresholds

#: Metas kept before the table of metas starts anew.
MAX_METAS = 100_000


def _measure_unheld() -> int:
    """The reference count, as ``map(getrefcount, ...)`` sees it, of a value only a list holds."""
    values = [Value(None)]  # type: ignore[arg-type]
    return next(iter(tuple(map(getrefcount, values))))


UNHELD = _measure_unheld()


class _Turn:
    """Programs run one at a time, whichever thread asks for it."""

    __slots__ = ("lock",)

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """A new lock: in a forked child nobody is left who could give the old one back."""
        self.lock = threading.RLock()


turn = _Turn()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=turn.renew)


class _Shield:
    """Puts off Ctrl-C while memory is written over in place, which cannot be done a second time."""

    __slots__ = ("_before", "_came")

    def __enter__(self) -> bool:
        self._came: tuple[int, FrameType | None] | None = None
        self._before: Any = None
        if threading.get_ident() == threading.main_thread().ident:
            before = getsignal(SIGINT)
            if callable(before):
                self._before = before
                signal(SIGINT, self._note)
        return True

    def _note(self, number: int, frame: FrameType | None) -> None:
        self._came = number, frame

    def __exit__(self, *exception: object) -> None:
        if self._before is not None:
            signal(SIGINT, self._before)
            if self._came is not None:
                self._before(*self._came)


#: What a program runs in that only reads what comes from outside: it may be broken off.
_OPEN = nullcontext(False)


def flush(reason: str = "") -> None:
    """Compute every recorded value that somebody holds, and begin an empty trace.

    Raises the first error a kernel found, after everything not touched by it has been computed.
    """
    trace = here.trace
    slot = trace.slot
    if len(trace.values) == slot.base:
        return
    program, error = None, None
    begun = False
    with turn.lock:
        slot.trace = here.trace = Trace(slot, trace.grad, trace.inference)
        try:
            program = find_program(trace, tuple(map(getrefcount, trace.values)), UNHELD, reason)
            ended = None if watch.flush is None else watch.flush(trace, program, reason)
            if _run_whole(program, trace.values):
                trace.close(() if ended is None else None)
            elif program.nodes:
                with _prepared(program) as begun:
                    error = _execute(program, trace.values, trace)
                    trace.close(program.held if error is None and ended is None else None)
            else:
                trace.close()
        except BaseException as raised:
            checked.known.clear()
            _break_off(trace, raised, begun or _is_done(program, trace.values))
            raise
        if ended is not None:
            ended()
    checked.known.clear()
    counters.flushes += 1
    forget_states()
    forget_metas(MAX_METAS)
    if misses.fresh:
        misses.look()
    if config.log:
        log.write("flush", f"{reason}: {len(program.nodes)} operations, {len(program.keep)} kept")
    if error is not None:
        raise error


class _Again:
    """Stands for the trace of a program that is run on other values: nothing to take back."""

    locations = writes = None


_again: Any = _Again()


def run_again(program: Program, values: list[Value]) -> BaseException | None:
    """Run a program on these values as a flush would; the first error a kernel found.

    Args:
        program: any program; ``values`` belong to its numbers, those of its inputs computed.
    """
    if not program.nodes:
        return None
    checked.known.clear()
    with turn.lock:
        ended = None if watch.flush is None else watch.flush(None, program, "torch.compile")
        if _run_whole(program, values):
            error = None
        else:
            with _prepared(program):
                error = _execute(program, values, _again)
        if ended is not None:
            ended()
    return error


def _prepared(program: Program) -> AbstractContextManager[bool]:
    """Prepare a program; what to run it in, which says whether Ctrl-C has to wait.

    It has to if the program may write over what comes from outside: compiled ones often do.
    """
    if program.steps is None:
        program.steps = prepare(program)
    return _Shield() if program.overwrites or program.runs >= thresholds.begin else _OPEN


def _break_off(trace: Trace, raised: BaseException, begun: bool) -> None:
    """After an interruption: keep the trace, so that what is held can still be computed.

    A trace that has let go of its values was done.

    Where memory may have been written over in place (the run has ``begun``), or the program itself
    cannot be run, whoever needs one of its values gets the error.
    """
    slot = trace.slot
    if len(trace.values) == slot.base:
        return
    if not begun and not isinstance(raised, Exception):
        if len(slot.trace.values) == slot.base:
            trace.grad, trace.inference = slot.trace.grad, slot.trace.inference
            slot.trace = here.trace = trace
            return
    for value in trace.values:
        if value.buffer is None:
            value.buffer = Failed(raised)
    trace.close()


def _is_done(program: Program | None, values: Sequence[Value]) -> bool:
    """Whether everything the program keeps has been computed already."""
    if program is None or not program.keep or not values:
        return False
    return all(values[number].buffer is not None for number in program.keep)


def _finish(slot: Slot) -> None:
    """Compute what the thread of a slot has left when it ends."""
    trace = slot.trace
    with turn.lock:
        for index, references in enumerate(list(map(getrefcount, trace.values))):
            value = trace.values[index]
            if references > UNHELD and value.buffer is None:
                adopt(value)
        trace.close()
        slot.trace = Trace(slot, True, False)


slots.finish = _finish


def _execute(
    program: Program, values: Sequence[Value], trace: Trace | None = None
) -> BaseException | None:
    if trace is not None and program.runs >= thresholds.begin and _run_compiled(program, values):
        return None
    environment: list[Any] = [None] * (program.size + 1)
    for position in program.inputs:
        environment[position] = values[position].buffer
    locations = {} if trace is None or trace.locations is None else trace.locations
    with np.errstate(all="ignore"):
        error = run(program, environment, locations)
    program.runs += 1
    counters.runs += 1
    counters.nodes_run += len(program.nodes)
    for position in program.keep:
        value = values[position]
        buffer = environment[position]
        ready = buffer.__class__ is Failed or value.meta.weak
        value.buffer = buffer if ready else settle(buffer, value.meta)
    if error is not None and trace is not None and trace.writes is not None:
        _take_back(trace, environment)
    return error


def _run_compiled(program: Program, values: Sequence[Value]) -> bool:
    """Run the compiled form of a program, if it has one by now and that can run."""
    compiled = program.compiled
    if compiled is None or compiled.epoch != threads.state.epoch:
        compiled = consider(program)
        if compiled is None:
            return False
    return _attempt(program, compiled.run, values)


def _run_whole(program: Program, values: list[Value]) -> bool:
    """Run a program in one call that nothing interrupts, if it is compiled and that can be."""
    compiled = program.compiled
    if compiled is None or not compiled.whole or program.runs < thresholds.begin:
        return False
    if compiled.epoch != threads.state.epoch or watch.calls is not None:
        return False
    return _attempt(program, compiled.run_whole, values)


def _attempt(program: Program, run: Callable[[Any], bool], values: Sequence[Value]) -> bool:
    """Run compiled code of a program and count that; whether it could."""
    try:
        if not run(values):
            return False
    except DataError:
        return False  # the interpreter finds the same and says where it was recorded
    program.runs += 1
    counters.runs += 1
    counters.compiled_runs += 1
    counters.nodes_run += len(program.nodes)
    return True


def _take_back(trace: Trace, environment: Sequence[Any]) -> None:
    """Give what should have got a value that could not be computed the one it had before."""
    assert trace.writes is not None
    for reference, position, before in reversed(trace.writes):
        target = reference()
        if target is None:
            continue
        if position >= 0:
            before = trace.values[position]
            if before.buffer is None and isinstance(environment[position], np.ndarray):
                before.buffer = settle(environment[position], before.meta)
        if isinstance(before.buffer, np.ndarray):
            _restore(target, before)


def _restore(target: Any, before: Value) -> None:
    """Let a tensor or a storage hold ``before`` again, if what it holds could not be computed."""
    if isinstance(target, TensorBase):
        if target._alias is None:
            if target._value.buffer.__class__ is Failed and target._value.meta is before.meta:
                target._value = before
            return
        target = target._alias
    if target.value.buffer.__class__ is Failed and target.value.meta is before.meta:
        target.value = before
        target.version += 1


def adopt(value: Value) -> None:
    """Compute a value that another thread has recorded and not run yet."""
    with turn.lock:
        if value.buffer is not None:
            return
        slot = slots.of(value)
        trace = slot.trace
        state = trace.state  # before the values: that thread may go on recording meanwhile
        values = trace.values[:]
        nodes = state.nodes(slot.base)
        wanted = set(range(len(values)))
        wanted.difference_update(i for node in nodes for i in node.outputs)
        wanted.add(value.pos - slot.base)
        held = tuple([i in wanted for i in range(len(values))])
        program = state.programs().get(held)
        if program is None:
            program = state.programs()[held] = Program(nodes, len(values), held)
            counters.programs += 1
        if program.steps is None:
            program.steps = prepare(program)
        _execute(program, values)
        del values


def materialize(value: Value, reason: str = "read") -> Any:
    """The buffer of ``value``, computed now if need be."""
    if watch.read is not None:
        watch.read(value, reason)
    if value.buffer is None:
        flush(reason)
        if value.buffer is None:
            adopt(value)
    buffer = value.buffer
    if buffer.__class__ is Failed:
        raise buffer.error.with_traceback(buffer.traceback)
    return buffer
