"""Convolutions."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from rushlight._creation import empty
from rushlight.engine.ops.conv_functions import conv1d, conv2d, conv3d
from rushlight.nn import functional as F, init
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import fill_in, repeat
from rushlight.nn.parameter import Parameter

_FUNCTIONS = {"conv1d": conv1d, "conv2d": conv2d, "conv3d": conv3d}
_PADDING_WORDS = {"same", "valid"}
_PADDING_MODES = {"zeros", "reflect", "replicate", "circular"}


class _ConvNd(Module):
    """What all convolutions have in common."""

    __constants__ = [
        "stride", "padding", "dilation", "groups", "padding_mode", "output_padding",
        "in_channels", "out_channels", "kernel_size",
    ]  # fmt: skip
    _axes = 0
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any,
        padding: Any,
        dilation: Any,
        output_padding: Any,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        super().__init__()
        _check_channels(in_channels, out_channels, groups)
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = repeat(kernel_size, self._axes)
        self.stride = repeat(stride, self._axes)
        self.padding = padding if isinstance(padding, str) else repeat(padding, self._axes)
        self.dilation = repeat(dilation, self._axes)
        self.output_padding = repeat(output_padding, self._axes)
        self.groups = groups
        self.padding_mode = padding_mode
        self._check_padding()
        self._reversed_padding_repeated_twice = self._padding_for_pad()
        self.weight = Parameter(empty(self._weight_shape(), device=device, dtype=dtype))
        if bias:
            self.bias = Parameter(empty(out_channels, device=device, dtype=dtype))
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _weight_shape(self) -> tuple[int, ...]:
        if self.transposed:
            return (self.in_channels, self.out_channels // self.groups, *self.kernel_size)
        return (self.out_channels, self.in_channels // self.groups, *self.kernel_size)

    def _check_padding(self) -> None:
        if isinstance(self.padding, str):
            if self.padding not in _PADDING_WORDS:
                raise ValueError(
                    f"Invalid padding string {self.padding!r}, should be one of {_PADDING_WORDS}"
                )
            if self.padding == "same" and any(step != 1 for step in self.stride):
                raise ValueError("padding='same' is not supported for strided convolutions")
        if self.padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"padding_mode must be one of {_PADDING_MODES}, but got "
                f"padding_mode='{self.padding_mode}'"
            )

    def _padding_for_pad(self) -> list[int]:
        """The padding as ``F.pad`` takes it: both sides of the last axis first."""
        sides: list[int] = []
        for axis in reversed(range(self._axes)):
            if self.padding == "same":
                total = self.dilation[axis] * (self.kernel_size[axis] - 1)
                sides += [total // 2, total - total // 2]
            else:
                sides += [0 if self.padding == "valid" else self.padding[axis]] * 2  # type: ignore[list-item]
        return sides

    def reset_parameters(self) -> None:
        """Fill the parameters uniformly within ``1 / sqrt(fan_in)``."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            fan_in, _ = init._calculate_fan_in_and_fan_out(self.weight)
            if fan_in != 0:
                bound = 1 / math.sqrt(fan_in)
                init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """The sizes, and what differs from the defaults."""
        text = "{in_channels}, {out_channels}, kernel_size={kernel_size}, stride={stride}"
        if self.padding != (0,) * len(self.padding):
            text += ", padding={padding}"
        if self.dilation != (1,) * self._axes:
            text += ", dilation={dilation}"
        if self.output_padding != (0,) * self._axes:
            text += ", output_padding={output_padding}"
        if self.groups != 1:
            text += ", groups={groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += ", padding_mode={padding_mode}"
        return fill_in(text, self)


def _check_channels(in_channels: int, out_channels: int, groups: int) -> None:
    if groups <= 0:
        raise ValueError("groups must be a positive integer")
    if in_channels % groups != 0:
        raise ValueError("in_channels must be divisible by groups")
    if out_channels % groups != 0:
        raise ValueError("out_channels must be divisible by groups")


class _Convolution(_ConvNd):
    """A convolution over ``_axes`` axes."""

    _function: str = ""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        dilation: Any = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, 0, groups, bias,
            padding_mode, device, dtype,
        )  # fmt: skip

    def _conv_forward(self, input: Any, weight: Any, bias: Any) -> Any:
        convolve = _FUNCTIONS[self._function]
        padding: Any = self.padding
        if self.padding_mode != "zeros":
            input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
            padding = 0
        return convolve(input, weight, bias, self.stride, padding, self.dilation, self.groups)

    def forward(self, input: Any) -> Any:
        """(N, in_channels, *) to (N, out_channels, *); N may be left out."""
        parameters = self._parameters
        try:
            weight, bias = parameters["weight"], parameters["bias"]
        except KeyError:  # they are computed
            weight, bias = self.weight, self.bias
        return self._conv_forward(input, weight, bias)


class Conv1d(_Convolution):
    """Convolve signals (N, C, L) with ``out_channels`` filters.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output, one filter each.
        kernel_size: size of the filters.
        stride: steps between places where a filter is applied.
        padding: what is added at both ends, or ``"same"`` or ``"valid"``.
        dilation: steps between a filter's elements.
        groups: into how many separate convolutions the channels are split.
        bias: whether a number is added to each output channel.
        padding_mode: ``"zeros"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.

    See https://pytorch.org/docs/stable/generated/torch.nn.Conv1d.html.

    >>> import rushlight as torch
    >>> torch.nn.Conv1d(2, 4, 3)(torch.zeros(1, 2, 9)).shape
    torch.Size([1, 4, 7])
    """

    _axes, _function = 1, "conv1d"


class Conv2d(_Convolution):
    """Convolve images (N, C, H, W) with ``out_channels`` filters; arguments as for ``Conv1d``.

    See https://pytorch.org/docs/stable/generated/torch.nn.Conv2d.html.

    >>> import rushlight as torch
    >>> torch.nn.Conv2d(1, 6, 5, padding=2)(torch.zeros(1, 1, 8, 8)).shape
    torch.Size([1, 6, 8, 8])
    """

    _axes, _function = 2, "conv2d"


class Conv3d(_Convolution):
    """Convolve volumes (N, C, D, H, W) with ``out_channels`` filters; arguments as for ``Conv1d``.

    See https://pytorch.org/docs/stable/generated/torch.nn.Conv3d.html.

    >>> import rushlight as torch
    >>> torch.nn.Conv3d(1, 2, 3)(torch.zeros(1, 1, 4, 4, 4)).shape
    torch.Size([1, 2, 2, 2, 2])
    """

    _axes, _function = 3, "conv3d"


class _ConvTransposeNd(_ConvNd):
    """A transposed convolution over ``_axes`` axes."""

    _function: str = ""
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any,
        stride: Any = 1,
        padding: Any = 0,
        output_padding: Any = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Any = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        if padding_mode != "zeros":
            raise ValueError(
                f'Only "zeros" padding mode is supported for {type(self).__name__}'
            )
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, dilation, output_padding,
            groups, bias, padding_mode, device, dtype,
        )  # fmt: skip

    def _output_padding(self, input: Any, output_size: Any) -> tuple[int, ...]:
        """What must be added at the end so that ``output_size`` comes out."""
        if output_size is None:
            return self.output_padding
        axes = self._axes
        leading = input.dim() - axes
        wanted: Sequence[int] = tuple(output_size)
        if len(wanted) == leading + axes:
            wanted = wanted[leading:]
        if len(wanted) != axes:
            raise ValueError(
                f"ConvTranspose{axes}D: for {input.dim()}D input, output_size must have {axes} or "
                f"{leading + axes} elements (got {len(wanted)})"
            )
        smallest = [
            (n - 1) * s - 2 * p + d * (k - 1) + 1
            for n, s, p, d, k in zip(
                input.shape[leading:], self.stride, self.padding, self.dilation, self.kernel_size,
                strict=True,
            )
        ]  # fmt: skip
        largest = [n + s - 1 for n, s in zip(smallest, self.stride, strict=True)]
        for size, low, high in zip(wanted, smallest, largest, strict=True):
            if not low <= size <= high:
                raise ValueError(
                    f"requested an output size of {output_size}, but valid sizes range from "
                    f"{smallest} to {largest} (for an input of {input.size()[2:]})"
                )
        return tuple(size - low for size, low in zip(wanted, smallest, strict=True))

    def forward(self, input: Any, output_size: Any = None) -> Any:
        """(N, in_channels, *) to (N, out_channels, *); N may be left out.

        Args:
            input: the images.
            output_size: the output's size, where the stride leaves a choice.
        """
        return getattr(F, self._function)(
            input, self.weight, self.bias, self.stride, self.padding,
            self._output_padding(input, output_size), self.groups, self.dilation,
        )  # fmt: skip


class ConvTranspose1d(_ConvTransposeNd):
    """The transposed convolution of signals, which enlarges them.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: size of the filters.
        stride: by how much the signal grows.
        padding: what is cut off at both ends.
        output_padding: what is added at the end.
        groups: into how many separate convolutions the channels are split.
        bias: whether a number is added to each output channel.
        dilation: steps between a filter's elements.

    See https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose1d.html.

    >>> import rushlight as torch
    >>> torch.nn.ConvTranspose1d(1, 2, 3, stride=2)(torch.zeros(1, 1, 4)).shape
    torch.Size([1, 2, 9])
    """

    _axes, _function = 1, "conv_transpose1d"


class ConvTranspose2d(_ConvTransposeNd):
    """The transposed convolution of images; arguments as for ``ConvTranspose1d``.

    See https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose2d.html.

    >>> import rushlight as torch
    >>> up = torch.nn.ConvTranspose2d(1, 1, 3, stride=2, padding=1)
    >>> up(torch.zeros(1, 1, 4, 4), output_size=(8, 8)).shape
    torch.Size([1, 1, 8, 8])
    """

    _axes, _function = 2, "conv_transpose2d"


class ConvTranspose3d(_ConvTransposeNd):
    """The transposed convolution of volumes; arguments as for ``ConvTranspose1d``.

    See https://pytorch.org/docs/stable/generated/torch.nn.ConvTranspose3d.html.

    >>> import rushlight as torch
    >>> torch.nn.ConvTranspose3d(1, 1, 2, stride=2)(torch.zeros(1, 1, 2, 2, 2)).shape
    torch.Size([1, 1, 4, 4, 4])
    """

    _axes, _function = 3, "conv_transpose3d"
