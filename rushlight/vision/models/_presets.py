"""What was done to the pictures that a model's weights were trained on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import rushlight as torch
from rushlight._tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import InterpolationMode, functional


class ImageClassification(Module):
    """Resizes, crops the middle, scales to [0, 1] and normalises, as before training.

    Args:
        crop_size: side of the square that the model sees.
        resize_size: length of the shorter side before cropping.
        mean: of each channel, taken away.
        std: of each channel, divided by.
        interpolation: how pixels are computed when resizing.
        antialias: whether a tensor is smoothed before it shrinks, as Pillow always does.

    Source: https://docs.pytorch.org/vision/stable/models.html#using-the-pre-trained-models

    >>> import rushlight as torch
    >>> from rushlight.vision.models import ResNet50_Weights
    >>> prepare = ResNet50_Weights.IMAGENET1K_V2.transforms()
    >>> prepare(torch.zeros(3, 300, 400, dtype=torch.uint8)).shape
    torch.Size([3, 224, 224])
    """

    def __init__(
        self,
        *,
        crop_size: int,
        resize_size: int = 256,
        mean: Sequence[float] = (0.485, 0.456, 0.406),
        std: Sequence[float] = (0.229, 0.224, 0.225),
        interpolation: InterpolationMode = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        self.crop_size = [crop_size]
        self.resize_size = [resize_size]
        self.mean = list(mean)
        self.std = list(std)
        self.interpolation = interpolation
        self.antialias = antialias

    def forward(self, img: Any) -> Tensor:
        """A Pillow image or a tensor (..., C, H, W) as a tensor of the model's input."""
        img = functional.resize(
            img, self.resize_size, interpolation=self.interpolation, antialias=self.antialias
        )
        img = functional.center_crop(img, self.crop_size)
        if not isinstance(img, Tensor):
            img = functional.pil_to_tensor(img)
        img = functional.convert_image_dtype(img, torch.float32)
        return functional.normalize(img, mean=self.mean, std=self.std)

    def __repr__(self) -> str:
        names = ("crop_size", "resize_size", "mean", "std", "interpolation")
        lines = "".join(f"\n    {name}={getattr(self, name)}" for name in names)
        return f"{type(self).__name__}({lines}\n)"

    def describe(self) -> str:
        """What is done, in words."""
        return (
            f"Takes a Pillow image or a tensor (..., C, H, W): the shorter side is resized to "
            f"{self.resize_size} by {self.interpolation}, the middle {self.crop_size} is cut out, "
            f"values are scaled to [0.0, 1.0], then mean={self.mean} is taken away and the rest "
            f"divided by std={self.std}."
        )
