"""Pooling over windows of one to three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import int64
from rushlight.engine.core.shape import Shape, contiguous_strides
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.elementwise import numpy_compute

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


def _padded_end(n: int, k: int, s: int, p: int, d: int, count: int) -> int:
    """Padding needed behind the data so that every window fits."""
    return max((count - 1) * s + d * (k - 1) + 1 - n - p, 0)


def window_view(
    x: Array, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, out: Shape, fill: Any
) -> Array:
    """A view (N, C, *out, *kernel) of ``x`` padded with ``fill``."""
    rows = list(zip(x.shape[2:], kernel, stride, padding, dilation, out, strict=True))
    ends = [_padded_end(*row) for row in rows]
    if any(padding) or any(ends):
        pads = [(0, 0), (0, 0), *zip(padding, ends, strict=True)]
        x = np.pad(x, pads, constant_values=fill)
    n, c, *steps = x.strides
    outer = [step * s for step, s in zip(steps, stride, strict=True)]
    inner = [step * d for step, d in zip(steps, dilation, strict=True)]
    return np.lib.stride_tricks.as_strided(
        x, (*x.shape[:2], *out, *kernel), (n, c, *outer, *inner), writeable=False
    )


def _check_size(out: Shape, input: Meta) -> None:
    if any(n <= 0 for n in out):
        size = "x".join(map(str, input.shape[1:]))
        made = "x".join(map(str, (input.shape[1], *out)))
        raise RuntimeError(
            f"Given input size: ({size}). Calculated output size: ({made}). "
            "Output size is too small"
        )


def _max_infer(
    input: Meta, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil: bool
) -> tuple[Meta, Meta]:
    for k, p in zip(kernel, padding, strict=True):
        if p > k // 2:
            raise RuntimeError(
                f"pad should be at most half of effective kernel size, but got pad={p}, "
                f"kernel_size={k} and dilation=1"
            )
    out = pooled_size(tuple(input.shape[2:]), kernel, stride, padding, dilation, ceil)
    _check_size(out, input)
    shape = (*input.shape[:2], *out)
    return make_meta(shape, input.dtype), make_meta(shape, int64)


def _lowest(found: np.dtype) -> Any:
    if found.kind in "iu":
        return np.iinfo(found).min
    return -np.inf


def _places(
    size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, out: Shape
) -> Array:
    """The flat index in the input of every place of every window, -1 outside, (windows, places)."""
    flat = np.zeros((1,) * (2 * len(size)), np.int64)
    inside = np.ones(flat.shape, np.bool_)
    steps = contiguous_strides(size)
    rows = zip(size, kernel, stride, padding, dilation, out, strict=True)
    for axis, (n, k, s, p, d, o) in enumerate(rows):
        line = np.arange(o)[:, None] * s + np.arange(k)[None, :] * d - p
        shape = [1] * (2 * len(size))
        shape[axis], shape[len(size) + axis] = o, k
        flat = flat + line.reshape(shape) * steps[axis]
        inside = inside & ((line >= 0) & (line < n)).reshape(shape)
    return np.where(inside, flat, -1).reshape(int(np.prod(out)), -1)


def _max_kernel(
    spec: Spec, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape, ceil: bool
) -> Callable[[Array], tuple[Array, Array]]:
    source = spec.inputs[0]
    assert source is not None
    out = tuple(spec.out.shape)
    size = tuple(source.shape[2:])
    places = _places(size, kernel, stride, padding, dilation, out[2:])
    windows = np.arange(places.shape[0])
    lowest = _lowest(source.dtype.numpy)
    floating = source.dtype.is_floating_point

    flat_out = (*out[:2], windows.size)
    columns = np.ascontiguousarray(places.T)

    def call(x: Array) -> tuple[Array, Array]:
        view = window_view(x, kernel, stride, padding, dilation, out[2:], lowest)
        best, values = _largest(view, kernel, floating)
        best, values = best.reshape(flat_out), values.reshape(flat_out)
        if floating and any(padding) and np.isneginf(values).any():
            best = _inside(best, values, places)
        # windows are numbered alike in every channel, so one row of the table serves all
        indices = places.ravel().take(best + windows * columns.shape[0])
        return values.reshape(out), indices.reshape(out)

    return call


def _largest(view: Array, kernel: Shape, floating: bool) -> tuple[Array, Array]:
    """Number and value of the largest place of every window; the first NaN wins."""
    start, *others = np.ndindex(*kernel)
    values = np.array(view[(..., *start)])
    best = np.zeros(values.shape, np.int64)
    for number, place in enumerate(others, 1):
        candidate = view[(..., *place)]
        better = candidate > values
        if floating:
            better |= (candidate != candidate) & (values == values)
        np.maximum(values, candidate, out=values)
        np.maximum(best, better.view(np.int8) * np.int64(number), out=best)
    return best, values


def _inside(best: Array, values: Array, places: Array) -> Array:
    """Where every element of a window is -inf, the first one that is not padding."""
    first = (places >= 0).argmax(-1)
    return np.where(np.isneginf(values), np.broadcast_to(first, best.shape), best)


max_pool = Op(
    "max_pool(Tensor input, int[] kernel, int[] stride, int[] padding, int[] dilation, bool ceil)",
    kind=OTHER,
    infer=_max_infer,
    kernel=_max_kernel,
    grad={"input": lambda g0, result1, input_meta: pool_scatter(
        g0, result1, shape=tuple(input_meta.shape))},
    differentiable=1,
    grad_name="MaxPool2DWithIndices",
)  # fmt: skip


def _scatter_kernel(spec: Spec, shape: Shape) -> Callable[[Array, Array], Array]:
    rows = int(np.prod(shape[:2]))
    size = int(np.prod(shape[2:]))
    offsets = (np.arange(rows) * size)[:, None]
    compute = numpy_compute(spec.out.dtype)

    def call(g: Array, indices: Array) -> Array:
        where = (indices.reshape(rows, -1) + offsets).ravel()
        weights = g.reshape(-1)
        if compute == np.float32:
            made = np.zeros(rows * size, np.float32)
            np.add.at(made, where, weights.astype(np.float32, copy=False))
        else:
            made = np.bincount(where, weights=weights, minlength=rows * size)
        return made.reshape(shape).astype(g.dtype, copy=False)

    return call


pool_scatter = Op(
    "pool_scatter(Tensor g_out, Tensor indices, int[] shape)",
    kind=OTHER,
    infer=lambda g_out, indices, shape: make_meta(shape, g_out.dtype),
    kernel=_scatter_kernel,
    grad={"g_out": lambda g, indices: pool_gather(g, indices)},
    grad_name="MaxPool2DWithIndicesBackward",
)


def _gather_kernel(spec: Spec) -> Callable[[Array, Array], Array]:
    shape = tuple(spec.out.shape)

    def call(x: Array, indices: Array) -> Array:
        flat = x.reshape(*x.shape[:2], -1)
        return np.take_along_axis(flat, indices.reshape(*x.shape[:2], -1), -1).reshape(shape)

    return call


pool_gather = Op(
    "pool_gather(Tensor input, Tensor indices)",
    kind=OTHER,
    infer=lambda input, indices: make_meta(tuple(indices.shape), input.dtype),
    kernel=_gather_kernel,
    grad={"input": lambda g, indices, input_meta: pool_scatter(
        g, indices, shape=tuple(input_meta.shape))},
    grad_name="Gather",
)  # fmt: skip


# average ---------------------------------------------------------------------------------------


def _avg_infer(
    input: Meta, kernel: Shape, stride: Shape, padding: Shape, ceil: bool, count_padding: bool,
    divisor: int | None,
) -> Meta:  # fmt: skip
    one = (1,) * len(kernel)
    out = pooled_size(tuple(input.shape[2:]), kernel, stride, padding, one, ceil)
    _check_size(out, input)
    return make_meta((*input.shape[:2], *out), input.dtype)


def _divisors(
    size: Shape, kernel: Shape, stride: Shape, padding: Shape, out: Shape, count_padding: bool
) -> Array:
    """How many elements each window averages over."""
    total = np.ones((1,) * len(size), np.float64)
    for axis, (n, k, s, p, o) in enumerate(zip(size, kernel, stride, padding, out, strict=True)):
        start = np.arange(o) * s - p
        stop = np.minimum(start + k, n + p)
        if not count_padding:
            start, stop = np.maximum(start, 0), np.minimum(stop, n)
        shape = [1] * len(size)
        shape[axis] = o
        total = total * (stop - start).reshape(shape)
    return total


def _scales(
    size: Shape, kernel: Shape, stride: Shape, padding: Shape, out: Shape, count_padding: bool,
    divisor: int | None,
) -> Any:  # fmt: skip
    if divisor is not None:
        return 1.0 / divisor
    return 1.0 / _divisors(size, kernel, stride, padding, out, count_padding)


def _avg_kernel(
    spec: Spec, kernel: Shape, stride: Shape, padding: Shape, ceil: bool, count_padding: bool,
    divisor: int | None,
) -> Callable[[Array], Array]:  # fmt: skip
    source = spec.inputs[0]
    assert source is not None
    out = tuple(spec.out.shape)
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    scale = np.asarray(
        _scales(tuple(source.shape[2:]), kernel, stride, padding, out[2:], count_padding, divisor)
    ).astype(compute)
    one = (1,) * len(kernel)
    axes = tuple(range(len(out), len(out) + len(kernel)))

    def call(x: Array) -> Array:
        view = window_view(x.astype(compute, copy=False), kernel, stride, padding, one, out[2:], 0)
        total: Array = view.sum(axis=axes) * scale
        return total.astype(found, copy=False)

    return call


def _avg_grad_kernel(
    spec: Spec, shape: Shape, kernel: Shape, stride: Shape, padding: Shape, count_padding: bool,
    divisor: int | None,
) -> Callable[[Array], Array]:  # fmt: skip
    source = spec.inputs[0]
    assert source is not None
    out, size = tuple(source.shape[2:]), shape[2:]
    compute = numpy_compute(spec.out.dtype)
    scale = np.asarray(
        _scales(size, kernel, stride, padding, out, count_padding, divisor)
    ).astype(compute)
    rows = list(zip(size, kernel, stride, padding, out, strict=True))
    padded = [n + p + max(_padded_end(n, k, s, p, 1, o), p) for n, k, s, p, o in rows]

    def call(g: Array) -> Array:
        share = g.astype(compute, copy=False) * scale
        made = np.zeros((*shape[:2], *padded), compute)
        for place in np.ndindex(*kernel):
            where = tuple(
                slice(k, k + (o - 1) * s + 1, s)
                for k, (_, _, s, _, o) in zip(place, rows, strict=True)
            )
            made[(slice(None), slice(None), *where)] += share
        inside = tuple(slice(p, p + n) for n, _, _, p, _ in rows)
        return np.ascontiguousarray(made[(slice(None), slice(None), *inside)]).astype(
            g.dtype, copy=False
        )

    return call


def _avg_grad(
    g: Any, input_meta: Meta, kernel: Shape, stride: Shape, padding: Shape, count_padding: bool,
    divisor: int | None,
) -> Any:  # fmt: skip
    return avg_pool_grad(
        g, shape=tuple(input_meta.shape), kernel=kernel, stride=stride, padding=padding,
        count_padding=count_padding, divisor=divisor,
    )  # fmt: skip


avg_pool = Op(
    "avg_pool(Tensor input, int[] kernel, int[] stride, int[] padding, bool ceil, "
    "bool count_padding, int? divisor)",
    kind=OTHER,
    infer=_avg_infer,
    kernel=_avg_kernel,
    grad={"input": _avg_grad},
    grad_name="AvgPool2D",
)


def _avg_again(
    g: Any, g_out_meta: Meta, kernel: Shape, stride: Shape, padding: Shape, count_padding: bool,
    divisor: int | None,
) -> Any:  # fmt: skip
    attrs = {"kernel": kernel, "stride": stride, "padding": padding, "divisor": divisor}
    for ceil in (False, True):
        one = (1,) * len(kernel)
        if pooled_size(g.shape[2:], kernel, stride, padding, one, ceil) == g_out_meta.shape[2:]:
            break
    return avg_pool(g, ceil=ceil, count_padding=count_padding, **attrs)


avg_pool_grad = Op(
    "avg_pool_grad(Tensor g_out, int[] shape, int[] kernel, int[] stride, int[] padding, "
    "bool count_padding, int? divisor)",
    kind=OTHER,
    infer=lambda g_out, shape, *_: make_meta(shape, g_out.dtype),
    kernel=_avg_grad_kernel,
    grad={"g_out": _avg_again},
    grad_name="AvgPool2DBackward",
)
