"""Finding one's place, and the meeting point's protocol, without starting ranks."""

from __future__ import annotations

import socket
import threading
from contextlib import suppress

import pytest

import rushlight.distributed as dist
from rushlight.distributed._link import Link
from rushlight.distributed._rendezvous import Rendezvous, fields_of, node_mapping, world_id
from rushlight.distributed._start import find_place
from tests.distributed.ranks import needs_mpi

VARIABLES = ("RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT", "PMI_RANK", "PMI_FD",
             "TORCHELASTIC_RUN_ID")  # fmt: skip


@pytest.fixture(autouse=True)
def no_launcher(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


def test_the_variables_are_asked_for_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    values = {"RANK": "1", "WORLD_SIZE": "3", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"}
    for name, value in values.items():
        message = (
            "Error initializing torch.distributed using env:// rendezvous: environment variable "
            f"{name} expected, but not set"
        )
        with pytest.raises(ValueError, match=message):
            find_place(None, -1, -1, "gloo")
        monkeypatch.setenv(name, value)
    place = find_place(None, -1, -1, "gloo")
    assert (place.rank, place.size, place.host, place.port) == (1, 3, "10.0.0.1", 29500)
    assert not place.served


def test_addresses() -> None:
    place = find_place("tcp://node0:1234", 1, 2, "gloo")
    assert (place.rank, place.size, place.host, place.port) == (1, 2, "node0", 1234)
    assert find_place("file:///tmp/x", 0, 2, "gloo").file == "/tmp/x"
    assert find_place(None, -1, -1, "mpi").size == 1
    with pytest.raises(ValueError, match="rank parameter missing"):
        find_place("tcp://node0:1234", -1, 2, "gloo")
    with pytest.raises(ValueError, match="port number missing"):
        find_place("tcp://node0", 0, 2, "gloo")
    with pytest.raises(RuntimeError, match="No rendezvous handler for ftp://"):
        find_place("ftp://node0:1", 0, 2, "gloo")


def test_before_a_group_is_made() -> None:
    message = "Default process group has not been initialized"
    for call in (dist.get_rank, dist.get_world_size, dist.get_backend, dist.barrier):
        with pytest.raises(ValueError, match=message):
            call()
    assert dist.group.WORLD is None
    with pytest.raises(ValueError, match="Unknown backend type carrier-pigeon"):
        dist.init_process_group("carrier-pigeon")


def test_what_mpich_is_told() -> None:
    assert node_mapping(["a", "b", "b", "a"]) == "(vector,(0,1,1),(1,1,2),(0,1,1))"
    assert world_id("kvs_0") == 0x7F2D381A  # as MPICH 5.0.2 names its memory for this job
    assert fields_of("cmd=get key=a") == {"cmd": "get", "key": "a"}


def test_the_meeting_point_bears_with_anything() -> None:
    server = Rendezvous(2)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            lines = client.makefile("rb")
            for sent, answer in (
                (b"nonsense\n", b"cmd=unknown rc=-1\n"),
                (b"cmd=__init__\n", b"cmd=unknown rc=-1\n"),
                (b"cmd=join rank=x size=2\n", b"cmd=refused"),
                (b"cmd=join rank=0 size=7 host=a\n", b"cmd=refused reason=rank%200%20expects"),
                (b"cmd=get key=absent\n", b"cmd=get_result rc=-1"),
                (b"cmd=who\n", b"cmd=missing ranks=0,1\n"),
                (b"\xff\xfe cmd=who\n", b"cmd=missing ranks=0,1\n"),
            ):
                client.sendall(sent)
                assert lines.readline().startswith(answer)
        with socket.create_connection(("127.0.0.1", server.port), timeout=5) as client:
            client.sendall(b"x" * (1 << 16))
            client.sendall(b"x")
            with suppress(ConnectionResetError):
                assert client.recv(1) == b""  # a line without end is cut off
    finally:
        server.close()


@needs_mpi
def test_ranks_hear_who_leaves_and_who_is_lost() -> None:
    lost: list[int] = []
    server = Rendezvous(3, lost=lost.append)
    server.start()
    links: dict[int, Link] = {}

    def join(rank: int) -> None:
        links[rank] = Link(("127.0.0.1", server.port), rank, 3, "here", 5)

    threads = [threading.Thread(target=join, args=(rank,)) for rank in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    links[1].sock.shutdown(socket.SHUT_RDWR)
    links[2].leave()
    links[0].leave()
    assert links[0].over.wait(5)
    assert set(links[0].gone) == {1, 2}
    assert lost == [1]
    assert server.values["PMI_process_mapping"] == "(vector,(0,1,3))"
    server.close()
    for link in links.values():
        link.listener.join(10)  # it reads until the server has gone
        link.lines.close()
        link.sock.close()
