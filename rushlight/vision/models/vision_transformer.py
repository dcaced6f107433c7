"""The vision transformer (Dosovitskiy et al. 2020, arXiv:2010.11929)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import rushlight as torch
from rushlight import nn
from rushlight._tensor import Tensor
from rushlight.nn import functional as F
from rushlight.vision.models._builders import builder, expect
from rushlight.vision.models._weights import WeightsEnum, weights_enum
from rushlight.vision.ops.misc import MLP, Conv2dNormActivation

__all__ = [
    "ViT_B_16_Weights",
    "ViT_B_32_Weights",
    "ViT_H_14_Weights",
    "ViT_L_16_Weights",
    "ViT_L_32_Weights",
    "VisionTransformer",
    "interpolate_embeddings",
    "vit_b_16",
    "vit_b_32",
    "vit_h_14",
    "vit_l_16",
    "vit_l_32",
]

Layer = Callable[..., nn.Module]
_LAYER_NORM = partial(nn.LayerNorm, eps=1e-6)


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


class ConvStemConfig(NamedTuple):
    """One convolution in front of the transformer, in place of the cutting into patches."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: Layer = nn.BatchNorm2d
    activation_layer: Layer = nn.ReLU


class MLPBlock(MLP):
    """Two linear layers with GELU between.

    Args:
        in_dim: size of the input's and the output's last dimension.
        mlp_dim: size between.
        dropout: probability behind each layer.
    """

    _version = 2

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(
            in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, inplace=None, dropout=dropout
        )
        for layer in self.modules():
            if isinstance(layer, nn.Linear):
                nn.init.xavier_uniform_(layer.weight)
                if layer.bias is not None:
                    nn.init.normal_(layer.bias, std=1e-6)

    def _load_from_state_dict(
        self, state_dict: Any, prefix: str, local_metadata: Any, *others: Any
    ) -> None:
        """Take states of torchvision before 0.13, which named the layers."""
        version = local_metadata.get("version")
        if version is None or version < 2:
            for number, kind in ((n, k) for n in (0, 1) for k in ("weight", "bias")):
                old = f"{prefix}linear_{number + 1}.{kind}"
                if old in state_dict:
                    state_dict[f"{prefix}{3 * number}.{kind}"] = state_dict.pop(old)
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *others)


class EncoderBlock(nn.Module):
    """Self-attention and two linear layers, each behind a norm and beside a short cut.

    Args:
        num_heads: of the attention.
        hidden_dim: size of each token.
        mlp_dim: size between the linear layers.
        dropout: probability behind attention and linear layers.
        attention_dropout: probability inside the attention.
        norm_layer: class of the normalisation.
    """

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = _LAYER_NORM,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        """Tokens (N, S, hidden_dim) to the same shape."""
        _require(
            input.dim() == 3,
            f"Expected (batch_size, seq_length, hidden_dim) got {input.shape}",
        )
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        return x + self.mlp(self.ln_2(x))


class Encoder(nn.Module):
    """Positions added to the tokens, then blocks, then a norm.

    Args:
        seq_length: S, the number of tokens.
        num_layers: how many blocks.
        num_heads: of the attention.
        hidden_dim: size of each token.
        mlp_dim: size between the linear layers.
        dropout: probability behind attention and linear layers.
        attention_dropout: probability inside the attention.
        norm_layer: class of the normalisation.
    """

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = _LAYER_NORM,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(
            torch.empty(1, seq_length, hidden_dim).normal_(std=0.02)  # as in BERT
        )
        self.dropout = nn.Dropout(dropout)
        sizes = (num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer)
        layers = [(f"encoder_layer_{i}", EncoderBlock(*sizes)) for i in range(num_layers)]
        self.layers = nn.Sequential(OrderedDict(layers))
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        """Tokens (N, S, hidden_dim) to the same shape."""
        _require(
            input.dim() == 3,
            f"Expected (batch_size, seq_length, hidden_dim) got {input.shape}",
        )
        return self.ln(self.layers(self.dropout(input + self.pos_embedding)))


class VisionTransformer(nn.Module):
    """A picture cut into patches, each a token, and one more token that becomes the answer.

    Args:
        image_size: H and W of the pictures (N, 3, H, W).
        patch_size: sides of the patches; divides ``image_size``.
        num_layers: how many blocks.
        num_heads: of the attention.
        hidden_dim: size of each token.
        mlp_dim: size between the linear layers.
        dropout: probability behind attention and linear layers.
        attention_dropout: probability inside the attention.
        num_classes: outputs.
        representation_size: size of one more layer in front of the last, or ``None``.
        norm_layer: class of the normalisation.
        conv_stem_configs: convolutions in place of the cutting.

    Raises:
        AssertionError: patches do not fit the pictures.

    >>> import rushlight as torch
    >>> from rushlight.vision.models import VisionTransformer
    >>> net = VisionTransformer(32, 16, num_layers=1, num_heads=2, hidden_dim=8, mlp_dim=16)
    >>> net(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 1000])
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: Layer = _LAYER_NORM,
        conv_stem_configs: Sequence[ConvStemConfig] | None = None,
    ) -> None:
        super().__init__()
        _require(image_size % patch_size == 0, "Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj: Any = _stem(conv_stem_configs, hidden_dim, patch_size)
        self.class_token = nn.Parameter(torch.zeros(1, 1, hidden_dim))
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.encoder = Encoder(
            self.seq_length, num_layers, num_heads, hidden_dim, mlp_dim, dropout,
            attention_dropout, norm_layer,
        )  # fmt: skip
        self.heads = _heads(hidden_dim, representation_size, num_classes)
        self._initialise()

    def _initialise(self) -> None:
        """The patches keep their scale; the last layer answers nothing at first."""
        stem = self.conv_proj
        if isinstance(stem, nn.Conv2d):
            fan_in = stem.in_channels * stem.kernel_size[0] * stem.kernel_size[1]
            nn.init.trunc_normal_(stem.weight, std=math.sqrt(1 / fan_in))
        else:
            stem = stem.conv_last
            nn.init.normal_(stem.weight, mean=0.0, std=math.sqrt(2.0 / stem.out_channels))
        nn.init.zeros_(stem.bias)
        if self.representation_size is not None:
            layer = self.heads.pre_logits
            nn.init.trunc_normal_(layer.weight, std=math.sqrt(1 / layer.in_features))
            nn.init.zeros_(layer.bias)
        nn.init.zeros_(self.heads.head.weight)
        nn.init.zeros_(self.heads.head.bias)

    def _process_input(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, H, W) to tokens (N, S - 1, hidden_dim)."""
        n, _, h, w = x.shape
        size = self.image_size
        _require(h == size, f"Wrong image height! Expected {size} but got {h}!")
        _require(w == size, f"Wrong image width! Expected {size} but got {w}!")
        return self.conv_proj(x).reshape(n, self.hidden_dim, -1).permute(0, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Pictures (N, 3, image_size, image_size) to logits (N, num_classes)."""
        x = self._process_input(x)
        x = torch.cat([self.class_token.expand(x.shape[0], -1, -1), x], dim=1)
        return self.heads(self.encoder(x)[:, 0])


def _stem(configs: Sequence[ConvStemConfig] | None, hidden_dim: int, patch_size: int) -> nn.Module:
    """What makes tokens of a picture."""
    if configs is None:
        return nn.Conv2d(3, hidden_dim, kernel_size=patch_size, stride=patch_size)
    layers = nn.Sequential()
    channels = 3
    for number, config in enumerate(configs):
        layer = Conv2dNormActivation(
            channels, config.out_channels, config.kernel_size, config.stride,
            norm_layer=config.norm_layer, activation_layer=config.activation_layer,
        )  # fmt: skip
        layers.add_module(f"conv_bn_relu_{number}", layer)
        channels = config.out_channels
    layers.add_module("conv_last", nn.Conv2d(channels, hidden_dim, kernel_size=1))
    return layers


def _heads(hidden_dim: int, representation_size: int | None, num_classes: int) -> nn.Sequential:
    """What makes logits of the first token."""
    if representation_size is None:
        return nn.Sequential(OrderedDict(head=nn.Linear(hidden_dim, num_classes)))
    return nn.Sequential(
        OrderedDict(
            pre_logits=nn.Linear(hidden_dim, representation_size),
            act=nn.Tanh(),
            head=nn.Linear(representation_size, num_classes),
        )
    )


def _sized(weights: WeightsEnum, arguments: dict[str, Any]) -> None:
    """Trained positions belong to one size of pictures."""
    expect(arguments, "image_size", weights.meta["min_size"][0])


def _vit(patch: int, layers: int, heads: int, width: int, arguments: dict[str, Any]) -> Any:
    arguments.setdefault("image_size", 224)
    return VisionTransformer(
        patch_size=patch, num_layers=layers, num_heads=heads, hidden_dim=width, mlp_dim=4 * width,
        **arguments,
    )  # fmt: skip


ViT_B_16_Weights = weights_enum("ViT_B_16_Weights", __name__)
ViT_B_32_Weights = weights_enum("ViT_B_32_Weights", __name__)
ViT_L_16_Weights = weights_enum("ViT_L_16_Weights", __name__)
ViT_L_32_Weights = weights_enum("ViT_L_32_Weights", __name__)
ViT_H_14_Weights = weights_enum("ViT_H_14_Weights", __name__)


@builder(ViT_B_16_Weights, prepare=_sized)
def vit_b_16(**kwargs: Any) -> VisionTransformer:
    """ViT, base, patches of 16; ``kwargs`` (``image_size`` too) go to the class."""
    return _vit(16, 12, 12, 768, kwargs)


@builder(ViT_B_32_Weights, prepare=_sized)
def vit_b_32(**kwargs: Any) -> VisionTransformer:
    """ViT, base, patches of 32; ``kwargs`` (``image_size`` too) go to the class."""
    return _vit(32, 12, 12, 768, kwargs)


@builder(ViT_L_16_Weights, prepare=_sized)
def vit_l_16(**kwargs: Any) -> VisionTransformer:
    """ViT, large, patches of 16; ``kwargs`` (``image_size`` too) go to the class."""
    return _vit(16, 24, 16, 1024, kwargs)


@builder(ViT_L_32_Weights, prepare=_sized)
def vit_l_32(**kwargs: Any) -> VisionTransformer:
    """ViT, large, patches of 32; ``kwargs`` (``image_size`` too) go to the class."""
    return _vit(32, 24, 16, 1024, kwargs)


@builder(ViT_H_14_Weights, pretrained=None, prepare=_sized)
def vit_h_14(**kwargs: Any) -> VisionTransformer:
    """ViT, huge, patches of 14; ``kwargs`` (``image_size`` too) go to the class."""
    return _vit(14, 32, 16, 1280, kwargs)


def interpolate_embeddings(
    image_size: int,
    patch_size: int,
    model_state: Mapping[str, Tensor],
    interpolation_mode: str = "bicubic",
    reset_heads: bool = False,
) -> Mapping[str, Tensor]:
    """A state whose positions fit pictures of another size.

    Args:
        image_size: the new size.
        patch_size: the model's.
        model_state: its state for the old size.
        interpolation_mode: how positions between are computed.
        reset_heads: whether to leave the last layers out.

    Raises:
        ValueError: the positions are not those of square pictures.
    """
    old = model_state["encoder.pos_embedding"]
    n, length, width = old.shape
    if n != 1:
        raise ValueError(f"Unexpected position embedding shape: {old.shape}")
    side = image_size // patch_size
    if side**2 + 1 == length:
        return model_state
    old_side = int(math.sqrt(length - 1))
    if old_side**2 != length - 1:
        raise ValueError(
            "seq_length is not a perfect square! Instead got seq_length_1d * seq_length_1d = "
            f"{old_side**2} and seq_length = {length - 1}"
        )
    grid = old[:, 1:].permute(0, 2, 1).reshape(1, width, old_side, old_side)
    grid = F.interpolate(grid, size=side, mode=interpolation_mode, align_corners=True)
    tokens = grid.reshape(1, width, side**2).permute(0, 2, 1)
    state = OrderedDict(model_state)
    state["encoder.pos_embedding"] = torch.cat([old[:, :1], tokens], dim=1)
    if reset_heads:
        return OrderedDict((k, v) for k, v in state.items() if not k.startswith("heads"))
    return state
