"""Starting several processes that run one function, and ending all when one goes wrong."""

from __future__ import annotations

import multiprocessing
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from multiprocessing.connection import Connection, wait
from typing import Any

#: Seconds the others have to end by themselves when a process has gone wrong.
GRACE = 30.0


class ProcessException(Exception):
    """A process has gone wrong.

    Attributes:
        error_index: its number.
        pid: its process.
    """

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg = msg
        self.error_index = error_index
        self.pid = pid

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """The function has raised an exception in a process."""


class ProcessExitedException(ProcessException):
    """A process has ended with an exit code, or by a signal.

    Attributes:
        exit_code: the code, negative for a signal.
        signal_name: the signal's name.
    """

    def __init__(
        self, msg: str, error_index: int, error_pid: int, exit_code: int,
        signal_name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(msg, error_index, error_pid)
        self.exit_code = exit_code
        self.signal_name = signal_name

    def __reduce__(self) -> tuple[Any, ...]:
        parts = self.msg, self.error_index, self.pid, self.exit_code, self.signal_name
        return type(self), parts


def _run(fn: Callable[..., Any], index: int, args: tuple[Any, ...], report: Connection) -> None:
    """What a process does: call the function, and tell of an exception."""
    try:
        fn(index, *args)
    except KeyboardInterrupt:
        sys.exit(130)  # the parent has got it too
    except Exception:
        report.send(traceback.format_exc())
        sys.exit(1)


def _told(report: Connection) -> str | None:
    """The traceback that a process has sent, if it came to that before it ended."""
    try:
        return str(report.recv()) if report.poll() else None
    except EOFError:
        return None


class ProcessContext:
    """The processes of one ``spawn`` with ``join=False``.

    Args:
        processes: the processes.
        reports: for each the end of a pipe on which it tells of an exception.
    """

    def __init__(self, processes: Sequence[Any], reports: Sequence[Connection]) -> None:
        self.processes = list(processes)
        self.reports = list(reports)
        self.sentinels = {process.sentinel: i for i, process in enumerate(processes)}

    def pids(self) -> list[int]:
        """The numbers of the processes."""
        return [int(process.pid) for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Wait until one has ended, or for ``timeout`` seconds; whether all have ended well.

        Raises:
            ProcessRaisedException, ProcessExitedException: one has gone wrong; the others have
                been ended.
        """
        for sentinel in wait(list(self.sentinels), timeout=timeout):
            index = self.sentinels.pop(sentinel)  # type: ignore[call-overload]
            self.processes[index].join()
            if self.processes[index].exitcode != 0:
                text = _told(self.reports[index])
                self._end(GRACE if grace_period is None else grace_period)
                self._raise(index, text)
        return not self.sentinels

    def _end(self, grace: float) -> None:
        """End those that still run."""
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        end = time.monotonic() + grace
        for process in self.processes:
            process.join(max(0.0, end - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _raise(self, index: int, text: str | None) -> None:
        process = self.processes[index]
        if text is not None:
            message = f"\n\n-- Process {index} terminated with the following error:\n{text}"
            raise ProcessRaisedException(message, index, process.pid)
        code = process.exitcode
        if code < 0:
            name = signal.Signals(-code).name
            raise ProcessExitedException(
                f"process {index} terminated with signal {name}", index, process.pid, code, name
            )
        raise ProcessExitedException(
            f"process {index} terminated with exit code {code}", index, process.pid, code
        )


#: The older name.
SpawnContext = ProcessContext


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Start processes that call ``fn(i, *args)`` with ``i`` from 0 on.

    Args:
        fn: a function that pickles: one of a module's own.
        args: its further arguments.
        nprocs: how many processes.
        join: wait until all have ended.
        daemon: whether they end with this process.
        start_method: ``spawn``, ``fork`` or ``forkserver``.

    Returns:
        The processes, or ``None`` after ``join``.

    Raises:
        ProcessRaisedException, ProcessExitedException: with ``join``, when one goes wrong; the
            others have been ended.

    See https://pytorch.org/docs/stable/multiprocessing.html#spawning-subprocesses.
    """
    made = multiprocessing.get_context(start_method)
    processes, reports = [], []
    for index in range(nprocs):
        reading, writing = made.Pipe(duplex=False)
        process: Any = made.Process(  # type: ignore[attr-defined]
            target=_run, args=(fn, index, args, writing), daemon=daemon
        )
        process.start()
        writing.close()
        processes.append(process)
        reports.append(reading)
    context = ProcessContext(processes, reports)
    if not join:
        return context
    while not context.join():
        continue
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Start processes that call ``fn(i, *args)``, afresh; see ``start_processes``."""
    return start_processes(fn, args, nprocs, join, daemon, start_method)


def get_all_sharing_strategies() -> set[str]:
    """How tensors may travel between processes.

    >>> import rushlight as torch
    >>> torch.multiprocessing.get_all_sharing_strategies()
    {'file_system'}
    """
    return {"file_system"}


def get_sharing_strategy() -> str:
    """How tensors travel between processes."""
    return "file_system"


def set_sharing_strategy(new_strategy: str) -> None:
    """Accepted for PyTorch's sake: ``file_descriptor`` or ``file_system``.

    Tensors are pickled when they travel, so neither runs out of descriptors.
    """
    if new_strategy not in ("file_descriptor", "file_system"):
        raise ValueError(f"unknown sharing strategy: {new_strategy}")
