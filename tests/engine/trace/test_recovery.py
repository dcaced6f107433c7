"""An error or an interruption in the middle of a step: the trace goes on and no tensor is lost."""

from __future__ import annotations

import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from inspect import currentframe
from typing import Any

import numpy as np
import pytest

import rushlight as torch
import rushlight.nn.functional as F
from rushlight import nn
from rushlight.engine.ir.op import OTHER, Op
from rushlight.engine.runtime.cache import State, here
from rushlight.engine.runtime.executor import flush


class Trouble:
    """An operator that does what ``self.action`` says when it is run, then gives its input."""

    def __init__(self) -> None:
        self.action: Callable[[], object] = int
        self.calls = 0
        self.op = Op(
            "trouble(Tensor input)",
            kind=OTHER,
            infer=lambda meta: meta,
            kernel=lambda spec: self._run,
            grad={"input": lambda g: g},
            may_fail=True,
        )
        del Op.registry["trouble"]  # the other tests look at the package's operators only

    def _run(self, array: np.ndarray) -> np.ndarray:
        self.calls += 1
        self.action()
        return array.copy()

    def __call__(self, tensor: torch.Tensor) -> torch.Tensor:
        return self.op(tensor)


_trouble = Trouble()


@pytest.fixture
def trouble() -> Iterator[Trouble]:
    """The operator, harmless at first, in an empty trace."""
    flush()
    _trouble.action, _trouble.calls = int, 0
    yield _trouble
    _trouble.action = int
    flush()


def fail() -> None:
    raise ValueError("the kernel is broken")


def line() -> int:
    """The number of the caller's line."""
    return currentframe().f_back.f_lineno


# errors found when a trace is run -----------------------------------------------------------------


def test_only_what_depends_on_the_error_is_spoiled(trouble: Trouble) -> None:
    trouble.action = fail
    a = torch.ones(3) * 2
    bad = trouble(a)
    after = bad + 1
    b = a * 5
    with pytest.raises(ValueError, match="the kernel is broken"):
        b.tolist()
    assert b.tolist() == [10, 10, 10]
    assert a.tolist() == [2, 2, 2]
    for tensor in (bad, after):
        for _ in range(2):
            with pytest.raises(ValueError, match="the kernel is broken"):
                tensor.tolist()
        with pytest.raises(ValueError, match="the kernel is broken"):
            (tensor * 2).tolist()
    assert (a + b).tolist() == [12, 12, 12]


def test_the_traceback_ends_at_the_line_that_recorded(trouble: Trouble) -> None:
    trouble.action = fail
    x = torch.ones(3)

    def forward() -> torch.Tensor:
        return trouble.op(x) + 1

    wrong = forward.__code__.co_firstlineno + 1
    y = forward()
    with pytest.raises(ValueError) as caught:
        y.sum().item()
    frames = [f for f in traceback.extract_tb(caught.value.__traceback__) if f.filename == __file__]
    assert [f.name for f in frames[-3:]] == ["forward", "_run", "fail"]  # line, kernel, its cause
    assert frames[-3].lineno == wrong
    assert f'recorded at: File "{__file__}", line {wrong}, in forward' in caught.value.__notes__
    text = "".join(traceback.format_exception(caught.value))
    assert "return trouble.op(x) + 1" in text


def test_a_second_reading_tells_the_same_and_no_more(trouble: Trouble) -> None:
    trouble.action = fail
    y = trouble(torch.ones(3))
    texts = []
    for _ in range(3):
        with pytest.raises(ValueError) as caught:
            y.tolist()
        texts.append(traceback.format_exception(caught.value))
    assert len(texts[0]) >= len(texts[1]) == len(texts[2])
    assert len(caught.value.__notes__) == 1


def test_a_failed_step_leaves_the_parameters(trouble: Trouble) -> None:
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
    for optimizer in (
        torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
        torch.optim.Adam(net.parameters(), lr=0.1),
    ):
        x, y = torch.randn(5, 4), torch.randint(0, 2, (5,))

        def step(optimizer=optimizer, x=x, y=y) -> None:
            optimizer.zero_grad()
            F.cross_entropy(trouble(net(x)), y).backward()
            optimizer.step()

        trouble.action = fail
        before = {name: value.tolist() for name, value in net.state_dict().items()}
        with pytest.raises(ValueError, match="the kernel is broken"):
            step()  # the very first step of this optimizer
        # the forward pass before the error did run: what batch norm counts may have moved
        after = {name: value.tolist() for name, value in net.state_dict().items()}
        moved = {name for name in before if before[name] != after[name]}
        assert all("running" in name or "num_batches" in name for name in moved)
        trouble.action = int
        step()
        step()
        trained = [p.tolist() for p in net.parameters()]
        trouble.action = fail
        with pytest.raises(ValueError, match="the kernel is broken"):
            step()
        assert [p.tolist() for p in net.parameters()] == trained
        trouble.action = int
        step()
        assert all(np.isfinite(p.detach().numpy()).all() for p in net.parameters())


@pytest.mark.usefixtures("interpreted")
def test_after_a_failed_first_step_training_goes_as_if_it_had_not_been(trouble: Trouble) -> None:
    def run(broken: bool) -> list[list[float]]:
        torch.manual_seed(0)
        net = nn.Linear(4, 2)
        x, y = torch.randn(5, 4), torch.randn(5, 2)
        optimizers = [
            torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9),
            torch.optim.Adam(net.parameters(), lr=0.1),
        ]
        for optimizer in optimizers:
            for number in range(5):
                optimizer.zero_grad()
                if broken and number in (0, 3):
                    trouble.action = fail
                    F.mse_loss(trouble(net(x)), y).backward()
                    with pytest.raises(ValueError, match="the kernel is broken"):
                        optimizer.step()
                    optimizer.zero_grad()
                trouble.action = int
                F.mse_loss(trouble(net(x)), y).backward()
                optimizer.step()
        return [p.tolist() for p in net.parameters()]

    assert run(broken=True) == run(broken=False)


@pytest.mark.parametrize("read_first", [True, False])
def test_one_failed_gradient_updates_no_parameter(trouble: Trouble, read_first: bool) -> None:
    good = torch.ones(50_000, requires_grad=True)
    bad = torch.ones(50_000, requires_grad=True)
    optimizer = torch.optim.SGD([good, bad], lr=0.1, momentum=0.9)
    for action in (int, int, fail):
        trouble.action = action
        before = good[:2].tolist(), bad[:2].tolist()
        optimizer.zero_grad()
        ((good * good).sum() + (trouble(bad) * bad).sum()).backward()
        if action is fail:
            for reading in (bad.grad.tolist, optimizer.step)[not read_first :]:
                with pytest.raises(ValueError, match="the kernel is broken"):
                    reading()
        else:
            optimizer.step()
            assert (good[:2].tolist(), bad[:2].tolist()) != before
    assert (good[:2].tolist(), bad[:2].tolist()) == before
    assert optimizer.state[good]["momentum_buffer"][0].item() == pytest.approx(3.4)


def test_a_failed_write_leaves_what_was_there(trouble: Trouble) -> None:
    trouble.action = fail
    x = torch.arange(4.0)
    view = x[1:3]
    kept = x + 0
    ones = torch.ones(4)
    x.add_(trouble(ones))
    with pytest.raises(ValueError, match="the kernel is broken"):
        x.tolist()
    assert x.tolist() == kept.tolist() == [0, 1, 2, 3]
    assert view.tolist() == [1, 2]
    view.mul_(trouble(ones)[:2])
    with pytest.raises(ValueError, match="the kernel is broken"):
        view.tolist()
    assert view.tolist() == [1, 2]
    assert x.tolist() == [0, 1, 2, 3]
    x[0] = 9
    x[1:] = trouble(ones)[1:]
    with pytest.raises(ValueError, match="the kernel is broken"):
        x.tolist()
    assert x.tolist() == [9, 1, 2, 3]
    bad = trouble(ones)
    x.copy_(bad)
    with pytest.raises(ValueError, match="the kernel is broken"):
        x.tolist()
    assert x.tolist() == [9, 1, 2, 3]
    with pytest.raises(ValueError, match="the kernel is broken"):
        bad.tolist()


def test_a_failed_write_to_shared_memory_does_not_happen(trouble: Trouble) -> None:
    trouble.action = fail
    array = np.arange(3.0)
    x = torch.from_numpy(array)
    with pytest.raises(ValueError, match="the kernel is broken"):
        x.add_(trouble(torch.ones(3, dtype=torch.float64)))
    assert array.tolist() == x.tolist() == [0, 1, 2]


# errors of the user's own code between operations -------------------------------------------------


def test_an_exception_of_the_user_leaves_the_trace_usable() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    with pytest.raises(KeyError), torch.no_grad():  # noqa: PT012 - what comes before it counts
        z = y + 1
        raise KeyError("between two operations")
    assert torch.is_grad_enabled()
    assert z.tolist() == [3, 3, 3]
    (y * y).sum().backward()
    assert x.grad.tolist() == [8, 8, 8]


def test_a_refused_operation_leaves_no_trace() -> None:
    flush()
    x = torch.ones(2, 3)
    y = x * 2
    number, state = len(here.trace.values), here.trace.state
    for wrong in (lambda: y @ y, lambda: y + torch.ones(4), lambda: y.view(7)):
        with pytest.raises(RuntimeError):
            wrong()
    assert (len(here.trace.values), here.trace.state) == (number, state)
    assert (y + 1).tolist() == [[3, 3, 3], [3, 3, 3]]


def test_an_exception_in_a_hook_or_a_function_leaves_the_graph() -> None:
    x = torch.ones(3, requires_grad=True)
    y = x * 2
    handle = y.register_hook(lambda grad: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        y.sum().backward(retain_graph=True)
    assert torch.is_grad_enabled()
    handle.remove()
    y.sum().backward()
    assert x.grad.tolist() == [2, 2, 2]

    class Broken(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, t: torch.Tensor) -> torch.Tensor:
            raise OSError("no")

        @staticmethod
        def backward(ctx: object, grad: torch.Tensor) -> torch.Tensor:
            return grad

    with pytest.raises(OSError, match="no"):
        Broken.apply(x)
    assert torch.is_grad_enabled()


def test_recording_that_is_broken_off_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C inside the recorder: the operation was not recorded, the next ones are."""
    flush()
    missing = State.__missing__
    x = torch.arange(3.0)
    y = x * 7

    def interrupted(self: State, key: object) -> State:
        monkeypatch.setattr(State, "__missing__", missing)
        raise KeyboardInterrupt

    number = len(here.trace.values)
    for operation in (lambda: torch.ones(3) / y, lambda: y.sinh(), lambda: torch.cat([y, x])):
        monkeypatch.setattr(State, "__missing__", interrupted)
        with pytest.raises(KeyboardInterrupt):
            operation()
        assert len(here.trace.values) == number
    assert (y + x).tolist() == [0, 8, 16]
    assert y.sinh().shape == (3,)


# interruptions while a trace is run ---------------------------------------------------------------


def interrupt() -> None:
    """What Ctrl-C does."""
    _trouble.action = int
    signal.raise_signal(signal.SIGINT)


def test_an_interrupted_run_is_made_up_for(trouble: Trouble) -> None:
    trouble.action = interrupt
    a = torch.ones(3) * 2
    b = trouble(a) + 1
    with pytest.raises(KeyboardInterrupt):
        b.tolist()
    c = b * 10
    assert b.tolist() == [3, 3, 3]
    assert c.tolist() == [30, 30, 30]
    assert a.tolist() == [2, 2, 2]
    assert trouble.calls == 2


def test_an_interrupted_update_is_finished_first(trouble: Trouble) -> None:
    """Parameters are written over in place, which cannot be done twice: Ctrl-C waits for that."""

    def run(interrupted: bool) -> list[float]:
        w = torch.ones(50_000, requires_grad=True)
        optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
        for number in range(4):
            optimizer.zero_grad()
            trouble.action = interrupt if interrupted and number == 2 else int
            (trouble(w) * w).sum().backward()
            if interrupted and number == 2:
                with pytest.raises(KeyboardInterrupt):
                    optimizer.step()
            else:
                optimizer.step()
        return w[:3].tolist()

    assert run(True) == run(False)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


# it may also come in a callback of the garbage collector, which cannot pass it on
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_interruptions_anywhere_lose_nothing() -> None:
    """Ctrl-C at random moments of training: every tensor can be read, training goes on."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(8, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Linear(16, 3))
    optimizer = torch.optim.Adam(net.parameters(), lr=1e-3)
    x, y = torch.randn(12, 8), torch.randint(0, 3, (12,))
    done = threading.Event()
    main = threading.main_thread().ident

    def disturb() -> None:
        while not done.wait(0.002):
            signal.pthread_kill(main, signal.SIGINT)

    inside = [False]

    def interrupt_training(number: int, frame: Any) -> None:
        """As Ctrl-C, but never between two steps, where nobody would catch it."""
        if inside[0]:
            inside[0] = False
            raise KeyboardInterrupt

    before = signal.signal(signal.SIGINT, interrupt_training)
    disturber = threading.Thread(target=disturb)
    steps = interruptions = 0
    disturber.start()
    try:
        while interruptions < 100:
            try:
                inside[0] = True
                optimizer.zero_grad()
                loss = F.cross_entropy(net(x), y)
                loss.backward()
                optimizer.step()
                inside[0] = False
                steps += 1
            except KeyboardInterrupt:
                interruptions += 1
    finally:
        done.set()
        disturber.join()
        signal.signal(signal.SIGINT, before)
    assert steps > 0
    for tensor in [*net.state_dict().values(), *[p.grad for p in net.parameters()]]:
        assert tensor is None or np.isfinite(tensor.numpy()).all()
    optimizer.zero_grad()
    first = F.cross_entropy(net(x), y)
    first.backward()
    optimizer.step()
    assert 0 < first.item() < 2
