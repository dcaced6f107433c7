"""MobileNetV3, large and small (Howard et al. 2019, arXiv:1905.02244)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import rushlight as torch
from rushlight import nn
from rushlight._tensor import Tensor
from rushlight.vision.models._builders import builder, make_divisible
from rushlight.vision.models._init import kaiming_fan_out
from rushlight.vision.models._weights import weights_enum
from rushlight.vision.ops.misc import Conv2dNormActivation, SqueezeExcitation

__all__ = [
    "MobileNetV3",
    "MobileNet_V3_Large_Weights",
    "MobileNet_V3_Small_Weights",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
]

Layer = Callable[..., nn.Module]
_SQUEEZE = partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)


class InvertedResidualConfig:
    """What one block is like.

    Args:
        input_channels: channels of the input.
        kernel: size of the depthwise convolution.
        expanded_channels: channels inside.
        out_channels: channels of the output.
        use_se: whether channels are weighed by squeeze and excitation.
        activation: ``"HS"`` for Hardswish, ``"RE"`` for ReLU.
        stride: of the depthwise convolution.
        dilation: of the depthwise convolution; over 1 it stands for the stride.
        width_mult: all channels are multiplied by it.
    """

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """Channels times the factor, a multiple of eight."""
        return make_divisible(channels * width_mult, 8)


class InvertedResidual(nn.Module):
    """Expands the channels, looks at each alone, weighs them, projects; beside a short cut.

    Args:
        cnf: what the block is like.
        norm_layer: class of the normalisation.
        se_layer: class of squeeze and excitation.

    Raises:
        ValueError: the stride is neither 1 nor 2.
    """

    def __init__(
        self,
        cnf: InvertedResidualConfig,
        norm_layer: Layer,
        se_layer: Layer = _SQUEEZE,
    ) -> None:
        super().__init__()
        if not 1 <= cnf.stride <= 2:
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        inside = cnf.expanded_channels
        activation = nn.Hardswish if cnf.use_hs else nn.ReLU
        conv = partial(Conv2dNormActivation, norm_layer=norm_layer)
        layers: list[nn.Module] = []
        if inside != cnf.input_channels:
            layers.append(
                conv(cnf.input_channels, inside, kernel_size=1, activation_layer=activation)
            )
        layers.append(
            conv(
                inside, inside, kernel_size=cnf.kernel,
                stride=1 if cnf.dilation > 1 else cnf.stride, dilation=cnf.dilation,
                groups=inside, activation_layer=activation,
            )
        )  # fmt: skip
        if cnf.use_se:
            layers.append(se_layer(inside, make_divisible(inside // 4, 8)))
        layers.append(conv(inside, cnf.out_channels, kernel_size=1, activation_layer=None))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input: Tensor) -> Tensor:
        """(N, input_channels, H, W) to (N, out_channels, ...)."""
        result = self.block(input)
        if self.use_res_connect:
            result += input
        return result


class MobileNetV3(nn.Module):
    """Inverted residual blocks with Hardswish, then two linear layers.

    Args:
        inverted_residual_setting: what each block is like.
        last_channel: outputs of the last layer but one.
        num_classes: outputs for each picture (N, 3, H, W).
        block: class of the blocks.
        norm_layer: class of the normalisation.
        dropout: probability in front of the last layer.
        **kwargs: taken and left alone.

    Raises:
        ValueError: the setting is empty.
        TypeError: it is no list of ``InvertedResidualConfig``.
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: Layer | None = None,
        norm_layer: Layer | None = None,
        dropout: float = 0.2,
        **kwargs: Any,
    ) -> None:
        super().__init__()
        stages = inverted_residual_setting
        if not stages:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not isinstance(stages, Sequence) or not all(
            isinstance(stage, InvertedResidualConfig) for stage in stages
        ):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        block = block or InvertedResidual
        norm = norm_layer or partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        common: dict[str, Any] = {"norm_layer": norm, "activation_layer": nn.Hardswish}
        first, last = stages[0].input_channels, stages[-1].out_channels
        self.features = nn.Sequential(
            Conv2dNormActivation(3, first, kernel_size=3, stride=2, **common),
            *(block(stage, norm) for stage in stages),
            Conv2dNormActivation(last, 6 * last, kernel_size=1, **common),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(6 * last, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        kaiming_fan_out(self, linear=True)

    def _forward_impl(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) to logits (N, num_classes)."""
        return self._forward_impl(x)


Row = tuple[int, int, int, int, bool, str, int, int]


def _large(tail: int, dilation: int) -> list[Row]:
    return [
        (16, 3, 16, 16, False, "RE", 1, 1),
        (16, 3, 64, 24, False, "RE", 2, 1),
        (24, 3, 72, 24, False, "RE", 1, 1),
        (24, 5, 72, 40, True, "RE", 2, 1),
        (40, 5, 120, 40, True, "RE", 1, 1),
        (40, 5, 120, 40, True, "RE", 1, 1),
        (40, 3, 240, 80, False, "HS", 2, 1),
        (80, 3, 200, 80, False, "HS", 1, 1),
        (80, 3, 184, 80, False, "HS", 1, 1),
        (80, 3, 184, 80, False, "HS", 1, 1),
        (80, 3, 480, 112, True, "HS", 1, 1),
        (112, 3, 672, 112, True, "HS", 1, 1),
        (112, 5, 672, 160 // tail, True, "HS", 2, dilation),
        (160 // tail, 5, 960 // tail, 160 // tail, True, "HS", 1, dilation),
        (160 // tail, 5, 960 // tail, 160 // tail, True, "HS", 1, dilation),
    ]


def _small(tail: int, dilation: int) -> list[Row]:
    return [
        (16, 3, 16, 16, True, "RE", 2, 1),
        (16, 3, 72, 24, False, "RE", 2, 1),
        (24, 3, 88, 24, False, "RE", 1, 1),
        (24, 5, 96, 40, True, "HS", 2, 1),
        (40, 5, 240, 40, True, "HS", 1, 1),
        (40, 5, 240, 40, True, "HS", 1, 1),
        (40, 5, 120, 48, True, "HS", 1, 1),
        (48, 5, 144, 48, True, "HS", 1, 1),
        (48, 5, 288, 96 // tail, True, "HS", 2, dilation),
        (96 // tail, 5, 576 // tail, 96 // tail, True, "HS", 1, dilation),
        (96 // tail, 5, 576 // tail, 96 // tail, True, "HS", 1, dilation),
    ]


def _mobilenet_v3(
    rows: Callable[[int, int], list[Row]], last_channel: int, arguments: dict[str, Any]
) -> MobileNetV3:
    width = arguments.get("width_mult", 1.0)
    tail = 2 if arguments.get("reduced_tail", False) else 1
    dilation = 2 if arguments.get("dilated", False) else 1
    setting = [InvertedResidualConfig(*row, width_mult=width) for row in rows(tail, dilation)]
    last = InvertedResidualConfig.adjust_channels(last_channel // tail, width)
    return MobileNetV3(setting, last, **arguments)


MobileNet_V3_Large_Weights = weights_enum("MobileNet_V3_Large_Weights", __name__)
MobileNet_V3_Small_Weights = weights_enum("MobileNet_V3_Small_Weights", __name__)


@builder(MobileNet_V3_Large_Weights)
def mobilenet_v3_large(**kwargs: Any) -> MobileNetV3:
    """MobileNetV3, large; ``width_mult``, ``reduced_tail``, ``dilated``; others to the class."""
    return _mobilenet_v3(_large, 1280, kwargs)


@builder(MobileNet_V3_Small_Weights)
def mobilenet_v3_small(**kwargs: Any) -> MobileNetV3:
    """MobileNetV3, small; ``width_mult``, ``reduced_tail``, ``dilated``; others to the class."""
    return _mobilenet_v3(_small, 1024, kwargs)
