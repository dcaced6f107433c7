"""Random transforms: torchvision's choices and numbers for one seed, and their representations."""

from __future__ import annotations

import json
import math
import random
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rushlight as torch
from rushlight.engine.core import sampling
from rushlight.engine.core.mt19937 import Engine
from rushlight.vision import transforms
from rushlight.vision.transforms._functional import draws
from tests.vision.oracle import IMAGES, PIXELS, Sides, assert_same

RECORDED = Path(__file__).with_name("recorded_choices.json")
BILINEAR = "bilinear"

#: Makes a transform from a library's module of transforms.
Make = Callable[[Any], Any]


def _mode(t: Any, name: str) -> Any:
    return t.InterpolationMode(name)


EVERYWHERE: list[Make] = [
    lambda t: t.RandomHorizontalFlip(),
    lambda t: t.RandomVerticalFlip(0.3),
    lambda t: t.RandomCrop(9),
    lambda t: t.RandomCrop((9, 10), padding=3),
    lambda t: t.RandomCrop(20, pad_if_needed=True),
    lambda t: t.RandomCrop(20),
    lambda t: t.RandomCrop(12, 4, padding_mode="reflect"),
    lambda t: t.RandomCrop((13, 17)),
    lambda t: t.RandomResizedCrop(8),
    lambda t: t.RandomResizedCrop((6, 8), scale=(0.9, 1.0), ratio=(3.0, 4.0)),
    lambda t: t.RandomRotation(30),
    lambda t: t.RandomRotation((10, 20), expand=True, fill=3),
    lambda t: t.RandomRotation(40, interpolation=_mode(t, BILINEAR), center=(1, 2)),
    lambda t: t.RandomAffine(30),
    lambda t: t.RandomAffine((-10, 30), (0.1, 0.2), (0.7, 1.3), 10),
    lambda t: t.RandomAffine(
        5, shear=(-3, 3, -4, 4), interpolation=_mode(t, BILINEAR), fill=2, center=(3, 4)
    ),
    lambda t: t.RandomPerspective(),
    lambda t: t.RandomPerspective(0.3, 1.0, fill=1),
    lambda t: t.ColorJitter(0.4, 0.3, 0.2, 0.1),
    lambda t: t.ColorJitter(brightness=(0.5, 0.7)),
    lambda t: t.ColorJitter(),
    lambda t: t.Grayscale(3),
    lambda t: t.RandomGrayscale(0.5),
    lambda t: t.Pad((1, 2), 3, "edge"),
    lambda t: t.Pad((1, 2, 3, 4), padding_mode="symmetric"),
    lambda t: t.FiveCrop(5),
    lambda t: t.TenCrop((4, 5)),
    lambda t: t.CenterCrop(5),
    lambda t: t.Resize(20),
    lambda t: t.GaussianBlur(3),
    lambda t: t.RandomInvert(),
    lambda t: t.RandomSolarize(100),
    lambda t: t.RandomAdjustSharpness(2),
    lambda t: t.RandomAutocontrast(),
    lambda t: t.RandomApply([t.RandomHorizontalFlip(), t.RandomCrop(5)], p=0.4),
    lambda t: t.RandomChoice([t.RandomHorizontalFlip(), t.RandomCrop(5)], p=[0.3, 0.7]),
    lambda t: t.RandomOrder([t.RandomHorizontalFlip(), t.RandomCrop(5), t.Pad(1)]),
]
ON_BYTES: list[Make] = [
    lambda t: t.RandomPosterize(3),
    lambda t: t.RandomEqualize(),
    *[
        lambda t, name=name: t.AutoAugment(t.AutoAugmentPolicy(name))
        for name in ("imagenet", "cifar10", "svhn")
    ],
    lambda t: t.RandAugment(),
    lambda t: t.RandAugment(3, 15, fill=7),
    lambda t: t.TrivialAugmentWide(),
    lambda t: t.AugMix(),
    lambda t: t.AugMix(5, 2, 1, 0.7, all_ops=False, fill=9),
]
ON_FLOATS: list[Make] = [
    lambda t: t.RandomErasing(),
    lambda t: t.RandomErasing(0.9, value="random"),
    lambda t: t.RandomErasing(1.0, value=(1, 2, 3)),
    lambda t: t.RandomErasing(1.0, value=(1, 2)),
    lambda t: t.RandomErasing(1.0, scale=(0.9, 1.0), ratio=(5.0, 6.0)),
    lambda t: t.Normalize((0.5, 0.4, 0.3), (0.1, 0.2, 0.3)),
]
ON_PICTURES: list[Make] = [
    lambda t: t.ElasticTransform(alpha=20.0, sigma=1.0),
    lambda t: t.Compose(
        [
            t.RandomResizedCrop(10),
            t.RandomHorizontalFlip(),
            t.ToTensor(),
            t.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.4)),
            t.RandomErasing(),
        ]
    ),
]


def _title(make: Make) -> str:
    return type(make(transforms)).__name__


def compare(torchvision: Any, make: Make, kinds: tuple[str, ...], seeds: int) -> None:
    theirs, ours = make(torchvision.transforms), make(transforms)
    assert repr(theirs) == repr(ours)
    sides = Sides(torchvision)
    for kind in kinds:
        for seed in range(seeds):
            sides.seed(seed)
            # Python's generator, which some choices come from, starts anew for either side.
            pair = sides.both(_from(seed, theirs), _from(seed, ours), IMAGES[kind])
            warped = any(name in repr(ours) for name in ("Perspective", "AugMix"))
            exact = kind == "picture" and not warped
            # Nearest neighbours at equal distances may be told apart differently.
            odd = 0.0 if exact else 0.02
            if kind == "bytes" and "Augment" in repr(ours):
                assert pair[0].shape == pair[1].shape
                assert np.count_nonzero(pair[0] != pair[1]) <= 0.02 * pair[0].size
            else:
                assert_same(*pair, tolerance=5e-5, odd=odd)
            assert sides.same_state()


def _from(seed: int, transform: Any) -> Callable[[Any], Any]:
    def call(image: Any) -> Any:
        random.seed(seed)
        return transform(image)

    return call


@pytest.mark.parametrize("make", EVERYWHERE, ids=_title)
def test_same_as_torchvision(torchvision: Any, make: Make) -> None:
    compare(torchvision, make, ("picture", "bytes", "floats"), 8)


@pytest.mark.parametrize("make", ON_BYTES, ids=_title)
def test_bytes_same_as_torchvision(torchvision: Any, make: Make) -> None:
    compare(torchvision, make, ("picture", "bytes"), 20)


@pytest.mark.parametrize("make", ON_FLOATS, ids=_title)
def test_tensors_same_as_torchvision(torchvision: Any, make: Make) -> None:
    compare(torchvision, make, ("floats",), 30)


@pytest.mark.parametrize("make", ON_PICTURES, ids=_title)
def test_pictures_same_as_torchvision(torchvision: Any, make: Make) -> None:
    compare(torchvision, make, ("picture",), 30)


# recorded choices: without torchvision, too ------------------------------------------------------


def choices(t: Any, torch: Any) -> dict[str, list[Any]]:
    """What the random transforms of a library choose, seed by seed."""
    image = Image.fromarray(PIXELS)
    tensor = torch.zeros(3, 13, 17)
    draw: dict[str, Callable[[], Any]] = {
        "RandomCrop": lambda: t.RandomCrop.get_params(image, (9, 10)),
        "RandomResizedCrop": lambda: t.RandomResizedCrop.get_params(
            image, (0.08, 1.0), (3 / 4, 4 / 3)
        ),
        "RandomRotation": lambda: t.RandomRotation.get_params([-30.0, 30.0]),
        "RandomAffine": lambda: t.RandomAffine.get_params(
            [-10.0, 30.0], (0.1, 0.2), (0.7, 1.3), [-3.0, 3.0, -4.0, 4.0], [17, 13]
        ),
        "RandomPerspective": lambda: t.RandomPerspective.get_params(17, 13, 0.5)[1],
        "ColorJitter": lambda: [
            x.tolist() if hasattr(x, "tolist") else x
            for x in t.ColorJitter.get_params((0.5, 1.5), None, (0.1, 1.9), (-0.1, 0.1))
        ],
        "GaussianBlur": lambda: t.GaussianBlur.get_params(0.1, 2.0),
        "RandomErasing": lambda: t.RandomErasing.get_params(
            tensor, (0.02, 0.33), (0.3, 3.3), [0.0]
        )[:4],
        "flips": lambda: [
            t.RandomHorizontalFlip()(torch.arange(2).view(1, 1, 2)).flatten().tolist()
            for _ in range(4)
        ],
    }
    made: dict[str, list[Any]] = {}
    for name, call in draw.items():
        made[name] = []
        for seed in range(12):
            torch.manual_seed(seed)
            made[name].append([call(), torch.rand(1).item()])
    return made


def test_choices_as_recorded() -> None:
    recorded = json.loads(RECORDED.read_text("utf-8"))
    assert json.loads(json.dumps(choices(transforms, torch))) == recorded


def test_choices_recorded_are_torchvisions(torchvision: Any) -> None:
    theirs = choices(torchvision.transforms, Sides(torchvision).torch)
    assert json.loads(json.dumps(theirs)) == json.loads(RECORDED.read_text("utf-8"))


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 0.3), (1.0, 2.0), (-3.7, 12.9)])
def test_single_draws_are_those_of_tensors(low: float, high: float) -> None:
    torch.manual_seed(3)
    drawn = [draws.uniform(low, high) for _ in range(3000)]
    assert drawn == sampling.uniform(Engine(3), (3000,), low=low, high=high).tolist()
    torch.manual_seed(3)
    assert [draws.rand() for _ in range(50)] == sampling.uniform(Engine(3), (50,)).tolist()
    torch.manual_seed(3)
    wide = [draws.integer(-5, 2**40) for _ in range(50)]
    assert wide == sampling.randint(Engine(3), (50,), -5, 2**40).tolist()


def test_draws_have_the_default_type() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        torch.manual_seed(1)
        drawn = [draws.rand(), draws.uniform(2.0, 3.0), draws.below(0.5)]
        torch.manual_seed(1)
        expected = [
            torch.rand(1).item(),
            torch.empty(1).uniform_(2.0, 3.0).item(),
            bool(torch.rand(1) < 0.5),
        ]
    finally:
        torch.set_default_dtype(torch.float32)
    assert drawn == expected


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: transforms.Lambda(3), TypeError, "Argument lambd should be callable, got 'int'"),
        (lambda: transforms.RandomChoice(3), TypeError, "transforms should be a sequence"),
        (lambda: transforms.RandomChoice([abs], p=1), TypeError, "Argument p should be a sequence"),
        (lambda: transforms.CenterCrop((1, 2, 3)), ValueError, "Please provide only two dimens"),
        (lambda: transforms.Pad((1, 2, 3)), ValueError, "1, 2, or 4 element tuple, not a 3"),
        (lambda: transforms.Pad(1, padding_mode="no"), ValueError, "Padding mode should be either"),
        (lambda: transforms.RandomResizedCrop(3, scale=1), TypeError, "Scale should be a sequence"),
        (lambda: transforms.RandomRotation(-1), ValueError, "If degrees is a single number"),
        (lambda: transforms.RandomRotation((1, 2, 3)), ValueError, "sequence of length 2"),
        (lambda: transforms.RandomRotation(1, fill={}), TypeError, "Fill should be either"),
        (lambda: transforms.RandomAffine(1, (2, 0)), ValueError, "translation values should be"),
        (lambda: transforms.RandomAffine(1, scale=(0, 1)), ValueError, "scale values should be"),
        (lambda: transforms.RandomAffine(1, shear=(1, 2, 3)), ValueError, "length 2 or 4"),
        (lambda: transforms.ColorJitter(-1), ValueError, "If brightness is a single number, it"),
        (lambda: transforms.ColorJitter(hue=0.6), ValueError, "hue values should be between"),
        (lambda: transforms.ColorJitter(contrast="x"), TypeError, "contrast should be a single"),
        (lambda: transforms.RandomErasing(value="x"), ValueError, "it should be 'random'"),
        (lambda: transforms.RandomErasing(p=2), ValueError, "between 0 and 1"),
        (lambda: transforms.RandomErasing(scale=(0, 2)), ValueError, "Scale should be between"),
        (lambda: transforms.GaussianBlur(2), ValueError, "should be an odd and positive number"),
        (lambda: transforms.GaussianBlur(3, 0), ValueError, "it must be positive"),
        (lambda: transforms.GaussianBlur(3, (2, 1)), ValueError, "of the form"),
        (lambda: transforms.ElasticTransform(3), TypeError, "alpha should be float or a sequence"),
        (lambda: transforms.AutoAugment("x"), ValueError, "The provided policy x is not recogn"),
    ],
)
def test_errors(make: Callable[[], Any], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make()


def test_linear_transformation() -> None:
    whiten = transforms.LinearTransformation(2 * torch.eye(12), torch.ones(12))
    assert whiten(torch.full((5, 3, 2, 2), 3.0)).tolist() == torch.full((5, 3, 2, 2), 4.0).tolist()
    with pytest.raises(ValueError, match="incompatible shape"):
        whiten(torch.ones(3, 2, 3))
    with pytest.raises(ValueError, match="should be square"):
        transforms.LinearTransformation(torch.ones(2, 3), torch.ones(2))


def test_expected_area_of_a_random_part() -> None:
    torch.manual_seed(0)
    image = Image.new("RGB", (200, 100))
    parts = [
        transforms.RandomResizedCrop.get_params(image, (0.25, 0.25), (0.5, 2.0)) for _ in range(200)
    ]
    assert all(abs(h * w - 5000) < 300 for _, _, h, w in parts)
    assert {h > w for _, _, h, w in parts} == {True, False}
    assert math.isclose(np.mean([w / h > 1 for _, _, h, w in parts]), 0.5, abs_tol=0.2)


if __name__ == "__main__":  # writes the record anew, where torchvision is
    from tests.vision.oracle import load_torchvision

    vision = load_torchvision()
    found = choices(vision.transforms, sys.modules["torch"])
    lines = [f"{json.dumps(name)}: {json.dumps(rows)}" for name, rows in found.items()]
    RECORDED.write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")
