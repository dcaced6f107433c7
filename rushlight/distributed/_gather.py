"""Collective operations that move tensors: gather, scatter, all to all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.distributed._buffers import (
    bytes_of,
    check_list,
    check_tensor,
    deliver,
    held,
    outgoing,
    room_for,
    same_types,
)
from rushlight.distributed._collectives import root_of, run
from rushlight.distributed._work import Work
from rushlight.distributed._world import ProcessGroup, outside, resolve


class _Parts:
    """Memory of several tensors, one after the other, as MPI's ``v`` operations want it.

    Args:
        mpi: the MPI library.
        tensors: those that the parts belong to.
        contents: whether their contents are wanted, or only room for new ones.
    """

    def __init__(self, mpi: Any, tensors: Sequence[Any], contents: bool) -> None:
        self.tensors = list(tensors)
        if contents:
            arrays = [bytes_of(outgoing(tensor, "gather")) for tensor in tensors]
            self.memory = np.concatenate(arrays) if arrays else np.empty(0, np.uint8)
        else:
            self.memory = np.empty(sum(tensor.nbytes for tensor in tensors), np.uint8)
        self.counts = [tensor.nbytes for tensor in tensors]
        self.spec = [self.memory, self.counts, mpi.BYTE]

    def deliver(self, _: list[Any]) -> None:
        start = 0
        for tensor, count in zip(self.tensors, self.counts, strict=True):
            part = self.memory[start : start + count].copy()  # aligned, and its own
            deliver(tensor, part.view(tensor.dtype.numpy))
            start += count


def _sized(name: str, tensors: Sequence[Any], members: ProcessGroup) -> None:
    if len(tensors) != members.size():
        raise ValueError(
            f"{name}: expected one tensor for each of the {members.size()} ranks of the group, got "
            f"{len(tensors)}"
        )


def all_gather(
    tensor_list: Sequence[Any], tensor: Any, group: Any = None, async_op: bool = False
) -> Work | None:
    """Collect every rank's ``tensor`` on every rank.

    Args:
        tensor_list: one tensor for each rank, written in place; their shapes may differ.
        tensor: this rank's.
        group: the ranks that take part, all by default.
        async_op: return a handle at once.

    See https://pytorch.org/docs/stable/distributed.html#collective-functions.
    """
    check_list(tensor_list, "tensor_list")
    check_tensor(tensor, "tensor")
    if outside(group, "all_gather"):
        return None
    members = resolve(group)
    same_types("tensors", tensor, *tensor_list)
    _sized("all_gather", tensor_list, members)
    if tensor_list[members.rank()].numel() != tensor.numel():
        raise ValueError("all_gather: tensor and its place in tensor_list differ in size")
    parts = _Parts(members.mpi, tensor_list, contents=False)
    sent = bytes_of(outgoing(tensor, "all_gather"))
    request = members.comm.Iallgatherv([sent, members.mpi.BYTE], parts.spec)
    kept = (sent, held(tensor), parts)
    return run(members, "all_gather", [request], parts.deliver, async_op, kept, tensor_list)


def all_gather_into_tensor(
    output_tensor: Any, input_tensor: Any, group: Any = None, async_op: bool = False
) -> Work | None:
    """Collect every rank's ``input_tensor``, joined or stacked, in ``output_tensor``."""
    check_tensor(output_tensor, "output_tensor")
    check_tensor(input_tensor, "input_tensor")
    if outside(group, "all_gather_into_tensor"):
        return None
    members = resolve(group)
    same_types("tensors", output_tensor, input_tensor)
    if output_tensor.numel() != input_tensor.numel() * members.size():
        raise ValueError("output tensor size must be equal to world_size times input tensor size")
    memory = room_for(output_tensor)
    sent = bytes_of(outgoing(input_tensor, "all_gather_into_tensor"))
    mpi = members.mpi
    received = [bytes_of(memory), sent.size, mpi.BYTE]
    request = members.comm.Iallgather([sent, mpi.BYTE], received)

    def finish(_: list[Any]) -> None:
        deliver(output_tensor, memory)

    kept = (sent, held(input_tensor), memory)
    return run(
        members, "all_gather_into_tensor", [request], finish, async_op, kept, [output_tensor]
    )


def gather(
    tensor: Any,
    gather_list: Sequence[Any] | None = None,
    dst: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Collect every rank's ``tensor`` on rank ``dst``.

    Args:
        tensor: this rank's.
        gather_list: on ``dst`` one tensor for each rank, written in place; else ``None``.
        dst: the collecting rank among all, 0 by default; ``group_dst``: its number in the group.
        group, async_op: as for ``all_gather``.
    """
    check_tensor(tensor, "tensor")
    if outside(group, "gather"):
        return None
    members = resolve(group)
    if dst is None and group_dst is None:
        dst = 0
    root = root_of(members, dst, group_dst, "dst")
    parts = None
    if members.rank() == root:
        if not gather_list:
            raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
        check_list(gather_list, "gather_list")
        same_types("tensors", tensor, *gather_list)
        _sized("gather", gather_list, members)
        parts = _Parts(members.mpi, gather_list, contents=False)
    elif gather_list:
        raise ValueError("Argument ``gather_list`` must NOT be specified on non-destination ranks.")
    sent = bytes_of(outgoing(tensor, "gather"))
    request = members.comm.Igatherv(
        [sent, members.mpi.BYTE], None if parts is None else parts.spec, root
    )
    finish = None if parts is None else parts.deliver
    kept = (sent, held(tensor), parts)
    return run(members, "gather", [request], finish, async_op, kept, gather_list or [])


def scatter(
    tensor: Any,
    scatter_list: Sequence[Any] | None = None,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Give every rank, in ``tensor``, its element of the list on rank ``src``.

    Args:
        tensor: where this rank's element goes.
        scatter_list: on ``src`` one tensor for each rank; else ``None``.
        src: the giving rank among all, 0 by default; ``group_src``: its number in the group.
        group, async_op: as for ``all_gather``.
    """
    check_tensor(tensor, "tensor")
    if outside(group, "scatter"):
        return None
    members = resolve(group)
    if src is None and group_src is None:
        src = 0
    root = root_of(members, src, group_src, "src")
    parts = None
    if members.rank() == root:
        if not scatter_list:
            raise ValueError("Argument ``scatter_list`` must be specified on source rank.")
        check_list(scatter_list, "scatter_list")
        same_types("tensors", tensor, *scatter_list)
        _sized("scatter", scatter_list, members)
        parts = _Parts(members.mpi, scatter_list, contents=True)
    elif scatter_list:
        raise ValueError("Argument ``scatter_list`` must NOT be specified on non-source ranks.")
    memory = room_for(tensor)
    request = members.comm.Iscatterv(
        None if parts is None else parts.spec, [bytes_of(memory), members.mpi.BYTE], root
    )

    def finish(_: list[Any]) -> None:
        deliver(tensor, memory)

    return run(members, "scatter", [request], finish, async_op, (memory, parts), [tensor])


def all_to_all(
    output_tensor_list: Sequence[Any],
    input_tensor_list: Sequence[Any],
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Send element ``i`` of the input list to rank ``i``, which gets one from every rank.

    Args:
        output_tensor_list: written in place, element ``i`` with what rank ``i`` has sent.
        input_tensor_list: one tensor for each rank.
        group, async_op: as for ``all_gather``.
    """
    check_list(output_tensor_list, "output_tensor_list")
    check_list(input_tensor_list, "input_tensor_list")
    if outside(group, "all_to_all"):
        return None
    members = resolve(group)
    same_types("tensors", *output_tensor_list, *input_tensor_list)
    _sized("all_to_all", output_tensor_list, members)
    _sized("all_to_all", input_tensor_list, members)
    parts = _Parts(members.mpi, output_tensor_list, contents=False)
    sent = _Parts(members.mpi, input_tensor_list, contents=True)
    request = members.comm.Ialltoallv(sent.spec, parts.spec)
    return run(
        members, "all_to_all", [request], parts.deliver, async_op, (sent, parts),
        output_tensor_list,
    )  # fmt: skip


def all_to_all_single(
    output: Any,
    input: Any,
    output_split_sizes: Sequence[int] | None = None,
    input_split_sizes: Sequence[int] | None = None,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Send parts of ``input`` to all ranks and join what they send in ``output``.

    Args:
        output: written in place.
        input: divided along its first axis.
        output_split_sizes, input_split_sizes: lengths of the parts; equal ones by default.
        group, async_op: as for ``all_gather``.
    """
    check_tensor(output, "output")
    check_tensor(input, "input")
    if outside(group, "all_to_all_single"):
        return None
    members = resolve(group)
    same_types("tensors", output, input)
    memory = room_for(output)
    sent = bytes_of(outgoing(input, "all_to_all_single"))
    mpi = members.mpi
    request = members.comm.Ialltoallv(
        [sent, _split(input, input_split_sizes, members), mpi.BYTE],
        [bytes_of(memory), _split(output, output_split_sizes, members), mpi.BYTE],
    )

    def finish(_: list[Any]) -> None:
        deliver(output, memory)

    kept = (sent, held(input), memory)
    return run(members, "all_to_all_single", [request], finish, async_op, kept, [output])


def _split(tensor: Any, sizes: Sequence[int] | None, members: ProcessGroup) -> list[int]:
    """How many bytes of a tensor belong to each rank."""
    length = tensor.shape[0] if tensor.ndim else 1
    if not sizes:
        if length % members.size():
            raise RuntimeError("Tensor's dim 0 does not divide equally across group size")
        sizes = [length // members.size()] * members.size()
    if len(sizes) != members.size():
        raise RuntimeError("Number of tensor splits not equal to group size")
    if sum(sizes) != length:
        raise RuntimeError("Split sizes doesn't match total dim 0 size")
    row = tensor.nbytes // length if length else 0
    return [size * row for size in sizes]
