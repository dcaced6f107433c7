"""Starting the ranks of a program on this machine, and ending all of them when one goes wrong."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

from rushlight.distributed._ranks import Output, Rank, describe_end
from rushlight.distributed._rendezvous import Rendezvous
from rushlight.engine.backends.cpu.threads import cores
from rushlight.engine.core.config import child_environment, launch_variables

#: Seconds between asking a rank to end and killing it; longer after Ctrl-C, for it to save.
GRACE, INTERRUPT_GRACE = 5.0, 30.0

#: Where nodes meet when nothing else is said; torchrun's.
DEFAULT_PORT = 29500


@dataclass
class Settings:
    """What a launch is to do; the names are those of torchrun's options."""

    command: Callable[[int], list[str]]  #: the words that start a rank, by its local rank
    nproc_per_node: int = 1
    nnodes: int = 1
    node_rank: int = 0
    master_addr: str = "127.0.0.1"
    master_port: int = 0
    max_restarts: int = 0
    run_id: str = "none"
    role: str = "default"
    log_dir: str | None = None
    redirects: dict[int, int] = field(default_factory=dict)
    tee: dict[int, int] = field(default_factory=dict)
    shown: frozenset[int] | None = None  #: local ranks whose output is shown, `None` for all
    debug_rank: int | None = None  #: the local rank that has the terminal
    watched: bool = True  #: whether ranks take the option that ends them with their launcher

    @property
    def world_size(self) -> int:
        """How many ranks there are on all nodes."""
        return self.nproc_per_node * self.nnodes


@dataclass
class Failure:
    """The rank that went wrong first, and how."""

    rank: int
    what: str
    tail: Sequence[str] = ()


class Launch:
    """One program as several processes.

    Args:
        settings: what to start.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.events: queue.SimpleQueue[tuple[str, Any, Any]] = queue.SimpleQueue()
        self.server: Rendezvous | None = None
        self.ranks: list[Rank] = []
        self.interrupted: int | None = None
        self.signals = 0
        self.life = os.pipe()  # its reading end ends in the ranks when this process does

    def run(self) -> int:
        """Run until all ranks have ended; the exit status."""
        before = self._catch_signals()
        try:
            for attempt in range(self.settings.max_restarts + 1):
                failure = self._attempt(attempt)
                if failure is None:
                    return 0
                if self.interrupted is not None:
                    return 128 + self.interrupted
                self._report(failure, attempt)
            return 1
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            for end in self.life:
                os.close(end)

    # one start ---------------------------------------------------------------------------------

    def _attempt(self, attempt: int) -> Failure | None:
        self._serve()
        failure: Failure | None = None
        reason = "the launcher has ended it"
        try:
            for local_rank in range(self.settings.nproc_per_node):
                self.ranks.append(self._start(local_rank, attempt))
            failure = self._await_end()
            if failure is not None:
                reason = failure.what
        finally:
            self._end_ranks(INTERRUPT_GRACE if self.interrupted == signal.SIGINT else GRACE)
            if self.server is not None:
                self.server.close(None if failure is None else failure.rank, reason)
                self.server = None
            self.ranks = []
        return failure

    def _serve(self) -> None:
        settings = self.settings
        if settings.node_rank != 0:
            return
        local = settings.nnodes == 1
        own = range(settings.nproc_per_node)

        def lost(rank: int) -> None:
            if rank not in own:  # how this node's ranks end is seen here
                self.events.put(("lost", rank, None))

        try:
            self.server = Rendezvous(
                settings.world_size, "127.0.0.1" if local else "", settings.master_port, lost,
                lambda rank, code: self.events.put(("aborted", rank, code)),
            )  # fmt: skip
        except OSError as error:
            raise RuntimeError(
                f"The server socket has failed to listen on port {settings.master_port}: {error}\n"
                "Another program uses it: choose another --master-port, or none on one node."
            ) from error
        settings.master_port = self.server.port
        self.server.start()

    def _start(self, local_rank: int, attempt: int) -> Rank:
        settings = self.settings
        rank = settings.node_rank * settings.nproc_per_node + local_rank
        debugged = settings.debug_rank == local_rank
        # a rank with the terminal stays in the terminal's session
        attached = debugged or settings.world_size == 1
        output = Output(
            local_rank,
            os.path.join(settings.log_dir, settings.run_id, f"attempt_{attempt}", str(local_rank))
            if settings.log_dir else "",
            settings.redirects.get(local_rank, 0),
            settings.tee.get(local_rank, 0),
            settings.shown is None or local_rank in settings.shown,
        )  # fmt: skip
        process = subprocess.Popen(
            [word.replace(LIFE, str(self.life[0])) for word in settings.command(local_rank)],
            env=child_environment(self._variables(local_rank, rank, attempt)),
            stdin=None if attached else subprocess.DEVNULL,
            stdout=output.target(1, attached),
            stderr=output.target(2, attached),
            start_new_session=not attached,
            pass_fds=[self.life[0]] if settings.watched else [],
        )
        made = Rank(rank, local_rank, process, output, leads=not attached)
        output.begin(process)
        threading.Thread(target=self._await, args=(made,), daemon=True).start()
        return made

    def _await(self, rank: Rank) -> None:
        code = rank.process.wait()
        self.events.put(("ended", rank, code))

    def _variables(self, local_rank: int, rank: int, attempt: int) -> dict[str, str]:
        settings = self.settings
        size, local_size = settings.world_size, settings.nproc_per_node
        variables = {
            "RANK": rank, "LOCAL_RANK": local_rank, "ROLE_RANK": rank,
            "WORLD_SIZE": size, "LOCAL_WORLD_SIZE": local_size, "ROLE_WORLD_SIZE": size,
            "GROUP_RANK": settings.node_rank, "GROUP_WORLD_SIZE": settings.nnodes,
            "ROLE_NAME": settings.role,
            "MASTER_ADDR": settings.master_addr, "MASTER_PORT": settings.master_port,
            "TORCHELASTIC_RESTART_COUNT": attempt,
            "TORCHELASTIC_MAX_RESTARTS": settings.max_restarts,
            "TORCHELASTIC_RUN_ID": settings.run_id,
            "TORCHELASTIC_USE_AGENT_STORE": True,
        }  # fmt: skip
        chosen = {"OMP_NUM_THREADS", "RUSHLIGHT_NUM_THREADS"} & set(launch_variables())
        if not chosen:  # together the ranks of a node use its cores once
            variables["OMP_NUM_THREADS"] = max(1, cores() // local_size)
        return {name: str(value) for name, value in variables.items()}

    # the end -----------------------------------------------------------------------------------

    def _await_end(self) -> Failure | None:
        running = len(self.ranks)
        while running:
            kind, who, code = self.events.get()
            if kind == "ended":
                if who not in self.ranks:
                    continue  # of an earlier start
                who.code = code
                running -= 1
                if code != 0:
                    return Failure(who.rank, describe_end(who), who.output.tail())
            else:
                failure = self._failure(kind, who, code)
                if failure is not None:
                    return failure
        return self._await_other_nodes()

    def _failure(self, kind: str, who: Any, code: Any) -> Failure | None:
        if kind == "signal":
            if who == signal.SIGINT and self.settings.debug_rank is not None:
                return None  # the debugger's
            self.interrupted = int(who)
            return Failure(-1, f"the launcher was ended by {signal.Signals(who).name}")
        if kind == "aborted":
            return Failure(who, f"rank {who} called MPI_Abort with exit code {code}")
        return Failure(who, f"rank {who}, which runs on another node, was lost")

    def _await_other_nodes(self) -> Failure | None:
        """The ranks of other nodes still ask the server here."""
        while self.server is not None and self.server.joined:
            if len(self.server.gone) == self.settings.world_size or self.settings.nnodes == 1:
                break
            with suppress(queue.Empty):
                kind, who, code = self.events.get(timeout=0.1)
                failure = None if kind == "ended" else self._failure(kind, who, code)
                if failure is not None:
                    return failure
        return None

    def _end_ranks(self, grace: float) -> None:
        """Ask those that still run to end, then kill them and all their children."""
        alive = [rank for rank in self.ranks if rank.process.poll() is None]
        first = signal.SIGINT if self.interrupted == signal.SIGINT else signal.SIGTERM
        for rank in alive:
            if not (first == signal.SIGINT and not rank.leads):  # which got it from the terminal
                rank.signal(first)
        deadline = time.monotonic() + grace
        while alive and time.monotonic() < deadline and self.signals < 2:
            time.sleep(0.02)
            alive = [rank for rank in alive if rank.process.poll() is None]
        failed = self.interrupted is not None or any(r.process.poll() != 0 for r in self.ranks)
        for rank in self.ranks:
            if failed:
                rank.kill()
            rank.process.wait()
            rank.output.end()

    def _report(self, failure: Failure, attempt: int) -> None:
        sys.stdout.flush()
        lines = [f"rushlight launch: {failure.what}; the other ranks were ended."]
        if failure.tail:
            lines.append("The last lines of its standard error:")
            lines += [f"    {line}" for line in failure.tail]
        if attempt < self.settings.max_restarts:
            lines.append(f"Starting all ranks again: {attempt + 1} of {self.settings.max_restarts}")
        print("\n".join(lines), file=sys.stderr, flush=True)

    # signals -----------------------------------------------------------------------------------

    def _catch_signals(self) -> dict[int, Any]:
        if threading.current_thread() is not threading.main_thread():
            return {}

        def note(number: int, frame: FrameType | None) -> None:
            self.signals += 1  # the second one waits for nobody
            self.events.put(("signal", number, None))

        numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
        return {number: signal.signal(number, note) for number in numbers}


#: Stands in a rank's command for the number of the pipe that ends with the launcher.
LIFE = "{life}"
