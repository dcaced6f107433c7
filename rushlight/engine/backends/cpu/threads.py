"""How many threads a kernel runs on: one OpenMP runtime for oneDNN and for generated code.

A primitive is made for a number of threads and must run with that number. It is one or all: GNU
OpenMP ends the surplus threads of a team that shrinks from four to two, but leaves the team alone
when a kernel runs outside any team.
"""

from __future__ import annotations

import ctypes
import ctypes.util
import os
from collections.abc import Callable
from pathlib import Path

from rushlight.engine.core.config import config

#: Turns an idle thread makes, looking for work, before it sleeps.
SPIN_COUNT = b"10000"

_topology = Path("/sys/devices/system/cpu")


class State:
    """The present number of threads, and how often it has changed."""

    __slots__ = ("epoch", "limit")

    def __init__(self) -> None:
        self.limit = 0
        self.epoch = 0


state = State()
_runtime: ctypes.PyDLL | None = None
_reason: str | None = None


def cores() -> int:
    """Physical cores this process may run on: hyper-threads share the units that multiply."""
    allowed = os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else None
    if allowed is None:
        return os.cpu_count() or 1
    distinct = set()
    for number in allowed:
        siblings = _topology / f"cpu{number}" / "topology" / "thread_siblings_list"
        distinct.add(siblings.read_text() if siblings.exists() else str(number))
    return max(1, len(distinct))


def limit() -> int:
    """The most threads a kernel may use.

    >>> from rushlight.engine.backends.cpu import threads
    >>> threads.limit() >= 1
    True
    """
    if not state.limit:
        state.limit = config.num_threads or cores()
    return state.limit


def set_limit(count: int) -> None:
    """Let kernels use at most ``count`` threads; prepared kernels are made again when next used."""
    if count < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    if count != limit():
        state.limit = count
        state.epoch += 1
        if _runtime is not None:
            _runtime.omp_set_num_threads(count)


def load() -> ctypes.PyDLL | None:
    """GNU OpenMP with the policy that idle threads soon sleep, or ``None`` where it is missing."""
    global _runtime, _reason
    if _runtime is None and _reason is None:
        libc = ctypes.CDLL(None)
        # The runtime reads the variable once, when it is loaded; a user's own setting stays.
        libc.setenv(b"GOMP_SPINCOUNT", SPIN_COUNT, 0)
        try:
            _runtime = ctypes.PyDLL("libgomp.so.1")
        except OSError as error:
            _reason = str(error)
            return None
        _runtime.omp_set_num_threads.argtypes = [ctypes.c_int]
        _runtime.omp_set_num_threads.restype = None
        _runtime.omp_get_max_threads.restype = ctypes.c_int
        _runtime.omp_set_num_threads(limit())
    return _runtime
