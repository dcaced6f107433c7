"""Writing pickles as PyTorch writes them: tensors by its names, their bytes aside."""

from __future__ import annotations

import pickle
from collections import OrderedDict
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight._tensor import Tensor
from rushlight.engine.core.device import device
from rushlight.engine.core.dtype import SCALAR_NAMES, dtype
from rushlight.engine.core.shape import Size
from rushlight.engine.trace.recorder import wrap

#: PyTorch's names of the storages, and the types of what they hold.
CLASSES: dict[str, dtype] = {
    {"bool": "Bool"}.get(found.name, scalar) + "Storage": found
    for found, scalar in SCALAR_NAMES.items()
}


class _Named:
    """A name written into the pickle as it stands."""

    __slots__ = ("module", "name")

    def __init__(self, module: str, name: str) -> None:
        self.module = module
        self.name = name


class _StorageClass(_Named):
    __slots__ = ()


class _StorageRecord:
    """One storage of the file: its number, its bytes and the type they are counted in."""

    __slots__ = ("array", "found", "key")

    def __init__(self, key: str, found: dtype, array: np.ndarray) -> None:
        self.key = key
        self.found = found
        self.array = array


_REBUILD_TENSOR = _Named("torch._utils", "_rebuild_tensor_v2")
_REBUILD_PARAMETER = _Named("torch._utils", "_rebuild_parameter")


if TYPE_CHECKING:

    class _PlainPickler:
        """The pickler written in Python, whose methods no stub describes."""

        dispatch: dict[type, Callable[..., None]]
        memo: dict[int, Any]
        write: Callable[[bytes], Any]

        def __init__(self, file: Any, protocol: int) -> None: ...
        def dump(self, obj: Any) -> None: ...
        def memoize(self, obj: Any) -> None: ...
        def save(self, obj: Any, save_persistent_id: bool = True) -> None: ...
        def save_reduce(self, func: Any, args: Any, *rest: Any, obj: Any, **more: Any) -> None: ...

else:
    _PlainPickler = pickle._Pickler


class Pickler(_PlainPickler):
    """Writes tensors by PyTorch's names; the bytes of their storages are collected aside."""

    def __init__(self, file: Any, protocol: int) -> None:
        super().__init__(file, protocol)
        self.storages: dict[int, _StorageRecord] = {}
        self._alive: list[Any] = []

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, _StorageRecord):
            name = next(n for n, found in CLASSES.items() if found is obj.found)
            return ("storage", _StorageClass("torch", name), obj.key, "cpu", int(obj.array.size))
        return None

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor):
            return self._reduce_tensor(obj)
        return NotImplemented

    def save(self, obj: Any, save_persistent_id: bool = True) -> None:
        if isinstance(obj, _Named):
            self.write(pickle.GLOBAL + f"{obj.module}\n{obj.name}\n".encode())
            return
        if isinstance(obj, dtype):
            self.write(pickle.GLOBAL + f"torch\n{obj.name}\n".encode())
            return
        if isinstance(obj, Tensor) and self.memo.get(id(obj)) is None:
            self.save_reduce(*self._reduce_tensor(obj), obj=obj)
            return
        if isinstance(obj, Size):
            self.save_reduce(_Named("torch", "Size"), (tuple(obj),), obj=obj)
            return
        if isinstance(obj, device):
            arguments: Any = (obj.type,) if obj.index is None else (obj.type, obj.index)
            self.save_reduce(_Named("torch", "device"), arguments, obj=obj)
            return
        super().save(obj, save_persistent_id)

    def save_reduce(self, func: Any, args: Any, *rest: Any, obj: Any = None, **more: Any) -> None:
        if isinstance(func, _Named):
            self.save(func)
            self.save(args)
            self.write(pickle.REDUCE)
            if obj is not None:
                self.memoize(obj)
            if rest and rest[0] is not None:
                self.save(rest[0])
                self.write(pickle.BUILD)
            return
        super().save_reduce(func, args, *rest, obj=obj, **more)

    def _record(self, tensor: Any) -> tuple[_StorageRecord, int]:
        """The storage of a tensor and where the tensor begins in it."""
        array = tensor._array("save")
        if tensor._alias is None:
            whole, key = array, id(tensor._value)
            self._alive.append(tensor._value)
        else:
            storage = tensor._alias
            whole, key = storage.value.buffer, id(storage)
            if whole is None:
                whole = wrap(storage.value)._array("save")
            self._alive.append(storage)
        record = self.storages.get(key)
        if record is None:
            record = _StorageRecord(str(len(self.storages)), tensor.dtype, memory_of(whole))
            self.storages[key] = record
        offset = array.ctypes.data - whole.ctypes.data if array.size else 0
        return record, offset // array.itemsize

    def _reduce_tensor(self, tensor: Any) -> tuple[Any, ...]:
        record, offset = self._record(tensor)
        requires = bool(tensor.requires_grad and tensor.is_leaf)
        arguments: tuple[Any, ...] = (
            record, int(offset), tuple(tensor.shape), tuple(tensor.stride()), requires,
            OrderedDict(),
        )  # fmt: skip
        if type(tensor).__name__ == "Parameter":
            plain = _Reduced(_REBUILD_TENSOR, (*arguments[:4], False, OrderedDict()))
            return _REBUILD_PARAMETER, (plain, requires, OrderedDict())
        return _REBUILD_TENSOR, arguments


class _Reduced:
    """An object written by the call that makes it again."""

    def __init__(self, function: _Named, arguments: tuple[Any, ...]) -> None:
        self.function = function
        self.arguments = arguments


def _save_reduced(pickler: Pickler, obj: _Reduced) -> None:
    pickler.save_reduce(obj.function, obj.arguments)


Pickler.dispatch = dict(_PlainPickler.dispatch)
Pickler.dispatch[_Reduced] = _save_reduced


def memory_of(array: np.ndarray) -> np.ndarray:
    """All elements of the memory an array covers, in the order in which they lie there."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    span = 1 + sum((n - 1) * s for n, s in zip(array.shape, array.strides, strict=True))
    count = max(span, 0) // array.itemsize + (span % array.itemsize > 0)
    return np.lib.stride_tricks.as_strided(array, (count,), (array.itemsize,), writeable=False)
