"""oneDNN kernels for the operators that gain by them; the others keep NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.kernels_columns import as_product
from rushlight.engine.backends.cpu.onednn_convolution import (
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    FORWARD,
    Geometry,
    prepare_convolution,
    prepare_convolution_backward_data,
    prepare_convolution_backward_weights,
)
from rushlight.engine.backends.cpu.onednn_pooling import prepare_max_pool
from rushlight.engine.core.dtype import float32
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.op import Spec, register_kernel

Kernel = Callable[..., Any]

_SINGLE = np.dtype(np.float32)


def _usable(spec: Spec) -> bool:
    return spec.out.dtype is float32 and spec.out.numel > 0 and onednn.available()


def _or_numpy(prepare: Callable[[], Kernel]) -> Kernel | None:
    """The prepared kernel, ``None`` where oneDNN has no fast one."""
    try:
        return prepare()
    except onednn.Unsupported:
        return None


@register_kernel("convolution")
def convolution(
    spec: Spec, stride: Shape, padding: Shape, dilation: Shape, transposed: bool,
    output_padding: Shape, groups: int,
) -> Kernel | None:  # fmt: skip
    """Convolution of any dimension, plain or transposed."""
    x, weight, bias = spec.inputs
    if not _usable(spec) or x is None or weight is None or not x.numel:
        return None
    shapes = tuple(x.shape), tuple(weight.shape)
    more = transposed, output_padding if transposed else ()
    geometry = Geometry(*shapes, stride, padding, dilation, groups, _SINGLE, *more)
    return _or_numpy(
        lambda: as_product(geometry, FORWARD, bias is not None) or prepare_convolution(
            *shapes, bias is not None, stride, padding, dilation, groups, _SINGLE, *more
        )
    )  # fmt: skip


@register_kernel("convolution_input_grad")
def convolution_input_grad(
    spec: Spec, shape: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int
) -> Kernel | None:
    """The gradient of a convolution's input."""
    g, weight = spec.inputs
    if not _usable(spec) or g is None or weight is None or not g.numel:
        return None
    filters = tuple(weight.shape)
    geometry = Geometry(tuple(shape), filters, stride, padding, dilation, groups, _SINGLE)
    return _or_numpy(
        lambda: as_product(geometry, BACKWARD_DATA) or prepare_convolution_backward_data(
            shape, filters, stride, padding, dilation, groups, _SINGLE
        )
    )  # fmt: skip


@register_kernel("convolution_weight_grad")
def convolution_weight_grad(
    spec: Spec, shape: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int
) -> Kernel | None:
    """The gradient of a convolution's weights."""
    x, g = spec.inputs
    if not _usable(spec) or x is None or g is None or not g.numel:
        return None
    size = tuple(x.shape)

    geometry = Geometry(size, tuple(shape), stride, padding, dilation, groups, _SINGLE)

    def prepare() -> Kernel:
        product = as_product(geometry, BACKWARD_WEIGHTS)
        if product is not None:
            return product
        both = prepare_convolution_backward_weights(
            size, shape, False, stride, padding, dilation, groups, _SINGLE
        )
        return lambda x, g: both(x, g)[0]

    return _or_numpy(prepare)


@register_kernel("max_pool", "max_pool3")
def max_pool(
    spec: Spec, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil: bool
) -> Kernel | None:
    """The largest element of every window, and where it stands."""
    (x,) = spec.inputs
    if not _usable(spec) or x is None:
        return None
    size, out = tuple(x.shape), tuple(spec.out.shape)
    batch = size if len(size) == len(kernel) + 2 else (1, *size)

    def prepare() -> Kernel:
        pool = prepare_max_pool(
            batch, kernel, stride, padding, dilation, ceil, np.dtype(np.float32)
        )
        if batch is size:
            return pool

        def single(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, indices = pool(x.reshape(batch))
            return values.reshape(out), indices.reshape(out)

        return single

    return _or_numpy(prepare)


# Found and loaded while rushlight is imported (4 ms), not in the middle of the first step.
onednn.available()
