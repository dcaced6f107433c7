"""Elements chosen along an axis, and the way back: the gradient of every choice.

``max(dim)``, ``sort``, ``topk``, ``median`` and their like all take elements by index.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, int64
from rushlight.engine.core.shape import normalize_dim
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.op import GATHER, OTHER, REDUCTION, Op, Spec
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.places import Load, Part, Place, broadcast, joined, whole_number
from rushlight.engine.ops.view import unsqueeze
from rushlight.engine.ops.written_out import Build, narrowed, usable

Array = np.ndarray


def tensor_meta(x: Any, function: str) -> Meta:
    """The meta of a tensor argument; PyTorch's error where it is none."""
    try:
        found: Meta = x._value.meta
    except AttributeError:
        raise TypeError(
            f"{function}(): argument 'input' (position 1) must be Tensor, not "
            f"{x.__class__.__name__}"
        ) from None
    return found


def compute_as_out(out: Any, arguments: dict[str, Any]) -> None:
    """Let a function that is given ``out=`` compute in its type, unless it is told another."""
    if arguments.get("dtype") is None:
        arguments["dtype"] = out.dtype


def one_axis(dim: Any, ndim: int, function: str) -> int:
    """One axis counted from the front; 0 for a tensor without axes."""
    if dim.__class__ is not int and not hasattr(dim, "__index__"):
        raise TypeError(f"{function}(): argument 'dim' must be int, not {dim.__class__.__name__}")
    return normalize_dim(dim, ndim)


def require_elements(meta: Meta, dim: int, function: str) -> None:
    """PyTorch's error for choosing from an axis without elements."""
    if meta.ndim and meta.shape[dim] == 0:
        raise IndexError(f"{function}(): Expected reduction dim {dim} to have non-zero size.")


def require_ordered(meta: Meta, function: str) -> None:
    """PyTorch's error for comparing complex numbers."""
    if meta.dtype.is_complex:
        name = SCALAR_NAMES[meta.dtype]
        raise NotImplementedError(f"\"{function}\" not implemented for '{name}'")


def comparable(meta: Meta) -> Callable[[Array], Array]:
    """A function that brings an array to a type NumPy compares fast (exactly)."""
    compute = numpy_compute(meta.dtype)
    if compute == meta.dtype.numpy:
        return lambda x: x
    return lambda x: x.astype(compute)


# along one axis --------------------------------------------------------------------------------


def _take_infer(input: Meta, index: Meta, dim: int, unique: bool) -> Meta:
    return index.like(dtype=input.dtype)


def _take_kernel(spec: Spec, dim: int, unique: bool) -> Callable[[Array, Array], Array]:
    if spec.out.ndim == 0:
        return lambda x, index: x.copy()
    return lambda x, index: np.take_along_axis(x, index, dim)


def _take_element(load: Load, index: Place, spec: Spec, dim: int, unique: bool) -> Expr:
    source = spec.inputs[0]
    assert source is not None
    if not spec.out.ndim:
        return load(0, ())
    place = broadcast(index, source.shape)
    place[dim] = whole_number(load(1, index))
    return load(0, place)


take_along = Op(
    "take_along(Tensor input, Tensor index, int dim, bool unique)",
    kind=GATHER,
    infer=_take_infer,
    kernel=_take_kernel,
    element=_take_element,
    grad={
        "input": lambda g, index, input_meta, dim, unique: spread_along(
            g, index, dim=dim, size=input_meta.shape[dim] if input_meta.ndim else 1, unique=unique
        )
    },
    grad_name="Gather",
)


def _spread_at(
    load: Load, index: Place, spec: Spec, dim: int, size: int, unique: bool
) -> tuple[list[Part], Expr]:
    """Where the gradient of an element that was taken is added, and that gradient."""
    place = list(index)
    if place:
        place[dim] = whole_number(load(1, index))
    return place, load(0, index)


_spread_at.domain = 0  # type: ignore[attr-defined]


def _spread_written_out(
    build: Build, g: Any, index: Any, dim: int, size: int, unique: bool
) -> Any:
    """One element of each row is looked up by its place."""
    if not g.meta.ndim or index.meta.shape[dim] != 1 or g.meta.shape != index.meta.shape:
        return None
    shape = tuple(g.meta.shape)
    own = build("positions", shape=(*shape[:dim], size, *shape[dim + 1 :]), dim=dim)
    zero = build("zeros_", shape=(), dtype=g.meta.dtype)
    return build("where", build("eq", own, index), g, zero)


def _spread_infer(input: Meta, index: Meta, dim: int, size: int, unique: bool) -> Meta:
    if not input.ndim:
        return input
    shape = tuple(input.shape)
    return input.like((*shape[:dim], size, *shape[dim + 1 :]))


def _spread_kernel(spec: Spec, dim: int, size: int, unique: bool) -> Callable[..., Array]:
    shape, kind = tuple(spec.out.shape), spec.out.dtype.numpy
    if not shape:
        return lambda g, index: g.copy()

    def put(g: Array, index: Array) -> Array:
        made = np.zeros(shape, kind)
        np.put_along_axis(made, index, g, dim)
        return made

    compute = numpy_compute(spec.out.dtype)

    def add(g: Array, index: Array) -> Array:
        made = np.zeros(shape, compute)
        where: list[Any] = list(np.indices(g.shape, sparse=True))
        where[dim] = index
        np.add.at(made, tuple(where), g.astype(compute, copy=False))
        return made.astype(kind, copy=False)

    return put if unique else add


spread_along: Op = Op(
    "spread_along(Tensor input, Tensor index, int dim, int size, bool unique)",
    kind=GATHER,
    infer=_spread_infer,
    kernel=_spread_kernel,
    scatter=_spread_at,
    decompose=_spread_written_out,
    grad={"input": lambda g, index, dim, unique: take_along(g, index, dim=dim, unique=unique)},
    grad_name="Scatter",
)


def _positions_kernel(spec: Spec, shape: Any, dim: int | None) -> Callable[[], Array]:
    if dim is None:
        return lambda: np.arange(prod(shape)).reshape(shape)
    form = [1] * len(shape)
    form[dim] = shape[dim]
    return lambda: np.broadcast_to(np.arange(shape[dim]).reshape(form), shape).copy()


def _positions_element(load: Load, index: Place, spec: Spec, shape: Any, dim: int | None) -> Expr:
    return whole_number(joined(index, shape) if dim is None else index[dim])


# the number of every element along an axis, or in row-major order, for the compiler
positions = Op(
    "positions(int[] shape, int? dim)",
    kind=OTHER,
    infer=lambda shape, dim: make_meta(shape, int64),
    kernel=_positions_kernel,
    element=_positions_element,
)


def first_place(build: Build, x: Any, extreme: Any, dim: int | None, keepdim: bool) -> Any:
    """The place of the first element along an axis, or of all, that is the extreme or NaN.

    Args:
        build: applies operators.
        x: the elements.
        extreme: the largest or the smallest, with an axis of size 1 where it was reduced.
        dim: the axis, ``None`` for all elements.
        keepdim: leave the axis as one of size 1.
    """
    shape = tuple(x.meta.shape)
    hit = build("eq", x, extreme)
    if x.meta.dtype.is_floating_point:
        hit = build("logical_or", hit, build("ne", x, x))
    own = build("positions", shape=shape, dim=dim)
    none = prod(shape) if dim is None else shape[dim]
    dims = tuple(range(len(shape))) if dim is None else (dim,)
    return build("amin_", build("where", hit, own, none), dims=dims, keepdim=keepdim)


def chosen_grad(g: Any, index: Any, input_meta: Meta, dim: int, keepdim: bool) -> Any:
    """The gradient of one element chosen along ``dim``: all of it goes to that element."""
    if not input_meta.ndim:
        return g
    if not keepdim:
        g, index = unsqueeze(g, dim=dim), unsqueeze(index, dim=dim)
    return spread_along(g, index, dim=dim, size=input_meta.shape[dim], unique=True)


# ties ------------------------------------------------------------------------------------------


def _share_infer(input: Meta, result: Meta, dims: Any) -> Meta:
    return input.like()


def _share_written_out(build: Build, x: Any, result: Any, dims: Any) -> Any:
    if not usable(x, result):
        return None
    equal = build("eq", x, result)
    if x.meta.dtype.is_floating_point:
        broken = build("logical_and", build("ne", x, x), build("ne", result, result))
        equal = build("logical_or", equal, broken)
    equal = build("to_dtype", equal, dtype=computing(x.meta.dtype))
    count = build("sum", equal, dims=tuple(dims), keepdim=True)
    return narrowed(build, build("div", equal, count), x.meta.dtype)


def _share_kernel(spec: Spec, dims: Any) -> Callable[[Array, Array], Array]:
    out = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)

    def share(x: Array, result: Array) -> Array:
        equal = x == result
        equal |= (x != x) & (result != result)
        count = np.add.reduce(equal, axis=dims, dtype=compute, keepdims=True)
        return np.asarray(equal / count).astype(out)

    return share


# 1/n where an element equals the result of its group, n of them do so; 0 elsewhere
tie_share = Op(
    "tie_share(Tensor input, Tensor result, int[] dims)",
    kind=REDUCTION,
    infer=_share_infer,
    kernel=_share_kernel,
    decompose=_share_written_out,
)
