"""One machine code for programs that differ in numbers alone: sizes, offsets, counts.

Programs of many shapes (sentences of any length) have modules that are the same text but for some
numbers. From the second such module on, those numbers are read from a table when a function
begins, so that all further shapes need no compilation, only their table.
"""

from __future__ import annotations

import ctypes
import re
import threading
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from rushlight.engine.core.digest import sha256

#: The table of numbers, a global of the module; 8 bytes for each.
TABLE: Final = "rushlight_numbers"

#: Skeletons remembered.
REMEMBERED: Final = 512

_NUMBER: Final = re.compile(r"(?<![\w%@#!.$\"-])(-?\d+|0x[0-9A-Fa-f]+)(?![\w.\"])")

#: What stands before a number that may as well be a register: its type, perhaps an operand.
_BEFORE: Final = re.compile(r"\b(i64|i32|float|double) (?:[%\w.-]+, )?$")

_FIXED: Final = ("alloca", " phi ", "define ", "declare ")


class Fitted(NamedTuple):
    """What is to be compiled, and the numbers it works on.

    Attributes:
        text: the module.
        numbers: kind (``i64``, ``i32``, ``float``, ``double``) and text of each; none without a
            table.
    """

    text: str
    numbers: tuple[tuple[str, str], ...] = ()


class _Family:
    """Modules with one skeleton.

    Attributes:
        base: the numbers of the first one.
        places: the numbers that differed, with their kinds.
        text: the module that reads them, once it is needed.
    """

    __slots__ = ("base", "places", "text")

    def __init__(self, base: list[str]) -> None:
        self.base = base
        self.places: dict[int, str] = {}
        self.text = ""


class Templates:
    """The skeletons met so far.

    Attributes:
        code: the machine code of modules that read their numbers, by its name.
    """

    def __init__(self) -> None:
        self.code: dict[str, bytes] = {}
        self._families: dict[bytes, _Family] = {}
        self._lock = threading.Lock()

    def fit(self, text: str) -> Fitted:
        """The module to compile for ``text``: itself, or one that takes its numbers as data.

        What is chosen follows from the texts seen before, in their order.
        """
        parts = _NUMBER.split(text)
        skeleton, numbers = parts[0::2], parts[1::2]
        key = sha256("\0".join(skeleton).encode()).digest()
        with self._lock:
            family = self._families.get(key)
            if family is None:
                if len(self._families) >= REMEMBERED:
                    self._families.clear()
                    self.code.clear()
                self._families[key] = _Family(numbers)
                return Fitted(text)
            return self._member(family, text, skeleton, numbers)

    def _member(
        self, family: _Family, text: str, skeleton: list[str], numbers: list[str]
    ) -> Fitted:
        differing = [k for k, pair in enumerate(zip(numbers, family.base, strict=True))
                     if pair[0] != pair[1]]  # fmt: skip
        new = [k for k in differing if k not in family.places]
        kinds = {k: _kind(skeleton, numbers, k) for k in new}
        if not differing or not all(kinds.values()):
            return Fitted(text)
        if new:
            family.places.update((k, kind) for k, kind in kinds.items() if kind)
            family.text = ""
        if not family.text:
            family.text = _write(skeleton, family.base, family.places)
        values = tuple((kind, numbers[k]) for k, kind in sorted(family.places.items()))
        return Fitted(family.text, values)


def _kind(skeleton: list[str], numbers: list[str], place: int) -> str | None:
    """The type of a number that a register can stand for; ``None`` if none can."""
    before = skeleton[place]
    while "\n" not in before and place:
        place -= 1
        before = skeleton[place] + numbers[place] + before
    line = before[before.rfind("\n") + 1 :]
    found = None if any(word in line for word in _FIXED) else _BEFORE.search(line)
    return None if found is None else found[1]


def _write(skeleton: list[str], base: list[str], places: dict[int, str]) -> str:
    """The module that reads the numbers at ``places`` from its table."""
    entry = {place: k for k, place in enumerate(sorted(places))}
    out: list[str] = []
    used: list[int] = []  # by the function that is being read
    start = 0

    def finish() -> None:
        """Let the function that ends here read its numbers first."""
        if used:
            body = "".join(out[start:])
            opened = body.index("{\n") + 2
            label = body.index("\n", opened) + 1
            reads = "".join(_read(entry[k], places[k]) for k in used)
            out[start:] = [body[:label], reads, body[label:]]

    for k, piece in enumerate(skeleton):
        cut = piece.find("\n}")
        while cut >= 0:
            out.append(piece[: cut + 2])
            finish()
            used.clear()
            start = len(out)
            piece = piece[cut + 2 :]
            cut = piece.find("\n}")
        out.append(piece)
        if k < len(base):
            if k in places:
                used.append(k)
                out.append(f"%number.{entry[k]}")
            else:
                out.append(base[k])
    return f"@{TABLE} = global [{len(places)} x i64] zeroinitializer\n\n{''.join(out)}"


def _read(entry: int, kind: str) -> str:
    where = f"getelementptr (i64, ptr @{TABLE}, i64 {entry})"
    return f"  %number.{entry} = load {kind}, ptr {where}, align 8\n"


def fill(table: int, numbers: Sequence[tuple[str, str]]) -> None:
    """Write numbers to the table at an address, as the code will read them.

    Raises:
        ValueError: a kind of number that no table holds.
    """
    for entry, (kind, text) in enumerate(numbers):
        spot = table + 8 * entry
        if kind in ("i64", "i32"):
            whole: Any = ctypes.c_int64 if kind == "i64" else ctypes.c_int32
            whole.from_address(spot).value = int(text)
        elif kind in ("float", "double"):  # LLVM writes both as the bits of a double
            bits = ctypes.c_uint64(int(text, 16))
            value = ctypes.c_double.from_buffer(bits).value
            holder: Any = ctypes.c_float if kind == "float" else ctypes.c_double
            holder.from_address(spot).value = value
        else:
            raise ValueError(f"no number of kind {kind!r} in a table")


#: The skeletons of this process.
shared: Final = Templates()
