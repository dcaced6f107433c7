"""Views that come as several tensors at once: unbind, split, chunk and their like."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.engine.core.shape import Shape, normalize_dim
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import OTHER, Op, composite, hooks
from rushlight.engine.ir.samples import S, t, ti
from rushlight.engine.ops.join import cat_op, stack_op
from rushlight.engine.ops.view import select, slice_


def _part(input: Meta, dim: int, size: int) -> Meta:
    shape = list(input.shape)
    shape[dim] = size
    return input.like(tuple(shape))


def _split_infer(input: Meta, dim: int, sizes: Shape) -> tuple[Meta, ...]:
    return tuple(_part(input, dim, size) for size in sizes)


def _split_kernel(spec: Any, dim: int, sizes: Shape) -> Any:
    ends = np.cumsum(sizes)[:-1]
    return lambda x: tuple(np.split(x, ends, dim))


def _split_op(name: str, grad_name: str) -> Op:
    return Op(
        f"{name}(Tensor input, int dim, int[] sizes)",
        kind=OTHER,
        infer=_split_infer,
        kernel=_split_kernel,
        grad={"input": lambda gradients, dim: cat_op(*gradients, dim=dim)},
        grad_name=grad_name,
    )


# The parts are views, each with a slice of its own; these records make the node they share, whose
# gradient joins the parts' in one go.
split_node = _split_op("split", "SplitBackward0")
split_sizes_node = _split_op("split_with_sizes", "SplitWithSizesBackward0")

unbind_node = Op(
    "unbind(Tensor input, int dim)",
    kind=OTHER,
    infer=lambda input, dim: (
        input.like(tuple(input.shape[:dim]) + tuple(input.shape[dim + 1 :])),
    ) * input.shape[dim],
    kernel=lambda spec, dim: lambda x: tuple(np.moveaxis(x, dim, 0)),
    grad={"input": lambda gradients, dim: stack_op(*gradients, dim=dim)},
)


def _slices(input: Any, node: Op, dim: int, sizes: Sequence[int]) -> tuple[Any, ...]:
    parts, start = [], 0
    for size in sizes:
        parts.append((dim, start, start + size, 1))
        start += size
    return hooks.views(slice_, input, parts, node, (dim, tuple(sizes)))


@composite(method=True, samples=(S(t(3, 4)), S(t(3, 4), 1), S(t(2, 0, 3), 0)))
def unbind(input: Any, dim: int = 0) -> tuple[Any, ...]:
    """The parts of ``input`` along ``dim``, without that axis, as views.

    See https://pytorch.org/docs/stable/generated/torch.unbind.html.

    >>> import rushlight as torch
    >>> torch.unbind(torch.tensor([[1, 2], [3, 4]]))
    (tensor([1, 2]), tensor([3, 4]))
    """
    if not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = normalize_dim(dim, input.ndim)
    parts = [(dim, index) for index in range(input.shape[dim])]
    return hooks.views(select, input, parts, unbind_node, (dim,))


def _split_evenly(input: Any, size: int, dim: int) -> tuple[Any, ...]:
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    if size < 0:
        raise RuntimeError(f"split expects split_size be non-negative, but got split_size={size}")
    dim = normalize_dim(dim, input.ndim)
    length = input.shape[dim]
    if size == 0:
        if length:
            raise RuntimeError(
                "split_size can only be 0 if dimension size is 0, but got dimension size of "
                f"{length}"
            )
        return _slices(input, split_node, dim, [0])
    sizes = [size] * (length // size)
    if length % size or not length:
        sizes.append(length % size)
    return _slices(input, split_node, dim, sizes)


@composite(
    name="split_with_sizes",
    method=True,
    samples=(S(t(5, 2), [2, 3]), S(t(2, 4), (1, 0, 3), 1)),
)
def split_with_sizes(input: Any, split_sizes: Sequence[int], dim: int = 0) -> tuple[Any, ...]:
    """The parts of ``input`` with these sizes along ``dim``, as views.

    >>> import rushlight as torch
    >>> torch.split_with_sizes(torch.tensor([1, 2, 3]), [1, 2])
    (tensor([1]), tensor([2, 3]))
    """
    if not input.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    dim = normalize_dim(dim, input.ndim)
    sizes = [int(size) for size in split_sizes]
    if any(size < 0 for size in sizes):
        raise RuntimeError(
            "split_with_sizes expects split_sizes have only non-negative entries, but got "
            f"split_sizes={sizes}"
        )
    if sum(sizes) != input.shape[dim]:
        raise RuntimeError(
            f"split_with_sizes expects split_sizes to sum exactly to {input.shape[dim]} (input "
            f"tensor's size at dimension {dim}), but got split_sizes={sizes}"
        )
    return _slices(input, split_sizes_node, dim, sizes)


@composite(
    method=True,
    samples=(S(t(5, 2), 2), S(t(2, 6), 3, dim=1), S(t(5, 2), [2, 3]), S(t(0, 2), 2)),
)
def split(tensor: Any, split_size_or_sections: Any, dim: int = 0) -> tuple[Any, ...]:
    """Parts of one size (the last may be smaller), or of the sizes in a list, as views.

    Args:
        tensor: what is split.
        split_size_or_sections: the size of a part, or the list of all sizes.
        dim: the axis along which to split.

    See https://pytorch.org/docs/stable/generated/torch.split.html.

    >>> import rushlight as torch
    >>> torch.split(torch.arange(5), 2)
    (tensor([0, 1]), tensor([2, 3]), tensor([4]))
    """
    if hasattr(split_size_or_sections, "__index__"):
        return _split_evenly(tensor, int(split_size_or_sections.__index__()), dim)
    if not isinstance(split_size_or_sections, (list, tuple)):
        raise TypeError(
            "split_with_sizes(): argument 'split_sizes' (position 2) must be tuple of ints, not "
            f"{type(split_size_or_sections).__name__}"
        )
    return split_with_sizes(tensor, split_size_or_sections, dim)


@composite(method=True, samples=(S(t(6, 2), 3), S(t(2, 5), 3, dim=1), S(t(2, 5), 7, 1)))
def chunk(input: Any, chunks: int, dim: int = 0) -> tuple[Any, ...]:
    """At most ``chunks`` parts of equal size along ``dim`` (the last may be smaller), as views.

    See https://pytorch.org/docs/stable/generated/torch.chunk.html.

    >>> import rushlight as torch
    >>> torch.chunk(torch.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    dim = normalize_dim(dim, input.ndim)
    length = input.shape[dim]
    if not length:
        return _slices(input, split_sizes_node, dim, [0] * chunks)
    return _split_evenly(input, -(-length // chunks), dim)


def _split_at(input: Any, ends: Sequence[int], dim: int) -> tuple[Any, ...]:
    length = input.shape[dim]
    parts, start = [], 0
    for end in [*ends, length]:
        low = max(start + length if start < 0 else start, 0)
        high = min(end + length if end < 0 else end, length)
        low = min(low, length)
        parts.append(hooks.record(slice_, (input,), (dim, low, max(low, high), 1)))
        start = end
    return tuple(parts)


@composite(
    method=True,
    samples=(
        S(t(7, 2), 3), S(t(2, 5), (1, 3), dim=1), S(t(7), [2, 5]), S(t(4), (3, 1)),
        S(t(7), ti(2, values=[2, 5])),
    ),
)  # fmt: skip
def tensor_split(
    input: Any, indices_or_sections: Any, dim: int = 0, *, sections: Any = None, indices: Any = None
) -> tuple[Any, ...]:
    """Parts of nearly equal size, or cut at given places along ``dim``, as views.

    Args:
        input: what is split.
        indices_or_sections: how many parts, or where to cut (a list or a 1-d tensor).
        dim: the axis along which to split.

    See https://pytorch.org/docs/stable/generated/torch.tensor_split.html.

    >>> import rushlight as torch
    >>> torch.tensor_split(torch.arange(5), 2)
    (tensor([0, 1, 2]), tensor([3, 4]))
    """
    if not input.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = normalize_dim(dim, input.ndim)
    where = indices_or_sections
    if isinstance(where, TensorBase):
        where = where.tolist()
    if isinstance(where, (list, tuple)):
        return _split_at(input, [int(end) for end in where], dim)
    count = int(where)
    if count <= 0:
        raise RuntimeError(f"number of sections must be larger than 0, got {count}")
    small, more = divmod(input.shape[dim], count)
    ends = [i * small + min(i, more) for i in range(1, count)]
    return _split_at(input, ends, dim)


def _along(input: Any, where: Any, dim: int, name: str, least: int) -> tuple[Any, ...]:
    if input.ndim < least:
        raise RuntimeError(
            f"torch.{name} requires a tensor with at least {least} dimension, but got a tensor "
            f"with {input.ndim} dimensions!"
        )
    if isinstance(where, int) and where > 0 and input.shape[dim] % where:
        raise RuntimeError(
            f"torch.{name} attempted to split along dimension {dim}, but the size of the dimension "
            f"{input.shape[dim]} is not divisible by the split_size {where}!"
        )
    return tensor_split(input, where, dim)


@composite(method=True, samples=(S(t(4), 2), S(t(2, 6), 3), S(t(2, 6), [1, 4])))
def hsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Parts side by side: along axis 1, or axis 0 of a 1-d tensor.

    >>> import rushlight as torch
    >>> torch.hsplit(torch.tensor([[1, 2], [3, 4]]), 2)[1]
    tensor([[2],
            [4]])
    """
    return _along(input, indices_or_sections, 0 if input.ndim == 1 else 1, "hsplit", 1)


@composite(method=True, samples=(S(t(4, 2), 2), S(t(6, 2), [1, 4])))
def vsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Parts on top of each other: along axis 0.

    >>> import rushlight as torch
    >>> torch.vsplit(torch.tensor([[1, 2], [3, 4]]), 2)
    (tensor([[1, 2]]), tensor([[3, 4]]))
    """
    return _along(input, indices_or_sections, 0, "vsplit", 2)


@composite(method=True, samples=(S(t(2, 1, 4), 2), S(t(2, 1, 4), [1, 2])))
def dsplit(input: Any, indices_or_sections: Any) -> tuple[Any, ...]:
    """Parts along the third axis.

    >>> import rushlight as torch
    >>> torch.dsplit(torch.ones(1, 2, 4), 2)[0].shape
    torch.Size([1, 2, 2])
    """
    return _along(input, indices_or_sections, 2, "dsplit", 3)
