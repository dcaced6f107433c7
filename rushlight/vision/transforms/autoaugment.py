"""Augmentation by changes drawn from a list, the same for all images of a data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from enum import Enum
from typing import Any

import numpy as np

import rushlight
from rushlight._tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._classes.warp import fill_of
from rushlight.vision.transforms._functional import draws
from rushlight.vision.transforms._functional.modes import InterpolationMode
from rushlight.vision.transforms._policies import CIFAR10, IMAGENET, SVHN, Step

__all__ = ["AugMix", "AutoAugment", "AutoAugmentPolicy", "RandAugment", "TrivialAugmentWide"]

#: A change by its name: how strong it may be (``None``: there is only one way), and whether it can
#: go both ways.
Space = dict[str, tuple[list[float] | None, bool]]

#: The strengths that ``AugMix`` knows.
_STRENGTHS = 10


def _steps(low: float, high: float, count: int) -> list[float]:
    strengths: list[float] = rushlight.linspace(low, high, count).tolist()
    return strengths


def _bits(most: int, least: int, count: int) -> list[float]:
    """Bits kept by ``Posterize``, fewer the stronger it is."""
    lost = np.round(np.arange(count) / np.float32((count - 1) / (most - least)))
    return [float(most - int(x)) for x in lost]


def _space(
    count: int, shear: float, move: tuple[float, float], turn: float, color: float, bits: int
) -> Space:
    """The changes that all ways of augmentation know, in the order in which they are drawn."""
    colors = _steps(0.0, color, count)
    return {
        "ShearX": (_steps(0.0, shear, count), True),
        "ShearY": (_steps(0.0, shear, count), True),
        "TranslateX": (_steps(0.0, move[0], count), True),
        "TranslateY": (_steps(0.0, move[1], count), True),
        "Rotate": (_steps(0.0, turn, count), True),
        "Brightness": (colors, True),
        "Color": (colors, True),
        "Contrast": (colors, True),
        "Sharpness": (colors, True),
        "Posterize": (_bits(8, bits, count), False),
        "Solarize": (_steps(255.0, 0.0, count), False),
        "AutoContrast": (None, False),
        "Equalize": (None, False),
    }


def _scaled_space(count: int, size: Sequence[int]) -> Space:
    """The changes of AutoAugment, whose moves grow with an image of ``(height, width)``."""
    far = (150.0 / 331.0 * size[1], 150.0 / 331.0 * size[0])
    return _space(count, 0.3, far, 30.0, 0.9, 4)


def _sheared(img: Any, x: float, y: float, mode: InterpolationMode, fill: Any) -> Any:
    angles = [math.degrees(math.atan(x)), math.degrees(math.atan(y))]
    return F.affine(img, 0.0, [0, 0], 1.0, angles, mode, fill, center=[0, 0])


def _moved(img: Any, x: float, y: float, mode: InterpolationMode, fill: Any) -> Any:
    return F.affine(img, 0.0, [int(x), int(y)], 1.0, [0.0, 0.0], mode, fill)


_WARPS: dict[str, Callable[[Any, float, InterpolationMode, Any], Any]] = {
    "ShearX": lambda img, m, mode, fill: _sheared(img, m, 0.0, mode, fill),
    "ShearY": lambda img, m, mode, fill: _sheared(img, 0.0, m, mode, fill),
    "TranslateX": lambda img, m, mode, fill: _moved(img, m, 0.0, mode, fill),
    "TranslateY": lambda img, m, mode, fill: _moved(img, 0.0, m, mode, fill),
    "Rotate": lambda img, m, mode, fill: F.rotate(img, m, mode, fill=fill),
}
_COLORS: dict[str, Callable[[Any, float], Any]] = {
    "Brightness": lambda img, m: F.adjust_brightness(img, 1.0 + m),
    "Color": lambda img, m: F.adjust_saturation(img, 1.0 + m),
    "Contrast": lambda img, m: F.adjust_contrast(img, 1.0 + m),
    "Sharpness": lambda img, m: F.adjust_sharpness(img, 1.0 + m),
    "Posterize": lambda img, m: F.posterize(img, int(m)),
    "Solarize": F.solarize,
    "AutoContrast": lambda img, m: F.autocontrast(img),
    "Equalize": lambda img, m: F.equalize(img),
    "Invert": lambda img, m: F.invert(img),
    "Identity": lambda img, m: img,
}


class AutoAugmentPolicy(Enum):
    """The data sets for which changes were searched."""

    IMAGENET = "imagenet"
    CIFAR10 = "cifar10"
    SVHN = "svhn"


_POLICIES: dict[AutoAugmentPolicy, list[tuple[Step, Step]]] = {
    AutoAugmentPolicy.IMAGENET: IMAGENET,
    AutoAugmentPolicy.CIFAR10: CIFAR10,
    AutoAugmentPolicy.SVHN: SVHN,
}


class _Augment(Module):
    """The base: how to apply a change by its name.

    Args:
        interpolation: ``NEAREST`` or ``BILINEAR``.
        fill: the colour of what comes from outside the image.
    """

    def __init__(self, interpolation: InterpolationMode, fill: Any) -> None:
        super().__init__()
        self.interpolation = interpolation
        self.fill = fill

    def _changed(self, img: Any, name: str, magnitude: float) -> Any:
        if name in _COLORS:
            return _COLORS[name](img, magnitude)
        return _WARPS[name](img, magnitude, self.interpolation, fill_of(self.fill, img))

    def _random_change(self, img: Any, space: Space, strength: Callable[[int], int]) -> Any:
        """One change of ``space``; ``strength`` picks among so many."""
        name = list(space)[draws.integer(0, len(space))]
        magnitudes, signed = space[name]
        magnitude = 0.0 if magnitudes is None else magnitudes[strength(len(magnitudes))]
        if signed and draws.integer(0, 2):
            magnitude *= -1.0
        return self._changed(img, name, magnitude)


class AutoAugment(_Augment):
    """Two changes from a policy that was found by a search.

    Args:
        policy: the data set for which it was found.
        interpolation: ``NEAREST`` or ``BILINEAR``.
        fill: the colour of what comes from outside the image.

    Source: E. D. Cubuk et al. (2018), AutoAugment, https://arxiv.org/abs/1805.09501

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.AutoAugment()(Image.new("RGB", (8, 8))).size
    (8, 8)
    """

    def __init__(
        self,
        policy: AutoAugmentPolicy = AutoAugmentPolicy.IMAGENET,
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if policy not in _POLICIES:
            raise ValueError(f"The provided policy {policy} is not recognized.")
        self.policy = policy
        self.policies = _POLICIES[policy]

    @staticmethod
    def get_params(transform_num: int) -> tuple[int, Tensor, Tensor]:
        """A row of the policy, and for its two changes whether and which way they go."""
        row = draws.integer(0, transform_num)
        return row, rushlight.rand((2,)), rushlight.randint(2, (2,))

    def forward(self, img: Any) -> Any:
        """``img``, changed."""
        row, chances, signs = self.get_params(len(self.policies))
        space = _scaled_space(10, F.get_dimensions(img)[1:])
        space["Invert"] = (None, False)
        steps = zip(self.policies[row], chances.tolist(), signs.tolist(), strict=True)
        for (name, p, strength), chance, sign in steps:
            if chance <= np.float32(p):
                magnitudes, signed = space[name]
                magnitude = 0.0
                if magnitudes is not None and strength is not None:
                    magnitude = magnitudes[strength]
                img = self._changed(img, name, -magnitude if signed and sign == 0 else magnitude)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(policy={self.policy}, fill={self.fill})"


class RandAugment(_Augment):
    """A few random changes, all of one strength.

    Args:
        num_ops: how many.
        magnitude: how strong, below ``num_magnitude_bins``.
        num_magnitude_bins: how many strengths there are.
        interpolation: ``NEAREST`` or ``BILINEAR``.
        fill: the colour of what comes from outside the image.

    Source: E. D. Cubuk et al. (2019), RandAugment, https://arxiv.org/abs/1909.13719

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.RandAugment()(Image.new("RGB", (8, 8))).size
    (8, 8)
    """

    def __init__(
        self,
        num_ops: int = 2,
        magnitude: int = 9,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_ops = num_ops
        self.magnitude = magnitude
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        """``img``, changed."""
        space = _scaled_space(self.num_magnitude_bins, F.get_dimensions(img)[1:])
        space = {"Identity": (None, False), **space}
        for _ in range(self.num_ops):
            img = self._random_change(img, space, lambda _: self.magnitude)
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_ops={self.num_ops}, magnitude={self.magnitude}, "
            f"num_magnitude_bins={self.num_magnitude_bins}, interpolation={self.interpolation}, "
            f"fill={self.fill})"
        )


class TrivialAugmentWide(_Augment):
    """One random change of a random strength.

    Args:
        num_magnitude_bins: how many strengths there are.
        interpolation: ``NEAREST`` or ``BILINEAR``.
        fill: the colour of what comes from outside the image.

    Source: S. Müller and F. Hutter (2021), TrivialAugment, https://arxiv.org/abs/2103.10158

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.TrivialAugmentWide()(Image.new("RGB", (8, 8))).size
    (8, 8)
    """

    def __init__(
        self,
        num_magnitude_bins: int = 31,
        interpolation: InterpolationMode = InterpolationMode.NEAREST,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        self.num_magnitude_bins = num_magnitude_bins

    def forward(self, img: Any) -> Any:
        """``img``, changed."""
        space = _space(self.num_magnitude_bins, 0.99, (32.0, 32.0), 135.0, 0.99, 2)
        space = {"Identity": (None, False), **space}
        return self._random_change(img, space, lambda count: draws.integer(0, count))

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(num_magnitude_bins={self.num_magnitude_bins}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )


class AugMix(_Augment):
    """A mixture of the image with several chains of random changes of it, without gradients.

    Args:
        severity: how strong the changes may be, from 1 to 10.
        mixture_width: how many chains.
        chain_depth: how many changes make a chain; 1 to 3 at random if not above 0.
        alpha: how evenly the mixture is made; the parameter of the Dirichlet distribution.
        all_ops: whether brightness, colour, contrast and sharpness are among the changes.
        interpolation: ``NEAREST`` or ``BILINEAR``.
        fill: the colour of what comes from outside the image.

    Source: D. Hendrycks et al. (2019), AugMix, https://arxiv.org/abs/1912.02781

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.AugMix()(Image.new("RGB", (8, 8))).size
    (8, 8)
    """

    def __init__(
        self,
        severity: int = 3,
        mixture_width: int = 3,
        chain_depth: int = -1,
        alpha: float = 1.0,
        all_ops: bool = True,
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        fill: Any = None,
    ) -> None:
        super().__init__(interpolation, fill)
        if not 1 <= severity <= _STRENGTHS:
            raise ValueError(
                f"The severity must be between [1, {_STRENGTHS}]. Got {severity} instead."
            )
        self.severity = severity
        self.mixture_width = mixture_width
        self.chain_depth = chain_depth
        self.alpha = alpha
        self.all_ops = all_ops

    def _space(self, height: int, width: int) -> Space:
        space = _space(_STRENGTHS, 0.3, (width / 3.0, height / 3.0), 30.0, 0.9, 4)
        space["Posterize"] = (_bits(4, 0, _STRENGTHS), False)
        colors = {
            name: space.pop(name) for name in ("Brightness", "Color", "Contrast", "Sharpness")
        }
        return {**space, **colors} if self.all_ops else space

    def _chain(self, image: Tensor, space: Space) -> Tensor:
        """The image after some random changes."""
        depth = self.chain_depth if self.chain_depth > 0 else draws.integer(1, 4)
        for _ in range(depth):
            image = self._random_change(image, space, lambda _: draws.integer(0, self.severity))
        return image

    def forward(self, orig_img: Any) -> Any:
        """``orig_img``, a Pillow image or a tensor ``(..., C, H, W)``, mixed."""
        image = orig_img if isinstance(orig_img, Tensor) else F.pil_to_tensor(orig_img)
        _, height, width = F.get_dimensions(image)
        space = self._space(height, width)
        batch = image.reshape((1,) * max(4 - image.ndim, 0) + tuple(image.shape))
        each = (batch.shape[0], *(1,) * (batch.ndim - 1))
        own = draws.dirichlet(each[0], [self.alpha] * 2)
        shares = draws.dirichlet(each[0], [self.alpha] * self.mixture_width) * own[:, 1:]
        # Mixed here and now, rounded after each step: cutting off the fractions tells a bit apart.
        total = own[:, 0].reshape(each) * batch.detach()._array()
        for share in shares.T:
            total = total + share.reshape(each) * self._chain(batch, space).detach()._array()
        mixed = rushlight.from_numpy(total.reshape(image.shape)).to(image.dtype)
        return mixed if isinstance(orig_img, Tensor) else F.to_pil_image(mixed)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(severity={self.severity}, mixture_width={self.mixture_width}, "
            f"chain_depth={self.chain_depth}, alpha={self.alpha}, all_ops={self.all_ops}, "
            f"interpolation={self.interpolation}, fill={self.fill})"
        )
