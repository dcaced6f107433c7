"""One pass over the batches of a loader, and how it is made in this very process."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from rushlight import cuda
from rushlight._random import random_seed
from rushlight.engine.runtime.executor import flush
from rushlight.profiler.collector import record_function
from rushlight.utils.data._utils.fetch import _DatasetKind
from rushlight.utils.data._utils.pin_memory import pin_memory

if TYPE_CHECKING:
    from rushlight.utils.data.dataloader import DataLoader

#: From the warning up to the line of the user that asks for an iterator.
_TO_THE_LOOP = 5

_NOT_PINNED = (
    "'pin_memory' argument is set as true but no accelerator is found, then device pinned memory "
    "won't be used."
)
_REPLICAS = (
    "For multiprocessing data-loading, this could be caused by not properly configuring the "
    "IterableDataset replica at each worker. Please see "
    "https://pytorch.org/docs/stable/data.html#torch.utils.data.IterableDataset for examples."
)


class _BaseDataLoaderIter:
    """What both ways of loading have in common."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._dataset: Any = loader.dataset
        self._dataset_kind = loader._dataset_kind
        self._auto_collation = loader._auto_collation
        self._drop_last = loader.drop_last
        self._index_sampler = loader._index_sampler
        self._num_workers = loader.num_workers
        self._timeout = loader.timeout
        self._collate_fn = loader.collate_fn
        self._persistent_workers = loader.persistent_workers
        self._pin_memory = loader.pin_memory and cuda.is_available()
        if loader.pin_memory:
            _warn_of_pinning(loader)
        self._sampler_iter = iter(self._index_sampler)
        # A seed for workers is drawn at every pass, whether there are any or not.
        self._base_seed = random_seed(loader.generator)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called
        self._profile_name = f"enumerate(DataLoader)#{type(self).__name__}.__next__"

    def __iter__(self) -> _BaseDataLoaderIter:
        return self

    def _reset(self, loader: DataLoader[Any], first_iter: bool = False) -> None:
        """Begin a pass."""
        self._sampler_iter = iter(self._index_sampler)
        self._num_yielded = 0
        self._IterableDataset_len_called = loader._IterableDataset_len_called

    def _next_index(self) -> Any:
        return next(self._sampler_iter)

    def _next_data(self) -> Any:
        raise NotImplementedError

    def __next__(self) -> Any:
        # What the last batch recorded and somebody still holds is computed now, and what nobody
        # holds is forgotten, so that a loop whose results are not read does not grow.
        flush("next batch")
        with record_function(self._profile_name):
            batch = self._next_data()
        self._num_yielded += 1
        if self._dataset_kind == _DatasetKind.Iterable:
            self._check_length()
        return batch

    def next(self) -> Any:
        """The next batch (the old spelling of ``next(iterator)``)."""
        return self.__next__()

    def _check_length(self) -> None:
        told = self._IterableDataset_len_called
        if told is None or self._num_yielded <= told:
            return
        message = (
            f"Length of IterableDataset {self._dataset} was reported to be {told}"
            f"(when accessing len(dataloader)), but {self._num_yielded} samples have been fetched. "
        )
        warnings.warn(message + (_REPLICAS if self._num_workers else ""), stacklevel=3)

    def __len__(self) -> int:
        return len(self._index_sampler)

    def __getstate__(self) -> Any:
        raise NotImplementedError("{} cannot be pickled", type(self).__name__)


def _warn_of_pinning(loader: DataLoader[Any]) -> None:
    if loader.pin_memory_device:
        warnings.warn(
            "pin_memory_device is deprecated, the current accelerator will be used as the device,"
            f"ignore pin_memory_device='{loader.pin_memory_device}'.",
            stacklevel=_TO_THE_LOOP + 1,
        )
    if not cuda.is_available():
        warnings.warn(_NOT_PINNED, stacklevel=_TO_THE_LOOP + 1)


class _SingleProcessDataLoaderIter(_BaseDataLoaderIter):
    """Loads a batch when it is asked for."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        super().__init__(loader)
        if self._timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        self._dataset_fetcher = _DatasetKind.create_fetcher(
            self._dataset_kind,
            self._dataset,
            self._auto_collation,
            self._collate_fn,
            self._drop_last,
        )

    def _next_data(self) -> Any:
        batch = self._dataset_fetcher.fetch(self._next_index())
        return pin_memory(batch) if self._pin_memory else batch
