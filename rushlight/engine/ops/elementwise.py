"""What all pointwise operators share: promotion, broadcasting, layout and the NumPy kernel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import numpy as np

from rushlight.engine.core.dtype import (
    BOOL,
    COMPLEX,
    FLOATING,
    bool_,
    default_complex,
    dtype,
    float32,
    get_default_dtype,
    promote_types,
)
from rushlight.engine.core.shape import broadcast_shapes, pointwise_strides
from rushlight.engine.ir.graph import RULE_FLOAT, RULE_INT, Meta, make_meta, strided_meta
from rushlight.engine.ir.op import POINTWISE, Op, Spec

#: From this many elements on a kernel may write over its first input: measured for x + y of
#: float32, 1.2 us of 3.7 are saved at 65536 elements, which pays for asking who holds it.
INTO_FROM: Final = 65536

#: How the result type follows from the inputs' common type.
SAME, FLOAT, COMPARE, REAL = "same", "float", "compare", "real"


def _weak_dtype(meta: Meta) -> dtype:
    if meta.dtype.category == FLOATING:
        return get_default_dtype()
    return default_complex() if meta.dtype.category == COMPLEX else meta.dtype


def _combine(higher: dtype | None, lower: dtype | None) -> dtype | None:
    """Type of a group of operands together with one of lower priority."""
    if higher is None or lower is None:
        return higher or lower
    if higher.category == COMPLEX:
        return higher
    if higher.category == FLOATING:
        return higher.to_complex() if lower.category == COMPLEX else higher
    if higher.category == BOOL or lower.category >= FLOATING:
        return promote_types(higher, lower)
    return higher


def result_type(metas: Sequence[Meta]) -> dtype:
    """The common type: tensors with dimensions decide before 0-d ones, these before numbers.

    See https://pytorch.org/docs/stable/tensor_attributes.html#type-promotion-doc.
    """
    groups: list[dtype | None] = [None, None, None]
    for meta in metas:
        found = _weak_dtype(meta) if meta.weak else meta.dtype
        place = 2 if meta.weak else (1 if meta.ndim == 0 else 0)
        have = groups[place]
        groups[place] = found if have is None else promote_types(have, found)
    common = _combine(_combine(groups[0], groups[1]), groups[2])
    assert common is not None
    return common


def as_floating(found: dtype) -> dtype:
    """The default floating-point type in place of an integral or boolean one."""
    return found if found.category >= FLOATING else get_default_dtype()


def numpy_compute(found: dtype) -> np.dtype:
    """The NumPy type to compute in: the half types are computed in float32 and rounded once."""
    if found.category == FLOATING and found.itemsize < 4:
        return float32.numpy
    return found.numpy


def compute_dtype(metas: Sequence[Meta], rule: str) -> dtype:
    """The type the inputs are converted to before the operation."""
    common = result_type(metas)
    return as_floating(common) if rule == FLOAT else common


def broadcast_meta(metas: Sequence[Meta], out: dtype) -> Meta:
    """Shape and layout of a pointwise result of type ``out``."""
    if all(m.contiguous for m in metas):
        first = metas[0]
        if len(metas) == 1:
            return make_meta(first.shape, out)
        shape = broadcast_shapes(*[m.shape for m in metas])
        return make_meta(shape, out)
    shape = broadcast_shapes(*[m.shape for m in metas])
    operands = [(tuple(m.shape), m.strides) for m in metas if not m.weak]
    return strided_meta(shape, pointwise_strides(shape, operands), out)


def rule_number(metas: Sequence[Meta], rule: str) -> Meta | None:
    """The meta of a number computed from the numbers of a captured rule, ``None`` otherwise."""
    if RULE_FLOAT not in metas and RULE_INT not in metas:
        return None
    if not all(m.weak for m in metas):
        return None
    whole = all(m.dtype.category < FLOATING for m in metas) and rule == SAME
    return RULE_INT if whole else RULE_FLOAT


def infer_rule(rule: str, count: int) -> Callable[..., Meta]:
    """The ``infer`` of a pointwise operator with ``count`` tensor inputs."""

    def infer(*arguments: Any) -> Meta:
        metas = arguments[:count]
        if metas[0].weak or metas[-1].weak:
            number = rule_number(metas, rule)
            if number is not None:
                return number
        found = compute_dtype(metas, rule)
        if rule == COMPARE:
            found = bool_
        elif rule == REAL:
            found = found.to_real()
        return broadcast_meta(metas, found)

    return infer


def converter(meta: Meta, target: np.dtype) -> Callable[[Any], Any] | None:
    """How to bring an input to the computing type, ``None`` if it already has it."""
    if not meta.weak:
        return None if meta.dtype.numpy == target else lambda x: x.astype(target)
    if target.kind in "fc" and meta.dtype.category <= (COMPLEX if target.kind == "c" else FLOATING):
        return None  # NumPy takes a Python number in the array's own type
    if target.kind in "iu":
        low_bits = (1 << 8 * target.itemsize) - 1

        def wrap_around(x: Any) -> np.ndarray:  # as C does
            if isinstance(x, int):
                return np.asarray(x & low_bits, np.uint64).astype(target)
            return np.asarray(x).astype(target)

        return wrap_around
    return lambda x: np.asarray(x).astype(target)


def numpy_kernel(function: Callable[..., Any], rule: str, count: int) -> Callable[..., Any]:
    """The kernel factory of a pointwise operator from a NumPy function."""

    def prepare(spec: Spec, *attrs: Any) -> Callable[..., Any]:
        metas = [m for m in spec.inputs if m is not None]
        if spec.out.weak:
            kind = np.float64 if spec.out is RULE_FLOAT else np.int64
            return lambda *numbers: function(*[kind(x) for x in numbers], *attrs).item()
        target = numpy_compute(compute_dtype(metas, rule))
        converters = [converter(meta, target) for meta in metas]
        if all(m.weak for m in metas):
            converters = [lambda x: np.asarray(x).astype(target)] * len(metas)
        out = spec.out.dtype.numpy
        exact = out == target or (out == np.bool_ and rule == COMPARE)
        if attrs:
            inner = lambda *arrays: function(*arrays, *attrs)  # noqa: E731
        else:
            inner = function
        if not any(converters):
            call = inner
        elif count == 1:
            first = converters[0]
            call = lambda x: inner(first(x))  # type: ignore[misc]  # noqa: E731
        else:

            def call(*arrays: Any) -> Any:
                return inner(
                    *[x if c is None else c(x) for x, c in zip(arrays, converters, strict=True)]
                )

        if not exact:
            return lambda *arrays: np.asarray(call(*arrays)).astype(out)
        if spec.out.ndim == 0:
            return lambda *arrays: np.asarray(call(*arrays), out)
        if isinstance(call, np.ufunc) and metas[0] is spec.out and spec.out.numel >= INTO_FROM:
            return _overwriting(call)
        return call

    return prepare


def _overwriting(function: np.ufunc) -> Callable[..., Any]:
    """A kernel that can also write over its first input."""

    def kernel(*arrays: Any) -> Any:
        return function(*arrays)

    kernel.into = lambda x, *rest: function(x, *rest, out=x)  # type: ignore[attr-defined]
    return kernel


def pointwise(
    schema: str,
    function: Callable[..., Any],
    *,
    rule: str = SAME,
    **record: Any,
) -> Op:
    """Record a pointwise operator.

    Args:
        schema: its signature, see ``Op``.
        function: NumPy function of the arrays (all of the computing type) and the attributes.
        rule: ``SAME`` result type as computed; ``FLOAT`` integers become floating point first;
            ``COMPARE`` a boolean result; ``REAL`` the real type of a complex one.
        record: the other fields of ``Op``.
    """
    count = schema.count("Tensor")
    record.setdefault("infer", infer_rule(rule, count))
    record.setdefault("kernel", numpy_kernel(function, rule, count))
    record.setdefault("compute", lambda metas, attrs: compute_dtype(metas, rule))
    return Op(schema, kind=POINTWISE, **record)
