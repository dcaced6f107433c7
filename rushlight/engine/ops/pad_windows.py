"""Sliding windows as columns and back (unfold, fold), and the shuffles of pixels and channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, composite, hooks
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops import rearrange as primitive
from rushlight.engine.ops.places import (
    Condition,
    Load,
    Part,
    Place,
    as_result,
    both,
    divided,
    guarded,
    pick,
    plus,
    scaled,
    within,
)

Array = np.ndarray

#: Kernel size, dilation, padding and stride, each along height and width.
Window = tuple[tuple[int, int], tuple[int, int], tuple[int, int], tuple[int, int]]


def blocks(spatial: Shape, window: Window) -> Shape:
    """How many windows there are along height and width."""
    kernel, dilation, padding, stride = window
    return tuple(
        (spatial[a] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1
        for a in (0, 1)
    )


def _parts(spatial: Shape, window: Window) -> list[tuple[slice, slice]]:
    """For each element of the window, where it lies in the padded image."""
    kernel, dilation, _, stride = window
    rows, columns = blocks(spatial, window)
    return [
        (
            slice(i * dilation[0], i * dilation[0] + stride[0] * (rows - 1) + 1, stride[0]),
            slice(j * dilation[1], j * dilation[1] + stride[1] * (columns - 1) + 1, stride[1]),
        )
        for i in range(kernel[0])
        for j in range(kernel[1])
    ]


def _columns_infer(input: Meta, window: Window) -> Meta:
    kernel, dilation, padding, _ = window
    spatial = tuple(input.shape[-2:])
    found = blocks(spatial, window)
    if min(found) < 1:
        raise RuntimeError(
            f"Given input with spatial size {spatial}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, calculated shape of the array of sliding blocks as {found}, but "
            "its components must be at least one."
        )
    lead = tuple(input.shape[:-3])
    depth = input.shape[-3] * kernel[0] * kernel[1]
    return input.like((*lead, depth, found[0] * found[1]))


def _columns_kernel(spec: Spec, window: Window) -> Callable[[Array], Array]:
    source = spec.inputs[0]
    assert source is not None
    lead, (channels, height, width) = tuple(source.shape[:-3]), source.shape[-3:]
    top, left = window[2]
    parts = _parts((height, width), window)
    rows, columns = blocks((height, width), window)
    out = tuple(spec.out.shape)

    def call(x: Array) -> Array:
        if top or left:
            whole = np.zeros((*lead, channels, height + 2 * top, width + 2 * left), x.dtype)
            whole[..., top : top + height, left : left + width] = x
        else:
            whole = x
        made = np.empty((*lead, channels, len(parts), rows, columns), x.dtype)
        for number, part in enumerate(parts):
            made[..., number, :, :] = whole[(..., *part)]
        return made.reshape(out)

    return call


def _image_infer(input: Meta, output_size: Shape, window: Window) -> Meta:
    kernel, dilation, padding, stride = window
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )
    count = kernel[0] * kernel[1]
    place = input.ndim - 2
    if input.shape[-2] % count:
        raise RuntimeError(
            f"Expected size of input's dimension {place} to be divisible by the product of "
            f"kernel_size, but got input.size({place})={input.shape[-2]} and kernel_size={kernel}."
        )
    rows, columns = blocks(output_size, window)
    if input.shape[-1] != rows * columns:
        raise RuntimeError(
            f"Given output_size={tuple(output_size)}, kernel_size={kernel}, dilation={dilation}, "
            f"padding={padding}, stride={stride}, expected size of input's dimension {place + 1} "
            f"to match the calculated number of sliding blocks {rows} * {columns} = "
            f"{rows * columns}, but got input.size({place + 1})={input.shape[-1]}."
        )
    lead = tuple(input.shape[:-2])
    return make_meta((*lead, input.shape[-2] // count, *output_size), input.dtype, input.device)


def _image_kernel(spec: Spec, output_size: Shape, window: Window) -> Callable[[Array], Array]:
    out = tuple(spec.out.shape)
    lead, (channels, height, width) = out[:-3], out[-3:]
    top, left = window[2]
    parts = _parts((height, width), window)
    rows, columns = blocks((height, width), window)
    found = spec.out.dtype.numpy
    compute = np.dtype(np.float32) if found.itemsize < 4 and found.kind in "fV" else found

    def call(x: Array) -> Array:
        split = x.reshape(*lead, channels, len(parts), rows, columns)
        whole = np.zeros((*lead, channels, height + 2 * top, width + 2 * left), compute)
        for number, part in enumerate(parts):
            whole[(..., *part)] += split[..., number, :, :]
        inner = whole[..., top : top + height, left : left + width]
        return np.ascontiguousarray(inner).astype(found, copy=False)

    return call


def _column_place(
    index: Place, height: int, width: int, window: Window
) -> tuple[list[Part], Condition]:
    """Where in the image an element of the columns stands, and whether in its padding or not."""
    kernel, dilation, padding, stride = window
    *lead, depth, number = index
    channel, tap = divided(depth, kernel[0] * kernel[1])
    held: Condition = True
    place: list[Part] = []
    taps, blocks_ = divided(tap, kernel[1]), divided(number, blocks((height, width), window)[1])
    for axis, size in enumerate((height, width)):
        moved = plus(scaled(blocks_[axis], stride[axis]), scaled(taps[axis], dilation[axis]))
        moved = plus(moved, -padding[axis])
        inside = within(moved, size) if padding[axis] else True
        held = both(held, inside)
        place.append(guarded(inside, moved))
    return [*lead, channel, *place], held


def _columns_element(load: Load, index: Place, spec: Spec, window: Window) -> Expr:
    source = spec.inputs[0]
    assert source is not None
    height, width = source.shape[-2:]
    place, held = _column_place(index, height, width, window)
    return as_result(pick(held, load(0, place), 0), spec)


def _image_at(
    load: Load, index: Place, spec: Spec, output_size: Shape, window: Window
) -> tuple[list[Part], Expr]:
    """Where an element of the columns is added; what is in the padding adds nothing."""
    height, width = spec.out.shape[-2:]
    place, held = _column_place(index, height, width, window)
    return place, as_result(pick(held, load(0, index), 0), spec)


_image_at.domain = 0  # type: ignore[attr-defined]


columns_op: Op = Op(
    "im2col(Tensor input, Window window)",
    kind=OTHER,
    infer=_columns_infer,
    kernel=_columns_kernel,
    element=_columns_element,
    grad={
        "input": lambda g, input_meta, window: image_op(
            g, output_size=tuple(input_meta.shape[-2:]), window=window
        )
    },
    grad_name="Im2Col",
)

image_op: Op = Op(
    "col2im(Tensor input, int[] output_size, Window window)",
    kind=OTHER,
    infer=_image_infer,
    kernel=_image_kernel,
    scatter=_image_at,
    grad={"input": lambda g, window: columns_op(g, window=window)},
    grad_name="Col2Im",
)


def _two(value: Any) -> tuple[int, int]:
    if hasattr(value, "__index__"):
        return int(value), int(value)
    first, second = value if len(value) == 2 else (value[0], value[0])
    return int(first), int(second)


def _window(kernel_size: Any, dilation: Any, padding: Any, stride: Any) -> Window:
    return _two(kernel_size), _two(dilation), _two(padding), _two(stride)


@composite(
    name="unfold",
    namespaces=("nn.functional",),
    samples=(
        S(t(2, 3, 4, 5), 2), S(t(1, 2, 5, 4), (2, 3), stride=2, padding=1), S(t(2, 4, 4), 2, 2),
    ),
    errors=(ErrorSample(S(t(1, 1, 2, 2), 5), RuntimeError, "must be at least one"),),
)  # fmt: skip
def unfold_windows(
    input: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0, stride: Any = 1
) -> Any:
    """The sliding windows of images (N, C, H, W) as columns (N, C * kernel elements, windows).

    See https://pytorch.org/docs/stable/generated/torch.nn.Unfold.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.unfold(torch.ones(1, 3, 4, 4), 2).shape
    torch.Size([1, 12, 9])
    """
    if input.ndim not in (3, 4) or 0 in input.shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    return hooks.record(columns_op, (input,), (_window(kernel_size, dilation, padding, stride),))


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(t(2, 8, 6), (3, 4), 2), S(t(1, 12, 4), (3, 3), (2, 3), stride=2, padding=1),
        S(t(8, 6), (3, 4), 2),
    ),
)  # fmt: skip
def fold(
    input: Any, output_size: Any, kernel_size: Any, dilation: Any = 1, padding: Any = 0,
    stride: Any = 1,
) -> Any:  # fmt: skip
    """Images (N, C, H, W) from columns of windows; where windows overlap, they are added up.

    See https://pytorch.org/docs/stable/generated/torch.nn.Fold.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.fold(torch.ones(1, 4, 1), (2, 2), 2)
    tensor([[[[1., 1.],
              [1., 1.]]]])
    """
    window = _window(kernel_size, dilation, padding, stride)
    return hooks.record(image_op, (input,), (_two(output_size), window))


# shuffles --------------------------------------------------------------------------------------


def _require_image(input: Any, name: str) -> None:
    if input.ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with "
            f"{input.ndim} dimension(s)"
        )


@composite(
    namespaces=("nn.functional", "torch"), samples=(S(t(2, 8, 2, 3), 2), S(t(9, 1, 2), 3))
)
def pixel_shuffle(input: Any, upscale_factor: int) -> Any:
    """Channels as pixels: (..., C * r * r, H, W) becomes (..., C, H * r, W * r).

    See https://pytorch.org/docs/stable/generated/torch.nn.PixelShuffle.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.pixel_shuffle(torch.ones(1, 4, 2, 2), 2).shape
    torch.Size([1, 1, 4, 4])
    """
    _require_image(input, "pixel_shuffle")
    if upscale_factor <= 0:
        raise RuntimeError(
            f"pixel_shuffle expects a positive upscale_factor, but got {upscale_factor}"
        )
    if input.shape[-3] % upscale_factor**2:
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={input.shape[-3]} is not divisible by "
            f"{upscale_factor**2}"
        )
    return hooks.record(primitive.pixel_shuffle_op, (input,), (upscale_factor,))


@composite(
    namespaces=("nn.functional", "torch"), samples=(S(t(2, 2, 4, 6), 2), S(t(1, 3, 6), 3))
)
def pixel_unshuffle(input: Any, downscale_factor: int) -> Any:
    """Pixels as channels: (..., C, H * r, W * r) becomes (..., C * r * r, H, W).

    See https://pytorch.org/docs/stable/generated/torch.nn.PixelUnshuffle.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.pixel_unshuffle(torch.ones(1, 1, 4, 4), 2).shape
    torch.Size([1, 4, 2, 2])
    """
    _require_image(input, "pixel_unshuffle")
    if downscale_factor <= 0:
        raise RuntimeError(
            f"pixel_unshuffle expects a positive downscale_factor, but got {downscale_factor}"
        )
    for axis, word in ((-2, "height"), (-1, "width")):
        if input.shape[axis] % downscale_factor:
            raise RuntimeError(
                f"pixel_unshuffle expects {word} to be divisible by downscale_factor, but "
                f"input.size({axis})={input.shape[axis]} is not divisible by {downscale_factor}"
            )
    return hooks.record(primitive.pixel_unshuffle_op, (input,), (downscale_factor,))


@composite(
    namespaces=("nn.functional", "torch"), samples=(S(t(2, 6, 2, 2), 2), S(t(1, 4, 3), 4))
)
def channel_shuffle(input: Any, groups: int) -> Any:
    """The channels (axis 1) of all groups, the first of each group first.

    See https://pytorch.org/docs/stable/generated/torch.nn.ChannelShuffle.html.

    >>> import rushlight as torch
    >>> x = torch.arange(4).reshape(1, 4, 1)
    >>> torch.nn.functional.channel_shuffle(x, 2).flatten()
    tensor([0, 2, 1, 3])
    """
    if input.ndim <= 2:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    channels = input.shape[1]
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and "
            f"{groups} groups."
        )
    return hooks.record(primitive.channel_shuffle_op, (input,), (groups,))
