"""The digits that ship with the package."""

from __future__ import annotations

import hashlib
from collections import Counter

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.data import DataLoader
from rushlight.vision import transforms
from rushlight.vision.datasets import Digits


def test_split_counts_and_classes() -> None:
    train, test = Digits(train=True), Digits(train=False)
    assert (len(train), len(test)) == (1437, 360)
    counts = Counter(train.targets) + Counter(test.targets)
    # The counts that the authors give for their test part.
    expected = [178, 182, 177, 183, 181, 182, 181, 179, 174, 180]
    assert [counts[digit] for digit in range(10)] == expected
    assert train.classes == list("0123456789")
    assert train.class_to_idx["7"] == 7


def test_every_fifth_image_is_held_out() -> None:
    train, test = Digits(train=True), Digits(train=False)
    order = [test.data[i // 5] if i % 5 == 0 else train.data[i - i // 5 - 1] for i in range(1797)]
    # The file's own order, pixel by pixel.
    counts = np.round(np.stack(order) / 255 * 16).astype(np.uint8)
    digest = hashlib.sha256(counts.tobytes()).hexdigest()
    assert digest == "8f26b2bd9d135c256808f68f14fdabddde6d9c7f869ae419704b051f0f14b3b3"
    assert not {image.tobytes() for image in train.data} & {image.tobytes() for image in test.data}


def test_items_are_grey_pictures_and_ints() -> None:
    digits = Digits(train=False)
    image, target = digits[0]
    assert (image.mode, image.size, type(target), target) == ("L", (8, 8), int, 0)
    assert image.getextrema() == (0, 239)
    assert (digits.data.min(), digits.data.max(), digits.data.dtype) == (0, 255, np.uint8)
    assert digits.targets[-1] == digits[-1][1] == digits[359][1]
    with pytest.raises(IndexError):
        digits[360]


def test_transforms_apply_to_image_and_target() -> None:
    digits = Digits(transform=transforms.ToTensor(), target_transform=lambda target: -target)
    image, target = digits[1]
    assert (type(image), image.shape, target) == (torch.Tensor, (1, 8, 8), -Digits()[1][1])


def test_a_loader_makes_batches() -> None:
    images, targets = next(iter(DataLoader(Digits(transform=transforms.ToTensor()), batch_size=4)))
    assert images.shape == (4, 1, 8, 8)
    assert targets.tolist() == Digits().targets[:4]


def test_repr() -> None:
    transform = transforms.Compose([transforms.Resize(32), transforms.ToTensor()])
    expected = """\
Dataset Digits
    Number of datapoints: 360
    Root location: data
    Split: Test
    StandardTransform
Transform: Compose(
               Resize(size=32, interpolation=bilinear, max_size=None, antialias=True)
               ToTensor()
           )"""
    assert repr(Digits("data", train=False, transform=transform)) == expected
