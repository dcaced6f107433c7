"""Finding the addresses of a program's inputs without touching each of them in Python.

Note: looking into Python's objects
    A compiled step has dozens of inputs, and asking each array for its address costs Python more
    than a small kernel takes. One generated function walks from the list of values to the values,
    to their arrays, to their data. Where the fields of these objects lie is found out by looking
    at specimens; where that fails (another Python, another NumPy), the addresses are taken one by
    one as before.
"""

from __future__ import annotations

import ctypes
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rushlight.engine.backends.cpu.llvm import jit
from rushlight.engine.ir.buffers import span_of

_WORD: Final = ctypes.sizeof(ctypes.c_size_t)
_WRITEABLE: Final = 0x400  # NPY_ARRAY_WRITEABLE of NumPy's C interface


def _word(address: int) -> int:
    return ctypes.c_size_t.from_address(address).value


def _field(specimen: object, wanted: int, size: int) -> int | None:
    """The offset of a pointer to ``wanted`` in an object, behind its head."""
    for offset in range(object.__basicsize__, size, _WORD):
        if _word(id(specimen) + offset) == wanted:
            return offset
    return None


@dataclass(frozen=True, slots=True)
class Fields:
    """Where things lie: in a list, a value, an array."""

    items: int
    buffer: int
    data: int
    base: int
    flags: int


def _list_items() -> int | None:
    marker = object()
    specimen = [marker]
    for offset in range(object.__basicsize__, list.__basicsize__, _WORD):
        pointer = _word(id(specimen) + offset)
        if pointer > 1 << 16 and _word(pointer) == id(marker):
            return offset
    return None


def _find_fields(value_class: Callable[..., Any]) -> Fields | None:
    array = np.arange(3.0)
    view = array[1:]
    size = np.ndarray.__basicsize__
    items = _list_items()
    specimen = value_class(None, -1, array)
    buffer = _field(specimen, id(array), type(specimen).__basicsize__)
    data = _field(array, array.ctypes.data, size)
    base = _field(view, id(array), size)
    if items is None or buffer is None or data is None or base is None:
        return None
    flags = base + 2 * _WORD  # behind `base` and `descr`
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    writeable = ctypes.c_int.from_address(id(array) + flags).value & _WRITEABLE
    locked = ctypes.c_int.from_address(id(frozen) + flags).value & _WRITEABLE
    counted = ctypes.c_ssize_t.from_address(id(frozen)).value == 1
    plain = object.__basicsize__ == 2 * _WORD and _word(id(array) + _WORD) == id(np.ndarray)
    if not writeable or locked or not counted or not plain:
        return None
    return Fields(items, buffer, data, base, flags)


_TEXT = """
define i64 @bind(ptr %list, ptr %plan, i64 %count, ptr %table, i64 %type) {{
start:
  %items.at = getelementptr i8, ptr %list, i64 {items}
  %items = load ptr, ptr %items.at
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %more, %done ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %good, label %one
one:
  %row = mul i64 %i, 3
  %number.at = getelementptr i64, ptr %plan, i64 %row
  %number = load i64, ptr %number.at
  %slot.at = getelementptr i64, ptr %number.at, i64 1
  %slot = load i64, ptr %slot.at
  %alone.at = getelementptr i64, ptr %number.at, i64 2
  %alone = load i64, ptr %alone.at
  %value.at = getelementptr ptr, ptr %items, i64 %number
  %value = load ptr, ptr %value.at
  %buffer.at = getelementptr i8, ptr %value, i64 {buffer}
  %buffer = load ptr, ptr %buffer.at
  %missing = icmp eq ptr %buffer, null
  br i1 %missing, label %bad, label %present
present:
  %type.at = getelementptr i8, ptr %buffer, i64 {word}
  %kind = load i64, ptr %type.at
  %array = icmp eq i64 %kind, %type
  br i1 %array, label %typed, label %bad
typed:
  %data.at = getelementptr i8, ptr %buffer, i64 {data}
  %data = load i64, ptr %data.at
  %out = getelementptr i64, ptr %table, i64 %slot
  store i64 %data, ptr %out
  %any = icmp eq i64 %alone, 0
  br i1 %any, label %done, label %check
check:
  %references = load i64, ptr %buffer
  %single = icmp eq i64 %references, 1
  %base.at = getelementptr i8, ptr %buffer, i64 {base}
  %base = load ptr, ptr %base.at
  %own = icmp eq ptr %base, null
  %flags.at = getelementptr i8, ptr %buffer, i64 {flags}
  %flags = load i32, ptr %flags.at
  %bit = and i32 %flags, {writeable}
  %open = icmp ne i32 %bit, 0
  %both = and i1 %single, %own
  %free = and i1 %both, %open
  br i1 %free, label %done, label %bad
done:
  %more = add i64 %i, 1
  br label %next
good:
  ret i64 0
bad:
  %failed = add i64 %i, 1
  ret i64 %failed
}}
"""


class Binder:
    """The generated function, made at first use."""

    def __init__(self, value_class: Callable[..., Any]) -> None:
        self._value_class = value_class
        self._function: Any = None
        self._loaded: jit.Loaded | None = None
        self._looked = False

    def function(self) -> Any:
        """``bind(list, plan, count, table, array type)``; ``None`` where it cannot be had.

        ``plan`` has three numbers for each input: which value, which slot of the table, and
        whether nobody else may hold its array. The result is 0, or 1 + the first input that is no
        array or is held by somebody else.
        """
        if not self._looked:
            self._looked = True
            fields = _find_fields(self._value_class)
            if fields is not None:
                self._function = self._compile(fields)
        return self._function

    def _compile(self, fields: Fields) -> Any:
        text = _TEXT.format(
            items=fields.items, buffer=fields.buffer, data=fields.data, base=fields.base,
            flags=fields.flags, word=_WORD, writeable=_WRITEABLE,
        )  # fmt: skip
        self._loaded = jit.Loaded(jit.kept_code(text), "bind", [])
        word = ctypes.c_int64
        kind = ctypes.PYFUNCTYPE(word, ctypes.py_object, ctypes.c_void_p, word, ctypes.c_void_p,
                                 ctypes.c_size_t)  # fmt: skip
        return kind(self._loaded.address)


class Table:
    """Where the slots of a program lie: the addresses that generated code is given.

    Attributes:
        address: where the table itself lies.
        values: the addresses, by slot.
    """

    __slots__ = ("_binding", "_rows", "address", "count", "values")

    def __init__(self, slots: int, rows: Sequence[tuple[int, int, bool]]) -> None:
        """Args:
        slots: how many.
        rows: value number and slot of each input, and whether nobody else may hold its array.
        """
        self.values = (ctypes.c_size_t * slots)()
        self.address = ctypes.addressof(self.values)
        flat = [int(x) for row in rows for x in row]
        self._rows = (ctypes.c_int64 * max(len(flat), 1))(*flat)
        self._binding = ctypes.addressof(self._rows)
        self.count = len(rows)

    def bind(self, function: Any, values: list[Any]) -> bool:
        """Take the addresses of all inputs; whether every one could be had."""
        return not function(values, self._binding, self.count, self.address, _ARRAY_TYPE)

    def array(
        self, slot: int, offset: int, shape: Sequence[int], kind: np.dtype, strides: Sequence[int]
    ) -> np.ndarray:
        """The memory from ``offset`` bytes behind a slot on as an array, strides in elements."""
        size = kind.itemsize
        reach = span_of(shape, strides) * size
        memory = (ctypes.c_char * reach).from_address(self.values[slot] + offset)
        return np.ndarray(
            tuple(shape), kind, memoryview(memory), 0, tuple([s * size for s in strides])
        )


class Numbers:
    """The run-time numbers of a program, packed as generated code reads them.

    Attributes:
        address: where they lie.
    """

    __slots__ = ("_memory", "_pack", "address")

    def __init__(self, kinds: Sequence[str]) -> None:
        """Args:
        kinds: ``"d"`` for a float64, ``"q"`` for an int64.
        """
        self._memory = bytearray(max(8 * len(kinds), 8))
        view = (ctypes.c_char * len(self._memory)).from_buffer(self._memory)
        self.address = ctypes.addressof(view)
        self._pack = struct.Struct("".join(["=", *kinds])).pack_into

    def put(self, numbers: Sequence[Any]) -> bool:
        """Set all numbers; ``False``: one is an integer beyond 64 bits."""
        try:
            self._pack(self._memory, 0, *numbers)
        except struct.error:
            return False
        return True


_ARRAY_TYPE = id(np.ndarray)
