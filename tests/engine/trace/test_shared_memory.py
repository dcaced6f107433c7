"""Memory shared with NumPy and DLPack: a write on either side is seen on both, at once."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable

import numpy as np
import pytest

import rushlight as torch
from rushlight.engine.ir.graph import SHARED
from rushlight.engine.runtime.cache import counters
from rushlight.engine.runtime.executor import flush


def shared(array: np.ndarray, tensor: torch.Tensor) -> bool:
    """Whether both lie in one memory and hold the same."""
    return np.shares_memory(array, tensor.numpy()) and array.tolist() == tensor.tolist()


# from_numpy ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype",
    ["float64", "float32", "float16", "complex64", "int64", "int32", "int16", "int8", "uint8",
     "bool"],
)  # fmt: skip
def test_from_numpy_both_ways(dtype: str) -> None:
    array = np.zeros((2, 3), dtype)
    x = torch.from_numpy(array)
    assert str(x.dtype) == f"torch.{dtype}"
    array[0, 1] = 1
    assert x.tolist() == array.tolist()
    x[1, 2] = 1
    assert array[1, 2] == 1
    assert shared(array, x)


IN_PLACE: dict[str, Callable[[torch.Tensor], object]] = {
    "add_": lambda x: x.add_(1),
    "+=": lambda x: x.__iadd__(2),
    "mul_ by a tensor": lambda x: x.mul_(torch.arange(6.0, dtype=torch.float64).view(2, 3)),
    "fill_": lambda x: x.fill_(7),
    "zero_": lambda x: x.zero_(),
    "copy_": lambda x: x.copy_(torch.ones(3)),
    "item": lambda x: x.__setitem__((0, 0), 5.0),
    "slice": lambda x: x.__setitem__(slice(1, 2), torch.ones(1, 3, dtype=torch.float64)),
    "mask": lambda x: x.__setitem__(x > 2, -1.0),
    "index": lambda x: x.__setitem__((torch.tensor([0, 1]), torch.tensor([2, 0])), 3.0),
    "column": lambda x: x[:, 1].add_(10),
    "transposed": lambda x: x.t().mul_(2),
    "view": lambda x: x.view(-1)[2:5].sub_(1),
    "clamp_": lambda x: x.clamp_(1, 3),
    "out": lambda x: torch.add(x, 1, out=x),
    "normal_": lambda x: x.normal_(generator=torch.Generator().manual_seed(0)),
}


@pytest.mark.parametrize("name", IN_PLACE)
def test_writes_of_a_tensor_reach_the_array_at_once(name: str) -> None:
    write = IN_PLACE[name]
    array = np.arange(6.0).reshape(2, 3).copy()
    x = torch.from_numpy(array)
    alone = torch.arange(6.0, dtype=torch.float64).view(2, 3).clone()
    write(x)
    now = array.tolist()  # nothing of the tensor has been read
    write(alone)
    assert now == alone.tolist() == x.tolist()
    assert shared(array, x)


@pytest.mark.parametrize("name", IN_PLACE)
def test_writes_of_a_tensor_reach_the_array_it_gave(name: str) -> None:
    write = IN_PLACE[name]
    x = torch.arange(6.0, dtype=torch.float64).view(2, 3)
    array = x.numpy()
    write(x)
    now = array.tolist()
    alone = torch.arange(6.0, dtype=torch.float64).view(2, 3).clone()
    write(alone)
    assert now == alone.tolist() == x.tolist()
    array[1, 1] = 99
    assert x[1, 1].item() == 99


def test_what_was_recorded_before_an_outside_write_does_not_see_it() -> None:
    array = np.ones(3)
    x = torch.from_numpy(array)
    before = x * 2
    array[0] = 5
    after = x * 2
    array[1] = 7
    assert before.tolist() == [2, 2, 2]
    assert after.tolist() == [10, 2, 2]
    assert x.tolist() == [5, 7, 1]


def test_what_was_recorded_before_the_array_was_given_does_not_see_its_writes() -> None:
    a = torch.ones(3)
    b = a + 1
    array = a.numpy()
    array[0] = 10
    assert b.tolist() == [2, 2, 2]
    a.add_(1)
    assert array.tolist() == a.tolist() == [11, 2, 2]
    array[1] = 7
    assert a.tolist() == [11, 7, 2]


def test_an_array_of_a_waiting_tensor_and_of_its_view() -> None:
    x = torch.zeros(4) + 1
    array = x[1:3].numpy()
    array[0] = 5
    assert x.tolist() == [1, 5, 1, 1]
    x.mul_(2)
    assert array.tolist() == [10, 2]
    x[2:] = 0
    assert array.tolist() == [10, 0]


def test_two_arrays_of_one_tensor() -> None:
    x = torch.zeros(2, 2)
    one, two, three = x.numpy(), x.numpy(), x.t().numpy()
    one[0, 1] = 3
    assert two[0, 1] == three[1, 0] == x[0, 1].item() == 3
    x.add_(1)
    assert one.tolist() == two.tolist() == [[1, 4], [1, 1]]
    assert three.tolist() == [[1, 1], [4, 1]]


def test_views_and_detached_tensors_of_shared_memory() -> None:
    array = np.zeros((3, 4), np.float32)
    x = torch.from_numpy(array)
    row, column, part, same = x[1], x[:, 2], x[1:, :2], x.detach()
    array[1, 2] = 8
    assert row[2].item() == column[1].item() == same[1, 2].item() == 8
    part.fill_(2)
    assert array.sum() == 8 + 8
    row += 1
    assert array[1].tolist() == [3, 3, 9, 1]
    assert column.tolist() == [0, 9, 0]


def test_strided_and_empty_arrays() -> None:
    array = np.zeros((4, 6))
    x = torch.from_numpy(array[::2, 1::2])
    assert x.stride() == (12, 2)
    x.add_(1)
    assert array.sum() == 6
    assert array[0].tolist() == [0, 1, 0, 1, 0, 1]
    with pytest.raises(ValueError, match="negative"):
        torch.from_numpy(array[::-1])
    assert torch.from_numpy(np.zeros((0, 3))).numpy().shape == (0, 3)
    assert torch.from_numpy(np.array(2.5)).item() == 2.5


def test_tensor_copies_and_as_tensor_shares() -> None:
    array = np.zeros(3, np.float32)
    copied, given = torch.tensor(array), torch.as_tensor(array)
    cast = torch.as_tensor(array.tolist())
    array[0] = 1
    assert (copied[0].item(), given[0].item(), cast[0].item()) == (0, 1, 0)


def test_saved_values_are_what_they_were() -> None:
    """PyTorch's own rule: what NumPy writes is not noticed by autograd, so gradients may use it."""
    w = torch.ones(3, requires_grad=True)
    array = np.full(3, 2.0, np.float32)
    x = torch.from_numpy(array)
    (w * x).sum().backward()
    array[:] = 100
    assert w.grad.tolist() == [2, 2, 2]


def test_numpy_refuses_what_wants_a_gradient() -> None:
    x = torch.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match="Can't call numpy\\(\\) on Tensor that requires grad"):
        x.numpy()
    x.detach().numpy()[0] = 4
    assert x.tolist() == [4, 1]
    assert x.numpy(force=True).tolist() == [4, 1]


def test_numpy_functions_take_tensors() -> None:
    x = torch.arange(4.0)
    assert np.asarray(x).tolist() == [0, 1, 2, 3]
    assert np.add(x, 1).tolist() == [1, 2, 3, 4]
    assert np.array(x, dtype=np.int32).dtype == np.int32
    copied = np.array(x)
    copied[0] = 9
    assert x[0].item() == 0


# DLPack -------------------------------------------------------------------------------------------


def test_dlpack_both_ways() -> None:
    x = torch.arange(4.0) * 2
    array = np.from_dlpack(x)
    x.add_(1)
    assert array.tolist() == [1, 3, 5, 7]
    source = np.zeros(3)
    y = torch.from_dlpack(source)
    source[1] = 6
    assert y.tolist() == [0, 6, 0]
    y[0] = 2
    assert source[0] == 2


# letting go ---------------------------------------------------------------------------------------


def test_memory_nobody_else_holds_is_no_longer_shared() -> None:
    x = torch.zeros(1000)
    array = x.numpy()
    assert x._alias.value.pos == SHARED
    x + 1
    flush()
    assert x._alias.value.pos == SHARED
    del array
    (x + 1).tolist()
    assert x._alias.value.pos != SHARED
    x.add_(3)
    assert x[0].item() == 3


def test_the_array_lives_as_long_as_the_tensor_needs_it() -> None:
    class Array(np.ndarray):
        """An array that can be watched."""

    array = np.ones(3).view(Array)
    gone = weakref.ref(array)
    x = torch.from_numpy(array)
    del array
    gc.collect()
    assert x.tolist() == [1, 1, 1]
    y = x[1:]
    del x
    assert y.tolist() == [1, 1]
    del y
    flush()
    gc.collect()
    assert gone() is None


def test_a_loop_over_shared_data_makes_one_program() -> None:
    data = torch.from_numpy(np.random.default_rng(0).random((64, 8), dtype=np.float32))
    w = torch.ones(8, 3)
    sums = []
    for number in range(4):
        sums.append((data[4 * number : 4 * number + 4] @ w).sum().item())
    programs, states = counters.programs, counters.states
    for number in range(4, 16):
        sums.append((data[4 * number : 4 * number + 4] @ w).sum().item())
    assert (counters.programs, counters.states) == (programs, states)
    expected = data.numpy().reshape(16, 4, 8).sum((1, 2)) * 3
    assert sums == pytest.approx(expected.tolist(), rel=1e-5)
