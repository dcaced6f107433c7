"""The base class of the image data sets."""

from __future__ import annotations

import pytest

from rushlight.vision.datasets import Digits, StandardTransform, VisionDataset


class Letters(VisionDataset):
    def __getitem__(self, index: int) -> str:
        return "abc"[index]

    def __len__(self) -> int:
        return 3


def test_one_kind_of_transform_at_a_time() -> None:
    with pytest.raises(ValueError, match="Only transforms or transform/target_transform can be"):
        Letters(transforms=lambda image, target: (image, target), transform=str)


def test_a_transform_may_be_changed_later() -> None:
    digits = Digits(train=False)
    digits.transform, digits.target_transform = (lambda image: image.size), str
    assert digits[0] == ((8, 8), "0")


def test_home_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", "/home/somebody")
    assert Letters("~/data").root == "/home/somebody/data"


def test_both_transforms_are_shown() -> None:
    assert repr(StandardTransform([1], [2])) == (
        "StandardTransform\nTransform: [1]\nTarget transform: [2]"
    )


def test_a_subclass_brings_its_items() -> None:
    with pytest.raises(NotImplementedError):
        VisionDataset()[0]
    with pytest.raises(NotImplementedError):
        len(VisionDataset())
