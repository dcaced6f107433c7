"""Every algorithm for a hundred steps beside PyTorch's: parameters, state, options, text."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

from tests.nn.both import compare

CASES = [
    "SGD(p)", "SGD(p, lr=0.1)", "SGD(p, lr=0.1, momentum=0.9)",
    "SGD(p, lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.01)",
    "SGD(p, lr=0.1, momentum=0.9, dampening=0.3)", "SGD(p, lr=0.01, maximize=True)",
    "Adam(p)", "Adam(p, lr=0.05)", "Adam(p, lr=0.05, weight_decay=0.1, amsgrad=True)",
    "Adam(p, lr=0.05, betas=(0.3, 0.5))", "Adam(p, maximize=True, weight_decay=0.1)",
    "Adam(p, decoupled_weight_decay=True, weight_decay=0.1)",
    "AdamW(p)", "AdamW(p, lr=0.05, weight_decay=0.3, amsgrad=True)", "AdamW(p, maximize=True)",
    "RMSprop(p)", "RMSprop(p, lr=0.005, momentum=0.5)", "RMSprop(p, centered=True)",
    "RMSprop(p, centered=True, momentum=0.5, weight_decay=0.1, alpha=0.9)",
    "RMSprop(p, maximize=True)",
    "Adagrad(p)", "Adagrad(p, lr=0.1, lr_decay=0.1, weight_decay=0.1)",
    "Adagrad(p, initial_accumulator_value=0.5, maximize=True)",
    "Adadelta(p)", "Adadelta(p, lr=0.5, rho=0.8, weight_decay=0.1, maximize=True)",
    "Adamax(p)", "Adamax(p, lr=0.05, weight_decay=0.1)", "Adamax(p, maximize=True)",
    "NAdam(p)", "NAdam(p, lr=0.05, weight_decay=0.1)",
    "NAdam(p, weight_decay=0.1, decoupled_weight_decay=True, maximize=True)",
    "RAdam(p)", "RAdam(p, lr=0.05, weight_decay=0.1)",
    "RAdam(p, weight_decay=0.1, decoupled_weight_decay=True, maximize=True)",
    "Rprop(p)", "Rprop(p, lr=0.1, etas=(0.3, 1.5), step_sizes=(1e-3, 1.0))",
    "Rprop(p, maximize=True)",
    "ASGD(p)", "ASGD(p, lr=0.05, t0=20, lambd=0.01, weight_decay=0.1)", "ASGD(p, maximize=True)",
]  # fmt: skip


def objective(parameters: list[Any]) -> Any:
    """Something curved and bounded in which the parameters depend on each other."""
    matrix, vector, number = parameters
    product = (matrix @ vector).tanh()
    return ((product - 0.5) ** 2).mean() + 0.1 * (number * vector).sin().sum() + number.cos()


def run(torch: Any, text: str, dtype: str, steps: int) -> Any:
    draw = np.random.RandomState(1)
    parameters = [
        torch.nn.Parameter(torch.tensor(np.asarray(draw.randn(*shape), dtype)))
        for shape in ((4, 3), (3,), ())
    ]
    optimizer = eval(text, {**vars(torch.optim), "p": parameters})
    track = []
    for step in range(steps):
        optimizer.zero_grad()
        objective(parameters).backward()
        optimizer.step()
        if step in (0, 1, 2, 9):
            track.append([p.detach().clone() for p in parameters])
    return track, parameters, optimizer.state_dict(), repr(optimizer), optimizer.defaults


@pytest.mark.parametrize("text", CASES)
def test_trajectory(text: str) -> None:
    compare(run, text, "float64", 100, tolerance=1e-7)


@pytest.mark.parametrize("text", CASES)
def test_single_precision(text: str) -> None:
    compare(run, text, "float32", 20, tolerance=1e-4)


def resumed(torch: Any, text: str) -> Any:
    """Going on from a saved state is as if nothing had happened."""
    first = [torch.nn.Parameter(torch.tensor([[0.5, -1.0], [2.0, 0.1]]))]
    one = eval(text, {**vars(torch.optim), "p": first})
    for _ in range(3):
        one.zero_grad()
        (first[0] ** 4).sum().backward()
        one.step()
    second = [torch.nn.Parameter(first[0].detach().clone())]
    two = eval(text, {**vars(torch.optim), "p": second})
    two.load_state_dict(copy.deepcopy(one.state_dict()))
    for parameters, optimizer in ((first, one), (second, two)):
        optimizer.zero_grad()
        (parameters[0] ** 4).sum().backward()
        optimizer.step()
    return first[0], second[0], two.state_dict()


@pytest.mark.parametrize("text", [case for case in CASES if "maximize" not in case])
def test_resuming(text: str) -> None:
    compare(resumed, text, tolerance=1e-5)


def groups(torch: Any) -> Any:
    """Groups with options of their own, and parameters without gradients."""
    a, b, c = (torch.nn.Parameter(torch.ones(2) * n) for n in (1, 2, 3))
    optimizer = torch.optim.Adam(
        [{"params": [a]}, {"params": b, "lr": 0.5, "betas": (0.5, 0.9)}], lr=0.1
    )
    optimizer.add_param_group({"params": [c], "weight_decay": 0.5})
    for step in range(3):
        optimizer.zero_grad()
        (a * b + (c if step else 0)).sum().backward()
        optimizer.step()
    return [a, b, c], optimizer.state_dict(), repr(optimizer)


def named(torch: Any) -> Any:
    module = torch.nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.named_parameters(), lr=0.1)
    return optimizer.state_dict(), optimizer.param_groups[0]["param_names"]


def double(torch: Any) -> Any:
    parameter = torch.nn.Parameter(torch.ones(3, dtype=torch.float64))
    optimizer = torch.optim.Adam([parameter], lr=0.1)
    for _ in range(5):
        optimizer.zero_grad()
        (parameter**3).sum().backward()
        optimizer.step()
    return parameter, optimizer.state_dict()


@pytest.mark.parametrize("program", [groups, named, double], ids=lambda p: p.__name__)
def test_agrees_with_pytorch(program: Any) -> None:
    compare(program)
