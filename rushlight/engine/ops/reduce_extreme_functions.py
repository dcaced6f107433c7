"""PyTorch's faces of the extremes: ``max``, ``min``, ``argmax`` and their like."""

from __future__ import annotations

from typing import Any

from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import Op, composite, hooks
from rushlight.engine.ir.samples import S, t, tb, ti
from rushlight.engine.ops import reduce_extreme as extreme, return_types
from rushlight.engine.ops.reduce import axes
from rushlight.engine.ops.reduce_select import one_axis, require_elements, tensor_meta

_FORMS = """{0}() received an invalid combination of arguments - got (Tensor, {1}), but \
expected one of:
 * (Tensor input, *, Tensor out = None)
 * (Tensor input, Tensor other, *, Tensor out = None)
 * (Tensor input, int dim, bool keepdim = False, *, tuple of Tensors out = None)
"""


def _pairwise(name: str, input: Any, other: Any) -> Any:
    op = Op.registry["maximum" if name == "max" else "minimum"]
    return hooks.record(op, (input, other), ())


def _extreme(name: str, input: Any, dim: Any, keepdim: bool) -> Any:
    meta = tensor_meta(input, name)
    if dim is None:
        op = extreme.max_all if name == "max" else extreme.min_all
        return hooks.record(op, (input,), (axes(None, meta.ndim), keepdim))
    if isinstance(dim, TensorBase):
        return _pairwise(name, input, dim)
    if not isinstance(dim, int) and not hasattr(dim, "__index__"):
        raise TypeError(_FORMS.format(name, type(dim).__name__))
    op = extreme.max_dim if name == "max" else extreme.min_dim
    found = hooks.record(op, (input,), (one_axis(dim, meta.ndim, name), keepdim))
    return return_types.max(*found) if name == "max" else return_types.min(*found)


_EXTREME = (
    S(t(3, 4)), S(t(3, 4), 0), S(t(3, 4), -1, True), S(t(3, 4), dim=1), S(t()), S(t(), 0),
    S(t(2, 0), 0), S(ti(3, 4), 1), S(tb(3, 2), 0), S(t(3, 4), t(3, 4)), S(t(3, 4), t(4)),
    S(ti(3, 4)),
)  # fmt: skip


@composite(name="max", method=True, samples=_EXTREME)
def max_(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    other: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The largest element; with ``dim`` the largest along it and where they stand.

    With a tensor as second argument: ``torch.maximum``. NaN counts as larger than all numbers.

    Args:
        input: any shape, any real type.
        dim: the axis to reduce, or another tensor (``other``).
        keepdim: leave the reduced axis as an axis of size 1.

    Returns:
        A tensor; with ``dim`` a named tuple ``(values, indices)``.

    See https://pytorch.org/docs/stable/generated/torch.max.html.

    >>> import rushlight as torch
    >>> torch.max(torch.tensor([[1, 5], [7, 2]]), dim=1)
    torch.return_types.max(
    values=tensor([5, 7]),
    indices=tensor([1, 0]))
    """
    if other is not None:
        return _pairwise("max", input, other)
    return _extreme("max", input, dim if axis is None else axis, keepdim or keepdims)


@composite(name="min", method=True, samples=_EXTREME)
def min_(
    input: Any,
    dim: Any = None,
    keepdim: bool = False,
    *,
    other: Any = None,
    axis: Any = None,
    keepdims: bool = False,
) -> Any:
    """The smallest element; with ``dim`` the smallest along it and where they stand.

    With a tensor as second argument: ``torch.minimum``. NaN counts as smaller than all numbers.

    Args:
        input: any shape, any real type.
        dim: the axis to reduce, or another tensor (``other``).
        keepdim: leave the reduced axis as an axis of size 1.

    Returns:
        A tensor; with ``dim`` a named tuple ``(values, indices)``.

    See https://pytorch.org/docs/stable/generated/torch.min.html.

    >>> import rushlight as torch
    >>> torch.min(torch.tensor([[1, 5], [7, 2]]))
    tensor(1)
    """
    if other is not None:
        return _pairwise("min", input, other)
    return _extreme("min", input, dim if axis is None else axis, keepdim or keepdims)


_SEVERAL = (S(t(3, 4)), S(t(3, 4), 0), S(t(2, 3, 4), (0, 2), True), S(t()), S(t(2, 0), 0),
            S(ti(3, 4), 1))  # fmt: skip


def _named_axes(input: Any, dim: Any, name: str) -> Shape:
    """The axes to reduce; PyTorch's error for one given by name that has no elements."""
    meta = tensor_meta(input, name)
    dims = axes(dim, meta.ndim)
    if not meta.numel and dim is not None and dim != ():
        for d in dims:
            require_elements(meta, d, name)
    return dims


@composite(method=True, samples=_SEVERAL)
def amax(input: Any, dim: Any = (), keepdim: bool = False, *, axis: Any = None) -> Any:
    """The largest element along ``dim`` (one axis, several, or all); ties share the gradient.

    >>> import rushlight as torch
    >>> torch.amax(torch.tensor([[1, 5], [7, 2]]), dim=0)
    tensor([7, 5])
    """
    dims = _named_axes(input, dim if axis is None else axis, "amax")
    return hooks.record(extreme.amax, (input,), (dims, keepdim))


@composite(method=True, samples=_SEVERAL)
def amin(input: Any, dim: Any = (), keepdim: bool = False, *, axis: Any = None) -> Any:
    """The smallest element along ``dim`` (one axis, several, or all); ties share the gradient.

    >>> import rushlight as torch
    >>> torch.amin(torch.tensor([[1, 5], [7, 2]]), dim=0)
    tensor([1, 2])
    """
    dims = _named_axes(input, dim if axis is None else axis, "amin")
    return hooks.record(extreme.amin, (input,), (dims, keepdim))


@composite(method=True, samples=(S(t(3, 4)), S(t(3, 4), dim=1), S(t(3, 4), dim=0, keepdim=True)))
def aminmax(input: Any, *, dim: Any = None, keepdim: bool = False) -> Any:
    """The smallest and the largest element, of all or along ``dim``.

    >>> import rushlight as torch
    >>> torch.aminmax(torch.tensor([1, -3, 5]))
    torch.return_types.aminmax(
    min=tensor(-3),
    max=tensor(5))
    """
    dims = axes(dim, tensor_meta(input, "aminmax").ndim)
    return return_types.aminmax(*hooks.record(extreme.aminmax, (input,), (dims, keepdim)))


_INDEX = (S(t(3, 4)), S(t(3, 4), 0), S(t(3, 4), -1, True), S(t()), S(ti(3, 4), 1), S(t(2, 0), 0))


@composite(method=True, samples=_INDEX)
def argmax(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Any:
    """Where the largest element stands: counted through the whole tensor, or along ``dim``.

    >>> import rushlight as torch
    >>> torch.argmax(torch.tensor([[1, 5], [7, 2]]), dim=1)
    tensor([1, 0])
    """
    return _position(extreme.argmax, input, dim if axis is None else axis, keepdim, "argmax")


@composite(method=True, samples=_INDEX)
def argmin(input: Any, dim: Any = None, keepdim: bool = False, *, axis: Any = None) -> Any:
    """Where the smallest element stands: counted through the whole tensor, or along ``dim``.

    >>> import rushlight as torch
    >>> torch.argmin(torch.tensor([[1, 5], [7, 2]]))
    tensor(0)
    """
    return _position(extreme.argmin, input, dim if axis is None else axis, keepdim, "argmin")


def _position(op: Op, input: Any, dim: Any, keepdim: bool, name: str) -> Any:
    meta = tensor_meta(input, name)
    if dim is not None:
        dim = one_axis(dim, meta.ndim, name)
    return hooks.record(op, (input,), (dim, keepdim))
