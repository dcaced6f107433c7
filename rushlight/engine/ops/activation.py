"""Activation functions and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.ir.op import Spec, composite
from rushlight.engine.ir.samples import UNARY, S, ti
from rushlight.engine.ops.arithmetic_rules import guarded
from rushlight.engine.ops.blend import clip, keep_where
from rushlight.engine.ops.elementwise import pointwise

_SIGNED = {4: np.int32, 8: np.int64}


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


relu_backward = pointwise(
    "relu_backward(Tensor grad, Tensor result)",
    _positive_gate,
    grad={"grad": lambda g, result: relu_backward(g, result)},
)

relu_op = pointwise(
    "relu(Tensor input)",
    lambda x: clip(x, 0, None),
    infer=guarded(
        1,
        boolean=(RuntimeError, "Boolean inputs not supported for relu"),
        complex=(NotImplementedError, "clamp is not supported for complex types"),
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
