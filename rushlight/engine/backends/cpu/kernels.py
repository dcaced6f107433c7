"""oneDNN kernels for the operators that gain by them; the others keep NumPy's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import heap, onednn
from rushlight.engine.backends.cpu.kernels_columns import as_product
from rushlight.engine.backends.cpu.onednn_convolution import (
    BACKWARD_DATA,
    BACKWARD_WEIGHTS,
    BLOCKED,
    FORWARD,
    Geometry,
    describe,
    prepare_convolution,
    prepare_convolution_backward_data,
    prepare_convolution_backward_weights,
)
from rushlight.engine.backends.cpu.onednn_elementwise import (
    prepare_elementwise,
    prepare_elementwise_backward,
)
from rushlight.engine.backends.cpu.onednn_normalization import prepare_layer_norm, prepare_softmax
from rushlight.engine.backends.cpu.onednn_pooling import prepare_max_pool
from rushlight.engine.backends.cpu.onednn_primitive import warm_up
from rushlight.engine.backends.cpu.tiled_pooling import prepare_tiled_max_pool
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
        sizes = batch, kernel, stride, padding, dilation, ceil, _SINGLE
        pool = prepare_tiled_max_pool(*sizes) or prepare_max_pool(*sizes)
        if batch is size:
            return pool

        def single(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            values, indices = pool(x.reshape(batch))
            return values.reshape(out), indices.reshape(out)

        return single

    return _or_numpy(prepare)


#: From so many elements on, a function of every element is worth a primitive of its own, which
#: takes 0.3 ms to make. 524,288 elements of gelu took NumPy 1650 µs, oneDNN 70 µs.
_WORTHWHILE = 16_384


def _alike(spec: Spec) -> bool:
    """Whether all inputs are contiguous float32 arrays of the result's shape, and large."""
    shape = spec.out.shape
    return (
        _usable(spec)
        and spec.out.numel >= _WORTHWHILE
        and all(m is not None and m.contiguous and m.shape == shape for m in spec.inputs)
        and all(m is not None and m.dtype is float32 for m in spec.inputs)
    )


_GELU = {"none": "gelu", "tanh": "gelu_tanh"}


@register_kernel("gelu")
def gelu(spec: Spec, approximate: str) -> Kernel | None:
    """The Gaussian error linear unit."""
    if not _alike(spec):
        return None
    name = _GELU[approximate]
    return _or_numpy(lambda: prepare_elementwise(name, tuple(spec.out.shape), _SINGLE))


@register_kernel("gelu_backward")
def gelu_backward(spec: Spec, approximate: str) -> Kernel | None:
    """The gradient of the Gaussian error linear unit."""
    if not _alike(spec):
        return None
    name = _GELU[approximate]
    return _or_numpy(lambda: prepare_elementwise_backward(name, tuple(spec.out.shape), _SINGLE))


@register_kernel("softmax_", "log_softmax_")
def softmax(spec: Spec, dim: int, dtype: object) -> Kernel | None:
    """Softmax and its logarithm along the last axis."""
    if not _alike(spec) or dim not in (-1, spec.out.ndim - 1):
        return None
    log = spec.op.name == "log_softmax_"
    shape = (-1, spec.out.shape[-1])
    rows = (spec.out.numel // shape[1], shape[1])

    def prepare() -> Kernel:
        along = prepare_softmax(rows, 1, log, _SINGLE)
        return lambda x: along(x.reshape(shape)).reshape(x.shape)

    return _or_numpy(prepare)


@register_kernel("native_layer_norm")
def layer_norm(spec: Spec, grouped: Shape, axes: Shape, affine: Shape, eps: float) -> Kernel | None:
    """Layer normalisation over the last axes."""
    x, weight, bias = spec.inputs
    if not _usable(spec) or x is None or not x.contiguous or x.numel < _WORTHWHILE:
        return None
    if any(m is not None and m.dtype is not float32 for m in spec.inputs):
        return None
    made = tuple(spec.outs[1].shape)

    def prepare() -> Kernel:
        normalize = prepare_layer_norm(
            tuple(x.shape), len(axes), weight is not None, bias is not None, eps, _SINGLE
        )

        def call(*arrays: np.ndarray | None) -> tuple[np.ndarray, ...]:
            y, mean, var = normalize(*arrays)
            rstd = 1 / np.sqrt(var + np.float32(eps))
            return y, *(statistic.reshape(made) for statistic in (mean, rstd, var))

        return call

    return _or_numpy(prepare)


def _begin() -> None:
    """Have the library do while rushlight is imported what it does only once: 2 ms.

    It is looked for and loaded; its first primitive takes 0.6 ms more than others, the first
    description of a convolution in each direction 0.2 ms.
    """
    heap.keep_freed()
    if not onednn.available():
        return
    warm_up()
    geometry = Geometry((1, 16, 4, 4), (16, 16, 3, 3), (1, 1), (0, 0), (1, 1), 1, _SINGLE)
    for direction in (FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS):
        with suppress(onednn.Unsupported):
            describe(geometry, direction, False, BLOCKED)


_begin()
