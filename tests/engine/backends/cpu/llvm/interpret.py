"""What loop kernels mean, in NumPy, one element after the other; and running them natively."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy import special

from rushlight.engine.backends.cpu.llvm.code import NativeCode
from rushlight.engine.core.dtype import BOOL, FLOATING, dtype
from rushlight.engine.ir.loops import (
    Buffer,
    Declare,
    For,
    Index,
    Kernel,
    Loop,
    Reduce,
    Statement,
    Store,
)
from rushlight.engine.ir.plan import Constant, KernelCall, Place, Plan
from rushlight.engine.ir.scalar import Expr

UNARY: dict[str, Any] = {
    "neg": np.negative, "not": np.invert, "abs": np.abs, "sqrt": np.sqrt, "exp": np.exp,
    "exp2": np.exp2, "expm1": np.expm1, "log": np.log, "log2": np.log2, "log10": np.log10,
    "log1p": np.log1p, "sin": np.sin, "cos": np.cos, "tan": np.tan, "asin": np.arcsin,
    "acos": np.arccos, "atan": np.arctan, "sinh": np.sinh, "cosh": np.cosh, "tanh": np.tanh,
    "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh, "erf": special.erf,
    "sigmoid": special.expit, "floor": np.floor, "ceil": np.ceil, "trunc": np.trunc,
    "round": np.rint, "isnan": np.isnan,
}  # fmt: skip

BINARY: dict[str, Any] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.true_divide,
    "quotient": np.floor_divide, "rest": np.remainder, "minimum": np.minimum,
    "maximum": np.maximum, "pow": np.power, "atan2": np.arctan2, "fmod": np.fmod,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "shl": np.left_shift,
    "shr": np.right_shift, "copysign": np.copysign, "lt": np.less, "le": np.less_equal,
    "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip


class Interpreter:
    """Runs a kernel on arrays (flattened views) and numbers."""

    def __init__(self, kernel: Kernel, arrays: Sequence[np.ndarray], numbers: Sequence[float]):
        self.memory = {b: a.reshape(-1) for b, a in zip(kernel.buffers, arrays, strict=True)}
        self.numbers = [
            kind.numpy.type(x) for kind, x in zip(kernel.scalars, numbers, strict=True)
        ]
        self.loops: dict[Loop, int] = {}
        self.totals: dict[Any, Any] = {}
        with np.errstate(all="ignore"):
            self.run(kernel.body, {})

    def run(self, body: Sequence[Statement], known: dict[int, Any]) -> None:
        for item in body:
            if isinstance(item, For):
                size = item.loop.size
                for turn in range(int(self.value(size, known)) if isinstance(size, Expr) else size):
                    self.loops[item.loop] = turn
                    self.run(item.body, dict(known))
            elif isinstance(item, Store):
                value = self.value(item.value, known)
                place = self.place(item.index, known)
                if item.op is not None:
                    value = BINARY[item.op](self.load(item.buffer, place), value)
                self.memory[item.buffer][place] = value
            elif isinstance(item, Declare):
                self.totals[item.accumulator] = None
            else:
                self.reduce(item, known)

    def reduce(self, item: Reduce, known: dict[int, Any]) -> None:
        value, before = self.value(item.value, known), self.totals[item.accumulator]
        kind = item.accumulator.dtype.numpy.type
        op = BINARY[item.accumulator.op]
        self.totals[item.accumulator] = value if before is None else kind(op(before, value))

    def place(self, index: Index, known: dict[int, Any]) -> int:
        return (
            index.offset
            + sum(self.loops[loop] * step for loop, step in index.terms)
            + sum(int(self.value(part, known)) * step for part, step in index.dynamic)
        )

    def load(self, buffer: Buffer, place: int) -> Any:
        found = self.memory[buffer][place]
        half = buffer.dtype.category == FLOATING and buffer.dtype.itemsize < 4
        return np.float32(found) if half else found

    def value(self, expr: Expr, known: dict[int, Any]) -> Any:
        if expr.op == "accumulator":
            return self.totals[expr.extra]
        if id(expr) not in known:
            known[id(expr)] = self.compute(expr, known)
        return known[id(expr)]

    def compute(self, expr: Expr, known: dict[int, Any]) -> Any:
        kind = expr.dtype.numpy.type
        if expr.op == "const":
            return kind(expr.extra)
        if expr.op == "scalar":
            return kind(self.numbers[expr.extra])
        if expr.op == "loop":
            return np.int64(self.loops[expr.extra])
        if expr.op == "load":
            return self.load(expr.extra[0], self.place(expr.extra[1], known))
        args = [self.value(arg, known) for arg in expr.args]
        if expr.op == "cast":
            return converted(args[0], expr.dtype)
        if expr.op == "rounded":
            return kind(expr.extra.numpy.type(args[0]))
        if expr.op == "where":
            return args[1] if args[0] else args[2]
        if expr.op == "bits":
            return args[0].view(kind)
        function = UNARY.get(expr.op) or BINARY[expr.op]
        return kind(function(*args))


def converted(x: Any, kind: dtype) -> Any:
    """``x`` as C converts it."""
    if kind.category == BOOL:
        return np.bool_(x != 0)
    return np.asarray(x).astype(kind.numpy)[()]


class Native:
    """A kernel, compiled and bound to arrays."""

    def __init__(
        self, kernel: Kernel, arrays: Sequence[np.ndarray], numbers: Sequence[Any] = (),
        threads: int = 1,
    ) -> None:  # fmt: skip
        plan = Plan()
        given = [x for x in numbers if not isinstance(x, Constant)]
        plan.numbers = [(k, "d" if isinstance(x, float) else "q") for k, x in enumerate(given)]
        places = iter(range(len(given)))
        self.kept = list(arrays)
        call = KernelCall(
            kernel,
            [Place(k + 1) for k in range(len(arrays))],
            [x if isinstance(x, Constant) else next(places) for x in numbers],
            threads,
        )
        self.code = NativeCode(plan, [call])
        self.code.compile()
        self.code.load({0: 0})
        self.table = np.array([0, *(a.ctypes.data for a in arrays)], np.uint64)
        self.numbers = np.array(
            [np.array(x, np.float64 if isinstance(x, float) else np.int64).view(np.uint64)
             for x in given], np.uint64,
        )  # fmt: skip

    def __call__(self) -> None:
        assert self.code.run(self.table.ctypes.data, self.numbers.ctypes.data) == 0


def both(
    kernel: Kernel, arrays: Sequence[np.ndarray], numbers: Sequence[Any] = (),
    tolerance: float = 0.0, count: int = 1, note: str = "",
) -> list[np.ndarray]:  # fmt: skip
    """Run a kernel natively and interpreted, compare all arrays, give the native ones."""
    native = [a.copy() for a in arrays]
    wanted = [a.copy() for a in arrays]
    Native(kernel, native, numbers, threads=count)()
    Interpreter(kernel, wanted, [x.value if isinstance(x, Constant) else x for x in numbers])
    for found, want in zip(native, wanted, strict=True):
        if tolerance:
            np.testing.assert_allclose(
                found.astype(np.float64), want.astype(np.float64), tolerance, tolerance,
                err_msg=note,
            )  # fmt: skip
        else:
            np.testing.assert_array_equal(found, want, note)
    return native


def flat(loop: Loop) -> Index:
    """The place of element ``i``."""
    return Index(0, ((loop, 1),))


def elementwise(expr: Expr, buffers: Sequence[Buffer], out: Buffer, loop: Loop) -> Kernel:
    """``out[i] = expr``."""
    body: list[Statement] = [For(loop, [Store(out, flat(loop), expr)], True)]
    return Kernel("k", [*buffers, out], [out], [], body)


def ulps(x: np.ndarray, exact: np.ndarray) -> np.ndarray:
    """How far ``x`` is from ``exact`` (of a wider type), in units in the last place of ``x``.

    Zero where both are NaN or the same infinity; infinite where only one is.
    """
    kind = x.dtype
    with np.errstate(all="ignore"):
        near = exact.astype(kind)
        unit = np.spacing(np.abs(near)).astype(exact.dtype)
        unit = np.where(np.isfinite(unit), unit, np.spacing(np.finfo(kind).max))
        off = np.abs(x.astype(exact.dtype) - exact) / unit
    same = (np.isnan(x) & np.isnan(exact)) | (x == near)
    wrong = np.isnan(x) != np.isnan(exact)
    wrong |= (np.isinf(x) != np.isinf(near)) & ~same & ~(off <= 4)
    return np.where(wrong, math.inf, np.where(same, np.fmin(off, 0.5), off))
