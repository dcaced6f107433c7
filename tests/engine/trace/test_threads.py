"""Several threads record at once: each has its own trace and grad mode, tensors go to and fro."""

from __future__ import annotations

import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.engine.runtime import cache
from rushlight.engine.runtime.cache import counters, here
from rushlight.engine.runtime.executor import flush
from rushlight.engine.trace.recorder import mode


@pytest.fixture(autouse=True)
def often() -> Iterator[None]:
    """Let Python change threads a hundred times as often as usual."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(5e-5)
    yield
    sys.setswitchinterval(before)


def together(*functions: Callable[[], Any]) -> list[Any]:
    """What the functions give, each called in a thread of its own, all at once."""
    barrier = threading.Barrier(len(functions))

    def run(function: Callable[[], Any]) -> Any:
        barrier.wait()
        return function()

    with ThreadPoolExecutor(len(functions)) as pool:
        return [job.result() for job in [pool.submit(run, function) for function in functions]]


def train(seed: int) -> list[float]:
    """The losses of a small network, with random numbers of its own."""
    generator = torch.Generator().manual_seed(seed)
    net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    with torch.no_grad():
        for p in net.parameters():
            p.copy_(torch.randn(p.shape, generator=generator))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-2)
    losses: list[Any] = []
    for number in range(30):
        x = torch.randn(5, 8, generator=generator)
        y = torch.randint(0, 3, (5,), generator=generator)
        optimizer.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item() if number % 3 == 0 else loss)
    return [float(loss) for loss in losses]


@pytest.mark.usefixtures("interpreted")
def test_training_side_by_side_gives_what_it_gives_alone() -> None:
    alone = [train(seed) for seed in range(6)]
    for _ in range(3):
        assert together(*[lambda s=seed: train(s) for seed in range(6)]) == alone


@pytest.mark.usefixtures("interpreted")
def test_a_program_can_run_in_any_one_thread() -> None:
    alone = train(1)
    assert [together(lambda: train(1))[0] for _ in range(3)] == [alone] * 3


def test_unread_results_go_from_thread_to_thread() -> None:
    channel: queue.Queue[torch.Tensor] = queue.Queue()

    def producer() -> None:
        x = torch.arange(5)
        for number in range(300):
            channel.put(x * number + 1)

    threads = [threading.Thread(target=producer) for _ in range(3)]
    for thread in threads:
        thread.start()
    total = torch.zeros(5, dtype=torch.int64)
    for number in range(900):
        total = total + channel.get(timeout=30)
        if number % 50 == 0:
            flush()
    for thread in threads:
        thread.join()
    expected = 900 + 3 * sum(range(300)) * torch.arange(5)
    assert total.tolist() == expected.tolist()


def test_what_one_thread_has_not_run_others_can_use() -> None:
    waiting = torch.arange(4.0) * 2
    assert waiting._value.buffer is None

    def use() -> list[float]:
        return [(waiting + 1).tolist(), waiting.sum().item(), waiting[1:].tolist()]

    assert together(*[use] * 4) == [[[1, 3, 5, 7], 12, [2, 4, 6]]] * 4
    assert (waiting * waiting).tolist() == [0, 4, 16, 36]


@pytest.mark.usefixtures("interpreted")
def test_one_network_serves_many_threads() -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 5)).eval()
    inputs = [torch.randn(2, 1, 8, 8) for _ in range(8)]
    with torch.no_grad():
        alone = [net(x).tolist() for x in inputs]

    def serve(number: int) -> list[Any]:
        with torch.no_grad():
            return [net(inputs[number]).tolist() for _ in range(20)]

    served = together(*[lambda n=number: serve(n) for number in range(8)])
    assert served == [[one] * 20 for one in alone]


def test_gradients_of_parts_in_several_threads() -> None:
    w = torch.arange(6.0, requires_grad=True)
    parts = [(w * w)[i] for i in range(6)]
    gradients = together(
        *[lambda p=part: torch.autograd.grad(p, w, retain_graph=True)[0].tolist() for part in parts]
    )
    assert gradients == [[2.0 * i if i == k else 0.0 for i in range(6)] for k in range(6)]


def test_grad_mode_belongs_to_the_thread() -> None:
    inside, leave = threading.Event(), threading.Event()
    seen: list[bool] = []

    def other() -> None:
        seen.append(torch.is_grad_enabled())
        with torch.no_grad():
            seen.append(torch.is_grad_enabled())
            inside.set()
            leave.wait(30)
            flush()
            seen.append(torch.is_grad_enabled())

    with torch.no_grad():
        thread = threading.Thread(target=other)
        thread.start()
        assert inside.wait(30)
    x = torch.ones(2, requires_grad=True)
    assert (x * 2).requires_grad
    with torch.inference_mode():
        pass
    leave.set()
    thread.join()
    assert seen == [True, False, False]
    assert torch.is_grad_enabled()


def test_the_length_of_a_trace_belongs_to_the_thread() -> None:
    def other() -> tuple[int, list[float]]:
        x = torch.zeros(2)
        for _ in range(3 * here.trace.limit & 0x3FFF):
            x = x + 1
        return len(here.trace.values) - here.trace.slot.base, x.tolist()

    limit = mode.limit
    length, values = together(other)[0]
    assert length <= 2 * limit
    assert values == [3 * limit & 0x3FFF] * 2


def test_random_numbers_of_several_threads_are_each_drawn_once() -> None:
    torch.manual_seed(0)
    alone = sorted(torch.rand(2400, dtype=torch.float64).tolist())
    torch.manual_seed(0)
    drawn = together(
        *[lambda: [torch.rand(10, dtype=torch.float64).tolist() for _ in range(60)]] * 4
    )
    assert sorted(x for thread in drawn for row in thread for x in row) == alone


def test_an_error_in_one_thread_stays_there() -> None:
    started = threading.Event()

    def broken() -> str:
        table, index = torch.zeros(3, 2), torch.tensor([1, 1]) * 5
        y = F.embedding(index, table)
        started.set()
        with pytest.raises(IndexError) as caught:
            y.sum().item()
        return str(caught.value).splitlines()[0]

    def sound() -> float:
        started.wait(30)
        return (torch.ones(3) * 2).sum().item()

    assert together(broken, sound, sound) == ["index out of range in self", 6, 6]


def test_an_ended_thread_leaves_its_results_and_its_slot() -> None:
    together(lambda: (torch.ones(3) + 1).tolist())
    slots, programs = len(cache.slots.every), counters.programs
    results: list[torch.Tensor] = []
    for _ in range(20):
        thread = threading.Thread(target=lambda: results.append(torch.ones(3) + 1))
        thread.start()
        thread.join()
    assert len(cache.slots.every) == slots
    assert [r.tolist() for r in results] == [[2, 2, 2]] * 20
    assert counters.programs - programs <= 4


def test_writes_of_one_thread_are_seen_by_the_next() -> None:
    x = torch.zeros(4)
    view = x[1:3]
    for number in range(20):
        writer = threading.Thread(target=lambda n=number: (x if n % 2 else view).add_(1))
        writer.start()
        writer.join()
    assert x.tolist() == [10, 20, 20, 10]
    assert view.tolist() == [20, 20]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_records_and_runs() -> None:
    waiting = torch.arange(3.0) * 2
    hold, held = threading.Event(), threading.Event()

    def holder() -> None:
        from rushlight.engine.runtime.executor import turn

        with turn.lock:
            held.set()
            hold.wait(30)

    thread = threading.Thread(target=holder)
    thread.start()
    held.wait(30)
    child = os.fork()
    if child == 0:
        os._exit(0 if (waiting + 1).tolist() == [1, 3, 5] else 1)
    hold.set()
    thread.join()
    assert os.waitpid(child, 0)[1] == 0
    assert waiting.tolist() == [0, 2, 4]


def test_threads_that_begin_together_record_apart() -> None:
    taken: list[cache.Slot] = []
    barrier = threading.Barrier(16)
    before = set(cache.slots.every)

    def begin() -> None:
        barrier.wait()
        taken.extend(cache.slots.take() for _ in range(1000))

    sys.setswitchinterval(1e-6)
    threads = [threading.Thread(target=begin) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    bases = [slot.base for slot in taken]
    assert len(bases) == len(set(bases)) == 16_000
    assert cache.slots.CAPTURE << 32 not in bases
    cache.slots.free += [slot for slot in taken if slot.base >> 32 in before]
    for number in set(cache.slots.every) - before:
        del cache.slots.every[number]
