"""A rank's line to the meeting point: who has come, and who has gone."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterable
from urllib.parse import quote

from rushlight.distributed._rendezvous import fields_of, line_of, reason_of
from rushlight.distributed.errors import DistNetworkError, DistStoreError

#: Seconds an operation may go on after one of its ranks has gone: what that rank has sent before
#: may still be on its way. Shorter where it was lost, and did not wait for that itself.
GRACE = {"left": 5.0, "lost": 1.0}


class Link:
    """The connection of one rank.

    Args:
        address: host and port of the meeting point.
        rank: this process's rank.
        size: how many ranks there are.
        host: a name that is the same for all processes that share memory.
        timeout: seconds to wait for the meeting point, and then for the other ranks.
    """

    def __init__(
        self, address: tuple[str, int], rank: int, size: int, host: str, timeout: float
    ) -> None:
        self.address = address
        self.rank = rank
        self.size = size
        self.gone: dict[int, tuple[float, str]] = {}  # since when an operation is over, and why
        self.over = threading.Event()  # everybody has left, or nobody is there to ask
        self.left = False
        self.name = ""
        self.deadline = time.monotonic() + timeout
        self.timeout = timeout
        self.sock = self._connect()
        self.lines = self.sock.makefile("rb")
        self._say(cmd="join", rank=rank, size=size, host=quote(host, safe=""))
        self._await_others()
        self.sock.settimeout(None)
        self.listener = threading.Thread(target=self._listen, name="rushlight link", daemon=True)
        self.listener.start()

    def _connect(self) -> socket.socket:
        pause = 0.02
        while True:
            left = self.deadline - time.monotonic()
            try:
                return socket.create_connection(self.address, timeout=max(left, 0.1))
            except OSError as error:
                if time.monotonic() + pause > self.deadline:
                    host, port = self.address
                    raise DistNetworkError(
                        f"The client socket has failed to connect to any network address of "
                        f"({host}, {port}) within {self.timeout:g} s: {error}\n"
                        "Is rank 0 running there, and is this port open?"
                    ) from error
            time.sleep(pause)
            pause = min(pause * 1.5, 0.5)

    def _say(self, **fields: object) -> None:
        self.sock.sendall(line_of(**fields))

    def _hear(self) -> dict[str, str]:
        self.sock.settimeout(max(self.deadline - time.monotonic(), 0.1))
        line = self.lines.readline()
        if not line:
            raise DistNetworkError("the meeting point has gone before all ranks had come")
        return fields_of(line.decode())

    def _await_others(self) -> None:
        try:
            heard = self._hear()
        except TimeoutError as error:
            self.deadline = time.monotonic() + 5
            self.lines = self.sock.makefile("rb")
            self._say(cmd="who")
            missing = self._hear().get("ranks", "")
            raise DistStoreError(
                f"Timed out after {self.timeout:g} s waiting for clients: rank {missing} of "
                f"{self.size} has not come.\nStart every rank with the same MASTER_ADDR, "
                "MASTER_PORT and WORLD_SIZE."
            ) from error
        if heard.get("cmd") != "joined":
            raise ValueError(reason_of(heard) or f"the meeting point said {heard}")
        self.name = heard["name"]

    def _listen(self) -> None:
        try:
            for line in self.lines:
                self._note(fields_of(line.decode()))
        except OSError as error:
            self._vanish(str(error))
        else:
            self._vanish("its connection broke")
        self.over.set()

    def _note(self, fields: dict[str, str]) -> None:
        if fields.get("cmd") == "bye":
            self.over.set()
        elif fields.get("cmd") in ("left", "lost"):
            end = time.monotonic() + GRACE[fields["cmd"]]
            self.gone[int(fields["rank"])] = end, reason_of(fields)
            if len(self.gone) >= self.size - 1 and self.left:
                self.over.set()

    def _vanish(self, reason: str) -> None:
        if not self.left:
            self.gone.setdefault(-1, (time.monotonic() + GRACE["lost"], reason))

    def trouble(self, ranks: Iterable[int]) -> str | None:
        """Why an operation of these ranks cannot end any more, ``None`` if it can."""
        if not self.gone:
            return None
        now = time.monotonic()
        for rank in ranks:
            if rank in self.gone and now > self.gone[rank][0]:
                return f"rank {rank} takes no part any more: {self.gone[rank][1]}"
        if -1 in self.gone and now > self.gone[-1][0]:
            return f"the launcher (or rank 0) has gone: {self.gone[-1][1]}"
        return None

    def leave(self) -> None:
        """Say that this rank goes."""
        self.left = True
        try:
            self._say(cmd="leave", rank=self.rank)
        except OSError:
            self.over.set()
