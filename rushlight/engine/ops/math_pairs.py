"""Functions of two numbers: atan2, hypot, logaddexp, xlogy, copysign, ldexp and their like."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import COMPLEX
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import Op, Spec, composite
from rushlight.engine.ir.samples import BINARY, S, Sample, t, tc, ti
from rushlight.engine.ops.arithmetic_rules import (
    NOT_IMPLEMENTED,
    example,
    guarded,
    no_gradient,
    not_differentiable,
    numbered,
    plain,
    require_tensor,
    strong,
)
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import FLOAT, broadcast_meta, pointwise
from rushlight.engine.ops.math import exp2, log, log1p, sigmoid
from rushlight.engine.ops.predicates import isnan

_LN2 = 0.6931471805599453


def _floats_only(name: str) -> Callable[..., Meta]:
    return guarded(2, boolean=name, integral=name, complex=name)


def _between_tensors(op: Op, name: str, input: Any, other: Any, second: str = "other") -> Any:
    require_tensor(input, name, "input", 1)
    require_tensor(other, name, second, 2)
    return op.quick(input, other)


# plane ------------------------------------------------------------------------------------------


def _atan2_share(g: Any, wanted: Any, input: Any, other: Any) -> Any:
    slope = wanted / (input * input + other * other)
    return where_op((input == 0) & (other == 0), 0, g * slope)


atan2_op = pointwise(
    "atan2(Tensor input, Tensor other)",
    np.arctan2,
    rule=FLOAT,
    infer=guarded(2, FLOAT, complex="atan2_cpu"),
    grad={
        "input": lambda g, input, other: _atan2_share(g, other, input, other),
        "other": lambda g, input, other: _atan2_share(g, -input, input, other),
    },
)


@composite(method=True, inplace=True, samples=(*BINARY, S(ti(3), t(3))))
def atan2(input: Any, other: Any) -> Any:
    """The angle of the point (``other``, ``input``), from -pi to pi.

    Args:
        input: the ordinates, a tensor.
        other: the abscissas, a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.atan2(torch.tensor([1.0, -1.0]), torch.tensor([1.0, 0.0]))
    tensor([ 0.7854, -1.5708])
    """
    return _between_tensors(atan2_op, "atan2", input, other)


@composite(method=True, inplace=True, samples=BINARY)
def arctan2(input: Any, other: Any) -> Any:
    """Another name of ``atan2``.

    >>> import rushlight as torch
    >>> torch.arctan2(torch.tensor([1.0]), torch.tensor([1.0]))
    tensor([0.7854])
    """
    return _between_tensors(atan2_op, "arctan2", input, other)


hypot_op = pointwise(
    "hypot(Tensor input, Tensor other)",
    np.hypot,
    infer=_floats_only("hypot_cpu"),
    grad={
        "input": lambda g, input, result: g * (input / result),
        "other": lambda g, other, result: g * (other / result),
    },
    commutative=True,
)


@composite(method=True, inplace=True, samples=BINARY)
def hypot(input: Any, other: Any) -> Any:
    """``sqrt(input ** 2 + other ** 2)`` without overflow on the way.

    Args:
        input: a floating-point tensor.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.hypot(torch.tensor([3.0]), torch.tensor([4.0]))
    tensor([5.])
    """
    return _between_tensors(hypot_op, "hypot", input, other)


# logarithms -------------------------------------------------------------------------------------


def _log_add(x: Any, y: Any) -> Any:
    if np.result_type(x).kind != "c":
        return np.logaddexp(x, y)
    largest = np.where(x.real >= y.real, x, y)
    smallest = np.where(x.real >= y.real, y, x)
    return largest + np.log1p(np.exp(smallest - largest))


def _logaddexp_share(g: Any, mine: Any, theirs: Any) -> Any:
    return g * sigmoid(mine - theirs).conj()


logaddexp_op = pointwise(
    "logaddexp(Tensor input, Tensor other)",
    _log_add,
    infer=guarded(2, boolean="logaddexp_cpu", integral="logaddexp_cpu"),
    grad={
        "input": lambda g, input, other: _logaddexp_share(g, input, other),
        "other": lambda g, input, other: _logaddexp_share(g, other, input),
    },
    commutative=True,
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
    return _between_tensors(logaddexp_op, "logaddexp", input, other)


def _logaddexp2_share(g: Any, mine: Any, theirs: Any) -> Any:
    return g / (1 + exp2(theirs - mine))


logaddexp2_op = pointwise(
    "logaddexp2(Tensor input, Tensor other)",
    np.logaddexp2,
    infer=_floats_only("logaddexp2_cpu"),
    grad={
        "input": lambda g, input, other: _logaddexp2_share(g, input, other),
        "other": lambda g, input, other: _logaddexp2_share(g, other, input),
    },
    commutative=True,
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
    return _between_tensors(logaddexp2_op, "logaddexp2", input, other)


def _times_log(logarithm: np.ufunc) -> Callable[[Any, Any], Any]:
    """``x * log(y)`` that is 0 where ``x`` is, whatever ``y`` (but NaN)."""

    def times_log(x: Any, y: Any) -> Any:
        found = np.multiply(x, logarithm(y))
        dead = np.logical_and(np.equal(x, 0), np.logical_not(np.isnan(y)))
        return np.where(dead, found.dtype.type(0), found) if np.any(dead) else found

    return times_log


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


@composite(namespaces=("torch", "special"), method=True, inplace=True, samples=_XLOG)
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


# parts of the number format ---------------------------------------------------------------------


def _copysign_gradient(g: Any, input: Any, result: Any) -> Any:
    return g * where_op(input == 0, 0, result / input)


copysign_tensor = pointwise(
    "copysign(Tensor input, Tensor other)",
    np.copysign,
    rule=FLOAT,
    infer=guarded(2, FLOAT, complex="copysign_cpu"),
    grad={"input": _copysign_gradient, "other": no_gradient},
    grad_name=numbered("Copysign"),
)


@composite(
    method=True, inplace=True, samples=(*BINARY, S(t(3), -1.0), S(ti(3), -2), S(ti(3), t(3)))
)
def copysign(input: Any, other: Any) -> Any:
    """The size of ``input`` with the sign of ``other``.

    Args:
        input: a tensor of a real type.
        other: a tensor or a number that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.copysign(torch.tensor([1.0, 2.0]), torch.tensor([-3.0, 0.0]))
    tensor([-1.,  2.])
    """
    require_tensor(input, "copysign", "input", 1)
    return copysign_tensor.quick(input, other)


def _nextafter_kernel(spec: Spec) -> Callable[..., Any]:
    target = spec.out.dtype.numpy  # the half types too: their neighbours are not float32's
    return lambda x, y: np.asarray(np.nextafter(x.astype(target), y.astype(target)))


nextafter_op = pointwise(
    "nextafter(Tensor input, Tensor other)",
    np.nextafter,
    infer=_floats_only("nextafter_cpu"),
    kernel=_nextafter_kernel,
    grad={
        "input": lambda g, input, other: where_op(input == other, 0, g),
        "other": no_gradient,
    },
)


@composite(method=True, inplace=True, samples=BINARY)
def nextafter(input: Any, other: Any) -> Any:
    """The next number the type can hold from ``input`` towards ``other``.

    Args:
        input: a floating-point tensor.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.nextafter(torch.tensor([1.0]), torch.tensor([2.0])) > 1
    tensor([True])
    """
    return _between_tensors(nextafter_op, "nextafter", input, other)


#: PyTorch's gradient takes 2 to a negative whole exponent for 0, so gradients are not compared.
_WHOLE_EXPONENTS = Sample((t(3), ti(3)), check_grad=False)

ldexp_op = pointwise(
    "ldexp(Tensor input, Tensor other)",
    lambda x, y: np.multiply(x, np.power(y.dtype.type(2), y)),
    rule=FLOAT,
    grad={
        "input": lambda g, other: g * exp2(other).conj(),
        "other": lambda g, result: g * (result * _LN2).conj(),
    },
)


@composite(method=True, inplace=True, samples=(*BINARY, _WHOLE_EXPONENTS, S(ti(3), ti(3))))
def ldexp(input: Any, other: Any) -> Any:
    """``input * 2 ** other``.

    Args:
        input: a tensor.
        other: a tensor that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.ldexp(torch.tensor([1.0, 3.0]), torch.tensor([1, 2]))
    tensor([ 2., 12.])
    """
    return _between_tensors(ldexp_op, "ldexp", input, other)


# steps and extremes -----------------------------------------------------------------------------


def _heaviside_infer(input: Meta, values: Meta) -> Meta:
    if input.dtype.category == COMPLEX or values.dtype.category == COMPLEX:
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    if input.dtype is not values.dtype:
        raise RuntimeError(
            "heaviside is not yet implemented for tensors with different dtypes."
        )
    return broadcast_meta((input, values), input.dtype)


def _heaviside(x: Any, values: Any) -> Any:
    step = np.greater(x, 0).astype(x.dtype)
    return np.where(np.equal(x, 0), values, np.where(np.isnan(x), x, step))


heaviside_op = pointwise(
    "heaviside(Tensor input, Tensor values)",
    _heaviside,
    infer=_heaviside_infer,
    grad={
        "input": not_differentiable("heaviside"),
        "values": not_differentiable("heaviside"),
    },
    grad_name=NOT_IMPLEMENTED,
)


_STEPS = (
    S(t(3, 4, grad=False), t(4, grad=False)),
    S(ti(4), ti(4)),
    S(t(0, grad=False), t(0, grad=False)),
)


@composite(method=True, inplace=True, samples=_STEPS)
def heaviside(input: Any, values: Any) -> Any:
    """0 for negative numbers, 1 for positive ones, ``values`` at 0.

    Args:
        input: a tensor of a real type.
        values: a tensor of the same type that broadcasts with it.

    >>> import rushlight as torch
    >>> torch.heaviside(torch.tensor([-1.0, 0.0, 2.0]), torch.tensor([0.5]))
    tensor([0.0000, 0.5000, 1.0000])
    """
    return _between_tensors(heaviside_op, "heaviside", input, values, "values")


def _ignores_nan(name: str, function: np.ufunc, largest: bool, words: str, shown: str) -> None:
    """Record ``fmax`` or ``fmin``."""

    def first(input: Any, other: Any) -> Any:
        return ((input >= other) if largest else (input <= other)) | isnan(other)

    op = pointwise(
        f"{name}(Tensor input, Tensor other)",
        function,
        infer=guarded(
            2, complex=(RuntimeError, f"{name} not implemented for complex tensors.")
        ),
        grad={
            "input": lambda g, input, other: where_op(first(input, other), g, 0),
            "other": lambda g, input, other: where_op(first(input, other), 0, g),
        },
    )

    def call(input: Any, other: Any) -> Any:
        return _between_tensors(op, name, input, other)

    call.__doc__ = (
        f"The {words} of two tensors, element by element; a NaN gives way to a number.\n\n"
        "    Args:\n        input: a tensor of a real type.\n"
        "        other: a tensor that broadcasts with it."
    ) + example(f"{name}(torch.tensor([1.0, 2.0]), torch.tensor([float('nan'), 3.0]))", shown)
    composite(name=name, method=True, samples=(*BINARY, S(ti(3), ti(3)), S(ti(3), t(3))))(call)


_ignores_nan("fmax", np.fmax, True, "larger", "tensor([1., 3.])")
_ignores_nan("fmin", np.fmin, False, "smaller", "tensor([1., 2.])")
