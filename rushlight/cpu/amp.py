"""The older names of mixed precision on processors: ``torch.cpu.amp``."""

from __future__ import annotations

from rushlight import amp
from rushlight.amp.deprecation import warn_older_name
from rushlight.engine.core.dtype import bfloat16, dtype as dtype_class


class autocast(amp.autocast):
    """``torch.amp.autocast("cpu", ...)`` under its older name, with PyTorch's warning.

    See https://pytorch.org/docs/stable/amp.html.
    """

    def __init__(
        self, enabled: bool = True, dtype: dtype_class = bfloat16, cache_enabled: bool = True
    ) -> None:
        warn_older_name("cpu", "autocast")
        super().__init__("cpu", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """``torch.amp.GradScaler("cpu", ...)`` under its older name, with PyTorch's warning.

    See https://pytorch.org/docs/stable/amp.html.
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        warn_older_name("cpu", "GradScaler")
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
