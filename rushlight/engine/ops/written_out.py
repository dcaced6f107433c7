"""What the decompositions of records share: operators written with others, for the compiler.

A decomposition gets ``build(name, *values, **attributes)``, which applies an operator to values
whose ``meta`` is known. Half types are computed in float32 and rounded once, as kernels do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.engine.core.dtype import COMPLEX, FLOATING, dtype, float32
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.op import Op
from rushlight.engine.ir.scalar import Expr, const

Build = Callable[..., Any]


def usable(*values: Any) -> bool:
    """Whether loops can compute with these values: some elements in each, none complex."""
    metas = [value.meta for value in values if value is not None]
    return all(meta.numel and meta.dtype.category != COMPLEX for meta in metas)


def widened(build: Build, x: Any, kind: dtype | None = None) -> Any:
    """``x`` in the type in which ``kind`` (its own type) is computed; ``None`` if it is absent."""
    if x is None:
        return None
    wanted = computing(kind or x.meta.dtype)
    return x if x.meta.dtype is wanted else build("to_dtype", x, dtype=wanted)


def narrowed(build: Build, x: Any, kind: dtype) -> Any:
    """``x`` rounded to the type of a result."""
    return x if x.meta.dtype is kind else build("to_dtype", x, dtype=kind)


def shaped(build: Build, x: Any, shape: Shape) -> Any:
    """A contiguous value seen in another shape."""
    return x if tuple(x.meta.shape) == tuple(shape) else build("view", x, size=tuple(shape))


def all_axes(meta: Meta) -> Shape:
    """The axes of a reduction to one number."""
    return tuple(range(meta.ndim))


def is_half(kind: dtype) -> bool:
    """Whether a type is computed in float32."""
    return kind.category == FLOATING and computing(kind) is float32 and kind is not float32


def source_place(op: Op, meta: Meta, attrs: tuple[Any, ...], index: Sequence[Any]) -> list[Any]:
    """Where an operator that copies elements finds the one at ``index`` of its result."""
    spec = op.specs.get(((meta,), attrs)) or op.specialize((meta,), attrs)
    found: list[Any] = []

    def note(_: int, place: Sequence[Any]) -> Expr:
        found.extend(place)
        return const(0, computing(meta.dtype))

    assert op.element is not None
    op.element(note, index, spec, *attrs)
    return found


def averaged(build: Build, losses: Any, reduction: str, kind: dtype) -> Any:
    """Losses as they are, their mean or their sum, in the type of the result."""
    if reduction != "none":
        name = "mean_all" if reduction == "mean" else "sum_all"
        losses = build(name, losses, dims=all_axes(losses.meta), keepdim=False)
    return narrowed(build, losses, kind)
