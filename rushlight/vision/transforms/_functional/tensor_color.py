"""What the transforms do to the colours of tensors ``(..., C, H, W)``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import rushlight
from rushlight._tensor import Tensor
from rushlight.engine.core import dtype as dtypes
from rushlight.nn import functional
from rushlight.vision.transforms._functional import tensor_shape
from rushlight.vision.transforms._functional.ready import ready, tensor_of_array

_LARGEST = {
    dtypes.uint8: 255,
    dtypes.int8: 127,
    dtypes.int16: 32767,
    dtypes.uint16: 65535,
    dtypes.int32: 2147483647,
    dtypes.int64: 9223372036854775807,
}


def max_value(dtype: dtypes.dtype) -> int:
    """What white is in this type: the largest whole number, or 1."""
    return _LARGEST.get(dtype, 1)


def _require_channels(img: Tensor, with_axis: bool = False) -> int:
    """The channels of the image, one or three."""
    if with_axis and img.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {img.ndim}"
        )
    channels = tensor_shape.get_dimensions(img)[0]
    if channels not in (1, 3):
        raise TypeError(
            f"Input image tensor permitted channel values are [1, 3], but found {channels}"
        )
    return channels


def _require_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def _float_type(img: Tensor) -> dtypes.dtype:
    return img.dtype if img.is_floating_point() else dtypes.float32


def _weighted(*terms: tuple[float, Tensor]) -> Tensor:
    """The sum of images, each times its number.

    Ready images are added here and now, which rounds after each step as PyTorch does: one bit more
    or less decides which whole number is left when a fraction is cut off.
    """
    arrays = [ready(img) for _, img in terms]
    if any(array is None for array in arrays):
        products = [weight * img for weight, img in terms]
        return sum(products[1:], products[0])
    total: Any = None
    for (weight, img), array in zip(terms, arrays, strict=True):
        found = img.dtype if img.is_floating_point() else dtypes.get_default_dtype()
        part = np.asarray(array).astype(found.numpy) * found.numpy.type(weight)
        total = part if total is None else total + part
    return tensor_of_array(total)


def _blend(img: Tensor, other: Tensor, ratio: float) -> Tensor:
    """``ratio`` parts of one image and the rest of the other, within the range of the type."""
    if ready(img) is not None and not other.requires_grad:
        other._array("adjusting colours")  # what comes from a ready image is soon ready, too
    mixed = _weighted((float(ratio), img), (1.0 - float(ratio), other))
    return mixed.clamp(0, max_value(img.dtype)).to(img.dtype)


def rgb_to_grayscale(img: Tensor, num_output_channels: int = 1) -> Tensor:
    """Grey, in one channel or in three equal ones."""
    channels = _require_channels(img, with_axis=True)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if channels == 3:
        red, green, blue = img.unbind(dim=-3)
        grey = _weighted((0.2989, red), (0.587, green), (0.114, blue))
        grey = grey.to(img.dtype).unsqueeze(-3)
    else:
        grey = img.clone()
    return grey.expand(img.shape) if num_output_channels == 3 else grey


def adjust_brightness(img: Tensor, factor: float) -> Tensor:
    """Brighter than 1, or darker."""
    _require_factor("brightness_factor", factor)
    _require_channels(img)
    return _blend(img, rushlight.zeros_like(img), factor)


def adjust_contrast(img: Tensor, factor: float) -> Tensor:
    """More contrast than 1, or less."""
    _require_factor("contrast_factor", factor)
    channels = _require_channels(img)
    grey = rgb_to_grayscale(img) if channels == 3 else img
    mean = grey.to(_float_type(img)).mean(dim=(-3, -2, -1), keepdim=True)
    return _blend(img, mean, factor)


def adjust_saturation(img: Tensor, factor: float) -> Tensor:
    """More colour than 1, or less."""
    _require_factor("saturation_factor", factor)
    if _require_channels(img) == 1:
        return img
    return _blend(img, rgb_to_grayscale(img), factor)


def _to_hsv(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Hue, saturation and value of red, green and blue from 0 to 1."""
    red, green, blue = img.unbind(dim=-3)
    value, least = img.max(dim=-3).values, img.min(dim=-3).values
    flat, spread = value == least, value - least
    ones = rushlight.ones_like(value)
    # A grey pixel has no hue: dividing by one keeps it at zero, and NaN out of the gradient.
    saturation = spread / rushlight.where(flat, ones, value)
    divisor = rushlight.where(flat, ones, spread)
    far_red, far_green, far_blue = [(value - x) / divisor for x in (red, green, blue)]
    is_red, is_green = value == red, value == green
    hue = (
        is_red * (far_blue - far_green)
        + (is_green & ~is_red) * (2.0 + far_red - far_blue)
        + (~is_green & ~is_red) * (4.0 + far_green - far_red)
    )
    return rushlight.fmod(hue / 6.0 + 1.0, 1.0), saturation, value


def _from_hsv(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    """Red, green and blue of hue, saturation and value."""
    sector = rushlight.floor(hue * 6.0)
    rest = hue * 6.0 - sector
    number = sector.to(dtypes.int32) % 6
    p = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    q = (value * (1.0 - saturation * rest)).clamp(0.0, 1.0)
    t = (value * (1.0 - saturation * (1.0 - rest))).clamp(0.0, 1.0)
    sectors = [(value, q, p, p, t, value), (t, value, value, q, p, p), (p, p, t, value, value, q)]
    return rushlight.stack([_choose(number, colours) for colours in sectors], dim=-3)


def _choose(number: Tensor, choices: Sequence[Tensor]) -> Tensor:
    """For each pixel the entry of ``choices`` that ``number`` names."""
    chosen = choices[0]
    for index, choice in enumerate(choices[1:], 1):
        chosen = rushlight.where(number == index, choice, chosen)
    return chosen


def adjust_hue(img: Tensor, factor: float, convert: Callable[[Tensor, Any], Tensor]) -> Tensor:
    """The colours moved around their circle by a part of it; ``convert`` changes the type."""
    if not -0.5 <= factor <= 0.5:
        raise ValueError(f"hue_factor ({factor}) is not in [-0.5, 0.5].")
    if _require_channels(img) == 1:
        return img
    hue, saturation, value = _to_hsv(convert(img, dtypes.float32))
    return convert(_from_hsv((hue + factor) % 1.0, saturation, value), img.dtype)


def adjust_gamma(
    img: Tensor, gamma: float, gain: float, convert: Callable[[Tensor, Any], Tensor]
) -> Tensor:
    """Each value v of 0 to 1 as ``gain * v ** gamma``; ``convert`` changes the type."""
    _require_channels(img)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    fractions = img if img.is_floating_point() else convert(img, dtypes.float32)
    return convert((gain * fractions.pow(gamma)).clamp(0, 1), img.dtype)


def invert(img: Tensor) -> Tensor:
    """Light and dark exchanged."""
    _require_channels(img, with_axis=True)
    return max_value(img.dtype) - img


def _require_bytes(img: Tensor) -> None:
    if img.dtype is not dtypes.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")


def posterize(img: Tensor, bits: int) -> Tensor:
    """The highest bits of each value."""
    _require_channels(img, with_axis=True)
    _require_bytes(img)
    return img & (256 - 2 ** (8 - bits))


def solarize(img: Tensor, threshold: float) -> Tensor:
    """Values from the threshold on inverted."""
    _require_channels(img, with_axis=True)
    if threshold > max_value(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return rushlight.where(img >= threshold, invert(img), img)


def _smoothed(img: Tensor) -> Tensor:
    """Each inner pixel as the mean of itself (five parts) and its eight neighbours."""
    dtype = _float_type(img)
    kernel = rushlight.ones(3, 3, dtype=dtype)
    kernel[1, 1] = 5.0
    kernel = (kernel / kernel.sum()).expand(img.shape[-3], 1, 3, 3)
    batch, single = tensor_shape.into_batch(img, (dtype,))
    inner = functional.conv2d(batch, kernel, groups=batch.shape[-3])
    made = img.clone()
    made[..., 1:-1, 1:-1] = tensor_shape.out_of_batch(inner, single, img.dtype)
    return made


def adjust_sharpness(img: Tensor, factor: float) -> Tensor:
    """Sharper than 1, or blurred."""
    _require_factor("sharpness_factor", factor)
    _require_channels(img)
    if min(img.shape[-2:]) <= 2:
        return img
    return _blend(img, _smoothed(img), factor)


def autocontrast(img: Tensor) -> Tensor:
    """The values of each channel spread over the whole range."""
    _require_channels(img, with_axis=True)
    bound, dtype = max_value(img.dtype), _float_type(img)
    least = img.amin(dim=(-2, -1), keepdim=True).to(dtype)
    most = img.amax(dim=(-2, -1), keepdim=True).to(dtype)
    scale = bound / (most - least)
    spread = rushlight.isfinite(scale)
    least = rushlight.where(spread, least, rushlight.zeros_like(least))
    scale = rushlight.where(spread, scale, rushlight.ones_like(scale))
    return ((img - least) * scale).clamp(0, bound).to(img.dtype)


def _equalized(channel: Tensor) -> Tensor:
    counts = rushlight.bincount(channel.reshape(-1), minlength=256)
    occurring = counts[counts != 0]
    step = int(occurring[:-1].sum().item()) // 255
    if step == 0:
        return channel
    table = (counts.cumsum(0) + step // 2).div(step, rounding_mode="floor")
    table = functional.pad(table, [1, 0])[:-1].clamp(0, 255)
    return table[channel.to(dtypes.int64)].to(dtypes.uint8)


def equalize(img: Tensor) -> Tensor:
    """The values of each channel spread so that each is as frequent as the others."""
    if not 3 <= img.ndim <= 4:
        raise TypeError(f"Input image tensor should have 3 or 4 dimensions, but found {img.ndim}")
    _require_bytes(img)
    _require_channels(img)
    images = [img] if img.ndim == 3 else list(img.unbind(0))
    made = [rushlight.stack([_equalized(channel) for channel in one.unbind(0)]) for one in images]
    return made[0] if img.ndim == 3 else rushlight.stack(made)
