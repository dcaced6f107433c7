"""Elements chosen along an axis, and the way back: the gradient of every choice.

``max(dim)``, ``sort``, ``topk``, ``median`` and their like all take elements by index.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES
from rushlight.engine.core.shape import normalize_dim
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import GATHER, REDUCTION, Op, Spec
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.view import unsqueeze

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


take_along = Op(
    "take_along(Tensor input, Tensor index, int dim, bool unique)",
    kind=GATHER,
    infer=_take_infer,
    kernel=_take_kernel,
    grad={
        "input": lambda g, index, input_meta, dim, unique: spread_along(
            g, index, dim=dim, size=input_meta.shape[dim] if input_meta.ndim else 1, unique=unique
        )
    },
    grad_name="Gather",
)


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
    grad={"input": lambda g, index, dim, unique: take_along(g, index, dim=dim, unique=unique)},
    grad_name="Scatter",
)


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
)
