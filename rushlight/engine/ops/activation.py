"""Activation functions with straight pieces: relu, leaky_relu, hardtanh, threshold and their like.

Kernels avoid NumPy's branching ``where``: a mask becomes bits or factors, see ``blend``.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.core.dtype import INTEGRAL, SCALAR_NAMES, bool_
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Op, composite, write
from rushlight.engine.ir.samples import UNARY, S, t, ti
from rushlight.engine.ir.scalar import maximum, minimum, where
from rushlight.engine.ops.arithmetic_rules import Refusal, floats_only, guarded
from rushlight.engine.ops.blend import choose, clip, keep_where, range_backward, where_op
from rushlight.engine.ops.bodies import absolute
from rushlight.engine.ops.elementwise import pointwise

_SIGNED = {4: np.int32, 8: np.int64}
_NO_COMPLEX: Refusal = (NotImplementedError, "clamp is not supported for complex types")


def finished(input: Any, result: Any, inplace: bool, name: str) -> Any:
    """``result``, written into ``input`` if wished."""
    return write(input, result, name) if inplace else result


# relu -------------------------------------------------------------------------------------------


def _positive_gate(g: np.ndarray, result: np.ndarray) -> np.ndarray:
    """``g`` where ``result`` (never below 0) is positive: the sign bit of -result is the mask."""
    integer = _SIGNED.get(result.itemsize)
    if integer is None or result.dtype.kind != "f" or g.shape != result.shape:
        return keep_where(np.asarray(result > 0), g)
    made = np.subtract(0, result, np.empty_like(result))  # not negative(): -0.0 would pass
    bits = made.view(integer)
    np.right_shift(bits, 8 * result.itemsize - 1, bits)
    np.bitwise_and(bits, g.view(integer), bits)
    return made


relu_backward: Op = pointwise(
    "relu_backward(Tensor grad, Tensor result)",
    _positive_gate,
    scalar=lambda g, result: where(result <= 0, 0, g),
    grad={"grad": lambda g, result: relu_backward(g, result)},
)

relu_op = pointwise(
    "relu(Tensor input)",
    lambda x: clip(x, 0, None),
    scalar=lambda x: where(x < 0, 0, x),
    infer=guarded(
        1,
        boolean=(RuntimeError, "Boolean inputs not supported for relu"),
        complex=_NO_COMPLEX,
    ),
    grad={"input": lambda g, result: relu_backward(g, result)},
    namespaces=("torch",),
    method=True,
    inplace=True,
    samples=(*UNARY, S(ti(4))),
    doc="""The positive part, ``max(0, input)``.

    >>> import rushlight as torch
    >>> torch.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """,
)


@composite(namespaces=("nn.functional",), inplace=True, samples=(*UNARY, S(ti(4))))
def relu(input: Any, inplace: bool = False) -> Any:
    """The positive part, ``max(0, input)``.

    Args:
        input: a tensor.
        inplace: write the result into ``input``.

    >>> import rushlight as torch
    >>> torch.nn.functional.relu(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    result = relu_op.quick(input)
    return write(input, result, "relu_") if inplace else result


# leaky_relu, prelu ------------------------------------------------------------------------------


def _leaky(x: np.ndarray, slope: float) -> np.ndarray:
    scaled = np.multiply(x, slope)
    if 0 < slope <= 1:  # 0 times infinity would be NaN
        return np.maximum(x, scaled, out=scaled if scaled.ndim else None)
    return choose(np.asarray(x > 0), x, scaled, x.dtype)


def _leaky_backward(g: np.ndarray, x: np.ndarray, slope: float) -> np.ndarray:
    positive = np.greater(x, 0)
    if 0 <= slope <= 1 and positive.ndim:
        factor = positive.astype(x.dtype)
        np.clip(factor, slope, 1, out=factor)
        return np.multiply(factor, g, factor)
    return choose(np.asarray(positive), g, np.multiply(g, slope), g.dtype)


leaky_relu_backward: Op = pointwise(
    "leaky_relu_backward(Tensor grad, Tensor input, float negative_slope)",
    _leaky_backward,
    scalar=lambda g, x, slope: where(x > 0, g, g * slope),
    grad={
        "grad": lambda g, input, negative_slope: leaky_relu_backward(
            g, input, negative_slope=negative_slope
        )
    },
)


def _leaky_op(name: str, grad_name: str) -> Any:
    def infer(input: Meta, negative_slope: float) -> Meta:
        made = floats_only("leaky_relu_cpu")(input)
        return made if name == "leaky_relu" else made.like()

    return pointwise(
        f"{name}(Tensor input, float negative_slope)",
        _leaky,
        scalar=lambda x, slope: where(x > 0, x, x * slope),
        infer=infer,
        grad={
            "input": lambda g, input, negative_slope: leaky_relu_backward(
                g, input, negative_slope=negative_slope
            )
        },
        grad_name=grad_name,
    )


leaky_relu_op = _leaky_op("leaky_relu", "LeakyRelu")
rrelu_mean = _leaky_op("rrelu_mean", "RreluWithNoise")


@composite(
    namespaces=("nn.functional",),
    inplace=True,
    samples=(*UNARY, S(t(3, 4), 0.2), S(t(3, 4), negative_slope=1.5), S(t(3), -0.5)),
)
def leaky_relu(input: Any, negative_slope: float = 0.01, inplace: bool = False) -> Any:
    """``input`` where it is positive, ``negative_slope * input`` elsewhere.

    Args:
        input: a floating-point tensor.
        negative_slope: the slope below 0.
        inplace: write the result into ``input``.

    >>> import rushlight as torch
    >>> torch.nn.functional.leaky_relu(torch.tensor([-1.0, 2.0]), 0.1)
    tensor([-0.1000,  2.0000])
    """
    result = leaky_relu_op.fixed(float(negative_slope))(input)
    return finished(input, result, inplace, "leaky_relu_")


def _prelu(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    return choose(np.asarray(x > 0), x, np.multiply(x, weight), x.dtype)


prelu_op = pointwise(
    "prelu(Tensor input, Tensor weight)",
    _prelu,
    scalar=lambda x, weight: where(x > 0, x, x * weight),
    infer=floats_only("prelu_cpu", 2),
    grad={
        "input": lambda g, input, weight: where_op(input > 0, g, weight * g),
        "weight": lambda g, input: where_op(input > 0, 0, input * g),
    },
    grad_name="PreluKernel",
)


@composite(
    namespaces=("torch", "nn.functional"),
    method=True,
    samples=(
        S(t(3, 4), t(1, low=0.1)),
        S(t(3, 4), t(4)),
        S(t(2, 3, 5), t(3)),
        S(t(5), t(1)),
        S(t(0, 3), t(3)),
    ),
)
def prelu(input: Any, weight: Any) -> Any:
    """``input`` where it is positive, ``weight * input`` elsewhere.

    Args:
        input: a floating-point tensor; its second axis is that of the channels.
        weight: one number, or one for every channel.

    >>> import rushlight as torch
    >>> torch.prelu(torch.tensor([-1.0, 2.0]), torch.tensor([0.1]))
    tensor([-0.1000,  2.0000])
    """
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {SCALAR_NAMES[input.dtype]} and "
            f"{SCALAR_NAMES[weight.dtype]}"
        )
    if weight.ndim > 1:
        raise RuntimeError(
            f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}"
        )
    count = weight.numel()
    if count != 1:
        if not input.ndim:
            raise RuntimeError("Not allow zero-dim input tensor.")
        channels = input.shape[1] if input.ndim > 1 else 1
        if channels != count:
            raise RuntimeError(
                "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
                f"{count} and channel size = {channels}."
            )
    if weight.ndim:
        places = tuple(-1 if axis == 1 else 1 for axis in range(input.ndim))
        weight = weight.reshape(places if input.ndim > 1 else (1,) * input.ndim)
    return prelu_op.quick(input, weight)


# hardtanh, relu6 --------------------------------------------------------------------------------


def _hardtanh_infer(input: Meta, min_val: float, max_val: float) -> Meta:
    if input.dtype is bool_:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if input.dtype.category == INTEGRAL and not input.dtype.is_signed and min_val < 0:
        raise RuntimeError("cannot do hardtanh on an unsigned type with negative limits")
    return guarded(1, complex=_NO_COMPLEX)(input)


hardtanh_op = pointwise(
    "hardtanh(Tensor input, float min_val, float max_val)",
    lambda x, low, high: clip(x, x.dtype.type(low), x.dtype.type(high)),
    scalar=lambda x, low, high: where(x < low, low, where(x > high, high, x)),
    infer=_hardtanh_infer,
    grad={
        "input": lambda g, input, min_val, max_val: range_backward(
            g, input, min_val, max_val, closed=False
        )
    },
)


@composite(
    namespaces=("nn.functional",),
    inplace=True,
    samples=(*UNARY, S(t(3, 4), -0.5, 0.7), S(ti(4), -2, 2)),
)
def hardtanh(
    input: Any, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False
) -> Any:
    """``input`` brought between ``min_val`` and ``max_val``.

    Args:
        input: a tensor.
        min_val: the lower end.
        max_val: the upper end.
        inplace: write the result into ``input``.

    >>> import rushlight as torch
    >>> torch.nn.functional.hardtanh(torch.tensor([-2.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    result = hardtanh_op.fixed(float(min_val), float(max_val))(input)
    return finished(input, result, inplace, "hardtanh_")


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(t(3, 4, high=9.0))))
def relu6(input: Any, inplace: bool = False) -> Any:
    """``min(max(0, input), 6)``.

    Args:
        input: a tensor.
        inplace: write the result into ``input``.

    >>> import rushlight as torch
    >>> torch.nn.functional.relu6(torch.tensor([-2.0, 8.0]))
    tensor([0., 6.])
    """
    result = hardtanh_op.fixed(0.0, 6.0)(input)
    return finished(input, result, inplace, "relu6_")


# threshold --------------------------------------------------------------------------------------


def _threshold(x: Any, threshold: float, value: float) -> Any:
    return choose(np.asarray(x <= threshold), x.dtype.type(value), x, x.dtype)


def _threshold_backward(g: Any, x: Any, threshold: float) -> Any:
    return keep_where(np.asarray(np.logical_not(x <= threshold)), g)


threshold_backward: Op = pointwise(
    "threshold_backward(Tensor grad, Tensor input, float threshold)",
    _threshold_backward,
    scalar=lambda g, x, threshold: where(x <= threshold, 0, g),
    grad={
        "grad": lambda g, input, threshold: threshold_backward(g, input, threshold=threshold)
    },
)

threshold_op = pointwise(
    "threshold(Tensor input, float threshold, float value)",
    _threshold,
    scalar=lambda x, threshold, value: where(x <= threshold, value, x),
    infer=lambda input, *_: guarded(1, boolean="threshold_cpu", complex="threshold_cpu")(input),
    grad={
        "input": lambda g, input, threshold: threshold_backward(g, input, threshold=threshold)
    },
)


@composite(
    namespaces=("nn.functional", "torch"),
    inplace=True,
    samples=(S(t(3, 4), 0.1, 20), S(t(), 0.1, 2.0), S(ti(4), 1, -2), S(t(0), 0, 1)),
)
def threshold(input: Any, threshold: float, value: float, inplace: bool = False) -> Any:
    """``input`` where it is above ``threshold``, ``value`` elsewhere.

    Args:
        input: a tensor.
        threshold: what an element must exceed to stay.
        value: what the others become.
        inplace: write the result into ``input``.

    >>> import rushlight as torch
    >>> torch.nn.functional.threshold(torch.tensor([0.5, 2.0]), 1.0, -1.0)
    tensor([-1.,  2.])
    """
    result = threshold_op.fixed(float(threshold), float(value))(input)
    return finished(input, result, inplace, "threshold_")


# shrinkage --------------------------------------------------------------------------------------


def _outside(x: Any, size: float) -> np.ndarray:
    return np.asarray(np.logical_not(np.abs(x) <= size))


shrink_backward: Op = pointwise(
    "shrink_backward(Tensor grad, Tensor input, float lambd)",
    lambda g, x, size: keep_where(_outside(x, size), g),
    scalar=lambda g, x, size: where(absolute(x) <= size, 0, g),
    grad={"grad": lambda g, input, lambd: shrink_backward(g, input, lambd=lambd)},
)

hardshrink_op = pointwise(
    "hardshrink(Tensor input, float lambd)",
    lambda x, size: keep_where(_outside(x, size), x),
    scalar=lambda x, size: where(absolute(x) <= size, 0, x),
    infer=lambda input, lambd: floats_only("hardshrink_cpu")(input),
    grad={"input": lambda g, input, lambd: shrink_backward(g, input, lambd=lambd)},
)


@composite(
    namespaces=("nn.functional", "torch"), method=True, samples=(*UNARY, S(t(3, 4), 0.9))
)
def hardshrink(input: Any, lambd: float = 0.5) -> Any:
    """``input`` where its size exceeds ``lambd``, 0 elsewhere.

    Args:
        input: a floating-point tensor.
        lambd: the size that becomes 0.

    >>> import rushlight as torch
    >>> torch.nn.functional.hardshrink(torch.tensor([-0.3, 0.7]))
    tensor([0.0000, 0.7000])
    """
    return hardshrink_op.fixed(float(lambd))(input)


def _softshrink_infer(input: Meta, lambd: float) -> Meta:
    made = floats_only("softshrink_check")(input)
    if lambd < 0:
        raise RuntimeError(
            f"lambda must be in range [0, 3.40282e+38] for input dtype "
            f"{SCALAR_NAMES[input.dtype]}, but found {lambd:g}"
        )
    return made


softshrink_op = pointwise(
    "softshrink(Tensor input, float lambd)",
    lambda x, size: np.subtract(x, clip(x, -size, size)),
    scalar=lambda x, size: x - minimum(maximum(x, -size), size),
    infer=_softshrink_infer,
    grad={"input": lambda g, input, lambd: shrink_backward(g, input, lambd=lambd)},
)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(t(3, 4), 0.9)))
def softshrink(input: Any, lambd: float = 0.5) -> Any:
    """``input`` moved by ``lambd`` towards 0, which it does not cross.

    Args:
        input: a floating-point tensor.
        lambd: how far, not negative.

    >>> import rushlight as torch
    >>> torch.nn.functional.softshrink(torch.tensor([-0.3, 0.7]))
    tensor([0.0000, 0.2000])
    """
    return softshrink_op.fixed(float(lambd))(input)
