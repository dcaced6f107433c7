"""Memos of backward passes: hooks, errors, threads, and what else happens around a pass.

Every case runs the same steps twice, with memos and without, on the same numbers.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.engine.ir.op import Op
from rushlight.engine.runtime.executor import flush
from rushlight.engine.trace import replay as memos
from rushlight.engine.trace.gradient_node import plan_for
from tests.engine.trace.both_passes import both_ways, clean as clean, leaf, net_and_data, watched


def test_retained_now_and_then(monkeypatch: pytest.MonkeyPatch) -> None:
    a = leaf(4)
    with watched(monkeypatch, True) as spy:
        for number in range(12):
            a.grad = None
            loss = a.exp().sum()
            keep = number % 3 == 2
            loss.backward(retain_graph=keep)
            if keep:
                loss.backward()
            with pytest.raises(RuntimeError, match="second time"):
                loss.backward()
            a.grad.tolist()
    assert spy.replayed > 4


def test_formula_that_reads_what_was_saved(monkeypatch: pytest.MonkeyPatch) -> None:
    plan = plan_for(Op.registry["sin"], (True,))
    sources = [("gradient", 0), ("input", (0, 0))]
    formula = (lambda g, x: g * x.item(), sources, (0,))
    a = leaf(1)
    with watched(monkeypatch, True) as spy:
        monkeypatch.setattr(plan, "formulas", [formula])
        for number in range(8):
            with torch.no_grad():
                a.fill_(float(number))
            a.grad = None
            loss = a.sin().sum()
            loss.item()
            loss.backward()
            assert a.grad.tolist() == [float(number)]
    assert spy.replayed == 0


def test_operations_that_may_fail(monkeypatch: pytest.MonkeyPatch) -> None:
    index = torch.tensor([0, 2, 2])

    def case() -> Callable[[int], list[Any]]:
        a = leaf(4, 4, seed=1)

        def step(number: int) -> list[Any]:
            a.grad = None
            (a.exp().gather(1, index[None]) ** 2).sum().backward()
            return [a.grad]

        return step

    assert both_ways(monkeypatch, case) > 4


# gradients that are there already ----------------------------------------------------------------


def test_accumulating_over_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        net, x, y = net_and_data()

        def step(number: int) -> list[Any]:
            if number % 3 == 0:
                net.zero_grad()
            F.nll_loss(net(x), y).backward()
            return [p.grad for p in net.parameters()]

        return step

    both_ways(monkeypatch, case, 12)


def test_two_losses(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        a, b = leaf(4, seed=1), leaf(4, seed=2)

        def step(number: int) -> list[Any]:
            a.grad = b.grad = None
            common = a * b
            first, second = common.sum(), common.exp().mean()
            order = (first, second) if number % 2 else (second, first)
            order[0].backward(retain_graph=True)
            kept = a.grad.clone()
            order[1].backward()
            return [kept, a.grad, b.grad]

        return step

    both_ways(monkeypatch, case, 12)


def test_two_networks_that_are_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        torch.manual_seed(1)
        nets = [nn.Linear(3, 2) for _ in range(6)]
        x = leaf(4, 3, grad=False)

        def step(number: int) -> list[Any]:
            net = nets[number % 6]
            net.zero_grad()
            net(x).square().sum().backward()
            flush()
            return [p.grad for some in nets for p in some.parameters()]

        return step

    assert both_ways(monkeypatch, case, 12) > 10


# what has to be seen while the pass goes on ------------------------------------------------------


@pytest.mark.parametrize("where", ["leaf", "inner", "node", "leaf node", "after"])
def test_hooks_that_come_and_go(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    def case() -> Callable[[int], list[Any]]:
        a, b = leaf(4, seed=1), leaf(4, seed=2)
        seen: list[Any] = []

        def step(number: int) -> list[Any]:
            a.grad = b.grad = None
            x = a * b
            handle = None
            if number % 4 == 3:
                if where == "leaf":
                    handle = a.register_hook(lambda g: g * 3)
                elif where == "inner":
                    handle = x.register_hook(lambda g: g * 3)
                elif where == "node":
                    handle = x.grad_fn.register_hook(lambda gi, go: (gi[0] * 3, gi[1]))
                elif where == "leaf node":
                    node = x.grad_fn.next_functions[0][0]
                    handle = node.register_hook(lambda gi, go: seen.append(go[0].clone()))
                else:
                    handle = a.register_post_accumulate_grad_hook(
                        lambda p: seen.append(p.grad.clone())
                    )
            x.sin().sum().backward()
            if handle is not None:
                handle.remove()
            return [a.grad, b.grad, *seen]

        return step

    assert both_ways(monkeypatch, case, 12) > 4


def test_retained_gradients_of_inner_tensors(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        a = leaf(4, seed=1)

        def step(number: int) -> list[Any]:
            a.grad = None
            x = a * 2
            if number % 2:
                x.retain_grad()
            x.sin().sum().backward()
            return [a.grad, x.grad]

        return step

    both_ways(monkeypatch, case)


def test_exception_in_a_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(gradient: Any) -> None:
        raise ArithmeticError("no")

    def case() -> Callable[[int], list[Any]]:
        a = leaf(4, seed=1)

        def step(number: int) -> list[Any]:
            a.grad = None
            x = a * 2
            if number % 3 == 1:
                x.register_hook(refuse)
                with pytest.raises(ArithmeticError):
                    x.sin().sum().backward()
            else:
                x.sin().sum().backward()
            return [a.grad]

        return step

    assert both_ways(monkeypatch, case, 12) > 4


class Cube(torch.autograd.Function):
    """x^3, with a slope that Python decides."""

    factor = 3.0

    @staticmethod
    def forward(ctx: Any, x: Any) -> Any:
        ctx.save_for_backward(x)
        return x * x * x

    @staticmethod
    def backward(ctx: Any, g: Any) -> Any:
        (x,) = ctx.saved_tensors
        return g * x * x * Cube.factor


def test_functions_of_the_user(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        a = leaf(4, seed=1)

        def step(number: int) -> list[Any]:
            a.grad = None
            Cube.factor = 3.0 + number
            Cube.apply(a * 2).sum().backward()
            return [a.grad]

        return step

    assert both_ways(monkeypatch, case) == 0


def test_anomalies_are_looked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    a = leaf(3)
    with watched(monkeypatch, True):
        for _ in range(4):
            a.grad = None
            (a * 0).sqrt().sum().backward()
            flush()
        a.grad = None
        with torch.autograd.detect_anomaly(), pytest.raises(RuntimeError, match="nan values"):
            (a * 0).sqrt().sum().backward()


# errors and lifetimes ----------------------------------------------------------------------------


def test_second_pass_through_a_freed_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    a = leaf(3)
    with watched(monkeypatch, True) as spy:
        for _ in range(6):
            a.grad = None
            loss = (a * a).sum()
            loss.backward()
            with pytest.raises(RuntimeError, match="second time"):
                loss.backward()
            flush()
    assert spy.replayed >= 3


def test_second_derivatives(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        a = leaf(4, seed=1)

        def step(number: int) -> list[Any]:
            a.grad = None
            loss = (a**3).sum()
            if number % 2:
                loss.backward(create_graph=True)
                (slope,) = torch.autograd.grad(a.grad.sum(), a)
                return [a.grad, slope]
            loss.backward()
            return [a.grad, None]

        return step

    both_ways(monkeypatch, case)


def test_graph_and_memory_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    with watched(monkeypatch, True) as spy:
        for _ in range(5):
            a = leaf(64)
            x = a.exp()
            node = weakref.ref(x.grad_fn)
            x.sum().backward()
            assert x.grad_fn.saved is None
            kept = weakref.ref(a)
            flush()
            del a, x
            gc.collect()
            assert node() is None
            assert kept() is None
    assert spy.replayed >= 2


def test_numbers_of_a_weak_operand_are_not_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    def case() -> Callable[[int], list[Any]]:
        a = leaf(4, seed=1)

        def step(number: int) -> list[Any]:
            a.grad = None
            (a * (number + 0.5)).pow(2 + number % 3).sum().backward()
            return [a.grad]

        return step

    both_ways(monkeypatch, case)


def test_a_step_that_fails_leaves_the_next_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    net, x, _ = net_and_data()
    good, bad = torch.tensor([0, 1, 2, 0, 1, 2]), torch.tensor([0, 1, 2, 0, 1, 2])
    with watched(monkeypatch, True) as spy:
        for number in range(8):
            net.zero_grad()
            target = good + 0 if number != 5 else bad + 7
            loss = F.nll_loss(net(x), target)
            loss.backward()
            gradient = net[0].weight.grad
            if number == 5:
                with pytest.raises(IndexError, match="out of bounds"):
                    gradient.tolist()
            else:
                assert np.isfinite(np.array(gradient.tolist())).all()
    assert spy.replayed >= 4


def test_other_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    a = leaf(4, seed=1)
    found: list[list[float]] = []

    def work() -> None:
        for _ in range(6):
            b = leaf(4, seed=2)
            (a.detach() * b).sin().sum().backward()
            found.append(b.grad.tolist())

    with watched(monkeypatch, True):
        work()
        threads = [threading.Thread(target=work) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(found) == 24
    assert all(x == found[0] for x in found)


def test_pass_over_values_of_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    a = leaf(4, seed=1)
    expected = (a.detach().exp() * 2).tolist()
    made: list[Any] = []

    def forward() -> None:
        made.append((a.exp() * 2).sum())
        release.wait(5)

    with watched(monkeypatch, True):
        for _ in range(4):
            a.grad = None
            made.clear()
            release = threading.Event()
            thread = threading.Thread(target=forward)
            thread.start()
            while not made:
                pass
            made[0].backward()
            np.testing.assert_allclose(a.grad.tolist(), expected, rtol=1e-6)
            release.set()
            thread.join()


def test_few_memos_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memos, "MAX_STATES", 3)
    with watched(monkeypatch, True):
        for size in range(2, 12):
            for _ in range(4):
                a = leaf(size)
                a.exp().sum().backward()
                flush()
    assert len(memos._with_memos) <= 3


def test_memos_of_a_tree_that_was_given_up_are_freed() -> None:
    """A memo leads to a state, and so to all of its tree: the list of them must not keep it."""
    known = memos.Passes()
    memos.remember(known, memos.Memo())
    assert memos._with_memos[-1]() is known
    del known
    gc.collect()
    assert memos._with_memos.pop()() is None
