"""What the transforms do to the shape of tensors ``(..., C, H, W)``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight._creation import tensor
from rushlight._tensor import Tensor
from rushlight.engine.core import dtype as dtypes
from rushlight.nn import functional
from rushlight.vision.transforms._functional.ready import plain, ready, tensor_of_array

_WHOLE = (dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)
_FLOATS = (dtypes.float32, dtypes.float64)

PAD_MODES = {"edge": "replicate", "reflect": "reflect", "constant": "constant"}


def require_image(img: Any) -> Tensor:
    """``img`` itself, once it is known to have rows and columns."""
    if not isinstance(img, Tensor):
        raise TypeError("Tensor is not a torch image.")
    if img.ndim < 2:
        raise TypeError("Tensor is not a torch image.")
    return img


def get_dimensions(img: Tensor) -> list[int]:
    """Channels, height and width."""
    shape = require_image(img).shape
    return [1 if len(shape) == 2 else shape[-3], shape[-2], shape[-1]]


def hflip(img: Tensor) -> Tensor:
    """Left and right exchanged."""
    array = plain(require_image(img))
    return img.flip(-1) if array is None else tensor_of_array(array[..., ::-1].copy())


def vflip(img: Tensor) -> Tensor:
    """Top and bottom exchanged."""
    array = plain(require_image(img))
    return img.flip(-2) if array is None else tensor_of_array(array[..., ::-1, :].copy())


def crop(img: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """A part of the image, a view of it; what lies outside is zero."""
    _, have_height, have_width = get_dimensions(img)
    right, bottom = left + width, top + height
    if left >= 0 and top >= 0 and right <= have_width and bottom <= have_height:
        return img[..., top:bottom, left:right]
    inside = img[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    sides = [
        max(-left + min(0, right), 0),
        max(-top + min(0, bottom), 0),
        max(right - max(have_width, left), 0),
        max(bottom - max(have_height, top), 0),
    ]
    return pad(inside, sides, 0, "constant")


def into_batch(img: Tensor, wanted: Sequence[dtypes.dtype]) -> tuple[Tensor, bool]:
    """The image as a batch of a type that the kernels know, and whether an axis was added."""
    single = img.ndim < 4
    batch = img.unsqueeze(0) if single else img
    return (batch if batch.dtype in wanted else batch.to(wanted[0])), single


def out_of_batch(batch: Tensor, single: bool, dtype: dtypes.dtype) -> Tensor:
    """What ``into_batch`` did, undone; whole numbers are rounded."""
    img = batch.squeeze(0) if single else batch
    if img.dtype is dtype:
        return img
    return (img.round() if dtype in _WHOLE else img).to(dtype)


def resize(img: Tensor, size: Sequence[int], interpolation: str, antialias: bool | None) -> Tensor:
    """The image in ``(height, width)``."""
    batch, single = into_batch(require_image(img), _FLOATS)
    smooth = interpolation in ("bilinear", "bicubic")
    made = functional.interpolate(
        batch,
        size=list(size),
        mode=interpolation,
        align_corners=False if smooth else None,
        antialias=bool(antialias) and smooth,
    )
    if interpolation == "bicubic" and img.dtype is dtypes.uint8:
        made = made.clamp(0, 255)
    return out_of_batch(made, single, img.dtype)


def _pad_ready(array: np.ndarray, sides: Sequence[int]) -> Tensor:
    left, top, right, bottom = sides
    height, width = array.shape[-2:]
    made = np.zeros((*array.shape[:-2], height + top + bottom, width + left + right), array.dtype)
    made[..., top : top + height, left : left + width] = array
    return tensor_of_array(made)


def _pad_symmetric(img: Tensor, sides: Sequence[int]) -> Tensor:
    """The frame mirrors the image with its edge; only by indices, as no kernel does it."""
    if img.ndim not in (3, 4):
        raise RuntimeError("Symmetric padding of N-D tensors are not supported yet")
    left, top, right, bottom = sides
    height, width = img.shape[-2:]
    rows = np.pad(np.arange(height)[max(-top, 0) : height - max(-bottom, 0)],
                  (max(top, 0), max(bottom, 0)), mode="symmetric")  # fmt: skip
    columns = np.pad(np.arange(width)[max(-left, 0) : width - max(-right, 0)],
                     (max(left, 0), max(right, 0)), mode="symmetric")  # fmt: skip
    return img[..., tensor(rows)[:, None], tensor(columns)[None, :]]


def pad(img: Tensor, sides: Sequence[int], fill: Any, padding_mode: str) -> Tensor:
    """The image in a frame; ``sides`` are left, top, right and bottom, negative ones cut off."""
    value = 0 if fill is None else fill
    if not isinstance(value, (int, float)):
        raise TypeError("Got inappropriate fill arg")
    if padding_mode == "symmetric":
        return _pad_symmetric(require_image(img), sides)
    array = plain(require_image(img))
    if array is not None and padding_mode == "constant" and min(sides) >= 0 and not value:
        return _pad_ready(array, sides)
    left, top, right, bottom = sides
    wanted = (img.dtype,) if padding_mode == "constant" else _FLOATS
    batch, single = into_batch(img, wanted)
    options = {"value": float(value)} if padding_mode == "constant" else {}
    sizes = [left, right, top, bottom]
    framed = functional.pad(batch, sizes, mode=PAD_MODES[padding_mode], **options)
    framed = framed.squeeze(0) if single else framed
    return framed if framed.dtype is img.dtype else framed.to(img.dtype)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Any, inplace: bool) -> Tensor:
    """The image with ``v`` in a part of it."""
    array, values = (None, None) if inplace else (plain(require_image(img)), ready(v))
    if array is not None and values is not None:
        changed = array.copy()
        changed[..., i : i + h, j : j + w] = values
        return tensor_of_array(changed)
    made = require_image(img) if inplace else img.clone()
    made[..., i : i + h, j : j + w] = v
    return made
