"""Noise that looks like a data set."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight._random import Generator, randint, randn
from rushlight._tensor import Tensor
from rushlight.vision.datasets.vision import VisionDataset
from rushlight.vision.transforms.functional import to_pil_image


class FakeData(VisionDataset):
    """Random images with random classes, the same for the same index.

    Args:
        size: how many.
        image_size: channels, height and width of each.
        num_classes: how many classes.
        transform: called with the Pillow image.
        target_transform: called with the class, a tensor.
        random_offset: added to the index before it becomes the seed.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.FakeData.html

    >>> from rushlight.vision.datasets import FakeData
    >>> image, target = FakeData(size=10, image_size=(3, 8, 6))[0]
    >>> image.size, target
    ((6, 8), 1)
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: tuple[int, int, int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        random_offset: int = 0,
    ) -> None:
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        # A generator of its own: the default one does not notice.
        source = Generator().manual_seed(index + self.random_offset)
        noise = to_pil_image(randn(*self.image_size, generator=source))
        drawn = randint(0, self.num_classes, (1,), generator=source)[0]
        image, target = self._transformed(noise, drawn)
        return image, target.item() if isinstance(target, Tensor) else target

    def __len__(self) -> int:
        return self.size
