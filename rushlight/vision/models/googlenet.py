"""GoogLeNet (Szegedy et al. 2014, arXiv:1409.4842), with batch normalisation."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import rushlight as torch
from rushlight import nn
from rushlight._tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.models._builders import expect, load_weights, registered
from rushlight.vision.models._weights import WeightsEnum, weights_enum

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "GoogLeNet_Weights", "googlenet"]

Block = Callable[..., nn.Module]


class GoogLeNetOutputs(NamedTuple):
    """What the network gives in training: the logits, and those of the two heads on the way."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class BasicConv2d(nn.Module):
    """A convolution without bias, batch normalisation, ReLU.

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output.
        **kwargs: for the convolution.
    """

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to (N, out_channels, ...)."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches side by side: 1x1, 3x3 twice (the second stands for 5x5), pooling.

    Args:
        in_channels: channels of the input.
        ch1x1: channels of the first branch.
        ch3x3red: channels inside the second branch.
        ch3x3: channels of the second branch.
        ch5x5red: channels inside the third branch.
        ch5x5: channels of the third branch.
        pool_proj: channels of the fourth branch.
        conv_block: class of the convolutions.
    """

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        conv_block: Block | None = None,
    ) -> None:
        super().__init__()
        conv = conv_block or BasicConv2d
        self.branch1 = conv(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv(in_channels, ch3x3red, kernel_size=1),
            conv(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            conv(in_channels, ch5x5red, kernel_size=1),
            conv(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            conv(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels one behind the other, of the input's size."""
        return torch.cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A head in the middle of the network, for training.

    Args:
        in_channels: channels of the input.
        num_classes: outputs.
        conv_block: class of the convolution.
        dropout: probability between the linear layers.
    """

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv_block: Block | None = None,
        dropout: float = 0.7,
    ) -> None:
        super().__init__()
        self.conv = (conv_block or BasicConv2d)(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4)))
        x = F.relu(self.fc1(torch.flatten(x, 1)), inplace=True)
        return self.fc2(self.dropout(x))


#: The arguments of each Inception block, and behind which a picture is halved.
_BLOCKS: dict[str, tuple[int, ...]] = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """Nine Inception blocks, and in training two heads on the way.

    Args:
        num_classes: outputs for each picture (N, 3, H, W).
        aux_logits: whether there are the two heads.
        transform_input: whether pictures come normalised for torchvision's other models.
        init_weights: whether convolutions and linear layers begin with a truncated normal.
        blocks: classes in place of ``BasicConv2d``, ``Inception`` and ``InceptionAux``.
        dropout: probability in front of the last layer.
        dropout_aux: probability inside the heads.

    Raises:
        ValueError: ``blocks`` has not three elements.

    >>> import rushlight as torch
    >>> from rushlight.vision.models import GoogLeNet
    >>> net = GoogLeNet(num_classes=10, init_weights=False)
    >>> net(torch.zeros(2, 3, 64, 64)).aux_logits2.shape
    torch.Size([2, 10])
    """

    aux1: nn.Module | None
    aux2: nn.Module | None

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        blocks: Sequence[Block] | None = None,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        conv, inception, head = _classes(blocks)
        if init_weights is None:
            warnings.warn(
                "The default weight initialization of GoogleNet will be changed in future "
                "releases of torchvision. If you wish to keep the old behavior (which leads to "
                "long initialization times due to scipy/scipy#11299), please set "
                "init_weights=True.",
                FutureWarning,
                stacklevel=2,
            )
            init_weights = True
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = conv(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        for name, sizes in _BLOCKS.items():
            setattr(self, f"inception{name}", inception(*sizes))
            if name == "3b":
                self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
            elif name == "4e":
                self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.aux1 = head(512, num_classes, dropout=dropout_aux) if aux_logits else None
        self.aux2 = head(528, num_classes, dropout=dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights:
            truncated_normal(self)

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        aux1 = aux2 = None
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        if self.aux1 is not None and self.training:
            aux1 = self.aux1(x)
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        if self.aux2 is not None and self.training:
            aux2 = self.aux2(x)
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        x = torch.flatten(self.avgpool(x), 1)
        return self.fc(self.dropout(x)), aux2, aux1

    def forward(self, x: Tensor) -> Any:
        """Logits (N, num_classes); in training with heads a ``GoogLeNetOutputs``."""
        outputs = self._forward(renormalise(x) if self.transform_input else x)
        return GoogLeNetOutputs(*outputs) if self.training and self.aux_logits else outputs[0]


def _classes(blocks: Sequence[Block] | None) -> Sequence[Block]:
    """The classes of convolutions, blocks and heads."""
    if blocks is None:
        return BasicConv2d, Inception, InceptionAux
    if len(blocks) != 3:
        raise ValueError(f"blocks length should be 3 instead of {len(blocks)}")
    return blocks


def renormalise(x: Tensor) -> Tensor:
    """From the normalisation of torchvision's pictures to mean 0.5 and deviation 0.5."""
    means, deviations = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    channels = [
        torch.unsqueeze(x[:, i], 1) * (deviations[i] / 0.5) + (means[i] - 0.5) / 0.5
        for i in range(3)
    ]
    return torch.cat(channels, 1)


def truncated_normal(model: nn.Module, deviation: float = 0.01) -> None:
    """Weights from a normal cut at 2; norms that change nothing.

    Args:
        model: all of whose layers are set, in order.
        deviation: of the normal; a layer's ``stddev`` goes before it.
    """
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            own = getattr(layer, "stddev", deviation)
            nn.init.trunc_normal_(layer.weight, mean=0.0, std=own, a=-2, b=2)
        elif isinstance(layer, nn.BatchNorm2d):
            nn.init.ones_(layer.weight)
            nn.init.zeros_(layer.bias)


GoogLeNet_Weights = weights_enum("GoogLeNet_Weights", __name__)


@registered(GoogLeNet_Weights)
def googlenet(
    *, weights: WeightsEnum | None = None, progress: bool = True, **kwargs: Any
) -> GoogLeNet:
    """GoogLeNet; ``kwargs`` go to the class.

    Trained weights bring ``transform_input``; the two heads are there only when asked for, and are
    not trained.
    """
    if weights is None:
        return GoogLeNet(**kwargs)
    heads = kwargs.get("aux_logits", False)
    kwargs.setdefault("transform_input", True)
    expect(kwargs, "aux_logits", True)
    expect(kwargs, "init_weights", False)
    expect(kwargs, "num_classes", len(weights.meta["categories"]))
    model = GoogLeNet(**kwargs)
    load_weights(model, weights, progress)
    if heads:
        warnings.warn(
            "auxiliary heads in the pretrained googlenet model are NOT pretrained, so make sure "
            "to train them",
            stacklevel=3,
        )
    else:
        model.aux_logits = False
        model.aux1 = model.aux2 = None
    return model
