"""Long runs do not grow: nothing is kept for a step that is over, nor for a result nobody reads."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.engine.ir import graph
from rushlight.engine.ir.op import Op
from rushlight.engine.runtime import cache
from rushlight.engine.runtime.cache import counters, here
from rushlight.engine.runtime.executor import flush
from rushlight.engine.trace import group
from rushlight.utils.data import DataLoader, TensorDataset

STEPS = 10_000

#: What Python itself may add between two looks: bytes, objects.
SLACK_BYTES = 64 << 10
SLACK_OBJECTS = 200
#: The C library and LLVM keep some memory for their next use.
SLACK_BYTES = 8 << 20


def tables() -> dict[str, int]:
    """The sizes of everything the engine remembers from one step to the next."""
    return {
        "states": counters.states,
        "programs": counters.programs,
        "resets": counters.tree_resets,
        "metas": len(graph._metas),
        "specs": sum(len(op.specs) for op in Op.registry.values()),
        "plans": sum(len(op.plans) for op in Op.registry.values()),
        "rules": len(group._rules) + len(group._plans),
        "slots": len(cache.slots.every),
    }


def resident() -> int:
    """Bytes of memory the process has."""
    status = Path("/proc/self/statm")
    if not status.exists():
        return 0
    return int(status.read_text().split()[1]) * 4096


def check_constant(
    step: Callable[[int], object], warm: int, count: int, waiting: int = 0
) -> None:
    """Run ``step`` ``count`` times; tables, objects and bytes are what they were after ``warm``.

    ``waiting``: how many values may wait in the trace, one object each.
    """
    for i in range(warm):
        step(i)
    gc.collect()
    before, objects, memory = tables(), len(gc.get_objects()), resident()
    for i in range(warm, count - 200):
        step(i)
    gc.collect()
    assert tables() == before
    assert len(gc.get_objects()) - objects < SLACK_OBJECTS + waiting
    assert resident() - memory < SLACK_BYTES
    flush()
    tracemalloc.start()  # slows everything down, so that it sees the last steps only
    try:
        for i in range(100):
            step(i)
        flush()
        gc.collect()
        first = tracemalloc.get_traced_memory()[0]
        for i in range(100):
            step(i)
        flush()
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] - first < SLACK_BYTES
    finally:
        tracemalloc.stop()


def model() -> nn.Module:
    """A small network with everything that keeps state: dropout, batch norm, parameters."""
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.1), nn.Linear(8, 3)
    )


OPTIMIZERS = {
    "sgd": lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9),
    "adam": lambda parameters: torch.optim.Adam(parameters, lr=0.01),
}


@pytest.mark.parametrize(("kind", "reads"), [("adam", True), ("sgd", False)])
def test_training(kind: str, reads: bool) -> None:
    net = model()
    optimizer = OPTIMIZERS[kind](net.parameters())
    x, y = torch.randn(5, 4), torch.randint(0, 3, (5,))
    seen = [0.0]

    def step(number: int) -> None:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        if reads:
            seen[0] = loss.item()

    check_constant(step, 50, STEPS)
    assert all(bool(p.isfinite().all()) for p in net.parameters())
    assert not reads or 0 < seen[0] < 2


def test_training_with_a_schedule_and_a_closure() -> None:
    net = model()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10, gamma=0.999)
    x, y = torch.randn(5, 4), torch.randint(0, 3, (5,))

    def closure() -> torch.Tensor:
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        return loss

    def step(number: int) -> None:
        optimizer.step(closure)
        schedule.step()

    check_constant(step, 50, 2000)


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, None])
def test_results_nobody_reads(context: Callable[[], object] | None) -> None:
    net = model().eval()
    x = torch.randn(5, 4)

    def step(number: int) -> None:
        if context is None:
            net(x).argmax(1)
        else:
            with context():
                net(x).argmax(1)

    # nothing is read here, so the trace is run when it has become too long
    check_constant(step, 4000, STEPS + 4000, 2 * here.trace.limit)
    assert len(here.trace.values) <= 2 * here.trace.limit


def test_results_nobody_reads_from_a_loader() -> None:
    net = model().eval()
    data = TensorDataset(torch.randn(100, 4), torch.randint(0, 3, (100,)))
    loader = DataLoader(data, batch_size=2, shuffle=True)

    def epoch(number: int) -> None:
        correct = torch.zeros((), dtype=torch.int64)
        with torch.no_grad():
            for x, y in loader:
                correct += (net(x).argmax(1) == y).sum()
        if number % 10 == 0:
            assert 0 <= correct.item() <= 100

    for i in range(4):
        epoch(i)
    gc.collect()
    before, objects, memory = tables(), len(gc.get_objects()), resident()
    for i in range(STEPS // 50):
        epoch(i)
    gc.collect()
    assert tables() == before
    assert len(gc.get_objects()) - objects < SLACK_OBJECTS
    assert resident() - memory < SLACK_BYTES


@pytest.mark.usefixtures("interpreted")  # else a long program is compiled meanwhile, and kept
def test_a_running_sum_that_is_read_late() -> None:
    total, count = torch.zeros(()), 0
    x = torch.ones(8)

    def step(number: int) -> None:
        nonlocal total, count
        total, count = total + x.mean(), count + 1

    check_constant(step, 3 * here.trace.limit, 2 * STEPS, 2 * here.trace.limit)
    assert total.item() == count >= STEPS


def test_large_values_do_not_pile_up() -> None:
    """Outside memory is let go in time although nobody reads a result."""
    before = resident()
    for _ in range(400):
        torch.ones(1 << 20) + 1
    assert here.trace.pinned <= 1 << 29
    assert resident() - before < 700 << 20
    torch.zeros(1).item()
    big = len(here.trace.values)
    for _ in range(3):
        (torch.ones(1 << 20) + 1).sum().item()
    assert len(here.trace.values) <= big + 4


def test_the_count_of_large_values_begins_anew_with_each_trace() -> None:
    """10,000 steps over a large input make no flush in the middle of a step."""
    x, w = torch.ones(1 << 18), torch.ones(1 << 18)
    for _ in range(3):
        (x * w).sum().item()
    flushes, programs = counters.flushes, counters.programs
    for _ in range(600):  # 600 times 2 MiB
        (x * w).sum().item()
    assert counters.flushes - flushes == 600
    assert counters.programs == programs


def test_shapes_that_never_come_back_are_bounded() -> None:
    """Programs of ever new shapes are forgotten again."""
    limit = cache.MAX_STATES
    cache.MAX_STATES = 500
    try:
        sizes = []
        for n in range(1, 1500):
            x = torch.ones(n)
            ((x * 2).sum() + 1).item()
            sizes.append(counters.states)
        assert max(sizes) <= 510
        assert counters.tree_resets > 0
    finally:
        cache.MAX_STATES = limit


def test_tables_of_specs_are_bounded() -> None:
    from rushlight.engine.ir import op

    for n in range(op.MAX_SPECS + 100):
        x = torch.empty(n)
        x.relu()
        x + 1.0
        if n % 500 == 0:
            torch.zeros(1).item()
    assert max(len(op.specs) for op in Op.registry.values()) <= op.MAX_SPECS + 1


def test_a_freed_graph_frees_its_values() -> None:
    x = torch.ones(1000, requires_grad=True)
    y = (x * 2).exp()
    held = y.grad_fn.saved[0]
    assert sys.getrefcount(held) > 2
    y.sum().backward()
    assert y.grad_fn.saved is None
