"""Backward passes recorded from a memo: when they are, and that nothing differs from the long way.

Every case runs the same steps twice, with memos and without, on the same numbers.
"""

from __future__ import annotations

import gc
import threading
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import _tensor as tensors, nn
from rushlight.engine.runtime.cache import counters, here
from rushlight.engine.runtime.executor import flush
from rushlight.engine.ir.op import Op
from rushlight.engine.trace import backward as passes, replay as memos
from rushlight.engine.trace.gradient_node import plan_for

#: Compiled steps differ from interpreted ones in the last bit.
pytestmark = pytest.mark.usefixtures("interpreted")

STEPS = 8


class Spy:
    """Counts the passes that were recorded from a memo, and notes where passes ended."""

    def __init__(self) -> None:
        self.replayed = 0
        self.ends: list[Any] = []


@contextmanager
def watched(monkeypatch: pytest.MonkeyPatch, enabled: bool) -> Iterator[Spy]:
    spy = Spy()

    def replay(tensor: Any, retain: bool) -> bool:
        done = enabled and memos.replay(tensor, retain)
        spy.replayed += done
        return done

    def end(*args: Any, **kwargs: Any) -> None:
        full(*args, **kwargs)
        trace = here.trace
        spy.ends.append((trace.state, sorted(trace.locations or ()), len(trace.writes or ())))

    full = tensors.backward
    with monkeypatch.context() as patched:
        patched.setattr(tensors, "backward", end)
        patched.setattr(passes, "replay", replay)
        if not enabled:
            patched.setattr(passes, "learner", lambda *_: None)
        yield spy


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    flush()
    here.trace.slot.root.passes = None
    yield
    flush()


def leaf(*shape: int, seed: int = 0, grad: bool = True) -> Any:
    array = np.random.RandomState(seed).randn(*shape).astype(np.float32)
    return torch.tensor(array).requires_grad_(grad)


Case = Callable[[], Callable[[int], list[Any]]]


def contents(tensors: list[Any]) -> list[Any]:
    return [None if x is None else np.array(x.tolist()) for x in tensors]


def both_ways(monkeypatch: pytest.MonkeyPatch, case: Case, steps: int = STEPS) -> int:
    """Run a case with and without memos, compare all it gives; how many passes had a memo."""
    results, programs, ends = [], [], []
    replayed = 0
    for enabled in (False, True):
        step = case()
        with watched(monkeypatch, enabled) as spy:
            found = [contents(step(number)) for number in range(steps)]
            before = counters.programs
            found += [contents(step(number)) for number in range(steps)]
            programs.append(counters.programs - before)
        replayed = spy.replayed
        results.append(found)
        ends.append(spy.ends)
    for plain, quick in zip(*results, strict=True):
        assert len(plain) == len(quick)
        for a, b in zip(plain, quick, strict=True):
            assert (a is None) == (b is None)
            if a is not None:
                np.testing.assert_array_equal(a, b)
    assert programs[1] <= programs[0]  # the same programs are found again
    assert len(ends[0]) == len(ends[1])
    for plain, quick in zip(*ends, strict=True):
        assert plain[0] is quick[0]
        assert plain[1:] == quick[1:]
    return replayed


def net_and_data() -> tuple[Any, Any, Any]:
    torch.manual_seed(0)
    net = nn.Sequential(
        nn.Linear(5, 4), nn.ReLU(), nn.Dropout(0.3), nn.Linear(4, 3), nn.LogSoftmax(1)
    )
    return net, leaf(6, 5, grad=False), torch.tensor([0, 1, 2, 0, 1, 2])


def plain_training(read: bool = False, retain: bool = False) -> Callable[[int], list[Any]]:
    net, x, y = net_and_data()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)

    def step(_: int) -> list[Any]:
        optimizer.zero_grad()
        loss = F.nll_loss(net(x), y)
        if read:
            loss.item()
        loss.backward(retain_graph=retain)
        gradients = [p.grad.clone() for p in net.parameters()]
        optimizer.step()
        return [loss, *gradients, *net.parameters()]

    return step


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


def alternating(monkeypatch: pytest.MonkeyPatch, loss: Callable[[Any, Any, int], Any]) -> int:
    """Passes from ``loss(a, b, number)``, read before so that all that was saved lies outside."""

    def case() -> Callable[[int], list[Any]]:
        a, b = leaf(4, 4, seed=1), leaf(4, 4, seed=2)

        def step(number: int) -> list[Any]:
            a.grad = b.grad = None
            made = loss(a, b, number)
            made.item()
            made.backward()
            return [a.grad, b.grad]

        return step

    return both_ways(monkeypatch, case, 12)


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
