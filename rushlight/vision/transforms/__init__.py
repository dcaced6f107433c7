"""Transforms of images, under torchvision's names."""

from __future__ import annotations

from rushlight.vision.transforms import functional as functional
from rushlight.vision.transforms.functional import InterpolationMode
from rushlight.vision.transforms.transforms import Compose, Normalize, Resize, ToTensor

__all__ = ["Compose", "InterpolationMode", "Normalize", "Resize", "ToTensor", "functional"]
