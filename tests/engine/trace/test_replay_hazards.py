"""What other tracing systems get wrong when they replay: here the program always runs as written.

Every step is taken several times, so that the later ones find their program in the cache.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.engine.runtime.cache import counters
from rushlight.engine.runtime.executor import flush

TIMES = 6


def test_changed_branch() -> None:
    x = torch.arange(4.0)
    for number in range(TIMES):
        y = x + number
        y = y * 2 if y.sum().item() > 12 else -y
        expected = [2.0 * (i + number) if number >= 2 else -(i + number) for i in range(4)]
        assert y.tolist() == expected


def test_changed_branch_without_a_read() -> None:
    x = torch.arange(4.0)
    for number in range(TIMES):
        y = x.exp() if number % 3 == 0 else x.cos()
        z = y + 1
        expected = np.exp(np.arange(4.0)) if number % 3 == 0 else np.cos(np.arange(4.0))
        np.testing.assert_allclose(z.numpy(), expected + 1, rtol=1e-6)


def test_changed_constant() -> None:
    x = torch.ones(3)
    random.seed(0)
    for _ in range(TIMES):
        factor, shift = random.random(), random.randint(0, 9)
        found = (x * factor + shift).numpy()
        np.testing.assert_allclose(found, np.full(3, factor + shift), rtol=1e-6)


def test_changed_global_and_closure() -> None:
    scale = {"now": 1.0}

    def step(x: torch.Tensor) -> torch.Tensor:
        return x * scale["now"]

    for number in range(TIMES):
        scale["now"] = float(number)
        assert step(torch.ones(2)).tolist() == [number, number]


def test_changed_attribute_of_an_operation() -> None:
    x = torch.arange(6.0).view(2, 3)
    for number in range(TIMES):
        assert x.sum(number % 2).tolist() == ([3, 5, 7] if number % 2 == 0 else [3, 12])
        assert x.roll(number, 1)[0].tolist() == [(i - number) % 3 for i in range(3)]


def test_item_in_the_step() -> None:
    x = torch.ones(3)
    total = 0.0
    for number in range(TIMES):
        y = x * number
        total += y.sum().item()
        z = y + total
        assert z.tolist() == [number + total] * 3


def test_data_that_decides_a_shape() -> None:
    for number in range(TIMES):
        x = torch.arange(6) - number
        positive = x[x > 0]
        assert positive.tolist() == list(range(1, 6 - number))
        assert torch.nonzero(x == 0).tolist() == [[number]]


def test_aliased_output() -> None:
    x = torch.zeros(4)
    for number in range(TIMES):
        first = x.view(2, 2)
        second = first.t()
        first += 1
        second[0, 1] = 10
        assert x.tolist() == [number + 1, number + 1, 10, number + 1]
        x[2] = number + 1


def test_the_result_of_the_last_step_is_not_overwritten() -> None:
    kept = []
    x = torch.arange(3.0)
    for _ in range(TIMES):
        x = x * 2
        kept.append(x)
    assert [k.tolist() for k in kept] == [[0, 2.0**n, 2.0 ** (n + 1)] for n in range(1, TIMES + 1)]


def test_one_tensor_given_twice() -> None:
    def step(a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        a.add_(1)
        return a + b

    for _ in range(TIMES):
        one, two = torch.zeros(2), torch.zeros(2)
        assert step(one, two).tolist() == [1, 1]
        assert step(one, one).tolist() == [4, 4]


def test_view_offset() -> None:
    data = torch.arange(20.0)
    states = []
    for number in range(TIMES):
        found = (data[number : number + 3] * 2).tolist()
        assert found == [2.0 * (number + i) for i in range(3)]
        data[number] = -1
        assert data[number].item() == -1
        states.append(counters.states)
        data[number] = number
    # the writes are recorded with their place; slices of what has been computed are not
    assert states[-1] - states[2] <= 4 * (TIMES - 3)


def test_view_offset_of_a_waiting_value() -> None:
    for number in range(TIMES):
        waiting = torch.arange(8.0) * 2
        assert waiting[number:].sum().item() == sum(2.0 * i for i in range(number, 8))


def test_side_effect() -> None:
    called = []

    class Net(nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            called.append(len(called))
            self.last = x * 2
            return self.last + 1

    net = Net()
    for number in range(TIMES):
        assert net(torch.full((2,), float(number))).tolist() == [2 * number + 1] * 2
        assert net.last.tolist() == [2 * number] * 2
    assert called == list(range(TIMES))


def test_shared_instance() -> None:
    """Two networks of one class, one network used twice: each has its own parameters."""
    torch.manual_seed(0)
    one, two = nn.Linear(2, 2), nn.Linear(2, 2)
    x = torch.ones(1, 2)
    for number in range(TIMES):
        with torch.no_grad():
            one.weight.fill_(number)
            two.weight.fill_(-number)
        a, b, c = one(x) - one.bias, two(x) - two.bias, two(one(x)) - two.bias
        np.testing.assert_allclose(a.detach().numpy(), [[2 * number] * 2], atol=1e-6)
        np.testing.assert_allclose(b.detach().numpy(), [[-2 * number] * 2], atol=1e-6)
        expected = [[-number * one(x).sum().item()] * 2]
        np.testing.assert_allclose(c.detach().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_exchanged_parameter() -> None:
    layer = nn.Linear(2, 1, bias=False)
    for number in range(TIMES):
        layer.weight = nn.Parameter(torch.full((1, 2), float(number)))
        assert layer(torch.ones(2)).item() == 2 * number
        layer.weight.data = torch.full((1, 2), 0.5)
        assert layer(torch.ones(2)).item() == 1


def test_exception_in_the_middle_of_a_step() -> None:
    w = torch.ones(3, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1)
    for number in range(TIMES):
        optimizer.zero_grad()
        loss = (w * w).sum()
        try:
            if number % 2:
                raise RuntimeError("the user's own")
            loss.backward()
            optimizer.step()
        except RuntimeError:
            assert w.grad is None
    assert w[0].item() == pytest.approx(0.8 ** (TIMES // 2))


def test_random_numbers_differ_from_step_to_step() -> None:
    torch.manual_seed(0)
    drop = nn.Dropout(0.5)
    x = torch.ones(64)
    masks = [tuple(drop(x).tolist()) for _ in range(TIMES)]
    assert len(set(masks)) == TIMES
    torch.manual_seed(0)
    assert [tuple(drop(x).tolist()) for _ in range(TIMES)] == masks


def test_changed_training_mode() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.BatchNorm1d(3), nn.Dropout(0.9))
    x = torch.randn(16, 3)
    for number in range(TIMES):
        net.train(number % 2 == 0)
        y = net(x)
        assert (y == 0).any().item() == (number % 2 == 0)


def test_changed_requires_grad() -> None:
    layer = nn.Linear(2, 2)
    for number in range(TIMES):
        wanted = number % 2 == 0
        layer.weight.requires_grad_(wanted)
        layer.zero_grad()
        layer(torch.ones(1, 2)).sum().backward()
        assert (layer.weight.grad is not None) == wanted
        assert layer.bias.grad.tolist() == [1, 1]


def test_growing_loop() -> None:
    """As many operations as a sentence has words."""
    w = torch.full((2,), 0.5, requires_grad=True)
    for length in (3, 1, 4, 1, 5, 3):
        w.grad = None
        state = torch.ones(2)
        for _ in range(length):
            state = state * w
        state.sum().backward()
        assert state.tolist() == [0.5**length] * 2
        assert w.grad.tolist() == [length * 0.5 ** (length - 1)] * 2


@pytest.mark.parametrize("read_each", [True, False])
def test_a_list_that_collects_results(read_each: bool) -> None:
    history: list[Any] = []
    for number in range(TIMES):
        history.append(torch.full((3,), float(number)).sum())
        if read_each:
            assert history[-1].item() == 3 * number
    assert [h.item() for h in history] == [3 * n for n in range(TIMES)]
    assert torch.stack(history).sum().item() == 3 * sum(range(TIMES))


MUTATIONS: dict[str, Callable[[torch.Tensor], object]] = {
    "add_": lambda x: x.add_(1),
    "setitem": lambda x: x.__setitem__(0, 5.0),
    "data": lambda x: setattr(x, "data", torch.full((3,), 7.0)),
    "numpy": lambda x: x.numpy().__setitem__(1, 8.0),
    "set through a view": lambda x: x[1:].zero_(),
}


@pytest.mark.parametrize("name", MUTATIONS)
def test_an_input_changed_between_recording_and_reading(name: str) -> None:
    for _ in range(TIMES):
        x = torch.ones(3)
        before = x * 2
        held = before + 0
        MUTATIONS[name](x)
        after = x * 2
        flush()
        assert before.tolist() == held.tolist() == [2, 2, 2]
        assert after.tolist() == [2 * v for v in x.tolist()]
        assert after.tolist() != before.tolist()


@pytest.mark.parametrize("made_wrong", [False, True])
def test_an_index_changed_through_a_view(made_wrong: bool) -> None:
    """What is checked at the call is what the index holds now."""
    table = torch.ones(3, 2)
    programs: list[Callable[[torch.Tensor], torch.Tensor]] = [
        lambda index: F.embedding(index, table),
        lambda index: table[index],
        lambda index: table.index_select(0, index),
        lambda index: F.cross_entropy(torch.ones(2, 3), index),
        lambda index: torch.ones(1, 3).gather(1, index.view(1, 2)),
        lambda index: F.one_hot(index, 3),
    ]
    for program in programs:
        index = torch.tensor([0, 1] if made_wrong else [0, 9])
        part = index[1:]
        part[0] = 9 if made_wrong else 1
        if made_wrong:
            with pytest.raises((IndexError, RuntimeError)):
                program(index).sum().item()
        else:
            program(index).sum().item()
