"""Pictures to tensors and back, and the scale of their values."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from PIL import Image

from rushlight._creation import as_tensor, from_numpy
from rushlight._tensor import Tensor
from rushlight.engine.core import dtype as dtypes
from rushlight.vision.transforms._functional import pillow, tensor_shape
from rushlight.vision.transforms._functional.ready import plain, tensor_of_array
from rushlight.vision.transforms._functional.tensor_color import max_value

_BYTE = np.dtype(np.uint8)


def get_dimensions(img: Any) -> list[int]:
    """Channels, height and width of a Pillow image or a tensor ``(..., C, H, W)``.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.get_dimensions(torch.ones(3, 4, 5))
    [3, 4, 5]
    """
    found = tensor_shape if isinstance(img, Tensor) else pillow
    return found.get_dimensions(img)


def get_image_size(img: Any) -> list[int]:
    """Width and height of a Pillow image or a tensor ``(..., C, H, W)``."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Any) -> int:
    """The channels of a Pillow image or a tensor ``(..., C, H, W)``."""
    return get_dimensions(img)[0]


def _fractions(pixels: np.ndarray) -> Tensor:
    """Bytes ``(H, W, C)`` as fractions ``(C, H, W)`` of the default type."""
    found = dtypes.get_default_dtype()
    planes = pixels.transpose(2, 0, 1)
    if found is not dtypes.float32:
        return tensor_of_array(np.ascontiguousarray(planes)).to(dtype=found).div(255)
    made = np.empty(planes.shape, np.float32)
    made[...] = planes
    made /= np.float32(255)
    return tensor_of_array(made)


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
    elif isinstance(pic, Image.Image):
        wide = pillow.WIDE_MODES.get(pic.mode)
        pixels = np.asarray(pic, _BYTE) if wide is None else np.array(pic, wide)
        pixels = pixels * np.uint8(255) if pic.mode == "1" else pixels
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if pixels.ndim not in (2, 3):
        raise ValueError(f"pic should be 2/3 dimensional. Got {pixels.ndim} dimensions.")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.dtype == _BYTE:
        return _fractions(pixels)
    return from_numpy(pixels.transpose(2, 0, 1)).contiguous()


def pil_to_tensor(pic: Any) -> Tensor:
    """The picture as a tensor with the channels first, its values as they are.

    Args:
        pic: a Pillow image.

    Returns:
        A tensor of shape ``(C, H, W)`` whose memory keeps the order of the picture.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.pil_to_tensor.html

    >>> from PIL import Image
    >>> from rushlight.vision.transforms import functional
    >>> functional.pil_to_tensor(Image.new("L", (2, 1), 7))
    tensor([[[7, 7]]], dtype=torch.uint8)
    """
    if not pillow.is_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    pixels = np.array(pic)
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    return tensor_of_array(pixels.transpose(2, 0, 1))


_ONE_CHANNEL = {
    np.dtype(np.uint8): "L",
    np.dtype(np.int16): "I;16" if sys.byteorder == "little" else "I;16B",
    np.dtype(np.int32): "I",
    np.dtype(np.float32): "F",
}
_SEVERAL_CHANNELS = {2: ["LA"], 3: ["RGB", "YCbCr", "HSV"], 4: ["RGBA", "CMYK", "RGBX"]}


def _mode_for(pixels: np.ndarray, mode: str | None) -> str:
    """Pillow's mode for an array ``(H, W, C)``; the caller may have named one."""
    channels = pixels.shape[2]
    if channels == 1:
        expected = _ONE_CHANNEL.get(pixels.dtype)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {pixels.dtype}. Should be "
                f"{expected}"
            )
        mode = expected
    else:
        permitted = _SEVERAL_CHANNELS[channels]
        if mode is not None and mode not in permitted:
            raise ValueError(f"Only modes {permitted} are supported for {channels}D inputs")
        if mode is None and pixels.dtype == _BYTE:
            mode = permitted[0]
    if mode is None:
        raise TypeError(f"Input type {pixels.dtype} is not supported")
    return mode


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor or an array as a Pillow image; fractions from 0 to 1 become bytes.

    Args:
        pic: a tensor ``(C, H, W)`` or ``(H, W)``, or an array ``(H, W, C)`` or ``(H, W)``.
        mode: Pillow's name for the meaning of the channels; found from ``pic`` if absent.

    Raises:
        TypeError: ``pic`` is neither of the two, or of a type that no mode holds.
        ValueError: ``pic`` has another shape, or does not fit ``mode``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.to_pil_image.html

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.to_pil_image(torch.ones(3, 2, 4)).getpixel((0, 0))
    (255, 255, 255)
    """
    if isinstance(pic, Tensor):
        pixels = pic.detach()._array("to_pil_image()")
        pixels = pixels.transpose(1, 2, 0) if pixels.ndim == 3 else pixels
    elif isinstance(pic, np.ndarray):
        pixels = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if pixels.ndim == 2:
        pixels = pixels[:, :, None]
    if pixels.ndim != 3:
        raise ValueError(f"pic should be 2/3 dimensional. Got {pixels.ndim} dimensions.")
    if pixels.shape[2] > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {pixels.shape[2]} channels.")
    if np.issubdtype(pixels.dtype, np.floating) and mode != "F":
        with np.errstate(invalid="ignore"):
            pixels = (pixels * 255).astype(np.uint8)
    found = _mode_for(pixels, mode)
    height, width = pixels.shape[:2]
    return Image.frombytes(found, (width, height), pixels.tobytes())


def convert_image_dtype(image: Any, dtype: Any = dtypes.float32) -> Tensor:
    """``image`` in another type, its values scaled to the range of that type.

    Args:
        image: a tensor; whole numbers reach up to the largest of their type, fractions up to 1.
        dtype: the type wanted.

    Raises:
        RuntimeError: the fractions cannot tell so many whole numbers apart.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.convert_image_dtype.html

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.convert_image_dtype(torch.tensor([0.0, 0.5, 1.0]), torch.uint8)
    tensor([  0, 127, 255], dtype=torch.uint8)
    """
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    have = image.dtype
    if have is dtype:
        return image
    if have.is_floating_point:
        if dtype.is_floating_point:
            return image.to(dtype)
        coarse = have is dtypes.float32 and dtype in (dtypes.int32, dtypes.int64)
        if coarse or (have is dtypes.float64 and dtype is dtypes.int64):
            raise RuntimeError(f"The cast from {have} to {dtype} cannot be performed safely.")
        # A little less than one more than the largest: each whole number gets an equal share.
        return image.mul(max_value(dtype) + 1.0 - 1e-3).to(dtype)
    largest = max_value(have)
    if dtype.is_floating_point:
        array = plain(image)
        if array is not None and have is dtypes.uint8 and dtype is dtypes.float32:
            made = array.astype(np.float32)
            made /= np.float32(largest)
            return tensor_of_array(made)
        return image.to(dtype) / float(largest)
    wanted = max_value(dtype)
    if largest > wanted:
        return image.div((largest + 1) // (wanted + 1), rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((wanted + 1) // (largest + 1))


@lru_cache(maxsize=64)
def _moments(
    mean: tuple[float, ...], std: tuple[float, ...], kind: np.dtype[Any]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Means and deviations as arrays ``(C, 1, 1)``; ``None`` for a deviation of zero."""
    center, spread = np.array(mean, kind), np.array(std, kind)
    return (center[:, None, None], spread[:, None, None]) if spread.all() else None


def _is_numbers(values: Any) -> bool:
    return values.__class__ in (tuple, list) and all(x.__class__ in (float, int) for x in values)


def _normalize_ready(
    array: np.ndarray, mean: Sequence[float], std: Sequence[float]
) -> Tensor | None:
    """The result at once; ``None`` where the general way has to look at the arguments."""
    moments = _moments(tuple(mean), tuple(std), array.dtype)
    if moments is None or not {len(mean), len(std)} <= {1, array.shape[-3]}:
        return None
    made = array - moments[0]
    made /= moments[1]
    return tensor_of_array(made)


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
    array = None if inplace else plain(tensor)
    if array is not None and array.dtype.char in "fd" and _is_numbers(mean) and _is_numbers(std):
        made = _normalize_ready(array, mean, std)
        if made is not None:
            return made
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
    # Written over, so that more means than channels are an error and not more channels.
    target = tensor if inplace else tensor.clone()
    return target.sub_(center).div_(spread)
