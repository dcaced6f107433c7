"""The reports of ``rushlight.debug``: they name the operation, the line and the holder."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

import rushlight as torch
from rushlight.debug.layout import Box, arrange
from rushlight.engine.core.config import config
from rushlight.engine.runtime import misses

HERE = Path(__file__).name


@pytest.fixture(autouse=True)
def own_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """A tree and a history without what other tests have recorded."""
    from rushlight.engine.runtime import cache
    from rushlight.engine.runtime.executor import flush

    flush("test")
    slot = cache.here.trace.slot
    monkeypatch.setattr(slot, "root", cache.State(None, None, slot.base, slot.base, None))
    monkeypatch.setattr(cache.slots, "every", {slot.base >> 32: slot})
    cache.here.trace.state = slot.root
    misses.history.clear()


def last() -> tuple[misses.Departure, str]:
    return misses.departure(misses.history[-1]), misses.describe(misses.history[-1])


def test_the_first_program() -> None:
    (torch.ones(3) + 1).tolist()
    found, text = last()
    assert found.kind == "first"
    assert HERE in text
    assert "tolist()" in text


def test_another_operation() -> None:
    for function in (torch.exp, torch.exp, torch.sin):
        function(torch.ones(3) * 2).sum().item()
    found, text = last()
    assert (found.kind, found.common) == ("operation", 1)
    assert found.expected.spec.op.name == "exp"
    assert found.got.spec.op.name == "sin"
    assert "another operation: expected exp, got sin" in text
    assert text.count(HERE) >= 3


def test_another_shape() -> None:
    for size in (3, 3, 5):
        (torch.ones(size) * 2).sum().item()
    found, text = last()
    assert (found.kind, found.common) == ("operation", 0)
    assert "input 0: expected <float32[3]>, got <float32[5]>" in text


def test_another_attribute() -> None:
    for dim in (0, 0, 1):
        (torch.ones(3, 3) * 2).sum(dim).tolist()
    assert "dims: expected (0,), got (1,)" in last()[1]


def test_longer_and_shorter() -> None:
    x = torch.ones(3)
    for count in (1, 1, 2):
        y = x
        for _ in range(count):
            y = y * 2
        y.tolist()
        del y
    assert last()[0].kind == "longer"
    for count in (4, 3):
        y = x
        for _ in range(count):
            y = y.exp()
        y.tolist()
        del y
    assert last()[0].kind == "shorter"
    assert "it was run already; the known one went on" in last()[1]


def test_other_values_held() -> None:
    x = torch.ones(3)
    for keep in (False, False, True):
        y = x * 2
        z = y + 1
        if not keep:
            del y
        z.tolist()
    found, text = last()
    assert found.kind == "held"
    assert "wanted" in text
    assert "mul" in text


def test_the_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(config, "log", ("recompiles",))
    (torch.ones(3) + 1).tolist()
    assert "[rushlight recompiles] program" in capsys.readouterr().err


def test_holders() -> None:
    history: list[Any] = []
    w = torch.ones(3, requires_grad=True)

    def step(x: Any) -> float:
        y = (x * w).exp()
        history.append(y * 2)
        loss = y.sum()
        loss.backward()
        return loss.item()

    report = torch.debug.explain(step, torch.ones(3))
    assert report.result == pytest.approx(3 * 2.718281828)
    (flush,) = report.flushes
    reasons = [reason for _, _, reasons in flush.kept for reason in reasons]
    assert "variable 'loss' in step" in reasons
    assert "an element of a list of 1" in reasons
    assert any(reason.startswith("gradient of variable 'w'") for reason in reasons)
    assert any(reason.startswith("saved for the gradient of") for reason in reasons) or (
        "variable 'y' in step" in reasons
    )
    text = str(report)
    assert "What this call ran" in text
    assert HERE in text


def test_the_whole_report() -> None:
    for _ in range(3):
        (torch.ones(3) + 1).tolist()
    report = torch.debug.explain()
    assert [known.program.runs for known in report.programs] == [3]
    assert "Programs: 1, of which 1 were found again" in str(report)
    assert "1 operations, 2 inputs, 1 values kept; run 3 times" in repr(report)


def test_stats() -> None:
    before = torch.debug.stats()
    for _ in range(3):
        (torch.ones(3) + 1).tolist()
    after = torch.debug.stats()
    assert after.flushes - before.flushes == 3
    assert after.program_misses - before.program_misses == 1
    assert after.program_hits - before.program_hits == 2
    assert "program hits" in str(after)


def test_the_page(tmp_path: Path) -> None:
    x = torch.ones(2, 3, requires_grad=True)
    (x.exp() @ torch.ones(3, 2)).relu().sum().backward()
    x.grad.tolist()
    path = torch.debug.graph(tmp_path / "program.html")
    page = Path(path).read_text("utf-8")
    assert "http://" not in page.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in page
    assert HERE in page
    program = torch.debug.explain().programs[0].program
    assert page.count("<g>") == len(program.nodes)
    for node in program.nodes:
        assert f">{node.spec.op.name}<" in page
    assert torch.debug.graph(tmp_path / "b.html", program=misses.history[-1].serial)
    with pytest.raises(ValueError, match="no program has the number 999999"):
        torch.debug.graph(tmp_path / "c.html", program=999999)


def test_boxes_do_not_overlap(tmp_path: Path) -> None:
    boxes = [Box(100, 30) for _ in range(12)]
    edges = [(i, j) for i in range(12) for j in range(i + 1, 12) if (i * j) % 3 == 1]
    layout = arrange(boxes, edges)
    for i, one in enumerate(boxes):
        assert one.x >= 50
        assert one.x + 50 <= layout.width
        assert one.y + 30 <= layout.height
        for two in boxes[i + 1 :]:
            apart = abs(one.x - two.x) >= 100 or abs(one.y - two.y) >= 30
            assert apart, (one, two)
    for (source, target), route in layout.routes.items():
        assert route[0] is boxes[source]
        assert route[-1] is boxes[target]
        assert [box.layer for box in route] == list(
            range(boxes[source].layer, boxes[target].layer + 1)
        )


def test_numbers_of_programs_are_those_of_the_log(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "log", ("recompiles",))
    (torch.ones(3) + 1).tolist()
    numbers = re.findall(r"program (\d+) ", capsys.readouterr().err)
    assert [int(n) for n in numbers] == [known.number for known in torch.debug.explain().programs]
