"""Plans, run element by element in Python, against the interpreter: without any generated code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight.engine.compiler import pipeline, simplify
from rushlight.engine.core.watch import watching
from rushlight.engine.runtime.executor import flush
from tests.engine.compiler.plan_interpreter import run_plan


def leaf(*shape: int) -> Any:
    return torch.randn(*shape, requires_grad=True)


def softmax(x: Any) -> Any:
    return F.softmax(x, -1)


def layer_norm(x: Any) -> Any:
    return F.layer_norm(x, (x.shape[-1],)) * 2


def columns(x: Any) -> Any:
    return (x.exp().sum(0), x.mean(0), x.amax(0), (x * 2).t().sum(1))


def views(x: Any) -> Any:
    y = x * 2
    return (y.t()[1:], y[:, ::2] + 1, y.reshape(-1)[3:7], y[1].expand(3, y.shape[1]) * x[:3])


def broadcasting(x: Any) -> Any:
    row = x.mean(1, keepdim=True)
    return ((x - row) / (x.std(1, keepdim=True) + 1), row.squeeze(1) * 3)


def written_parts(x: Any) -> Any:
    y = x * 1
    y[1:3] += 2
    y[:, 0] = 5
    y.t().mul_(2)
    return y.clone()


def joined(x: Any) -> Any:
    return (torch.cat([x, x * 2], 1), torch.stack([x, -x]), F.pad(x, (1, 2)))


def looked_up(x: Any) -> Any:
    rows = torch.tensor([2, 0, 2])
    return (F.embedding(rows, x) * 2, x.gather(1, torch.tensor([[0], [1], [1], [0]])))


def whole_numbers(x: Any) -> Any:
    n = (x * 10).long()
    return (n // 3, n % 4, n.sum(), (n > 2).any(), n.argmax() + 1)


def empty(x: Any) -> Any:
    y = x[:0]
    return (y.sum(0), y * 2, torch.cat([y, x]))


CASES = (
    softmax, layer_norm, columns, views, broadcasting, written_parts, joined, looked_up,
    whole_numbers, empty,
)  # fmt: skip


def check(step: Callable[[], Any]) -> None:
    """Every program of ``step``: what the plan gives is what the interpreter gives."""
    checked = []

    def compare(trace: Any, program: Any, reason: str) -> Callable[[], None]:
        given = {number: trace.values[number].buffer for number in program.inputs}
        given = {n: b.copy(order="K") if isinstance(b, np.ndarray) else b for n, b in given.items()}
        plan = pipeline.compile_program(program)
        found = run_plan(plan, program, given)
        wanted = [(number, trace.values[number]) for number in program.keep]

        def ended() -> None:
            for number, value in wanted:
                np.testing.assert_allclose(
                    found[number], value.buffer, rtol=2e-6, atol=1e-6, err_msg=str(program)
                )
            checked.append(program)

        return ended

    with watching(flush=compare):
        kept = step()
        flush()
    assert checked
    del kept


@pytest.fixture(autouse=True)
def no_primitives(monkeypatch: pytest.MonkeyPatch) -> None:
    """Matrix products stay Python calls."""
    monkeypatch.setattr("rushlight.engine.compiler.classify.primitive_for", lambda spec: None)
    monkeypatch.setattr("rushlight.engine.compiler.simplify.primitive_for", lambda spec: None)


@pytest.mark.parametrize("case", CASES)
def test_forward(case: Callable[[Any], Any]) -> None:
    x = torch.randn(4, 5)
    check(lambda: case(x))


@pytest.mark.parametrize("case", [softmax, layer_norm, columns, views, broadcasting, joined])
def test_backward(case: Callable[[Any], Any]) -> None:
    x = leaf(4, 5)

    def step() -> Any:
        made = case(x)
        parts = made if isinstance(made, tuple) else (made,)
        total = sum((part * part).sum() for part in parts if part.requires_grad)
        total.backward()
        return total, x.grad

    check(step)


def test_a_training_step() -> None:
    net = torch.nn.Sequential(torch.nn.Linear(5, 4), torch.nn.ReLU(), torch.nn.Linear(4, 3))
    optimizer = torch.optim.Adam(net.parameters())
    x, target = torch.randn(6, 5), torch.randint(0, 3, (6,))

    def step() -> Any:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), target)
        loss.backward()
        optimizer.step()
        return loss

    for _ in range(3):
        check(step)


@pytest.mark.parametrize("name", pipeline.PASSES)
def test_every_pass_can_be_switched_off(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pipeline.config, "passes_off", (name,))
    x = torch.randn(4, 5)
    check(lambda: layer_norm(x))


def test_common_operations_are_computed_once() -> None:
    x = torch.randn(3)
    graphs = []

    def look(trace: Any, program: Any, reason: str) -> None:
        graph = pipeline.import_program(program)
        graph.link()
        before = len(graph.nodes)
        simplify.common(graph)
        graph.link()
        graphs.append((before, len(graph.nodes)))

    with watching(flush=look):
        kept = (x.exp() + 1) * (x.exp() + 1)
        flush()
    assert graphs == [(5, 4)]  # the two numbers 1 may differ at another run
    del kept
