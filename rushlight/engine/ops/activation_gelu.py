"""The Gaussian error linear unit, exact and by tanh, with its gradient as one primitive."""

from __future__ import annotations

from collections.abc import Callable
from math import pi, sqrt
from typing import Any

import numpy as np

from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Op, Spec, composite
from rushlight.engine.ir.samples import UNARY, S, t
from rushlight.engine.ir.scalar import Expr, function
from rushlight.engine.ops.arithmetic_power import square
from rushlight.engine.ops.arithmetic_rules import floats_only
from rushlight.engine.ops.elementwise import SAME, numpy_kernel, pointwise
from rushlight.engine.ops.math import exp, tanh
from rushlight.engine.ops.special_erf import erf_float32

_ROOT_HALF, _DENSITY = sqrt(0.5), 1 / sqrt(2 * pi)
_BETA, _KAPPA = sqrt(2 / pi), 0.044715


def _erf_kernel(spec: Spec) -> Callable[[Any], Any]:
    """The error function for the type the gelu of this spec is computed in."""
    if spec.out.dtype.itemsize <= 4:
        return erf_float32
    from scipy import special

    found: Callable[[Any], Any] = special.erf
    return found


def _normal_area(x: Any, erf: Callable[[Any], Any]) -> Any:
    area = np.asarray(erf(np.multiply(x, _ROOT_HALF)))
    np.add(area, 1, area)
    return np.multiply(area, 0.5, area)


def _tanh_inner(x: Any) -> Any:
    """tanh(beta * (x + kappa * x**3))."""
    made = np.square(x, np.empty_like(x))
    np.multiply(made, _KAPPA, made)
    np.add(made, 1, made)
    np.multiply(made, x, made)
    np.multiply(made, _BETA, made)
    return np.tanh(made, made)


def _gelu_kernel(spec: Spec, approximate: str) -> Callable[..., Any]:
    if approximate == "tanh":

        def by_tanh(x: Any) -> Any:
            made = _tanh_inner(x)
            np.add(made, 1, made)
            np.multiply(made, x, made)
            return np.multiply(made, 0.5, made)

        return numpy_kernel(by_tanh, SAME, 1)(spec)
    erf = _erf_kernel(spec)

    def exact(x: Any) -> Any:
        area = _normal_area(x, erf)
        return np.multiply(area, x, area)

    return numpy_kernel(exact, SAME, 1)(spec)


def _gelu_backward_kernel(spec: Spec, approximate: str) -> Callable[..., Any]:
    if approximate == "tanh":

        def by_tanh(g: Any, x: Any) -> Any:
            bend = _tanh_inner(x)
            inner = np.square(x, np.empty_like(x))
            np.multiply(inner, 3 * _KAPPA * _BETA, inner)
            np.add(inner, _BETA, inner)
            np.multiply(inner, x, inner)
            np.multiply(inner, np.subtract(1, np.square(bend)), inner)
            np.add(bend, 1, bend)
            np.add(bend, inner, bend)
            np.multiply(bend, 0.5, bend)
            return np.multiply(bend, g, bend)

        return numpy_kernel(by_tanh, SAME, 2)(spec)
    erf = _erf_kernel(spec)

    def exact(g: Any, x: Any) -> Any:
        slope = np.square(x, np.empty_like(x))
        np.multiply(slope, -0.5, slope)
        np.exp(slope, slope)
        np.multiply(slope, _DENSITY, slope)
        np.multiply(slope, x, slope)
        np.add(slope, _normal_area(x, erf), slope)
        return np.multiply(slope, g, slope)

    return numpy_kernel(exact, SAME, 2)(spec)


def _scalar_bend(x: Expr) -> Expr:
    return function("tanh", (x * x * _KAPPA + 1) * x * _BETA)


def _scalar_area(x: Expr) -> Expr:
    return (function("erf", x * _ROOT_HALF) + 1) * 0.5


def _scalar_gelu(x: Expr, approximate: str) -> Expr:
    if approximate == "tanh":
        return (_scalar_bend(x) + 1) * x * 0.5
    return _scalar_area(x) * x


def _scalar_gelu_backward(g: Expr, x: Expr, approximate: str) -> Expr:
    if approximate == "tanh":
        bend = _scalar_bend(x)
        inner = (x * x * (3 * _KAPPA * _BETA) + _BETA) * x * (1 - bend * bend)
        return (bend + 1 + inner) * 0.5 * g
    return (function("exp", x * x * -0.5) * _DENSITY * x + _scalar_area(x)) * g


def _gelu_second(g: Any, grad: Any, input: Any, approximate: str) -> Any:
    if approximate == "none":
        curve = exp(square(input) * -0.5) * (2 - square(input)) * _DENSITY
    else:
        bend = tanh((square(input) * _KAPPA + 1) * input * _BETA)
        slope = (square(input) * (3 * _KAPPA) + 1) * _BETA
        half = input * (input * (3 * _KAPPA * _BETA) - bend * slope * slope)
        curve = (1 - square(bend)) * (slope + half)
    return g * grad * curve


gelu_backward: Op = pointwise(
    "gelu_backward(Tensor grad, Tensor input, str approximate)",
    np.multiply,
    kernel=_gelu_backward_kernel,
    scalar=_scalar_gelu_backward,
    grad={
        "grad": lambda g, input, approximate: gelu_backward(g, input, approximate=approximate),
        "input": _gelu_second,
    },
)


def _gelu_infer(input: Meta, approximate: str) -> Meta:
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    return floats_only("GeluKernelImpl")(input)


gelu_op = pointwise(
    "gelu(Tensor input, str approximate)",
    np.multiply,
    infer=_gelu_infer,
    kernel=_gelu_kernel,
    scalar=_scalar_gelu,
    grad={
        "input": lambda g, input, approximate: gelu_backward(g, input, approximate=approximate)
    },
)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(t(3, 4), approximate="tanh")))
def gelu(input: Any, approximate: str = "none") -> Any:
    """``input`` times the area under the standard normal density up to it.

    Args:
        input: a floating-point tensor.
        approximate: ``"none"``, or ``"tanh"`` for the usual approximation by tanh.

    See https://arxiv.org/abs/1606.08415.

    >>> import rushlight as torch
    >>> torch.nn.functional.gelu(torch.tensor([-1.0, 2.0]))
    tensor([-0.1587,  1.9545])
    """
    return gelu_op.fixed(approximate)(input)
