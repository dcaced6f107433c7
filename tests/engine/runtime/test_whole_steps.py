"""Compiled steps that are one call: what is kept, written over, and what interrupts them."""

from __future__ import annotations

import gc
import signal
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.engine.backends.cpu.objects import Objects, Words
from rushlight.engine.ir.graph import Value, make_meta
from rushlight.engine.runtime import compiled, compiling, misses
from rushlight.engine.runtime.cache import counters, here
from rushlight.engine.runtime.executor import flush

pytestmark = pytest.mark.usefixtures("at_once")


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every program is compiled when it runs for the second time."""
    for name, value in (("begin", 1), ("use", 1), ("nodes", 1), ("patient", False)):
        monkeypatch.setattr(compiling.thresholds, name, value)


def programs() -> list[compiled.CompiledProgram]:
    """All compiled programs there are."""
    return [x for x in gc.get_objects() if type(x) is compiled.CompiledProgram]


def training(seed: int = 0, optimizer: str = "Adam") -> Callable[[], Any]:
    """A training step that gives its loss."""
    torch.manual_seed(seed)
    net = nn.Sequential(nn.Linear(9, 16), nn.ReLU(), nn.Dropout(0.2), nn.Linear(16, 3))
    x, y = torch.randn(12, 9), torch.randint(0, 3, (12,))
    steps = getattr(torch.optim, optimizer)(net.parameters(), lr=0.01)

    def step() -> Any:
        steps.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        steps.step()
        return loss

    step.net = net  # type: ignore[attr-defined]
    return step


def losses(step: Callable[[], Any], count: int = 8) -> list[float]:
    return [step().item() for _ in range(count)]


def test_a_training_step_is_one_call() -> None:
    before = programs()
    step = training()
    losses(step)
    made = [program for program in programs() if not any(program is x for x in before)]
    assert any(program.whole for program in made)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop"])
def test_the_same_without_generated_functions(
    monkeypatch: pytest.MonkeyPatch, optimizer: str
) -> None:
    losses(training(optimizer=optimizer))  # from now on all of it is compiled
    with_them = losses(training(optimizer=optimizer))
    for program in programs():
        monkeypatch.setattr(program, "_frame", None)
        monkeypatch.setattr(program, "whole", False)
    monkeypatch.setattr(compiled.objects, "append", None)
    assert losses(training(optimizer=optimizer)) == with_them


def test_results_that_are_kept_stay_what_they_are() -> None:
    x = torch.arange(50.0)
    kept, wanted = [], []
    for number in range(12):
        y = (x + float(number)) * 2.0
        wanted.append([2.0 * (i + number) for i in range(50)])
        if number % 4 != 3:  # some are dropped at once, so that their memory is free again
            kept.append((y, wanted[-1]))
        flush()
        del y
    for y, values in kept:
        assert y.tolist() == values
    arrays = {id(y.numpy()) for y, _ in kept}
    assert len(arrays) == len(kept)


def test_the_last_result_is_still_there_while_the_next_is_computed() -> None:
    """As a loop does it that gives its result a name: two arrays take turns."""
    x = torch.arange(50.0)
    y, seen = None, set()
    for number in range(20):
        before = None if y is None else y.tolist()
        z = (x + float(number)).exp().log() + 1.0
        flush()
        assert y is None or y.tolist() == before
        y = z
        del z
        if number > 6:
            seen.add(y._value.buffer.ctypes.data)
    assert len(seen) <= 3


def test_programs_that_go_take_their_arrays_along() -> None:
    before = len(compiled._lent)
    for size in range(60, 66):
        x = torch.arange(float(size))
        for _ in range(4):
            (x * 3.0).sin().tolist()
    assert len(compiled._lent) > before
    counters.states = 10**9  # as if there were too many
    for _ in range(2):
        (torch.ones(3) * 2.0).tolist()
    misses.history.clear()
    gc.collect()
    assert len(compiled._lent) <= before + 1


def test_a_parameter_that_stands_twice_in_a_group() -> None:
    def run(times: int) -> list[float]:
        w = torch.ones(5, requires_grad=True)
        with pytest.warns(UserWarning, match="duplicate parameters"):
            optimizer = torch.optim.Adam([{"params": [w, w]}], lr=0.1)
        for _ in range(times):
            optimizer.zero_grad()
            (w * w).sum().backward()
            optimizer.step()
        return w.tolist()  # type: ignore[no-any-return]

    found = run(9)
    compiling.thresholds.begin = 1 << 60  # the interpreter
    assert run(9) == pytest.approx(found, rel=1e-6)


def test_a_view_of_a_parameter_sees_its_updates() -> None:
    step = training(optimizer="SGD")
    weight = step.net[0].weight  # type: ignore[attr-defined]
    row = weight.detach()[0]
    losses(step)
    assert row.tolist() == weight[0].tolist()
    array = weight.detach().numpy()
    losses(step, 3)
    assert np.array_equal(array[0], np.array(weight[0].tolist(), np.float32))


# it may also come in a callback of the garbage collector, which cannot pass it on
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="there is no timer on this system")
def test_ctrl_c_at_any_moment_of_a_whole_step() -> None:
    """Parameters are updated once or not at all, and training goes on."""
    step = training(optimizer="SGD")
    weight = step.net[0].bias  # type: ignore[attr-defined]
    losses(step)
    caught, inside = 0, [False]

    def interrupt(number: int, frame: Any) -> None:
        """As Ctrl-C, but never between two steps, where nobody would catch it."""
        if inside[0]:
            inside[0] = False
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt)
    alarm = signal.signal(signal.SIGALRM, lambda *_: signal.raise_signal(signal.SIGINT))
    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0007)
    try:
        while caught < 300:
            try:
                inside[0] = True
                step()
                inside[0] = False
            except KeyboardInterrupt:
                caught += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, alarm)
        signal.signal(signal.SIGINT, before)
    assert all(np.isfinite(p.detach().numpy()).all() for p in step.net.parameters())  # type: ignore[attr-defined]
    first = weight.tolist()
    assert losses(step, 3)
    assert weight.tolist() != first


def test_a_replay_leaves_out_what_nobody_reads() -> None:
    """What is held but not read has no value in the list that a replay makes."""
    kept = torch.arange(40.0)

    @torch.compile
    def step(x: torch.Tensor) -> torch.Tensor:
        kept * 3.0  # nobody looks at it
        return (x * 2.0).exp() + 1.0

    for number in range(12):
        x = torch.full((40,), float(number))
        y = step(x)
        assert y[0].item() == pytest.approx(2.718281828 ** (2.0 * number) + 1.0, rel=1e-5)
    ran = [miss.program for miss in misses.history if miss.program.compiled is not None]
    unread = [set(p.held) - set(p.inputs) - set(p.keep) for p in ran if p.compiled.whole]
    assert any(unread)  # such positions are the ones this is about
    assert kept._value.pos == -1


def test_new_values_are_like_others() -> None:
    made = Objects(Value)
    if not made.ready():
        pytest.skip("this Python's objects look otherwise")
    meta, number = make_meta((2, 3), torch.float32), 0.5
    listed = [Value(make_meta((), torch.int64))]
    rows = Words([(id(meta), id(None)), (id(meta), id(number))])
    made.append(listed, rows.address, 2, 300, made.api)
    assert [value.pos for value in listed] == [-1, 300, 301]
    assert listed[1].meta is meta
    assert listed[1].buffer is None
    assert listed[2].buffer == 0.5
    assert all(type(value) is Value and gc.is_tracked(value) for value in listed)
    listed[1].buffer = np.zeros(3)
    del listed[1:]
    gc.collect()
    assert here.trace is not None
