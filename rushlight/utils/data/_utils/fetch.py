"""Getting the samples of a batch from a dataset, in this process or in a worker."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.utils.data._utils.collate import columns_wanted


class _BaseDatasetFetcher:
    """What both kinds of datasets need to give a batch."""

    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last

    def fetch(self, possibly_batched_index: Any) -> Any:
        """The batch of these samples, or the single one where batches are switched off."""
        raise NotImplementedError


class _MapDatasetFetcher(_BaseDatasetFetcher):
    """Samples by their numbers (or keys)."""

    def fetch(self, possibly_batched_index: Any) -> Any:
        """The samples of these numbers, put together."""
        dataset = self.dataset
        if not self.auto_collation:
            return self.collate_fn(dataset[possibly_batched_index])
        if columns_wanted(self.collate_fn):
            columns = getattr(dataset, "_columns", None)
            batch = None if columns is None else columns(possibly_batched_index)
            if batch is not None:
                return batch
        several = getattr(dataset, "__getitems__", None)
        if several:
            return self.collate_fn(several(possibly_batched_index))
        return self.collate_fn([dataset[index] for index in possibly_batched_index])


class _IterableDatasetFetcher(_BaseDatasetFetcher):
    """Samples as they come."""

    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        super().__init__(dataset, auto_collation, collate_fn, drop_last)
        self.dataset_iter = iter(dataset)
        self.ended = False

    def fetch(self, possibly_batched_index: Any) -> Any:
        """As many of the next samples as the given list is long, put together.

        Raises:
            StopIteration: no more samples.
        """
        if self.ended:
            raise StopIteration
        if not self.auto_collation:
            return self.collate_fn(next(self.dataset_iter))
        samples = []
        for _ in possibly_batched_index:
            try:
                samples.append(next(self.dataset_iter))
            except StopIteration:
                self.ended = True
                break
        if not samples or (self.drop_last and len(samples) < len(possibly_batched_index)):
            raise StopIteration
        return self.collate_fn(samples)


class _DatasetKind:
    """The two kinds of datasets."""

    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(
        kind: int,
        dataset: Any,
        auto_collation: bool,
        collate_fn: Callable[[Any], Any],
        drop_last: bool,
    ) -> _BaseDatasetFetcher:
        """What gets batches from a dataset of this kind."""
        made = _MapDatasetFetcher if kind == _DatasetKind.Map else _IterableDatasetFetcher
        return made(dataset, auto_collation, collate_fn, drop_last)
