"""Where elements come from: arithmetic on the components of an index, for element bodies.

A component is a loop, a number or an int64 expression. What can be known when the program is
compiled is: a loop shorter than a divisor has no quotient, a condition that always holds is
``True``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod

import numpy as np

from rushlight.engine.core.dtype import COMPLEX, int64
from rushlight.engine.core.shape import Shape, contiguous_strides
from rushlight.engine.ir.buffers import empty_strided
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.loops import Loop, as_expr, computing
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.scalar import Expr, Operand, cast, where

Part = Loop | int | Expr
Place = Sequence[Part]
Condition = Expr | bool
Load = Callable[[int, Place], Expr]

#: Joining more tensors than this element by element costs too many comparisons.
MOST_JOINED = 8


def whole_number(part: Part) -> Expr:
    """A component as an int64 expression."""
    return as_expr(part, int64)


def extent(part: Part) -> int | None:
    """One more than the largest value of a component, if known."""
    if isinstance(part, int):
        return part + 1
    return part.size if isinstance(part, Loop) and isinstance(part.size, int) else None


def plus(part: Part, other: Part) -> Part:
    """The sum of two components."""
    if isinstance(part, int) and isinstance(other, int):
        return part + other
    if isinstance(other, int):
        part, other = other, part
    if isinstance(part, int):
        if not part:
            return other
        return whole_number(other) + part if part > 0 else whole_number(other) - -part
    return whole_number(part) + whole_number(other)


def scaled(part: Part, factor: int) -> Part:
    """A multiple of a component."""
    if isinstance(part, int):
        return part * factor
    return part if factor == 1 else whole_number(part) * factor


def reversed_from(last: int, part: Part) -> Part:
    """``last - part``."""
    return last - part if isinstance(part, int) else last - whole_number(part)


def divided(part: Part, size: int) -> tuple[Part, Part]:
    """Quotient and rest of a component that is not negative."""
    if size < 2:
        return part, 0
    if isinstance(part, int):
        return divmod(part, size)
    known = extent(part)
    if known is not None and known <= size:
        return 0, part
    number = whole_number(part)
    return number // size, number % size


def joined(parts: Place, sizes: Sequence[int]) -> Part:
    """The number of an element in row-major order."""
    total: Part = 0
    for part, step in zip(parts, contiguous_strides(sizes), strict=True):
        total = plus(total, scaled(part, step))
    return total


def unjoined(part: Part, sizes: Sequence[int]) -> list[Part]:
    """The index of the element with this number in row-major order."""
    made: list[Part] = []
    for size in reversed(sizes[1:]):
        part, rest = divided(part, size)
        made.append(rest)
    return [part, *reversed(made)] if sizes else []


def reshaped(index: Place, shape: Sequence[int], target: Sequence[int]) -> list[Part]:
    """The index in an array of shape ``target`` of the element at ``index`` in one of ``shape``."""
    if 0 in shape:
        return [0] * len(target)
    made: list[Part] = []
    i = j = 0
    while i < len(shape) or j < len(target):
        ends = [i + 1, j + 1]
        sizes = [prod(shape[i : i + 1]), prod(target[j : j + 1])]
        while sizes[0] != sizes[1]:
            side = 0 if sizes[0] < sizes[1] and ends[0] < len(shape) else 1
            sizes[side] *= (shape, target)[side][ends[side]]
            ends[side] += 1
        inside, outside = target[j : ends[1]], shape[i : ends[0]]
        if len(inside) == len(outside) == 1:
            made.append(index[i])
        else:
            made += unjoined(joined(index[i : ends[0]], outside), inside)
        i, j = ends
    return made


def broadcast(index: Place, shape: Sequence[int]) -> list[Part]:
    """The index in an array of this shape that is repeated to what ``index`` runs over."""
    last = index[len(index) - len(shape) :]
    return [0 if size == 1 else part for size, part in zip(shape, last, strict=True)]


def wrapped(named: Expr, size: int) -> Expr:
    """The number of an element that data name, where negative ones count from the end."""
    number = whole_number(named)
    return where(number < 0, number + size, number)


# conditions -------------------------------------------------------------------------------------


def below(part: Part, bound: int) -> Condition:
    """``part < bound``."""
    known = extent(part)
    if known is not None and known <= bound:
        return True
    if isinstance(part, int) or (isinstance(part, Loop) and bound <= 0):
        return False
    return whole_number(part) < bound


def from_on(part: Part, bound: int) -> Condition:
    """``part >= bound``."""
    if isinstance(part, int):
        return part >= bound
    known = extent(part)
    if isinstance(part, Loop) and bound <= 0:
        return True
    if known is not None and known <= bound:
        return False
    return whole_number(part) >= bound


def equal(part: Part, number: int) -> Condition:
    """``part == number``."""
    if isinstance(part, int):
        return part == number
    known = extent(part)
    if known is not None and (known == 1 or not 0 <= number < known):
        return number == 0 and known == 1
    return whole_number(part).eq(number)


def both(first: Condition, second: Condition) -> Condition:
    """Whether two conditions hold."""
    if isinstance(first, bool):
        return second if first else False
    if isinstance(second, bool):
        return first if second else False
    return first & second


def within(part: Part, size: int) -> Condition:
    """Whether a component is that of an element of an axis."""
    return both(from_on(part, 0), below(part, size))


def guarded(condition: Condition, part: Part) -> Part:
    """A component where the condition holds, 0 elsewhere: loads are done in either case."""
    if isinstance(condition, bool):
        return part if condition else 0
    return part if isinstance(part, int) and part == 0 else where(condition, whole_number(part), 0)


def pick(condition: Condition, then: Operand, otherwise: Operand) -> Operand:
    """``then`` where the condition holds, else ``otherwise``; one of them an expression."""
    if isinstance(condition, bool):
        return then if condition else otherwise
    return where(condition, then, otherwise)


def as_result(x: Operand, spec: Spec) -> Expr:
    """``x`` in the type that the first output is computed in."""
    kind = computing(spec.out.dtype)
    return cast(x, kind) if isinstance(x, Expr) else Expr("const", (), kind, x)


# parts of memory --------------------------------------------------------------------------------


def overlaps(shape: Shape, strides: Shape) -> bool:
    """Whether two elements of such a layout may stand at the same place in memory."""
    reach = 0
    for stride, size in sorted(zip(strides, shape, strict=True)):
        if size > 1:
            if stride <= reach:
                return True
            reach += stride * (size - 1)
    return False


def _layout(chain: tuple[Spec, ...]) -> tuple[Meta, Shape, int] | None:
    """The whole a chain of views begins at, strides of the last view and where it begins."""
    whole = chain[0].inputs[0]
    assert whole is not None
    if whole.dtype.category == COMPLEX or overlaps(tuple(whole.shape), whole.strides):
        return None
    memory = part = empty_strided(whole)
    for step in chain:
        part = step.kernel(part)
        if part.dtype != memory.dtype or (part.size and not np.may_share_memory(part, memory)):
            return None
    strides = tuple([s // part.itemsize for s in part.strides])
    if overlaps(part.shape, strides) or any(s < 0 for s in strides):
        return None
    addresses = [x.__array_interface__["data"][0] for x in (part, memory)]
    return whole, strides, (addresses[0] - addresses[1]) // part.itemsize if part.size else 0


def _by_axis(whole: Meta, shape: Shape, strides: Shape, start: int) -> list[list[int]] | None:
    """For each axis of the whole the first element of the part, step and axis of the part.

    Axis -1: the part has one element there. ``None``: an axis of the part runs along several.
    """
    order = sorted(range(whole.ndim), key=lambda a: -whole.strides[a])
    order = [axis for axis in order if whole.shape[axis] > 1]
    found = [[0, 1, -1] for _ in whole.shape]
    for axis in order:
        found[axis][0], start = divmod(start, whole.strides[axis])
    for place, (size, stride) in enumerate(zip(shape, strides, strict=True)):
        if size == 1:
            continue
        held = next((a for a in order if whole.strides[a] <= stride), None)
        if held is None or stride % whole.strides[held] or found[held][2] >= 0:
            return None
        found[held][1:] = [stride // whole.strides[held], place]
        if found[held][0] + found[held][1] * (size - 1) >= whole.shape[held]:
            return None
    return found


def place_in_part(index: Place, chain: tuple[Spec, ...]) -> tuple[Condition, list[Part]] | None:
    """Whether an element of the whole is in the part a chain of views leads to, and where in it.

    Args:
        index: the element of the whole.
        chain: the specs of the views.

    Returns:
        A condition and an index that is valid where it holds; ``None`` where it cannot be told.
    """
    layout = _layout(chain)
    if layout is None:
        return None
    whole, strides, start = layout
    shape = tuple(chain[-1].out.shape)
    if 0 in shape:
        return False, [0] * len(shape)
    inside: Condition = True
    made: list[Part] = [0] * len(shape)
    found = _by_axis(whole, shape, strides, start)
    if found is None:
        total: Part = -start
        for part, step in zip(index, whole.strides, strict=True):
            total = plus(total, scaled(part, step))
        return _in_memory(total, shape, strides)
    for part, (first, step, place) in zip(index, found, strict=True):
        if place < 0:
            inside = both(inside, equal(part, first))
            continue
        moved = plus(part, -first)
        known = from_on(part, first)
        moved, rest = divided(guarded(known, moved) if step > 1 else moved, step)
        end = first + step * (shape[place] - 1) + 1
        inside = both(inside, both(both(known, below(part, end)), equal(rest, 0)))
        made[place] = moved
    return inside, [guarded(inside, part) for part in made]


def _in_memory(total: Part, shape: Shape, strides: Shape) -> tuple[Condition, list[Part]]:
    """The same from the distance in memory to the part's first element."""
    inside = from_on(total, 0)
    rest = guarded(inside, total)
    made: list[Part] = [0] * len(shape)
    for place in sorted(range(len(shape)), key=lambda k: -strides[k]):
        if shape[place] > 1:
            made[place], rest = divided(rest, strides[place])
            inside = both(inside, below(made[place], shape[place]))
    inside = both(inside, equal(rest, 0))
    return inside, [guarded(inside, part) for part in made]
