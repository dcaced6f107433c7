"""Data sets of images."""

from __future__ import annotations

from rushlight.vision.datasets.digits import Digits
from rushlight.vision.datasets.vision import StandardTransform, VisionDataset

__all__ = ["Digits", "StandardTransform", "VisionDataset"]
