"""The memory under tensors: ``torch.UntypedStorage``, what tensors that share it are made on."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterator
from importlib import import_module
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from rushlight.engine.core.device import device, require_device
from rushlight.engine.core.dtype import dtype, uint8
from rushlight.engine.core.shape import Size
from rushlight.engine.ir.buffers import settle, window
from rushlight.engine.ir.graph import SHARED, Meta, Value, strided_meta
from rushlight.engine.runtime.executor import flush, materialize
from rushlight.engine.trace import views
from rushlight.engine.trace.recorder import mode, wrap

#: NumPy's limit on axes, and so the limit here.
_MAX_AXES = 64

#: Views of more elements than this must have a number in memory for each of them.
_MAX_REPEATED = 1 << 31


class UntypedStorage:
    """The bytes that one or several tensors look at.

    Args:
        size: the number of bytes, all zero; or numbers from 0 to 255.

    See https://pytorch.org/docs/stable/storage.html#torch.UntypedStorage.

    >>> import rushlight as torch
    >>> x = torch.zeros(3)
    >>> x.untyped_storage().nbytes(), x[1:].untyped_storage().nbytes()
    (12, 12)
    """

    __slots__ = ("__weakref__", "_array", "_part", "_shared")

    _array: np.ndarray | None  #: the bytes, while no tensor looks at them
    _shared: Any  #: a tensor that looks at all of them
    _part: slice  #: which of them are meant

    def __init__(self, size: Any = 0) -> None:
        self._array = (
            np.zeros(size, np.uint8) if isinstance(size, int) else np.array(list(size), np.uint8)
        )
        self._shared = None
        self._part = slice(None)

    def _bytes(self, reason: str = "storage") -> np.ndarray:
        if self._array is not None:
            return self._array[self._part]
        shared = self._shared
        return bytes_of(settle(shared._array(reason), shared._value.meta))[self._part]

    def nbytes(self) -> int:
        """The number of bytes."""
        return int(self._bytes().size)

    size = __len__ = nbytes

    def data_ptr(self) -> int:
        """The address of the first byte; 0 where there is none."""
        found = self._bytes("data_ptr()")
        return int(found.ctypes.data) if found.size else 0

    def tolist(self) -> list[int]:
        """The bytes as numbers."""
        return list(self._bytes().tolist())

    def __iter__(self) -> Iterator[int]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            start, stop, step = index.indices(len(self))
            if step != 1:
                raise RuntimeError(
                    f"Trying to slice with a step of {step}, but only a step of 1 is supported"
                )
            made = object.__new__(UntypedStorage)
            made._array, made._shared = self._array, self._shared
            begin = self._part.start or 0
            made._part = slice(begin + start, begin + max(start, stop))
            return made
        return int(self._bytes()[operator.index(index)])

    @property
    def device(self) -> device:
        """Where the bytes lie."""
        return device("cpu") if self._shared is None else self._shared.device

    is_cuda = False
    is_sparse = False

    def untyped(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def cpu(self) -> UntypedStorage:
        """The storage in main memory: itself."""
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> UntypedStorage:
        """The storage on a GPU.

        Raises:
            AssertionError: this machine has none.
        """
        require_device("cuda" if device is None else device)
        return self

    def to(self, *, device: Any, non_blocking: bool = False) -> UntypedStorage:
        """The storage on another device."""
        require_device(device)
        return self

    def clone(self) -> UntypedStorage:
        """A copy of the bytes."""
        return storage_of_bytes(self._bytes("clone()").copy())

    def is_shared(self) -> bool:
        """Whether ``share_memory_`` has put the bytes where other processes see them."""
        found = self._bytes("is_shared()")
        return _common_memory(found) is not None

    def share_memory_(self) -> UntypedStorage:
        """Move the bytes to memory that processes started from here on share; the storage.

        A forked process and one started by ``torch.multiprocessing`` see later writes, this one
        sees theirs. What goes through a queue or a file is a copy.
        """
        if not self.is_shared():
            if self._shared is None:
                self._array = _common_copy(self._bytes("share_memory_()"))
                self._part = slice(None)
            else:
                _move(self._shared)
        return self

    @classmethod
    def from_file(cls, filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """The bytes of a file, read when they are looked at.

        Args:
            filename: a path.
            shared: whether writing to the storage writes to the file.
            nbytes: how many bytes, from the beginning.
        """
        path = os.fspath(filename)
        found = np.memmap(path, np.uint8, "r+" if shared else "c", shape=(nbytes,))
        return storage_of_bytes(np.asarray(found))

    def __dlpack__(self, **options: Any) -> Any:
        return self._bytes("DLPack").__dlpack__(**options)

    def __dlpack_device__(self) -> tuple[int, int]:
        return (1, 0)

    def __repr__(self) -> str:
        lines = "".join(f" {number}\n" for number in self.tolist())
        return f"{lines}[torch.storage.UntypedStorage(device={self.device}) of size {len(self)}]"

    def __deepcopy__(self, memo: dict[int, Any]) -> UntypedStorage:
        return memo.setdefault(id(self), self.clone())

    __copy__ = clone

    def __reduce__(self) -> Any:
        found = self._bytes("pickle")
        spawning = import_module("multiprocessing.context").get_spawning_popen()
        common = None if spawning is None else _common_memory(found)
        if common is not None:
            start = found.ctypes.data - _address(common)
            return _on_common_memory, (common, start, found.size)
        return storage_of_bytes, (found,)


class TypedStorage:
    """The numbers that one or several tensors look at, as older programs know it.

    See https://pytorch.org/docs/stable/storage.html#torch.TypedStorage.

    >>> import rushlight as torch
    >>> torch.arange(4.0)[2:].storage().tolist()
    [0.0, 1.0, 2.0, 3.0]
    """

    __slots__ = ("_untyped_storage", "dtype")

    def __init__(self, *, wrap_storage: UntypedStorage, dtype: dtype) -> None:
        self._untyped_storage = wrap_storage
        self.dtype = dtype

    def untyped(self) -> UntypedStorage:
        """The bytes."""
        return self._untyped_storage

    @property
    def device(self) -> device:
        """Where the numbers lie."""
        return self._untyped_storage.device

    def element_size(self) -> int:
        """The size of a number in bytes."""
        return self.dtype.itemsize

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._untyped_storage.nbytes()

    def size(self) -> int:
        """The number of elements."""
        return self.nbytes() // self.dtype.itemsize

    __len__ = size

    def data_ptr(self) -> int:
        """The address of the first number."""
        return self._untyped_storage.data_ptr()

    def _numbers(self) -> Any:
        return tensor_on(self._untyped_storage, self.dtype, 0, (self.size(),), (1,))

    def tolist(self) -> list[Any]:
        """The numbers."""
        return list(self._numbers().tolist())

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        found = self._numbers()[index]
        return found.tolist() if isinstance(index, slice) else found.item()

    def __repr__(self) -> str:
        return (
            f"[torch.storage.TypedStorage(dtype={self.dtype}, device={self.device}) "
            f"of size {len(self)}]"
        )


#: Memory that several processes share, by the address of its first byte.
_COMMON: WeakValueDictionary[int, Any] = WeakValueDictionary()


def _address(memory: Any) -> int:
    """The address of the first byte of an array of ``multiprocessing``."""
    return int(np.frombuffer(memory, np.uint8).ctypes.data)


def _array_over(memory: Any) -> np.ndarray:
    """All bytes of memory that several processes share, which lives as long as the array."""
    array: np.ndarray = np.frombuffer(memory, np.uint8)
    _COMMON[int(array.ctypes.data)] = memory
    return array


def _common_memory(found: np.ndarray) -> Any:
    """The shared memory in which bytes lie, ``None`` if they lie elsewhere."""
    address = int(found.ctypes.data)
    for start, memory in list(_COMMON.items()):
        if start <= address and address + found.nbytes <= start + max(len(memory), 1):
            return memory
    return None


def _common_copy(found: np.ndarray) -> np.ndarray:
    """A copy of bytes in memory that forked and spawned processes share."""
    memory = import_module("multiprocessing.sharedctypes")  # 3 ms, for the few who share
    array = _array_over(memory.RawArray("B", max(found.size, 1)))[: found.size]
    array[:] = found
    return array


def _on_common_memory(memory: Any, start: int, size: int) -> UntypedStorage:
    """The storage in another process; its bytes are those of the process that started it."""
    return storage_of_bytes(_array_over(memory)[start : start + size])


def _move(tensor: Any) -> None:
    """Move the memory of a tensor that looks at a whole storage; its views move along."""
    engine = views.storage_of(tensor)
    whole = engine.value
    old = materialize(whole, "share_memory_()")
    if whole.pos >= 0:
        flush("share_memory_()")  # what has been recorded reads this memory as it is now
    old = settle(old, whole.meta)
    flat = _common_copy(bytes_of(old)).view(old.dtype)
    whole.buffer = window(flat, old.shape, old.strides)
    whole.pos = SHARED
    engine.version += 1


#: The storages that somebody holds, by the identity of the engine's.
_HELD: WeakValueDictionary[int, UntypedStorage] = WeakValueDictionary()


def untyped_storage(tensor: Any) -> UntypedStorage:
    """The storage a tensor looks at; the same object for all its tensors while somebody holds it.

    Args:
        tensor: any tensor with memory.
    """
    engine = views.storage_of(tensor)
    found = _HELD.get(id(engine))
    if found is None or found._shared._alias is not engine:
        found = object.__new__(UntypedStorage)
        whole: Any = object.__new__(mode.tensor)
        whole._value, whole._alias, whole._chain = engine.value, engine, ()
        whole._seen, whole._base, whole._base_edge = engine.version, None, None
        found._array, found._shared, found._part = None, whole, slice(None)
        _HELD[id(engine)] = found
    return found


def storage_to_read(tensor: Any) -> UntypedStorage:
    """The storage a tensor looks at, to be read at once and not to be kept.

    A tensor that shares its memory with no other stays as it is, without a storage to share.

    Args:
        tensor: any tensor with memory.
    """
    if tensor._alias is not None:
        return untyped_storage(tensor)
    return storage_of_bytes(bytes_of(settle(tensor._array("save"), tensor._value.meta)))


def storage_of_bytes(array: np.ndarray) -> UntypedStorage:
    """A storage over an array of bytes, which becomes the storage's own.

    Args:
        array: one axis, one byte each.
    """
    made = UntypedStorage()
    made._array = array
    return made


def bytes_of(array: np.ndarray) -> np.ndarray:
    """All bytes of the memory an array covers, in the order in which they lie there."""
    return memory_of(array).view(np.uint8)


def memory_of(array: np.ndarray) -> np.ndarray:
    """All elements of the memory an array covers, in the order in which they lie there."""
    if array.flags.c_contiguous:
        return array.reshape(-1)
    if not array.size:
        return np.empty(0, array.dtype)
    span = array.itemsize + sum(
        (n - 1) * s for n, s in zip(array.shape, array.strides, strict=True)
    )
    count = span // array.itemsize
    return window(array, (count,), (array.itemsize,))


def tensor_on(storage: UntypedStorage, found: dtype, offset: int, size: Any, stride: Any) -> Any:
    """A tensor that looks at a storage.

    Args:
        storage: what it looks at.
        found: the type of its elements.
        offset: where it begins, in elements.
        size: its shape.
        stride: the steps between neighbours along each axis, in elements.

    Raises:
        RuntimeError: it would reach beyond the storage, or have sizes that no tensor has.
    """
    size, stride = Size(size), tuple(stride)
    available = storage.nbytes() // found.itemsize
    check_layout(available, offset, size, stride)
    shared = storage._shared
    if shared is None:
        array: Any = storage._bytes()[: available * found.itemsize].view(found.numpy)
        meta = strided_meta(size, stride, found)
        if meta.contiguous and offset == 0 and meta.numel == array.size:
            shared = wrap(_value_on(array.reshape(size), meta))
            _hand_over(storage, shared)
            return shared
        flat = strided_meta((available,), (1,), found)
        shared = wrap(_value_on(array, flat))
        _hand_over(storage, shared)
    return _view(shared, storage._part.start or 0, found, offset, size, stride)


def _value_on(array: np.ndarray, meta: Meta) -> Value:
    """A value that owns an array; one that others write to, too, where processes share it."""
    if _common_memory(array) is None:
        return Value(meta, -1, array)
    # what `window` gives has no array as its base, and so never counts as ours alone
    return Value(meta, SHARED, window(array, array.shape, array.strides))


def _hand_over(storage: UntypedStorage, tensor: Any) -> None:
    """From here on the memory is a tensor's; the storage finds it there."""
    storage._array, storage._shared, storage._part = None, tensor, slice(None)


def _view(shared: Any, begin: int, found: dtype, offset: int, size: Any, stride: Any) -> Any:
    """A view of what a tensor that looks at a whole storage has, ``begin`` bytes further on."""
    shared = views.share(shared)
    if shared.dtype is not found:
        count = memory_of(shared._array("storage")).size * shared.dtype.itemsize
        shared = shared.as_strided((count // shared.dtype.itemsize,), (1,), 0).view(uint8)
        usable = (count - begin) // found.itemsize * found.itemsize
        shared = shared[begin : begin + usable].view(found)
        return shared.as_strided(size, stride, begin // found.itemsize + offset)
    return shared.as_strided(size, stride, begin // found.itemsize + offset)


def check_layout(available: int, offset: int, size: Any, stride: Any) -> None:
    """Whether a tensor of these sizes fits a storage.

    Args:
        available: the number of elements of the storage.
        offset: where the tensor begins, in elements.
        size: its shape.
        stride: the steps between neighbours along each axis, in elements.

    Raises:
        RuntimeError: it does not.
    """
    size, stride = tuple(size), tuple(stride)
    if len(size) != len(stride):
        raise RuntimeError("mismatch in length of strides and shape")
    if len(size) > _MAX_AXES:
        raise RuntimeError(f"a tensor of {len(size)} axes; at most {_MAX_AXES} are possible")
    numbers = (offset, *size, *stride)
    if any(not isinstance(n, int) or n < 0 or n > 1 << 62 for n in numbers):
        raise RuntimeError(
            f"a tensor cannot have size {list(size)}, stride {list(stride)}, offset {offset}"
        )
    last = offset + sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if (0 not in size and last >= available) or offset > available:
        raise RuntimeError(
            f"a tensor of size {list(size)}, stride {list(stride)} and offset {offset} reaches "
            f"beyond its storage of {available} elements"
        )
    count = 1
    for length in size:
        count *= length
    if count > max(available, _MAX_REPEATED):
        raise RuntimeError(
            f"a tensor of size {list(size)} repeats the {available} elements of its storage more "
            f"than {_MAX_REPEATED} times"
        )
