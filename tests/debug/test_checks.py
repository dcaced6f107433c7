"""Every check, on a wrong program and on right ones that look like it."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rushlight as torch
from rushlight.debug import checks

nn, F = torch.nn, torch.nn.functional


@pytest.fixture(autouse=True)
def anew() -> Iterator[None]:
    """Nothing has been reported, everything is on."""
    checks.on()
    yield
    checks.on()


def data() -> tuple[Any, Any]:
    torch.manual_seed(0)
    return torch.randn(6, 4), torch.tensor([0, 1, 2, 0, 1, 2])


def train(before: Callable[[Any], None], after: Callable[[Any], None], every: int = 1) -> None:
    x, y = data()
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    for number in range(6):
        if number % every == 0:
            before(optimizer)
        F.cross_entropy(net(x), y).backward()
        if number % every == every - 1:
            optimizer.step()
            after(optimizer)


def nothing(_: Any) -> None:
    pass


def test_missing_zero_grad() -> None:
    with pytest.warns(checks.LearnerWarning, match=r"zero_grad\(\) before loss.backward") as seen:
        train(nothing, nothing)
    assert len(seen) == 1
    assert seen[0].filename == __file__


def test_missing_zero_grad_is_switched_off() -> None:
    with checks.without("missing_zero_grad"):
        train(nothing, nothing)


def set_to_zero(optimizer: Any) -> None:
    optimizer.zero_grad(set_to_none=False)


def by_hand(optimizer: Any) -> None:
    for group in optimizer.param_groups:
        for p in group["params"]:
            if p.grad is not None:
                p.grad.zero_()


@pytest.mark.parametrize("zero", [torch.optim.Optimizer.zero_grad, set_to_zero, by_hand])
@pytest.mark.parametrize("every", [1, 2, 3])
def test_gradients_that_are_set_to_zero(zero: Callable[[Any], None], every: int) -> None:
    train(zero, nothing, every)
    train(nothing, zero, every)


@pytest.mark.parametrize("shape", [(6, 3), (6, 3, 2)])
def test_softmax_before_cross_entropy(shape: tuple[int, ...]) -> None:
    torch.manual_seed(0)
    x, y = torch.randn(shape) * 1.0, torch.randint(0, 3, (shape[0], *shape[2:]))

    def three_times() -> None:
        for _ in range(3):
            p = torch.softmax(x * 2, dim=1)
            nn.CrossEntropyLoss()(p, y).item()

    with pytest.warns(checks.LearnerWarning, match="without softmax") as seen:
        three_times()
    assert len(seen) == 1
    assert seen[0].filename == __file__


def test_right_losses() -> None:
    x, y = data()
    logits = x[:, :3] * 3
    F.cross_entropy(logits, y).item()
    F.nll_loss(F.log_softmax(logits, dim=1), y).item()
    attention = torch.softmax(logits @ logits.t(), dim=1) @ logits
    F.cross_entropy(attention, y).item()
    F.binary_cross_entropy(torch.sigmoid(logits), torch.ones(6, 3)).item()
    F.binary_cross_entropy_with_logits(logits * torch.sigmoid(logits), torch.ones(6, 3)).item()
    F.kl_div(F.log_softmax(logits, 1), torch.softmax(logits, 1), reduction="batchmean").item()


def test_sigmoid_before_bce_with_logits() -> None:
    x, _ = data()
    with pytest.warns(checks.LearnerWarning, match="without sigmoid"):
        nn.BCEWithLogitsLoss()(torch.sigmoid(x * 5).view(-1), torch.ones(24)).item()


def test_a_training_step_with_both_is_reported_at_its_line() -> None:
    x, y = data()
    net = nn.Sequential(nn.Linear(4, 3), nn.Softmax(dim=1))
    optimizer = torch.optim.Adam(net.parameters())
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        for _ in range(4):
            optimizer.zero_grad()
            nn.CrossEntropyLoss()(net(x), y).backward()
            optimizer.step()
    assert [w.category for w in seen] == [checks.LearnerWarning]


class Hidden(nn.Module):
    def __init__(self, kind: Any) -> None:
        super().__init__()
        layers = [nn.Linear(4, 4), nn.ReLU()]
        self.layers = kind(layers)
        self.head = nn.Linear(4, 3)
        self.spare = nn.Linear(2, 2)

    def forward(self, x: Any) -> Any:
        return self.head(x)


def test_inspect() -> None:
    x, y = data()
    net = Hidden(list)
    optimizer = torch.optim.SGD(net.head.parameters(), lr=0.1)
    F.cross_entropy(net(x), y).backward()
    found = checks.inspect(net, optimizer)
    assert found == [
        "Hidden.layers is a plain list with modules the model does not know; use nn.ModuleList",
        "spare.weight is in no group of the optimizer: it will never change",
        "spare.bias is in no group of the optimizer: it will never change",
    ]
    assert "spare.weight has no gradient: the loss does not depend on it" in checks.inspect(net)
    right = Hidden(nn.ModuleList)
    assert not checks.inspect(right, torch.optim.SGD(right.parameters(), lr=0.1))
    right.aliases = [right.head]
    assert not checks.inspect(right)
    assert checks.inspect(Hidden(lambda layers: {"a": layers[0]}))[0].endswith("nn.ModuleDict")


def test_names() -> None:
    with pytest.raises(ValueError, match="no check called 'x'; there are missing_zero_grad"):
        checks.off("x")
