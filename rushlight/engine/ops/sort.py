"""Sorting, the largest, the k-th, the middle and the most frequent element: the records.

NaN counts as larger than every number, as in PyTorch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import int64
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import GATHER, REDUCTION, Op, Spec
from rushlight.engine.ops.elementwise import broadcast_meta
from rushlight.engine.ops.reduce import reduced_shape
from rushlight.engine.ops.reduce_extreme import ties_grad
from rushlight.engine.ops.reduce_select import (
    chosen_grad,
    comparable,
    require_elements,
    require_ordered,
    spread_along,
)

Array = np.ndarray
Pair = tuple[Array, Array]

#: From this length on the largest elements are set apart before they are sorted.
_PARTITION_LENGTH = 256


def order(x: Array, dim: int, descending: bool) -> Array:
    """The indices that sort ``x`` along ``dim``; equal elements keep their order."""
    if not descending:
        return np.argsort(x, axis=dim, kind="stable")
    back = (slice(None),) * dim + (slice(None, None, -1),)
    return (x.shape[dim] - 1 - np.argsort(x[back], axis=dim, kind="stable"))[back]


def _alone(x: Array) -> Pair:
    """The result for a tensor without axes."""
    return x.copy(), np.zeros((), np.int64)


# sort ------------------------------------------------------------------------------------------


def _sort_infer(input: Meta, dim: int, descending: bool) -> tuple[Meta, Meta]:
    if input.dtype.is_complex:
        raise RuntimeError(" Sort does not support complex dtypes on CPU")
    made = broadcast_meta((input,), input.dtype)
    return made, made.with_dtype(int64)


def _sort_kernel(spec: Spec, dim: int, descending: bool) -> Callable[[Array], Pair]:
    source = spec.inputs[0]
    assert source is not None
    if not source.ndim:
        return _alone
    prepare = comparable(source)

    def run(x: Array) -> Pair:
        found = order(prepare(x), dim, descending)
        return np.take_along_axis(x, found, dim), np.ascontiguousarray(found)

    return run


def _along_grad(g0: Any, result1: Any, input_meta: Meta, dim: int) -> Any:
    if not input_meta.ndim:
        return g0
    return spread_along(g0, result1, dim=dim, size=input_meta.shape[dim], unique=True)


def _sort(name: str, grad_name: str) -> Op:
    return Op(
        f"{name}(Tensor input, int dim, bool descending)",
        kind=GATHER,
        infer=_sort_infer,
        kernel=_sort_kernel,
        grad={"input": _along_grad},
        grad_name=grad_name,
        differentiable=1,
    )


# PyTorch's graph tells whether a stable order was asked for; here every order is stable.
sort = _sort("sort_", "SortBackward0")
sort_stable = _sort("sort_stable", "SortBackward1")


# topk ------------------------------------------------------------------------------------------


def _topk_infer(input: Meta, k: int, dim: int, largest: bool) -> tuple[Meta, Meta]:
    if input.dtype.is_complex:
        raise RuntimeError(" topk does not support complex dtypes on CPU")
    if not 0 <= k <= (input.shape[dim] if input.ndim else 1):
        raise RuntimeError("selected index k out of range")
    shape = tuple(input.shape)
    shape = (*shape[:dim], k, *shape[dim + 1 :]) if input.ndim else ()
    return make_meta(shape, input.dtype), make_meta(shape, int64)


def _topk_kernel(spec: Spec, k: int, dim: int, largest: bool) -> Callable[[Array], Pair]:
    source = spec.inputs[0]
    assert source is not None
    if not source.ndim:
        return _alone
    prepare = comparable(source)
    size = source.shape[dim]
    lead = (slice(None),) * dim
    first = (*lead, slice(k))
    partition = size >= _PARTITION_LENGTH and 0 < k < size // 4

    def run(x: Array) -> Pair:
        keys = prepare(x)
        if partition:
            place = size - k if largest else k - 1
            part = (*lead, slice(place, None) if largest else slice(k))
            chosen = np.sort(np.argpartition(keys, place, axis=dim)[part], axis=dim)
            inner = order(np.take_along_axis(keys, chosen, dim), dim, largest)
            found = np.take_along_axis(chosen, inner, dim)
        else:
            found = order(keys, dim, largest)[first]
        return np.take_along_axis(x, found, dim), np.ascontiguousarray(found)

    return run


topk = Op(
    "topk_(Tensor input, int k, int dim, bool largest)",
    kind=GATHER,
    infer=_topk_infer,
    kernel=_topk_kernel,
    grad={"input": _along_grad},
    grad_name="Topk",
    differentiable=1,
)


# one element along an axis ---------------------------------------------------------------------


def _one_infer(name: str) -> Callable[..., tuple[Meta, Meta]]:
    def infer(input: Meta, *attrs: Any) -> tuple[Meta, Meta]:
        dim, keepdim = attrs[-2:]
        require_elements(input, dim, name)
        require_ordered(input, f"{name}_cpu")
        if name == "kthvalue" and not 1 <= attrs[0] <= (input.shape[dim] if input.ndim else 1):
            raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
        dims = (dim,) if input.ndim else ()
        shape = reduced_shape(tuple(input.shape), dims, keepdim)
        return make_meta(shape, input.dtype), make_meta(shape, int64)

    return infer


def _one_kernel(
    choose: Callable[..., Array],
) -> Callable[..., Callable[[Array], Pair]]:
    """The kernel factory from a function that gives the index along the last axis, (..., n)."""

    def prepare(spec: Spec, *attrs: Any) -> Callable[[Array], Pair]:
        source = spec.inputs[0]
        assert source is not None
        if not source.ndim:
            return _alone
        dim = attrs[-2]
        convert = comparable(source)
        shape = tuple(spec.out.shape)

        def run(x: Array) -> Pair:
            found = choose(np.moveaxis(convert(x), dim, -1), *attrs[:-2])[..., None]
            index = np.moveaxis(found, -1, dim)
            values = np.take_along_axis(x, index, dim)
            return values.reshape(shape), index.reshape(shape).astype(np.int64, copy=False)

        return run

    return prepare


def _kth(x: Array, k: int) -> Array:
    return np.argsort(x, axis=-1, kind="stable")[..., k - 1]


def _middle(x: Array) -> Array:
    """The lower of the two middle elements; the first NaN where there is one."""
    found = _kth(x, (x.shape[-1] + 1) // 2)
    broken = x != x
    if broken.any():
        found = np.where(broken.any(-1), broken.argmax(-1), found)
    return found


def _middle_number(x: Array) -> Array:
    """The lower of the two middle elements among those that are numbers."""
    count = np.add.reduce(x == x, axis=-1)
    places = np.argsort(x, axis=-1, kind="stable")
    middle = np.maximum(count - 1, 0) // 2
    return np.take_along_axis(places, middle[..., None], -1)[..., 0]


def _most_frequent(x: Array) -> Array:
    """The last place of the most frequent element; the smallest among equally frequent ones."""
    rows = x.reshape(-1, x.shape[-1])
    found = np.empty(len(rows), np.int64)
    for number, row in enumerate(rows):
        places = np.argsort(row, kind="stable")
        ordered = row[places]
        ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        counts = np.diff(ends, prepend=-1)
        found[number] = places[ends[counts.argmax()]]
    return found.reshape(x.shape[:-1])


def _one(name: str, schema: str, choose: Callable[..., Array], grad_name: str) -> Op:
    return Op(
        schema,
        kind=GATHER,
        infer=_one_infer(name),
        kernel=_one_kernel(choose),
        grad={
            "input": lambda g0, result1, input_meta, dim, keepdim: chosen_grad(
                g0, result1, input_meta, dim, keepdim
            )
        },
        grad_name=grad_name,
        differentiable=1,
    )


_AXIS = "int dim, bool keepdim=False)"
kthvalue = _one("kthvalue", f"kthvalue_(Tensor input, int k, {_AXIS}", _kth, "Kthvalue")
median = _one("median", f"median_dim(Tensor input, {_AXIS}", _middle, "MedianBackward1")
nanmedian = _one(
    "nanmedian", f"nanmedian_dim(Tensor input, {_AXIS}", _middle_number, "NanmedianBackward1"
)
mode = _one("mode", f"mode_(Tensor input, {_AXIS}", _most_frequent, "Mode")


# the middle of everything ----------------------------------------------------------------------


def _all_infer(input: Meta, dims: Shape, keepdim: bool) -> Meta:
    require_ordered(input, "median_cpu")
    return make_meta((), input.dtype)


def _all_kernel(choose: Callable[[Array], Array]) -> Callable[..., Callable[[Array], Array]]:
    def prepare(spec: Spec, dims: Shape, keepdim: bool) -> Callable[[Array], Array]:
        source = spec.inputs[0]
        assert source is not None
        out = spec.out.dtype.numpy
        if not source.numel:
            empty = np.nan if source.dtype.is_floating_point else np.iinfo(out).min
            return lambda x: np.array(empty, out)
        convert = comparable(source)

        def run(x: Array) -> Array:
            flat = x.reshape(-1)
            return np.array(flat[choose(convert(flat))], out)

        return run

    return prepare


def _median_all(name: str, choose: Callable[[Array], Array]) -> Op:
    return Op(
        f"{name}_all(Tensor input, int[] dims, bool keepdim)",
        kind=REDUCTION,
        infer=_all_infer,
        kernel=_all_kernel(choose),
        grad={"input": ties_grad},
        grad_name=name.capitalize(),
    )


median_all = _median_all("median", _middle)
nanmedian_all = _median_all("nanmedian", _middle_number)
