"""Pictures in files and in bytes, as tensors, read and written by Pillow."""

from __future__ import annotations

import io
import os
from enum import Enum
from typing import Any

import numpy as np

import rushlight as torch
from rushlight._tensor import Tensor

__all__ = [
    "ImageReadMode",
    "decode_gif",
    "decode_image",
    "decode_jpeg",
    "decode_png",
    "decode_webp",
    "encode_jpeg",
    "encode_png",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]

File = str | os.PathLike[str]


class ImageReadMode(Enum):
    """Which channels a picture shall have.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.ImageReadMode.html
    """

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4
    RGBA = RGB_ALPHA


#: Pillow's names for them.
_MODES = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}

#: What becomes of a file's own mode when nothing is asked for: bytes, with as many channels.
_UNCHANGED = {"1": "L", "P": "RGB", "CMYK": "RGB", "YCbCr": "RGB", "I;16": "I;16"}


def read_file(path: File) -> Tensor:
    """The bytes of a file.

    Args:
        path: its name.

    Returns:
        uint8, one dimension.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.read_file.html
    """
    with open(path, "rb") as file:
        return torch.from_numpy(np.frombuffer(bytearray(file.read()), np.uint8))


def write_file(filename: File, data: Tensor) -> None:
    """Write bytes to a file.

    Args:
        filename: its name.
        data: uint8, one dimension.

    Raises:
        RuntimeError: another dtype or shape.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.write_file.html
    """
    content = _bytes(data)
    with open(filename, "wb") as file:
        file.write(content)


def _bytes(data: Any) -> bytes:
    if data.dtype != torch.uint8:
        raise RuntimeError("Input tensor data type should be uint8")
    if data.dim() != 1:
        raise RuntimeError("Input data should be a 1-dimensional tensor")
    return data.numpy().tobytes()


def decode_image(
    input: Tensor | File,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """A picture from its encoded bytes; the kind of file is found out.

    Args:
        input: uint8, one dimension; or the file's name.
        mode: which channels it shall have.
        apply_exif_orientation: whether it is turned as the camera says.

    Returns:
        uint8 (C, H, W), values 0 to 255; uint16 for files of 16 bits.

    Raises:
        RuntimeError: the bytes are no picture.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.decode_image.html

    >>> import rushlight as torch
    >>> from rushlight.vision.io import decode_image, encode_png
    >>> decode_image(encode_png(torch.full((3, 2, 4), 7, dtype=torch.uint8))).shape
    torch.Size([3, 2, 4])
    """
    return _decode(input, mode, apply_exif_orientation, None)


def _decode(
    input: Tensor | File, mode: ImageReadMode | str, turn: bool, kinds: tuple[str, ...] | None
) -> Tensor:
    from PIL import Image, ImageOps, UnidentifiedImageError

    wanted = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    data = input if isinstance(input, Tensor) else read_file(input)
    try:
        with Image.open(io.BytesIO(_bytes(data)), formats=kinds) as opened:
            image: Any = ImageOps.exif_transpose(opened) if turn else opened
            image.load()
    except (UnidentifiedImageError, OSError) as error:
        raise RuntimeError(
            f"Unsupported image file: {error}. Pillow reads the file, and it must be whole"
        ) from error
    target = _MODES.get(wanted) or _UNCHANGED.get(image.mode, image.mode)
    if wanted is ImageReadMode.UNCHANGED and image.mode == "P" and "transparency" in image.info:
        target = "RGBA"
    array = np.array(image if image.mode == target else image.convert(target))
    array = array[:, :, None] if array.ndim == 2 else array
    return torch.from_numpy(np.ascontiguousarray(array.transpose(2, 0, 1)))


def decode_png(
    input: Tensor,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """A picture from the bytes of a PNG file; arguments and result as ``decode_image``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.decode_png.html
    """
    return _decode(input, mode, apply_exif_orientation, ("PNG",))


def decode_jpeg(
    input: Tensor | list[Tensor],
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    device: Any = "cpu",
    apply_exif_orientation: bool = False,
) -> Tensor | list[Tensor]:
    """A picture from the bytes of a JPEG file, or a list of them.

    Args:
        input: uint8, one dimension; or a list of such.
        mode: which channels it shall have.
        device: where the result shall be.
        apply_exif_orientation: whether it is turned as the camera says.

    Returns:
        uint8 (C, H, W), or a list.

    Raises:
        ValueError: an empty list.
        RuntimeError: the bytes are no such picture.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.decode_jpeg.html
    """
    if isinstance(input, list):
        if not input:
            raise ValueError("Input list must contain at least one element")
        return [_decode(one, mode, apply_exif_orientation, ("JPEG",)).to(device) for one in input]
    return _decode(input, mode, apply_exif_orientation, ("JPEG",)).to(device)


def decode_webp(input: Tensor, mode: ImageReadMode | str = ImageReadMode.UNCHANGED) -> Tensor:
    """A picture from the bytes of a WebP file; arguments and result as ``decode_image``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.decode_webp.html
    """
    return _decode(input, mode, False, ("WEBP",))


def decode_gif(input: Tensor) -> Tensor:
    """The pictures of a GIF file.

    Args:
        input: uint8, one dimension.

    Returns:
        uint8 (3, H, W), or (N, 3, H, W) where it moves.

    Raises:
        RuntimeError: the bytes are no such picture.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.decode_gif.html
    """
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(io.BytesIO(_bytes(input)), formats=("GIF",)) as image:
            frames = [np.array(f.convert("RGB")) for f in ImageSequence.Iterator(image)]
    except (UnidentifiedImageError, OSError) as error:
        raise RuntimeError(f"Unsupported image file: {error}. It is no whole GIF file") from error
    array = np.stack(frames).transpose(0, 3, 1, 2)
    return torch.from_numpy(np.ascontiguousarray(array[0] if len(frames) == 1 else array))


def read_image(
    path: File,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """A picture from its file; arguments and result as ``decode_image``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.read_image.html
    """
    return decode_image(read_file(path), mode, apply_exif_orientation)


def _encode(input: Any, kind: str, **options: Any) -> Tensor:
    from PIL import Image

    if input.dtype != torch.uint8:
        raise RuntimeError("Input tensor dtype should be uint8")
    if input.dim() != 3:
        raise RuntimeError("Input data should be a 3-dimensional tensor")
    if input.size(0) not in (1, 3):
        raise RuntimeError(f"The number of channels should be 1 or 3, got: {input.size(0)}")
    array = np.ascontiguousarray(input.numpy().transpose(1, 2, 0))
    image = Image.fromarray(array[:, :, 0] if array.shape[2] == 1 else array)
    file = io.BytesIO()
    image.save(file, kind, **options)
    return torch.from_numpy(np.frombuffer(bytearray(file.getvalue()), np.uint8))


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes of a PNG file.

    Args:
        input: uint8 (C, H, W), one or three channels.
        compression_level: 0 to 9; higher is smaller and slower.

    Returns:
        uint8, one dimension.

    Raises:
        RuntimeError: another dtype or shape, or level.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.encode_png.html
    """
    if not 0 <= compression_level <= 9:
        raise RuntimeError("Compression level should be between 0 and 9")
    return _encode(input, "PNG", compress_level=compression_level)


def write_png(input: Tensor, filename: File, compression_level: int = 6) -> None:
    """Write a PNG file; arguments as ``encode_png``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.write_png.html
    """
    write_file(filename, encode_png(input, compression_level))


def encode_jpeg(input: Tensor | list[Tensor], quality: int = 75) -> Tensor | list[Tensor]:
    """The bytes of a JPEG file, or of several.

    Args:
        input: uint8 (C, H, W), one or three channels; or a list of such.
        quality: 1 to 100.

    Returns:
        uint8, one dimension; or a list.

    Raises:
        ValueError: another quality, or an empty list.
        RuntimeError: another dtype or shape.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.encode_jpeg.html
    """
    if quality < 1 or quality > 100:
        raise ValueError("Image quality should be a positive number between 1 and 100")
    if isinstance(input, list):
        if not input:
            raise ValueError("encode_jpeg requires at least one input tensor when a list is passed")
        return [_encode(one, "JPEG", quality=quality) for one in input]
    return _encode(input, "JPEG", quality=quality)


def write_jpeg(input: Tensor, filename: File, quality: int = 75) -> None:
    """Write a JPEG file; arguments as ``encode_jpeg``, one picture.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.io.write_jpeg.html
    """
    encoded: Any = encode_jpeg(input, quality)
    write_file(filename, encoded)
