"""Getting the recorded program of a step, to compile and look at it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.engine.core.watch import watching
from rushlight.engine.ir.plan import KernelCall, Plan, PrimitiveCall, PythonCall
from rushlight.engine.ir.program import Program
from rushlight.engine.runtime.executor import flush


def programs_of(step: Callable[[], Any], warm: int = 2) -> list[Program]:
    """The programs that one run of ``step`` makes, after some runs before."""
    for _ in range(warm):
        step()
        flush()
    found: list[Program] = []

    def note(trace: Any, program: Program, reason: str) -> None:
        found.append(program)

    with watching(flush=note):
        step()
        flush()
    return found


def program_of(step: Callable[[], Any], warm: int = 2) -> Program:
    """The only program of a step."""
    (found,) = programs_of(step, warm)
    return found


def counts(plan: Plan) -> tuple[int, int, int, int]:
    """Kernel calls, different kernels, library primitives and Python calls of a plan."""
    calls = [call for call in plan.calls if isinstance(call, KernelCall)]
    return (
        len(calls), len({id(call.kernel) for call in calls}),
        sum(isinstance(call, PrimitiveCall) for call in plan.calls),
        sum(isinstance(call, PythonCall) for call in plan.calls),
    )  # fmt: skip
