"""Print what the model consists of when training begins."""

from __future__ import annotations

from typing import Any

from rushlight.lightning.callbacks.callback import Callback
from rushlight.lightning.utilities.model_summary import ModelSummary as Summary


class ModelSummary(Callback):
    """Prints the model's modules and numbers of parameters.

    Args:
        max_depth: how deep to look; -1 is to the bottom, 0 prints nothing.

    >>> ModelSummary(max_depth=2).state_key
    'ModelSummary'
    """

    def __init__(self, max_depth: int = 1, **summarize_kwargs: Any) -> None:
        self._max_depth = max_depth

    def on_fit_start(self, trainer: Any, pl_module: Any) -> None:
        """Print."""
        if self._max_depth:
            Summary(pl_module, self._max_depth).print()
