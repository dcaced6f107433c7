"""The same model on every rank, with gradients averaged over the ranks."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any
from weakref import ref

import numpy as np

from rushlight.autograd.grad_mode import is_grad_enabled
from rushlight.distributed import all_gather_object
from rushlight.distributed._buffers import bytes_of, deliver, outgoing, room_for
from rushlight.distributed._work import Work
from rushlight.distributed._world import ProcessGroup, default_group
from rushlight.engine.trace.backward import after_backward
from rushlight.engine.trace.gradient_node import HookHandle
from rushlight.nn.modules.module import Module
from rushlight.nn.parallel.reducer import Reducer

#: Megabytes of a bucket, by default; PyTorch's.
DEFAULT_BUCKET_MB = 25


class DistributedDataParallel(Module):
    """A module that every rank runs on its own part of each batch, with averaged gradients.

    All ranks begin with rank 0's parameters and buffers. After each backward pass every gradient is
    the mean over the ranks, so that equal optimizers keep the parameters equal.

    Args:
        module: the model, the same on all ranks.
        device_ids, output_device: for GPUs; ``None`` on processors.
        broadcast_buffers: give all ranks rank 0's buffers before each forward pass.
        init_sync: begin with rank 0's parameters and buffers.
        process_group: the ranks that train together, all by default.
        bucket_cap_mb: how many megabytes of gradients travel in one message.
        find_unused_parameters: whether some parameters may get no gradient in a pass.
        dim, check_reduction, gradient_as_bucket_view, static_graph, others: accepted for
            PyTorch's sake, without effect on the results.

    Raises:
        RuntimeError: no parameter wants a gradient; the ranks' parameters differ.
        ValueError: there is no group of processes yet.

    From Li et al., PyTorch Distributed, VLDB 2020; see
    https://pytorch.org/docs/stable/generated/torch.nn.parallel.DistributedDataParallel.html.
    """

    def __init__(
        self,
        module: Any,
        device_ids: Any = None,
        output_device: Any = None,
        dim: int = 0,
        broadcast_buffers: bool = True,
        init_sync: bool = True,
        process_group: Any = None,
        bucket_cap_mb: float | None = None,
        find_unused_parameters: bool = False,
        check_reduction: bool = False,
        gradient_as_bucket_view: bool = False,
        static_graph: bool = False,
        **others: Any,
    ) -> None:
        super().__init__()
        if not any(param.requires_grad for param in module.parameters()):
            raise RuntimeError(
                "DistributedDataParallel is not needed when a module doesn't have any parameter "
                "that requires a gradient."
            )
        if device_ids or output_device is not None:
            raise ValueError(
                "DistributedDataParallel device_ids and output_device arguments only work with "
                "single-device/multiple-device GPU modules or CPU modules, but got device_ids "
                f"{device_ids}, output_device {output_device}, and module parameters "
                "{device(type='cpu')}.\nLeave both out on processors."
            )
        group: ProcessGroup = default_group() if process_group is None else process_group
        self.module = module
        self.process_group = group
        self.device_ids = self.output_device = None
        self.dim = dim
        self.broadcast_buffers = broadcast_buffers
        self.find_unused_parameters = find_unused_parameters
        self.gradient_as_bucket_view = gradient_as_bucket_view
        self.static_graph = static_graph
        self.bucket_bytes_cap = int((bucket_cap_mb or DEFAULT_BUCKET_MB) * 1024 * 1024)
        self.parameters_to_ignore = set(getattr(module, "_ddp_params_and_buffers_to_ignore", ()))
        self.require_backward_grad_sync = True
        self.require_forward_param_sync = True
        named = [item for item in module.named_parameters() if self._wanted(item)]
        _verify(named, group)
        if init_sync:
            _give(self._state(), group)
        self._waiting: HookHandle | None = None
        self._make_reducer()

    def _make_reducer(self) -> None:
        named = [item for item in self.module.named_parameters() if self._wanted(item)]
        self.reducer = Reducer(
            [param for _, param in named],
            [name for name, _ in named],
            self.bucket_bytes_cap,
            self.process_group,
            self.find_unused_parameters,
        )

    def __getstate__(self) -> dict[str, Any]:
        """What is copied and pickled: all but what belongs to this process's group."""
        own = {"process_group", "reducer", "_waiting"}
        return {name: value for name, value in self.__dict__.items() if name not in own}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.process_group = default_group()
        self._waiting = None
        self._make_reducer()

    def _wanted(self, item: tuple[str, Any]) -> bool:
        return item[1].requires_grad and item[0] not in self.parameters_to_ignore

    def _buffers_in_use(self) -> list[Any]:
        ignored = self.parameters_to_ignore
        return [x for name, x in self.module.named_buffers() if name not in ignored]

    def _state(self) -> list[Any]:
        ignored = self.parameters_to_ignore
        params = [x for name, x in self.module.named_parameters() if name not in ignored]
        return params + self._buffers_in_use()

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """Run the module; the backward pass that follows averages the gradients."""
        if is_grad_enabled() and self.require_backward_grad_sync:
            self.reducer.prepare()
            if self._waiting is None:
                self._waiting = HookHandle(after_backward, _finisher(self))
        if self.will_sync_module_buffers():
            _give(self._buffers_in_use(), self.process_group)
        return self.module(*inputs, **kwargs)

    def will_sync_module_buffers(self) -> bool:
        """Whether the next forward pass begins with rank 0's buffers."""
        return (
            self.require_forward_param_sync
            and self.broadcast_buffers
            and self.process_group.size() > 1
            and next(iter(self.module.buffers()), None) is not None
        )

    def finish_backward(self) -> None:
        """A backward pass has ended: average its gradients if they are this module's."""
        if self.reducer.finish() and not self.reducer.pending:
            self._stop_waiting()

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.remove()
            self._waiting = None

    @contextmanager
    def no_sync(self) -> Iterator[None]:
        """Let gradients add up on each rank; the first pass after it averages the sums.

        Both passes, forward and backward, belong inside.
        """
        before = self.require_backward_grad_sync, self.require_forward_param_sync
        self.require_backward_grad_sync = False
        try:
            yield
        finally:
            self.require_backward_grad_sync = before[0]
            self.require_forward_param_sync = before[0]

    @staticmethod
    def _set_params_and_buffers_to_ignore_for_model(module: Any, names: Iterable[str]) -> None:
        """Leave these parameters and buffers of a module out of all communication."""
        module._ddp_params_and_buffers_to_ignore = list(names)


def _finisher(module: DistributedDataParallel) -> Any:
    weak = ref(module)

    def call() -> None:
        found = weak()
        if found is not None:
            found.finish_backward()

    return call


def _verify(named: list[tuple[str, Any]], group: ProcessGroup) -> None:
    """Refuse models that differ between the ranks."""
    if group.size() == 1:
        return
    own = [(name, tuple(param.shape), str(param.dtype)) for name, param in named]
    every: list[Any] = [None] * group.size()
    all_gather_object(every, own, group)
    first = every[0]
    for place, found in enumerate(every):
        rank = group.ranks[place]
        if len(found) != len(first):
            raise RuntimeError(
                f"DDP expects same model across all ranks, but Rank {group.ranks[0]} has "
                f"{len(first)} params, while rank {rank} has inconsistent {len(found)} params."
            )
        for number, (here, there) in enumerate(zip(found, first, strict=True)):
            if here != there:
                raise RuntimeError(
                    f"[{rank}]: params[{number}] in this process with sizes {list(here[1])} "
                    f"appears not to match sizes of the same param in process {group.ranks[0]}.\n"
                    f"It is {here[0]} of {here[2]} there, {there[0]} {list(there[1])} of "
                    f"{there[2]} in process {group.ranks[0]}."
                )


def _give(tensors: list[Any], group: ProcessGroup) -> None:
    """Give all ranks what the tensors hold on the first one, in one message."""
    if group.size() == 1 or not tensors:
        return
    first = group.rank() == 0
    if first:
        memory = np.concatenate([bytes_of(outgoing(x, "broadcast")) for x in tensors])
    else:
        memory = np.empty(sum(x.nbytes for x in tensors), np.uint8)
    request = group.comm.Ibcast([memory, group.mpi.BYTE], 0)
    Work(group, "DistributedDataParallel's broadcast", [request], None, memory).wait()
    if first:
        return
    start = 0
    for tensor in tensors:
        array = room_for(tensor)
        bytes_of(array)[...] = memory[start : start + tensor.nbytes]
        deliver(tensor, array)
        start += tensor.nbytes
