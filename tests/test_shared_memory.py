"""Memory that several processes share: share_memory_ of tensors, storages and modules."""

from __future__ import annotations

from typing import Any

import pytest

import rushlight as torch
from rushlight import multiprocessing


def _add(index: int, model: Any, numbers: Any) -> None:
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(1.0)
        numbers[0] = 5.0
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_what_a_process_writes_is_seen(method: str) -> None:
    model = torch.nn.Linear(2, 1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
    assert model.share_memory() is model
    numbers = torch.zeros(3).share_memory_()
    multiprocessing.start_processes(_add, (model, numbers), nprocs=1, start_method=method)
    assert numbers.tolist() == [5.0, 0.0, 0.0]
    assert model.weight.tolist() == [[0.5, 0.5]]
    assert model.bias.tolist() == [0.5]


def test_a_storage_is_shared_as_a_whole() -> None:
    tensor = torch.arange(4.0)
    part = tensor[1:]
    assert not tensor.is_shared()
    assert tensor.share_memory_() is tensor
    assert tensor.is_shared()
    assert part.is_shared()
    assert tensor.untyped_storage().is_shared()
    assert not tensor.clone().is_shared()
    part.mul_(2)
    assert tensor.tolist() == [0.0, 2.0, 4.0, 6.0]


def test_it_stays_shared_while_it_is_trained() -> None:
    model = torch.nn.Linear(2, 1).share_memory()
    before = model.weight.data_ptr()
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert model.weight.is_shared()
    assert model.weight.data_ptr() == before


def test_a_bare_storage() -> None:
    storage = torch.UntypedStorage([1, 2, 3])
    assert storage.share_memory_() is storage
    assert storage.is_shared()
    assert storage.tolist() == [1, 2, 3]
