"""Results that lie in memory as their input does: row-major, or with the channels innermost."""

from __future__ import annotations

from rushlight.engine.core.dtype import dtype
from rushlight.engine.core.shape import Shape, contiguous_strides, is_channels_last
from rushlight.engine.ir.graph import Meta, strided_meta


def channels_last_meta(input: Meta, shape: Shape, found: dtype) -> Meta:
    """A value with its channels innermost in memory."""
    order = (0, *range(2, len(shape)), 1)
    steps = contiguous_strides([shape[axis] for axis in order])
    strides = tuple(steps[order.index(axis)] for axis in range(len(shape)))
    return strided_meta(shape, strides, found, input.device)


def kept_layout(input: Meta, shape: Shape, found: dtype | None = None) -> Meta:
    """A value of another shape or type in the memory format of ``input``."""
    wanted = found or input.dtype
    if input.contiguous or not is_channels_last(input.shape, input.strides):
        return input.like(shape, wanted)
    return channels_last_meta(input, shape, wanted)
