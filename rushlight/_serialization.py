"""Saving and loading in PyTorch's formats, both ways with PyTorch itself.

Note: what a file holds
    A zip archive with one folder: ``data.pkl`` describes the objects, ``data/N`` holds the bytes
    of storage N, ``version`` and ``byteorder`` say how to read them. Tensors that share memory
    share a storage in the file.
"""

from __future__ import annotations

import io
import os
import pickle
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np

from rushlight._pickle_reader import LoadError, Reader, damaged, names_in
from rushlight._pickle_writer import Pickler
from rushlight._serialization_archive import ArchiveReader, ArchiveWriter, is_archive
from rushlight._serialization_data import find_data, is_known, set_state
from rushlight._serialization_legacy import is_legacy, load_legacy, save_legacy
from rushlight._serialization_place import restore
from rushlight._serialization_trusted import read_trusted
from rushlight.engine.core.dtype import dtype
from rushlight.storage import TypedStorage, UntypedStorage, storage_of_bytes

DEFAULT_PROTOCOL = 2

#: How a pickle is read: its bytes, and what gives the object for a persistent id.
_Read = Callable[[bytes, Callable[[Any], Any]], Any]

#: How many bytes the description of the objects may have.
_MAX_PICKLE = 1 << 30


def save(
    obj: object,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int = DEFAULT_PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object with the tensors in it to a file that PyTorch reads too.

    A file is written beside its place, synced, and then renamed: a broken run leaves the old or
    the new file whole. A file object is written to directly.

    Args:
        obj: tensors, state_dicts, containers of them; or a whole module, which is read back with
            ``weights_only=False``.
        f: a path or a binary file object.
        pickle_module: Python's ``pickle``; there is no other choice.
        pickle_protocol: the version of the description.
        _use_new_zipfile_serialization: ``False`` writes the format before PyTorch 1.6.
        _disable_byteorder_record: whether to leave out the order of bytes.

    Raises:
        RuntimeError: the folder does not exist.

    See https://pytorch.org/docs/stable/generated/torch.save.html.

    >>> import io, rushlight as torch
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.ones(2)}, file)
    >>> torch.load(io.BytesIO(file.getvalue()))
    {'weight': tensor([1., 1.])}
    """
    if pickle_module not in (None, pickle):
        raise ValueError(
            f"pickle_module={getattr(pickle_module, '__name__', pickle_module)!r}: rushlight "
            "writes with Python's pickle alone. Leave the argument out, and save a state_dict."
        )
    check_path_or_file(f)

    def write(put: Callable[[Any], Any], folder: str) -> None:
        if _use_new_zipfile_serialization:
            _save_archive(obj, put, folder, pickle_protocol, not _disable_byteorder_record)
        else:
            save_legacy(obj, put, pickle_protocol)

    if hasattr(f, "write"):
        write(f.write, "archive")
        return
    path = os.fspath(f)
    name = os.path.basename(os.fsdecode(path))
    with written_atomically(path) as file:
        write(file.write, os.path.splitext(name)[0] or "archive")


def check_path_or_file(f: Any) -> None:
    """Whether ``f`` is what can be written to.

    Raises:
        AttributeError: it is neither a path nor a file.
    """
    if not isinstance(f, (str, bytes, os.PathLike)) and not hasattr(f, "write"):
        raise AttributeError(
            "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
        )


@contextmanager
def written_atomically(path: Any) -> Iterator[Any]:
    """A file to write to that takes its name, whole and synced, when the block ends well.

    Args:
        path: where it goes. A link stays a link; the permissions of a file that is there stay.

    Raises:
        RuntimeError: the folder does not exist.
    """
    path = os.fsdecode(path)
    goal = os.path.realpath(path)
    folder = os.path.dirname(goal)
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.path.dirname(path)} does not exist.")
    if os.path.exists(goal) and not os.path.isfile(goal):
        with open(goal, "wb") as device:  # a pipe, say: nothing there could be kept whole
            yield device
        return
    import tempfile  # with random, 3 ms that only saving needs

    handle, beside = tempfile.mkstemp(prefix=".saving-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fchmod(file.fileno(), _permissions(goal))
            os.fsync(file.fileno())
        os.replace(beside, goal)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise
    _sync_folder(folder)


def _permissions(goal: str) -> int:
    """Those of the file that is replaced, else what a new file gets."""
    if os.path.exists(goal):
        return os.stat(goal).st_mode & 0o7777
    umask = os.umask(0)
    os.umask(umask)
    return 0o666 & ~umask


def _sync_folder(folder: str) -> None:
    """Let the new name reach the disk, too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _save_archive(
    obj: object, put: Callable[[Any], Any], folder: str, protocol: int, byteorder: bool
) -> None:
    described = io.BytesIO()
    pickler = Pickler(described, protocol)
    pickler.dump(obj)
    archive = ArchiveWriter(put, folder)
    archive.add("data.pkl", described.getvalue())
    archive.add(".format_version", b"1")
    archive.add(".storage_alignment", b"64")
    if byteorder:
        archive.add("byteorder", sys.byteorder.encode())
    for record in pickler.storages.values():
        archive.add(f"data/{record.key}", np.ascontiguousarray(record.array))
    archive.add("version", b"3\n")
    archive.close()


# loading -----------------------------------------------------------------------------------------


class _Loader:
    """Loads one archive."""

    def __init__(self, archive: ArchiveReader, map_location: Any) -> None:
        self.archive = archive
        self.map_location = map_location
        self.storages: dict[str, tuple[UntypedStorage, dtype | None]] = {}
        self.swapped = self._byteorder() != sys.byteorder

    def _byteorder(self) -> str:
        if "byteorder" not in self.archive:
            return "little"
        if self.archive.size("byteorder") <= 16:
            found = self.archive.read("byteorder").tobytes().decode("latin-1")
            if found in ("little", "big"):
                return found
        raise LoadError("the file names an order of bytes that is not known")

    def description(self) -> bytes:
        """The pickle that describes the objects."""
        if self.archive.size("data.pkl") > _MAX_PICKLE:
            raise LoadError("the file's description of its contents is larger than allowed")
        return self.archive.read("data.pkl").tobytes()

    def storage(self, identifier: Any) -> Any:
        """The storage a persistent id names."""
        if not isinstance(identifier, tuple) or len(identifier) != 5 or identifier[0] != "storage":
            raise damaged("it refers to something that is not a storage")
        _, kind, key, where, count = identifier
        if kind is UntypedStorage:  # from Python's own unpickler
            kind = None
        if not isinstance(key, str) or not isinstance(count, int) or not isinstance(where, str):
            raise damaged("a storage is described by something else than type and size")
        if not (kind is None or isinstance(kind, dtype)):
            raise damaged("a storage is of no known type")
        known = self.storages.get(key)
        if known is None:
            known = restore(self._read(key, kind, count), where, self.map_location), kind
            self.storages[key] = known
        storage, first = known
        if first is not kind:
            raise damaged(f"storage {key} has two types")
        return storage if kind is None else TypedStorage(wrap_storage=storage, dtype=kind)

    def _read(self, key: str, kind: dtype | None, count: int) -> UntypedStorage:
        itemsize = 1 if kind is None else kind.itemsize
        have = self.archive.size(f"data/{key}")
        if have != count * itemsize:
            raise LoadError(
                f"storage {key} has {have} bytes where {count * itemsize} are announced"
            )
        data = self.archive.read(f"data/{key}")
        if self.swapped and itemsize > 1:
            if kind is not None and kind.is_complex:
                itemsize //= 2
            data = np.ascontiguousarray(data.reshape(-1, itemsize)[:, ::-1]).reshape(-1)
        return storage_of_bytes(data)


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Read what ``torch.save`` wrote, here or in PyTorch.

    Only plain data is loaded unless ``weights_only=False``: tensors, numbers, strings and
    containers of them. Then the file cannot run code, nor ask for more memory than its own size.

    Args:
        f: a path or a binary file object that can seek.
        map_location: where tensors go: a device, a dictionary of devices, or a function.
        pickle_module: reads whole objects in place of Python's ``pickle``.
        weights_only: ``False`` additionally loads whole modules, by running what the file names;
            only for files whose author you trust.
        mmap: whether tensors lie in the file itself, which is read when they are looked at;
            changes to them stay in memory. Their checksums are not looked at.
        pickle_load_args: go to the unpickler of ``pickle_module``.

    Raises:
        LoadError: the file is damaged, of another kind, or asks for more than data; a
            ``RuntimeError`` and a ``pickle.UnpicklingError``.

    See https://pytorch.org/docs/stable/generated/torch.load.html.

    >>> import io, rushlight as torch
    >>> file = io.BytesIO()
    >>> torch.save([1, torch.zeros(1)], file)
    >>> torch.load(io.BytesIO(file.getvalue()))
    [1, tensor([0.])]
    """
    _check_choices(f, weights_only, pickle_module, mmap)
    read: _Read = _read_data
    if weights_only is False:
        read = partial(read_trusted, module=pickle_module, **pickle_load_args)
    with _opened(f) as file:
        if is_archive(file):
            loader = _Loader(ArchiveReader(file, os.fsdecode(f) if mmap else None), map_location)
            return read(loader.description(), loader.storage)
        if mmap:
            raise RuntimeError(
                "mmap can only be used with files saved with "
                "`torch.save(_use_new_zipfile_serialization=True)`, please torch.save your "
                "checkpoint with this option in order to use mmap."
            )
        if is_legacy(file):
            return load_legacy(file, map_location, read)
        raise _of_no_known_kind(file)


def _read_data(data: bytes, load_persistent: Callable[[Any], Any]) -> Any:
    """The plain data that a pickle describes."""
    return Reader(find_data, load_persistent, set_state).read(data)


def _check_choices(f: Any, weights_only: bool | None, module: Any, mmap: bool | None) -> None:
    if weights_only is not False and module is not None:
        raise RuntimeError(
            "Can not safely load weights when explicit pickle_module is specified\n"
            "Leave it out, or pass weights_only=False for a file whose author you trust."
        )
    if mmap and not isinstance(f, (str, bytes, os.PathLike)):
        raise ValueError(
            "f must be a string filename in order to use mmap argument\n"
            "Pass the path of the file, or leave mmap out."
        )


@contextmanager
def _opened(f: Any) -> Iterator[Any]:
    """A file that can seek, from a path or a file object."""
    if isinstance(f, (str, bytes, os.PathLike)):
        with open(f, "rb") as file:
            yield file
        return
    if not hasattr(f, "seek") or not hasattr(f, "read"):
        raise AttributeError(
            f"'{type(f).__name__}' object has no attribute 'seek'. You can only torch.load from a "
            "file that is seekable. Please pre-load the data into a buffer like io.BytesIO and try "
            "to load from it instead."
        )
    yield f


def _of_no_known_kind(file: Any) -> Exception:
    begin = file.read(8)
    if not begin:
        return EOFError("Ran out of input: the file is empty. Was it saved completely?")
    if begin.startswith(b"\x80"):
        return LoadError(
            "Invalid magic number; corrupt file?\nThe file is a pickle that torch.save did not "
            "write. If you trust its author, read it with Python's pickle."
        )
    if begin[4:] == bytes(4):
        advice = (
            "It may be a safetensors file: read it with rushlight.utils.safetensors.load_file, or "
            "with safetensors.torch.load_file."
        )
    else:
        advice = "Files of PyTorch before 0.2 and of other programs are not read."
    return LoadError(
        "PytorchStreamReader failed reading zip archive: failed finding central directory. The "
        f"file is damaged, incomplete, or was not written by torch.save.\n{advice}"
    )


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names in a file that ``torch.load`` refuses with ``weights_only=True``.

    Args:
        f: a path or a binary file object.

    Raises:
        LoadError: it is no zip archive that ``torch.save`` wrote.

    See https://pytorch.org/docs/stable/notes/serialization.html.

    >>> import io, rushlight as torch
    >>> file = io.BytesIO()
    >>> torch.save(torch.nn.ReLU(), file)
    >>> torch.serialization.get_unsafe_globals_in_checkpoint(file)
    ['torch.nn.ReLU']
    """
    with _opened(f) as file:
        file.seek(0)
        if not is_archive(file):
            raise LoadError("get_unsafe_globals_in_checkpoint only reads files in the zip format")
        data = _Loader(ArchiveReader(file), None).description()
    return [f"{module}.{name}" for module, name in dict.fromkeys(names_in(data))
            if not is_known(module, name)]  # fmt: skip
