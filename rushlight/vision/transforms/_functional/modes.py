"""How a changed image finds the values between its pixels."""

from __future__ import annotations

from enum import Enum
from typing import Any


class InterpolationMode(Enum):
    """How a resized or turned image finds the values between its pixels."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


#: The number Pillow gives to each mode; where two share one, the first is what the number means.
PILLOW_NUMBERS = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}


def interpolation_mode(interpolation: Any) -> InterpolationMode:
    """The mode itself, or the mode that one of Pillow's numbers stands for.

    >>> from rushlight.vision.transforms.functional import interpolation_mode
    >>> interpolation_mode(3)
    <InterpolationMode.BICUBIC: 'bicubic'>
    """
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    for mode, number in PILLOW_NUMBERS.items():
        if number == interpolation:
            return mode
    raise TypeError(
        "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer "
        f"constant; got {interpolation!r}"
    )
