"""What the pointwise families share: refused types, weak numbers, gradients that vanish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, dtype
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ops.elementwise import SAME, infer_rule, result_type
from rushlight.engine.ops.view import zeros

#: A type an operator refuses: the kernel name PyTorch's message gives, or the error itself.
Refusal = str | tuple[type[Exception], str] | None


def refuse(refusal: Refusal, found: dtype) -> None:
    """Raise PyTorch's error for a type the operator has no kernel for."""
    if isinstance(refusal, str):
        raise NotImplementedError(f"\"{refusal}\" not implemented for '{SCALAR_NAMES[found]}'")
    if refusal is not None:
        kind, message = refusal
        raise kind(message)


def guarded(
    count: int,
    rule: str = SAME,
    *,
    boolean: Refusal = None,
    integral: Refusal = None,
    floating: Refusal = None,
    complex: Refusal = None,
) -> Callable[..., Meta]:
    """The ``infer`` of a pointwise operator that refuses some kinds of types.

    Args:
        count: how many tensors the operator takes.
        rule: how the result type follows, see ``elementwise.pointwise``.
        boolean, integral, floating, complex: the refusal of each kind, ``None`` to accept it.
    """
    inner = infer_rule(rule, count)
    refusals = (boolean, integral, floating, complex)

    def infer(*arguments: Any) -> Meta:
        common = result_type(arguments[:count])
        refuse(refusals[common.category], common)
        return inner(*arguments)

    return infer


def plain(x: Any) -> Any:
    """The Python number a saved operand stands for, or the tensor itself."""
    value = x._value
    return value.buffer if value.meta.weak else x


def conjugate(x: Any) -> Any:
    """The conjugate of a saved operand: a number or a tensor."""
    found = plain(x)
    return found.conjugate() if found is not x else x.conj()


def no_gradient(g: Any) -> Any:
    """Zeros like ``g``: the gradient of a step function."""
    return zeros(shape=tuple(g.shape), dtype=g.dtype)


def require_tensor(x: Any, function: str, argument: str, position: int) -> None:
    """Refuse a number where PyTorch wants a tensor."""
    if not isinstance(x, TensorBase):
        raise TypeError(
            f"{function}(): argument '{argument}' (position {position}) must be Tensor, "
            f"not {type(x).__name__}"
        )


def example(call: str, shown: str) -> str:
    """The end of a docstring: ``torch.<call>`` and what it prints."""
    return f"\n\n    >>> import rushlight as torch\n    >>> torch.{call}\n    {shown}\n    "


def zero_division(function: Callable[..., Any]) -> Callable[..., Any]:
    """An integer division that raises PyTorch's error where NumPy would give 0."""

    def divide(x: Any, y: Any) -> Any:
        try:
            with np.errstate(divide="raise"):
                return function(x, y)
        except FloatingPointError:
            raise RuntimeError("ZeroDivisionError") from None

    return divide
