"""Every workload of the benchmarks runs on rushlight and gives PyTorch's losses with its seed.

``recorded_losses.json`` holds PyTorch 2.13's figures for machines on which it is not installed;
``python -m tests.benchmarks.test_workloads`` writes it anew.
"""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest

import rushlight
from benchmarks.workloads import WORKLOADS

RECORDED = Path(__file__).with_name("recorded_losses.json")
STEPS = 2


def losses(framework: Any, key: str) -> list[float]:
    """The first losses of a workload."""
    step = WORKLOADS[key].build(framework)
    return [step().item() for _ in range(STEPS)]


@pytest.mark.parametrize("key", WORKLOADS)
def test_losses_are_those_recorded_from_pytorch(key: str) -> None:
    recorded = json.loads(RECORDED.read_text())
    assert losses(rushlight, key) == pytest.approx(recorded[key], rel=1e-4)


@pytest.mark.parametrize("key", WORKLOADS)
def test_the_recorded_losses_are_still_pytorchs(key: str) -> None:
    torch = pytest.importorskip("torch", reason="PyTorch is not installed (extra `oracle`)")
    recorded = json.loads(RECORDED.read_text())
    assert losses(torch, key) == pytest.approx(recorded[key], rel=1e-4)


@pytest.mark.parametrize("peer", ["jax", "tinygrad"])
@pytest.mark.parametrize("key", ["mlp", "lenet", "lit_mnist"])
def test_peers_learn_the_same(peer: str, key: str) -> None:
    pytest.importorskip(peer, reason=f"{peer} is not installed: it is measured where it is")
    try:
        step = importlib.import_module(f"benchmarks.peers_{peer}").WORKLOADS[key]()
    except RuntimeError as error:
        pytest.skip(f"{peer} finds no device here: {error}")
    first = step().item()
    for _ in range(100):
        last = step().item()
    assert first == pytest.approx(json.loads(RECORDED.read_text())[key][0], rel=0.25)
    assert last < first


if __name__ == "__main__":
    figures = {key: losses(importlib.import_module("torch"), key) for key in WORKLOADS}
    RECORDED.write_text(json.dumps(figures, indent=1) + "\n")
