"""Pictures go to bytes and files and come back."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rushlight
from rushlight.vision.io import (
    ImageReadMode,
    decode_gif,
    decode_image,
    decode_jpeg,
    decode_png,
    decode_webp,
    encode_jpeg,
    encode_png,
    read_file,
    read_image,
    write_file,
    write_jpeg,
    write_png,
)


def picture(channels: int = 3) -> Any:
    """Random points, (C, 6, 8)."""
    generator = np.random.default_rng(0)
    return rushlight.from_numpy(generator.integers(256, size=(channels, 6, 8)).astype(np.uint8))


def encoded(image: Image.Image, kind: str, **options: Any) -> Any:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return rushlight.from_numpy(np.frombuffer(bytearray(file.getvalue()), np.uint8))


@pytest.mark.parametrize("channels", [1, 3])
def test_png_keeps_every_point(channels: int, tmp_path: Path) -> None:
    image = picture(channels)
    file = tmp_path / "a.png"
    write_png(image, file, compression_level=9)
    for back in (read_image(str(file)), decode_png(encode_png(image)), decode_image(file)):
        assert back.dtype == rushlight.uint8
        assert rushlight.equal(back, image)


def test_jpeg_keeps_nearly_every_point(tmp_path: Path) -> None:
    smooth = rushlight.arange(64, dtype=rushlight.uint8).reshape(1, 8, 8).expand(3, 8, 8)
    file = tmp_path / "a.jpg"
    write_jpeg(smooth, file, quality=95)
    back = read_image(file)
    assert back.shape == (3, 8, 8)
    assert (back.float() - smooth.float()).abs().max() < 5
    both = decode_jpeg(encode_jpeg([smooth, smooth], quality=95))
    assert all(rushlight.equal(one, back) for one in both)


@pytest.mark.parametrize("mode", ImageReadMode)
def test_modes(mode: ImageReadMode) -> None:
    image = Image.fromarray(picture(4).permute(1, 2, 0).numpy())
    back = decode_image(encoded(image, "PNG"), mode)
    pillow = {"GRAY": "L", "GRAY_ALPHA": "LA", "RGB": "RGB"}.get(mode.name, "RGBA")
    expected = np.array(image.convert(pillow))
    expected = expected[:, :, None] if expected.ndim == 2 else expected
    np.testing.assert_array_equal(back.permute(1, 2, 0).numpy(), expected)
    assert rushlight.equal(decode_image(encoded(image, "PNG"), mode.name.lower()), back)


def test_palettes_sixteen_bits_turned_pictures() -> None:
    image = Image.fromarray(picture().permute(1, 2, 0).numpy())
    assert decode_image(encoded(image.quantize(4), "PNG")).shape == (3, 6, 8)
    deep = np.arange(48, dtype=np.uint16).reshape(6, 8) * 1000
    back = decode_image(encoded(Image.fromarray(deep), "PNG"))
    assert back.dtype == rushlight.uint16
    np.testing.assert_array_equal(back.numpy()[0], deep)
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was held upright
    data = encoded(image, "JPEG", exif=exif)
    assert decode_image(data).shape == (3, 6, 8)
    assert decode_image(data, apply_exif_orientation=True).shape == (3, 8, 6)


def test_moving_pictures_and_webp() -> None:
    frames = [Image.new("RGB", (4, 3), color) for color in ("red", "blue")]
    moving = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    assert decode_gif(moving).shape == (2, 3, 3, 4)
    assert decode_gif(moving)[1, 2].unique().tolist() == [255]
    assert decode_gif(encoded(frames[0], "GIF")).shape == (3, 3, 4)
    still = encoded(frames[0], "WEBP", lossless=True)
    assert decode_webp(still)[:, 0, 0].tolist() == [255, 0, 0]


def test_files(tmp_path: Path) -> None:
    data = rushlight.arange(200, dtype=rushlight.uint8)
    write_file(tmp_path / "a", data)
    assert rushlight.equal(read_file(tmp_path / "a"), data)
    with pytest.raises(FileNotFoundError):
        read_image(tmp_path / "b")
    with pytest.raises(RuntimeError, match="Unsupported image file"):
        decode_image(data)
    with pytest.raises(RuntimeError, match="Unsupported image file"):
        decode_png(encode_jpeg(picture()))
    with pytest.raises(RuntimeError, match="Unsupported image file"):
        decode_gif(data)
    with pytest.raises(RuntimeError, match="data type should be uint8"):
        decode_image(data.float())


def test_what_cannot_be_encoded() -> None:
    with pytest.raises(RuntimeError, match="Input tensor dtype should be uint8"):
        encode_png(rushlight.zeros(3, 2, 2))
    with pytest.raises(RuntimeError, match="channels should be 1 or 3, got: 4"):
        encode_png(picture(4))
    with pytest.raises(RuntimeError, match="3-dimensional tensor"):
        encode_jpeg(picture()[0])
    with pytest.raises(RuntimeError, match="level should be between 0 and 9"):
        encode_png(picture(), 10)
    with pytest.raises(ValueError, match="positive number between 1 and 100"):
        encode_jpeg(picture(), 0)
    with pytest.raises(ValueError, match="at least one input tensor"):
        encode_jpeg([])
    with pytest.raises(ValueError, match="at least one element"):
        decode_jpeg([])
