"""The older names of mixed precision on processors: ``torch.cpu.amp``."""

from __future__ import annotations

import warnings

from rushlight import amp
from rushlight.engine.core.dtype import bfloat16, dtype as dtype_class


def _deprecated(name: str, arguments: str = "args...") -> None:
    warnings.warn(
        f"`torch.cpu.amp.{name}({arguments})` is deprecated. Please use "
        f"`torch.amp.{name}('cpu', {arguments})` instead.",
        FutureWarning,
        stacklevel=3,
    )


class autocast(amp.autocast):
    """``torch.amp.autocast("cpu", ...)`` under its older name, with PyTorch's warning.

    See https://pytorch.org/docs/stable/amp.html.
    """

    def __init__(
        self, enabled: bool = True, dtype: dtype_class = bfloat16, cache_enabled: bool = True
    ) -> None:
        _deprecated("autocast")
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
        _deprecated("GradScaler")
        super().__init__("cpu", init_scale, growth_factor, backoff_factor, growth_interval, enabled)
