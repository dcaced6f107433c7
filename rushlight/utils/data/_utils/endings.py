"""Why a worker process has ended, or does not answer, in plain words."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from rushlight.utils.data._utils.blocks import Block

_EVENTS = Path("/sys/fs/cgroup/memory.events")

#: Where the frames of a worker's own loop begin, of which nobody wants to know.
_LOOP = f"{Path('data', '_utils', 'worker.py')}"

_LOST = (
    "Details are lost due to multiprocessing. Rerunning with num_workers=0 may give better error "
    "trace."
)

_ADVICE = {
    signal.SIGKILL: "Somebody has killed it. Mostly that is the system, when memory has run out: "
    "use fewer workers, a smaller prefetch_factor or smaller batches.",
    signal.SIGBUS: "It used a file or shared memory of which a part was not there: a memory-mapped "
    "file that has become shorter, or a full disk or /dev/shm.",
    signal.SIGSEGV: "A library in use there has crashed; rerun with num_workers=0 to see where.",
    signal.SIGABRT: "A library in use there has given up; rerun with num_workers=0 to see where.",
    signal.SIGTERM: "Somebody has ended it.",
}


def out_of_memory_kills() -> int:
    """How many processes of this container the system has killed for want of memory."""
    if not _EVENTS.exists():
        return 0
    counts = dict(line.split() for line in _EVENTS.read_text().splitlines())
    return int(counts.get("oom_kill", 0))


def stack_of(block: Block) -> str:
    """What a worker that was ended by a signal was doing, if it could still tell."""
    size = os.fstat(block.descriptor).st_size
    lines = os.pread(block.descriptor, size, 0).decode(errors="replace").strip().splitlines()
    ours = next((i for i, line in enumerate(lines) if _LOOP in line), len(lines))
    return "\n".join(lines[:ours])


def ending_of(process: BaseProcess, stack: str, kills: int) -> str:
    """How a worker process has ended.

    Args:
        process: the worker.
        stack: what it was doing.
        kills: how many processes have been killed for want of memory since it began.
    """
    code = process.exitcode
    if code is None:
        return f"DataLoader worker (pid {process.pid}) has closed its pipe. {_LOST}"
    if code >= 0:
        said = f"DataLoader worker (pid {process.pid}) exited unexpectedly with exit code {code}. "
        return said + _LOST
    number = signal.Signals(-code)
    said = f"DataLoader worker (pid {process.pid}) is killed by signal: "
    said += f"{signal.strsignal(number)} ({number.name})."
    if number == signal.SIGKILL and kills:
        said += " The system has killed it because the memory granted to this container ran out."
    advice = _ADVICE.get(number)
    parts = [said, *([advice] if advice else []), *([f"It was here:\n{stack}"] if stack else [])]
    return "\n".join(parts)


def death(endings: Iterable[tuple[BaseProcess, str]], kills: int) -> RuntimeError:
    """The error for workers that are no more, each given with its stack."""
    listed = list(endings)
    numbers = ", ".join(str(process.pid) for process, _ in listed)
    told = "\n".join(ending_of(process, stack, kills) for process, stack in listed)
    return RuntimeError(f"DataLoader worker (pid(s) {numbers}) exited unexpectedly\n{told}")


def timed_out(timeout: float, busy: Iterable[tuple[int, int | None, Any, str]]) -> RuntimeError:
    """The error for workers that did not answer in time.

    Args:
        timeout: the seconds they had.
        busy: number, process, samples and stack of every worker with work to do.
    """
    lines = [f"DataLoader timed out after {timeout} seconds"]
    for worker, process, samples, stack in busy:
        shown = repr(samples)
        shown = shown if len(shown) <= 80 else f"{shown[:76]} ..."
        lines.append(f"Worker {worker} (pid {process}) was still busy with samples {shown}")
        if stack:
            lines[-1] += f"; it was here:\n{stack}"
    lines.append("The workers have been ended. Look there, or give more time with timeout=.")
    return RuntimeError("\n".join(lines))
