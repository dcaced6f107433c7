"""With worker processes the loader gives the very batches PyTorch's workers give."""

from __future__ import annotations

import random
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
        return type(found).__name__, str(found.dtype), tuple(found.shape), found.tolist()
    if isinstance(found, dict):
        return {key: plain(value) for key, value in found.items()}
    if isinstance(found, (list, tuple)):
        return type(found).__name__, [plain(value) for value in found]
    return found


class Draws:
    """Samples of random numbers from all three generators."""

    def __init__(self, torch: Any, count: int = 9) -> None:
        self.torch, self.count = torch, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Any:
        drawn = self.torch.rand(1).item(), random.random(), float(np.random.rand())
        return index, *drawn


def stream(torch: Any, count: int, split: bool = True) -> Any:
    """An iterable dataset of which every worker gives its share, or everything."""

    class Stream(torch.utils.data.IterableDataset):  # type: ignore[misc,name-defined]
        def __iter__(self) -> Any:
            info = torch.utils.data.get_worker_info()
            if info is None or not split:
                return iter(range(count))
            return iter(range(info.id, count, info.num_workers))

        def __len__(self) -> int:
            return count

    return Stream()


def loaded(torch: Any, dataset: Any, epochs: int = 2, **options: Any) -> Any:
    """All batches of some epochs with two workers."""
    loader = torch.utils.data.DataLoader(dataset, num_workers=2, **options)
    return [list(loader) for _ in range(epochs)], torch.rand(2)


def shuffled(torch: Any) -> Any:
    return loaded(torch, Draws(torch), batch_size=2, shuffle=True)


def by_a_generator(torch: Any) -> Any:
    generator = torch.Generator().manual_seed(3)
    return loaded(torch, Draws(torch), batch_size=2, shuffle=True, generator=generator)


def kept_workers(torch: Any) -> Any:
    return loaded(torch, Draws(torch), 3, batch_size=4, shuffle=True, persistent_workers=True)


def without_the_rest(torch: Any) -> Any:
    return loaded(torch, Draws(torch), batch_size=2, drop_last=True, prefetch_factor=1)


def far_ahead(torch: Any) -> Any:
    return loaded(torch, Draws(torch), batch_size=1, shuffle=True, prefetch_factor=9)


def own_batches(torch: Any) -> Any:
    return loaded(torch, Draws(torch), batch_sampler=[[0, 3], [2], [8, 8, 1]])


def single_samples(torch: Any) -> Any:
    dataset = [np.full(2, i) for i in range(5)]
    return loaded(torch, dataset, batch_size=None, shuffle=True)


def streamed(torch: Any) -> Any:
    return loaded(torch, stream(torch, 11), batch_size=2)


def streamed_by_kept_workers(torch: Any) -> Any:
    return loaded(torch, stream(torch, 11), 3, batch_size=3, persistent_workers=True)


def streamed_unevenly(torch: Any) -> Any:
    return loaded(torch, stream(torch, 3), batch_size=1, prefetch_factor=4)


def streamed_full_batches(torch: Any) -> Any:
    return loaded(torch, stream(torch, 11), batch_size=2, drop_last=True)


def streamed_samples(torch: Any) -> Any:
    return loaded(torch, stream(torch, 5), batch_size=None)


def streamed_twice(torch: Any) -> Any:
    with pytest.warns(UserWarning, match="was reported to be 3") as told:
        found = loaded(torch, stream(torch, 3, split=False), batch_size=2)
    return found, [str(warning.message).partition(" object at ")[0] for warning in told]


def dealt_as_they_come(torch: Any) -> Any:
    found, drawn = loaded(torch, list(range(12)), batch_size=2, in_order=False)
    return [sorted(batch.tolist() for batch in epoch) for epoch in found], drawn


def what_a_worker_knows(torch: Any) -> Any:
    seen = []

    class Asks(Draws):
        def __getitem__(self, index: int) -> Any:
            info = torch.utils.data.get_worker_info()
            same = info.dataset is self
            return info.id, info.num_workers, info.seed, same, torch.initial_seed()

    for _ in range(2):
        loader = torch.utils.data.DataLoader(Asks(torch), batch_size=3, num_workers=2)
        seen += [[column.tolist() for column in batch] for batch in loader]
    return seen, torch.utils.data.get_worker_info()


def prepared_workers(torch: Any) -> Any:
    def prepare(worker: int) -> None:
        dataset = torch.utils.data.get_worker_info().dataset
        dataset.count = 100 * worker
        np.random.seed(worker)

    class Counts(Draws):
        def __getitem__(self, index: int) -> Any:
            return index + self.count, np.random.rand()

    return loaded(torch, Counts(torch, 6), batch_size=2, worker_init_fn=prepare)


def all_sorts(torch: Any) -> Any:
    class Sorts(Draws):
        def __getitem__(self, index: int) -> Any:
            return {
                "image": torch.full((2, 3), float(index)),
                "pair": (np.float32(index), np.arange(2)),
                "name": f"sample {index}",
                "half": torch.ones(2, dtype=torch.bfloat16) * index,
                "none at all": torch.zeros(0, 3),
                "flag": index > 2,
            }

    return loaded(torch, Sorts(torch, 5), batch_size=2)


def own_collation(torch: Any) -> Any:
    def put(samples: list[Any]) -> Any:
        column = torch.tensor([sample[0] for sample in samples])
        turned = torch.arange(6.0).view(2, 3).t()
        kept = torch.arange(2.0).requires_grad_()
        return {"ids": column, "array": np.ones((2, 1)), "turned": turned, "kept": kept}, "text"

    loader = torch.utils.data.DataLoader(
        Draws(torch, 4), batch_size=2, num_workers=1, collate_fn=put
    )
    return [
        (batch, batch[0]["turned"].stride(), batch[0]["kept"].requires_grad) for batch in loader
    ]


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
    assert len(PROGRAMS) >= 15


@pytest.mark.parametrize("base", [0, 1, 12345678901, (1 << 63) - 7])
@pytest.mark.parametrize("worker", [0, 1, 63])
def test_seed_of_numpy(base: int, worker: int) -> None:
    theirs = oracle.utils.data._utils.worker._generate_state(base, worker)
    entropy = [worker, base & 0xFFFFFFFF, base >> 32, 0]
    assert np.random.SeedSequence(entropy).generate_state(4).tolist() == theirs


@pytest.mark.parametrize("torch", [rushlight, oracle], ids=["rushlight", "torch"])
def test_warnings(torch: Any) -> None:
    data = torch.utils.data
    with pytest.warns(UserWarning, match="no accelerator is found, then device pinned memory"):
        batches = list(data.DataLoader([1, 2], pin_memory=True))
    assert [batch.tolist() for batch in batches] == [[1], [2]]
    with pytest.warns(UserWarning, match="pin_memory") as told:
        iter(data.DataLoader([1], pin_memory=True, pin_memory_device="cuda"))
    assert "pin_memory_device is deprecated" in str(told[0].message)
    with pytest.warns(UserWarning, match="will create 1000 worker processes in total. Our sugges"):
        data.DataLoader([1], num_workers=1000)


def test_names_that_programs_import() -> None:
    assert set(oracle.utils.data.dataloader.__all__) <= set(dir(rushlight.utils.data.dataloader))
    for name in ("_BaseDataLoaderIter", "_SingleProcessDataLoaderIter", "_DatasetKind"):
        assert hasattr(rushlight.utils.data.dataloader, name)
    parts = rushlight.utils.data._utils
    assert parts.collate.default_collate is rushlight.utils.data.default_collate
    assert parts.worker.get_worker_info is rushlight.utils.data.get_worker_info
    theirs = set(oracle.utils.data._utils.worker.WorkerInfo.__slots__)
    assert set(parts.worker.WorkerInfo.__slots__) == theirs
