"""Logged values for TensorBoard."""

from __future__ import annotations

import json
import os
from importlib import import_module
from typing import Any

from rushlight._serialization import written_atomically
from rushlight._tensor import Tensor
from rushlight.lightning.loggers.logger import FolderLogger, as_mapping, flattened


class TensorBoardLogger(FolderLogger):
    """Writes event files that ``tensorboard --logdir`` shows.

    Args:
        save_dir: the folder of all experiments.
        name: the experiment.
        version: the number of the run (default: the next one).
        log_graph: write the model's graph, for modules with ``example_input_array``.
        default_hp_metric: write a value for TensorBoard's page of hyperparameters.
        prefix: put before every name.
        sub_dir: a folder inside that of the run.

    >>> TensorBoardLogger("logs", version=3).log_dir
    'logs/lightning_logs/version_3'
    """

    def __init__(
        self, save_dir: Any, name: str | None = "lightning_logs", version: Any = None,
        log_graph: bool = False, default_hp_metric: bool = True, prefix: str = "",
        sub_dir: Any = None, **kwargs: Any,
    ) -> None:  # fmt: skip
        super().__init__(save_dir, name, version, prefix)
        self._log_graph = log_graph
        self._default_hp_metric = default_hp_metric
        self._sub_dir = sub_dir
        self._options = kwargs
        self._writer: Any = None

    @property
    def log_dir(self) -> str:
        """The folder of this run."""
        folder = super().log_dir
        return folder if self._sub_dir is None else os.path.join(folder, os.fspath(self._sub_dir))

    @property
    def experiment(self) -> Any:
        """The ``SummaryWriter``, for images, figures and text."""
        if self._writer is None:
            tensorboard = import_module("rushlight.utils.tensorboard")
            self._writer = tensorboard.SummaryWriter(log_dir=self.log_dir, **self._options)
        return self._writer

    def _named(self, metrics: dict[str, Any]) -> dict[str, Any]:
        if not self._prefix:
            return metrics
        return {f"{self._prefix}{self.LOGGER_JOIN_CHAR}{k}": v for k, v in metrics.items()}

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Take values of one step."""
        writer = self.experiment
        for name, value in self._named(metrics).items():
            if isinstance(value, dict):
                writer.add_scalars(name, value, step)
            else:
                number = value.item() if isinstance(value, Tensor) else value
                writer.add_scalar(name, number, step)

    def log_hyperparams(
        self, params: Any, metrics: Any = None, step: int | None = None, **kwargs: Any
    ) -> None:
        """Take the hyperparameters."""
        self.hparams.update(as_mapping(params))
        if metrics is None and self._default_hp_metric:
            metrics = {"hp_metric": -1}
        elif not isinstance(metrics, (dict, type(None))):
            metrics = {"hp_metric": metrics}
        if metrics and hasattr(self.experiment, "add_hparams"):
            plain = {
                key: value if isinstance(value, (bool, int, float, str)) else str(value)
                for key, value in flattened(self.hparams).items()
            }
            self.experiment.add_hparams(plain, metrics, run_name=".")

    def log_graph(self, model: Any, input_array: Any = None) -> None:
        """Take the model's graph."""
        example = input_array if input_array is not None else model.example_input_array
        if self._log_graph and example is not None:
            self.experiment.add_graph(model, example)

    def begin(self, trainer: Any) -> None:
        """A run begins."""
        super().begin(trainer)
        self.log_graph(trainer.lightning_module)

    def save(self) -> None:
        """Write what has come."""
        if self._writer is not None:
            self._writer.flush()
        if self.hparams:
            lines = [
                f"{json.dumps(str(key))}: {json.dumps(value, default=str)}"
                for key, value in self.hparams.items()
            ]
            os.makedirs(self.log_dir, exist_ok=True)
            path = os.path.join(self.log_dir, self.NAME_HPARAMS_FILE)
            with written_atomically(path) as file:
                file.write(("\n".join(lines) + "\n").encode())

    def finalize(self, status: str) -> None:
        """The run has ended."""
        self.save()
        if self._writer is not None:
            self._writer.close()
            self._writer = None
