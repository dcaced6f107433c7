"""Loading object files without LLVM, whose library takes 60 MB of memory.

Machine code that comes from disk needs no compiler, only somebody who puts its sections into memory
and fills in addresses. This does so for what LLVM makes for x86-64 Linux; for anything else
`Unsupported` says that LLVM has to do it.

See "System V Application Binary Interface, AMD64 Architecture Processor Supplement", chapter 4,
https://gitlab.com/x86-psABIs/x86-64-ABI.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import struct
import sys
from collections.abc import Callable
from typing import Any, Final, NamedTuple

#: What an object file begins with: ELF of 64 bits, little-endian; relocatable, for x86-64.
_MAGIC: Final = b"\x7fELF\x02\x01\x01"
_KIND: Final = (1, 62)

_SYMBOLS, _RELOCATIONS, _EMPTY = 2, 4, 8  # types of sections
_WRITTEN, _LOADED, _CODE = 1, 2, 4  # flags of sections
_UNDEFINED, _RESERVED = 0, 0xFF00

#: Relocations: the address itself, 8 bytes; distances to it; distances to where it is written down.
_ABSOLUTE: Final = 1
_DISTANCES: Final = {2: 4, 4: 4, 24: 8}
_TABLE: Final = (9, 41, 42)
_CALL: Final = 4

#: ``jmp *[rip]``, followed by the address: a call may lead further than its four bytes.
_JUMP: Final = b"\xff\x25\0\0\0\0"
_STUB: Final = 16

Resolve = Callable[[str], int]


class Unsupported(Exception):
    """The file, or the machine, is none of those this loader knows."""


def available() -> bool:
    """Whether this is a machine that the loader knows."""
    if sys.platform != "linux" or sys.maxsize <= 1 << 32:
        return False
    return os.uname().machine == "x86_64"


class _Section(NamedTuple):
    name: int
    kind: int
    flags: int
    address: int
    offset: int
    size: int
    link: int
    info: int
    align: int
    entry: int


_SECTION: Final = struct.Struct("<IIQQQQIIQQ")
_SYMBOL: Final = struct.Struct("<IBBHQQ")
_RELOCATION: Final = struct.Struct("<QIIq")
_PAGE: Final = mmap.PAGESIZE


def _up(number: int, unit: int) -> int:
    return -(-number // unit) * unit


class Image:
    """An object file in memory, for as long as this object lives.

    Args:
        code: the object file.
        resolve: the addresses of functions outside of it.

    Raises:
        Unsupported: LLVM has to load it.
    """

    __slots__ = ("_code", "_held", "_memory", "_places", "_sections", "_stubs", "_symbols", "base")

    def __init__(self, code: bytes, resolve: Resolve) -> None:
        if not available() or code[:7] != _MAGIC or struct.unpack_from("<HH", code, 16) != _KIND:
            raise Unsupported("not an object file for this machine")
        self._code = code
        start, count = struct.unpack_from("<Q", code, 40)[0], struct.unpack_from("<H", code, 60)[0]
        self._sections = [
            _Section(*_SECTION.unpack_from(code, start + k * _SECTION.size)) for k in range(count)
        ]
        self._symbols = self._read_symbols()
        self._places: dict[int, int] = {}
        self._stubs: dict[str, int] = {}
        listed = self._listed()
        ends = self._lay_out(len(listed))
        self._memory = mmap.mmap(-1, ends[1], flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        self._held = ctypes.c_char.from_buffer(self._memory)
        self.base = ctypes.addressof(self._held)
        self._fill(listed, resolve)
        for section in self._sections:
            if section.kind == _RELOCATIONS and section.info in self._places:
                self._relocate(section)
        protect = ctypes.CDLL(None, use_errno=True).mprotect
        wanted = mmap.PROT_READ | mmap.PROT_EXEC
        if protect(ctypes.c_void_p(self.base), ctypes.c_size_t(ends[0]), wanted):
            raise Unsupported("this system does not let memory be made executable")

    def find(self, name: str) -> int:
        """The address of a function or of data."""
        for known, where, value in self._symbols:
            if known == name and where in self._places:
                return self._address(where, value)
        raise KeyError(name)

    # reading -----------------------------------------------------------------------------------

    def _read_symbols(self) -> list[tuple[str, int, int]]:
        tables = [s for s in self._sections if s.kind == _SYMBOLS]
        if len(tables) != 1:
            raise Unsupported("not one table of symbols")
        names = self._sections[tables[0].link].offset
        data = self._code[tables[0].offset : tables[0].offset + tables[0].size]
        found = []
        for start, _, _, where, value, _ in _SYMBOL.iter_unpack(data):
            end = self._code.index(b"\0", names + start)
            # above are numbers, the name of the source file and the like: in no section
            known = where if where < _RESERVED else -1
            found.append((self._code[names + start : end].decode(), known, value))
        return found

    def _listed(self) -> list[tuple[str, int, int]]:
        """What is outside, and what code wants to find by an address that is written down."""
        found = {s for s in self._symbols if s[1] == _UNDEFINED and s[0]}
        for section in self._sections:
            if section.kind == _RELOCATIONS and self._sections[section.info].flags & _LOADED:
                rows = _RELOCATION.iter_unpack(self._part(section))
                found |= {self._symbols[symbol] for _, kind, symbol, _ in rows if kind in _TABLE}
        return sorted(found)

    def _part(self, section: _Section) -> bytes:
        return self._code[section.offset : section.offset + section.size]

    def _lay_out(self, listed: int) -> tuple[int, int]:
        """Choose places: code and what leads out of it, then data. The ends of both."""
        at = 0
        for code in (True, False):
            for number, section in enumerate(self._sections):
                if section.flags & _LOADED and bool(section.flags & _CODE) is code:
                    at = self._places[number] = _up(at, max(section.align, 1))
                    at += section.size
            if code:
                at = _up(at, _STUB)
                self._stubs[""] = at
                at = end = _up(at + listed * _STUB, _PAGE)
        return end, _up(at + 1, _PAGE)

    # writing -----------------------------------------------------------------------------------

    def _fill(self, listed: list[tuple[str, int, int]], resolve: Resolve) -> None:
        for number, place in self._places.items():
            section = self._sections[number]
            if section.kind != _EMPTY:
                self._memory[place : place + section.size] = self._part(section)
        at = self._stubs[""]
        for name, where, value in listed:
            if where != _UNDEFINED and where not in self._places:
                raise Unsupported(f"{name!r} is in no section")
            known = resolve(name) if where == _UNDEFINED else self._address(where, value)
            self._memory[at : at + _STUB] = _JUMP + struct.pack("<Q", known) + b"\xcc\xcc"
            self._stubs[name] = at
            at += _STUB

    def _address(self, where: int, value: int) -> int:
        return self.base + self._places[where] + value

    def _relocate(self, section: _Section) -> None:
        begin = self._places[section.info]
        for offset, kind, symbol, added in _RELOCATION.iter_unpack(self._part(section)):
            name, where, value = self._symbols[symbol]
            place = begin + offset
            called = kind == _CALL and where == _UNDEFINED
            if kind in _DISTANCES and (called or where in self._places):
                target = self._stubs[name] if called else self._places[where] + value
                number, size = target + added - place, _DISTANCES[kind]
            elif kind == _ABSOLUTE and where in self._places:
                number, size = self._address(where, value) + added, 8
            elif kind in _TABLE and name in self._stubs:  # the address stands behind the jump
                number, size = self._stubs[name] + len(_JUMP) + added - place, 4
            else:
                raise Unsupported(f"a relocation of kind {kind} to {name!r}")
            signed = kind != _ABSOLUTE
            self._memory[place : place + size] = number.to_bytes(size, "little", signed=signed)


def process_symbol(name: str) -> int:
    """The address of a function of this process; 0 if there is none."""
    found: Any = getattr(ctypes.CDLL(None), name, None)
    return 0 if found is None else ctypes.cast(found, ctypes.c_void_p).value or 0
