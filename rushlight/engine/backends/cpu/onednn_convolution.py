"""Convolutions with oneDNN: forward, and the gradients of input and weights."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.onednn_prepared import Operation, Port, launcher
from rushlight.engine.backends.cpu.onednn_primitive import (
    Description,
    Descriptor,
    Owned,
    any_layout,
    channels_last_strides,
    contiguous_strides,
    dimensions,
    strided,
)

FORWARD, BACKWARD_DATA, BACKWARD_WEIGHTS = "forward", "backward_data", "backward_weights"
PLAIN, BLOCKED, CHANNELS_LAST = "plain", "blocked", "channels last"


@dataclass(frozen=True)
class Geometry:
    """What a convolution is made of, in PyTorch's terms.

    Args:
        x_shape: (N, C_in, ...) with one to three dimensions after the channels.
        w_shape: (C_out, C_in / groups, ...), or (C_in, C_out / groups, ...) if transposed.
        stride, padding, dilation: one number per dimension.
        groups: blocks of channels that do not see each other.
        transposed: whether this is the gradient of a convolution, read as a layer of its own.
        output_padding: what a transposed convolution adds to each size, one number per dimension.
    """

    x_shape: tuple[int, ...]
    w_shape: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int
    dtype: np.dtype[Any]
    transposed: bool = False
    output_padding: tuple[int, ...] = ()

    def check(self) -> None:
        """Refuse what oneDNN does not have.

        Raises:
            Unsupported: negative padding, or other than one to three dimensions.
        """
        if not 1 <= len(self.x_shape) - 2 <= 3:
            raise onednn.Unsupported("convolutions have one to three dimensions")
        if min(self.padding) < 0:
            raise onednn.Unsupported("negative padding")

    @cached_property
    def y_shape(self) -> tuple[int, ...]:
        """Shape of the result (https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html)."""
        sizes = []
        extra = self.output_padding or (0,) * len(self.stride)
        for i, (step, pad, spread) in enumerate(
            zip(self.stride, self.padding, self.dilation, strict=True)
        ):
            size, reach = self.x_shape[2 + i], spread * (self.w_shape[2 + i] - 1)
            if self.transposed:
                sizes.append((size - 1) * step - 2 * pad + reach + extra[i] + 1)
            else:
                sizes.append((size + 2 * pad - reach - 1) // step + 1)
        return (self.x_shape[0], self.channels_out, *sizes)

    @property
    def channels_in(self) -> int:
        """Channels of the input."""
        return self.x_shape[1]

    @property
    def channels_out(self) -> int:
        """Channels of the result."""
        return self.w_shape[1] * self.groups if self.transposed else self.w_shape[0]

    @property
    def volume(self) -> int:
        """Elements of the window."""
        return prod(self.w_shape[2:])

    @cached_property
    def microseconds(self) -> float:
        """Cost on one thread, roughly."""
        windows = prod((self.x_shape if self.transposed else self.y_shape)[2:]) * self.x_shape[0]
        elements = prod(self.x_shape) + prod(self.w_shape) + prod(self.y_shape)
        return threads.cost(2 * windows * prod(self.w_shape), 2 * elements * self.dtype.itemsize)

    def w_descriptor(self, steps: Sequence[int] | None = None) -> Descriptor:
        """The weights as oneDNN reads them: ([groups,] out, in, ...).

        Args:
            steps: their strides in elements if they are not C-contiguous.
        """
        first, second, *window = self.w_shape
        shape = [first // self.groups, second, *window]
        strides = list(contiguous_strides(self.w_shape) if steps is None else steps)
        between = first // self.groups * strides[0]
        if self.transposed:
            shape[:2], strides[:2] = shape[1::-1], strides[1::-1]
        if self.groups > 1:
            shape.insert(0, self.groups)
            strides.insert(0, between)
        return strided(shape, self.dtype, strides)

    def w_any(self) -> Descriptor:
        """The weights in a layout of oneDNN's choice."""
        first, second, *window = self.w_shape
        shape = [first // self.groups, second, *window]
        if self.transposed:
            shape[:2] = shape[1::-1]
        return any_layout([self.groups, *shape] if self.groups > 1 else shape, self.dtype)


def choose_layout(geometry: Geometry, direction: str) -> str:
    """The layout inside a convolution whose arrays are plain (N, C, ...) outside.

    Blocks of channels pay nearly always. Where they do not, in microseconds on one core of a Zen 5
    processor, reorders included, as blocked / channels last / plain:

    - input gradient for 3 channels of 16×32×32 images: 1380 / 1400 / 505
    - 1×1 window, 256 to 64 channels at 28×28: 479 / 648 / 400, but at 7×7: 415 / 555 / 540
    - weight gradient with 6 input channels: 34 / 17 / 39; with 12: 411 / 264 / 540
    - 256 channels at 8×8, forward: 5230 / 3970 / 5830, but 64 at 32×32: 5170 / 5610 / 8490
    - weight gradient, 512 channels at 4×4, most of it reorders: 7900 / 6600 / 6350
    """
    if geometry.groups > 1 or geometry.transposed or geometry.dtype != np.float32:
        return BLOCKED
    c_in, c_out, volume = geometry.channels_in, geometry.channels_out, geometry.volume
    pixels = prod(geometry.y_shape[2:])
    heavy = 32 <= pixels <= 256 and volume > 1 and c_in >= 64 and c_out * volume >= 512
    if direction == FORWARD:
        if volume == 1 and pixels >= 128:
            return PLAIN
        return CHANNELS_LAST if heavy or (c_in > 16 and c_in % 16) else BLOCKED
    if direction == BACKWARD_DATA:
        if c_in <= 4 or (volume == 1 and pixels >= 128):
            return PLAIN
        return CHANNELS_LAST if heavy or c_out <= 8 else BLOCKED
    if geometry.x_shape[0] * pixels <= max(c_in, c_out):
        return PLAIN
    heavy = heavy and max(geometry.stride) == 1
    return CHANNELS_LAST if heavy or (c_in > 3 and c_in % 16) else BLOCKED


def _activation(shape: tuple[int, ...], dtype: np.dtype[Any], layout: str) -> Descriptor:
    if layout == BLOCKED:
        return any_layout(shape, dtype)
    return strided(shape, dtype, channels_last_strides(shape) if layout == CHANNELS_LAST else None)


def describe(
    geometry: Geometry,
    direction: str,
    bias: bool,
    layout: str,
    attributes: Owned | None = None,
) -> Description:
    """oneDNN's description of a convolution with this layout inside.

    Args:
        attributes: what follows, see `attributes_for`.

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    g = geometry
    x, y = _activation(g.x_shape, g.dtype, layout), _activation(g.y_shape, g.dtype, layout)
    w = g.w_descriptor() if layout == PLAIN else g.w_any()
    b = strided((g.channels_out,), g.dtype) if bias else None
    edges = dimensions(g.padding)
    window = (dimensions(g.stride), dimensions([d - 1 for d in g.dilation]), edges, edges)
    kind = "deconvolution" if g.transposed else "convolution"
    algorithm = onednn.DECONVOLUTION_DIRECT if g.transposed else onednn.CONVOLUTION_DIRECT
    name = f"{kind}_{direction}"
    if direction == FORWARD:
        arrays: tuple[Any, ...] = (onednn.FORWARD_TRAINING, algorithm, x, w, b, y, *window)
    elif direction == BACKWARD_DATA:
        arrays = (algorithm, x, w, y, *window, None)
    else:
        arrays = (algorithm, x, w, b, y, *window, None)
    return Description(name, *arrays, attributes=attributes).require_fast()


def _prepare(geometry: Geometry, direction: str, bias: bool, ports: list[Port]) -> Operation:
    """The operation in the layout that pays, or where oneDNN lacks that, in its own choice."""
    layout = choose_layout(geometry, direction)
    try:
        return Operation(
            lambda: describe(geometry, direction, bias, layout), ports, geometry.microseconds
        )
    except onednn.Unsupported:
        if layout == BLOCKED:
            raise
    return Operation(
        lambda: describe(geometry, direction, bias, BLOCKED), ports, geometry.microseconds
    )


def _geometry(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    dtype: np.dtype[Any],
    transposed: bool,
    output_padding: tuple[int, ...],
) -> Geometry:
    made = Geometry(
        tuple(x_shape), tuple(w_shape), tuple(stride), tuple(padding), tuple(dilation), groups,
        np.dtype(dtype), transposed, tuple(output_padding),
    )  # fmt: skip
    made.check()
    return made


def prepare_convolution(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    bias: bool,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    dtype: np.dtype[Any],
    transposed: bool = False,
    output_padding: tuple[int, ...] = (),
) -> Callable[..., np.ndarray]:
    """A convolution for these shapes; arguments as in `Geometry`.

    Returns:
        ``call(x, w, b=None, out=None) -> y`` on C-contiguous arrays (others are copied first).

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    g = _geometry(
        x_shape, w_shape, stride, padding, dilation, groups, dtype, transposed, output_padding
    )
    shape, kind = g.y_shape, g.dtype
    ports = [Port(onednn.SRC, g.x_shape, kind)]
    ports.append(Port(onednn.WEIGHTS, g.w_shape, kind, descriptor=g.w_descriptor()))
    if bias:
        ports.append(Port(onednn.BIAS, (g.channels_out,), kind))
    ports.append(Port(onednn.DST, shape, kind, output=True))
    launch, empty = launcher(_prepare(g, FORWARD, bias, ports)), np.empty

    def convolution(
        x: np.ndarray, w: np.ndarray, b: np.ndarray | None = None, out: np.ndarray | None = None
    ) -> np.ndarray:
        if out is None:
            out = empty(shape, kind)
        if b is None:
            launch(x, w, out)
        else:
            launch(x, w, b, out)
        return out

    return convolution


def prepare_convolution_backward_data(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    dtype: np.dtype[Any],
    transposed: bool = False,
    output_padding: tuple[int, ...] = (),
) -> Callable[..., np.ndarray]:
    """The gradient of a convolution's input; arguments as in `Geometry`.

    Returns:
        ``call(grad, w, out=None) -> grad_x``.

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    g = _geometry(
        x_shape, w_shape, stride, padding, dilation, groups, dtype, transposed, output_padding
    )
    shape, kind = g.x_shape, g.dtype
    ports = [
        Port(onednn.DIFF_DST, g.y_shape, kind),
        Port(onednn.WEIGHTS, g.w_shape, kind, descriptor=g.w_descriptor()),
        Port(onednn.DIFF_SRC, shape, kind, output=True),
    ]
    launch, empty = launcher(_prepare(g, BACKWARD_DATA, False, ports)), np.empty

    def convolution_backward_data(
        grad: np.ndarray, w: np.ndarray, out: np.ndarray | None = None
    ) -> np.ndarray:
        if out is None:
            out = empty(shape, kind)
        launch(grad, w, out)
        return out

    return convolution_backward_data


def prepare_convolution_backward_weights(
    x_shape: tuple[int, ...],
    w_shape: tuple[int, ...],
    bias: bool,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    dtype: np.dtype[Any],
    transposed: bool = False,
    output_padding: tuple[int, ...] = (),
) -> Callable[..., tuple[np.ndarray, np.ndarray | None]]:
    """The gradients of a convolution's weights and bias; arguments as in `Geometry`.

    Returns:
        ``call(x, grad, out=None, out_bias=None) -> (grad_w, grad_b)``, ``grad_b`` being ``None``
        without ``bias``.

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    g = _geometry(
        x_shape, w_shape, stride, padding, dilation, groups, dtype, transposed, output_padding
    )
    shape, channels, kind = g.w_shape, (g.channels_out,), g.dtype
    ports = [Port(onednn.SRC, g.x_shape, kind), Port(onednn.DIFF_DST, g.y_shape, kind)]
    described = g.w_descriptor()
    ports.append(Port(onednn.DIFF_WEIGHTS, shape, kind, output=True, descriptor=described))
    if bias:
        ports.append(Port(onednn.DIFF_BIAS, channels, kind, output=True))
    launch, empty = launcher(_prepare(g, BACKWARD_WEIGHTS, bias, ports)), np.empty

    def convolution_backward_weights(
        x: np.ndarray,
        grad: np.ndarray,
        out: np.ndarray | None = None,
        out_bias: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray | None]:
        if out is None:
            out = empty(shape, kind)
        if not bias:
            launch(x, grad, out)
            return out, None
        if out_bias is None:
            out_bias = empty(channels, kind)
        launch(x, grad, out, out_bias)
        return out, out_bias

    return convolution_backward_weights
