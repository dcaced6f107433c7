"""How many threads a kernel runs on: one OpenMP runtime for oneDNN and for generated code.

A kernel is made for a number of threads and must run with that number. It is one or all: GNU
OpenMP ends the surplus threads of a team that shrinks from four to two, but leaves the team alone
when a kernel runs outside any team. Idle threads look for work for a short while, then sleep.
"""

from __future__ import annotations

import ctypes
import math
import os
import threading
from pathlib import Path

from rushlight.engine.core.config import config

#: Looks that an idle thread takes for work before it sleeps: about 100 µs. On two cores, waking a
#: sleeping team takes 20 µs and entering one that still looks 1 µs; with no looking at all both
#: ends of a kernel sleep and it costs 50 µs. The runtime's own choice keeps a core busy for 1 ms.
SPIN_COUNT = 4000

#: Microseconds on one thread from which a kernel is worth a team that may have to be woken first.
#: Below, two threads gain little, and lose much where another process has the second core.
TEAM_PAYS = 100.0

#: What one thread does in a microsecond: floating-point operations, bytes moved. Up to 2 MB a
#: core's own cache gives them: LitMNIST's Adam step moves 2.1 MB in 7 µs on one thread.
_OPERATIONS, _BYTES, _CACHED_BYTES = 1e5, 1e4, 1e5
_CACHE = 2e6

_processors = Path("/sys/devices/system/cpu")
_control_groups = Path("/sys/fs/cgroup")

#: Held while a kernel is made or run, and over a fork, so that no child inherits one half done.
lock = threading.RLock()


class State:
    """The most threads a kernel may use (0: not yet asked for), how often that has changed, and
    whether this is a forked child, which has one."""

    __slots__ = ("epoch", "forked", "limit")

    def __init__(self) -> None:
        self.limit = 0
        self.epoch = 0
        self.forked = False


state = State()
_runtime: ctypes.PyDLL | None = None
_missing: str | None = None


def cores() -> int:
    """Physical cores this process may use: hyper-threads share the units that multiply."""
    if hasattr(os, "sched_getaffinity"):
        allowed = os.sched_getaffinity(0)
    else:
        allowed = set(range(os.cpu_count() or 1))
    distinct = set()
    for number in allowed:
        siblings = _processors / f"cpu{number}" / "topology" / "thread_siblings_list"
        distinct.add(siblings.read_text() if siblings.exists() else str(number))
    return max(1, min(len(distinct), _quota()))


def _quota() -> int:
    """Whole cores of processor time that a container grants us."""
    file = _control_groups / "cpu.max"
    granted, _, period = file.read_text().partition(" ") if file.exists() else ("max", "", "")
    return 1 << 30 if granted == "max" else max(1, math.ceil(int(granted) / int(period)))


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
    """Let kernels use at most ``count`` threads; prepared kernels are made anew when next used.

    A forked child stays at one.

    Raises:
        RuntimeError: ``count`` is not positive.
    """
    if count < 1:
        raise RuntimeError("set_num_threads expects a positive integer")
    with lock:
        if count != limit() and not state.forked:
            state.limit = count
            state.epoch += 1


def cost(operations: float, moved: float) -> float:
    """Microseconds that a kernel takes on one thread, roughly.

    Args:
        operations: floating-point operations.
        moved: bytes read and written.
    """
    cached = min(moved, _CACHE)
    return max(operations / _OPERATIONS, cached / _CACHED_BYTES + (moved - cached) / _BYTES)


def choose(microseconds: float) -> int:
    """Threads for a kernel that takes so long on one: one or all."""
    return 1 if microseconds < TEAM_PAYS else limit()


def runtime() -> ctypes.PyDLL | None:
    """GNU OpenMP, loaded so that idle threads soon sleep, or ``None`` where it is missing."""
    global _runtime, _missing
    if _runtime is None and _missing is None:
        # It reads this variable once, when it is loaded. A setting of the user's stays.
        if os.name == "posix":
            ctypes.CDLL(None).setenv(b"GOMP_SPINCOUNT", str(SPIN_COUNT).encode(), 0)
        try:
            _runtime = ctypes.PyDLL("libgomp.so.1")
        except OSError as error:
            _missing = str(error)
    return _runtime


def _in_child() -> None:
    """GNU OpenMP hangs in a forked child that opens a team: children run on one thread."""
    state.limit = 1
    state.forked = True
    state.epoch += 1
    lock.release()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=lock.acquire, after_in_parent=lock.release, after_in_child=_in_child)
