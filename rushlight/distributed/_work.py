"""Waiting for MPI without keeping a processor busy, and the handles of operations under way."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

from rushlight.distributed.errors import DistBackendError

#: So many looks give the processor away but do not sleep: about 0.1 ms, what a small message takes.
EAGER_LOOKS = 40

#: Seconds slept between looks: the first time, the longest.
FIRST_SLEEP, LONGEST_SLEEP = 2e-5, 1e-3

#: Seconds between looks of the thread that keeps operations going while the program computes.
BACKGROUND_SLEEP = 3e-4


class Work:
    """An operation under way.

    Args:
        group: the process group it belongs to.
        name: what it is called in errors.
        requests: MPI's own handles.
        finish: called once when all of them are complete, in the thread that waits.
        kept: what must stay alive till then.
    """

    def __init__(
        self,
        group: Any,
        name: str,
        requests: Sequence[Any],
        finish: Callable[[list[Any]], None] | None = None,
        kept: Any = None,
    ) -> None:
        self.group = group
        self.name = name
        self.requests = list(requests)
        self.finish = finish
        self.kept = kept
        self.lock = threading.Lock()
        self.found = [group.mpi.Status() for _ in self.requests]
        self.statuses: list[Any] | None = None
        self.error: BaseException | None = None
        self.finished = False
        self.source = -1
        self.tensors: Sequence[Any] = ()

    def look(self) -> bool:
        """Let MPI go on; whether the messages have all gone or come."""
        if self.statuses is not None or self.error is not None:
            return True
        with self.lock:
            if self.statuses is None and self.error is None:
                mpi = self.group.mpi
                try:
                    if mpi.Request.Testall(self.requests, self.found):
                        self.statuses = self.found
                except mpi.Exception as error:
                    self.error = DistBackendError(f"{self.name}: {self._explain(error)}")
        return self.statuses is not None or self.error is not None

    def _explain(self, error: Any) -> str:
        """What MPI says; with several handles it says it in their statuses."""
        mpi = self.group.mpi
        if error.Get_error_class() != mpi.ERR_IN_STATUS:
            return str(error)
        codes = [status.Get_error() for status in self.found]
        known = {mpi.SUCCESS, mpi.ERR_PENDING}
        return "; ".join(mpi.Get_error_string(code) for code in codes if code not in known)

    def _end(self) -> None:
        if self.error is not None:
            raise self.error
        if not self.finished:
            self.finished = True
            assert self.statuses is not None
            if self.finish is not None:
                self.finish(self.statuses)
            self.kept = self.finish = None

    def is_completed(self) -> bool:
        """Whether the result is there."""
        done = self.look()
        if done and self.error is None:
            self._end()
        return done

    def is_success(self) -> bool:
        """Whether the operation has ended without an error."""
        return self.is_completed() and self.error is None

    def exception(self) -> BaseException | None:
        """The error it ended with."""
        return self.error

    def wait(self, timeout: timedelta | float | None = None) -> bool:
        """Wait for the end; results are in their tensors afterwards.

        Args:
            timeout: at most so long; by default the group's timeout.

        Raises:
            DistBackendError: a rank is gone, or the time is over.
        """
        seconds = self.group.seconds
        if timeout is not None and timeout != timedelta(0):
            seconds = timeout.total_seconds() if isinstance(timeout, timedelta) else float(timeout)
        if not self.look():
            try:
                self._wait(seconds)
            except BaseException:
                background.keep(self)
                raise
        self._end()
        return True

    def _wait(self, seconds: float) -> None:
        start = time.monotonic()
        for _ in range(EAGER_LOOKS):
            time.sleep(0)
            if self.look():
                return
        pause, checked = FIRST_SLEEP, start
        while not self.look():
            time.sleep(pause)
            pause = min(pause * 1.3, LONGEST_SLEEP)
            now = time.monotonic()
            if now - checked > 0.05:
                checked = now
                trouble = self.group.trouble()
                if trouble is None and now - start > seconds:
                    trouble = f"Timed out waiting {seconds * 1000:.0f}ms for it to complete"
                if trouble is not None:
                    background.keep(self)
                    self.error = DistBackendError(
                        f"{self.name} on rank {self.group.world_rank}: {trouble}"
                    )
                    return

    def synchronize(self) -> None:
        """Wait, as ``wait`` does."""
        self.wait()

    def source_rank(self) -> int:
        """The rank a message came from."""
        return self.source

    def result(self) -> list[Any]:
        """Wait for and give the tensors with the results."""
        self.wait()
        return list(self.tensors)

    def get_future(self) -> Future:
        """The operation as a future."""
        return Future(self)


class Future:
    """An operation under way, as ``torch.futures.Future`` shows it."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._then: Callable[[Future], Any] | None = None

    def wait(self) -> Any:
        """Wait; the result."""
        self._work.wait()
        return self.value()

    def value(self) -> Any:
        """The result of an operation that has ended: its tensors."""
        return self._work.result() if self._then is None else self._then(Future(self._work))

    def done(self) -> bool:
        """Whether it has ended."""
        return self._work.is_completed()

    def then(self, callback: Callable[[Future], Any]) -> Future:
        """A future whose value is what ``callback`` makes of this one."""
        made = Future(self._work)
        made._then = callback
        return made


class Background:
    """The thread that keeps operations going while the program computes.

    MPI moves large messages only while somebody asks it to. The thread sleeps while there are none.
    """

    def __init__(self) -> None:
        self.renew()

    def renew(self) -> None:
        """Begin anew, in a forked child too: it has no such thread."""
        self.works: list[Work] = []
        self.given_up: list[Work] = []
        self.wake = threading.Condition()
        self.thread: threading.Thread | None = None

    def add(self, work: Work) -> None:
        """Look after an operation until its messages are through."""
        with self.wake:
            self.works.append(work)
            if self.thread is None:
                self.thread = threading.Thread(
                    target=self._run, name="rushlight messages", daemon=True
                )
                self.thread.start()
            self.wake.notify()

    def keep(self, work: Work) -> None:
        """Keep the memory of an operation nobody waits for any more: MPI may still write to it."""
        self.given_up.append(work)

    def _run(self) -> None:
        while True:
            with self.wake:
                while not self.works:
                    self.wake.wait()
                works = list(self.works)
            done = {id(work) for work in works if work.look()}
            if done:
                with self.wake:
                    self.works = [work for work in self.works if id(work) not in done]
            time.sleep(BACKGROUND_SLEEP)


background = Background()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=background.renew)
