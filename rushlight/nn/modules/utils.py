"""Small helpers that several families of modules share."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def indent(text: str, spaces: int) -> str:
    """``text`` with every line but the first moved to the right."""
    first, *others = text.split("\n")
    return "\n".join([first, *(" " * spaces + x if x.strip() else "" for x in others)])


def repeat(value: Any, count: int) -> tuple[Any, ...]:
    """``count`` times the same number, or the numbers given."""
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    """``repeat`` for a fixed count; libraries written for PyTorch import these from here."""

    def parse(x: Any) -> tuple[Any, ...]:
        return repeat(x, n)

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def fill_in(text: str, module: Any) -> str:
    """``text`` with the module's attributes in the places of their names."""
    return text.format(**module.__dict__)
