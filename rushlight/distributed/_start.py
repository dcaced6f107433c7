"""How a process learns its rank, meets the others, and loads MPI."""

from __future__ import annotations

import importlib.util
import os
import select
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from rushlight.distributed import _rendezvous
from rushlight.distributed._link import Link
from rushlight.distributed.errors import DistNetworkError, DistStoreError
from rushlight.engine.core.config import exported, launch_variables

_ENV_ERROR = (
    "Error initializing torch.distributed using env:// rendezvous: environment variable {} "
    "expected, but not set"
)
_ADVICE = (
    '\nStart the program with "rushlight launch --nproc_per_node N script.py", which sets it, or '
    "with mpiexec."
)


@dataclass
class Place:
    """Where a process stands among the others.

    Attributes:
        rank: its number, ``None`` where MPI's own launcher knows.
        size: how many there are.
        host, port: the meeting point.
        served: whether somebody serves there already; else rank 0 does.
        file: where the address is written, for ``file://``.
    """

    rank: int | None
    size: int
    host: str = ""
    port: int = 0
    served: bool = False
    file: str = ""


def missing_library() -> str | None:
    """What keeps MPI from being loaded, as far as can be told without loading it."""
    if importlib.util.find_spec("mpi4py") is None:
        return 'mpi4py is not installed; try: pip install "rushlight[distributed]"'
    return None


def find_place(method: str | None, rank: int, size: int, backend: str | None) -> Place:
    """Rank, size and meeting point, from the arguments and the launcher's variables.

    Args:
        method: ``env://``, ``tcp://host:port``, ``file:///path`` or ``None``.
        rank, size: as given, -1 where not.
        backend: the name the program asked for; ``mpi`` alone needs no variables.
    """
    variables = launch_variables()
    if method is None or method == "env://" or method.startswith("env://?"):
        started = {"PMI_FD", "PMI_RANK", "PMIX_RANK", "OMPI_COMM_WORLD_RANK"} & set(variables)
        if started and "TORCHELASTIC_RUN_ID" not in variables:
            return Place(None, size)
        if backend == "mpi" and "RANK" not in variables and rank < 0:
            return Place(0, 1)
        found = Place(
            rank if rank >= 0 else int(_wanted(variables, "RANK")),
            size if size >= 0 else int(_wanted(variables, "WORLD_SIZE")),
        )
        found.host = _wanted(variables, "MASTER_ADDR")
        found.port = int(_wanted(variables, "MASTER_PORT"))
        found.served = variables.get("TORCHELASTIC_USE_AGENT_STORE") == "True"
        return found
    parts = urlsplit(method)
    query = parse_qs(parts.query)
    rank = int(query["rank"][0]) if "rank" in query else rank
    size = int(query["world_size"][0]) if "world_size" in query else size
    if parts.scheme not in ("tcp", "file"):
        raise RuntimeError(f"No rendezvous handler for {parts.scheme}://")
    if rank < 0 or size < 0:
        what = "rank" if rank < 0 else "world size"
        raise ValueError(
            f"Error initializing torch.distributed using {parts.scheme}:// rendezvous: {what} "
            "parameter missing"
        )
    if parts.scheme == "file":
        return Place(rank, size, file=parts.path)
    if parts.port is None:
        raise ValueError(
            "Error initializing torch.distributed using tcp:// rendezvous: port number missing"
        )
    return Place(rank, size, parts.hostname or "", parts.port)


def _wanted(variables: dict[str, str], name: str) -> str:
    if name not in variables:
        raise ValueError(_ENV_ERROR.format(name) + _ADVICE)
    return variables[name]


class Server:
    """The meeting point that rank 0 keeps as a process of its own when no launcher does."""

    def __init__(self, place: Place) -> None:
        local = place.host in ("localhost", "127.0.0.1", "::1")
        command = [sys.executable, "-I", _rendezvous.__file__, str(place.size)]
        self.process = subprocess.Popen(
            [*command, place.host if local else "", str(place.port)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for the ranks
        )
        assert self.process.stdout is not None
        ready, _, _ = select.select([self.process.stdout], [], [], 30)
        port = self.process.stdout.readline() if ready else b""
        if not port:
            self.close()
            raise DistNetworkError(
                f"The server socket has failed to listen on port {place.port} of "
                f"{place.host or 'this machine'}.\nIs another program using it? Choose another "
                "MASTER_PORT."
            )
        place.port = int(port)
        if place.file:
            _write_address(Path(place.file), f"{socket.gethostname()} {place.port}")

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.close()
        self.process.stdout.close()
        try:
            self.process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def _write_address(file: Path, text: str) -> None:
    partial = file.with_name(f"{file.name}.{os.getpid()}")
    partial.write_text(text)
    partial.replace(file)


def _read_address(file: Path, timeout: float) -> tuple[str, int]:
    deadline = time.monotonic() + timeout
    while not (file.exists() and file.stat().st_size):
        if time.monotonic() > deadline:
            raise DistStoreError(f"Timed out after {timeout:g} s: rank 0 has not written {file}")
        time.sleep(0.05)
    host, port = file.read_text().split()
    return ("127.0.0.1" if host == socket.gethostname() else host), int(port)


def host_name() -> str:
    """A name that is the same for processes that can share memory."""
    variables = launch_variables()
    boot = Path("/proc/sys/kernel/random/boot_id")
    parts = [socket.gethostname(), boot.read_text().strip() if boot.exists() else ""]
    if os.path.isdir(_rendezvous.SHARED_MEMORY):
        parts.append(str(os.stat(_rendezvous.SHARED_MEMORY).st_dev))
    return "/".join([*parts, variables.get("GROUP_RANK", "")])


def meet(place: Place, timeout: float) -> tuple[Link | None, Server | None]:
    """Wait until all ranks are there; the line to the meeting point, the server if it is ours."""
    if place.rank is None or (place.size == 1 and not place.served):
        return None, None
    if not 0 <= place.rank < place.size:
        raise ValueError(f"invalid rank {place.rank}: there are {place.size} ranks")
    server = None
    if place.rank == 0 and not place.served:
        server = Server(place)
        place.host = place.host or "127.0.0.1"
    elif place.file:
        place.host, place.port = _read_address(Path(place.file), timeout)
    try:
        address = place.host, place.port
        link = Link(address, place.rank, place.size, host_name(), timeout)
    except BaseException:
        if server is not None:
            server.close()
        raise
    return link, server


def load_mpi(link: Link | None) -> Any:
    """The started MPI library; its variables say whom to ask who it is."""
    reason = missing_library()
    if reason is not None:
        raise ModuleNotFoundError(f"torch.distributed needs MPI: {reason}")
    import mpi4py

    mpi4py.rc.initialize = False
    mpi4py.rc.finalize = False
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:
        raise RuntimeError(
            f"the MPI library could not be loaded: {error}\n"
            'Install it beside mpi4py: pip install "rushlight[distributed]"'
        ) from error
    if not MPI.Is_initialized():
        variables = {}
        if link is not None:
            host, port = link.address
            variables["PMI_PORT"] = f"{socket.gethostbyname(host)}:{port}"
            variables["PMI_ID"] = str(link.rank)
        with exported(variables):
            MPI.Init_thread(MPI.THREAD_MULTIPLE)
    return MPI
