"""How the compiler looks up elements of pooling: windows written out place by place."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, int64
from rushlight.engine.core.shape import Shape, contiguous_strides
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.scalar import Expr, cast, const, maximum, minimum
from rushlight.engine.ops.places import (
    Condition,
    Load,
    Part,
    Place,
    below,
    both,
    divided,
    from_on,
    guarded,
    pick,
    plus,
    scaled,
    whole_number,
)

#: Places of a window up to which it is written out.
MOST_PLACES = 64

Candidate = tuple[Part, Condition]
#: Kernel, stride, padding and dilation.
Window = tuple[Shape, Shape, Shape, Shape]


def _on_axis(
    part: Part, n: int, k: int, s: int, p: int, d: int, out: int
) -> list[Candidate]:
    """Every place of the window number ``part`` along an axis, and whether it is in the data."""
    made = []
    for place in range(k):
        shift = place * d - p
        at = plus(scaled(part, s), shift)
        inside: Condition = True
        if shift < 0:
            inside = from_on(at, 0)
        if (out - 1) * s + shift >= n:
            inside = both(inside, below(at, n))
        made.append((guarded(inside, at), inside))
    return made


def window_places(
    index: Place, size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape,
    out: Shape,
) -> list[tuple[tuple[int, ...], list[Part], Condition]]:  # fmt: skip
    """The places of the window at ``index``: number in the window, index, whether in the data."""
    rows = zip(size, kernel, stride, padding, dilation, out, strict=True)
    axes = [_on_axis(part, *row) for part, row in zip(index, rows, strict=True)]
    made = []
    for number in np.ndindex(*kernel):
        chosen = [axis[place] for axis, place in zip(axes, number, strict=True)]
        inside: Condition = True
        for _, condition in chosen:
            inside = both(inside, condition)
        made.append((number, [part for part, _ in chosen], inside))
    return made


# the largest element ----------------------------------------------------------------------------


def _lowest(spec: Spec) -> Expr:
    kind = computing(spec.out.dtype)
    if kind.category == FLOATING:
        return const(float("-inf"), kind)
    return const(int(np.iinfo(kind.numpy).min), kind)


def largest_element(
    load: Load, index: Place, spec: Spec, kernel: Shape, stride: Shape, padding: Shape,
    dilation: Shape, ceil: bool,
) -> tuple[Expr, Expr] | None:  # fmt: skip
    """The largest element of a window and its flat place: the first one, or the first NaN.

    The places are gone through from the last one on, so that of equal ones the first remains.
    """
    source = spec.inputs[0]
    assert source is not None
    nd = len(kernel)
    if prod(kernel) > MOST_PLACES or not source.numel:
        return None
    size, out = tuple(source.shape[-nd:]), tuple(spec.out.shape[-nd:])
    lead, last = list(index[:-nd]), list(index[-nd:])
    steps = contiguous_strides(size)
    places = window_places(last, size, kernel, stride, padding, dilation, out)
    best: Expr | None = None
    offset: Expr = const(0, int64)
    for number, where_at, inside in reversed(places):
        value = load(0, [*lead, *where_at])
        moved = sum(k * d * step for k, d, step in zip(number, dilation, steps, strict=True))
        if best is None and inside is True:
            best, offset = value, const(moved, int64)
            continue
        if best is None:
            best, offset = _lowest(spec), const(moved, int64)
        better = value >= best
        if value.floating:
            better = better | value.ne(value)
        taken = both(inside, better)
        best = pick_expr(taken, value, best)
        offset = pick_expr(taken, const(moved, int64), offset)
    start: Part = 0
    for part, s, p, step in zip(last, stride, padding, steps, strict=True):
        start = plus(start, scaled(plus(scaled(part, s), -p), step))
    assert best is not None
    return best, offset + whole_number(start)


def pick_expr(condition: Condition, then: Expr, otherwise: Expr) -> Expr:
    """``then`` where the condition holds, else ``otherwise``."""
    made = pick(condition, then, otherwise)
    assert isinstance(made, Expr)
    return made


# windows that cover a place -----------------------------------------------------------------------


def _covering(
    part: Part, n: int, k: int, s: int, p: int, d: int, out: int, *, exact: bool
) -> list[Candidate]:
    """The windows along an axis that may hold the element ``part``, and whether they are there.

    With ``exact`` the condition also says whether they hold it.
    """
    span = (k - 1) * d + 1
    moved = plus(part, p)
    number, rest = divided(moved, s)
    made = []
    for back in range(-(-span // s)):
        at = plus(number, -back)
        there: Condition = True
        if back:
            there = from_on(at, 0)
        if (n - 1 + p) // s - back >= out:
            there = both(there, below(at, out))
        if exact and min(s, n + p) - 1 + back * s >= k:
            there = both(there, below(plus(rest, back * s), k))
        made.append((guarded(there, at), there))
    return made


def covering_count(kernel: Shape, stride: Shape, dilation: Shape) -> int:
    """How many windows may hold an element."""
    return prod(
        -(-((k - 1) * d + 1) // s) for k, s, d in zip(kernel, stride, dilation, strict=True)
    )


def covering_windows(
    index: Place, size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape,
    out: Shape, exact: bool,
) -> list[tuple[list[Part], Condition]]:  # fmt: skip
    """The windows that may hold the element at ``index``."""
    rows = zip(size, kernel, stride, padding, dilation, out, strict=True)
    axes = [_covering(part, *row, exact=exact) for part, row in zip(index, rows, strict=True)]
    made = []
    for number in np.ndindex(*[len(axis) for axis in axes]):
        chosen = [axis[place] for axis, place in zip(axes, number, strict=True)]
        inside: Condition = True
        for _, condition in chosen:
            inside = both(inside, condition)
        made.append(([part for part, _ in chosen], inside))
    return made


def chosen_gradient(
    load: Load, index: Place, spec: Spec, shape: Shape, window: Window
) -> Expr:
    """The sum of the gradients of all windows that have chosen this element."""
    nd = len(window[0])
    source = spec.inputs[0]
    assert source is not None
    size, out = shape[-nd:], tuple(source.shape[-nd:])
    lead, last = list(index[:-nd]), list(index[-nd:])
    own: Part = 0
    for part, step in zip(last, contiguous_strides(size), strict=True):
        own = plus(own, scaled(part, step))
    total: Expr | None = None
    for at, there in covering_windows(last, size, *window, out, False):
        place = [*lead, *at]
        hit = both(there, cast(load(1, place), int64).eq(whole_number(own)))
        term = pick(hit, load(0, place), 0)
        assert isinstance(term, Expr)
        total = term if total is None else total + term
    assert total is not None
    return total


# means ------------------------------------------------------------------------------------------


def _extent_on_axis(
    part: Part, n: int, k: int, s: int, p: int, out: int, count_padding: bool
) -> int | Expr:
    """How many elements the windows number ``part`` along an axis count."""
    first, end = (-p, n + p) if count_padding else (0, n)
    inside = (out - 1) * s - p + k <= end and (count_padding or p == 0)
    if inside:
        return k
    start = whole_number(plus(scaled(part, s), -p))
    stop = minimum(start + k, const(end, int64))
    return stop - (start if count_padding else maximum(start, const(first, int64)))


def divisor(
    index: Place, size: Shape, kernel: Shape, stride: Shape, padding: Shape, out: Shape,
    count_padding: bool, fixed: int | None,
) -> int | Expr:  # fmt: skip
    """How many elements a window averages over."""
    if fixed is not None:
        return fixed
    total: Any = 1
    rows = zip(size, kernel, stride, padding, out, strict=True)
    for part, row in zip(index, rows, strict=True):
        total = total * _extent_on_axis(part, *row, count_padding)
    return total  # type: ignore[no-any-return]


def shared(x: Expr, count: int | Expr) -> Expr:
    """A floating-point number divided by a count."""
    return x / (cast(count, x.dtype) if isinstance(count, Expr) else count)


def mean_element(
    load: Load, index: Place, spec: Spec, kernel: Shape, stride: Shape, padding: Shape, ceil: bool,
    count_padding: bool, fixed: int | None,
) -> Expr | None:  # fmt: skip
    """The mean of a window."""
    source = spec.inputs[0]
    assert source is not None
    nd = len(kernel)
    if prod(kernel) > MOST_PLACES or not source.numel or source.dtype.category != FLOATING:
        return None
    size, out = tuple(source.shape[-nd:]), tuple(spec.out.shape[-nd:])
    lead, last = list(index[:-nd]), list(index[-nd:])
    total: Expr | None = None
    one = (1,) * nd
    for _, at, inside in window_places(last, size, kernel, stride, padding, one, out):
        term = pick(inside, load(0, [*lead, *at]), 0)
        if isinstance(term, Expr):
            total = term if total is None else total + term
    if total is None:
        return None
    return shared(
        total, divisor(last, size, kernel, stride, padding, out, count_padding, fixed)
    )


def mean_gradient(
    load: Load, index: Place, spec: Spec, shape: Shape, kernel: Shape, stride: Shape,
    padding: Shape, ceil: bool, count_padding: bool, fixed: int | None,
) -> Expr | None:  # fmt: skip
    """The sum of the shares that all windows over an element give it."""
    source = spec.inputs[0]
    assert source is not None
    nd = len(kernel)
    one = (1,) * nd
    if covering_count(kernel, stride, one) > MOST_PLACES or not source.numel:
        return None
    if source.dtype.category != FLOATING:
        return None
    size, out = shape[-nd:], tuple(source.shape[-nd:])
    lead, last = list(index[:-nd]), list(index[-nd:])
    total: Expr | None = None
    for at, there in covering_windows(last, size, kernel, stride, padding, one, out, True):
        count = divisor(at, size, kernel, stride, padding, out, count_padding, fixed)
        share = pick(there, shared(load(0, [*lead, *at]), count), 0)
        if isinstance(share, Expr):
            total = share if total is None else total + share
    return const(0.0, computing(spec.out.dtype)) if total is None else total
