"""The base of loggers."""

from __future__ import annotations

import os
from argparse import Namespace
from collections.abc import Mapping
from typing import Any

from rushlight.lightning.hparams import AttributeDict


class Logger:
    """Somewhere logged values go.

    A subclass writes ``log_metrics`` and ``log_hyperparams``; see ``CSVLogger``.

    >>> Logger().version
    0
    """

    @property
    def name(self) -> str | None:
        """The name of the experiment."""
        return None

    @property
    def version(self) -> int | str | None:
        """The number of the run."""
        return 0

    @property
    def root_dir(self) -> str | None:
        """The folder of all runs of the experiment."""
        return None

    @property
    def log_dir(self) -> str | None:
        """The folder of this run."""
        return None

    @property
    def save_dir(self) -> str | None:
        """The folder of all experiments."""
        return None

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Take values of one step."""

    def log_hyperparams(self, params: Any, *args: Any, **kwargs: Any) -> None:
        """Take the hyperparameters."""

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Take the model's graph."""

    def save(self) -> None:
        """Write what has come."""

    def finalize(self, status: str) -> None:
        """The run has ended."""
        self.save()

    def begin(self, trainer: Any) -> None:
        """A run begins: take its hyperparameters."""
        module, data = trainer.lightning_module, trainer.datamodule
        found = AttributeDict()
        for owner in (data, module):
            if owner is not None and getattr(owner, "_log_hyperparams", False):
                found.update(owner.hparams)
        if found:
            self.log_hyperparams(found)


def as_mapping(params: Any) -> dict[str, Any]:
    """Hyperparameters as a dictionary.

    >>> as_mapping(Namespace(lr=1))
    {'lr': 1}
    """
    if params is None:
        return {}
    return dict(vars(params)) if isinstance(params, Namespace) else dict(params)


def flattened(params: Mapping[str, Any], separator: str = "/") -> dict[str, Any]:
    """Nested dictionaries as one.

    >>> flattened({"model": {"width": 3}, "lr": 0.1})
    {'model/width': 3, 'lr': 0.1}
    """
    found: dict[str, Any] = {}
    for key, value in params.items():
        if isinstance(value, Mapping):
            inner = flattened(value, separator)
            found.update({f"{key}{separator}{name}": item for name, item in inner.items()})
        else:
            found[str(key)] = value
    return found


def next_version(names: list[str]) -> int:
    """The first number no ``version_N`` among these names has.

    >>> next_version(["version_0", "version_3", "other"])
    4
    """
    numbers = [name.removeprefix("version_") for name in names if name.startswith("version_")]
    return max((int(number) for number in numbers if number.isdigit()), default=-1) + 1


class FolderLogger(Logger):
    """A logger that writes into a folder for every run: ``save_dir/name/version_N``.

    Args:
        save_dir: the folder of all experiments.
        name: the experiment.
        version: the number of the run (default: the next one).
        prefix: put before every name.

    >>> FolderLogger("logs", "digits", 3, "").log_dir
    'logs/digits/version_3'
    """

    LOGGER_JOIN_CHAR = "-"
    NAME_HPARAMS_FILE = "hparams.yaml"

    def __init__(self, save_dir: Any, name: str | None, version: Any, prefix: str) -> None:
        self._save_dir = os.fspath(save_dir)
        self._name = name or ""
        self._version = version
        self._prefix = prefix
        self.hparams: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """The name of the experiment."""
        return self._name

    @property
    def save_dir(self) -> str:
        """The folder of all experiments."""
        return self._save_dir

    @property
    def root_dir(self) -> str:
        """The folder of all runs of the experiment."""
        return os.path.join(self._save_dir, self._name)

    @property
    def version(self) -> Any:
        """The number of the run."""
        if self._version is None:
            there = os.listdir(self.root_dir) if os.path.isdir(self.root_dir) else []
            self._version = next_version(there)
        return self._version

    @property
    def log_dir(self) -> str:
        """The folder of this run."""
        version = self.version
        name = version if isinstance(version, str) else f"version_{version}"
        return os.path.join(self.root_dir, name)
