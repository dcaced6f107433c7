"""Elementwise functions of oneDNN, and the operators that use them, against PyTorch's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_elementwise import (
    prepare_elementwise,
    prepare_elementwise_backward,
)

torch = pytest.importorskip("torch", reason="the oracle extra is not installed")
pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")

FLOAT = np.dtype(np.float32)
UNUSUAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e38, -1e38, -5.0, -10.0, 1e-30]


def numbers(shape: tuple[int, ...]) -> np.ndarray:
    """Random numbers, unusual ones first."""
    made = np.random.default_rng(0).standard_normal(shape, dtype=np.float32) * 3
    made.ravel()[: len(UNUSUAL)] = UNUSUAL
    return made


@pytest.mark.parametrize(("name", "approximate"), [("gelu", "none"), ("gelu_tanh", "tanh")])
@pytest.mark.parametrize("shape", [(64,), (3, 5, 7), (16, 64, 512)])
def test_gelu(name: str, approximate: str, shape: tuple[int, ...]) -> None:
    x, g = numbers(shape), np.random.default_rng(1).standard_normal(shape, dtype=np.float32)
    theirs = torch.from_numpy(x.copy()).requires_grad_()
    wanted = torch.nn.functional.gelu(theirs, approximate=approximate)
    wanted.backward(torch.from_numpy(g))
    y = prepare_elementwise(name, shape, FLOAT)(x)
    np.testing.assert_allclose(y, wanted.detach().numpy(), rtol=1e-5, atol=1e-6)
    dx = prepare_elementwise_backward(name, shape, FLOAT)(g, x)
    np.testing.assert_allclose(dx, theirs.grad.numpy(), rtol=1e-5, atol=1e-5)


OPERATORS = {
    "gelu": lambda torch, x: torch.nn.functional.gelu(x),
    "gelu by tanh": lambda torch, x: torch.nn.functional.gelu(x, approximate="tanh"),
    "softmax": lambda torch, x: torch.softmax(x, -1),
    "log_softmax": lambda torch, x: torch.log_softmax(x, 2),
    "layer norm": lambda torch, x: torch.nn.functional.layer_norm(x, (96,)),
    "layer norm of two axes": lambda torch, x: torch.nn.functional.layer_norm(
        x, (64, 96), torch.ones(64, 96) * 2, torch.ones(64, 96), 1e-3
    ),
}


@pytest.mark.parametrize("strided", [False, True])
@pytest.mark.parametrize("name", OPERATORS)
def test_large_inputs(name: str, strided: bool) -> None:
    """So large that the library is used; and inputs that lie otherwise than it wants."""
    x = np.random.default_rng(2).standard_normal((4, 96, 64) if strided else (4, 64, 96))
    results = []
    for framework in (rushlight, torch):
        made: Any = framework.from_numpy(x.astype(np.float32)).requires_grad_()
        y = OPERATORS[name](framework, made.transpose(1, 2) if strided else made)
        (y * y.detach().cos()).sum().backward()
        results.append((y.detach().numpy(), made.grad.numpy()))
    for mine, wanted in zip(*results, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=2e-5, atol=2e-5)
