"""A rule captured for one size and renamed for another is the rule captured for that size."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight.engine.ir.graph import make_meta
from rushlight.engine.trace import group
from rushlight.engine.trace.group_rules import outputs_of, resized

ALGORITHMS = ("SGD", "Adam", "AdamW", "RMSprop", "Adagrad", "Adamax", "NAdam", "Adadelta", "Rprop")


@pytest.mark.parametrize("name", ALGORITHMS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_resized_rule_is_the_captured_one(
    name: str, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    captured: list[Any] = []
    original = group.capture

    def note(rule: Any, names: Any, kinds: Any, row: Any, flags: Any) -> Any:
        made = original(rule, names, kinds, row, flags)
        captured.append((rule, names, kinds, row, flags, made))
        return made

    monkeypatch.setattr(group, "capture", note)
    monkeypatch.setattr(group, "_rules", {})
    monkeypatch.setattr(group, "_plans", {})
    options = {"momentum": 0.9} if name == "SGD" else {}
    w = torch.randn(3, 2, dtype=dtype, requires_grad=True)
    optimizer = getattr(torch.optim, name)([w], lr=0.1, **options)
    for _ in range(2):
        w.grad = torch.randn(3, 2, dtype=dtype)
        optimizer.step()
    assert captured
    for rule, names, kinds, row, flags, (found, _) in captured:
        other = tuple([make_meta((7, 5), meta.dtype) for meta in row])
        wanted, metas = original(rule, names, kinds, other, flags)
        made = resized(found, row, other)
        if made is None:
            continue
        assert str(made.program) == str(wanted.program)
        assert (made.inputs, made.outputs, made.scalars) == (
            wanted.inputs, wanted.outputs, wanted.scalars,
        )  # fmt: skip
        assert outputs_of(made, other) == metas


def test_unlike_tensors_are_captured_anew() -> None:
    w = [torch.randn(4, 3, requires_grad=True), torch.randn(3, 4).t().requires_grad_()]
    optimizer = torch.optim.SGD(w, lr=0.5)
    for x in w:
        x.grad = torch.ones_like(x)
    before = [x.detach().clone() for x in w]
    optimizer.step()
    for x, was in zip(w, before, strict=True):
        assert torch.allclose(x, was - 0.5)
        assert x.stride() == was.stride()
