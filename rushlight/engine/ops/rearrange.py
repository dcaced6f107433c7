"""Copies with elements at other places: flip, roll, rot90, repeat, triangles, diagonals."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.shape import Shape, normalize_dim
from rushlight.engine.ir.graph import Meta, strided_meta
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ir.scalar import Expr, const, where
from rushlight.engine.ops.elementwise import broadcast_meta
from rushlight.engine.ops.memory_format import kept_layout
from rushlight.engine.ops.places import (
    Load,
    Part,
    Place,
    divided,
    guarded,
    joined,
    plus,
    reversed_from,
    scaled,
    unjoined,
    whole_number,
)
from rushlight.engine.ops.view import embed
from rushlight.engine.ops.view_window import diagonal

Array = np.ndarray


def _same_layout(input: Meta, *_: Any) -> Meta:
    return broadcast_meta((input,), input.dtype)


def _row_major(input: Meta, *_: Any) -> Meta:
    return input.like()


# flip, roll, rot90 -----------------------------------------------------------------------------


def _flip_kernel(spec: Spec, dims: Shape) -> Callable[[Array], Array]:
    return lambda x: np.array(np.flip(x, dims)) if dims else np.array(x)


def _source_shape(spec: Spec) -> Shape:
    assert spec.inputs[0] is not None
    return tuple(spec.inputs[0].shape)


def _flip_element(load: Load, index: Place, spec: Spec, dims: Shape) -> Expr:
    turned = {dim % spec.out.ndim for dim in dims} if spec.out.ndim else set()
    shape = spec.out.shape
    return load(0, [
        reversed_from(shape[a] - 1, part) if a in turned else part
        for a, part in enumerate(index)
    ])  # fmt: skip


flip_op: Op = Op(
    "flip(Tensor input, int[] dims)",
    kind=OTHER,
    infer=_same_layout,
    kernel=_flip_kernel,
    element=_flip_element,
    grad={"input": lambda g, dims: flip_op(g, dims=dims)},
)


def _roll_kernel(spec: Spec, shifts: Shape, dims: Shape) -> Callable[[Array], Array]:
    if not spec.out.ndim or not spec.out.numel:
        return lambda x: np.array(x)
    if not dims:
        return lambda x: np.roll(x, shifts[0])
    return lambda x: np.roll(x, shifts, dims)


def _rolled(part: Part, shift: int, size: int) -> Part:
    """Where the element that is moved here by ``shift`` places comes from."""
    if not shift:
        return part
    if isinstance(part, int):
        return (part - shift) % size
    number = whole_number(part)
    return where(number >= shift, number - shift, number + (size - shift))


def _roll_element(load: Load, index: Place, spec: Spec, shifts: Shape, dims: Shape) -> Expr:
    shape = tuple(spec.out.shape)
    if not shape or not spec.out.numel:
        return load(0, index)
    if not dims:
        number = _rolled(joined(index, shape), shifts[0] % spec.out.numel, spec.out.numel)
        return load(0, unjoined(number, shape))
    moved = [0] * len(shape)
    for dim, shift in zip(dims, shifts, strict=True):
        moved[dim] = (moved[dim] + shift) % shape[dim]
    return load(0, [_rolled(*rest) for rest in zip(index, moved, shape, strict=True)])


roll_op: Op = Op(
    "roll(Tensor input, int[] shifts, int[] dims)",
    kind=OTHER,
    infer=_row_major,
    kernel=_roll_kernel,
    element=_roll_element,
    grad={
        "input": lambda g, shifts, dims: roll_op(g, shifts=tuple(-s for s in shifts), dims=dims)
    },
)


def _rot90_infer(input: Meta, k: int, dims: Shape) -> Meta:
    if k == 0:
        return input.like()
    made = _same_layout(input)
    if k == 2:
        return made
    order = list(range(input.ndim))
    first, second = (normalize_dim(d, input.ndim) for d in dims)
    order[first], order[second] = second, first
    return strided_meta(
        tuple(made.shape[a] for a in order), tuple(made.strides[a] for a in order), made.dtype
    )


def _rot90_element(load: Load, index: Place, spec: Spec, k: int, dims: Shape) -> Expr:
    first, second = (normalize_dim(d, spec.out.ndim) for d in dims)
    shape, found = spec.out.shape, list(index)
    from_first = reversed_from(shape[first] - 1, index[first])
    from_second = reversed_from(shape[second] - 1, index[second])
    found[first], found[second] = (
        (index[first], index[second]),
        (index[second], from_first),
        (from_first, from_second),
        (from_second, index[first]),
    )[k % 4]
    return load(0, found)


rot90_op: Op = Op(
    "rot90(Tensor input, int k, int[] dims)",
    kind=OTHER,
    infer=_rot90_infer,
    kernel=lambda spec, k, dims: lambda x: np.array(np.rot90(x, k, dims)),
    element=_rot90_element,
    grad={"input": lambda g, k, dims: rot90_op(g, k=-k % 4, dims=dims)},
)


# repeat ----------------------------------------------------------------------------------------


def _repeat_infer(input: Meta, repeats: Shape) -> Meta:
    lead = len(repeats) - input.ndim
    shape = tuple(
        count * (input.shape[axis - lead] if axis >= lead else 1)
        for axis, count in enumerate(repeats)
    )
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    return input.like(shape)


def _repeat_grad(g: Any, input_meta: Meta, repeats: Shape) -> Any:
    lead = len(repeats) - input_meta.ndim
    sizes = (*(1,) * lead, *input_meta.shape)
    split: list[int] = []
    for count, size in zip(repeats, sizes, strict=True):
        split += [count, size]
    if not split:
        return g
    summed = g.reshape(split).sum(tuple(range(0, len(split), 2)))
    return summed.reshape(input_meta.shape)


def _repeat_element(load: Load, index: Place, spec: Spec, repeats: Shape) -> Expr:
    shape = _source_shape(spec)
    last = index[len(index) - len(shape) :]
    return load(0, [divided(part, n)[1] for part, n in zip(last, shape, strict=True)])


repeat_op = Op(
    "repeat(Tensor input, int[] repeats)",
    kind=OTHER,
    infer=_repeat_infer,
    kernel=lambda spec, repeats: lambda x: np.tile(x, repeats) if repeats else np.array(x),
    element=_repeat_element,
    grad={"input": _repeat_grad},
)


# triangles and diagonals -----------------------------------------------------------------------


def _triangle_infer(name: str) -> Callable[..., Meta]:
    def infer(input: Meta, diagonal: int) -> Meta:
        if input.ndim < 2:
            raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")
        return input.like()

    return infer


_INTEGERS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


def _triangle_kernel(upper: bool) -> Callable[..., Callable[[Array], Array]]:
    def prepare(spec: Spec, diagonal: int) -> Callable[[Array], Array]:
        rows, columns = spec.out.shape[-2:]
        mask = np.tri(rows, columns, diagonal - upper, dtype=bool)
        if upper:
            mask = ~mask
        integer = _INTEGERS.get(spec.out.dtype.itemsize)
        if integer is None:
            zero = spec.out.dtype.numpy.type(0)
            return lambda x: np.where(mask, x, zero)
        bits = -mask.astype(integer)  # quicker than choosing, and NaN is left out as well
        return lambda x: np.bitwise_and(x.view(integer), bits).view(x.dtype)

    return prepare


def _triangle_element(upper: bool) -> Callable[..., Expr]:
    def element(load: Load, index: Place, spec: Spec, diagonal: int) -> Expr:
        apart = whole_number(index[-1]) - whole_number(index[-2])
        return where(apart >= diagonal if upper else apart <= diagonal, load(0, index), 0)

    return element


tril_op: Op = Op(
    "tril(Tensor input, int diagonal)",
    kind=OTHER,
    infer=_triangle_infer("tril"),
    kernel=_triangle_kernel(False),
    element=_triangle_element(False),
    grad={"input": lambda g, diagonal: tril_op(g, diagonal=diagonal)},
)

triu_op: Op = Op(
    "triu(Tensor input, int diagonal)",
    kind=OTHER,
    infer=_triangle_infer("triu"),
    kernel=_triangle_kernel(True),
    element=_triangle_element(True),
    grad={"input": lambda g, diagonal: triu_op(g, diagonal=diagonal)},
)


def _diag_embed_infer(input: Meta, offset: int, dim1: int, dim2: int) -> Meta:
    size = input.shape[-1] + abs(offset)
    shape = list(input.shape[:-1])
    for axis in sorted((dim1, dim2)):
        shape.insert(axis, size)
    return input.like(tuple(shape))


def _diag_embed_kernel(spec: Spec, offset: int, dim1: int, dim2: int) -> Callable[[Array], Array]:
    def call(x: Array) -> Array:
        made = np.zeros(spec.out.shape, x.dtype)
        part = np.diagonal(made, offset, dim1, dim2)
        part.flags.writeable = True
        part[...] = x
        return made

    return call


def _diag_embed_element(
    load: Load, index: Place, spec: Spec, offset: int, dim1: int, dim2: int
) -> Expr:
    if 0 in _source_shape(spec):
        return const(0, computing(spec.out.dtype))
    row, column = whole_number(index[dim1]), whole_number(index[dim2])
    inside = (column - row).eq(offset)
    rest = [part for axis, part in enumerate(index) if axis not in (dim1, dim2)]
    place = guarded(inside, row if offset >= 0 else column)
    return where(inside, load(0, [*rest, place]), 0)


diag_embed_op = Op(
    "diag_embed(Tensor input, int offset, int dim1, int dim2)",
    kind=OTHER,
    infer=_diag_embed_infer,
    kernel=_diag_embed_kernel,
    element=_diag_embed_element,
    grad={
        "input": lambda g, offset, dim1, dim2: diagonal(g, offset=offset, dim1=dim1, dim2=dim2)
    },
)


def _diagonal_copy_kernel(
    spec: Spec, offset: int, dim1: int, dim2: int
) -> Callable[[Array], Array]:
    return lambda x: np.array(np.diagonal(x, offset, dim1, dim2))


def _diagonal_copy_element(
    load: Load, index: Place, spec: Spec, offset: int, dim1: int, dim2: int
) -> Expr:
    found = list(index[:-1])
    along = {dim1: plus(index[-1], max(-offset, 0)), dim2: plus(index[-1], max(offset, 0))}
    for dim in sorted(along):
        found.insert(dim, along[dim])
    return load(0, found)


def _diagonal_copy_infer(input: Meta, *attrs: Any) -> Meta:
    part = diagonal.infer(input, *attrs)
    assert isinstance(part, Meta)
    return part.like()


diagonal_copy_op = Op(
    "diagonal_copy(Tensor input, int offset, int dim1, int dim2)",
    kind=OTHER,
    infer=_diagonal_copy_infer,
    kernel=_diagonal_copy_kernel,
    element=_diagonal_copy_element,
    grad={
        "input": lambda g, input_meta, offset, dim1, dim2: embed(
            g, diagonal, input_meta, offset, dim1, dim2
        )
    },
    grad_name="DiagonalBackward0_copy",
)


# channels and pixels ---------------------------------------------------------------------------


def _shuffle_kernel(spec: Spec, factor: int) -> Callable[[Array], Array]:
    out = tuple(spec.out.shape)
    lead, (channels, height, width) = out[:-3], out[-3:]
    sizes = (*lead, channels, factor, factor, height // factor, width // factor)
    first = len(lead)
    axes = (*range(first), *(first + a for a in (0, 3, 1, 4, 2)))
    return lambda x: np.ascontiguousarray(x.reshape(sizes).transpose(axes)).reshape(out)


def _shuffle_infer(input: Meta, factor: int) -> Meta:
    shape = list(input.shape)
    shape[-3] //= factor * factor
    shape[-2] *= factor
    shape[-1] *= factor
    return kept_layout(input, tuple(shape))


def _unshuffle_kernel(spec: Spec, factor: int) -> Callable[[Array], Array]:
    out = tuple(spec.out.shape)
    if not spec.out.numel:
        return lambda x: np.empty(out, x.dtype)
    lead, (channels, height, width) = out[:-3], out[-3:]
    sizes = (*lead, channels // factor**2, height, factor, width, factor)
    first = len(lead)
    axes = (*range(first), *(first + a for a in (0, 2, 4, 1, 3)))
    return lambda x: np.ascontiguousarray(x.reshape(sizes).transpose(axes)).reshape(out)


def _unshuffle_infer(input: Meta, factor: int) -> Meta:
    if not input.numel:
        return input.like()  # PyTorch leaves the shape of an empty tensor as it is
    shape = list(input.shape)
    shape[-3] *= factor * factor
    shape[-2] //= factor
    shape[-1] //= factor
    return kept_layout(input, tuple(shape))


def _shuffle_element(load: Load, index: Place, spec: Spec, factor: int) -> Expr:
    *lead, channel, row, column = index
    (row, i), (column, j) = divided(row, factor), divided(column, factor)
    number = plus(plus(scaled(channel, factor * factor), scaled(i, factor)), j)
    return load(0, [*lead, number, row, column])


def _unshuffle_element(load: Load, index: Place, spec: Spec, factor: int) -> Expr:
    *lead, channel, row, column = index
    channel, number = divided(channel, factor * factor)
    i, j = divided(number, factor)
    row, column = plus(scaled(row, factor), i), plus(scaled(column, factor), j)
    return load(0, [*lead, channel, row, column])


pixel_shuffle_op = Op(
    "pixel_shuffle(Tensor input, int factor)",
    kind=OTHER,
    infer=_shuffle_infer,
    kernel=_shuffle_kernel,
    element=_shuffle_element,
    grad={"input": lambda g, factor: pixel_unshuffle_op(g, factor=factor)},
)

pixel_unshuffle_op: Op = Op(
    "pixel_unshuffle(Tensor input, int factor)",
    kind=OTHER,
    infer=_unshuffle_infer,
    kernel=_unshuffle_kernel,
    element=_unshuffle_element,
    grad={"input": lambda g, factor: pixel_shuffle_op(g, factor=factor)},
)


def _channels_kernel(spec: Spec, groups: int) -> Callable[[Array], Array]:
    shape = tuple(spec.out.shape)
    sizes = (shape[0], groups, shape[1] // groups, *shape[2:])
    return lambda x: np.ascontiguousarray(np.swapaxes(x.reshape(sizes), 1, 2)).reshape(shape)


def _channels_element(load: Load, index: Place, spec: Spec, groups: int) -> Expr:
    place, group = divided(index[1], groups)
    number = plus(scaled(group, spec.out.shape[1] // groups), place)
    return load(0, [index[0], number, *index[2:]])


channel_shuffle_op: Op = Op(
    "channel_shuffle(Tensor input, int groups)",
    kind=OTHER,
    infer=lambda input, groups: kept_layout(input, tuple(input.shape)),
    kernel=_channels_kernel,
    element=_channels_element,
    grad={
        "input": lambda g, input_meta, groups: channel_shuffle_op(
            g, groups=input_meta.shape[1] // groups
        )
    },
)
