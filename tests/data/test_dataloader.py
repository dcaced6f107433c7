"""What the loader does besides making batches."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.engine.runtime.cache import counters, here
from rushlight.engine.runtime.executor import flush
from rushlight.utils.data import (
    DataLoader,
    Dataset,
    IterableDataset,
    TensorDataset,
    get_worker_info,
)


def test_the_old_spelling_of_next() -> None:
    batches = iter(DataLoader([1, 2, 3], batch_size=2))
    assert batches.next().tolist() == [1, 2]
    assert next(batches).tolist() == [3]
    with pytest.raises(StopIteration):
        batches.next()
    with pytest.raises(StopIteration):
        next(batches)


def test_handing_out_a_batch_runs_what_was_recorded() -> None:
    kept = []
    for batch in DataLoader(torch.arange(6.0), batch_size=2):
        kept.append(batch * 2)
        batch + 100
    assert [k._value.buffer is not None for k in kept] == [True, True, True]
    assert [k.tolist() for k in kept] == [[0, 2], [4, 6], [8, 10]]
    flush()
    flushes, nodes = counters.flushes, counters.nodes_run
    for batch in DataLoader(torch.arange(6.0), batch_size=2):
        batch + 100
    assert counters.nodes_run == nodes  # nobody holds a result
    assert counters.flushes - flushes == 3


def test_batches_of_ready_samples_record_nothing() -> None:
    data = TensorDataset(torch.arange(100.0).view(50, 2), torch.arange(50))
    flush()
    loader = DataLoader(data, batch_size=8, shuffle=True)
    states = counters.states
    for x, y in loader:
        assert here.trace.values == []
        assert x._value.buffer is not None
        assert y._value.buffer is not None
    assert counters.states - states <= 1


def test_samples_that_want_gradients() -> None:
    w = torch.ones(3, requires_grad=True)
    batch = next(iter(DataLoader([w * 2, w * 3], batch_size=2)))
    assert batch.requires_grad
    batch.sum().backward()
    assert w.grad.tolist() == [5, 5, 5]


def test_a_batch_is_memory_of_its_own() -> None:
    source = torch.zeros(4, 2)
    batch = next(iter(DataLoader(source, batch_size=2)))
    batch += 1
    assert source.sum().item() == 0
    array = np.zeros((4, 2), np.float32)
    batch = next(iter(DataLoader(array, batch_size=2)))
    batch += 1
    assert array.sum() == 0


def test_the_last_batch() -> None:
    sizes = [len(b) for b in DataLoader(range(10), batch_size=4)]
    assert sizes == [4, 4, 2]
    assert [len(b) for b in DataLoader(range(10), batch_size=4, drop_last=True)] == [4, 4]


def test_an_error_of_the_data_set_comes_through() -> None:
    class Broken(Dataset):
        def __len__(self) -> int:
            return 4

        def __getitem__(self, index: int) -> int:
            if index == 2:
                raise KeyError("sample 2")
            return index

    batches = iter(DataLoader(Broken(), batch_size=1))
    assert [next(batches).item(), next(batches).item()] == [0, 1]
    with pytest.raises(KeyError, match="sample 2"):
        next(batches)
    assert next(batches).item() == 3


def test_no_worker_in_the_own_process() -> None:
    class Stream(IterableDataset):
        def __iter__(self) -> Any:
            assert get_worker_info() is None
            return iter(range(3))

    assert [b.tolist() for b in DataLoader(Stream(), batch_size=2)] == [[0, 1], [2]]


def test_a_second_iterator_begins_anew() -> None:
    loader = DataLoader(range(5), batch_size=2)
    first = iter(loader)
    next(first)
    assert [b.tolist() for b in loader] == [[0, 1], [2, 3], [4]]
    assert next(first).tolist() == [2, 3]
    assert len(loader) == len(first) == 3


def test_a_data_set_may_be_exchanged_before_the_loader_is_made() -> None:
    loader = DataLoader([1, 2, 3])
    with pytest.raises(ValueError, match="dataset attribute should not be set after DataLoader"):
        loader.dataset = [4]
    loader.own_note = "free"
    assert loader.own_note == "free"
