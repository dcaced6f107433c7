"""Colours of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from rushlight._creation import tensor
from rushlight._tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._functional import draws

_Range = float | Sequence[float]
_Pair = tuple[float, ...] | None


def _range(
    value: Any,
    name: str,
    center: float = 1,
    bound: tuple[float, float] = (0, float("inf")),
    clip: bool = True,
) -> _Pair:
    """The least and the greatest factor; ``None`` where there is nothing to change."""
    if isinstance(value, (int, float)):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        pair = [center - float(value), center + float(value)]
        if clip:
            pair[0] = max(pair[0], 0.0)
    elif isinstance(value, (tuple, list)) and len(value) == 2:
        pair = [float(value[0]), float(value[1])]
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not bound[0] <= pair[0] <= pair[1] <= bound[1]:
        raise ValueError(f"{name} values should be between {bound}, but got {pair}.")
    return None if pair[0] == pair[1] == center else tuple(pair)


class ColorJitter(Module):
    """Brightness, contrast, saturation and hue changed by random factors, in random order.

    Args:
        brightness: the factor is between ``1 - brightness`` and ``1 + brightness``, or in the
            range given; not below 0.
        contrast: likewise.
        saturation: likewise.
        hue: the part of the colours' circle by which they move is between ``-hue`` and ``hue``, or
            in the range given; from -0.5 to 0.5.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ColorJitter.html

    >>> from rushlight.vision import transforms
    >>> transforms.ColorJitter(brightness=0.5, hue=0.1)
    ColorJitter(brightness=(0.5, 1.5), contrast=None, saturation=None, hue=(-0.1, 0.1))
    """

    def __init__(
        self,
        brightness: _Range = 0,
        contrast: _Range = 0,
        saturation: _Range = 0,
        hue: _Range = 0,
    ) -> None:
        super().__init__()
        self.brightness = _range(brightness, "brightness")
        self.contrast = _range(contrast, "contrast")
        self.saturation = _range(saturation, "saturation")
        self.hue = _range(hue, "hue", center=0, bound=(-0.5, 0.5), clip=False)

    @staticmethod
    def get_params(
        brightness: Sequence[float] | None,
        contrast: Sequence[float] | None,
        saturation: Sequence[float] | None,
        hue: Sequence[float] | None,
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """The order of the four changes, and a factor for each."""
        order, factors = _draw((brightness, contrast, saturation, hue))
        return tensor(order), *factors  # type: ignore[return-value]

    def forward(self, img: Any) -> Any:
        """``img``, changed."""
        changes = (F.adjust_brightness, F.adjust_contrast, F.adjust_saturation, F.adjust_hue)
        order, factors = _draw((self.brightness, self.contrast, self.saturation, self.hue))
        for index in order:
            factor = factors[index]
            if factor is not None:
                img = changes[index](img, factor)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


def _draw(ranges: Sequence[Sequence[float] | None]) -> tuple[list[int], list[float | None]]:
    """An order of the ranges, and a number from each."""
    order = draws.permutation(len(ranges))
    return order, [None if pair is None else draws.uniform(*pair) for pair in ranges]


class Grayscale(Module):
    """Images in grey.

    Args:
        num_output_channels: 1, or 3 for three equal channels.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Grayscale.html

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.Grayscale()(Image.new("RGB", (2, 2))).mode
    'L'
    """

    def __init__(self, num_output_channels: int = 1) -> None:
        super().__init__()
        self.num_output_channels = num_output_channels

    def forward(self, img: Any) -> Any:
        """``img`` in grey."""
        return F.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"
