"""Learning-rate schedules step by step beside PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.nn.both import compare

SCHEDULES = [
    "LambdaLR(o, lambda epoch: 0.9 ** epoch)",
    "LambdaLR(o, [lambda epoch: 0.9 ** epoch, lambda epoch: 1 / (epoch + 1)])",
    "MultiplicativeLR(o, lambda epoch: 0.95)",
    "StepLR(o, 3)", "StepLR(o, 3, gamma=0.5)", "MultiStepLR(o, [2, 5, 5, 9], gamma=0.5)",
    "ConstantLR(o, 0.5, total_iters=4)", "ConstantLR(o)",
    "LinearLR(o)", "LinearLR(o, 0.2, 0.8, total_iters=7)",
    "ExponentialLR(o, 0.8)", "PolynomialLR(o)", "PolynomialLR(o, total_iters=8, power=2.0)",
    "CosineAnnealingLR(o, 6)", "CosineAnnealingLR(o, 6, eta_min=0.01)",
    "CosineAnnealingWarmRestarts(o, 4)", "CosineAnnealingWarmRestarts(o, 3, 2, eta_min=0.01)",
    "CyclicLR(o, 0.01, 0.1, step_size_up=3, cycle_momentum=False)",
    "CyclicLR(o, [0.01, 0.02], 0.1, step_size_up=3, step_size_down=5)",
    "CyclicLR(o, 0.01, 0.1, step_size_up=3, mode='triangular2')",
    "CyclicLR(o, 0.01, 0.1, step_size_up=3, mode='exp_range', gamma=0.9)",
    "CyclicLR(o, 0.01, 0.1, step_size_up=3, scale_fn=lambda x: 1 / x)",
    "OneCycleLR(o, 0.1, total_steps=20)", "OneCycleLR(o, [0.1, 0.5], epochs=4, steps_per_epoch=5)",
    "OneCycleLR(o, 0.1, total_steps=20, anneal_strategy='linear', cycle_momentum=False)",
    "OneCycleLR(o, 0.1, total_steps=20, three_phase=True, pct_start=0.4)",
    "SequentialLR(o, [s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9)], [4])",
    "SequentialLR(o, [s.LinearLR(o, 0.1), s.CosineAnnealingLR(o, 5), s.StepLR(o, 2)], [3, 9])",
    "ChainedScheduler([s.ConstantLR(o, 0.1, 3), s.ExponentialLR(o, 0.9)])",
    "ChainedScheduler([s.LinearLR(o), s.StepLR(o, 4)], optimizer=o)",
]  # fmt: skip


def setup(torch: Any, kind: str = "SGD") -> Any:
    """An optimizer of two groups."""
    parameters = [torch.nn.Parameter(torch.ones(1)) for _ in range(2)]
    options = {"momentum": 0.9} if kind == "SGD" else {}
    return getattr(torch.optim, kind)(
        [{"params": parameters[:1]}, {"params": parameters[1:], "lr": 0.5}], lr=0.05, **options
    )


def make(torch: Any, text: str, optimizer: Any) -> Any:
    schedules = torch.optim.lr_scheduler
    return eval("s." + text, {"s": schedules, "o": optimizer})


def options(optimizer: Any) -> Any:
    """What a schedule may change."""
    names = ("lr", "momentum", "betas", "initial_lr")
    return [{k: g[k] for k in names if k in g} for g in optimizer.param_groups]


def run(torch: Any, text: str, kind: str) -> Any:
    optimizer = setup(torch, kind)
    schedule = make(torch, text, optimizer)
    track = [options(optimizer)]
    for _ in range(18):
        optimizer.step()
        schedule.step()
        track.append([options(optimizer), schedule.get_last_lr(), schedule.last_epoch
                      if hasattr(schedule, "last_epoch") else None])  # fmt: skip
    return track


@pytest.mark.parametrize("text", SCHEDULES)
@pytest.mark.parametrize("kind", ["SGD", "Adam"])
def test_schedule(text: str, kind: str) -> None:
    if text.startswith("ChainedScheduler"):

        def chained(torch: Any) -> Any:
            optimizer = setup(torch, kind)
            schedule = make(torch, text, optimizer)
            track = [options(optimizer)]
            for _ in range(12):
                optimizer.step()
                schedule.step()
                track.append([options(optimizer), schedule.get_last_lr()])
            return track

        compare(chained, tolerance=1e-12)
    else:
        compare(run, text, kind, tolerance=1e-12)


def resumed(torch: Any, text: str) -> Any:
    """A schedule goes on from its saved state."""
    optimizer = setup(torch)
    schedule = make(torch, text, optimizer)
    for _ in range(5):
        optimizer.step()
        schedule.step()
    saved, saved_optimizer = schedule.state_dict(), optimizer.state_dict()
    other = setup(torch)
    again = make(torch, text, other)
    other.load_state_dict(saved_optimizer)
    again.load_state_dict(saved)
    track = []
    for _ in range(6):
        other.step()
        again.step()
        track.append([options(other), again.get_last_lr()])
    return track


@pytest.mark.parametrize("text", SCHEDULES)
def test_resuming(text: str) -> None:
    compare(resumed, text, tolerance=1e-12)


MEASURES = [1.0, 0.9, 0.95, 0.91, 0.9, 0.9, 0.8, 0.85, 0.84, 0.83, 0.82, 0.81, 0.8, 0.8, 0.8]


@pytest.mark.parametrize(
    "text",
    [
        "ReduceLROnPlateau(o, patience=1)",
        "ReduceLROnPlateau(o, 'max', factor=0.5, patience=2, threshold=0.1, cooldown=2)",
        "ReduceLROnPlateau(o, patience=0, threshold_mode='abs', min_lr=[0.01, 0.2], eps=1e-3)",
    ],
)
def test_plateau(text: str) -> None:
    def watch(torch: Any) -> Any:
        optimizer = setup(torch)
        schedule = make(torch, text, optimizer)
        track = []
        for measure in MEASURES:
            schedule.step(torch.tensor(measure))
            track.append([options(optimizer), schedule.get_last_lr(), schedule.num_bad_epochs])
        return track

    compare(watch, tolerance=1e-12)


@pytest.mark.parametrize(
    "text",
    [
        "StepLR(3, 1)", "LambdaLR(o, [lambda e: 1])", "ConstantLR(o, 2.0)", "LinearLR(o, 0.0)",
        "LinearLR(o, end_factor=2.0)", "CosineAnnealingWarmRestarts(o, 0)",
        "CosineAnnealingWarmRestarts(o, 3, 0)", "OneCycleLR(o, 0.1)",
        "OneCycleLR(o, 0.1, total_steps=-1)", "OneCycleLR(o, 0.1, total_steps=5, pct_start=2)",
        "OneCycleLR(o, 0.1, total_steps=5, anneal_strategy='x')", "CyclicLR(o, 1, 2, mode='x')",
        "ReduceLROnPlateau(o, factor=1.0)", "ReduceLROnPlateau(o, mode='x')",
        "ReduceLROnPlateau(o, min_lr=[1])", "ReduceLROnPlateau(o, threshold_mode='x')",
        "StepLR(o, 1, last_epoch=3)", "SequentialLR(o, [s.StepLR(o, 1)], [1])",
        "ChainedScheduler([])",
    ],
)  # fmt: skip
def test_refused(text: str) -> None:
    compare(lambda torch: make(torch, text, setup(torch)), raises=True)


def test_cycles_need_momentum() -> None:
    def cycle(torch: Any) -> Any:
        optimizer = torch.optim.Adagrad([torch.nn.Parameter(torch.ones(1))])
        return torch.optim.lr_scheduler.CyclicLR(optimizer, 0.1, 0.2)

    compare(cycle, raises=True)


def too_many_steps(torch: Any) -> Any:
    optimizer = setup(torch)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.1, total_steps=3)
    for _ in range(5):
        optimizer.step()
        schedule.step()


def test_one_cycle_ends() -> None:
    compare(too_many_steps, raises=True)


def wrong_order(torch: Any) -> Any:
    optimizer = setup(torch)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    schedule.step()
    return options(optimizer)


def test_order_of_steps() -> None:
    compare(wrong_order, warned=True)


def own_schedule(torch: Any) -> Any:
    class Halving(torch.optim.lr_scheduler.LRScheduler):
        def get_lr(self) -> list[float]:
            return [base / 2**self.last_epoch for base in self.base_lrs]

    optimizer = setup(torch)
    schedule = Halving(optimizer)
    for _ in range(3):
        optimizer.step()
        schedule.step()
    return options(optimizer), isinstance(schedule, torch.optim.lr_scheduler._LRScheduler)


def test_own_schedule() -> None:
    compare(own_schedule)


def rate_as_tensor(torch: Any) -> Any:
    parameter = torch.nn.Parameter(torch.ones(2))
    optimizer = torch.optim.SGD([parameter], lr=torch.tensor(0.5), foreach=False)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.5)
    for _ in range(3):
        optimizer.zero_grad()
        (parameter**2).sum().backward()
        optimizer.step()
        schedule.step()
    return (
        parameter,
        optimizer.param_groups[0]["lr"],
        math.isclose(schedule.get_last_lr()[0], 0.0625),
    )


def test_rate_as_tensor() -> None:
    compare(rate_as_tensor)
