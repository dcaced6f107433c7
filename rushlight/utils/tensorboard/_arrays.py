"""What may be logged as NumPy arrays, and pictures in the one layout that PNG files have."""

from __future__ import annotations

from math import ceil
from typing import Any

import numpy as np

from rushlight._tensor import Tensor

Array = np.ndarray[Any, Any]


def as_array(x: Any) -> Array:
    """A tensor, an array, a number or a list of numbers as an array that must not be written to.

    Raises:
        NotImplementedError: it is none of these.

    >>> from rushlight.utils.tensorboard._arrays import as_array
    >>> as_array([1, 2]).shape, as_array(3.0).shape
    ((2,), (1,))
    """
    if isinstance(x, Tensor):
        array = x._array("tensorboard")
        return array.astype(np.float32) if array.dtype.kind == "V" else array  # bfloat16
    if isinstance(x, np.ndarray):
        return x
    if isinstance(x, (str, bool, int, float, complex, np.generic)):
        return np.array([x])
    if isinstance(x, (list, tuple)):
        return np.asarray([as_array(e) if isinstance(e, Tensor) else e for e in x])
    raise NotImplementedError(
        f"Got {type(x)}, but numpy array or torch tensor are expected.\n"
        "Convert it with torch.tensor(...) first."
    )


def number(x: Any) -> float:
    """The one number in ``x``.

    Raises:
        AssertionError: there are several, or none.

    >>> from rushlight.utils.tensorboard._arrays import number
    >>> number([[2]])
    2.0
    """
    array = as_array(x)
    if array.size != 1:
        raise AssertionError(
            "Tensor should contain one element (0 dimensions). Was given size: "
            f"{array.size} and {array.squeeze().ndim} dimensions.\n"
            "Log one number, such as x.mean(), or all of them with add_histogram."
        )
    return float(array.reshape(())[()])


def grid(images: Array, columns: int = 8) -> Array:
    """Images (N, C, H, W) side by side as one (C, H', W'), black where none is left."""
    count, channels, height, width = images.shape
    columns = min(count, columns)
    rows = ceil(count / columns)
    made = np.zeros((channels, height * rows, width * columns), images.dtype)
    for place, image in enumerate(images):
        y, x = place // columns * height, place % columns * width
        made[:, y : y + height, x : x + width] = image
    return made


def as_pixels(array: Array) -> Array:
    """Numbers from 0 to 1 as bytes; bytes as they are; one channel (H, W, 1) three times."""
    if array.shape[2] == 1:
        array = np.repeat(array, 3, axis=2)
    if array.dtype != np.uint8:
        array = (array.astype(np.float32) * 255).clip(0, 255).astype(np.uint8)
    return np.ascontiguousarray(array)


def picture(images: Any, layout: str) -> Array:
    """A picture as bytes (H, W, 3 or 4), or several as one grid.

    Args:
        images: numbers from 0 to 1, or uint8 from 0 to 255.
        layout: what the axes are: letters of ``NCHW``, each once.

    Raises:
        AssertionError: the layout does not fit.

    >>> import rushlight as torch
    >>> from rushlight.utils.tensorboard._arrays import picture
    >>> picture(torch.ones(10, 1, 4, 4), "NCHW").shape
    (8, 32, 3)
    """
    array, letters = as_array(images), layout.upper()
    if len(set(letters)) != len(letters):
        raise AssertionError(
            f"You can not use the same dimension shorthand twice. input_format: {layout}"
        )
    if array.ndim != len(letters) or not set("HW") <= set(letters) <= set("NCHW"):
        raise AssertionError(
            "size of input tensor and input format are different. "
            f"tensor shape: {tuple(array.shape)}, input_format: {layout}\n"
            "Name every axis of the picture in dataformats, such as 'CHW' or 'NHWC'."
        )
    if "C" not in letters:
        array, letters = array[..., None], letters + "C"
    if "N" in letters:
        array, letters = grid(array.transpose([letters.index(x) for x in "NCHW"])), "CHW"
    return as_pixels(array.transpose([letters.index(x) for x in "HWC"]))


def film(videos: Any) -> list[Array]:
    """Films (N, T, C, H, W) as one: its frames as bytes (H', W', 3), the films side by side.

    Raises:
        AssertionError: there are not five axes.
    """
    array = as_array(videos)
    if array.ndim != 5:
        raise AssertionError(
            f"a video has 5 dimensions (N, T, C, H, W), got {tuple(array.shape)}\n"
            "Add the missing one with unsqueeze(0)."
        )
    count = len(array)
    places = 1 << (count - 1).bit_length() if count else 0  # the next power of two
    rows = 1 << ((count.bit_length() - 1) // 2) if count else 0
    blank = np.zeros((places - count, *array.shape[1:]), array.dtype)
    array = np.concatenate([array, blank])
    columns = places // rows if rows else 0
    return [
        as_pixels(grid(array[:, moment], columns).transpose(1, 2, 0))
        for moment in range(array.shape[1])
    ]


def figure_picture(figure: Any, close: bool = True) -> Array:
    """Matplotlib's figures as drawn: (3, H, W), or (N, 3, H, W) for a list of them."""
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if isinstance(figure, list):
        return np.stack([figure_picture(one, close) for one in figure])
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    drawn = np.asarray(canvas.buffer_rgba())[:, :, :3].transpose(2, 0, 1).copy()
    if close:
        pyplot.close(figure)
    return drawn
