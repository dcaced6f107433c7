"""Pictures, films and sounds as the files that a browser shows."""

from __future__ import annotations

import io
import warnings
import wave
from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.utils.tensorboard._arrays import Array, as_array, film, picture
from rushlight.utils.tensorboard._protos import Summary


def png(pixels: Array) -> bytes:
    """Pixels (H, W, 3 or 4) as a PNG file."""
    from PIL import Image

    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format="PNG")
    return buffer.getvalue()


def _scaled(pixels: Array, scale: float) -> Array:
    from PIL import Image

    if scale == 1:
        return pixels
    height, width = pixels.shape[:2]
    size = max(1, int(width * scale)), max(1, int(height * scale))
    return np.asarray(Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS))


def _summary(tag: str, pixels: Array) -> Any:
    height, width, channels = pixels.shape
    made = Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=png(pixels)
    )
    return Summary(value=[Summary.Value(tag=tag, image=made)])


def image(tag: str, tensor: Any, rescale: float = 1, dataformats: str = "NCHW") -> Any:
    """A picture, or several in a grid, as a summary.

    Args:
        tag: its name.
        tensor: numbers from 0 to 1, or uint8 from 0 to 255.
        rescale: how many times as large it becomes.
        dataformats: what the axes of ``tensor`` are.

    >>> import rushlight as torch
    >>> from rushlight.utils.tensorboard import summary
    >>> summary.image("noise", torch.rand(4, 3, 8, 8)).value[0].image.width
    32
    """
    return _summary(tag, _scaled(picture(tensor, dataformats), rescale))


def image_boxes(
    tag: str, tensor_image: Any, tensor_boxes: Any, rescale: float = 1, dataformats: str = "CHW",
    labels: Sequence[str] | None = None,
) -> Any:  # fmt: skip
    """A picture with red rectangles on it, as a summary.

    Args:
        tag: its name.
        tensor_image: the picture.
        tensor_boxes: (N, 4): left, top, right and bottom of every rectangle.
        rescale: how many times as large it becomes.
        dataformats: what the axes of the picture are.
        labels: a text for each rectangle.

    >>> import rushlight as torch
    >>> from rushlight.utils.tensorboard import summary
    >>> made = summary.image_boxes("cat", torch.rand(3, 16, 16), torch.tensor([[2, 2, 9, 9]]))
    >>> made.value[0].image.height
    16
    """
    from PIL import Image, ImageDraw

    canvas = Image.fromarray(picture(tensor_image, dataformats))
    draw = ImageDraw.Draw(canvas)
    for place, box in enumerate(as_array(tensor_boxes).reshape(-1, 4).tolist()):
        left, top, right, bottom = box
        corners = [(left, top), (left, bottom), (right, bottom), (right, top), (left, top)]
        draw.line(corners, fill="red", width=2)
        if labels is not None:
            place_of_text = (left + 3, top + 2)
            draw.rectangle(draw.textbbox(place_of_text, labels[place]), fill="red")
            draw.text(place_of_text, labels[place], fill="black")
    return _summary(tag, _scaled(np.asarray(canvas), rescale))


def video(tag: str, tensor: Any, fps: float = 4) -> Any:
    """Films side by side as a summary: an animated GIF.

    Args:
        tag: its name.
        tensor: (N, T, C, H, W), numbers from 0 to 1 or uint8 from 0 to 255.
        fps: how many pictures are shown in a second.

    >>> import rushlight as torch
    >>> from rushlight.utils.tensorboard import summary
    >>> summary.video("noise", torch.rand(4, 3, 1, 8, 8)).value[0].image.width
    16
    """
    from PIL import Image

    frames = film(tensor)
    pictures = [Image.fromarray(frame) for frame in frames]
    buffer = io.BytesIO()
    pictures[0].save(
        buffer, format="GIF", save_all=True, append_images=pictures[1:], duration=1000 / fps,
        loop=0,
    )  # fmt: skip
    height, width, channels = frames[0].shape
    made = Summary.Image(
        height=height, width=width, colorspace=channels, encoded_image_string=buffer.getvalue()
    )
    return Summary(value=[Summary.Value(tag=tag, image=made)])


def audio(tag: str, tensor: Any, sample_rate: int = 44100) -> Any:
    """A sound as a summary: a WAV file of 16 bits.

    Args:
        tag: its name.
        tensor: (L) or (1, L), from -1 to 1; what is outside is cut off, with a warning.
        sample_rate: how many of its numbers make a second.

    Raises:
        AssertionError: there is more than one channel.

    >>> import rushlight as torch
    >>> from rushlight.utils.tensorboard import summary
    >>> summary.audio("hum", torch.arange(800.0).mul(0.1).sin(), 8000).value[0].audio.length_frames
    800
    """
    array = as_array(tensor).squeeze()
    if array.ndim != 1:
        raise AssertionError(
            f"input tensor should be 1 dimensional.\nIts shape is {tuple(array.shape)}; log every "
            "channel under a tag of its own."
        )
    if array.size and np.abs(array).max() > 1:
        warnings.warn("audio amplitude out of range, auto clipped.", stacklevel=2)
        array = array.clip(-1, 1)
    buffer = io.BytesIO()
    with wave.open(buffer, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(sample_rate)
        file.writeframes((array * np.iinfo(np.int16).max).astype("<i2").tobytes())
    made = Summary.Audio(
        sample_rate=sample_rate, num_channels=1, length_frames=array.size,
        encoded_audio_string=buffer.getvalue(), content_type="audio/wav",
    )  # fmt: skip
    return Summary(value=[Summary.Value(tag=tag, audio=made)])
