"""Rounding: floor, ceil, trunc, round and what is left over."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.ir.op import Spec, composite
from rushlight.engine.ir.samples import UNARY, S, t, ti
from rushlight.engine.ir.scalar import Expr, function
from rushlight.engine.ops.arithmetic_rules import guarded, no_gradient
from rushlight.engine.ops.bodies import rounded
from rushlight.engine.ops.elementwise import SAME, numpy_kernel, pointwise

_FACE: dict[str, Any] = {"namespaces": ("torch",), "method": True, "inplace": True}


def _kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """The kernel factory of a rounding: integers are copied."""

    def prepare(spec: Spec, *attrs: Any) -> Callable[..., Any]:
        if spec.out.dtype.category < FLOATING:
            return lambda x: x.copy(order="K")
        return numpy_kernel(function, SAME, 1)(spec, *attrs)

    return prepare


def _no_complex(name: str) -> Any:
    return guarded(
        1,
        boolean=f"{name}_vml_cpu",
        complex=(NotImplementedError, f"{name} is not supported for complex inputs"),
    )


floor = pointwise(
    "floor(Tensor input)",
    np.floor,
    infer=_no_complex("floor"),
    kernel=_kernel(np.floor),
    scalar=rounded("floor"),
    grad={"input": no_gradient},
    samples=(*UNARY, S(ti(4))),
    doc="""The largest whole number not above each element.

    >>> import rushlight as torch
    >>> torch.floor(torch.tensor([-1.5, 2.7]))
    tensor([-2.,  2.])
    """,
    **_FACE,
)

ceil = pointwise(
    "ceil(Tensor input)",
    np.ceil,
    infer=_no_complex("ceil"),
    kernel=_kernel(np.ceil),
    scalar=rounded("ceil"),
    grad={"input": no_gradient},
    samples=(*UNARY, S(ti(4))),
    doc="""The smallest whole number not below each element.

    >>> import rushlight as torch
    >>> torch.ceil(torch.tensor([-1.5, 2.7]))
    tensor([-1.,  3.])
    """,
    **_FACE,
)

trunc = pointwise(
    "trunc(Tensor input)",
    np.trunc,
    infer=_no_complex("trunc"),
    kernel=_kernel(np.trunc),
    scalar=rounded("trunc"),
    grad={"input": no_gradient},
    samples=(*UNARY, S(ti(4))),
    doc="""The whole part of each element.

    >>> import rushlight as torch
    >>> torch.trunc(torch.tensor([-1.5, 2.7]))
    tensor([-1.,  2.])
    """,
    **_FACE,
)


@composite(method=True, inplace="torch", samples=(*UNARY, S(ti(4))))
def fix(input: Any) -> Any:
    """Another name of ``trunc``.

    >>> import rushlight as torch
    >>> torch.fix(torch.tensor([-1.5, 2.7]))
    tensor([-1.,  2.])
    """
    return trunc.quick(input)


frac = pointwise(
    "frac(Tensor input)",
    lambda x: np.subtract(x, np.trunc(x)),
    scalar=lambda x: x - function("trunc", x),
    infer=guarded(1, boolean="frac_cpu", integral="frac_cpu", complex="frac_cpu"),
    grad={"input": lambda g: g},
    samples=UNARY,
    doc="""What is left of each element without its whole part, with its sign.

    >>> import rushlight as torch
    >>> torch.frac(torch.tensor([-1.5, 2.75]))
    tensor([-0.5000,  0.7500])
    """,
    **_FACE,
)

round_whole = pointwise(
    "round(Tensor input)",
    np.rint,
    infer=guarded(1, boolean="round_vml_cpu", complex="round_vml_cpu"),
    kernel=_kernel(np.rint),
    scalar=rounded("round"),
    grad={"input": no_gradient},
)


def _round_at(x: Any, decimals: int) -> Any:
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return np.divide(np.rint(np.multiply(x, scale)), scale)
    return np.multiply(np.rint(np.divide(x, scale)), scale)


def _scalar_round_at(x: Expr, decimals: int) -> Expr:
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return function("round", x * scale) / scale
    return function("round", x / scale) * scale


round_decimals = pointwise(
    "round_decimals(Tensor input, int decimals)",
    _round_at,
    scalar=_scalar_round_at,
    infer=guarded(1, boolean="round_cpu", integral="round_cpu", complex="round_cpu"),
    grad={"input": no_gradient},
    grad_name="RoundBackward1",
)


@composite(
    namespaces=("torch", "special"),
    method=True,
    inplace="torch",
    samples=(*UNARY, S(ti(4)), S(t(5, low=-90.0, high=90.0), decimals=-1), S(t(5), decimals=2)),
)
def round(input: Any, *, decimals: int = 0) -> Any:
    """The nearest whole number, halves to the even one.

    Args:
        input: a tensor of a real type.
        decimals: places after the point to keep (floating-point numbers only); may be negative.

    >>> import rushlight as torch
    >>> torch.round(torch.tensor([0.5, 1.5, -2.7]))
    tensor([ 0.,  2., -3.])
    """
    return round_decimals.fixed(int(decimals))(input) if decimals else round_whole.quick(input)
