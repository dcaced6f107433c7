"""PyTorch's faces of the sums, means and products."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ir.op import composite, hooks
from rushlight.engine.ir.samples import S, t, tb, tc, ti
from rushlight.engine.ops import reduce
from rushlight.engine.ops.reduce import axes
from rushlight.engine.ops.reduce_select import tensor_meta

_SUM = (
    S(t(3, 4)), S(t(3, 4), 0), S(t(3, 4), -1, True), S(t(2, 3, 4), (0, 2)), S(t()), S(t(), 0),
    S(t(2, 3), dim=None, keepdim=True), S(t(0, 3), 0), S(t(0, 3)), S(ti(3, 4)), S(tb(3, 4), 1),
    S(tc(2, 3), 1),
)  # fmt: skip


@composite(name="sum", method=True, samples=_SUM)
def sum_(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The sum of all elements, or of those along ``dim``.

    Args:
        input: any shape; integers and booleans are summed as int64.
        dim: one axis or several (``axis`` means the same); all if absent.
        keepdim: leave the summed axes as axes of size 1 (``keepdims`` means the same).
        dtype: the type to sum in and to return.

    See https://pytorch.org/docs/stable/generated/torch.sum.html.

    >>> import rushlight as torch
    >>> torch.sum(torch.ones(2, 3), dim=1)
    tensor([3., 3.])
    """
    if axis is not None:
        dim = axis
    keepdim = keepdim or keepdims
    op = reduce.sum_all if dim is None and not keepdim else reduce.sum_
    return hooks.record(op, (input,), (axes(dim, tensor_meta(input, "sum").ndim), keepdim, dtype))


_MEAN = (
    S(t(3, 4)), S(t(3, 4), 0), S(t(3, 4), -1, True), S(t(2, 3, 4), (0, 2)), S(t()),
    S(t(2, 3), dim=None, keepdim=True), S(t(0, 3), 1), S(tc(2, 3), 1),
)  # fmt: skip


@composite(method=True, samples=_MEAN)
def mean(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The mean of all elements, or of those along ``dim``.

    Args:
        input: floating-point or complex, any shape.
        dim: one axis or several (``axis`` means the same); all if absent.
        keepdim: leave the axes as axes of size 1 (``keepdims`` means the same).
        dtype: the type to compute in and to return.

    Raises:
        RuntimeError: the input is of an integral type and no ``dtype`` is given.

    See https://pytorch.org/docs/stable/generated/torch.mean.html.

    >>> import rushlight as torch
    >>> torch.mean(torch.tensor([1.0, 2.0, 6.0]))
    tensor(3.)
    """
    if axis is not None:
        dim = axis
    keepdim = keepdim or keepdims
    op = reduce.mean_all if dim is None and not keepdim else reduce.mean
    return hooks.record(op, (input,), (axes(dim, tensor_meta(input, "mean").ndim), keepdim, dtype))
