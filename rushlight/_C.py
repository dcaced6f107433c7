"""The little of PyTorch's compiled core that libraries call and that means something here."""

from __future__ import annotations

from typing import Any

from rushlight._random import Generator as Generator
from rushlight._tensor import Tensor
from rushlight.engine.core.device import device as device
from rushlight.engine.core.dtype import dtype as dtype
from rushlight.engine.core.shape import Size as Size

TensorBase = Tensor

#: No modules lie below it; a program that asks for one is told so as of any other.
__path__: list[str] = []


def _log_api_usage_once(event: Any) -> None:
    """Count the use of a library for PyTorch's authors: nothing is counted here."""


def _get_tracing_state() -> None:
    """The graph that ``torch.jit.trace`` is building: never one."""


def _get_privateuse1_backend_name() -> str:
    """The name under which PyTorch keeps a device for others: not renamed."""
    return "privateuseone"
