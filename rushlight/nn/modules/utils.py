"""Small helpers that several families of modules share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rushlight._tensor import Tensor


def type_name(value: Any) -> str:
    """The name of a value's type as PyTorch's messages write it."""
    if isinstance(value, Tensor):
        return str(value.type())  # type: ignore[attr-defined]
    kind = value if isinstance(value, type) else type(value)
    if kind.__module__ in ("builtins", "__builtin__"):
        return kind.__qualname__
    module = kind.__module__
    if module.partition(".")[0] == "rushlight":
        module = "torch" + module[len("rushlight") :]
    return f"{module}.{kind.__qualname__}"


def indent(text: str, spaces: int) -> str:
    """``text`` with every line but the first moved to the right."""
    first, *others = text.split("\n")
    return "\n".join([first, *(" " * spaces + x if x.strip() else "" for x in others)])


def repeat(value: Any, count: int) -> tuple[Any, ...]:
    """``count`` times the same number, or the numbers given."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


def as_tuple(value: Any) -> Any:
    """A list of sizes as a tuple; anything else as it is."""
    return tuple(value) if isinstance(value, list) else value


def fill_in(text: str, module: Any) -> str:
    """``text`` with the module's attributes in the places of their names."""
    return text.format(**module.__dict__)
