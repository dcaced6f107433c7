"""Sizes, parts and frames of images."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Sequence
from typing import Any

from rushlight._tensor import Tensor
from rushlight.vision.transforms._functional import pillow, tensor_shape
from rushlight.vision.transforms._functional.conversion import get_dimensions
from rushlight.vision.transforms._functional.modes import (
    PILLOW_NUMBERS,
    InterpolationMode,
    interpolation_mode,
)


def _resized(height: int, width: int, size: Sequence[int], max_size: int | None) -> tuple[int, int]:
    """Height and width that ``size`` asks for: both, or the shorter edge alone."""
    if len(size) == 2:
        return size[0], size[1]
    short, long = sorted((height, width))
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= new_short:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested "
                f"size for the smaller edge size = {list(size)}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return (new_long, new_short) if width <= height else (new_short, new_long)


def resize(
    img: Any,
    size: int | Sequence[int],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image in another size.

    Args:
        img: a Pillow image or a tensor ``(..., H, W)``.
        size: ``(height, width)``, or an int for the shorter edge; the other edge keeps its ratio.
        interpolation: how values between pixels are found; tensors know the first four modes.
        max_size: the most the longer edge may have where ``size`` gives the shorter one.
        antialias: whether a tensor is smoothed when it shrinks; Pillow always does that.

    Returns:
        A new image, or ``img`` itself where the size is right already.

    Raises:
        TypeError: ``img`` is no image, or ``interpolation`` no mode.
        ValueError: ``size`` has neither one nor two numbers, or contradicts ``max_size``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.resize.html

    >>> from PIL import Image
    >>> from rushlight.vision.transforms import functional
    >>> functional.resize(Image.new("L", (8, 6)), 12).size
    (16, 12)
    """
    mode = interpolation_mode(interpolation)
    sizes = (size,) if isinstance(size, int) else tuple(size)
    if len(sizes) not in (1, 2):
        raise ValueError(
            f"Size must be an int or a 1 or 2 element tuple/list, not a {len(sizes)} element "
            "tuple/list"
        )
    if max_size is not None and len(sizes) != 1:
        raise ValueError(
            "max_size should only be passed if size specifies the length of the smaller edge, "
            "i.e. size should be an int or a sequence of length 1 in torchscript mode."
        )
    is_tensor = isinstance(img, Tensor)
    _, height, width = get_dimensions(img if is_tensor else pillow.require_image(img))
    wanted = _resized(height, width, sizes, max_size)
    if wanted == (height, width):
        return img
    if is_tensor:
        return tensor_shape.resize(img, wanted, mode.value, antialias)
    if antialias is False:
        warnings.warn(
            "Anti-alias option is always applied for PIL Image input. "
            "Argument antialias is ignored.",
            stacklevel=2,
        )
    return pillow.resize(img, wanted, PILLOW_NUMBERS[mode])


def hflip(img: Any) -> Any:
    """The image with left and right exchanged.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.hflip(torch.tensor([[[1, 2]]]))
    tensor([[[2, 1]]])
    """
    return tensor_shape.hflip(img) if isinstance(img, Tensor) else pillow.hflip(img)


def vflip(img: Any) -> Any:
    """The image with top and bottom exchanged.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.vflip(torch.tensor([[[1], [2]]])).tolist()
    [[[2], [1]]]
    """
    return tensor_shape.vflip(img) if isinstance(img, Tensor) else pillow.vflip(img)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """A part of the image; what lies outside of it is black.

    Args:
        img: a Pillow image or a tensor ``(..., H, W)``, of which the result is a view.
        top, left: where the part begins.
        height, width: its size.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.crop(torch.tensor([[[1, 2], [3, 4]]]), 1, 0, 1, 3)
    tensor([[[3, 4, 0]]])
    """
    found = tensor_shape if isinstance(img, Tensor) else pillow
    return found.crop(img, top, left, height, width)


def two_sizes(
    size: Any, message: str = "Please provide only two dimensions (h, w) for size."
) -> Any:
    """Height and width from one number for both, a sequence of one, or a sequence of two."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    return size


def center_crop(img: Any, output_size: int | Sequence[int]) -> Any:
    """The middle of the image, in a black frame where the image is smaller.

    Args:
        img: a Pillow image or a tensor ``(..., H, W)``.
        output_size: ``(height, width)``, or one number for both.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.center_crop(torch.arange(9).view(1, 3, 3), 1)
    tensor([[[4]]])
    """
    wanted_height, wanted_width = two_sizes(output_size)
    _, height, width = get_dimensions(img)
    if wanted_width > width or wanted_height > height:
        across, down = max(wanted_width - width, 0), max(wanted_height - height, 0)
        img = pad(img, [across // 2, down // 2, (across + 1) // 2, (down + 1) // 2])
        height, width = height + down, width + across
        if (wanted_height, wanted_width) == (height, width):
            return img
    top = round((height - wanted_height) / 2.0)
    left = round((width - wanted_width) / 2.0)
    return crop(img, top, left, wanted_height, wanted_width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A part of the image in another size: ``crop``, then ``resize``."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: int | Sequence[int]) -> tuple[Any, Any, Any, Any, Any]:
    """The four corners of the image and its middle.

    Args:
        img: a Pillow image or a tensor ``(..., H, W)``.
        size: ``(height, width)`` of each part, or one number for both.

    Returns:
        Top left, top right, bottom left, bottom right, middle.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> [part.item() for part in functional.five_crop(torch.arange(9).view(1, 3, 3), 1)]
    [0, 2, 6, 8, 4]
    """
    h, w = wanted = two_sizes(size)
    _, height, width = get_dimensions(img)
    if w > width or h > height:
        raise ValueError(
            f"Requested crop size {wanted} is bigger than input size {(height, width)}"
        )
    corners = [(0, 0), (0, width - w), (height - h, 0), (height - h, width - w)]
    one, two, three, four = (crop(img, top, left, h, w) for top, left in corners)
    return one, two, three, four, center_crop(img, (h, w))


def ten_crop(img: Any, size: int | Sequence[int], vertical_flip: bool = False) -> tuple[Any, ...]:
    """The five parts of ``five_crop``, and those of the image turned over."""
    turned = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(turned, size)


def _sides(padding: Any) -> list[int]:
    """Left, top, right and bottom of a frame from one, two or four numbers."""
    if isinstance(padding, numbers.Number):
        return [int(padding)] * 4  # type: ignore[call-overload]
    if not isinstance(padding, (tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if len(padding) not in (1, 2, 4):
        raise ValueError(
            f"Padding must be an int or a 1, 2, or 4 element tuple, not a {len(padding)} element "
            "tuple"
        )
    return list(padding) * (4 // len(padding))


def pad(
    img: Any, padding: int | Sequence[int], fill: Any = 0, padding_mode: str = "constant"
) -> Any:
    """The image in a frame.

    Args:
        img: a Pillow image or a tensor ``(..., H, W)``.
        padding: the width of the frame: one number, two (left and right, top and bottom) or four
            (left, top, right, bottom).
        fill: the colour of the frame, or one number for each channel of a Pillow image.
        padding_mode: ``constant`` for a frame of ``fill``; ``edge`` repeats the outermost pixels,
            ``reflect`` mirrors the image without them, ``symmetric`` with them.

    Raises:
        TypeError: an argument of a type that does not fit.
        ValueError: another number of sides, or another mode.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.pad.html

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.pad(torch.tensor([[[1, 2, 3]]]), (1, 0), padding_mode="reflect")
    tensor([[[2, 1, 2, 3, 2]]])
    """
    sides = _sides(padding)
    if fill is not None and not isinstance(fill, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    found = tensor_shape if isinstance(img, Tensor) else pillow
    return found.pad(img, sides, fill, padding_mode)


def erase(img: Any, i: int, j: int, h: int, w: int, v: Any, inplace: bool = False) -> Tensor:
    """The image with ``v`` in place of a part of it.

    Args:
        img: a tensor ``(..., H, W)``.
        i, j: where the part begins, from the top and from the left.
        h, w: its height and width.
        v: a tensor of the shape of the part, or one that broadcasts to it.
        inplace: whether ``img`` itself is written to.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.erase(torch.ones(1, 1, 3), 0, 1, 1, 1, torch.zeros(1))
    tensor([[[1., 0., 1.]]])
    """
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    return tensor_shape.erase(img, i, j, h, w, v, inplace)
