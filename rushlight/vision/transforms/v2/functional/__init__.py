"""The transforms as functions, with those that the second version adds."""

from __future__ import annotations

from rushlight.vision.transforms.functional import *
from rushlight.vision.transforms.functional import (
    hflip as horizontal_flip,
    vflip as vertical_flip,
)
from rushlight.vision.transforms.v2._transforms import to_dtype, to_image
