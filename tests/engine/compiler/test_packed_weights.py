"""Weights kept in the library's layout between runs: made anew whenever a weight has changed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight.engine.backends.cpu import onednn
from rushlight.engine.compiler.pipeline import compile_program
from rushlight.engine.runtime import compiling
from tests.engine.compiler.programs import program_of

pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile at the first run."""
    monkeypatch.setattr(compiling.thresholds, "begin", 1)
    monkeypatch.setattr(compiling.thresholds, "use", 1)
    monkeypatch.setattr(compiling.thresholds, "nodes", 1)


def network() -> Any:
    """Two layers."""
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 32, 3, padding=1), torch.nn.ReLU(), torch.nn.Conv2d(32, 40, 3)
    )


def expected(net: Any, x: Any) -> np.ndarray:
    """What the layers compute with copies of their weights, which are new values."""
    first, second = net[0], net[2]
    with torch.no_grad():
        hidden = F.conv2d(x, first.weight.clone(), first.bias.clone(), padding=1).relu()
        made = F.conv2d(hidden, second.weight.clone(), second.bias.clone())
        return made.numpy().copy()


def shrink(net: Any) -> None:
    """Write over a weight in place."""
    with torch.no_grad():
        net[0].weight.mul_(0.5)


def load(net: Any) -> None:
    """Load other weights."""
    net.load_state_dict({name: value * 2 for name, value in net.state_dict().items()})


def step(net: Any) -> None:
    """Train."""
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    net(torch.ones(1, 3, 6, 6)).square().mean().backward()
    optimizer.step()


def through_numpy(net: Any) -> None:
    """Write into the memory that a NumPy array shares."""
    net[2].weight.detach().numpy()[...] *= 3


def replaced(net: Any) -> None:
    """Put another parameter there."""
    net[2].weight = torch.nn.Parameter(torch.ones(40, 32, 3, 3))


@pytest.mark.parametrize("change", [shrink, load, step, through_numpy, replaced])
def test_changed_weights_are_seen(change: Callable[[Any], None]) -> None:
    net = network()
    x = torch.randn(2, 3, 8, 8)
    for _ in range(3):
        with torch.no_grad():
            for _ in range(5):
                y = net(x).numpy()
        np.testing.assert_allclose(y, expected(net, x), rtol=1e-4, atol=1e-4)
        change(net)


def test_weights_are_packed_where_they_stay() -> None:
    net, x = network(), torch.randn(2, 3, 8, 8)
    kept: list[Any] = []

    def predict() -> None:
        with torch.no_grad():
            kept[:] = [net(x)]

    plan = compile_program(program_of(predict))
    assert len(plan.packed) == 2


def test_weights_that_are_written_are_not_packed() -> None:
    net, x = network(), torch.randn(2, 3, 8, 8)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def train() -> None:
        optimizer.zero_grad()
        net(x).square().mean().backward()
        optimizer.step()

    assert not compile_program(program_of(train)).packed
