"""Colours of images, Pillow's and tensors ``(..., C, H, W)``."""

from __future__ import annotations

from typing import Any

from rushlight._tensor import Tensor
from rushlight.vision.transforms._functional import pillow, tensor_color
from rushlight.vision.transforms._functional.conversion import convert_image_dtype


def _on(img: Any) -> Any:
    return tensor_color if isinstance(img, Tensor) else pillow


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """The image brighter or darker.

    Args:
        img: a Pillow image or a tensor with one or three channels.
        brightness_factor: 0 gives black, 1 the image itself, 2 twice its values.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.adjust_brightness(torch.tensor([[[100, 200]]], dtype=torch.uint8), 1.5)
    tensor([[[150, 255]]], dtype=torch.uint8)
    """
    return _on(img).adjust_brightness(img, brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """The image with more contrast or less.

    Args:
        img: a Pillow image or a tensor with one or three channels.
        contrast_factor: 0 gives the mean grey, 1 the image itself, 2 twice the distances from it.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.adjust_contrast(torch.tensor([[[0.25, 0.75]]]), 0.0)
    tensor([[[0.5000, 0.5000]]])
    """
    return _on(img).adjust_contrast(img, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """The image more colourful or less.

    Args:
        img: a Pillow image or a tensor with one or three channels.
        saturation_factor: 0 gives grey, 1 the image itself, 2 twice the distances from grey.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.adjust_saturation(torch.full((3, 1, 1), 0.5), 2.0).shape
    torch.Size([3, 1, 1])
    """
    return _on(img).adjust_saturation(img, saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The image with its colours moved around their circle.

    Args:
        img: a Pillow image or a tensor with one or three channels.
        hue_factor: the part of the circle, from -0.5 to 0.5; 0 gives the image itself.

    Raises:
        ValueError: the factor is outside.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> red = torch.tensor([1.0, 0.0, 0.0]).view(3, 1, 1)
    >>> functional.adjust_hue(red, 0.5).flatten()
    tensor([0., 1., 1.])
    """
    if isinstance(img, Tensor):
        return tensor_color.adjust_hue(img, hue_factor, convert_image_dtype)
    return pillow.adjust_hue(img, hue_factor)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """Each value v of 0 to 1 as ``gain * v ** gamma``.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.adjust_gamma(torch.tensor([[[0.5]]]), 2.0)
    tensor([[[0.2500]]])
    """
    if isinstance(img, Tensor):
        return tensor_color.adjust_gamma(img, gamma, gain, convert_image_dtype)
    return pillow.adjust_gamma(img, gamma, gain)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """The image sharper or blurred.

    Args:
        img: a Pillow image or a tensor with one or three channels.
        sharpness_factor: 0 gives a blurred image, 1 the image itself, 2 a sharper one.
    """
    return _on(img).adjust_sharpness(img, sharpness_factor)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A Pillow image in grey, of one channel or of three equal ones.

    >>> from PIL import Image
    >>> from rushlight.vision.transforms import functional
    >>> functional.to_grayscale(Image.new("RGB", (1, 1), "red")).getpixel((0, 0))
    76
    """
    if not pillow.is_image(img):
        raise TypeError("Input should be PIL Image")
    return pillow.to_grayscale(img, num_output_channels)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The image in grey, of one channel or of three equal ones.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.rgb_to_grayscale(torch.ones(3, 1, 1)).shape
    torch.Size([1, 1, 1])
    """
    if isinstance(img, Tensor):
        return tensor_color.rgb_to_grayscale(img, num_output_channels)
    return pillow.to_grayscale(img, num_output_channels)


def invert(img: Any) -> Any:
    """The image with light and dark exchanged.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.invert(torch.tensor([[[0.0, 0.25]]]))
    tensor([[[1.0000, 0.7500]]])
    """
    return _on(img).invert(img)


def posterize(img: Any, bits: int) -> Any:
    """The highest ``bits`` bits (0 to 8) of each value of an image of bytes.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.posterize(torch.tensor([[[15, 16, 255]]], dtype=torch.uint8), 4)
    tensor([[[  0,  16, 240]]], dtype=torch.uint8)
    """
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    return _on(img).posterize(img, bits)


def solarize(img: Any, threshold: float) -> Any:
    """The image with the values from ``threshold`` on inverted.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.solarize(torch.tensor([[[100, 200]]], dtype=torch.uint8), 128)
    tensor([[[100,  55]]], dtype=torch.uint8)
    """
    return _on(img).solarize(img, threshold)


def autocontrast(img: Any) -> Any:
    """The image with the values of each channel spread over the whole range.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.autocontrast(torch.tensor([[[100, 200]]], dtype=torch.uint8))
    tensor([[[  0, 255]]], dtype=torch.uint8)
    """
    return _on(img).autocontrast(img)


def equalize(img: Any) -> Any:
    """The image with the values of each channel spread so that all are as frequent."""
    return _on(img).equalize(img)
