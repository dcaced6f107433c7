"""Ordinary training programs, their steps compiled: the same losses, native code or not."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest

import rushlight as torch
from rushlight.engine.core.config import config

nn, F = torch.nn, torch.nn.functional

Program = Callable[[Callable[..., Any]], list[float]]


def lenet(wrap: Callable[..., Any]) -> list[float]:
    net = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 8, 3), nn.BatchNorm2d(8),
        nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(32, 10),
    )  # fmt: skip
    optimizer = torch.optim.SGD(net.parameters(), lr=0.05, momentum=0.9)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 10)

    def step(x: Any, y: Any) -> Any:
        optimizer.zero_grad(set_to_none=False)
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimizer.step()
        return loss.detach()

    call, losses = wrap(step), []
    for _ in range(10):
        losses.append(call(torch.randn(4, 1, 12, 12), torch.randint(0, 10, (4,))).item())
        schedule.step()
    return losses


def recurrent(wrap: Callable[..., Any]) -> list[float]:
    class Model(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embed = nn.Embedding(12, 6)
            self.lstm = nn.LSTM(6, 8, batch_first=True)
            self.head = nn.Linear(8, 12)

        def forward(self, tokens: Any, state: Any) -> Any:
            found, state = self.lstm(self.embed(tokens), state)
            return self.head(found), state

    model = Model()
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)

    def step(tokens: Any, state: Any) -> Any:
        logits, state = model(tokens[:, :-1], state)
        loss = F.cross_entropy(logits.reshape(-1, 12), tokens[:, 1:].reshape(-1))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss, (state[0].detach(), state[1].detach())

    call, losses = wrap(step), []
    state = torch.zeros(1, 3, 8), torch.zeros(1, 3, 8)
    for _ in range(10):
        loss, state = call(torch.randint(0, 12, (3, 7)), state)
        losses.append(loss.item())
    return losses


def attention(wrap: Callable[..., Any]) -> list[float]:
    layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.1, batch_first=True)
    embed = nn.Embedding(12, 8)
    head = nn.Linear(8, 12, bias=False)
    head.weight = embed.weight  # tied
    parameters = [*layer.parameters(), *embed.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=0.01)

    def step(tokens: Any) -> Any:
        loss = F.cross_entropy(head(layer(embed(tokens))).transpose(1, 2), tokens)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    call = wrap(step)
    return [call(torch.randint(0, 12, (3, 5))).item() for _ in range(10)]


def moving_average(wrap: Callable[..., Any]) -> list[float]:
    net = nn.Linear(4, 2)
    average = copy.deepcopy(net)
    optimizer = torch.optim.RMSprop(net.parameters(), lr=0.01)

    def step(x: Any) -> Any:
        optimizer.zero_grad()
        loss = (net(x) - average(x).detach() - 1).square().mean()
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            for old, new in zip(average.parameters(), net.parameters(), strict=True):
                old.mul_(0.9).add_(new, alpha=0.1)
        return loss

    call = wrap(step)
    losses = [call(torch.randn(5, 4)).item() for _ in range(10)]
    return losses + average.weight.flatten().tolist()


def adversaries(wrap: Callable[..., Any]) -> list[float]:
    maker, judge = nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 4), nn.LeakyReLU(), nn.Linear(4, 1))
    first = torch.optim.Adam(maker.parameters(), lr=0.01)
    second = torch.optim.Adam(judge.parameters(), lr=0.01)

    def step(noise: Any, real: Any) -> Any:
        fake = maker(noise)
        loss_judge = F.softplus(judge(fake.detach())).mean() + F.softplus(-judge(real)).mean()
        second.zero_grad()
        loss_judge.backward()
        second.step()
        loss_maker = F.softplus(-judge(fake)).mean()
        first.zero_grad()
        loss_maker.backward()
        first.step()
        return loss_judge, loss_maker

    call, losses = wrap(step), []
    for _ in range(10):
        losses += [x.item() for x in call(torch.randn(6, 3), torch.randn(6, 4))]
    return losses


def loader(wrap: Callable[..., Any]) -> list[float]:
    data = torch.utils.data.TensorDataset(torch.randn(22, 4), torch.randn(22, 1))
    batches = torch.utils.data.DataLoader(data, batch_size=5, shuffle=True)
    net = wrap(nn.Sequential(nn.Linear(4, 8), nn.Dropout(0.2), nn.Linear(8, 1)))
    optimizer = torch.optim.Adagrad(net.parameters(), lr=0.05)
    losses = []
    for _ in range(4):
        total = 0.0
        net.train()
        for x, y in batches:
            optimizer.zero_grad()
            loss = F.mse_loss(net(x), y)
            loss.backward()
            optimizer.step()
            total += loss.item()
        losses.append(total)
        net.eval()
        with torch.no_grad():
            losses.append(sum(F.mse_loss(net(x), y).item() for x, y in batches))
    return losses


@pytest.mark.parametrize("native", [False, True])
@pytest.mark.parametrize(
    "program", [lenet, recurrent, attention, moving_average, adversaries, loader]
)
def test_losses(program: Program, native: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(config, "compiler", native)
    torch.manual_seed(0)
    expected = program(lambda function: function)
    made: list[Any] = []

    def compiled(function: Any) -> Any:
        made.append(torch.compile(function))
        return made[-1]

    torch.manual_seed(0)
    found = program(compiled)
    assert found == (pytest.approx(expected, rel=1e-4, abs=1e-6) if native else expected)
    replayed = getattr(made[0], "_compiled", made[0]).replayed
    assert replayed >= 5
