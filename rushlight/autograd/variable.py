"""``Variable``, the name tensors with gradients had before they became tensors."""

from __future__ import annotations

from typing import Any

from rushlight._tensor import Tensor
from rushlight.engine.trace import views


class _VariableMeta(type):
    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableMeta):
    """Makes a tensor over the same memory as ``data``; every tensor is an instance of it.

    >>> import rushlight as torch
    >>> torch.autograd.Variable(torch.ones(2), requires_grad=True)
    tensor([1., 1.], requires_grad=True)
    """

    def __new__(cls, data: Any, requires_grad: bool = False, volatile: Any = None) -> Any:
        made = views.share(data)
        return made.requires_grad_() if requires_grad else made
