"""The transforms as objects, which a data set keeps and calls for every image."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight._tensor import Tensor
from rushlight.nn import Module
from rushlight.vision.transforms import functional as F
from rushlight.vision.transforms.functional import InterpolationMode


class Compose:
    """Transforms one after the other.

    Args:
        transforms: what is called, the first with the image, each other with the last result.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Compose.html

    >>> from rushlight.vision import transforms
    >>> transforms.Compose([transforms.Resize(32), transforms.ToTensor()])
    Compose(
        Resize(size=32, interpolation=bilinear, max_size=None, antialias=True)
        ToTensor()
    )
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        self.transforms = transforms

    def __call__(self, img: Any) -> Any:
        for transform in self.transforms:
            img = transform(img)
        return img

    def __repr__(self) -> str:
        return "\n".join([f"{type(self).__name__}(", *(f"    {t}" for t in self.transforms), ")"])


class ToTensor:
    """A Pillow image or an array as a ``(C, H, W)`` tensor; bytes become fractions from 0 to 1.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.ToTensor.html

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.ToTensor()(Image.new("RGB", (4, 3), "white")).shape
    torch.Size([3, 3, 4])
    """

    def __call__(self, pic: Any) -> Tensor:
        return F.to_tensor(pic)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Resize(Module):
    """Pillow images in another size.

    Args:
        size: ``(height, width)``, or an int for the shorter edge; the other edge keeps its ratio.
        interpolation: how values between pixels are found.
        max_size: the most the longer edge may have where ``size`` gives the shorter one.
        antialias: Pillow always smooths when it shrinks, so False only brings a warning.

    Raises:
        TypeError: ``size`` is neither an int nor a sequence.
        ValueError: ``size`` is a sequence of neither one nor two numbers.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Resize.html

    >>> from PIL import Image
    >>> from rushlight.vision import transforms
    >>> transforms.Resize((32, 32))(Image.new("L", (8, 8))).size
    (32, 32)
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ) -> None:
        super().__init__()
        if not isinstance(size, (int, Sequence)):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size = size
        self.max_size = max_size
        self.interpolation = F.interpolation_mode(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        """``img``, resized."""
        return F.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class Normalize(Module):
    """``(image - mean) / std``, channel by channel.

    Args:
        mean: one number for each channel.
        std: one number for each channel.
        inplace: whether the image itself is overwritten.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.transforms.Normalize.html

    >>> import rushlight as torch
    >>> from rushlight.vision import transforms
    >>> transforms.Normalize((0.5,), (0.5,))(torch.ones(1, 1, 2))
    tensor([[[1., 1.]]])
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> None:
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Tensor) -> Tensor:
        """``tensor``, normalized."""
        return F.normalize(tensor, self.mean, self.std, self.inplace)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"
