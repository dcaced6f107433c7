"""Arithmetic: sums, products, quotients, remainders and their gradients.

PyTorch's faces (``alpha``, ``rounding_mode``) are in ``arithmetic_functions``, powers in
``arithmetic_power``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import BOOL, FLOATING, bool_
from rushlight.engine.ir import scalar
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.samples import BINARY, UNARY, S, t, tc, ti
from rushlight.engine.ops.arithmetic_division import (
    check_divisor,
    dividend_signed_rest,
    divisor_signed_rest,
    floor_divide_floats,
    floor_quotient,
    fmod_floats,
    remainder_floats,
    truncated_quotient,
)
from rushlight.engine.ops.arithmetic_rules import (
    NOT_IMPLEMENTED,
    conjugate,
    guarded,
    no_gradient,
    not_differentiable,
    numbered,
    strong,
    zero_division,
)
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.bodies import absolute, plus, times
from rushlight.engine.ops.complex import real
from rushlight.engine.ops.elementwise import (
    FLOAT,
    REAL,
    SAME,
    broadcast_meta,
    infer_rule,
    numpy_compute,
    numpy_kernel,
    pointwise,
    result_type,
)

_FACE: dict[str, Any] = {"namespaces": ("torch",), "method": True, "inplace": True}

_BOTH_BOOL = (
    "Subtraction, the `-` operator, with two bool tensors is not supported. Use the `^` or "
    "`logical_xor()` operator instead."
)
_ONE_BOOL = (
    "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying to "
    "invert a mask, use the `~` or `logical_not()` operator instead."
)


def _sub_infer(input: Meta, other: Meta) -> Meta:
    if input.dtype is bool_ or other.dtype is bool_:
        both = input.dtype is other.dtype and not input.weak and not other.weak
        raise RuntimeError(_BOTH_BOOL if both else _ONE_BOOL)
    return infer_rule(SAME, 2)(input, other)


add = pointwise(
    "add(Tensor input, Tensor other)",
    np.add,
    scalar=plus,
    grad={"input": lambda g: g, "other": lambda g: g},
)

sub = pointwise(
    "sub(Tensor input, Tensor other)",
    np.subtract,
    scalar=lambda x, other: x - other,
    infer=_sub_infer,
    grad={"input": lambda g: g, "other": lambda g: -g},
)

rsub = pointwise(
    "rsub(Tensor input, Tensor other)",
    lambda x, y: np.subtract(y, x),
    scalar=lambda x, other: other - x,
    infer=_sub_infer,
    grad={"input": lambda g: -g, "other": lambda g: g},
    grad_name=numbered("Rsub"),
)

mul = pointwise(
    "mul(Tensor input, Tensor other)",
    np.multiply,
    scalar=times,
    grad={"input": lambda g, other: g * other.conj(), "other": lambda g, input: g * input.conj()},
    samples=(*BINARY, S(ti(3, 2), t(2)), S(t(3), 2.5), S(tc(3), tc(3)), S(t(2), tc(3, 1))),
    doc="""``input * other``.

    Args:
        input: a tensor or a number.
        other: a tensor or a number that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.mul(torch.tensor([1.0, 2.0]), 3)
    tensor([3., 6.])
    """,
    **_FACE,
)

div = pointwise(
    "div(Tensor input, Tensor other)",
    np.divide,
    scalar=lambda x, other: x / other,
    rule=FLOAT,
    grad={
        "input": lambda g, other: g / other.conj(),
        "other": lambda g, other, result: -g * (result / other).conj(),
    },
)


# a scaled sum -----------------------------------------------------------------------------------


def _scaled_infer(input: Meta, other: Meta, alpha: Meta) -> Meta:
    common = result_type((input, other))
    if alpha.dtype is bool_ and common is not bool_:
        raise RuntimeError("Boolean alpha only supported for Boolean results.")
    if alpha.dtype.category >= FLOATING and common.category < FLOATING:
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    return broadcast_meta((input, other), common)


def _scaled(combine: np.ufunc) -> Callable[[Spec], Callable[..., Any]]:
    """The kernel factory of ``combine(x, alpha * y)``."""

    def fused(x: Any, y: Any, alpha: Any) -> Any:
        product = y * alpha
        wide = np.ndim(product) and product.ndim >= np.ndim(x) and product.size >= np.size(x)
        return combine(x, product, out=product if wide else None)

    def prepare(spec: Spec) -> Callable[..., Any]:
        input, other, _ = spec.inputs
        found = spec.out.dtype
        exact = input is spec.out and other is not None and other.dtype is found
        if not exact or not spec.out.ndim or numpy_compute(found) != found.numpy or found is bool_:
            return strong(fused, SAME, 3)(spec)

        def kernel(x: Any, y: Any, alpha: Any) -> Any:
            return fused(x, y, alpha)

        kernel.into = lambda x, y, alpha: combine(x, y * alpha, x)  # type: ignore[attr-defined]
        return kernel

    return prepare


add_scaled = pointwise(
    "add_scaled(Tensor input, Tensor other, Tensor alpha)",
    np.add,
    infer=_scaled_infer,
    kernel=_scaled(np.add),
    scalar=lambda x, other, alpha: plus(x, times(other, alpha)),
    grad={"input": lambda g: g, "other": lambda g, alpha: g * conjugate(alpha)},
    grad_name="Add",
)


def _sub_scaled_infer(input: Meta, other: Meta, alpha: Meta) -> Meta:
    _sub_infer(input, other)
    return _scaled_infer(input, other, alpha)


sub_scaled = pointwise(
    "sub_scaled(Tensor input, Tensor other, Tensor alpha)",
    np.subtract,
    infer=_sub_scaled_infer,
    kernel=_scaled(np.subtract),
    scalar=lambda x, other, alpha: x - other * alpha,
    grad={"input": lambda g: g, "other": lambda g, alpha: -g * conjugate(alpha)},
    grad_name="Sub",
)


rsub_scaled = pointwise(
    "rsub_scaled(Tensor input, Tensor other, Tensor alpha)",
    np.subtract,
    infer=_sub_scaled_infer,
    kernel=strong(lambda x, y, alpha: np.subtract(y, x * alpha), SAME, 3),
    scalar=lambda x, other, alpha: other - x * alpha,
    grad={"input": lambda g, alpha: -g * conjugate(alpha), "other": lambda g: g},
    grad_name=lambda spec: f"RsubBackward{int(spec.inputs[1].weak)}",
)


# remainders and rounded quotients ---------------------------------------------------------------


def _by_category(integral: Callable[..., Any], floating: Callable[..., Any]) -> Any:
    """A kernel factory that takes another function for integers (zero divisors raise there)."""
    for_integers = numpy_kernel(zero_division(integral), SAME, 2)
    for_floats = numpy_kernel(floating, SAME, 2)

    def prepare(spec: Spec) -> Callable[..., Any]:
        return (for_floats if spec.out.dtype.category >= FLOATING else for_integers)(spec)

    return prepare


def _trunc_divide_integers(x: Any, y: Any) -> Any:
    return np.floor_divide(np.subtract(x, np.fmod(x, y)), y)


def _no_kernel(name: str) -> Callable[..., Meta]:
    return guarded(2, boolean=name, complex=name)


floor_divide = pointwise(
    "floor_divide(Tensor input, Tensor other)",
    np.floor_divide,
    infer=_no_kernel("div_floor_cpu"),
    kernel=_by_category(np.floor_divide, floor_divide_floats),
    scalar=floor_quotient,
    grad={
        "input": not_differentiable("floor_divide"),
        "other": not_differentiable("floor_divide"),
    },
    grad_name=NOT_IMPLEMENTED,
    may_fail=True,
    check=((1,), check_divisor),
    samples=(
        S(t(3, 4, grad=False), t(4, grad=False)),
        S(ti(3, 4), ti(4, low=1)),
        S(ti(5), -3),
        S(t(5, grad=False), 0.7),
        S(t(0, 3, grad=False), t(3, grad=False)),
    ),
    doc="""``input / other`` rounded down.

    Args:
        input: a tensor or a number.
        other: a tensor or a number that broadcasts with it; an integer 0 raises.

    >>> import rushlight as torch
    >>> torch.floor_divide(torch.tensor([4.0, -3.0]), 2)
    tensor([ 2., -2.])
    """,
    **_FACE,
)

div_floor = pointwise(
    "div_floor(Tensor input, Tensor other)",
    np.floor_divide,
    infer=_no_kernel("div_floor_cpu"),
    kernel=_by_category(np.floor_divide, floor_divide_floats),
    scalar=floor_quotient,
    grad={"input": no_gradient, "other": no_gradient},
    grad_name="DivBackward2",
    may_fail=True,
    check=((1,), check_divisor),
)

div_trunc = pointwise(
    "div_trunc(Tensor input, Tensor other)",
    np.floor_divide,
    infer=_no_kernel("div_trunc_cpu"),
    kernel=_by_category(_trunc_divide_integers, lambda x, y: np.trunc(np.divide(x, y))),
    scalar=truncated_quotient,
    grad={"input": no_gradient, "other": no_gradient},
    grad_name="DivBackward2",
    may_fail=True,
    check=((1,), check_divisor),
)

def _remainder_share(g: Any, input: Any, other: Any) -> Any:
    if input._value.meta.weak:
        raise RuntimeError("derivative for aten::remainder is not implemented")
    return -g * div_floor(input, other)


_REMAINDERS = (
    S(t(3, 4), t(4, low=0.5, high=1.5)),
    S(ti(3, 4), ti(4, low=1)),
    S(ti(5), -3),
    S(t(5), 0.7),
    S(t(), t(2, low=-3.0, high=-1.0)),
    S(t(0, 3), t(3)),
)

remainder = pointwise(
    "remainder(Tensor input, Tensor other)",
    np.remainder,
    infer=_no_kernel("remainder_cpu"),
    kernel=_by_category(np.remainder, remainder_floats),
    scalar=divisor_signed_rest,
    grad={
        "input": lambda g: g,
        "other": lambda g, input, other: _remainder_share(g, input, other),
    },
    grad_name=numbered("Remainder", tensors=1, number=0),
    may_fail=True,
    check=((1,), check_divisor),
    samples=_REMAINDERS,
    doc="""What is left of ``input`` after whole multiples of ``other``, with the divisor's sign.

    Args:
        input: a tensor or a number.
        other: a tensor or a number that broadcasts with it; an integer 0 raises.

    >>> import rushlight as torch
    >>> torch.remainder(torch.tensor([-3, 4]), 3)
    tensor([0, 1])
    """,
    **_FACE,
)

fmod = pointwise(
    "fmod(Tensor input, Tensor other)",
    np.fmod,
    infer=_no_kernel("fmod_cpu"),
    kernel=_by_category(np.fmod, fmod_floats),
    scalar=dividend_signed_rest,
    grad={
        "input": lambda g: g,
        "other": lambda g, input, other: -g * div_trunc(input, other),
    },
    grad_name=numbered("Fmod", tensors=1, number=0),
    may_fail=True,
    check=((1,), check_divisor),
    samples=_REMAINDERS,
    doc="""What is left of ``input`` after whole multiples of ``other``, with the dividend's sign.

    Args:
        input: a tensor or a number.
        other: a tensor or a number that broadcasts with it; an integer 0 raises.

    >>> import rushlight as torch
    >>> torch.fmod(torch.tensor([-3.0, 4.0]), 2)
    tensor([-1.,  0.])
    """,
    **_FACE,
)


# signs ------------------------------------------------------------------------------------------

neg = pointwise(
    "neg(Tensor input)",
    np.negative,
    scalar=lambda x: -x,
    infer=guarded(
        1,
        boolean=(
            RuntimeError,
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead.",
        ),
    ),
    grad={"input": lambda g: -g},
    samples=UNARY,
    doc="""``-input``.

    Args:
        input: a tensor of any type but bool.

    >>> import rushlight as torch
    >>> torch.neg(torch.tensor([1.0, -2.0]))
    tensor([-1.,  2.])
    """,
    **_FACE,
)

abs_ = pointwise(
    "abs(Tensor input)",
    np.abs,
    scalar=absolute,
    rule=REAL,
    infer=guarded(1, REAL, boolean="abs_cpu"),
    grad={"input": lambda g, input: g * input.sgn()},
    samples=(*UNARY, S(tc(3)), S(ti(4))),
    doc="""The absolute value, for complex numbers the real magnitude.

    Args:
        input: a tensor of any type but bool.

    >>> import rushlight as torch
    >>> torch.abs(torch.tensor([-1.5, 2.0]))
    tensor([1.5000, 2.0000])
    """,
    namespaces=("torch",),
    method=True,
)


def _sign(x: Any) -> Any:
    if x.dtype.kind in "bc":
        return x.copy() if x.dtype.kind == "b" else np.sign(x)
    above, below = np.asarray(x > 0), np.asarray(x < 0)  # neither for NaN, whose sign is 0
    return np.subtract(above.view(np.int8), below.view(np.int8)).astype(x.dtype)


def _scalar_sign(x: scalar.Expr) -> scalar.Expr:
    if x.dtype.category == BOOL:
        return x
    zero = scalar.const(0, x.dtype)
    return scalar.where(x > 0, 1, scalar.where(x < 0, -1, zero)) if x.dtype.is_signed else (
        scalar.where(x > 0, 1, zero)
    )


sign = pointwise(
    "sign(Tensor input)",
    _sign,
    scalar=_scalar_sign,
    infer=guarded(
        1,
        complex=(
            NotImplementedError,
            "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
            "torch.sgn instead.",
        ),
    ),
    grad={"input": no_gradient},
    samples=(*UNARY, S(ti(4))),
    doc="""-1, 0 or 1 by the sign of each element.

    Args:
        input: a tensor of a real type.

    >>> import rushlight as torch
    >>> torch.sign(torch.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """,
    **_FACE,
)


def _sgn_gradient(g: Any, input: Any, result: Any) -> Any:
    """Complex: what of ``g`` turns the number, over its size (the rest changes only the size)."""
    if not input.dtype.is_complex:
        return no_gradient(g)
    size = abs_(input)
    return where_op(size == 0, 0, (g - result * real(g * result.conj())) / size)


sgn = pointwise(
    "sgn(Tensor input)",
    _sign,
    scalar=_scalar_sign,
    grad={"input": _sgn_gradient},
    samples=(*UNARY, S(tc(3)), S(ti(4))),
    doc="""The sign, for complex numbers ``input / abs(input)`` (0 at 0).

    Args:
        input: a tensor of any type.

    >>> import rushlight as torch
    >>> torch.sgn(torch.tensor([-3.0, 0.0, 2.0]))
    tensor([-1.,  0.,  1.])
    """,
    **_FACE,
)
