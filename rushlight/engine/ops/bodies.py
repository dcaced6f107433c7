"""What the scalar bodies of pointwise records share, and how a body is applied to operands.

A body (``Op.scalar``) gets expressions of the types that ``Op.compute`` names and may give ``None``
where it has nothing for these types; ``expressions`` does the conversions on both sides.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.engine.core.dtype import BOOL, COMPLEX, FLOATING, INTEGRAL, dtype, int64
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.scalar import Expr, Operand, cast, const, function, maximum, minimum


def operand_types(spec: Spec) -> list[dtype | None]:
    """The type each input is converted to before the body; ``None`` for an absent input.

    ``compute`` gives one type for all inputs, or a tuple with one for each, where ``None`` stands
    for the input's own; without ``compute`` every input keeps its own.
    """
    compute = spec.op.compute
    found = compute(spec.inputs, spec.attrs) if compute is not None else None
    wanted = found if isinstance(found, tuple) else (found,) * len(spec.inputs)
    return [
        None if meta is None else computing(kind or meta.dtype)
        for meta, kind in zip(spec.inputs, wanted, strict=True)
    ]


def has_body(spec: Spec) -> bool:
    """Whether the operator's body may be asked for an element: nothing in it is complex."""
    metas = [*spec.outs, *(m for m in spec.inputs if m is not None)]
    return spec.op.scalar is not None and all(m.dtype.category != COMPLEX for m in metas)


def expressions(spec: Spec, operands: Sequence[Expr | None]) -> list[Expr] | None:
    """One element of each output.

    Args:
        spec: the operator.
        operands: an element of each input in the type it is computed in (a number: float64, int64
            or bool); ``None`` for an absent input.

    Returns:
        Expressions of the outputs' types (half types: of float32), or ``None`` where the operator
        has no body for these types.
    """
    if not has_body(spec):
        return None
    given = [
        None if x is None or kind is None else cast(x, kind)
        for x, kind in zip(operands, operand_types(spec), strict=True)
    ]
    assert spec.op.scalar is not None
    made = spec.op.scalar(*given, *spec.attrs)
    if made is None:
        return None
    results = made if isinstance(made, tuple) else (made,)
    return [
        cast(x, computing(meta.dtype)) for x, meta in zip(results, spec.outs, strict=True)
    ]


# bodies -----------------------------------------------------------------------------------------


def same(x: Expr, *_: Any) -> Expr:
    """The first operand itself."""
    return x


def applied(name: str) -> Callable[..., Expr]:
    """The body that is one function of ``ir/scalar.py``."""
    return lambda *operands: function(name, *operands)


def rounded(name: str) -> Callable[[Expr], Expr]:
    """A rounding function; integers stay what they are."""
    return lambda x: function(name, x) if x.floating else x


# arithmetic that has a meaning for booleans too


def plus(x: Expr, y: Expr) -> Expr:
    """The sum; booleans: whether one is true."""
    return x | y if x.dtype.category == BOOL else x + y


def times(x: Expr, y: Expr) -> Expr:
    """The product; booleans: whether both are true."""
    return x & y if x.dtype.category == BOOL else x * y


def larger(x: Expr, y: Expr) -> Expr:
    """The larger one, NaN where one is."""
    return x | y if x.dtype.category == BOOL else maximum(x, y)


def smaller(x: Expr, y: Expr) -> Expr:
    """The smaller one, NaN where one is."""
    return x & y if x.dtype.category == BOOL else minimum(x, y)


def true(x: Expr) -> Expr:
    """Whether ``x`` is not 0."""
    return x if x.dtype.category == BOOL else x.ne(0)


def absolute(x: Expr) -> Expr:
    """The size of ``x``."""
    return function("abs", x) if x.dtype.is_signed else x


def comparable(x: Expr, bound: Expr) -> tuple[Expr, Expr]:
    """A tensor's element and a number as NumPy compares them: the tensor's type, if it can be."""
    if x.dtype.category < FLOATING <= bound.dtype.category:
        return cast(x, bound.dtype), bound
    return x, cast(bound, x.dtype)


def polynomial(x: Expr, coefficients: Sequence[Operand]) -> Expr:
    """The polynomial with these coefficients, highest power first, by Horner's rule."""
    made: Expr = x * coefficients[0]
    for coefficient in coefficients[1:-1]:
        made = (made + coefficient) * x
    return made + coefficients[-1]


# conversion and constants


def converted(x: Expr, dtype: dtype) -> Expr:
    """The body of a conversion: what is too large for a small integer type wraps."""
    if x.floating and dtype.category == INTEGRAL and dtype.itemsize < 8:
        return cast(cast(x, int64), dtype)
    return cast(x, computing(dtype))


def number(value: int) -> Callable[..., Expr]:
    """The body of an operator without inputs: ``value`` everywhere."""
    return lambda shape, dtype: const(value, computing(dtype))
