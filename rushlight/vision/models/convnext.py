"""ConvNeXt (Liu et al. 2022, arXiv:2201.03545)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import rushlight as torch
from rushlight import nn
from rushlight._tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.models._builders import builder
from rushlight.vision.models._weights import weights_enum
from rushlight.vision.ops.misc import Conv2dNormActivation, Permute, StochasticDepth

__all__ = [
    "ConvNeXt",
    "ConvNeXt_Base_Weights",
    "ConvNeXt_Large_Weights",
    "ConvNeXt_Small_Weights",
    "ConvNeXt_Tiny_Weights",
    "convnext_base",
    "convnext_large",
    "convnext_small",
    "convnext_tiny",
]

Layer = Callable[..., nn.Module]


class LayerNorm2d(nn.LayerNorm):
    """``LayerNorm`` over the channels of (N, C, H, W)."""

    def forward(self, x: Tensor) -> Tensor:
        """Normalise each point's channels."""
        x = F.layer_norm(
            x.permute(0, 2, 3, 1), self.normalized_shape, self.weight, self.bias, self.eps
        )
        return x.permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    """A depthwise 7x7 convolution, a norm and two linear layers, beside a short cut.

    Args:
        dim: channels of input and output.
        layer_scale: what the channels of the result are multiplied by at first.
        stochastic_depth_prob: probability of leaving the result away in training.
        norm_layer: class of the normalisation.
    """

    def __init__(
        self,
        dim: int,
        layer_scale: float,
        stochastic_depth_prob: float,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or partial(nn.LayerNorm, eps=1e-6)
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, kernel_size=7, padding=3, groups=dim, bias=True),
            Permute([0, 2, 3, 1]),
            norm(dim),
            nn.Linear(in_features=dim, out_features=4 * dim, bias=True),
            nn.GELU(),
            nn.Linear(in_features=4 * dim, out_features=dim, bias=True),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(torch.ones(dim, 1, 1) * layer_scale)
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, input: Tensor) -> Tensor:
        """(N, dim, H, W) to the same shape."""
        result = self.stochastic_depth(self.layer_scale * self.block(input))
        result += input
        return result


class CNBlockConfig:
    """What one stage is like.

    Args:
        input_channels: channels of its blocks.
        out_channels: channels behind it; ``None`` for the last stage.
        num_layers: how many blocks.
    """

    def __init__(self, input_channels: int, out_channels: int | None, num_layers: int) -> None:
        self.input_channels = input_channels
        self.out_channels = out_channels
        self.num_layers = num_layers

    def __repr__(self) -> str:
        facts = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({facts})"


class ConvNeXt(nn.Module):
    """A convolution of patches, then stages of blocks, halving the picture between them.

    Args:
        block_setting: what each stage is like.
        stochastic_depth_prob: of the last block; the ones before it have less.
        layer_scale: of the blocks.
        num_classes: outputs for each picture (N, 3, H, W), H and W at least 32.
        block: class of the blocks.
        norm_layer: class of the normalisation between the stages.
        **kwargs: taken and left alone.

    Raises:
        ValueError: the setting is empty.
        TypeError: it is no list of ``CNBlockConfig``.

    >>> import rushlight as torch
    >>> from rushlight.vision.models.convnext import CNBlockConfig, ConvNeXt
    >>> net = ConvNeXt([CNBlockConfig(8, 16, 1), CNBlockConfig(16, None, 1)], num_classes=10)
    >>> net(torch.zeros(1, 3, 32, 32)).shape
    torch.Size([1, 10])
    """

    def __init__(
        self,
        block_setting: Sequence[CNBlockConfig],
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        block: Layer | None = None,
        norm_layer: Layer | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        if not block_setting:
            raise ValueError("The block_setting should not be empty")
        if not isinstance(block_setting, Sequence) or not all(
            isinstance(stage, CNBlockConfig) for stage in block_setting
        ):
            raise TypeError("The block_setting should be List[CNBlockConfig]")
        block = block or CNBlock
        norm = norm_layer or partial(LayerNorm2d, eps=1e-6)
        layers: list[nn.Module] = [
            Conv2dNormActivation(
                3, block_setting[0].input_channels, kernel_size=4, stride=4, padding=0,
                norm_layer=norm, activation_layer=None, bias=True,
            )
        ]  # fmt: skip
        total = sum(stage.num_layers for stage in block_setting)
        number = 0
        for stage in block_setting:
            width = stage.input_channels
            blocks = []
            for _ in range(stage.num_layers):
                depth = stochastic_depth_prob * number / (total - 1.0)
                blocks.append(block(width, layer_scale, depth))
                number += 1
            layers.append(nn.Sequential(*blocks))
            if stage.out_channels is not None:
                half = nn.Conv2d(width, stage.out_channels, kernel_size=2, stride=2)
                layers.append(nn.Sequential(norm(width), half))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        last = block_setting[-1].out_channels or block_setting[-1].input_channels
        self.classifier = nn.Sequential(norm(last), nn.Flatten(1), nn.Linear(last, num_classes))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(layer.weight, std=0.02)
                if layer.bias is not None:
                    nn.init.zeros_(layer.bias)

    def _forward_impl(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) to logits (N, num_classes)."""
        return self._forward_impl(x)


def _convnext(
    widths: Sequence[int], third: int, depth: float, arguments: dict[str, Any]
) -> ConvNeXt:
    blocks = (3, 3, third, 3)
    setting = [
        CNBlockConfig(width, following, count)
        for width, following, count in zip(widths, [*widths[1:], None], blocks, strict=True)
    ]
    arguments.setdefault("stochastic_depth_prob", depth)
    return ConvNeXt(setting, **arguments)


ConvNeXt_Tiny_Weights = weights_enum("ConvNeXt_Tiny_Weights", __name__)
ConvNeXt_Small_Weights = weights_enum("ConvNeXt_Small_Weights", __name__)
ConvNeXt_Base_Weights = weights_enum("ConvNeXt_Base_Weights", __name__)
ConvNeXt_Large_Weights = weights_enum("ConvNeXt_Large_Weights", __name__)


@builder(ConvNeXt_Tiny_Weights)
def convnext_tiny(**kwargs: Any) -> ConvNeXt:
    """ConvNeXt, tiny; ``kwargs`` go to the class."""
    return _convnext((96, 192, 384, 768), 9, 0.1, kwargs)


@builder(ConvNeXt_Small_Weights)
def convnext_small(**kwargs: Any) -> ConvNeXt:
    """ConvNeXt, small; ``kwargs`` go to the class."""
    return _convnext((96, 192, 384, 768), 27, 0.4, kwargs)


@builder(ConvNeXt_Base_Weights)
def convnext_base(**kwargs: Any) -> ConvNeXt:
    """ConvNeXt, base; ``kwargs`` go to the class."""
    return _convnext((128, 256, 512, 1024), 27, 0.5, kwargs)


@builder(ConvNeXt_Large_Weights)
def convnext_large(**kwargs: Any) -> ConvNeXt:
    """ConvNeXt, large; ``kwargs`` go to the class."""
    return _convnext((192, 384, 768, 1536), 27, 0.5, kwargs)
