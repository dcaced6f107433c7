"""Whether operators convert their inputs now: the switches of ``torch.autocast``."""

from __future__ import annotations

import threading
from typing import Any

from rushlight.engine.core.dtype import bfloat16, dtype


class State(threading.local):
    """What holds in the present thread.

    Attributes:
        enabled: whether operators convert their inputs.
        dtype: to what the operators of lower precision do.
        cache_enabled: whether a parameter is converted once in an outermost block.
        depth: how many blocks the thread is inside of.
        cache: the converted parameters, by identity.
    """

    def __init__(self) -> None:
        self.enabled = False
        self.dtype: dtype = bfloat16
        self.cache_enabled = True
        self.depth = 0
        self.cache: dict[tuple[int, bool], tuple[Any, Any, Any]] = {}

    def key(self) -> dtype | None:
        """What decides how operators convert: a type, ``None`` outside."""
        return self.dtype if self.enabled else None


state = State()
