"""Products of half types are native code, and agree with the interpreter."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight.engine.backends.cpu import onednn
from rushlight.engine.compiler.pipeline import compile_program
from tests.engine.compiler.programs import counts, program_of
from tests.fuzz import modes

nn = torch.nn
HALVES = ["bfloat16", "float16"]

needs_onednn = pytest.mark.skipif(not onednn.available(), reason=f"no oneDNN: {onednn.reason()}")


def training(kind: str, size: int) -> Any:
    """A step that uses a linear layer, batches of products, an addmm, and their gradients."""
    torch.manual_seed(0)
    dtype = getattr(torch, kind)
    layer = nn.Linear(size, size, dtype=dtype)
    more = [torch.randn(size, size, dtype=dtype, requires_grad=True) for _ in range(2)]
    optimizer = torch.optim.SGD([*layer.parameters(), *more], lr=0.01)
    x = torch.randn(2, size, size, dtype=dtype) / size**0.5

    def step() -> Any:
        optimizer.zero_grad()
        y = layer(x).relu() @ x.transpose(1, 2) / size
        y = torch.addmm(y[0], y[1], more[0]) @ (more[1] @ x[0, 0])
        loss = (y / size).float().square().mean()
        loss.backward()
        optimizer.step()
        return loss

    return step


@needs_onednn
@pytest.mark.parametrize("size", [8, 64])
@pytest.mark.parametrize("kind", HALVES)
def test_no_product_is_left_to_python(kind: str, size: int) -> None:
    plan = compile_program(program_of(training(kind, size)))
    assert counts(plan)[3] == 0


@pytest.mark.parametrize("size", [8, 64])
@pytest.mark.parametrize("kind", HALVES)
def test_trainings_agree(kind: str, size: int) -> None:
    ends = []
    for mode in (modes.recorded, modes.compiled):
        with mode():
            step = training(kind, size)
            ends.append([step().item() for _ in range(5)])
    assert ends[1] == pytest.approx(ends[0], rel=2e-2)
