"""Making tensors, against PyTorch: types, values, layouts and errors."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch", reason="PyTorch (the extra `oracle`) is not installed")

CASES = """
torch.arange(5) ; torch.arange(5.) ; torch.arange(1, 5) ; torch.arange(1, 5.5) ; torch.arange(end=4)
torch.arange(0, 1, 0.1) ; torch.arange(5, 0, -1) ; torch.arange(torch.tensor(3))
torch.arange(True)
torch.arange(torch.tensor(3.)) ; torch.arange(3, dtype=torch.float16) ; torch.arange(1e8, 1e8 + 3)
torch.arange(2.5, dtype=torch.int64) ; torch.arange(0.5, 3.7, 1, dtype=torch.int64)
torch.arange(start=1, end=4, step=2) ; torch.arange(1, 10, 0.3) ; torch.arange(5, 0)
torch.arange(0, 5, 0) ; torch.arange(0, 5, -1) ; torch.arange(0, float('inf'))
torch.arange(1 + 1j)
torch.arange(0, 3, dtype=torch.bool) ; torch.linspace(0, 1, 5) ; torch.linspace(0, 1, 1)
torch.linspace(0, 1, 0) ; torch.linspace(0, 10, 4, dtype=torch.int64) ; torch.linspace(0, 1, -1)
torch.linspace(-10, 10, 7, dtype=torch.int32) ; torch.linspace(0, 1, 5, dtype=torch.float16)
torch.linspace(torch.tensor(0.), torch.tensor(1.), 3) ; torch.linspace(0, 1j, 3)
torch.logspace(0, 2, 3) ; torch.logspace(0, 2, 3, base=2) ; torch.logspace(0, 2, 1)
torch.logspace(0, 1, 4, dtype=torch.int64) ; torch.eye(3) ; torch.eye(2, 3) ; torch.eye(-1)
torch.eye(2, dtype=torch.bool) ; torch.range(1, 4) ; torch.tril_indices(3, 3)
torch.triu_indices(3, 4, 1) ; torch.tril_indices(2, 3, -1) ; torch.zeros_like(y)
torch.ones_like(x, dtype=torch.int) ; torch.full_like(x, 3) ; torch.full_like(x.int(), 3.5)
torch.zeros_like(y.expand(5, 3, 2, 4)) ; torch.zeros_like(x[:, ::2]) ; torch.zeros_like(3)
torch.zeros_like(x.expand(4, 2, 3)) ; torch.zeros_like(y, memory_format=torch.contiguous_format)
torch.zeros_like(x.int(), requires_grad=True) ; torch.full((2,), True) ; torch.full((2,), 3)
torch.full((2,), 1j) ; torch.full((2,), 3.5, dtype=torch.int) ; x.new_zeros(3) ; x.new_zeros((3, 2))
x.new_zeros(3, 2) ; x.new_ones(2, dtype=torch.int) ; x.new_full((2,), 7) ; x.new([1, 2])
x.int().new_full((2,), 7.5) ; x.new_tensor([1, 2]) ; x.new_tensor(3) ; x.int().new_tensor([1.5])
torch.scalar_tensor(3) ; torch.scalar_tensor(3, dtype=torch.int) ; torch.asarray([1, 2])
torch.asarray(x) ; torch.asarray(3.) ; torch.asarray(np.ones(2)) ; torch.asarray(x, dtype=torch.int)
torch.frombuffer(bytearray(b'abcdefgh'), dtype=torch.int32)
torch.frombuffer(bytearray(b'abcdefgh'), dtype=torch.int16, count=2, offset=2)
torch.frombuffer(bytearray(b'abcdefg'), dtype=torch.int32)
torch.frombuffer([1], dtype=torch.int16)
torch.frombuffer(bytearray(), dtype=torch.int16)
torch.frombuffer(bytearray(b'abcd'), dtype=torch.int16, count=0)
torch.frombuffer(bytearray(b'abcd'), dtype=torch.int16, offset=5)
torch.frombuffer(bytearray(b'abcd'), dtype=torch.int16, count=5)
torch.FloatTensor([1, 2]) ; torch.LongTensor([1.5]) ; torch.FloatTensor((1, 2))
torch.Tensor([1, 2])
torch.Tensor() ; torch.Tensor(torch.ones(2)) ; torch.Tensor(3.5) ; torch.Tensor('a')
torch.ByteTensor([1]) ; torch.BoolTensor([1, 0]) ; torch.FloatTensor(x) ; torch.Tensor(range(3))
torch.zeros(2, 3.0) ; torch.zeros('a') ; torch.zeros() ; torch.zeros(()) ; torch.zeros([2, 2])
torch.zeros(-1) ; torch.zeros(torch.tensor(2)) ; torch.zeros((torch.tensor(2), 3))
torch.zeros(size=(2,)) ; torch.zeros(2, dtype=int) ; torch.zeros(2, dtype=float)
torch.zeros(2, dtype=bool) ; torch.tensor([1, 2], dtype=float) ; torch.tensor(x)
torch.ones((2,), out=torch.empty(2)) ; torch.arange(3, out=torch.empty(0, dtype=torch.int64))
"""


def _cases() -> list[str]:
    return [part.strip() for line in CASES.strip().splitlines() for part in line.split(" ; ")]


def _outcome(library: Any, text: str) -> Any:
    x = library.ones(2, 3)
    y = library.ones(2, 3, 4, 5).permute(3, 1, 0, 2)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            made = eval(text, {"torch": library, "x": x, "y": y, "np": np})
    except Exception as error:
        return error
    return str(made.dtype), tuple(made.shape), made.stride(), made.tolist(), made.requires_grad


@pytest.mark.parametrize("text", _cases())
def test_creation(text: str) -> None:
    mine, theirs = _outcome(rushlight, text), _outcome(torch, text)
    if isinstance(theirs, Exception):
        assert type(mine) is type(theirs), mine
        assert str(mine).startswith(str(theirs).split("\n")[0].split(", but expected")[0])
    else:
        assert mine == theirs


@pytest.mark.parametrize(
    "text",
    [
        "torch.empty(2, 3)", "torch.empty_strided((2, 3), (1, 2))", "torch.LongTensor(2, 3)",
        "x.new_empty(2, 3)", "x.new_empty_strided((2, 3), (1, 2))", "torch.Tensor(2, 3)",
        "x.new(2, 3)", "torch.empty_like(y)", "torch.Tensor(torch.Size([2]))",
    ],
)  # fmt: skip
def test_shapes_of_uninitialised_tensors(text: str) -> None:
    mine, theirs = _outcome(rushlight, text), _outcome(torch, text)
    assert mine[:3] == theirs[:3]


@pytest.mark.parametrize("name", ["float32", "float64"])
@pytest.mark.parametrize(
    ("start", "end", "step"),
    [(0, 1, 0.1), (1, 10, 0.3), (0.05, 77.7, 0.013), (-3, 3, 0.001), (5, -5, -0.37)],
)
def test_arange_gives_the_same_bits(start: float, end: float, step: float, name: str) -> None:
    mine, theirs = (
        library.arange(start, end, step, dtype=getattr(library, name)).numpy()
        for library in (rushlight, torch)
    )
    # PyTorch's vector kernel multiplies and adds at once only where the CPU can
    np.testing.assert_array_max_ulp(mine, theirs, 1)
    if name == "float32":
        assert (mine != theirs).mean() < 0.01


@pytest.mark.parametrize(
    ("start", "end", "steps"), [(0, 1, 11), (-3, 7, 100), (0.1, 5.7, 1001), (10, -10, 77)]
)
def test_linspace_is_off_by_a_rounding_at_most(start: float, end: float, steps: int) -> None:
    mine, theirs = (lib.linspace(start, end, steps).numpy() for lib in (rushlight, torch))
    np.testing.assert_allclose(mine, theirs, rtol=2e-7, atol=2e-7)


def test_old_types() -> None:
    x = rushlight.ones(2)
    assert isinstance(x, rushlight.FloatTensor)
    assert not isinstance(x, rushlight.LongTensor)
    assert repr(rushlight.FloatTensor) == "<class 'torch.FloatTensor'>"
    assert x.type(rushlight.LongTensor).dtype is rushlight.int64
    assert rushlight.is_tensor(x)
    assert rushlight.numel(x) == 2
    with pytest.raises(TypeError, match="expected TensorOptions"):
        rushlight.LongTensor(x)


def test_asarray_shares_memory_unless_told_not_to() -> None:
    array = np.zeros(3)
    shared = rushlight.asarray(array)
    copied = rushlight.asarray(array, copy=True)
    array[0] = 1
    assert shared.tolist() == [1, 0, 0]
    assert copied.tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="can't alias"):
        rushlight.asarray([1, 2], copy=False)


def _resized(library: Any) -> list[Any]:
    found: list[Any] = []
    x = library.arange(6.0).resize_(2, 2)
    found.append(x.tolist())
    x = library.arange(6.0).reshape(2, 3).t().resize_(3)
    found.append((x.tolist(), x.stride()))
    y = library.arange(6.0)[2:]
    found.append((y.resize_(2, 1).tolist(), y.storage_offset()))
    found.append(library.ones(2).resize_(4)[:2].tolist())
    a = library.zeros(2)
    a.set_(library.arange(6.0)[1:4])
    found.append((a.tolist(), a.storage_offset()))
    x = library.zeros(2)
    whole = x.view(2)
    x.resize_(1)
    x[0] = 7
    found.append(whole.tolist())
    found.append(tuple(library.zeros(2, 3).resize_as_(library.ones(4)).shape))
    return found


def test_resize() -> None:
    assert _resized(rushlight) == _resized(torch)
    with pytest.raises(RuntimeError, match="cannot resize variables that require grad"):
        rushlight.ones(2, requires_grad=True).resize_(3)
    with pytest.raises(RuntimeError, match="Could not set tensor of type int"):
        rushlight.zeros(2).set_(rushlight.ones(2, dtype=rushlight.int))
