"""Kernels made up at random, natively and interpreted.

All numbers stay small and whole, so that results are the same to the last bit, however sums are
ordered and products fused.
"""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from rushlight.engine.core.dtype import (
    BOOL,
    FLOATING,
    bfloat16,
    bool_,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from rushlight.engine.ir.loops import (
    Accumulator,
    Buffer,
    Declare,
    For,
    Index,
    Kernel,
    Loop,
    Reduce,
    Statement,
    Store,
    computing,
    load,
)
from rushlight.engine.ir.scalar import (
    Expr,
    cast,
    const,
    function,
    loop_value,
    maximum,
    minimum,
    number,
    where,
)
from tests.engine.backends.cpu.llvm.interpret import both

KINDS = [bool_, uint8, int8, int16, int32, int64, float16, bfloat16, float32, float64]
COMPUTED = [bool_, uint8, int8, int16, int32, int64, float32, float64]
SPAN = 4000


def bounded(x: Expr) -> Expr:
    """Whole numbers that every floating-point type holds exactly, products included."""
    if x.dtype.category == BOOL or (not x.floating and x.dtype.itemsize == 1):
        return x
    return maximum(minimum(x, 15), -15 if x.dtype.is_signed else 0)


class Maker:
    """Makes one kernel."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.sizes = [self.random.choice([1, 2, 3, 7, 8, 16, 33]) for _ in range(2)]
        self.outer, self.inner = Loop(self.sizes[0]), Loop(self.sizes[1])
        self.inputs = [Buffer(self.random.choice(KINDS)) for _ in range(3)]
        self.outputs = [Buffer(self.random.choice(KINDS)) for _ in range(3)]
        self.pool: list[Expr] = []

    def index(self, inner: bool) -> Index:
        terms = [(self.outer, self.random.choice([0, 1, self.sizes[1], 40]))]
        if inner:
            terms.append((self.inner, self.random.choice([0, 1, 1, 1, 2, -1])))
        return Index(self.random.choice([100, 101, 140]), tuple(t for t in terms if t[1]))

    def source(self, inner: bool) -> Expr:
        pick = self.random.randrange(8)
        if pick == 0:
            return bounded(cast(loop_value(self.inner if inner else self.outer), int32))
        if pick == 1:
            return bounded(cast(number(0), float32))
        if pick == 2:
            return const(self.random.randrange(3), self.random.choice(COMPUTED))
        if pick == 3:
            place = cast(load(self.inputs[0], self.index(inner)), int64)
            place = maximum(minimum(place, 20), 0)
            index = Index(50, self.index(inner).terms, ((place, self.random.choice([1, 3])),))
            return bounded(load(self.random.choice(self.inputs), index))
        return bounded(load(self.random.choice(self.inputs), self.index(inner)))

    def of(self, kind: dtype) -> Expr:
        """An expression of the pool, converted if none is of this type."""
        found = [x for x in self.pool if x.dtype is kind]
        if found and self.random.random() < 0.8:
            return self.random.choice(found)
        return cast(self.random.choice(self.pool), kind)

    def operation(self) -> Expr:
        kind = self.random.choice(COMPUTED)
        x, y = self.of(kind), self.of(kind)
        if kind is bool_:
            return function(self.random.choice(["and", "or", "xor"]), x, y)
        pick = self.random.randrange(10)
        if pick == 0:
            return where(self.of(bool_), x, y)
        if pick == 1:
            return self.random.choice([x < y, x <= y, x.eq(y), x.ne(y)])
        if pick == 2:
            return function(self.random.choice(["minimum", "maximum"]), x, y)
        if kind.category == FLOATING:
            if pick == 3:
                return function(self.random.choice(["abs", "floor", "trunc", "round", "neg"]), x)
            return bounded(function(self.random.choice(["add", "sub", "mul"]), x, y))
        if pick == 3:
            return function(self.random.choice(["abs", "neg", "not"]), x)
        if pick == 4:
            return x >> 1 if self.random.random() < 0.5 else bounded(x << 2)
        if pick == 5:
            small = x & 63
            return self.random.choice([small // 7, small % 7, small // ((y & 7) + 1)])
        ops = ["add", "sub", "mul", "and", "or", "xor"]
        return bounded(function(self.random.choice(ops), x, y))

    def grow(self, count: int, inner: bool) -> None:
        self.pool += [self.source(inner) for _ in range(3)]
        for _ in range(count):
            self.pool.append(self.operation())

    def stores(self, inner: bool) -> list[Statement]:
        place = ((self.outer, 40), (self.inner, 1)) if inner else ((self.outer, 1),)
        base = 100 if inner else 2500  # apart, so that turns may run in any order
        made: list[Statement] = []
        for buffer in self.outputs:
            index = Index(base, place)
            value = cast(self.random.choice(self.pool[-6:]), computing(buffer.dtype))
            adds = self.random.random() < 0.2 and buffer.dtype.category != BOOL
            made.append(Store(buffer, index, value, "add" if adds else None))
            if self.random.random() < 0.3:  # reading back what has been stored
                self.pool.append(bounded(load(buffer, index)))
        return made

    def kernel(self) -> Kernel:
        """For each turn of the outer loop: sums over an inner loop, then another inner loop."""
        sums = []
        for _ in range(2):
            kind = self.random.choice(COMPUTED)
            ops = ["and", "or"] if kind is bool_ else ["add", "maximum", "minimum"]
            sums.append(Accumulator(self.random.choice(ops), kind))
        body: list[Statement] = [Declare(a) for a in sums]
        self.grow(8, True)
        first: list[Statement] = [Reduce(a, self.of(a.dtype)) for a in sums]
        if self.random.random() < 0.5:
            first += self.stores(True)
        body.append(For(self.inner, first))
        self.pool = [bounded(a.read()) for a in sums]
        self.grow(5, False)
        body += self.stores(False)
        kept = list(self.pool)
        self.grow(8, True)
        self.pool += kept
        body.append(For(self.inner, self.stores(True)))
        buffers = [*self.inputs, *self.outputs]
        return Kernel("k", buffers, self.outputs, [float64], [For(self.outer, body, True)])

    def arrays(self) -> list[np.ndarray]:
        made = np.random.default_rng(self.random.randrange(1 << 30))
        return [
            made.integers(0, 2 if b.dtype is bool_ else 9, SPAN).astype(b.dtype.numpy)
            for b in (*self.inputs, *self.outputs)
        ]


@pytest.mark.parametrize("batch", range(12))
def test_random_kernels(two_threads: None, batch: int) -> None:
    for seed in range(batch * 12, batch * 12 + 12):
        maker = Maker(seed)
        kernel = maker.kernel()
        both(kernel, maker.arrays(), [3.0], count=1 + seed % 2, note=f"seed {seed}\n{kernel}")
