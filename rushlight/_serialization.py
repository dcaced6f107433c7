"""Saving and loading in PyTorch's zip format, both ways with PyTorch itself.

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
import tempfile
import zipfile
from collections import Counter, OrderedDict, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight._pickle_reader import Global, LoadError, Reader, refusal
from rushlight._pickle_writer import CLASSES, Pickler
from rushlight._tensor import Tensor
from rushlight.engine.core.device import device, require_device
from rushlight.engine.core.dtype import BY_NAME, dtype
from rushlight.engine.core.shape import Size
from rushlight.engine.ir.graph import Value, strided_meta
from rushlight.engine.trace import views
from rushlight.engine.trace.recorder import wrap

#: The largest number of bytes a file may ask for, all storages together.
MAX_BYTES = 1 << 40


def save(
    obj: object,
    f: Any,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Write an object with the tensors in it to a file that PyTorch reads too.

    The file is written beside its place, synced, and then renamed: a broken run leaves the old or
    the new file whole.

    Args:
        obj: tensors, state_dicts, containers of them.
        f: a path or a binary file object.

    See https://pytorch.org/docs/stable/generated/torch.save.html.

    >>> import io, rushlight as torch
    >>> file = io.BytesIO()
    >>> torch.save({"weight": torch.ones(2)}, file)
    >>> torch.load(io.BytesIO(file.getvalue()))
    {'weight': tensor([1., 1.])}
    """
    if hasattr(f, "write"):
        f.write(_archive(obj, "archive", pickle_protocol))
        return
    path = os.fspath(f)
    data = _archive(obj, os.path.splitext(os.path.basename(path))[0] or "archive", pickle_protocol)
    write_atomically(path, data)


def write_atomically(path: str, data: bytes) -> None:
    """Write a file so that it is always the old or the new one, whole."""
    folder = os.path.dirname(os.path.abspath(path))
    if not os.path.isdir(folder):
        raise RuntimeError(f"Parent directory {os.path.dirname(path)} does not exist.")
    handle, beside = tempfile.mkstemp(prefix=".saving-", dir=folder)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(beside, 0o666 & ~umask)
        os.replace(beside, path)
    except BaseException:
        if os.path.exists(beside):
            os.unlink(beside)
        raise


def _archive(obj: object, folder: str, protocol: int) -> bytes:
    described = io.BytesIO()
    pickler = Pickler(described, protocol)
    pickler.dump(obj)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        _entry(archive, packed, f"{folder}/data.pkl", described.getvalue())
        _entry(archive, packed, f"{folder}/byteorder", sys.byteorder.encode())
        for record in pickler.storages.values():
            _entry(archive, packed, f"{folder}/data/{record.key}", record.array.tobytes())
        _entry(archive, packed, f"{folder}/version", b"3\n")
    return packed.getvalue()


_ALIGNMENT = 64


def _entry(archive: zipfile.ZipFile, packed: io.BytesIO, name: str, data: bytes) -> None:
    """Add an entry whose data begins at a multiple of 64 bytes, as PyTorch's do."""
    info = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
    start = packed.tell() + 30 + len(name.encode())
    gap = -(start + 4) % _ALIGNMENT
    info.extra = b"FB" + gap.to_bytes(2, "little") + b"Z" * gap
    archive.writestr(info, data)


# loading -----------------------------------------------------------------------------------------


class _Storage:
    """A storage read from a file: its memory, and the one engine storage all its tensors share."""

    __slots__ = ("array", "found", "shared")

    def __init__(self, array: np.ndarray, found: dtype) -> None:
        self.array = array
        self.found = found
        self.shared: Any = None


def _rebuild_tensor(
    storage: Any, offset: Any, size: Any, stride: Any, requires_grad: Any = False,
    hooks: Any = None, metadata: Any = None,
) -> Any:  # fmt: skip
    """A tensor over a storage, after everything the file says has been checked."""
    size, stride = tuple(size), tuple(stride)
    plain = isinstance(storage, _Storage) and isinstance(offset, int) and len(size) == len(stride)
    if not plain or not all(isinstance(n, int) for n in (*size, *stride)):
        raise LoadError("a tensor in the file is described by something else than numbers")
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    empty = 0 in size
    if offset < 0 or any(n < 0 for n in (*size, *stride)):
        raise LoadError("a tensor in the file has a negative size, stride or offset")
    if not empty and last >= storage.array.size:
        raise LoadError(
            f"a tensor in the file (size {list(size)}, stride {list(stride)}, offset {offset}) "
            f"reaches beyond its storage of {storage.array.size} elements"
        )
    meta = strided_meta(size, stride, storage.found)
    if meta.contiguous and offset == 0 and meta.numel == storage.array.size:
        if storage.shared is None:
            made = wrap(Value(meta, -1, storage.array.reshape(size)))
            storage.shared = made
            return made.requires_grad_() if requires_grad else made
    if storage.shared is None:
        flat = strided_meta((storage.array.size,), (1,), storage.found)
        storage.shared = wrap(Value(flat, -1, storage.array))
    made = as_strided_of(storage.shared, size, stride, offset)
    return made.requires_grad_() if requires_grad else made


def as_strided_of(tensor: Any, size: Any, stride: Any, offset: int) -> Any:
    """A tensor that looks at the same storage with any size, stride and offset."""
    return views.share(tensor).as_strided(size, stride, offset)


def _rebuild_parameter(data: Any, requires_grad: Any = True, hooks: Any = None, *_: Any) -> Any:
    from_nn = sys.modules["rushlight.nn.parameter"].Parameter
    return from_nn(data, bool(requires_grad))


def _ordered(*items: Any) -> OrderedDict[Any, Any]:
    return OrderedDict(*items)


_DATA: dict[str, Callable[..., Any]] = {
    "torch._utils _rebuild_tensor_v2": _rebuild_tensor,
    "torch._utils _rebuild_tensor": _rebuild_tensor,
    "torch._utils _rebuild_parameter": _rebuild_parameter,
    "collections OrderedDict": _ordered,
    "collections defaultdict": lambda *a: defaultdict(None, *a[1:]),
    "collections Counter": lambda *a: Counter(*a),
    "builtins set": lambda *a: set(*a),
    "__builtin__ set": lambda *a: set(*a),
    "builtins bytearray": lambda *a: bytearray(*a),
    "torch Size": lambda *a: Size(*a),
    "torch device": lambda *a: device(*a),
    "_codecs encode": lambda text, encoding="utf-8": text.encode(encoding),
    "builtins complex": lambda *a: complex(*a),
    "__builtin__ complex": lambda *a: complex(*a),
}


class _Loader:
    """Loads one archive."""

    def __init__(self, archive: zipfile.ZipFile, map_location: Any) -> None:
        self.archive = archive
        names = [name for name in archive.namelist() if name.endswith("data.pkl")]
        if len(names) != 1:
            raise LoadError("the archive holds no data.pkl: not a file written by torch.save")
        self.folder = names[0][: -len("data.pkl")]
        self.map_location = map_location
        self.storages: dict[str, _Storage] = {}
        self.total = 0
        self.swapped = self._byteorder() != sys.byteorder

    def _byteorder(self) -> str:
        try:
            return self._read("byteorder", 16).decode()
        except KeyError:
            return "little"

    def _read(self, name: str, limit: int) -> bytes:
        info = self.archive.getinfo(self.folder + name)
        if info.file_size > limit or info.compress_type != zipfile.ZIP_STORED:
            raise LoadError(f"entry {name} of the file is compressed or larger than allowed")
        return self.archive.read(info)

    def find(self, module: str, name: str) -> Any:
        """What stands for a name of the file."""
        full = f"{module} {name}"
        if full in _DATA:
            return Global(f"{module}.{name}", _DATA[full])
        if module == "torch" and name in BY_NAME:
            return BY_NAME[name]
        if module in ("torch", "torch.storage") and name in CLASSES:
            return CLASSES[name]
        raise refusal(f"{module}.{name}")

    def storage(self, identifier: Any) -> _Storage:
        """The storage a persistent id names."""
        if not isinstance(identifier, tuple) or len(identifier) != 5 or identifier[0] != "storage":
            raise LoadError("the file refers to something that is not a storage")
        _, found, key, where, count = identifier
        if not isinstance(found, dtype) or not isinstance(key, str) or not isinstance(count, int):
            raise LoadError("the file describes a storage by something else than type and size")
        if key not in self.storages:
            self._place(where)
            size = count * found.itemsize
            self.total += size
            if count < 0 or self.total > MAX_BYTES:
                raise LoadError("the file asks for more memory than may be loaded")
            data = self._read(f"data/{key}", MAX_BYTES)
            if len(data) != size:
                raise LoadError(f"storage {key} has {len(data)} bytes where {size} are announced")
            array = np.frombuffer(bytearray(data), found.numpy)
            if self.swapped:
                array = array.byteswap()
            self.storages[key] = _Storage(np.array(array), found)
        return self.storages[key]

    def _place(self, where: Any) -> None:
        wanted = self.map_location
        if isinstance(wanted, dict):
            where = wanted.get(where, where)
        elif callable(wanted):
            return
        elif wanted is not None:
            where = str(device(wanted))
        if wanted is None and str(where).startswith("cuda"):
            raise RuntimeError(
                "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() "
                "is False. If you are running on a CPU-only machine, please use torch.load with "
                "map_location=torch.device('cpu') to map your storages to the CPU."
            )
        require_device(str(where))

    def load(self) -> Any:
        """The object in the archive."""
        return Reader(self.find, self.storage, _set_state).read(self._read("data.pkl", 1 << 30))


def _set_state(target: Any, state: Any) -> Any:
    """States of data: the attributes of an OrderedDict (a state_dict's ``_metadata``)."""
    if type(target) is OrderedDict and isinstance(state, dict):
        if set(state) - {"_metadata"}:
            raise LoadError("the file sets unknown attributes of an OrderedDict")
        if "_metadata" in state:
            target._metadata = state["_metadata"]  # type: ignore[attr-defined]
        return target
    if isinstance(target, Tensor) and isinstance(state, (dict, tuple)):
        return target
    raise LoadError(f"the file sets the state of a {type(target).__name__}")


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

    Only plain data is loaded: tensors, numbers, strings and containers of them. The file cannot
    run code.

    Args:
        f: a path or a binary file object.
        map_location: where tensors go: a device, a dictionary of devices, or a function.
        weights_only: ``False`` additionally loads whole modules; only for files you trust.

    See https://pytorch.org/docs/stable/generated/torch.load.html.

    >>> import io, rushlight as torch
    >>> file = io.BytesIO()
    >>> torch.save([1, torch.zeros(1)], file)
    >>> torch.load(io.BytesIO(file.getvalue()))
    [1, tensor([0.])]
    """
    try:
        archive = zipfile.ZipFile(f)
    except zipfile.BadZipFile as error:
        raise LoadError(
            f"{f!r} is not a file in PyTorch's zip format ({error}). Files written before PyTorch "
            "1.6 are not read; load and save them again with a newer PyTorch."
        ) from error
    with archive:
        loader = _Loader(archive, map_location)
        if weights_only is False:
            return _load_trusted(loader)
        return loader.load()


class _TrustingUnpickler(pickle.Unpickler):
    """For files the user trusts: like the safe reader, and classes of the user's besides."""

    def __init__(self, file: Any, loader: _Loader) -> None:
        super().__init__(file)
        self._loader = loader

    def persistent_load(self, identifier: Any) -> Any:
        return self._loader.storage(identifier)

    def find_class(self, module: str, name: str) -> Any:
        full = f"{module} {name}"
        if full in _DATA:
            return _DATA[full]
        if module == "torch" and name in BY_NAME:
            return BY_NAME[name]
        if module in ("torch", "torch.storage") and name in CLASSES:
            return CLASSES[name]
        if module == "torch" or module.startswith("torch."):
            module = "rushlight" + module[len("torch") :]
        return super().find_class(module, name)


def _load_trusted(loader: _Loader) -> Any:
    return _TrustingUnpickler(io.BytesIO(loader._read("data.pkl", 1 << 30)), loader).load()


