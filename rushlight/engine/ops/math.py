"""Exponentials, logarithms and the sigmoid family."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.ir.op import Op
from rushlight.engine.ir.samples import UNARY, S, tc, ti
from rushlight.engine.ops.arithmetic_power import POSITIVE
from rushlight.engine.ops.bodies import applied
from rushlight.engine.ops.elementwise import FLOAT, pointwise

_FACE: dict[str, Any] = {"namespaces": ("torch",), "method": True, "inplace": True}
_SPECIAL = {**_FACE, "namespaces": ("torch", "special")}
_INTEGERS = S(ti(4, low=1, high=9))

exp = pointwise(
    "exp(Tensor input)",
    np.exp,
    scalar=applied("exp"),
    rule=FLOAT,
    grad={"input": lambda g, result: g * result.conj()},
    samples=(*UNARY, S(ti(4)), S(tc(3))),
    doc="""e to the power of each element.

    >>> import rushlight as torch
    >>> torch.exp(torch.tensor([0.0, 1.0]))
    tensor([1.0000, 2.7183])
    """,
    **_FACE,
)

log = pointwise(
    "log(Tensor input)",
    np.log,
    scalar=applied("log"),
    rule=FLOAT,
    grad={"input": lambda g, input: g / input.conj()},
    samples=(*POSITIVE, _INTEGERS, S(tc(3, low=0.5))),
    doc="""The natural logarithm; NaN for negative numbers.

    >>> import rushlight as torch
    >>> torch.log(torch.tensor([1.0, 10.0]))
    tensor([0.0000, 2.3026])
    """,
    **_FACE,
)

# logarithms of the other bases
_UNIT = 0.6931471805599453  # ln 2
_TEN = 2.302585092994046  # ln 10


def _exp2(x: Any) -> Any:
    return np.exp2(x) if x.dtype.kind != "c" else np.exp(x * _UNIT)


expm1 = pointwise(
    "expm1(Tensor input)",
    np.expm1,
    scalar=applied("expm1"),
    rule=FLOAT,
    grad={"input": lambda g, result: g * (result + 1).conj()},
    samples=(*UNARY, S(ti(4)), S(tc(3))),
    doc="""``exp(input) - 1``, exact near 0.

    >>> import rushlight as torch
    >>> torch.expm1(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 1.7183])
    """,
    **_SPECIAL,
)

exp2 = pointwise(
    "exp2(Tensor input)",
    _exp2,
    scalar=applied("exp2"),
    rule=FLOAT,
    grad={"input": lambda g, result: g * (result * _UNIT).conj()},
    samples=(*UNARY, S(ti(4)), S(tc(3))),
    doc="""2 to the power of each element.

    >>> import rushlight as torch
    >>> torch.exp2(torch.tensor([0.0, 3.0]))
    tensor([1., 8.])
    """,
    **_SPECIAL,
)

log1p = pointwise(
    "log1p(Tensor input)",
    np.log1p,
    scalar=applied("log1p"),
    rule=FLOAT,
    grad={"input": lambda g, input: g / (input + 1).conj()},
    grad_name="Log1P",
    samples=(*POSITIVE, _INTEGERS, S(tc(3, low=0.5))),
    doc="""``log(1 + input)``, exact near 0.

    >>> import rushlight as torch
    >>> torch.log1p(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.6931])
    """,
    **_SPECIAL,
)

log2 = pointwise(
    "log2(Tensor input)",
    np.log2,
    scalar=applied("log2"),
    rule=FLOAT,
    grad={"input": lambda g, input: g / (input * _UNIT).conj()},
    samples=(*POSITIVE, _INTEGERS, S(tc(3, low=0.5))),
    doc="""The logarithm to base 2.

    >>> import rushlight as torch
    >>> torch.log2(torch.tensor([1.0, 8.0]))
    tensor([0., 3.])
    """,
    **_FACE,
)

log10 = pointwise(
    "log10(Tensor input)",
    np.log10,
    scalar=applied("log10"),
    rule=FLOAT,
    grad={"input": lambda g, input: g / (input * _TEN).conj()},
    samples=(*POSITIVE, _INTEGERS, S(tc(3, low=0.5))),
    doc="""The logarithm to base 10.

    >>> import rushlight as torch
    >>> torch.log10(torch.tensor([1.0, 5.0]))
    tensor([0.0000, 0.6990])
    """,
    **_FACE,
)


# sigmoid and tanh -------------------------------------------------------------------------------


def sigmoid_array(x: np.ndarray) -> np.ndarray:
    """``1 / (1 + exp(-x))`` without a second array; where exp overflows its reciprocal is 0."""
    made = np.negative(x, np.empty_like(x))
    np.exp(made, made)
    np.add(made, 1, made)
    return np.divide(1, made, made)


def _sigmoid_slope(g: np.ndarray, y: np.ndarray) -> np.ndarray:
    made = np.subtract(1, y, np.empty_like(y))
    np.multiply(made, y, made)
    return np.multiply(made, g, made)


def _sigmoid_backward(g: Any, y: Any) -> Any:
    return _sigmoid_slope(g, y) if y.dtype.kind != "c" else g * np.conj((1 - y) * y)


sigmoid_backward: Op = pointwise(
    "sigmoid_backward(Tensor grad, Tensor result)",
    _sigmoid_backward,
    scalar=lambda g, y: (1 - y) * y * g,
    grad={
        "grad": lambda g, result: sigmoid_backward(g, result.conj()),
        "result": lambda g, grad, result: g.conj() * grad * (1 - 2 * result).conj(),
    },
)

sigmoid = pointwise(
    "sigmoid(Tensor input)",
    sigmoid_array,
    scalar=applied("sigmoid"),
    rule=FLOAT,
    grad={"input": lambda g, result: sigmoid_backward(g, result)},
    samples=(*UNARY, S(ti(4)), S(tc(3))),
    doc="""``1 / (1 + exp(-input))``.

    >>> import rushlight as torch
    >>> torch.sigmoid(torch.tensor([0.0, 2.0]))
    tensor([0.5000, 0.8808])
    """,
    **_FACE,
)


def _tanh_backward(g: Any, y: Any) -> Any:
    made = np.square(y, np.empty_like(y))
    np.subtract(1, made, made)
    return np.multiply(made.conj() if made.dtype.kind == "c" else made, g, made)


tanh_backward: Op = pointwise(
    "tanh_backward(Tensor grad, Tensor result)",
    _tanh_backward,
    scalar=lambda g, y: (1 - y * y) * g,
    grad={
        "grad": lambda g, result: tanh_backward(g, result.conj()),
        "result": lambda g, grad, result: g.conj() * grad * (-2 * result).conj(),
    },
)

tanh = pointwise(
    "tanh(Tensor input)",
    np.tanh,
    scalar=applied("tanh"),
    rule=FLOAT,
    grad={"input": lambda g, result: tanh_backward(g, result)},
    samples=(*UNARY, S(ti(4)), S(tc(3))),
    doc="""The hyperbolic tangent.

    >>> import rushlight as torch
    >>> torch.tanh(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.7616])
    """,
    **_FACE,
)
