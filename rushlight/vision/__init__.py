"""What PyTorch users import as ``torchvision``: data sets, and transforms that prepare images."""

from __future__ import annotations

from rushlight.vision import datasets as datasets, transforms as transforms

__all__ = ["datasets", "transforms"]
