"""The functions that reorder or repeat elements: flip, roll, rot90, repeat, tile, diag, tril."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, int32, int64
from rushlight.engine.core.shape import contiguous_strides, normalize_dim, normalize_dims
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite, constant, hooks
from rushlight.engine.ir.samples import ErrorSample, S, Sample, t, ti
from rushlight.engine.ops import rearrange as primitive, view as views
from rushlight.engine.ops.index_axis import index_select_op
from rushlight.engine.ops.view_functions import sizes_of
from rushlight.engine.ops.view_window import diagonal as diagonal_op

# flip, roll, rot90 -----------------------------------------------------------------------------


def _flip(input: Any, dims: Sequence[int]) -> Any:
    listed = normalize_dims(dims, input.ndim) if dims else ()
    return hooks.record(primitive.flip_op, (input,), (listed,))


@composite(samples=(S(t(3, 4), (0,)), S(t(2, 3, 4), (0, -1)), S(t(2, 3), ()), S(t(0, 2), (0,))))
def flip(input: Any, dims: Sequence[int]) -> Any:
    """``input`` with the order of these axes reversed, as a copy.

    See https://pytorch.org/docs/stable/generated/torch.flip.html.

    >>> import rushlight as torch
    >>> torch.flip(torch.tensor([1, 2, 3]), (0,))
    tensor([3, 2, 1])
    """
    if not isinstance(dims, (tuple, list)):
        raise TypeError(
            f"flip(): argument 'dims' (position 2) must be tuple of ints, not {type(dims).__name__}"
        )
    return _flip(input, dims)


@composite(name="flip_method", namespaces=(), method="flip",
           samples=(S(t(3, 4), 0), S(t(3, 4), 0, 1), S(t(3, 4), dims=[1])))  # fmt: skip
def _flip_method(self: Any, *axes: Any, dims: Any = None) -> Any:
    """``self`` with the order of these axes reversed, as a copy.

    >>> import rushlight as torch
    >>> torch.tensor([1, 2, 3]).flip(0)
    tensor([3, 2, 1])
    """
    return _flip(self, sizes_of(axes if dims is None else (dims,), "flip", "dims"))


@composite(method=True, samples=(S(t(3, 4)), S(t(2, 3, 2))))
def fliplr(input: Any) -> Any:
    """``input`` with the order of its second axis reversed.

    >>> import rushlight as torch
    >>> torch.fliplr(torch.tensor([[1, 2]]))
    tensor([[2, 1]])
    """
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return _flip(input, (1,))


@composite(method=True, samples=(S(t(3, 4)), S(t(3))))
def flipud(input: Any) -> Any:
    """``input`` with the order of its first axis reversed.

    >>> import rushlight as torch
    >>> torch.flipud(torch.tensor([1, 2]))
    tensor([2, 1])
    """
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return _flip(input, (0,))


@composite(
    method=True,
    samples=(S(t(3, 4), 1), S(t(3, 4), 1, 0), S(t(3, 4), (1, -2), (0, 1)), S(t(3, 4), 5, -1),
             S(t(), 1)),
    errors=(ErrorSample(S(t(3, 4), (1, 2)), RuntimeError, "shifts and dimensions must align"),),
)  # fmt: skip
def roll(input: Any, shifts: Any, dims: Any = None) -> Any:
    """``input`` with its elements moved on along ``dims``; what leaves at the end comes in front.

    Args:
        input: any tensor.
        shifts: by how many places, one number or one per axis.
        dims: the axes; without them ``input`` is rolled as if it were read row by row.

    See https://pytorch.org/docs/stable/generated/torch.roll.html.

    >>> import rushlight as torch
    >>> torch.roll(torch.tensor([1, 2, 3]), 1)
    tensor([3, 1, 2])
    """
    steps = (shifts,) if hasattr(shifts, "__index__") else tuple(shifts)
    axes = () if dims is None else (dims,) if hasattr(dims, "__index__") else tuple(dims)
    if not steps:
        raise RuntimeError("`shifts` required")
    if len(steps) != len(axes) and (axes or len(steps) > 1):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(axes)}"
        )
    if axes and not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    axes = tuple(normalize_dim(axis, input.ndim) for axis in axes)
    return hooks.record(primitive.roll_op, (input,), (tuple(int(s) for s in steps), axes))


@composite(
    method=True,
    samples=(S(t(3, 4)), S(t(3, 4), 2), S(t(2, 3, 4), -1, (1, 2)), S(t(3, 4), 4), S(t(3, 4), 3)),
)
def rot90(input: Any, k: int = 1, dims: Sequence[int] = (0, 1)) -> Any:
    """``input`` turned by ``k`` quarter turns in the plane of two axes, as a copy.

    See https://pytorch.org/docs/stable/generated/torch.rot90.html.

    >>> import rushlight as torch
    >>> torch.rot90(torch.tensor([[1, 2], [3, 4]]))
    tensor([[2, 4],
            [1, 3]])
    """
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    first, second = (normalize_dim(axis, input.ndim) for axis in dims)
    if first == second:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    return hooks.record(primitive.rot90_op, (input,), (k % 4, (first, second)))


# repeat ----------------------------------------------------------------------------------------


@composite(
    namespaces=(), method=True,
    samples=(
        S(t(2, 3), 2, 1), S(t(3), 2, 2), S(t(2, 3), (1, 2)), S(t(), 3),
        Sample((t(2), 0), twice=False),
    ),
)  # fmt: skip
def repeat(self: Any, *sizes: Any, repeats: Any = None) -> Any:
    """``self`` copied this many times along every axis (more of them stand in front).

    See https://pytorch.org/docs/stable/generated/torch.Tensor.repeat.html.

    >>> import rushlight as torch
    >>> torch.tensor([1, 2]).repeat(2, 2)
    tensor([[1, 2, 1, 2],
            [1, 2, 1, 2]])
    """
    counts = sizes_of(sizes if repeats is None else (repeats,), "repeat", "repeats")
    if len(counts) < self.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            f"tensor\nGot {len(counts)} numbers for {self.ndim} dimensions."
        )
    return hooks.record(primitive.repeat_op, (self,), (counts,))


def _tile(input: Any, counts: tuple[int, ...]) -> Any:
    counts = (1,) * (input.ndim - len(counts)) + counts
    return hooks.record(primitive.repeat_op, (input,), (counts,))


@composite(samples=(S(t(2, 3), (2,)), S(t(3), (2, 2)), S(t(2, 3), (2, 1, 2))))
def tile(input: Any, dims: Sequence[int]) -> Any:
    """``input`` copied this many times along its axes; missing numbers in front count as 1.

    See https://pytorch.org/docs/stable/generated/torch.tile.html.

    >>> import rushlight as torch
    >>> torch.tile(torch.tensor([1, 2]), (2,))
    tensor([1, 2, 1, 2])
    """
    return _tile(input, sizes_of((dims,), "tile", "dims"))


@composite(name="tile_method", namespaces=(), method="tile",
           samples=(S(t(2, 3), 2), S(t(2, 3), dims=(2, 1, 1))))  # fmt: skip
def _tile_method(self: Any, *times: Any, dims: Any = None) -> Any:
    """``self`` copied this many times along its axes; missing numbers in front count as 1.

    >>> import rushlight as torch
    >>> torch.tensor([1, 2]).tile(2)
    tensor([1, 2, 1, 2])
    """
    return _tile(self, sizes_of(times if dims is None else (dims,), "tile", "dims"))


def _places(repeats: Any) -> Any:
    """The number of every element as often as it is to stand in the result."""
    if repeats.dtype is not int64 and repeats.dtype is not int32:
        raise NotImplementedError(
            f"\"repeat_interleave_cpu\" not implemented for '{SCALAR_NAMES[repeats.dtype]}'"
        )
    if repeats.ndim > 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    counts = repeats._array("repeat_interleave()").reshape(-1)
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    return constant(np.repeat(np.arange(counts.size), counts))


@composite(
    method=True,
    samples=(
        S(t(3), 2), S(t(2, 3), 2, 1), S(t(2, 3), 3, dim=-2), S(t(2, 3), ti(2, values=[1, 2]), 0),
        S(t(2, 3), ti(1, values=[2]), 1), S(ti(3, values=[1, 0, 2])), S(t(2, 3), 0, 1),
    ),
)  # fmt: skip
def repeat_interleave(
    input: Any, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Any:
    """Every element (or every row along ``dim``) repeated this many times, one after the other.

    Args:
        input: any tensor; alone, it holds the numbers of repetitions of 0, 1, 2, ...
        repeats: one number for all, or a 1-d tensor with one per row.
        dim: the axis; ``input`` is read row by row if it is absent.
        output_size: the size of the result along ``dim``, if known.

    See https://pytorch.org/docs/stable/generated/torch.repeat_interleave.html.

    >>> import rushlight as torch
    >>> torch.repeat_interleave(torch.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    if repeats is None:
        return _places(input)
    if dim is None:
        input, dim = input.reshape(-1), 0
    dim = normalize_dim(dim, input.ndim)
    if not input.ndim:
        input = input.reshape(1)
    if isinstance(repeats, TensorBase):
        size = input.shape[dim]
        if repeats.numel() == 1 and size != 1:
            repeats = repeats.reshape(1).expand(size)
        places = _places(repeats)
        if repeats.numel() != size:
            raise RuntimeError(
                "repeats must have the same size as input along dim, but got repeats.size(0) = "
                f"{repeats.numel()} and input.size({dim}) = {size}"
            )
        return hooks.record(index_select_op, (input, places), (dim,))
    count = int(repeats)
    if count < 0:
        raise RuntimeError("Repeats must be non-negative")
    shape = tuple(input.shape)
    wide = input.unsqueeze(dim + 1).expand(*shape[: dim + 1], count, *shape[dim + 1 :])
    copied = views.as_layout(wide, strides=contiguous_strides(wide.shape))
    whole = (*shape[:dim], shape[dim] * count, *shape[dim + 1 :])
    return hooks.record(views.view, (copied,), (whole,))


# triangles and diagonals -----------------------------------------------------------------------

_TRIANGLES = (S(t(3, 4)), S(t(3, 4), 1), S(t(2, 4, 3), -1), S(t(3, 3), diagonal=5))


@composite(method=True, inplace=True, samples=_TRIANGLES)
def tril(input: Any, diagonal: int = 0) -> Any:
    """The lower triangle of a matrix (or of a batch of them), zeros above.

    Args:
        input: at least 2-d.
        diagonal: how many diagonals above the main one (or below, if negative) are kept.

    See https://pytorch.org/docs/stable/generated/torch.tril.html.

    >>> import rushlight as torch
    >>> torch.tril(torch.ones(2, 2))
    tensor([[1., 0.],
            [1., 1.]])
    """
    return hooks.record(primitive.tril_op, (input,), (int(diagonal),))


@composite(method=True, inplace=True, samples=_TRIANGLES)
def triu(input: Any, diagonal: int = 0) -> Any:
    """The upper triangle of a matrix (or of a batch of them), zeros below.

    Args:
        input: at least 2-d.
        diagonal: how many diagonals above the main one (or below, if negative) are left out.

    See https://pytorch.org/docs/stable/generated/torch.triu.html.

    >>> import rushlight as torch
    >>> torch.triu(torch.ones(2, 2))
    tensor([[1., 1.],
            [0., 1.]])
    """
    return hooks.record(primitive.triu_op, (input,), (int(diagonal),))


def two_axes(dim1: int, dim2: int, ndim: int) -> tuple[int, int]:
    """Two different axes counted from the front."""
    first, second = normalize_dim(dim1, ndim), normalize_dim(dim2, ndim)
    if first == second:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    return first, second


_DIAGONALS = (S(t(3, 4)), S(t(3, 4), 1), S(t(2, 3, 4), -1, 1, 2), S(t(2, 3, 2), 0, -1, 0),
              S(t(3, 4), 7))  # fmt: skip


@composite(method=True, samples=_DIAGONALS)
def diagonal(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """The diagonal of two axes as a view; it is the last axis of the result.

    See https://pytorch.org/docs/stable/generated/torch.diagonal.html.

    >>> import rushlight as torch
    >>> torch.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    axes = two_axes(dim1, dim2, input.ndim)
    return hooks.record(diagonal_op, (input,), (offset, *axes))


@composite(samples=_DIAGONALS)
def diagonal_copy(input: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """Like :func:`diagonal`, but a copy.

    >>> import rushlight as torch
    >>> torch.diagonal_copy(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    axes = two_axes(dim1, dim2, input.ndim)
    return hooks.record(primitive.diagonal_copy_op, (input,), (offset, *axes))


@composite(
    method=True,
    samples=(S(t(3)), S(t(2, 3), 1), S(t(2, 3), -1, 0, 2), S(t(2, 3), 0, -1, 0)),
)
def diag_embed(input: Any, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """Matrices of zeros with the last axis of ``input`` on their diagonal.

    See https://pytorch.org/docs/stable/generated/torch.diag_embed.html.

    >>> import rushlight as torch
    >>> torch.diag_embed(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    axes = two_axes(dim1, dim2, input.ndim + 1)
    return hooks.record(primitive.diag_embed_op, (input,), (offset, *axes))


@composite(method=True, samples=(S(t(3)), S(t(3), -1), S(t(3, 4)), S(t(3, 4), 1)))
def diag(input: Any, diagonal: int = 0) -> Any:
    """A matrix with ``input`` on its diagonal, or the diagonal of a matrix, as a copy.

    See https://pytorch.org/docs/stable/generated/torch.diag.html.

    >>> import rushlight as torch
    >>> torch.diag(torch.tensor([1, 2]))
    tensor([[1, 0],
            [0, 2]])
    """
    if input.ndim not in (1, 2):
        raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")
    op = primitive.diag_embed_op if input.ndim == 1 else primitive.diagonal_copy_op
    return hooks.record(op, (input,), (diagonal, 0, 1))


@composite(method=True, samples=(S(t(3)), S(t(2, 2), 1), S(t())))
def diagflat(input: Any, offset: int = 0) -> Any:
    """A matrix with the elements of ``input``, read row by row, on its diagonal.

    See https://pytorch.org/docs/stable/generated/torch.diagflat.html.

    >>> import rushlight as torch
    >>> torch.diagflat(torch.tensor([1, 2]), 1).shape
    torch.Size([3, 3])
    """
    return hooks.record(primitive.diag_embed_op, (input.reshape(-1),), (offset, 0, 1))
