"""Transforms of images, under torchvision's names."""

from __future__ import annotations

from rushlight.vision.transforms import functional as functional
from rushlight.vision.transforms.autoaugment import *
from rushlight.vision.transforms.transforms import *
