"""Pooling with oneDNN: maxima with PyTorch's indices, averages, and their gradients."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import ceil, prod
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.onednn_prepared import Operation, Port, launcher
from rushlight.engine.backends.cpu.onednn_primitive import Description, dimensions, strided


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

    def sizes(self) -> tuple[Any, ...]:
        """Strides, window, dilation and padding as oneDNN takes them."""
        gaps = [spread - 1 for spread in self.dilation]
        sides = [max(0, size) for size in self.after]
        every = (self.stride, self.kernel, gaps, self.padding, sides)
        return tuple(dimensions(values) for values in every)

    def forward(self, algorithm: int, direction: int) -> Description:
        """oneDNN's description of the forward pass."""
        x, y = strided(self.x_shape, self.dtype), strided(self.y_shape, self.dtype)
        name = "pooling_forward"
        return Description(name, direction, algorithm, x, y, *self.sizes()).require_fast()

    def backward(self, algorithm: int) -> Description:
        """oneDNN's description of the gradient."""
        x, y = strided(self.x_shape, self.dtype), strided(self.y_shape, self.dtype)
        hint = self.forward(algorithm, onednn.FORWARD_TRAINING)
        return Description("pooling_backward", algorithm, x, y, *self.sizes(), hint).require_fast()

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

    @cached_property
    def disjoint(self) -> bool:
        """Whether no input element lies in two windows."""
        return all(reach <= step for reach, step in zip(self.reach, self.stride, strict=True))


def _window(
    x_shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    dtype: np.dtype[Any],
) -> Window:
    made = Window(
        tuple(x_shape), tuple(kernel), tuple(stride), tuple(padding), tuple(dilation), ceil_mode,
        np.dtype(dtype),
    )  # fmt: skip
    if not 1 <= len(made.kernel) <= 3:
        raise onednn.Unsupported("pooling has one to three dimensions")
    return made


def prepare_max_pool(
    x_shape: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
    dilation: Sequence[int],
    ceil_mode: bool,
    dtype: np.dtype[Any],
) -> Callable[..., tuple[np.ndarray, np.ndarray]]:
    """Max pooling that also tells where each maximum stands.

    Args:
        x_shape: (N, C, ...).
        kernel, stride, padding, dilation: one number per dimension after the channels.
        ceil_mode: whether a last window may reach beyond the padding.
        dtype: of the input and the result.

    Returns:
        ``call(x, out=None) -> (y, indices)``; the indices (int64) count the elements of one channel.

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    window = _window(x_shape, kernel, stride, padding, dilation, ceil_mode, dtype)
    shape, kind = window.y_shape, window.dtype
    place = np.dtype(np.uint8 if prod(window.kernel) <= 256 else np.int32)
    ports = [
        Port(onednn.SRC, window.x_shape, kind),
        Port(onednn.DST, shape, kind, output=True),
    ]
