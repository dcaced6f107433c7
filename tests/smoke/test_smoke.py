"""The whole way of a program, from numbers to a trained and saved network, in a few seconds."""

from __future__ import annotations

import gc
import json
import threading
from pathlib import Path

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn as nn
import rushlight.nn.functional as F
import rushlight.optim as optim
from rushlight.engine.runtime.cache import counters
from rushlight.utils.data import DataLoader, TensorDataset
from rushlight.vision import transforms
from rushlight.vision.datasets import Digits


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 8, 3, padding=1)
        self.linear = nn.Linear(8 * 4 * 4, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = F.max_pool2d(F.relu(self.conv(x)), 2)
        return self.linear(x.flatten(1))


def test_numbers_views_and_sharing() -> None:
    array = np.zeros((2, 3), np.float32)
    tensor = torch.from_numpy(array)
    tensor.t()[1] += 1
    assert array.tolist() == [[0, 1, 0], [0, 1, 0]]
    assert repr(tensor.sum()) == "tensor(2.)"


def test_second_derivative() -> None:
    x = torch.tensor([1.0, 2.0], requires_grad=True)
    (first,) = torch.autograd.grad((x**3).sum(), x, create_graph=True)
    first.sum().backward()
    assert first.tolist() == [3.0, 12.0]
    assert x.grad is not None
    assert x.grad.tolist() == [6.0, 12.0]


def test_random_numbers_are_pytorchs() -> None:
    torch.manual_seed(0)
    assert torch.rand(3).tolist() == [0.49625658988952637, 0.7682217955589294, 0.08847743272781372]


def test_a_mistake_is_reported_where_it_is() -> None:
    good = torch.ones(2)
    with pytest.raises(RuntimeError, match="mat1 and mat2 shapes cannot be multiplied"):
        torch.ones(2, 3) @ torch.ones(4, 5)
    assert (good + 1).tolist() == [2.0, 2.0]


def test_a_network_learns_and_comes_back_from_disk(tmp_path: Path) -> None:
    torch.manual_seed(0)
    digits = Digits(train=True, transform=transforms.ToTensor())
    held_out = Digits(train=False, transform=transforms.ToTensor())
    net = Net()
    optimizer = optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    for _ in range(3):
        for images, labels in DataLoader(digits, batch_size=32, shuffle=True):
            optimizer.zero_grad()
            F.cross_entropy(net(images), labels).backward()
            optimizer.step()
    images, labels = next(iter(DataLoader(held_out, batch_size=360)))
    with torch.no_grad():
        answers = net(images)
    assert (answers.argmax(1) == labels).sum().item() > 0.9 * 360

    torch.save(net.state_dict(), tmp_path / "net.pth")
    copy = Net()
    copy.load_state_dict(torch.load(tmp_path / "net.pth"))
    with torch.no_grad():
        assert torch.equal(copy(images), answers)


def test_the_first_losses_are_pytorchs() -> None:
    recorded = Path(__file__).parents[1] / "oracle" / "recorded_losses.json"
    torch.manual_seed(2)
    net = nn.Sequential(nn.Linear(1000, 100), nn.ReLU(), nn.Linear(100, 10))
    optimizer = optim.Adam(net.parameters(), lr=1e-4)
    data = TensorDataset(torch.randn(256, 1000), torch.randn(256, 10))
    losses = []
    for _ in range(5):
        for x, y in DataLoader(data, batch_size=64, shuffle=True):
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y, reduction="sum")
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
    expected = json.loads(recorded.read_text())["mlp_adam"][: len(losses)]
    np.testing.assert_allclose(losses, expected, rtol=1e-5)


def test_a_steady_step_makes_no_program_and_keeps_nothing() -> None:
    net = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 2))
    optimizer = optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = optim.lr_scheduler.ExponentialLR(optimizer, 0.99)
    x, y = torch.randn(6, 4), torch.randint(0, 2, (6,))

    def steps(count: int) -> None:
        for _ in range(count):
            optimizer.zero_grad()
            F.cross_entropy(net(x), y).backward()
            optimizer.step()
            schedule.step()

    steps(10)
    gc.collect()
    before = counters.programs, counters.states
    objects = len(gc.get_objects())
    steps(500)
    gc.collect()
    assert (counters.programs, counters.states) == before
    assert len(gc.get_objects()) - objects < 100


def test_another_thread_computes_the_same() -> None:
    waiting = torch.arange(4.0) * 2
    found: list[list[float]] = []
    thread = threading.Thread(target=lambda: found.append((waiting + 1).tolist()))
    thread.start()
    thread.join()
    assert found == [[1.0, 3.0, 5.0, 7.0]]
    assert waiting.tolist() == [0.0, 2.0, 4.0, 6.0]
