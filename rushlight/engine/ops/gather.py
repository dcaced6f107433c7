"""gather and take_along_dim: one element per index along an axis."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, int32, int64
from rushlight.engine.core.shape import Shape, broadcast_shapes, normalize_dim
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import GATHER, Op, Spec, composite, hooks
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.index import add_rows, within
from rushlight.engine.ops.places import Load, Place, whole_number
from rushlight.engine.ops.view import expand, numpy_sum

Array = np.ndarray


def out_of_bounds(index: Array, dim: int, size: int) -> RuntimeError:
    """PyTorch's error for the first index that is out of range."""
    wrong = index[(index >= size) | (index < 0)]
    return RuntimeError(
        f"index {int(wrong.flat[0])} is out of bounds for dimension {dim} with size {size}"
    )


def check_bounds(index: Array, dim: int, size: int) -> None:
    """Refuse an index out of range (a negative one, too)."""
    if index.size and not within(index, size):
        raise out_of_bounds(index, dim, size)


def check_known(index: Any, meta: Meta, dim: int) -> None:
    """The same at the call, where the index has been computed already."""
    buffer = index._read().buffer
    if max(index.ndim, 1) != max(meta.ndim, 1):
        return
    if isinstance(buffer, np.ndarray) and buffer.dtype.kind == "i":
        check_bounds(buffer, dim, meta.shape[dim] if meta.ndim else 1)


def full_shape(meta: Meta) -> Shape:
    """The shape, that of a 0-d tensor as one axis of size 1."""
    return tuple(meta.shape) or (1,)


def grid(shape: Shape, dim: int) -> list[Any]:
    """NumPy indices that run along every axis of ``shape``; the place of ``dim`` is to be set."""
    ndim = len(shape)
    return [
        np.arange(n).reshape((n,) + (1,) * (ndim - axis - 1)) if axis != dim else None
        for axis, n in enumerate(shape)
    ]


def flat_places(index: Array, dim: int, whole: Shape) -> Array:
    """Where each index leads in an array of shape ``whole`` read row by row."""
    inner = prod(whole[dim + 1 :])
    places = index.astype(np.int64) * inner
    step = 1
    for axis in range(len(whole) - 1, -1, -1):
        if axis != dim:
            size = index.shape[axis]
            places += (np.arange(size) * step).reshape((size,) + (1,) * (len(whole) - axis - 1))
        step *= whole[axis]
    return places


def check_sizes(index: Meta, input: Meta, dim: int) -> None:
    """PyTorch's errors for an index that does not fit to what it picks from."""
    if index.dtype is not int64 and index.dtype is not int32:
        raise RuntimeError(
            "gather(): Expected dtype int32/int64 for index\nConvert the index with .long()."
        )
    if not index.numel:
        return
    if max(index.ndim, 1) != max(input.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for axis, size in enumerate(index.shape):
        if axis != dim and size > full_shape(input)[axis]:
            raise RuntimeError(
                f"Size does not match at dimension {axis} expected index {list(index.shape)} to be "
                f"no larger than self {list(input.shape)} apart from dimension {dim}"
            )


def _infer(input: Meta, index: Meta, dim: int) -> Meta:
    check_sizes(index, input, dim)
    return input.like(tuple(index.shape))


def _kernel(spec: Spec, dim: int) -> Callable[..., Array]:
    source, given = spec.inputs
    assert source is not None
    assert given is not None
    whole, shape = full_shape(source), full_shape(given)
    size = whole[dim]
    if not given.numel:
        return lambda x, index: np.empty(given.shape, x.dtype)
    part = tuple(
        slice(None) if axis == dim else slice(shape[axis]) for axis in range(len(whole))
    )
    where = grid(shape, dim)

    def call(x: Array, index: Array) -> Array:
        check_bounds(index, dim, size)
        found = list(where)
        found[dim] = index.reshape(shape)
        return np.asarray(x.reshape(whole)[part][tuple(found)]).reshape(given.shape)

    return call


def _check(spec: Spec, dim: int) -> Callable[[Array], None]:
    source = spec.inputs[0]
    assert source is not None
    size = full_shape(source)[dim]
    return lambda index: check_bounds(index, dim, size)


def _element(load: Load, index: Place, spec: Spec, dim: int) -> Expr:
    source = spec.inputs[0]
    assert source is not None
    place = list(index) or [0]
    place[dim] = whole_number(load(1, index))
    return load(0, place if source.ndim else ())


def _embed_at(
    load: Load, index: Place, spec: Spec, shape: Shape, dim: int
) -> tuple[list[Any], Expr]:
    """Where the gradient of an element that was gathered is added, and that gradient."""
    place = list(index) or [0]
    place[dim] = whole_number(load(1, index))
    return place if shape else [], load(0, index)


_embed_at.domain = 0  # type: ignore[attr-defined]


def _embed_check(spec: Spec, shape: Shape, dim: int) -> Callable[[Array], None]:
    return lambda index: check_bounds(index, dim, (shape or (1,))[dim])


gather_op = Op(
    "gather(Tensor input, Tensor index, int dim)",
    kind=GATHER,
    infer=_infer,
    kernel=_kernel,
    element=_element,
    check=((1,), _check),
    grad={
        "input": lambda g, index, input_meta, dim: gather_embed(
            g, index, shape=tuple(input_meta.shape), dim=dim
        )
    },
    may_fail=True,
)


def _embed_kernel(spec: Spec, shape: Shape, dim: int) -> Callable[..., Array]:
    whole = shape or (1,)
    found = spec.out.dtype.numpy
    compute = numpy_sum(found)

    def call(g: Array, index: Array) -> Array:
        made = np.zeros(prod(whole), compute)
        if index.size:
            places = flat_places(index.reshape(index.shape or (1,)), dim, whole)
            add_rows(made, places.reshape(-1), g.reshape(-1).astype(compute, copy=False))
        return made.reshape(shape).astype(found, copy=False)

    return call


gather_embed: Op = Op(
    "gather_embed(Tensor input, Tensor index, int[] shape, int dim)",
    kind=GATHER,
    infer=lambda input, index, shape, dim: make_meta(shape, input.dtype),
    kernel=_embed_kernel,
    scatter=_embed_at,
    check=((1,), _embed_check),
    grad={"input": lambda g, index, dim: gather_op(g, index, dim=dim)},
    may_fail=True,
    grad_name="ScatterAdd",
)


@composite(
    method=True,
    samples=(
        S(t(3, 4), 0, ti(2, 4, low=0, high=3)),
        S(t(3, 4), 1, ti(3, 2, low=0, high=4)),
        S(t(3, 4), -1, ti(2, 1, low=0, high=4)),
        S(t(5), 0, ti(3, values=[4, 4, 0])),
        S(t(), 0, ti(2, values=[0, 0])),
        S(t(2, 3), 1, ti(0, 3)),
    ),
    errors=(
        ErrorSample(S(t(3), 0, ti(1, values=[5])), RuntimeError, "index 5 is out of bounds"),
        ErrorSample(S(t(3, 2), 0, ti(1, values=[0])), RuntimeError, "same number of dimensions"),
    ),
)
def gather(input: Any, dim: int, index: Any, *, sparse_grad: bool = False) -> Any:
    """The elements of ``input`` that ``index`` names along ``dim``, at the other axes' places.

    Args:
        input: any tensor.
        dim: the axis along which is indexed.
        index: int64 or int32, as many axes as ``input``; the result has its shape.
        sparse_grad: accepted; gradients are dense.

    See https://pytorch.org/docs/stable/generated/torch.gather.html.

    >>> import rushlight as torch
    >>> torch.gather(torch.tensor([[1, 2], [3, 4]]), 1, torch.tensor([[0], [1]]))
    tensor([[1],
            [4]])
    """
    meta = input._value.meta
    dim = normalize_dim(dim, meta.ndim)
    check_known(index, meta, dim)
    return hooks.record(gather_op, (input, index), (dim,))


@composite(
    method=True,
    samples=(
        S(t(2, 3), ti(2, 1, values=[[0], [2]]), 1),
        S(t(2, 3), ti(1, 3, values=[[0, 1, 1]]), 0),
        S(t(2, 3), ti(2, values=[5, 0])),
    ),
)
def take_along_dim(input: Any, indices: Any, dim: int | None = None) -> Any:
    """The elements of ``input`` that ``indices`` names along ``dim``; other axes broadcast.

    Args:
        input: any tensor.
        indices: int64.
        dim: the axis; if absent, both are read row by row.

    See https://pytorch.org/docs/stable/generated/torch.take_along_dim.html.

    >>> import rushlight as torch
    >>> torch.take_along_dim(torch.tensor([[3, 1], [2, 4]]), torch.tensor([[0]]), dim=1)
    tensor([[3],
            [2]])
    """
    if indices.dtype is not int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{SCALAR_NAMES[indices.dtype]}"
        )
    if dim is None:
        return gather(input.reshape(-1), 0, indices.reshape(-1))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            f"but got {input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    dim = normalize_dim(dim, input.ndim)
    rows = [1 if axis == dim else n for axis, n in enumerate(input.shape)]
    columns = [1 if axis == dim else n for axis, n in enumerate(indices.shape)]
    shape = list(broadcast_shapes(rows, columns))

    def fitted(tensor: Any) -> Any:
        wanted = tuple(tensor.shape[dim] if axis == dim else n for axis, n in enumerate(shape))
        return tensor if tuple(tensor.shape) == wanted else expand(tensor, size=wanted)

    return gather(fitted(input), dim, fitted(indices))
