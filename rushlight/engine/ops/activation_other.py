"""Activation functions written with other operators, gated units, and random leaks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.shape import normalize_dim, pointwise_strides
from rushlight.engine.ir.graph import Meta, strided_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, composite, constant
from rushlight.engine.ir.samples import UNARY, S, t, tc, ti
from rushlight.engine.ir.scalar import Expr, function
from rushlight.engine.ops.activation import finished, rrelu_mean
from rushlight.engine.ops.arithmetic import abs_
from rushlight.engine.ops.arithmetic_rules import floats_only
from rushlight.engine.ops.elementwise import numpy_compute, pointwise
from rushlight.engine.ops.join import cat
from rushlight.engine.ops.math import sigmoid as sigmoid_op, sigmoid_array, tanh as tanh_op
from rushlight.engine.ops.places import Load, Place, as_result, below, divided, pick, plus
from rushlight.engine.ops.random import default_engine

# composites -------------------------------------------------------------------------------------


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(tc(3))))
def tanh(input: Any) -> Any:
    """The hyperbolic tangent.

    >>> import rushlight as torch
    >>> torch.nn.functional.tanh(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """
    return tanh_op.quick(input)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(tc(3))))
def sigmoid(input: Any) -> Any:
    """``1 / (1 + exp(-input))``.

    >>> import rushlight as torch
    >>> torch.nn.functional.sigmoid(torch.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """
    return sigmoid_op.quick(input)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(ti(3))))
def tanhshrink(input: Any) -> Any:
    """``input - tanh(input)``.

    >>> import rushlight as torch
    >>> torch.nn.functional.tanhshrink(torch.tensor([0.0, 2.0]))
    tensor([0.0000, 1.0360])
    """
    return input - tanh_op.quick(input)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(ti(3))))
def softsign(input: Any) -> Any:
    """``input / (1 + abs(input))``.

    >>> import rushlight as torch
    >>> torch.nn.functional.softsign(torch.tensor([-1.0, 3.0]))
    tensor([-0.5000,  0.7500])
    """
    return input / (abs_.quick(input) + 1)


# gated units ------------------------------------------------------------------------------------


def _glu_infer(input: Meta, dim: int) -> Meta:
    if not input.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    floats_only("glu_cpu")(input)
    size = input.shape[dim]
    if size % 2:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim} is size {size}"
        )
    shape = (*input.shape[:dim], size // 2, *input.shape[dim + 1 :])
    half = (shape, input.strides)
    return strided_meta(shape, pointwise_strides(shape, (half, half)), input.dtype)


def _halves(x: np.ndarray, dim: int) -> tuple[np.ndarray, np.ndarray]:
    lead, middle = (slice(None),) * dim, x.shape[dim] // 2
    return x[(*lead, slice(0, middle))], x[(*lead, slice(middle, None))]


def _glu_kernel(spec: Spec, dim: int) -> Callable[[Any], np.ndarray]:
    compute, out = numpy_compute(spec.out.dtype), spec.out.dtype.numpy

    def glu(x: np.ndarray) -> np.ndarray:
        first, gate = _halves(x.astype(compute, copy=False), dim)
        made = sigmoid_array(gate)
        return np.multiply(made, first, made).astype(out, copy=False)

    return glu


def _glu_backward_kernel(spec: Spec, dim: int) -> Callable[[Any, Any], np.ndarray]:
    compute, out = numpy_compute(spec.out.dtype), spec.out.dtype.numpy

    def glu_backward(g: np.ndarray, x: np.ndarray) -> np.ndarray:
        first, gate = _halves(x.astype(compute, copy=False), dim)
        made = np.empty(x.shape, compute)
        to_first, to_gate = _halves(made, dim)
        share = sigmoid_array(gate)
        np.multiply(g, share, to_first)
        np.subtract(1, share, share)
        np.multiply(share, to_first, share)
        np.multiply(share, first, to_gate)
        return made.astype(out, copy=False)

    return glu_backward


def _parts(x: Any, dim: int) -> tuple[Any, Any]:
    middle = x.shape[dim] // 2
    return x.narrow(dim, 0, middle), x.narrow(dim, middle, middle)


def _glu_second_grad(g: Any, input: Any, dim: int) -> Any:
    (g_first, g_gate), (first, gate) = _parts(g, dim), _parts(input, dim)
    share = sigmoid_op(gate)
    return share * (g_first + g_gate * first * (1 - share))


def _glu_second(g: Any, grad: Any, input: Any, dim: int) -> Any:
    (g_first, g_gate), (first, gate) = _parts(g, dim), _parts(input, dim)
    share = sigmoid_op(gate)
    bend = grad * share * (1 - share)
    return cat([g_gate * bend, bend * (g_first + g_gate * first * (1 - 2 * share))], dim)


def _glu_element(load: Load, index: Place, spec: Spec, dim: int) -> Expr:
    gate = list(index)
    gate[dim] = plus(index[dim], spec.out.shape[dim])
    return function("sigmoid", load(0, gate)) * load(0, index)


def _glu_backward_element(load: Load, index: Place, spec: Spec, dim: int) -> Expr:
    middle = spec.out.shape[dim] // 2
    half, first, second = list(index), list(index), list(index)
    to_first = below(index[dim], middle)
    half[dim] = divided(index[dim], middle)[1]
    first[dim], second[dim] = half[dim], plus(half[dim], middle)
    share = function("sigmoid", load(1, second))
    scaled = load(0, half) * share
    return as_result(pick(to_first, scaled, (1 - share) * scaled * load(1, first)), spec)


glu_backward = Op(
    "glu_backward(Tensor grad, Tensor input, int dim)",
    kind=OTHER,
    infer=lambda grad, input, dim: input.like(),
    kernel=_glu_backward_kernel,
    element=_glu_backward_element,
    grad={"grad": _glu_second_grad, "input": _glu_second},
)

glu_op = Op(
    "glu(Tensor input, int dim)",
    kind=OTHER,
    infer=_glu_infer,
    kernel=_glu_kernel,
    element=_glu_element,
    grad={"input": lambda g, input, dim: glu_backward(g, input, dim=dim)},
)


@composite(
    namespaces=("nn.functional",),
    samples=(S(t(3, 4)), S(t(4, 3), 0), S(t(2, 6, 3), dim=1), S(t(0, 4))),
)
def glu(input: Any, dim: int = -1) -> Any:
    """The first half along an axis, times the sigmoid of the second half.

    Args:
        input: a floating-point tensor.
        dim: the axis to halve; its size must be even.

    See https://arxiv.org/abs/1612.08083.

    >>> import rushlight as torch
    >>> torch.nn.functional.glu(torch.tensor([1.0, 2.0, 0.0, 0.0]))
    tensor([0.5000, 1.0000])
    """
    if not input.ndim:
        raise RuntimeError("glu does not support 0-dimensional tensors")
    return glu_op.fixed(normalize_dim(dim, input.ndim))(input)


# random leaks -----------------------------------------------------------------------------------

rrelu_noise = pointwise(
    "rrelu_with_noise(Tensor input, Tensor noise)",
    np.multiply,
    scalar=lambda x, noise: x * noise,
    infer=lambda input, noise: floats_only("rrelu_with_noise_out_cpu")(input).like(),
    grad={"input": lambda g, noise: g * noise},
)


def _slopes(input: Any, lower: float, upper: float) -> Any:
    """1 for positive elements, a random slope for the others.

    Only the others draw from the stream, so which they are must be known at once.
    """
    array = input.detach()._array("rrelu")
    low = np.logical_not(array > 0)
    raw = default_engine.draw64(int(low.sum()))
    fractions = (raw & np.uint64((1 << 53) - 1)) * 2.0**-53
    slopes = np.ones(array.shape, np.float64)
    slopes[low] = fractions * (upper - lower) + lower
    return constant(slopes.astype(array.dtype))


@composite(
    namespaces=("nn.functional", "torch"),
    inplace=True,
    samples=(*UNARY, S(t(3, 4), 0.2, 0.4), S(t(3, 4), 0.2, 0.4, True)),
)
def rrelu(
    input: Any,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    inplace: bool = False,
) -> Any:
    """``input`` where it is positive, times a random slope elsewhere.

    Args:
        input: a floating-point tensor.
        lower: the smallest slope.
        upper: the largest slope.
        training: draw the slopes; otherwise they all are the mean of both ends.
        inplace: write the result into ``input``.

    See https://arxiv.org/abs/1505.00853.

    >>> import rushlight as torch
    >>> torch.nn.functional.rrelu(torch.tensor([-1.0, 2.0]), 0.1, 0.3)
    tensor([-0.2000,  2.0000])
    """
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if training:
        result = rrelu_noise.quick(input, _slopes(input, lower, upper))
    else:
        result = rrelu_mean.fixed((lower + upper) / 2)(input)
    return finished(input, result, inplace, "rrelu_")
