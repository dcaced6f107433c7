"""The older names of mixed precision on a GPU: ``torch.cuda.amp``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from rushlight import amp
from rushlight.engine.core.dtype import dtype as dtype_class, float16


def _deprecated(name: str, arguments: str = "args...") -> None:
    warnings.warn(
        f"`torch.cuda.amp.{name}({arguments})` is deprecated. Please use "
        f"`torch.amp.{name}('cuda', {arguments})` instead.",
        FutureWarning,
        stacklevel=3,
    )


class autocast(amp.autocast):
    """``torch.amp.autocast("cuda", ...)`` under its older name, with PyTorch's warning.

    See https://pytorch.org/docs/stable/amp.html.
    """

    def __init__(
        self, enabled: bool = True, dtype: dtype_class = float16, cache_enabled: bool = True
    ) -> None:
        _deprecated("autocast")
        super().__init__("cuda", dtype=dtype, enabled=enabled, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """``torch.amp.GradScaler("cuda", ...)`` under its older name, with PyTorch's warning.

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
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


def custom_fwd(fwd: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """``torch.amp.custom_fwd`` for a GPU under its older name, with PyTorch's warning."""
    _deprecated("custom_fwd")
    return amp.custom_fwd(fwd, device_type="cuda", **options)


def custom_bwd(bwd: Callable[..., Any]) -> Callable[..., Any]:
    """``torch.amp.custom_bwd`` for a GPU under its older name, with PyTorch's warning."""
    _deprecated("custom_bwd")
    return amp.custom_bwd(bwd, device_type="cuda")
