"""PyTorch's faces of choosing and mixing: where, clamp and their like."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import S, t, tb, ti
from rushlight.engine.ops.blend import clamp_max_op, clamp_min_op, clamp_op, where_op


@composite(
    samples=(
        S(tb(3, 4), t(3, 4), t(3, 4)),
        S(tb(3, 1), t(4), t(3, 4)),
        S(tb(4), t(4), 2.5),
        S(tb(4), 1, ti(4)),
        S(tb(), t(), t()),
        S(tb(2), 1.0, 2.0),
    )
)
def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where ``condition`` is true, ``other`` elsewhere.

    Args:
        condition: a bool tensor.
        input: a tensor or a number; left out with ``other`` for the indices of true elements.
        other: a tensor or a number.

    >>> import rushlight as torch
    >>> torch.where(torch.tensor([True, False]), torch.tensor([1, 2]), 0)
    tensor([1, 0])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    return where_op(condition, input, other)


@composite(
    name="where",
    namespaces=(),
    method=True,
    samples=(S(t(3, 4), tb(3, 4), t(4)), S(t(3), tb(2, 3), 0.5)),
)
def where_method(self: Any, condition: Any, other: Any) -> Any:
    """``self`` where ``condition`` is true, ``other`` elsewhere.

    >>> import rushlight as torch
    >>> torch.ones(2).where(torch.tensor([True, False]), 0)
    tensor([1., 0.])
    """
    return where_op(condition, self, other)


def _clamp(input: Any, min: Any, max: Any) -> Any:
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return clamp_op(input, min, max)


_CLAMPED = (
    S(t(3, 4), -0.5, 1.0),
    S(t(3, 4), min=0.1),
    S(t(3, 4), max=0.1),
    S(t(3, 4), t(4), t(3, 1)),
    S(t(3, 4), min=t(4)),
    S(ti(5), 0, 3),
    S(ti(5), min=1.5),
    S(t(), -0.5, 0.5),
    S(t(0, 3), 0, 1),
    S(t(4), 2, 1),
)


@composite(method=True, inplace="torch", samples=_CLAMPED)
def clamp(input: Any, min: Any = None, max: Any = None) -> Any:
    """Every element brought between ``min`` and ``max``; NaN stays.

    Args:
        input: a tensor of a real type.
        min: a number or a tensor, ``None`` for no bound.
        max: a number or a tensor, ``None`` for no bound.

    >>> import rushlight as torch
    >>> torch.clamp(torch.tensor([-1.0, 0.5, 3.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _clamp(input, min, max)


@composite(method=True, inplace="torch", samples=_CLAMPED)
def clip(input: Any, min: Any = None, max: Any = None) -> Any:
    """Another name of ``clamp``.

    >>> import rushlight as torch
    >>> torch.clip(torch.tensor([-1.0, 0.5, 3.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _clamp(input, min, max)


@composite(method=True, inplace="torch", samples=(S(t(3, 4), 0.2), S(t(3, 4), t(4)), S(ti(4), 1)))
def clamp_min(input: Any, min: Any) -> Any:
    """Every element at least ``min``.

    >>> import rushlight as torch
    >>> torch.clamp_min(torch.tensor([-1.0, 3.0]), 0)
    tensor([0., 3.])
    """
    return clamp_min_op(input, min, None)


@composite(method=True, inplace="torch", samples=(S(t(3, 4), 0.2), S(t(3, 4), t(4)), S(ti(4), 1)))
def clamp_max(input: Any, max: Any) -> Any:
    """Every element at most ``max``.

    >>> import rushlight as torch
    >>> torch.clamp_max(torch.tensor([-1.0, 3.0]), 0)
    tensor([-1.,  0.])
    """
    return clamp_max_op(input, None, max)
