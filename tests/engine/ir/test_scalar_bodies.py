"""The scalar bodies of pointwise records against their kernels, on hard and on random numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from rushlight.engine.core.dtype import FLOATING, bool_, float64, int64
from rushlight.engine.ir.graph import RULE_FLOAT, RULE_INT, Meta, make_meta
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.op import POINTWISE, Op, Spec
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.bodies import expressions, has_body
from tests.engine.ir.agreement import differing, from_kernel
from tests.engine.ir.collected import mixed, numbers_for, specs_of
from tests.engine.ir.evaluate import converted, evaluate
from tests.ops.harness import attempt

POINTWISES = [op for op in Op.registry.values() if op.kind == POINTWISE]
WITH_BODY = [op.name for op in POINTWISES if op.scalar is not None]

#: Pointwise operators without a body, and why.
WITHOUT = {
    "SciPy's function of several ranges": (
        "erfc erfcx ndtri log_ndtr lgamma digamma polygamma mvlgamma igamma igammac zeta airy_ai "
        "i0 i0e i1 i1e bessel_j0 bessel_j1 bessel_y0 bessel_y1 modified_bessel_i0 "
        "modified_bessel_i1 modified_bessel_k0 modified_bessel_k1 scaled_modified_bessel_k0 "
        "scaled_modified_bessel_k1"
    ),
    "a recurrence as long as the degree, a run-time number": (
        "chebyshev_polynomial_t chebyshev_polynomial_u chebyshev_polynomial_v "
        "chebyshev_polynomial_w shifted_chebyshev_polynomial_t shifted_chebyshev_polynomial_u "
        "shifted_chebyshev_polynomial_v shifted_chebyshev_polynomial_w hermite_polynomial_h "
        "hermite_polynomial_he laguerre_polynomial_l legendre_polynomial_p"
    ),
    "a loop for each element": "gcd lcm",
    "complex operands or results": "conj conj_physical complex polar",
    "neighbours in the half types": "nextafter",
}

def combinations(op: Op) -> Iterator[tuple[list[Meta | None], tuple[Any, ...]]]:
    """Every combination of types and attributes that the samples make, over one axis."""
    seen = set()
    for spec in specs_of(op):
        metas: list[Meta | None] = []
        for meta in spec.inputs:
            plain = meta is None or meta.weak or not meta.ndim
            metas.append(meta if plain else make_meta((1,), meta.dtype))
        key = (tuple(metas), spec.attrs)
        numbers = RULE_FLOAT in metas or RULE_INT in metas
        if key not in seen and not numbers:
            seen.add(key)
            yield metas, spec.attrs


#: Operators that refuse an integer divisor 0.
DIVISIONS = {op.name for op in POINTWISES if op.check is not None and op.check[0] == (1,)}


def operands(name: str, metas: list[Meta | None], seed: int) -> Iterator[list[Any]]:
    """Arrays and numbers for inputs of these metas."""
    generator = np.random.default_rng(seed)
    places = [i for i, meta in enumerate(metas) if meta is not None and not meta.weak]
    arrays = mixed([metas[i].dtype.numpy for i in places], generator)  # type: ignore[union-attr]
    arrays = [
        array if metas[i].ndim else np.array(array[generator.integers(array.size)])  # type: ignore[union-attr]
        for i, array in zip(places, arrays, strict=True)
    ]
    weak = [i for i, meta in enumerate(metas) if meta is not None and meta.weak]
    if name in DIVISIONS and arrays[-1].dtype.kind in "biu" and places[-1] == 1:
        arrays[-1] = np.where(arrays[-1] == 0, 1, arrays[-1]).astype(arrays[-1].dtype)
    signed = all(metas[i].dtype.is_signed for i in places)  # type: ignore[union-attr]
    choices = [numbers_for(metas[i].dtype.category, signed) for i in weak]  # type: ignore[union-attr]
    for turn in range(max(map(len, choices), default=1)):
        given: list[Any] = [None] * len(metas)
        for place, array in zip(places, arrays, strict=True):
            given[place] = array
        for number, (place, choice) in enumerate(zip(weak, choices, strict=True)):
            given[place] = choice[(turn + number) % len(choice)]
        yield given


def leaf(meta: Meta | None, place: int) -> Expr | None:
    """The expression of an element of an input."""
    if meta is None:
        return None
    kind = meta.dtype
    if meta.weak:
        kind = bool_ if kind is bool_ else (int64 if kind.category < FLOATING else float64)
    return Expr("load", (), computing(kind), place)


def from_body(spec: Spec, given: list[Any]) -> list[np.ndarray] | None:
    """The results by the body, in the outputs' types."""
    made = expressions(spec, [leaf(meta, i) for i, meta in enumerate(spec.inputs)])
    if made is None:
        return None

    def read(expr: Expr) -> np.ndarray:
        return np.asarray(given[expr.extra]).astype(expr.dtype.numpy)

    return [
        converted(np.asarray(evaluate(expr, read)), meta.dtype)
        for expr, meta in zip(made, spec.outs, strict=True)
    ]


def refused(spec: Spec, given: list[Any]) -> bool:
    """Whether the record's check refuses these operands; its kernel must then do so, too."""
    if spec.op.check is None:
        return False
    numbers, check = spec.op.check
    _, error = attempt(lambda: check(spec, *spec.attrs)(*[given[k] for k in numbers]))
    if error is not None:
        _, raised = attempt(lambda: from_kernel(spec, given))
        assert repr(raised) == repr(error)
    return error is not None


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", WITH_BODY)
def test_body_agrees_with_the_kernel(name: str) -> None:
    op = Op.registry[name]
    done = 0
    for metas, attrs in combinations(op):
        metas = [m if m is None or not m.ndim else make_meta((2,), m.dtype) for m in metas]
        spec = op.specialize(tuple(metas), attrs)
        if not has_body(spec):
            continue
        for given in operands(name, metas, crc32(repr(spec).encode())):
            made = from_body(spec, given)
            if made is None:
                break
            done += 1
            if refused(spec, given):
                continue
            by_kernel, error = attempt(lambda spec=spec, given=given: from_kernel(spec, given))
            if isinstance(error, OverflowError):  # a number the type cannot hold
                continue
            assert error is None, error
            for ours, expected in zip(made, by_kernel, strict=True):
                bad = differing(name, given, ours, expected)
                if not bad.any():
                    continue
                place = tuple(np.argwhere(bad)[0])
                at = [x[place] if isinstance(x, np.ndarray) and x.ndim else x for x in given]
                pytest.fail(
                    f"{spec}\n{int(bad.sum())} of {bad.size} differ, e.g. for {at}: body "
                    f"{np.broadcast_to(ours, expected.shape)[place]!r}, kernel {expected[place]!r}"
                )
    assert done, "no sample leads to the body"


def test_every_operator_has_a_body_or_a_reason() -> None:
    without = {op.name for op in POINTWISES if op.scalar is None and op.element is None}
    reasons = " ".join(WITHOUT.values()).split()
    assert without == set(reasons)
