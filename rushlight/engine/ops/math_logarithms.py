"""Logarithms of two numbers: logaddexp, logaddexp2, xlogy, xlog1py."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import BINARY, S, t, tc, ti
from rushlight.engine.ir.scalar import Expr, function, maximum, where
from rushlight.engine.ops.arithmetic_rules import (
    between_tensors,
    floats_only,
    guarded,
    numbered,
    plain,
    strong,
)
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import FLOAT, pointwise
from rushlight.engine.ops.math import exp2, log, log1p, sigmoid

_LN2 = 0.6931471805599453


def _log_add_real(x: Any, y: Any, power: np.ufunc, scale: float, plain: np.ufunc) -> Any:
    """The larger one plus what the smaller adds to it; NumPy's own where both are infinite."""
    made = np.asarray(np.abs(np.subtract(x, y)))
    np.negative(made, made)
    power(made, made)
    np.log1p(made, made)
    if scale != 1:
        np.multiply(made, scale, made)
    np.add(made, np.maximum(x, y), made)
    return plain(x, y) if np.isnan(made).any() else made


def _scalar_log_add(x: Expr, y: Expr, power: str, scale: float) -> Expr:
    apart = where(x.eq(y), 0, function("abs", x - y))  # two infinities are not apart
    return maximum(x, y) + function("log1p", function(power, -apart)) * scale


def _log_add(x: Any, y: Any) -> Any:
    if np.result_type(x).kind != "c":
        return _log_add_real(x, y, np.exp, 1, np.logaddexp)
    largest = np.where(x.real >= y.real, x, y)
    smallest = np.where(x.real >= y.real, y, x)
    return largest + np.log1p(np.exp(smallest - largest))


def _logaddexp_share(g: Any, mine: Any, theirs: Any) -> Any:
    return g * sigmoid(mine - theirs).conj()


logaddexp_op = pointwise(
    "logaddexp(Tensor input, Tensor other)",
    _log_add,
    scalar=lambda x, other: _scalar_log_add(x, other, "exp", 1),
    infer=guarded(2, boolean="logaddexp_cpu", integral="logaddexp_cpu"),
    grad={
        "input": lambda g, input, other: _logaddexp_share(g, input, other),
        "other": lambda g, input, other: _logaddexp_share(g, other, input),
    },
)


@composite(method=True, samples=(*BINARY, S(tc(3), tc(3))))
def logaddexp(input: Any, other: Any) -> Any:
    """``log(exp(input) + exp(other))`` without overflow on the way.

    Args:
        input: a floating-point tensor.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.logaddexp(torch.tensor([0.0, -1000.0]), torch.tensor([0.0, 0.0]))
    tensor([0.6931, 0.0000])
    """
    return between_tensors(logaddexp_op, "logaddexp", input, other)


def _logaddexp2_share(g: Any, mine: Any, theirs: Any) -> Any:
    return g / (1 + exp2(theirs - mine))


logaddexp2_op = pointwise(
    "logaddexp2(Tensor input, Tensor other)",
    lambda x, y: _log_add_real(x, y, np.exp2, 1 / _LN2, np.logaddexp2),
    scalar=lambda x, other: _scalar_log_add(x, other, "exp2", 1 / _LN2),
    infer=floats_only("logaddexp2_cpu", 2),
    grad={
        "input": lambda g, input, other: _logaddexp2_share(g, input, other),
        "other": lambda g, input, other: _logaddexp2_share(g, other, input),
    },
)


@composite(method=True, samples=BINARY)
def logaddexp2(input: Any, other: Any) -> Any:
    """``log2(2 ** input + 2 ** other)`` without overflow on the way.

    Args:
        input: a floating-point tensor.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.logaddexp2(torch.tensor([0.0]), torch.tensor([0.0]))
    tensor([1.])
    """
    return between_tensors(logaddexp2_op, "logaddexp2", input, other)


def _times_log(logarithm: np.ufunc) -> Callable[[Any, Any], Any]:
    """``x * log(y)`` that is 0 where ``x`` is, whatever ``y`` (but NaN)."""

    def times_log(x: Any, y: Any) -> Any:
        found = np.multiply(x, logarithm(y))
        dead = np.logical_and(np.equal(x, 0), np.logical_not(np.isnan(y)))
        return np.where(dead, found.dtype.type(0), found) if np.any(dead) else found

    return times_log


def _scalar_times_log(x: Expr, y: Expr, logarithm: str) -> Expr:
    dead = x.eq(0) & ~function("isnan", y)
    return where(dead, 0, x * function(logarithm, y))


def _argument(other: Any, g: Any) -> Any:
    """The second operand as a tensor of the gradient's type, also where it is a number."""
    found = plain(other)
    return found if isinstance(found, TensorBase) else g * 0 + found


def _xlogy_gradient(g: Any, input: Any, other: Any) -> Any:
    other = _argument(other, g)
    return g * where_op((input == 0) & (other <= 0), 0, log(other))


def _xlog1py_gradient(g: Any, input: Any, other: Any) -> Any:
    other = _argument(other, g)
    return g * where_op((input == 0) & (other <= -1), 0, log1p(other))


xlogy_op = pointwise(
    "xlogy(Tensor input, Tensor other)",
    _times_log(np.log),
    rule=FLOAT,
    infer=guarded(2, FLOAT, complex="xlogy_cpu"),
    kernel=strong(_times_log(np.log), FLOAT, 2),
    scalar=lambda x, other: _scalar_times_log(x, other, "log"),
    grad_name=numbered("Xlogy", number=2, first=1),
    grad={
        "input": _xlogy_gradient,
        "other": lambda g, input, other: g * input / other,
    },
)

xlog1py_op = pointwise(
    "xlog1py(Tensor input, Tensor other)",
    _times_log(np.log1p),
    rule=FLOAT,
    infer=guarded(2, FLOAT, complex="xlog1py_cpu"),
    kernel=strong(_times_log(np.log1p), FLOAT, 2),
    scalar=lambda x, other: _scalar_times_log(x, other, "log1p"),
    grad={
        "input": _xlog1py_gradient,
        "other": lambda g, input, other: g * input / (other + 1),
    },
    grad_name=numbered("SpecialXlog1Py", number=2, first=1),
)

_XLOG = (
    S(t(3, 4), t(4, low=0.3)),
    S(t(3), 2.0),
    S(2.0, t(3, low=0.3)),
    S(t(), t(2, low=0.3)),
    S(ti(3), ti(3, low=1)),
    S(t(0, 3), t(3)),
)


@composite(namespaces=("torch", "special"), method=True, inplace="torch", samples=_XLOG)
def xlogy(input: Any, other: Any) -> Any:
    """``input * log(other)``, 0 where ``input`` is 0.

    Args:
        input: a tensor or a number.
        other: a tensor or a number that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.xlogy(torch.tensor([0.0, 2.0]), torch.tensor([0.0, 3.0]))
    tensor([0.0000, 2.1972])
    """
    return xlogy_op.quick(input, other)


@composite(namespaces=("special",), samples=_XLOG)
def xlog1py(input: Any, other: Any) -> Any:
    """``input * log1p(other)``, 0 where ``input`` is 0.

    Args:
        input: a tensor or a number.
        other: a tensor or a number that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.special.xlog1py(torch.tensor([0.0, 2.0]), torch.tensor([-1.0, 2.0]))
    tensor([0.0000, 2.1972])
    """
    return xlog1py_op.quick(input, other)
