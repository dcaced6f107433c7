"""Where the storages of a file go: ``map_location``."""

from __future__ import annotations

from typing import Any

from rushlight.engine.core.device import device, require_device
from rushlight.storage import TypedStorage, UntypedStorage


def restore(storage: UntypedStorage, where: str, map_location: Any) -> UntypedStorage:
    """A storage brought to where it was when it was saved, or to where the user wants it.

    Args:
        storage: as it was read, in main memory.
        where: where it was: ``'cpu'``, ``'cuda:0'``.
        map_location: ``None``; a device, or its name; a dictionary of names; a function of the
            storage and the name that gives a storage, or ``None`` for no change.

    Raises:
        RuntimeError: it was on a GPU, and there is none here.
    """
    if callable(map_location) and not isinstance(map_location, device):
        found = map_location(storage, where)
        if isinstance(found, TypedStorage):
            found = found.untyped()
        if isinstance(found, UntypedStorage):
            return found
        if found is not None:
            raise TypeError(
                f"map_location returned a {type(found).__name__}; it must return the storage it "
                "was given, another one, or None"
            )
    elif isinstance(map_location, dict):
        where = map_location.get(where, where)
    elif map_location is not None:
        require_device(device(map_location))
        return storage
    return _placed(storage, str(where))


def _placed(storage: UntypedStorage, where: str) -> UntypedStorage:
    if where.partition(":")[0] in ("cuda", "hip"):
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is "
            "False. If you are running on a CPU-only machine, please use torch.load with "
            "map_location=torch.device('cpu') to map your storages to the CPU."
        )
    if where.partition(":")[0] != "cpu":
        raise RuntimeError(
            "don't know how to restore data location of torch.storage.UntypedStorage (tagged with "
            f"{where})\nmap_location='cpu' loads it into main memory."
        )
    return storage


def default_restore_location(storage: UntypedStorage, location: str) -> UntypedStorage:
    """A storage brought to a place, for functions that are given as ``map_location``.

    Args:
        storage: as it was read.
        location: the name of the place: ``'cpu'``.

    Raises:
        RuntimeError: this machine has no such place.

    >>> import rushlight as torch
    >>> storage = torch.ones(1).untyped_storage()
    >>> torch.serialization.default_restore_location(storage, "cpu") is storage
    True
    """
    return restore(storage, location, None)
