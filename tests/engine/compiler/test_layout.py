"""Channels innermost from layer to layer: the same numbers, no copies between the layers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight.engine.backends.cpu import onednn
from rushlight.engine.compiler import pipeline
from rushlight.engine.compiler.graph import import_program
from rushlight.engine.compiler.layout import channels_last
from rushlight.engine.core.shape import is_channels_last
from rushlight.engine.runtime import compiling
from tests.engine.compiler.programs import program_of

pytestmark = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")


class Block(torch.nn.Module):
    """A residual block."""

    def __init__(self, inputs: int, outputs: int, stride: int) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(inputs, outputs, 3, stride, 1, bias=False)
        self.bn1 = torch.nn.BatchNorm2d(outputs)
        self.conv2 = torch.nn.Conv2d(outputs, outputs, 3, 1, 1)
        self.bn2 = torch.nn.BatchNorm2d(outputs)
        self.down = torch.nn.Conv2d(inputs, outputs, 1, stride)

    def forward(self, x: Any) -> Any:
        """Two convolutions, and the input again."""
        y = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(y)) + self.down(x))


class Pooled(torch.nn.Module):
    """A stem, blocks, pooling, a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = torch.nn.Conv2d(3, 32, 3, padding=1)
        self.blocks = torch.nn.Sequential(Block(32, 32, 1), Block(32, 48, 2))
        self.last = torch.nn.Linear(48, 5)

    def forward(self, x: Any) -> Any:
        """Average over all pixels at the end."""
        x = F.max_pool2d(F.relu(self.stem(x)), 3, 2, 1)
        return self.last(self.blocks(x).mean((2, 3)))


class Flattened(torch.nn.Module):
    """Convolutions whose result is flattened, channel by channel."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1 = torch.nn.Conv2d(3, 32, 3)
        self.conv2 = torch.nn.Conv2d(32, 33, 3, stride=2)
        self.last = torch.nn.Linear(33 * 16, 5)

    def forward(self, x: Any) -> Any:
        """With an average pool and a view between."""
        x = F.avg_pool2d(torch.tanh(self.conv1(x)), 2, 1)
        x = F.gelu(self.conv2(x)) * self.conv2.bias.view(1, -1, 1, 1)
        x = torch.cat([x[:, :16] * 2, x[:, 16:]], 1)
        return self.last(x.flatten(1))


def training(make: Callable[[], Any], steps: int = 9) -> list[np.ndarray]:
    """Losses of some steps, and the parameters after them."""
    torch.manual_seed(0)
    net = make()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    x, target = torch.randn(4, 3, 12, 12), torch.randint(0, 5, (4,))
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return [np.array(losses), *[p.detach().numpy().copy() for p in net.parameters()]]


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The compiler's passes, the layout's among them, used from the third run on."""
    made = {**pipeline.PASSES, "layout": channels_last}
    monkeypatch.setattr(pipeline, "PASSES", made)
    monkeypatch.setattr(compiling.thresholds, "begin", 1)
    monkeypatch.setattr(compiling.thresholds, "use", 2)
    return made


@pytest.mark.parametrize("make", [Pooled, Flattened])
def test_training_gives_the_same_numbers(
    make: Callable[[], Any], passes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled = training(make)
    monkeypatch.setattr(pipeline.config, "compiler", False)
    interpreted = training(make)
    for have, want in zip(compiled, interpreted, strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-3, atol=2e-4)


def step_of(make: Callable[[], Any]) -> Callable[[], Any]:
    """A training step."""
    net = make()
    x, target = torch.randn(4, 3, 12, 12), torch.randint(0, 5, (4,))

    def step() -> Any:
        for p in net.parameters():
            p.grad = None
        F.cross_entropy(net(x), target).backward()

    return step


def rewritten(step: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Any:
    """The graph of a step after all passes."""
    made = {**pipeline.PASSES, "layout": channels_last}
    monkeypatch.setattr(pipeline, "PASSES", made)
    return pipeline.simplified(program_of(step))


def test_nothing_is_copied_between_the_layers(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = rewritten(step_of(Pooled), monkeypatch)
    assert not [node for node in graph.nodes if node.spec.op.name == "clone_"]
    images = [
        value.meta for node in graph.nodes for value in node.outs
        if value.meta.ndim == 4 and value.meta.shape[0] == 4 and min(value.meta.shape[1:]) > 1
        and 0 not in value.meta.strides
    ]  # fmt: skip
    assert images
    assert all(is_channels_last(meta.shape, meta.strides) for meta in images)


def test_what_is_kept_has_its_strides(monkeypatch: pytest.MonkeyPatch) -> None:
    layer = torch.nn.Conv2d(3, 32, 3)
    x = torch.randn(2, 3, 8, 8)
    kept: list[Any] = []

    def step() -> None:
        y = layer(x)
        kept[:] = [y, torch.relu(y)]

    graph = rewritten(step, monkeypatch)
    assert all(value.meta.contiguous for value in graph.keep.values())


def test_small_networks_stay_as_they_are() -> None:
    layer = torch.nn.Conv2d(3, 6, 5)
    x = torch.randn(4, 3, 32, 32)
    kept: list[Any] = []

    def step() -> None:
        kept[:] = [torch.relu(layer(x))]

    graph = import_program(program_of(step))
    before = [node.spec for node in graph.nodes]
    channels_last(graph)
    assert [node.spec for node in graph.nodes] == before
