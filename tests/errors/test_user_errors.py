"""A wrong program gets PyTorch's error, at the line that is wrong."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

import pytest

import rushlight

Program = Callable[[Any], Any]


def matmul_shapes(torch: Any) -> None:
    torch.ones(4, 3) @ torch.ones(2, 5)  # wrong


def linear_shapes(torch: Any) -> None:
    layer = torch.nn.Linear(3, 2)
    layer(torch.ones(4, 5))  # wrong


def conv_channels(torch: Any) -> None:
    layer = torch.nn.Conv2d(3, 6, 5)
    layer(torch.ones(1, 1, 32, 32))  # wrong


def conv_kernel(torch: Any) -> None:
    layer = torch.nn.Conv2d(1, 1, 5)
    layer(torch.ones(1, 1, 3, 3))  # wrong


def broadcast(torch: Any) -> None:
    torch.ones(3) + torch.ones(4)  # wrong


def view_size(torch: Any) -> None:
    torch.ones(6).view(4, -1)  # wrong


def view_strides(torch: Any) -> None:
    torch.ones(2, 3).t().view(6)  # wrong


def cat_sizes(torch: Any) -> None:
    torch.cat([torch.ones(2, 3), torch.ones(2, 4)])  # wrong


def linear_dtype(torch: Any) -> None:
    layer = torch.nn.Linear(3, 2)
    layer(torch.ones(4, 3, dtype=torch.int64))  # wrong


def mean_of_integers(torch: Any) -> None:
    torch.ones(3, dtype=torch.int64).mean()  # wrong


def integers_with_gradient(torch: Any) -> None:
    torch.ones(3, dtype=torch.int64).requires_grad_()  # wrong


def inplace_type(torch: Any) -> None:
    x = torch.ones(3, dtype=torch.int64)
    x += 0.5  # wrong


def inplace_shape(torch: Any) -> None:
    x = torch.ones(3)
    x += torch.ones(2, 3)  # wrong


def index_range(torch: Any) -> None:
    x = torch.ones(3)
    x[5]  # wrong


def index_tensor_range(torch: Any) -> None:
    x = torch.ones(3)
    x[torch.tensor([0, 3])]  # wrong


def too_many_indices(torch: Any) -> None:
    x = torch.ones(3)
    x[0, 0]  # wrong


def embedding_range(torch: Any) -> None:
    table = torch.nn.Embedding(3, 2)
    table(torch.tensor([3]))  # wrong


def target_range(torch: Any) -> None:
    criterion = torch.nn.CrossEntropyLoss()
    criterion(torch.ones(2, 3), torch.tensor([0, 3]))  # wrong


def target_batch(torch: Any) -> None:
    criterion = torch.nn.CrossEntropyLoss()
    criterion(torch.ones(2, 3), torch.tensor([0, 1, 2]))  # wrong


def dimension_range(torch: Any) -> None:
    torch.ones(2, 3).sum(2)  # wrong


def backward_twice(torch: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    y = (x * x).sum()
    y.backward()
    y.backward()  # wrong


def backward_of_many(torch: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    (x * x).backward()  # wrong


def backward_without_graph(torch: Any) -> None:
    torch.ones(1).backward()  # wrong


def write_to_leaf(torch: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    x += 1  # wrong


def write_to_view_of_leaf(torch: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    x[0] = 5  # wrong


def numpy_of_graph(torch: Any) -> None:
    x = torch.ones(3, requires_grad=True)
    x.numpy()  # wrong


def truth_of_many(torch: Any) -> None:
    if torch.ones(3) > 0:  # wrong
        pass


def item_of_many(torch: Any) -> None:
    torch.ones(3).item()  # wrong


def to_a_gpu(torch: Any) -> None:
    torch.ones(3).cuda()  # wrong


def to_a_gpu_by_name(torch: Any) -> None:
    torch.ones(3).to("cuda")  # wrong


def unknown_device(torch: Any) -> None:
    torch.device("gpu")  # wrong


def optimize_nothing(torch: Any) -> None:
    torch.optim.SGD([], lr=0.1)  # wrong


def optimize_result(torch: Any) -> None:
    x = torch.ones(3, requires_grad=True) * 2
    torch.optim.SGD([x], lr=0.1)  # wrong


def missing_attribute(torch: Any) -> None:
    layer = torch.nn.Linear(3, 2)
    layer.weights  # wrong


def module_before_init(torch: Any) -> None:
    class Net(torch.nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            self.layer = torch.nn.Linear(3, 2)  # wrong

    Net()


def foreign_state(torch: Any) -> None:
    layer = torch.nn.Linear(3, 2)
    layer.load_state_dict(torch.nn.Linear(4, 2).state_dict())  # wrong


PROGRAMS: dict[str, Program] = {
    name: found
    for name, found in list(globals().items())
    if callable(found) and getattr(found, "__module__", None) == __name__ and name[0].islower()
}

#: Programs whose message differs from PyTorch's after these many words: PyTorch's own names devices
#: or C++ types there.
_WORDS = {"to_a_gpu": 5, "to_a_gpu_by_name": 5, "unknown_device": 4}


def _error(program: Program, framework: Any, file: str = __file__) -> tuple[Exception, str]:
    """The error, and the innermost line of ``file`` on its way."""
    with pytest.raises(Exception) as caught:
        program(framework)
    error = caught.value
    lines = [
        frame.line or "" for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename == file
    ]  # fmt: skip
    return error, lines[-1]


@pytest.mark.parametrize("name", PROGRAMS)
def test_error_comes_at_the_wrong_line(name: str) -> None:
    _, line = _error(PROGRAMS[name], rushlight)
    assert line.endswith("# wrong") or "# wrong" in line


@pytest.mark.parametrize("name", PROGRAMS)
def test_error_is_pytorchs(name: str) -> None:
    oracle = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    ours, _ = _error(PROGRAMS[name], rushlight)
    theirs, _ = _error(PROGRAMS[name], oracle)
    assert isinstance(ours, type(theirs)), f"{type(ours)} for PyTorch's {type(theirs)}"
    count = _WORDS.get(name, 8)
    first, second = (str(error).splitlines()[0].split()[:count] for error in (ours, theirs))
    assert first == second


@pytest.mark.parametrize("name", PROGRAMS)
def test_trace_is_usable_after_an_error(name: str) -> None:
    before = rushlight.arange(4) * 2
    held = before + 1
    _error(PROGRAMS[name], rushlight)
    after = held * 10
    assert held.tolist() == [1, 3, 5, 7]
    assert after.tolist() == [10, 30, 50, 70]


def test_failure_found_later_names_the_line_that_recorded_it() -> None:
    table = rushlight.ones(3, 2)
    index = rushlight.tensor([1, 2]) + 1  # not computed yet, so it cannot be checked at the call
    good = table + 1
    bad = table[index]  # recorded here
    later = bad * 2
    with pytest.raises(IndexError, match="out of bounds") as caught:
        later.sum().item()
    assert any("# recorded here" in _line_of(note) for note in caught.value.__notes__)
    assert good.tolist() == [[2.0, 2.0]] * 3
    with pytest.raises(IndexError):
        bad.tolist()
    assert (good * 2).sum().item() == 24.0


def _line_of(note: str) -> str:
    """The source line a note of the form ``File "...", line N`` points at."""
    path, number = note.split('"')[1], int(note.split("line ")[1].split(",")[0])
    with open(path) as file:
        return file.readlines()[number - 1]
