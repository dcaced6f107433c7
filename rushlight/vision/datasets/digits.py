"""The handwritten digits that ship with the package."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import resources
from typing import Any

import numpy as np

from rushlight.vision.datasets.vision import VisionDataset

_HELD_OUT_EVERY = 5


def _read(train: bool) -> tuple[np.ndarray, list[int]]:
    """Images of one half of the split as uint8 ``(N, 8, 8)`` from 0 to 255, and their labels."""
    file = resources.files("rushlight.vision.datasets") / "_data" / "digits.npz"
    with file.open("rb") as stream, np.load(stream) as archive:
        counts, labels = archive["images"], archive["labels"]
    held_out = np.arange(len(labels)) % _HELD_OUT_EVERY == 0
    chosen = ~held_out if train else held_out
    # A pixel counts the dark points in a square of 4 by 4, so 16 is full: spread it over a byte.
    grey = (counts[chosen].astype(np.uint16) * 255 + 8) // 16
    return grey.astype(np.uint8), labels[chosen].tolist()


class Digits(VisionDataset):
    """1,797 handwritten digits of 8 by 8 pixels; nothing is downloaded.

    The split never changes: every fifth image, beginning with the first, is held out (360 images),
    the other 1,437 are for training. The same 13 writers stand on both sides.

    An item is a pair: a Pillow image of mode ``L`` (grey, 0 to 255) and the digit as an ``int``.
    No tensor class is involved until a transform makes one.

    Args:
        root: accepted as the other data sets do; nothing is read from it.
        train: True for the 1,437 training images, False for the 360 held-out ones.
        transform: called with the image.
        target_transform: called with the digit.

    Attributes:
        data: the images, a uint8 array of shape ``(N, 8, 8)``.
        targets: the digits, a list of N ints.
        classes: the names of the classes, ``"0"`` to ``"9"``.
        class_to_idx: the class of each name.

    Source: E. Alpaydin and C. Kaynak (1998), Optical Recognition of Handwritten Digits, UCI Machine
    Learning Repository, https://doi.org/10.24432/C50P49 (CC BY 4.0).

    >>> from rushlight.vision.datasets import Digits
    >>> digits = Digits(train=True)
    >>> image, target = digits[0]
    >>> image.size, image.mode, target
    ((8, 8), 'L', 1)
    >>> digits
    Dataset Digits
        Number of datapoints: 1437
        Split: Train
    """

    classes = [str(digit) for digit in range(10)]

    def __init__(
        self,
        root: str | os.PathLike[str] | None = None,
        train: bool = True,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        self.data, self.targets = _read(train)

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The index of each class by its name."""
        return {name: index for index, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from PIL import Image

        return self._transformed(Image.fromarray(self.data[index]), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train else 'Test'}"
