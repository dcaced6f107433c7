"""The transforms of this version: those of the first, on whole samples, and a few more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

import rushlight
from rushlight._arrays import tensor_of_array
from rushlight._tensor import Tensor
from rushlight.vision.transforms import functional as F, transforms as first
from rushlight.vision.transforms._functional import draws
from rushlight.vision.transforms.v2._transform import InTurn, OnSamples, Transform

__all__ = [
    "RGB",
    "CenterCrop",
    "ColorJitter",
    "Compose",
    "ConvertImageDtype",
    "GaussianBlur",
    "Grayscale",
    "Identity",
    "Normalize",
    "PILToTensor",
    "Pad",
    "RandomAdjustSharpness",
    "RandomAffine",
    "RandomApply",
    "RandomAutocontrast",
    "RandomChoice",
    "RandomCrop",
    "RandomEqualize",
    "RandomErasing",
    "RandomGrayscale",
    "RandomHorizontalFlip",
    "RandomInvert",
    "RandomOrder",
    "RandomPerspective",
    "RandomPosterize",
    "RandomResizedCrop",
    "RandomRotation",
    "RandomSolarize",
    "RandomVerticalFlip",
    "Resize",
    "ToDtype",
    "ToImage",
    "ToPILImage",
    "ToTensor",
]


class Compose(InTurn):
    """Transforms one after the other, on whole samples.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import v2
    >>> v2.Compose([v2.RandomHorizontalFlip(p=1.0)])(torch.tensor([[[1, 2]]]), 5)
    (tensor([[[2, 1]]]), 5)
    """

    def forward(self, *inputs: Any) -> Any:
        """The sample after all transforms."""
        return self._all(inputs, range(len(self.transforms)))


class RandomApply(InTurn):
    """Transforms one after the other, or none of them.

    Args:
        transforms: what is called.
        p: the probability that they are.
    """

    def __init__(self, transforms: Sequence[Callable[..., Any]], p: float = 0.5) -> None:
        super().__init__(transforms)
        if not 0.0 <= p <= 1.0:
            raise ValueError("`p` should be a floating point value in the interval [0.0, 1.0].")
        self.p = p

    def forward(self, *inputs: Any) -> Any:
        """The sample, changed or not."""
        return self._all(inputs, range(len(self.transforms)) if draws.below(self.p) else ())


class RandomChoice(InTurn):
    """One of the transforms, drawn from the default generator.

    Args:
        transforms: what to choose from.
        p: a weight for each of them; all the same if absent.
    """

    def __init__(
        self, transforms: Sequence[Callable[..., Any]], p: Sequence[float] | None = None
    ) -> None:
        super().__init__(transforms)
        weights = [1.0] * len(transforms) if p is None else list(p)
        if len(weights) != len(transforms):
            raise ValueError(
                "Length of p doesn't match the number of transforms: "
                f"{len(weights)} != {len(transforms)}"
            )
        self.p = [weight / sum(weights) for weight in weights]

    def forward(self, *inputs: Any) -> Any:
        """The sample after one of the transforms."""
        return self._all(inputs, [int(rushlight.multinomial(rushlight.tensor(self.p), 1).item())])


class RandomOrder(InTurn):
    """All of the transforms, in an order drawn from the default generator."""

    def forward(self, *inputs: Any) -> Any:
        """The sample after all transforms."""
        return self._all(inputs, draws.permutation(len(self.transforms)))


class Identity(Transform):
    """Nothing changed."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return inpt


def to_image(inpt: Any) -> Tensor:
    """A Pillow image, an array ``(H, W, C)`` or a tensor as a tensor, its values as they are.

    >>> import numpy as np
    >>> from rushlight.vision.transforms.v2 import functional
    >>> functional.to_image(np.zeros((4, 5, 3), np.uint8)).shape
    torch.Size([3, 4, 5])
    """
    if isinstance(inpt, Tensor):
        return inpt
    if isinstance(inpt, np.ndarray):
        pixels = inpt if inpt.ndim > 2 else inpt[:, :, None]
        return tensor_of_array(np.ascontiguousarray(np.moveaxis(pixels, -1, -3)))
    return F.pil_to_tensor(inpt)


def to_dtype(inpt: Tensor, dtype: Any = rushlight.float32, scale: bool = False) -> Tensor:
    """A tensor in another type, its values scaled to the range of that type or left alone."""
    return F.convert_image_dtype(inpt, dtype) if scale else inpt.to(dtype)


class ToImage(Transform):
    """Pillow images and arrays as tensors ``(C, H, W)``, their values as they are.

    >>> from PIL import Image
    >>> from rushlight.vision.transforms import v2
    >>> v2.ToImage()(Image.new("RGB", (4, 3))).dtype
    torch.uint8
    """

    def forward(self, *inputs: Any) -> Any:
        """The sample, its images as tensors."""
        if len(inputs) == 1 and isinstance(inputs[0], np.ndarray):
            return to_image(inputs[0])
        return super().forward(*inputs)

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return to_image(inpt)


class ToDtype(Transform):
    """Tensors in another type.

    Args:
        dtype: the type wanted.
        scale: whether the values are scaled to the range of that type.

    >>> import rushlight as torch
    >>> from rushlight.vision.transforms import v2
    >>> v2.ToDtype(torch.float32, scale=True)(torch.tensor([[[255]]], dtype=torch.uint8))
    tensor([[[1.]]])
    """

    def __init__(self, dtype: Any, scale: bool = False) -> None:
        super().__init__()
        if not isinstance(dtype, rushlight.dtype):
            raise ValueError(f"dtype must be a torch.dtype, got {type(dtype)} instead")
        self.dtype = dtype
        self.scale = scale

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return to_dtype(inpt, self.dtype, self.scale) if isinstance(inpt, Tensor) else inpt

    def extra_repr(self) -> str:
        return f"scale={self.scale}"


class RGB(Transform):
    """Grey images in three equal channels; others as they are."""

    def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
        return F.rgb_to_grayscale(inpt, 3) if F.get_image_num_channels(inpt) == 1 else inpt


class RandomCrop(OnSamples, first.RandomCrop):
    """A part of the image at a random place; see the class of the first version."""

    @staticmethod
    def get_params(img: Any, output_size: Sequence[int]) -> tuple[int, int, int, int]:
        """As in the first version, but an edge that fits takes no draw."""
        _, height, width = F.get_dimensions(img)
        h, w = output_size
        if height < h or width < w:
            raise ValueError(
                f"Required crop size {(h, w)} is larger than input image size {(height, width)}."
            )
        top = draws.integer(0, height - h + 1) if height > h else 0
        return top, draws.integer(0, width - w + 1) if width > w else 0, h, w


# The others differ from their first version in taking samples, and in nothing else.
class ToTensor(OnSamples, first.ToTensor):
    """``transforms.ToTensor``, on samples."""


class PILToTensor(OnSamples, first.PILToTensor):
    """``transforms.PILToTensor``, on samples."""


class ToPILImage(OnSamples, first.ToPILImage):
    """``transforms.ToPILImage``, on samples."""


class ConvertImageDtype(OnSamples, first.ConvertImageDtype):
    """``transforms.ConvertImageDtype``, on samples."""


class Normalize(OnSamples, first.Normalize):
    """``transforms.Normalize``, on samples."""


class Resize(OnSamples, first.Resize):
    """``transforms.Resize``, on samples."""


class CenterCrop(OnSamples, first.CenterCrop):
    """``transforms.CenterCrop``, on samples."""


class Pad(OnSamples, first.Pad):
    """``transforms.Pad``, on samples."""


class RandomResizedCrop(OnSamples, first.RandomResizedCrop):
    """``transforms.RandomResizedCrop``, on samples."""


class RandomHorizontalFlip(OnSamples, first.RandomHorizontalFlip):
    """``transforms.RandomHorizontalFlip``, on samples."""


class RandomVerticalFlip(OnSamples, first.RandomVerticalFlip):
    """``transforms.RandomVerticalFlip``, on samples."""


class RandomRotation(OnSamples, first.RandomRotation):
    """``transforms.RandomRotation``, on samples."""


class RandomAffine(OnSamples, first.RandomAffine):
    """``transforms.RandomAffine``, on samples."""


class RandomPerspective(OnSamples, first.RandomPerspective):
    """``transforms.RandomPerspective``, on samples."""


class ColorJitter(OnSamples, first.ColorJitter):
    """``transforms.ColorJitter``, on samples."""


class Grayscale(OnSamples, first.Grayscale):
    """``transforms.Grayscale``, on samples."""


class RandomGrayscale(OnSamples, first.RandomGrayscale):
    """``transforms.RandomGrayscale``, on samples."""


class GaussianBlur(OnSamples, first.GaussianBlur):
    """``transforms.GaussianBlur``, on samples."""


class RandomErasing(OnSamples, first.RandomErasing):
    """``transforms.RandomErasing``, on samples."""


class RandomInvert(OnSamples, first.RandomInvert):
    """``transforms.RandomInvert``, on samples."""


class RandomPosterize(OnSamples, first.RandomPosterize):
    """``transforms.RandomPosterize``, on samples."""


class RandomSolarize(OnSamples, first.RandomSolarize):
    """``transforms.RandomSolarize``, on samples."""


class RandomAdjustSharpness(OnSamples, first.RandomAdjustSharpness):
    """``transforms.RandomAdjustSharpness``, on samples."""


class RandomAutocontrast(OnSamples, first.RandomAutocontrast):
    """``transforms.RandomAutocontrast``, on samples."""


class RandomEqualize(OnSamples, first.RandomEqualize):
    """``transforms.RandomEqualize``, on samples."""
