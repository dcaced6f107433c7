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

_WORD: Final = ctypes.sizeof(ctypes.c_size_t)
_WRITEABLE: Final = 0x400  # NPY_ARRAY_WRITEABLE of NumPy's C interface

#: The classes of the objects' fields, as long as this module lives.
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


# Rows are of three words: the number of a value, and what belongs to it (`Frame`); those of results
# of seven: number, slot, the array chosen for this run, and two arrays with the places of their
# data, of which one that nobody but the program holds is chosen.
_TEXT = """
define internal ptr @value(ptr %list, i64 %number) {{
  %items.at = getelementptr i8, ptr %list, i64 {items}
  %items = load ptr, ptr %items.at
  %value.at = getelementptr ptr, ptr %items, i64 %number
  %value = load ptr, ptr %value.at
  ret ptr %value
}}

define internal void @put(ptr %spot, ptr %new, ptr %api) {{
  %old = load ptr, ptr %spot
  %take = load ptr, ptr %api
  call void %take(ptr %new)
  store ptr %new, ptr %spot
  %drop.at = getelementptr ptr, ptr %api, i64 1
  %drop = load ptr, ptr %drop.at
  call void %drop(ptr %old)
  ret void
}}

define i64 @bind(ptr %list, ptr %frame) {{
start:
  %table = load ptr, ptr %frame
  %api.at = getelementptr ptr, ptr %frame, i64 1
  %api = load ptr, ptr %api.at
  %type.at = getelementptr i64, ptr %api, i64 8
  %type = load i64, ptr %type.at
  %rows.at = getelementptr ptr, ptr %frame, i64 5
  %rows = load ptr, ptr %rows.at
  %count.at = getelementptr i64, ptr %frame, i64 6
  %count = load i64, ptr %count.at
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %more, %done ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %good, label %one
one:
  %row = mul i64 %i, 3
  %number.at = getelementptr i64, ptr %rows, i64 %row
  %number = load i64, ptr %number.at
  %slot.at = getelementptr i64, ptr %number.at, i64 1
  %slot = load i64, ptr %slot.at
  %alone.at = getelementptr i64, ptr %number.at, i64 2
  %alone = load i64, ptr %alone.at
  %value = call ptr @value(ptr %list, i64 %number)
  %buffer.at = getelementptr i8, ptr %value, i64 {buffer}
  %buffer = load ptr, ptr %buffer.at
  %missing = icmp eq ptr %buffer, null
  br i1 %missing, label %bad, label %present
present:
  %type.of = getelementptr i8, ptr %buffer, i64 {word}
  %kind = load i64, ptr %type.of
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

define internal i1 @free(ptr %array) {{
start:
  %none = icmp eq ptr %array, null
  br i1 %none, label %no, label %look
look:
  %references = load i64, ptr %array
  %single = icmp eq i64 %references, 1
  ret i1 %single
no:
  ret i1 false
}}

define internal i64 @choose(ptr %frame) {{
start:
  %table = load ptr, ptr %frame
  %rows.at = getelementptr ptr, ptr %frame, i64 7
  %rows = load ptr, ptr %rows.at
  %count.at = getelementptr i64, ptr %frame, i64 8
  %count = load i64, ptr %count.at
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %more, %found ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %good, label %one
one:
  %place = mul i64 %i, 7
  %row = getelementptr i64, ptr %rows, i64 %place
  %first.at = getelementptr i64, ptr %row, i64 3
  %first = load ptr, ptr %first.at
  %first.free = call i1 @free(ptr %first)
  br i1 %first.free, label %found, label %other
other:
  %second.at = getelementptr i64, ptr %row, i64 5
  %second = load ptr, ptr %second.at
  %second.free = call i1 @free(ptr %second)
  br i1 %second.free, label %found, label %bad
found:
  %array = phi ptr [ %first, %one ], [ %second, %other ]
  %array.at = phi ptr [ %first.at, %one ], [ %second.at, %other ]
  %chosen.at = getelementptr i64, ptr %row, i64 2
  store ptr %array, ptr %chosen.at
  %data.at = getelementptr i64, ptr %array.at, i64 1
  %data = load i64, ptr %data.at
  %slot.at = getelementptr i64, ptr %row, i64 1
  %slot = load i64, ptr %slot.at
  %entry = getelementptr i64, ptr %table, i64 %slot
  store i64 %data, ptr %entry
  %more = add i64 %i, 1
  br label %next
good:
  ret i64 0
bad:
  ret i64 1
}}

define void @finish(ptr %list, ptr %frame) {{
start:
  %api.at = getelementptr ptr, ptr %frame, i64 1
  %api = load ptr, ptr %api.at
  %outputs.at = getelementptr ptr, ptr %frame, i64 7
  %outputs = load ptr, ptr %outputs.at
  %outputs.count.at = getelementptr i64, ptr %frame, i64 8
  %outputs.count = load i64, ptr %outputs.count.at
  %same.at = getelementptr ptr, ptr %frame, i64 9
  %same = load ptr, ptr %same.at
  %same.count.at = getelementptr i64, ptr %frame, i64 10
  %same.count = load i64, ptr %same.count.at
  %held.at = getelementptr ptr, ptr %frame, i64 11
  %held = load ptr, ptr %held.at
  %held.count.at = getelementptr i64, ptr %frame, i64 12
  %held.count = load i64, ptr %held.count.at
  %number.from = getelementptr ptr, ptr %api, i64 2
  %as.number = load ptr, ptr %number.from
  %minus.at = getelementptr ptr, ptr %api, i64 7
  %minus = load ptr, ptr %minus.at
  br label %out.next
out.next:
  %o = phi i64 [ 0, %start ], [ %o.more, %out ]
  %o.end = icmp eq i64 %o, %outputs.count
  br i1 %o.end, label %same.next, label %out
out:
  %o.row = mul i64 %o, 7
  %o.at = getelementptr i64, ptr %outputs, i64 %o.row
  %o.number = load i64, ptr %o.at
  %o.array.at = getelementptr i64, ptr %o.at, i64 2
  %o.array = load ptr, ptr %o.array.at
  %o.value = call ptr @value(ptr %list, i64 %o.number)
  %o.spot = getelementptr i8, ptr %o.value, i64 {buffer}
  call void @put(ptr %o.spot, ptr %o.array, ptr %api)
  %o.more = add i64 %o, 1
  br label %out.next
same.next:
  %s = phi i64 [ 0, %out.next ], [ %s.more, %one.same ]
  %s.end = icmp eq i64 %s, %same.count
  br i1 %s.end, label %held.next, label %one.same
one.same:
  %s.row = mul i64 %s, 3
  %s.at = getelementptr i64, ptr %same, i64 %s.row
  %s.number = load i64, ptr %s.at
  %s.source.at = getelementptr i64, ptr %s.at, i64 1
  %s.source = load i64, ptr %s.source.at
  %s.from = call ptr @value(ptr %list, i64 %s.source)
  %s.from.at = getelementptr i8, ptr %s.from, i64 {buffer}
  %s.array = load ptr, ptr %s.from.at
  %s.value = call ptr @value(ptr %list, i64 %s.number)
  %s.spot = getelementptr i8, ptr %s.value, i64 {buffer}
  call void @put(ptr %s.spot, ptr %s.array, ptr %api)
  %s.more = add i64 %s, 1
  br label %same.next
held.next:
  %h = phi i64 [ 0, %same.next ], [ %h.more, %held.done ]
  %h.end = icmp eq i64 %h, %held.count
  br i1 %h.end, label %end, label %one.held
one.held:
  %h.row = mul i64 %h, 3
  %h.at = getelementptr i64, ptr %held, i64 %h.row
  %h.number = load i64, ptr %h.at
  %h.value = call ptr @value(ptr %list, i64 %h.number)
  %h.spot = getelementptr i8, ptr %h.value, i64 {pos}
  %h.pos = load ptr, ptr %h.spot
  %h.place = call i64 %as.number(ptr %h.pos)
  %h.in = icmp sge i64 %h.place, 0
  br i1 %h.in, label %leave, label %held.done
leave:
  call void @put(ptr %h.spot, ptr %minus, ptr %api)
  br label %held.done
held.done:
  %h.more = add i64 %h, 1
  br label %held.next
end:
  ret void
}}

define i64 @step(ptr %list, ptr %frame) {{
  %kept = call i64 @choose(ptr %frame)
  %full = icmp ne i64 %kept, 0
  br i1 %full, label %renew, label %bind
renew:
  ret i64 -1
bind:
  %missing = call i64 @bind(ptr %list, ptr %frame)
  %unbound = icmp ne i64 %missing, 0
  br i1 %unbound, label %unbindable, label %run
unbindable:
  ret i64 -2
run:
  %table = load ptr, ptr %frame
  %numbers.at = getelementptr ptr, ptr %frame, i64 2
  %numbers = load ptr, ptr %numbers.at
  %context.at = getelementptr ptr, ptr %frame, i64 3
  %context = load ptr, ptr %context.at
  %main.at = getelementptr ptr, ptr %frame, i64 4
  %main = load ptr, ptr %main.at
  %long.at = getelementptr i64, ptr %frame, i64 13
  %long.word = load i64, ptr %long.at
  %long = icmp ne i64 %long.word, 0
  %api.at = getelementptr ptr, ptr %frame, i64 1
  %api = load ptr, ptr %api.at
  br i1 %long, label %unlocked, label %locked
locked:
  %status.locked = call i32 %main(ptr %table, ptr %numbers, ptr %context)
  br label %done
unlocked:
  %save.at = getelementptr ptr, ptr %api, i64 9
  %save = load ptr, ptr %save.at
  %restore.at = getelementptr ptr, ptr %api, i64 10
  %restore = load ptr, ptr %restore.at
  %thread = call ptr %save()
  %status.unlocked = call i32 %main(ptr %table, ptr %numbers, ptr %context)
  call void %restore(ptr %thread)
  br label %done
done:
  %status = phi i32 [ %status.locked, %locked ], [ %status.unlocked, %unlocked ]
  %bad = icmp ne i32 %status, 0
  br i1 %bad, label %failed, label %good
failed:
  %which = sext i32 %status to i64
  ret i64 %which
good:
  call void @finish(ptr %list, ptr %frame)
  ret i64 0
}}

define i64 @append(ptr %list, ptr %rows, i64 %count, i64 %first, ptr %api) {{
start:
  %drop.at = getelementptr ptr, ptr %api, i64 1
  %drop = load ptr, ptr %drop.at
  %number.at = getelementptr ptr, ptr %api, i64 3
  %new.number = load ptr, ptr %number.at
  %append.at = getelementptr ptr, ptr %api, i64 4
  %add = load ptr, ptr %append.at
  %new.at = getelementptr ptr, ptr %api, i64 5
  %new = load ptr, ptr %new.at
  %type.at = getelementptr ptr, ptr %api, i64 6
  %type = load ptr, ptr %type.at
  %take = load ptr, ptr %api
  br label %next
next:
  %i = phi i64 [ 0, %start ], [ %more, %added ]
  %end = icmp eq i64 %i, %count
  br i1 %end, label %good, label %one
one:
  %value = call ptr %new(ptr %type, i64 0)
  %none = icmp eq ptr %value, null
  br i1 %none, label %bad, label %fill
fill:
  %row = mul i64 %i, 2
  %meta.at = getelementptr ptr, ptr %rows, i64 %row
  %meta = load ptr, ptr %meta.at
  call void %take(ptr %meta)
  %meta.spot = getelementptr i8, ptr %value, i64 {meta}
  store ptr %meta, ptr %meta.spot
  %buffer.at = getelementptr ptr, ptr %meta.at, i64 1
  %buffer = load ptr, ptr %buffer.at
  call void %take(ptr %buffer)
  %buffer.spot = getelementptr i8, ptr %value, i64 {buffer}
  store ptr %buffer, ptr %buffer.spot
  %place = add i64 %first, %i
  %pos = call ptr %new.number(i64 %place)
  %pos.spot = getelementptr i8, ptr %value, i64 {pos}
  store ptr %pos, ptr %pos.spot
  %status = call i32 %add(ptr %list, ptr %value)
  call void %drop(ptr %value)
  %more = add i64 %i, 1
  %refused = icmp ne i32 %status, 0
  br i1 %refused, label %bad, label %added
added:
  br label %next
good:
  ret i64 0
bad:
  ret i64 -1
}}

define i64 @entry(i64 %which) {{
  switch i64 %which, label %bind [ i64 1, label %finish
                                   i64 2, label %step
                                   i64 3, label %append ]
bind:
  ret i64 ptrtoint (ptr @bind to i64)
finish:
  ret i64 ptrtoint (ptr @finish to i64)
step:
  ret i64 ptrtoint (ptr @step to i64)
append:
  ret i64 ptrtoint (ptr @append to i64)
}}
"""


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
        text = _TEXT.format(
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


def rows_of(rows: Iterable[Sequence[int]]) -> Any:
    """Rows of numbers as an array of words."""
    flat = [int(x) for row in rows for x in row]
    return (ctypes.c_int64 * max(len(flat), 1))(*flat)


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
        self._outputs = rows_of((number, slot, 0, 0, 0, 0, 0) for number, slot in outputs)
        listed = [
            (rows_of(inputs), len(inputs)), (self._outputs, len(outputs)),
            (rows_of((*row, 0) for row in same), len(same)),
            (rows_of((number, 0, 0) for number in held), len(held)),
        ]  # fmt: skip
        self._rows = [rows for rows, _ in listed]
        pointers = [x for rows, count in listed for x in (ctypes.addressof(rows), count)]
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
