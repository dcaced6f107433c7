"""Moving Python objects between ranks: pickled, as bytes."""

from __future__ import annotations

import pickle
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.distributed._collectives import root_of
from rushlight.distributed._work import Work
from rushlight.distributed._world import ProcessGroup, outside, resolve


def _pickled(x: Any) -> np.ndarray:
    return np.frombuffer(pickle.dumps(x), np.uint8)


def _wait(members: ProcessGroup, name: str, request: Any) -> list[Any]:
    work = Work(members, name, [request])
    work.wait()
    assert work.statuses is not None
    return work.statuses


def _parts(memory: np.ndarray, lengths: np.ndarray) -> list[Any]:
    ends = np.cumsum(lengths)
    return [
        pickle.loads(memory[end - length : end].tobytes())
        for end, length in zip(ends, lengths, strict=True)
    ]


def broadcast_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: Any = None,
    device: Any = None,
    group_src: int | None = None,
) -> None:
    """Replace the objects of a list on every rank by those on rank ``src``.

    Args:
        object_list: of the same length on all ranks; the objects must pickle.
        src: the giving rank among all, 0 by default; ``group_src``: its number in the group.
        group: the ranks that take part, all by default.
        device: accepted for PyTorch's sake.

    Only use it among processes you trust: unpickling runs code.
    """
    if outside(group, "broadcast_object_list"):
        return
    members = resolve(group)
    root = root_of(members, 0 if src is None and group_src is None else src, group_src, "src")
    here = members.rank() == root
    mpi, name = members.mpi, "broadcast_object_list"
    arrays = [_pickled(x) for x in object_list] if here else []
    lengths = np.array([a.size for a in arrays] or [0] * len(object_list), np.int64)
    _wait(members, name, members.comm.Ibcast([lengths, mpi.INT64_T], root))
    memory = np.concatenate(arrays) if arrays else np.empty(int(lengths.sum()), np.uint8)
    _wait(members, name, members.comm.Ibcast([memory, mpi.BYTE], root))
    if not here:
        object_list[:] = _parts(memory, lengths)


def all_gather_object(object_list: list[Any], obj: Any, group: Any = None) -> None:
    """Collect every rank's ``obj`` in ``object_list``, which has one place for each rank."""
    if outside(group, "all_gather_object"):
        return
    members = resolve(group)
    mpi, name, array = members.mpi, "all_gather_object", _pickled(obj)
    lengths = np.empty(members.size(), np.int64)
    own = np.array([array.size], np.int64)
    spec = [lengths, 1, mpi.INT64_T]
    _wait(members, name, members.comm.Iallgather([own, mpi.INT64_T], spec))
    memory = np.empty(int(lengths.sum()), np.uint8)
    received = [memory, lengths.tolist(), mpi.BYTE]
    _wait(members, name, members.comm.Iallgatherv([array, mpi.BYTE], received))
    object_list[:] = _parts(memory, lengths)


def gather_object(
    obj: Any,
    object_gather_list: list[Any] | None = None,
    dst: int | None = None,
    group: Any = None,
    group_dst: int | None = None,
) -> None:
    """Collect every rank's ``obj`` on rank ``dst``, in a list with one place for each rank."""
    if outside(group, "gather_object"):
        return
    members = resolve(group)
    root = root_of(members, 0 if dst is None and group_dst is None else dst, group_dst, "dst")
    here = members.rank() == root
    if here and object_gather_list is None:
        raise ValueError("Argument ``gather_list`` must be specified on destination rank.")
    mpi, name, array = members.mpi, "gather_object", _pickled(obj)
    lengths = np.empty(members.size(), np.int64)
    own = np.array([array.size], np.int64)
    spec = [lengths, 1, mpi.INT64_T] if here else None
    _wait(members, name, members.comm.Igather([own, mpi.INT64_T], spec, root))
    memory = np.empty(int(lengths.sum()) if here else 0, np.uint8)
    received = [memory, lengths.tolist(), mpi.BYTE] if here else None
    _wait(members, name, members.comm.Igatherv([array, mpi.BYTE], received, root))
    if object_gather_list is not None and here:
        object_gather_list[:] = _parts(memory, lengths)


def scatter_object_list(
    scatter_object_output_list: list[Any],
    scatter_object_input_list: Sequence[Any] | None = None,
    src: int | None = None,
    group: Any = None,
    group_src: int | None = None,
) -> None:
    """Give every rank, as first element of the output list, its element of ``src``'s list."""
    if outside(group, "scatter_object_list"):
        return
    members = resolve(group)
    if not isinstance(scatter_object_output_list, list) or not scatter_object_output_list:
        raise ValueError("Expected argument scatter_object_output_list to be a list of size at "
                         "least 1.")  # fmt: skip
    root = root_of(members, 0 if src is None and group_src is None else src, group_src, "src")
    here = members.rank() == root
    arrays = [_pickled(x) for x in scatter_object_input_list or ()] if here else []
    if here and len(arrays) != members.size():
        raise ValueError("scatter_object_list: one object for each rank is needed on the source")
    mpi, name = members.mpi, "scatter_object_list"
    lengths = np.array([a.size for a in arrays], np.int64)
    own = np.empty(1, np.int64)
    spec = [lengths, 1, mpi.INT64_T] if here else None
    _wait(members, name, members.comm.Iscatter(spec, [own, mpi.INT64_T], root))
    memory = np.empty(int(own[0]), np.uint8)
    sent = [np.concatenate(arrays), lengths.tolist(), mpi.BYTE] if here else None
    _wait(members, name, members.comm.Iscatterv(sent, [memory, mpi.BYTE], root))
    scatter_object_output_list[0] = pickle.loads(memory.tobytes())


def send_object_list(
    object_list: Sequence[Any],
    dst: int | None = None,
    group: Any = None,
    device: Any = None,
    group_dst: int | None = None,
    use_batch: bool = False,
) -> None:
    """Send objects to rank ``dst``, which receives them with ``recv_object_list``."""
    if outside(group, "send_object_list"):
        return
    members = resolve(group)
    place = root_of(members, dst, group_dst, "dst")
    memory = _pickled(list(object_list))
    length = np.array([memory.size], np.int64)
    mpi, comm = members.mpi, members.comm
    _wait(members, "send_object_list", comm.Isend([length, mpi.INT64_T], place))
    _wait(members, "send_object_list", comm.Isend([memory, mpi.BYTE], place))


def recv_object_list(
    object_list: list[Any],
    src: int | None = None,
    group: Any = None,
    device: Any = None,
    group_src: int | None = None,
    use_batch: bool = False,
) -> int:
    """Receive the objects that ``send_object_list`` sends; the rank they came from."""
    if outside(group, "recv_object_list"):
        return -1
    members = resolve(group)
    mpi, comm, name = members.mpi, members.comm, "recv_object_list"
    place = mpi.ANY_SOURCE
    if src is not None or group_src is not None:
        place = root_of(members, src, group_src, "src")
    length = np.empty(1, np.int64)
    source = _wait(members, name, comm.Irecv([length, mpi.INT64_T], place))[0].source
    memory = np.empty(int(length[0]), np.uint8)
    _wait(members, name, comm.Irecv([memory, mpi.BYTE], source))
    object_list[:] = pickle.loads(memory.tobytes())
    return members.ranks[source]
