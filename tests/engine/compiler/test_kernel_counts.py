"""How many kernels typical graphs become: a fusion that is lost fails here."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
import rushlight.nn.functional as F
from benchmarks.models import lenet
from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.llvm.jit import vector_width
from rushlight.engine.compiler.pipeline import compile_program
from tests.engine.compiler.programs import counts, program_of


def kernels(step: Any) -> tuple[int, int, int, int]:
    return counts(compile_program(program_of(step)))


def test_layer_norm_forward_is_one_kernel() -> None:
    x, w, b = torch.randn(32, 64), torch.ones(64), torch.zeros(64)
    kept: list[Any] = []

    def step() -> None:
        kept[:] = [F.layer_norm(x, (64,), w, b)]

    assert kernels(step) == (1, 1, 0, 0)


def test_layer_norm_forward_and_backward_is_one_kernel() -> None:
    x = torch.randn(32, 64, requires_grad=True)
    w, b = torch.ones(64, requires_grad=True), torch.zeros(64, requires_grad=True)
    g = torch.randn(32, 64)

    def step() -> None:
        for leaf in (x, w, b):
            leaf.grad = None
        F.layer_norm(x, (64,), w, b).backward(g)

    assert kernels(step) == (1, 1, 0, 0)


def test_softmax_is_one_kernel() -> None:
    x = torch.randn(32, 64)
    kept: list[Any] = []

    def step() -> None:
        kept[:] = [F.softmax(x, -1)]

    assert kernels(step) == (1, 1, 0, 0)


def test_cross_entropy_forward_and_backward() -> None:
    """Rows, then what is summed over them, then the gradient that needs that sum."""
    x = torch.randn(32, 10, requires_grad=True)
    target = torch.randint(0, 10, (32,))
    kept: list[Any] = []

    def step() -> None:
        x.grad = None
        kept[:] = [F.cross_entropy(x, target)]
        kept[0].backward()

    assert kernels(step) == (3, 3, 0, 0)


def test_batch_norm_and_relu_in_training_are_one_kernel_each_way() -> None:
    x = torch.randn(4, 8, 5, 5, requires_grad=True)
    layer = torch.nn.BatchNorm2d(8)
    g = torch.randn(4, 8, 5, 5)

    def step() -> None:
        x.grad = layer.weight.grad = layer.bias.grad = None
        F.relu(layer(x)).backward(g)

    made = kernels(step)
    assert made[0] <= 3
    assert made[2:] == (0, 0)


@pytest.mark.parametrize("kind", [torch.optim.AdamW, torch.optim.Adam, torch.optim.SGD])
def test_an_optimizer_is_one_kernel_for_all_parameters(kind: Any) -> None:
    sizes = [(64, 64), (64,), (10, 64), (3, 5, 7)]
    parameters = [torch.randn(*size, requires_grad=True) for size in sizes]
    for parameter in parameters:
        parameter.grad = torch.randn(*parameter.shape)
    optimizer = kind(parameters, lr=0.01)
    calls, kinds, primitives, python = kernels(optimizer.step)
    assert (calls, kinds, primitives, python) == (len(parameters), 1, 0, 0)


@pytest.mark.skipif(not onednn.available(), reason="oneDNN is not installed")
def test_a_lenet_step_is_one_native_call() -> None:
    calls, kinds, primitives, python = kernels(lenet(torch))
    assert python == 0
    # narrower vectors leave more of the convolutions to oneDNN
    assert primitives <= (2 if vector_width() == 16 else 5)
    assert calls + primitives <= 33
    assert kinds + primitives <= 25


def test_dropout_draws_in_python_and_is_fused_with_what_follows() -> None:
    x = torch.randn(8, 16)
    kept: list[Any] = []

    def step() -> None:
        kept[:] = [F.dropout(F.relu(x), 0.5) * 2]

    calls, _, primitives, python = kernels(step)
    assert (calls, primitives, python) == (1, 0, 1)
