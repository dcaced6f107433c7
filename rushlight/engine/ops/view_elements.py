"""Element bodies of copies that views lead to: layouts, reshaped copies, replaced parts."""

from __future__ import annotations

from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.places import (
    Load,
    Place,
    as_result,
    broadcast,
    pick,
    place_in_part,
    plus,
    reshaped,
)


def same_place(load: Load, index: Place, spec: Spec, *_: object) -> Expr:
    """A copy: the input's element at the same index."""
    return load(0, index)


def second_input(load: Load, index: Place, spec: Spec) -> Expr:
    """The second input's element at the same index."""
    return load(1, index)


def same_number(load: Load, index: Place, spec: Spec, size: Shape) -> Expr:
    """The input's element with the same number in row-major order."""
    source = spec.inputs[0]
    assert source is not None
    return load(0, reshaped(index, spec.out.shape, source.shape))


def replaced_part(
    load: Load, index: Place, spec: Spec, chain: tuple[Spec, ...]
) -> Expr | None:
    """The second input's element in the part a chain of views leads to, else the first's."""
    found = place_in_part(index, chain)
    source = spec.inputs[1]
    if found is None or source is None:
        return None
    inside, place = found
    if inside is False:
        return load(0, index)
    replacement = as_result(load(1, broadcast(place, source.shape)), spec)
    return as_result(pick(inside, replacement, load(0, index)), spec)


def embedded_part(
    load: Load, index: Place, spec: Spec, whole: Meta, chain: tuple[Spec, ...]
) -> Expr | None:
    """The input's element in the part a chain of views leads to, else 0."""
    found = place_in_part(index, chain)
    if found is None:
        return None
    inside, place = found
    return as_result(0 if inside is False else pick(inside, load(0, place), 0), spec)


def narrowed(
    load: Load, index: Place, spec: Spec, dim: int, start: int, stop: int, step: int
) -> Expr:
    """The element ``start`` places further along an axis."""
    moved = list(index)
    moved[dim] = plus(moved[dim], start)
    return load(0, moved)
