"""Joining by direction, and at least so many axes: hstack, vstack, dstack, atleast_1d."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ir.op import composite, hooks
from rushlight.engine.ir.samples import S, t
from rushlight.engine.ops import view as primitive
from rushlight.engine.ops.join import joined, listed


def _with_axis(tensor: Any, dim: int) -> Any:
    return hooks.record(primitive.unsqueeze, (tensor,), (dim,))


def _one(x: Any) -> Any:
    return x if x.ndim else hooks.record(primitive.view, (x,), ((1,),))


def _two(x: Any) -> Any:
    if x.ndim > 1:
        return x
    return _with_axis(x, 0) if x.ndim else hooks.record(primitive.view, (x,), ((1, 1),))


def _three(x: Any) -> Any:
    if x.ndim > 2:
        return x
    if x.ndim == 0:
        return hooks.record(primitive.view, (x,), ((1, 1, 1),))
    return _with_axis(x, 2) if x.ndim == 2 else _with_axis(_with_axis(x, 0), 2)


def _each(tensors: tuple[Any, ...], change: Any) -> Any:
    """One tensor, or a tuple of them where several (or a list) were given."""
    if len(tensors) == 1 and not isinstance(tensors[0], (list, tuple)):
        return change(tensors[0])
    given = tensors[0] if len(tensors) == 1 else tensors
    return tuple(change(x) for x in given)


@composite(samples=(S(t()), S(t(2)), S(t(), t(3)), S([t(), t(2, 2)])))
def atleast_1d(*tensors: Any) -> Any:
    """The tensors, 0-d ones with an axis.

    >>> import rushlight as torch
    >>> torch.atleast_1d(torch.tensor(1))
    tensor([1])
    """
    return _each(tensors, _one)


@composite(samples=(S(t()), S(t(2)), S(t(), t(3)), S([t(2), t(2, 2)])))
def atleast_2d(*tensors: Any) -> Any:
    """The tensors with at least two axes, new ones in front.

    >>> import rushlight as torch
    >>> torch.atleast_2d(torch.tensor([1, 2]))
    tensor([[1, 2]])
    """
    return _each(tensors, _two)


@composite(samples=(S(t()), S(t(2)), S(t(2, 2)), S(t(), t(3)), S([t(2), t(2, 2, 2)])))
def atleast_3d(*tensors: Any) -> Any:
    """The tensors with at least three axes: a matrix gets one behind, a vector one on both sides.

    >>> import rushlight as torch
    >>> torch.atleast_3d(torch.ones(2, 3)).shape
    torch.Size([2, 3, 1])
    """
    return _each(tensors, _three)


def _given(tensors: Any, name: str) -> Any:
    found = listed(tensors, name)
    if not found:
        raise RuntimeError(f"{name} expects a non-empty TensorList")
    return found


@composite(samples=(S((t(2), t(3))), S([t(2, 1), t(2, 3)]), S((t(), t())), S((t(2, 1, 2),))))
def hstack(tensors: Any) -> Any:
    """The tensors side by side: along axis 1, or axis 0 of 1-d tensors.

    See https://pytorch.org/docs/stable/generated/torch.hstack.html.

    >>> import rushlight as torch
    >>> torch.hstack((torch.tensor([1, 2]), torch.tensor([3])))
    tensor([1, 2, 3])
    """
    parts = [_one(x) for x in _given(tensors, "hstack")]
    return joined(parts, 0 if parts[0].ndim == 1 else 1)


@composite(samples=(S((t(3), t(3))), S([t(2, 1), t(1, 1)]), S((t(), t()))))
def vstack(tensors: Any) -> Any:
    """The tensors on top of each other; 1-d ones are rows.

    See https://pytorch.org/docs/stable/generated/torch.vstack.html.

    >>> import rushlight as torch
    >>> torch.vstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[1, 2],
            [3, 4]])
    """
    return joined([_two(x) for x in _given(tensors, "vstack")], 0)


@composite(samples=(S((t(3), t(3))), S([t(2, 1), t(1, 1)])))
def row_stack(tensors: Any) -> Any:
    """Another name of :func:`vstack`.

    >>> import rushlight as torch
    >>> torch.row_stack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[1, 2],
            [3, 4]])
    """
    return joined([_two(x) for x in _given(tensors, "row_stack")], 0)


@composite(samples=(S((t(3), t(3))), S([t(2, 2), t(2, 2)]), S((t(), t()))))
def dstack(tensors: Any) -> Any:
    """The tensors one behind the other, along the third axis.

    See https://pytorch.org/docs/stable/generated/torch.dstack.html.

    >>> import rushlight as torch
    >>> torch.dstack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[[1, 3],
             [2, 4]]])
    """
    return joined([_three(x) for x in _given(tensors, "dstack")], 2)


@composite(samples=(S((t(3), t(3))), S([t(2), t(2, 2)]), S((t(), t()))))
def column_stack(tensors: Any) -> Any:
    """The tensors side by side; 1-d ones are columns.

    See https://pytorch.org/docs/stable/generated/torch.column_stack.html.

    >>> import rushlight as torch
    >>> torch.column_stack((torch.tensor([1, 2]), torch.tensor([3, 4])))
    tensor([[1, 3],
            [2, 4]])
    """
    parts = [
        x if x.ndim > 1 else hooks.record(primitive.view, (x,), ((x.numel(), 1),))
        for x in _given(tensors, "column_stack")
    ]
    return joined(parts, 1)
