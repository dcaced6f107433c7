"""From where ``self.log`` is called."""

from __future__ import annotations

from typing import Any

from rushlight.lightning.logged import Logged
from rushlight.lightning.sources import batch_size_of


class Place:
    """A place in a loop.

    Attributes:
        logged: where values go.
        on_step, on_epoch: what counts where ``self.log`` does not say.
        loader: the number of the loader, where there are several.
        batch: the batch at hand.
        size: how many samples it has, once somebody has asked.
    """

    __slots__ = ("batch", "loader", "logged", "on_epoch", "on_step", "size")

    def __init__(
        self, logged: Logged, on_step: bool, on_epoch: bool, loader: int | None = None
    ) -> None:
        self.logged = logged
        self.on_step = on_step
        self.on_epoch = on_epoch
        self.loader = loader
        self.batch: Any = None
        self.size: int | None = None

    def weight(self) -> int:
        """The weight of a value in the epoch's mean: the samples of the batch."""
        if self.size is None:
            self.size = 1 if self.batch is None else batch_size_of(self.batch)
        return self.size
