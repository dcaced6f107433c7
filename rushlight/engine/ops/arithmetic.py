"""Arithmetic: sums, products, quotients, powers and their gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.ir.samples import BINARY, UNARY, S, t, ti
from rushlight.engine.ops.elementwise import FLOAT, REAL, pointwise

add = pointwise(
    "add(Tensor input, Tensor other)",
    np.add,
    grad={"input": lambda g: g, "other": lambda g: g},
    commutative=True,
)

mul = pointwise(
    "mul(Tensor input, Tensor other)",
    np.multiply,
    grad={"input": lambda g, other: g * other.conj(), "other": lambda g, input: g * input.conj()},
    commutative=True,
    public="mul",
    namespaces=("torch",),
    method=True,
    inplace=True,
    samples=(*BINARY, S(ti(3, 2), t(2)), S(t(3), 2.5)),
)




sub = pointwise(
    "sub(Tensor input, Tensor other)",
    np.subtract,
    grad={"input": lambda g: g, "other": lambda g: -g},
)

div = pointwise(
    "div(Tensor input, Tensor other)",
    np.divide,
    rule=FLOAT,
    grad={
        "input": lambda g, other: g / other.conj(),
        "other": lambda g, other, result: -g * (result / other).conj(),
    },
)

neg = pointwise(
    "neg(Tensor input)",
    np.negative,
    grad={"input": lambda g: -g},
    namespaces=("torch",),
    method=True,
    inplace=True,
    samples=UNARY,
)

abs_ = pointwise(
    "abs(Tensor input)",
    np.abs,
    rule=REAL,
    grad={"input": lambda g, input: g * input.sgn()},
    namespaces=("torch",),
    method=True,
    inplace=True,
    samples=UNARY,
)

pow_ = pointwise(
    "pow(Tensor input, Tensor other)",
    np.power,
    grad={
        "input": lambda g, input, other: g * (other * input ** (other - 1)),
        "other": lambda g, input, result: g * (result * input.log()),
    },
)

floor_divide = pointwise("floor_divide(Tensor input, Tensor other)", np.floor_divide)
remainder = pointwise("remainder(Tensor input, Tensor other)", np.remainder)
