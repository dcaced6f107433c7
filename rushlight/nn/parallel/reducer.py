"""Averaging gradients over ranks, in buckets.

Note: averaging recorded gradients
    A backward pass only records; so the gradients are computed when they are about to be sent. With
    one bucket that happens once, after the pass. With several the trace is run each time a bucket
    is complete, and its message travels while the rest of the pass is recorded and computed.
    Buckets are sent in the order of their numbers on every rank, whatever order gradients come in.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any
from weakref import ref

import numpy as np

from rushlight.distributed._buffers import RedOpType, Reduction
from rushlight.distributed._work import Work, background
from rushlight.distributed._world import ProcessGroup
from rushlight.engine.ir.buffers import copy_strided
from rushlight.engine.ir.graph import Value
from rushlight.engine.trace import views
from rushlight.engine.trace.recorder import mode

#: Bytes of the first bucket: small, so that the first message leaves early.
FIRST_BUCKET = 1 << 20

#: Gradients begin at multiples of so many bytes.
ALIGNMENT = 64


class Bucket:
    """Gradients of one type that travel together.

    Args:
        members: places of the parameters in the module's list.
        params: the parameters.
        group: the ranks that average.
    """

    def __init__(self, members: list[int], params: list[Any], group: ProcessGroup) -> None:
        self.members = members
        self.params = params
        self.rule = Reduction(group.mpi, params[0].dtype, RedOpType.SUM, group.size())
        self.group = group
        self.scale = 1.0 / group.size()
        step = ALIGNMENT // self.rule.compute.itemsize
        self.starts, end = [], 0
        for param in params:
            self.starts.append(end)
            end += -(-param.numel() // step) * step
        self.length = end
        self.owner: np.ndarray | None = None
        self.flat = np.empty(0, self.rule.compute)
        self.unheld = 0
        self.work: Work | None = None

    def _renew_memory(self) -> None:
        """Memory for the next message: the last one's, unless a gradient there is still held."""
        if self.owner is not None and getrefcount(self.owner) == self.unheld:
            return
        size = self.rule.compute.itemsize
        self.owner = np.empty(self.length * size + ALIGNMENT, np.uint8)
        skipped = -self.owner.ctypes.data % ALIGNMENT
        self.flat = self.owner[skipped : skipped + self.length * size].view(self.rule.compute)
        self.flat[...] = 0  # the gaps travel too
        self.unheld = getrefcount(self.owner)

    def begin(self, touched: Sequence[bool]) -> None:
        """Copy the gradients, divided by the number of ranks, and begin to add them up."""
        self._renew_memory()
        for place, param, start in zip(self.members, self.params, self.starts, strict=True):
            slot = self.flat[start : start + param.numel()].reshape(tuple(param.shape))
            if param._grad is None or not touched[place]:
                slot[...] = 0
            else:
                array = param._grad._array("DistributedDataParallel")
                np.multiply(array, self.scale, out=slot, dtype=self.rule.compute)
        request = self.group.comm.Iallreduce(
            self.group.mpi.IN_PLACE, self.rule.spec(self.flat), self.rule.operation
        )
        name = "DistributedDataParallel's all_reduce"
        self.work = Work(self.group, name, [request], None, self.flat)

    def end(self, used: Sequence[bool]) -> None:
        """Wait, and let the parameters have the averages."""
        assert self.work is not None
        self.work.wait()
        self.work = None
        for place, param, start in zip(self.members, self.params, self.starts, strict=True):
            if used[place]:
                slot = self.flat[start : start + param.numel()].reshape(tuple(param.shape))
                _set_gradient(param, self.rule.result(slot))


def _set_gradient(param: Any, array: np.ndarray) -> None:
    gradient = param._grad
    meta = param._value.meta if gradient is None else gradient._value.meta
    value = Value(meta, -1, array if meta.contiguous else copy_strided(array, meta))
    if gradient is None:
        made: Any = object.__new__(mode.tensor)
        made._value = value
        param._grad = made
        return
    before, mode.grad = mode.grad, False
    try:
        views.assign(gradient, value, None)
    finally:
        mode.grad = before


def make_buckets(params: Sequence[Any], capacity: float, group: ProcessGroup) -> list[Bucket]:
    """Parameters in buckets of about ``capacity`` bytes, the last parameters first.

    Backward passes come to the last parameters first, so their bucket is complete first.
    """
    open_buckets: dict[Any, list[int]] = {}
    closed: list[list[int]] = []
    for place in reversed(range(len(params))):
        kind = params[place].dtype
        members = open_buckets.setdefault(kind, [])
        members.append(place)
        limit = FIRST_BUCKET if not closed else capacity
        if sum(params[i].nbytes for i in members) >= min(limit, capacity):
            closed.append(open_buckets.pop(kind))
    closed += open_buckets.values()
    return [Bucket(members, [params[i] for i in members], group) for members in closed]


class Reducer:
    """Averages the gradients of a list of parameters after each backward pass.

    Args:
        params: the parameters, the same on all ranks.
        names: their names, for errors.
        capacity: bytes of a bucket.
        group: the ranks that average.
        find_unused: whether some parameters may get no gradient.
    """

    def __init__(
        self, params: list[Any], names: list[str], capacity: float, group: ProcessGroup,
        find_unused: bool,
    ) -> None:  # fmt: skip
        self.params = params
        self.names = names
        self.group = group
        self.find_unused = find_unused
        self.buckets = make_buckets(params, capacity, group)
        self.pending = 0  # forward passes whose gradients are still to come
        self.reduced = False
        self.before: list[Any] = [None] * len(params)
        self.begun = 0  # buckets whose messages are under way
        self.hooks: list[Any] = []
        if len(self.buckets) > 1 and group.size() > 1:
            self._hook_parameters()

    def _hook_parameters(self) -> None:
        """Learn of gradients as they are recorded, to send full buckets early.

        The last bucket is complete when the pass is over, which is noticed anyway.
        """
        weak = ref(self)

        def note(_: Any) -> None:
            reducer = weak()
            if reducer is not None and reducer.pending and not reducer.find_unused:
                reducer.send_complete()

        for bucket in self.buckets[:-1]:
            for param in bucket.params:
                self.hooks.append(param.register_post_accumulate_grad_hook(note))

    def prepare(self) -> None:
        """A forward pass begins, whose gradients will be averaged."""
        if self.pending and not self.reduced and any(self._touched()):
            raise RuntimeError(self._unfinished())
        if self.reduced:
            self.pending = 0
        self.pending += 1
        self.reduced = False
        self.before = [
            None if param._grad is None else ref(param._grad._read()) for param in self.params
        ]

    def _is_touched(self, place: int) -> bool:
        gradient = self.params[place]._grad
        if gradient is None:
            return False
        before = self.before[place]
        return before is None or before() is not gradient._read()

    def _touched(self) -> list[bool]:
        """Which parameters have got a gradient since the forward pass began."""
        return [self._is_touched(place) for place in range(len(self.params))]

    def send_complete(self) -> None:
        """Begin to send the next bucket if all its gradients are there."""
        while self.begun < len(self.buckets) - 1:
            bucket = self.buckets[self.begun]
            if not all(self._is_touched(place) for place in bucket.members):
                return
            bucket.begin([True] * len(self.params))
            if bucket.work is not None:  # it travels while the rest is computed
                background.add(bucket.work)
            self.begun += 1

    def finish(self) -> bool:
        """A backward pass is over: average, if its gradients are all there; whether they were."""
        touched = self._touched()
        if not self.pending or not any(touched):
            return False
        if not self.find_unused and not all(touched):
            return False  # another pass may bring the rest
        for bucket in self.buckets[self.begun :] if self.group.size() > 1 else ():
            bucket.begin(touched)
        used = self._used_anywhere(touched) if self.find_unused else touched
        for bucket in self.buckets if self.group.size() > 1 else ():
            bucket.end(used)
        self.begun = 0
        self.pending -= 1
        self.reduced = True
        self.before = [
            None if param._grad is None else ref(param._grad._read()) for param in self.params
        ]
        return True

    def _used_anywhere(self, touched: Sequence[bool]) -> Sequence[bool]:
        if self.group.size() == 1:
            return touched
        flags = np.array(touched, np.uint8)
        mpi = self.group.mpi
        request = self.group.comm.Iallreduce(mpi.IN_PLACE, [flags, mpi.UINT8_T], mpi.MAX)
        Work(self.group, "DistributedDataParallel's search for unused parameters", [request]).wait()
        return [bool(flag) for flag in flags]

    def _unfinished(self) -> str:
        missing = [place for place, found in enumerate(self._touched()) if not found]
        numbers = " ".join(str(place) for place in missing)
        names = ", ".join(self.names[place] for place in missing)
        return (
            "Expected to have finished reduction in the prior iteration before starting a new one. "
            "This error indicates that your module has parameters that were not used in producing "
            "loss. You can enable unused parameter detection by passing the keyword argument "
            "`find_unused_parameters=True` to `torch.nn.parallel.DistributedDataParallel`, and by "
            "\nmaking sure all `forward` function outputs participate in calculating loss. \n"
            f"Parameter indices which did not receive grad for rank {self.group.world_rank}: "
            f"{numbers}\nThey are: {names}"
        )
