"""The profiler: names, nesting, sums, files."""

from __future__ import annotations

import gzip
import json
from contextlib import nullcontext
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import rushlight as torch
from rushlight.engine.core.config import config
from rushlight.engine.core.watch import watch
from rushlight.profiler import (
    ProfilerAction,
    ProfilerActivity,
    profile,
    record_function,
    schedule,
    supported_activities,
    tensorboard_trace_handler,
)
from tests.fuzz import modes

nn = torch.nn

needs_compiler = pytest.mark.skipif(not modes.COMPILER, reason=modes.NO_COMPILER)


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> None:
    """A span for every operation."""
    monkeypatch.setattr(config, "compiler", False)


def work() -> float:
    x = torch.ones(4, 5)
    return (x @ torch.ones(5, 3)).relu().sum().item()


def keys(prof: Any) -> dict[str, int]:
    return {row.key: row.count for row in prof.key_averages()}


def test_operators_are_counted() -> None:
    with profile(activities=[ProfilerActivity.CPU]) as prof:
        for _ in range(3):
            assert work() == 60
    found = keys(prof)
    assert found["aten::mm"] == found["aten::relu"] == found["aten::sum_all"] == 3
    assert found["flush: item()"] == found["recording"] == 3
    assert watch.step is None
    assert watch.flush is None


def test_what_ran_before_and_after_is_left_out() -> None:
    pending = torch.ones(3).exp()
    with profile() as prof:
        pass
    torch.ones(3).sin().tolist()
    assert pending.tolist()
    assert not keys(prof)


def test_what_is_pending_at_the_end_is_counted() -> None:
    with profile() as prof:
        kept = torch.ones(3).exp()
    assert keys(prof)["aten::exp"] == 1
    assert kept.tolist()


def test_times_add_up() -> None:
    with profile() as prof, record_function("all"):
        work()
    events = prof.events()
    whole = next(event for event in events if event.name == "all")
    flush = next(event for event in events if event.name == "flush: item()")
    assert flush.cpu_parent is whole
    assert {child.name for child in flush.cpu_children} >= {"aten::mm", "aten::relu"}
    assert sum(event.self_cpu_time_total for event in events) == pytest.approx(
        whole.cpu_time_total
    )
    total = prof.key_averages().total_average()
    assert total.self_cpu_time_total == pytest.approx(whole.cpu_time_total)
    for event in events:
        assert 0 <= event.self_cpu_time_total <= event.cpu_time_total <= whole.cpu_time_total


def test_named_parts_contain_what_was_written_in_them() -> None:
    x = torch.ones(3)

    @record_function("second")
    def second(y: Any) -> Any:
        "Doc."
        return y.sin()

    with profile() as prof:
        with record_function("first"):
            y = x.exp()
        z = second(y)
    assert z.tolist()
    assert second.__doc__ == "Doc."
    parents = {}
    for event in prof.events():
        top = event
        while top.cpu_parent is not None:
            top = top.cpu_parent
        parents[event.name] = top.name
    assert parents["aten::exp"] == "first"
    assert parents["aten::sin"] == "second"


def test_named_parts_cost_no_flush_without_a_profiler() -> None:
    before = torch.debug.stats().flushes
    with record_function("x"):
        y = torch.ones(3).exp()
    assert torch.debug.stats().flushes == before
    assert y.tolist()


def test_the_table() -> None:
    with profile(record_shapes=True, profile_memory=True) as prof:
        work()
        work()
    table = prof.key_averages(group_by_input_shape=True).table(sort_by="cpu_time_total")
    lines = table.split("\n")
    for title in ("Name", "Self CPU %", "Self CPU", "CPU total %", "CPU total", "CPU time avg",
                  "CPU Mem", "Self CPU Mem", "# of Calls", "Input Shapes"):  # fmt: skip
        assert title in lines[1]
    (row,) = [line for line in lines if "aten::mm " in line]
    assert "[[4, 5], [5, 3]]" in row
    assert "96 B" in row
    assert "Self CPU time total: " in table
    rows = prof.key_averages().table(sort_by="count", row_limit=2, time_unit="ms").split("\n")
    assert len([line for line in rows if "ms" in line]) == 3
    assert "Input Shapes" not in rows[1]


def test_lines_of_the_program(tmp_path: Path) -> None:
    with profile(with_stack=True) as prof:
        work()
    event = next(event for event in prof.events() if event.name == "aten::mm")
    assert event.stack[0].startswith(__file__)
    assert event.stack[0].endswith(": work")
    event.end_ns += 10**6  # long enough to be written down
    prof.export_stacks(str(tmp_path / "stacks"))
    assert ";aten::mm " in (tmp_path / "stacks").read_text()
    with profile() as plain:
        pass
    with pytest.raises(AssertionError, match="with_stack"):
        plain.export_stacks(str(tmp_path / "x"))


@pytest.mark.parametrize("name", ["trace.json", "trace.json.gz"])
def test_chrome_traces(tmp_path: Path, name: str) -> None:
    with profile(record_shapes=True) as prof, record_function("part"):
        work()
    prof.add_metadata("note", "mine")
    prof.add_metadata_json("list", "[1, 2]")
    path = tmp_path / name
    prof.export_chrome_trace(str(path))
    data = path.read_bytes()
    trace = json.loads(gzip.decompress(data) if name.endswith("gz") else data)
    spans = {e["name"]: e for e in trace["traceEvents"] if e["ph"] == "X"}
    assert trace["note"] == "mine"
    assert trace["list"] == [1, 2]
    outer, inner = spans["part"], spans["aten::mm"]
    assert outer["ts"] <= inner["ts"]
    assert inner["ts"] + inner["dur"] <= outer["ts"] + outer["dur"]
    assert inner["args"]["Input Dims"] == [[4, 5], [5, 3]]
    assert outer["cat"] == "user_annotation"


def test_a_schedule(tmp_path: Path) -> None:
    seen: list[Any] = []

    def ready(prof: Any) -> None:
        seen.append((prof.step_num, keys(prof)))
        tensorboard_trace_handler(str(tmp_path / "logs"), "me")(prof)

    plan = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    with profile(schedule=plan, on_trace_ready=ready) as prof:
        for _ in range(12):
            work()
            prof.step()
    assert [step for step, _ in seen] == [5, 9]
    for step, found in seen:
        assert found["aten::mm"] == 2
        assert {f"ProfilerStep#{step - 2}", f"ProfilerStep#{step - 1}"} <= set(found)
    files = sorted((tmp_path / "logs").iterdir())
    assert len(files) == 2
    assert all(file.name.endswith(".pt.trace.json") for file in files)


def test_schedules_are_pytorchs() -> None:
    names = "NONE NONE WARMUP RECORD RECORD_AND_SAVE NONE WARMUP RECORD RECORD_AND_SAVE NONE"
    plan = schedule(wait=1, warmup=1, active=2, repeat=2, skip_first=1)
    assert [plan(i) for i in range(10)] == [ProfilerAction[n] for n in names.split()]
    assert supported_activities() == {ProfilerActivity.CPU}
    with pytest.raises(AssertionError):
        schedule(wait=-1, warmup=0, active=1)


def test_the_older_profiler() -> None:
    older = torch.autograd.profiler
    with older.profile(record_shapes=True) as prof, older.record_function("part"):
        work()
    assert "aten::mm" in prof.table()
    assert "aten::mm" in str(prof)
    assert prof.total_average().count == len(prof.function_events)
    assert prof.self_cpu_time_total > 0
    with torch.autograd.profiler.profile(enabled=False) as off:
        work()
    with pytest.raises(AssertionError, match="didn't finish"):
        off.key_averages()


def test_only_one_at_a_time() -> None:
    with profile(), pytest.raises(RuntimeError, match="already enabled"):
        profile().start()


def test_an_error_ends_it() -> None:
    with pytest.raises(KeyError), profile():
        raise KeyError("x")
    assert watch.step is None
    with profile() as prof:
        work()
    assert keys(prof)["aten::mm"] == 1


def test_results_are_the_same() -> None:
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)

    def step() -> float:
        optimizer.zero_grad()
        loss = net(torch.ones(2, 4)).square().sum()
        loss.backward()
        optimizer.step()
        return loss.item()

    plain = [step() for _ in range(3)]
    torch.manual_seed(0)
    net.reset_parameters()
    torch.manual_seed(0)
    net = nn.Linear(4, 3)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    with profile():
        assert [step() for _ in range(3)] == plain


def test_compiled_functions_are_seen() -> None:
    compiled = torch.compile(lambda x: x.exp() + 1)
    for _ in range(4):
        compiled(torch.ones(2))
    with profile() as prof:
        compiled(torch.ones(2))
    assert compiled.replayed == 3
    assert keys(prof)["aten::exp"] == 1
    assert keys(prof)["flush: torch.compile"] == 1


def network() -> Any:
    """A step of a small training."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(64, 32), nn.LayerNorm(32), nn.ReLU(), nn.Linear(32, 10))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1)
    x, y = torch.randn(16, 64), torch.randint(0, 10, (16,))

    def step() -> float:
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        return loss

    return step


@needs_compiler
@pytest.mark.parametrize("replayed", [False, True])
def test_kernels_of_a_compiled_program(tmp_path: Path, replayed: bool) -> None:
    with modes.compiled():
        step = torch.compile(network()) if replayed else network()
        for _ in range(6):
            step().item()
        with profile(record_shapes=True, with_stack=True) as prof:
            losses = [step().item() for _ in range(3)]
        expected = [step().item() for _ in range(2)]
    found = keys(prof)
    programs = [e for e in prof.events() if e.name.startswith("compiled program")]
    assert len(programs) == 3
    kernels = [e for e in prof.events() if e.name.startswith(("kernel: ", "onednn: "))]
    assert {e.cpu_parent for e in kernels} == set(programs)
    assert not any(name.startswith("aten::") for name in found)
    for program in programs:
        inside = sum(e.cpu_time_total for e in program.cpu_children)
        assert 0 < inside <= program.cpu_time_total
        times = [(e.start_ns, e.end_ns) for e in program.cpu_children]
        assert all(a[1] == b[0] for a, b in pairwise(times))
    named = {name for e in kernels for name in e.name.split(": ")[1].split(", ")}
    assert {"linear_", "native_layer_norm", "relu", "matmul_tn", "foreach"} <= named
    assert any("test_profiler.py" in line for e in kernels for line in e.stack)
    assert losses[-1] > expected[0] > expected[1]
    prof.export_chrome_trace(str(tmp_path / "trace.json"))
    traced = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    spans = [e for e in traced if e["name"].startswith(("kernel: ", "onednn: "))]
    assert len(spans) == len(kernels)
    assert all(e["args"]["Operations"] and e["args"]["Threads"] >= 1 for e in spans)


@needs_compiler
def test_a_profiled_training_is_the_same_training() -> None:
    ends = []
    for profiled in (False, True):
        with modes.compiled():
            step = network()
            for _ in range(3):
                step().item()
            with profile() if profiled else nullcontext():
                ends.append([step().item() for _ in range(4)])
            ends[-1] += [step().item() for _ in range(2)]
    assert ends[0] == ends[1]
    assert watch.calls is None


@needs_compiler
def test_kernels_in_python_have_the_names_of_operations() -> None:
    x = torch.randn(4, 4, dtype=torch.float64)

    def step() -> list[Any]:
        return (torch.linalg.inv(x) + 1).tolist()

    with modes.compiled():
        expected = [step() for _ in range(3)]
        with profile(record_shapes=True) as prof:
            assert step() == expected[-1]
    (found,) = [e for e in prof.events() if e.name.startswith("aten::")]
    assert found.input_shapes == [[4, 4]]
    assert found.cpu_parent.name == "compiled program (2 operations)"
