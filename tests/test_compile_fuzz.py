"""Random functions over random tensors, compiled and as written: the same results, always."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rushlight as torch
from rushlight.engine.core.config import config


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything in the interpreter, so that results can be compared bit by bit."""
    monkeypatch.setattr(config, "compiler", False)
    yield
    torch.compiler.reset()


def _write_part(a: Any, b: Any) -> Any:
    a.detach()[1:2].mul_(0.5)
    return a + b


def _add_in_place(a: Any, b: Any) -> Any:
    a.detach().add_(b.detach() * 0.25)
    return a * 1.0


def _copy(a: Any, b: Any) -> Any:
    a.detach().copy_(b.detach() * 0.5)
    return b


OPERATIONS: list[Callable[[Any, Any], Any]] = [
    lambda a, b: a + b,
    lambda a, b: a * b,
    lambda a, b: (a - b).tanh(),
    lambda a, b: a @ b.t(),
    lambda a, b: a.t() + b,
    lambda a, b: a[0] + b,
    lambda a, b: torch.where(a > b, a, b),
    lambda a, b: a.flip(0).contiguous() * 0.5 + b.mean(),
    lambda a, b: torch.nn.functional.dropout(a, 0.3) + b,
    lambda a, b: torch.zeros(3, 3) + a,
    lambda a, b: a.reshape(9)[b.abs().long().reshape(9) % 9].reshape(3, 3),
    _write_part, _add_in_place, _copy,
]  # fmt: skip


def make(seed: int) -> tuple[Callable[..., Any], list[Any]]:
    """A random function of two tensors and of a state, and that state."""
    draw = random.Random(seed)
    torch.manual_seed(seed)
    state = [torch.randn(3, 3) for _ in range(3)]
    state[1].requires_grad_()
    if draw.random() < 0.5:
        state.append(state[0].t())
    steps = [
        (draw.choice(OPERATIONS), draw.randrange(100), draw.randrange(100))
        for _ in range(draw.randint(2, 9))
    ]
    backward, several = draw.random() < 0.4, draw.random() < 0.5

    def function(x: Any, y: Any) -> Any:
        pool = [x, y, *state]
        for operation, i, j in steps:
            pool.append(operation(pool[i % len(pool)], pool[j % len(pool)]) * 0.9)
        result = pool[-1]
        if backward and result.requires_grad:
            state[1].grad = None
            result.sum().backward()
        return (result, pool[-2] * 2, {"first": pool[5].sum()}) if several else result

    return function, state


def flat(found: Any) -> list[Any]:
    if isinstance(found, torch.Tensor):
        return [found.detach().tolist(), found.requires_grad]
    parts = found.values() if isinstance(found, dict) else found
    return [x for part in parts for x in flat(part)]


def history(seed: int, compiled: bool) -> tuple[list[Any], int]:
    """Everything that can be seen of eight calls, with changes in between."""
    function, state = make(seed)
    call = torch.compile(function) if compiled else function
    change = random.Random(seed + 1)
    torch.manual_seed(seed + 2)
    seen: list[Any] = []
    for number in range(10):
        x, y = torch.randn(3, 3), torch.randn(3, 3)
        what = change.randrange(8)
        if what == 0:
            state[0].mul_(0.5)
        elif what == 1 and number > 5:
            state[2] = torch.ones(3, 3)
        elif what == 2:
            x = torch.randn(6, 3)[::2]
        elif what == 3 and number > 4:
            y = x
        result = call(x, y)
        seen.append(flat(result))
        seen.append([t.detach().tolist() for t in (x, y, *state)])
        seen.append(None if state[1].grad is None else state[1].grad.tolist())
        parts = result if isinstance(result, tuple) else (result,)
        if number % 3 == 2 and parts[0].requires_grad and parts[0].grad_fn is not None:
            try:
                parts[0].sum().backward()
                seen.append(state[1].grad.tolist())
            except RuntimeError as error:
                seen.append(str(error)[:40])
    return seen, call.replayed if compiled else 0


@pytest.mark.parametrize("start", range(0, 30, 10))
def test_random_functions(start: int) -> None:
    replayed = 0
    for seed in range(start, start + 10):
        expected, _ = history(seed, False)
        found, count = history(seed, True)
        assert found == expected, f"seed {seed}"
        replayed += count
    assert replayed > 10
