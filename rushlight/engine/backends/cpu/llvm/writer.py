"""LLVM's assembly language, written as text: types, numbers, functions.

Text is made faster than a tree of Python objects that is printed afterwards, and it is the key of
the cache on disk.
"""

from __future__ import annotations

import struct
from typing import Final

from rushlight.engine.core.dtype import BOOL, FLOATING, dtype

#: LLVM's names of the types that scalars are computed in; booleans are one bit in registers.
REGISTER: Final[dict[str, str]] = {
    "bool": "i1", "uint8": "i8", "int8": "i8", "uint16": "i16", "int16": "i16", "uint32": "i32",
    "int32": "i32", "uint64": "i64", "int64": "i64", "float32": "float", "float64": "double",
}  # fmt: skip

#: The types in memory; a half type is moved as an integer or LLVM's half.
MEMORY: Final[dict[str, str]] = {**REGISTER, "bool": "i8", "float16": "half", "bfloat16": "i16"}


def register_type(kind: dtype) -> str:
    """LLVM's name of the type that values of ``kind`` have in registers.

    Raises:
        TypeError: scalars are not computed in this type.
    """
    name = REGISTER.get(kind.name)
    if name is None:
        raise TypeError(f"generated code does not compute in {kind.name}")
    return name


def memory_type(kind: dtype) -> str:
    """LLVM's name of the type that elements of ``kind`` have in memory.

    Raises:
        TypeError: generated code does not know this type.
    """
    name = MEMORY.get(kind.name)
    if name is None:
        raise TypeError(f"generated code has no buffers of {kind.name}")
    return name


def double_literal(value: float) -> str:
    """A float64 as LLVM writes it: its bits."""
    return f"0x{struct.unpack('<Q', struct.pack('<d', value))[0]:016X}"


def float_literal(value: float) -> str:
    """The float32 nearest to ``value``, as LLVM writes it: the bits of the equal float64."""
    try:
        near = struct.unpack("<f", struct.pack("<f", value))[0]
    except OverflowError:
        near = float("inf") if value > 0 else float("-inf")
    return double_literal(near)


def literal(value: float | int | bool, kind: dtype) -> str:
    """A number of type ``kind``; integers wrap around."""
    if kind.category == BOOL:
        return "true" if value else "false"
    if kind.category == FLOATING:
        return double_literal(float(value)) if kind.itemsize == 8 else float_literal(float(value))
    bits = kind.itemsize * 8
    whole = int(value) & ((1 << bits) - 1)
    return str(whole - (1 << bits) if whole >> (bits - 1) else whole)


class Writer:
    """The text of one function, instruction by instruction.

    Attributes:
        block: the label of the block that is being written.
    """

    __slots__ = ("_count", "_entry", "_lines", "block", "head")

    def __init__(self, head: str) -> None:
        """Args:
        head: everything in front of the body, such as ``define void @f(ptr %b0)``.
        """
        self.head = head
        self.block = "entry"
        self._entry: list[str] = []
        self._lines: list[str] = []
        self._count = 0

    def name(self, prefix: str = "v") -> str:
        """A name not used before in this function, without the sign in front."""
        self._count += 1
        return f"{prefix}{self._count}"

    def value(self, instruction: str) -> str:
        """Write an instruction with a result; its name."""
        self._count += 1
        name = f"%v{self._count}"
        self._lines.append(f"  {name} = {instruction}")
        return name

    def line(self, instruction: str) -> None:
        """Write an instruction without a result."""
        self._lines.append(f"  {instruction}")

    def variable(self, kind: str, count: int = 1) -> str:
        """Memory for ``count`` values of one type that lives as long as the function."""
        name = f"%{self.name('m')}"
        many = "" if count == 1 else f", i64 {count}"
        self._entry.append(f"  {name} = alloca {kind}{many}, align 8")
        return name

    def begin(self, label: str) -> None:
        """Begin a block; the one before must have ended."""
        self._lines.append(f"{label}:")
        self.block = label

    def reserve(self) -> int:
        """Leave a line to be filled later; its number."""
        self._lines.append("")
        return len(self._lines) - 1

    def fill(self, place: int, instruction: str) -> None:
        """Fill a line left by `reserve`."""
        self._lines[place] = f"  {instruction}"

    def body(self) -> str:
        """The text in braces, the same for functions that differ in name alone."""
        return "\n".join(["{", "entry:", *self._entry, *self._lines, "}"])

    def text(self) -> str:
        """The whole function."""
        return f"{self.head} {self.body()}"
