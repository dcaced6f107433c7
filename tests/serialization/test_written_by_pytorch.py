"""Files in ``data`` that PyTorch 2.13 has written, for machines without it."""

from __future__ import annotations

from pathlib import Path

import pytest

import rushlight as torch
from rushlight.serialization import LoadError

DATA = Path(__file__).parent / "data"


def check(found: dict) -> None:
    assert found["epoch"] == 3
    assert found["shape"] == torch.Size([1, 2])
    assert (found["dtype"], found["device"]) == (torch.bfloat16, torch.device("cpu"))
    assert found["nested"] == (1, [None, {"a": b"b"}], {"c": 2.5})
    assert type(found["parameter"]) is torch.nn.Parameter
    whole, turned, part = found["views"]
    whole += 1
    assert turned.stride() == (1, 4)
    assert turned[:, 0].tolist() == [1.0, 2.0, 3.0, 4.0]
    assert part.tolist() == [3.0, 4.0, 5.0]


def network() -> torch.nn.Module:
    return torch.nn.Sequential(
        torch.nn.Conv2d(1, 2, 3), torch.nn.BatchNorm2d(2), torch.nn.Flatten(), torch.nn.Linear(8, 3)
    )


def test_a_checkpoint() -> None:
    found = torch.load(DATA / "pytorch_checkpoint.pt")
    check(found)
    for tensor in found["types"]:
        expected = [0.0, 1.0, 1.0 if tensor.dtype is torch.bool else 2.0]
        assert tensor.to(torch.complex128).real.tolist() == expected
    net = network()
    net.load_state_dict(found["model"])
    optimizer = torch.optim.Adam(net.parameters())
    optimizer.load_state_dict(found["optimizer"])
    assert optimizer.param_groups[0]["lr"] == 0.1
    assert optimizer.state[net[0].weight]["step"] == 1


def test_a_checkpoint_in_the_format_before_1_6() -> None:
    check(torch.load(DATA / "pytorch_before_1_6.pt"))


def test_a_whole_network() -> None:
    with pytest.raises(LoadError, match=r"GLOBAL torch\.nn\.modules\.container\.Sequential"):
        torch.load(DATA / "pytorch_module.pt")
    net = torch.load(DATA / "pytorch_module.pt", weights_only=False)
    state = torch.load(DATA / "pytorch_checkpoint.pt")["model"]
    other = network().eval()
    other.load_state_dict(state)
    x = torch.randn(2, 1, 4, 4)
    assert type(net) is torch.nn.Sequential
    assert torch.allclose(net(x), other(x))
