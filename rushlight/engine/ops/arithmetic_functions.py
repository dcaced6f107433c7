"""PyTorch's faces of the arithmetic operators: ``alpha``, ``rounding_mode`` and their like."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import BINARY, S, t
from rushlight.engine.ops import arithmetic


@composite(method=True, inplace=True, samples=(*BINARY, S(t(3), t(3), alpha=2)))
def add(input: Any, other: Any, *, alpha: Any = 1) -> Any:
    """``input + alpha * other``.

    >>> import rushlight as torch
    >>> torch.add(torch.ones(2), 2.0, alpha=3)
    tensor([7., 7.])
    """
    return arithmetic.add(input, other if alpha == 1 else arithmetic.mul(other, alpha))
