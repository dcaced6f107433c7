"""What initial weights are made of: memory of their own, which the first step may write over."""

from __future__ import annotations

import pytest

import rushlight as torch
from rushlight import nn


def owns(tensor: torch.Tensor) -> bool:
    return bool(tensor._read().buffer.base is None)


@pytest.mark.parametrize(
    "module", [nn.Linear(3, 2), nn.Conv2d(3, 4, 3), nn.Conv1d(2, 2, 1, bias=False)]
)
def test_weights_of_modules(module: nn.Module) -> None:
    assert all(map(owns, module.parameters()))


@pytest.mark.parametrize("name", ["uniform_", "normal_", "kaiming_normal_", "xavier_uniform_"])
@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_weights_of_ones_own(name: str, kind: torch.dtype) -> None:
    weight = torch.empty(20, 30, dtype=kind)
    getattr(nn.init, name)(weight)
    weight.sum().item()
    assert owns(weight)


def test_the_first_step_writes_over_them() -> None:
    weight = nn.Parameter(torch.rand(100, 100))
    place = weight._read().buffer.ctypes.data
    optimizer = torch.optim.SGD([weight], lr=0.1, momentum=0.9)
    (weight * weight).sum().backward()
    optimizer.step()
    assert weight._read().buffer.ctypes.data == place
