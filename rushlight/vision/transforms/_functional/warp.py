"""Images turned, sheared, seen from the side, or blurred."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

from rushlight._tensor import Tensor
from rushlight.vision.transforms._functional import pillow, tensor_warp
from rushlight.vision.transforms._functional.conversion import (
    get_dimensions,
    pil_to_tensor,
    to_pil_image,
)
from rushlight.vision.transforms._functional.modes import (
    PILLOW_NUMBERS,
    InterpolationMode,
    interpolation_mode,
)


def _check_angle_and_center(angle: Any, center: Any) -> None:
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")


def _from_middle(img: Tensor, center: Any) -> list[float]:
    """``center`` counted from the middle of the image, where tensors have their origin."""
    if center is None:
        return [0.0, 0.0]
    _, height, width = get_dimensions(img)
    return [1.0 * (c - s * 0.5) for c, s in zip(center, (width, height), strict=True)]


def rotate(
    img: Any,
    angle: float,
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: Any = None,
) -> Any:
    """The image turned.

    Args:
        img: a Pillow image or a tensor ``(..., C, H, W)``.
        angle: degrees against the clock.
        interpolation: ``NEAREST`` or ``BILINEAR``; Pillow also knows ``BICUBIC``.
        expand: whether the result is large enough to hold the whole turned image.
        center: ``(x, y)`` of the point that stays, from the top left corner; else the middle.
        fill: the colour of what comes from outside the image.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.rotate.html

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.rotate(torch.tensor([[[1.0, 2.0], [3.0, 4.0]]]), 90)
    tensor([[[2., 4.],
             [1., 3.]]])
    """
    mode = interpolation_mode(interpolation)
    _check_angle_and_center(angle, center)
    if not isinstance(img, Tensor):
        return pillow.rotate(img, angle, PILLOW_NUMBERS[mode], expand, center, fill)
    # A tensor is looked up against the turn, in a system whose second axis points down.
    matrix = tensor_warp.inverse_affine_matrix(
        _from_middle(img, center), -angle, [0.0, 0.0], 1.0, [0.0, 0.0]
    )
    return tensor_warp.rotate(img, matrix, mode.value, expand, fill)


def _two_shears(shear: Any) -> list[float]:
    if not isinstance(shear, (numbers.Number, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    found: list[Any] = [shear, 0.0] if isinstance(shear, numbers.Number) else list(shear)
    found = found * 2 if len(found) == 1 else found
    if len(found) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    return found


def affine(
    img: Any,
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Sequence[float] | None = None,
) -> Any:
    """The image turned, moved, scaled and sheared, in its own frame.

    Args:
        img: a Pillow image or a tensor ``(..., C, H, W)``.
        angle: degrees with the clock, from -180 to 180.
        translate: pixels to the right and down.
        scale: the scale of the image; above 0.
        shear: degrees along x, or along x and y.
        interpolation: ``NEAREST`` or ``BILINEAR``; Pillow also knows ``BICUBIC``.
        fill: the colour of what comes from outside the image.
        center: ``(x, y)`` of the point that stays, from the top left corner; else the middle.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.affine.html

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.affine(torch.tensor([[[1.0, 2.0, 3.0]]]), 0, (1, 0), 1.0, 0.0)
    tensor([[[0., 1., 2.]]])
    """
    mode = interpolation_mode(interpolation)
    _check_angle_and_center(angle, center)
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    shears = _two_shears(shear)
    if isinstance(img, Tensor):
        middle = _from_middle(img, center)
        matrix = tensor_warp.inverse_affine_matrix(middle, angle, translate, scale, shears)
        return tensor_warp.affine(img, matrix, mode.value, fill)
    _, height, width = get_dimensions(img)
    middle = [width * 0.5, height * 0.5] if center is None else list(center)
    matrix = tensor_warp.inverse_affine_matrix(middle, angle, translate, scale, shears)
    return pillow.affine(img, matrix, PILLOW_NUMBERS[mode], fill)


def perspective(
    img: Any,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """The image as it looks when its four corners are moved.

    Args:
        img: a Pillow image or a tensor ``(..., C, H, W)``.
        startpoints: ``(x, y)`` of the corners: top left, top right, bottom right, bottom left.
        endpoints: where they come to lie.
        interpolation: ``NEAREST`` or ``BILINEAR``; Pillow also knows ``BICUBIC``.
        fill: the colour of what comes from outside the image.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.perspective.html
    """
    coeffs = tensor_warp.perspective_coeffs(startpoints, endpoints)
    mode = interpolation_mode(interpolation)
    if isinstance(img, Tensor):
        return tensor_warp.perspective(img, coeffs, mode.value, fill)
    return pillow.perspective(img, coeffs, PILLOW_NUMBERS[mode], fill)


def _as_tensor(img: Any) -> Tensor:
    """The tensor on which both kinds of image are changed alike."""
    if isinstance(img, Tensor):
        return img
    if not pillow.is_image(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return pil_to_tensor(img)


def _two_sigmas(kernel_size: Sequence[int], sigma: Any) -> list[float]:
    if sigma is None:
        return [size * 0.15 + 0.35 for size in kernel_size]
    if not isinstance(sigma, (int, float, list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    found = [float(sigma)] * 2 if isinstance(sigma, (int, float)) else list(sigma)
    found = found * 2 if len(found) == 1 else found
    if len(found) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(found)}")
    if min(found) <= 0.0:
        raise ValueError(f"sigma should have positive values. Got {found}")
    return found


def gaussian_blur(
    img: Any, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Any:
    """The image blurred: each pixel as a mean of its neighbours, weighted by a bell.

    Args:
        img: a Pillow image or a tensor ``(..., C, H, W)``.
        kernel_size: how many neighbours count, across and down; odd.
        sigma: the width of the bell, across and down; grows with the kernel if absent.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.functional.gaussian_blur.html

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import functional
    >>> functional.gaussian_blur(torch.ones(1, 3, 3), 3).mean().item() > 0.999
    True
    """
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(
            f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}"
        )
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    blurred = tensor_warp.gaussian_blur(_as_tensor(img), sizes, _two_sigmas(sizes, sigma))
    return blurred if isinstance(img, Tensor) else to_pil_image(blurred, mode=img.mode)


def elastic_transform(
    img: Any,
    displacement: Tensor,
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """The image with each pixel moved a little.

    Args:
        img: a Pillow image or a tensor ``(..., C, H, W)``.
        displacement: ``(1, H, W, 2)``, how far each pixel looks to the right and down; the whole
            image is 2 wide and high.
        interpolation: ``NEAREST`` or ``BILINEAR``.
        fill: the colour of what comes from outside the image.
    """
    mode = interpolation_mode(interpolation)
    if not isinstance(displacement, Tensor):
        raise TypeError("Argument displacement should be a Tensor")
    image = _as_tensor(img)
    wanted = (1, *image.shape[-2:], 2)
    if wanted != tuple(displacement.shape):
        raise ValueError(
            f"Argument displacement shape should be {wanted}, but given {displacement.shape}"
        )
    moved = tensor_warp.elastic_transform(image, displacement, mode.value, fill)
    return moved if isinstance(img, Tensor) else to_pil_image(moved, mode=img.mode)
