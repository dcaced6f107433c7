"""Quantiles: sorted elements, and what lies between two of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.core.dtype import float32, float64, int64
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite, constant
from rushlight.engine.ir.samples import S, t
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.reduce import reduced_shape
from rushlight.engine.ops.reduce_select import one_axis, take_along, tensor_meta
from rushlight.engine.ops.sort import sort
from rushlight.engine.ops.view import to_dtype

_MODES = ("linear", "lower", "higher", "midpoint", "nearest")


def _fractions(q: Any, input: Any, name: str) -> Any:
    """``q`` as a tensor of the input's type, its numbers checked where they are known."""
    if not isinstance(q, TensorBase):
        if not isinstance(q, (int, float)):
            raise TypeError(
                f"{name}() received an invalid combination of arguments - got "
                f"({type(q).__name__}), but expected a number or a Tensor of them"
            )
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q}")
        return constant(np.asarray(q, input.dtype.numpy))
    meta = q._value.meta
    if meta.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if meta.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    known = q._read().buffer
    if known is not None and not ((known >= 0) & (known <= 1)).all():
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    return q


def _ranks(rows: Any, ordered: Any, fractions: Any, ignore_nan: bool) -> Any:
    """Where in the sorted rows (..., n) the quantiles stand, counted in fractions: (..., q)."""
    count = rows.shape[-1]
    if ignore_nan:
        ranks = fractions * to_dtype((rows == rows).sum(-1, True) - 1, dtype=rows.dtype)
        return where_op(ranks < 0, 0.0, ranks)
    last = ordered.narrow(-1, count - 1, 1)
    # NaN comes last when sorted: a row that has one gets it as its answer.
    return where_op(last != last, float(count - 1), fractions * float(count - 1))


def _pick(ordered: Any, ranks: Any, interpolation: str) -> Any:
    """The elements at ``ranks`` of the sorted rows."""
    axis = ordered.ndim - 1

    def at(places: Any) -> Any:
        return take_along(ordered, to_dtype(places, dtype=int64), dim=axis, unique=False)

    if interpolation == "nearest":
        return at(ranks.round())
    if interpolation == "higher":
        return at(ranks.ceil())
    lower = at(ranks.floor())
    if interpolation == "lower":
        return lower
    weight = 0.5 if interpolation == "midpoint" else ranks - ranks.floor()
    return lower + weight * (at(ranks.ceil()) - lower)


def _quantile(input: Any, q: Any, dim: Any, keepdim: bool, interpolation: str, name: str) -> Any:
    meta = tensor_meta(input, name)
    if meta.numel == 0:
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    if meta.dtype not in (float32, float64):
        raise RuntimeError(f"{name}() input tensor must be either float or double dtype")
    if interpolation not in _MODES:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    fractions = _fractions(q, input, name)
    if dim is None:
        rows = input.reshape((-1,))
        shape = (1,) * meta.ndim if keepdim else ()
    else:
        axis = one_axis(dim, meta.ndim, name)
        rows = input.movedim(axis, -1) if meta.ndim else input.reshape((1,))
        shape = reduced_shape(tuple(meta.shape), (axis,) if meta.ndim else (), keepdim)
    ordered = sort(rows, dim=rows.ndim - 1, descending=False)[0]
    several = fractions.ndim == 1
    ranks = _ranks(rows, ordered, fractions.reshape((-1,)), name == "nanquantile")
    made = _pick(ordered, ranks, interpolation)
    made = made.movedim(-1, 0)
    return made.reshape((made.shape[0], *shape)) if several else made.reshape(shape)


_FRACTIONS = t(3, values=[0.0, 0.4, 1.0], grad=False)
_SAMPLES = (
    S(t(3, 5), 0.3), S(t(3, 5), 0.3, 1), S(t(3, 5), 0.3, 0, True), S(t(4), _FRACTIONS),
    S(t(2, 3, 4), _FRACTIONS, 1), S(t(2, 3, 4), _FRACTIONS, 1, True),
    S(t(2, 3, 4), 0.25, 0), S(t(), 0.5), S(t(3, 5), 0.5, keepdim=True),
    *[S(t(3, 6), 0.37, 1, interpolation=mode) for mode in _MODES],
    S(t(2, 3, values=[[1.0, float("nan"), 3.0], [4.0, 5.0, 6.0]]), 0.5, 1),
)  # fmt: skip


@composite(method=True, samples=_SAMPLES)
def quantile(
    input: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The numbers below which the fractions ``q`` of the elements lie.

    Args:
        input: float32 or float64.
        q: a number between 0 and 1, or a tensor (n) of them of the input's type.
        dim: the axis; the whole tensor if absent.
        keepdim: leave the axis as an axis of size 1.
        interpolation: what to do between two elements: ``linear``, ``lower``, ``higher``,
            ``midpoint`` or ``nearest``.

    Returns:
        The reduced shape; with a tensor of fractions (n, *reduced shape).

    See https://pytorch.org/docs/stable/generated/torch.quantile.html.

    >>> import rushlight as torch
    >>> torch.quantile(torch.tensor([1.0, 2.0, 3.0, 4.0]), 0.5)
    tensor(2.5000)
    """
    return _quantile(input, q, dim, keepdim, interpolation, "quantile")


@composite(method=True, samples=_SAMPLES)
def nanquantile(
    input: Any, q: Any, dim: Any = None, keepdim: bool = False, *, interpolation: str = "linear"
) -> Any:
    """The quantiles of the elements that are numbers, see :func:`quantile`.

    >>> import rushlight as torch
    >>> torch.nanquantile(torch.tensor([1.0, float("nan"), 3.0]), 0.5)
    tensor(2.)
    """
    return _quantile(input, q, dim, keepdim, interpolation, "nanquantile")
