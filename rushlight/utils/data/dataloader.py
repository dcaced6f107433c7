"""Batches from a dataset."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from rushlight._random import random_seed
from rushlight.engine.runtime.executor import flush
from rushlight.utils.data._collate import default_collate, default_convert
from rushlight.utils.data.dataset import Dataset, IterableDataset
from rushlight.utils.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler

T_co = TypeVar("T_co", covariant=True)

_OWN_BATCHES = (
    "batch_sampler option is mutually exclusive with batch_size, shuffle, sampler, and drop_last"
)
_NO_BATCHES = (
    "batch_size=None option disables auto-batching and is mutually exclusive with drop_last"
)


#: What a loader is asked only when it is made.
_FIXED = (
    "batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers",
)  # fmt: skip


def get_worker_info() -> Any:
    """What a worker process knows about itself: ``None``, as samples are loaded in this process.

    See https://pytorch.org/docs/stable/data.html#torch.utils.data.get_worker_info.

    >>> from rushlight.utils.data import get_worker_info
    >>> get_worker_info() is None
    True
    """
    return None


class _Endless(Sampler[None]):
    """Stands where an iterable dataset needs no sample numbers."""

    def __iter__(self) -> Iterator[None]:
        while True:
            yield None


class DataLoader(Generic[T_co]):
    """Batches of a dataset, shuffled or not.

    Args:
        dataset: samples by number, or an ``IterableDataset``.
        batch_size: samples per batch; ``None`` gives single samples.
        shuffle: a new random order every epoch.
        sampler: the order of samples instead of ``shuffle``.
        batch_sampler: lists of sample numbers instead of the four before.
        num_workers: processes that load ahead; 0 loads in this process.
        collate_fn: how samples become a batch, ``default_collate`` by default.
        drop_last: leave out a last batch that is not full.
        generator: source of random numbers of the shuffling.

    See https://pytorch.org/docs/stable/data.html#torch.utils.data.DataLoader.

    >>> from rushlight.utils.data import DataLoader
    >>> list(DataLoader([1, 2, 3], batch_size=2))
    [tensor([1, 2]), tensor([3])]
    """

    _fixed = False

    def __init__(
        self,
        dataset: Dataset[T_co] | Iterable[T_co],
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Any = None,
        batch_sampler: Any = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Any = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_numbers(num_workers, timeout, prefetch_factor, persistent_workers)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.generator = generator
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._iterable = isinstance(dataset, IterableDataset)
        shuffle = bool(shuffle)
        if self._iterable:
            _check_iterable(shuffle, sampler, batch_sampler)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(_OWN_BATCHES)
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(_NO_BATCHES)
        if sampler is None:
            sampler = self._default_sampler(shuffle)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self._batched = batch_sampler is not None
        self.collate_fn = collate_fn or (default_collate if self._batched else default_convert)
        self._fixed = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._fixed and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    def _default_sampler(self, shuffle: bool) -> Any:
        if self._iterable:
            return _Endless()
        if shuffle:
            return RandomSampler(self.dataset, generator=self.generator)  # type: ignore[arg-type]
        return SequentialSampler(self.dataset)  # type: ignore[arg-type]

    def __iter__(self) -> _Iterator:
        return _Iterator(self)

    def __len__(self) -> int:
        if not self._iterable:
            return len(self.batch_sampler if self._batched else self.sampler)
        count = len(self.dataset)  # type: ignore[arg-type]
        if self.batch_size is None:
            return count
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


class _Iterator:
    """One pass over the batches, in this process."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        # PyTorch draws a seed for workers at every pass, whether there are any or not
        self._base_seed = random_seed(loader.generator)
        self._order = iter(loader.batch_sampler if loader._batched else loader.sampler)
        self._samples = iter(loader.dataset) if loader._iterable else None
        self._exhausted = False

    def __iter__(self) -> _Iterator:
        return self

    def __len__(self) -> int:
        return len(self._loader)

    def __next__(self) -> Any:
        # what the last batch recorded and somebody still holds is computed now, and what nobody
        # holds is forgotten, so that a loop whose results are not read does not grow
        flush("next batch")
        return self._fetch(next(self._order))

    def next(self) -> Any:
        """The next batch (the old spelling of ``next(iterator)``)."""
        return self.__next__()

    def _fetch(self, numbers: Any) -> Any:
        loader = self._loader
        if self._samples is not None:
            return self._fetch_stream(numbers)
        dataset: Any = loader.dataset
        if not loader._batched:
            return loader.collate_fn(dataset[numbers])
        several = getattr(dataset, "__getitems__", None)
        samples = several(numbers) if several else [dataset[i] for i in numbers]
        return loader.collate_fn(samples)

    def _fetch_stream(self, numbers: Any) -> Any:
        loader = self._loader
        assert self._samples is not None
        if not loader._batched:
            return loader.collate_fn(next(self._samples))
        if self._exhausted:
            raise StopIteration
        samples = []
        for _ in numbers:
            try:
                samples.append(next(self._samples))
            except StopIteration:
                self._exhausted = True
                break
        if not samples or (loader.drop_last and len(samples) < len(numbers)):
            raise StopIteration
        return loader.collate_fn(samples)


def _check_numbers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; use num_workers=0 to disable "
            "multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing. let num_workers > "
            "0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if persistent and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")
    if num_workers > 0:
        warnings.warn(
            f"DataLoader: num_workers={num_workers}: samples are loaded in this process, in the "
            "same order and with the same random numbers as without workers.",
            UserWarning,
            stacklevel=3,
        )


def _check_iterable(shuffle: bool, sampler: Any, batch_sampler: Any) -> None:
    if shuffle:
        raise ValueError(
            "DataLoader with IterableDataset: expected unspecified shuffle option, but got "
            f"shuffle={shuffle}"
        )
    for name, given in (("sampler", sampler), ("batch_sampler", batch_sampler)):
        if given is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, but got "
                f"{name}={given}"
            )
