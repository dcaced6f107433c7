"""Ten kinds of networks, small, written once for PyTorch and rushlight alike.

``python -m tests.serialization.architectures`` sends torchvision's own networks, in their full
size, both ways, where torchvision is installed.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Builder = Callable[[Any], Any]


def _alexnet(torch: Any) -> Any:
    nn = torch.nn
    return nn.Sequential(
        nn.Conv2d(3, 8, 5, stride=2, padding=2), nn.ReLU(inplace=True), nn.MaxPool2d(3, 2),
        nn.Conv2d(8, 12, 3, padding=1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((3, 3)),
        nn.Flatten(), nn.Dropout(), nn.Linear(108, 16), nn.ReLU(inplace=True), nn.Linear(16, 5),
    )  # fmt: skip


def _vgg(torch: Any) -> Any:
    nn = torch.nn
    layers: list[Any] = []
    width = 3
    for wide in (8, "pool", 16, 16, "pool"):
        if wide == "pool":
            layers.append(nn.MaxPool2d(2, 2))
            continue
        layers += [nn.Conv2d(width, wide, 3, padding=1), nn.BatchNorm2d(wide), nn.ReLU()]
        width = wide
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(64, 5))


def _resnet(torch: Any) -> Any:
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, before: int, after: int, stride: int) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, 1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.conv2 = nn.Conv2d(after, after, 3, 1, 1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.downsample = nn.Sequential(
                nn.Conv2d(before, after, 1, stride, bias=False), nn.BatchNorm2d(after)
            )

        def forward(self, x: Any) -> Any:
            out = torch.relu(self.bn1(self.conv1(x)))
            return torch.relu(self.bn2(self.conv2(out)) + self.downsample(x))

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), Block(8, 8, 1), Block(8, 16, 2), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(16, 5),
    )  # fmt: skip


def _googlenet(torch: Any) -> Any:
    nn = torch.nn

    def convolution(before: int, after: int, size: int) -> Any:
        return nn.Sequential(
            nn.Conv2d(before, after, size, padding=size // 2, bias=False),
            nn.BatchNorm2d(after, eps=0.001), nn.ReLU(),
        )  # fmt: skip

    class Inception(nn.Module):
        def __init__(self, before: int) -> None:
            super().__init__()
            self.branch1 = convolution(before, 4, 1)
            self.branch2 = nn.Sequential(convolution(before, 3, 1), convolution(3, 4, 3))
            self.branch3 = nn.Sequential(convolution(before, 3, 1), convolution(3, 4, 5))
            self.branch4 = nn.Sequential(nn.MaxPool2d(3, 1, 1), convolution(before, 4, 1))

        def forward(self, x: Any) -> Any:
            branches = (self.branch1, self.branch2, self.branch3, self.branch4)
            return torch.cat([branch(x) for branch in branches], 1)

    return nn.Sequential(
        convolution(3, 8, 3), nn.MaxPool2d(3, 2, ceil_mode=True), Inception(8), Inception(16),
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout(0.2), nn.Linear(16, 5),
    )  # fmt: skip


def _mobilenet_v2(torch: Any) -> Any:
    nn = torch.nn

    class InvertedResidual(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            wide = width * 4
            self.conv = nn.Sequential(
                nn.Conv2d(width, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.ReLU6(),
                nn.Conv2d(wide, wide, 3, padding=1, groups=wide, bias=False),
                nn.BatchNorm2d(wide), nn.ReLU6(), nn.Conv2d(wide, width, 1, bias=False),
                nn.BatchNorm2d(width),
            )  # fmt: skip

        def forward(self, x: Any) -> Any:
            return x + self.conv(x)

    return nn.Sequential(
        nn.Conv2d(3, 6, 3, 2, 1), InvertedResidual(6), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(6, 5),
    )  # fmt: skip


def _mobilenet_v3(torch: Any) -> Any:
    nn = torch.nn

    class SqueezeExcitation(nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.fc1 = nn.Conv2d(width, width // 2, 1)
            self.fc2 = nn.Conv2d(width // 2, width, 1)

        def forward(self, x: Any) -> Any:
            scale = nn.functional.adaptive_avg_pool2d(x, 1)
            return x * nn.functional.hardsigmoid(self.fc2(torch.relu(self.fc1(scale))))

    return nn.Sequential(
        nn.Conv2d(3, 8, 3, 2, 1), nn.BatchNorm2d(8, eps=0.001, momentum=0.01), nn.Hardswish(),
        SqueezeExcitation(8), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5),
    )  # fmt: skip


def _vit(torch: Any) -> Any:
    nn = torch.nn

    class VisionTransformer(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv_proj = nn.Conv2d(3, 16, 4, stride=4)
            self.class_token = nn.Parameter(torch.zeros(1, 1, 16))
            self.pos_embedding = nn.Parameter(torch.randn(1, 17, 16))
            layer = nn.TransformerEncoderLayer(
                16, 4, 32, 0.1, activation="gelu", batch_first=True, norm_first=True
            )
            self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
            self.head = nn.Linear(16, 5)

        def forward(self, x: Any) -> Any:
            patches = self.conv_proj(x).flatten(2).transpose(1, 2)
            token = self.class_token.expand(x.shape[0], -1, -1)
            tokens = torch.cat([token, patches], 1) + self.pos_embedding
            return self.head(self.encoder(tokens)[:, 0])

    return VisionTransformer()


def _tagger(torch: Any) -> Any:
    nn = torch.nn

    class Tagger(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embeddings = nn.Embedding(11, 6, padding_idx=0)
            self.lstm = nn.LSTM(6, 4, num_layers=2, bidirectional=True, batch_first=True)
            self.tags = nn.Linear(8, 3)

        def forward(self, words: Any) -> Any:
            return torch.log_softmax(self.tags(self.lstm(self.embeddings(words))[0]), -1)

    return Tagger()


def _encoder(torch: Any) -> Any:
    nn = torch.nn

    class Encoder(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.embedding = nn.Embedding(11, 8)
            layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
            self.layers = nn.TransformerEncoder(layer, 2, nn.LayerNorm(8))

        def forward(self, words: Any) -> Any:
            return self.layers(self.embedding(words))

    return Encoder()


def _gpt(torch: Any) -> Any:
    nn = torch.nn

    class Block(nn.Module):
        def __init__(self, width: int, length: int) -> None:
            super().__init__()
            self.ln_1, self.ln_2 = nn.LayerNorm(width), nn.LayerNorm(width)
            self.c_attn, self.c_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.mlp = nn.Sequential(nn.Linear(width, 32), nn.GELU(), nn.Linear(32, width))
            self.register_buffer("bias", torch.tril(torch.ones(length, length)))

        def forward(self, x: Any) -> Any:
            q, k, v = self.c_attn(self.ln_1(x)).split(x.shape[-1], -1)
            scores = q @ k.transpose(-2, -1) / math.sqrt(x.shape[-1])
            length = x.shape[1]
            scores = scores.masked_fill(self.bias[:length, :length] == 0, float("-inf"))
            x = x + self.c_proj(torch.softmax(scores, -1) @ v)
            return x + self.mlp(self.ln_2(x))

    class GPT(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.wte, self.wpe = nn.Embedding(11, 8), nn.Embedding(7, 8)
            self.h = nn.ModuleList([Block(8, 7) for _ in range(2)])
            self.lm_head = nn.Linear(8, 11, bias=False)
            self.lm_head.weight = self.wte.weight

        def forward(self, words: Any) -> Any:
            x = self.wte(words) + self.wpe(torch.arange(words.shape[1]))
            for block in self.h:
                x = block(x)
            return self.lm_head(x)

    return GPT()


#: The networks, and whether they read images (else words).
ARCHITECTURES: dict[str, tuple[Builder, bool]] = {
    "alexnet": (_alexnet, True), "vgg": (_vgg, True), "resnet": (_resnet, True),
    "googlenet": (_googlenet, True), "mobilenet_v2": (_mobilenet_v2, True),
    "mobilenet_v3": (_mobilenet_v3, True), "vit": (_vit, True), "lstm": (_tagger, False),
    "encoder": (_encoder, False), "gpt": (_gpt, False),
}  # fmt: skip


def build(name: str, torch: Any, seed: int) -> Any:
    """A network with numbers of its own in every parameter and statistic."""
    torch.manual_seed(seed)
    made = ARCHITECTURES[name][0](torch)
    draw = np.random.default_rng(seed)
    with torch.no_grad():
        for tensor in (*made.parameters(), *made.buffers()):
            if tensor.dtype == torch.float32 and not _is_mask(tensor):
                numbers = draw.uniform(0.1, 0.6, tuple(tensor.shape)).astype(np.float32)
                tensor.copy_(torch.from_numpy(numbers))
    return made.eval()


def _is_mask(tensor: Any) -> bool:
    return tuple(tensor.shape) == (7, 7)


def input_for(name: str) -> np.ndarray:
    """What the network is asked."""
    draw = np.random.default_rng(5)
    if ARCHITECTURES[name][1]:
        return draw.standard_normal((2, 3, 16, 16)).astype(np.float32)
    return draw.integers(0, 11, (2, 7))


def answer(net: Any, torch: Any, asked: np.ndarray) -> np.ndarray:
    """What it says."""
    with torch.no_grad():
        found: np.ndarray = net(torch.from_numpy(asked)).numpy()
    return found


#: torchvision's constructors.
FULL_SIZE = (
    "alexnet", "vgg11_bn", "resnet18", "resnext50_32x4d", "wide_resnet50_2", "googlenet",
    "mobilenet_v2", "mobilenet_v3_large", "mobilenet_v3_small", "vit_b_16",
)  # fmt: skip


def _cross(name: str, folder: Path) -> float:
    """Send one of torchvision's networks both ways; the largest relative difference of outputs."""
    import torch
    import torchvision

    import rushlight
    from rushlight import vision

    options = {"aux_logits": False, "init_weights": True} if name == "googlenet" else {}
    size = 224 if name.startswith("vit") else 96
    asked = np.random.default_rng(0).standard_normal((1, 3, size, size)).astype(np.float32)
    theirs = getattr(torchvision.models, name)(**options).eval()
    ours = getattr(vision.models, name)(**options).eval()
    worst, draw = 0.0, np.random.default_rng(1)
    for saver, loader, source, target in (
        (torch, rushlight, theirs, ours), (rushlight, torch, ours, theirs),
    ):  # fmt: skip
        with saver.no_grad():
            for parameter in source.parameters():
                noise = draw.standard_normal(tuple(parameter.shape)) * 0.01
                parameter.add_(saver.from_numpy(noise.astype(np.float32)))
        saver.save(source.state_dict(), folder / "net.pt")
        target.load_state_dict(loader.load(folder / "net.pt"))
        expected, found = answer(source, saver, asked), answer(target, loader, asked)
        worst = max(worst, float(np.abs(found - expected).max() / np.abs(expected).max()))
    return worst


def _main() -> None:
    from benchmarks.torchvision_peer import load

    load()
    with tempfile.TemporaryDirectory() as folder:
        for name in FULL_SIZE:
            print(f"{name:20} {_cross(name, Path(folder)):.1e}", flush=True)


if __name__ == "__main__":
    _main()
