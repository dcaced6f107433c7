"""Messages from one rank to another."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.distributed._buffers import bytes_of, check_tensor, deliver, held, outgoing, room_for
from rushlight.distributed._collectives import root_of
from rushlight.distributed._work import Work, background
from rushlight.distributed._world import ProcessGroup, outside, resolve
from rushlight.distributed.errors import DistBackendError


def _sending(
    tensor: Any, dst: int | None, group: Any, tag: int, group_dst: int | None, name: str
) -> Work | None:
    check_tensor(tensor, "tensor")
    if outside(group, name):
        return None
    members = resolve(group)
    place = root_of(members, dst, group_dst, "dst")
    if place == members.rank():
        raise ValueError(
            "Invalid destination rank: destination rank should not be the same as the rank of the "
            "current process."
        )
    sent = bytes_of(outgoing(tensor, name))
    request = members.comm.Isend([sent, members.mpi.BYTE], place, tag)
    return Work(members, name, [request], None, (sent, held(tensor)))


def _receiving(
    tensor: Any, src: int | None, group: Any, tag: int, group_src: int | None, name: str
) -> Work | None:
    check_tensor(tensor, "tensor")
    if outside(group, name):
        return None
    members = resolve(group)
    if src is None and group_src is None:
        place = members.mpi.ANY_SOURCE
    else:
        place = root_of(members, src, group_src, "src")
        if place == members.rank():
            raise ValueError(
                "Invalid source rank: source rank should not be the same as the rank of the "
                "current process."
            )
    memory = room_for(tensor)
    request = members.comm.Irecv([bytes_of(memory), members.mpi.BYTE], place, tag)

    def finish(statuses: list[Any]) -> None:
        work.source = members.ranks[statuses[0].source]
        _check_size(members, name, statuses[0], tensor.nbytes)
        deliver(tensor, memory)

    work = Work(members, name, [request], finish, memory)
    return work


def _check_size(members: ProcessGroup, name: str, status: Any, wanted: int) -> None:
    came = status.Get_count(members.mpi.BYTE)
    if came != wanted:
        raise DistBackendError(
            f"{name}: a message of {came} bytes has come from rank "
            f"{members.ranks[status.source]}, but the tensor has {wanted}"
        )


def _begun(work: Work | None) -> Work | None:
    if work is not None:
        background.add(work)
    return work


def isend(
    tensor: Any, dst: int | None = None, group: Any = None, tag: int = 0,
    group_dst: int | None = None,
) -> Work | None:  # fmt: skip
    """Begin to send ``tensor`` to rank ``dst``; ``wait()`` on the handle before changing it.

    Args:
        tensor: what to send.
        dst: the receiving rank among all; ``group_dst``: its number in the group.
        group: the group both belong to.
        tag: tells messages between the same two apart.
    """
    return _begun(_sending(tensor, dst, group, tag, group_dst, "isend"))


def irecv(
    tensor: Any, src: int | None = None, group: Any = None, tag: int = 0,
    group_src: int | None = None,
) -> Work | None:  # fmt: skip
    """Begin to receive into ``tensor``, from rank ``src`` or from anybody."""
    return _begun(_receiving(tensor, src, group, tag, group_src, "irecv"))


def send(
    tensor: Any, dst: int | None = None, group: Any = None, tag: int = 0,
    group_dst: int | None = None,
) -> None:  # fmt: skip
    """Send ``tensor`` to rank ``dst``; arguments as for ``isend``."""
    work = _sending(tensor, dst, group, tag, group_dst, "send")
    if work is not None:
        work.wait()


def recv(
    tensor: Any, src: int | None = None, group: Any = None, tag: int = 0,
    group_src: int | None = None,
) -> int:  # fmt: skip
    """Receive into ``tensor``, from rank ``src`` or from anybody; the rank it came from."""
    work = _receiving(tensor, src, group, tag, group_src, "recv")
    if work is None:
        return -1
    work.wait()
    return work.source


class P2POp:
    """A message for ``batch_isend_irecv``.

    Args:
        op: ``isend`` or ``irecv``.
        tensor: what to send, or where to receive.
        peer: the other rank among all; ``group_peer``: its number in the group.
        group, tag: as for ``isend``.
    """

    def __init__(
        self, op: Callable[..., Any], tensor: Any, peer: int | None = None, group: Any = None,
        tag: int = 0, group_peer: int | None = None,
    ) -> None:  # fmt: skip
        if op not in (isend, irecv):
            raise ValueError(
                "Invalid ``op``. Expected ``op`` to be of type ``torch.distributed.isend`` or "
                "``torch.distributed.irecv``."
            )
        check_tensor(tensor, "tensor")
        self.op, self.tensor, self.group, self.tag = op, tensor, group, tag
        self.peer, self.group_peer = peer, group_peer


def batch_isend_irecv(p2p_op_list: Sequence[P2POp]) -> list[Work]:
    """Begin several messages at once; the handles of those this rank takes part in."""
    if not p2p_op_list or not all(isinstance(op, P2POp) for op in p2p_op_list):
        raise ValueError(
            "Invalid ``p2p_op_list``. Each op is expected to to be of type "
            "``torch.distributed.P2POp``."
        )
    begun = [op.op(op.tensor, op.peer, op.group, op.tag, op.group_peer) for op in p2p_op_list]
    return [work for work in begun if work is not None]
