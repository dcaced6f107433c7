"""One pass over the batches of a loader that worker processes make ahead of time."""

from __future__ import annotations

import itertools
import multiprocessing
import pickle
import weakref
from typing import TYPE_CHECKING, Any

from rushlight.engine.runtime.executor import flush
from rushlight.utils.data._iterators import _BaseDataLoaderIter
from rushlight.utils.data._utils.blocks import Block
from rushlight.utils.data._utils.errors import ExceptionWrapper
from rushlight.utils.data._utils.pin_memory import pin_memory
from rushlight.utils.data._utils.pool import Pool, Report
from rushlight.utils.data._utils.transport import Extent, unpack
from rushlight.utils.data._utils.worker import END, RESUME, RESUMED, Assignment

if TYPE_CHECKING:
    from rushlight.utils.data.dataloader import DataLoader


class _Task:
    """A batch under way: who makes it, in which block, and the report once it is there."""

    __slots__ = ("block", "report", "samples", "worker")

    def __init__(self, worker: int, block: int, samples: Any) -> None:
        self.worker = worker
        self.block = block
        self.samples = samples
        self.report: Report | None = None


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Keeps every worker busy with ``prefetch_factor`` batches and hands them out in order.

    Tasks are dealt to the workers in turn and numbered. ``_next`` is the number to hand out next;
    tasks of an iterable dataset that its worker will not answer any more, since its samples have
    come to an end, are passed over.
    """

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        self._in_order = loader.in_order
        self._most = (loader.prefetch_factor or 0) * self._num_workers
        # What has been recorded is computed once, here, and not again in every worker.
        flush("workers begin")
        self._pool = Pool(
            loader.multiprocessing_context or multiprocessing.get_context(),
            self._num_workers,
            self._most,
            _Assigner(self, loader),
        )
        self._finalizer = weakref.finalize(self, self._pool.close)
        self._finalizer.atexit = False
        try:
            self._reset(loader, first_iter=True)
        except BaseException:
            self._shutdown_workers()
            raise

    @property
    def _workers(self) -> list[Any]:
        return [link.process for link in self._pool.links]

    @property
    def _shutdown(self) -> bool:
        return self._pool.closed

    def _reset(self, loader: DataLoader[Any], first_iter: bool = False) -> None:
        """Begin a pass, with the workers there are."""
        super()._reset(loader, first_iter)
        if not first_iter:
            self._resume()
        self._sent = self._next = 0
        self._tasks: dict[int, _Task] = {}
        self._active = [True] * self._num_workers
        self._loads = [0] * self._num_workers
        self._turn = itertools.cycle(range(self._num_workers))
        for _ in range(self._most):
            self._try_put_index()

    def _resume(self) -> None:
        """Have every worker begin anew, and forget what was still under way."""
        for worker in range(self._num_workers):
            self._pool.order(worker, RESUME)
        waiting = self._num_workers
        while waiting:
            _, report = self._receive()
            waiting -= report[1] == RESUMED
        for task in self._tasks.values():
            self._pool.ring.give(task.block)

    def _receive(self) -> tuple[int, Report]:
        found = self._pool.receive(self._timeout)
        if found is None:
            busy: dict[int, Any] = {}
            for number in sorted(self._tasks):
                task = self._tasks[number]
                if task.report is None and self._active[task.worker]:
                    busy.setdefault(task.worker, task.samples)
            raise self._pool.give_up(self._timeout, busy)
        return found

    def _next_data(self) -> Any:
        while True:
            task = self._skip()
            if task is None:
                if not self._persistent_workers:
                    self._shutdown_workers()
                raise StopIteration
            if task.report is not None:
                return self._hand_out(self._next)
            worker, report = self._receive()
            number, outcome = report[:2]
            if outcome == END:
                self._end(worker)
                self._try_put_index()
                continue
            self._tasks[number].report = report
            if number == self._next or not self._in_order:
                return self._hand_out(number)

    def _skip(self) -> _Task | None:
        """The task to hand out next, passing over those that nobody will answer any more."""
        while self._next < self._sent:
            task = self._tasks.get(self._next)
            if task is not None:
                if task.report is not None or self._active[task.worker]:
                    return task
                self._pool.ring.give(self._tasks.pop(self._next).block)
            self._next += 1
        return None

    def _hand_out(self, number: int) -> Any:
        task = self._tasks.pop(number)
        if number == self._next:
            self._next += 1
        assert task.report is not None
        extent = Extent(*task.report[2:])
        memory = self._pool.ring.read(task.block, extent.total)
        self._loads[task.worker] -= 1
        self._try_put_index()
        batch = unpack(memory, extent)
        if isinstance(batch, ExceptionWrapper):
            batch.reraise()
        return pin_memory(batch) if self._pin_memory else batch

    def _end(self, worker: int) -> None:
        """Note that a worker's samples have come to an end."""
        self._active[worker] = False
        if not self._persistent_workers:
            self._pool.release(worker)

    def _try_put_index(self) -> None:
        """Give the next task to the worker whose turn it is, if there is one of both."""
        try:
            samples = self._next_index()
        except StopIteration:
            return
        worker = self._next_worker()
        if worker is None:
            return
        block = self._pool.ring.take()
        self._tasks[self._sent] = _Task(worker, block, samples)
        self._loads[worker] += 1
        request = pickle.dumps(samples, pickle.HIGHEST_PROTOCOL)
        self._pool.order(worker, self._sent, block, request)
        self._sent += 1

    def _next_worker(self) -> int | None:
        for worker in itertools.islice(self._turn, self._num_workers):
            if not self._active[worker]:
                continue
            if self._in_order or self._loads[worker] < self._most // sum(self._active):
                return worker
        return None

    def _shutdown_workers(self) -> None:
        """End the workers."""
        self._pool.close()


class _Assigner:
    """Writes down what a worker has to know."""

    def __init__(self, iterator: _MultiProcessingDataLoaderIter, loader: DataLoader[Any]) -> None:
        self._common = (
            iterator._dataset,
            iterator._dataset_kind,
            iterator._auto_collation,
            iterator._collate_fn,
            iterator._drop_last,
            iterator._base_seed,
            loader.worker_init_fn,
        )
        self._count = iterator._num_workers

    def __call__(self, worker: int, blocks: list[Block], stack: Block) -> Assignment:
        return Assignment(*self._common, worker, self._count, blocks, stack)
