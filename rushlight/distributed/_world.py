"""The processes of one program: the default group, sub-groups, and how they end."""

from __future__ import annotations

import atexit
import multiprocessing.util
import os
import sys
import warnings
from collections.abc import Sequence
from datetime import timedelta
from types import TracebackType
from typing import Any

from rushlight.distributed import _start
from rushlight.distributed._link import Link
from rushlight.distributed._rendezvous import remove_shared_memory
from rushlight.distributed._work import Work
from rushlight.engine.core.config import launch_variables

#: How long operations may take, by default: PyTorch's for processors.
default_pg_timeout = timedelta(minutes=30)

#: Names of backends that programs ask for; on processors every one of them is MPI.
BACKENDS = ("gloo", "mpi", "nccl", "ucc")

_UNINITIALIZED = (
    "Default process group has not been initialized, please make sure to call init_process_group."
)


class Backend(str):
    """The name of a backend, in lower case.

    >>> import rushlight.distributed as dist
    >>> dist.Backend("GLOO")
    'gloo'
    """

    UNDEFINED = "undefined"
    GLOO = "gloo"
    NCCL = "nccl"
    UCC = "ucc"
    MPI = "mpi"

    def __new__(cls, name: str) -> Backend:
        if not isinstance(name, str):
            raise ValueError(f"Backend constructor parameter must be string-ish: {name!r}")
        return str.__new__(cls, name.lower())


class ProcessGroup:
    """Some of the processes, which communicate among themselves.

    Args:
        comm: MPI's communicator.
        ranks: the ranks of the members among all processes.
        backend: the name the program asked for.
        timeout: how long an operation may take.
        name: its name.
    """

    def __init__(
        self, comm: Any, ranks: Sequence[int], backend: str, timeout: timedelta, name: str
    ) -> None:
        self.comm = comm
        self.ranks = tuple(ranks)
        self.backend = backend
        self.group_name = name
        self.mpi = world.mpi
        self.world_rank = world.rank
        self.set_timeout(timeout)

    def set_timeout(self, timeout: timedelta) -> None:
        """How long an operation may take from now on."""
        self.timeout = timeout
        self.seconds = timeout.total_seconds()

    def rank(self) -> int:
        """This process's number in the group."""
        return int(self.comm.rank)

    def size(self) -> int:
        """How many members there are."""
        return len(self.ranks)

    def name(self) -> str:
        """The backend's name."""
        return self.backend

    def trouble(self) -> str | None:
        """Why an operation cannot end any more, ``None`` if it can."""
        return None if world.link is None else world.link.trouble(self.ranks)

    def place(self, rank: int) -> int:
        """The number in the group of a rank among all processes."""
        if rank not in self.ranks:
            raise ValueError(f"Global rank {rank} is not part of group {self}")
        return self.ranks.index(rank)

    def __repr__(self) -> str:
        return f"<ProcessGroup {self.group_name} of ranks {list(self.ranks)}>"


class World:
    """What this process knows of all of them."""

    def __init__(self) -> None:
        self.mpi: Any = None
        self.rank = 0
        self.size = 1
        self.link: Link | None = None
        self.server: _start.Server | None = None
        self.default: ProcessGroup | None = None
        self.groups: list[ProcessGroup] = []
        self.count = 0  # of groups ever made: all ranks make them in the same order
        self.failed = False
        self.process = 0
        self.place: _start.Place | None = None


world = World()


class _Members(type):
    """Lets ``WORLD`` be looked up on the class: it is what it is when it is asked for."""

    @property
    def WORLD(cls) -> ProcessGroup | None:
        """The group of all processes."""
        return world.default


class GroupMember(metaclass=_Members):
    """What ``group=`` may be besides a group."""

    NON_GROUP_MEMBER = -100


class group(metaclass=_Members):
    """``group.WORLD``: the group of all processes."""


def is_available() -> bool:
    """Whether several processes can be used here: whether mpi4py is installed.

    >>> import rushlight.distributed as dist
    >>> isinstance(dist.is_available(), bool)
    True
    """
    return _start.missing_library() is None


def is_initialized() -> bool:
    """Whether ``init_process_group`` has been called.

    >>> import rushlight.distributed as dist
    >>> dist.is_initialized()
    False
    """
    return world.default is not None


def init_process_group(
    backend: str | None = None,
    init_method: str | None = None,
    timeout: timedelta | None = None,
    world_size: int = -1,
    rank: int = -1,
    store: Any = None,
    group_name: str = "",
    pg_options: Any = None,
    device_id: Any = None,
) -> None:
    """Wait for all processes of the program, and make the group of all of them.

    Args:
        backend: ``gloo``, ``mpi``, ``nccl`` or none: all are MPI on processors.
        init_method: ``env://`` (the default: the variables a launcher sets), ``tcp://host:port``,
            ``file:///path``.
        timeout: how long operations may take, 30 minutes by default.
        world_size, rank: where the launcher does not say.
        store, group_name, pg_options, device_id: accepted for PyTorch's sake; a ``store`` is not
            needed, since the meeting point is one.

    Raises:
        ValueError: a group is there already, or rank or size are not known.
        DistStoreError: a rank has not come in time; its number is in the message.

    See https://pytorch.org/docs/stable/distributed.html.
    """
    if world.default is not None:
        raise ValueError("trying to initialize the default process group twice!")
    if timeout is not None and not isinstance(timeout, timedelta):
        raise TypeError(
            f"Expected timeout argument to be of type datetime.timedelta, got {timeout}"
        )
    if init_method is not None and store is not None:
        raise AssertionError("Cannot specify both init_method and store.")
    name = _backend_name(backend)
    limit = timeout or default_pg_timeout
    _enter_world(init_method, rank, world_size, name, limit)
    everyone = ProcessGroup(world.mpi.COMM_WORLD, range(world.size), name, limit, "everyone")
    # duplicating waits for the other ranks, some of whom may be late: all meet asleep first
    Work(everyone, "init_process_group", [everyone.comm.Ibarrier()]).wait()
    world.default = ProcessGroup(everyone.comm.Dup(), range(world.size), name, limit, "0")
    world.groups = [world.default]


def _backend_name(backend: str | None) -> str:
    name = "undefined" if backend is None else str(backend).lower()
    for part in name.split(","):  # "cpu:gloo,cuda:nccl" names one for each kind of device
        if part.rpartition(":")[2] not in (*BACKENDS, "undefined"):
            raise ValueError(
                f"Unknown backend type {backend}\nUse one of {', '.join(BACKENDS)}, or none: on "
                "processors all of them are MPI."
            )
    return name


def _enter_world(method: str | None, rank: int, size: int, backend: str, limit: timedelta) -> None:
    """Meet the others and start MPI, which a process does once in its life."""
    place = _start.find_place(method, rank, size, backend)
    if world.mpi is not None:
        known = world.rank if place.rank is None else place.rank, place.size
        if known[0] != world.rank or known[1] not in (-1, world.size):
            raise ValueError(
                f"this process began as rank {world.rank} of {world.size} and cannot become rank "
                f"{known[0]} of {known[1]}\nMPI starts once in a process: start new processes."
            )
        return
    world.link, world.server = _start.meet(place, limit.total_seconds())
    world.mpi = _start.load_mpi(world.link)
    everyone = world.mpi.COMM_WORLD
    world.rank, world.size, world.place = int(everyone.rank), int(everyone.size), place
    world.process = os.getpid()
    if place.size not in (-1, world.size):
        raise ValueError(
            f"world_size is {place.size}, but MPI was started with {world.size} ranks\n"
            "MPICH's library finds the others by itself (pip install mpich); start the program "
            "with its own mpiexec where mpi4py uses another MPI."
        )
    _note_failures()
    atexit.register(_depart)
    multiprocessing.util.Finalize(None, _depart, exitpriority=0)


def _note_failures() -> None:
    """Let a rank that ends with an error go at once, without waiting for the others."""
    before = sys.excepthook

    def note(
        kind: type[BaseException], error: BaseException, traceback: TracebackType | None
    ) -> None:
        world.failed = True
        before(kind, error, traceback)

    sys.excepthook = note


def mark_failed() -> None:
    """Say that this rank's program has gone wrong: it will not wait for the others."""
    world.failed = True


def forget_memory() -> None:
    """Remove the memory the ranks share by name, when nobody else is left to do it."""
    if world.link is not None:
        remove_shared_memory(world.link.name)


def _depart() -> None:
    """At the end of the process: let the others know, and stay until the last messages are out."""
    if world.mpi is None or os.getpid() != world.process:
        return
    world.process = 0
    error = sys.exc_info()[1]  # one of multiprocessing's children ends with its error in flight
    if error is not None and not (isinstance(error, SystemExit) and not error.code):
        world.failed = True
    if world.link is None:
        if world.size == 1 or not world.failed:
            world.mpi.Finalize()
        return
    if not world.failed:
        world.link.leave()
        pause = 1e-3
        while not world.link.over.wait(pause):
            pause = min(pause * 1.5, 0.05)
            world.mpi.COMM_WORLD.Iprobe()
    if world.server is not None:
        world.server.close()
        forget_memory()


def destroy_process_group(group: ProcessGroup | None = None) -> None:
    """Give up a group; without arguments the default group, and with it all others.

    It waits for nobody: the others may give it up later, or never.

    Raises:
        ValueError: the group is not one, or not any more.
    """
    if outsider(group):
        return
    if world.default is None:
        raise ValueError("Invalid process group specified or has been destroyed.")
    if group is None or group is world.default:
        world.groups, world.default = [], None
    elif group in world.groups:
        world.groups.remove(group)
    else:
        raise ValueError("Invalid process group specified or has been destroyed.")


def default_group() -> ProcessGroup:
    """The group of all processes."""
    if world.default is None:
        raise ValueError(_UNINITIALIZED)
    return world.default


def resolve(group: Any) -> ProcessGroup:
    """The group meant by an argument ``group``."""
    if isinstance(group, ProcessGroup):
        return group
    if group is None:
        return default_group()
    raise ValueError(f"Invalid process group specified: {group!r} is none this process belongs to")


def outsider(group: Any) -> bool:
    """Whether ``group`` says that this process is no member."""
    return isinstance(group, int) and group == GroupMember.NON_GROUP_MEMBER


def outside(group: Any, what: str) -> bool:
    """Whether this process is no member, in which case it has been warned."""
    if not outsider(group):
        return False
    warnings.warn(
        f"Running {what} on global rank {get_rank()} which does not belong to the given group.",
        stacklevel=3,
    )
    return True


def get_rank(group: Any = None) -> int:
    """This process's number in a group, -1 if it is no member.

    Raises:
        ValueError: ``init_process_group`` has not been called.
    """
    if outsider(group):
        return -1
    return resolve(group).rank()


def get_world_size(group: Any = None) -> int:
    """How many processes a group has, -1 if this one is no member."""
    if outsider(group):
        return -1
    return resolve(group).size()


def get_node_local_rank(fallback_rank: int | None = None) -> int:
    """This process's number on its machine."""
    variables = launch_variables()
    if "LOCAL_RANK" in variables:
        return int(variables["LOCAL_RANK"])
    if fallback_rank is not None:
        return int(fallback_rank)
    raise RuntimeError(
        "LOCAL_RANK is not in the environment. Consider passing fallback_rank to allow "
        "`get_node_local_rank` to work, assuming you are not running in a multi-device context and "
        "want the code to run locally instead."
    )


def get_backend(group: Any = None) -> str:
    """The name of the backend that was asked for.

    Raises:
        ValueError: this process is no member.
    """
    if outsider(group):
        raise ValueError("Invalid process group specified")
    return Backend(resolve(group).backend)


def get_process_group_ranks(group: Any = None) -> list[int]:
    """The ranks of a group's members among all processes."""
    return list(resolve(group).ranks)


def get_group_rank(group: ProcessGroup, global_rank: int) -> int:
    """The number in ``group`` of the process that is ``global_rank`` among all."""
    return resolve(group).place(global_rank)


def get_global_rank(group: ProcessGroup, group_rank: int) -> int:
    """The number among all processes of member ``group_rank``."""
    ranks = resolve(group).ranks
    if not 0 <= group_rank < len(ranks):
        raise ValueError(f"Group rank {group_rank} is not part of group {group}")
    return ranks[group_rank]


def new_group(
    ranks: Sequence[int] | None = None,
    timeout: timedelta | None = None,
    backend: str | None = None,
    pg_options: Any = None,
    use_local_synchronization: bool = False,
    group_desc: str | None = None,
    device_id: Any = None,
) -> Any:
    """A group of some of the processes; every process calls this, in the same order.

    Args:
        ranks: the members, all by default.
        timeout: how long operations may take, by default what the group of all allows.
        backend: the name of a backend.
        use_local_synchronization: only members call it.

    Returns:
        The group, or ``GroupMember.NON_GROUP_MEMBER`` where this process is no member.
    """
    parent = default_group()
    members = list(range(world.size)) if ranks is None else sorted(int(rank) for rank in ranks)
    if len(set(members)) != len(members):
        raise ValueError(f"the members of a group must differ, but got {members}")
    for rank in members:
        if not 0 <= rank < world.size:
            raise ValueError(
                "The new group's rank should be within the world_size set by init_process_group"
            )
    name = parent.backend if backend is None else _backend_name(backend)
    world.count += 1
    if not use_local_synchronization:
        # making a communicator waits for its members, some of whom may be late
        Work(parent, "new_group", [parent.comm.Ibarrier()]).wait()
    if world.rank not in members:
        return GroupMember.NON_GROUP_MEMBER
    chosen = parent.comm.Get_group().Incl(members)
    comm = parent.comm.Create_group(chosen, tag=world.count % 30000)
    made = ProcessGroup(comm, members, name, timeout or parent.timeout, str(world.count))
    world.groups.append(made)
    return made
