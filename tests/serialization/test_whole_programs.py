"""Whole objects of a program's own classes cross between ``python`` and ``rushlight run``."""

from __future__ import annotations

import contextlib
import io
import runpy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("torch", reason="PyTorch, the extra `oracle`, is not installed")

NETWORK = """
import torch
from torch import nn
from torch.nn import functional as F

class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv, self.drop, self.fc = nn.Conv2d(1, 4, 3), nn.Dropout2d(), nn.Linear(16, 3)
        self.act, self.size, self.type = F.relu, torch.Size([2]), torch.float32
        self.register_buffer("mean", torch.ones(1))

    def forward(self, x):
        return self.fc(torch.flatten(self.act(self.conv(x)), 1))
"""

SAVE = """
import torch
from network import Net

torch.manual_seed(0)
net = Net().eval()
optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
x = torch.ones(1, 1, 4, 4)
net(x).sum().backward()
optimizer.step()
torch.save({"net": net, "optimizer": optimizer, "answer": net(x)}, "whole.pt")
"""

LOAD = """
import pickle
import torch
from network import Net

try:
    torch.load("whole.pt")
    raise SystemExit("loaded without being asked to trust the file")
except pickle.UnpicklingError as error:
    assert "Weights only load failed" in str(error)
found = torch.load("whole.pt", weights_only=False)
net, optimizer = found["net"], found["optimizer"]
assert type(net) is Net and type(optimizer) is torch.optim.SGD and not net.training
assert net.act is torch.nn.functional.relu and net.type is torch.float32
assert torch.allclose(net(torch.ones(1, 1, 4, 4)), found["answer"], atol=1e-6)
assert optimizer.param_groups[0]["params"][0] is net.conv.weight
optimizer.step()
print("loaded")
"""


def by_python(folder: Path, name: str) -> str:
    """Run a program in this process, which has PyTorch loaded already; what it prints."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        runpy.run_path(str(folder / name))
    return printed.getvalue()


def by_rushlight(folder: Path, name: str) -> str:
    """Run a program under ``rushlight run``; what it prints."""
    command = [sys.executable, "-m", "rushlight", "run", name]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("saver", "loader"),
    [(by_python, by_rushlight), (by_rushlight, by_python), (by_rushlight, by_rushlight)],
    ids=["from PyTorch", "to PyTorch", "by rushlight alone"],
)
def test_a_program_of_two_halves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saver: Any, loader: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for name, text in (("network", NETWORK), ("save", SAVE), ("load", LOAD)):
        (tmp_path / f"{name}.py").write_text(text)
    try:
        saver(tmp_path, "save.py")
        assert loader(tmp_path, "load.py") == "loaded\n"
    finally:
        sys.modules.pop("network", None)
