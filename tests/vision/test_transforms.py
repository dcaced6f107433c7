"""The transforms of images; expected figures come from torchvision 0.28."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

import rushlight as torch
from rushlight.vision import transforms
from rushlight.vision.transforms import InterpolationMode, functional


def ramp(width: int = 4, height: int = 3, mode: str = "L") -> Image.Image:
    pixels = np.arange(width * height, dtype=np.uint8).reshape(height, width) * 20
    return Image.fromarray(pixels).convert(mode)


def test_repr() -> None:
    composed = transforms.Compose(
        [
            transforms.Resize(32),
            transforms.Resize((32, 16), InterpolationMode.NEAREST_EXACT, antialias=None),
            transforms.ToTensor(),
            transforms.Normalize((0.5,), (0.5,)),
            transforms.Normalize([0.1, 0.2, 0.3], [1, 2, 3], True),
        ]
    )
    expected = """\
Compose(
    Resize(size=32, interpolation=bilinear, max_size=None, antialias=True)
    Resize(size=(32, 16), interpolation=nearest-exact, max_size=None, antialias=None)
    ToTensor()
    Normalize(mean=(0.5,), std=(0.5,))
    Normalize(mean=[0.1, 0.2, 0.3], std=[1, 2, 3])
)"""
    assert repr(composed) == expected


def test_compose_calls_in_order() -> None:
    assert transforms.Compose([str, len])(1234) == 4


@pytest.mark.parametrize(
    ("size", "options", "expected"),
    [
        (6, {}, (8, 6)),
        ([6], {}, (8, 6)),
        ((5, 7), {}, (7, 5)),
        (6, {"max_size": 7}, (7, 5)),
        (3, {}, (4, 3)),
        (2, {}, (2, 2)),
    ],
)
def test_resized_shapes(size, options, expected) -> None:
    assert transforms.Resize(size, **options)(ramp()).size == expected
    turned = ramp().transpose(Image.Transpose.ROTATE_90)
    if not isinstance(size, tuple):
        assert transforms.Resize(size, **options)(turned).size == expected[::-1]


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (InterpolationMode.NEAREST, [[0, 20, 20, 40, 40, 60], [160, 180, 180, 200, 200, 220]]),
        (
            InterpolationMode.NEAREST_EXACT,
            [[0, 20, 20, 40, 40, 60], [160, 180, 180, 200, 200, 220]],
        ),
        (InterpolationMode.BILINEAR, [[30, 40, 53, 67, 80, 90], [130, 140, 153, 167, 180, 190]]),
        (InterpolationMode.BICUBIC, [[24, 33, 48, 62, 77, 86], [134, 143, 158, 172, 187, 196]]),
        (InterpolationMode.BOX, [[40, 60, 60, 80, 100, 100], [160, 180, 180, 200, 220, 220]]),
        (InterpolationMode.HAMMING, [[22, 32, 43, 61, 72, 82], [138, 148, 159, 177, 188, 198]]),
        (InterpolationMode.LANCZOS, [[21, 29, 46, 58, 75, 83], [137, 145, 162, 174, 191, 199]]),
    ],
)
def test_resized_values(mode, expected) -> None:
    image = transforms.Resize((2, 6), mode)(ramp())
    assert np.asarray(image).tolist() == expected


def test_right_size_stays_the_same_image() -> None:
    image = ramp()
    assert transforms.Resize((3, 4))(image) is image


def test_pillow_numbers_are_modes() -> None:
    assert transforms.Resize(3, interpolation=0).interpolation is InterpolationMode.NEAREST
    assert transforms.Resize(3, interpolation=1).interpolation is InterpolationMode.LANCZOS


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: transforms.Resize(2.5), TypeError, "Size should be int or sequence. Got <class"),
        (lambda: transforms.Resize((1, 2, 3)), ValueError, "it should have 1 or 2 values"),
        (lambda: transforms.Resize(3, "linear"), TypeError, "Argument interpolation should be a"),
        (lambda: functional.resize(ramp(), (1, 2, 3)), ValueError, "Size must be an int or a 1 or"),
        (lambda: functional.resize(ramp(), (3, 3), max_size=4), ValueError, "max_size should only"),
        (lambda: functional.resize(ramp(), 3, max_size=3), ValueError, "must be strictly greater"),
        (lambda: functional.resize("image", 3), TypeError, "img should be PIL Image. Got <class"),
        (lambda: functional.to_tensor([1]), TypeError, "pic should be PIL Image or ndarray. Got"),
        (lambda: functional.to_tensor(np.ones(3)), ValueError, "pic should be 2/3 dimensional."),
        (lambda: functional.normalize(ramp(), 0, 1), TypeError, "img should be Tensor Image. Got"),
        (
            lambda: functional.normalize(torch.ones(1, 2, 2, dtype=torch.int64), 0, 1),
            TypeError,
            r"Input tensor should be a float tensor. Got torch.int64\.",
        ),
        (
            lambda: functional.normalize(torch.ones(2, 2), 0, 1),
            ValueError,
            r"image of size \(..., C, H, W\). Got tensor.size\(\) = torch.Size\(\[2, 2\]\)",
        ),
        (
            lambda: functional.normalize(torch.ones(1, 2, 2), [0.0], [1e-60]),
            ValueError,
            "std evaluated to zero after conversion to torch.float32, leading to division by zero",
        ),
    ],
)
def test_errors(call, error, message) -> None:
    with pytest.raises(error, match=message):
        call()


def test_antialias_cannot_be_switched_off() -> None:
    with pytest.warns(UserWarning, match="Anti-alias option is always applied for PIL Image input"):
        functional.resize(ramp(), 6, antialias=False)


@pytest.mark.parametrize(
    ("mode", "dtype", "channels", "first"),
    [
        ("L", torch.float32, 1, 20 / 255),
        ("RGB", torch.float32, 3, 20 / 255),
        ("1", torch.float32, 1, 0.0),
        ("I", torch.int32, 1, 20),
        ("F", torch.float32, 1, 20.0),
        ("I;16", torch.int16, 1, 20),
    ],
)
def test_pictures_become_tensors(mode, dtype, channels, first) -> None:
    tensor = transforms.ToTensor()(ramp(mode=mode))
    assert (tensor.shape, tensor.dtype) == ((channels, 3, 4), dtype)
    assert tensor.is_contiguous()
    assert tensor[0, 0, 1].item() == pytest.approx(first)


def test_black_and_white_reaches_one() -> None:
    assert transforms.ToTensor()(Image.new("1", (1, 1), 1)).item() == 1.0


def test_arrays_become_tensors() -> None:
    array = np.arange(24, dtype=np.float64).reshape(2, 3, 4)
    tensor = transforms.ToTensor()(array)
    assert (tensor.shape, tensor.dtype) == ((4, 2, 3), torch.float64)
    assert np.array_equal(tensor.numpy(), array.transpose(2, 0, 1))
    assert transforms.ToTensor()(np.full((2, 3), 51, np.uint8)).tolist() == [
        [[np.float32(0.2)] * 3] * 2
    ]


def test_the_default_type_is_used() -> None:
    torch.set_default_dtype(torch.float64)
    try:
        assert transforms.ToTensor()(ramp()).dtype is torch.float64
    finally:
        torch.set_default_dtype(torch.float32)


def test_normalize_channel_by_channel() -> None:
    image = torch.arange(8.0).view(2, 2, 2)
    result = transforms.Normalize((1.0, 4.0), (2.0, 0.5))(image)
    assert result.tolist() == [[[-0.5, 0.0], [0.5, 1.0]], [[0.0, 2.0], [4.0, 6.0]]]
    assert image.tolist() == [[[0.0, 1.0], [2.0, 3.0]], [[4.0, 5.0], [6.0, 7.0]]]
    assert transforms.Normalize(1.0, 2.0)(image.unsqueeze(0)).shape == (1, 2, 2, 2)


def test_normalize_in_place() -> None:
    image = torch.ones(1, 2, 2)
    assert transforms.Normalize((0.5,), (0.5,), inplace=True)(image) is image
    assert image.tolist() == [[[1.0, 1.0], [1.0, 1.0]]]
    with pytest.raises(ValueError, match="std evaluated to zero"):
        transforms.Normalize((0.5,), (0.0,), inplace=True)(image)
