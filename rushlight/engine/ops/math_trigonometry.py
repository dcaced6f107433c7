"""Trigonometric and hyperbolic functions, their inverses, and angles in degrees."""

from __future__ import annotations

from math import pi
from typing import Any

import numpy as np

from rushlight.engine.ir.op import Op, composite
from rushlight.engine.ir.samples import UNARY, S, t, tc, ti
from rushlight.engine.ir.scalar import Expr, function, where
from rushlight.engine.ops.arithmetic_power import rsqrt, square
from rushlight.engine.ops.arithmetic_rules import example, guarded
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.bodies import applied
from rushlight.engine.ops.elementwise import FLOAT, pointwise

_FACE: dict[str, Any] = {"namespaces": ("torch",), "method": True, "inplace": True}
_ANY = (*UNARY, S(ti(4)), S(tc(3)))
_INSIDE = (
    S(t(3, 4, low=-0.9, high=0.9)),
    S(t(low=-0.9, high=0.9)),
    S(t(0, 3)),
    S(ti(4, low=0, high=1)),
    S(tc(3, low=0.2, high=0.8)),
)
_ABOVE_ONE = (
    S(t(3, 4, low=1.2, high=3.0)),
    S(t(low=1.2, high=3.0)),
    S(t(0, 3)),
    S(ti(4, low=1, high=5)),
    S(tc(3, low=1.2, high=3.0)),
)


sin = pointwise(
    "sin(Tensor input)",
    np.sin,
    scalar=applied("sin"),
    rule=FLOAT,
    grad={"input": lambda g, input: g * cos(input).conj()},
    samples=_ANY,
    doc="The sine." + example("sin(torch.tensor([0.0, 1.0]))", "tensor([0.0000, 0.8415])"),
    **_FACE,
)

cos: Op = pointwise(
    "cos(Tensor input)",
    np.cos,
    scalar=applied("cos"),
    rule=FLOAT,
    grad={"input": lambda g, input: -g * sin(input).conj()},
    samples=_ANY,
    doc="The cosine." + example("cos(torch.tensor([0.0, 1.0]))", "tensor([1.0000, 0.5403])"),
    **_FACE,
)

tan = pointwise(
    "tan(Tensor input)",
    np.tan,
    scalar=applied("tan"),
    rule=FLOAT,
    grad={"input": lambda g, result: g * (square(result) + 1).conj()},
    samples=(S(t(3, 4, low=-1.2, high=1.2)), S(t(low=-1.2, high=1.2)), S(t(0, 3)), S(tc(3))),
    doc="The tangent." + example("tan(torch.tensor([0.0, 1.0]))", "tensor([0.0000, 1.5574])"),
    **_FACE,
)

asin = pointwise(
    "asin(Tensor input)",
    np.arcsin,
    scalar=applied("asin"),
    rule=FLOAT,
    grad={"input": lambda g, input: g * rsqrt(1 - square(input)).conj()},
    samples=_INSIDE,
    doc="The inverse sine; NaN outside [-1, 1]."
    + example("asin(torch.tensor([0.0, 1.0]))", "tensor([0.0000, 1.5708])"),
    **_FACE,
)

acos = pointwise(
    "acos(Tensor input)",
    np.arccos,
    scalar=applied("acos"),
    rule=FLOAT,
    grad={"input": lambda g, input: -g * rsqrt(1 - square(input)).conj()},
    samples=_INSIDE,
    doc="The inverse cosine; NaN outside [-1, 1]."
    + example("acos(torch.tensor([0.0, 1.0]))", "tensor([1.5708, 0.0000])"),
    **_FACE,
)

atan = pointwise(
    "atan(Tensor input)",
    np.arctan,
    scalar=applied("atan"),
    rule=FLOAT,
    grad={"input": lambda g, input: g / (square(input) + 1).conj()},
    samples=_ANY,
    doc="The inverse tangent."
    + example("atan(torch.tensor([0.0, 1.0]))", "tensor([0.0000, 0.7854])"),
    **_FACE,
)

sinh = pointwise(
    "sinh(Tensor input)",
    np.sinh,
    scalar=applied("sinh"),
    rule=FLOAT,
    grad={"input": lambda g, input: g * cosh(input).conj()},
    samples=_ANY,
    doc="The hyperbolic sine."
    + example("sinh(torch.tensor([0.0, 1.0]))", "tensor([0.0000, 1.1752])"),
    **_FACE,
)

cosh: Op = pointwise(
    "cosh(Tensor input)",
    np.cosh,
    scalar=applied("cosh"),
    rule=FLOAT,
    grad={"input": lambda g, input: g * sinh(input).conj()},
    samples=_ANY,
    doc="The hyperbolic cosine."
    + example("cosh(torch.tensor([0.0, 1.0]))", "tensor([1.0000, 1.5431])"),
    **_FACE,
)

asinh = pointwise(
    "asinh(Tensor input)",
    np.arcsinh,
    scalar=applied("asinh"),
    rule=FLOAT,
    grad={"input": lambda g, input: g * rsqrt(square(input) + 1).conj()},
    samples=_ANY,
    doc="The inverse hyperbolic sine."
    + example("asinh(torch.tensor([0.0, 1.0]))", "tensor([0.0000, 0.8814])"),
    **_FACE,
)

acosh = pointwise(
    "acosh(Tensor input)",
    np.arccosh,
    scalar=applied("acosh"),
    rule=FLOAT,
    grad={"input": lambda g, input: g * (rsqrt(input - 1) * rsqrt(input + 1)).conj()},
    samples=_ABOVE_ONE,
    doc="The inverse hyperbolic cosine; NaN below 1."
    + example("acosh(torch.tensor([1.0, 2.0]))", "tensor([0.0000, 1.3170])"),
    **_FACE,
)

atanh = pointwise(
    "atanh(Tensor input)",
    np.arctanh,
    scalar=applied("atanh"),
    rule=FLOAT,
    grad={"input": lambda g, input: g / (1 - square(input)).conj()},
    samples=_INSIDE,
    doc="The inverse hyperbolic tangent; NaN outside [-1, 1]."
    + example("atanh(torch.tensor([0.0, 0.5]))", "tensor([0.0000, 0.5493])"),
    **_FACE,
)


def _sinc_slope(g: Any, input: Any) -> Any:
    turned = input * pi
    slope = (turned * cos(turned) - sin(turned)) / (turned * input)
    return g * where_op(input == 0, 0, slope).conj()


def _scalar_sinc(x: Expr) -> Expr:
    turned = x * pi
    return where(x.eq(0), 1, function("sin", turned) / turned)


sinc = pointwise(
    "sinc(Tensor input)",
    np.sinc,
    scalar=_scalar_sinc,
    rule=FLOAT,
    grad={"input": _sinc_slope},
    samples=_ANY,
    doc="``sin(pi x) / (pi x)``, 1 at 0."
    + example("sinc(torch.tensor([0.0, 0.5]))", "tensor([1.0000, 0.6366])"),
    **{**_FACE, "namespaces": ("torch", "special")},
)


def _no_complex(name: str) -> Any:
    return guarded(
        1, FLOAT, complex=(RuntimeError, f"{name} is not supported for complex tensors.")
    )


deg2rad: Op = pointwise(
    "deg2rad(Tensor input)",
    lambda x: np.multiply(x, pi / 180),
    scalar=lambda x: x * (pi / 180),
    rule=FLOAT,
    infer=_no_complex("deg2rad"),
    grad={"input": lambda g: deg2rad(g)},
    grad_name="Deg2Rad",
    samples=(*UNARY, S(ti(4))),
    doc="Angles in degrees as radians."
    + example("deg2rad(torch.tensor([0.0, 180.0]))", "tensor([0.0000, 3.1416])"),
    **_FACE,
)

rad2deg: Op = pointwise(
    "rad2deg(Tensor input)",
    lambda x: np.multiply(x, 180 / pi),
    scalar=lambda x: x * (180 / pi),
    rule=FLOAT,
    infer=_no_complex("rad2deg"),
    grad={"input": lambda g: rad2deg(g)},
    grad_name="Rad2Deg",
    samples=(*UNARY, S(ti(4))),
    doc="Angles in radians as degrees."
    + example("rad2deg(torch.tensor([0.0, 3.0]))", "tensor([  0.0000, 171.8873])"),
    **_FACE,
)


def _alias(op: Op) -> None:
    """Record ``arcsin`` for ``asin`` and so on."""
    name = f"arc{op.name[1:]}"

    def call(input: Any) -> Any:
        return op.quick(input)

    call.__doc__ = (
        f"Another name of ``{op.name}``."
        + example(f"{name}(torch.tensor([1.0])).shape", "torch.Size([1])")
    )
    composite(name=name, method=True, inplace="torch", samples=op.samples)(call)


for _op in (asin, acos, atan, asinh, acosh, atanh):
    _alias(_op)
