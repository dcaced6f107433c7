"""Layers that many models for pictures share."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import rushlight as torch
from rushlight import nn
from rushlight._tensor import Tensor

Layer = Callable[..., nn.Module]


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation with fixed statistics and a fixed affine map, all of them buffers.

    Args:
        num_features: C of an input (N, C, H, W).
        eps: added to the variance.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.FrozenBatchNorm2d.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import FrozenBatchNorm2d
    >>> layer = FrozenBatchNorm2d(3)
    >>> layer, list(layer.parameters())
    (FrozenBatchNorm2d(3, eps=1e-05), [])
    """

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", torch.ones(num_features))
        self.register_buffer("bias", torch.zeros(num_features))
        self.register_buffer("running_mean", torch.zeros(num_features))
        self.register_buffer("running_var", torch.ones(num_features))

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        """Take the state of a batch normalisation, too, which counts its batches."""
        state_dict.pop(prefix + "num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *others)

    def forward(self, x: Tensor) -> Tensor:
        """``x`` (N, C, H, W), each channel shifted and scaled."""
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"


def _repeated(value: Any, count: int) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, Iterable) else (value,) * count


def _same_padding(kernel_size: Any, dilation: Any) -> Any:
    """The padding with which a convolution of stride 1 keeps the size."""
    if isinstance(kernel_size, int) and isinstance(dilation, int):
        return (kernel_size - 1) // 2 * dilation
    count = len(kernel_size) if isinstance(kernel_size, Sequence) else len(dilation)
    sizes, steps = _repeated(kernel_size, count), _repeated(dilation, count)
    return tuple((size - 1) // 2 * step for size, step in zip(sizes, steps, strict=True))


class ConvNormActivation(nn.Sequential):
    """A convolution, its normalisation and its activation; use the classes for 2d and 3d."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Any = 3,
        stride: Any = 1,
        padding: Any = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Any = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
        conv_layer: Layer = nn.Conv2d,
    ) -> None:
        if padding is None:
            padding = _same_padding(kernel_size, dilation)
        layers = [
            conv_layer(
                in_channels, out_channels, kernel_size, stride, padding, dilation=dilation,
                groups=groups, bias=norm_layer is None if bias is None else bias,
            )
        ]  # fmt: skip
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            layers.append(activation_layer(**({} if inplace is None else {"inplace": inplace})))
        super().__init__(*layers)
        self.out_channels = out_channels
        if type(self) is ConvNormActivation:
            warnings.warn(
                "Don't use ConvNormActivation directly, please use Conv2dNormActivation and "
                "Conv3dNormActivation instead.",
                stacklevel=2,
            )


class Conv2dNormActivation(ConvNormActivation):
    """Convolution, normalisation, activation of pictures.

    Args:
        in_channels: channels of the input (N, C, H, W).
        out_channels: channels of the output.
        kernel_size: of the convolution.
        stride: of the convolution.
        padding: by default what keeps the size at stride 1.
        groups: groups of channels that do not see each other.
        norm_layer: the normalisation's class, or ``None``.
        activation_layer: the activation's class, or ``None``.
        dilation: steps between a kernel's elements.
        inplace: passed to the activation, unless ``None``.
        bias: of the convolution; by default only where nothing normalises.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.Conv2dNormActivation.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import Conv2dNormActivation
    >>> Conv2dNormActivation(3, 8, stride=2)(torch.zeros(2, 3, 8, 8)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int] = 3,
        stride: int | tuple[int, int] = 1,
        padding: int | tuple[int, int] | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: int | tuple[int, int] = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer,
            activation_layer, dilation, inplace, bias, nn.Conv2d,
        )  # fmt: skip


class Conv3dNormActivation(ConvNormActivation):
    """Convolution, normalisation, activation of films (N, C, D, H, W).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        kernel_size: of the convolution.
        stride: of the convolution.
        padding: by default what keeps the size at stride 1.
        groups: groups of channels that do not see each other.
        norm_layer: the normalisation's class, or ``None``.
        activation_layer: the activation's class, or ``None``.
        dilation: steps between a kernel's elements.
        inplace: passed to the activation, unless ``None``.
        bias: of the convolution; by default only where nothing normalises.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.Conv3dNormActivation.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import Conv3dNormActivation
    >>> Conv3dNormActivation(3, 8)(torch.zeros(2, 3, 4, 8, 8)).shape
    torch.Size([2, 8, 4, 8, 8])
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | tuple[int, int, int] = 3,
        stride: int | tuple[int, int, int] = 1,
        padding: int | tuple[int, int, int] | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm3d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: int | tuple[int, int, int] = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__(
            in_channels, out_channels, kernel_size, stride, padding, groups, norm_layer,
            activation_layer, dilation, inplace, bias, nn.Conv3d,
        )  # fmt: skip


class SqueezeExcitation(nn.Module):
    """Weighs each channel by what all of the picture says (Hu et al. 2017, arXiv:1709.01507).

    Args:
        input_channels: C of an input (N, C, H, W).
        squeeze_channels: how many numbers the picture is squeezed to.
        activation: class of the activation between the two convolutions.
        scale_activation: class of the activation that gives the weights.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.SqueezeExcitation.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import SqueezeExcitation
    >>> SqueezeExcitation(8, 2)(torch.zeros(2, 8, 4, 4)).shape
    torch.Size([2, 8, 4, 4])
    """

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Layer = nn.ReLU,
        scale_activation: Layer = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        """The input, each channel times its weight."""
        squeezed = self.activation(self.fc1(self.avgpool(input)))
        return self.scale_activation(self.fc2(squeezed)) * input


class MLP(nn.Sequential):
    """Linear layers with activations and dropout between.

    Args:
        in_channels: size of the input's last dimension.
        hidden_channels: sizes after each layer.
        norm_layer: class of the normalisation behind each hidden layer, or ``None``.
        activation_layer: class of the activation.
        inplace: passed to activation and dropout, unless ``None``.
        bias: whether the layers have one.
        dropout: probability of the dropout behind each layer.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.MLP.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import MLP
    >>> MLP(4, [8, 2])(torch.zeros(5, 4)).shape
    torch.Size([5, 2])
    """

    def __init__(
        self,
        in_channels: int,
        hidden_channels: list[int],
        norm_layer: Layer | None = None,
        activation_layer: Layer = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        options = {} if inplace is None else {"inplace": inplace}
        layers: list[nn.Module] = []
        *hidden, last = hidden_channels
        for size in hidden:
            layers.append(nn.Linear(in_channels, size, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(size))
            layers.append(activation_layer(**options))
            layers.append(nn.Dropout(dropout, **options))
            in_channels = size
        layers.append(nn.Linear(in_channels, last, bias=bias))
        layers.append(nn.Dropout(dropout, **options))
        super().__init__(*layers)


class Permute(nn.Module):
    """The dimensions in another order, as a layer.

    Args:
        dims: the old place of each dimension.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.Permute.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import Permute
    >>> Permute([0, 2, 3, 1])(torch.zeros(1, 2, 3, 4)).shape
    torch.Size([1, 3, 4, 2])
    """

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        """A view of ``x``."""
        return torch.permute(x, self.dims)


def stochastic_depth(input: Tensor, p: float, mode: str, training: bool = True) -> Tensor:
    """Zero whole pictures or the whole batch, and scale up what stays (arXiv:1603.09382).

    Args:
        input: (N, ...).
        p: the probability of zeroing.
        mode: ``"row"`` decides for each picture, ``"batch"`` for all at once.
        training: without it the input comes back.

    Raises:
        ValueError: ``p`` is no probability, or ``mode`` something else.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.stochastic_depth.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import stochastic_depth
    >>> stochastic_depth(torch.ones(3, 2), 1.0, "row").sum()
    tensor(0.)
    """
    if p < 0.0 or p > 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
    if mode not in ("batch", "row"):
        raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
    if not training or p == 0.0:
        return input
    survival = 1.0 - p
    rows = input.shape[0] if mode == "row" else 1
    size = [rows] + [1] * (input.ndim - 1)
    noise = torch.empty(size, dtype=input.dtype, device=input.device).bernoulli_(survival)
    if survival > 0.0:
        noise.div_(survival)
    return input * noise


class StochasticDepth(nn.Module):
    """``stochastic_depth`` as a layer.

    Args:
        p: the probability of zeroing.
        mode: ``"row"`` or ``"batch"``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.StochasticDepth.html

    >>> from rushlight.vision.ops import StochasticDepth
    >>> StochasticDepth(0.1, "row")
    StochasticDepth(p=0.1, mode=row)
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        """Zero some of it when training."""
        return stochastic_depth(input, self.p, self.mode, self.training)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p}, mode={self.mode})"
