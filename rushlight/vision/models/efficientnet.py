"""EfficientNet and EfficientNetV2 (Tan and Le, arXiv:1905.11946 and 2104.00298)."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import rushlight as torch
from rushlight import nn
from rushlight._tensor import Tensor
from rushlight.vision.models._builders import builder, make_divisible
from rushlight.vision.models._init import kaiming_fan_out
from rushlight.vision.models._weights import weights_enum
from rushlight.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation, StochasticDepth

__all__ = [
    "EfficientNet",
    "EfficientNet_B0_Weights",
    "EfficientNet_B1_Weights",
    "EfficientNet_B2_Weights",
    "EfficientNet_B3_Weights",
    "EfficientNet_B4_Weights",
    "EfficientNet_B5_Weights",
    "EfficientNet_B6_Weights",
    "EfficientNet_B7_Weights",
    "EfficientNet_V2_L_Weights",
    "EfficientNet_V2_M_Weights",
    "EfficientNet_V2_S_Weights",
    "efficientnet_b0",
    "efficientnet_b1",
    "efficientnet_b2",
    "efficientnet_b3",
    "efficientnet_b4",
    "efficientnet_b5",
    "efficientnet_b6",
    "efficientnet_b7",
    "efficientnet_v2_l",
    "efficientnet_v2_m",
    "efficientnet_v2_s",
]

Layer = Callable[..., nn.Module]


class _StageConfig:
    """What one stage of blocks is like."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        block: Layer,
    ) -> None:
        self.expand_ratio = expand_ratio
        self.kernel = kernel
        self.stride = stride
        self.input_channels = input_channels
        self.out_channels = out_channels
        self.num_layers = num_layers
        self.block = block

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        """Channels times the factor, a multiple of eight."""
        return make_divisible(channels * width_mult, 8, min_value)


class MBConvConfig(_StageConfig):
    """A stage of ``MBConv`` blocks.

    Args:
        expand_ratio: by how much channels are expanded inside.
        kernel: size of the depthwise convolutions.
        stride: of the stage's first block.
        input_channels: channels of the input.
        out_channels: channels of the output.
        num_layers: how many blocks.
        width_mult: channels are multiplied by it.
        depth_mult: the number of blocks is multiplied by it.
        block: class of the blocks.
    """

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        block: Layer | None = None,
    ) -> None:
        super().__init__(
            expand_ratio, kernel, stride, self.adjust_channels(input_channels, width_mult),
            self.adjust_channels(out_channels, width_mult),
            self.adjust_depth(num_layers, depth_mult), block or MBConv,
        )  # fmt: skip

    @staticmethod
    def adjust_depth(num_layers: int, depth_mult: float) -> int:
        """Blocks times the factor, rounded up."""
        return math.ceil(num_layers * depth_mult)


class FusedMBConvConfig(_StageConfig):
    """A stage of ``FusedMBConv`` blocks.

    Args:
        expand_ratio: by how much channels are expanded inside.
        kernel: size of the convolutions.
        stride: of the stage's first block.
        input_channels: channels of the input.
        out_channels: channels of the output.
        num_layers: how many blocks.
        block: class of the blocks.
    """

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        block: Layer | None = None,
    ) -> None:
        super().__init__(
            expand_ratio, kernel, stride, input_channels, out_channels, num_layers,
            block or FusedMBConv,
        )  # fmt: skip


class _Block(nn.Module):
    """Layers beside a short cut, where the shapes allow one; in training some are left away."""

    def __init__(self, cnf: _StageConfig, stochastic_depth_prob: float) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        self.block: Any = nn.Sequential()
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input: Tensor) -> Tensor:
        """(N, input_channels, H, W) to (N, out_channels, ...)."""
        result = self.block(input)
        if self.use_res_connect:
            result = self.stochastic_depth(result)
            result += input
        return result


class MBConv(_Block):
    """Expands the channels, looks at each alone, weighs them, projects.

    Args:
        cnf: what its stage is like.
        stochastic_depth_prob: probability of leaving the result away in training.
        norm_layer: class of the normalisation.
        se_layer: class of squeeze and excitation.

    Raises:
        ValueError: the stride is neither 1 nor 2.
    """

    def __init__(
        self,
        cnf: MBConvConfig,
        stochastic_depth_prob: float,
        norm_layer: Layer,
        se_layer: Layer = SqueezeExcitation,
    ) -> None:
        super().__init__(cnf, stochastic_depth_prob)
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer)
        inside = cnf.adjust_channels(cnf.input_channels, cnf.expand_ratio)
        layers: list[nn.Module] = []
        if inside != cnf.input_channels:
            layers.append(conv(cnf.input_channels, inside, kernel_size=1, activation_layer=nn.SiLU))
        squeezed = max(1, cnf.input_channels // 4)
        layers += [
            conv(
                inside, inside, kernel_size=cnf.kernel, stride=cnf.stride, groups=inside,
                activation_layer=nn.SiLU,
            ),
            se_layer(inside, squeezed, activation=partial(nn.SiLU, inplace=True)),
            conv(inside, cnf.out_channels, kernel_size=1, activation_layer=None),
        ]  # fmt: skip
        self.block = nn.Sequential(*layers)


class FusedMBConv(_Block):
    """Expands the channels by a convolution that sees all of them, projects.

    Args:
        cnf: what its stage is like.
        stochastic_depth_prob: probability of leaving the result away in training.
        norm_layer: class of the normalisation.

    Raises:
        ValueError: the stride is neither 1 nor 2.
    """

    def __init__(
        self, cnf: FusedMBConvConfig, stochastic_depth_prob: float, norm_layer: Layer
    ) -> None:
        super().__init__(cnf, stochastic_depth_prob)
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer)
        sizes: dict[str, Any] = {"kernel_size": cnf.kernel, "stride": cnf.stride}
        inputs, outputs = cnf.input_channels, cnf.out_channels
        inside = cnf.adjust_channels(inputs, cnf.expand_ratio)
        if inside == inputs:
            layers = [conv(inputs, outputs, activation_layer=nn.SiLU, **sizes)]
        else:
            layers = [
                conv(inputs, inside, activation_layer=nn.SiLU, **sizes),
                conv(inside, outputs, kernel_size=1, activation_layer=None),
            ]
        self.block = nn.Sequential(*layers)


class EfficientNet(nn.Module):
    """Stages of ``MBConv`` and ``FusedMBConv`` blocks.

    Args:
        inverted_residual_setting: what each stage is like.
        dropout: probability in front of the last layer.
        stochastic_depth_prob: of the last block; the ones before it have less.
        num_classes: outputs for each picture (N, 3, H, W).
        norm_layer: class of the normalisation.
        last_channel: channels of the last convolution; four times its inputs by default.

    Raises:
        ValueError: the setting is empty.
        TypeError: it is no list of configurations.

    >>> import rushlight as torch
    >>> from rushlight.vision.models.efficientnet import EfficientNet, MBConvConfig
    >>> net = EfficientNet([MBConvConfig(1, 3, 1, 8, 8, 1)], dropout=0.2, num_classes=10)
    >>> net(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[MBConvConfig | FusedMBConvConfig],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: Layer | None = None,
        last_channel: int | None = None,
    ) -> None:
        super().__init__()
        setting = inverted_residual_setting
        if not setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not isinstance(setting, Sequence) or not all(
            isinstance(stage, _StageConfig) for stage in setting
        ):
            raise TypeError("The inverted_residual_setting should be List[MBConvConfig]")
        norm = norm_layer or nn.BatchNorm2d
        common: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.SiLU}
        first, last = setting[0].input_channels, setting[-1].out_channels
        final = 4 * last if last_channel is None else last_channel
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, kernel_size=3, stride=2, **common),
            *_stages(setting, stochastic_depth_prob, norm),
            Conv2dNormActivation(last, final, kernel_size=1, **common),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(final, num_classes)
        )
        kaiming_fan_out(self)
        bound = 1.0 / math.sqrt(num_classes)
        nn.init.uniform_(self.classifier[1].weight, -bound, bound)
        nn.init.zeros_(self.classifier[1].bias)

    def _forward_impl(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) to logits (N, num_classes)."""
        return self._forward_impl(x)


def _stages(setting: Sequence[_StageConfig], depth: float, norm: Layer) -> list[nn.Module]:
    """The blocks of every stage; only the first of a stage changes the shape."""
    total = sum(stage.num_layers for stage in setting)
    number = 0
    stages: list[nn.Module] = []
    for stage in setting:
        blocks: list[nn.Module] = []
        cnf = copy.copy(stage)
        for _ in range(stage.num_layers):
            blocks.append(cnf.block(cnf, depth * float(number) / total, norm))
            cnf = copy.copy(stage)
            cnf.input_channels, cnf.stride = cnf.out_channels, 1
            number += 1
        stages.append(nn.Sequential(*blocks))
    return stages


def _first(width: float, depth: float, dropout: float, **arguments: Any) -> EfficientNet:
    """One of the first kind."""
    make = partial(MBConvConfig, width_mult=width, depth_mult=depth)
    setting = [
        make(1, 3, 1, 32, 16, 1),
        make(6, 3, 2, 16, 24, 2),
        make(6, 5, 2, 24, 40, 2),
        make(6, 3, 2, 40, 80, 3),
        make(6, 5, 1, 80, 112, 3),
        make(6, 5, 2, 112, 192, 4),
        make(6, 3, 1, 192, 320, 1),
    ]
    arguments.setdefault("dropout", dropout)
    return EfficientNet(setting, **arguments)


_Row = tuple[int, int, int, int, int, int]


def _second(
    fused: Sequence[_Row],
    others: Sequence[_Row],
    dropout: float,
    arguments: dict[str, Any],
) -> EfficientNet:
    """One of the second kind, with convolutions that see all channels in its first stages."""
    setting: list[MBConvConfig | FusedMBConvConfig] = [FusedMBConvConfig(*row) for row in fused]
    setting += [MBConvConfig(*row) for row in others]
    arguments.setdefault("dropout", dropout)
    norm = partial(nn.BatchNorm2d, eps=1e-3)
    return EfficientNet(setting, last_channel=1280, norm_layer=norm, **arguments)


#: The normalisation of the three greatest of the first kind.
_SLOW_NORM = partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)

EfficientNet_B0_Weights = weights_enum("EfficientNet_B0_Weights", __name__)
EfficientNet_B1_Weights = weights_enum("EfficientNet_B1_Weights", __name__)
EfficientNet_B2_Weights = weights_enum("EfficientNet_B2_Weights", __name__)
EfficientNet_B3_Weights = weights_enum("EfficientNet_B3_Weights", __name__)
EfficientNet_B4_Weights = weights_enum("EfficientNet_B4_Weights", __name__)
EfficientNet_B5_Weights = weights_enum("EfficientNet_B5_Weights", __name__)
EfficientNet_B6_Weights = weights_enum("EfficientNet_B6_Weights", __name__)
EfficientNet_B7_Weights = weights_enum("EfficientNet_B7_Weights", __name__)
EfficientNet_V2_S_Weights = weights_enum("EfficientNet_V2_S_Weights", __name__)
EfficientNet_V2_M_Weights = weights_enum("EfficientNet_V2_M_Weights", __name__)
EfficientNet_V2_L_Weights = weights_enum("EfficientNet_V2_L_Weights", __name__)


@builder(EfficientNet_B0_Weights)
def efficientnet_b0(**kwargs: Any) -> EfficientNet:
    """EfficientNet B0; ``kwargs`` go to the class."""
    return _first(1.0, 1.0, 0.2, **kwargs)


@builder(EfficientNet_B1_Weights)
def efficientnet_b1(**kwargs: Any) -> EfficientNet:
    """EfficientNet B1; ``kwargs`` go to the class."""
    return _first(1.0, 1.1, 0.2, **kwargs)


@builder(EfficientNet_B2_Weights)
def efficientnet_b2(**kwargs: Any) -> EfficientNet:
    """EfficientNet B2; ``kwargs`` go to the class."""
    return _first(1.1, 1.2, 0.3, **kwargs)


@builder(EfficientNet_B3_Weights)
def efficientnet_b3(**kwargs: Any) -> EfficientNet:
    """EfficientNet B3; ``kwargs`` go to the class."""
    return _first(1.2, 1.4, 0.3, **kwargs)


@builder(EfficientNet_B4_Weights)
def efficientnet_b4(**kwargs: Any) -> EfficientNet:
    """EfficientNet B4; ``kwargs`` go to the class."""
    return _first(1.4, 1.8, 0.4, **kwargs)


@builder(EfficientNet_B5_Weights)
def efficientnet_b5(**kwargs: Any) -> EfficientNet:
    """EfficientNet B5; ``kwargs`` go to the class."""
    return _first(1.6, 2.2, 0.4, norm_layer=_SLOW_NORM, **kwargs)


@builder(EfficientNet_B6_Weights)
def efficientnet_b6(**kwargs: Any) -> EfficientNet:
    """EfficientNet B6; ``kwargs`` go to the class."""
    return _first(1.8, 2.6, 0.5, norm_layer=_SLOW_NORM, **kwargs)


@builder(EfficientNet_B7_Weights)
def efficientnet_b7(**kwargs: Any) -> EfficientNet:
    """EfficientNet B7; ``kwargs`` go to the class."""
    return _first(2.0, 3.1, 0.5, norm_layer=_SLOW_NORM, **kwargs)


@builder(EfficientNet_V2_S_Weights)
def efficientnet_v2_s(**kwargs: Any) -> EfficientNet:
    """EfficientNetV2, small; ``kwargs`` go to the class."""
    fused = [(1, 3, 1, 24, 24, 2), (4, 3, 2, 24, 48, 4), (4, 3, 2, 48, 64, 4)]
    others = [(4, 3, 2, 64, 128, 6), (6, 3, 1, 128, 160, 9), (6, 3, 2, 160, 256, 15)]
    return _second(fused, others, 0.2, kwargs)


@builder(EfficientNet_V2_M_Weights)
def efficientnet_v2_m(**kwargs: Any) -> EfficientNet:
    """EfficientNetV2, medium; ``kwargs`` go to the class."""
    fused = [(1, 3, 1, 24, 24, 3), (4, 3, 2, 24, 48, 5), (4, 3, 2, 48, 80, 5)]
    others = [
        (4, 3, 2, 80, 160, 7),
        (6, 3, 1, 160, 176, 14),
        (6, 3, 2, 176, 304, 18),
        (6, 3, 1, 304, 512, 5),
    ]
    return _second(fused, others, 0.3, kwargs)


@builder(EfficientNet_V2_L_Weights)
def efficientnet_v2_l(**kwargs: Any) -> EfficientNet:
    """EfficientNetV2, large; ``kwargs`` go to the class."""
    fused = [(1, 3, 1, 32, 32, 4), (4, 3, 2, 32, 64, 7), (4, 3, 2, 64, 96, 7)]
    others = [
        (4, 3, 2, 96, 192, 10),
        (6, 3, 1, 192, 224, 19),
        (6, 3, 2, 224, 384, 25),
        (6, 3, 1, 384, 640, 7),
    ]
    return _second(fused, others, 0.4, kwargs)
