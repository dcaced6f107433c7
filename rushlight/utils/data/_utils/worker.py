"""What a worker process of a loader does."""

from __future__ import annotations

import faulthandler
import gc
import multiprocessing
import os
import pickle
import random
import signal
import struct
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing import connection
from pathlib import Path
from typing import Any

import numpy as np

from rushlight._random import manual_seed
from rushlight.engine.backends.cpu import threads
from rushlight.utils.data._utils.blocks import Block
from rushlight.utils.data._utils.errors import ExceptionWrapper
from rushlight.utils.data._utils.fetch import _BaseDatasetFetcher, _DatasetKind
from rushlight.utils.data._utils.transport import pack

#: An order: the number of the task, its block, and the bytes in there that say which samples.
ORDER = struct.Struct("<qiq")

#: A report: the number of the task, what became of it, and the extent of the batch in its block.
REPORT = struct.Struct("<qiqqq")

#: Orders that are no task.
STOP, RESUME = -1, -2

#: What became of a task.
BATCH, FAILURE, END, RESUMED = range(4)

#: Seconds between looks at whether the main process still lives.
_WATCH_INTERVAL = 1.0

_PROCESS_NAME = Path("/proc/self/comm")


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker process knows about itself.

    Attributes:
        id: its number, from 0 on.
        num_workers: how many there are.
        seed: what Python's and the default generator were seeded with in this process.
        dataset: this process's copy of the dataset.
        rng: generators of a worker thread; ``None`` in a process, which has its own.
        worker_method: ``"multiprocessing"``.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any
    rng: Any = None
    worker_method: str | None = "multiprocessing"


class _Here:
    info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """What this worker process knows about itself; ``None`` in the main process.

    See https://pytorch.org/docs/stable/data.html#torch.utils.data.get_worker_info.

    >>> from rushlight.utils.data import get_worker_info
    >>> get_worker_info() is None
    True
    """
    return _Here.info


@dataclass
class Assignment:
    """What a worker is told when it begins."""

    dataset: Any
    kind: int
    auto_collation: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    init_fn: Callable[[int], Any] | None
    worker: int
    count: int
    blocks: Sequence[Block]
    stack: Block  # where the stack is written if the process is ended by a signal

    def fetcher(self) -> _BaseDatasetFetcher:
        """What gets the batches of an epoch."""
        return _DatasetKind.create_fetcher(
            self.kind, self.dataset, self.auto_collation, self.collate_fn, self.drop_last
        )


def seed_worker(base_seed: int, worker: int) -> int:
    """Seed Python's, NumPy's and the default generator as every worker of an epoch does.

    Args:
        base_seed: what the iterator has drawn.
        worker: the worker's number.

    Returns:
        The seed of this worker.
    """
    seed = base_seed + worker
    random.seed(seed)
    manual_seed(seed)
    # NumPy's generator is Python's: other words for a seed keep the two from running alike.
    entropy = [worker, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    np.random.seed(np.random.SeedSequence(entropy).generate_state(4))
    return seed


def lock_of_numpy() -> Any:
    """What a thread holds while it draws from NumPy's default generator."""
    return np.random.get_bit_generator().lock  # type: ignore[attr-defined]


def _tell_stack(file: int) -> None:
    """Have the stack written to a file when a signal ends this process."""
    faulthandler.enable(file, all_threads=False)
    if hasattr(faulthandler, "register"):
        faulthandler.register(signal.SIGTERM, file, all_threads=False, chain=True)


def _take_signals(file: int) -> None:
    """Ctrl-C is for the main process, which ends its workers; its own handlers are not for us.

    A handler that does nothing is better than none: programs this process starts get the default.
    """
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGINT, lambda number, frame: None)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    _tell_stack(file)


def _watch(owner: int) -> None:
    """End this process when the main process is gone, whatever it is doing just then."""
    parent = multiprocessing.parent_process()
    gone: Sequence[Any] = ()
    while os.getppid() == owner and not gone:
        gone = connection.wait([parent.sentinel] if parent else [], _WATCH_INTERVAL)
    os._exit(1)


def _prepare(assignment: Assignment) -> None:
    gc.freeze()  # what is inherited is not garbage: looking at it would copy its memory
    _take_signals(assignment.stack.descriptor)
    if _PROCESS_NAME.exists():
        _PROCESS_NAME.write_text("rushlight_data")
    threads.set_limit(1)
    threading.Thread(
        target=_watch, args=(os.getppid(),), name="rushlight-watch", daemon=True
    ).start()
    seed = seed_worker(assignment.base_seed, assignment.worker)
    _Here.info = WorkerInfo(assignment.worker, assignment.count, seed, assignment.dataset)


def work(
    assignment: Assignment,
    orders: connection.Connection,
    reports: connection.Connection,
    inherited: Sequence[connection.Connection] = (),
) -> None:
    """Deliver batches until told to stop.

    Args:
        assignment: whose samples, and how.
        orders: where tasks come from.
        reports: where to say that a batch lies in its block.
        inherited: ends of pipes that only the main process should have.
    """
    for end in inherited:
        end.close()
    if inherited:  # a forked process: what the parent has held while it forked
        lock_of_numpy().release()
    _prepare(assignment)
    worker = _Worker(assignment)
    try:
        while (task := _next_order(orders))[0] != STOP:
            report = worker.answer(*task)
            if report is not None:
                reports.send_bytes(report)
    except (KeyboardInterrupt, BrokenPipeError):
        return  # the main process is gone or about to go


def _next_order(orders: connection.Connection) -> tuple[int, int, int]:
    try:
        return ORDER.unpack(orders.recv_bytes())
    except (EOFError, ConnectionResetError):
        return STOP, -1, 0


class _Worker:
    """Answers orders: one fetcher per epoch."""

    def __init__(self, assignment: Assignment) -> None:
        self._assignment = assignment
        self._where = f"in DataLoader worker process {assignment.worker}"
        self._begin(assignment.init_fn)

    def _begin(self, init_fn: Callable[[int], Any] | None = None) -> None:
        """Begin an epoch; an error is what every batch of it will be answered with."""
        self._ended = False
        self._error: ExceptionWrapper | None = None
        try:
            if init_fn is not None:
                init_fn(self._assignment.worker)
            self._fetcher = self._assignment.fetcher()
        except Exception as error:
            self._error = ExceptionWrapper(error, self._where)

    def answer(self, task: int, number: int, size: int) -> bytes | None:
        """Do what an order says; the report on it, if one is expected."""
        if task == RESUME:
            self._begin()
            return REPORT.pack(task, RESUMED, 0, 0, 0)
        if self._ended:
            return None
        block = self._assignment.blocks[number]
        outcome, batch = self._fetch(pickle.loads(block.memory(size)[:size]))
        if outcome == END:
            self._ended = True
            return REPORT.pack(task, END, 0, 0, 0)
        return REPORT.pack(task, *self._deliver(outcome, batch, block))

    def _fetch(self, samples: Any) -> tuple[int, Any]:
        if self._error is not None:
            return FAILURE, self._error
        try:
            return BATCH, self._fetcher.fetch(samples)
        except Exception as raised:
            if isinstance(raised, StopIteration) and self._assignment.kind != _DatasetKind.Map:
                return END, None
            return FAILURE, ExceptionWrapper(raised, self._where)

    def _deliver(self, outcome: int, batch: Any, block: Block) -> tuple[int, int, int, int]:
        try:
            return outcome, *pack(batch, block)
        except Exception as raised:
            error = ExceptionWrapper(raised, self._where)
            if outcome == FAILURE:  # a type of exception that cannot travel
                error.exc_type, error.exc_msg = RuntimeError, batch.exc_msg
            return FAILURE, *pack(error, block)
