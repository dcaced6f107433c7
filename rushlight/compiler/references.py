"""Where a value of a recorded call comes from: what a replay has to look up again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.engine.ir.graph import Meta, Value


class UnsupportedError(Exception):
    """A call that cannot be replayed soundly; its text says why."""


@dataclass(frozen=True, slots=True)
class Argument:
    """The tensor number ``index`` among the arguments."""

    index: int


@dataclass(frozen=True, slots=True, eq=False)
class Held:
    """A tensor that exists besides the arguments: a parameter, a buffer, an optimizer's state."""

    tensor: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Held) and other.tensor is self.tensor

    def __hash__(self) -> int:
        return id(self.tensor)


@dataclass(frozen=True, slots=True)
class GradientOf:
    """The ``grad`` of a tensor, whichever tensor that is by then."""

    of: Argument | Held


@dataclass(frozen=True, slots=True)
class Result:
    """What an earlier program of the same call has computed."""

    segment: int
    position: int


@dataclass(frozen=True, slots=True)
class Stream:
    """A stretch of random numbers, reserved anew at every replay."""

    engine: Any
    count: int

    def __hash__(self) -> int:
        return hash((id(self.engine), self.count))


@dataclass(frozen=True, slots=True)
class Number:
    """A number of an optimizer's step: the ``index``-th of step number ``step`` of the call."""

    step: int
    index: int


@dataclass(frozen=True, slots=True)
class View:
    """A part of another value's memory, ``offset`` bytes after its beginning."""

    of: Any
    offset: int
    meta: Meta
    steps: tuple[int, ...]


class Fixed:
    """A value made inside the call that is the same at every call: a number, a table."""

    __slots__ = ("value",)

    def __init__(self, value: Value) -> None:
        self.value = value

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Fixed) or other.value.meta is not self.value.meta:
            return False
        one, two = self.value.buffer, other.value.buffer
        if one.__class__ is not two.__class__:
            return False
        if isinstance(one, np.ndarray):
            return bool(np.array_equal(one.view(), two.view(), equal_nan=one.dtype.kind in "fc"))
        return bool(one == two) or (one != one and two != two)

    def __hash__(self) -> int:
        return hash(self.value.meta)

    def __repr__(self) -> str:
        return f"Fixed({self.value.buffer!r})"


Reference = Argument | Held | GradientOf | Result | Stream | Number | View | Fixed
