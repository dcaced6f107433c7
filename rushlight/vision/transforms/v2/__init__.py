"""Transforms of whole samples, under the names of torchvision's second version."""

from __future__ import annotations

from rushlight.vision.transforms.transforms import (
    FiveCrop as FiveCrop,
    InterpolationMode as InterpolationMode,
    Lambda as Lambda,
    LinearTransformation as LinearTransformation,
    TenCrop as TenCrop,
)
from rushlight.vision.transforms.v2 import functional as functional
from rushlight.vision.transforms.v2._transform import Transform as Transform
from rushlight.vision.transforms.v2._transforms import *
