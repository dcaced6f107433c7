"""Stop after some time."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import Any

from rushlight.lightning.callbacks.callback import Callback
from rushlight.lightning.utilities.exceptions import MisconfigurationException


class Timer(Callback):
    """Measures how long training, validation and test take, and may end training.

    Args:
        duration: ``"DD:HH:MM:SS"``, a ``timedelta`` or its arguments; ``None`` only measures.
        interval: whether to look after every ``step`` or every ``epoch``.

    >>> Timer("00:00:00:30").time_remaining()
    30.0
    """

    def __init__(self, duration: Any = None, interval: str = "step", verbose: bool = True) -> None:
        if interval not in ("step", "epoch"):
            raise MisconfigurationException(
                f"Unsupported parameter value `Timer(interval={interval})`. Possible choices are: "
                "step, epoch"
            )
        self._duration = None if duration is None else _seconds(duration)
        self._interval = interval
        self._before = 0.0
        self._begun: dict[str, float] = {}
        self._ended: dict[str, float] = {}

    def time_elapsed(self, stage: str = "train") -> float:
        """Seconds spent in ``train``, ``validate`` or ``test``."""
        stage = {"fit": "train"}.get(stage, stage)
        spent = self._before if stage == "train" else 0.0
        if stage in self._begun:
            spent += self._ended.get(stage, time.monotonic()) - self._begun[stage]
        return spent

    def start_time(self, stage: str = "train") -> float | None:
        """When a stage began, on the clock ``time.monotonic``."""
        return self._begun.get({"fit": "train"}.get(stage, stage))

    def time_remaining(self, stage: str = "train") -> float | None:
        """Seconds left."""
        return None if self._duration is None else self._duration - self.time_elapsed(stage)

    def state_dict(self) -> dict[str, Any]:
        """What a checkpoint keeps of it."""
        return {"time_elapsed": {"train": self.time_elapsed()}}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over what ``state_dict`` gave."""
        self._before = state_dict["time_elapsed"]["train"]

    def on_train_start(self, trainer: Any, pl_module: Any) -> None:
        """The clock runs."""
        self._begun["train"] = time.monotonic()
        self._ended.pop("train", None)

    def on_train_end(self, trainer: Any, pl_module: Any) -> None:
        """The clock stands."""
        self._ended["train"] = time.monotonic()

    def on_validation_start(self, trainer: Any, pl_module: Any) -> None:
        """The clock of the validation runs."""
        self._begun["validate"] = time.monotonic()
        self._ended.pop("validate", None)

    def on_validation_end(self, trainer: Any, pl_module: Any) -> None:
        """The clock of the validation stands."""
        self._ended["validate"] = time.monotonic()

    def on_test_start(self, trainer: Any, pl_module: Any) -> None:
        """The clock of the test runs."""
        self._begun["test"] = time.monotonic()
        self._ended.pop("test", None)

    def on_test_end(self, trainer: Any, pl_module: Any) -> None:
        """The clock of the test stands."""
        self._ended["test"] = time.monotonic()

    def on_train_batch_end(
        self, trainer: Any, pl_module: Any, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Look at the clock."""
        if self._interval == "step":
            self._look(trainer)

    def on_train_epoch_end(self, trainer: Any, pl_module: Any) -> None:
        """Look at the clock."""
        if self._interval == "epoch":
            self._look(trainer)

    def _look(self, trainer: Any) -> None:
        remaining = self.time_remaining()
        if remaining is not None and remaining <= 0:
            trainer.should_stop = True


def _seconds(duration: Any) -> float:
    if isinstance(duration, str):
        parts = duration.split(":")
        if len(parts) != 4 or not all(part.strip().isdigit() for part in parts):
            raise MisconfigurationException(
                f"`Timer(duration={duration!r})` is not a valid duration. Expected a string in the "
                "format DD:HH:MM:SS."
            )
        days, hours, minutes, seconds = map(int, parts)
        return ((days * 24 + hours) * 60 + minutes) * 60.0 + seconds
    if isinstance(duration, dict):
        return timedelta(**duration).total_seconds()
    return float(duration.total_seconds())
