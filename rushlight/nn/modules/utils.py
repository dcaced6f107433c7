"""Small helpers that several families of modules share."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


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
