"""PyTorch's faces of sorting: ``sort``, ``topk``, ``median`` and their like."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ir.op import Op, composite, hooks
from rushlight.engine.ir.samples import S, t, tb, ti
from rushlight.engine.ops import return_types, sort as records
from rushlight.engine.ops.reduce import axes
from rushlight.engine.ops.reduce_select import one_axis, tensor_meta

_NAN = float("nan")


def _sorted(input: Any, dim: int, descending: bool, stable: Any, name: str) -> Any:
    axis = one_axis(dim, tensor_meta(input, name).ndim, name)
    op = records.sort_stable if stable else records.sort
    return hooks.record(op, (input,), (axis, bool(descending)))


def _arguments(dim: Any, descending: Any) -> tuple[int, bool]:
    """``dim`` and ``descending``, also where ``sort(True)`` was written for the latter."""
    return (-1, dim) if dim.__class__ is bool else (dim, descending)


_SORT = (
    S(t(3, 4)), S(t(3, 4), 0), S(t(3, 4), dim=1, descending=True), S(t()), S(t(0, 3)), S(t(2, 0)),
    S(ti(4, 5)), S(ti(4, 5), 0, True), S(tb(6)), S(t(3, 4), stable=True),
    S(t(4, values=[2.0, _NAN, 1.0, 2.0]), 0, True),
)  # fmt: skip


@composite(method=True, samples=_SORT)
def sort(
    input: Any,
    dim: int = -1,
    descending: bool = False,
    *,
    stable: bool = False,
    axis: int | None = None,
) -> Any:
    """The elements in rising order along ``dim``, and where they came from.

    Args:
        input: any real type.
        dim: the axis.
        descending: falling order instead.
        stable: accepted; equal elements always keep their order.

    Returns:
        A named tuple ``(values, indices)``.

    See https://pytorch.org/docs/stable/generated/torch.sort.html.

    >>> import rushlight as torch
    >>> torch.sort(torch.tensor([3, 1, 2]))
    torch.return_types.sort(
    values=tensor([1, 2, 3]),
    indices=tensor([1, 2, 0]))
    """
    dim, descending = _arguments(dim if axis is None else axis, descending)
    return return_types.sort(*_sorted(input, dim, descending, stable, "sort"))


@composite(method=True, samples=_SORT)
def argsort(
    input: Any,
    dim: int = -1,
    descending: bool = False,
    *,
    stable: bool = False,
    axis: int | None = None,
) -> Any:
    """The indices that sort ``input`` along ``dim``.

    >>> import rushlight as torch
    >>> torch.argsort(torch.tensor([3, 1, 2]), descending=True)
    tensor([0, 2, 1])
    """
    dim, descending = _arguments(dim if axis is None else axis, descending)
    return _sorted(input, dim, descending, stable, "argsort")[1]


@composite(method=True, samples=(S(t(3, 4)), S(t()), S(ti(4, 2)), S(t(0, 3))))
def msort(input: Any) -> Any:
    """The elements in rising order along the first axis.

    >>> import rushlight as torch
    >>> torch.msort(torch.tensor([[3, 1], [2, 5]]))
    tensor([[2, 1],
            [3, 5]])
    """
    return _sorted(input, 0, False, False, "msort")[0]


# no equal elements, whatever the type: which of them comes first is PyTorch's secret
_DISTINCT = t(2, 4, values=[[3.0, 0.0, 7.0, 5.0], [1.0, 6.0, 2.0, 4.0]])
_TOPK = (
    S(_DISTINCT, 2), S(_DISTINCT, 3, largest=False), S(t(3, 5), 3, 1, False), S(t(), 1),
    S(t(3, 5), 0), S(t(2, 300), 4), S(t(2, 300), 4, largest=False), S(t(2, 300, 2), 3, 1),
    S(t(1, 4, values=[[2.0, _NAN, 1.0, 3.0]]), 2),
)  # fmt: skip


@composite(method=True, samples=_TOPK)
def topk(
    input: Any,
    k: int,
    dim: int = -1,
    largest: bool = True,
    sorted: bool = True,
) -> Any:
    """The ``k`` largest elements along ``dim``, and where they stand.

    Args:
        input: any real type.
        k: how many.
        dim: the axis.
        largest: ``False`` for the smallest.
        sorted: accepted; the elements always come in order.

    Returns:
        A named tuple ``(values, indices)``.

    See https://pytorch.org/docs/stable/generated/torch.topk.html.

    >>> import rushlight as torch
    >>> torch.topk(torch.tensor([3, 1, 4, 1, 5]), 2)
    torch.return_types.topk(
    values=tensor([5, 4]),
    indices=tensor([4, 2]))
    """
    axis = one_axis(dim, tensor_meta(input, "topk").ndim, "topk")
    return return_types.topk(*hooks.record(records.topk, (input,), (int(k), axis, bool(largest))))


def _one(op: Op, kind: Any, input: Any, dim: int, keepdim: bool, *first: Any) -> Any:
    name = kind.__name__
    axis = one_axis(dim, tensor_meta(input, name).ndim, name)
    return kind(*hooks.record(op, (input,), (*first, axis, keepdim)))


@composite(
    method=True, samples=(S(_DISTINCT, 2), S(_DISTINCT, 4, 1, True), S(t(2, 5, 3), 2, 1), S(t(), 1))
)
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The ``k``-th smallest element along ``dim`` (counted from 1), and where it stands.

    >>> import rushlight as torch
    >>> torch.kthvalue(torch.tensor([3, 1, 2]), 2)
    torch.return_types.kthvalue(
    values=tensor(2),
    indices=tensor(2))
    """
    return _one(records.kthvalue, return_types.kthvalue, input, dim, keepdim, int(k))


def _median(op: Op, whole: Op, kind: Any, input: Any, dim: Any, keepdim: bool) -> Any:
    if dim is None:
        dims = axes(None, tensor_meta(input, kind.__name__).ndim)
        return hooks.record(whole, (input,), (dims, False))
    return _one(op, kind, input, dim, keepdim)


_MEDIAN = (
    S(t(3, 4)), S(_DISTINCT, 1), S(t(2, 4, 3), 1, True), S(t(), 0), S(t()), S(t(4, 3), dim=-1),
    S(ti(7)), S(t(2, 3, values=[[1.0, _NAN, 2.0], [0.0, 3.0, 1.0]]), 1), S(t(0, grad=False)),
    S(t(3, values=[1.0, _NAN, 2.0])),
)  # fmt: skip


@composite(method=True, samples=_MEDIAN)
def median(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The middle element, the lower one of two; NaN if there is one.

    Args:
        input: any real type.
        dim: the axis; the whole tensor if absent.
        keepdim: leave the axis as an axis of size 1.

    Returns:
        A tensor; with ``dim`` a named tuple ``(values, indices)``.

    See https://pytorch.org/docs/stable/generated/torch.median.html.

    >>> import rushlight as torch
    >>> torch.median(torch.tensor([5, 1, 2, 9]))
    tensor(2)
    """
    whole = records.median_all
    return _median(records.median, whole, return_types.median, input, dim, keepdim)


@composite(method=True, samples=_MEDIAN)
def nanmedian(input: Any, dim: Any = None, keepdim: bool = False) -> Any:
    """The middle one of the elements that are numbers, see :func:`median`.

    >>> import rushlight as torch
    >>> torch.nanmedian(torch.tensor([1.0, float("nan"), 3.0, 2.0]))
    tensor(2.)
    """
    whole = records.nanmedian_all
    return _median(records.nanmedian, whole, return_types.nanmedian, input, dim, keepdim)


@composite(method=True, samples=(S(ti(3, 6)), S(ti(3, 6), 0), S(t(4), -1, True), S(t())))
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent element along ``dim``, the smallest of several, and where it last stands.

    >>> import rushlight as torch
    >>> torch.mode(torch.tensor([4, 7, 4, 9]))
    torch.return_types.mode(
    values=tensor(4),
    indices=tensor(2))
    """
    return _one(records.mode, return_types.mode, input, dim, keepdim)
