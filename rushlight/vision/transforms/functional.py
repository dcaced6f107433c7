"""The transforms as functions of an image and their settings."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Sequence
from enum import Enum
from typing import Any

import numpy as np

from rushlight._creation import as_tensor, from_numpy
from rushlight._tensor import Tensor
from rushlight.engine.core import dtype as dtypes


class InterpolationMode(Enum):
    """How a resized image finds the values between its pixels."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


#: The number Pillow gives to each mode; where two share one, the first is what the number means.
_PILLOW_NUMBERS = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}

#: Pillow's modes whose pixels are wider than a byte.
_WIDE_MODES: dict[str, np.dtype[Any]] = {
    "I": np.dtype(np.int32),
    "F": np.dtype(np.float32),
    "I;16" if sys.byteorder == "little" else "I;16B": np.dtype(np.int16),
}


def _is_pillow_image(picture: Any) -> bool:
    from PIL import Image

    return isinstance(picture, Image.Image)


def interpolation_mode(interpolation: Any) -> InterpolationMode:
    """The mode itself, or the mode that one of Pillow's numbers stands for.

    >>> from rushlight.vision.transforms.functional import interpolation_mode
    >>> interpolation_mode(3)
    <InterpolationMode.BICUBIC: 'bicubic'>
    """
    if isinstance(interpolation, InterpolationMode):
        return interpolation
    for mode, number in _PILLOW_NUMBERS.items():
        if number == interpolation:
            return mode
    raise TypeError(
        "Argument interpolation should be a InterpolationMode or a corresponding Pillow integer "
        f"constant; got {interpolation!r}"
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
    """The Pillow image ``img`` in another size.

    Args:
        img: a Pillow image.
        size: ``(height, width)``, or an int for the shorter edge; the other edge keeps its ratio.
        interpolation: how values between pixels are found.
        max_size: the most the longer edge may have where ``size`` gives the shorter one.
        antialias: Pillow always smooths when it shrinks, so False only brings a warning.

    Returns:
        A new image, or ``img`` itself where the size is right already.

    Raises:
        TypeError: ``img`` is no Pillow image, or ``interpolation`` no mode.
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
    if not _is_pillow_image(img):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")
    width, height = img.size
    new_height, new_width = _resized(height, width, sizes, max_size)
    if (new_height, new_width) == (height, width):
        return img
    if antialias is False:
        warnings.warn(
            "Anti-alias option is always applied for PIL Image input. "
            "Argument antialias is ignored.",
            stacklevel=2,
        )
    return img.resize((new_width, new_height), _PILLOW_NUMBERS[mode])


def to_tensor(pic: Any) -> Tensor:
    """The picture as a tensor with the channels first; bytes become fractions from 0 to 1.

    Args:
        pic: a Pillow image, or an array of shape ``(H, W)`` or ``(H, W, C)``.

    Returns:
        A tensor of shape ``(C, H, W)``: of the default floating-point type where ``pic`` holds
        bytes, else of the type of ``pic``, its values as they are.

    Raises:
        TypeError: ``pic`` is neither of the two.
        ValueError: the array has another number of dimensions.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.to_tensor.html

    >>> import numpy as np
    >>> from rushlight.vision.transforms import functional
    >>> functional.to_tensor(np.array([[0, 51, 255]], dtype=np.uint8))
    tensor([[[0.0000, 0.2000, 1.0000]]])
    """
    if isinstance(pic, np.ndarray):
        pixels = pic
    elif _is_pillow_image(pic):
        pixels = np.array(pic, dtype=_WIDE_MODES.get(pic.mode, np.dtype(np.uint8)))
        pixels = pixels * np.uint8(255) if pic.mode == "1" else pixels
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if pixels.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pixels.ndim} dimensions.")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    image = from_numpy(pixels.transpose(2, 0, 1)).contiguous()
    if image.dtype is not dtypes.uint8:
        return image
    return image.to(dtype=dtypes.get_default_dtype()).div(255)


def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """``(tensor - mean) / std``, channel by channel.

    Args:
        tensor: images of shape ``(..., C, H, W)`` and a floating-point type.
        mean: C numbers (or one for all channels).
        std: C numbers (or one for all channels).
        inplace: whether ``tensor`` itself is overwritten.

    Returns:
        A tensor of the shape and type of ``tensor``.

    Raises:
        TypeError: ``tensor`` is no tensor, or of a type without fractions.
        ValueError: fewer than three dimensions, or a ``std`` of zero.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.normalize.html

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.normalize(torch.tensor([[[0.0, 0.5, 1.0]]]), (0.5,), (0.5,))
    tensor([[[-1.,  0.,  1.]]])
    """
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    if not tensor.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {tensor.dtype}.")
    if tensor.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). "
            f"Got tensor.size() = {tensor.size()}"
        )
    # Looked at as an array: a tensor would have to be computed before its zeros can be seen.
    if not np.asarray(std).astype(tensor.dtype.numpy).all():
        raise ValueError(
            f"std evaluated to zero after conversion to {tensor.dtype}, "
            "leading to division by zero."
        )
    center = as_tensor(mean, dtype=tensor.dtype, device=tensor.device)
    spread = as_tensor(std, dtype=tensor.dtype, device=tensor.device)
    center = center.view(-1, 1, 1) if center.ndim == 1 else center
    spread = spread.view(-1, 1, 1) if spread.ndim == 1 else spread
    if inplace:
        return tensor.sub_(center).div_(spread)
    return tensor.sub(center).div(spread)
