"""Convolutions that learn ``in_channels`` from their first input."""

from __future__ import annotations

from typing import Any

from rushlight.nn.modules import conv
from rushlight.nn.modules.lazy import LazyModuleMixin
from rushlight.nn.parameter import UninitializedParameter


class _LazyConvNd(LazyModuleMixin):
    """What all lazy convolutions have in common."""

    _axes: int
    in_channels: int
    out_channels: int
    groups: int
    weight: Any
    bias: Any

    def __init__(
        self, out_channels: int, kernel_size: Any, *args: Any, device: Any = None,
        dtype: Any = None, bias: bool = True, **kwargs: Any,
    ) -> None:  # fmt: skip
        args, bias = self._split_bias(args, bias)
        super().__init__(0, 0, kernel_size, *args, bias=False, **kwargs)
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        self.out_channels = out_channels
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def _split_bias(self, args: tuple[Any, ...], bias: bool) -> tuple[tuple[Any, ...], bool]:
        """Positional arguments up to ``bias``, and ``bias``, which may stand among them."""
        place = 4  # after stride, padding, dilation (or output_padding) and groups
        return (args[:place], args[place]) if len(args) > place else (args, bias)

    def reset_parameters(self) -> None:
        """Fill the parameters, if they have shapes by now."""
        if not self.has_uninitialized_params() and self.in_channels != 0:
            super().reset_parameters()  # type: ignore[misc]

    def initialize_parameters(self, input: Any, *args: Any, **kwargs: Any) -> None:
        """Give the parameters the shapes that ``input`` asks for."""
        if not self.has_uninitialized_params():
            return
        self.in_channels = self._get_in_channels(input)
        if self.in_channels % self.groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        self.weight.materialize(self._weight_shape())  # type: ignore[attr-defined]
        if self.bias is not None:
            self.bias.materialize((self.out_channels,))
        self.reset_parameters()

    def _get_in_channels(self, input: Any) -> int:
        batched = self._axes + 2
        if input.dim() not in (batched - 1, batched):
            raise RuntimeError(
                f"Expected {batched - 1}D (unbatched) or {batched}D (batched) input to "
                f"{type(self).__name__}, but got input of size: {input.shape}"
            )
        return int(input.shape[1] if input.dim() == batched else input.shape[0])


class LazyConv1d(_LazyConvNd, conv.Conv1d):
    """A ``Conv1d`` that learns ``in_channels`` from its first input; the other arguments follow.

    >>> import rushlight as torch
    >>> torch.nn.LazyConv1d(4, 3)(torch.zeros(1, 2, 9)).shape
    torch.Size([1, 4, 7])
    """

    cls_to_become = conv.Conv1d


class LazyConv2d(_LazyConvNd, conv.Conv2d):
    """A ``Conv2d`` that learns ``in_channels`` from its first input.

    >>> import rushlight as torch
    >>> torch.nn.LazyConv2d(6, 5)(torch.zeros(1, 3, 8, 8)).shape
    torch.Size([1, 6, 4, 4])
    """

    cls_to_become = conv.Conv2d


class LazyConv3d(_LazyConvNd, conv.Conv3d):
    """A ``Conv3d`` that learns ``in_channels`` from its first input."""

    cls_to_become = conv.Conv3d


class LazyConvTranspose1d(_LazyConvNd, conv.ConvTranspose1d):
    """A ``ConvTranspose1d`` that learns ``in_channels`` from its first input."""

    cls_to_become = conv.ConvTranspose1d


class LazyConvTranspose2d(_LazyConvNd, conv.ConvTranspose2d):
    """A ``ConvTranspose2d`` that learns ``in_channels`` from its first input."""

    cls_to_become = conv.ConvTranspose2d


class LazyConvTranspose3d(_LazyConvNd, conv.ConvTranspose3d):
    """A ``ConvTranspose3d`` that learns ``in_channels`` from its first input."""

    cls_to_become = conv.ConvTranspose3d
