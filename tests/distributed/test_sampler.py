"""Each rank's share of a dataset, in PyTorch's order."""

from __future__ import annotations

import pytest

import rushlight
from rushlight.utils.data import DataLoader, DistributedSampler, TensorDataset
from rushlight.utils.data.distributed import DistributedSampler as SameSampler

oracle = pytest.importorskip("torch", reason="the oracle extra (PyTorch) is not installed")


@pytest.mark.parametrize("length", [1, 3, 10, 101])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("drop_last", [True, False])
def test_the_order_is_pytorchs(length: int, shuffle: bool, drop_last: bool) -> None:
    data = list(range(length))
    for size in (1, 2, 4):
        for rank in range(size):
            ours, theirs = (
                kind(data, size, rank, shuffle=shuffle, seed=7, drop_last=drop_last)
                for kind in (DistributedSampler, oracle.utils.data.DistributedSampler)
            )
            for epoch in (0, 1, 5):
                ours.set_epoch(epoch)
                theirs.set_epoch(epoch)
                assert list(ours) == list(theirs)
                assert len(ours) == len(theirs)


def test_a_loader_takes_it() -> None:
    data = TensorDataset(rushlight.arange(10))
    sampler = SameSampler(data, num_replicas=2, rank=1, shuffle=False)
    batches = [batch[0].tolist() for batch in DataLoader(data, batch_size=2, sampler=sampler)]
    assert batches == [[1, 3], [5, 7], [9]]


def test_errors() -> None:
    with pytest.raises(ValueError, match="Invalid rank 3, rank should be in the interval"):
        DistributedSampler([1], num_replicas=2, rank=3)
    with pytest.raises(ValueError, match="Default process group has not been initialized"):
        DistributedSampler([1])
