"""When a trace is the same program again, and when it is another one."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.engine.core.config import config
from rushlight.engine.runtime.cache import counters, here
from rushlight.engine.runtime.executor import flush
from rushlight.engine.trace.recorder import mode


@pytest.fixture(autouse=True)
def empty_trace() -> None:
    """Nothing of another test stands in the trace."""
    flush()


class Made:
    """What the engine had to make inside the block."""

    def __enter__(self) -> Made:
        self._before = counters.states, counters.programs, counters.flushes, counters.nodes_run
        return self

    def __exit__(self, *exception: object) -> None:
        now = counters.states, counters.programs, counters.flushes, counters.nodes_run
        self.states, self.programs, self.flushes, self.nodes = (
            a - b for a, b in zip(now, self._before, strict=True)
        )


def small() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(4, 6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 3))


def trainer(optimizer: Callable[..., torch.optim.Optimizer]) -> Callable[[int], float]:
    """A function that makes one training step on as many samples as asked for."""
    net = small()
    update = optimizer(net.parameters())

    def step(samples: int = 5) -> float:
        x, y = torch.randn(samples, 4), torch.randint(0, 3, (samples,))
        update.zero_grad()
        loss = F.cross_entropy(net(x), y)
        loss.backward()
        update.step()
        return loss.item()

    step.optimizer = update
    return step


ALGORITHMS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.1),
    "momentum": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=1e-4),
    "nesterov": lambda p: torch.optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.1),
    "AdamW": lambda p: torch.optim.AdamW(p, lr=0.1),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.1, momentum=0.5),
    "Adagrad": lambda p: torch.optim.Adagrad(p, lr=0.1),
}


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_steady_step_makes_nothing(name: str) -> None:
    step = trainer(ALGORITHMS[name])
    for _ in range(4):
        step()
    with Made() as made:
        for _ in range(20):
            step()
    assert (made.states, made.programs) == (0, 0)
    assert made.flushes == 20  # the loss is computed with the step; reading it runs nothing


@pytest.mark.parametrize("name", ALGORITHMS)
def test_a_schedule_makes_nothing(name: str) -> None:
    step = trainer(ALGORITHMS[name])
    schedule = torch.optim.lr_scheduler.ExponentialLR(step.optimizer, 0.9)
    for _ in range(4):
        step()
        schedule.step()
    with Made() as made:
        for _ in range(20):
            step()
            schedule.step()
        for group in step.optimizer.param_groups:
            group["lr"] = 0.123
        step()
    assert (made.states, made.programs) == (0, 0)


def test_python_numbers_are_inputs() -> None:
    x = torch.arange(3.0)
    (x * 2.0 + 1.0).tolist()
    with Made() as made:
        for i in range(10):
            found = (x * float(i) + 0.5 * i).tolist()  # in an assert pytest would hold a part
            assert found == [0.5 * i + i * n for n in range(3)]
    assert (made.states, made.programs) == (0, 0)


def test_an_integer_is_not_the_float() -> None:
    x = torch.arange(3)
    for number in (2, 2.0, True):
        (x * number).tolist()
    with Made() as made:
        for number, found in ((3, torch.int64), (3.0, torch.float32), (False, torch.int64)):
            y = x * number
            assert y.dtype == found
            assert y.tolist() == [0, number, 2 * number]
    assert made.states == 0


def test_another_shape_is_another_program_and_the_old_one_stays() -> None:
    step = trainer(ALGORITHMS["momentum"])
    for _ in range(4):
        step(5)
    with Made() as last_batch:
        step(3)
    assert last_batch.programs > 0
    with Made() as made:
        for _ in range(5):
            step(5)
            step(3)
    assert (made.states, made.programs) == (0, 0)


def test_reading_a_value_in_the_middle_cuts_the_step_in_two() -> None:
    step_one = torch.arange(4.0)

    def step(read: bool) -> float:
        hidden = (step_one * 2).sum()
        if read:
            hidden.item()
        return (hidden + 1).item()

    for _ in range(3):
        assert step(False) == step(True) == 13
    with Made() as made:
        for _ in range(5):
            step(True)
            step(False)
    assert (made.states, made.programs) == (0, 0)
    assert made.flushes == 15


def test_what_is_held_is_part_of_the_key() -> None:
    x = torch.arange(4.0)

    def chain() -> tuple[torch.Tensor, torch.Tensor]:
        y = x * 2
        return y, y + 1

    y, z = chain()
    flush()
    with Made() as both:
        y, z = chain()
        flush()
    assert y._value.buffer is not None
    assert both.programs == 0
    with Made() as one:
        z = chain()[1]
        flush()
    assert (one.states, one.programs) == (0, 1)
    assert z.tolist() == [1, 3, 5, 7]
    with Made() as again:
        z = chain()[1]
        flush()
    assert again.programs == 0


def test_what_nobody_holds_is_not_computed() -> None:
    x = torch.arange(4.0)
    with Made() as made:
        x * 2
        (x + 1) * 3
        kept = x - 1
        flush()
    assert made.nodes == 1
    assert kept.tolist() == [-1, 0, 1, 2]
    with Made() as nothing:
        torch.exp(x)
        flush()
    assert nothing.nodes == 0


def test_random_numbers_are_drawn_although_nobody_reads_them() -> None:
    torch.manual_seed(3)
    torch.rand(5), torch.randn(20), F.dropout(torch.ones(7), 0.5)
    after = torch.rand(2).tolist()
    torch.manual_seed(3)
    torch.rand(5).tolist(), torch.randn(20).tolist(), F.dropout(torch.ones(7), 0.5).tolist()
    assert torch.rand(2).tolist() == after


def test_the_count_of_references_does_not_matter() -> None:
    """A tensor held in two places is held as well as in one."""
    x = torch.arange(4.0)
    y = x * 2
    flush()
    kept = []
    with Made() as made:
        y = x * 2
        kept = [y, y, {"y": y}]
        flush()
    assert made.programs == 0
    assert kept[0].tolist() == [0, 2, 4, 6]


def test_a_changed_branch_is_another_path() -> None:
    x = torch.arange(4.0)

    def step(positive: bool) -> list[float]:
        y = x + 1
        return (y * 2 if positive else y / 2).tolist()

    assert step(True) == [2, 4, 6, 8]
    assert step(False) == [0.5, 1, 1.5, 2]
    with Made() as made:
        assert step(True) == [2, 4, 6, 8]
        assert step(False) == [0.5, 1, 1.5, 2]
    assert (made.states, made.programs) == (0, 0)


def test_the_same_operations_on_other_tensors_are_the_same_program() -> None:
    a, b = torch.ones(3), torch.full((3,), 2.0)
    (a + a * b).tolist()
    with Made() as made:
        found = (b + b * a).tolist()
    assert found == [4, 4, 4]
    assert made.programs == 0
    with Made() as aliased:  # one input instead of two is another key
        assert (a + a * a).tolist() == [2, 2, 2]
    assert aliased.states > 0


def test_an_updated_parameter_is_written_where_it_was() -> None:
    """What nobody else holds is updated in its own memory from the second step on."""
    w = torch.ones(100_000, requires_grad=True)
    optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.5)

    def step() -> int:
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
        return w._value.buffer.ctypes.data

    places = {step() for _ in range(6)}
    assert len(places) <= 2
    saved = w.detach().clone()
    before = saved.tolist()
    step()
    assert saved.tolist() == before


def add_through_a_view(x: torch.Tensor, view: torch.Tensor) -> None:
    view.add_(1)


def set_parts(x: torch.Tensor, view: torch.Tensor) -> None:
    x[9] = 4.0
    x[20:23] = torch.ones(3) * 2


@pytest.mark.parametrize("write", [add_through_a_view, set_parts])
def test_a_part_is_written_where_it_is(write: Callable[..., None]) -> None:
    """Writing a few elements of a large tensor does not copy the rest."""
    x = torch.zeros(100_000)
    view = x[5:8]

    def step() -> int:
        write(x, view)
        flush()
        return x._alias.value.buffer.ctypes.data

    places = [step() for _ in range(5)]
    assert len(set(places[1:])) == 1
    assert view.tolist() == ([5, 5, 5] if write is add_through_a_view else [0, 0, 0])
    assert x[20].item() == (0 if write is add_through_a_view else 2)
    saved, kept = x * 1, x.detach().clone()
    flush()
    before = x.tolist()
    write(x, view)
    x[50] = 7
    assert kept.tolist() == saved.tolist() == before


def test_a_long_trace_is_run_in_pieces() -> None:
    limit = here.trace.limit
    x = torch.zeros(2)
    with Made() as made:
        for _ in range(3 * limit):
            x = x + 1
    assert made.flushes >= 1
    assert len(here.trace.values) <= 2 * limit
    assert x.tolist() == [3 * limit] * 2


@pytest.fixture
def eager() -> Iterator[None]:
    """Every operation is run when it is written."""
    flush()
    config.eager, mode.limit = True, -1
    yield
    config.eager, mode.limit = False, config.trace_limit


@pytest.mark.usefixtures("eager")
def test_eager_runs_every_operation() -> None:
    x = torch.arange(3.0)
    with Made() as made:
        y = x * 2
        assert y._value.buffer is not None
        z = (y + 1).sum()
        assert z._value.buffer is not None
    assert made.flushes == 3
    assert z.item() == 9


@pytest.mark.usefixtures("eager")
def test_eager_trains_to_the_same_numbers() -> None:
    eager_losses = _losses()
    config.eager, mode.limit = False, config.trace_limit
    np.testing.assert_allclose(_losses(), eager_losses, rtol=1e-5)


def _losses() -> list[float]:
    step = trainer(ALGORITHMS["Adam"])
    torch.manual_seed(1)
    return [step() for _ in range(10)]


@pytest.mark.usefixtures("eager")
def test_eager_finds_an_error_at_its_line() -> None:
    table = torch.zeros(3, 2)
    index = torch.tensor([1, 1]) * 5
    with pytest.raises(IndexError, match="index out of range in self"):
        F.embedding(index, table)


def test_two_runs_with_one_seed_are_equal_to_the_bit() -> None:
    assert _losses() == _losses()
