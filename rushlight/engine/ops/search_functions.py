"""PyTorch's faces of counting and finding."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite, constant, hooks
from rushlight.engine.ir.samples import S, t, tb, ti
from rushlight.engine.ops import return_types, search
from rushlight.engine.ops.reduce_select import one_axis, tensor_meta

# unique ----------------------------------------------------------------------------------------


def _pick(found: search.Unique, inverse: bool, counts: bool, dim: int | None) -> Any:
    """What was asked for; slices lie in memory one after the other, as in PyTorch."""
    parts = [constant(np.ascontiguousarray(found[0]))]
    if dim:
        rows = constant(np.ascontiguousarray(np.moveaxis(found[0], dim, 0)))
        parts = [rows.transpose(0, dim)] if found[0].ndim == 2 else [rows.movedim(0, dim)]
    if inverse:
        parts.append(constant(found[1]))
    if counts:
        parts.append(constant(found[2]))
    return parts[0] if len(parts) == 1 else tuple(parts)


_UNIQUE = (
    S(ti(3, 4)), S(ti(12), return_inverse=True, return_counts=True), S(ti(3, 4), dim=0),
    S(ti(2, 5, low=0, high=2), dim=1, return_inverse=True, return_counts=True), S(tb(6)),
    S(t(4, grad=False)), S(ti(0)), S(ti(), return_inverse=True, return_counts=True),
)  # fmt: skip


@composite(method=True, samples=_UNIQUE)
def unique(
    input: Any,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: Any = None,
) -> Any:
    """The distinct elements in rising order (with ``dim``: the distinct slices).

    Args:
        input: any shape, any real type.
        sorted: accepted; the elements always come in rising order.
        return_inverse: also return where in the result each element is.
        return_counts: also return how often each one occurs.
        dim: the axis whose slices are compared.

    Returns:
        The elements, or a tuple of them and what was asked for.

    See https://pytorch.org/docs/stable/generated/torch.unique.html.

    >>> import rushlight as torch
    >>> torch.unique(torch.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    meta = tensor_meta(input, "unique")
    array = input._array("unique()")
    if dim is None:
        found = search.unique_elements(array)
    else:
        dim = one_axis(dim, meta.ndim, "unique")
        found = search.unique_slices(array, dim)
    return _pick(found, return_inverse, return_counts, dim)


_RUNS = (
    S(ti(12, low=0, high=2)), S(ti(12, low=0, high=2), return_inverse=True, return_counts=True),
    S(ti(6, 1, low=0, high=2), dim=0, return_counts=True), S(ti(3, 4)), S(ti(0)),
)  # fmt: skip


@composite(method=True, samples=_RUNS)
def unique_consecutive(
    input: Any, return_inverse: bool = False, return_counts: bool = False, dim: Any = None
) -> Any:
    """The elements (with ``dim``: the slices) without repetitions of the one before.

    Args:
        input: any shape, any real type.
        return_inverse: also return where in the result each element is.
        return_counts: also return how long each run is.
        dim: the axis whose slices are compared.

    >>> import rushlight as torch
    >>> torch.unique_consecutive(torch.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    meta = tensor_meta(input, "unique_consecutive")
    axis = None if dim is None else one_axis(dim, meta.ndim, "unique_consecutive")
    found = search.unique_runs(input._array("unique_consecutive()"), axis)
    return _pick(found, return_inverse, return_counts, axis)


# counting --------------------------------------------------------------------------------------


@composite(
    method=True,
    samples=(S(ti(6, low=0)), S(ti(6, low=0), t(6, grad=False)), S(ti(6, low=0), minlength=9),
             S(ti(0)), S(ti(6, low=0), ti(6))),
)  # fmt: skip
def bincount(input: Any, weights: Any = None, minlength: int = 0) -> Any:
    """How often every number 0, 1, ... occurs in ``input``, or the sum of its weights.

    Args:
        input: (n) integers that are not negative.
        weights: (n), or ``None`` to count.
        minlength: the least length of the result.

    See https://pytorch.org/docs/stable/generated/torch.bincount.html.

    >>> import rushlight as torch
    >>> torch.bincount(torch.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    search.require_countable(tensor_meta(input, "bincount"))
    given = None if weights is None else weights._array("bincount()")
    return constant(search.counted(input._array("bincount()"), given, minlength))


_HISTC = (
    S(t(20, grad=False, dtype="float32")), S(t(3, 4, grad=False), 5),
    S(t(20, grad=False), bins=4, min=-1, max=1), S(t(3, values=[1.0, 1.0, 1.0], grad=False), 3),
    S(t(0, grad=False), 3),
)  # fmt: skip


@composite(method=True, samples=_HISTC)
def histc(
    input: Any,
    bins: int = 100,
    min: float = 0,
    max: float = 0,
) -> Any:
    """How many elements lie in each of ``bins`` equal parts between ``min`` and ``max``.

    Args:
        input: floating-point, any shape.
        bins: the number of parts.
        min: where the first part begins; with ``min == max`` the smallest element.
        max: where the last part ends; with ``min == max`` the largest element.

    See https://pytorch.org/docs/stable/generated/torch.histc.html.

    >>> import rushlight as torch
    >>> torch.histc(torch.tensor([1.0, 2.0, 1.0]), bins=4, min=0, max=3)
    tensor([0., 2., 1., 0.])
    """
    tensor_meta(input, "histc")
    return hooks.record(search.histc, (input,), (int(bins), float(min), float(max)))


def _edges(input: Any, bins: int, given: Any) -> Any:
    """Equally spaced edges over the range of the elements, or over the range ``given``."""
    array = input._array("histogram()")
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if given is None:
        low, high = (array.min(), array.max()) if array.size else (0.0, 1.0)
    else:
        low, high = given
    if low > high:
        raise RuntimeError(
            f"torch.histogramdd: min should not exceed max, but got min {low:g} max {high:g} for "
            "dimension 0"
        )
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(
            f"torch.histogramdd: dimension 0's range [{low:g}, {high:g}] is not finite"
        )
    if low == high:
        low, high = low - 0.5, high + 0.5
    return constant(np.linspace(low, high, bins + 1).astype(array.dtype))


@composite(
    method=True,
    samples=(S(t(20, grad=False), 4), S(t(20, grad=False), bins=4, range=(-1.0, 1.0)),
             S(t(20, grad=False), t(4, values=[-2.0, -1.0, 0.5, 2.0], grad=False)),
             S(t(20, grad=False), 4, weight=t(20, grad=False), density=True)),
)  # fmt: skip
def histogram(
    input: Any,
    bins: Any,
    *,
    range: Any = None,
    weight: Any = None,
    density: bool = False,
) -> Any:
    """How many elements lie in each bin, and the edges of the bins.

    Args:
        input: float32 or float64, any shape.
        bins: the number of equal bins, or a rising tensor of their edges.
        range: ``(low, high)`` for a number of bins; the range of the elements if absent.
        weight: what each element counts, of the input's shape.
        density: return shares per width, so that the area is 1.

    Returns:
        A named tuple ``(hist, bin_edges)``.

    See https://pytorch.org/docs/stable/generated/torch.histogram.html.

    >>> import rushlight as torch
    >>> torch.histogram(torch.tensor([1.0, 2.0, 1.0]), bins=4, range=(0.0, 3.0)).hist
    tensor([0., 2., 1., 0.])
    """
    tensor_meta(input, "histogram")
    given = isinstance(bins, TensorBase)
    edges = bins.clone().contiguous() if given else _edges(input, bins, range)
    counts = hooks.record(search.histogram, (input, edges, weight), (bool(density),))
    return return_types.histogram(counts, edges)


# places in sorted boundaries -------------------------------------------------------------------


def _is_right(right: bool, side: Any) -> bool:
    if side is None:
        return bool(right)
    if side not in ("left", "right"):
        raise RuntimeError(
            f"torch.searchsorted(): side can only be 'left' or 'right' but got {side}"
        )
    if side == "left" and right:
        raise RuntimeError(
            "torch.searchsorted(): side and right can't be set to opposites, got side of left "
            "while right was True"
        )
    return bool(side == "right")


_SORTED_ROWS = t(2, 3, values=[[0.0, 1.0, 2.0], [-1.0, 0.0, 1.0]], grad=False)
_SORTED = t(4, values=[-1.0, 0.0, 0.5, 1.0], grad=False)


@composite(
    samples=(S(_SORTED, t(3, 2, grad=False)), S(_SORTED, t(3, grad=False), right=True),
             S(_SORTED, 0.5), S(_SORTED, t(3, grad=False), out_int32=True, side="right"),
             S(_SORTED_ROWS, t(2, 2, grad=False)),
             S(t(2, values=[1.0, 0.0], grad=False), t(3, grad=False), sorter=ti(2, values=[1, 0]))),
)  # fmt: skip
def searchsorted(
    sorted_sequence: Any,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: Any = None,
    sorter: Any = None,
) -> Any:
    """Where elements would have to be put into a sorted sequence to keep it sorted.

    Args:
        sorted_sequence: (n), or (..., n) with one row for each row of the input.
        input: a number or a tensor of what is looked for.
        out_int32: return int32 instead of int64.
        right: behind equal elements instead of before them.
        side: the same as a word, ``"left"`` or ``"right"``.
        sorter: the indices that sort the sequence, where it is not sorted itself.

    See https://pytorch.org/docs/stable/generated/torch.searchsorted.html.

    >>> import rushlight as torch
    >>> torch.searchsorted(torch.tensor([1, 3, 5]), torch.tensor([3, 6]))
    tensor([1, 3])
    """
    attrs = (_is_right(right, side), bool(out_int32))
    return hooks.record(search.searchsorted, (sorted_sequence, input, sorter), attrs)


@composite(
    samples=(S(t(3, 2, grad=False), _SORTED), S(t(3, grad=False), _SORTED, right=True),
             S(0.5, _SORTED)),
)  # fmt: skip
def bucketize(input: Any, boundaries: Any, *, out_int32: bool = False, right: bool = False) -> Any:
    """The number of the bucket each element falls into.

    Args:
        input: a number or a tensor.
        boundaries: (n), rising.
        out_int32: return int32 instead of int64.
        right: a bucket includes its left boundary instead of its right one.

    See https://pytorch.org/docs/stable/generated/torch.bucketize.html.

    >>> import rushlight as torch
    >>> torch.bucketize(torch.tensor([0, 3, 6]), torch.tensor([1, 3, 5]))
    tensor([0, 1, 3])
    """
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    return hooks.record(
        search.searchsorted, (boundaries, input, None), (bool(right), bool(out_int32))
    )
