"""``x[...]`` and ``x[...] = value`` against PyTorch: fixed cases, errors, and random indices."""

from __future__ import annotations

import warnings
from random import Random
from typing import Any

import numpy as np
import pytest

import rushlight

torch = pytest.importorskip("torch", reason="PyTorch (the extra `oracle`) is not installed")

ARRAY = np.random.default_rng(0).standard_normal((2, 3, 4)).astype(np.float32)

READS = """
x[1] | x[-2] | x[0, 1] | x[0, 1, 2] | x[:] | x[...] | x[()] | x[1:0] | x[3:] | x[:, 5:2] | x[::2]
x[:, 1:, ::2] | x[..., 0] | x[0, ..., 0] | x[..., ...] | x[None] | x[:, None] | x[None, ..., None]
x[0, :, None] | x[None, 0] | x[slice(None, None, 2)] | x[True] | x[False] | x[0, True] | x[:, True]
x[L([0, 1])] | x[L([-1, -2])] | x[L([[0, 1], [1, 0]])] | x[:, L([[0, 1], [1, 0]])] | x[[0, 1]]
x[[0, 1], [1, 2]] | x[[[0, 1], [1, 0]]] | x[[0, slice(None)]] | x[np.array([0, 1])] | x[range(2)]
x[np.int64(1)] | x[np.array(1)] | x[L(1)] | x[L(0):L(2)] | x[[L(0), L(1)]] | x[L([0, 1]).int()]
x[[True, False]] | x[L([True, False])] | x[np.array([True, False])] | x[L([0, 1]).byte()]
x[L([[True, False, True], [True, False, True]])] | x[x > 0] | x[x > 100] | x[x > 0,] | x[L(True)]
x[:, L([[True, False, False, True]] * 3)] | x[L([True, False]), 0] | x[L([]).long()] | x[[]]
x[0, :, L([0, 1])] | x[L([0, 1]), :, L([0, 1])] | x[[0, 1], :, None, 0] | x[:, None, [0, 1]]
x[[0, 1], None] | x[[0, 1], None, [0, 1]] | x[:, [0], [1]] | x[[0], :, [1]] | x[:, [[0]], [1]]
x[[0, 1], 1] | x[[0, 1], 1:2] | x[0:1, [0, 1], 1:2] | x[None, [0, 1]] | x[0, None, [0, 1]]
x.transpose(0, 2)[[0, 1]] | x.transpose(0, 2)[:, [0, 1]] | x.transpose(0, 2)[[0, 1], :, [0, 1]]
x.permute(1, 2, 0)[[0, 1]] | x.expand(2, 3, 4)[:, [0, 0]] | x[0, 0, 0][...] | x[0, 0, 0][None]
x[0, 0, 0][True] | x[0, 0, 0][L(True)] | x[:0][..., 0] | x[:0][:, [0]]
"""

REFUSED = """
x[5] | x[-3] | x[0, 5] | x[0, 0, 0, 0] | x[::-1] | x[::0] | x['a'] | x[1.0] | x[L(1.0)] | x[{}]
x[L([1.0, 2.0])] | x[0, 0, 0][0] | x[0, 0, 0][:] | x[L([True, False, True])] | x[:0][0] | x[:0][[0]]
x[:, L([True, False])] | x[L([[True, False], [True, False]])] | x[L([0, 5])] | x[L([-3])]
x[L([0, 1]), L([0, 1, 2])] | x['a':] | x[1.5:] | x[L([0, 1]):] | x[L([0, 1]).char()]
"""

WRITES = """
x[0] = 1 | x[0] = torch.ones(1, 1, 3, 4) | x[0] = torch.ones(4) | x[...] = 1 | x[:] = 2 | x[()] = 3
x[True] = 4 | x[False] = 4 | x[None] = 5 | x[0, 0, 0] = 7 | x[:, 1:, ::2] = torch.ones(2, 2, 2)
x[[0, 1]] = torch.ones(4) | x[x > 0] = 0 | x[x > 0] = torch.tensor(2.0) | x[x > 0,] = 1
x[x > 0] = torch.arange(24.0)[: int((x > 0).sum())] | x[x > 0] = torch.ones(1)
x[0] = torch.ones(4).double() | x[0] = True | x[:, [0, 2], 1] = torch.ones(2, 2) * 7
x[L([True, False])] = torch.ones(3, 4) | x[L([True, False])] = 2 | x[0][0] = 9 | x[:, :, None] = 1
x[0][x[0] > 0] = L(1.0) | x[..., L([0, 0, 1])] = torch.tensor([1.0, 2.0, 3.0]) | x[0, [0, 1]] = 5
x[:, L([True, False, True])] = torch.ones(2, 1, 4) | x[1] = x[0] | x[0] += 1
x[0:2, 1:] *= 2 | x[[0, 0]] += 1 | x[x > 0] -= 1 | x[np.array([True, False])] = 3
"""

REFUSED_WRITES = """
x[0] = torch.ones(5) | x[0] = torch.ones(2, 3, 4) | x[0] = 'a' | x[0] = [1, 2] | x[0] = np.ones(4)
x[0] = None | x[[0, 1]] = torch.ones(3) | x[x > 0] = torch.ones(2) | x[0, 0, 0] = 1 + 2j | x[5] = 1
x[[0, 1]] = torch.ones(4).double() | x[[5]] = 1 | x[[0, 1], 5] = 1 | x[1.0] = 1 | x[::-1] = 1
x[L([True, False, True])] = 1 | x[0, [0, 1]] = torch.ones(2, 5) | x[[0, 1]] = np.ones(4)
x[L([True, False])] = torch.ones(2, 3, 4) | x[[0, 1]] = torch.ones(4).long()
"""


def cases(table: str) -> list[str]:
    """The expressions of a table."""
    return [part.strip() for line in table.strip().splitlines() for part in line.split(" | ")]


def names(library: Any, x: Any) -> dict[str, Any]:
    """What the expressions may use."""
    return {"torch": library, "x": x, "L": library.tensor, "np": np}


def both(action: Any) -> tuple[Any, Any]:
    """The outcome of ``action(library, tensor)`` in both libraries, an exception included."""
    found = []
    for library in (rushlight, torch):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                found.append(action(library, library.tensor(ARRAY)))
        except Exception as error:
            found.append(error)
    return found[0], found[1]


def steps(x: Any) -> list[int]:
    """The strides that matter."""
    if not x.numel():
        return []
    return [stride for stride, size in zip(x.stride(), x.shape, strict=True) if size > 1]


def refused_alike(mine: Any, theirs: Any) -> None:
    assert isinstance(theirs, Exception)
    assert type(mine) is type(theirs), mine
    words = str(theirs).split("\nException raised")[0]
    place = "dimension 0 with size 3"  # PyTorch counts index tensors here, not axes
    if place not in words:
        assert str(mine).startswith(words)


@pytest.mark.parametrize("text", cases(READS))
def test_reads(text: str) -> None:
    mine, theirs = both(lambda library, x: eval(text, names(library, x)))
    assert not isinstance(mine, Exception), mine
    assert mine.tolist() == theirs.tolist()
    assert (tuple(mine.shape), steps(mine)) == (tuple(theirs.shape), steps(theirs))


@pytest.mark.parametrize("text", cases(REFUSED))
def test_refused_reads(text: str) -> None:
    refused_alike(*both(lambda library, x: eval(text, names(library, x))))


@pytest.mark.parametrize("text", cases(WRITES))
def test_writes(text: str) -> None:
    def run(library: Any, x: Any) -> Any:
        exec(text, names(library, x))
        return x.tolist()

    mine, theirs = both(run)
    assert mine == theirs


@pytest.mark.parametrize("text", cases(REFUSED_WRITES))
def test_refused_writes(text: str) -> None:
    refused_alike(*both(lambda library, x: exec(text, names(library, x))))


@pytest.mark.parametrize("text", [text for text in cases(READS) if "x > 100" not in text])
def test_gradients(text: str) -> None:
    def run(library: Any, x: Any) -> Any:
        x.requires_grad_()
        y = eval(text, names(library, x))
        weights = library.arange(float(y.numel())).reshape(y.shape)
        (y * y * weights).sum().backward()
        return x.grad.numpy(), y.grad_fn.__class__.__name__

    mine, theirs = both(run)
    assert not isinstance(mine, Exception), mine
    np.testing.assert_allclose(mine[0], theirs[0], rtol=1e-5)
    if text not in ("x[:]",):
        assert mine[1] == theirs[1]


def test_index_out_of_range_that_is_not_computed_yet_names_the_line() -> None:
    x = rushlight.arange(3)
    index = rushlight.tensor([0, 1]) * 5
    pending = index._value.buffer is None
    with pytest.raises(IndexError, match="index 5 is out of bounds") as caught:
        x[index].tolist()
    notes = "".join(getattr(caught.value, "__notes__", []))
    assert "test_indexing.py" in notes or not pending


def test_index_by_a_number_looks_at_the_same_memory() -> None:
    x = rushlight.zeros(3, 2)
    row, column, part = x[1], x[:, 1], x[None, 1:]
    row[0] = 5
    column += 1
    part[0, 1, 0] = 7
    assert x.tolist() == [[0, 1], [5, 1], [7, 1]]
    assert x[[0, 1]].data_ptr() != x.data_ptr()


# random indices --------------------------------------------------------------------------------


class Maker:
    """Random indices as text."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)

    def tensor(self, size: int, shape: tuple[int, ...]) -> str:
        rows: Any = [self.random.randrange(-size, size) for _ in range(shape[-1])]
        return f"L({rows if len(shape) == 1 else [rows] * shape[0]})"

    def mask(self, shape: tuple[int, ...]) -> str:
        bits = np.array([self.random.random() < 0.5 for _ in range(int(np.prod(shape)))])
        return f"L({bits.reshape(shape).tolist()})"

    def item(self, shape: tuple[int, ...], pick: tuple[int, ...]) -> tuple[str, int]:
        """One item and how many axes it takes."""
        size, kind = shape[0], self.random.random()
        if kind < 0.2:
            return str(self.random.randrange(-size, size)), 1
        if kind < 0.45:
            cuts = [self.random.choice(["", "0", "1", "-1"]) for _ in range(2)]
            return f"{cuts[0]}:{cuts[1]}:{self.random.choice(['', '1', '2'])}", 1
        if kind < 0.55:
            return "None", 0
        if kind < 0.8:
            return self.tensor(size, pick), 1
        if kind < 0.9 and pick == (1,):
            width = self.random.randrange(1, min(len(shape), 2) + 1)
            return self.mask(shape[:width]), width
        return ":", 1

    def index(self, shape: tuple[int, ...]) -> str:
        items: list[str] = []
        axis = 0
        pick = self.random.choice([(1,), (2,), (2, 2), (3,)])
        while axis < len(shape) and self.random.random() < 0.85:
            item, taken = self.item(shape[axis:], pick)
            items.append(item)
            axis += taken
        if self.random.random() < 0.2:
            items.append("...")
        return ", ".join(items) or "..."


@pytest.mark.parametrize("start", range(0, 600, 100))
def test_random_indices(start: int) -> None:
    for seed in range(start, start + 100):
        maker = Maker(seed)
        order = list(range(3))
        maker.random.shuffle(order)
        text = maker.index(tuple(ARRAY.shape[axis] for axis in order))

        def run(library: Any, x: Any, text: str = text, order: Any = order) -> Any:
            x.requires_grad_()
            y = eval(f"x[{text}]", names(library, x.permute(order)))
            (y * library.arange(float(y.numel())).reshape(y.shape)).sum().backward()
            z = library.tensor(ARRAY).permute(order)
            exec(f"x[{text}] = 3.0", names(library, z))
            w = library.tensor(ARRAY).permute(order) * 1.0
            exec(f"x[{text}] *= 2.0", names(library, w))
            found = (tuple(y.shape), steps(y.detach()), y.tolist(), x.grad.tolist())
            return (*found, z.tolist(), w.tolist())

        mine, theirs = both(run)
        if isinstance(theirs, Exception):
            assert type(mine) is type(theirs), (text, mine, theirs)
        else:
            assert mine == theirs, (text, order)
