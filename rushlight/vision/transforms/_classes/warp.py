"""Images turned, sheared, seen from the side, or blurred, by random amounts."""

from __future__ import annotations

import numbers
from collections.abc import Sequence
from typing import Any

import rushlight
from rushlight._tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._functional import draws
from rushlight.vision.transforms._functional.modes import InterpolationMode, interpolation_mode
from rushlight.vision.transforms._functional.shape import two_sizes

_Angles = float | Sequence[float]


def _check_sequence(value: Any, name: str, lengths: tuple[int, ...]) -> None:
    message = f"{name} should be a sequence of length {' or '.join(map(str, lengths))}."
    if not isinstance(value, Sequence):
        raise TypeError(message)
    if len(value) not in lengths:
        raise ValueError(message)


def _angles(value: Any, name: str, lengths: tuple[int, ...] = (2,)) -> list[float]:
    """The least and the greatest angle, in degrees; a number counts both ways."""
    if isinstance(value, numbers.Real):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be positive.")
        return [-float(value), float(value)]
    _check_sequence(value, name, lengths)
    return [float(x) for x in value]


def check_fill(fill: Any) -> Any:
    """The fill of a transform; black if absent."""
    if fill is not None and not isinstance(fill, (Sequence, numbers.Number)):
        raise TypeError("Fill should be either a sequence or a number.")
    return 0 if fill is None else fill


def fill_of(fill: Any, img: Any) -> Any:
    """The fill for this image: a tensor wants a number for each of its channels."""
    if not isinstance(img, Tensor) or fill is None:
        return fill
    if isinstance(fill, (int, float)):
        return [float(fill)] * F.get_image_num_channels(img)
    return [float(x) for x in fill]


class RandomRotation(Module):
    """Images turned by a random angle.

    Args:
        degrees: the least and the greatest angle, or a number for both directions.
        interpolation: ``NEAREST`` or ``BILINEAR``; Pillow also knows ``BICUBIC``.
        expand: whether the result is large enough to hold the whole turned image.
        center: ``(x, y)`` of the point that stays, from the top left corner; else the middle.
        fill: the colour of what comes from outside the image.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomRotation.html

    >>> from rushlight.vision import transforms
    >>> transforms.RandomRotation(30)
    RandomRotation(degrees=[-30.0, 30.0], interpolation=nearest, expand=False, fill=0)
    """

    def __init__(
        self,
        degrees: _Angles,
        interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.interpolation = interpolation_mode(interpolation)
        self.degrees = _angles(degrees, "degrees")
        if center is not None:
            _check_sequence(center, "center", (2,))
        self.center = center
        self.expand = expand
        self.fill = check_fill(fill)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """A random angle."""
        return draws.uniform(degrees[0], degrees[1])

    def forward(self, img: Any) -> Any:
        """``img``, turned."""
        fill = fill_of(self.fill, img)
        angle = self.get_params(self.degrees)
        return F.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}, "
            f"interpolation={self.interpolation.value}, expand={self.expand}{center}, "
            f"fill={self.fill})"
        )


class RandomAffine(Module):
    """Images turned, moved, scaled and sheared by random amounts.

    Args:
        degrees: the least and the greatest angle, or a number for both directions.
        translate: the greatest moves, as parts of the width and of the height.
        scale: the least and the greatest scale.
        shear: the least and the greatest shear along x in degrees, or a number for both directions;
            with four numbers along y, too.
        interpolation: ``NEAREST`` or ``BILINEAR``; Pillow also knows ``BICUBIC``.
        fill: the colour of what comes from outside the image.
        center: ``(x, y)`` of the point that stays, from the top left corner; else the middle.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomAffine.html

    >>> from rushlight.vision import transforms
    >>> transforms.RandomAffine(10, translate=(0.1, 0.1))
    RandomAffine(degrees=[-10.0, 10.0], translate=(0.1, 0.1))
    """

    def __init__(
        self,
        degrees: _Angles,
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: _Angles | None = None,
        interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
        fill: Any = 0,
        center: Sequence[float] | None = None,
    ) -> None:
        super().__init__()
        self.interpolation = interpolation_mode(interpolation)
        self.degrees = _angles(degrees, "degrees")
        if translate is not None:
            _check_sequence(translate, "translate", (2,))
            if not all(0.0 <= part <= 1.0 for part in translate):
                raise ValueError("translation values should be between 0 and 1")
        self.translate = translate
        if scale is not None:
            _check_sequence(scale, "scale", (2,))
            if min(scale) <= 0:
                raise ValueError("scale values should be positive")
        self.scale = scale
        self.shear = None if shear is None else _angles(shear, "shear", (2, 4))
        self.fill = check_fill(fill)
        if center is not None:
            _check_sequence(center, "center", (2,))
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """A random angle, move, scale and shear for an image of ``(width, height)``."""
        angle = draws.uniform(degrees[0], degrees[1])
        move = (0, 0)
        if translate is not None:
            far_x, far_y = float(translate[0] * img_size[0]), float(translate[1] * img_size[1])
            move = (round(draws.uniform(-far_x, far_x)), round(draws.uniform(-far_y, far_y)))
        scale = 1.0 if scale_ranges is None else draws.uniform(scale_ranges[0], scale_ranges[1])
        shear_x = shear_y = 0.0
        if shears is not None:
            shear_x = draws.uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = draws.uniform(shears[2], shears[3])
        return angle, move, scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        """``img``, changed."""
        fill = fill_of(self.fill, img)
        size = F.get_image_size(img)
        found = self.get_params(self.degrees, self.translate, self.scale, self.shear, size)
        return F.affine(
            img, *found, interpolation=self.interpolation, fill=fill, center=self.center
        )

    def __repr__(self) -> str:
        shown = [f"degrees={self.degrees}"]
        for name in ("translate", "scale", "shear"):
            if getattr(self, name) is not None:
                shown.append(f"{name}={getattr(self, name)}")
        if self.interpolation is not InterpolationMode.NEAREST:
            shown.append(f"interpolation={self.interpolation.value}")
        if self.fill != 0:
            shown.append(f"fill={self.fill}")
        if self.center is not None:
            shown.append(f"center={self.center}")
        return f"{type(self).__name__}({', '.join(shown)})"


class RandomPerspective(Module):
    """Images seen from a random side, with probability ``p``.

    Args:
        distortion_scale: how far the corners move at the most, as a part of half the image.
        p: the probability.
        interpolation: ``NEAREST`` or ``BILINEAR``; Pillow also knows ``BICUBIC``.
        fill: the colour of what comes from outside the image.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomPerspective.html

    >>> from rushlight.vision import transforms
    >>> transforms.RandomPerspective(p=0.25)
    RandomPerspective(p=0.25)
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.p = p
        self.interpolation = interpolation_mode(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = check_fill(fill)

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """The corners of the image, and where they come to lie."""
        far_x = int(distortion_scale * (width // 2))
        far_y = int(distortion_scale * (height // 2))
        left, right = (0, far_x + 1), (width - far_x - 1, width)
        top, bottom = (0, far_y + 1), (height - far_y - 1, height)
        ways = [(left, top), (right, top), (right, bottom), (left, bottom)]
        moved = [[draws.integer(*x), draws.integer(*y)] for x, y in ways]
        return [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]], moved

    def forward(self, img: Any) -> Any:
        """``img``, changed or not."""
        fill = fill_of(self.fill, img)
        _, height, width = F.get_dimensions(img)
        if not draws.below(self.p):
            return img
        corners = self.get_params(width, height, self.distortion_scale)
        return F.perspective(img, *corners, self.interpolation, fill)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class GaussianBlur(Module):
    """Images blurred by a random amount.

    Args:
        kernel_size: how many neighbours count, across and down; odd.
        sigma: the least and the greatest width of the bell, or one number.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.GaussianBlur.html

    >>> from rushlight.vision import transforms
    >>> transforms.GaussianBlur(3)
    GaussianBlur(kernel_size=(3, 3), sigma=(0.1, 2.0))
    """

    def __init__(
        self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)
    ) -> None:
        super().__init__()
        message = "Kernel size should be a tuple/list of two integers"
        self.kernel_size = two_sizes(kernel_size, message)
        if any(size <= 0 or size % 2 == 0 for size in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, (int, float)):
            if sigma <= 0:
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif not isinstance(sigma, Sequence) or len(sigma) != 2:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        elif not 0.0 < sigma[0] <= sigma[1]:
            raise ValueError("sigma values should be positive and of the form (min, max).")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """A random width of the bell."""
        return draws.uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        """``img``, blurred."""
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return F.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


def _two_floats(value: Any, name: str) -> list[float]:
    """One number for both axes, or one for each."""
    if not isinstance(value, (float, Sequence)):
        raise TypeError(f"{name} should be float or a sequence of floats. Got {type(value)}")
    found = [float(value)] * 2 if isinstance(value, float) else list(value)
    found = found * 2 if len(found) == 1 else found
    if len(found) != 2:
        raise ValueError(f"If {name} is a sequence its length should be 2. Got {len(found)}")
    for element in found:
        if not isinstance(element, float):
            raise TypeError(f"{name} should be a sequence of floats. Got {type(element)}")
    return found


class ElasticTransform(Module):
    """Images seen through water: each pixel moved a little, neighbours by about the same.

    Args:
        alpha: how far, along x and y.
        sigma: how smoothly, along x and y.
        interpolation: ``NEAREST`` or ``BILINEAR``.
        fill: the colour of what comes from outside the image.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ElasticTransform.html

    >>> from rushlight.vision import transforms
    >>> transforms.ElasticTransform(alpha=250.0).alpha
    [250.0, 250.0]
    """

    def __init__(
        self,
        alpha: float | Sequence[float] = 50.0,
        sigma: float | Sequence[float] = 5.0,
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        fill: Any = 0,
    ) -> None:
        super().__init__()
        self.alpha = _two_floats(alpha, "alpha")
        self.sigma = _two_floats(sigma, "sigma")
        self.interpolation = interpolation_mode(interpolation)
        if not isinstance(fill, (int, float, list, tuple)):
            raise TypeError(
                f"fill should be int or float or a list or tuple of them. Got {type(fill)}"
            )
        self.fill = [float(x) for x in (fill if isinstance(fill, (list, tuple)) else [fill])]

    @staticmethod
    def get_params(alpha: Sequence[float], sigma: Sequence[float], size: Sequence[int]) -> Tensor:
        """Random moves for an image of ``(height, width)``: ``(1, H, W, 2)``."""
        moves = []
        for reach, width, extent in zip(alpha, sigma, reversed(size), strict=True):
            noise = rushlight.rand(1, 1, *size) * 2 - 1
            if width > 0.0:
                kernel = int(8 * width + 1)
                kernel += kernel % 2 == 0
                noise = F.gaussian_blur(noise, [kernel, kernel], list(sigma))
            moves.append(noise * reach / extent)
        return rushlight.cat(moves, 1).permute(0, 2, 3, 1)

    def forward(self, img: Any) -> Any:
        """``img``, changed."""
        _, height, width = F.get_dimensions(img)
        moves = self.get_params(self.alpha, self.sigma, [height, width])
        return F.elastic_transform(img, moves, self.interpolation, self.fill)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(alpha={self.alpha}, sigma={self.sigma}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )
