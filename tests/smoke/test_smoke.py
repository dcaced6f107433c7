"""The whole way of a program, from numbers to a trained and saved network, in a few seconds."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn as nn
import rushlight.nn.functional as F
import rushlight.optim as optim
from rushlight.utils.data import DataLoader
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
