"""Windows and strides as views, and copies with a part replaced: unfold, select_scatter, ..."""

from __future__ import annotations

from typing import Any

from rushlight.engine.core.shape import contiguous_strides, normalize_dim
from rushlight.engine.ir.buffers import span_of
from rushlight.engine.ir.op import Op, composite, hooks
from rushlight.engine.ir.samples import ErrorSample, S, Sample, t
from rushlight.engine.ops.places import overlaps
from rushlight.engine.ops.rearrange_functions import two_axes
from rushlight.engine.ops.view import as_layout, scattering, select, slice_
from rushlight.engine.ops.view_window import (
    as_strided as strided_op,
    diagonal as diagonal_op,
    unfold as unfold_op,
)

# views -----------------------------------------------------------------------------------------


@composite(
    name="unfold_method",
    namespaces=(),
    method="unfold",
    samples=(S(t(3, 5), 1, 2, 1), S(t(7), 0, 3, 2), S(t(4, 3), -2, 2, 2), S(t(), 0, 1, 1)),
    errors=(ErrorSample(S(t(3), 0, 5, 1), RuntimeError, "maximum size for tensor at dimension 0"),),
)
def unfold(self: Any, dimension: int, size: int, step: int) -> Any:
    """All windows of ``size`` elements along an axis, ``step`` apart, as a view.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.unfold.html.

    >>> import rushlight as torch
    >>> torch.arange(4).unfold(0, 2, 1)
    tensor([[0, 1],
            [1, 2],
            [2, 3]])
    """
    dim = normalize_dim(dimension, self.ndim)
    length = self.shape[dim] if self.ndim else 1
    if size < 0:
        raise RuntimeError(f"size is {size} but must be >= 0")
    if size > length:
        raise RuntimeError(
            f"maximum size for tensor at dimension {dim} is {length} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    return hooks.record(unfold_op, (self,), (dim, size, step))


def _strided_attrs(
    input: Any, size: Any, stride: Any, storage_offset: Any
) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """Checked sizes and strides, and the offset from the beginning of the storage."""
    sizes, strides = tuple(int(n) for n in size), tuple(int(n) for n in stride)
    if len(sizes) != len(strides):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(n < 0 for n in strides):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(strides)}"
        )
    offset = input.storage_offset() if storage_offset is None else int(storage_offset)
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    return sizes, strides, offset


@composite(
    method=True,
    samples=(
        S(t(3, 4), (2, 2), (1, 2)), S(t(3, 4), (2, 3), (4, 1), 1), S(t(6), (4, 3), (1, 1)),
        S(t(6), (), (), 2),
    ),
    errors=(
        ErrorSample(S(t(6), (2,), (1, 2)), RuntimeError, "mismatch in length of strides and shape"),
        ErrorSample(S(t(6), (7,), (1,)), RuntimeError, "are out of bounds for storage of size 24"),
    ),
)  # fmt: skip
def as_strided(input: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """A view of the storage with any sizes and strides.

    Args:
        input: any tensor.
        size: the shape.
        stride: steps between neighbours, in elements.
        storage_offset: where it begins in the storage; where ``input`` does if absent.

    See https://pytorch.org/docs/stable/generated/torch.as_strided.html.

    >>> import rushlight as torch
    >>> torch.as_strided(torch.arange(6), (2, 2), (1, 2))
    tensor([[0, 2],
            [1, 3]])
    """
    return hooks.record(strided_op, *_in_memory(input, size, stride, storage_offset))


def _in_memory(
    input: Any, size: Any, stride: Any, storage_offset: int | None
) -> tuple[tuple[Any], tuple[Any, ...]]:
    """The tensor whose memory is looked at, and the attributes of the view of it."""
    sizes, strides, offset = _strided_attrs(input, size, stride, storage_offset)
    span = span_of(sizes, strides)
    whole, moved = hooks.memory(input, offset, span)
    meta = whole._value.meta
    room = (span_of(tuple(meta.shape), meta.strides) + offset - moved) * meta.dtype.itemsize
    need = (offset + span) * meta.dtype.itemsize
    if span and need > room:
        raise RuntimeError(
            f"setStorage: sizes {list(sizes)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {meta.dtype.itemsize} requiring a storage size of {need} are out of "
            f"bounds for storage of size {room}"
        )
    return (whole,), (sizes, strides, moved)


@composite(namespaces=(), method=True, samples=(S(t(3, 4), (2, 2), (1, 2)), S(t(6), (2,), (1,), 3)))
def as_strided_(self: Any, size: Any, stride: Any, storage_offset: int | None = None) -> Any:
    """The in-place form of :func:`as_strided`: ``self`` looks at its storage in this way.

    >>> import rushlight as torch
    >>> torch.arange(4).as_strided_((2,), (2,))
    tensor([0, 2])
    """
    (whole,), attrs = _in_memory(self, size, stride, storage_offset)
    if whole is not self:
        return self.set_(hooks.record(strided_op, (whole,), attrs))
    return hooks.become(strided_op, self, attrs)


@composite(
    namespaces=(), method=True,
    samples=(
        S(t(3, 4, grad=False), 1.0), S(t(5, 2, grad=False), 2), S(t(5, 2, grad=False), 2, True),
        S(t(2, 2, 2, grad=False), 1),
    ),
)  # fmt: skip
def fill_diagonal_(self: Any, fill_value: Any, wrap: bool = False) -> Any:
    """Put ``fill_value`` on the main diagonal, in place.

    Args:
        self: a matrix, or a tensor of more axes that all have one size.
        fill_value: the number.
        wrap: begin a new diagonal below the first one in a tall matrix.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.fill_diagonal_.html.

    >>> import rushlight as torch
    >>> torch.zeros(2, 2).fill_diagonal_(1)
    tensor([[1., 0.],
            [0., 1.]])
    """
    shape = tuple(self.shape)
    if len(shape) < 2:
        raise RuntimeError("dimensions must larger than 1")
    if len(shape) > 2 and len(set(shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    step, count = sum(self.stride()), min(shape)
    as_strided(self, (count,), (step,)).fill_(fill_value)
    if wrap and len(shape) == 2 and shape[0] > shape[1] + 1:
        period = shape[1] + 1
        below = self.storage_offset() + self.stride(0) * period
        rest = -(-self.numel() // period) - count
        as_strided(self, (rest,), (step,), below).fill_(fill_value)
    return self


# a part replaced -------------------------------------------------------------------------------

select_scatter_op = scattering("select_scatter", "SelectScatter")
slice_scatter_op = scattering("slice_scatter", "SliceScatter")
diagonal_scatter_op = scattering("diagonal_scatter", "DiagonalScatter")
strided_scatter_op = scattering("as_strided_scatter", "AsStridedScatter")


def _replaced(op: Op, view: Op, input: Any, source: Any, *attrs: Any) -> Any:
    meta = input._value.meta
    if overlaps(tuple(meta.shape), meta.strides):
        input = as_layout(input, strides=contiguous_strides(meta.shape))
    key = ((input._value.meta,), attrs)
    spec = view.specs.get(key) or view.specialize(*key)
    if spec.out.shape != source.shape:
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. src size = "
            f"{list(source.shape)}, slice size = {list(spec.out.shape)}"
        )
    if source.dtype is not input.dtype:
        source = source.to(input.dtype)
    return hooks.record(op, (input, source), ((spec,),))


@composite(
    method=True, samples=(S(t(3, 4), t(4), 0, 1), S(t(3, 4), t(3), -1, -1), S(t(3), t(), 0, 0))
)
def select_scatter(input: Any, src: Any, dim: int, index: int) -> Any:
    """``input`` with its part at ``index`` along ``dim`` replaced by ``src``.

    See https://pytorch.org/docs/stable/generated/torch.select_scatter.html.

    >>> import rushlight as torch
    >>> torch.select_scatter(torch.zeros(2, 2), torch.ones(2), 0, 1)
    tensor([[0., 0.],
            [1., 1.]])
    """
    dim = normalize_dim(dim, input.ndim)
    return _replaced(select_scatter_op, select, input, src, dim, int(index))


@composite(
    method=True,
    samples=(
        S(t(3, 4), t(1, 4), 0, 1, 2), S(t(3, 4), t(3, 2), 1, 0, None, 2), S(t(4), t(2), 0, -2),
    ),
)  # fmt: skip
def slice_scatter(
    input: Any, src: Any, dim: int = 0, start: Any = None, end: Any = None, step: int = 1
) -> Any:
    """``input`` with a slice along ``dim`` replaced by ``src``.

    See https://pytorch.org/docs/stable/generated/torch.slice_scatter.html.

    >>> import rushlight as torch
    >>> torch.slice_scatter(torch.zeros(3), torch.ones(2), start=1)
    tensor([0., 1., 1.])
    """
    dim = normalize_dim(dim, input.ndim)
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    first, last, _ = slice(start, end, step).indices(input.shape[dim])
    return _replaced(slice_scatter_op, slice_, input, src, dim, first, max(first, last), step)


@composite(
    method=True, samples=(S(t(3, 4), t(3)), S(t(3, 4), t(2), -1), S(t(2, 3, 2), t(3, 2), 0, 0, 2))
)
def diagonal_scatter(input: Any, src: Any, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Any:
    """``input`` with the diagonal of two axes replaced by ``src``.

    See https://pytorch.org/docs/stable/generated/torch.diagonal_scatter.html.

    >>> import rushlight as torch
    >>> torch.diagonal_scatter(torch.zeros(2, 2), torch.ones(2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    axes = two_axes(dim1, dim2, input.ndim)
    return _replaced(diagonal_scatter_op, diagonal_op, input, src, offset, *axes)


@composite(samples=tuple(
        Sample(args, check_grad=False)  # PyTorch 2.13 gets the gradient wrong
        for args in (
            (t(3, 4, values=range(12)), t(2, 2), (2, 2), (4, 1), 1),
            (t(6, values=range(6)), t(3), (3,), (2,)),
        )
    )
)
def as_strided_scatter(
    input: Any, src: Any, size: Any, stride: Any, storage_offset: int | None = None
) -> Any:
    """``input`` with the elements at these sizes and strides replaced by ``src``.

    See https://pytorch.org/docs/stable/generated/torch.as_strided_scatter.html.

    >>> import rushlight as torch
    >>> torch.as_strided_scatter(torch.zeros(4), torch.ones(2), (2,), (2,))
    tensor([1., 0., 1., 0.])
    """
    attrs = _strided_attrs(input, size, stride, storage_offset)
    return _replaced(strided_scatter_op, strided_op, input, src, *attrs)
