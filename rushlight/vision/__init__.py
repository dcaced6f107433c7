"""What PyTorch users import as ``torchvision``: data sets, transforms, models, operations."""

from __future__ import annotations

from importlib import import_module as _import_module
from typing import TYPE_CHECKING

from rushlight.vision import datasets as datasets, transforms as transforms

if TYPE_CHECKING:
    from rushlight.vision import io as io, models as models, ops as ops, utils as utils

#: Parts that are imported when they are first used.
_LAZY = ("io", "models", "ops", "utils")

__all__ = ["datasets", "io", "models", "ops", "transforms", "utils"]


def __getattr__(name: str) -> object:
    if name in _LAZY:
        return _import_module(f"rushlight.vision.{name}")
    raise AttributeError(f"module 'rushlight.vision' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_LAZY})
