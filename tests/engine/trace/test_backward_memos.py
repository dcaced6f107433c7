"""Backward passes recorded from a memo: nothing differs from the long way, whatever the graph.

Every case runs the same steps twice, with memos and without, on the same numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight.engine.runtime.cache import here
from rushlight.engine.runtime.executor import flush
from tests.engine.trace.both_passes import (
    STEPS,
    alternating,
    both_ways,
    clean as clean,
    leaf,
    net_and_data,
    plain_training,
    watched,
)


def test_training_is_recorded_from_a_memo(monkeypatch: pytest.MonkeyPatch) -> None:
    assert both_ways(monkeypatch, plain_training) >= 2 * STEPS - 4


def test_pass_after_a_flush(monkeypatch: pytest.MonkeyPatch) -> None:
    """All that was saved lies outside the trace then, and the state is the empty one."""
    assert both_ways(monkeypatch, lambda: plain_training(read=True)) >= STEPS


def test_retained_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    assert both_ways(monkeypatch, lambda: plain_training(retain=True)) >= STEPS


def test_same_program_as_the_long_way(monkeypatch: pytest.MonkeyPatch) -> None:
    """The trace ends in the same state, with the same values held."""
    ends: list[Any] = []
    for enabled in (False, True):
        net, x, y = net_and_data()
        with watched(monkeypatch, enabled) as spy:
            for number in range(5):
                net.zero_grad()
                loss = F.nll_loss(net(x), y)
                loss.backward()
                if number == 4:
                    kinds = [v.meta for v in here.trace.values]
                    ends.append((here.trace.state, kinds, sorted(here.trace.locations or ())))
                flush()
        assert (spy.replayed > 0) is enabled
    assert ends[0][0] is ends[1][0]
    assert ends[0][1:] == ends[1][1:]


@pytest.mark.parametrize("written", [False, True])
def test_a_loss_that_has_been_detached_before(
    monkeypatch: pytest.MonkeyPatch, written: bool
) -> None:
    """``history.append(loss.detach())``; what is written to it is seen by the loss."""

    def case() -> Callable[[int], list[Any]]:
        a = leaf(4, seed=1)

        def step(number: int) -> list[Any]:
            a.grad = None
            loss = (a.exp() * a).sum()
            kept = loss.detach()
            if written and number % 2:
                kept.mul_(2.0)
            loss.backward()
            return [loss, kept, a.grad]

        return step

    assert both_ways(monkeypatch, case, 12) >= (4 if written else 8)


# graphs that differ though the same operations have been recorded --------------------------------


def test_detached_branch(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        a, b = leaf(4, seed=1), leaf(4, seed=2)

        def step(number: int) -> list[Any]:
            a.grad = b.grad = None
            x, y = a.exp(), b.exp()
            if number % 3 == 2:
                y = y.detach()
            loss = (x * y).sum()
            loss.backward()
            return [loss, a.grad, b.grad]

        return step

    assert both_ways(monkeypatch, case, 12) > 4


def test_without_gradients_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        a, b = leaf(4, seed=1), leaf(4, seed=2)

        def step(number: int) -> list[Any]:
            a.grad = b.grad = None
            with torch.set_grad_enabled(number % 2 == 0):
                x = a.exp()
            loss = (x * b).sum()
            loss.backward()
            return [a.grad, b.grad]

        return step

    assert both_ways(monkeypatch, case) > 4


def test_leaves_that_want_no_gradient_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        a, b = leaf(4, seed=1), leaf(4, seed=2)

        def step(number: int) -> list[Any]:
            a.requires_grad_(number % 4 != 3)
            a.grad = b.grad = None
            loss = (a * b).sin().sum()
            if number % 4 == 2:
                a.requires_grad_(False)  # after the graph was made
            loss.backward()
            return [a.grad, b.grad]

        return step

    both_ways(monkeypatch, case, 12)


def test_order_of_the_operands(monkeypatch: pytest.MonkeyPatch) -> None:
    """Which of two nodes a third one leads to decides, though all of them are alike."""

    def case() -> Callable[[int], list[Any]]:
        a, b = leaf(4, seed=1), leaf(4, seed=2)

        def step(number: int) -> list[Any]:
            a.grad = b.grad = None
            x, y = a * 1.0, b * 1.0
            x2, y2 = (x, y) if number % 3 else (y, x)
            with torch.no_grad():
                value = x - y
            left, right = x2.view_as(value), y2.view_as(value)
            loss = (left + left + right).sum()
            loss.backward()
            return [a.grad, b.grad]

        return step

    both_ways(monkeypatch, case, 9)


def test_shared_and_separate_leaves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two leaves over one memory are recorded like one leaf used twice."""

    def case() -> Callable[[int], list[Any]]:
        a = leaf(4, seed=1)

        def step(number: int) -> list[Any]:
            a.grad = None
            other = a if number % 3 else a.detach().requires_grad_()
            loss = (a.exp() + other.exp()).sum()
            loss.backward()
            return [a.grad, other.grad]

        return step

    both_ways(monkeypatch, case, 12)


def test_tied_biases(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        x, weight = leaf(3, 4, grad=False), leaf(4, 4, seed=1)
        first, second = leaf(4, seed=2), leaf(4, seed=3)

        def step(number: int) -> list[Any]:
            for p in (weight, first, second):
                p.grad = None
            flush()
            tied = first if number % 2 else second
            loss = F.linear(F.linear(x, weight, first).tanh(), weight, tied).sum()
            loss.item()
            loss.backward()
            return [weight.grad, first.grad, second.grad]

        return step

    both_ways(monkeypatch, case, 12)


@pytest.mark.parametrize("often", [True, False])
def test_saved_values_shared_or_not(monkeypatch: pytest.MonkeyPatch, often: bool) -> None:
    c, d = leaf(4, 4, seed=3, grad=False), leaf(4, 4, seed=4, grad=False)

    def loss(a: Any, b: Any, number: int) -> Any:
        shared = (number % 3 == 2) is not often
        return (a * c).sum() + (b * (c if shared else d)).sum()

    assert alternating(monkeypatch, loss) > 4


@pytest.mark.parametrize("often", [True, False])
def test_one_leaf_twice_and_two_leaves(monkeypatch: pytest.MonkeyPatch, often: bool) -> None:
    def loss(a: Any, b: Any, number: int) -> Any:
        once = (number % 3 == 2) is not often
        return (a + (a if once else b)).sum()

    assert alternating(monkeypatch, loss) > 4


def test_same_graph_with_other_attributes(monkeypatch: pytest.MonkeyPatch) -> None:
    assert alternating(monkeypatch, lambda a, b, n: (a.sum(n % 2) * b[0].detach()).sum()) > 4


def test_second_operand_with_and_without_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(a: Any, b: Any, number: int) -> Any:
        return (a + (b if number % 3 == 2 else b.detach())).sum()

    assert alternating(monkeypatch, loss) > 4


def test_one_node_twice_and_two_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(a: Any, b: Any, number: int) -> Any:
        x, y = -a, -a
        return (x + (x if number % 3 == 2 else y)).sum()

    assert alternating(monkeypatch, loss) > 4


def test_order_of_two_branches(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(a: Any, b: Any, number: int) -> Any:
        if number % 3 == 2:
            y, x = -b, -a
        else:
            x, y = -a, -b
        return (x + y).sum()

    assert alternating(monkeypatch, loss) > 4


def test_another_output_of_a_node(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(a: Any, b: Any, number: int) -> Any:
        return a.unbind(0)[1 if number % 3 == 2 else 0].exp().sum()

    assert alternating(monkeypatch, loss) > 4


def test_another_output_of_the_root(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(a: Any, b: Any, number: int) -> Any:
        values = torch.var_mean(a + b)
        return values[1 if number % 3 == 2 else 0]

    alternating(monkeypatch, loss)


def test_leaf_with_two_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(a: Any, b: Any, number: int) -> Any:
        x = a.exp()
        if number % 3 == 2:
            a.requires_grad_(False)
            a.requires_grad_()
            return (x + a.exp()).sum()
        return (x + b.exp()).sum()

    assert alternating(monkeypatch, loss) > 4


def test_leaf_that_has_changed_its_layout(monkeypatch: pytest.MonkeyPatch) -> None:
    def loss(a: Any, b: Any, number: int) -> Any:
        made = (-a).sum()
        if number % 3 == 2:
            a.data = a.data.t()
        else:
            a.data = a.data.contiguous()
        return made

    assert alternating(monkeypatch, loss) > 2


def test_another_root_in_the_same_state(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        a, b, c = leaf(4, seed=1), leaf(4, seed=2, grad=False), leaf(4, seed=3, grad=False)

        def step(number: int) -> list[Any]:
            a.grad = None
            losses = (a * b).sum(), (a * c).sum()
            losses[number % 3 == 2].backward()
            return [a.grad]

        return step

    assert both_ways(monkeypatch, case, 12) > 4
