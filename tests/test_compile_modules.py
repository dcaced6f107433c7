"""Compiled modules: gradients through them, and that they behave like the original."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Iterator
from typing import Any

import pytest

import rushlight as torch
from rushlight.engine.core.config import config

nn = torch.nn


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything in the interpreter, so that results can be compared bit by bit."""
    monkeypatch.setattr(config, "compiler", False)
    yield
    torch.compiler.reset()


def network() -> Any:
    torch.manual_seed(1)
    return nn.Sequential(
        nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 2)
    )


def gradients(model: Any) -> list[Any]:
    return [p.grad.tolist() for p in model.parameters()]


def test_training_with_a_compiled_module() -> None:
    ends = []
    for compiled in (False, True):
        net = network()
        model = torch.compile(net) if compiled else net
        optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
        torch.manual_seed(9)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(model(torch.randn(5, 4)), torch.zeros(5, 2))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        state = [x.tolist() for x in net.state_dict().values()]
        ends.append((losses, gradients(net), state))
        if compiled:
            assert model._compiled.replayed == 8
    assert ends[0] == ends[1]


def test_gradients_of_inputs_and_higher_ones() -> None:
    net = nn.Sequential(nn.Linear(3, 4), nn.Tanh(), nn.Linear(4, 1))
    model = torch.compile(net)
    for i in range(6):
        found = []
        for call in (net, model):
            x = (torch.arange(3.0) + i).requires_grad_()
            y = call(x)
            assert y.grad_fn.name() == "ViewBackward0" or y.grad_fn is not None
            (slope,) = torch.autograd.grad(y, x, create_graph=True)
            (curve,) = torch.autograd.grad(slope.sum(), x)
            found.append((y.tolist(), slope.tolist(), curve.tolist()))
        assert found[0] == found[1]
    assert model._compiled.replayed == 4


def test_the_graph_goes_on_before_the_module() -> None:
    ends = []
    for compiled in (False, True):
        torch.manual_seed(0)
        first, second = nn.Linear(2, 3), nn.Linear(3, 1)
        model = torch.compile(second) if compiled else second
        for i in range(6):
            model(first(torch.ones(1, 2) * i)).sum().backward()
        ends.append(gradients(first) + gradients(second))
        if compiled:
            assert model._compiled.replayed == 4
    assert ends[0] == ends[1]


def test_hooks_on_results_work() -> None:
    net = nn.Linear(2, 2)
    model = torch.compile(net)
    for _ in range(5):
        net.zero_grad()
        y = model(torch.ones(1, 2))
        y.register_hook(lambda g: g * 3)
        y.sum().backward()
        assert net.bias.grad.tolist() == [3.0, 3.0]
    assert model._compiled.replayed == 3


def test_the_graph_is_freed_and_can_be_kept() -> None:
    model = torch.compile(nn.Linear(2, 1))
    for _ in range(5):
        y = (model(torch.ones(1, 2)) ** 2).sum()
        y.backward(retain_graph=True)
        y.backward()
        with pytest.raises(RuntimeError, match="second time"):
            y.backward()


def test_a_loss_of_a_compiled_step_has_no_graph_left() -> None:
    net = nn.Linear(2, 1)

    @torch.compile
    def step(x: Any) -> Any:
        net.zero_grad()
        loss = net(x).square().sum()
        loss.backward()
        return loss

    for _ in range(5):
        loss = step(torch.ones(1, 2))
        assert loss.requires_grad
        assert loss.grad_fn.name() == "SumBackward0"
        with pytest.raises(RuntimeError, match="second time"):
            loss.backward()
    assert step.replayed == 2


def test_it_behaves_like_the_original() -> None:
    net = network()
    model = torch.compile(net)
    assert isinstance(model, nn.Module)
    assert model._orig_mod is net
    assert model[0] is net[0]
    assert len(model) == 5
    assert list(model.parameters()) == list(net.parameters()) or all(
        a is b for a, b in zip(model.parameters(), net.parameters(), strict=True)
    )
    assert [n.removeprefix("_orig_mod.") for n in model.state_dict()] == list(net.state_dict())
    model.eval()
    assert not net.training
    assert not model.training
    net.train()
    assert model.training
    model.note = 5
    assert net.note == 5
    assert model.note == 5
    other = network()
    torch.compile(other).load_state_dict(model.state_dict())
    assert other[0].weight.tolist() == net[0].weight.tolist()
    net.eval()
    x = torch.ones(2, 4)
    assert copy.deepcopy(model)(x).tolist() == net(x).tolist()
    assert pickle.loads(pickle.dumps(model))(x).tolist() == net(x).tolist()


def test_evaluation() -> None:
    net = network().eval()
    model = torch.compile(net)
    with torch.no_grad():
        for i in range(6):
            x = torch.ones(3, 4) * i
            assert model(x).tolist() == net(x).tolist()
    assert model._compiled.replayed == 4


def test_a_module_compiled_in_place() -> None:
    ends = []
    for compiled in (False, True):
        net = network()
        if compiled:
            assert net.compile(mode="default") is None
        optimizer = torch.optim.Adam(net.parameters(), lr=0.01)
        torch.manual_seed(9)
        losses = []
        for _ in range(10):
            optimizer.zero_grad()
            loss = nn.functional.mse_loss(net(torch.randn(5, 4)), torch.zeros(5, 2))
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        ends.append((losses, gradients(net), {k: v.tolist() for k, v in net.state_dict().items()}))
    assert net._compiled_call_impl.replayed == 8
    assert ends[0] == ends[1]


def test_what_compiling_in_place_leaves_alone() -> None:
    net = network().eval()
    text, names, x = repr(net), list(net.state_dict()), torch.ones(3, 4)
    before = net(x).tolist()
    net.compile()
    assert (repr(net), list(net.state_dict()), list(net.children())) == (text, names, [*net])
    for other in (net, copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert other(x).tolist() == before
    assert copy.deepcopy(net)._compiled_call_impl is None
    net.compile(disable=True)
    assert net(x).tolist() == before
    with pytest.raises(RuntimeError, match="Invalid backend: 'nope'"):
        net.compile(backend="nope")
    with pytest.raises(TypeError, match="positional argument"):
        net.compile(True)


def test_hooks_of_a_module_compiled_in_place() -> None:
    net, seen = nn.Linear(2, 2), []
    net.compile()
    for _ in range(4):
        net(torch.ones(1, 2))
    handle = net.register_forward_hook(lambda module, args, result: seen.append(1) or result * 0)
    for _ in range(4):
        assert net(torch.ones(1, 2)).tolist() == [[0.0, 0.0]]
    handle.remove()
    assert len(seen) == 4
    assert net(torch.ones(1, 2)).tolist() != [[0.0, 0.0]]


def test_layers_compiled_in_place_inside_a_step() -> None:
    ends = []
    for compiled in (False, True):
        net = network()
        optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

        def step(x: Any, net: Any = net, optimizer: Any = optimizer) -> Any:
            optimizer.zero_grad()
            loss = net(x).square().mean()
            loss.backward()
            optimizer.step()
            return loss

        if compiled:
            net[0].compile()
            net[1].compile()
            step = torch.compile(step)
        torch.manual_seed(3)
        ends.append([step(torch.randn(5, 4)).item() for _ in range(8)])
    assert step.replayed == 5  # the first step makes the momentum
    assert ends[0] == ends[1]


def test_methods_and_decorators() -> None:
    class Net(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.Linear(2, 2)

        @torch.compile
        def forward(self, x: Any) -> Any:
            return self.layer(x).relu()

    one, two = Net(), Net()
    for i in range(8):
        for net in (one, two):
            x = torch.ones(1, 2) * i
            assert net(x).tolist() == net.layer(x).relu().tolist()
    assert Net.__dict__["forward"].replayed == 12

    @torch.compile(fullgraph=True, dynamic=False, mode="reduce-overhead")
    def f(x: Any) -> Any:
        "Doc."
        return x + 1

    assert f.__doc__ == "Doc."
    assert f(torch.ones(1)).item() == 2


def test_errors() -> None:
    with pytest.raises(RuntimeError, match="Unrecognized mode=x, should be one of: default"):
        torch.compile(lambda x: x, mode="x")
    with pytest.raises(RuntimeError, match="Either mode or options can be specified"):
        torch.compile(lambda x: x, mode="default", options={"a": 1})
    with pytest.raises(RuntimeError, match="Invalid backend: 'nope'"):
        torch.compile(lambda x: x, backend="nope")
    with pytest.raises(AssertionError, match="A callable function is expected"):
        torch.compile(3)

    def plain(x: Any) -> Any:
        return x

    assert torch.compile(plain, disable=True) is plain
