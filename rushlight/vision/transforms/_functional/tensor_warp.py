"""Turning, shearing and blurring tensors ``(..., C, H, W)``."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

import rushlight
from rushlight._tensor import Tensor
from rushlight.engine.core import dtype as dtypes
from rushlight.nn import functional
from rushlight.vision.transforms._functional import tensor_shape

_MODES = ("nearest", "bilinear")


def _float_type(img: Tensor) -> dtypes.dtype:
    return img.dtype if img.is_floating_point() else dtypes.float32


def _check(img: Any, interpolation: str, fill: Any) -> None:
    if fill is not None and not isinstance(fill, (int, float, tuple, list)):
        warnings.warn("Argument fill should be either int, float, tuple or list", stacklevel=4)
    channels = tensor_shape.get_dimensions(img)[0]
    if isinstance(fill, (tuple, list)) and len(fill) > 1 and len(fill) != channels:
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(fill)} != {channels})"
        )
    if interpolation not in _MODES:
        raise ValueError(f"Interpolation mode '{interpolation}' is unsupported with Tensor input")


def _sample(img: Tensor, grid: Tensor, interpolation: str, fill: Any) -> Tensor:
    """The values at the places of ``grid`` (1, H, W, 2); ``fill`` where it leads outside."""
    batch, single = tensor_shape.into_batch(img, (grid.dtype,))
    if batch.shape[0] > 1:
        grid = grid.expand(batch.shape[0], *grid.shape[1:])
    if fill is not None:
        # A channel of ones, sampled too, tells how much of each value comes from the image.
        count, _, height, width = batch.shape
        inside = rushlight.ones(count, 1, height, width, dtype=batch.dtype)
        batch = rushlight.cat((batch, inside), dim=1)
    made = functional.grid_sample(
        batch, grid, mode=interpolation, padding_mode="zeros", align_corners=False
    )
    if fill is not None:
        inside, made = made[:, -1:], made[:, :-1]
        colours = list(fill) if isinstance(fill, (tuple, list)) else [float(fill)]
        outside = rushlight.tensor(colours, dtype=made.dtype).view(1, -1, 1, 1)
        if interpolation == "nearest":
            made = rushlight.where(inside < 0.5, outside, made)
        else:
            made = made * inside + (1.0 - inside) * outside
    return tensor_shape.out_of_batch(made, single, img.dtype)


def _places(width: int, height: int, low_x: float, low_y: float, dtype: dtypes.dtype) -> Tensor:
    """The middles of the pixels as rows ``x, y, 1``: (1, H * W, 3)."""
    made = np.empty((height, width, 3), dtype.numpy)
    made[..., 0] = rushlight.linspace(low_x, low_x + width - 1, width)._array()
    made[..., 1] = rushlight.linspace(low_y, low_y + height - 1, height)._array()[:, None]
    made[..., 2] = 1
    return rushlight.from_numpy(made.reshape(1, height * width, 3))


def _affine_grid(theta: Tensor, size: tuple[int, int], out: tuple[int, int]) -> Tensor:
    """Where each pixel of an image of the size ``out`` comes from; sizes as (width, height)."""
    width, height = out
    base = _places(width, height, -width * 0.5 + 0.5, -height * 0.5 + 0.5, theta.dtype)
    half = rushlight.tensor([0.5 * size[0], 0.5 * size[1]], dtype=theta.dtype)
    return base.bmm(theta.transpose(1, 2) / half).view(1, height, width, 2)


def _expanded(matrix: Sequence[float], width: int, height: int) -> tuple[int, int]:
    """Width and height that hold the whole of a turned image."""
    x, y = np.float32(0.5 * width), np.float32(0.5 * height)
    corners = np.array([[-x, -y, 1.0], [-x, y, 1.0], [x, y, 1.0], [x, -y, 1.0]], np.float32)
    moved = corners @ np.array(matrix, np.float32).reshape(2, 3).T
    half = np.array([x, y])
    # Tiny overhangs come from rounding and must not add a row of pixels.
    step = np.float32(1e-4)
    most = np.ceil(np.trunc((moved.max(0) + half) / step) * step)
    least = np.floor(np.trunc((moved.min(0) + half) / step) * step)
    size = most - least
    return int(size[0]), int(size[1])


def _theta(img: Tensor, matrix: Sequence[float]) -> Tensor:
    return rushlight.tensor(list(matrix), dtype=_float_type(img)).reshape(1, 2, 3)


def affine(img: Tensor, matrix: Sequence[float], interpolation: str, fill: Any) -> Tensor:
    """Each pixel from where the six numbers of ``matrix`` say."""
    _check(img, interpolation, fill)
    size = (img.shape[-1], img.shape[-2])
    grid = _affine_grid(_theta(img, matrix), size, size)
    return _sample(img, grid, interpolation, fill)


def rotate(
    img: Tensor, matrix: Sequence[float], interpolation: str, expand: bool, fill: Any
) -> Tensor:
    """As ``affine``, in a frame that holds the whole turned image if ``expand``."""
    _check(img, interpolation, fill)
    size = (img.shape[-1], img.shape[-2])
    out = _expanded(matrix, *size) if expand else size
    grid = _affine_grid(_theta(img, matrix), size, out)
    return _sample(img, grid, interpolation, fill)


def perspective(img: Tensor, coeffs: Sequence[float], interpolation: str, fill: Any) -> Tensor:
    """Each pixel from where the eight numbers of ``coeffs`` say."""
    _check(img, interpolation, fill)
    width, height = img.shape[-1], img.shape[-2]
    dtype = _float_type(img)
    a, b, c, d, e, f, g, h = coeffs
    above = rushlight.tensor([[[a, b, c], [d, e, f]]], dtype=dtype)
    below = rushlight.tensor([[[g, h, 1.0], [g, h, 1.0]]], dtype=dtype)
    base = _places(width, height, 0.5, 0.5, dtype)
    half = rushlight.tensor([0.5 * width, 0.5 * height], dtype=dtype)
    grid = base.bmm(above.transpose(1, 2) / half) / base.bmm(below.transpose(1, 2)) - 1.0
    return _sample(img, grid.view(1, height, width, 2), interpolation, fill)


def elastic_transform(img: Tensor, displacement: Tensor, interpolation: str, fill: Any) -> Tensor:
    """Each pixel from its own place and the ``displacement`` (1, H, W, 2) of it."""
    height, width = img.shape[-2:]
    rows, columns = [rushlight.linspace((1.0 - n) / n, (n - 1.0) / n, n) for n in (height, width)]
    base = rushlight.stack(
        [columns[None, :].expand(height, width), rows[:, None].expand(height, width)], -1
    )
    return _sample(img, base.unsqueeze(0) + displacement, interpolation, fill)


def _gaussian(size: int, sigma: float, dtype: dtypes.dtype) -> Tensor:
    half = (size - 1) * 0.5
    places = rushlight.linspace(-half, half, steps=size, dtype=dtype)
    weights = rushlight.exp(-0.5 * (places / sigma).pow(2))
    return weights / weights.sum()


def gaussian_blur(img: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """Each pixel as a mean of its neighbours, weighted by a bell; sizes as (across, down)."""
    dtype = _float_type(tensor_shape.require_image(img))
    across, down = [_gaussian(n, s, dtype) for n, s in zip(kernel_size, sigma, strict=True)]
    kernel = down[:, None].mm(across[None, :])
    kernel = kernel.expand(img.shape[-3], 1, *kernel.shape)
    batch, single = tensor_shape.into_batch(img, (dtype,))
    x, y = kernel_size[0] // 2, kernel_size[1] // 2
    framed = functional.pad(batch, [x, x, y, y], mode="reflect")
    blurred = functional.conv2d(framed, kernel, groups=framed.shape[-3])
    return tensor_shape.out_of_batch(blurred, single, img.dtype)


def inverse_affine_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> list[float]:
    """Where the pixels of an image come from that is sheared, turned, scaled and moved.

    The image is moved by ``T C R S H C^-1``: to the center and back (C), sheared (H), scaled (S),
    turned (R) and translated (T). Output pixels are looked up in the input, so the inverse counts.
    """
    turn, shear_x, shear_y = (math.radians(x) for x in (angle, *shear))
    a = math.cos(turn - shear_y) / math.cos(shear_y)
    b = -math.cos(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) - math.sin(turn)
    c = math.sin(turn - shear_y) / math.cos(shear_y)
    d = -math.sin(turn - shear_y) * math.tan(shear_x) / math.cos(shear_y) + math.cos(turn)
    # The determinant of the turned and sheared part is one.
    across, down = [d / scale, -b / scale], [-c / scale, a / scale]
    x, y = (-center[0] - translate[0], -center[1] - translate[1])
    return [
        *across,
        0.0 + (across[0] * x + across[1] * y) + center[0],
        *down,
        0.0 + (down[0] * x + down[1] * y) + center[1],
    ]


def perspective_coeffs(
    startpoints: Sequence[Sequence[float]], endpoints: Sequence[Sequence[float]]
) -> list[float]:
    """The eight numbers that lead from four corners in the output to those in the input."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and "
            f"{len(endpoints)} endpoints."
        )
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints, strict=True):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    matrix, wanted = np.array(rows, np.float64), np.array(startpoints, np.float64).reshape(8)
    solution, *_ = np.linalg.lstsq(matrix, wanted, rcond=None)
    found: list[float] = solution.astype(np.float32).tolist()
    return found
