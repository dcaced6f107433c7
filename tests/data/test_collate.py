"""Containers and types in ``default_collate`` and ``default_convert``, as PyTorch has it."""

from __future__ import annotations

import collections
import enum
import types
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import rushlight

oracle = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")

Pair = collections.namedtuple("Pair", ["image", "label"])


class Level(enum.IntEnum):
    """Numbers with names."""

    LOW = 1
    HIGH = 2


class Row(Sequence[Any]):
    """A sequence that cannot be made from a list."""

    def __init__(self, first: Any, second: Any) -> None:
        self.items = [first, second]

    def __len__(self) -> int:
        return 2

    def __getitem__(self, index: Any) -> Any:
        return self.items[index]


class Entries(Mapping[str, Any]):
    """A mapping that cannot be changed, made from another one."""

    def __init__(self, items: dict[str, Any]) -> None:
        self.items_ = dict(items)

    def __getitem__(self, key: str) -> Any:
        return self.items_[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self.items_)

    def __len__(self) -> int:
        return len(self.items_)


class Stubborn(dict[str, Any]):
    """A dictionary that refuses to be updated."""

    def update(self, *_: Any) -> None:
        raise TypeError("not me")


class Marked(list[Any]):
    """A list that knows more."""

    mark = "kept"


def plain(found: Any) -> Any:
    """What has come out, in comparable form."""
    if hasattr(found, "tolist"):
        return type(found).__name__, str(found.dtype), tuple(found.shape), found.tolist()
    if isinstance(found, Mapping):
        return type(found).__name__, {key: plain(found[key]) for key in found}
    if isinstance(found, (str, bytes)):
        return found
    if isinstance(found, Sequence):
        marks = getattr(found, "mark", None)
        return type(found).__name__, marks, [plain(item) for item in found]
    return found


BATCHES: dict[str, Callable[[Any], Any]] = {
    "ordered": lambda torch: [collections.OrderedDict(b=1, a=2.0)] * 2,
    "with a default": lambda torch: [collections.defaultdict(int, a=torch.ones(2))] * 2,
    "unchangeable": lambda torch: [Entries({"a": 1, "b": "x"})] * 2,
    "proxy": lambda torch: [types.MappingProxyType({"a": 1})] * 2,
    "stubborn": lambda torch: [Stubborn(a=1)] * 2,
    "named": lambda torch: [Pair(torch.ones(2), Pair(1, "a"))] * 2,
    "marked": lambda torch: [Marked([1, torch.ones(1)])] * 2,
    "user's list": lambda torch: [collections.UserList([1, 2.0])] * 2,
    "deque": lambda torch: [collections.deque([1, 2.0])] * 2,
    "row": lambda torch: [Row(1, np.ones(2))] * 2,
    "range": lambda torch: [range(3)] * 2,
    "tuple in list": lambda torch: [[(1, 2), ("a", b"b")]] * 2,
    "truth": lambda torch: [True, False, True],
    "truth and numbers": lambda torch: [True, 2],
    "numbers and truth": lambda torch: [2, True],
    "numbers and floats": lambda torch: [1, 2.5],
    "large": lambda torch: [2**40, -(2**62)],
    "names of numbers": lambda torch: [Level.LOW, Level.HIGH],
    "complex": lambda torch: [1j, 2.0],
    "none": lambda torch: [None, None],
    "0-d": lambda torch: [torch.tensor(1.5), torch.tensor(2.5)],
    "bfloat16": lambda torch: [torch.ones(2, dtype=torch.bfloat16)] * 2,
    "0-d bfloat16": lambda torch: [torch.tensor(1.5, dtype=torch.bfloat16)] * 3,
    "empty": lambda torch: [torch.ones(0, 3), torch.ones(0, 3)],
    "turned": lambda torch: [torch.arange(6).view(2, 3).t()] * 2,
    "mixed types": lambda torch: [torch.ones(2), torch.ones(2, dtype=torch.int64)],
    "unequal": lambda torch: [torch.ones(2), torch.ones(2), torch.ones(3)],
    "computed": lambda torch: [torch.ones(2) * 2, torch.ones(2) * 3],
    "arrays": lambda torch: [np.arange(3.0), np.arange(3.0)[::-1]],
    "arrays of types": lambda torch: [np.arange(3.0), np.arange(3)],
    "unequal arrays": lambda torch: [np.arange(3), np.arange(4)],
    "0-d arrays": lambda torch: [np.array(1, np.int16), np.array(2, np.int16)],
    "half arrays": lambda torch: [np.ones(2, np.float16)] * 2,
    "short words": lambda torch: [np.ones(2, np.uint16)] * 2,
    "texts in arrays": lambda torch: [np.array(["a", "b"])] * 2,
    "objects in arrays": lambda torch: [np.array([None])] * 2,
    "NumPy's numbers": lambda torch: [np.float32(1.5), np.float32(2)],
    "NumPy's truth": lambda torch: [np.bool_(True), np.bool_(False)],
    "NumPy's text": lambda torch: [np.str_("a"), np.str_("b")],
    "nothing": lambda torch: [],
    "unequal lists": lambda torch: [[1, 2], [1]],
    "missing key": lambda torch: [{"a": 1}, {"b": 1}],
    "more keys": lambda torch: [{"a": 1}, {"a": 2, "b": 1}],
    "set": lambda torch: [{1}, {2}],
}


def outcome(function: Callable[[Any], Any], batch: Any) -> Any:
    """The result, or the error."""
    try:
        return plain(function(batch))
    except Exception as error:
        return type(error).__name__, str(error).split(". ")[0].replace("torch.", "")


@pytest.mark.parametrize("name", BATCHES)
def test_collated_like_pytorch(name: str) -> None:
    ours, theirs = (
        outcome(torch.utils.data.default_collate, BATCHES[name](torch))
        for torch in (rushlight, oracle)
    )
    assert ours == theirs


@pytest.mark.parametrize("name", BATCHES)
def test_converted_like_pytorch(name: str) -> None:
    ours, theirs = (
        outcome(torch.utils.data.default_convert, BATCHES[name](torch))
        for torch in (rushlight, oracle)
    )
    assert ours == theirs


class Words:
    """A type of the user's own."""

    def __init__(self, text: str) -> None:
        self.text = text


def put_words(batch: Any, *, collate_fn_map: Any = None) -> Any:
    """A batch of the user's own."""
    return " ".join(word.text for word in batch)


@pytest.mark.parametrize("torch", [rushlight, oracle], ids=["rushlight", "torch"])
def test_a_table_of_the_users_own(torch: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    module = torch.utils.data._utils.collate
    monkeypatch.setitem(module.default_collate_fn_map, Words, put_words)
    sample = {"words": Words("a"), "x": torch.ones(2)}
    found = torch.utils.data.default_collate([sample, sample])
    assert found["words"] == "a a"
    assert found["x"].shape == (2, 2)
    table = {(int, float): lambda batch, *, collate_fn_map: max(batch)}
    assert module.collate([(1, 2.5), (3, 0.5)], collate_fn_map=table) == [3, 2.5]
    with pytest.raises(TypeError, match="batch must contain tensors"):
        module.collate([torch.ones(2)], collate_fn_map=table)
    lists = {torch.Tensor: lambda batch, *, collate_fn_map: list(batch)}
    monkeypatch.setitem(module.default_collate_fn_map, torch.Tensor, lists[torch.Tensor])
    rows = torch.utils.data.TensorDataset(torch.arange(4))
    assert [type(part) for part in next(iter(torch.utils.data.DataLoader(rows, 2)))] == [list]
