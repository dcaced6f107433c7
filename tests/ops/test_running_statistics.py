"""``batch_norm``: what its running statistics may be, and when they are moved."""

from __future__ import annotations

from typing import Any

import pytest

from tests.nn.both import compare

SHARED = [("weight",), ("bias",), ("weight", "bias"), ("running_var", "weight"), ("running_var",)]


def normalised(torch: Any, shared: tuple[str, ...], view: bool, instance: bool) -> Any:
    statistics = torch.tensor([1.0, 2.0, 0.5])
    parts = {
        "running_mean": statistics, "running_var": torch.ones(3),
        "weight": torch.tensor([1.0, 3.0, -1.0]), "bias": torch.zeros(3),
    }  # fmt: skip
    parts |= dict.fromkeys(shared, statistics[:] if view else statistics)
    x = torch.randn(4, 3, 5, requires_grad=True)
    call = torch.nn.functional.instance_norm if instance else torch.nn.functional.batch_norm
    flag = "use_input_stats" if instance else "training"
    y = call(x, **parts, **{flag: True}, momentum=0.3)
    (y**3).sum().backward()
    return y, x.grad, statistics, parts["running_var"]


@pytest.mark.parametrize("instance", [False, True])
@pytest.mark.parametrize("view", [False, True])
@pytest.mark.parametrize("shared", SHARED)
def test_one_memory_for_several_parts(shared: tuple[str, ...], view: bool, instance: bool) -> None:
    compare(normalised, shared, view, instance, tolerance=2e-5)


def wanting_gradients(torch: Any, training: bool, which: int, recording: bool) -> Any:
    statistics = [torch.zeros(3), torch.ones(3)]
    statistics[which].requires_grad_()
    x = torch.randn(4, 3, requires_grad=True)
    with torch.set_grad_enabled(recording):
        y = torch.nn.functional.batch_norm(x, *statistics, training=training)
    return y, statistics


@pytest.mark.parametrize("recording", [False, True])
@pytest.mark.parametrize("which", [0, 1])
@pytest.mark.parametrize("training", [False, True])
def test_statistics_that_want_gradients(training: bool, which: int, recording: bool) -> None:
    compare(wanting_gradients, training, which, recording, raises=recording)
