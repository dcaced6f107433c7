"""The steps of a compiled program with a clock beside every call, while somebody looks on."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from time import perf_counter_ns
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu.llvm.code import NativeCode
from rushlight.engine.core.watch import watch
from rushlight.engine.ir.plan import Plan, PythonCall


class _Fork:
    child = False

    @classmethod
    def noted(cls) -> None:
        cls.child = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_Fork.noted)


def possible() -> bool:
    """Whether code that looks at the clock can be made: not on Windows, nor in a forked child."""
    return hasattr(time, "clock_gettime") and not _Fork.child


class Timed:
    """Runs the steps of a compiled program as it would, and tells ``watch.calls`` the times.

    Native segments are compiled anew, with a look at the clock between any two calls.

    Args:
        plan: the plan.
        steps: its native segments and Python calls.
        addresses: where the arena lies.
    """

    __slots__ = ("_steps",)

    def __init__(
        self, plan: Plan, steps: Sequence[NativeCode | PythonCall], addresses: Mapping[int, int]
    ) -> None:
        self._steps: list[Any] = []
        for step in steps:
            if isinstance(step, NativeCode):
                code = NativeCode(plan, step.calls, np.zeros((len(step.calls) + 1, 2), np.int64))
                code.compile()
                code.load(addresses)
                self._steps.append(code)
            else:
                self._steps.append(step)

    def run(self, table: int, numbers: int, python: Callable[[PythonCall], None]) -> int:
        """Do everything; 0, or which native call failed, counted from 1.

        Args:
            table, numbers: addresses, as native code takes them.
            python: does a Python call.
        """
        for step in self._steps:
            if not isinstance(step, NativeCode):
                start = perf_counter_ns()
                python(step)
                _tell([step], [start, perf_counter_ns()])
                continue
            failed = step.run(table, numbers)
            if failed:
                return failed
            times = [s * 1_000_000_000 + rest for s, rest in step.stamps.tolist()]
            _tell(step.calls, times)
        return 0


def _tell(calls: Sequence[Any], times: Sequence[int]) -> None:
    if watch.calls is not None:
        watch.calls(calls, times)
