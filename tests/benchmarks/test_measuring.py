"""The benchmarks' own machinery: workers answer, arithmetic is counted, tables are written."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import rushlight
from benchmarks.limit import operations, product_sizes, specs_of
from benchmarks.report import markdown, plot, shown
from benchmarks.sides import Failure, Process, available, medians, missing, unsteady
from benchmarks.workloads import WORKLOADS


def test_a_worker_answers_with_times_losses_and_memory() -> None:
    with Process("rushlight", "mlp") as worker:
        first = worker.run(1)
        second = worker.run(3, read=False)
        about = worker.describe()
    step = WORKLOADS["mlp"].build(rushlight)
    expected = [step().item() for _ in range(4)]
    assert [first["loss"], second["loss"]] == pytest.approx([expected[0], expected[3]], rel=1e-5)
    assert 0 < first["since_start"] < second["since_start"]
    assert about["version"] == rushlight.__version__
    assert about["peak"] > about["above_import"] > 0


def test_a_worker_that_cannot_start_says_why() -> None:
    worker = Process("rushlight", "no such workload")
    with pytest.raises(Failure, match=r"no such workload: KeyError"):
        worker.run(1)
    worker.close()


def test_absent_sides_have_a_reason() -> None:
    assert missing("rushlight") == ""
    assert missing("jax") == "" or "jax" in missing("jax")
    assert available(["rushlight", "jax"], "gpt") == ["rushlight"]  # not written for JAX


def _arithmetic(key: str, steps: int) -> float:
    step = WORKLOADS[key].build(rushlight)
    step().item()
    return sum(
        times / steps * operations(spec)
        for spec, times in specs_of(step, steps).items()
    )


def test_the_arithmetic_of_products_is_counted() -> None:
    # two layers forward, two gradients of weights, one of a layer's input
    assert _arithmetic("mlp", 2) == 2 * 64 * (2 * 1000 * 100 + 3 * 100 * 10)


def test_the_arithmetic_of_convolutions_is_counted() -> None:
    first, second = 28 * 28 * 6 * 3 * 25, 10 * 10 * 16 * 6 * 25
    linear = 400 * 120 + 120 * 84 + 84 * 10
    assert _arithmetic("lenet", 2) == 2 * 4 * (2 * first + 3 * second + 3 * linear)


def test_the_arithmetic_inside_attention_is_counted() -> None:
    rows, width = 16 * 64, 128
    linear = rows * width * width * (3 + 1 + 4 + 4)
    attention = 16 * 4 * 64 * 64 * 32
    embedding = rows * width * 256
    layers = 4 * (3 * linear + (2 + 5) * attention)
    assert _arithmetic("gpt", 2) == 2 * (layers + 3 * embedding)


@pytest.mark.parametrize("shapes, sizes", [
    (((3, 4), (4, 5)), (1, 3, 4, 5)),
    (((2, 3, 4), (2, 4, 5)), (2, 3, 4, 5)),
])  # fmt: skip
def test_sizes_of_a_product_follow_from_its_operands(shapes: Any, sizes: Any) -> None:
    left, right = (rushlight.ones(shape) for shape in shapes)

    def step() -> Any:
        return (left @ right).sum()

    step().item()
    found = [product_sizes(s) for s in specs_of(step, 1) if s.op.kind == "matmul"]
    assert found == [sizes]


def test_medians_and_unsteady_sides() -> None:
    seconds = {"calm": [1.0, 1.1, 1.2], "busy": [1.0, 1.0, 2.0, 4.0]}
    taken = {
        side: [{"seconds": each, "processor": 2 * each} for each in rounds]
        for side, rounds in seconds.items()
    }
    assert medians(taken) == {"calm": 1.1, "busy": 1.5}
    assert medians(taken, "processor") == {"calm": 2.2, "busy": 3.0}
    assert unsteady(taken) == {"busy": 4.0}


@pytest.mark.parametrize("seconds, text", [
    (None, "-"), (2.5e-4, "250 µs"), (0.0125, "12.50 ms"), (2.0, "2.00 s"),
])  # fmt: skip
def test_seconds_are_shown_in_a_fitting_unit(seconds: float | None, text: str) -> None:
    assert shown(seconds) == text


STEADY = {
    "workload": "mlp", "title": "MLP", "read every step": {"rushlight": 0.001, "torch": 0.002},
    "read at the end": {"rushlight": 0.001, "torch": 0.002}, "unsteady": {"torch": 1.8},
    "processor": {"rushlight": 0.002, "torch": 0.004},
    "absent": {"jax": "No module named 'jax'"}, "versions": {}, "rounds": {},
}  # fmt: skip
ABOUT = {"date": "2026-01-01", "machine": "a machine", "cores": 2, "load": "0.1"}


def test_tables_have_ratios_and_reasons(tmp_path: Path) -> None:
    results = {"about": {**ABOUT, "versions": {"torch": "2.13.0"}}, "steady": [STEADY]}
    text = markdown(results)
    assert "| MLP | 1.00 ms (0.50) | 2.00 ms |" in text
    assert "Absent: JAX: No module named 'jax'." in text
    assert "Unsteady (slowest round over fastest): MLP, PyTorch (1.8)." in text
    assert plot(results, tmp_path / "plot.png")
    assert (tmp_path / "plot.png").stat().st_size > 1000


def test_the_results_kept_in_the_repository_can_be_shown() -> None:
    kept = Path(__file__).parents[2] / "benchmarks/results/training.json"
    if not kept.exists():
        pytest.skip("no results are kept: `make bench` writes them")
    text = markdown(json.loads(kept.read_text()))
    assert "## Steady steps" in text
