"""Making loop nests simpler: neighbouring loops that walk memory as one become one."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ir.loops import (
    Declare,
    For,
    Index,
    Kernel,
    Loop,
    Statement,
    Store,
    every_expression,
    statements,
)
from rushlight.engine.ir.scalar import Expr


def _mergeable(outer: Loop, inner: Loop, indices: list[Index], exprs: list[Expr]) -> bool:
    if not isinstance(outer.size, int) or not isinstance(inner.size, int):
        return False
    if any(e.op == "loop" and e.extra in (outer, inner) for e in exprs):
        return False
    for index in indices:
        steps = {id(loop): stride for loop, stride in index.terms}
        if steps.get(id(outer), 0) != steps.get(id(inner), 0) * inner.size:
            return False
    return True


def _merged(index: Index, outer: Loop, inner: Loop, one: Loop) -> Index:
    terms = []
    for loop, stride in index.terms:
        if loop is inner:
            terms.append((one, stride))
        elif loop is not outer:
            terms.append((loop, stride))
    return Index(index.offset, tuple(terms), index.dynamic)


def collapse(body: list[Statement]) -> list[Statement]:
    """Merge a loop with the only loop in it wherever every access allows it."""
    out: list[Statement] = []
    for item in body:
        if not isinstance(item, For):
            out.append(item)
            continue
        inside = collapse(item.body)
        item = For(item.loop, inside, item.parallel)
        if len(inside) == 1 and isinstance(inside[0], For):
            item = _try_merge(item, inside[0])
        out.append(item)
    return out


def _try_merge(outer: For, inner: For) -> For:
    exprs = every_expression(inner.body)
    stores = [item for item in statements(inner.body) if isinstance(item, Store)]
    indices = [e.extra[1] for e in exprs if e.op == "load"] + [s.index for s in stores]
    if not _mergeable(outer.loop, inner.loop, indices, exprs):
        return outer
    one = Loop(outer.loop.size * inner.loop.size)  # type: ignore[operator]
    for expr in exprs:
        if expr.op == "load":
            buffer, index = expr.extra
            expr.extra = buffer, _merged(index, outer.loop, inner.loop, one)
    for store in stores:
        store.index = _merged(store.index, outer.loop, inner.loop, one)
    return For(one, inner.body, outer.parallel)


def count_work(kernel: Kernel) -> tuple[float, float]:
    """Rough numbers of scalar operations and of bytes moved."""
    operations = moved = 0.0

    def add(body: list[Statement], turns: float) -> None:
        nonlocal operations, moved
        for item in body:
            if isinstance(item, For):
                size: Any = item.loop.size
                add(item.body, turns * (size if isinstance(size, int) else 1))
            elif isinstance(item, Declare):
                continue
            else:
                exprs = every_expression([item])
                operations += turns * len(exprs)
                loads = [e.extra[0].dtype.itemsize for e in exprs if e.op == "load"]
                moved += turns * sum(loads)
                if isinstance(item, Store):
                    moved += turns * item.buffer.dtype.itemsize

    add(kernel.body, 1.0)
    return operations, moved
