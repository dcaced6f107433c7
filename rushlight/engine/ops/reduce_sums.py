"""Sums in floating point: as accurate as PyTorch's, on one thread.

NumPy adds pairwise along the innermost axis but row after row along the others, where the error
grows with the number of rows. So long sums are cut into blocks, and a block is summed by a
product with ones, which BLAS does with many running sums at once.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from rushlight.engine.core.shape import Shape

Array = np.ndarray
Sum = Callable[[Array], Array]

#: Elements of the largest product that BLAS keeps on one thread.
ONE_THREAD = 9216
#: Rows that are added one after the other at most.
ROWS = 128
#: Elements of a row that one product adds at most.
COLUMNS = 1024


def _first_axis(rows: int, width: int, ones: Array) -> Sum:
    """The sum of the rows of (rows, width)."""
    if rows <= ROWS and rows * width <= ONE_THREAD:
        first = ones[:rows]
        return lambda x: first.dot(x)
    if rows <= ROWS:
        return lambda x: np.add.reduce(x, axis=0)
    block = ROWS if width * ROWS <= ONE_THREAD else max(ONE_THREAD // width, 16)
    count, rest = divmod(rows, block)
    weights = ones[:block]
    inner = _first_axis(count, width, ones)
    outer = None if not rest else _first_axis(rest, width, ones)
    wide = block * width > ONE_THREAD

    def total(x: Array) -> Array:
        blocks = x[: count * block].reshape(count, block, width)
        made = inner(np.add.reduce(blocks, axis=1) if wide else np.matmul(weights, blocks))
        if outer is not None:
            made += outer(x[count * block :])
        return made

    return total


def _even_block(width: int) -> int:
    """A length of blocks that divides ``width``, if there is a fairly long one."""
    for block in range(COLUMNS, COLUMNS // 4, -1):
        if width % block == 0:
            return block
    return COLUMNS


def _last_axis(rows: int, width: int, ones: Array) -> Sum:
    """The sum of every row of (rows, width)."""
    if width <= COLUMNS and rows * width <= ONE_THREAD:
        first = ones[:width]
        return lambda x: x.dot(first)
    if width <= COLUMNS:
        block = max(ONE_THREAD // max(width, 1), 1)
        count, rest = divmod(rows, block)
        weights = ones[:width]

        def chunks(x: Array) -> Array:
            made = np.empty(rows, x.dtype)
            head = x[: count * block].reshape(count, block, width)
            np.matmul(head, weights, out=made[: count * block].reshape(count, block))
            if rest:
                made[count * block :] = x[count * block :].dot(weights)
            return made

        return chunks
    block = _even_block(width)
    count, rest = divmod(width, block)
    head = _last_axis(rows * count, block, ones)
    inner = _last_axis(rows, count, ones)
    tail = None if not rest else _last_axis(rows, rest, ones)

    def total(x: Array) -> Array:
        part = x if tail is None else x[:, : count * block]
        made = inner(head(part.reshape(rows * count, block)).reshape(rows, count))
        if tail is not None:
            made += tail(np.ascontiguousarray(x[:, count * block :]))
        return made

    return total


def _middle_axis(outer: int, rows: int, width: int, ones: Array) -> Sum | None:
    """The sum of (outer, rows, width) over its rows."""
    if rows * width <= ONE_THREAD and rows <= ROWS:
        weights = ones[:rows]
        return lambda x: np.matmul(weights, x)
    if rows <= ROWS:
        return lambda x: np.add.reduce(x, axis=1)
    block = next((b for b in range(ROWS, ROWS // 4, -1) if rows % b == 0), 0)
    if not block:
        return None
    count = rows // block
    inner = _middle_axis(outer * count, block, width, ones)
    after = _middle_axis(outer, count, width, ones)
    if inner is None or after is None:
        return None
    first, second = inner, after
    return lambda x: second(
        first(x.reshape(outer * count, block, width)).reshape(outer, count, width)
    )


def _both_ends(rows: int, kept: int, width: int, ones: Array) -> Sum:
    """The sum of (rows, kept, width) over its first and its last axis."""
    inner = _last_axis(rows * kept, width, ones)
    outer = _first_axis(rows, kept, ones)
    return lambda x: outer(inner(x.reshape(rows * kept, width)).reshape(rows, kept))


def _runs(shape: Shape, dims: Shape) -> tuple[list[bool], list[int]]:
    """Neighbouring axes of one kind joined: whether each run is summed, and its size."""
    kinds: list[bool] = []
    sizes: list[int] = []
    for axis, size in enumerate(shape):
        if size == 1:
            continue
        if kinds and kinds[-1] == (axis in dims):
            sizes[-1] *= size
        else:
            kinds.append(axis in dims)
            sizes.append(size)
    return kinds, sizes


def blocked_sum(shape: Shape, dims: Shape, dtype: np.dtype, keepdim: bool) -> Sum | None:
    """A function that sums contiguous arrays; ``None`` where NumPy's own sum is to be taken.

    Args:
        shape: the arrays' shape.
        dims: the axes, rising.
        dtype: float32 or float64.
        keepdim: leave the axes as axes of size 1.
    """
    kinds, sizes = _runs(shape, dims)
    ones = np.ones(COLUMNS, dtype)
    call: Sum | None = None
    if 0 in shape or len(kinds) > 3:
        return None
    if kinds in ([True], [False, True]):
        sizes = sizes if len(sizes) == 2 else [1, *sizes]
        call = _last_axis(sizes[0], sizes[1], ones)
    elif kinds == [True, False]:
        call = _first_axis(sizes[0], sizes[1], ones)
    elif kinds == [False, True, False]:
        call = _middle_axis(sizes[0], sizes[1], sizes[2], ones)
    elif kinds == [True, False, True]:
        call = _both_ends(sizes[0], sizes[1], sizes[2], ones)
    if call is None:
        return None
    kept = tuple([1 if a in dims else n for a, n in enumerate(shape) if keepdim or a not in dims])
    inner, view = call, tuple(sizes)
    made = tuple([n for n, kind in zip(sizes, kinds if len(kinds) == len(sizes) else (False, True),
                                       strict=True) if not kind])  # fmt: skip
    if view == shape and made == kept:
        return inner
    return lambda x: inner(x.reshape(view)).reshape(kept)
