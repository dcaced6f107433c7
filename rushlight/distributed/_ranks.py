"""A rank as its launcher sees it: the process, what it prints, how it ended."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

#: Lines of a rank's standard error that are shown again when it goes wrong.
TAIL_LINES = 12

#: Seconds to wait for the rest of a line before it is passed on.
LINE_PATIENCE = 0.05

_NAMES = {1: "stdout", 2: "stderr"}


class Output:
    """Where a rank's two streams go: the terminal, files, both.

    Standard error passes through the launcher, which keeps its last lines.

    Args:
        local_rank: the rank's number on its node.
        folder: for log files, ``""`` for none.
        redirects, tee: streams that go to files only, and to files too: 1, 2 or 3 for both.
        shown: whether anything is printed at all.
    """

    def __init__(self, local_rank: int, folder: str, redirects: int, tee: int, shown: bool) -> None:
        self.local_rank = local_rank
        self.folder = folder
        self.redirects = redirects
        self.tee = tee
        self.shown = shown
        self.lines: deque[bytes] = deque(maxlen=TAIL_LINES)
        self.threads: list[threading.Thread] = []
        self.files: list[IO[bytes]] = []

    def target(self, stream: int, attached: bool) -> Any:
        """What ``Popen`` gets for a stream."""
        plain = self.shown and not (self.redirects | self.tee) & stream
        if plain and (attached or stream == 1):
            return None  # as the launcher's own
        return subprocess.PIPE

    def begin(self, process: subprocess.Popen[bytes]) -> None:
        """Begin to read what the process prints."""
        for stream, pipe in ((1, process.stdout), (2, process.stderr)):
            if pipe is not None:
                thread = threading.Thread(target=self._copy, args=(stream, pipe), daemon=True)
                thread.start()
                self.threads.append(thread)

    def _sinks(self, stream: int) -> list[tuple[IO[bytes], bytes]]:
        sinks: list[tuple[IO[bytes], bytes]] = []
        kept = (self.redirects | self.tee) & stream
        if kept:
            path = Path(self.folder) / f"{_NAMES[stream]}.log"
            path.parent.mkdir(parents=True, exist_ok=True)
            file = path.open("ab", buffering=0)
            self.files.append(file)
            sinks.append((file, b""))
        if self.shown and not (kept and not self.tee & stream):
            prefix = f"[default{self.local_rank}]:".encode() if self.tee & stream else b""
            sinks.append(((sys.stdout if stream == 1 else sys.stderr).buffer, prefix))
        return sinks

    def _copy(self, stream: int, pipe: IO[bytes]) -> None:
        sinks = self._sinks(stream)
        waiting, fresh = b"", True
        while heard := os.read(pipe.fileno(), 1 << 16):
            waiting += heard
            if not waiting.endswith((b"\n", b"\r")):
                more, _, _ = select.select([pipe], [], [], LINE_PATIENCE)
                if more:
                    continue  # so that lines of several ranks do not mix
            for sink, prefix in sinks:
                sink.write(_prefixed(waiting, prefix, fresh) if prefix else waiting)
                sink.flush()
            if stream == 2:
                self._remember(waiting, fresh)
            fresh = waiting.endswith(b"\n")
            waiting = b""
        for sink, _ in sinks:
            sink.write(waiting)
            sink.flush()
        if stream == 2:
            self._remember(waiting, fresh)
        pipe.close()

    def _remember(self, text: bytes, fresh: bool) -> None:
        first, *rest = text.split(b"\n")
        if not fresh and self.lines:
            first = self.lines.pop() + first
        self.lines.extend(line for line in (first, *rest) if line.strip())

    def tail(self) -> Sequence[str]:
        """The last lines of standard error."""
        for thread in self.threads:
            thread.join(timeout=1)  # a child of the rank may hold the pipe open
        return [line.decode(errors="replace").rstrip() for line in self.lines]

    def end(self) -> None:
        """Close the files once everything has been read."""
        for thread in self.threads:
            thread.join(timeout=1)
        for file in self.files:
            file.close()


def _prefixed(text: bytes, prefix: bytes, fresh: bool) -> bytes:
    """``text`` with ``prefix`` before every line that begins in it."""
    lines = text.split(b"\n")
    started = [(prefix if line else b"") + line for line in lines[1:]]
    return b"\n".join([(prefix if fresh else b"") + lines[0], *started])


@dataclass(eq=False)
class Rank:
    """A started rank.

    Attributes:
        rank: its number among all.
        local_rank: its number on this node.
        process: its process.
        output: where its streams go.
        leads: whether it leads a process group of its own.
        code: its exit status, once it has ended.
    """

    rank: int
    local_rank: int
    process: subprocess.Popen[bytes]
    output: Output
    leads: bool
    code: int | None = None

    def signal(self, number: int) -> None:
        """Send a signal to the process; Ctrl-C's goes to its children too, as a terminal's does."""
        with suppress(ProcessLookupError):
            if self.leads and number == signal.SIGINT:
                os.killpg(self.process.pid, number)
            else:
                self.process.send_signal(number)

    def kill(self) -> None:
        """End the process and what it has started."""
        with suppress(ProcessLookupError, PermissionError):
            if self.leads:
                os.killpg(self.process.pid, signal.SIGKILL)
            elif self.process.poll() is None:
                self.process.kill()


def describe_end(rank: Rank) -> str:
    """How a rank ended, in words."""
    code, who = rank.code, f"rank {rank.rank} (local rank {rank.local_rank}, process "
    who += f"{rank.process.pid})"
    if code is not None and code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = "unknown"
        return f"{who} was killed by signal {-code} ({name})"
    return f"{who} ended with exit code {code}"
