"""``torch.compile`` of functions and modules: results are always those of the code as written."""

from __future__ import annotations

import threading
from collections import namedtuple
from collections.abc import Callable, Iterator
from typing import Any

import pytest

import rushlight as torch
from rushlight.engine.core.config import config

nn = torch.nn


@pytest.fixture(autouse=True)
def interpreted(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Everything in the interpreter, so that results can be compared bit by bit."""
    monkeypatch.setattr(config, "compiler", False)
    yield
    torch.compiler.reset()


def numbers(found: Any) -> Any:
    """Tensors as lists, whatever they are in."""
    if isinstance(found, torch.Tensor):
        return found.tolist()
    if isinstance(found, (tuple, list)):
        return [numbers(x) for x in found]
    if isinstance(found, dict):
        return {key: numbers(x) for key, x in found.items()}
    return found


def check(
    function: Callable[..., Any], *calls: tuple[Any, ...], replays: int, again: Any = None
) -> Any:
    """Call a function and its compiled form in turn; the results must agree."""
    compiled = torch.compile(function)
    for args in calls:
        if again is not None:
            again()
        expected = numbers(function(*args))
        if again is not None:
            again()
        assert numbers(compiled(*args)) == expected
    assert compiled.replayed == replays
    return compiled


def ten(make: Callable[[int], tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    return [make(i) for i in range(10)]


Pair = namedtuple("Pair", "one two")


def test_a_function_of_tensors() -> None:
    check(lambda x, y: x * y + 1, *ten(lambda i: (torch.ones(3) * i, torch.ones(3))), replays=8)


def test_results_in_containers() -> None:
    def f(x: Any) -> Any:
        return {"a": [x + 1, (x * 2, None)], "b": Pair(x.sum(), 3), "c": x}

    compiled = check(f, *ten(lambda i: (torch.ones(2) * i,)), replays=8)
    x = torch.ones(2)
    found = compiled(x)
    assert found["c"] is x
    assert isinstance(found["b"], Pair)


def test_python_arguments_are_part_of_the_signature() -> None:
    calls = [(torch.ones(2), k, s) for _ in range(4) for k in (1, True, 1.0) for s in ("a", "b")]
    check(lambda x, k, s: x * k if s == "a" else x + k, *calls, replays=12)


def test_shapes_and_types_are_part_of_the_signature() -> None:
    calls = [(torch.ones(n, dtype=t),) for _ in range(4) for n in (1, 2) for t in
             (torch.float32, torch.int64)]  # fmt: skip
    check(lambda x: (x * 2).sum(), *calls, replays=8)


def test_keywords_and_nested_arguments() -> None:
    compiled = torch.compile(lambda xs, *, scale: xs["a"][0] * scale)
    for i in range(5):
        assert compiled({"a": [torch.ones(1) * i]}, scale=2).item() == 2 * i
    assert compiled.replayed == 3


def test_a_changed_branch() -> None:
    flag = [True]
    compiled = torch.compile(lambda x: x + 1 if flag[0] else x - 1)
    for i in range(12):
        flag[0] = i % 6 < 3
        assert compiled(torch.zeros(1)).item() == (1 if flag[0] else -1)
    assert compiled.replayed >= 4


def test_a_changed_constant() -> None:
    class Scale:
        factor = 1.0

    scale = Scale()
    compiled = torch.compile(lambda x: x * scale.factor)
    for i in range(12):
        scale.factor = float(i // 4)
        assert compiled(torch.ones(1)).item() == i // 4


def test_a_tensor_of_an_enclosing_function_is_bound_anew() -> None:
    w = torch.ones(2)

    def f(x: Any) -> Any:
        return x * w

    compiled = torch.compile(f)
    for i in range(10):
        if i % 5 == 0:
            w = torch.ones(2) * (i + 1)
        assert compiled(torch.ones(2)).tolist() == w.tolist()
    assert compiled.replayed


def test_a_tensor_written_between_calls() -> None:
    w = torch.ones(2)
    compiled = torch.compile(lambda x: (x * w).sum())
    for i in range(8):
        w.fill_(i)
        assert compiled(torch.ones(2)).item() == 2 * i
    assert compiled.replayed == 6


def test_views_of_computed_memory() -> None:
    w = torch.arange(6.0).reshape(2, 3)

    def f(x: Any) -> Any:
        return x[1:] @ w.t() + w[0, 1] + x[0, :2]

    compiled = torch.compile(f)
    for i in range(8):
        w.mul_(1.5)
        x = torch.arange(9.0).reshape(3, 3) * i
        assert compiled(x).tolist() == f(x).tolist()
    assert compiled.replayed == 6


def test_arguments_that_are_views() -> None:
    data = torch.arange(40.0).reshape(10, 4)
    check(lambda x: x * 2, *ten(lambda i: (data[i],)), replays=8)


def test_writing_into_an_argument() -> None:
    def f(x: Any) -> Any:
        x.mul_(2)
        x[0] = 5
        return x.sum()

    compiled = torch.compile(f)
    for i in range(8):
        one, two = torch.ones(3) * i, torch.ones(3) * i
        assert compiled(one).item() == f(two).item()
        assert one.tolist() == two.tolist()
        assert one._version == two._version
    assert compiled.replayed == 6


def test_writing_into_a_tensor_that_others_look_at() -> None:
    ends = []
    for compile in (False, True):
        state = torch.zeros(4)
        part = state[1:3]

        def f(x: Any, state: Any = state) -> None:
            state.add_(x)

        call = torch.compile(f) if compile else f
        seen = []
        for i in range(8):
            call(torch.ones(4) * i)
            seen.append(part.tolist())
            part.mul_(2)
        ends.append((seen, state.tolist()))
    assert ends[0] == ends[1]


@pytest.mark.parametrize("draw", [
    lambda x: x + torch.randn(2),
    lambda x: x * torch.rand(2, 1)[0],
    lambda x: x + torch.randint(5, (2,)),
])  # fmt: skip
def test_random_numbers_drawn_at_the_call(draw: Callable[..., Any]) -> None:
    compiled = torch.compile(draw)
    torch.manual_seed(0)
    first = [compiled(torch.ones(2)).tolist() for _ in range(10)]
    torch.manual_seed(0)
    assert first == [draw(torch.ones(2)).tolist() for _ in range(10)]
    assert not compiled.replayed


def test_dropout_goes_on_in_the_stream() -> None:
    def f(x: Any) -> Any:
        nn.functional.dropout(x, 0.5)  # its draws count although nobody needs it
        return nn.functional.dropout(x, 0.3)

    check(f, *ten(lambda i: (torch.ones(7),)), replays=8, again=lambda: torch.manual_seed(4))
    torch.manual_seed(1)
    compiled = torch.compile(f)
    one = [compiled(torch.ones(7)).tolist() for _ in range(6)] + [torch.rand(1).item()]
    torch.manual_seed(1)
    assert one == [f(torch.ones(7)).tolist() for _ in range(6)] + [torch.rand(1).item()]


@pytest.mark.parametrize("look", [
    lambda x: x * (2 if x.sum() > 3 else 3),
    lambda x: x * x.sum().item(),
    lambda x: x[x > 1],
    lambda x: torch.tensor(x.tolist()),
    lambda x: torch.from_numpy(x.numpy()) + 1,
])  # fmt: skip
def test_what_looks_at_values_runs_as_written(look: Callable[..., Any]) -> None:
    check(look, *ten(lambda i: (torch.ones(3) * (i % 3),)), replays=0)


def test_side_effects_are_not_lost() -> None:
    history: list[Any] = []

    def f(x: Any) -> Any:
        history.append(x * 2)
        return x

    compiled = torch.compile(f)
    for i in range(10):
        compiled(torch.ones(1) * i)
    assert [x.item() for x in history] == [2.0 * i for i in range(10)]

    class Counter(nn.Module):
        calls = 0

        def forward(self, x: Any) -> Any:
            self.calls += 1
            return x + 1

    counter = Counter()
    compiled = torch.compile(counter)
    for _ in range(10):
        compiled(torch.ones(1))
    assert counter.calls == 10


def test_a_state_that_is_bound_anew() -> None:
    class Memory(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.h = torch.zeros(2)

        def forward(self, x: Any) -> Any:
            self.h = self.h * 0.5 + x
            return self.h

    one, two = Memory(), Memory()
    compiled = torch.compile(one)
    for i in range(10):
        assert compiled(torch.ones(2) * i).tolist() == two(torch.ones(2) * i).tolist()


def test_an_error_in_the_function() -> None:
    def f(x: Any, fail: bool) -> Any:
        if fail:
            raise KeyError("x")
        return x + 1

    compiled = torch.compile(f)
    for i in range(8):
        if i % 2:
            with pytest.raises(KeyError):
                compiled(torch.ones(1), True)
        assert compiled(torch.ones(1) * i, False).item() == i + 1


def test_an_error_in_a_kernel() -> None:
    table = torch.arange(4.0)
    compiled = torch.compile(lambda index: table[index] * 2)
    for _ in range(5):
        assert compiled(torch.tensor([1, 2])).tolist() == [2, 4]
    with pytest.raises(IndexError):
        compiled(torch.tensor([1, 9])).tolist()
    assert compiled(torch.tensor([1, 3])).tolist() == [2, 6]


def test_pending_arguments() -> None:
    compiled = torch.compile(lambda x: x * 3)
    x = torch.ones(2)
    for _ in range(6):
        x = compiled(x + 1)
    y = torch.ones(2)
    for _ in range(6):
        y = (y + 1) * 3
    assert x.tolist() == y.tolist()


def test_one_tensor_twice() -> None:
    def f(x: Any, y: Any) -> Any:
        x.add_(1)
        return x * y

    compiled = torch.compile(f)
    for i in range(10):
        x, y = torch.ones(2), torch.ones(2)
        same = i % 2 == 0
        assert compiled(x, x if same else y).tolist() == ([4.0, 4.0] if same else [2.0, 2.0])


def test_arguments_that_share_memory() -> None:
    def f(x: Any, y: Any) -> Any:
        x.add_(1)
        return y * 2

    compiled = torch.compile(f)
    for i in range(10):
        x = torch.ones(2)
        y = x[:] if i % 2 else torch.ones(2)
        assert compiled(x, y).tolist() == ([4.0, 4.0] if i % 2 else [2.0, 2.0])


@pytest.mark.parametrize("f", [
    lambda x: x[1:],
    lambda x: (lambda y: (y, y[0]))(x + 1),
    lambda x: (x + 1).detach(),
    lambda x: (x + 1).view(3, 1)[1:],
])  # fmt: skip
def test_views_among_the_results(f: Callable[..., Any]) -> None:
    compiled = torch.compile(f)
    for i in range(10):
        one, two = torch.ones(3) * i, torch.ones(3) * i
        first, second = compiled(one), f(two)
        assert numbers(first) == numbers(second)
        for found in (first, second):
            (found[0] if isinstance(found, tuple) else found).mul_(2)
        assert numbers((first, one)) == numbers((second, two))


def test_threads() -> None:
    w = torch.ones(3)
    compiled = torch.compile(lambda x: (x * w).sum())
    for _ in range(3):
        compiled(torch.ones(3))
    results: dict[int, list[float]] = {}

    def work(number: int) -> None:
        results[number] = [compiled(torch.ones(3) * (number + i)).item() for i in range(50)]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results == {n: [3.0 * (n + i) for i in range(50)] for n in range(4)}


def test_compiled_inside_compiled() -> None:
    inner = torch.compile(lambda x: x * 2)
    outer = torch.compile(lambda x: inner(x) + inner(x + 1))
    for i in range(8):
        assert outer(torch.ones(1) * i).item() == 4 * i + 2
    assert outer.replayed == 6


def test_disabled_functions_run() -> None:
    seen: list[float] = []

    @torch.compiler.disable
    def look(x: Any) -> None:
        seen.append(x.sum().item())

    @torch.compile
    def f(x: Any) -> Any:
        look(x)
        return x * 2

    for i in range(8):
        assert f(torch.ones(1) * i).item() == 2 * i
    assert seen == list(range(8))


def test_no_grad_is_part_of_the_signature() -> None:
    w = torch.ones(2, requires_grad=True)
    compiled = torch.compile(lambda x: x * w)
    for i in range(12):
        with torch.set_grad_enabled(i % 2 == 0):
            assert compiled(torch.ones(2)).requires_grad is (i % 2 == 0)
    assert compiled.replayed == 8
