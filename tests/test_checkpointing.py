"""torch.utils.checkpoint against PyTorch, and against the same computation without it."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.checkpoint import CheckpointError, checkpoint, checkpoint_sequential


def _model(package: Any) -> Any:
    package.manual_seed(0)
    nn = package.nn
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Tanh(), nn.Dropout(0.5), nn.Linear(8, 8), nn.GELU(),
        nn.Linear(8, 3),
    )  # fmt: skip


def _gradients(package: Any, way: Any) -> list[Any]:
    model = _model(package)
    x = package.randn(6, 4).requires_grad_()
    way(model, x).square().sum().backward()
    package.rand(3)
    found = [p.grad for p in model.parameters()] + [x.grad, package.rand(3)]
    return [array.detach().numpy().copy() for array in found]


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_are_those_without_it(reentrant: bool) -> None:
    plain = _gradients(torch, lambda model, x: model(x))
    saved = _gradients(torch, lambda model, x: checkpoint(model, x, use_reentrant=reentrant))
    for one, other in zip(plain, saved, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("reentrant", [True, False])
def test_gradients_are_pytorchs(reentrant: bool) -> None:
    reason = "PyTorch is not installed; the extra `oracle` has it"
    oracle = pytest.importorskip("torch", reason=reason)
    others = pytest.importorskip("torch.utils.checkpoint", reason=reason)
    mine = _gradients(torch, lambda m, x: checkpoint_sequential(m, 3, x, use_reentrant=reentrant))
    theirs = _gradients(
        oracle, lambda m, x: others.checkpoint_sequential(m, 3, x, use_reentrant=reentrant)
    )
    for one, other in zip(mine, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5)


def test_without_inputs_that_require_gradients() -> None:
    layer, x = torch.nn.Linear(2, 2), torch.ones(1, 2)
    assert checkpoint(layer, x, use_reentrant=False).requires_grad
    with pytest.warns(UserWarning, match="None of the inputs have requires_grad=True"):
        assert not checkpoint(layer, x, use_reentrant=True).requires_grad
    with pytest.warns(UserWarning, match="use_reentrant parameter should be passed explicitly"):
        checkpoint(layer, x.requires_grad_())


def test_activations_are_not_kept() -> None:
    seen = []

    def compute(x: Any) -> Any:
        inner = x.exp()
        seen.append(weakref.ref(inner._value))
        return inner.exp()

    x = torch.ones(5, requires_grad=True)
    result = checkpoint(compute, x, use_reentrant=False)
    result.sum().item()
    gc.collect()
    assert seen[0]() is None
    result.sum().backward()
    expected = np.exp(1.0) * np.exp(np.exp(1.0))
    np.testing.assert_allclose(x.grad.numpy(), np.full(5, expected), rtol=1e-5)


def test_nested_several_outputs_and_second_derivatives() -> None:
    x = torch.tensor([0.5, 2.0], requires_grad=True)

    def inner(x: Any) -> Any:
        return {"cube": x**3, "rest": [x.sin()]}

    def outer(x: Any) -> Any:
        made = checkpoint(inner, x, use_reentrant=False)
        return made["cube"] * made["rest"][0]

    (first,) = torch.autograd.grad(
        checkpoint(outer, x, use_reentrant=False).sum(), x, create_graph=True
    )
    (second,) = torch.autograd.grad(first.sum(), x)
    (first_plain,) = torch.autograd.grad((x**3 * x.sin()).sum(), x, create_graph=True)
    (second_plain,) = torch.autograd.grad(first_plain.sum(), x)
    assert torch.allclose(first, first_plain)
    assert torch.allclose(second, second_plain)


def test_a_second_pass() -> None:
    x = torch.ones(2, requires_grad=True)
    result = checkpoint(torch.exp, x.exp(), use_reentrant=False).sum()
    result.backward(retain_graph=True)
    result.backward()
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        result.backward()


def test_another_second_computation_is_an_error() -> None:
    calls = []

    def compute(x: Any) -> Any:
        calls.append(x)
        return x.sin().cos() if len(calls) == 1 else x.sin()

    x = torch.ones(2, requires_grad=True)
    result = checkpoint(compute, x, use_reentrant=False).sum()
    with pytest.raises(CheckpointError, match="Number of tensors saved during forward: 2\n"):
        result.backward()


def test_contexts_and_refusals() -> None:
    entered = []

    class Note:
        def __init__(self, name: str) -> None:
            self.name = name

        def __enter__(self) -> None:
            entered.append(self.name)

        def __exit__(self, *exception: object) -> None:
            return None

    x = torch.ones(2, requires_grad=True)
    checkpoint(
        torch.exp, x, use_reentrant=False, context_fn=lambda: (Note("first"), Note("second"))
    ).sum().backward()
    assert entered == ["first", "second"]
    with pytest.raises(ValueError, match="Unexpected keyword arguments: foo"):
        checkpoint(torch.exp, x, use_reentrant=True, foo=1)
    with pytest.raises(ValueError, match="only supported when use_reentrant=False"):
        checkpoint(torch.exp, x, use_reentrant=True, debug=True)


def test_autocast_is_as_it_was() -> None:
    layer, x = torch.nn.Linear(3, 3), torch.ones(2, 3)
    gradients = []
    for way in (lambda f, *a: f(*a), lambda f, *a: checkpoint(f, *a, use_reentrant=False)):
        layer.zero_grad()
        with torch.autocast("cpu", dtype=torch.bfloat16):
            y = way(lambda x: layer(layer(x).tanh()), layer(x))  # the weight is converted outside
        assert y.dtype is torch.bfloat16
        y.float().sum().backward()
        gradients.append(layer.weight.grad.clone())
    assert gradients[1].dtype is torch.float32
    np.testing.assert_allclose(gradients[0].numpy(), gradients[1].numpy(), rtol=0.02, atol=0.02)
