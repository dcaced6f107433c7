"""PyTorch's faces of the running sums, products and extremes."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ir.op import composite, hooks
from rushlight.engine.ir.samples import S, t, tb, tc, ti
from rushlight.engine.ops import return_types, scan
from rushlight.engine.ops.join import cat
from rushlight.engine.ops.reduce_select import compute_as_out, one_axis, tensor_meta

_SCAN = (
    S(t(3, 4), 0), S(t(3, 4), -1), S(t(5), dim=0), S(t(), 0), S(t(0, 3), 0), S(t(2, 0), 0),
    S(ti(3, 4), 1), S(tc(3), 0), S(t(3, values=[2.0, 0.0, 3.0]), 0),
)  # fmt: skip


@composite(method=True, inplace=True, samples=_SCAN)
def cumsum(input: Any, dim: Any = None, *, dtype: Any = None, axis: Any = None) -> Any:
    """The running sum along ``dim``: element i is the sum of the first i + 1 elements.

    Args:
        input: any shape; integers and booleans are summed as int64.
        dim: the axis (``axis`` means the same).
        dtype: the type to sum in and to return.

    See https://pytorch.org/docs/stable/generated/torch.cumsum.html.

    >>> import rushlight as torch
    >>> torch.cumsum(torch.tensor([1, 2, 3]), dim=0)
    tensor([1, 3, 6])
    """
    dim = _one(input, dim if axis is None else axis, "cumsum")
    return hooks.record(scan.cumsum, (input,), (dim, False, dtype))


@composite(method=True, inplace=True, samples=_SCAN)
def cumprod(input: Any, dim: Any = None, *, dtype: Any = None, axis: Any = None) -> Any:
    """The running product along ``dim``: element i is the product of the first i + 1 elements.

    Args:
        input: any shape; integers and booleans are multiplied as int64.
        dim: the axis (``axis`` means the same).
        dtype: the type to multiply in and to return.

    See https://pytorch.org/docs/stable/generated/torch.cumprod.html.

    >>> import rushlight as torch
    >>> torch.cumprod(torch.tensor([1, 2, 3]), dim=0)
    tensor([1, 2, 6])
    """
    dim = _one(input, dim if axis is None else axis, "cumprod")
    return hooks.record(scan.cumprod, (input,), (dim, False, dtype))


cumsum.prepare_out = compute_as_out  # type: ignore[attr-defined]
cumprod.prepare_out = compute_as_out  # type: ignore[attr-defined]


def _one(input: Any, dim: Any, function: str) -> int:
    if dim is None:
        raise TypeError(f'{function}() missing 1 required positional arguments: "dim"')
    return one_axis(dim, tensor_meta(input, function).ndim, function)


@composite(method=True, samples=(S(t(3, 4), 0), S(t(3, 4), -1), S(t(), 0), S(t(0, 3), 0)))
def logcumsumexp(input: Any, dim: int) -> Any:
    """The logarithm of the running sum of the exponentials along ``dim``.

    >>> import rushlight as torch
    >>> torch.logcumsumexp(torch.zeros(3), 0)
    tensor([0.0000, 0.6931, 1.0986])
    """
    return hooks.record(scan.logcumsumexp, (input,), (_one(input, dim, "logcumsumexp"),))


_EXTREME = (S(t(3, 4), 0), S(t(3, 4), -1), S(t(), 0), S(t(0, 3), 0), S(ti(4, 5), 1),
            S(t(3, values=[1.0, 1.0, 0.5], grad=False), 0))  # fmt: skip


@composite(method=True, samples=_EXTREME)
def cummax(input: Any, dim: int) -> Any:
    """The largest element so far along ``dim``, and where it stands.

    Returns:
        A named tuple ``(values, indices)``; among equal elements the last counts.

    >>> import rushlight as torch
    >>> torch.cummax(torch.tensor([1, 3, 2]), dim=0)
    torch.return_types.cummax(
    values=tensor([1, 3, 3]),
    indices=tensor([0, 1, 1]))
    """
    found = hooks.record(scan.cummax, (input,), (_one(input, dim, "cummax"),))
    return return_types.cummax(*found)


@composite(method=True, samples=_EXTREME)
def cummin(input: Any, dim: int) -> Any:
    """The smallest element so far along ``dim``, and where it stands.

    Returns:
        A named tuple ``(values, indices)``; among equal elements the last counts.

    >>> import rushlight as torch
    >>> torch.cummin(torch.tensor([3, 1, 2]), dim=0).values
    tensor([3, 1, 1])
    """
    found = hooks.record(scan.cummin, (input,), (_one(input, dim, "cummin"),))
    return return_types.cummin(*found)


# differences and areas -------------------------------------------------------------------------


def _part(x: Any, dim: int, start: int, stop: int) -> Any:
    return x.narrow(dim, start, max(stop - start, 0))


_DIFF = (S(t(5)), S(t(3, 4), dim=0), S(t(3, 4), n=2), S(t(3), n=5), S(ti(4)), S(tb(4)),
         S(t(2, 3), prepend=t(2, 1), append=t(2, 2)))  # fmt: skip


@composite(method=True, samples=_DIFF)
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The ``n``-th differences of neighbours along ``dim``.

    Args:
        input: at least one axis.
        n: how often to take differences.
        dim: the axis.
        prepend: elements to put before the input first.
        append: elements to put behind it.

    >>> import rushlight as torch
    >>> torch.diff(torch.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    meta = tensor_meta(input, "diff")
    if not meta.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = one_axis(dim, meta.ndim, "diff")
    parts = [x for x in (prepend, input, append) if x is not None]
    if len(parts) > 1:
        input = cat(parts, dim)
    for _ in range(min(n, input.shape[dim])):
        size = input.shape[dim]
        later, earlier = _part(input, dim, 1, size), _part(input, dim, 0, size - 1)
        if input.dtype.category == 0:
            input = later != earlier
        else:
            input = later - earlier
    return input


def _mean_heights(y: Any, dim: int) -> tuple[Any, Any]:
    size = y.shape[dim]
    return _part(y, dim, 0, size - 1), _part(y, dim, 1, size)


def _widths(y: Any, x: Any, dim: int, function: str) -> Any:
    """The distances between neighbouring sample points, shaped to multiply with ``y``."""
    if x.ndim == 1:
        if x.shape[0] != y.shape[dim]:
            raise RuntimeError(f"{function}: There must be one `x` value for each sample point")
        return diff(x).reshape((-1,) + (1,) * (y.ndim - dim - 1))
    return diff(x, dim=dim - y.ndim if x.ndim < y.ndim else dim)  # counted in the longer shape


def _area(y: Any, x: Any, dx: Any, dim: int, function: str) -> tuple[Any, int]:
    """Twice the areas of the single trapezoids, and the axis counted from the front."""
    if x is not None and dx is not None:
        raise TypeError(f"{function}() received an invalid combination of arguments - give x or dx")
    meta = tensor_meta(y, function)
    dim = one_axis(dim, meta.ndim, function)
    if not y.shape[dim]:
        return y, dim
    left, right = _mean_heights(y, dim)
    widths = (1 if dx is None else dx) if x is None else _widths(y, x, dim, function)
    return (left + right) * widths, dim


_AREA = (S(t(5)), S(t(3, 4), dim=0), S(t(3, 4), dx=0.5), S(t(3, 4), t(4)), S(t(3, 4), t(3, 4)),
         S(ti(4)), S(t(2, 3, 4), t(3, 4), dim=1))  # fmt: skip


@composite(samples=(*_AREA, S(t(2), t(3, 2))))
def trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The area under the straight lines through the points ``(x, y)``, along ``dim``.

    Args:
        y: the heights.
        x: where they were measured; ``dx`` apart if absent.
        dx: the distance of the points, 1 by default.
        dim: the axis.

    >>> import rushlight as torch
    >>> torch.trapezoid(torch.tensor([1.0, 5.0, 10.0]))
    tensor(10.5000)
    """
    area, dim = _area(y, x, dx, dim, "trapezoid")
    if not y.shape[dim]:
        return y.detach().sum(dim, dtype=y.dtype)
    return area.sum(dim) / 2.0


@composite(samples=(*_AREA, S(t(2), t(3, 2))))
def trapz(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """Another name of :func:`trapezoid`.

    >>> import rushlight as torch
    >>> torch.trapz(torch.tensor([1.0, 5.0, 10.0]), dx=2)
    tensor(21.)
    """
    return trapezoid(y, x, dx=dx, dim=dim)


@composite(samples=_AREA)
def cumulative_trapezoid(y: Any, x: Any = None, *, dx: Any = None, dim: int = -1) -> Any:
    """The area under the straight lines through the points ``(x, y)``, from the start to each one.

    Args:
        y: the heights.
        x: where they were measured; ``dx`` apart if absent.
        dx: the distance of the points, 1 by default.
        dim: the axis.

    >>> import rushlight as torch
    >>> torch.cumulative_trapezoid(torch.tensor([1.0, 5.0, 10.0]))
    tensor([ 3.0000, 10.5000])
    """
    area, dim = _area(y, x, dx, dim, "cumulative_trapezoid")
    return cumsum(area / 2.0, dim)
