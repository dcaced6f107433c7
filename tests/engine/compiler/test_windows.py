"""Loops over pixels split into windows and places: the same elements, simpler indices."""

from __future__ import annotations

import numpy as np
import pytest

from rushlight.engine.backends.cpu.llvm import jit
from rushlight.engine.compiler.windows import over_windows
from rushlight.engine.core.dtype import float32, int64
from rushlight.engine.ir.loops import (
    Buffer,
    For,
    Index,
    Kernel,
    Loop,
    Statement,
    Store,
    as_expr,
    at,
    load,
    statements,
)
from tests.engine.compiler.plan_interpreter import KernelRun


def upsampled(size: int, by: int) -> Kernel:
    """``y[i, j] = x[i // by, j // by] + j % by`` over (size, size)."""
    x, y = Buffer(float32, "x"), Buffer(float32, "y")
    i, j = Loop(size), Loop(size)
    row, column = as_expr(i, int64) // by, as_expr(j, int64) // by
    rest = as_expr(as_expr(j, int64) % by, float32)
    value = load(x, at((size // by, 1), (row, column))) + rest
    body: list[Statement] = [For(i, [For(j, [Store(y, at((size, 1), (i, j)), value)])])]
    return Kernel("k", [x, y], [y], [], body)


@pytest.mark.parametrize(("size", "by"), [(6, 2), (12, 3), (8, 4), (7, 2), (10, 5), (4, 4)])
def test_the_same_elements(size: int, by: int) -> None:
    x = np.arange((size // by + 1) ** 2, dtype=np.float32)
    wanted, got = np.zeros(size * size, np.float32), np.zeros(size * size, np.float32)
    KernelRun(upsampled(size, by), [x, wanted], [])
    kernel = upsampled(size, by)
    kernel.body = over_windows(kernel.body)
    KernelRun(kernel, [x, got], [])
    np.testing.assert_array_equal(got, wanted)


@pytest.mark.skipif(not jit.target().interleaves, reason="this LLVM gathers: nothing is split")
def test_windows_are_loops_and_indices_strides() -> None:
    kernel = upsampled(6, 2)
    body = over_windows(kernel.body)
    loops = [item.loop.size for item in statements(body) if isinstance(item, For)]
    assert loops == [3, 3, 2, 2]
    stores = [item for item in statements(body) if isinstance(item, Store)]
    assert sorted(step for _, step in stores[0].index.terms) == [1, 2, 6, 12]
    assert "quotient" not in str(Kernel("k", kernel.buffers, kernel.outputs, [], body))


def test_an_index_computed_from_loops_becomes_strides() -> None:
    x, y = Buffer(float32, "x"), Buffer(float32, "y")
    i = Loop(5)
    place = as_expr(i, int64) * 3 + 2
    value = load(x, Index(1, (), ((place, 4),)))
    body: list[Statement] = [For(i, [Store(y, at((1,), (i,)), value)])]
    store = next(s for s in statements(over_windows(body)) if isinstance(s, Store))
    index = store.value.extra[1]
    assert (index.offset, index.dynamic) == (9, ())
    assert [step for _, step in index.terms] == [12]
