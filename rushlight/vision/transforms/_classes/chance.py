"""Changes that happen with a probability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rushlight
from rushlight._tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms._classes.shape import TRIES, check_scale_and_ratio, random_part
from rushlight.vision.transforms._functional import draws


class _Chance(Module):
    """The base of what changes an image or leaves it, drawing one number for each.

    Args:
        p: the probability of the change.
    """

    def __init__(self, p: float = 0.5) -> None:
        super().__init__()
        self.p = p

    def forward(self, img: Any) -> Any:
        """``img``, changed or not."""
        return self._change(img) if draws.below(self.p) else img

    def _change(self, img: Any) -> Any:
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class _ExactChance(_Chance):
    """As ``_Chance``, but ``p`` is not rounded to the type of the draw before they are compared."""

    def forward(self, img: Any) -> Any:
        """``img``, changed or not."""
        return self._change(img) if draws.rand() < self.p else img


class RandomHorizontalFlip(_Chance):
    """Left and right exchanged, with probability ``p``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.RandomHorizontalFlip.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.RandomHorizontalFlip(p=1.0)(torch.tensor([[[1, 2]]]))
    tensor([[[2, 1]]])
    """

    def _change(self, img: Any) -> Any:
        return F.hflip(img)


class RandomVerticalFlip(_Chance):
    """Top and bottom exchanged, with probability ``p``."""

    def _change(self, img: Any) -> Any:
        return F.vflip(img)


class RandomGrayscale(_Chance):
    """Grey in as many channels, with probability ``p``."""

    def __init__(self, p: float = 0.1) -> None:
        super().__init__(p)

    def _change(self, img: Any) -> Any:
        return F.rgb_to_grayscale(img, F.get_image_num_channels(img))


class RandomInvert(_ExactChance):
    """Light and dark exchanged, with probability ``p``."""

    def _change(self, img: Any) -> Any:
        return F.invert(img)


class RandomPosterize(_ExactChance):
    """The highest ``bits`` bits of each value, with probability ``p``."""

    def __init__(self, bits: int, p: float = 0.5) -> None:
        super().__init__(p)
        self.bits = bits

    def _change(self, img: Any) -> Any:
        return F.posterize(img, self.bits)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(bits={self.bits},p={self.p})"


class RandomSolarize(_ExactChance):
    """The values from ``threshold`` on inverted, with probability ``p``."""

    def __init__(self, threshold: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.threshold = threshold

    def _change(self, img: Any) -> Any:
        return F.solarize(img, self.threshold)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(threshold={self.threshold},p={self.p})"


class RandomAdjustSharpness(_ExactChance):
    """Sharper or blurred, as ``functional.adjust_sharpness``, with probability ``p``."""

    def __init__(self, sharpness_factor: float, p: float = 0.5) -> None:
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def _change(self, img: Any) -> Any:
        return F.adjust_sharpness(img, self.sharpness_factor)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(sharpness_factor={self.sharpness_factor},p={self.p})"


class RandomAutocontrast(_ExactChance):
    """The values of each channel over the whole range, with probability ``p``."""

    def _change(self, img: Any) -> Any:
        return F.autocontrast(img)


class RandomEqualize(_ExactChance):
    """The values of each channel equally frequent, with probability ``p``."""

    def _change(self, img: Any) -> Any:
        return F.equalize(img)


class RandomErasing(_Chance):
    """A random rectangle of a tensor filled, with probability ``p``.

    Args:
        p: the probability.
        scale: the least and the greatest part of the image's area.
        ratio: the least and the greatest ratio of height to width.
        value: a number, one for each channel, or ``"random"`` for noise.
        inplace: whether the image itself is written to.

    Source: Z. Zhong et al. (2017), Random Erasing Data Augmentation, https://arxiv.org/abs/1708.04896

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.RandomErasing(p=1.0)(torch.ones(3, 32, 32)).min().item()
    0.0
    """

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | str | Sequence[float] = 0,
        inplace: bool = False,
    ) -> None:
        super().__init__(p)
        if not isinstance(value, (int, float, str, tuple, list)):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        check_scale_and_ratio(scale, ratio)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace

    @staticmethod
    def get_params(
        img: Tensor,
        scale: Sequence[float],
        ratio: Sequence[float],
        value: Sequence[float] | None = None,
    ) -> tuple[int, int, int, int, Any]:
        """Top, left, height and width of a random part, and what comes there (noise if ``None``).

        The whole of ``img`` stands for itself where no part was found.
        """
        channels, height, width = img.shape[-3:]
        for _ in range(TRIES):
            h, w = map(round, random_part(height * width, scale, ratio))
            if h >= height or w >= width:
                continue
            if value is None:
                filling = rushlight.empty([channels, h, w], dtype=rushlight.float32).normal_()
            else:
                filling = rushlight.tensor(value)[:, None, None]
            top = draws.integer(0, height - h + 1)
            return top, draws.integer(0, width - w + 1), h, w, filling
        return 0, 0, height, width, img

    def _change(self, img: Any) -> Any:
        channels = img.shape[-3]
        values = None
        if isinstance(self.value, (int, float)):
            values = [float(self.value)]
        elif not isinstance(self.value, str):
            values = [float(x) for x in self.value]
        if values is not None and len(values) not in (1, channels):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{channels} (number of input channels)"
            )
        part = self.get_params(img, self.scale, self.ratio, values)
        return F.erase(img, *part, self.inplace)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )
