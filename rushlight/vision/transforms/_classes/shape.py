"""Sizes, parts and frames of images."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np

from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._functional import draws
from rushlight.vision.transforms._functional.modes import InterpolationMode, interpolation_mode
from rushlight.vision.transforms._functional.shape import two_sizes

#: How often a random part is drawn anew that does not fit into the image.
TRIES = 10


class Resize(Module):
    """Images in another size.

    Args:
        size: ``(height, width)``, or an int for the shorter edge; the other edge keeps its ratio.
        interpolation: how values between pixels are found; tensors know the first four modes.
        max_size: the most the longer edge may have where ``size`` gives the shorter one.
        antialias: whether a tensor is smoothed when it shrinks; Pillow always does that.

    Raises:
        TypeError: ``size`` is neither an int nor a sequence.
        ValueError: ``size`` is a sequence of neither one nor two numbers.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Resize.html

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.Resize((32, 32))(Image.new("L", (8, 8))).size
    (32, 32)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, Sequence)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size = size
        self.max_size = max_size
        self.interpolation = interpolation_mode(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        """``img``, resized."""
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(Module):
    """The middle of images, in a black frame where they are smaller.

    Args:
        size: ``(height, width)``, or one number for both.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.CenterCrop.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.CenterCrop(1)(torch.arange(9).view(1, 3, 3))
    tensor([[[4]]])
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = two_sizes(size)

    def forward(self, img: Any) -> Any:
        """The middle of ``img``."""
        return F.center_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class Pad(Module):
    """Images in a frame.

    Args:
        padding: the width of the frame: one number, two (left and right, top and bottom) or four
            (left, top, right, bottom).
        fill: the colour of the frame, or one number for each channel of a Pillow image.
        padding_mode: ``constant``, ``edge``, ``reflect`` or ``symmetric``, see ``functional.pad``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Pad.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.Pad((1, 0), padding_mode="edge")(torch.tensor([[[1, 2]]]))
    tensor([[[1, 1, 2, 2]]])
    """

    def __init__(
        self, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant"
    ) -> None:
        super().__init__()
        if not isinstance(padding, (int, float, tuple, list)):
            raise TypeError("Got inappropriate padding arg")
        if not isinstance(fill, (int, float, tuple, list)):
            raise TypeError("Got inappropriate fill arg")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        if isinstance(padding, Sequence) and len(padding) not in (1, 2, 4):
            raise ValueError(
                f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} "
                "element tuple"
            )
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode

    def forward(self, img: Any) -> Any:
        """``img`` in its frame."""
        return F.pad(img, self.padding, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, "
            f"padding_mode={self.padding_mode})"
        )


class RandomCrop(Module):
    """A part of the image at a random place.

    Args:
        size: ``(height, width)``, or one number for both.
        padding: the frame that the image gets before, as in ``Pad``.
        pad_if_needed: whether an image that is too small gets a frame.
        fill: the colour of the frame.
        padding_mode: its kind, as in ``Pad``.

    Raises:
        ValueError: an image is smaller than the part.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomCrop.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.RandomCrop(32, padding=4)(torch.ones(3, 32, 32)).shape
    torch.Size([3, 32, 32])
    """

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: Any = 0,
        padding_mode: str = "constant",
    ) -> None:
        super().__init__()
        self.size = tuple(two_sizes(size))
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode

    @staticmethod
    def get_params(img: Any, output_size: Sequence[int]) -> tuple[int, int, int, int]:
        """A random top and left, and the height and width, of a part of ``img``."""
        _, height, width = F.get_dimensions(img)
        wanted_height, wanted_width = output_size
        if height < wanted_height or width < wanted_width:
            raise ValueError(
                f"Required crop size {(wanted_height, wanted_width)} is larger than input image "
                f"size {(height, width)}"
            )
        if (width, height) == (wanted_width, wanted_height):
            return 0, 0, height, width
        top = draws.integer(0, height - wanted_height + 1)
        left = draws.integer(0, width - wanted_width + 1)
        return top, left, wanted_height, wanted_width

    def forward(self, img: Any) -> Any:
        """A part of ``img``."""
        if self.padding is not None:
            img = F.pad(img, self.padding, self.fill, self.padding_mode)
        if self.pad_if_needed:
            _, height, width = F.get_dimensions(img)
            if width < self.size[1]:
                img = F.pad(img, [self.size[1] - width, 0], self.fill, self.padding_mode)
            if height < self.size[0]:
                img = F.pad(img, [0, self.size[0] - height], self.fill, self.padding_mode)
        return F.crop(img, *self.get_params(img, self.size))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


@lru_cache(maxsize=64)
def _logarithms(ratio: tuple[float, ...]) -> tuple[float, ...]:
    return tuple(np.log(np.array(ratio, np.float32)).tolist())


def random_part(area: int, scale: Sequence[float], ratio: Sequence[float]) -> tuple[float, float]:
    """Two random edges that enclose a part of ``area`` in a random ratio to each other.

    The ratio is spread evenly on a logarithmic scale, so that 1/2 is as likely as 2.

    Args:
        area: of the image, in pixels.
        scale: the least and the greatest part of it.
        ratio: the least and the greatest ratio of the first edge to the second.
    """
    low, high = _logarithms(tuple(ratio))
    part = area * draws.uniform(scale[0], scale[1])
    # In single precision, like the tensors whose numbers these are.
    proportion = float(np.float32(math.exp(draws.uniform(low, high))))
    return math.sqrt(part * proportion), math.sqrt(part / proportion)


def check_scale_and_ratio(scale: Any, ratio: Any) -> None:
    """Both are pairs, the lesser first."""
    if not isinstance(scale, Sequence):
        raise TypeError("Scale should be a sequence")
    if not isinstance(ratio, Sequence):
        raise TypeError("Ratio should be a sequence")
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=3)


class RandomResizedCrop(Module):
    """A part of the image of random place, size and shape, in a fixed size.

    Args:
        size: ``(height, width)``, or one number for both.
        scale: the least and the greatest part of the image's area.
        ratio: the least and the greatest ratio of width to height.
        interpolation: how values between pixels are found.
        antialias: whether a tensor is smoothed when it shrinks; Pillow always does that.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomResizedCrop.html

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.RandomResizedCrop(224)(Image.new("RGB", (300, 200))).size
    (224, 224)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.size = two_sizes(size)
        check_scale_and_ratio(scale, ratio)
        self.interpolation = interpolation_mode(interpolation)
        self.antialias = antialias
        self.scale = scale
        self.ratio = ratio

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float]
    ) -> tuple[int, int, int, int]:
        """Top, left, height and width of a random part of ``img``."""
        _, height, width = F.get_dimensions(img)
        for _ in range(TRIES):
            w, h = map(round, random_part(height * width, scale, ratio))
            if 0 < w <= width and 0 < h <= height:
                return draws.integer(0, height - h + 1), draws.integer(0, width - w + 1), h, w
        w, h = width, height
        if width / height < min(ratio):
            h = round(width / min(ratio))
        elif width / height > max(ratio):
            w = round(height * max(ratio))
        return (height - h) // 2, (width - w) // 2, h, w

    def forward(self, img: Any) -> Any:
        """A part of ``img``, resized."""
        part = self.get_params(img, self.scale, self.ratio)
        return F.resized_crop(img, *part, self.size, self.interpolation, antialias=self.antialias)

    def __repr__(self) -> str:
        scale, ratio = (tuple(round(x, 4) for x in pair) for pair in (self.scale, self.ratio))
        return (
            f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


class FiveCrop(Module):
    """The four corners of the image and its middle.

    Args:
        size: ``(height, width)`` of each part, or one number for both.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.FiveCrop.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> [part.item() for part in transforms.FiveCrop(1)(torch.arange(9).view(1, 3, 3))]
    [0, 2, 6, 8, 4]
    """

    def __init__(self, size: int | Sequence[int]) -> None:
        super().__init__()
        self.size = two_sizes(size)

    def forward(self, img: Any) -> tuple[Any, ...]:
        """Five parts of ``img``."""
        return F.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(Module):
    """The parts of ``FiveCrop``, and those of the image turned over.

    Args:
        size: ``(height, width)`` of each part, or one number for both.
        vertical_flip: whether top and bottom are exchanged, not left and right.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.TenCrop.html

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> len(transforms.TenCrop(3)(Image.new("L", (8, 8))))
    10
    """

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False) -> None:
        super().__init__()
        self.size = two_sizes(size)
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> tuple[Any, ...]:
        """Ten parts of ``img`` and its mirror image."""
        return F.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"
