"""The parts of a module that several functions share: declarations, functions of mathematics.

A function is asked for by name; what it needs comes along, once.
"""

from __future__ import annotations

from collections.abc import Callable

#: Prefixes of the names of functions that generated code finds by symbol in the C library.
LIBM = frozenset(
    ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos",
     "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "pow", "atan2", "fmod")
)  # fmt: skip


class Shared:
    """Declarations and helper functions of one module, and the symbols it needs from outside."""

    __slots__ = ("_parts", "_writers", "symbols")

    def __init__(self, writers: dict[str, Callable[[Shared], str]] | None = None) -> None:
        """Args:
        writers: for the name of a helper function what writes its text.
        """
        self._parts: dict[str, str] = {}
        self._writers = writers or {}
        self.symbols: set[str] = set()

    def declare(self, name: str, result: str, *arguments: str) -> str:
        """An intrinsic function of LLVM's; its name."""
        if name not in self._parts:
            self._parts[name] = f"declare {result} @{name}({', '.join(arguments)})"
        return f"@{name}"

    def outside(self, name: str, result: str, *arguments: str) -> str:
        """A pure function of the C library; its name."""
        if name not in self._parts:
            head = f"declare {result} @{name}({', '.join(arguments)})"
            self._parts[name] = f"{head} memory(none) nounwind willreturn"
            self.symbols.add(name)
        return f"@{name}"

    def constant(self, name: str, value: str) -> str:
        """A table of numbers, with its type; its name."""
        self._parts.setdefault(name, f"@{name} = internal unnamed_addr constant {value}, align 64")
        return f"@{name}"

    def has(self, name: str) -> bool:
        """Whether there is a helper function of this name."""
        return name in self._writers

    def helper(self, name: str) -> str:
        """A helper function that is written into the module; its name."""
        if name not in self._parts:
            self._parts[name] = ""  # its place, before those of what it needs
            self._parts[name] = self._writers[name](self)
        return f"@{name}"

    def text(self) -> str:
        """All of them, in the order in which they were asked for."""
        return "\n".join(self._parts.values())
