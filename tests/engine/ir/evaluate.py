"""Scalar expressions evaluated with NumPy on many elements at once, strictly.

What the code generators may leave undefined (loads outside of a buffer, shifts by too much,
negative operands of a quotient, arithmetic of booleans) is an assertion here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from scipy import special

from rushlight.engine.core.dtype import BOOL, COMPLEX, FLOATING, dtype
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.scalar import ARITHMETIC, COMPARISONS, FUNCTIONS, Expr, walk

Read = Callable[[Expr], np.ndarray]

_BINARY: dict[str, Callable[..., Any]] = {
    "add": np.add, "sub": np.subtract, "mul": np.multiply, "div": np.divide,
    "quotient": np.floor_divide, "rest": np.remainder, "minimum": np.minimum,
    "maximum": np.maximum, "pow": np.power, "atan2": np.arctan2, "fmod": np.fmod,
    "and": np.bitwise_and, "or": np.bitwise_or, "xor": np.bitwise_xor, "shl": np.left_shift,
    "shr": np.right_shift, "copysign": np.copysign,
    "lt": np.less, "le": np.less_equal, "eq": np.equal, "ne": np.not_equal,
}  # fmt: skip

_UNARY: dict[str, Callable[..., Any]] = {
    "neg": np.negative, "not": np.invert, "abs": np.abs, "asin": np.arcsin, "acos": np.arccos,
    "atan": np.arctan, "asinh": np.arcsinh, "acosh": np.arccosh, "atanh": np.arctanh,
    "erf": special.erf, "round": np.rint, "sigmoid": lambda x: 1 / (1 + np.exp(-x)),
}  # fmt: skip

#: Operations that booleans take part in.
_LOGIC = frozenset(("and", "or", "xor", "not", "lt", "le", "eq", "ne"))
_WHOLE_ONLY = frozenset(("quotient", "rest", "and", "or", "xor", "shl", "shr", "not"))
_ANY_NUMBER = frozenset(("add", "sub", "mul", "minimum", "maximum", "neg", "abs")) | COMPARISONS


def _check(expr: Expr, args: Sequence[np.ndarray]) -> None:
    """That the operation is defined for these operands."""
    kind = expr.args[0].dtype
    if expr.op in _BINARY:
        assert expr.args[0].dtype is expr.args[1].dtype, f"operands of two types: {expr!r}"
    if kind.category == BOOL:
        assert expr.op in _LOGIC, f"{expr.op} of booleans"
    elif kind.category == FLOATING:
        assert expr.op not in _WHOLE_ONLY, f"{expr.op} of floating-point numbers"
    else:
        assert expr.op in _WHOLE_ONLY | _ANY_NUMBER, f"{expr.op} of integers"
    if expr.op in ("quotient", "rest"):
        assert (args[0] >= 0).all(), f"{expr.op} of a negative number"
        assert (args[1] > 0).all(), f"{expr.op} by a number that is not positive"
    if expr.op in ("shl", "shr"):
        inside = (args[1] >= 0) & (args[1] < 8 * kind.itemsize)
        assert inside.all(), "shift by a negative number or by all bits"


def converted(x: np.ndarray, kind: dtype) -> np.ndarray:
    """``x`` as the type ``kind``."""
    return x != 0 if kind.category == BOOL else x.astype(kind.numpy)


def _step(expr: Expr, args: Sequence[np.ndarray], read: Read) -> np.ndarray:
    kind = expr.dtype
    if expr.op == "const":
        return np.asarray(expr.extra).astype(kind.numpy)
    if expr.op == "cast":
        return converted(args[0], kind)
    if expr.op == "where":
        condition, then, otherwise = expr.args
        assert condition.dtype.category == BOOL
        assert then.dtype is otherwise.dtype is kind
        return np.where(*args)
    if expr.op == "bits":
        assert expr.args[0].dtype.itemsize == kind.itemsize
        return args[0].view(kind.numpy)
    if not expr.args:
        return read(expr)
    assert expr.op in ARITHMETIC | COMPARISONS | FUNCTIONS, f"no operation {expr.op!r}"
    _check(expr, args)
    if expr.op in _BINARY:
        return np.asarray(_BINARY[expr.op](*args))
    one = _UNARY.get(expr.op) or getattr(np, expr.op)
    return np.asarray(one(args[0]))


def evaluate(expr: Expr, read: Read) -> np.ndarray:
    """The value of an expression.

    Args:
        expr: the expression.
        read: gives the arrays that stand for loads, loops and scalar arguments.
    """
    found: dict[int, np.ndarray] = {}

    def visit(part: Expr) -> None:
        assert computing(part.dtype) is part.dtype, f"type {part.dtype} in {part!r}"
        assert part.dtype.category != COMPLEX, f"type {part.dtype} in {part!r}"
        with np.errstate(all="ignore"):
            made = _step(part, [found[id(arg)] for arg in part.args], read)
        assert made.dtype == part.dtype.numpy, f"{part!r} gives {made.dtype}"
        found[id(part)] = made

    walk([expr], visit)
    return found[id(expr)]
