"""What backends there are, and who has started this process."""

from __future__ import annotations

from typing import Any

from rushlight.distributed._world import BACKENDS, is_available, world
from rushlight.engine.core.config import launch_variables
from rushlight.engine.core.device import device as make_device


def is_mpi_available() -> bool:
    """Whether MPI can be used."""
    return is_available()


def is_gloo_available() -> bool:
    """Whether ``gloo`` can be asked for: it is a name for MPI here."""
    return is_available()


def is_nccl_available() -> bool:
    """Whether NCCL, which is for GPUs, can be used; asked for on processors it is MPI too."""
    return False


def is_torchelastic_launched() -> bool:
    """Whether a launcher with torchrun's variables has started this process."""
    return "TORCHELASTIC_RUN_ID" in launch_variables()


def is_ucc_available() -> bool:
    """Whether UCC can be used: not as a backend of its own."""
    return False


def is_xccl_available() -> bool:
    """Whether XCCL, which is for Intel's GPUs, can be used."""
    return False


def is_backend_available(backend: str) -> bool:
    """Whether a backend can be asked for by this name.

    >>> import rushlight.distributed as dist
    >>> dist.is_backend_available("carrier-pigeon")
    False
    """
    return is_available() and backend.lower() in BACKENDS


def get_default_backend_for_device(device: Any) -> str:
    """The backend that PyTorch takes for tensors on a device: ``nccl`` for CUDA, else ``gloo``.

    Args:
        device: a device, or its name.

    Raises:
        RuntimeError: there is no such kind of device.

    >>> import rushlight.distributed as dist
    >>> dist.get_default_backend_for_device("cpu")
    'gloo'
    """
    kind = make_device(device).type
    return {"cuda": "nccl", "xpu": "xccl"}.get(kind, "gloo")


def get_pg_count() -> int:
    """How many groups this process belongs to."""
    return len(world.groups)
