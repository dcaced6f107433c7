"""Pooling by the mean: over windows, and over nearly equal parts of every axis."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, int64
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.memory_format import kept_layout
from rushlight.engine.ops.pool import (
    check_windows,
    padded_end,
    part_bounds,
    pooled_size,
)
from rushlight.engine.ops.pool_elements import MOST_PLACES, mean_element, mean_gradient
from rushlight.engine.ops.written_out import Build, narrowed, usable, widened

Array = np.ndarray


def _avg_infer(
    input: Meta, kernel: Shape, stride: Shape, padding: Shape, ceil: bool, count_padding: bool,
    divisor: int | None,
) -> Meta:  # fmt: skip
    nd = len(kernel)
    one = (1,) * nd
    out = pooled_size(tuple(input.shape[-nd:]), kernel, stride, padding, one, ceil)
    check_windows(input, out)
    if not input.dtype.is_floating_point and input.dtype is not int64:
        raise NotImplementedError(
            f"\"avg_pool{nd}d\" not implemented for '{SCALAR_NAMES[input.dtype]}'"
        )
    shape = (*input.shape[:-nd], *out)
    return kept_layout(input, shape) if nd == 2 else make_meta(shape, input.dtype)


def _divisors(
    size: Shape, kernel: Shape, stride: Shape, padding: Shape, out: Shape, count_padding: bool,
    divisor: int | None,
) -> Array:  # fmt: skip
    """How many elements each window averages over."""
    if divisor is not None:
        return np.array(divisor)
    total = np.ones((1,) * len(size), np.int64)
    for axis, (n, k, s, p, o) in enumerate(zip(size, kernel, stride, padding, out, strict=True)):
        start = np.arange(o) * s - p
        stop = np.minimum(start + k, n + p)
        if not count_padding:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        shape = [1] * len(size)
        shape[axis] = o
        total = total * (stop - start).reshape(shape)
    return total


def _divided(total: Array, count: Array) -> Array:
    """A mean; that of integers is rounded towards zero."""
    if total.dtype.kind == "f":
        quotient: Array = total / count.astype(total.dtype)
        return quotient
    quotient = np.abs(total) // np.abs(count)
    return quotient * np.sign(total) * np.sign(count)


def _avg_kernel(
    spec: Spec, kernel: Shape, stride: Shape, padding: Shape, ceil: bool, count_padding: bool,
    divisor: int | None,
) -> Callable[[Array], Array]:  # fmt: skip
    source = spec.inputs[0]
    assert source is not None
    out, nd = tuple(spec.out.shape), len(kernel)
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    size, windows = tuple(source.shape[-nd:]), out[-nd:]
    count = _divisors(size, kernel, stride, padding, windows, count_padding, divisor)
    rows = list(zip(size, kernel, stride, padding, windows, strict=True))
    pads = [(0, 0), *[(p, padded_end(n, k, s, p, 1, o)) for n, k, s, p, o in rows]]
    padded = any(after or before for before, after in pads)
    wheres = _window_places(kernel, stride, windows)

    def call(x: Array) -> Array:
        if 0 in out:
            return np.zeros(out, found)
        x = x.reshape(-1, *size).astype(compute, copy=False)
        if padded:
            x = np.pad(x, pads)
        # one addition of all windows' elements at a place is quicker than a sum over each window
        total = x[wheres[0]].copy()
        for where in wheres[1:]:
            total += x[where]
        return _divided(total, count).reshape(out).astype(found, copy=False)

    return call


def _window_places(kernel: Shape, stride: Shape, out: Shape) -> list[tuple[slice, ...]]:
    """For every place in a window the slices that pick it out of all windows."""
    return [
        (slice(None), *[
            slice(k, k + (o - 1) * s + 1, s) for k, s, o in zip(place, stride, out, strict=True)
        ])
        for place in np.ndindex(*kernel)
    ]  # fmt: skip


def _avg_grad_kernel(
    spec: Spec, shape: Shape, kernel: Shape, stride: Shape, padding: Shape, ceil: bool,
    count_padding: bool, divisor: int | None,
) -> Callable[[Array], Array]:  # fmt: skip
    source = spec.inputs[0]
    assert source is not None
    nd = len(kernel)
    out, size = tuple(source.shape[-nd:]), shape[-nd:]
    compute = numpy_compute(spec.out.dtype)
    count = _divisors(size, kernel, stride, padding, out, count_padding, divisor)
    rows = list(zip(size, kernel, stride, padding, out, strict=True))
    padded = [n + p + max(padded_end(n, k, s, p, 1, o), p) for n, k, s, p, o in rows]
    wheres = _window_places(kernel, stride, out)
    inside = (slice(None), *[slice(p, p + n) for n, _, _, p, _ in rows])

    def call(g: Array) -> Array:
        if 0 in shape:
            return np.zeros(shape, g.dtype)
        share = _divided(g.reshape(-1, *out).astype(compute, copy=False), count)
        made = np.zeros((share.shape[0], *padded), compute)
        for where in wheres:
            made[where] += share
        return np.ascontiguousarray(made[inside]).reshape(shape).astype(g.dtype, copy=False)

    return call


def _block_means(build: Build, x: Any, kernel: Shape) -> Any:
    """The means of windows that lie side by side and cover the input, as a reduction."""
    nd, shape = len(kernel), tuple(x.meta.shape)
    lead, out = shape[:-nd], [n // k for n, k in zip(shape[-nd:], kernel, strict=True)]
    found = x.meta.dtype
    x = widened(build, x)
    if all(n == 1 for n in out):
        dims = tuple(range(len(lead), len(shape)))
        return narrowed(build, build("mean", x, dims=dims, keepdim=True), found)
    blocks = [part for pair in zip(out, kernel, strict=True) for part in pair]
    x = build("view", x, size=(*lead, *blocks))
    dims = tuple(range(len(lead) + 1, len(lead) + 2 * nd, 2))
    return narrowed(build, build("mean", x, dims=dims, keepdim=False), found)


def _large_windows(
    build: Build, x: Any, kernel: Shape, stride: Shape, padding: Shape, ceil: bool,
    count_padding: bool, divisor: int | None,
) -> Any:  # fmt: skip
    """Windows of many places that lie side by side are averaged by a reduction."""
    few = prod(kernel) <= MOST_PLACES and divisor is None
    if few or not usable(x) or not x.meta.contiguous or not x.meta.dtype.is_floating_point:
        return None
    size = tuple(x.meta.shape)[-len(kernel) :]
    covered = all(n % k == 0 for n, k in zip(size, kernel, strict=True))
    if stride != kernel or any(padding) or not covered or divisor not in (None, prod(kernel)):
        return None
    return _block_means(build, x, kernel)


def _avg_pool(name: str, nd: int) -> Op:
    """The record of the mean over windows, and of its gradient."""

    def gradient(
        g: Any, input_meta: Meta, kernel: Shape, stride: Shape, padding: Shape, ceil: bool,
        count_padding: bool, divisor: int | None,
    ) -> Any:  # fmt: skip
        return backward(
            g, shape=tuple(input_meta.shape), kernel=kernel, stride=stride, padding=padding,
            ceil=ceil, count_padding=count_padding, divisor=divisor,
        )  # fmt: skip

    def again(
        g: Any, kernel: Shape, stride: Shape, padding: Shape, ceil: bool, count_padding: bool,
        divisor: int | None,
    ) -> Any:  # fmt: skip
        return forward(
            g, kernel=kernel, stride=stride, padding=padding, ceil=ceil,
            count_padding=count_padding, divisor=divisor,
        )  # fmt: skip

    attributes = (
        "int[] kernel, int[] stride, int[] padding, bool ceil, bool count_padding, int? divisor"
    )
    forward = Op(
        f"{name}(Tensor input, {attributes})",
        kind=OTHER,
        infer=_avg_infer,
        kernel=_avg_kernel,
        element=mean_element,
        decompose=_large_windows,
        grad={"input": gradient},
        grad_name=f"AvgPool{nd}D",
    )
    backward = Op(
        f"{name}_grad(Tensor g_out, int[] shape, {attributes})",
        kind=OTHER,
        infer=lambda g_out, shape, *_: make_meta(shape, g_out.dtype),
        kernel=_avg_grad_kernel,
        element=mean_gradient,
        grad={"g_out": again},
        grad_name=f"AvgPool{nd}DBackwardBackward0",
    )
    return forward


avg_pool = _avg_pool("avg_pool", 2)
avg_pool3 = _avg_pool("avg_pool3", 3)


# nearly equal parts ----------------------------------------------------------------------------


def _part_means(x: Array, axis: int, bounds: list[tuple[int, int]], _: int) -> Array:
    """The mean of each part of an axis."""
    moved = np.moveaxis(x, axis, -1)
    made = np.empty((*moved.shape[:-1], len(bounds)), x.dtype)
    for part, (start, stop) in enumerate(bounds):
        np.divide(moved[..., start:stop].sum(-1), x.dtype.type(stop - start), made[..., part])
    return np.moveaxis(made, -1, axis)


def _part_shares(x: Array, axis: int, bounds: list[tuple[int, int]], size: int) -> Array:
    """The gradient of each part's mean, given to its elements."""
    moved = np.moveaxis(x, axis, -1)
    made = np.zeros((*moved.shape[:-1], size), x.dtype)
    for part, (start, stop) in enumerate(bounds):
        made[..., start:stop] += moved[..., part : part + 1] / x.dtype.type(stop - start)
    return np.moveaxis(made, -1, axis)


def _adaptive_infer(input: Meta, size: Shape) -> Meta:
    nd = len(size)
    if min(size, default=0) < 0:
        shown = ", ".join(map(str, size))
        raise RuntimeError(
            f"adaptive_avg_pool{nd}d: elements of output_size must be greater than or equal to 0 "
            f"but received {{{shown}}}"
        )
    if input.dtype.category != FLOATING:
        raise NotImplementedError(
            f"\"adaptive_avg_pool{nd}d\" not implemented for '{SCALAR_NAMES[input.dtype]}'"
        )
    shape = (*input.shape[:-nd], *size)
    return kept_layout(input, shape) if nd == 2 else make_meta(shape, input.dtype)


def _part_kernel(spec: Spec, sizes: Shape, parts: Shape, spread: bool) -> Callable[[Array], Array]:
    """Means of parts, or (``spread``) every mean's gradient spread over its part."""
    out = tuple(spec.out.shape)
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    bounds = [part_bounds(n, m) for n, m in zip(sizes, parts, strict=True)]
    along = _part_shares if spread else _part_means
    taken = parts if spread else sizes

    def call(x: Array) -> Array:
        if 0 in out or not x.size:
            return np.zeros(out, found)
        made = x.reshape(-1, *taken).astype(compute, copy=False)
        for axis, (own, size) in enumerate(zip(bounds, sizes, strict=True), 1):
            made = along(made, axis, own, size)
        return np.ascontiguousarray(made).reshape(out).astype(found, copy=False)

    return call


def _adaptive_kernel(spec: Spec, size: Shape) -> Callable[[Array], Array]:
    source = spec.inputs[0]
    assert source is not None
    return _part_kernel(spec, tuple(source.shape[-len(size) :]), size, False)


def _adaptive_grad_kernel(spec: Spec, shape: Shape, nd: int) -> Callable[[Array], Array]:
    source = spec.inputs[0]
    assert source is not None
    return _part_kernel(spec, shape[-nd:], tuple(source.shape[-nd:]), True)


def _parts_written_out(build: Build, x: Any, size: Shape) -> Any:
    """Parts of one size are windows side by side."""
    old = tuple(x.meta.shape)[-len(size) :]
    if not usable(x) or not x.meta.contiguous or 0 in size:
        return None
    if any(n % m for n, m in zip(old, size, strict=True)):
        return None
    return _block_means(build, x, tuple(n // m for n, m in zip(old, size, strict=True)))


def _parts_grad_written_out(build: Build, g: Any, shape: Shape, nd: int) -> Any:
    parts = tuple(g.meta.shape)[-nd:]
    if not usable(g) or any(n % m for n, m in zip(shape[-nd:], parts, strict=True)):
        return None
    kernel = tuple(n // m for n, m in zip(shape[-nd:], parts, strict=True))
    return build(
        "avg_pool_grad" if nd == 2 else "avg_pool3_grad", g, shape=shape, kernel=kernel,
        stride=kernel, padding=(0,) * nd, ceil=False, count_padding=True, divisor=None,
    )  # fmt: skip


def _adaptive_avg_pool(name: str, nd: int) -> Op:
    """The record of the mean over parts, and of its gradient."""
    forward = Op(
        f"{name}(Tensor input, int[] size)",
        kind=OTHER,
        infer=_adaptive_infer,
        kernel=_adaptive_kernel,
        decompose=_parts_written_out,
        grad={"input": lambda g, input_meta: backward(g, shape=tuple(input_meta.shape), nd=nd)},
        grad_name=f"AdaptiveAvgPool{nd}D",
    )
    backward = Op(
        f"{name}_grad(Tensor g_out, int[] shape, int nd)",
        kind=OTHER,
        infer=lambda g_out, shape, nd: make_meta(shape, g_out.dtype),
        kernel=_adaptive_grad_kernel,
        decompose=_parts_grad_written_out,
        grad={"g_out": lambda g, g_out_meta, nd: forward(g, size=tuple(g_out_meta.shape[-nd:]))},
        grad_name=f"AdaptiveAvgPool{nd}DBackwardBackward0",
    )
    return forward


adaptive_avg_pool2 = _adaptive_avg_pool("adaptive_avg_pool2", 2)
adaptive_avg_pool3 = _adaptive_avg_pool("adaptive_avg_pool3", 3)
