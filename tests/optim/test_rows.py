"""What an optimizer looks up once for many steps: nothing differs when things change meanwhile.

Every case takes the same steps twice: as they are, and with everything looked up at every step.
"""

from __future__ import annotations

import copy
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight import nn
from rushlight.optim.rows import Rows

Step = Callable[[int, Any, Any], Any]

OPTIMIZERS = [
    "SGD(p, lr=0.1)", "SGD(p, lr=0.1, momentum=0.9)", "Adam(p, lr=0.05)",
    "AdamW(p, lr=0.05, amsgrad=True)", "RMSprop(p, lr=0.01, momentum=0.5)", "NAdam(p)",
    "Adagrad(p)", "ASGD(p)", "Rprop(p)",
]  # fmt: skip


def nothing(number: int, net: Any, optimizer: Any) -> Any:
    return None


def freeze(number: int, net: Any, optimizer: Any) -> Any:
    """Another set of parameters has gradients at every third step."""
    net[0].bias.requires_grad_(number % 3 != 1)


def new_state(number: int, net: Any, optimizer: Any) -> Any:
    if number == 4:
        for own in optimizer.state.values():
            for name, tensor in list(own.items()):
                own[name] = tensor.clone() + (0 if name == "step" else 0.25)


def written_state(number: int, net: Any, optimizer: Any) -> Any:
    if number in (3, 5):
        for own in optimizer.state.values():
            for name, tensor in own.items():
                if name == "step":
                    tensor.fill_(7.0)
                elif number == 5:
                    tensor.mul_(0.5)


def removed_state(number: int, net: Any, optimizer: Any) -> Any:
    if number == 4:
        optimizer.state.pop(net[0].weight, None)


def loaded_state(number: int, net: Any, optimizer: Any) -> Any:
    if number == 4:
        optimizer.load_state_dict(copy.deepcopy(optimizer.state_dict()))


def copied_optimizer(number: int, net: Any, optimizer: Any) -> Any:
    if number == 3:
        other = copy.deepcopy(optimizer)
        assert other.state_dict()["param_groups"] == optimizer.state_dict()["param_groups"]


def more_parameters(number: int, net: Any, optimizer: Any) -> Any:
    if number == 4:
        optimizer.add_param_group({"params": [net.extra]})


def views_of_parameters(number: int, net: Any, optimizer: Any) -> Any:
    net.kept = [p.detach() for p in net.parameters()] if number % 2 else None


def other_memory(number: int, net: Any, optimizer: Any) -> Any:
    if number == 3:
        net[0].weight.data = net[0].weight.data * 0.5
    if number == 5:
        memory = torch.zeros(8, 5)
        memory[2:6] = net[0].weight.detach()
        net[0].weight.data = memory[2:6]
        net.memory = memory


def shared_with_numpy(number: int, net: Any, optimizer: Any) -> Any:
    if number == 3:
        net.array = net[0].weight.detach().numpy()
    if number == 5:
        net.array[0] += 1.0
    if number == 6:
        for own in optimizer.state.values():
            net.states = [tensor.numpy() for tensor in own.values()]


def turned_parameter(number: int, net: Any, optimizer: Any) -> Any:
    if number == 4:
        net[2].weight.data = net[2].weight.data.t().contiguous().t()


def schedule(number: int, net: Any, optimizer: Any) -> Any:
    for group in optimizer.param_groups:
        group["lr"] = [0.1, 0.05, torch.tensor(0.02), np.float64(0.01), 1][number % 5]


def decay(number: int, net: Any, optimizer: Any) -> Any:
    for group in optimizer.param_groups:
        group["weight_decay"] = 0.1 if number % 3 else 0


CHANGES = [
    nothing, freeze, new_state, written_state, removed_state, loaded_state, copied_optimizer,
    more_parameters, views_of_parameters, other_memory, shared_with_numpy, turned_parameter,
    schedule, decay,
]  # fmt: skip


def take_steps(text: str, change: Step) -> list[Any]:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 4))
    net.extra = nn.Parameter(torch.ones(4))
    x = torch.randn(6, 5)
    layers = [net[0], net[1], net[2]]
    trained = [*layers[0].parameters(), *layers[2].parameters()]
    optimizer = eval(text, {**vars(torch.optim), "p": trained})
    found = []
    for number in range(9):
        optimizer.zero_grad()
        y = layers[2](layers[1](layers[0](x))) * net.extra
        y.square().sum().backward()
        change(number, net, optimizer)
        optimizer.step()
        found.append([np.array(p.tolist()) for p in net.parameters()])
        found[-1] += [
            np.array(t.tolist()) for own in optimizer.state.values() for t in own.values()
        ]
        found[-1].append(np.array([p._version for p in net.parameters()]))
        found[-1].append(
            np.array([t._version for own in optimizer.state.values() for t in own.values()])
        )
    return found


@pytest.mark.parametrize("text", OPTIMIZERS)
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_changes_between_steps(
    monkeypatch: pytest.MonkeyPatch, text: str, change: Step
) -> None:
    if text.startswith("Adagrad") and change in (removed_state, more_parameters):
        pytest.skip("Adagrad makes its state when it is made, for the parameters it knows then")
    quick = take_steps(text, change)
    with monkeypatch.context() as patched:
        patched.setattr(Rows, "update", lambda *_: False)
        patched.setattr(Rows, "next_count", lambda _: None)
        patched.setattr(Rows, "holds", lambda *_: False)
        plain = take_steps(text, change)
    for a, b in zip(plain, quick, strict=True):
        for one, other in zip(a, b, strict=True):
            # not bit by bit: the later runs may be those of the compiled program
            np.testing.assert_allclose(one, other, 1e-4, 1e-5)


@pytest.mark.parametrize("text", OPTIMIZERS)
def test_the_short_way_is_taken(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    taken = []
    update = Rows.update

    def spied(self: Rows, *args: Any) -> bool:
        taken.append(update(self, *args))
        return taken[-1]

    monkeypatch.setattr(Rows, "update", spied)
    take_steps(text, nothing)
    assert sum(taken) >= 6


def test_gradient_that_fails_keeps_parameters_and_state() -> None:
    p, q = nn.Parameter(torch.ones(3)), nn.Parameter(torch.ones(2))
    optimizer = torch.optim.Adam([p, q], lr=0.1)
    index, before = torch.tensor([0, 1]), p.tolist()
    for number in range(6):
        optimizer.zero_grad()
        bad = (index + 5) if number == 4 else index + 0
        ((p * 2).gather(0, bad).sum() + q.sum()).backward()
        if number == 4:
            with pytest.raises((RuntimeError, IndexError)):
                optimizer.step()
            assert p.tolist() == before
        else:
            optimizer.step()
            before = p.tolist()
    assert optimizer.state[p]["step"].item() == 5
    assert np.isfinite(np.array(p.tolist())).all()


def test_parameters_that_are_dropped_are_freed() -> None:
    p = nn.Parameter(torch.ones(3))
    optimizer = torch.optim.Adam([p])
    for _ in range(4):
        p.grad = torch.ones(3)
        optimizer.step()
    reference = weakref.ref(p)
    optimizer.param_groups.clear()
    optimizer.state.clear()
    del p
    optimizer.add_param_group({"params": [nn.Parameter(torch.ones(1))]})
    optimizer.param_groups[0]["params"][0].grad = torch.ones(1)
    optimizer.step()
    del optimizer
    gc.collect()
    assert reference() is None
