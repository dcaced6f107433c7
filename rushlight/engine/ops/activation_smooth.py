"""Smooth activation functions: elu, silu, mish, softplus, logsigmoid and their like.

Each has a primitive for its gradient that makes one pass where tensor code would make many; the
second derivative is tensor code.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Op, composite
from rushlight.engine.ir.samples import UNARY, S, t, tc
from rushlight.engine.ir.scalar import Expr, function, minimum, where
from rushlight.engine.ops.activation import finished
from rushlight.engine.ops.arithmetic_power import square
from rushlight.engine.ops.arithmetic_rules import floats_only
from rushlight.engine.ops.blend import choose, where_op
from rushlight.engine.ops.elementwise import pointwise
from rushlight.engine.ops.math import exp, sigmoid, sigmoid_array

# elu, selu, celu --------------------------------------------------------------------------------


def _elu(x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    made = np.minimum(x, 0, out=np.empty_like(x))
    if input_scale != 1:
        np.multiply(made, input_scale, made)
    np.expm1(made, made)
    if alpha * scale != 1:
        np.multiply(made, alpha * scale, made)
    positive = np.clip(x, 0, np.inf, out=np.empty_like(x))
    if scale != 1:
        np.multiply(positive, scale, positive)
    return np.add(made, positive, made)


def _elu_backward(g: Any, x: Any, alpha: float, scale: float, input_scale: float) -> Any:
    slope = np.minimum(x, 0, out=np.empty_like(x))
    if input_scale != 1:
        np.multiply(slope, input_scale, slope)
    np.exp(slope, slope)
    low = input_scale * alpha * scale
    if low != 1:
        np.multiply(slope, low, slope)
    if low != scale:
        slope = choose(np.asarray(x > 0), x.dtype.type(scale), slope, x.dtype)
    return np.multiply(slope, g)


def _scalar_elu(x: Expr, alpha: float, scale: float, input_scale: float) -> Expr:
    low = function("expm1", x * input_scale) * (alpha * scale)
    return where(x <= 0, low, x * scale)


def _scalar_elu_backward(
    g: Expr, x: Expr, alpha: float, scale: float, input_scale: float
) -> Expr:
    slope = function("exp", x * input_scale) * (input_scale * alpha * scale)
    return where(x > 0, scale, slope) * g


def _elu_second(
    g: Any, grad: Any, input: Any, alpha: float, scale: float, input_scale: float
) -> Any:
    curve = exp(input * input_scale) * (input_scale * input_scale * alpha * scale)
    return where_op(input <= 0, g * grad * curve, 0)


elu_backward: Op = pointwise(
    "elu_backward(Tensor grad, Tensor input, float alpha, float scale, float input_scale)",
    _elu_backward,
    scalar=_scalar_elu_backward,
    grad={
        "grad": lambda g, input, alpha, scale, input_scale: elu_backward(
            g, input, alpha=alpha, scale=scale, input_scale=input_scale
        ),
        "input": _elu_second,
    },
)


def _elu_op(name: str, grad_name: str) -> Any:
    return pointwise(
        f"{name}(Tensor input, float alpha, float scale, float input_scale)",
        _elu,
        scalar=_scalar_elu,
        infer=lambda input, *_: floats_only("elu_cpu")(input),
        grad={
            "input": lambda g, input, alpha, scale, input_scale: elu_backward(
                g, input, alpha=alpha, scale=scale, input_scale=input_scale
            )
        },
        grad_name=grad_name,
    )


elu_op = _elu_op("elu", "Elu")
celu_op = _elu_op("celu", "Celu")

#: https://arxiv.org/abs/1706.02515: the fixed point of mean 0 and variance 1.
_SELU_ALPHA = 1.6732632423543772848170429916717
_SELU_SCALE = 1.0507009873554804934193349852946


@composite(namespaces=("nn.functional",), inplace=True, samples=(*UNARY, S(t(3, 4), 0.7)))
def elu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``input`` where it is positive, ``alpha * (exp(input) - 1)`` elsewhere.

    Args:
        input: a floating-point tensor.
        alpha: minus the limit for very negative numbers.
        inplace: write the result into ``input``.

    See https://arxiv.org/abs/1511.07289.

    >>> import rushlight as torch
    >>> torch.nn.functional.elu(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    result = elu_op.fixed(float(alpha), 1.0, 1.0)(input)
    return finished(input, result, inplace, "elu_")


@composite(namespaces=("nn.functional", "torch"), inplace=True, samples=UNARY)
def selu(input: Any, inplace: bool = False) -> Any:
    """The scaled ``elu`` that keeps mean 0 and variance 1.

    Args:
        input: a floating-point tensor.
        inplace: write the result into ``input``.

    See https://arxiv.org/abs/1706.02515.

    >>> import rushlight as torch
    >>> torch.nn.functional.selu(torch.tensor([-1.0, 2.0]))
    tensor([-1.1113,  2.1014])
    """
    result = elu_op.fixed(_SELU_ALPHA, _SELU_SCALE, 1.0)(input)
    return finished(input, result, inplace, "selu_")


@composite(namespaces=("nn.functional", "torch"), inplace=True, samples=(*UNARY, S(t(3, 4), 0.7)))
def celu(input: Any, alpha: float = 1.0, inplace: bool = False) -> Any:
    """``input`` where it is positive, ``alpha * (exp(input / alpha) - 1)`` elsewhere.

    Args:
        input: a floating-point tensor.
        alpha: minus the limit for very negative numbers, not 0.
        inplace: write the result into ``input``.

    See https://arxiv.org/abs/1704.07483.

    >>> import rushlight as torch
    >>> torch.nn.functional.celu(torch.tensor([-1.0, 2.0]))
    tensor([-0.6321,  2.0000])
    """
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    result = celu_op.fixed(float(alpha), 1.0, 1.0 / alpha)(input)
    return finished(input, result, inplace, "celu_")


# silu, mish -------------------------------------------------------------------------------------


def _silu(x: Any) -> Any:
    made = sigmoid_array(x)
    return np.multiply(made, x, made)


def _silu_backward(g: Any, x: Any) -> Any:
    share = sigmoid_array(x)
    slope = np.subtract(1, share, np.empty_like(share))
    np.multiply(slope, x, slope)
    np.add(slope, 1, slope)
    np.multiply(slope, share, slope)
    return np.multiply(slope.conj() if slope.dtype.kind == "c" else slope, g, slope)


def _scalar_silu_backward(g: Expr, x: Expr) -> Expr:
    share = function("sigmoid", x)
    return ((1 - share) * x + 1) * share * g


def _silu_second(g: Any, grad: Any, input: Any) -> Any:
    share = sigmoid(input)
    curve = share * (1 - share) * (2 + input * (1 - 2 * share))
    return g.conj() * grad * curve.conj()


silu_backward: Op = pointwise(
    "silu_backward(Tensor grad, Tensor input)",
    _silu_backward,
    scalar=_scalar_silu_backward,
    grad={
        "grad": lambda g, input: silu_backward(g, input.conj()),
        "input": _silu_second,
    },
)

silu_op = pointwise(
    "silu(Tensor input)",
    _silu,
    scalar=lambda x: function("sigmoid", x) * x,
    infer=lambda input: _silu_infer(input),
    grad={"input": lambda g, input: silu_backward(g, input)},
)


def _silu_infer(input: Meta) -> Meta:
    if input.dtype.is_complex:
        return input.like()
    return floats_only("silu_cpu")(input)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(tc(3, grad=False))))
def silu(input: Any, inplace: bool = False) -> Any:
    """``input * sigmoid(input)``.

    Args:
        input: a floating-point tensor.
        inplace: write the result into ``input``.

    See https://arxiv.org/abs/1702.03118.

    >>> import rushlight as torch
    >>> torch.nn.functional.silu(torch.tensor([-1.0, 2.0]))
    tensor([-0.2689,  1.7616])
    """
    return finished(input, silu_op.quick(input), inplace, "silu_")


#: Beyond it tanh(softplus(x)) is 1 in either precision, and e**2x far from overflow.
_MISH_END = 30.0


def _mish_bend(x: Any) -> Any:
    """tanh(log(1 + e**x)) = n / (n + 2) with n = e**x * (e**x + 2)."""
    grown = np.minimum(x, _MISH_END, out=np.empty_like(x))
    np.exp(grown, grown)
    made = np.add(grown, 2, np.empty_like(grown))
    np.multiply(made, grown, made)
    np.add(made, 2, grown)
    return np.divide(made, grown, made)


def _mish(x: Any) -> Any:
    made = _mish_bend(x)
    return np.multiply(made, x, made)


def _mish_backward(g: Any, x: Any) -> Any:
    bend = _mish_bend(x)
    slope = np.square(bend, np.empty_like(bend))
    np.subtract(1, slope, slope)
    np.multiply(slope, sigmoid_array(x), slope)
    np.multiply(slope, x, slope)
    np.add(slope, bend, slope)
    return np.multiply(slope, g, slope)


def _scalar_bend(x: Expr) -> Expr:
    grown = function("exp", minimum(x, _MISH_END))
    bent = (grown + 2) * grown
    return bent / (bent + 2)


def _scalar_mish_backward(g: Expr, x: Expr) -> Expr:
    bend = _scalar_bend(x)
    return ((1 - bend * bend) * function("sigmoid", x) * x + bend) * g


def _mish_second(g: Any, grad: Any, input: Any) -> Any:
    share = sigmoid(input)
    bend = mish_op(input) / input
    curve = (1 - square(bend)) * share * (2 + input * (1 - share - 2 * bend * share))
    return g * grad * curve


mish_backward: Op = pointwise(
    "mish_backward(Tensor grad, Tensor input)",
    _mish_backward,
    scalar=_scalar_mish_backward,
    grad={"grad": lambda g, input: mish_backward(g, input), "input": _mish_second},
)

mish_op = pointwise(
    "mish(Tensor input)",
    _mish,
    scalar=lambda x: _scalar_bend(x) * x,
    infer=floats_only("mish_cpu"),
    grad={"input": lambda g, input: mish_backward(g, input)},
)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(t(3, 4, low=-40.0, high=40.0))))
def mish(input: Any, inplace: bool = False) -> Any:
    """``input * tanh(softplus(input))``.

    Args:
        input: a floating-point tensor.
        inplace: write the result into ``input``.

    See https://arxiv.org/abs/1908.08681.

    >>> import rushlight as torch
    >>> torch.nn.functional.mish(torch.tensor([-1.0, 2.0]))
    tensor([-0.3034,  1.9440])
    """
    return finished(input, mish_op.quick(input), inplace, "mish_")


# softplus, logsigmoid ---------------------------------------------------------------------------


def _softplus(x: Any, beta: float, threshold: float) -> Any:
    scaled = np.multiply(x, beta)
    made = np.minimum(scaled, threshold, out=np.empty_like(x))
    np.exp(made, made)
    np.log1p(made, made)
    if beta != 1:
        np.divide(made, beta, made)
    return choose(np.asarray(scaled > threshold), x, made, x.dtype)


def _softplus_backward(g: Any, x: Any, beta: float, threshold: float) -> Any:
    scaled = np.multiply(x, beta)
    slope = np.multiply(sigmoid_array(np.asarray(scaled)), g)
    return choose(np.asarray(scaled > threshold), g, slope, x.dtype)


def _scalar_softplus(x: Expr, beta: float, threshold: float) -> Expr:
    scaled = x * beta
    grown = function("log1p", function("exp", minimum(scaled, threshold))) / beta
    return where(scaled > threshold, x, grown)


def _scalar_softplus_backward(g: Expr, x: Expr, beta: float, threshold: float) -> Expr:
    scaled = x * beta
    return where(scaled > threshold, g, function("sigmoid", scaled) * g)


def _softplus_second(g: Any, grad: Any, input: Any, beta: float, threshold: float) -> Any:
    share = sigmoid(input * beta)
    return where_op(input * beta > threshold, 0, g * grad * share * (1 - share) * beta)


softplus_backward: Op = pointwise(
    "softplus_backward(Tensor grad, Tensor input, float beta, float threshold)",
    _softplus_backward,
    scalar=_scalar_softplus_backward,
    grad={
        "grad": lambda g, input, beta, threshold: softplus_backward(
            g, input, beta=beta, threshold=threshold
        ),
        "input": _softplus_second,
    },
)

softplus_op = pointwise(
    "softplus(Tensor input, float beta, float threshold)",
    _softplus,
    scalar=_scalar_softplus,
    infer=lambda input, *_: floats_only("softplus_cpu")(input),
    grad={
        "input": lambda g, input, beta, threshold: softplus_backward(
            g, input, beta=beta, threshold=threshold
        )
    },
)


@composite(
    namespaces=("nn.functional",),
    samples=(*UNARY, S(t(3, 4), 2.0, 1.0), S(t(3, 4, low=-50.0, high=50.0))),
)
def softplus(input: Any, beta: float = 1, threshold: float = 20) -> Any:
    """``log(1 + exp(beta * input)) / beta``.

    Args:
        input: a floating-point tensor.
        beta: the steepness.
        threshold: where ``beta * input`` exceeds it, ``input`` itself is the result.

    >>> import rushlight as torch
    >>> torch.nn.functional.softplus(torch.tensor([0.0, 2.0]))
    tensor([0.6931, 2.1269])
    """
    return softplus_op.fixed(float(beta), float(threshold))(input)


def _log_sigmoid(x: Any) -> Any:
    made = np.abs(x, np.empty_like(x))
    np.negative(made, made)
    np.exp(made, made)
    np.log1p(made, made)
    return np.subtract(np.minimum(x, 0), made, made)


def _log_sigmoid_backward(g: Any, x: Any) -> Any:
    made = sigmoid_array(np.asarray(np.negative(x)))
    return np.multiply(made, g, made)


def _scalar_log_sigmoid(x: Expr) -> Expr:
    return minimum(x, 0) - function("log1p", function("exp", -function("abs", x)))


def _log_sigmoid_second(g: Any, grad: Any, input: Any) -> Any:
    share = sigmoid(input)
    return -(g * grad * share * (1 - share))


log_sigmoid_backward: Op = pointwise(
    "log_sigmoid_backward(Tensor grad, Tensor input)",
    _log_sigmoid_backward,
    scalar=lambda g, x: function("sigmoid", -x) * g,
    grad={"grad": lambda g, input: log_sigmoid_backward(g, input), "input": _log_sigmoid_second},
)

log_sigmoid_op = pointwise(
    "log_sigmoid(Tensor input)",
    _log_sigmoid,
    scalar=_scalar_log_sigmoid,
    infer=lambda input: floats_only("log_sigmoid_cpu")(input).like(),
    grad={"input": lambda g, input: log_sigmoid_backward(g, input)},
)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(t(3, 4, low=-90.0, high=90.0))))
def logsigmoid(input: Any) -> Any:
    """``log(sigmoid(input))`` without underflow on the way.

    >>> import rushlight as torch
    >>> torch.nn.functional.logsigmoid(torch.tensor([0.0, -100.0]))
    tensor([  -0.6931, -100.0000])
    """
    return log_sigmoid_op.quick(input)
