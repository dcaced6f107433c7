"""Writing pickles as PyTorch writes them: tensors by its names, their bytes aside."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from types import FunctionType
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight._copying import attributes_of
from rushlight._serialization_names import torch_place, torch_state
from rushlight._tensor import Tensor
from rushlight.engine.core.device import device
from rushlight.engine.core.dtype import SCALAR_NAMES, dtype
from rushlight.engine.core.layout import layout
from rushlight.engine.core.shape import Size
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter
from rushlight.storage import TypedStorage, UntypedStorage, storage_to_read

#: PyTorch's names of the storages, and the types of what they hold. Types that came later have no
#: storage of their own: their numbers lie in an untyped one.
STORAGES: dict[str, dtype | None] = {
    f"{scalar}Storage": found
    for found, scalar in SCALAR_NAMES.items()
    if not scalar.startswith(("UInt", "Float8"))
} | {"UntypedStorage": None}

_NAMES = {found: name for name, found in STORAGES.items()}


class _Named:
    """A name written into the pickle as it stands."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name


class StorageRecord:
    """One storage of the file: its number, its bytes and the type they are counted in."""

    __slots__ = ("array", "found", "key")

    def __init__(self, key: str, found: dtype | None, array: np.ndarray) -> None:
        self.key = key
        self.found = found
        self.array = array

    @property
    def count(self) -> int:
        """How many elements it has."""
        return int(self.array.size) // (1 if self.found is None else self.found.itemsize)


class _Reduced:
    """An object written by the call that makes it again."""

    __slots__ = ("arguments", "function")

    def __init__(self, function: _Named, arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments


_REBUILD_TENSOR = _Named("torch._utils", "_rebuild_tensor_v2")
_REBUILD_UNTYPED = _Named("torch._utils", "_rebuild_tensor_v3")
_REBUILD_PARAMETER = _Named("torch._utils", "_rebuild_parameter")
_REBUILD_WITH_STATE = _Named("torch._utils", "_rebuild_parameter_with_state")
_REBUILD_OF_TYPE = _Named("torch._tensor", "_rebuild_from_type_v2")
_GET_LAYOUT = _Named("torch.serialization", "_get_layout")
_SIZE = _Named("torch", "Size")
_DEVICE = _Named("torch", "device")
_CLASSES = {name: _Named("torch", name) for name in STORAGES} | {
    "UntypedStorage": _Named("torch.storage", "UntypedStorage")
}
_DTYPES = {found: _Named("torch", found.name) for found in SCALAR_NAMES}


if TYPE_CHECKING:

    class _PlainPickler:
        """The pickler written in Python, whose methods no stub describes."""

        dispatch: dict[type, Callable[..., None]]
        memo: dict[int, Any]
        write: Callable[[bytes], Any]

        def __init__(self, file: Any, protocol: int) -> None: ...
        def dump(self, obj: Any) -> None: ...
        def get(self, number: int) -> bytes: ...
        def memoize(self, obj: Any) -> None: ...
        def save(self, obj: Any, save_persistent_id: bool = True) -> None: ...
        def save_global(self, obj: Any, name: str | None = None) -> None: ...
        def save_reduce(self, func: Any, args: Any, *rest: Any, obj: Any, **more: Any) -> None: ...

else:
    _PlainPickler = pickle._Pickler


class Pickler(_PlainPickler):
    """Writes tensors by PyTorch's names; the bytes of their storages are collected aside.

    Args:
        file: where the pickle goes.
        protocol: its version.
        legacy: whether persistent ids are those of the format before PyTorch 1.6.
    """

    def __init__(self, file: Any, protocol: int, legacy: bool = False) -> None:
        super().__init__(file, protocol)
        self.storages: dict[int, StorageRecord] = {}
        self._legacy = legacy
        self._alive: list[Any] = []

    def persistent_id(self, obj: Any) -> Any:
        """What stands in the pickle for a storage; ``None`` for all else."""
        if isinstance(obj, TypedStorage):
            obj = self._record(obj.untyped(), obj.dtype)
        elif isinstance(obj, UntypedStorage):
            obj = self._record(obj, None)
        if not isinstance(obj, StorageRecord):
            return None
        identifier = ("storage", _CLASSES[_NAMES[obj.found]], obj.key, "cpu", obj.count)
        return (*identifier, None) if self._legacy else identifier

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        """Write an object."""
        if isinstance(obj, dtype):
            obj = _DTYPES[obj]
        if isinstance(obj, _Named):
            self._save_named(obj)
            return
        if isinstance(obj, _Reduced):
            self.save_reduce(obj.function, obj.arguments, obj=None)
            return
        if id(obj) not in self.memo:
            reduced = self._reduced(obj)
            if reduced is not None:
                self.save_reduce(reduced.function, reduced.arguments, obj=obj)
                return
        super().save(obj, save_persistent_id)

    def _reduced(self, obj: Any) -> _Reduced | None:
        """How an object of PyTorch's is made again; ``None`` for others."""
        if isinstance(obj, Tensor):
            if type(obj).__reduce_ex__ is Tensor.__reduce_ex__:
                return self._reduced_tensor(obj)
            return None
        if isinstance(obj, Size):
            return _Reduced(_SIZE, (tuple(obj),))
        if isinstance(obj, device):
            return _Reduced(_DEVICE, (obj.type,) if obj.index is None else (obj.type, obj.index))
        if isinstance(obj, layout):
            return _Reduced(_GET_LAYOUT, (repr(obj),))
        return None

    def _save_named(self, named: _Named) -> None:
        known = self.memo.get(id(named))
        if known is not None:
            self.write(self.get(known[0]))
            return
        self.write(pickle.GLOBAL + f"{named.module}\n{named.name}\n".encode())
        self.memoize(named)

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """Write a class or function by its name: rushlight's by the one that PyTorch has."""
        place = torch_place(obj) if isinstance(obj, (type, FunctionType)) else None
        if place is None:
            super().save_global(obj, name)
            return
        self.write(pickle.GLOBAL + f"{place[0]}\n{place[1]}\n".encode())
        self.memoize(obj)

    def save_reduce(self, func: Any, args: Any, *rest: Any, obj: Any = None, **more: Any) -> None:
        """Write an object by the call that makes it again."""
        if isinstance(func, _Named):
            self.save(func)
            self.save(args)
            self.write(pickle.REDUCE)
            if obj is not None:
                self.memoize(obj)
            return
        if isinstance(obj, Module) and rest:
            rest = (torch_state(obj, rest[0]), *rest[1:])
        super().save_reduce(func, args, *rest, obj=obj, **more)

    dispatch = {**_PlainPickler.dispatch, FunctionType: save_global}

    def _record(
        self, storage: UntypedStorage, found: dtype | None, owner: Any = None
    ) -> StorageRecord:
        """The storage in the file for one in memory, known by what it belongs to."""
        if owner is None:
            owner = storage._array if storage._shared is None else storage._shared._alias
        known = self.storages.get(id(owner))
        if known is None:
            known = StorageRecord(str(len(self.storages)), found, storage._bytes("save"))
            self.storages[id(owner)] = known
            self._alive.append((owner, storage))
        elif known.found is not found:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                "types\nSave a clone() of one of them."
            )
        return known

    def _reduced_tensor(self, tensor: Any) -> _Reduced:
        typed = tensor.dtype if tensor.dtype in _NAMES else None
        if typed is None and self._legacy:
            raise RuntimeError(
                f"the format before PyTorch 1.6 has no {tensor.dtype}: leave out "
                "_use_new_zipfile_serialization=False"
            )
        record = self._record(storage_to_read(tensor), typed, tensor._alias or tensor)
        offset, size = int(tensor.storage_offset()), tuple(tensor.shape)
        stride, hooks = tuple(tensor.stride()), OrderedDict()  # type: ignore[var-annotated]
        is_parameter = isinstance(tensor, Parameter)
        wanted = bool(tensor.requires_grad)
        plain: tuple[Any, ...] = (record, offset, size, stride, wanted and not is_parameter, hooks)
        rebuild = _REBUILD_TENSOR
        if typed is None:
            rebuild, plain = _REBUILD_UNTYPED, (*plain, tensor.dtype)
        attributes = attributes_of(tensor)
        if is_parameter:
            attributes.pop("_is_param", None)
            made = _Reduced(rebuild, plain)
            if attributes:
                return _Reduced(_REBUILD_WITH_STATE, (made, wanted, hooks, attributes))
            return _Reduced(_REBUILD_PARAMETER, (made, wanted, hooks))
        if attributes or type(tensor) is not Tensor:
            return _Reduced(_REBUILD_OF_TYPE, (rebuild, type(tensor), plain, attributes))
        return _Reduced(rebuild, plain)
