"""Typical kernels work on whole vectors: seen in LLVM's text after optimisation, never timed."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from rushlight.engine.backends.cpu.llvm import jit
from rushlight.engine.backends.cpu.llvm.code import NativeCode
from rushlight.engine.core.dtype import bfloat16, bool_, dtype, float16, float32, float64, int64
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
    load,
)
from rushlight.engine.ir.plan import KernelCall, Place, Plan
from rushlight.engine.ir.scalar import Expr, cast, const, function, maximum, number, where
from tests.engine.backends.cpu.llvm.interpret import elementwise, flat

N = 4096


def pointwise(body: Callable[..., Expr], *kinds: dtype) -> Kernel:
    """``out[i] = body(x[i], ...)``; the last type is that of the result."""
    buffers, i = [Buffer(kind) for kind in kinds], Loop(N)
    value = body(*(load(b, flat(i)) for b in buffers[:-1]))
    return elementwise(value, buffers[:-1], buffers[-1], i)


def relu() -> Kernel:
    return pointwise(lambda x, w, b: maximum(x * w + b, 0.0), *[float32] * 4)


def masked() -> Kernel:
    return pointwise(lambda x, m: where(m, x * 2.0, 0.0), float32, bool_, float32)


def adam() -> Kernel:
    p, g, m, v = buffers = [Buffer(float32) for _ in range(4)]
    i = Loop(N)
    gradient = load(g, flat(i))
    rate, beta, gamma = (number(k, float32) for k in range(3))
    mean = load(m, flat(i)) * beta + gradient * (1.0 - beta)
    square = load(v, flat(i)) * gamma + gradient * gradient * (1.0 - gamma)
    step = load(p, flat(i)) - rate * mean / (function("sqrt", square) + 1e-8)
    body: list[Statement] = [
        For(i, [Store(m, flat(i), mean), Store(v, flat(i), square), Store(p, flat(i), step)], True)
    ]
    return Kernel("adam", buffers, [p, m, v], [float64] * 3, body)


def rows(op: str, body: Callable[[Expr], Expr] = lambda x: x) -> Kernel:
    """A number for each row."""
    x, y, i, j = Buffer(float32), Buffer(float32), Loop(64), Loop(1000)
    total = Accumulator(op, float32)
    place = Index(0, ((i, 1000), (j, 1)))
    return Kernel("rows", [x, y], [y], [], [
        For(i, [Declare(total), For(j, [Reduce(total, body(load(x, place)))]),
                Store(y, flat(i), total.read())], True),
    ])  # fmt: skip


def columns() -> Kernel:
    x, y, i, j, k = Buffer(float32), Buffer(float32), Loop(64), Loop(1000), Loop(1000)
    return Kernel("columns", [x, y], [y], [], [
        For(k, [Store(y, flat(k), const(0, float32))]),
        For(i, [For(j, [Store(y, flat(j), load(x, Index(0, ((i, 1000), (j, 1)))), "add")])]),
    ])  # fmt: skip


def pooling() -> Kernel:
    x, y, i, j = Buffer(float32), Buffer(float32), Loop(64), Loop(64)
    a, b, top = Loop(2), Loop(2), Accumulator("maximum", float32)
    window = Index(0, ((i, 256), (j, 2), (a, 128), (b, 1)))
    return Kernel("pooling", [x, y], [y], [], [
        For(i, [For(j, [Declare(top), For(a, [For(b, [Reduce(top, load(x, window))])]),
                        Store(y, Index(0, ((i, 64), (j, 1))), top.read())])], True),
    ])  # fmt: skip


UNARY = [
    "exp", "exp2", "expm1", "log", "log1p", "log2", "log10", "sin", "cos", "tanh", "sigmoid", "erf",
    "sqrt", "abs", "floor", "ceil", "trunc", "round",
]  # fmt: skip

KERNELS: dict[str, Callable[[], Kernel]] = {
    "relu": relu,
    "masked": masked,
    "adam": adam,
    "row sum": lambda: rows("add"),
    "row maximum": lambda: rows("maximum"),
    "row product": lambda: rows("mul"),
    "row sum of exp": lambda: rows("add", lambda x: function("exp", x)),
    "column sum": columns,
    "pooling": pooling,
    "power": lambda: pointwise(lambda x, y: function("pow", x, y), *[float32] * 3),
    "maximum": lambda: pointwise(maximum, *[float32] * 3),
    "float16": lambda: pointwise(lambda x: x * 2.0, float16, float16),
    "bfloat16": lambda: pointwise(lambda x: x * 2.0, bfloat16, bfloat16),
    "float64": lambda: pointwise(lambda x: function("exp", x), float64, float64),
    "int64": lambda: pointwise(lambda x: x * 3 + 1, int64, int64),
    "comparison": lambda: pointwise(lambda x: x < 0.5, float32, bool_),
    "conversion": lambda: pointwise(lambda x: cast(x, float32), int64, float32),
    **{name: lambda name=name: pointwise(lambda x: function(name, x), float32, float32)  # type: ignore[misc]
       for name in UNARY},
}  # fmt: skip


@pytest.mark.parametrize("name", KERNELS)
def test_vectorised(name: str) -> None:
    kernel = KERNELS[name]()
    places = [Place(k + 1) for k in range(len(kernel.buffers))]
    plan = Plan(numbers=[(k, "d") for k in range(len(kernel.scalars))])
    code = NativeCode(plan, [KernelCall(kernel, places, list(range(len(kernel.scalars))))])
    text = jit.optimised(code.write())
    stored = re.findall(r"store <(\d+) x \w+>", text)
    reduced = re.findall(r"@llvm\.vector\.reduce\.\w+\.v(\d+)", text)
    widest = max(map(int, stored + reduced), default=1)
    assert widest >= (2 if name in ("float64", "int64") else 4), text
    # No call is left in a loop: neither to the C library nor to a function of our own.
    calls = set(re.findall(r"call [^@\n]*@([\w.]+)\(", text))
    assert all(call.startswith(("llvm.", "f0")) for call in calls), calls
