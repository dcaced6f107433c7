"""Passes recorded with memos and without them, for the tests of both."""

from __future__ import annotations

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
from rushlight.engine.trace import backward as passes, replay as memos

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
def clean() -> Iterator[None]:
    """Begin with an empty trace, and in an empty state that has no memos."""
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
                # not bit by bit: the later runs may be those of the compiled program
                np.testing.assert_allclose(a, b, 1e-5, 1e-6)
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
