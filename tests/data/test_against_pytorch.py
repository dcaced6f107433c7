"""Data sets, samplers and loaders give the very batches PyTorch gives with the same seed."""

from __future__ import annotations

import collections
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rushlight

oracle = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")

Program = Callable[[Any], Any]


def plain(found: Any) -> Any:
    """Tensors as nested lists with their type, the containers as they are."""
    if hasattr(found, "tolist"):
        return str(found.dtype), tuple(found.shape), found.tolist()
    if isinstance(found, dict):
        return {key: plain(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return type(found).__name__, [plain(value) for value in found]
    return found


def numbers(torch: Any, count: int = 11) -> Any:
    """A data set of pairs."""
    return torch.utils.data.TensorDataset(torch.arange(count), torch.arange(count) * 0.5)


def epochs(loader: Any, count: int = 3) -> list[Any]:
    """Everything the loader gives in some epochs."""
    return [list(loader) for _ in range(count)]


# orders -----------------------------------------------------------------------------------------


def shuffled(torch: Any) -> Any:
    return epochs(torch.utils.data.DataLoader(numbers(torch), batch_size=4, shuffle=True))


def shuffled_without_the_rest(torch: Any) -> Any:
    data = torch.utils.data
    return epochs(data.DataLoader(numbers(torch), batch_size=4, shuffle=True, drop_last=True))


def shuffled_by_a_generator(torch: Any) -> Any:
    generator = torch.Generator().manual_seed(9)
    data = torch.utils.data
    loader = data.DataLoader(numbers(torch), batch_size=4, shuffle=True, generator=generator)
    return epochs(loader), torch.rand(3), torch.rand(3, generator=generator)


def in_order_moves_the_random_numbers(torch: Any) -> Any:
    before = torch.rand(2)
    batches = epochs(torch.utils.data.DataLoader(numbers(torch), batch_size=4))
    return before, batches, torch.rand(2)


def broken_off(torch: Any) -> Any:
    loader = torch.utils.data.DataLoader(numbers(torch), batch_size=4, shuffle=True)
    seen = []
    for number, batch in enumerate(loader):
        seen.append(batch)
        if number == 1:
            break
    return seen, next(iter(loader)), torch.rand(2)


def two_at_once(torch: Any) -> Any:
    loader = torch.utils.data.DataLoader(numbers(torch), batch_size=4, shuffle=True)
    return list(zip(loader, loader, strict=True))


def drawn_with_replacement(torch: Any) -> Any:
    data = torch.utils.data
    sampler = data.RandomSampler(numbers(torch), replacement=True, num_samples=70)
    return list(sampler), len(sampler), torch.rand(2)


def more_than_there_are(torch: Any) -> Any:
    return list(torch.utils.data.RandomSampler(range(7), num_samples=17))


def fewer_than_there_are(torch: Any) -> Any:
    return list(torch.utils.data.RandomSampler(range(7), num_samples=3)), torch.rand(1)


def random_subset(torch: Any) -> Any:
    sampler = torch.utils.data.SubsetRandomSampler([3, 5, 7, 9])
    return list(sampler), list(sampler), len(sampler)


def weighted(torch: Any) -> Any:
    data = torch.utils.data
    first = list(data.WeightedRandomSampler([0.1, 0.9, 0.4, 0.7, 3.0, 0.6], 12, replacement=True))
    second = list(data.WeightedRandomSampler([0.9, 0.4, 0.05, 0.2, 0.3, 0.1], 5, replacement=False))
    return first, second


def batches_of_numbers(torch: Any) -> Any:
    data = torch.utils.data
    made = [
        data.BatchSampler(data.SequentialSampler(range(10)), batch_size=3, drop_last=drop)
        for drop in (False, True)
    ]
    return [(list(sampler), len(sampler)) for sampler in made]


def own_batch_sampler(torch: Any) -> Any:
    loader = torch.utils.data.DataLoader(numbers(torch), batch_sampler=[[0, 2], [5], [1, 1, 1]])
    return list(loader), len(loader), loader.batch_size


def own_sampler(torch: Any) -> Any:
    loader = torch.utils.data.DataLoader(numbers(torch), batch_size=2, sampler=[4, 0, 3])
    return list(loader), len(loader)


def single_samples(torch: Any) -> Any:
    loader = torch.utils.data.DataLoader(numbers(torch, 3), batch_size=None)
    return list(loader), len(loader), loader.batch_size


def lengths(torch: Any) -> Any:
    data = torch.utils.data
    return [
        len(data.DataLoader(numbers(torch, n), batch_size=b, drop_last=d))
        for n in (1, 7, 8, 9)
        for b in (1, 4, 8)
        for d in (False, True)
    ]


# data sets --------------------------------------------------------------------------------------


def split(torch: Any) -> Any:
    data = torch.utils.data
    made = data.random_split(range(20), [5, 12, 3])
    return [(list(part.indices), [part[i] for i in range(len(part))]) for part in made]


def split_by_fractions(torch: Any) -> Any:
    generator = torch.Generator().manual_seed(42)
    made = torch.utils.data.random_split(range(11), [0.3, 0.3, 0.4], generator=generator)
    return [list(part.indices) for part in made]


def split_and_loaded(torch: Any) -> Any:
    train, valid = torch.utils.data.random_split(numbers(torch), [8, 3])
    loaders = [
        torch.utils.data.DataLoader(part, batch_size=3, shuffle=True) for part in (train, valid)
    ]
    return [epochs(loader) for loader in loaders]


def joined(torch: Any) -> Any:
    data = torch.utils.data
    both = data.ConcatDataset([numbers(torch, 3), numbers(torch, 4)]) + numbers(torch, 2)
    return [both[i] for i in range(len(both))], both[-1], len(both)


def stacked(torch: Any) -> Any:
    data = torch.utils.data
    rows = data.StackDataset(torch.arange(4), list("abcd"))
    named = data.StackDataset(number=range(4), letter=list("abcd"))
    loader = data.DataLoader(named, batch_size=3)
    return [rows[i] for i in range(4)], [named[i] for i in range(4)], list(loader)


def subset(torch: Any) -> Any:
    part = torch.utils.data.Subset(numbers(torch), [7, 1, 4])
    nested = torch.utils.data.Subset(part, [2, 0])
    loader = torch.utils.data.DataLoader(nested, batch_size=2)
    return [part[i] for i in range(3)], [nested[i] for i in range(2)], list(loader)


def streams(torch: Any) -> Any:
    data = torch.utils.data

    class Stream(data.IterableDataset):  # type: ignore[misc,name-defined]
        def __init__(self, begin: int, end: int) -> None:
            self.begin, self.end = begin, end

        def __iter__(self) -> Any:
            return iter(range(self.begin, self.end))

    both = data.ChainDataset([Stream(0, 4), Stream(10, 13)])
    return [
        epochs(data.DataLoader(Stream(0, 7), batch_size=3)),
        epochs(data.DataLoader(Stream(0, 7), batch_size=3, drop_last=True)),
        list(data.DataLoader(Stream(0, 3), batch_size=None)),
        list(data.DataLoader(both, batch_size=2)),
        list(Stream(0, 2) + Stream(5, 7)),
    ]


def stream_of_known_length(torch: Any) -> Any:
    data = torch.utils.data

    class Stream(data.IterableDataset):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Any:
            return iter(range(7))

        def __len__(self) -> int:
            return 7

    return [
        len(data.DataLoader(Stream(), batch_size=b, drop_last=d))
        for b in (None, 1, 2, 7, 9)
        for d in (False, True)
        if b is not None or not d
    ]


def several_at_once(torch: Any) -> Any:
    data = torch.utils.data

    class Fetches(data.Dataset):  # type: ignore[misc,name-defined]
        def __len__(self) -> int:
            return 5

        def __getitem__(self, index: int) -> int:
            raise AssertionError("__getitems__ is there")

        def __getitems__(self, indices: list[int]) -> list[int]:
            return [i * 10 for i in indices]

    return list(data.DataLoader(Fetches(), batch_size=2))


# batches ----------------------------------------------------------------------------------------

Pair = collections.namedtuple("Pair", ["image", "label"])


def collated(torch: Any) -> Any:
    put = torch.utils.data.default_collate
    return [
        put([1, 2, 3]),
        put([1.5, 2.5]),
        put([True, False]),
        put(["a", "bc"]),
        put([b"a", b"bc"]),
        put([torch.ones(2), torch.zeros(2)]),
        put([torch.tensor(1), torch.tensor(2)]),
        put([torch.ones(2, dtype=torch.float16)] * 2),
        put([np.ones(3), np.zeros(3)]),
        put([np.float32(1.5), np.float32(2.5)]),
        put([np.int16(1), np.int16(2)]),
        put([np.array(1), np.array(2)]),
        put([(1, 2.0), (3, 4.0)]),
        put([[1, 2], [3, 4]]),
        put([{"x": 1, "y": torch.ones(2)}, {"x": 2, "y": torch.zeros(2)}]),
        put([{"a": (1, {"b": np.zeros(2)})}, {"a": (2, {"b": np.ones(2)})}]),
        put([(np.zeros((2, 2), np.uint8), 3)] * 2),
    ]


def collated_names(torch: Any) -> Any:
    found = torch.utils.data.default_collate([Pair(torch.ones(2), 1), Pair(torch.zeros(2), 2)])
    return type(found).__name__, found._fields, list(found)


def converted(torch: Any) -> Any:
    give = torch.utils.data.default_convert
    return [
        give(1), give("a"), give(torch.ones(2)), give(np.ones(2)), give([np.ones(1), 2]),
        give((np.ones(1), {"a": np.zeros(2)})), give(np.array(["a"])).tolist(),
    ]  # fmt: skip


def own_collate(torch: Any) -> Any:
    def pad(samples: list[Any]) -> Any:
        longest = max(len(sample) for sample in samples)
        return torch.stack([torch.nn.functional.pad(s, (0, longest - len(s))) for s in samples])

    data = [torch.arange(n) for n in (2, 4, 1, 3)]
    return list(torch.utils.data.DataLoader(data, batch_size=2, collate_fn=pad))


def list_as_data_set(torch: Any) -> Any:
    pairs = [(np.full((2, 2), i, np.float32), i % 2) for i in range(5)]
    return epochs(torch.utils.data.DataLoader(pairs, batch_size=2, shuffle=True))


def batches_after_random_transforms(torch: Any) -> Any:
    class Noisy(torch.utils.data.Dataset):  # type: ignore[misc,name-defined]
        def __len__(self) -> int:
            return 6

        def __getitem__(self, index: int) -> Any:
            return torch.rand(2) + index, torch.randint(0, 10, (1,)).item()

    return epochs(torch.utils.data.DataLoader(Noisy(), batch_size=2, shuffle=True))


PROGRAMS: dict[str, Program] = {
    name: found
    for name, found in list(globals().items())
    if callable(found)
    and getattr(found, "__module__", None) == __name__
    and getattr(found, "__annotations__", {}).get("return") == "Any"
    and list(found.__code__.co_varnames[: found.__code__.co_argcount]) == ["torch"]
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_like_pytorch(name: str) -> None:
    found = []
    for framework in (rushlight, oracle):
        framework.manual_seed(7)
        found.append(plain(PROGRAMS[name](framework)))
    assert found[0] == found[1]


def test_all_of_them_ran() -> None:
    assert len(PROGRAMS) >= 30
