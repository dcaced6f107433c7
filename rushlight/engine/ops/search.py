"""Counting and finding: unique elements, histograms, and places in sorted boundaries.

The sizes of ``unique`` and ``bincount`` follow from the data, so these read their input at once.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, INTEGRAL, SCALAR_NAMES, int32, int64
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.matmul import type_name

Array = np.ndarray


def _require_kind(meta: Meta, allowed: tuple[int, ...], kernel: str) -> None:
    if meta.dtype.category not in allowed:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{SCALAR_NAMES[meta.dtype]}'")


# places in sorted boundaries -------------------------------------------------------------------


def _search_infer(
    boundaries: Meta, input: Meta, sorter: Meta | None, right: bool, small: bool
) -> Meta:
    if boundaries.ndim != 1 and (
        boundaries.ndim != input.ndim or boundaries.shape[:-1] != input.shape[:-1]
    ):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(boundaries.shape)} and input value tensor "
            f"{list(input.shape)}"
        )
    if sorter is not None and sorter.shape != boundaries.shape:
        raise RuntimeError(
            "torch.searchsorted(): boundary and sorter must have the same size, but got boundary "
            f"tensor {list(boundaries.shape)}and got sorter tensor {list(sorter.shape)}"
        )
    if sorter is not None and sorter.dtype is not int64:
        raise RuntimeError(
            "torch.searchsorted(): sorter must be a tensor of long dtype but got dtype "
            f"{SCALAR_NAMES[sorter.dtype]}"
        )
    return make_meta(tuple(input.shape), int32 if small else int64)


def _search_kernel(spec: Spec, right: bool, small: bool) -> Callable[..., Array]:
    boundaries, input, _ = spec.inputs
    assert boundaries is not None
    assert input is not None
    side: Any = "right" if right else "left"
    out = spec.out.dtype.numpy
    wide = numpy_compute(boundaries.dtype)
    sought_type = None if input.weak else numpy_compute(input.dtype)
    single = boundaries.ndim == 1

    def search(edges: Array, values: Any, sorter: Array | None) -> Array:
        edges = edges.astype(wide, copy=False)
        if sorter is not None:
            edges = np.take_along_axis(edges, sorter, -1)
        values = np.asarray(values, sought_type)
        if single:
            return np.asarray(np.searchsorted(edges, values, side)).astype(out)
        rows = edges.reshape(-1, edges.shape[-1])
        wanted = values.reshape(len(rows), -1)
        made = np.empty(wanted.shape, out)
        for row, sought, place in zip(rows, wanted, made, strict=True):
            place[:] = np.searchsorted(row, sought, side)
        return made.reshape(values.shape)

    return search


searchsorted = Op(
    "searchsorted_(Tensor boundaries, Tensor input, Tensor? sorter, bool right, bool small)",
    kind=OTHER,
    infer=_search_infer,
    kernel=_search_kernel,
)


# histograms ------------------------------------------------------------------------------------


def _histc_kernel(spec: Spec, bins: int, low: float, high: float) -> Callable[[Array], Array]:
    out, compute = spec.out.dtype.numpy, numpy_compute(spec.out.dtype)

    def count(x: Array) -> Array:
        x = x.astype(compute, copy=False)
        first, last = low, high
        if first == last and x.size:
            first, last = float(x.min()), float(x.max())
        if first == last:
            first, last = first - 1, last + 1
        if not (np.isfinite(first) and np.isfinite(last)):
            raise RuntimeError(f"torch.histc: range of [{first:g}, {last:g}] is not finite")
        inside = x[(x >= first) & (x <= last)]
        share = (inside - compute.type(first)) / compute.type(last - first)
        place = (share * bins).astype(np.int64)
        return np.bincount(np.minimum(place, bins - 1), minlength=bins).astype(out)

    return count


def _histc_infer(input: Meta, bins: int, low: float, high: float) -> Meta:
    _require_kind(input, (FLOATING,), "histogram_cpu")
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if low > high:
        raise RuntimeError("torch.histc: max must be larger than min")
    return make_meta((bins,), input.dtype)


histc = Op(
    "histc_(Tensor input, int bins, float low, float high)",
    kind=OTHER,
    infer=_histc_infer,
    kernel=_histc_kernel,
    may_fail=True,
)


def _histogram_infer(input: Meta, edges: Meta, weight: Meta | None, density: bool) -> Meta:
    _require_kind(input, (FLOATING,), "histogramdd")
    if edges.dtype is not input.dtype:
        raise RuntimeError(
            "torch.histogramdd: input tensor and bins tensors should have the same dtype, but got "
            f"input with dtype {type_name(input.dtype)} and bins for dimension 0 with dtype "
            f"{type_name(edges.dtype)}"
        )
    if weight is not None and weight.shape != input.shape:
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the "
            "input tensor excluding its innermost dimension, but got input with shape "
            f"{[input.numel, 1]} and weight with shape {list(weight.shape)}"
        )
    return make_meta((max(edges.shape[0] - 1, 0),), input.dtype)


def _histogram_kernel(spec: Spec, density: bool) -> Callable[..., Array]:
    out = spec.out.dtype.numpy
    bins = spec.out.shape[0]

    def count(x: Array, edges: Array, weight: Array | None) -> Array:
        flat = x.reshape(-1)
        inside = (flat >= edges[0]) & (flat <= edges[-1])
        chosen = flat[inside]
        place = np.searchsorted(edges, chosen, "right") - 1
        share = None if weight is None else weight.reshape(-1)[inside]
        made = np.bincount(np.minimum(place, bins - 1), share, minlength=bins).astype(out)
        if density:
            made = made / made.sum() / np.diff(edges)
        return made.astype(out, copy=False)

    return count


histogram = Op(
    "histogram_(Tensor input, Tensor edges, Tensor? weight, bool density)",
    kind=OTHER,
    infer=_histogram_infer,
    kernel=_histogram_kernel,
)


# counting now ----------------------------------------------------------------------------------


def counted(values: Array, weights: Array | None, minlength: int) -> Array:
    """How often every number 0, 1, ... occurs, or the sum of its weights."""
    if values.ndim != 1 or (values.size and values.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if weights is not None and weights.shape != values.shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    if not values.size:
        return np.zeros(minlength, np.int64)
    if weights is not None and weights.dtype.kind == "c":
        weights = weights.real.astype(np.float64)
    made = np.bincount(values.astype(np.int64), weights, minlength)
    if weights is not None and weights.dtype == np.float32:
        return made.astype(np.float32)
    return made


def require_countable(meta: Meta) -> None:
    """PyTorch's error for counting numbers that are not integers."""
    _require_kind(meta, (INTEGRAL,), "bincount_cpu")


Unique = tuple[Array, Array, Array]


def unique_elements(x: Array) -> Unique:
    """The distinct elements in rising order, where each element of ``x`` is, and their counts."""
    values, inverse, counts = np.unique(x, return_inverse=True, return_counts=True, equal_nan=False)
    return values, inverse.reshape(x.shape), counts


def unique_slices(x: Array, dim: int) -> Unique:
    """The distinct slices along ``dim`` in rising order, places and counts."""
    if not x.size:
        if x.shape[dim]:
            raise RuntimeError(
                "There are 0 sized dimensions, and they aren't selected, so unique cannot be "
                "applied"
            )
        return x, np.zeros(0, np.int64), np.zeros(0, np.int64)
    values, inverse, counts = np.unique(
        x, return_inverse=True, return_counts=True, axis=dim, equal_nan=False
    )
    return values, inverse.reshape(-1), counts


def unique_runs(x: Array, dim: int | None) -> Unique:
    """Neighbours that are equal taken as one: elements (or slices), places and counts."""
    rows = x.reshape(-1) if dim is None else np.moveaxis(x, dim, 0)
    count = len(rows)
    if not count:
        empty = np.zeros(x.shape if dim is None else (0,), np.int64)
        return rows if dim is None else x, empty, np.zeros(0, np.int64)
    differs = rows[1:] != rows[:-1]
    if differs.ndim > 1:
        differs = differs.any(tuple(range(1, differs.ndim)))
    starts = np.concatenate(([0], np.flatnonzero(differs) + 1))
    inverse = np.concatenate(([0], np.cumsum(differs))).astype(np.int64)
    counts = np.diff(np.append(starts, count))
    values = rows[starts]
    if dim is not None:
        return np.moveaxis(values, 0, dim), inverse, counts
    return values, inverse.reshape(x.shape), counts
