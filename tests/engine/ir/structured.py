"""Structured bodies (element, reduce, scatter) and decompositions of records, run with NumPy."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import BOOL, FLOATING, bool_, dtype, float64, int64
from rushlight.engine.ir.buffers import empty_strided
from rushlight.engine.ir.graph import WEAK_METAS, Meta
from rushlight.engine.ir.loops import Loop, as_expr, computing
from rushlight.engine.ir.op import MATMUL, POINTWISE, RANDOM, VIEW, Op, Spec
from rushlight.engine.ir.scalar import Expr, cast
from tests.engine.ir.evaluate import converted, evaluate

COMBINE: dict[str, Any] = {
    "add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "and": np.logical_and, "or": np.logical_or,
}  # fmt: skip


def number_type(meta: Meta) -> dtype:
    """The type in which a number is computed with."""
    if meta.dtype is bool_:
        return bool_
    return int64 if meta.dtype.category < FLOATING else float64


class Grid:
    """Every element of an array at once: loops along its axes, and what is read at an index."""

    def __init__(self, shape: Sequence[int], metas: Sequence[Meta | None], given: Any) -> None:
        self.shape = tuple(shape)
        self.metas = metas
        self.given = given
        self.index: list[Any] = [Loop(n) if n != 1 else 0 for n in shape]

    def load(self, k: int, index: Sequence[Any]) -> Expr:
        """The expression of an element of an input."""
        meta = self.metas[k]
        assert meta is not None, f"input {k} is absent"
        kind = number_type(meta) if meta.weak else computing(meta.dtype)
        assert len(index) == meta.ndim, f"{len(index)} numbers for {meta!r}"
        return Expr("load", (), kind, (k, list(index)))

    def read(self, expr: Expr) -> np.ndarray:
        """The array an expression without operands stands for."""
        if expr.op == "loop":
            return self.part(expr.extra)
        assert expr.op == "load", expr.op
        k, index = expr.extra
        array = np.asarray(self.given[k])
        places = [self.part(part) for part in index]
        for place, size in zip(places, array.shape, strict=True):
            assert place.size == 0 or (place.min() >= 0 and place.max() < size), (
                f"input {k}: index {place.min()}..{place.max()} of {size}"
            )
        found = array[tuple(places)]
        if not places:
            found = found.reshape((1,) * len(self.shape))
        return np.asarray(found).astype(expr.dtype.numpy)

    def part(self, part: Any) -> np.ndarray:
        """The values of a component of an index."""
        for axis, own in enumerate(self.index):
            if own is part and isinstance(part, Loop):
                form = [1] * len(self.shape)
                form[axis] = self.shape[axis]
                return np.arange(self.shape[axis]).reshape(form)
        if isinstance(part, int):
            return np.full((1,) * len(self.shape), part)
        return self.value(as_expr(part, int64))

    def value(self, expr: Expr) -> np.ndarray:
        """The values of an expression, broadcast to the grid."""
        return evaluate(expr, self.read)


def by_element(spec: Spec, given: Sequence[Any]) -> list[np.ndarray] | None:
    """The results by ``element``; ``None`` where it has nothing for this spec."""
    grid = Grid(spec.out.shape, spec.inputs, given)
    made = spec.op.element(grid.load, grid.index, spec, *spec.attrs)  # type: ignore[misc]
    if made is None:
        return None
    results = []
    parts = made if isinstance(made, tuple) else (made,)
    for expr, meta in zip(parts, spec.outs, strict=True):
        assert tuple(meta.shape) == grid.shape, "outputs of several shapes"
        value = grid.value(cast(expr, computing(meta.dtype)))
        results.append(np.broadcast_to(converted(value, meta.dtype), meta.shape))
    return results


def by_reduction(spec: Spec, given: Sequence[Any]) -> list[np.ndarray]:
    """The result by ``reduce``."""
    reduction = spec.op.reduce
    source = spec.inputs[0]
    assert source is not None
    grid = Grid(source.shape, spec.inputs, given)
    prepared = reduction.prepare(grid.load(0, grid.index), spec)
    if reduction.op in ("and", "or"):
        assert prepared.dtype is bool_
        kind = bool_
    elif reduction.op in ("add", "mul"):
        kind = computing(spec.out.dtype)
    else:
        kind = computing(source.dtype)
    assert kind.category != BOOL or reduction.op in ("and", "or")
    elements = np.broadcast_to(grid.value(cast(prepared, kind)), source.shape)
    names = spec.op.attr_names
    dims = tuple(spec.attr("dims")) if "dims" in names else tuple(range(source.ndim))
    with np.errstate(all="ignore"):
        total = np.asarray(COMBINE[reduction.op].reduce(elements, axis=dims))
    count = int(np.prod([source.shape[d] for d in dims], dtype=np.int64))
    leaf = Expr("accumulator", (), kind)
    done = reduction.finish(leaf, count, spec)
    value = evaluate(
        cast(done, computing(spec.out.dtype)), lambda expr: total.astype(kind.numpy)
    )
    return [converted(value, spec.out.dtype).reshape(spec.out.shape)]


def by_scatter(spec: Spec, given: Sequence[Any]) -> list[np.ndarray]:
    """The result by ``scatter``."""
    scatter = spec.op.scatter
    assert scatter is not None
    domain = spec.inputs[scatter.domain]  # type: ignore[attr-defined]
    assert domain is not None
    grid = Grid(domain.shape, spec.inputs, given)
    made = empty_strided(spec.out)
    made[...] = 0
    if not domain.numel:
        return [made]
    index, value = scatter(grid.load, grid.index, spec, *spec.attrs)
    flat = np.lib.stride_tricks.as_strided(made, (spec.out.numel,), (made.itemsize,))
    place = np.zeros(grid.shape, np.int64)
    for part, stride in zip(index, spec.out.strides, strict=True):
        place = place + grid.part(part) * stride
    assert place.min() >= 0
    assert place.max() < spec.out.numel
    value = np.broadcast_to(grid.value(cast(value, computing(spec.out.dtype))), grid.shape)
    np.add.at(flat, place, value.astype(made.dtype))
    return [made]


# decompositions ---------------------------------------------------------------------------------


@dataclass(eq=False)
class Made:
    """A value of a decomposition: what is known of it, and its elements."""

    meta: Meta
    array: Any


class Builder:
    """Applies operators by their interpreter's kernels, and looks at what they are.

    Attributes:
        specs: what has been applied, with the arrays it has been applied to.
    """

    def __init__(self) -> None:
        self.specs: list[tuple[Spec, list[Any]]] = []

    def __call__(self, name: str, *values: Any, **attrs: Any) -> Any:
        op = Op.registry[name]
        given = [self._lift(value) for value in values]
        metas = tuple([None if v is None else v.meta for v in given])
        packed = op.pack(attrs) if op.attr_names else ()
        spec = op.specs.get((metas, packed)) or op.specialize(metas, packed)
        arrays = [None if v is None else v.array for v in given]
        self.specs.append((spec, arrays))
        copies = [x.copy() if isinstance(x, np.ndarray) else x for x in arrays]
        with np.errstate(all="ignore"):
            made = spec.op.kernel(spec, *spec.attrs)(*copies)
        results = made if len(spec.outs) > 1 else (made,)
        values = tuple(
            Made(meta, np.asarray(part)) for meta, part in zip(spec.outs, results, strict=True)
        )
        return list(values) if len(values) > 1 else values[0]

    @staticmethod
    def _lift(value: Any) -> Made | None:
        if value is None or isinstance(value, Made):
            return value
        return Made(WEAK_METAS[type(value)], value)


def compilable(spec: Spec) -> bool:
    """Whether the compiler has something to make of an operator in a decomposition."""
    op = spec.op
    bodies = (op.scalar, op.element, op.reduce, op.scatter, op.decompose)
    return op.kind in (VIEW, MATMUL, RANDOM) or any(body is not None for body in bodies)


def by_decomposition(spec: Spec, given: Sequence[Any]) -> tuple[list[Any], Builder] | None:
    """The results by ``decompose``, and what it consists of."""
    build = Builder()
    values = [
        None if meta is None else Made(meta, array)
        for meta, array in zip(spec.inputs, given, strict=True)
    ]
    made = spec.op.decompose(build, *values, *spec.attrs)  # type: ignore[misc]
    if made is None:
        return None
    results = list(made) if isinstance(made, (tuple, list)) else [made]
    for value, meta in zip(results, spec.outs, strict=True):
        if value is not None:
            assert value.meta is meta, f"{spec!r}: {value.meta!r} instead of {meta!r}"
    for inner, _ in build.specs:
        assert compilable(inner), f"{spec!r} needs {inner!r}"
    return [None if v is None else v.array for v in results], build


WAYS: dict[str, Callable[[Spec, Sequence[Any]], Any]] = {
    "element": by_element, "reduce": by_reduction, "scatter": by_scatter,
}  # fmt: skip

__all__ = ["POINTWISE", "WAYS", "by_decomposition", "by_element", "by_reduction", "by_scatter"]
