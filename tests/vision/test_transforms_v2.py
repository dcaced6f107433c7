"""Transforms of samples, under the names of torchvision's second version."""

from __future__ import annotations

import importlib
import random
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rushlight as torch
from rushlight.vision.transforms import v2
from tests.vision.oracle import IMAGES, PIXELS, Sides, assert_same

TRANSFORMS = [
    lambda t: t.RandomHorizontalFlip(),
    lambda t: t.RandomVerticalFlip(0.3),
    lambda t: t.RandomCrop(9, padding=3),
    lambda t: t.RandomCrop((13, 9)),
    lambda t: t.RandomCrop((13, 20), pad_if_needed=True),
    lambda t: t.RandomResizedCrop(8),
    lambda t: t.RandomRotation(30),
    lambda t: t.RandomAffine((-10, 30), (0.1, 0.2), (0.7, 1.3), 10),
    lambda t: t.ColorJitter(0.4, 0.3, 0.2, 0.1),
    lambda t: t.GaussianBlur(3),
    lambda t: t.RandomGrayscale(0.5),
    lambda t: t.RandomApply([t.RandomHorizontalFlip(), t.RandomCrop(5)], p=0.4),
    lambda t: t.RandomChoice([t.RandomHorizontalFlip(1.0), t.RandomCrop(5)], p=[3, 7]),
    lambda t: t.RandomOrder([t.RandomHorizontalFlip(), t.RandomCrop(5), t.Pad(1)]),
    lambda t: t.Compose([t.Resize(20), t.RandomCrop(9), t.RGB(), t.Identity()]),
]


@pytest.mark.parametrize("make", TRANSFORMS, ids=lambda make: type(make(v2)).__name__)
def test_same_as_torchvision(torchvision: Any, make: Any) -> None:
    theirs, ours = make(importlib.import_module("torchvision.transforms.v2")), make(v2)
    sides = Sides(torchvision)
    for kind in ("picture", "floats"):
        for seed in range(8):
            sides.seed(seed)
            pair = sides.both(theirs, ours, IMAGES[kind])
            assert_same(*pair, tolerance=5e-5)
            assert sides.same_state()


def test_conversions(torchvision: Any) -> None:
    theirs = importlib.import_module("torchvision.transforms.v2")
    sides = Sides(torchvision)
    for make in (
        lambda t, lib: t.Compose([t.ToImage(), t.ToDtype(lib.float32, scale=True)]),
        lambda t, lib: t.Compose([t.ToImage(), t.ToDtype(lib.float64)]),
        lambda t, lib: t.Compose([t.PILToTensor(), t.ConvertImageDtype(lib.float32)]),
    ):
        for kind in ("picture", "grey"):
            pair = sides.both(make(theirs, sides.torch), make(v2, torch), IMAGES[kind])
            assert_same(*pair)
    # Told apart from a tensor, an array is an image with its channels last.
    assert_same(theirs.ToImage()(PIXELS).numpy(), v2.ToImage()(PIXELS)._array())


def test_samples_keep_what_is_no_image() -> None:
    image = Image.fromarray(PIXELS)
    sample = {"image": image, "target": (torch.ones(2), "label", [3])}
    made = v2.Resize((4, 5))(sample)
    assert made["image"].size == (5, 4)
    assert made["target"][0] is sample["target"][0]
    assert made["target"][1:] == ("label", [3])
    tensor, label = v2.Compose([v2.CenterCrop(2), v2.RandomHorizontalFlip()])(
        torch.ones(3, 5, 5), torch.tensor(7)
    )
    assert (tensor.shape, label.item()) == ((3, 2, 2), 7)


def test_images_of_a_sample_are_changed_alike() -> None:
    image = Image.fromarray(PIXELS)
    jitter = v2.Compose([v2.RandomRotation(40), v2.RandomCrop(5), v2.ColorJitter(0.5, 0.5)])
    for seed in range(5):
        torch.manual_seed(seed)
        random.seed(seed)
        one, two = jitter(image, image.copy())
        after = torch.rand(1).item()
        assert one.tobytes() == two.tobytes()
        torch.manual_seed(seed)
        assert jitter(image).tobytes() == one.tobytes()
        assert torch.rand(1).item() == after


def test_own_transforms() -> None:
    class Shift(v2.Transform):
        def make_params(self, flat_inputs: list[Any]) -> dict[str, Any]:
            return {"by": len(flat_inputs)}

        def transform(self, inpt: Any, params: dict[str, Any]) -> Any:
            return inpt + params["by"]

    tensor, other = Shift()(torch.zeros(1), torch.zeros(1))
    assert (tensor.item(), other.item()) == (1, 0)
    with pytest.raises(NotImplementedError):
        v2.Transform()(torch.zeros(1))


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: v2.Compose([]), ValueError, "Pass at least one transform"),
        (lambda: v2.Compose(3), TypeError, "should be a sequence of callables"),
        (lambda: v2.RandomApply([abs], p=2), ValueError, "floating point value in the interval"),
        (lambda: v2.RandomChoice([abs], p=[1, 2]), ValueError, "Length of p doesn't match"),
        (lambda: v2.ToDtype("float"), ValueError, "dtype must be a torch.dtype"),
        (lambda: v2.RandomCrop(99)(Image.fromarray(PIXELS)), ValueError, "is larger than input"),
    ],
)
def test_errors(make: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_functions() -> None:
    image = torch.arange(6.0).view(1, 2, 3)
    assert np.array_equal(v2.functional.horizontal_flip(image), image.flip(-1))
    assert v2.functional.to_dtype(image, torch.int32).dtype is torch.int32
