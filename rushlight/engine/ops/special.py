"""Error functions, gamma functions, logit and entropy: mostly SciPy's kernels, imported late.

Formulas of the gradients: https://dlmf.nist.gov, chapters 5 (gamma) and 7 (error functions).
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf, log, pi, sqrt
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, float32 as single
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Op, Spec, composite
from rushlight.engine.ir.samples import UNARY, S, t, ti
from rushlight.engine.ir.scalar import Expr, function, maximum, minimum, where
from rushlight.engine.ops.arithmetic_power import POSITIVE, square
from rushlight.engine.ops.arithmetic_rules import example, guarded, refuse
from rushlight.engine.ops.blend import range_backward
from rushlight.engine.ops.bodies import applied
from rushlight.engine.ops.elementwise import (
    FLOAT,
    as_floating,
    numpy_kernel,
    pointwise,
)
from rushlight.engine.ops.math import exp, log as log_op, sigmoid
from rushlight.engine.ops.special_erf import erf_float32, erfinv_body, erfinv_float32

_FACE: dict[str, Any] = {"namespaces": ("torch",), "method": True, "inplace": True}
_BOTH = {**_FACE, "namespaces": ("torch", "special")}
_ROOT = 2 / sqrt(pi)


def from_scipy(
    name: str, count: int = 1, float32: Callable[..., Any] | None = None
) -> Callable[..., Any]:
    """The kernel factory of ``scipy.special.<name>``, ``float32`` in its place for that type."""

    def prepare(spec: Spec) -> Callable[..., Any]:
        if float32 is not None and spec.out.dtype.itemsize <= 4:
            return numpy_kernel(float32, FLOAT, count)(spec)
        from scipy import special

        return numpy_kernel(getattr(special, name), FLOAT, count)(spec)

    return prepare


def real_only(name: str, halves: bool = True) -> Callable[[Meta], Meta]:
    """The ``infer`` of a special function that refuses complex numbers (and half types)."""
    inner = guarded(1, FLOAT, complex=name)

    def infer(input: Meta) -> Meta:
        if not halves and input.dtype.category == FLOATING and input.dtype.itemsize < 4:
            refuse(name, input.dtype)
        return inner(input)

    return infer


# error functions --------------------------------------------------------------------------------

erf = pointwise(
    "erf(Tensor input)",
    np.tanh,
    infer=real_only("erf_vml_cpu"),
    kernel=from_scipy("erf", float32=erf_float32),
    scalar=applied("erf"),
    rule=FLOAT,
    grad={"input": lambda g, input: g * (exp(-square(input)) * _ROOT)},
    samples=(*UNARY, S(ti(4))),
    doc="The error function, ``2 / sqrt(pi)`` times the integral of ``exp(-t**2)`` from 0."
    + example("erf(torch.tensor([0.0, 1.0]))", "tensor([0.0000, 0.8427])"),
    **_BOTH,
)

erfc = pointwise(
    "erfc(Tensor input)",
    np.tanh,
    infer=real_only("erfc_vml_cpu"),
    kernel=from_scipy("erfc"),
    grad={"input": lambda g, input: g * (exp(-square(input)) * -_ROOT)},
    samples=(*UNARY, S(ti(4))),
    doc="``1 - erf(input)``, exact for large numbers."
    + example("erfc(torch.tensor([0.0, 1.0]))", "tensor([1.0000, 0.1573])"),
    **_BOTH,
)

_OPEN_UNIT = (
    S(t(3, 4, low=-0.9, high=0.9)),
    S(t(low=-0.9, high=0.9)),
    S(t(0, 3)),
    S(ti(3, low=0, high=1)),
)

erfinv = pointwise(
    "erfinv(Tensor input)",
    np.tanh,
    infer=real_only("erfinv_vml_cpu"),
    kernel=from_scipy("erfinv", float32=erfinv_float32),
    scalar=erfinv_body,
    rule=FLOAT,
    grad={"input": lambda g, result: g * (exp(square(result)) / _ROOT)},
    samples=_OPEN_UNIT,
    doc="The inverse of the error function on (-1, 1)."
    + example("erfinv(torch.tensor([0.0, 0.5]))", "tensor([0.0000, 0.4769])"),
    **_BOTH,
)

erfcx = pointwise(
    "erfcx(Tensor input)",
    np.tanh,
    infer=real_only("erfcx_cpu", halves=False),
    kernel=from_scipy("erfcx"),
    grad={"input": lambda g, input, result: g * (2 * input * result - _ROOT)},
    grad_name="SpecialErfcx",
    namespaces=("special",),
    samples=(*UNARY, S(ti(4))),
    doc="``exp(input**2) * erfc(input)``."
    + example("special.erfcx(torch.tensor([0.0, 1.0]))", "tensor([1.0000, 0.4276])"),
)


def _area_float32(x: Any) -> Any:
    return (erf_float32(x * np.float32(sqrt(0.5))) + 1) * np.float32(0.5)


def _scalar_area(x: Expr) -> Expr | None:
    return (function("erf", x * sqrt(0.5)) + 1) * 0.5 if x.dtype is single else None


ndtr = pointwise(
    "ndtr(Tensor input)",
    np.tanh,
    infer=real_only("erf_vml_cpu"),
    kernel=from_scipy("ndtr", float32=_area_float32),
    scalar=_scalar_area,
    rule=FLOAT,
    grad={"input": lambda g, input: g * (exp(square(input) * -0.5) / sqrt(2 * pi))},
    grad_name="MulBackward1",
    namespaces=("special",),
    samples=(*UNARY, S(ti(4))),
    doc="The area under the standard normal density up to each element."
    + example("special.ndtr(torch.tensor([0.0, 1.0]))", "tensor([0.5000, 0.8413])"),
)

ndtri = pointwise(
    "ndtri(Tensor input)",
    np.tanh,
    infer=real_only("ndtri_cpu", halves=False),
    kernel=from_scipy("ndtri"),
    grad={"input": lambda g, result: g * (exp(square(result) / 2) * sqrt(2 * pi))},
    grad_name="SpecialNdtri",
    namespaces=("special",),
    samples=(S(t(3, 4, low=0.1, high=0.9)), S(t(low=0.1, high=0.9)), S(t(0, 3))),
    doc="The point up to which the standard normal density has the given area."
    + example("special.ndtri(torch.tensor([0.5, 0.9]))", "tensor([0.0000, 1.2816])"),
)

log_ndtr = pointwise(
    "log_ndtr(Tensor input)",
    np.tanh,
    infer=real_only("log_ndtr_cpu", halves=False),
    kernel=from_scipy("log_ndtr"),
    grad={"input": lambda g, input: g * (sqrt(2 / pi) / erfcx(input * -sqrt(0.5)))},
    grad_name="SpecialLogNdtr",
    namespaces=("special",),
    samples=(*UNARY, S(ti(4))),
    doc="The logarithm of ``ndtr``, exact for very negative numbers."
    + example("special.log_ndtr(torch.tensor([0.0, -5.0]))", "tensor([ -0.6931, -15.0650])"),
)


# gamma functions --------------------------------------------------------------------------------

def _lgamma(spec: Spec) -> Callable[..., Any]:
    from scipy import special

    def gammaln(x: Any) -> Any:
        return np.where(x == -np.inf, np.inf, special.gammaln(x)).astype(x.dtype)

    return numpy_kernel(gammaln, FLOAT, 1)(spec)


lgamma = pointwise(
    "lgamma(Tensor input)",
    np.tanh,
    infer=real_only("lgamma_vml_cpu"),
    kernel=_lgamma,
    grad={"input": lambda g, input: g * digamma(input)},
    samples=(*POSITIVE, S(ti(4, low=1, high=9))),
    doc="The logarithm of the absolute value of the gamma function."
    + example("lgamma(torch.tensor([1.0, 5.0]))", "tensor([0.0000, 3.1781])"),
    **_FACE,
)


def _digamma(spec: Spec) -> Callable[..., Any]:
    from scipy import special

    def psi(x: Any) -> Any:
        found = special.psi(x)
        return np.where(x == 0, np.copysign(np.inf, -x).astype(found.dtype), found)

    return numpy_kernel(psi, FLOAT, 1)(spec)


digamma: Op = pointwise(
    "digamma(Tensor input)",
    np.tanh,
    infer=real_only("digamma"),
    kernel=_digamma,
    grad={"input": lambda g, input: g * polygamma_op(input, n=1)},
    samples=(*POSITIVE, S(ti(4, low=1, high=9))),
    doc="The derivative of ``lgamma``."
    + example("digamma(torch.tensor([1.0, 2.0]))", "tensor([-0.5772,  0.4228])"),
    **_BOTH,
)


def _polygamma_kernel(spec: Spec, n: int) -> Callable[..., Any]:
    from scipy import special

    sign = 1.0 if n % 2 else -1.0
    scale = sign * float(special.gamma(n + 1))

    def polygamma(x: Any) -> Any:
        if n == 0:
            return special.psi(x)
        if n == 1:  # reflection reaches the negative numbers
            positive = special.zeta(2, np.where(x < 0.5, 1 - x, x))
            return np.where(x < 0.5, (pi / np.sin(pi * x)) ** 2 - positive, positive)
        return scale * special.zeta(n + 1, x)

    return numpy_kernel(lambda x: np.asarray(polygamma(x)).astype(x.dtype), FLOAT, 1)(spec)


polygamma_op: Op = pointwise(
    "polygamma(Tensor input, int n)",
    np.tanh,
    infer=lambda input, n: real_only("polygamma")(input),
    kernel=_polygamma_kernel,
    grad={"input": lambda g, input, n: g * polygamma_op(input, n=n + 1)},
)

_POLYGAMMA = (S(0, t(4, low=0.3)), S(1, t(3, 2, low=0.3)), S(2, t(low=0.3)), S(3, t(0)),
              S(2, ti(4, low=1, high=5)))  # fmt: skip


@composite(namespaces=("torch", "special"), samples=_POLYGAMMA)
def polygamma(n: int, input: Any) -> Any:
    """The ``n``-th derivative of ``digamma``.

    Args:
        n: 0 or a positive whole number.
        input: a tensor of a real type.

    >>> import rushlight as torch
    >>> torch.polygamma(1, torch.tensor([1.0, 0.5]))
    tensor([1.6449, 4.9348])
    """
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return polygamma_op.fixed(int(n))(input)


@composite(
    name="polygamma",
    namespaces=(),
    method=True,
    inplace=True,
    samples=(S(t(3, low=0.5, high=4.0), 0), S(t(3, low=0.5, high=4.0), 2)),
)
def polygamma_method(self: Any, n: int) -> Any:
    """The ``n``-th derivative of ``digamma``.

    >>> import rushlight as torch
    >>> torch.tensor([1.0]).polygamma(1)
    tensor([1.6449])
    """
    return polygamma(n, self)


def _mvlgamma_infer(input: Meta, p: int) -> Meta:
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    return input.like(dtype=as_floating(input.dtype))


def _mvlgamma_kernel(spec: Spec, p: int) -> Callable[..., Any]:
    from scipy import special

    constant = p * (p - 1) / 4 * log(pi)

    def mvlgamma(x: Any) -> Any:
        found = special.gammaln(x)
        for j in range(1, p):
            found = found + special.gammaln(x - j / 2)
        return (found + constant).astype(x.dtype)

    return numpy_kernel(lambda x: np.asarray(mvlgamma(x)), FLOAT, 1)(spec)


def _mvlgamma_gradient(g: Any, input: Any, p: int) -> Any:
    slope = digamma(input)
    for j in range(1, p):
        slope = slope + digamma(input - j / 2)
    return g * slope


mvlgamma_op = pointwise(
    "mvlgamma(Tensor input, int p)",
    np.tanh,
    infer=_mvlgamma_infer,
    kernel=_mvlgamma_kernel,
    grad={"input": _mvlgamma_gradient},
)

_MVLGAMMA = (S(t(3, low=2.0, high=5.0), 2), S(t(2, 2, low=2.0, high=5.0), 3), S(ti(3, low=3), 1))


@composite(method=True, inplace=True, samples=_MVLGAMMA)
def mvlgamma(input: Any, p: int) -> Any:
    """The logarithm of the multivariate gamma function of dimension ``p``.

    Args:
        input: a tensor, every element above ``(p - 1) / 2``.
        p: the dimension, at least 1.

    >>> import rushlight as torch
    >>> torch.mvlgamma(torch.tensor([2.0, 3.0]), 2)
    tensor([0.4516, 1.5502])
    """
    return mvlgamma_op.fixed(int(p))(input)


@composite(namespaces=("special",), samples=_MVLGAMMA)
def multigammaln(input: Any, p: int) -> Any:
    """Another name of ``mvlgamma``.

    >>> import rushlight as torch
    >>> torch.special.multigammaln(torch.tensor([2.0]), 2)
    tensor([0.4516])
    """
    return mvlgamma_op.fixed(int(p))(input)


@composite(namespaces=("special",), samples=lgamma.samples)
def gammaln(input: Any) -> Any:
    """Another name of ``lgamma``.

    >>> import rushlight as torch
    >>> torch.special.gammaln(torch.tensor([5.0]))
    tensor([3.1781])
    """
    return lgamma.quick(input)


@composite(namespaces=("special",), samples=digamma.samples)
def psi(input: Any) -> Any:
    """Another name of ``digamma``.

    >>> import rushlight as torch
    >>> torch.special.psi(torch.tensor([1.0]))
    tensor([-0.5772])
    """
    return digamma.quick(input)


# logit and entropy ------------------------------------------------------------------------------


@composite(namespaces=("special",), samples=sigmoid.samples)
def expit(input: Any) -> Any:
    """Another name of ``sigmoid``.

    >>> import rushlight as torch
    >>> torch.special.expit(torch.tensor([0.0]))
    tensor([0.5000])
    """
    return sigmoid.quick(input)


def _logit(x: Any, eps: float | None) -> Any:
    if eps is not None:
        x = np.minimum(np.maximum(x, eps), 1 - eps)
    return np.log(np.divide(x, np.subtract(1, x)))


def _logit_gradient(g: Any, input: Any, eps: float | None) -> Any:
    slope = g / (input * (1 - input))
    if eps is None:
        return slope
    return range_backward(slope, input, eps, 1 - eps, closed=True)


def _scalar_logit(x: Expr, eps: float | None) -> Expr:
    if eps is not None:
        x = minimum(maximum(x, eps), 1 - eps)
    return function("log", x / (1 - x))


logit_op = pointwise(
    "logit(Tensor input, float? eps)",
    _logit,
    scalar=_scalar_logit,
    rule=FLOAT,
    infer=lambda input, eps: real_only("logit_cpu")(input),
    grad={"input": _logit_gradient},
)


@composite(
    namespaces=("torch", "special"),
    method=True,
    inplace="torch",
    samples=(
        S(t(3, 4, low=0.1, high=0.9)),
        S(t(3, low=0.0, high=1.0), eps=0.2),
        S(t(low=0.1, high=0.9)),
        S(t(0, 3)),
    ),
)
def logit(input: Any, eps: float | None = None) -> Any:
    """``log(input / (1 - input))``.

    Args:
        input: a tensor of a real type.
        eps: brings the elements between ``eps`` and ``1 - eps`` first; NaN outside [0, 1] without.

    >>> import rushlight as torch
    >>> torch.logit(torch.tensor([0.5, 0.9]))
    tensor([0.0000, 2.1972])
    """
    return logit_op.fixed(eps)(input)


def _entr(x: Any) -> Any:
    found = np.multiply(np.negative(x), np.log(x))
    return np.where(x == 0, x.dtype.type(0), np.where(x < 0, x.dtype.type(-np.inf), found))


def _scalar_entr(x: Expr) -> Expr:
    found = -x * function("log", x)
    return where(x.eq(0), 0, where(x < 0, -inf, found))


entr = pointwise(
    "entr(Tensor input)",
    _entr,
    scalar=_scalar_entr,
    rule=FLOAT,
    infer=real_only("entr_cpu"),
    grad={"input": lambda g, input: -g * (log_op(input) + 1)},
    grad_name="SpecialEntr",
    namespaces=("special",),
    samples=(*POSITIVE, S(ti(4))),
    doc="``-input * log(input)``, 0 at 0 and minus infinity below."
    + example("special.entr(torch.tensor([0.0, 0.5]))", "tensor([0.0000, 0.3466])"),
)
