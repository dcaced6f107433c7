"""``torch.compile`` of whole training steps: the same numbers as without it, whatever changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rushlight as torch
from rushlight.engine.core.config import config

nn, optim = torch.nn, torch.optim


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything in the interpreter, so that results can be compared bit by bit."""
    monkeypatch.setattr(config, "compiler", False)
    yield
    torch.compiler.reset()


class Net(nn.Module):
    """Dropout and batch norm, to have random numbers, buffers and a training flag."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 8)
        self.norm = nn.BatchNorm1d(8)
        self.drop = nn.Dropout(0.3)
        self.last = nn.Linear(8, 3)

    def forward(self, x: Any) -> Any:
        return self.last(self.drop(self.norm(self.first(x)).relu()))


def training(make_optimizer: Callable[[Any], Any], compiled: bool) -> tuple[Any, Any, Any]:
    torch.manual_seed(3)
    net = Net()
    optimizer = make_optimizer(net.parameters())

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return net, optimizer, torch.compile(step) if compiled else step


def batches(count: int, size: int = 5) -> list[tuple[Any, Any]]:
    torch.manual_seed(7)
    return [(torch.randn(size, 6), torch.randint(0, 3, (size,))) for _ in range(count)]


def snapshot(net: Any, optimizer: Any) -> list[Any]:
    state = [x for own in optimizer.state.values() for x in own.values()]
    found = [*net.state_dict().values(), *[p.grad for p in net.parameters()], *state]
    return [x.tolist() if isinstance(x, torch.Tensor) else x for x in found if x is not None]


OPTIMIZERS = {
    "sgd": lambda p: optim.SGD(p, lr=0.1),
    "momentum": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "nesterov": lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "adam": lambda p: optim.Adam(p, lr=0.01),
    "amsgrad": lambda p: optim.Adam(p, lr=0.01, amsgrad=True),
    "adamw": lambda p: optim.AdamW(p, lr=0.01),
    "adagrad": lambda p: optim.Adagrad(p, lr=0.1, lr_decay=0.1),
    "adadelta": lambda p: optim.Adadelta(p),
    "adamax": lambda p: optim.Adamax(p, lr=0.01),
    "nadam": lambda p: optim.NAdam(p, lr=0.01),
    "rmsprop": lambda p: optim.RMSprop(p, lr=0.01, momentum=0.5, centered=True),
    "rprop": lambda p: optim.Rprop(p),
    "radam": lambda p: optim.RAdam(p),
    "asgd": lambda p: optim.ASGD(p),
}


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_step_gives_the_same_numbers(name: str) -> None:
    ends = []
    for compiled in (False, True):
        net, optimizer, step = training(OPTIMIZERS[name], compiled)
        data = batches(10)
        torch.manual_seed(11)
        losses = [step(x, y).item() for x, y in data]
        ends.append((losses, snapshot(net, optimizer), torch.rand(2).tolist()))
        if compiled:
            steady = name not in ("radam", "asgd")
            assert (step.replayed > 3) is steady
    assert ends[0] == ends[1]


def compare(change: Callable[[Any, Any, Any, int], Any], replays: int = 1, **options: Any) -> None:
    """Run 16 steps with and without ``compile``; ``change`` does something between them."""
    ends = []
    for compiled in (False, True):
        make = options.get("make", OPTIMIZERS["momentum"])
        net, optimizer, step = training(make, compiled)
        data = batches(16)
        torch.manual_seed(11)
        losses = []
        for number, (x, y) in enumerate(data):
            made = change(net, optimizer, step, number)
            losses.append((made or step)(x, y).item())
        ends.append((losses, snapshot(net, optimizer)))
        if compiled:
            assert step.replayed >= replays
    assert ends[0] == ends[1]


def test_a_schedule_is_followed() -> None:
    schedulers: dict[int, Any] = {}

    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        if id(optimizer) not in schedulers:
            schedulers[id(optimizer)] = optimizer, optim.lr_scheduler.StepLR(optimizer, 2, 0.5)
        elif number:
            schedulers[id(optimizer)][1].step()

    compare(change, 10)
    compare(change, 10, make=OPTIMIZERS["adam"])


def test_training_and_evaluation_mode() -> None:
    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        net.train(number % 8 < 4)

    compare(change, 4)


def test_dropout_probability_changes() -> None:
    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        net.drop.p = 0.3 if number < 8 else 0.5

    compare(change, 6)


def test_parameters_are_loaded() -> None:
    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        if number == 8:
            net.load_state_dict({k: v * 0.5 for k, v in net.state_dict().items()})

    compare(change, 10)


@pytest.mark.parametrize("name", ["momentum", "adam"])
def test_optimizer_state_is_loaded(name: str) -> None:
    kept: dict[str, Any] = {}

    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        if number == 5:
            kept["state"] = __import__("copy").deepcopy(optimizer.state_dict())
        if number == 9:
            optimizer.load_state_dict(kept["state"])

    compare(change, 6, make=OPTIMIZERS[name])


def test_options_of_the_optimizer_change() -> None:
    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        optimizer.param_groups[0]["weight_decay"] = 0.0 if number < 6 else 0.1
        optimizer.param_groups[0]["momentum"] = 0.9 if number < 10 else 0.8

    compare(change, 4)


def test_a_parameter_is_frozen() -> None:
    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        net.first.weight.requires_grad_(number < 6 or number > 10)

    compare(change, 3)


def test_a_layer_is_exchanged() -> None:
    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        if number == 7:
            torch.manual_seed(5)
            net.last = nn.Linear(8, 3)

    compare(change, 3)


def test_a_hook_comes_later() -> None:
    seen: list[Any] = []

    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        if number == 8:
            net.first.register_forward_hook(lambda module, args, out: seen.append(1))

    compare(change, 3)
    assert len(seen) == 16


def test_a_gradient_hook_comes_later() -> None:
    def change(net: Any, optimizer: Any, step: Any, number: int) -> None:
        if number == 8:
            net.first.weight.register_hook(lambda g: g * 2)

    compare(change, 3)


def test_a_parameter_that_somebody_holds_keeps_its_old_value() -> None:
    net, _, step = training(OPTIMIZERS["sgd"], True)
    (x, y), = batches(1)
    for _ in range(5):
        step(x, y)
    before = net.last.weight.tolist()
    kept = net.last.weight._value  # what a graph of the user's own would have saved
    array = kept.buffer.copy()
    step(x, y)
    assert step.replayed
    assert kept.buffer.tolist() == array.tolist() == before
    assert net.last.weight.tolist() != before


def test_shapes_have_recordings_of_their_own() -> None:
    ends = []
    for compiled in (False, True):
        net, optimizer, step = training(OPTIMIZERS["adam"], compiled)
        data = [b for _ in range(5) for b in (*batches(2), *batches(1, 4))]
        torch.manual_seed(1)
        ends.append(([step(x, y).item() for x, y in data], snapshot(net, optimizer)))
        if compiled:
            assert len(step.entries) == 2
            assert step.replayed >= 9
    assert ends[0] == ends[1]


def test_gradients_add_up_over_two_calls() -> None:
    ends = []
    for compiled in (False, True):
        torch.manual_seed(2)
        net = nn.Linear(6, 3)
        optimizer = optim.SGD(net.parameters(), lr=0.1)

        def part(x: Any, y: Any, net: Any = net) -> Any:
            loss = nn.functional.cross_entropy(net(x), y)
            loss.backward()
            return loss

        call = torch.compile(part) if compiled else part
        losses = []
        for number, (x, y) in enumerate(batches(14)):
            losses.append(call(x, y).item())
            if number % 2:
                optimizer.step()
                optimizer.zero_grad()
        ends.append((losses, snapshot(net, optimizer)))
        if compiled:
            assert call.replayed >= 8
    assert ends[0] == ends[1]


def test_two_optimizers_in_one_step() -> None:
    ends = []
    for compiled in (False, True):
        torch.manual_seed(2)
        one, two = nn.Linear(4, 4), nn.Linear(4, 1)
        first = optim.Adam(one.parameters(), lr=0.01)
        second = optim.SGD(two.parameters(), lr=0.01)

        def step(x: Any, one=one, two=two, first=first, second=second) -> Any:
            second.zero_grad()
            judged = two(one(x).detach()).mean()
            judged.backward()
            second.step()
            first.zero_grad()
            loss = -two(one(x)).mean()
            loss.backward()
            first.step()
            return judged.detach(), loss.detach()

        call = torch.compile(step) if compiled else step
        losses = [[t.item() for t in call(torch.ones(3, 4) * i)] for i in range(9)]
        ends.append((losses, snapshot(one, first), snapshot(two, second)))
        if compiled:
            assert call.replayed >= 4
            (entry,) = call.entries.values()
            assert len(entry.replays[0].capture.programs) == 2
    assert ends[0] == ends[1]


def test_a_failing_step_leaves_everything_as_it_was() -> None:
    ends = []
    for compiled in (False, True):
        torch.manual_seed(0)
        table = nn.Embedding(4, 3)
        optimizer = optim.Adam(table.parameters(), lr=0.1)

        def step(index: Any, table=table, optimizer=optimizer) -> Any:
            optimizer.zero_grad()
            loss = table(index).square().sum()
            loss.backward()
            optimizer.step()
            return loss

        call = torch.compile(step) if compiled else step
        good = torch.tensor([0, 1])
        for _ in range(5):
            call(good)
        bad = torch.tensor([0, 9])
        with pytest.raises(IndexError):
            call(bad)
        after = table.weight.tolist()
        losses = [call(good).item() for _ in range(2)]
        ends.append((after, losses, table.weight.tolist()))
    assert ends[0] == ends[1]


def test_memory_shared_with_numpy() -> None:
    import numpy as np

    ends = []
    for compiled in (False, True):
        net, optimizer, step = training(OPTIMIZERS["adam"], compiled)
        memory = np.ones((5, 6), np.float32)
        x, y = torch.from_numpy(memory), batches(1)[0][1]
        torch.manual_seed(1)
        losses = []
        for number in range(8):
            memory[:] = number
            losses.append(step(x, y).item())
        ends.append((losses, snapshot(net, optimizer)))
        if compiled:
            assert step.replayed >= 3
    assert ends[0] == ends[1]
