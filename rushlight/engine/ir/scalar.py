"""Scalar expressions: what an element of a result is computed from, for the code generators.

The body of a pointwise operator is a function over these: ``scalar=lambda x, other: x + other``.
Expressions are immutable graphs; equal constants and casts are not merged here (LLVM does that).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.engine.core.dtype import BOOL, FLOATING, bool_, dtype, float64, int64


class Expr:
    """One operation on scalars.

    Attributes:
        op: the name of the operation: one of ``ARITHMETIC``, ``COMPARISONS``, ``FUNCTIONS``, or
            ``const`` (extra: the number), ``cast``, ``where`` (condition, then, otherwise),
            ``load`` (extra: buffer and index), ``scalar`` (extra: number of the kernel's scalar
            argument), ``loop`` (extra: a loop variable, as int64), ``accumulator``, ``bits``
            (the same bits seen as another type of the same size), ``rounded`` (extra: a half type
            that a float32 is rounded to).
        args: the operands, all of one type (but for ``where``, ``cast`` and shifts).
        dtype: the type of the result; never a half or complex type.
        extra: what else there is to say.
    """

    __slots__ = ("args", "dtype", "extra", "op")

    def __init__(
        self, op: str, args: tuple[Expr, ...], dtype: dtype, extra: Any = None
    ) -> None:
        self.op = op
        self.args = args
        self.dtype = dtype
        self.extra = extra

    def __add__(self, other: Operand) -> Expr:
        return _binary("add", self, other)

    def __radd__(self, other: Operand) -> Expr:
        return _binary("add", other, self)

    def __sub__(self, other: Operand) -> Expr:
        return _binary("sub", self, other)

    def __rsub__(self, other: Operand) -> Expr:
        return _binary("sub", other, self)

    def __mul__(self, other: Operand) -> Expr:
        return _binary("mul", self, other)

    def __rmul__(self, other: Operand) -> Expr:
        return _binary("mul", other, self)

    def __truediv__(self, other: Operand) -> Expr:
        return _binary("div", self, other)

    def __rtruediv__(self, other: Operand) -> Expr:
        return _binary("div", other, self)

    def __floordiv__(self, other: Operand) -> Expr:
        """Integers only; both operands must not be negative."""
        return _binary("quotient", self, other)

    def __mod__(self, other: Operand) -> Expr:
        """Integers only; both operands must not be negative."""
        return _binary("rest", self, other)

    def __and__(self, other: Operand) -> Expr:
        return _binary("and", self, other)

    def __or__(self, other: Operand) -> Expr:
        return _binary("or", self, other)

    def __xor__(self, other: Operand) -> Expr:
        return _binary("xor", self, other)

    def __lshift__(self, other: Operand) -> Expr:
        return _binary("shl", self, other)

    def __rshift__(self, other: Operand) -> Expr:
        """Signed types keep the sign."""
        return _binary("shr", self, other)

    def __neg__(self) -> Expr:
        return Expr("neg", (self,), self.dtype)

    def __invert__(self) -> Expr:
        return Expr("not", (self,), self.dtype)

    def __lt__(self, other: Operand) -> Expr:
        return _compare("lt", self, other)

    def __le__(self, other: Operand) -> Expr:
        return _compare("le", self, other)

    def __gt__(self, other: Operand) -> Expr:
        return _compare("lt", other, self)

    def __ge__(self, other: Operand) -> Expr:
        return _compare("le", other, self)

    def eq(self, other: Operand) -> Expr:
        """``self == other`` (the operator itself compares the objects)."""
        return _compare("eq", self, other)

    def ne(self, other: Operand) -> Expr:
        """``self != other``: true where one is NaN."""
        return _compare("ne", self, other)

    @property
    def floating(self) -> bool:
        """Whether its type is a floating-point one."""
        return self.dtype.category >= FLOATING

    def __repr__(self) -> str:
        inside = ", ".join(map(repr, self.args))
        extra = "" if self.extra is None else f"[{self.extra}]"
        return f"{self.op}{extra}({inside})"


Operand = Expr | float | int | bool

#: Operations of two operands of one type with a result of that type. ``quotient`` and ``rest``
#: are those of integers that are not negative; ``pow`` and ``atan2`` of floating-point numbers.
#: ``minimum`` and ``maximum`` give NaN where one operand is NaN.
ARITHMETIC = frozenset(
    ("add", "sub", "mul", "div", "quotient", "rest", "minimum", "maximum", "pow", "atan2", "fmod",
     "and", "or", "xor", "shl", "shr", "copysign")
)  # fmt: skip

#: Comparisons: two operands of one type, a boolean result.
COMPARISONS = frozenset(("lt", "le", "eq", "ne"))

#: Functions of one operand with a result of its type (``isnan``: a boolean).
FUNCTIONS = frozenset(
    ("neg", "not", "abs", "sqrt", "exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin",
     "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh",
     "erf", "sigmoid", "floor", "ceil", "trunc", "round", "isnan")
)  # fmt: skip


def const(value: float | int | bool, kind: dtype) -> Expr:
    """A number of the type ``kind``."""
    return Expr("const", (), kind, value)


def lift(x: Operand, like: Expr) -> Expr:
    """``x`` itself, or the number ``x`` in the type of ``like``."""
    return x if isinstance(x, Expr) else const(x, like.dtype)


def _pair(x: Operand, y: Operand) -> tuple[Expr, Expr]:
    if isinstance(x, Expr):
        second = lift(y, x)
        if x.dtype is not second.dtype:
            raise TypeError(f"scalar operands of types {x.dtype} and {second.dtype}")
        return x, second
    assert isinstance(y, Expr)
    return const(x, y.dtype), y


def _binary(op: str, x: Operand, y: Operand) -> Expr:
    pair = _pair(x, y)
    return Expr(op, pair, pair[0].dtype)


def _compare(op: str, x: Operand, y: Operand) -> Expr:
    return Expr(op, _pair(x, y), bool_)


def cast(x: Expr, kind: dtype) -> Expr:
    """``x`` converted as C does; to a boolean: whether it is not zero."""
    if x.dtype is kind:
        return x
    if x.op == "const" and kind.category != BOOL:
        number = float(x.extra) if kind.category >= FLOATING else x.extra
        if kind.category >= FLOATING or isinstance(number, int):
            return const(number, kind)
    return Expr("cast", (x,), kind)


def bits(x: Expr, kind: dtype) -> Expr:
    """The bits of ``x`` seen as another type of the same size."""
    return Expr("bits", (x,), kind)


def rounded(x: Expr, kind: dtype) -> Expr:
    """The float32 ``x`` rounded to the nearest number of a half type, as storing it does."""
    return Expr("rounded", (x,), x.dtype, kind)


def where(condition: Expr, then: Operand, otherwise: Operand) -> Expr:
    """``then`` where the condition holds, else ``otherwise``; loads in both may be done."""
    first, second = _pair(then, otherwise)
    return Expr("where", (condition, first, second), first.dtype)


def function(name: str, *args: Operand) -> Expr:
    """One of ``FUNCTIONS`` or ``ARITHMETIC`` by name."""
    if name in FUNCTIONS:
        x = args[0]
        assert isinstance(x, Expr)
        return Expr(name, (x,), bool_ if name == "isnan" else x.dtype)
    if name not in ARITHMETIC:
        raise ValueError(f"no scalar function {name!r}")
    return _binary(name, *args)


def minimum(x: Operand, y: Operand) -> Expr:
    """The smaller one; NaN where one is NaN."""
    return _binary("minimum", x, y)


def maximum(x: Operand, y: Operand) -> Expr:
    """The larger one; NaN where one is NaN."""
    return _binary("maximum", x, y)


def loop_value(variable: Any) -> Expr:
    """The value of a loop variable."""
    return Expr("loop", (), int64, variable)


def number(position: int, kind: dtype = float64) -> Expr:
    """The kernel's scalar argument number ``position``."""
    return Expr("scalar", (), kind, position)


def walk(roots: Sequence[Expr], visit: Callable[[Expr], None]) -> None:
    """Call ``visit`` for every expression under ``roots`` once, operands first."""
    seen: set[int] = set()
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        expr, done = stack.pop()
        if done:
            visit(expr)
        elif id(expr) not in seen:
            seen.add(id(expr))
            stack.append((expr, True))
            stack.extend((arg, False) for arg in reversed(expr.args))


class Reduction:
    """How a reduction is computed, for ``Op.reduce``.

    Attributes:
        op: ``add``, ``mul``, ``maximum``, ``minimum``, ``and``, ``or``.
        prepare: ``prepare(element, spec)``: what is combined, from an element of the input.
        finish: ``finish(total, count, spec)``: the result, from what has been combined and the
            number of elements.
    """

    __slots__ = ("finish", "op", "prepare")

    def __init__(
        self,
        op: str,
        prepare: Callable[..., Expr] | None = None,
        finish: Callable[..., Expr] | None = None,
    ) -> None:
        self.op = op
        self.prepare = prepare or (lambda x, spec: x)
        self.finish = finish or (lambda total, count, spec: total)
