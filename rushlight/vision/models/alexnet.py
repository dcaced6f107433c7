"""AlexNet (Krizhevsky 2014, arXiv:1404.5997)."""

from __future__ import annotations

from typing import Any

import rushlight as torch
from rushlight import nn
from rushlight._tensor import Tensor
from rushlight.vision.models._builders import builder
from rushlight.vision.models._weights import weights_enum

__all__ = ["AlexNet", "AlexNet_Weights", "alexnet"]


class AlexNet(nn.Module):
    """Five convolutions and three linear layers.

    Args:
        num_classes: outputs for each picture (N, 3, H, W), H and W at least 63.
        dropout: probability in front of the linear layers.

    >>> import rushlight as torch
    >>> from rushlight.vision.models import AlexNet
    >>> AlexNet(num_classes=10)(torch.zeros(1, 3, 64, 64)).shape
    torch.Size([1, 10])
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) to logits (N, num_classes)."""
        x = self.avgpool(self.features(x))
        return self.classifier(torch.flatten(x, 1))


AlexNet_Weights = weights_enum("AlexNet_Weights", __name__)


@builder(AlexNet_Weights)
def alexnet(**kwargs: Any) -> AlexNet:
    """AlexNet; ``kwargs`` go to the class.

    >>> from rushlight.vision.models import alexnet
    >>> alexnet(num_classes=2).classifier[6].out_features
    2
    """
    return AlexNet(**kwargs)
