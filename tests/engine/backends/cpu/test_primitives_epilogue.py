"""What follows a primitive: functions, further operands, sums in place, the bias's gradient."""

from __future__ import annotations

from collections.abc import Callable
from math import sqrt
from typing import Any

import numpy as np
import pytest
from scipy.special import erf

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.primitives import primitive_for
from rushlight.engine.core.dtype import float32
from rushlight.engine.ir.graph import Meta, strided_meta
from tests.engine.backends.cpu.test_primitives import (
    channels_last,
    compute,
    convolution,
    plain,
    spec_of,
)

pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")

Function = Callable[[np.ndarray], np.ndarray]


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


FUNCTIONS: dict[str, Function] = {
    "relu": lambda x: np.maximum(x, 0),
    "tanh": np.tanh,
    "sigmoid": _sigmoid,
    "gelu": lambda x: x * 0.5 * (1 + erf(x / sqrt(2))),
    "gelu_tanh": lambda x: 0.5 * x * (1 + np.tanh(sqrt(2 / np.pi) * (x + 0.044715 * x**3))),
    "silu": lambda x: x * _sigmoid(x),
    "elu": lambda x: np.where(x > 0, x, np.expm1(x)),
    "hardswish": lambda x: x * np.clip(x + 3, 0, 6) / 6,
    "relu6": lambda x: np.clip(x, 0, 6),
}

SPECS = {
    "linear": spec_of("linear_", plain(64), plain(32, 100), plain(64, 100)),
    "linear, older code": spec_of("linear_", plain(120), plain(4, 256), plain(120, 256)),
    "rows": spec_of("linear_rows", plain(24), plain(3, 8, 16), plain(24, 16)),
    "tn": spec_of("matmul_tn", plain(12, 20), plain(12, 30)),
    "mv": spec_of("mv", plain(40, 30), plain(30)),
    "batched": spec_of(
        "batched", plain(2, 3, 9, 5), plain(2, 3, 7, 5), transpose1=False, transpose2=True
    ),
    "convolution": convolution(plain(4, 6, 14, 14), plain(16, 6, 5, 5)),
    "convolution, channels last": convolution(
        channels_last(2, 8, 9, 9), plain(12, 8, 3, 3), False, padding=(1, 1)
    ),
    "convolution, 1x1": convolution(plain(2, 64, 16, 16), plain(32, 64, 1, 1)),
}


def check(spec: Any, epilogue: Any, follow: Callable[..., np.ndarray]) -> None:
    """The primitive with its epilogue against NumPy's product and ``follow(y, *arrays)``."""
    given, made = compute(spec, epilogue)
    count = len(spec.inputs)
    result = spec.op.kernel(spec, *spec.attrs)(*given[:count])
    expected = follow(result, *given[count:])
    scale = max(1.0, float(np.abs(expected).max()))
    np.testing.assert_allclose(made[0], expected, rtol=1e-5, atol=1e-5 * scale)


@pytest.mark.parametrize("function", FUNCTIONS)
@pytest.mark.parametrize("name", SPECS)
def test_functions(name: str, function: str) -> None:
    spec = SPECS[name]
    check(spec, ((function,),), lambda y, *_: FUNCTIONS[function](y))


@pytest.mark.parametrize("name", SPECS)
def test_scaled(name: str) -> None:
    check(SPECS[name], (("scale", 0.25),), lambda y, *_: y * 0.25)


@pytest.mark.parametrize("name", SPECS)
def test_added_in_place(name: str) -> None:
    primitive = primitive_for(SPECS[name], (("sum",),))
    assert primitive is not None
    assert primitive.accumulates
    check(SPECS[name], (("sum",),), lambda y, before: y + before)


@pytest.mark.parametrize("name", SPECS)
def test_added_in_place_before_a_function(name: str) -> None:
    check(SPECS[name], (("sum",), ("relu",)), lambda y, before: np.maximum(y + before, 0))


def _last_axis(shape: tuple[int, ...]) -> Meta:
    return plain(shape[-1])


def _channel(shape: tuple[int, ...]) -> Meta:
    return plain(*shape[1:2], *[1] * (len(shape) - 2))


OPERANDS: dict[str, Callable[[tuple[int, ...]], Meta]] = {
    "whole": lambda shape: plain(*shape),
    "number": lambda shape: plain(),
    "channel": _channel,
}


@pytest.mark.parametrize("operation", ["add", "mul"])
@pytest.mark.parametrize("operand", OPERANDS)
@pytest.mark.parametrize("name", SPECS)
def test_operands(name: str, operand: str, operation: str) -> None:
    spec = SPECS[name]
    meta = OPERANDS[operand](tuple(spec.out.shape))
    if operand == "channel" and "convolution" not in name:
        meta = _last_axis(tuple(spec.out.shape))
    either = {"add": np.add, "mul": np.multiply}[operation]
    check(spec, ((operation, meta),), lambda y, other, _: either(y, other))


def test_operands_that_do_not_lie_contiguously() -> None:
    spec = SPECS["rows"]
    for meta in (
        strided_meta((8, 24), (1, 8), float32),
        strided_meta((3, 1, 24), (48, 24, 2), float32),
        strided_meta((3, 8, 24), (0, 0, 1), float32),
    ):
        if primitive_for(spec, (("add", meta),)) is not None:
            check(spec, (("add", meta),), lambda y, other, _: y + other)


def test_residual_and_function() -> None:
    spec = SPECS["convolution"]
    steps = (("add", plain(*spec.out.shape)), ("relu",))
    check(spec, steps, lambda y, other, _: np.maximum(y + other, 0))
    steps = (("mul", plain(16, 1, 1)), ("add", plain(16, 1, 1)), ("relu",))
    check(spec, steps, lambda y, a, b, _: np.maximum(y * a + b, 0))


def test_gradients_of_weight_and_bias_together() -> None:
    for layout in (plain, channels_last):
        spec = spec_of(
            "convolution_weight_grad", layout(4, 6, 14, 14), layout(4, 16, 10, 10),
            shape=(16, 6, 5, 5), stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
        )  # fmt: skip
        given, (weight, bias) = compute(spec, (("bias_gradient",),))
        expected = spec.op.kernel(spec, *spec.attrs)(*given[:2])
        np.testing.assert_allclose(weight, expected, rtol=1e-5, atol=1e-4)
        np.testing.assert_allclose(bias, given[1].sum((0, 2, 3)), rtol=1e-5, atol=1e-4)


def test_nothing_else_can_follow() -> None:
    assert primitive_for(SPECS["linear"], (("arctan",),)) is None
    gradient = spec_of(
        "convolution_input_grad", plain(4, 16, 10, 10), plain(16, 6, 5, 5), shape=(4, 6, 14, 14),
        stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1,
    )  # fmt: skip
    assert primitive_for(gradient) is not None
    assert primitive_for(gradient, (("relu",),)) is None
