"""The older names of mixed precision on a GPU: ``torch.cuda.amp``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight import amp
from rushlight.amp.deprecation import warn_older_name
from rushlight.engine.core.dtype import dtype as dtype_class, float16


class autocast(amp.autocast):
    """``torch.amp.autocast("cuda", ...)`` under its older name, with PyTorch's warning.

    See https://pytorch.org/docs/stable/amp.html.
    """

    def __init__(
        self, enabled: bool = True, dtype: dtype_class = float16, cache_enabled: bool = True
    ) -> None:
        warn_older_name("cuda", "autocast")
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
        warn_older_name("cuda", "GradScaler")
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


def custom_fwd(fwd: Callable[..., Any] | None = None, **options: Any) -> Callable[..., Any]:
    """``torch.amp.custom_fwd`` for a GPU under its older name, with PyTorch's warning."""
    warn_older_name("cuda", "custom_fwd")
    return amp.custom_fwd(fwd, device_type="cuda", **options)


def custom_bwd(bwd: Callable[..., Any]) -> Callable[..., Any]:
    """``torch.amp.custom_bwd`` for a GPU under its older name, with PyTorch's warning."""
    warn_older_name("cuda", "custom_bwd")
    return amp.custom_bwd(bwd, device_type="cuda")
