"""Where processes find each other: a small server that MPI's own start-up asks.

Note: how ranks find each other
    MPICH starts up by asking a process manager, over a text protocol (PMI-1), who it is and how to
    reach the others; messages then travel by MPI alone. This server speaks that protocol, so a
    launcher of ours, torchrun's environment variables and ``tcp://`` addresses all lead to one MPI
    world, without ``mpiexec`` or ``ssh``. Every rank also keeps a second connection, on which it
    says that it has come (``join``) and that it goes (``leave``), and hears who has ended.

The module needs nothing but the standard library: without a launcher, rank 0 runs it as a process
of its own, because MPI holds Python's lock while it starts.
"""

from __future__ import annotations

import argparse
import os
import secrets
import selectors
import socket
import sys
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from urllib.parse import quote, unquote

#: The longest line a client may send; MPICH's values are at most 1024 characters.
LINE_LIMIT = 1 << 16

#: Where Linux keeps shared memory by name.
SHARED_MEMORY = "/dev/shm"


def fields_of(line: str) -> dict[str, str]:
    """The ``key=value`` words of one line of the protocol; ``value=`` takes the rest.

    >>> from rushlight.distributed._rendezvous import fields_of
    >>> fields_of("cmd=put key=a value=b c")
    {'cmd': 'put', 'key': 'a', 'value': 'b c'}
    """
    head, found, rest = line.partition(" value=")
    fields = dict(word.partition("=")[::2] for word in head.split())
    if found:
        fields["value"] = rest
    return fields


def line_of(**fields: object) -> bytes:
    """One line of the protocol; texts of ours are quoted so that they stay one word."""
    return (" ".join(f"{key}={value}" for key, value in fields.items()) + "\n").encode()


def node_mapping(hosts: Sequence[str]) -> str:
    """Which ranks live on which node, as MPICH wants it told: (node, 1, ranks) for each run.

    >>> from rushlight.distributed._rendezvous import node_mapping
    >>> node_mapping(["a", "a", "b"])
    '(vector,(0,1,2),(1,1,1))'
    """
    numbers: dict[str, int] = {}
    runs: list[list[int]] = []
    for host in hosts:
        number = numbers.setdefault(host, len(numbers))
        if runs and runs[-1][0] == number:
            runs[-1][1] += 1
        else:
            runs.append([number, 1])
    return "(vector," + ",".join(f"({node},1,{count})" for node, count in runs) + ")"


def world_id(name: str) -> int:
    """The number MPICH makes of a job's name (FNV-1a), part of its shared memory's name."""
    number = 2166136261
    for byte in name.encode():
        number = (number ^ byte) * 16777619 & 0xFFFFFFFF
    return number


def remove_shared_memory(name: str) -> None:
    """Remove the shared memory of the job called ``name``, which killed ranks leave behind."""
    if not os.path.isdir(SHARED_MEMORY):
        return
    ours = tuple(f"mpich_{kind}_{world_id(name):x}_" for kind in ("shm", "vci"))
    for entry in os.listdir(SHARED_MEMORY):
        if entry.startswith(ours):
            with suppress(FileNotFoundError):
                os.unlink(os.path.join(SHARED_MEMORY, entry))


class _Connection:
    """A client: its socket, what it has sent of a line, and what is known of it."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.pending = b""
        self.rank: int | None = None  # of a rank that has joined
        self.member: int | None = None  # of the rank whose MPI is at the other end

    def say(self, **fields: object) -> None:
        # a client that is gone shows when its socket is read
        with suppress(OSError):
            self.sock.sendall(line_of(**fields))


class Rendezvous:
    """The server, for one start of ``size`` ranks.

    Args:
        size: how many ranks there will be.
        host: the address to listen at, ``""`` for all.
        port: the port, 0 for any free one.
        lost: called with a rank whose connection broke before it said that it leaves.
        aborted: called with a rank that called ``MPI_Abort`` and with its exit code.
    """

    def __init__(
        self,
        size: int,
        host: str = "127.0.0.1",
        port: int = 0,
        lost: Callable[[int], None] | None = None,
        aborted: Callable[[int, int], None] | None = None,
    ) -> None:
        self.size = size
        self.name = f"rushlight_{secrets.token_hex(8)}"
        self.lost = lost
        self.aborted = aborted
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.listener = socket.create_server((host, port), family=family, backlog=max(size * 2, 16))
        self.port = int(self.listener.getsockname()[1])
        self.values: dict[str, str] = {}
        self.joined: dict[int, _Connection] = {}
        self.hosts: dict[int, str] = {}
        self.gone: dict[int, str] = {}
        self.waiting: list[_Connection] = []
        self.closing = False
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.listener, selectors.EVENT_READ)
        self.awake, self.alarm = socket.socketpair()
        self.selector.register(self.awake, selectors.EVENT_READ)
        self.thread: threading.Thread | None = None

    # life --------------------------------------------------------------------------------------

    def start(self) -> None:
        """Serve in a thread."""
        self.thread = threading.Thread(target=self.serve, name="rendezvous", daemon=True)
        self.thread.start()

    def serve(self) -> None:
        """Serve until ``close`` is called or everybody has left."""
        while not self.closing:
            for key, _ in self.selector.select():
                if key.fileobj is self.listener:
                    sock, _ = self.listener.accept()
                    sock.settimeout(30)
                    self.selector.register(sock, selectors.EVENT_READ, _Connection(sock))
                elif key.data is not None:
                    self._hear(key.data)
        for key in list(self.selector.get_map().values()):
            if isinstance(key.fileobj, socket.socket):
                key.fileobj.close()
        self.selector.close()
        self.alarm.close()
        remove_shared_memory(self.name)

    def close(self, rank: int | None = None, reason: str = "") -> None:
        """End the server; all who listen are told that ``rank`` was lost, and why."""
        if rank is not None:
            for connection in list(self.joined.values()):
                connection.say(cmd="lost", rank=rank, reason=quote(reason))
        self.closing = True
        with suppress(OSError):
            self.alarm.send(b"x")
        if self.thread is not None and self.thread is not threading.current_thread():
            self.thread.join(timeout=5)

    # hearing -----------------------------------------------------------------------------------

    def _hear(self, connection: _Connection) -> None:
        try:
            heard = connection.sock.recv(1 << 16)
        except OSError:
            heard = b""
        connection.pending += heard
        if not heard or len(connection.pending) > LINE_LIMIT:
            self._forget(connection)
            return
        *lines, connection.pending = connection.pending.split(b"\n")
        for line in lines:
            fields = fields_of(line.decode(errors="replace"))
            answer = getattr(self, f"_on_{fields.get('cmd', '')}", None)
            if answer is None:
                connection.say(cmd="unknown", rc=-1)
                continue
            try:
                answer(connection, fields)
            except (KeyError, ValueError) as error:
                connection.say(cmd="refused", rc=-1, reason=quote(f"not understood: {error!r}"))

    def _forget(self, connection: _Connection) -> None:
        self.selector.unregister(connection.sock)
        connection.sock.close()
        rank = connection.rank
        if rank is None or rank in self.gone:
            return
        if len(self.joined) < self.size:  # it went before the world began: it may come again
            del self.joined[rank]
            return
        self._part(rank, "lost", "its connection broke")
        if self.lost is not None:
            self.lost(rank)

    def _part(self, rank: int, how: str, reason: str) -> None:
        self.gone[rank] = how
        for other, connection in self.joined.items():
            if other not in self.gone:
                connection.say(cmd=how, rank=rank, reason=quote(reason))
        if len(self.gone) == self.size:
            for other, connection in self.joined.items():
                if self.gone[other] == "left":
                    connection.say(cmd="bye")

    # ranks -------------------------------------------------------------------------------------

    def _on_join(self, connection: _Connection, fields: dict[str, str]) -> None:
        rank, size = int(fields["rank"]), int(fields["size"])
        reason = ""
        if size != self.size:
            reason = f"rank {rank} expects {size} ranks, but the group was started with {self.size}"
        elif not 0 <= rank < size:
            reason = f"rank {rank} is not in the range of 0 to {size - 1}"
        elif rank in self.joined:
            reason = f"rank {rank} is there already"
        if reason:
            connection.say(cmd="refused", reason=quote(reason))
            return
        connection.rank = rank
        self.joined[rank] = connection
        self.hosts[rank] = fields["host"]
        if len(self.joined) == self.size:
            hosts = [self.hosts[i] for i in range(self.size)]
            self.values["PMI_process_mapping"] = node_mapping(hosts)
            for other in self.joined.values():
                other.say(cmd="joined", name=self.name)

    def _on_who(self, connection: _Connection, fields: dict[str, str]) -> None:
        missing = [str(i) for i in range(self.size) if i not in self.joined]
        connection.say(cmd="missing", ranks=",".join(missing))

    def _on_leave(self, connection: _Connection, fields: dict[str, str]) -> None:
        if connection.rank is not None and connection.rank not in self.gone:
            self._part(connection.rank, "left", "its program has ended")

    # MPI ---------------------------------------------------------------------------------------

    def _on_initack(self, connection: _Connection, fields: dict[str, str]) -> None:
        connection.member = int(fields["pmiid"])
        connection.say(cmd="initack", rc=0)
        for key, value in (("size", self.size), ("rank", connection.member), ("debug", 0)):
            connection.say(cmd="set", **{key: value})

    def _on_init(self, connection: _Connection, fields: dict[str, str]) -> None:
        connection.say(cmd="response_to_init", rc=0, pmi_version=1, pmi_subversion=1)

    def _on_get_maxes(self, connection: _Connection, fields: dict[str, str]) -> None:
        connection.say(cmd="maxes", rc=0, kvsname_max=256, keylen_max=64, vallen_max=1024)

    def _on_get_appnum(self, connection: _Connection, fields: dict[str, str]) -> None:
        connection.say(cmd="appnum", rc=0, appnum=0)

    def _on_get_my_kvsname(self, connection: _Connection, fields: dict[str, str]) -> None:
        connection.say(cmd="my_kvsname", rc=0, kvsname=self.name)

    def _on_get_universe_size(self, connection: _Connection, fields: dict[str, str]) -> None:
        connection.say(cmd="universe_size", rc=0, size=self.size)

    def _on_put(self, connection: _Connection, fields: dict[str, str]) -> None:
        self.values[fields["key"]] = fields["value"]
        connection.say(cmd="put_result", rc=0, msg="success")

    def _on_get(self, connection: _Connection, fields: dict[str, str]) -> None:
        value = self.values.get(fields["key"])
        if value is None:
            connection.say(cmd="get_result", rc=-1, msg="key_not_found", value="unknown")
        else:
            connection.say(cmd="get_result", rc=0, msg="success", value=value)

    def _on_barrier_in(self, connection: _Connection, fields: dict[str, str]) -> None:
        self.waiting.append(connection)
        if len(self.waiting) == self.size:
            waiting, self.waiting = self.waiting, []
            for other in waiting:
                other.say(cmd="barrier_out", rc=0)

    def _on_finalize(self, connection: _Connection, fields: dict[str, str]) -> None:
        connection.say(cmd="finalize_ack", rc=0)

    def _on_abort(self, connection: _Connection, fields: dict[str, str]) -> None:
        if self.aborted is not None:
            rank = -1 if connection.member is None else connection.member
            self.aborted(rank, int(fields.get("exitcode", 1)))


def reason_of(fields: dict[str, str]) -> str:
    """The reason in a line of the protocol, as it was before it was quoted."""
    return unquote(fields.get("reason", ""))


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve as a process of its own until the standard input ends.

    Prints the port once it listens. When the starter goes, all others hear that rank 0 is lost.
    """
    parser = argparse.ArgumentParser()
    parser.add_argument("size", type=int)
    parser.add_argument("host")
    parser.add_argument("port", type=int)
    chosen = parser.parse_args(arguments)
    server = Rendezvous(chosen.size, chosen.host, chosen.port)
    server.start()
    print(server.port, flush=True)
    sys.stdin.read()
    if 0 in server.gone:
        server.close()
    else:
        server.close(0, "its process has ended")
    return 0


if __name__ == "__main__":
    sys.exit(main())
