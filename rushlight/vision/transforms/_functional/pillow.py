"""What the transforms do to Pillow images."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

#: Pillow's modes whose pixels are wider than a byte.
WIDE_MODES: dict[str, np.dtype[Any]] = {
    "I": np.dtype(np.int32),
    "F": np.dtype(np.float32),
    "I;16" if sys.byteorder == "little" else "I;16B": np.dtype(np.int16),
}

Fill = float | Sequence[float] | None


def is_image(picture: Any) -> bool:
    """Whether ``picture`` is one of Pillow's images."""
    return isinstance(picture, Image.Image)


def require_image(img: Any) -> Image.Image:
    """``img`` itself, once it is known to be an image."""
    if not isinstance(img, Image.Image):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")
    return img


def get_dimensions(img: Any) -> list[int]:
    """Channels, height and width."""
    if not isinstance(img, Image.Image):
        raise TypeError(f"Unexpected type {type(img)}")
    width, height = img.size
    return [len(img.getbands()), height, width]


def hflip(img: Any) -> Image.Image:
    """Left and right exchanged."""
    return require_image(img).transpose(Image.Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Image.Image:
    """Top and bottom exchanged."""
    return require_image(img).transpose(Image.Transpose.FLIP_TOP_BOTTOM)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Image.Image:
    """A part of the image; what lies outside is black."""
    return require_image(img).crop((left, top, left + width, top + height))


def resize(img: Any, size: Sequence[int], interpolation: int) -> Image.Image:
    """The image in ``(height, width)``."""
    height, width = size
    return require_image(img).resize((width, height), interpolation)


# colours -----------------------------------------------------------------------------------------


def adjust_brightness(img: Any, factor: float) -> Image.Image:
    """Brighter than 1, or darker."""
    return ImageEnhance.Brightness(require_image(img)).enhance(factor)


def adjust_contrast(img: Any, factor: float) -> Image.Image:
    """More contrast than 1, or less."""
    return ImageEnhance.Contrast(require_image(img)).enhance(factor)


def adjust_saturation(img: Any, factor: float) -> Image.Image:
    """More colour than 1, or less."""
    return ImageEnhance.Color(require_image(img)).enhance(factor)


def adjust_sharpness(img: Any, factor: float) -> Image.Image:
    """Sharper than 1, or blurred."""
    return ImageEnhance.Sharpness(require_image(img)).enhance(factor)


def adjust_hue(img: Any, factor: float) -> Image.Image:
    """The colours moved around their circle by a part of it."""
    if not -0.5 <= factor <= 0.5:
        raise ValueError(f"hue_factor ({factor}) is not in [-0.5, 0.5].")
    mode = require_image(img).mode
    if mode in ("L", "1", "I", "F"):
        return img
    hue, saturation, value = img.convert("HSV").split()
    turned = np.array(hue, dtype=np.uint8) + np.int32(factor * 255).astype(np.uint8)
    hue = Image.fromarray(turned)
    return Image.merge("HSV", (hue, saturation, value)).convert(mode)


def adjust_gamma(img: Any, gamma: float, gain: float = 1.0) -> Image.Image:
    """Each value v of 0 to 1 as ``gain * v ** gamma``."""
    mode = require_image(img).mode
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    table = [int((255 + 1 - 1e-3) * gain * pow(value / 255.0, gamma)) for value in range(256)]
    return img.convert("RGB").point(table * 3).convert(mode)


def to_grayscale(img: Any, num_output_channels: int) -> Image.Image:
    """Grey, in one channel or in three equal ones."""
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    grey = require_image(img).convert("L")
    return grey if num_output_channels == 1 else Image.merge("RGB", (grey, grey, grey))


def invert(img: Any) -> Image.Image:
    """Light and dark exchanged."""
    return ImageOps.invert(require_image(img))


def posterize(img: Any, bits: int) -> Image.Image:
    """The highest bits of each value."""
    return ImageOps.posterize(require_image(img), bits)


def solarize(img: Any, threshold: float) -> Image.Image:
    """Values from the threshold on inverted."""
    return ImageOps.solarize(require_image(img), threshold)  # type: ignore[arg-type]


def autocontrast(img: Any) -> Image.Image:
    """The values spread over the whole range."""
    return ImageOps.autocontrast(require_image(img))


def equalize(img: Any) -> Image.Image:
    """The values spread so that each is as frequent as the others."""
    return ImageOps.equalize(require_image(img))


# frames and warps --------------------------------------------------------------------------------


def fill_for(fill: Fill, img: Image.Image) -> Any:
    """The colour that Pillow wants for ``fill`` in an image of this mode."""
    channels = len(img.getbands())
    found: Any = 0 if fill is None else fill
    if isinstance(found, (int, float)) and channels > 1:
        found = (found,) * channels
    if isinstance(found, (list, tuple)):
        if len(found) == 1:
            found = tuple(found) * channels
        elif len(found) != channels:
            raise ValueError(
                "The number of elements in 'fill' does not match the number of channels of the "
                f"image ({len(found)} != {channels})"
            )
    if img.mode == "F":
        return tuple(found) if isinstance(found, (list, tuple)) else found
    return tuple(int(x) for x in found) if isinstance(found, (list, tuple)) else int(found)


def pad(img: Any, sides: Sequence[int], fill: Fill, padding_mode: str) -> Image.Image:
    """The image in a frame; ``sides`` are left, top, right and bottom, negative ones cut off."""
    palette = require_image(img).getpalette() if img.mode == "P" else None
    if padding_mode == "constant":
        framed = ImageOps.expand(img, border=tuple(sides), fill=fill_for(fill, img))
    else:
        cut, add = [max(-side, 0) for side in sides], [max(side, 0) for side in sides]
        if any(cut):
            img = img.crop((cut[0], cut[1], img.width - cut[2], img.height - cut[3]))
        pixels = np.asarray(img)
        widths = [(add[1], add[3]), (add[0], add[2]), (0, 0)][: pixels.ndim]
        framed = Image.fromarray(np.pad(pixels, widths, mode=padding_mode))  # type: ignore[call-overload]
    if palette is not None:
        framed.putpalette(palette)
    return framed


def affine(img: Any, matrix: Sequence[float], interpolation: int, fill: Fill) -> Image.Image:
    """Each pixel from where the six numbers of ``matrix`` say."""
    colour = fill_for(fill, require_image(img))
    kind = Image.Transform.AFFINE
    return img.transform(img.size, kind, matrix, interpolation, fillcolor=colour)


def perspective(img: Any, coeffs: Sequence[float], interpolation: int, fill: Fill) -> Image.Image:
    """Each pixel from where the eight numbers of ``coeffs`` say."""
    colour = fill_for(fill, require_image(img))
    kind = Image.Transform.PERSPECTIVE
    return img.transform(img.size, kind, coeffs, interpolation, fillcolor=colour)


def rotate(
    img: Any, angle: float, interpolation: int, expand: bool, center: Any, fill: Fill
) -> Image.Image:
    """The image turned against the clock by an angle in degrees."""
    colour = fill_for(fill, require_image(img))
    return img.rotate(angle, interpolation, expand, center, fillcolor=colour)
