"""The worker processes of an iterator: started together, listened to, ended together.

Note: nothing waits for ever
    Orders and reports are messages of a few bytes through a pipe of their own for every worker;
    what they are about lies in shared memory. Fewer of them are under way than fit into a pipe, so
    neither side ever blocks while it writes. Whoever reads learns of the other's end: a pipe whose
    other end is closed is at its end, and the main process listens to the ends of its workers too.
"""

from __future__ import annotations

import atexit
import os
import selectors
import sys
import time
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from multiprocessing import connection
from multiprocessing.process import BaseProcess
from pickle import PicklingError
from typing import Any, NoReturn

from rushlight.utils.data._utils import endings
from rushlight.utils.data._utils.blocks import Block, Ring
from rushlight.utils.data._utils.worker import (
    ORDER,
    REPORT,
    STOP,
    Assignment,
    lock_of_numpy,
    work,
)

#: Seconds between looks at whether the workers still live, in case nothing else tells.
CHECK_INTERVAL = 5.0

#: Seconds that a worker has to finish its batch when the iterator is done with it.
GRACE = 5.0

#: Seconds that a worker has to end after it was told to by a signal.
_TERMINATION = 1.0

_UNPICKLABLE = (
    "Got pickle error when attempting to start a worker Process. This might be because the worker "
    "Process arguments are not picklable. Python 3.14+ changed the multiprocessing start method in "
    "non-Mac POSIX platforms to 'forkserver', which requires the worker Process arguments to be "
    "picklable. You can also try multiprocessing.set_start_method('fork')."
)

#: How Python begins to warn of forks beside threads.
_THREADS = r"This process \(pid=\d+\) is multi-threaded"

Report = tuple[int, int, int, int, int]


@contextmanager
def _fork() -> Iterator[None]:
    """Fork a worker safely although other threads run.

    The parts of rushlight that threads share look after themselves; NumPy's generator is held here,
    so that no worker inherits it locked by a thread that is not there any more.
    """
    with lock_of_numpy():
        if sys.version_info < (3, 12):
            yield
            return
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", _THREADS, DeprecationWarning)
            yield


class _Link:
    """A worker process and the pipes to and from it."""

    __slots__ = ("orders", "process", "reports", "stack")

    def __init__(
        self,
        process: BaseProcess,
        orders: connection.Connection,
        reports: connection.Connection,
        stack: Block,
    ) -> None:
        self.process = process
        self.orders = orders
        self.reports = reports
        self.stack = stack

    def stop(self) -> None:
        """Tell the worker to end, if it still listens."""
        if not self.orders.closed:
            try:
                self.orders.send_bytes(ORDER.pack(STOP, -1, 0))
            except OSError:
                self.orders.close()  # it has ended already
            else:
                self.orders.close()


class Pool:
    """The workers, and the blocks through which their batches come.

    Args:
        context: of ``multiprocessing``; says how processes are started.
        count: how many workers.
        blocks: how many tasks may be under way at one time.
        assign: what a worker is told, given its number, the blocks and where to leave its stack.
    """

    def __init__(
        self,
        context: Any,
        count: int,
        blocks: int,
        assign: Callable[[int, list[Block], Block], Assignment],
    ) -> None:
        self.ring = Ring(blocks)
        self.links: list[_Link] = []
        self.closed = False
        self._owner = os.getpid()
        self._kills = endings.out_of_memory_kills()
        self._selector = selectors.DefaultSelector()
        _pools.add(self)
        try:
            for worker in range(count):
                self._start(context, worker, assign)
        except BaseException:
            self.close(0)
            raise

    def _start(
        self, context: Any, worker: int, assign: Callable[[int, list[Block], Block], Assignment]
    ) -> None:
        stack = Block()
        their_orders, orders = context.Pipe(duplex=False)
        reports, their_reports = context.Pipe(duplex=False)
        forks = context.get_start_method() == "fork"
        ours = [end for link in self.links for end in (link.orders, link.reports)]
        inherited = [*ours, orders, reports] if forks else []
        process = context.Process(
            target=work,
            args=(assign(worker, self.ring.blocks, stack), their_orders, their_reports, inherited),
            name=f"DataLoader-{worker}",
            daemon=True,
        )
        try:
            with _fork() if forks else nullcontext():
                process.start()
        except (TypeError, AttributeError, PicklingError):
            warnings.warn(_UNPICKLABLE, UserWarning, stacklevel=7)
            raise
        finally:
            their_orders.close()
            their_reports.close()
        self.links.append(_Link(process, orders, reports, stack))
        self._selector.register(reports, selectors.EVENT_READ, worker)
        self._selector.register(process.sentinel, selectors.EVENT_READ, ~worker)

    def order(self, worker: int, task: int, block: int = -1, request: bytes = b"") -> None:
        """Give a worker a task, or another order; whether it still lives is found out later.

        So what workers had finished before one of them ended is handed out first.
        """
        if request:
            memory = self.ring.blocks[block].memory(len(request))
            memory[: len(request)] = request
        with suppress(BrokenPipeError):
            self.links[worker].orders.send_bytes(ORDER.pack(task, block, len(request)))

    def receive(self, timeout: float) -> tuple[int, Report] | None:
        """The next report and the worker it comes from.

        Args:
            timeout: seconds to wait at most, 0 for as long as it takes.

        Returns:
            ``None`` if there was none in time.

        Raises:
            RuntimeError: a worker has ended.
        """
        end = time.monotonic() + timeout
        while True:
            left = min(CHECK_INTERVAL, max(0.0, end - time.monotonic())) if timeout else None
            found = self._look(CHECK_INTERVAL if left is None else left)
            if found is not None:
                return found
            if timeout and time.monotonic() >= end:
                return None

    def _look(self, timeout: float) -> tuple[int, Report] | None:
        ready = sorted(key.data for key, _ in self._selector.select(timeout))
        for worker in (number for number in ready if number >= 0):
            try:
                return worker, REPORT.unpack(self.links[worker].reports.recv_bytes())
            except (EOFError, OSError):
                self._fail([worker])
        ended = {~number for number in ready if number < 0}
        if not ready:  # a process of the worker's own may keep its ends open: ask the system
            ended = {
                worker
                for worker, link in enumerate(self.links)
                if not link.orders.closed and not link.process.is_alive()
            }
        if ended:
            self._fail(ended)
        return None

    def release(self, worker: int) -> None:
        """Let a worker end, as there is nothing left for it to do."""
        link = self.links[worker]
        self._selector.unregister(link.reports)
        self._selector.unregister(link.process.sentinel)
        link.stop()

    def _fail(self, workers: Iterable[int]) -> NoReturn:
        """End everything because of these workers, and say why they have ended."""
        links = [self.links[worker] for worker in sorted(workers)]
        for link in links:
            link.process.join(_TERMINATION)
        stacks = [endings.stack_of(link.stack) for link in links]
        kills = endings.out_of_memory_kills() - self._kills
        self.close(0)
        raise endings.death(zip((link.process for link in links), stacks, strict=True), kills)

    def give_up(self, timeout: float, busy: dict[int, Any]) -> RuntimeError:
        """End everything because no worker has answered in time; the error that says so.

        Args:
            timeout: the seconds they had.
            busy: the samples that workers are getting, by the worker's number.
        """
        for worker in busy:
            self.links[worker].process.terminate()
        told = []
        for worker, samples in busy.items():
            link = self.links[worker]
            link.process.join(_TERMINATION)
            told.append((worker, link.process.pid, samples, endings.stack_of(link.stack)))
        self.close(0)
        return endings.timed_out(timeout, told)

    def close(self, grace: float = GRACE) -> None:
        """End all workers and give the shared memory back; batches somebody holds stay valid.

        Args:
            grace: seconds that they have to finish what they are doing.
        """
        if self.closed or os.getpid() != self._owner:
            return
        self.closed = True
        for link in self.links:
            link.stop()
        if grace:
            self._join(grace)
        for end in (BaseProcess.terminate, BaseProcess.kill):
            for link in self.links:
                if link.process.is_alive():
                    end(link.process)
            self._join(_TERMINATION)
        self._selector.close()
        for link in self.links:
            link.reports.close()
            link.stack.close()
        self.ring.close()

    def _join(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        for link in self.links:
            link.process.join(max(0.0, end - time.monotonic()))


_pools: weakref.WeakSet[Pool] = weakref.WeakSet()


def _close_all() -> None:
    """At the end of the program nobody waits for batches any more."""
    for pool in list(_pools):
        pool.close(0)


atexit.register(_close_all)
