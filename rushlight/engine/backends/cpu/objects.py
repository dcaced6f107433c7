"""What a compiled step does with every value of its trace, in one call of generated code.

Note: looking into Python's objects
    A step has dozens of values, and to ask each for its array, hand out each result and let go of
    each value costs Python more than a small kernel takes. Generated functions walk from the list
    of values to the values, to their arrays, to their data, and write the fields of values; every
    reference is counted by Python's own functions. Where the fields of these objects lie is found
    out by looking at specimens; where that fails (another Python, another NumPy), the same is done
    in Python, one by one. A step that is one call cannot be interrupted by Ctrl-C: either nothing
    has happened or everything.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from rushlight.engine.backends.cpu.llvm import jit
from rushlight.engine.backends.cpu.objects_text import TEXT

_WORD: Final = ctypes.sizeof(ctypes.c_size_t)
_WRITEABLE: Final = 0x400  # NPY_ARRAY_WRITEABLE of NumPy's C interface

_MINUS_ONE: Final = -1


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
    meta: int
    pos: int
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
    if sys.implementation.name != "cpython":
        return None
    array, meta, pos = np.arange(3.0), object(), 1 << 40
    view = array[1:]
    size = np.ndarray.__basicsize__
    specimen = value_class(meta, pos, array)
    width = type(specimen).__basicsize__
    found = [
        _list_items(), _field(specimen, id(array), width), _field(specimen, id(meta), width),
        _field(specimen, id(pos), width), _field(array, array.ctypes.data, size),
        _field(view, id(array), size),
    ]  # fmt: skip
    if None in found:
        return None
    items, buffer, kind, place, data, base = (x for x in found if x is not None)
    flags = base + 2 * _WORD  # behind `base` and `descr`
    frozen = np.arange(3.0)
    frozen.flags.writeable = False
    writeable = ctypes.c_int.from_address(id(array) + flags).value & _WRITEABLE
    locked = ctypes.c_int.from_address(id(frozen) + flags).value & _WRITEABLE
    counted = ctypes.c_ssize_t.from_address(id(frozen)).value == 1
    plain = object.__basicsize__ == 2 * _WORD and _word(id(array) + _WORD) == id(np.ndarray)
    if not writeable or locked or not counted or not plain:
        return None
    return Fields(items, buffer, kind, place, data, base, flags)


def _api(value_class: Any) -> Any:
    """What the code takes from the interpreter: its functions, and objects that always exist."""
    names = (
        "Py_IncRef", "Py_DecRef", "PyLong_AsSsize_t", "PyLong_FromSsize_t", "PyList_Append",
        "PyType_GenericAlloc", "PyEval_SaveThread", "PyEval_RestoreThread",
    )  # fmt: skip
    found = [ctypes.cast(getattr(ctypes.pythonapi, name), ctypes.c_void_p) for name in names]
    functions = [function.value or 0 for function in found]
    words = [*functions[:6], id(value_class), id(_MINUS_ONE), id(np.ndarray), *functions[6:]]
    return (ctypes.c_size_t * len(words))(*words)


class Objects:
    """The generated functions, made at first use.

    Args:
        value_class: the class of values.

    Attributes:
        bind: ``bind(values, frame)``: the addresses of the inputs into the table of addresses; 0,
            or 1 + the first input that is no array or is held by somebody else though it must not.
        finish: ``finish(values, frame)``: hand out the results, and let go of what is held.
        step: ``step(values, frame)``: both, and ``main`` between them. 0; -1: somebody has kept a
            result of the last run, -2: as ``bind`` (nothing has been touched); or what ``main``
            gave.
        append: ``append(values, rows, count, first, api)``: new values with these metas and
            buffers, the first of them number ``first``, at the end of the list.
        api: the address of what the code takes from the interpreter.
    """

    def __init__(self, value_class: Callable[..., Any]) -> None:
        self._value_class = value_class
        self._kept: Any = None
        self._looked = False
        self.bind: Any = None
        self.finish: Any = None
        self.step: Any = None
        self.append: Any = None
        self.api = 0

    def ready(self) -> bool:
        """Whether there are such functions here; the first time, they are made."""
        if not self._looked:
            fields = _find_fields(self._value_class)
            if fields is not None:
                self._compile(fields)
            self._looked = True
        return self.step is not None

    def _compile(self, fields: Fields) -> None:
        text = TEXT.format(
            items=fields.items, buffer=fields.buffer, meta=fields.meta, pos=fields.pos,
            data=fields.data, base=fields.base, flags=fields.flags, word=_WORD,
            writeable=_WRITEABLE,
        )  # fmt: skip
        loaded = jit.Loaded(jit.kept_code(text), "entry", [])
        word, pointer = ctypes.c_int64, ctypes.c_void_p
        entry = ctypes.PYFUNCTYPE(word, word)(loaded.address)
        api = _api(self._value_class)
        self._kept, self.api = (loaded, api), ctypes.addressof(api)
        walk = ctypes.PYFUNCTYPE(word, ctypes.py_object, pointer)
        self.append = ctypes.PYFUNCTYPE(word, ctypes.py_object, pointer, word, word, pointer)(
            entry(3)
        )
        self.finish = ctypes.PYFUNCTYPE(None, ctypes.py_object, pointer)(entry(1))
        self.bind, self.step = walk(entry(0)), walk(entry(2))


class Words:
    """Rows of numbers, one behind the other.

    Attributes:
        memory: the numbers.
        address: where they lie.
    """

    __slots__ = ("address", "memory")

    def __init__(self, rows: Iterable[Sequence[int]]) -> None:
        flat = [int(x) for row in rows for x in row]
        self.memory = (ctypes.c_int64 * max(len(flat), 1))(*flat)
        self.address = ctypes.addressof(self.memory)


class Frame:
    """What the generated functions need to know of a program.

    Args:
        api: where the interpreter's functions stand (``Objects.api``).
        table: where the table of addresses lies.
        numbers: where the run-time numbers lie.
        inputs: value number and slot of each input, and whether nobody else may hold its array.
        outputs: value number and slot of each result that gets an array of its own.
        same: value number of a result, and of the value whose array it gets.
        held: value numbers of what stays after the run.

    Attributes:
        address: where the frame lies.
    """

    __slots__ = ("_outputs", "_rows", "_words", "address")

    def __init__(
        self, api: int, table: int, numbers: int, inputs: Sequence[Sequence[int]],
        outputs: Sequence[Sequence[int]], same: Sequence[Sequence[int]], held: Sequence[int],
    ) -> None:  # fmt: skip
        results = Words((number, slot, 0, 0, 0, 0, 0) for number, slot in outputs)
        self._outputs = results.memory
        listed = [
            (Words(inputs), len(inputs)), (results, len(outputs)),
            (Words((*row, 0) for row in same), len(same)),
            (Words((number, 0, 0) for number in held), len(held)),
        ]  # fmt: skip
        self._rows = [rows for rows, _ in listed]
        pointers = [x for rows, count in listed for x in (rows.address, count)]
        self._words = (ctypes.c_size_t * 14)(table, api, numbers, 0, 0, *pointers, 0)
        self.address = ctypes.addressof(self._words)

    def set_main(self, main: int, context: int, brief: bool) -> None:
        """What is to be run: the addresses of the code and of its context.

        Other Python threads go on meanwhile, unless it is ``brief``.
        """
        self._words[3], self._words[4], self._words[13] = context, main, not brief

    def set_output(self, index: int, turn: int, array: np.ndarray | None, data: int = 0) -> None:
        """One of the two arrays for a result, kept alive by the caller, and where its data lie."""
        place = 7 * index + 3 + 2 * turn
        self._outputs[place] = 0 if array is None else id(array)
        self._outputs[place + 1] = data

    def choose(self, index: int, turn: int) -> None:
        """Use this array for a result in the run to come."""
        self._outputs[7 * index + 2] = self._outputs[7 * index + 3 + 2 * turn]
