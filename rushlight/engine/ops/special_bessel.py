"""Bessel, Airy, zeta and incomplete gamma functions: SciPy's kernels, imported late.

Formulas of the gradients: https://dlmf.nist.gov, chapters 8, 10 and 25.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Op, Spec, composite
from rushlight.engine.ir.samples import UNARY, S, t, ti
from rushlight.engine.ir.scalar import Expr, function, where
from rushlight.engine.ops.arithmetic_power import POSITIVE
from rushlight.engine.ops.arithmetic_rules import (
    example,
    guarded,
    missing_gradient,
    numbered,
    plain,
    refuse,
    require_tensor,
)
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import FLOAT, numpy_kernel, pointwise
from rushlight.engine.ops.math import exp, log
from rushlight.engine.ops.special import from_scipy, lgamma, real_only

_FACE: dict[str, Any] = {"namespaces": ("torch",), "method": True, "inplace": True}

# modified Bessel functions of the first kind ----------------------------------------------------


def _near_zero(input: Any, slope: Any) -> Any:
    """``slope``, at 0 its limit 1/2."""
    return where_op(input == 0, 0.5, slope)


i0 = pointwise(
    "i0(Tensor input)",
    np.tanh,
    infer=real_only("i0_vml_cpu"),
    kernel=from_scipy("i0"),
    grad={"input": lambda g, input: g * i1(input)},
    samples=(*UNARY, S(ti(4))),
    doc="The modified Bessel function of the first kind, order 0."
    + example("i0(torch.tensor([0.0, 1.0]))", "tensor([1.0000, 1.2661])"),
    **{**_FACE, "namespaces": ("torch", "special")},
)

i0e = pointwise(
    "i0e(Tensor input)",
    np.tanh,
    infer=real_only("i0e_cpu"),
    kernel=from_scipy("i0e"),
    grad={"input": lambda g, input, result: g * (i1e(input) - input.sgn() * result)},
    grad_name="SpecialI0E",
    namespaces=("special",),
    samples=(*UNARY, S(ti(4))),
    doc="``exp(-abs(input)) * i0(input)``."
    + example("special.i0e(torch.tensor([0.0, 1.0]))", "tensor([1.0000, 0.4658])"),
)

i1: Op = pointwise(
    "i1(Tensor input)",
    np.tanh,
    infer=real_only("i1_cpu"),
    kernel=from_scipy("i1"),
    grad={
        "input": lambda g, input, result: g * _near_zero(input, i0(input) - result / input)
    },
    grad_name="SpecialI1",
    namespaces=("special",),
    samples=(*UNARY, S(ti(4))),
    doc="The modified Bessel function of the first kind, order 1."
    + example("special.i1(torch.tensor([0.0, 1.0]))", "tensor([0.0000, 0.5652])"),
)

i1e: Op = pointwise(
    "i1e(Tensor input)",
    np.tanh,
    infer=real_only("i1e_cpu"),
    kernel=from_scipy("i1e"),
    grad={
        "input": lambda g, input, result: g
        * _near_zero(input, i0e(input) - result * (input.sgn() + 1 / input))
    },
    grad_name="SpecialI1E",
    namespaces=("special",),
    samples=(*UNARY, S(ti(4))),
    doc="``exp(-abs(input)) * i1(input)``."
    + example("special.i1e(torch.tensor([0.0, 1.0]))", "tensor([0.0000, 0.2079])"),
)


# functions PyTorch has no gradients for ---------------------------------------------------------


def _airy_kernel(spec: Spec) -> Callable[..., Any]:
    from scipy import special

    return numpy_kernel(lambda x: np.asarray(special.airy(x)[0]), FLOAT, 1)(spec)


def _without_gradient(
    name: str, scipy_name: str, words: str, shown: str, samples: Any = POSITIVE
) -> Op:
    call = f"special.{name}(torch.tensor([1.0]))"
    kernel = _airy_kernel if name == "airy_ai" else from_scipy(scipy_name)
    return pointwise(
        f"{name}(Tensor input)",
        np.tanh,
        infer=real_only(f"{name}_cpu", halves=False),
        kernel=kernel,
        namespaces=("special",),
        samples=(*samples, S(ti(4, low=1, high=9))),
        doc=f"The {words}." + example(call, f"tensor([{shown}])"),
    )


_ORDINARY = "Bessel function of the {} kind, order {}"
_MODIFIED = "modified Bessel function of the second kind, order {}"
_without_gradient("airy_ai", "airy", "Airy function Ai", "0.1353")
_without_gradient("bessel_j0", "j0", _ORDINARY.format("first", 0), "0.7652", UNARY)
_without_gradient("bessel_j1", "j1", _ORDINARY.format("first", 1), "0.4401", UNARY)
_without_gradient("bessel_y0", "y0", _ORDINARY.format("second", 0), "0.0883")
_without_gradient("bessel_y1", "y1", _ORDINARY.format("second", 1), "-0.7812")
_without_gradient(
    "modified_bessel_i0", "i0", "modified Bessel function of the first kind, order 0", "1.2661",
    UNARY,
)  # fmt: skip
_without_gradient(
    "modified_bessel_i1", "i1", "modified Bessel function of the first kind, order 1", "0.5652",
    UNARY,
)  # fmt: skip
_without_gradient("modified_bessel_k0", "k0", _MODIFIED.format(0), "0.4210")
_without_gradient("modified_bessel_k1", "k1", _MODIFIED.format(1), "0.6019")
_without_gradient(
    "scaled_modified_bessel_k0", "k0e", _MODIFIED.format(0) + " times ``exp(input)``", "1.1445"
)
_without_gradient(
    "scaled_modified_bessel_k1", "k1e", _MODIFIED.format(1) + " times ``exp(input)``", "1.6362"
)


def _spherical(x: Any) -> Any:
    small = np.abs(x) < 0.5
    square = np.square(x)
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72)))
    found = np.where(small, series, np.sin(x) / np.where(small, 1, x))
    return np.where(np.isinf(x), 0, found).astype(x.dtype)


def _scalar_spherical(x: Expr) -> Expr:
    square = x * x
    series = 1 - square / 6 * (1 - square / 20 * (1 - square / 42 * (1 - square / 72)))
    size = function("abs", x)
    found = where(size < 0.5, series, function("sin", x) / x)
    return where(size.eq(np.inf), 0, found)


spherical_bessel_j0 = pointwise(
    "spherical_bessel_j0(Tensor input)",
    _spherical,
    scalar=_scalar_spherical,
    rule=FLOAT,
    infer=real_only("spherical_bessel_j0_cpu", halves=False),
    namespaces=("special",),
    samples=(*UNARY, S(ti(4))),
    doc="The spherical Bessel function of the first kind, order 0: ``sin(x) / x``."
    + example("special.spherical_bessel_j0(torch.tensor([1.0]))", "tensor([0.8415])"),
)


# zeta and incomplete gamma ----------------------------------------------------------------------


def _zeta_infer(input: Meta, other: Meta) -> Meta:
    for meta in (input, other):
        if not meta.weak and meta.dtype.category == FLOATING and meta.dtype.itemsize < 4:
            refuse("zeta_cpu", meta.dtype)
    return guarded(2, FLOAT, complex="zeta_cpu")(input, other)


def _raised(input: Any, other: Any) -> Any:
    order = plain(input)
    return zeta_op.quick(order + 1, other) * -order


zeta_op = pointwise(
    "zeta(Tensor input, Tensor other)",
    np.add,
    infer=_zeta_infer,
    kernel=from_scipy("zeta", 2),
    grad={
        "input": missing_gradient("zeta"),
        "other": lambda g, input, other: g * _raised(input, other),
    },
    grad_name=numbered("SpecialZeta", number=2, first=1),
)


@composite(
    namespaces=("special",),
    samples=(
        S(ti(3, low=2, high=6), t(3, low=0.5)),
        S(2.0, t(3, low=0.5)),
        S(ti(3, low=2, high=6), 1.5),
        S(ti(2, 1, low=2, high=6), t(3, low=0.5)),
    ),
)
def zeta(input: Any, other: Any) -> Any:
    """The Hurwitz zeta function: the sum of ``(k + other) ** -input`` over k = 0, 1, ...

    Args:
        input: a tensor or a number above 1.
        other: a tensor or a number.

    >>> import rushlight as torch
    >>> torch.special.zeta(torch.tensor([2.0]), 1)
    tensor([1.6449])
    """
    return zeta_op.quick(input, other)


def _incomplete_slope(g: Any, input: Any, other: Any) -> Any:
    return g * exp((input - 1) * log(other) - other - lgamma(input))


def _incomplete(name: str, scipy_name: str, sign: int) -> Op:
    kernel_name = f"{name}_cpu"
    return pointwise(
        f"{name}(Tensor input, Tensor other)",
        np.add,
        infer=guarded(2, boolean=kernel_name, integral=kernel_name, complex=kernel_name),
        kernel=from_scipy(scipy_name, 2),
        grad={
            "input": missing_gradient(f"{name}: input"),
            "other": lambda g, input, other: sign * _incomplete_slope(g, input, other),
        },
    )


igamma_op = _incomplete("igamma", "gammainc", 1)
igammac_op = _incomplete("igammac", "gammaincc", -1)

_SHAPES = t(3, 4, low=0.5, grad=False)
_INCOMPLETE = (S(_SHAPES, t(4, low=0.5)), S(t(low=0.5, grad=False), t(3, low=0.5)))


def _incomplete_face(op: Op, name: str, namespace: str, words: str, shown: str) -> None:
    def call(input: Any, other: Any) -> Any:
        require_tensor(input, name, "input", 1)
        require_tensor(other, name, "other", 2)
        return op.quick(input, other)

    prefix = "" if namespace == "torch" else f"{namespace}."
    call.__doc__ = (
        f"{words}\n\n    Args:\n        input: the shape, a floating-point tensor.\n"
        "        other: where to end, a tensor that broadcasts with it."
    ) + example(f"{prefix}{name}(torch.tensor([2.0]), torch.tensor([1.0]))", shown)
    method = namespace == "torch"
    composite(
        name=name, namespaces=(namespace,), method=method, inplace=method, samples=_INCOMPLETE
    )(call)


_LOWER = "The regularised lower incomplete gamma function."
_UPPER = "The regularised upper incomplete gamma function."
_incomplete_face(igamma_op, "igamma", "torch", _LOWER, "tensor([0.2642])")
_incomplete_face(igammac_op, "igammac", "torch", _UPPER, "tensor([0.7358])")
_incomplete_face(igamma_op, "gammainc", "special", _LOWER, "tensor([0.2642])")
_incomplete_face(igammac_op, "gammaincc", "special", _UPPER, "tensor([0.7358])")
