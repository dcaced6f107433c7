"""Windows and strides as views, and copies with a part replaced: unfold, select_scatter, ..."""

from __future__ import annotations

from typing import Any

from rushlight.engine.core.shape import normalize_dim
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import OTHER, Op, composite, hooks
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ops.rearrange_functions import two_axes
from rushlight.engine.ops.view import part_of, scatter_kernel, select, slice_, zeros
from rushlight.engine.ops.view_window import as_strided as strided_op
from rushlight.engine.ops.view_window import diagonal as diagonal_op
from rushlight.engine.ops.view_window import span_of
from rushlight.engine.ops.view_window import unfold as unfold_op

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
    sizes, strides, offset = _strided_attrs(input, size, stride, storage_offset)
    whole = hooks.whole(input)
    meta = whole._value.meta
    room = span_of(tuple(meta.shape), meta.strides) * meta.dtype.itemsize
    span = span_of(sizes, strides)
    need = (offset + span) * meta.dtype.itemsize
    if span and need > room:
        raise RuntimeError(
            f"setStorage: sizes {list(sizes)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {meta.dtype.itemsize} requiring a storage size of {need} are out of "
            f"bounds for storage of size {room}"
        )
    return hooks.record(strided_op, (whole,), (sizes, strides, offset))


# a part replaced -------------------------------------------------------------------------------


def _replacing(name: str, view: Op, attributes: str) -> Op:
    """An operator that gives a copy of its input in which the part a view looks at is replaced."""

    def infer(input: Meta, source: Meta, *attrs: Any) -> Meta:
        part = view.infer(input, *attrs)
        assert isinstance(part, Meta)
        if part.shape != source.shape:
            raise RuntimeError(
                "expected src to have a size equal to the slice of self. src size = "
                f"{list(source.shape)}, slice size = {list(part.shape)}"
            )
        return input

    def kernel(spec: Any, *attrs: Any) -> Any:
        return scatter_kernel(spec, (view.specialize((spec.out,), attrs),))

    def for_input(g: Any, source_meta: Meta, attrs: tuple[Any, ...]) -> Any:
        empty = zeros(shape=tuple(source_meta.shape), dtype=source_meta.dtype)
        return hooks.record(op, (g, empty), attrs)

    op = Op(
        f"{name}(Tensor input, Tensor source, {attributes})",
        kind=OTHER,
        infer=infer,
        kernel=kernel,
        grad={
            "input": lambda g, source_meta, attributes: for_input(g, source_meta, attributes),
            "source": lambda g, attributes: hooks.record(view, (g,), attributes),
        },
    )
    return op


def _part(input: Any, source: Any) -> Any:
    return source if source.dtype is input.dtype else source.to(input.dtype)
