"""Pooling by the largest element: over windows, over nearly equal parts, and back again.

Every kernel looks at its input as (rows, *spatial): what stands before the spatial axes, a batch
and channels or channels alone, is one axis to it.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import BOOL, COMPLEX, SCALAR_NAMES, int64
from rushlight.engine.core.shape import Shape, contiguous_strides
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import GATHER, OTHER, Op, Spec
from rushlight.engine.ir.scalar import Expr, where
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.memory_format import kept_layout
from rushlight.engine.ops.places import Load, Place, unjoined, whole_number
from rushlight.engine.ops.pool_elements import (
    MOST_PLACES,
    Window,
    chosen_gradient,
    covering_count,
    largest_element,
)
from rushlight.engine.ops.written_out import Build

Array = np.ndarray


def pooled_size(
    size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil: bool
) -> Shape:
    """The number of windows along each axis; with ``ceil`` windows may hang over the end."""
    out = []
    for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True):
        span = n + 2 * p - d * (k - 1) - 1
        count = (span + (s - 1 if ceil else 0)) // s + 1
        if ceil and (count - 1) * s >= n + p:
            count -= 1
        out.append(count)
    return tuple(out)


def padded_end(n: int, k: int, s: int, p: int, d: int, count: int) -> int:
    """Padding needed behind the data so that every window fits."""
    return max((count - 1) * s + d * (k - 1) + 1 - n - p, 0)


def window_view(
    x: Array, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, out: Shape, fill: Any
) -> Array:
    """A view (rows, *out, *kernel) of ``x`` (rows, *spatial) padded with ``fill``."""
    rows = list(zip(x.shape[1:], kernel, stride, padding, dilation, out, strict=True))
    ends = [padded_end(*row) for row in rows]
    if any(padding) or any(ends):
        pads = [(0, 0), *zip(padding, ends, strict=True)]
        x = np.pad(x, pads, constant_values=fill)
    first, *steps = x.strides
    outer = [step * s for step, s in zip(steps, stride, strict=True)]
    inner = [step * d for step, d in zip(steps, dilation, strict=True)]
    return np.lib.stride_tricks.as_strided(
        x, (x.shape[0], *out, *kernel), (first, *outer, *inner), writeable=False
    )


def check_windows(input: Meta, out: Shape) -> None:
    """PyTorch's error for a window that does not fit."""
    if any(n <= 0 for n in out):
        shape = tuple(input.shape[-len(out) - 1 :])
        size = "x".join(map(str, shape))
        made = "x".join(map(str, (shape[0], *[max(n, 0) for n in out])))
        raise RuntimeError(
            f"Given input size: ({size}). Calculated output size: ({made}). "
            "Output size is too small"
        )


def refuse_types(input: Meta, kernel_name: str) -> None:
    """PyTorch's error for booleans and complex numbers, which have no order."""
    if input.dtype.category in (BOOL, COMPLEX):
        raise NotImplementedError(
            f"\"{kernel_name}\" not implemented for '{SCALAR_NAMES[input.dtype]}'"
        )


def _max_infer(
    input: Meta, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil: bool
) -> tuple[Meta, Meta]:
    nd = len(kernel)
    size = tuple(input.shape[-nd:])
    out = pooled_size(size, kernel, stride, padding, dilation, ceil)
    check_windows(input, out)
    refuse_types(input, f"max_pool{nd}d")
    shape = (*input.shape[:-nd], *out)
    return kept_layout(input, shape), kept_layout(input, shape, int64)


def lowest(found: np.dtype) -> Any:
    """The smallest number of a type."""
    return np.iinfo(found).min if found.kind in "iu" else -np.inf


def _places(
    size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, out: Shape
) -> Array:
    """The flat index in the input of every place of every window, (windows, places)."""
    flat = np.zeros((1,) * (2 * len(size)), np.int64)
    inside = np.ones((1,) * (2 * len(size)), np.bool_)
    steps = contiguous_strides(size)
    for axis, (n, k, s, p, d, o) in enumerate(
        zip(size, kernel, stride, padding, dilation, out, strict=True)
    ):
        line = np.arange(o)[:, None] * s + np.arange(k)[None, :] * d - p
        shape = [1] * (2 * len(size))
        shape[axis], shape[len(size) + axis] = o, k
        flat = flat + line.reshape(shape) * steps[axis]
        inside = inside & ((line >= 0) & (line < n)).reshape(shape)
    return np.where(inside, flat, -1).reshape(prod(out), -1)


def _max_kernel(
    spec: Spec, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil: bool
) -> Callable[[Array], tuple[Array, Array]]:
    source = spec.inputs[0]
    assert source is not None
    out, nd = tuple(spec.out.shape), len(kernel)
    size, windows = tuple(source.shape[-nd:]), out[-nd:]
    places = _places(size, kernel, stride, padding, dilation, windows)
    number = np.arange(places.shape[0])
    fill = lowest(source.dtype.numpy)
    # the first place of every window that is not padding: the answer where all are -inf
    first = (places >= 0).argmax(-1) if places.size else None

    def call(x: Array) -> tuple[Array, Array]:
        if 0 in out:
            return np.zeros(out, x.dtype), np.zeros(out, np.int64)
        rows = x.reshape(-1, *size)
        view = window_view(rows, kernel, stride, padding, dilation, windows, fill)
        flat = view.reshape(rows.shape[0], *places.shape)
        best = flat.argmax(-1)
        indices = places[number, best]
        if (indices < 0).any():
            best = np.where(indices < 0, first, best)
            indices = places[number, best]
        values = np.take_along_axis(flat, best[..., None], -1)
        return values.reshape(out), indices.reshape(out)

    return call


def _max_pool(name: str, nd: int) -> Op:
    def gradient(
        g0: Any, result1: Any, input_meta: Meta, kernel: Shape, stride: Shape, padding: Shape,
        dilation: Shape,
    ) -> Any:  # fmt: skip
        window = (kernel, stride, padding, dilation)
        return pool_scatter(g0, result1, shape=tuple(input_meta.shape), nd=nd, window=window)

    return Op(
        f"{name}(Tensor input, int[] kernel, int[] stride, int[] padding, int[] dilation, "
        "bool ceil)",
        kind=OTHER,
        infer=_max_infer,
        kernel=_max_kernel,
        element=largest_element,
        grad={"input": gradient},
        differentiable=1,
        grad_name=f"MaxPool{nd}DWithIndices",
    )


max_pool = _max_pool("max_pool", 2)
max_pool3 = _max_pool("max_pool3", 3)


# the largest element of nearly equal parts -------------------------------------------------------


def part_bounds(size: int, parts: int) -> list[tuple[int, int]]:
    """Where each of ``parts`` nearly equal parts of an axis begins and ends."""
    return [(i * size // parts, -(-(i + 1) * size // parts)) for i in range(parts)]


def _part_places(size: Shape, parts: Shape) -> Array:
    """The flat index of every element of every part, (parts, places).

    Parts that are smaller than the largest one repeat their last elements.
    """
    flat = np.zeros((1,) * (2 * len(size)), np.int64)
    steps = contiguous_strides(size)
    for axis, (n, m) in enumerate(zip(size, parts, strict=True)):
        bounds = part_bounds(n, m)
        longest = max((b - a for a, b in bounds), default=0)
        line = np.array([[min(a + j, b - 1) for j in range(longest)] for a, b in bounds], np.int64)
        shape = [1] * (2 * len(size))
        shape[axis], shape[len(size) + axis] = m, longest
        flat = flat + line.reshape(shape) * steps[axis]
    return flat.reshape(prod(parts), -1)


def check_parts(name: str, input: Meta, nd: int, channels: bool) -> None:
    """PyTorch's errors for an input that cannot be cut into parts."""
    if input.ndim not in (nd + 1, nd + 2):
        colon = ":" if name.startswith("adaptive_max") and nd > 1 else ""
        raise RuntimeError(
            f"{name}(): Expected {nd + 1}D or {nd + 2}D tensor, but got{colon} {list(input.shape)}"
        )
    start = input.ndim - nd - (1 if channels else 0)
    for axis in range(max(start, 1), input.ndim):
        if input.shape[axis] == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but "
                f"input has sizes {list(input.shape)} with dimension {axis} being empty"
            )


def _adaptive_infer(input: Meta, size: Shape) -> tuple[Meta, Meta]:
    nd = len(size)
    if min(size, default=0) < 0:
        raise RuntimeError(
            f"Trying to create tensor with negative dimension {min(size)}: "
            f"{[*input.shape[:-nd], *size]}"
        )
    if input.dtype.category < 2:
        raise NotImplementedError(
            f"\"adaptive_max_pool{nd}d\" not implemented for '{SCALAR_NAMES[input.dtype]}'"
        )
    shape = (*input.shape[:-nd], *size)
    if nd == 3:
        return make_meta(shape, input.dtype), make_meta(shape, int64)
    return kept_layout(input, shape), kept_layout(input, shape, int64)


def _adaptive_kernel(spec: Spec, size: Shape) -> Callable[[Array], tuple[Array, Array]]:
    source = spec.inputs[0]
    assert source is not None
    out, nd = tuple(spec.out.shape), len(size)
    places = _part_places(tuple(source.shape[-nd:]), size)
    number = np.arange(places.shape[0])
    elements = prod(source.shape[-nd:])

    def call(x: Array) -> tuple[Array, Array]:
        if 0 in out:
            return np.zeros(out, x.dtype), np.zeros(out, np.int64)
        flat = x.reshape(-1, elements)[:, places]
        best = flat.argmax(-1)
        values = np.take_along_axis(flat, best[..., None], -1)
        return values.reshape(out), places[number, best].reshape(out)

    return call


def _adaptive_written_out(build: Build, x: Any, size: Shape) -> Any:
    """Parts of one size, if that is not large, are windows side by side."""
    old = tuple(x.meta.shape)[-len(size) :]
    if 0 in size or not x.meta.numel or any(n % m for n, m in zip(old, size, strict=True)):
        return None
    kernel = tuple(n // m for n, m in zip(old, size, strict=True))
    if prod(kernel) > MOST_PLACES:
        return None
    return build(
        "max_pool" if len(size) == 2 else "max_pool3", x, kernel=kernel, stride=kernel,
        padding=(0,) * len(size), dilation=(1,) * len(size), ceil=False,
    )  # fmt: skip


def _adaptive_max_pool(name: str, nd: int) -> Op:
    def gradient(g0: Any, result1: Any, input_meta: Meta) -> Any:
        return pool_scatter(g0, result1, shape=tuple(input_meta.shape), nd=nd)

    return Op(
        f"{name}(Tensor input, int[] size)",
        kind=OTHER,
        infer=_adaptive_infer,
        kernel=_adaptive_kernel,
        decompose=_adaptive_written_out,
        grad={"input": gradient},
        differentiable=1,
        grad_name=f"AdaptiveMaxPool{nd}D",
    )


adaptive_max_pool2 = _adaptive_max_pool("adaptive_max_pool2", 2)
adaptive_max_pool3 = _adaptive_max_pool("adaptive_max_pool3", 3)


# from places to places -------------------------------------------------------------------------


def _scatter_kernel(
    spec: Spec, shape: Shape, nd: int, window: Window | None
) -> Callable[[Array, Array], Array]:
    rows, size = prod(shape[:-nd]), prod(shape[-nd:])
    offsets = (np.arange(rows) * size)[:, None]
    compute = numpy_compute(spec.out.dtype)
    found = spec.out.dtype.numpy

    def call(g: Array, indices: Array) -> Array:
        if not indices.size:
            return np.zeros(shape, found)
        where = (indices.reshape(rows, -1) + offsets).ravel()
        weights = g.reshape(-1).astype(compute, copy=False)
        if compute == np.float32:
            made: Array = np.zeros(rows * size, np.float32)
            np.add.at(made, where, weights)
        else:
            made = np.bincount(where, weights=weights, minlength=rows * size)
        return made.reshape(shape).astype(found, copy=False)

    return call


def _added_at(
    load: Load, index: Place, spec: Spec, shape: Shape, nd: int, window: Window | None
) -> tuple[list[Any], Expr]:
    """What every window gives to the place it has chosen; the place counts along the last axis."""
    flat = whole_number(load(1, index))
    inside = (flat >= 0) & (flat < prod(shape[-nd:]))
    place = where(inside, flat, 0)
    return [*index[:-nd], *[0] * (nd - 1), place], where(inside, load(0, index), 0)


_added_at.domain = 0  # type: ignore[attr-defined]


def _as_windows(
    build: Build, g: Any, indices: Any, shape: Shape, nd: int, window: Window | None
) -> Any:
    """The gradient looked up by the windows over a place, where these are known and few."""
    if window is None or not g.meta.numel:
        return None
    kernel, stride, _, dilation = window
    if covering_count(kernel, stride, dilation) > MOST_PLACES // 4:
        return None
    return build("pool_chosen", g, indices, shape=shape, window=window)


def _chosen_kernel(
    spec: Spec, shape: Shape, window: Window
) -> Callable[[Array, Array], Array]:
    return _scatter_kernel(spec, shape, len(window[0]), window)


# ``pool_scatter`` of the places that windows have chosen, for the compiler
pool_chosen = Op(
    "pool_chosen(Tensor g_out, Tensor indices, int[] shape, Window window)",
    kind=GATHER,
    infer=lambda g_out, indices, shape, window: make_meta(shape, g_out.dtype),
    kernel=_chosen_kernel,
    element=chosen_gradient,
)

# adds to every place what stands at the windows that have chosen it; ``window``: their kernel,
# stride, padding and dilation, where the places come from such windows
pool_scatter = Op(
    "pool_scatter(Tensor g_out, Tensor indices, int[] shape, int nd, Window window=None)",
    kind=OTHER,
    infer=lambda g_out, indices, shape, nd, window: make_meta(shape, g_out.dtype),
    kernel=_scatter_kernel,
    scatter=_added_at,
    decompose=_as_windows,
    grad={"g_out": lambda g, indices, nd: pool_gather(g, indices, nd=nd)},
    grad_name="MaxPool2DWithIndicesBackwardBackward0",
)


def _gather_kernel(spec: Spec, nd: int) -> Callable[[Array, Array], Array]:
    shape = tuple(spec.out.shape)
    rows = prod(shape[:-nd])

    def call(x: Array, indices: Array) -> Array:
        if not indices.size:
            return np.zeros(shape, x.dtype)
        flat = x.reshape(rows, -1)
        return np.take_along_axis(flat, indices.reshape(rows, -1), -1).reshape(shape)

    return call


def _gather_element(load: Load, index: Place, spec: Spec, nd: int) -> Expr:
    source = spec.inputs[0]
    assert source is not None
    number = whole_number(load(1, index))
    return load(0, [*index[:-nd], *unjoined(number, source.shape[-nd:])])


pool_gather: Op = Op(
    "pool_gather(Tensor input, Tensor indices, int nd)",
    kind=GATHER,
    infer=lambda input, indices, nd: make_meta(tuple(indices.shape), input.dtype),
    kernel=_gather_kernel,
    element=_gather_element,
    grad={
        "input": lambda g, indices, input_meta, nd: pool_scatter(
            g, indices, shape=tuple(input_meta.shape), nd=nd
        )
    },
    grad_name="Gather",
)


def _unpool_infer(input: Meta, indices: Meta, size: Shape) -> Meta:
    if indices.dtype is not int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {SCALAR_NAMES[indices.dtype]}"
        )
    if indices.shape != input.shape:
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    shape = (*input.shape[: -len(size)], *size)
    return kept_layout(input, shape) if len(size) == 2 else make_meta(shape, input.dtype)


def _unpool_kernel(spec: Spec, size: Shape) -> Callable[[Array, Array], Array]:
    shape, found = tuple(spec.out.shape), spec.out.dtype.numpy
    rows, count = prod(shape[: -len(size)]), prod(size)
    offsets = (np.arange(rows) * count)[:, None]

    def call(x: Array, indices: Array) -> Array:
        made = np.zeros(rows * count, found)
        if not indices.size:
            return made.reshape(shape)
        if indices.max() >= count or indices.min() < 0:
            bad = indices[(indices >= count) | (indices < 0)].flat[0]
            raise RuntimeError(
                f"Found an invalid max index: {int(bad)} (output volumes are of size "
                f"{'x'.join(map(str, size))})"
            )
        made[(indices.reshape(rows, -1) + offsets).ravel()] = x.reshape(-1)
        return made.reshape(shape)

    return call


def _unpool(name: str, nd: int) -> Op:
    return Op(
        f"{name}(Tensor input, Tensor indices, int[] size)",
        kind=OTHER,
        infer=_unpool_infer,
        kernel=_unpool_kernel,
        grad={"input": lambda g, indices: pool_gather(g, indices, nd=nd)},
        may_fail=True,
        grad_name=f"MaxUnpool{nd}D",
    )


max_unpool2 = _unpool("max_unpool2", 2)
max_unpool3 = _unpool("max_unpool3", 3)
