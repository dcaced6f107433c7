"""Inception v3 (Szegedy et al. 2015, arXiv:1512.00567)."""

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
from rushlight.vision.models.googlenet import BasicConv2d, renormalise, truncated_normal

__all__ = ["Inception3", "InceptionOutputs", "Inception_V3_Weights", "inception_v3"]

Block = Callable[..., nn.Module]

#: A convolution: its name, inputs, outputs and kernel, and what else it takes.
Row = tuple[str, int, int, Any, dict[str, Any]]

#: Convolutions one behind the other; of two side by side the channels are joined.
Chain = Sequence[str | tuple[str, str]]

_SAME: dict[Any, dict[str, Any]] = {
    1: {},
    3: {"padding": 1},
    5: {"padding": 2},
    (1, 7): {"padding": (0, 3)},
    (7, 1): {"padding": (3, 0)},
    (1, 3): {"padding": (0, 1)},
    (3, 1): {"padding": (1, 0)},
}
_HALF = {"stride": 2}


class InceptionOutputs(NamedTuple):
    """What the network gives in training: the logits, and those of the head on the way."""

    logits: Tensor
    aux_logits: Tensor | None


class _Branches(nn.Module):
    """Chains of convolutions side by side, and a pooling beside them."""

    def __init__(self, rows: Sequence[Row], chains: Sequence[Chain], conv: Block | None) -> None:
        super().__init__()
        for name, inputs, outputs, kernel, options in rows:
            layer = (conv or BasicConv2d)(inputs, outputs, kernel_size=kernel, **options)
            setattr(self, name, layer)
        self._chains = chains

    def _along(self, x: Tensor, chain: Chain) -> Tensor:
        for step in chain:
            if isinstance(step, str):
                x = getattr(self, step)(x)
            else:
                x = torch.cat([getattr(self, name)(x) for name in step], 1)
        return x

    def _pooled(self, x: Tensor) -> Tensor:
        """The mean of each neighbourhood, its channels mixed."""
        pooled = F.avg_pool2d(x, kernel_size=3, stride=1, padding=1)
        return getattr(self, "branch_pool")(pooled)  # noqa: B009

    def forward(self, x: Tensor) -> Tensor:
        """The branches' channels one behind the other."""
        return torch.cat([*(self._along(x, chain) for chain in self._chains), self._pooled(x)], 1)


class _Halving(_Branches):
    """Branches that halve the picture."""

    def _pooled(self, x: Tensor) -> Tensor:
        return F.max_pool2d(x, kernel_size=3, stride=2)


def _same(name: str, inputs: int, outputs: int, kernel: Any) -> Row:
    """A convolution that keeps the size."""
    return name, inputs, outputs, kernel, _SAME[kernel]


class InceptionA(_Branches):
    """1x1, 5x5 and twice 3x3; (N, in_channels, H, W) to 224 + ``pool_features`` channels."""

    def __init__(
        self, in_channels: int, pool_features: int, conv_block: Block | None = None
    ) -> None:
        rows = [
            _same("branch1x1", in_channels, 64, 1),
            _same("branch5x5_1", in_channels, 48, 1),
            _same("branch5x5_2", 48, 64, 5),
            _same("branch3x3dbl_1", in_channels, 64, 1),
            _same("branch3x3dbl_2", 64, 96, 3),
            _same("branch3x3dbl_3", 96, 96, 3),
            _same("branch_pool", in_channels, pool_features, 1),
        ]
        double = ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"]
        chains = [["branch1x1"], ["branch5x5_1", "branch5x5_2"], double]
        super().__init__(rows, chains, conv_block)


class InceptionB(_Halving):
    """3x3, and twice 3x3, with stride 2; 480 more channels."""

    def __init__(self, in_channels: int, conv_block: Block | None = None) -> None:
        rows = [
            ("branch3x3", in_channels, 384, 3, _HALF),
            _same("branch3x3dbl_1", in_channels, 64, 1),
            _same("branch3x3dbl_2", 64, 96, 3),
            ("branch3x3dbl_3", 96, 96, 3, _HALF),
        ]
        chains = [["branch3x3"], ["branch3x3dbl_1", "branch3x3dbl_2", "branch3x3dbl_3"]]
        super().__init__(rows, chains, conv_block)


class InceptionC(_Branches):
    """1x1, and 7x7 as 1x7 behind 7x1, once and twice; 768 channels."""

    def __init__(
        self, in_channels: int, channels_7x7: int, conv_block: Block | None = None
    ) -> None:
        c7 = channels_7x7
        rows = [
            _same("branch1x1", in_channels, 192, 1),
            _same("branch7x7_1", in_channels, c7, 1),
            _same("branch7x7_2", c7, c7, (1, 7)),
            _same("branch7x7_3", c7, 192, (7, 1)),
            _same("branch7x7dbl_1", in_channels, c7, 1),
            _same("branch7x7dbl_2", c7, c7, (7, 1)),
            _same("branch7x7dbl_3", c7, c7, (1, 7)),
            _same("branch7x7dbl_4", c7, c7, (7, 1)),
            _same("branch7x7dbl_5", c7, 192, (1, 7)),
            _same("branch_pool", in_channels, 192, 1),
        ]
        once = [f"branch7x7_{number}" for number in range(1, 4)]
        twice = [f"branch7x7dbl_{number}" for number in range(1, 6)]
        super().__init__(rows, [["branch1x1"], once, twice], conv_block)


class InceptionD(_Halving):
    """3x3, and 3x3 behind 7x7, with stride 2; 512 more channels."""

    def __init__(self, in_channels: int, conv_block: Block | None = None) -> None:
        rows = [
            _same("branch3x3_1", in_channels, 192, 1),
            ("branch3x3_2", 192, 320, 3, _HALF),
            _same("branch7x7x3_1", in_channels, 192, 1),
            _same("branch7x7x3_2", 192, 192, (1, 7)),
            _same("branch7x7x3_3", 192, 192, (7, 1)),
            ("branch7x7x3_4", 192, 192, 3, _HALF),
        ]
        long = [f"branch7x7x3_{number}" for number in range(1, 5)]
        super().__init__(rows, [["branch3x3_1", "branch3x3_2"], long], conv_block)


class InceptionE(_Branches):
    """1x1, and 1x3 beside 3x1, once and behind a 3x3; 2048 channels."""

    def __init__(self, in_channels: int, conv_block: Block | None = None) -> None:
        rows = [
            _same("branch1x1", in_channels, 320, 1),
            _same("branch3x3_1", in_channels, 384, 1),
            _same("branch3x3_2a", 384, 384, (1, 3)),
            _same("branch3x3_2b", 384, 384, (3, 1)),
            _same("branch3x3dbl_1", in_channels, 448, 1),
            _same("branch3x3dbl_2", 448, 384, 3),
            _same("branch3x3dbl_3a", 384, 384, (1, 3)),
            _same("branch3x3dbl_3b", 384, 384, (3, 1)),
            _same("branch_pool", in_channels, 192, 1),
        ]
        once: Chain = ["branch3x3_1", ("branch3x3_2a", "branch3x3_2b")]
        double: Chain = [
            "branch3x3dbl_1", "branch3x3dbl_2", ("branch3x3dbl_3a", "branch3x3dbl_3b"),
        ]  # fmt: skip
        super().__init__(rows, [["branch1x1"], once, double], conv_block)


class InceptionAux(nn.Module):
    """A head in the middle of the network, for training.

    Args:
        in_channels: channels of the input, 17 by 17 points for pictures of 299.
        num_classes: outputs.
        conv_block: class of the convolutions.
    """

    def __init__(self, in_channels: int, num_classes: int, conv_block: Block | None = None) -> None:
        super().__init__()
        conv = conv_block or BasicConv2d
        self.conv0 = conv(in_channels, 128, kernel_size=1)
        self.conv1 = conv(128, 768, kernel_size=5)
        self.fc: Any = nn.Linear(768, num_classes)
        self.fc.stddev = 0.001  # for ``truncated_normal``

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) to logits (N, num_classes)."""
        x = self.conv1(self.conv0(F.avg_pool2d(x, kernel_size=5, stride=3)))
        return self.fc(torch.flatten(F.adaptive_avg_pool2d(x, (1, 1)), 1))


_BLOCKS: tuple[Block, ...] = (
    BasicConv2d, InceptionA, InceptionB, InceptionC, InceptionD, InceptionE, InceptionAux,
)  # fmt: skip


class Inception3(nn.Module):
    """Eleven blocks of branches, and in training a head on the way.

    Args:
        num_classes: outputs for each picture (N, 3, H, W), H and W at least 75.
        aux_logits: whether there is the head.
        transform_input: whether pictures come normalised for torchvision's other models.
        inception_blocks: classes in place of the seven of this module.
        init_weights: whether convolutions and linear layers begin with a truncated normal.
        dropout: probability in front of the last layer.

    Raises:
        ValueError: ``inception_blocks`` has not seven elements.
    """

    AuxLogits: nn.Module | None

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        inception_blocks: Sequence[Block] | None = None,
        init_weights: bool | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        blocks = _BLOCKS if inception_blocks is None else inception_blocks
        if init_weights is None:
            warnings.warn(
                "The default weight initialization of inception_v3 will be changed in future "
                "releases of torchvision. If you wish to keep the old behavior (which leads to "
                "long initialization times due to scipy/scipy#11299), please set "
                "init_weights=True.",
                FutureWarning,
                stacklevel=2,
            )
            init_weights = True
        if len(blocks) != 7:
            raise ValueError(f"length of inception_blocks should be 7 instead of {len(blocks)}")
        conv, a, b, c, d, e, head = blocks
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(kernel_size=3, stride=2)
        self.Mixed_5b = a(192, pool_features=32)
        self.Mixed_5c = a(256, pool_features=64)
        self.Mixed_5d = a(288, pool_features=64)
        self.Mixed_6a = b(288)
        self.Mixed_6b = c(768, channels_7x7=128)
        self.Mixed_6c = c(768, channels_7x7=160)
        self.Mixed_6d = c(768, channels_7x7=160)
        self.Mixed_6e = c(768, channels_7x7=192)
        self.AuxLogits = head(768, num_classes) if aux_logits else None
        self.Mixed_7a = d(768)
        self.Mixed_7b = e(1280)
        self.Mixed_7c = e(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(2048, num_classes)
        if init_weights:
            truncated_normal(self, 0.1)

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        aux = None
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(self.maxpool1(x)))
        x = self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(self.maxpool2(x))))
        x = self.Mixed_6c(self.Mixed_6b(self.Mixed_6a(x)))
        x = self.Mixed_6e(self.Mixed_6d(x))
        if self.AuxLogits is not None and self.training:
            aux = self.AuxLogits(x)
        x = self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x)))
        return self.fc(torch.flatten(self.dropout(self.avgpool(x)), 1)), aux

    def forward(self, x: Tensor) -> Any:
        """Logits (N, num_classes); in training with a head an ``InceptionOutputs``."""
        outputs = self._forward(renormalise(x) if self.transform_input else x)
        return InceptionOutputs(*outputs) if self.training and self.aux_logits else outputs[0]


Inception_V3_Weights = weights_enum("Inception_V3_Weights", __name__)


@registered(Inception_V3_Weights)
def inception_v3(
    *, weights: WeightsEnum | None = None, progress: bool = True, **kwargs: Any
) -> Inception3:
    """Inception v3; ``kwargs`` go to the class. Trained weights bring ``transform_input``."""
    if weights is None:
        return Inception3(**kwargs)
    head = kwargs.get("aux_logits", True)
    kwargs.setdefault("transform_input", True)
    expect(kwargs, "aux_logits", True)
    expect(kwargs, "init_weights", False)
    expect(kwargs, "num_classes", len(weights.meta["categories"]))
    model = Inception3(**kwargs)
    load_weights(model, weights, progress)
    if not head:
        model.aux_logits = False
        model.AuxLogits = None
    return model
