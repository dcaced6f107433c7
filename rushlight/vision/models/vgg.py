"""VGG: small convolutions, many of them (Simonyan and Zisserman 2014, arXiv:1409.1556)."""

from __future__ import annotations

from typing import Any

import rushlight as torch
from rushlight import nn
from rushlight._tensor import Tensor
from rushlight.vision.models._builders import builder
from rushlight.vision.models._init import kaiming_fan_out
from rushlight.vision.models._weights import WeightsEnum, weights_enum

__all__ = [
    "VGG",
    "VGG11_BN_Weights",
    "VGG11_Weights",
    "VGG13_BN_Weights",
    "VGG13_Weights",
    "VGG16_BN_Weights",
    "VGG16_Weights",
    "VGG19_BN_Weights",
    "VGG19_Weights",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
]

#: How many convolutions each of the five stages has, by the number of layers that have weights.
_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """Convolutions in stages, then three linear layers.

    Args:
        features: the convolutions, with 512 channels at their end.
        num_classes: outputs for each picture (N, 3, H, W), H and W at least 32.
        init_weights: whether the layers begin as the authors let them.
        dropout: probability behind the first two linear layers.
    """

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            kaiming_fan_out(self, linear=True)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) to logits (N, num_classes)."""
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


def _stages(depth: int, batch_norm: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for width, count in zip(_WIDTHS, _DEPTHS[depth], strict=True):
        for _ in range(count):
            layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
            if batch_norm:
                layers.append(nn.BatchNorm2d(width))
            layers.append(nn.ReLU(inplace=True))
            channels = width
        layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
    return nn.Sequential(*layers)


def _vgg(depth: int, batch_norm: bool, arguments: dict[str, Any]) -> VGG:
    return VGG(_stages(depth, batch_norm), **arguments)


def _uninitialised(weights: WeightsEnum, arguments: dict[str, Any]) -> None:
    """What is about to be loaded need not be drawn first."""
    arguments["init_weights"] = False


VGG11_Weights = weights_enum("VGG11_Weights", __name__)
VGG11_BN_Weights = weights_enum("VGG11_BN_Weights", __name__)
VGG13_Weights = weights_enum("VGG13_Weights", __name__)
VGG13_BN_Weights = weights_enum("VGG13_BN_Weights", __name__)
VGG16_Weights = weights_enum("VGG16_Weights", __name__)
VGG16_BN_Weights = weights_enum("VGG16_BN_Weights", __name__)
VGG19_Weights = weights_enum("VGG19_Weights", __name__)
VGG19_BN_Weights = weights_enum("VGG19_BN_Weights", __name__)


@builder(VGG11_Weights, prepare=_uninitialised)
def vgg11(**kwargs: Any) -> VGG:
    """VGG of 11 layers; ``kwargs`` go to the class."""
    return _vgg(11, False, kwargs)


@builder(VGG11_BN_Weights, prepare=_uninitialised)
def vgg11_bn(**kwargs: Any) -> VGG:
    """VGG of 11 layers with batch normalisation; ``kwargs`` go to the class."""
    return _vgg(11, True, kwargs)


@builder(VGG13_Weights, prepare=_uninitialised)
def vgg13(**kwargs: Any) -> VGG:
    """VGG of 13 layers; ``kwargs`` go to the class."""
    return _vgg(13, False, kwargs)


@builder(VGG13_BN_Weights, prepare=_uninitialised)
def vgg13_bn(**kwargs: Any) -> VGG:
    """VGG of 13 layers with batch normalisation; ``kwargs`` go to the class."""
    return _vgg(13, True, kwargs)


@builder(VGG16_Weights, prepare=_uninitialised)
def vgg16(**kwargs: Any) -> VGG:
    """VGG of 16 layers; ``kwargs`` go to the class."""
    return _vgg(16, False, kwargs)


@builder(VGG16_BN_Weights, prepare=_uninitialised)
def vgg16_bn(**kwargs: Any) -> VGG:
    """VGG of 16 layers with batch normalisation; ``kwargs`` go to the class."""
    return _vgg(16, True, kwargs)


@builder(VGG19_Weights, prepare=_uninitialised)
def vgg19(**kwargs: Any) -> VGG:
    """VGG of 19 layers; ``kwargs`` go to the class."""
    return _vgg(19, False, kwargs)


@builder(VGG19_BN_Weights, prepare=_uninitialised)
def vgg19_bn(**kwargs: Any) -> VGG:
    """VGG of 19 layers with batch normalisation; ``kwargs`` go to the class."""
    return _vgg(19, True, kwargs)
