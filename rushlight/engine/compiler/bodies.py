"""Applying the bodies of operator records to scalar expressions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight.engine.compiler import choices
from rushlight.engine.core.dtype import FLOATING, dtype, float64, int64
from rushlight.engine.ir.graph import RULE_FLOAT, WEAK_FLOAT, Meta
from rushlight.engine.ir.loops import Loop, computing
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.scalar import Expr, cast, number, rounded, walk
from rushlight.engine.ops.bodies import expressions

_DEAR = frozenset(
    ("exp", "exp2", "expm1", "log", "log2", "log10", "log1p", "sin", "cos", "tan", "asin", "acos",
     "atan", "sinh", "cosh", "tanh", "asinh", "acosh", "atanh", "erf", "sigmoid", "pow", "atan2",
     "fmod", "quotient", "rest")
)  # fmt: skip


def apply_scalar(spec: Spec, operands: Sequence[Expr | None]) -> list[Expr] | None:
    """The body of a pointwise operator on elements of its inputs; ``None`` if it has none."""
    if not spec.out.weak:
        made = expressions(spec, operands)
        return None if made is None else _narrowed(spec, made)
    # numbers from the numbers of an optimizer's rule are computed in double precision
    assert spec.op.scalar is not None
    target = float64 if spec.out is RULE_FLOAT else int64
    converted = [None if x is None else cast(x, target) for x in operands]
    number = spec.op.scalar(*converted, *spec.attrs)
    return None if number is None else [cast(number, target)]


def apply_element(spec: Spec, load: Any, index: Sequence[Any]) -> tuple[Expr, ...] | None:
    """One element of each output of an operator that looks its elements up."""
    assert spec.op.element is not None
    made = spec.op.element(load, index, spec, *spec.attrs)
    if made is None:
        return None
    if not isinstance(made, tuple):
        made = (made,)
    return tuple(_narrowed(spec, [
        cast(x, computing(meta.dtype)) for x, meta in zip(made, spec.outs, strict=True)
    ]))  # fmt: skip


def _narrowed(spec: Spec, made: Sequence[Expr]) -> list[Expr]:
    """Results of half types rounded to them, though they are float32 in registers."""
    return [narrowed(x, meta.dtype) for x, meta in zip(made, spec.outs, strict=True)]


def narrowed(x: Expr, kind: dtype) -> Expr:
    """``x`` as a buffer of type ``kind`` would hold it."""
    return rounded(x, kind) if kind.category == FLOATING and kind.itemsize < 4 else x


def number_type(meta: Meta) -> dtype:
    """The type in which a run-time number reaches native code."""
    return float64 if meta in (WEAK_FLOAT, RULE_FLOAT) else int64


_samples: dict[Spec, tuple[Expr, ...] | None] = {}


def has_body(spec: Spec) -> bool:
    """Whether an element of the outputs can be written as an expression."""
    return _sample(spec) is not None


def body_cost(spec: Spec) -> int:
    """Rough number of scalar operations of a body."""
    found = _sample(spec)
    assert found is not None
    return _count(found)


def _sample(spec: Spec) -> tuple[Expr, ...] | None:
    """The body on operands that stand for nothing, to look at it."""
    if spec in _samples:
        return _samples[spec]

    def operand(k: int) -> Expr | None:
        meta = spec.inputs[k]
        if meta is None:
            return None
        return number(k, number_type(meta) if meta.weak else computing(meta.dtype))

    made: Sequence[Expr] | None = None
    if spec.op.scalar is not None:
        made = apply_scalar(spec, [operand(k) for k in range(len(spec.inputs))])
    elif spec.op.element is not None:
        index = [Loop(n) if n != 1 else 0 for n in spec.out.shape]
        made = apply_element(spec, lambda k, _: operand(k), index)
    _samples[spec] = None if made is None else tuple(made)
    return _samples[spec]


def _count(roots: Sequence[Expr]) -> int:
    total = 0

    def visit(expr: Expr) -> None:
        nonlocal total
        if expr.op in _DEAR:
            total += choices.DEAR
        elif expr.op not in ("const", "scalar", "loop", "cast", "load"):
            total += 1

    walk(roots, visit)
    return total
