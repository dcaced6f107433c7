"""Running the recorded operations when a value is needed."""

from __future__ import annotations

from sys import getrefcount
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import kernels as kernels, kernels_matmul as kernels_matmul
from rushlight.engine.core import log
from rushlight.engine.core.errors import Location
from rushlight.engine.interpreter import Failed, run
from rushlight.engine.ir.buffers import settle
from rushlight.engine.ir.graph import Value, forget_metas
from rushlight.engine.runtime.cache import counters, find_program, tree

#: Lines that recorded operations which may fail when they run, by number of their first output.
locations: dict[int, Location] = {}

#: Metas kept before the table of metas starts anew.
MAX_METAS = 100_000


def _measure_unheld() -> int:
    """The reference count, as ``map(getrefcount, ...)`` sees it, of a value only a list holds."""
    values = [Value(None)]  # type: ignore[arg-type]
    return next(iter(tuple(map(getrefcount, values))))


UNHELD = _measure_unheld()


def flush(reason: str = "") -> None:
    """Compute every recorded value that somebody holds, and begin an empty trace.

    Raises the first error a kernel found, after everything not touched by it has been computed.
    """
    values, state = tree.values, tree.state
    if not values:
        return
    tree.restart()
    counters.flushes += 1
    program = find_program(state, tuple(map(getrefcount, values)), UNHELD)
    error = None
    if program.nodes:
        error = _execute(program, values)
    for value in values:
        value.pos = -1
    if locations:
        locations.clear()
    forget_metas(MAX_METAS)
    if log.enabled("flush"):
        log.write("flush", f"{reason}: {len(program.nodes)} operations, {len(program.keep)} kept")
    if error is not None:
        raise error


def _execute(program: Any, values: list[Value]) -> BaseException | None:
    environment: list[Any] = [None] * (program.size + 1)
    for position in program.inputs:
        environment[position] = values[position].buffer
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
    return error


def materialize(value: Value, reason: str = "read") -> Any:
    """The buffer of ``value``, computed now if need be."""
    if value.buffer is None:
        flush(reason)
    buffer = value.buffer
    if buffer.__class__ is Failed:
        raise buffer.error
    return buffer
