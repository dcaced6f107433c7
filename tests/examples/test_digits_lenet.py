"""The first example: it learns, writes what it promises, and is a PyTorch script."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from itertools import groupby
from pathlib import Path

import pytest

import rushlight

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "examples" / "digits_lenet.py"

#: What the docstring of the script tells a reader to change.
PYTORCH = [
    (r"^import rushlight as torch$", "import torch"),
    (r"^import rushlight\.", "import torch."),
    (r"^from rushlight\.utils\.data", "from torch.utils.data"),
    (r"^from rushlight\.vision import transforms$", "from torchvision import transforms"),
]

#: Stands for torchvision, whose wheels do not load beside the CPU build of PyTorch.
TRANSFORMS = """
import numpy, torch
from rushlight.vision.transforms import Compose, Resize

def ToTensor():
    return lambda image: torch.from_numpy(numpy.array(image)[None]).float().div(255)

def Normalize(mean, std):
    return lambda image: (image - torch.tensor(mean)) / torch.tensor(std)
"""


def run(script: Path, *arguments: str) -> tuple[str, str]:
    """What the script prints, and its progress bars."""
    environment = {**os.environ, "PYTHONPATH": f"{script.parent}{os.pathsep}{ROOT}"}
    done = subprocess.run(
        [sys.executable, str(script), *arguments],
        capture_output=True,
        text=True,
        env=environment,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout, done.stderr


def batch_losses(progress: str) -> list[float]:
    """The loss of each batch, as the progress bar showed it; it may show one several times."""
    shown = re.findall(r"loss=(\d+\.\d{4})", progress)
    return [float(loss) for loss, _ in groupby(shown)]


def test_it_learns_and_writes(tmp_path: Path) -> None:
    output, _ = run(SCRIPT, "--output", str(tmp_path))
    total = re.search(r"Accuracy of the network on the 360 test images: (\S+) %", output)
    assert total is not None
    assert float(total[1]) > 97
    classes = re.findall(r"^Accuracy of +(\d) : +(\d+) %$", output, re.MULTILINE)
    assert [int(name) for name, _ in classes] == list(range(10))
    assert all(50 <= int(accuracy) <= 100 for _, accuracy in classes)
    assert len(re.findall(r"^epoch .*: held-out loss \S+, accuracy", output, re.MULTILINE)) == 15
    assert (tmp_path / "digits.png").read_bytes().startswith(b"\x89PNG")

    state = rushlight.load(tmp_path / "digits_lenet.pth")
    assert next(iter(state)) == "conv1.weight"
    assert state["conv1.weight"].shape == (6, 1, 5, 5)


def test_it_runs_on_pytorch_with_the_same_losses(tmp_path: Path) -> None:
    pytest.importorskip("torch", reason="the extra 'oracle' is not installed")
    text = SCRIPT.read_text("utf-8")
    for pattern, replacement in PYTORCH:
        text, count = re.subn(pattern, replacement, text, flags=re.MULTILINE)
        assert count
    assert re.findall(r"^(?:from|import) rushlight.*$", text, re.MULTILINE) == [
        "from rushlight.vision.datasets import Digits"
    ]
    script = tmp_path / "digits_lenet_pytorch.py"
    script.write_text(text, "utf-8")
    (tmp_path / "torchvision").mkdir()
    (tmp_path / "torchvision" / "transforms.py").write_text(TRANSFORMS, "utf-8")

    _, theirs = run(script, "--epochs", "1", "--output", str(tmp_path / "theirs"))
    _, ours = run(SCRIPT, "--epochs", "1", "--output", str(tmp_path / "ours"))
    assert len(batch_losses(theirs)) > 80
    # From about the 60th step on PyTorch itself gives other losses with another thread count: one
    # value crosses zero in front of a ReLU.
    assert batch_losses(ours)[:50] == pytest.approx(batch_losses(theirs)[:50], abs=2e-4)
