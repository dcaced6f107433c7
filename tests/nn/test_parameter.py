"""Parameters, buffers, and those without a shape yet."""

from __future__ import annotations

import copy
from typing import Any

import pytest

import rushlight
from rushlight import nn
from tests.nn.both import compare


def parameters(torch: Any) -> Any:
    nn = torch.nn
    weight = nn.Parameter(torch.ones(2))
    frozen = nn.Parameter(torch.ones(2), requires_grad=False)
    again = nn.Parameter(weight)
    product = weight * 2
    made = copy.deepcopy(weight)
    return (
        [repr(weight), repr(frozen), repr(nn.Parameter())],
        [type(product).__name__, type(weight.data).__name__, type(made).__name__],
        [isinstance(weight, nn.Parameter), isinstance(product, nn.Parameter)],
        [again is weight, again.is_leaf, made.requires_grad, isinstance(weight, torch.Tensor)],
    )


def buffers(torch: Any) -> Any:
    class Net(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.kept = torch.nn.Buffer(torch.ones(1))
            self.lost = torch.nn.Buffer(torch.ones(1), persistent=False)

    module = Net()
    module.kept = torch.zeros(2)
    return module.state_dict(), [name for name, _ in module.named_buffers()]


def lazy(torch: Any) -> Any:
    module = torch.nn.Sequential(
        torch.nn.LazyLinear(4), torch.nn.LazyBatchNorm1d(), torch.nn.ReLU()
    )
    before = [repr(module), repr(module[0].weight), module[0].has_uninitialized_params()]
    counted = len(list(module.parameters()))
    module.double()
    y = module(torch.ones(3, 5, dtype=torch.float64))
    return before, counted, repr(module), y, type(module[0]).__name__, module[0]._forward_pre_hooks


def lazy_loading(torch: Any) -> Any:
    torch.manual_seed(1)
    full = torch.nn.Linear(5, 2)
    layer = torch.nn.LazyLinear(2)
    result = repr(layer.load_state_dict(full.state_dict()))
    return result, layer(torch.ones(1, 5)), layer.in_features


def lazy_into_full(torch: Any) -> Any:
    torch.nn.Linear(5, 2).load_state_dict(torch.nn.LazyLinear(2).state_dict())


def shape_of_nothing(torch: Any) -> Any:
    return torch.nn.UninitializedParameter().shape


@pytest.mark.parametrize(
    "program",
    [parameters, buffers, lazy, lazy_loading, lazy_into_full, shape_of_nothing],
    ids=lambda p: p.__name__,
)
def test_agrees_with_pytorch(program: Any) -> None:
    compare(program, raises=None)


def test_use_before_the_first_pass() -> None:
    layer = nn.LazyLinear(2)
    with pytest.raises(ValueError, match="Attempted to use an uninitialized parameter"):
        layer.weight + 1
    with pytest.raises(RuntimeError, match="Can't share memory on an uninitialized"):
        layer.share_memory()
    made = copy.deepcopy(layer)
    assert made.weight is not layer.weight
    made(rushlight.ones(1, 3))
    assert layer.has_uninitialized_params()
    assert type(made) is nn.Linear
    assert made.weight.grad_fn is None
    made(rushlight.ones(1, 3)).sum().backward()
    assert made.weight.grad.tolist() == [[1.0] * 3] * 2
