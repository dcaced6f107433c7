"""Data with how it is prepared and loaded, apart from any model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from rushlight.lightning.hooks import CheckpointHooks, DataHooks
from rushlight.lightning.hparams import HyperparametersMixin
from rushlight.lightning.saving import LoadableMixin
from rushlight.utils.data.dataloader import DataLoader
from rushlight.utils.data.dataset import Dataset, IterableDataset


class LightningDataModule(DataHooks, CheckpointHooks, HyperparametersMixin, LoadableMixin):
    """Loaders for training, validation, test and prediction, and what prepares them.

    See https://lightning.ai/docs/pytorch/stable/data/datamodule.html.

    >>> data = LightningDataModule.from_datasets(list(range(10)), batch_size=5)
    >>> len(data.train_dataloader())
    2
    """

    name: str | None = None
    trainer: Any = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.trainer = None

    @classmethod
    def from_datasets(
        cls, train_dataset: Any = None, val_dataset: Any = None, test_dataset: Any = None,
        predict_dataset: Any = None, batch_size: int = 1, num_workers: int = 0,
        **datamodule_kwargs: Any,
    ) -> LightningDataModule:  # fmt: skip
        """A data module over data sets; several of a kind as a list or a dictionary."""
        made = cls(**datamodule_kwargs)

        def loader(dataset: Any, shuffle: bool) -> DataLoader[Any]:
            shuffle = shuffle and not isinstance(dataset, IterableDataset)
            return DataLoader(dataset, batch_size, shuffle=shuffle, num_workers=num_workers)

        def loaders(given: Any, shuffle: bool, several: bool) -> Any:
            if isinstance(given, Mapping):
                return {key: loader(each, shuffle) for key, each in given.items()}
            if several and isinstance(given, Sequence) and _of_datasets(given):
                return [loader(each, shuffle) for each in given]
            return loader(given, shuffle)

        if train_dataset is not None:
            made.train_dataloader = lambda: loaders(  # type: ignore[method-assign]
                train_dataset, True, False
            )
        if val_dataset is not None:
            made.val_dataloader = lambda: loaders(  # type: ignore[method-assign]
                val_dataset, False, True
            )
        if test_dataset is not None:
            made.test_dataloader = lambda: loaders(  # type: ignore[method-assign]
                test_dataset, False, True
            )
        if predict_dataset is not None:
            made.predict_dataloader = lambda: loaders(  # type: ignore[method-assign]
                predict_dataset, False, True
            )
        return made

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of the data module."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""


def _of_datasets(given: Sequence[Any]) -> bool:
    return bool(given) and all(isinstance(each, Dataset) for each in given)
