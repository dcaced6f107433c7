"""Pooling with oneDNN: maxima with PyTorch's indices, and averages."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from typing import Any

import ml_dtypes
import numpy as np

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.onednn_prepared import Operation, Port, launcher
from rushlight.engine.backends.cpu.onednn_primitive import (
    Description,
    Descriptor,
    channels_last_strides,
    dimensions,
    strided,
)


@dataclass(frozen=True)
class Window:
    """A pooling window over (N, C, ...), in PyTorch's terms; one number per dimension each."""

    x_shape: tuple[int, ...]
    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    ceil_mode: bool
    dtype: np.dtype[Any]

    @cached_property
    def reach(self) -> tuple[int, ...]:
        """Input elements from one end of the window to the other."""
        pairs = zip(self.kernel, self.dilation, strict=True)
        return tuple(spread * (size - 1) + 1 for size, spread in pairs)

    @cached_property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of the result (pytorch.org/docs/stable/generated/torch.nn.MaxPool2d.html)."""
        sizes = []
        for size, reach, step, pad in zip(
            self.x_shape[2:], self.reach, self.stride, self.padding, strict=True
        ):
            free = size + 2 * pad - reach
            count = (ceil(free / step) if self.ceil_mode else free // step) + 1
            if self.ceil_mode and (count - 1) * step >= size + pad:
                count -= 1  # a window must begin inside the input or its left padding
            sizes.append(count)
        return (*self.x_shape[:2], *sizes)

    @cached_property
    def after(self) -> tuple[int, ...]:
        """Padding at the end that the last window needs."""
        return tuple(
            (count - 1) * step + reach - size - pad
            for count, step, reach, size, pad in zip(
                self.y_shape[2:], self.stride, self.reach, self.x_shape[2:], self.padding,
                strict=True,
            )
        )  # fmt: skip

    @cached_property
    def microseconds(self) -> float:
        """Cost on one thread, roughly."""
        moved = (prod(self.x_shape) + prod(self.y_shape)) * self.dtype.itemsize
        return threads.cost(prod(self.y_shape) * prod(self.kernel), moved)

    @cached_property
    def first(self) -> np.ndarray:
        """Where each window begins: its index into the flattened dimensions of one channel."""
        total = np.zeros((1,) * len(self.kernel), np.int64)
        for i, (count, step, pad) in enumerate(
            zip(self.y_shape[2:], self.stride, self.padding, strict=True)
        ):
            start = np.arange(count, dtype=np.int64) * step - pad
            start *= prod(self.x_shape[3 + i :])
            total = total + start.reshape([-1 if j == i else 1 for j in range(len(self.kernel))])
        return total

    @cached_property
    def offsets(self) -> np.ndarray:
        """Distance in that index from a window's beginning to each of its elements, in order."""
        total = np.zeros((1,) * len(self.kernel), np.int64)
        for i, (size, spread) in enumerate(zip(self.kernel, self.dilation, strict=True)):
            step = np.arange(size, dtype=np.int64) * spread * prod(self.x_shape[3 + i :])
            total = total + step.reshape([-1 if j == i else 1 for j in range(len(self.kernel))])
        return total.reshape(-1)


def window_of(
    x_shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    dtype: np.dtype[Any],
) -> Window:
    """The window with these sizes.

    Raises:
        Unsupported: not of one to three dimensions.
    """
    made = Window(
        tuple(x_shape), tuple(kernel), tuple(stride), tuple(padding), tuple(dilation), ceil_mode,
        np.dtype(dtype),
    )  # fmt: skip
    if not 1 <= len(made.kernel) <= 3:
        raise onednn.Unsupported("pooling has one to three dimensions")
    return made


def _one_image(shape: tuple[int, ...]) -> tuple[int, ...]:
    """All channels of all images as those of one image: vectors run over channels."""
    return (1, shape[0] * shape[1], *shape[2:])


class _Descriptions:
    """oneDNN's descriptions of pooling: plain, or channels last where plain has no vector code."""

    def __init__(self, window: Window, algorithm: int) -> None:
        self._window = window
        self._algorithm = algorithm
        gaps = [spread - 1 for spread in window.dilation]
        after = [max(0, size) for size in window.after]
        sizes = (window.stride, window.kernel, gaps, window.padding, after)
        self._sizes = [dimensions(values) for values in sizes]

    def _descriptors(self, last: bool) -> list[Descriptor]:
        shapes = (_one_image(self._window.x_shape), _one_image(self._window.y_shape))
        return [
            strided(shape, self._window.dtype, channels_last_strides(shape) if last else None)
            for shape in shapes
        ]

    def _forward(self, direction: int, last: bool) -> Description:
        x, y = self._descriptors(last)
        return Description(
            "pooling_forward", direction, self._algorithm, x, y, *self._sizes
        ).require_fast()

    def training(self) -> Description:
        """With the place of each maximum."""
        return _vectorised(lambda last: self._forward(onednn.FORWARD_TRAINING, last))

    def inference(self) -> Description:
        """The result alone."""
        return _vectorised(lambda last: self._forward(onednn.FORWARD_INFERENCE, last))


def _vectorised(describe: Callable[[bool], Description]) -> Description:
    """Scalar code takes 20 times as long as vector code, two reorders twice as long."""
    plain = describe(False)
    if plain.implementation.startswith("simple"):
        last = describe(True)
        if last.implementation.startswith("jit"):
            return last
    return plain


def _port(kind: int, shape: tuple[int, ...], dtype: np.dtype[Any], output: bool = False) -> Port:
    return Port(kind, shape, dtype, output, descriptor=strided(_one_image(shape), dtype))


def slow_max_pool(window: Window, x: np.ndarray, out: np.ndarray) -> np.ndarray:
    """Max pooling as PyTorch defines it for NaN (it wins) and -inf, which oneDNN does not treat so.

    Writes the maxima into ``out``; returns the number of the element within its window.
    """
    spatial = range(len(window.kernel))
    edges = [(pad, max(0, more)) for pad, more in zip(window.padding, window.after, strict=True)]
    padded = np.pad(x, [(0, 0), (0, 0), *edges], constant_values=-np.inf)
    inside = np.pad(np.ones(x.shape[2:], bool), edges)
    place = np.zeros(out.shape, np.int64)
    found = np.zeros(out.shape, bool)
    for number, corner in enumerate(np.ndindex(window.kernel)):
        cut = tuple(
            slice(
                corner[i] * window.dilation[i],
                corner[i] * window.dilation[i] + (out.shape[2 + i] - 1) * window.stride[i] + 1,
                window.stride[i],
            )
            for i in spatial
        )
        value = padded[(slice(None), slice(None), *cut)]
        better = inside[cut] & (~found | (value > out) | np.isnan(value))
        np.copyto(out, value, where=better)
        np.copyto(place, number, where=better)
        found |= inside[cut]
    return place


def prepare_max_pool(
    x_shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    dtype: np.dtype[Any],
    indices: bool = True,
) -> Callable[..., Any]:
    """Max pooling, and where each maximum stands.

    Args:
        x_shape: (N, C, ...).
        kernel, stride, padding, dilation: one number per dimension after the channels.
        ceil_mode: whether a last window may reach beyond the padding.
        dtype: of the input and the result.
        indices: whether they are wanted.

    Returns:
        ``call(x, out=None) -> (y, indices)``, or ``-> y`` without indices. The indices (int64)
        count the elements of one channel; the first of equal maxima is taken.

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    window = window_of(x_shape, kernel, stride, padding, dilation, ceil_mode, dtype)
    shape, kind = window.y_shape, window.dtype
    described = _Descriptions(window, onednn.POOLING_MAX)
    ports = [_port(onednn.SRC, window.x_shape, kind), _port(onednn.DST, shape, kind, True)]
    place_type = np.dtype(np.uint8 if prod(window.kernel) < 256 else np.int32)
    if indices:
        ports.append(_port(onednn.WORKSPACE, shape, place_type, True))
    describe = described.training if indices else described.inference
    launch = launcher(Operation(describe, ports, window.microseconds))
    lowest = _lowest(kind)

    def maxima(x: np.ndarray, out: np.ndarray | None = None) -> Any:
        if out is None:
            out = np.empty(shape, kind)
        place = np.empty(shape, place_type)
        # A NaN anywhere makes the maximum NaN; oneDNN begins each window with the lowest number.
        largest = np.maximum.reduce(x, axis=None)
        usual = largest == largest
        if usual:
            launch(*((x, out, place) if indices else (x, out)))
            usual = np.minimum.reduce(out, axis=None) > lowest
        if not usual:
            place = slow_max_pool(window, x, out)
        if not indices:
            return out
        found = window.offsets.take(place, mode="clip")
        found += window.first
        return out, found

    return maxima


def _lowest(dtype: np.dtype[Any]) -> float:
    """The least finite number of a type."""
    info = ml_dtypes.finfo(dtype) if dtype.name == "bfloat16" else np.finfo(dtype)
    return float(info.min)


def _average(
    x_shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    dtype: np.dtype[Any],
) -> tuple[Window, _Descriptions]:
    window = window_of(x_shape, kernel, stride, padding, [1] * len(kernel), ceil_mode, dtype)
    if not any(window.padding) and not any(more > 0 for more in window.after):
        return window, _Descriptions(window, onednn.POOLING_AVERAGE_INCLUDE)
    beyond = any(more > pad for more, pad in zip(window.after, window.padding, strict=True))
    if count_include_pad and beyond:
        raise onednn.Unsupported("oneDNN counts what lies beyond the padding, PyTorch does not")
    include, exclude = onednn.POOLING_AVERAGE_INCLUDE, onednn.POOLING_AVERAGE_EXCLUDE
    return window, _Descriptions(window, include if count_include_pad else exclude)


def prepare_average_pool(
    x_shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    ceil_mode: bool,
    count_include_pad: bool,
    dtype: np.dtype[Any],
) -> Callable[..., np.ndarray]:
    """Average pooling.

    Args:
        x_shape: (N, C, ...).
        kernel, stride, padding: one number per dimension after the channels.
        ceil_mode: whether a last window may reach beyond the padding.
        count_include_pad: whether padding counts as zeros.
        dtype: of the input and the result.

    Returns:
        ``call(x, out=None) -> y``.

    Raises:
        Unsupported: oneDNN has no fast code for it, or counts differently.
    """
    window, described = _average(
        x_shape, kernel, stride, padding, ceil_mode, count_include_pad, dtype
    )
    shape, kind = window.y_shape, window.dtype
    ports = [_port(onednn.SRC, window.x_shape, kind), _port(onednn.DST, shape, kind, True)]
    launch = launcher(Operation(described.inference, ports, window.microseconds))

    def averages(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty(shape, kind)
        launch(x, out)
        return out

    return averages
