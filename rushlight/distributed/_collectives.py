"""Collective operations: sums over ranks and broadcasts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Any

import numpy as np

from rushlight.distributed._buffers import (
    RedOpType,
    Reduction,
    bytes_of,
    check_list,
    check_tensor,
    deliver,
    outgoing,
    room_for,
    same_types,
)
from rushlight.distributed._work import Work, background
from rushlight.distributed._world import ProcessGroup, outside, resolve
from rushlight.distributed.errors import DistBackendError

Finish = Callable[[list[Any]], None]


def run(
    group: ProcessGroup,
    name: str,
    requests: Sequence[Any],
    finish: Finish | None,
    async_op: bool,
    kept: Any = None,
    tensors: Sequence[Any] = (),
) -> Work | None:
    """Wait for an operation that has begun, or hand out its handle."""
    work = Work(group, name, requests, finish, kept)
    work.tensors = tensors
    if async_op:
        background.add(work)
        return work
    work.wait()
    return None


def root_of(group: ProcessGroup, rank: int | None, group_rank: int | None, name: str) -> int:
    """The number in the group of a root, given as rank of all or as rank of the group."""
    if group_rank is not None:
        if rank is not None:
            raise ValueError(f"Can't specify both group_{name} and {name}")
        return group_rank
    if rank is None:
        raise ValueError(f"Must specify {name} or group_{name}")
    return group.place(rank)


def all_reduce(
    tensor: Any, op: Any = RedOpType.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """Replace ``tensor`` on every rank by the sum (or the like) of all ranks' tensors.

    Args:
        tensor: of the same shape and type on all ranks; it is written in place.
        op: a ``ReduceOp``.
        group: the ranks that take part, all by default.
        async_op: return a handle at once; ``wait()`` on it before using ``tensor``.

    Returns:
        The handle, or ``None``.

    See https://pytorch.org/docs/stable/distributed.html#collective-functions.
    """
    check_tensor(tensor, "tensor")
    if outside(group, "all_reduce"):
        return None
    members = resolve(group)
    rule = Reduction(members.mpi, tensor.dtype, op, members.size())
    memory = rule.load(tensor, "all_reduce")
    request = members.comm.Iallreduce(members.mpi.IN_PLACE, rule.spec(memory), rule.operation)

    def finish(_: list[Any]) -> None:
        deliver(tensor, rule.result(memory))

    return run(members, "all_reduce", [request], finish, async_op, memory, [tensor])


def all_reduce_coalesced(
    tensors: Sequence[Any], op: Any = RedOpType.SUM, group: Any = None, async_op: bool = False
) -> Work | None:
    """``all_reduce`` of several tensors of one type in one message."""
    check_list(tensors, "tensor")
    if outside(group, "all_reduce_coalesced"):
        return None
    same_types("tensors", *tensors)
    members = resolve(group)
    rule = Reduction(members.mpi, tensors[0].dtype, op, members.size())
    parts = [rule.load(tensor, "all_reduce_coalesced") for tensor in tensors]
    memory = np.concatenate(parts)
    request = members.comm.Iallreduce(members.mpi.IN_PLACE, rule.spec(memory), rule.operation)

    def finish(_: list[Any]) -> None:
        result, start = rule.result(memory), 0
        for tensor in tensors:
            deliver(tensor, result[start : start + tensor.numel()].copy())
            start += tensor.numel()

    return run(members, "all_reduce_coalesced", [request], finish, async_op, memory, tensors)


def reduce(
    tensor: Any,
    dst: int | None = None,
    op: Any = RedOpType.SUM,
    group: Any = None,
    async_op: bool = False,
    group_dst: int | None = None,
) -> Work | None:
    """Replace ``tensor`` on rank ``dst`` by the sum (or the like) of all ranks' tensors.

    Arguments as for ``all_reduce``; ``dst`` is a rank among all, ``group_dst`` one in the group.
    """
    check_tensor(tensor, "tensor")
    if outside(group, "reduce"):
        return None
    members = resolve(group)
    root = root_of(members, dst, group_dst, "dst")
    rule = Reduction(members.mpi, tensor.dtype, op, members.size())
    memory = rule.load(tensor, "reduce")
    here = members.rank() == root
    sent = members.mpi.IN_PLACE if here else rule.spec(memory)
    received = rule.spec(memory) if here else None
    request = members.comm.Ireduce(sent, received, rule.operation, root)

    def finish(_: list[Any]) -> None:
        if here:
            deliver(tensor, rule.result(memory))

    return run(members, "reduce", [request], finish, async_op, memory, [tensor])


def broadcast(
    tensor: Any,
    src: int | None = None,
    group: Any = None,
    async_op: bool = False,
    group_src: int | None = None,
) -> Work | None:
    """Give every rank what ``tensor`` holds on rank ``src``.

    Args:
        tensor: of the same shape and type on all ranks; written in place on the others.
        src: the giving rank among all; ``group_src``: its number in the group.
        group, async_op: as for ``all_reduce``.
    """
    check_tensor(tensor, "tensor")
    if outside(group, "broadcast"):
        return None
    members = resolve(group)
    root = root_of(members, src, group_src, "src")
    here = members.rank() == root
    memory = outgoing(tensor, "broadcast").copy() if here else room_for(tensor)
    request = members.comm.Ibcast([bytes_of(memory), members.mpi.BYTE], root)

    def finish(_: list[Any]) -> None:
        if not here:
            deliver(tensor, memory)

    return run(members, "broadcast", [request], finish, async_op, memory, [tensor])


def reduce_scatter(
    output: Any,
    input_list: Sequence[Any],
    op: Any = RedOpType.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Sum the lists of all ranks element by element; rank ``i`` gets element ``i`` in ``output``.

    Args:
        output: where the result goes.
        input_list: one tensor for each rank.
        op, group, async_op: as for ``all_reduce``.
    """
    check_tensor(output, "output")
    check_list(input_list, "input_list")
    if outside(group, "reduce_scatter"):
        return None
    members = resolve(group)
    if len(input_list) != members.size():
        raise ValueError(
            f"Tensor list input to reduce_scatter must match the group's size: {len(input_list)} "
            f"tensors for {members.size()} ranks"
        )
    same_types("tensors", output, *input_list)
    if output.numel() != input_list[members.rank()].numel():
        raise ValueError("reduce_scatter: output and its part of input_list differ in size")
    rule = Reduction(members.mpi, output.dtype, op, members.size())
    memory = np.concatenate([rule.load(part, "reduce_scatter") for part in input_list])
    counts = [part.numel() for part in input_list]
    return _scatter_sums(members, rule, memory, counts, output, "reduce_scatter", async_op)


def reduce_scatter_tensor(
    output: Any,
    input: Any,
    op: Any = RedOpType.SUM,
    group: Any = None,
    async_op: bool = False,
) -> Work | None:
    """Sum ``input`` over all ranks; rank ``i`` gets the ``i``-th part of it in ``output``.

    Args:
        output: where the part goes.
        input: ranks times the size of ``output``, joined or stacked along the first axis.
        op, group, async_op: as for ``all_reduce``.
    """
    check_tensor(output, "output")
    check_tensor(input, "input")
    if outside(group, "reduce_scatter_tensor"):
        return None
    members = resolve(group)
    same_types("tensors", output, input)
    if input.numel() != output.numel() * members.size():
        raise ValueError("input tensor must be the same size as output size times world size")
    rule = Reduction(members.mpi, output.dtype, op, members.size())
    memory = rule.load(input, "reduce_scatter_tensor")
    counts = [output.numel()] * members.size()
    return _scatter_sums(members, rule, memory, counts, output, "reduce_scatter_tensor", async_op)


def _scatter_sums(
    members: ProcessGroup, rule: Reduction, memory: np.ndarray, counts: list[int],
    output: Any, name: str, async_op: bool,
) -> Work | None:  # fmt: skip
    mine = np.empty(counts[members.rank()], memory.dtype)
    request = members.comm.Ireduce_scatter(
        rule.spec(memory), rule.spec(mine), counts, rule.operation
    )

    def finish(_: list[Any]) -> None:
        deliver(output, rule.result(mine))

    return run(members, name, [request], finish, async_op, (memory, mine), [output])


def barrier(group: Any = None, async_op: bool = False, device_ids: Any = None) -> Work | None:
    """Wait until all ranks of the group have come here."""
    if outside(group, "barrier"):
        return None
    members = resolve(group)
    return run(members, "barrier", [members.comm.Ibarrier()], None, async_op)


def monitored_barrier(
    group: Any = None, timeout: timedelta | None = None, wait_all_ranks: bool = False
) -> None:
    """A barrier that says who has not come.

    Args:
        group: the ranks that take part, all by default.
        timeout: how long to wait, by default as long as the group allows.
        wait_all_ranks: name all ranks that are missing, not only the first.

    Raises:
        DistBackendError: on rank 0 of the group with the missing ranks, on the others after it.
    """
    if outside(group, "monitored_barrier"):
        return
    members = resolve(group)
    limit = timeout or members.timeout
    # of its own, so that nothing of a barrier that failed is taken for the next one's
    tag = 32_000
    token = np.zeros(1, np.uint8)
    if members.rank() != 0:
        Work(members, "monitored_barrier", [members.comm.Issend(token, 0, tag)]).wait(limit)
        answer = members.comm.Irecv(np.zeros(1, np.uint8), 0, tag)
        Work(members, "monitored_barrier", [answer]).wait(limit)
        return
    missing: list[int] = []
    for place, rank in enumerate(members.ranks[1:], 1):
        request = members.comm.Irecv(np.zeros(1, np.uint8), place, tag)
        try:
            Work(members, "monitored_barrier", [request]).wait(limit if not missing else 0.05)
        except DistBackendError:
            request.Cancel()
            missing.append(rank)
            if not wait_all_ranks:
                break
    if missing:
        named = ", ".join(str(rank) for rank in missing)
        raise DistBackendError(
            f"Rank {members.world_rank}: Rank{'s' * (len(missing) > 1)} {named} failed to pass "
            f"monitoredBarrier in {limit.total_seconds() * 1000:.0f} ms"
        )
    sends = [members.comm.Isend(token, place, tag) for place in range(1, members.size())]
    Work(members, "monitored_barrier", sends).wait(limit)
