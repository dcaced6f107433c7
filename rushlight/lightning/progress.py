"""How far a run has come."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any


@dataclass
class Progress:
    """How far training has come.

    Attributes:
        epoch: the number of the epoch, from 0.
        batch: the batches done in it.
        steps: the steps of optimizers, in all epochs.
        stepped: the batches after which an optimizer stepped; loggers count by it.
        total: the batches done, in all epochs.
        validated: whether the validation that follows the newest batch is done.
        ended: whether the epoch's end has been told.
        middle: whether the run goes on in the middle of an epoch.
    """

    epoch: int = 0
    batch: int = 0
    steps: int = 0
    stepped: int = 0
    total: int = 0
    validated: bool = False
    ended: bool = False
    middle: bool = False

    def state(self) -> dict[str, Any]:
        """As a checkpoint keeps it."""
        return asdict(self)
