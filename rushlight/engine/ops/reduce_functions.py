"""PyTorch's faces of the sums, means and products."""

from __future__ import annotations

from typing import Any

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, bool_, uint8
from rushlight.engine.ir.op import composite, hooks
from rushlight.engine.ir.samples import S, t, tb, tc, ti
from rushlight.engine.ops import reduce, reduce_products as products
from rushlight.engine.ops.reduce import axes
from rushlight.engine.ops.reduce_select import compute_as_out, one_axis, tensor_meta

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


_PROD = (
    S(t(3, 4)), S(t(3, 4), 0), S(t(3, 4), -1, True), S(t()), S(t(0, 3), 0), S(t(0)), S(ti(3)),
    S(t(3, values=[2.0, 0.0, 3.0])), S(t(3, values=[2.0, 0.0, 0.0]), 0), S(tb(3)), S(tc(3), 0),
)  # fmt: skip


@composite(method=True, samples=_PROD)
def prod(
    input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None, axis: Any = None
) -> Any:
    """The product of all elements, or of those along ``dim``.

    Args:
        input: any shape; integers and booleans are multiplied as int64.
        dim: one axis (``axis`` means the same), all if absent.
        keepdim: leave the axis as an axis of size 1.
        dtype: the type to multiply in and to return.

    See https://pytorch.org/docs/stable/generated/torch.prod.html.

    >>> import rushlight as torch
    >>> torch.prod(torch.tensor([[1, 2], [3, 4]]), 1)
    tensor([ 2, 12])
    """
    meta = tensor_meta(input, "prod")
    if axis is not None:
        dim = axis
    if dim is None:
        return hooks.record(products.prod_all, (input,), (axes(None, meta.ndim), False, dtype))
    one_axis(dim, meta.ndim, "prod")
    return hooks.record(products.prod_dim, (input,), (axes(dim, meta.ndim), keepdim, dtype))


_NAN = float("nan")
_NANSUM = (
    S(t(3, 4)), S(t(2, 2, values=[[1.0, _NAN], [2.0, 3.0]])), S(ti(3)),
    S(t(2, 2, values=[[1.0, _NAN], [2.0, 3.0]]), 1, True), S(t(0, 3), 0),
)  # fmt: skip


@composite(method=True, samples=_NANSUM)
def nansum(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of the elements that are not NaN, of all or along ``dim``.

    >>> import rushlight as torch
    >>> torch.nansum(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(3.)
    """
    dims = axes(dim, tensor_meta(input, "nansum").ndim)
    return hooks.record(products.nansum, (input,), (dims, keepdim, dtype))


@composite(
    method=True,
    samples=(S(t(3, 4)), S(t(2, 2, values=[[1.0, _NAN], [2.0, 3.0]]), 1), S(t(3, 4), (0, 1), True)),
)
def nanmean(input: Any, dim: Any = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of the elements that are not NaN, of all or along ``dim``.

    >>> import rushlight as torch
    >>> torch.nanmean(torch.tensor([1.0, float("nan"), 2.0]))
    tensor(1.5000)
    """
    meta = tensor_meta(input, "nanmean")
    if meta.dtype.category < FLOATING:
        raise RuntimeError(
            f"nanmean(): expected input to have floating point or complex dtype but got "
            f"{SCALAR_NAMES[meta.dtype]}"
        )
    count = sum_(input == input, dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / count


_TRUTH = (
    S(tb(3, 4)), S(tb(3, 4), 0), S(tb(3, 4), -1, True), S(ti(3, 4, low=0, high=2), 1), S(t(3, 4)),
    S(tb(2, 3, 4), (0, 2)), S(tb()), S(tb(0, 3), 0), S(tb(0)),
)  # fmt: skip


@composite(name="all", method=True, samples=_TRUTH)
def all_(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Any:
    """Whether all elements are true (not zero), of all or along ``dim``.

    >>> import rushlight as torch
    >>> torch.all(torch.tensor([[True, False], [True, True]]), dim=1)
    tensor([False,  True])
    """
    dims = axes(dim if axis is None else axis, tensor_meta(input, "all").ndim)
    return hooks.record(products.all_true, (input,), (dims, keepdim))


@composite(name="any", method=True, samples=_TRUTH)
def any_(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Any:
    """Whether some element is true (not zero), of all or along ``dim``.

    >>> import rushlight as torch
    >>> torch.any(torch.tensor([[False, False], [True, False]]), dim=1)
    tensor([False,  True])
    """
    dims = axes(dim if axis is None else axis, tensor_meta(input, "any").ndim)
    return hooks.record(products.any_true, (input,), (dims, keepdim))


@composite(
    method=True,
    samples=(S(ti(3, 4, low=0, high=2)), S(ti(3, 4, low=0, high=2), 0), S(tb(2, 3), (0, 1)),
             S(t(3))),
)  # fmt: skip
def count_nonzero(input: Any, dim: Any = None) -> Any:
    """How many elements are not zero, of all or along ``dim``.

    >>> import rushlight as torch
    >>> torch.count_nonzero(torch.tensor([[1, 0], [2, 3]]), dim=0)
    tensor([2, 1])
    """
    dims = axes(dim, tensor_meta(input, "count_nonzero").ndim)
    return hooks.record(products.count_nonzero, (input,), (dims,))


def _bool_out(name: str) -> Any:
    def check(out: Any, arguments: dict[str, Any]) -> None:
        if out.dtype not in (bool_, uint8):
            raise RuntimeError(
                f"{name} only supports bool tensor for result, got: {SCALAR_NAMES[out.dtype]}"
            )

    return check


all_.prepare_out = _bool_out("all")  # type: ignore[attr-defined]
any_.prepare_out = _bool_out("any")  # type: ignore[attr-defined]
for _function in (sum_, mean, prod, nansum, nanmean):
    _function.prepare_out = compute_as_out  # type: ignore[attr-defined]


_LOGSUMEXP = (
    S(t(3, 4), 0), S(t(3, 4), -1, True), S(t(2, 3, 4), (0, 2)), S(t(), 0), S(ti(3), 0),
    S(t(0, 3), 0), S(t(2, values=[float("-inf"), float("-inf")], grad=False), 0),
)  # fmt: skip


@composite(namespaces=("torch", "special"), method=True, samples=_LOGSUMEXP)
def logsumexp(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Any:
    """The logarithm of the sum of the exponentials along ``dim``, without overflow.

    See https://pytorch.org/docs/stable/generated/torch.logsumexp.html.

    >>> import rushlight as torch
    >>> torch.logsumexp(torch.tensor([1000.0, 1000.0]), 0)
    tensor(1000.6932)
    """
    if axis is not None:
        dim = axis
    if dim is None:
        raise TypeError('logsumexp() missing 1 required positional arguments: "dim"')
    dims = axes(dim, tensor_meta(input, "logsumexp").ndim)
    return hooks.record(products.logsumexp, (input,), (dims, keepdim))
