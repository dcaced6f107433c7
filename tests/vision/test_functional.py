"""The transforms as functions: against torchvision, and what rushlight adds to it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from PIL import Image

import rushlight as torch
from rushlight.vision.transforms import InterpolationMode as Mode, functional
from tests.vision.oracle import IMAGES, PIXELS, Sides, assert_same

PICTURES = ("picture", "grey")
TENSORS = ("bytes", "batch", "floats", "one")
CORNERS = ([[0, 0], [16, 0], [16, 12], [0, 12]], [[1, 2], [14, 1], [15, 11], [2, 10]])
MOVES = (np.random.default_rng(1).random((1, 13, 17, 2), dtype=np.float32) - 0.5) / 5

#: Name, arguments, options. Bytes may be rounded the other way where interpolation meets a half.
CASES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *[("resize", ([7, 9],), {"interpolation": mode}) for mode in Mode],
    *[("resize", (20,), {"interpolation": mode, "antialias": False}) for mode in Mode],
    ("resize", (5,), {"max_size": 6}),
    ("resize", ([5, 6],), {"max_size": 7}),
    ("hflip", (), {}),
    ("vflip", (), {}),
    ("crop", (2, 3, 5, 6), {}),
    ("crop", (-2, -3, 25, 26), {}),
    ("crop", (10, 15, 9, 9), {}),
    ("center_crop", (5,), {}),
    ("center_crop", ([30, 4],), {}),
    ("center_crop", ((40,),), {}),
    ("resized_crop", (2, 3, 5, 6, [8, 9]), {}),
    ("five_crop", (5,), {}),
    ("five_crop", ([50, 5],), {}),
    ("ten_crop", ([4, 5],), {"vertical_flip": True}),
    *[
        ("pad", (padding,), {"padding_mode": mode})
        for mode in ("constant", "edge", "reflect", "symmetric")
        for padding in (2, [1, 2], [1, 2, 3, 4], [-1, 2, 3, -2])
    ],
    ("pad", (2,), {"fill": 7}),
    ("pad", ([2],), {"fill": (1, 2, 3)}),
    ("pad", ([1, 2, 3],), {}),
    ("pad", ("x",), {}),
    ("pad", (1,), {"padding_mode": "other"}),
    ("pad", (1,), {"fill": "red"}),
    *[
        (f"adjust_{what}", (factor,), {})
        for what in ("brightness", "contrast", "saturation", "sharpness")
        for factor in (0, 0.3, 1, 1.7)
    ],
    *[("adjust_hue", (factor,), {}) for factor in (-0.5, -0.2, 0, 0.1, 0.5, 0.7)],
    ("adjust_gamma", (2.2,), {}),
    ("adjust_gamma", (0.5,), {"gain": 1.5}),
    ("adjust_gamma", (-1,), {}),
    *[("rgb_to_grayscale", (channels,), {}) for channels in (1, 2)],
    ("invert", (), {}),
    *[("posterize", (bits,), {}) for bits in (0, 3, 8, 9)],
    ("solarize", (128,), {}),
    ("solarize", (0.5,), {}),
    ("autocontrast", (), {}),
    ("equalize", (), {}),
    *[
        (name, args, {"interpolation": mode, "fill": fill})
        for name, args in (
            ("rotate", (33.3,)),
            ("affine", (-20.0, [2, -3], 1.2, [5.0, -7.0])),
            ("perspective", CORNERS),
        )
        for mode in (Mode.NEAREST, Mode.BILINEAR, Mode.BICUBIC)
        for fill in (None, [0.5], [1.0, 2.0, 3.0])
    ],
    ("rotate", (33.3,), {"expand": True}),
    ("rotate", (90,), {"expand": True}),
    ("rotate", (45.0,), {"center": [2, 3], "interpolation": Mode.BILINEAR}),
    ("rotate", ("x",), {}),
    ("affine", (10, [1, 2], 0.8, 3.0), {"center": [3, 4]}),
    ("affine", (1.0, [0], 1.0, 0.0), {}),
    ("affine", (1.0, [0, 1], 0.0, 0.0), {}),
    ("gaussian_blur", (3,), {}),
    ("gaussian_blur", ([3, 5], [0.5, 1.5]), {}),
    ("gaussian_blur", (4,), {}),
    ("gaussian_blur", (3, -1.0), {}),
    ("elastic_transform", (MOVES,), {}),
    ("elastic_transform", (MOVES,), {"interpolation": Mode.NEAREST, "fill": 0.5}),
    ("get_dimensions", (), {}),
    ("get_image_size", (), {}),
    ("get_image_num_channels", (), {}),
]
ON_TENSORS: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    *[
        ("convert_image_dtype", (dtype,), {})
        for dtype in (
            torch.uint8,
            torch.float32,
            torch.float64,
            torch.int16,
            torch.int32,
            torch.int64,
            torch.float16,
        )
    ],
    ("normalize", ([0.1, 0.2, 0.3], [0.4, 0.5, 0.6]), {}),
    ("normalize", ((0.1,), (0.5,)), {}),
    ("normalize", (0.1, 0.5), {}),
    ("erase", (2, 3, 4, 5, np.full((1, 1, 1), 7, np.float32)), {}),
]
ON_PICTURES: list[tuple[str, tuple[Any, ...], dict[str, Any]]] = [
    ("to_tensor", (), {}),
    ("pil_to_tensor", (), {}),
    ("to_grayscale", (3,), {}),
]


def _title(case: tuple[str, tuple[Any, ...], dict[str, Any]]) -> str:
    return case[0]


@pytest.mark.parametrize("case", CASES, ids=_title)
def test_same_as_torchvision(torchvision: Any, case: Any) -> None:
    compare(torchvision, case, IMAGES)


@pytest.mark.parametrize("case", ON_TENSORS, ids=_title)
def test_tensors_same_as_torchvision(torchvision: Any, case: Any) -> None:
    compare(torchvision, case, TENSORS)


@pytest.mark.parametrize("case", ON_PICTURES, ids=_title)
def test_pictures_same_as_torchvision(torchvision: Any, case: Any) -> None:
    compare(torchvision, case, PICTURES)


def compare(torchvision: Any, case: Any, kinds: Any) -> None:
    name, args, options = case
    sides = Sides(torchvision)
    theirs = getattr(torchvision.transforms.functional, name)
    for kind in kinds:
        pair = sides.both(theirs, getattr(functional, name), IMAGES[kind], *args, **options)
        assert_same(*pair, tolerance=2e-5, odd=0.01 if kind in ("bytes", "batch") else 0.0)


MODES = ["1", "L", "I", "F", "I;16", "P", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"]


@pytest.mark.parametrize("mode", MODES)
def test_modes_of_pictures(torchvision: Any, mode: str) -> None:
    grey = Image.fromarray(PIXELS[..., 0].copy())
    picture = (Image.fromarray(PIXELS) if len(mode) > 3 or mode == "HSV" else grey).convert(mode)
    for name in ("to_tensor", "pil_to_tensor"):
        theirs = getattr(torchvision.transforms.functional, name)(picture).numpy()
        assert_same(theirs, getattr(functional, name)(picture)._array())


@pytest.mark.parametrize(
    ("array", "mode"),
    [
        (PIXELS, None),
        (PIXELS, "HSV"),
        (PIXELS, "L"),
        (PIXELS[..., 0], None),
        (PIXELS[..., :2], None),
        (PIXELS[..., 0].astype(np.int16), None),
        (PIXELS[..., 0].astype(np.int32), None),
        (PIXELS[..., 0].astype(np.int64), None),
        (PIXELS / np.float32(255), None),
        (PIXELS[..., 0] / np.float32(255), "F"),
        (np.zeros((4, 4, 4), np.uint8), None),
        (np.zeros((4, 4, 4), np.uint8), "CMYK"),
        (np.zeros((4, 4, 5), np.uint8), None),
        (np.zeros((2, 2, 2, 2)), None),
    ],
)
def test_arrays_become_pictures(torchvision: Any, array: np.ndarray, mode: Any) -> None:
    def call(library: Any) -> Any:
        try:
            made = library.to_pil_image(array, mode)
        except (TypeError, ValueError) as error:
            return type(error)
        return made.mode, made.size, made.tobytes()

    assert call(torchvision.transforms.functional) == call(functional)


# what needs no torchvision -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("hflip", ()),
        ("vflip", ()),
        ("crop", (1, 2, 3, 4)),
        ("crop", (-1, -2, 9, 9)),
        ("pad", (2,)),
        ("normalize", ((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))),
        ("erase", (1, 1, 2, 2, torch.zeros(1))),
    ],
)
def test_pending_and_differentiable_tensors_give_the_same(name: str, args: Any) -> None:
    ready = torch.arange(3 * 5 * 6.0).view(3, 5, 6)
    ready._array()
    expected = getattr(functional, name)(ready, *args)._array()
    pending = ready + 0
    assert np.array_equal(getattr(functional, name)(pending, *args)._array(), expected)
    leaf = ready.clone().requires_grad_()
    made = getattr(functional, name)(leaf, *args)
    made.sum().backward()
    assert np.array_equal(made.detach()._array(), expected)
    assert leaf.grad.shape == leaf.shape
    assert np.array_equal(ready._array().ravel(), np.arange(90))  # the input stays


def test_colours_are_differentiable() -> None:
    image = torch.rand(3, 4, 5).requires_grad_()
    for change in (functional.adjust_hue, functional.adjust_contrast, functional.adjust_gamma):
        image.grad = None
        change(image, 0.3).sum().backward()
        assert torch.isfinite(image.grad).all()


def test_a_part_is_a_view() -> None:
    image = torch.zeros(1, 4, 4)
    functional.crop(image, 1, 1, 2, 2).fill_(5)
    assert image.sum().item() == 20


def test_more_means_than_channels_is_an_error() -> None:
    for image in (torch.ones(1, 2, 2), torch.ones(1, 2, 2) + 0):
        with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
            functional.normalize(image, (0.5, 0.5, 0.5), (0.5, 0.5, 0.5))


def test_a_compiled_function_keeps_its_flip() -> None:
    def double(image: Any) -> Any:
        return functional.normalize(functional.hflip(image), (1.0,), (2.0,)) * 2

    quick = torch.compile(double)
    for number in range(4):
        image = torch.arange(6.0).view(1, 2, 3) + number
        assert np.array_equal(quick(image)._array(), double(image)._array())


def test_memory_seen_from_outside_is_read_anew() -> None:
    image = torch.zeros(1, 1, 2)
    outside = image.numpy()
    outside[...] = [[[1, 2]]]
    assert functional.hflip(image).tolist() == [[[2, 1]]]
