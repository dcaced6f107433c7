"""With one seed, the first 100 losses of training loops are PyTorch's, to 1e-5 relative.

``recorded_losses.json`` holds PyTorch 2.13's figures for machines on which it is not installed;
``python -m tests.oracle.test_training_parity`` writes it anew.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight

RECORDED = Path(__file__).with_name("recorded_losses.json")
STEPS = 100


def _train(
    torch: Any, net: Any, criterion: Callable[..., Any], optimizer: Any, inputs: Any, targets: Any,
    batch: int,
) -> list[float]:  # fmt: skip
    data = torch.utils.data
    loader = data.DataLoader(data.TensorDataset(inputs, targets), batch_size=batch, shuffle=True)
    losses: list[float] = []
    while True:
        for x, y in loader:
            optimizer.zero_grad()
            loss = criterion(net(x), y)
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
            if len(losses) == STEPS:
                return losses


def lenet(torch: Any) -> list[float]:
    """The network of note 001 on pictures of 3x32x32, batch 4, SGD with momentum."""
    nn = torch.nn
    torch.manual_seed(1)
    net = nn.Sequential(
        nn.Conv2d(3, 6, 5), nn.ReLU(), nn.MaxPool2d(2, 2), nn.Conv2d(6, 16, 5), nn.ReLU(),
        nn.MaxPool2d(2, 2), nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84),
        nn.ReLU(), nn.Linear(84, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9)
    inputs, targets = torch.randn(200, 3, 32, 32), torch.randint(0, 10, (200,))
    return _train(torch, net, nn.CrossEntropyLoss(), optimizer, inputs, targets, 4)


def _two_layers(torch: Any, make_optimizer: Callable[[Any], Any]) -> list[float]:
    nn = torch.nn
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(1000, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = make_optimizer(net.parameters())
    inputs, targets = torch.randn(256, 1000), torch.randn(256, 10)
    criterion = nn.MSELoss(reduction="sum")
    return _train(torch, net, criterion, optimizer, inputs, targets, 64)


def mlp(torch: Any) -> list[float]:
    """The two-layer network of note 001, SGD."""
    return _two_layers(torch, lambda parameters: torch.optim.SGD(parameters, lr=1e-4))


def mlp_adam(torch: Any) -> list[float]:
    """The two-layer network of note 001, Adam."""
    return _two_layers(torch, lambda parameters: torch.optim.Adam(parameters, lr=1e-4))


def normalised(torch: Any) -> list[float]:
    """What the notes do not have: batch norm, average pooling, weight decay, a schedule."""
    nn = torch.nn
    torch.manual_seed(4)
    net = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(), nn.AvgPool2d(2),
        nn.Conv2d(8, 16, 3, stride=2), nn.BatchNorm2d(16), nn.GELU(), nn.Dropout2d(0.2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.LayerNorm(16), nn.Linear(16, 5),
    )  # fmt: skip
    optimizer = torch.optim.AdamW(net.parameters(), lr=1e-3, weight_decay=0.1)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=STEPS)
    optimizer.register_step_post_hook(lambda *_: schedule.step())
    inputs, targets = torch.randn(100, 1, 16, 16), torch.randint(0, 5, (100,))
    criterion = nn.CrossEntropyLoss(label_smoothing=0.1)
    return _train(torch, net, criterion, optimizer, inputs, targets, 12)


def lit_mnist(torch: Any) -> list[float]:
    """The network of note 001's MNIST module: dropout, log softmax, Adam."""
    nn = torch.nn
    torch.manual_seed(3)
    net = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 64),
        nn.ReLU(), nn.Dropout(0.1), nn.Linear(64, 10), nn.LogSoftmax(dim=1),
    )  # fmt: skip
    optimizer = torch.optim.Adam(net.parameters(), lr=2e-4)
    inputs, targets = torch.randn(512, 1, 28, 28), torch.randint(0, 10, (512,))
    return _train(torch, net, nn.functional.nll_loss, optimizer, inputs, targets, 32)


LOOPS: dict[str, Callable[[Any], list[float]]] = {
    "lenet": lenet,
    "mlp": mlp,
    "mlp_adam": mlp_adam,
    "litmnist": lit_mnist,
    "normalised": normalised,
}


@pytest.mark.parametrize("name", LOOPS)
def test_first_losses_are_the_recorded_ones(name: str) -> None:
    recorded = json.loads(RECORDED.read_text())[name]
    np.testing.assert_allclose(LOOPS[name](rushlight), recorded, rtol=1e-5)


@pytest.mark.parametrize("name", LOOPS)
def test_first_losses_are_pytorchs(name: str) -> None:
    oracle = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    np.testing.assert_allclose(LOOPS[name](rushlight), LOOPS[name](oracle), rtol=1e-5)


if __name__ == "__main__":
    import torch

    found = {name: [round(x, 7) for x in loop(torch)] for name, loop in LOOPS.items()}
    RECORDED.write_text(json.dumps(found) + "\n")
