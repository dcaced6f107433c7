"""Grids and combinations of tensors: meshgrid, cartesian_prod, block_diag, broadcast_tensors."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from itertools import combinations as subsets, combinations_with_replacement
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import dtype, int64, promote_types
from rushlight.engine.core.shape import Size, broadcast_shapes as common_shape
from rushlight.engine.ir.graph import Meta, TensorBase, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, composite, constant, hooks
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops import view as primitive
from rushlight.engine.ops.index_axis import index_select_op
from rushlight.engine.ops.join import stack_op
from rushlight.engine.ops.places import (
    MOST_JOINED,
    Load,
    Place,
    as_result,
    below,
    both,
    from_on,
    guarded,
    pick,
    plus,
)
from rushlight.engine.ops.rearrange import flip_op

# broadcasting ----------------------------------------------------------------------------------


@composite(samples=(S((2, 1), (3,), ()), S(3, (2, 1)), S()))
def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes broadcast to.

    See https://pytorch.org/docs/stable/generated/torch.broadcast_shapes.html.

    >>> import rushlight as torch
    >>> torch.broadcast_shapes((2, 1), (3,))
    torch.Size([2, 3])
    """
    listed = [(s,) if isinstance(s, int) else tuple(s) for s in shapes]
    have: list[int] = []
    for number, shape in enumerate(listed):
        have = [1] * (len(shape) - len(have)) + have
        for place in range(-1, -1 - len(shape), -1):
            size = shape[place]
            if size < 0:
                raise ValueError("Attempting to broadcast a dimension with negative length!")
            if size == 1 or have[place] == size:
                continue
            if have[place] != 1:
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {size} at {place}! Mismatching "
                    f"argument at index {number} had {shape}; but expected shape should be "
                    f"broadcastable to {have}"
                )
            have[place] = size
    return Size(have)


def _sequence(tensors: tuple[Any, ...]) -> Sequence[Any]:
    """Tensors given one by one, or as one list."""
    if len(tensors) == 1 and isinstance(tensors[0], (list, tuple)):
        return tensors[0]
    return tensors


def _expanded(tensor: Any, shape: tuple[int, ...]) -> Any:
    if tuple(tensor.shape) == shape:
        return tensor
    return hooks.record(primitive.expand, (tensor,), (shape,))


@composite(samples=(S(t(3, 1), t(4)), S(t(2), t(2)), S(t(), t(2, 1))))
def broadcast_tensors(*tensors: Any) -> tuple[Any, ...]:
    """The tensors expanded to their common shape, as views.

    See https://pytorch.org/docs/stable/generated/torch.broadcast_tensors.html.

    >>> import rushlight as torch
    >>> torch.broadcast_tensors(torch.ones(2, 1), torch.ones(3))[0].shape
    torch.Size([2, 3])
    """
    listed = _sequence(tensors)
    shape = common_shape(*[x.shape for x in listed])
    return tuple(_expanded(x, shape) for x in listed)


# grids -----------------------------------------------------------------------------------------


def _grid(tensors: Sequence[Any], swapped: bool) -> tuple[Any, ...]:
    if not tensors:
        raise RuntimeError("meshgrid expects a non-empty TensorList")
    for x in tensors:
        if x.ndim > 1:
            raise RuntimeError(
                f"torch.meshgrid: Expected 0D or 1D tensor in the tensor list but got: {x}"
            )
        if x.dtype is not tensors[0].dtype:
            raise RuntimeError("meshgrid expects all tensors to have the same dtype")
    order = list(range(len(tensors)))
    if swapped and len(order) > 1:
        order[0], order[1] = 1, 0
    shape = [1] * len(order)
    for x, axis in zip(tensors, order, strict=True):
        shape[axis] = x.numel()
    made = []
    for x, axis in zip(tensors, order, strict=True):
        sizes = tuple(n if place == axis else 1 for place, n in enumerate(shape))
        line = hooks.record(primitive.view, (x,), (sizes,))
        made.append(hooks.record(primitive.expand, (line,), (tuple(shape),)))
    return tuple(made)


@composite(
    samples=(
        S(t(2), t(3), indexing="ij"), S(t(2), t(3), indexing="xy"), S([t(2), t(3)], indexing="ij"),
        S(t(2), t(3), t(2), indexing="xy"), S(t(), t(3), indexing="ij"),
    ),
    errors=(
        ErrorSample(S(t(2), t(2), indexing="ab"), RuntimeError, 'must be one of "xy" or "ij"'),
    ),
)  # fmt: skip
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Any, ...]:
    """Grids of coordinates from 1-d tensors, as views.

    Args:
        tensors: the coordinates along each axis.
        indexing: ``"ij"``: the first tensor runs along the first axis; ``"xy"``: along the second.

    See https://pytorch.org/docs/stable/generated/torch.meshgrid.html.

    >>> import rushlight as torch
    >>> torch.meshgrid(torch.tensor([1, 2]), torch.tensor([5, 6]), indexing="ij")[0]
    tensor([[1, 1],
            [2, 2]])
    """
    if indexing is None:
        warnings.warn(
            "torch.meshgrid: in an upcoming release, it will be required to pass the indexing "
            "argument. Pass indexing='ij' for what it does now.",
            UserWarning,
            stacklevel=3,
        )
    elif indexing not in ("ij", "xy"):
        raise RuntimeError(
            f'torch.meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}'
        )
    return _grid(_sequence(tensors), indexing == "xy")


def _require_vector(x: Any) -> None:
    if x.ndim != 1:
        raise RuntimeError(f"Expect a 1D vector, but got shape {list(x.shape)}")


@composite(samples=(S(t(2), t(3)), S(t(3)), S(t(2), t(2), t(2))))
def cartesian_prod(*tensors: Any) -> Any:
    """All ways to take one element of each of several 1-d tensors, one per row.

    See https://pytorch.org/docs/stable/generated/torch.cartesian_prod.html.

    >>> import rushlight as torch
    >>> torch.cartesian_prod(torch.tensor([1, 2]), torch.tensor([5, 6])).tolist()
    [[1, 5], [1, 6], [2, 5], [2, 6]]
    """
    listed = _sequence(tensors)
    for x in listed:
        _require_vector(x)
    if len(listed) == 1:
        return listed[0]
    columns = [grid.reshape(-1) for grid in _grid(listed, False)]
    return hooks.record(stack_op, columns, (1,))


@composite(samples=(S(t(4)), S(t(4), 3), S(t(3), 2, True), S(t(3), 1), S(t(2), 3)))
def combinations(input: Any, r: int = 2, with_replacement: bool = False) -> Any:
    """All ways to take ``r`` elements of a 1-d tensor, in order, one per row.

    See https://pytorch.org/docs/stable/generated/torch.combinations.html.

    >>> import rushlight as torch
    >>> torch.combinations(torch.tensor([1, 2, 3])).tolist()
    [[1, 2], [1, 3], [2, 3]]
    """
    _require_vector(input)
    if r < 0:
        raise RuntimeError(f"Expect a non-negative number, but got {r}")
    if r == 0:
        return input.new_empty((0,))
    choose: Any = combinations_with_replacement if with_replacement else subsets
    rows = np.array(list(choose(range(input.shape[0]), r)), np.int64).reshape(-1, r)
    columns = [
        hooks.record(index_select_op, (input, constant(column)), (0,))
        for column in np.ascontiguousarray(rows.T)
    ]
    return hooks.record(stack_op, columns, (1,))


# matrices made of vectors and blocks -----------------------------------------------------------


def _block_shape(meta: Meta) -> tuple[int, int]:
    shape = (1,) * (2 - meta.ndim) + tuple(meta.shape)
    return shape[0], shape[1]


def _block_infer(*metas: Meta) -> Meta:
    found: dtype = metas[0].dtype
    for number, meta in enumerate(metas):
        if meta.ndim > 2:
            raise RuntimeError(
                "torch.block_diag: Input tensors must have 2 or fewer dimensions. "
                f"Input {number} has {meta.ndim} dimensions"
            )
        found = promote_types(found, meta.dtype)
    shapes = [_block_shape(m) for m in metas]
    return make_meta((sum(s[0] for s in shapes), sum(s[1] for s in shapes)), found)


def _block_kernel(spec: Spec) -> Callable[..., np.ndarray]:
    shapes = [_block_shape(m) for m in spec.inputs if m is not None]

    def call(*arrays: np.ndarray) -> np.ndarray:
        made = np.zeros(spec.out.shape, spec.out.dtype.numpy)
        row = column = 0
        for array, (height, width) in zip(arrays, shapes, strict=True):
            made[row : row + height, column : column + width] = array
            row, column = row + height, column + width
        return made

    return call


def _block_element(load: Load, index: Place, spec: Spec) -> Expr | None:
    if len(spec.inputs) > MOST_JOINED:
        return None
    found: Expr | int = 0
    row = column = 0
    for k, meta in enumerate(spec.inputs):
        assert meta is not None
        height, width = _block_shape(meta)
        if height and width:
            rows, columns = plus(index[0], -row), plus(index[1], -column)
            inside = both(
                both(from_on(index[0], row), below(rows, height)),
                both(from_on(index[1], column), below(columns, width)),
            )
            place = [guarded(inside, rows), guarded(inside, columns)][2 - meta.ndim :]
            found = as_result(pick(inside, as_result(load(k, place), spec), found), spec)
        row, column = row + height, column + width
    return as_result(found, spec)


def _block_grad(g: Any, metas: Sequence[Meta], needs: Sequence[bool]) -> list[Any]:
    parts: list[Any] = []
    row = column = 0
    for meta, needed in zip(metas, needs, strict=True):
        height, width = _block_shape(meta)
        part = g[row : row + height, column : column + width] if needed else None
        parts.append(None if part is None else part.reshape(meta.shape))
        row, column = row + height, column + width
    return parts


block_diag_op = Op(
    "block_diag(Tensor[] tensors)",
    kind=OTHER,
    infer=_block_infer,
    kernel=_block_kernel,
    element=_block_element,
    grad={"tensors": _block_grad},
)


@composite(samples=(S(t(2, 2), t(3), t()), S(t(1, 2), ti(2, 1)), S()))
def block_diag(*tensors: Any) -> Any:
    """A matrix of zeros with the given matrices (or rows, or numbers) along its diagonal.

    See https://pytorch.org/docs/stable/generated/torch.block_diag.html.

    >>> import rushlight as torch
    >>> torch.block_diag(torch.tensor([[1, 2]]), torch.tensor(3))
    tensor([[1, 2, 0],
            [0, 0, 3]])
    """
    listed = _sequence(tensors)
    if not listed:
        return constant(np.empty((1, 0), np.float32))
    for number, x in enumerate(listed):
        if not isinstance(x, TensorBase):
            raise TypeError(
                f"expected Tensor as element {number} in argument 0, but got {type(x).__name__}"
            )
    return hooks.record(block_diag_op, listed, ())


@composite(samples=(S(t(3, grad=False)), S(t(3, grad=False), 2, increasing=True), S(ti(3), 4)))
def vander(x: Any, N: int | None = None, increasing: bool = False) -> Any:
    """The powers of a 1-d tensor as columns of a matrix, the highest first.

    Args:
        x: 1-d.
        N: how many columns; as many as ``x`` has elements if absent.
        increasing: the lowest power first.

    See https://pytorch.org/docs/stable/generated/torch.vander.html.

    >>> import rushlight as torch
    >>> torch.vander(torch.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [4, 2, 1],
            [9, 3, 1]])
    """
    if x.ndim != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise RuntimeError("N must be non-negative.")
    if x.dtype.category < 2:
        x = primitive.to_dtype(x, dtype=promote_types(x.dtype, int64))
    if count == 0:
        return x.new_empty((x.shape[0], 0))
    columns = [x.new_ones(x.shape)]
    for _ in range(count - 1):
        columns.append(columns[-1] * x if len(columns) > 1 else x)
    made = hooks.record(stack_op, columns, (1,))
    return made if increasing else hooks.record(flip_op, (made,), ((1,),))


@composite(
    samples=(S(ti(3, values=[5, 0, 3]), (2, 3)), S(ti(2, 2, values=[[1, 2], [3, 4]]), (5,))),
    errors=(ErrorSample(S(t(2), (2, 3)), TypeError, "expected 'indices' to be integer dtype"),),
)
def unravel_index(indices: Any, shape: Any) -> tuple[Any, ...]:
    """Flat places in a tensor of this shape as one tensor of coordinates per axis.

    See https://pytorch.org/docs/stable/generated/torch.unravel_index.html.

    >>> import rushlight as torch
    >>> torch.unravel_index(torch.tensor([5]), (2, 3))
    (tensor([1]), tensor([2]))
    """
    if indices.dtype.category != 1:
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    sizes = (shape,) if isinstance(shape, int) else tuple(shape)
    if any(size < 0 for size in sizes):
        raise ValueError(f"'shape' cannot have negative values, but got {sizes}")
    if not sizes:
        return ()
    steps = np.cumprod((1, *sizes[:0:-1]), dtype=np.int64)[::-1]
    places = indices.unsqueeze(-1) // constant(np.ascontiguousarray(steps))
    return (places % constant(np.array(sizes, np.int64))).unbind(-1)
