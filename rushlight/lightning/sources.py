"""Where a loop's batches come from: limits, the last batch, and going on in the middle of an epoch.

Note: how a place in an epoch is found again
    Kept are the states of all generators from before the loader began, and how many batches were
    done. The loader begins again from those states; of a loader without workers over a data set
    with numbers the sampler alone is moved on, of any other the batches are loaded and dropped.
    After that the generators get the states they had when the checkpoint was written.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from rushlight._tensor import Tensor
from rushlight.lightning.hparams import is_plain
from rushlight.lightning.seed import random_states, restore_random_states
from rushlight.lightning.utilities.exceptions import MisconfigurationException
from rushlight.utils.data.dataloader import DataLoader
from rushlight.utils.data.dataset import IterableDataset
from rushlight.utils.data.sampler import SequentialSampler

UNKNOWN = float("inf")


def length_of(loader: Any) -> float:
    """How many batches a loader has; infinite if it does not say."""
    try:
        return len(loader)
    except (TypeError, NotImplementedError):
        return UNKNOWN


def limited(count: float, limit: float | None, name: str) -> float:
    """How many batches a loop runs.

    Args:
        count: how many there are.
        limit: a whole number, or a part of all as a float.
        name: of the option, for the error.

    >>> limited(10, 3, "limit_train_batches"), limited(10, 0.5, "limit_train_batches")
    (3, 5)
    """
    if limit is None or (isinstance(limit, float) and limit == 1.0):
        return count
    if isinstance(limit, int):
        if limit < 0:
            raise MisconfigurationException(f"You have passed invalid value {limit} for {name}")
        return min(count, limit)
    if not 0.0 <= limit <= 1.0:
        raise MisconfigurationException(
            f"You have passed invalid value {limit} for {name}, it has to be in [0.0, 1.0] or an "
            "int."
        )
    if count == UNKNOWN:
        if limit == 0.0:
            return 0
        raise MisconfigurationException(
            f"When using an `IterableDataset`, `Trainer({name})` must be `1.0` or an int. An int "
            f"specifies `num_batches` to use."
        )
    found = int(count * limit)
    if found == 0 and limit > 0.0:
        raise MisconfigurationException(
            f"You requested to check {limit} of the dataloader but {limit} * {count} < 1. Please "
            f"increase the `{name}` argument. Try at least `{name}={1 / count}`"
        )
    return found


class CombinedLoader:
    """Several loaders as one: a batch of each at a time, or one after the other.

    Args:
        iterables: a loader, or a list or dictionary of them.
        mode: ``max_size_cycle`` (short ones begin again), ``max_size`` (they give ``None``),
            ``min_size`` (until one has ended) or ``sequential``.

    Each item is ``(batch, batch_idx, dataloader_idx)``.

    >>> [batch for batch, _, _ in CombinedLoader({"a": [1, 2, 3], "b": [7]}, "min_size")]
    [{'a': 1, 'b': 7}]
    """

    MODES = ("max_size_cycle", "max_size", "min_size", "sequential")

    def __init__(self, iterables: Any, mode: str = "min_size") -> None:
        if mode not in self.MODES:
            raise ValueError(f"Unsupported mode {mode!r}, please select one of: {self.MODES}.")
        self.iterables = iterables
        self.mode = mode

    @property
    def flattened(self) -> list[Any]:
        """The loaders in their order."""
        given = self.iterables
        if isinstance(given, Mapping):
            return list(given.values())
        return list(given) if isinstance(given, (list, tuple)) else [given]

    def __len__(self) -> int:
        lengths = [len(loader) for loader in self.flattened]
        if self.mode == "sequential":
            return sum(lengths)
        return min(lengths) if self.mode == "min_size" else max(lengths)

    def _like_given(self, batches: list[Any]) -> Any:
        given = self.iterables
        if isinstance(given, Mapping):
            return dict(zip(given, batches, strict=True))
        return batches if isinstance(given, (list, tuple)) else batches[0]

    def __iter__(self) -> Iterator[tuple[Any, int, int]]:
        loaders = self.flattened
        if self.mode == "sequential":
            for number, loader in enumerate(loaders):
                for index, batch in enumerate(loader):
                    yield batch, index, number
            return
        iterators = [iter(loader) for loader in loaders]
        ended = [False] * len(loaders)
        index = 0
        while True:
            batches = []
            for number, iterator in enumerate(iterators):
                batch = next(iterator, _END)
                if batch is _END:
                    ended[number] = True
                    if self.mode == "min_size" or all(ended):
                        return
                    if self.mode == "max_size_cycle":
                        iterators[number] = iter(loaders[number])
                        batch = next(iterators[number])
                    else:
                        batch = None
                batches.append(batch)
            yield self._like_given(batches), index, 0
            index += 1


_END = object()


class _MovedOn:
    """A sampler that can be moved on before the first of its numbers is asked for."""

    def __init__(self, sampler: Any) -> None:
        self._sampler = sampler
        self._numbers: Iterator[Any] = iter(())

    def __iter__(self) -> _MovedOn:
        self._numbers = iter(self._sampler)
        return self

    def __next__(self) -> Any:
        return next(self._numbers)

    def move(self, count: int) -> None:
        """Leave out ``count`` numbers."""
        for _ in range(count):
            next(self._numbers, None)


class Source:
    """The batches of training.

    Attributes:
        loader: where they come from.
        count: how many an epoch has; infinite if nobody knows.
    """

    def __init__(self, loader: Any, limit: float | None, name: str = "limit_train_batches") -> None:
        if isinstance(loader, (Mapping, list, tuple)):
            loader = CombinedLoader(loader, "max_size_cycle")
        self.loader = loader
        self.count = limited(length_of(loader), limit, name)
        self._begun: dict[str, Any] | None = None
        self._iterator: Any = None
        self._ahead: Any = _END

    def generators(self) -> list[Any]:
        """The generators of the loader and its samplers, each once."""
        found: list[Any] = []
        for loader in self._loaders():
            batches = getattr(loader, "batch_sampler", None)
            for owner in (loader, getattr(loader, "sampler", None), batches,
                          getattr(batches, "sampler", None)):  # fmt: skip
                generator = getattr(owner, "generator", None)
                if hasattr(generator, "get_state") and all(generator is not x for x in found):
                    found.append(generator)
        return found

    def _loaders(self) -> list[Any]:
        combined = isinstance(self.loader, CombinedLoader)
        return self.loader.flattened if combined else [self.loader]

    def states(self) -> dict[str, Any]:
        """The states of all generators, as plain data."""
        own = [generator.get_state() for generator in self.generators()]
        found: dict[str, Any] = {"random": random_states(), "generators": own}
        if self._ahead is not _END and is_plain(self._ahead):
            found["ahead"] = [self._ahead]  # loaded before its turn, with other random numbers
        return found

    def restore(self, states: dict[str, Any]) -> None:
        """Put all generators into states that ``states`` gave."""
        restore_random_states(states["random"])
        for generator, state in zip(self.generators(), states["generators"], strict=False):
            generator.set_state(state)

    def begin(self, epoch: int) -> None:
        """Begin an epoch."""
        for loader in self._loaders():
            batches = getattr(loader, "batch_sampler", None)
            for owner in (loader, batches):
                sampler = getattr(owner, "sampler", None)
                set_epoch = getattr(sampler, "set_epoch", None)
                if set_epoch is not None:
                    set_epoch(epoch)
        self._ahead = _END
        self._begun = self.states()
        self._iterator = iter(self.loader)

    def resume(self, epoch: int, done: int, begun: dict[str, Any], now: dict[str, Any]) -> None:
        """Go to where an epoch was when ``done`` batches were done.

        Args:
            epoch: its number.
            done: how many batches are left out.
            begun: the states from before the loader began.
            now: the states after those batches.
        """
        self.restore(begun)
        if done and self._moves_by_numbers():
            self._begin_moved(epoch, done)
        else:
            self.begin(epoch)
            for _ in range(done):
                next(self._iterator, None)
        self._begun = begun
        if self.count == UNKNOWN:
            self._look_ahead()
            if "ahead" in now:
                (self._ahead,) = now["ahead"]
        self.restore(now)

    @property
    def _following(self) -> Callable[..., Any]:
        return combined_batches if isinstance(self.loader, CombinedLoader) else next

    def _moves_by_numbers(self) -> bool:
        loader = self.loader
        if not isinstance(loader, DataLoader) or loader.num_workers > 0:
            return False
        plain = type(loader).__iter__ is DataLoader.__iter__
        return plain and not isinstance(loader.dataset, IterableDataset)

    def _begin_moved(self, epoch: int, done: int) -> None:
        """Begin with a sampler that leaves out what is done; the loader stays as it is."""
        members = self.loader.__dict__
        name = "batch_sampler" if self.loader.batch_sampler is not None else "sampler"
        before = members[name]
        moved = members[name] = _MovedOn(before)
        try:
            self.begin(epoch)
        finally:
            members[name] = before
        moved.move(done)  # only now: the loader has drawn its own seed first

    @property
    def begun(self) -> dict[str, Any] | None:
        """The states from before the loader began."""
        return self._begun

    def batches(self, done: int) -> Iterator[tuple[Any, bool]]:
        """The batches of the epoch that has begun, each with whether it is the last.

        Args:
            done: how many have been left out.
        """
        iterator, count, following = self._iterator, self.count, self._following
        if count == UNKNOWN:
            yield from self._looking_ahead()
            return
        while done < count:
            batch = following(iterator, _END)
            if batch is _END:
                return
            done += 1
            yield batch, done == count

    def _looking_ahead(self) -> Iterator[tuple[Any, bool]]:
        if self._ahead is _END:
            self._look_ahead()
        while self._ahead is not _END:
            batch, self._ahead = self._ahead, _END
            self._look_ahead()
            yield batch, self._ahead is _END

    def _look_ahead(self) -> None:
        """Load the next batch before its turn: only so is it known which one is the last."""
        self._ahead = self._following(self._iterator, _END)

    def close(self) -> None:
        """Let go of the loader's iterator, and so of its workers."""
        self._iterator = None
        self._ahead = _END


def combined_batches(iterator: Iterator[tuple[Any, int, int]], default: Any) -> Any:
    """The next batch of a ``CombinedLoader`` without its numbers."""
    item = next(iterator, default)
    return item if item is default else item[0]


def as_list(loaders: Any) -> list[Any]:
    """The loaders of an evaluation: one, or several.

    >>> as_list("ab"), as_list(None)
    (['ab'], [])
    """
    if loaders is None:
        return []
    if isinstance(loaders, CombinedLoader):
        return loaders.flattened
    if isinstance(loaders, Mapping):
        return list(loaders.values())
    return list(loaders) if isinstance(loaders, (list, tuple)) else [loaders]


def unshuffled(loader: Any) -> Any:
    """The same loader in the order of its data set, for ``overfit_batches``."""
    if not isinstance(loader, DataLoader) or isinstance(loader.dataset, IterableDataset):
        return loader
    if isinstance(loader.sampler, SequentialSampler) or loader.batch_size is None:
        return loader
    return DataLoader(
        loader.dataset, loader.batch_size, shuffle=False, num_workers=loader.num_workers,
        collate_fn=loader.collate_fn, drop_last=loader.drop_last,
    )  # fmt: skip


def batch_size_of(batch: Any) -> int:
    """How many samples a batch has: the size of the first tensor found in it.

    >>> import rushlight as torch
    >>> batch_size_of({"x": [torch.zeros(4, 2), torch.zeros(4)]})
    4
    """
    while True:
        if isinstance(batch, Tensor):
            return int(batch.shape[0]) if batch.dim() else 1
        if isinstance(batch, str):
            return len(batch)
        if isinstance(batch, Mapping) and batch:
            batch = next(iter(batch.values()))
        elif isinstance(batch, Sequence) and batch:
            batch = batch[0]
        else:
            return 1
