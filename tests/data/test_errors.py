"""What data sets, samplers and loaders refuse, in PyTorch's words."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import rushlight

Program = Callable[[Any, Any], Any]


def stream(torch: Any) -> Any:
    class Stream(torch.utils.data.IterableDataset):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Any:
            return iter([1, 2])

    return Stream()


class Short(list[Any]):
    """Gives fewer samples than it is asked for."""

    def __getitems__(self, indices: list[int]) -> list[Any]:
        return [self[indices[0]]]


def changed(data: Any, name: str) -> None:
    setattr(data.DataLoader([1, 2]), name, 1)


PROGRAMS: dict[str, Program] = {
    "workers": lambda torch, data: data.DataLoader([1], num_workers=-1),
    "timeout": lambda torch, data: data.DataLoader([1], timeout=-1),
    "prefetch": lambda torch, data: data.DataLoader([1], prefetch_factor=2),
    "persistent": lambda torch, data: data.DataLoader([1], persistent_workers=True),
    "prefetch less than none": lambda torch, data: data.DataLoader(
        [1], num_workers=1, prefetch_factor=-1
    ),
    "context without workers": lambda torch, data: data.DataLoader(
        [1], multiprocessing_context="fork"
    ),
    "unknown context": lambda torch, data: data.DataLoader(
        [1], num_workers=1, multiprocessing_context="wish"
    ),
    "no context": lambda torch, data: data.DataLoader(
        [1], num_workers=1, multiprocessing_context=5
    ),
    "timeout without workers": lambda torch, data: iter(data.DataLoader([1], timeout=1)),
    "pickled iterator": lambda torch, data: iter(data.DataLoader([1])).__getstate__(),
    "nested size": lambda torch, data: data.StackDataset(Short([1, 2])).__getitems__([0, 1]),
    "drop single": lambda torch, data: data.DataLoader([1], batch_size=None, drop_last=True),
    "batch sampler": lambda torch, data: data.DataLoader([1], batch_sampler=[[1]], batch_size=2),
    "shuffled batches": lambda torch, data: data.DataLoader([1], batch_sampler=[[1]], shuffle=True),
    "shuffle nothing": lambda torch, data: data.DataLoader([], shuffle=True),
    "half a sample": lambda torch, data: data.DataLoader([1], batch_size=1.5),
    "no sample": lambda torch, data: data.DataLoader([1], batch_size=0),
    "shuffle a stream": lambda torch, data: data.DataLoader(stream(torch), shuffle=True),
    "sample a stream": lambda torch, data: data.DataLoader(stream(torch), sampler=[1]),
    "batch a stream": lambda torch, data: data.DataLoader(stream(torch), batch_sampler=[[1]]),
    "stream length": lambda torch, data: len(stream(torch)),
    "loader of a stream": lambda torch, data: len(data.DataLoader(stream(torch))),
    "abstract sample": lambda torch, data: data.Dataset()[0],
    "abstract length": lambda torch, data: len(data.Dataset()),
    "replacement": lambda torch, data: data.RandomSampler([1], replacement=1),
    "draw none": lambda torch, data: data.RandomSampler([1], num_samples=0),
    "weights drawn": lambda torch, data: data.WeightedRandomSampler([1.0], 0),
    "weights again": lambda torch, data: data.WeightedRandomSampler([1.0], 1, replacement=1),
    "weights shape": lambda torch, data: data.WeightedRandomSampler([[1.0]], 1),
    "too many": lambda torch, data: list(data.WeightedRandomSampler([1.0, 1.0], 5, False)),
    "empty batch": lambda torch, data: data.BatchSampler([1], 0, False),
    "drop number": lambda torch, data: data.BatchSampler([1], 1, 0),
    "split sum": lambda torch, data: data.random_split([1, 2, 3], [1, 1]),
    "split fraction": lambda torch, data: data.random_split([1, 2], [-0.5, 1.5]),
    "no data sets": lambda torch, data: data.ConcatDataset([]),
    "before the first": lambda torch, data: data.ConcatDataset([[1]])[-2],
    "join a stream": lambda torch, data: data.ConcatDataset([stream(torch)]),
    "chain a list": lambda torch, data: list(data.ChainDataset([[1]])),
    "stack nothing": lambda torch, data: data.StackDataset(),
    "stack unequal": lambda torch, data: data.StackDataset([1], [1, 2]),
    "stack both ways": lambda torch, data: data.StackDataset([1], a=[1]),
    "unequal tensors": lambda torch, data: data.TensorDataset(torch.ones(2), torch.ones(3)),
    "an object": lambda torch, data: data.default_collate([object()]),
    "none": lambda torch, data: data.default_collate([None]),
    "unequal samples": lambda torch, data: data.default_collate([(1, 2), (1,)]),
    "unequal sizes": lambda torch, data: data.default_collate([torch.ones(2), torch.ones(3)]),
    "other keys": lambda torch, data: data.default_collate([{"a": 1}, {"b": 1}]),
    "set batch_size": lambda torch, data: changed(data, "batch_size"),
    "set sampler": lambda torch, data: changed(data, "sampler"),
    "set batch_sampler": lambda torch, data: changed(data, "batch_sampler"),
    "set drop_last": lambda torch, data: changed(data, "drop_last"),
    "set dataset": lambda torch, data: changed(data, "dataset"),
    "set persistent_workers": lambda torch, data: changed(data, "persistent_workers"),
}


def raised(program: Program, torch: Any) -> tuple[str, str]:
    with pytest.raises(Exception) as caught:
        program(torch, torch.utils.data)
    return type(caught.value).__name__, str(caught.value).splitlines()[0].replace(". ", ".")


@pytest.mark.parametrize("name", PROGRAMS)
def test_refused_as_pytorch_refuses(name: str) -> None:
    oracle = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")
    ours, theirs = raised(PROGRAMS[name], rushlight), raised(PROGRAMS[name], oracle)
    assert ours[0] == theirs[0]
    assert "".join(ours[1].split()) == "".join(theirs[1].split())
