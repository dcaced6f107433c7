"""Loops over pixels become loops over windows and their places; computed indices become strides.

The gradient of a pooling looks up, for the pixel ``i``, what was chosen in the window ``i // 2``.
With ``i = 2 j + r``, ``j`` and ``r`` being loops, the window is ``j``: what belongs to it is loaded
once, from places that lie side by side, and vectors run over windows.
"""

from __future__ import annotations

from rushlight.engine.backends.cpu.llvm import jit
from rushlight.engine.core.dtype import int64
from rushlight.engine.ir.loops import (
    For,
    Index,
    Loop,
    Statement,
    Store,
    every_expression,
    statements,
)
from rushlight.engine.ir.scalar import Expr, const, loop_value

#: The widest window whose places become a loop.
WIDEST = 4

Affine = tuple[int, dict[Loop, int]]
Split = tuple[Loop, Loop, int]


def over_windows(body: list[Statement]) -> list[Statement]:
    """Split every loop whose variable is divided by a small number, and simplify indices."""
    exprs = every_expression(body)
    split = _to_split(exprs) if jit.target().interleaves else {}
    for expr in exprs:  # before the loops themselves are replaced
        if expr.op in ("quotient", "rest") and expr.args[0].extra in split:
            window, place, _ = split[expr.args[0].extra]
            part = window if expr.op == "quotient" else place
            expr.op, expr.args, expr.extra = "loop", (), part
    for expr in exprs:
        if expr.op == "loop" and expr.extra in split:
            window, place, by = split[expr.extra]
            whole = loop_value(window) * const(by, int64)
            expr.op, expr.args, expr.extra = "add", (whole, loop_value(place)), None
    for expr in exprs:
        if expr.op == "load":
            buffer, index = expr.extra
            expr.extra = buffer, _simpler(index, split)
    for item in statements(body):
        if isinstance(item, Store):
            item.index = _simpler(item.index, split)
    return _loops(body, split)


def _to_split(exprs: list[Expr]) -> dict[Loop, Split]:
    """The loops to be split: into one over windows, one over places, the size of a window."""
    sizes: dict[Loop, int] = {}
    refused: set[Loop] = set()
    for expr in exprs:
        if expr.op not in ("quotient", "rest") or expr.args[0].op != "loop":
            continue
        loop, by = expr.args[0].extra, expr.args[1]
        if by.op != "const" or sizes.setdefault(loop, by.extra) != by.extra:
            refused.add(loop)
    return {
        loop: (Loop(loop.size // by), Loop(by), by)
        for loop, by in sizes.items()
        if loop not in refused and 1 < by <= WIDEST
        and isinstance(loop.size, int) and loop.size % by == 0 and loop.size > by
    }  # fmt: skip


def _affine(expr: Expr) -> Affine | None:
    """An expression as a number and a multiple of each loop's variable."""
    if expr.op == "const":
        return expr.extra, {}
    if expr.op == "loop":
        return 0, {expr.extra: 1}
    if expr.op not in ("add", "sub", "mul") or expr.dtype is not int64:
        return None
    x, y = [_affine(part) for part in expr.args]
    if x is None or y is None:
        return None
    if expr.op == "mul":
        if x[1] and y[1]:
            return None
        (number, loops), factor = (x, y[0]) if x[1] else (y, x[0])
        return number * factor, {loop: step * factor for loop, step in loops.items()}
    sign = 1 if expr.op == "add" else -1
    terms = dict(x[1])
    for loop, step in y[1].items():
        terms[loop] = terms.get(loop, 0) + sign * step
    return x[0] + sign * y[0], terms


def _simpler(index: Index, split: dict[Loop, Split]) -> Index:
    """The same place, with what is computed from loops alone as strides."""
    offset = index.offset
    terms: dict[Loop, int] = {}

    def add(loop: Loop, step: int) -> None:
        if loop in split:
            window, place, by = split[loop]
            add(window, step * by)
            add(place, step)
        else:
            terms[loop] = terms.get(loop, 0) + step

    for loop, step in index.terms:
        add(loop, step)
    dynamic = []
    for expr, step in index.dynamic:
        found = _affine(expr)
        if found is None:
            dynamic.append((expr, step))
            continue
        offset += step * found[0]
        for loop, factor in found[1].items():
            add(loop, step * factor)
    kept = tuple((loop, step) for loop, step in terms.items() if step)
    return Index(offset, kept, tuple(dynamic))


def _loops(body: list[Statement], split: dict[Loop, Split]) -> list[Statement]:
    """The loops over places go innermost, where they are written out."""
    made: list[Statement] = []
    for item in body:
        if not isinstance(item, For):
            made.append(item)
            continue
        inside = _loops(item.body, split)
        if item.loop not in split:
            made.append(For(item.loop, inside, item.parallel))
            continue
        window, place, _ = split[item.loop]
        made.append(For(window, _around_innermost(place, inside), item.parallel))
    return made


def _around_innermost(place: Loop, body: list[Statement]) -> list[Statement]:
    if len(body) == 1 and isinstance(body[0], For):
        inner = body[0]
        return [For(inner.loop, _around_innermost(place, inner.body), inner.parallel)]
    return [For(place, body)]
