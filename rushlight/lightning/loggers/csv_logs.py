"""Logged values in a file of comma-separated values."""

from __future__ import annotations

import csv
import io
import json
import os
from typing import Any

from rushlight._serialization import written_atomically
from rushlight.lightning.hparams import is_plain
from rushlight.lightning.loggers.logger import FolderLogger, as_mapping


class CSVLogger(FolderLogger):
    """Writes ``metrics.csv``, a row for every step at which something was logged.

    Args:
        save_dir: the folder of all experiments.
        name: the experiment.
        version: the number of the run (default: the next one).
        prefix: put before every name.
        flush_logs_every_n_steps: how often the file is written.

    >>> CSVLogger("logs", version=3).log_dir
    'logs/lightning_logs/version_3'
    """

    NAME_METRICS_FILE = "metrics.csv"

    def __init__(
        self, save_dir: Any, name: str | None = "lightning_logs", version: Any = None,
        prefix: str = "", flush_logs_every_n_steps: int = 100,
    ) -> None:  # fmt: skip
        super().__init__(save_dir, name, version, prefix)
        self._every = flush_logs_every_n_steps
        self.metrics: list[dict[str, Any]] = []
        self._written = 0

    @property
    def experiment(self) -> CSVLogger:
        """What writes: the logger itself."""
        return self

    def log_metrics(self, metrics: dict[str, Any], step: int | None = None) -> None:
        """Take values of one step."""
        join = self.LOGGER_JOIN_CHAR
        named = {f"{self._prefix}{join}{k}" if self._prefix else k: v for k, v in metrics.items()}
        step = len(self.metrics) if step is None else step
        self.metrics.append({**named, "step": step})
        if len(self.metrics) - self._written >= self._every:
            self.save()

    def log_hyperparams(self, params: Any = None, *args: Any, **kwargs: Any) -> None:
        """Take the hyperparameters."""
        self.hparams.update(as_mapping(params))

    def save(self) -> None:
        """Write the files anew."""
        if not self.metrics and not self.hparams:
            return
        os.makedirs(self.log_dir, exist_ok=True)
        if self.hparams:
            # JSON is YAML; what it cannot say is written as Python does
            lines = [f"{json.dumps(str(k))}: {_text(v)}" for k, v in self.hparams.items()]
            path = os.path.join(self.log_dir, self.NAME_HPARAMS_FILE)
            with written_atomically(path) as file:
                file.write(("\n".join(lines) + "\n").encode())
        if len(self.metrics) > self._written:
            names = sorted({name for row in self.metrics for name in row})
            text = io.StringIO(newline="")
            writer = csv.DictWriter(text, fieldnames=names)
            writer.writeheader()
            writer.writerows(self.metrics)
            path = os.path.join(self.log_dir, self.NAME_METRICS_FILE)
            with written_atomically(path) as file:
                file.write(text.getvalue().encode())
            self._written = len(self.metrics)


def _text(value: Any) -> str:
    simple = isinstance(value, (bool, int, float, str, type(None), list, tuple, dict))
    if simple and is_plain(value):
        return json.dumps(value, default=str)
    return json.dumps(str(value))
