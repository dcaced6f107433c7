"""Each rank's share of a dataset."""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator, Sized
from importlib import import_module

from rushlight._random import Generator, randperm
from rushlight.utils.data.sampler import Sampler


def _world() -> tuple[int, int]:
    """Rank and number of ranks of the group of all processes."""
    if "rushlight.distributed" not in sys.modules:
        raise ValueError(
            "Default process group has not been initialized, please make sure to call "
            "init_process_group."
        )
    distributed = import_module("rushlight.distributed")
    return distributed.get_rank(), distributed.get_world_size()


class DistributedSampler(Sampler[int]):
    """The numbers of the samples of one rank: every ``num_replicas``-th of all, in random order.

    Call ``set_epoch`` before each epoch, else every epoch has the same order.

    Args:
        dataset: what is sampled from.
        num_replicas: how many ranks share it, by default all processes.
        rank: whose share, by default this process's.
        shuffle: whether the order is random; it is the same on all ranks.
        seed: of the order; the same on all ranks.
        drop_last: leave out the last samples where they do not divide evenly; else the first ones
            are taken twice.

    See https://pytorch.org/docs/stable/data.html#torch.utils.data.distributed.DistributedSampler.

    >>> import rushlight as torch
    >>> samples = list(range(5))
    >>> share = torch.utils.data.DistributedSampler(samples, num_replicas=2, rank=1, shuffle=False)
    >>> list(share)
    [1, 3, 0]
    """

    def __init__(
        self,
        dataset: Sized,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None:
            num_replicas = _world()[1]
        if rank is None:
            rank = _world()[0]
        if rank >= num_replicas or rank < 0:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        self.shuffle = shuffle
        self.seed = seed
        count = len(dataset)
        if drop_last and count % num_replicas != 0:
            count -= num_replicas
        self.num_samples = math.ceil(count / num_replicas)
        self.total_size = self.num_samples * num_replicas

    def __iter__(self) -> Iterator[int]:
        count = len(self.dataset)
        indices = list(range(count))
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = randperm(count, generator=generator).tolist()
        if not self.drop_last and indices:
            indices *= math.ceil(self.total_size / count)
        return iter(indices[: self.total_size][self.rank :: self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Take the order of this epoch from now on."""
        self.epoch = epoch
