"""The format before PyTorch 1.6: several pickles one behind the other, then the storages' bytes."""

from __future__ import annotations

import os
import pickle
import pickletools
import struct
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight._pickle_reader import DAMAGE, LoadError, Reader, damaged
from rushlight._pickle_writer import Pickler
from rushlight._serialization_archive import fill
from rushlight._serialization_data import find_data, set_state
from rushlight._serialization_place import restore
from rushlight.engine.core.dtype import dtype
from rushlight.storage import TypedStorage, UntypedStorage, storage_of_bytes

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001

_BEGINNING = pickle.dumps(MAGIC_NUMBER, 2)[:13]
_SYSTEM = {
    "protocol_version": PROTOCOL_VERSION,
    "little_endian": sys.byteorder == "little",
    "type_sizes": {"short": 2, "int": 4, "long": 4},
}

#: How many bytes an object's own pickle may have.
_MAX_PICKLE = 1 << 30


def is_legacy(file: Any) -> bool:
    """Whether a file begins as the old format does; it stays where it is."""
    at = file.tell()
    begin = file.read(len(_BEGINNING))
    file.seek(at)
    return bool(begin == _BEGINNING)


def save_legacy(obj: object, write: Callable[[Any], Any], protocol: int) -> None:
    """Write an object in the old format.

    Args:
        obj: what is saved.
        write: takes bytes, in order.
        protocol: the pickles' version.
    """
    for fact in (MAGIC_NUMBER, PROTOCOL_VERSION, _SYSTEM):
        write(pickle.dumps(fact, protocol))
    writer = _Writer(write)
    pickler = Pickler(writer, protocol, legacy=True)
    pickler.dump(obj)
    records = list(pickler.storages.values())
    write(pickle.dumps([record.key for record in records], protocol))
    for record in records:
        write(struct.pack("<q", record.count))
        write(record.array.data)


class _Writer:
    """What a pickler needs of a file."""

    def __init__(self, write: Callable[[Any], Any]) -> None:
        self.write = write


class _Storages:
    """The storages of an old file, made before their bytes are read.

    Args:
        room: how many bytes the file has left: all storages together cannot be larger.
        map_location: where tensors go.
    """

    def __init__(self, room: int, map_location: Any) -> None:
        self._room = room
        self._map_location = map_location
        self.arrays: dict[str, tuple[np.ndarray, int]] = {}
        self._found: dict[str, tuple[UntypedStorage, dtype | None]] = {}

    def load(self, identifier: Any) -> Any:
        """The storage, or the class, that a persistent id names."""
        if isinstance(identifier, tuple) and len(identifier) == 4 and identifier[0] == "module":
            return identifier[1]  # with its source text, which nobody reads
        if not isinstance(identifier, tuple) or len(identifier) != 6 or identifier[0] != "storage":
            raise damaged("it refers to something that is not a storage")
        _, kind, key, where, count, view = identifier
        if not isinstance(key, str) or not isinstance(count, int) or count < 0:
            raise damaged("a storage is described by something else than type and size")
        if not (kind is None or isinstance(kind, dtype)) or not isinstance(where, str):
            raise damaged("a storage is of no known type")
        if view is not None:
            raise LoadError("a PyTorch before 0.4 wrote the file: save it with a newer one")
        known = self._found.get(key)
        if known is None:
            known = self._made(key, kind, count, where), kind
            self._found[key] = known
        storage, first = known
        if first is not kind:
            raise damaged(f"storage {key} has two types")
        return storage if kind is None else TypedStorage(wrap_storage=storage, dtype=kind)

    def _made(self, key: str, kind: dtype | None, count: int, where: str) -> UntypedStorage:
        itemsize = 1 if kind is None else kind.itemsize
        self._room -= count * itemsize
        if self._room < 0:
            raise LoadError(
                f"the file announces {count * itemsize} bytes for storage {key}, more than it has"
            )
        array = np.zeros(count * itemsize, np.uint8)
        self.arrays[key] = array, itemsize
        return restore(storage_of_bytes(array), where, self._map_location)

    def fill(self, file: Any, keys: Any, swapped: bool) -> None:
        """Read the bytes of all storages."""
        if not isinstance(keys, list) or not all(isinstance(key, str) for key in keys):
            raise damaged("the list of storages is none")
        if sorted(keys) != sorted(self.arrays):
            raise damaged("the list of storages names others than the tensors have")
        for key in keys:
            array, itemsize = self.arrays[key]
            head = file.read(8)
            if len(head) != 8 or struct.unpack("<q", head)[0] * itemsize != array.size:
                raise damaged(f"storage {key} has another size than announced")
            fill(file, array)
            if swapped and itemsize > 1:
                array[:] = array.reshape(-1, itemsize)[:, ::-1].reshape(-1)


def load_legacy(
    file: Any, map_location: Any, read: Callable[[bytes, Callable[[Any], Any]], Any]
) -> Any:
    """Read an object in the old format.

    Args:
        file: a binary file that can seek, at the beginning of the object.
        map_location: where tensors go.
        read: reads the object's own pickle, with what gives the storages in it.

    Raises:
        LoadError: it is damaged, or asks for more than data.
    """
    at = file.tell()
    room = file.seek(0, os.SEEK_END) - at
    file.seek(at)
    if _plain(file) != MAGIC_NUMBER:
        raise LoadError("Invalid magic number; corrupt file?")
    version = _plain(file)
    if version != PROTOCOL_VERSION:
        raise LoadError(f"Invalid protocol version: {version}")
    system = _plain(file)
    little = system.get("little_endian", True) if isinstance(system, dict) else True
    storages = _Storages(room, map_location)
    found = read(_pickle_at(file), storages.load)
    storages.fill(file, _plain(file), little != (sys.byteorder == "little"))
    return found


def _plain(file: Any) -> Any:
    """The next pickle, which holds nothing but numbers, texts and containers of them."""
    return Reader(find_data, _no_storage, set_state).read(_pickle_at(file))


def _no_storage(identifier: Any) -> Any:
    raise damaged("a storage stands where none can be")


def _pickle_at(file: Any) -> bytes:
    """The bytes of the next pickle; the file is left behind it."""
    start = file.tell()
    end = start
    try:
        for opcode, _, _ in pickletools.genops(file):
            end = file.tell()
            if end - start > _MAX_PICKLE:
                raise LoadError("the file's description of its contents is larger than allowed")
            if opcode.name == "STOP":
                break
    except DAMAGE as error:
        raise damaged(error) from error
    file.seek(start)
    return bytes(file.read(end - start))
