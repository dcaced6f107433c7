"""Piecewise approximations of smooth activation functions: hardswish and hardsigmoid."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.ir.op import Op, composite
from rushlight.engine.ir.samples import UNARY, S, t
from rushlight.engine.ir.scalar import Expr, maximum, minimum, where
from rushlight.engine.ops.activation import finished
from rushlight.engine.ops.arithmetic_rules import floats_only
from rushlight.engine.ops.blend import choose, range_backward
from rushlight.engine.ops.bodies import absolute
from rushlight.engine.ops.elementwise import pointwise


def _hardswish(x: Any) -> Any:
    made = np.add(x, 3, np.empty_like(x))
    np.clip(made, 0, 6, out=made)
    np.multiply(made, x, made)
    return np.divide(made, 6, made)


def _hardswish_backward(g: Any, x: Any) -> Any:
    slope = np.divide(x, 3, np.empty_like(x))
    np.add(slope, 0.5, slope)
    slope = choose(np.asarray(np.abs(x) < 3), slope, (x >= 3).astype(x.dtype), x.dtype)
    return np.multiply(slope, g)


def _scalar_hardswish_backward(g: Expr, x: Expr) -> Expr:
    return where(x >= 3, g, where(absolute(x) < 3, x / 3 + 0.5, 0) * g)


hardswish_backward: Op = pointwise(
    "hardswish_backward(Tensor grad, Tensor input)",
    _hardswish_backward,
    scalar=_scalar_hardswish_backward,
    grad={
        "grad": lambda g, input: hardswish_backward(g, input),
        "input": lambda g, grad, input: range_backward(
            g * grad / 3, input, -3.0, 3.0, closed=False
        ),
    },
)

hardswish_op = pointwise(
    "hardswish(Tensor input)",
    _hardswish,
    scalar=lambda x: minimum(maximum(x + 3, 0), 6) * x / 6,
    infer=floats_only("hardswish_cpu"),
    grad={"input": lambda g, input: hardswish_backward(g, input)},
)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(t(9, low=-5.0, high=5.0))))
def hardswish(input: Any, inplace: bool = False) -> Any:
    """``input * relu6(input + 3) / 6``, see https://arxiv.org/abs/1905.02244.

    Args:
        input: a floating-point tensor.
        inplace: write the result into ``input``.

    >>> import rushlight as torch
    >>> torch.nn.functional.hardswish(torch.tensor([-1.0, 3.0]))
    tensor([-0.3333,  3.0000])
    """
    return finished(input, hardswish_op.quick(input), inplace, "hardswish_")


#: PyTorch's gradient has this constant in single precision whatever the type.
_SIXTH = float(np.float32(1 / 6))


def _hardsigmoid(x: Any) -> Any:
    made = np.add(x, 3, np.empty_like(x))
    np.clip(made, 0, 6, out=made)
    return np.divide(made, 6, made)


hardsigmoid_op = pointwise(
    "hardsigmoid(Tensor input)",
    _hardsigmoid,
    scalar=lambda x: minimum(maximum(x + 3, 0), 6) / 6,
    infer=floats_only("hardsigmoid_cpu"),
    grad={"input": lambda g, input: range_backward(g * _SIXTH, input, -3.0, 3.0, closed=False)},
)


@composite(namespaces=("nn.functional",), samples=(*UNARY, S(t(9, low=-5.0, high=5.0))))
def hardsigmoid(input: Any, inplace: bool = False) -> Any:
    """``relu6(input + 3) / 6``.

    Args:
        input: a floating-point tensor.
        inplace: write the result into ``input``.

    >>> import rushlight as torch
    >>> torch.nn.functional.hardsigmoid(torch.tensor([-4.0, 0.0]))
    tensor([0.0000, 0.5000])
    """
    return finished(input, hardsigmoid_op.quick(input), inplace, "hardsigmoid_")
