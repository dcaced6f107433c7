"""Bodies and decompositions of structured records against their kernels, on every sample."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any
from zlib import crc32

import numpy as np
import pytest

from rushlight.engine.core.dtype import COMPLEX, FLOATING
from rushlight.engine.ir.op import RANDOM, Op, Spec
from tests.engine.ir.captured import Runs, captured
from tests.engine.ir.structured import WAYS, by_decomposition
from tests.ops.harness import attempt

NAMES = sorted(
    op.name for op in Op.registry.values()
    if any(part is not None for part in (op.element, op.reduce, op.scatter, op.decompose))
)  # fmt: skip

#: Allowed error by the size of a number, relative to the largest of a result.
ALLOWED = {2: 2.0**-6, 4: 1e-5, 8: 1e-11}

#: Operators that refuse numbers of other sizes than the samples'.
PARTICULAR = frozenset(("binary_cross_entropy_", "dropout_noise"))


#: What is put among the numbers of an operator, if not NaN and both infinities.
STRANGE = {
    "native_group_norm_backward": (np.nan,),  # sums over a channel before its infinite weight
    "attention_": (),  # what is masked: not looked at, or times 0
    "attention_backward": (),
}


def by_kernel(spec: Spec, given: Sequence[Any]) -> list[np.ndarray]:
    """The results by the record's own kernel."""
    copies = [x.copy() if isinstance(x, np.ndarray) else x for x in given]
    with np.errstate(all="ignore"):
        made = spec.op.kernel(spec, *spec.attrs)(*copies)
    return [np.asarray(part) for part in (made if len(spec.outs) > 1 else (made,))]


def harder(spec: Spec, given: Sequence[Any]) -> Iterator[list[Any]]:
    """The inputs; the same with numbers that are often equal; the same with a few that are not."""
    yield list(given)
    if spec.op.name in PARTICULAR or spec.op.kind == RANDOM:
        return
    generator = np.random.default_rng(crc32(repr(spec).encode()))
    floats = [
        i for i, meta in enumerate(spec.inputs)
        if meta is not None and not meta.weak and meta.dtype.category == FLOATING
        and given[i].size and 0 not in meta.strides
    ]  # fmt: skip
    if not floats:
        return
    equal = list(given)
    for i in floats:
        equal[i] = np.rint(given[i].astype(np.float64)).astype(given[i].dtype)
    yield equal
    for strange in STRANGE.get(spec.op.name, (np.nan, np.inf, -np.inf)):
        spoiled = list(given)
        for i in floats:
            spoiled[i] = given[i].copy(order="K")
            chosen = tuple(generator.integers(n) for n in given[i].shape)
            spoiled[i][chosen] = strange
        yield spoiled


def size_of(array: Any) -> float:
    """The largest finite number of an array, by its size."""
    if not isinstance(array, np.ndarray) or array.dtype.kind in "biu":
        return 0.0
    numbers = np.abs(array.astype(np.float64))
    return float(numbers[np.isfinite(numbers)].max(initial=0.0))


def assert_agree(
    spec: Spec, given: Sequence[Any], ours: Any, expected: np.ndarray, way: str
) -> None:
    """Compare one result; what cancels may be as far off as its operands allow."""
    assert ours.dtype == expected.dtype, f"{spec!r} by {way}: {ours.dtype}"
    assert ours.shape == expected.shape, f"{spec!r} by {way}: {ours.shape}"
    if expected.dtype.kind in "biu":
        assert (ours == expected).all(), f"{spec!r} by {way}"
        return
    ours, expected = ours.astype(np.float64), expected.astype(np.float64)
    size = spec.out.dtype.itemsize if spec.out.dtype.category == FLOATING else 4
    operands = max(map(size_of, given), default=0.0)
    scale = max(size_of(expected), operands if way == "reduce" else min(1.0, operands), 1e-3)
    np.testing.assert_allclose(
        ours, expected, rtol=0, atol=ALLOWED[size] * scale, err_msg=f"{spec!r} by {way}"
    )


def check_body(spec: Spec, given: Sequence[Any], expected: Sequence[np.ndarray]) -> bool:
    """Compare what a record says of its elements with its kernel; whether it says anything."""
    done = False
    for way, function in WAYS.items():
        if getattr(spec.op, way) is None:
            continue
        made = function(spec, given)
        if made is None:
            continue
        done = True
        for ours, wanted in zip(made, expected, strict=True):
            assert_agree(spec, given, ours, wanted, way)
    return done


@cache
def inner_runs() -> Runs:
    """What decompositions apply: operators that are never recorded are among them."""
    found: Runs = {}
    for spec, given in captured().items():
        if spec.op.decompose is not None and plain(spec):
            made, _ = attempt(lambda spec=spec, given=given: by_decomposition(spec, given))
            for inner, arrays in made[1].specs if made is not None else ():
                if inner.op.scalar is None:
                    found.setdefault(inner, arrays)
    return found


def plain(spec: Spec) -> bool:
    """Whether the compiler's loops take these types at all."""
    metas = [*spec.outs, *(meta for meta in spec.inputs if meta is not None)]
    return all(meta.dtype.category != COMPLEX for meta in metas)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", NAMES)
def test_agrees_with_the_kernel(name: str) -> None:
    done = 0
    for runs in (captured(), inner_runs()):
        for spec, given in runs.items():
            if spec.op.name != name or not plain(spec):
                continue
            for arrays in harder(spec, given):
                done += check(spec, arrays)
    assert done, "no sample leads to what the record says"


def check(spec: Spec, given: Sequence[Any]) -> bool:
    """Compare all that a record says for one spec."""
    expected = by_kernel(spec, given)
    made = by_decomposition(spec, given) if spec.op.decompose is not None else None
    if made is not None:
        for ours, wanted in zip(made[0], expected, strict=True):
            if ours is not None:
                assert_agree(spec, given, ours, wanted, "decompose")
        return True
    return check_body(spec, given, expected)
