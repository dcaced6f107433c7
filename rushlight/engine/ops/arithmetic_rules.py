"""What the pointwise families share: refused types, weak numbers, gradients that vanish."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, dtype
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import Op, Spec
from rushlight.engine.ops.elementwise import (
    SAME,
    compute_dtype,
    infer_rule,
    numpy_compute,
    numpy_kernel,
    result_type,
)
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


def numbered(name: str, tensors: int = 0, number: int = 1, first: int = -1) -> Any:
    """The ``grad_name`` of an operator that PyTorch numbers by which operands are numbers.

    Args:
        name: its beginning, without ``Backward``.
        tensors: the number where all are tensors.
        number: the number where a later operand is a plain number.
        first: the number where the first is; -1 where PyTorch has no gradient then.
    """

    def choose_name(spec: Spec) -> str:
        input, *others = spec.inputs
        if input is not None and input.weak:
            return f"{name}Backward{first}" if first >= 0 else NOT_IMPLEMENTED
        weak = any(meta is not None and meta.weak for meta in others)
        return f"{name}Backward{number if weak else tensors}"

    return choose_name


#: The name of ``grad_fn`` of operators without a gradient.
NOT_IMPLEMENTED = "NotImplemented"


def not_differentiable(name: str) -> Callable[..., Any]:
    """A gradient formula that raises PyTorch's error for an operator without one."""

    def formula(g: Any) -> Any:
        raise RuntimeError(f"derivative for aten::{name} is not implemented")

    return formula


def missing_gradient(what: str) -> Callable[..., Any]:
    """A gradient formula that raises PyTorch's error for an input without one."""

    def formula(g: Any) -> Any:
        raise NotImplementedError(f"the derivative for '{what}' is not implemented.")

    return formula


def strong(function: Callable[..., Any], rule: str, count: int) -> Callable[..., Any]:
    """The kernel factory of a function that calculates with its numbers before any array.

    NumPy would turn them into double precision; here they come in the computing type.
    """
    inner = numpy_kernel(function, rule, count)

    def prepare(spec: Spec, *attrs: Any) -> Callable[..., Any]:
        call = inner(spec, *attrs)
        places = [i for i, meta in enumerate(spec.inputs) if meta is not None and meta.weak]
        if not places:
            return call
        metas = [meta for meta in spec.inputs if meta is not None]
        target = numpy_compute(compute_dtype(metas, rule))

        def with_arrays(*arrays: Any) -> Any:
            given = list(arrays)
            for place in places:
                given[place] = np.asarray(given[place]).astype(target)
            return call(*given)

        return with_arrays

    return prepare


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


def floats_only(name: str, count: int = 1) -> Callable[..., Meta]:
    """The ``infer`` of an operator with kernels for floating-point types alone."""
    return guarded(count, boolean=name, integral=name, complex=name)


def between_tensors(op: Op, name: str, input: Any, other: Any, second: str = "other") -> Any:
    """Call an operator that takes no plain numbers."""
    require_tensor(input, name, "input", 1)
    require_tensor(other, name, second, 2)
    return op.quick(input, other)
