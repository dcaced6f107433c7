"""The workloads on pictures: ResNet-18 in training and inference, a small vision transformer."""

from __future__ import annotations

from typing import Any

from benchmarks.models import Step, Wrap, as_written, in_turn, training, transformer_block


def resnet18_network(torch: Any, classes: int = 10) -> Any:
    """ResNet-18 in torchvision's layout (He et al. 2015, arXiv:1512.03385)."""
    nn = torch.nn

    def convolution(inputs: int, outputs: int, size: int, stride: int) -> Any:
        return nn.Conv2d(inputs, outputs, size, stride=stride, padding=size // 2, bias=False)

    class BasicBlock(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, inputs: int, outputs: int, stride: int) -> None:
            super().__init__()
            self.conv1 = convolution(inputs, outputs, 3, stride)
            self.bn1 = nn.BatchNorm2d(outputs)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = convolution(outputs, outputs, 3, 1)
            self.bn2 = nn.BatchNorm2d(outputs)
            self.downsample = None
            if stride != 1 or inputs != outputs:
                self.downsample = nn.Sequential(
                    convolution(inputs, outputs, 1, stride), nn.BatchNorm2d(outputs)
                )

        def forward(self, x: Any) -> Any:
            identity = x if self.downsample is None else self.downsample(x)
            out = self.relu(self.bn1(self.conv1(x)))
            out = self.bn2(self.conv2(out))
            out += identity
            return self.relu(out)

    class ResNet(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = convolution(3, 64, 7, 2)
            self.bn1 = nn.BatchNorm2d(64)
            self.relu = nn.ReLU(inplace=True)
            self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
            widths = [64, 64, 128, 256, 512]
            for number in range(1, 5):
                inputs, outputs = widths[number - 1], widths[number]
                stage = nn.Sequential(
                    BasicBlock(inputs, outputs, 1 if number == 1 else 2),
                    BasicBlock(outputs, outputs, 1),
                )
                setattr(self, f"layer{number}", stage)
            self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
            self.fc = nn.Linear(512, classes)
            for module in self.modules():
                if isinstance(module, nn.Conv2d):
                    nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

        def forward(self, x: Any) -> Any:
            x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
            x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
            x = torch.flatten(self.avgpool(x), 1)
            return self.fc(x)

    return ResNet()


def resnet18(torch: Any, wrap: Wrap = as_written) -> Step:
    """ResNet-18, batch 16 of 3x32x32, cross entropy, SGD with momentum and weight decay."""
    torch.manual_seed(0)
    net = resnet18_network(torch)
    optimizer = torch.optim.SGD(net.parameters(), lr=0.001, momentum=0.9, weight_decay=5e-4)
    batches = [(torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,))) for _ in range(4)]
    return training(net, torch.nn.CrossEntropyLoss(), optimizer, batches, wrap)


def _inference(torch: Any, side: int, classes: int, wrap: Wrap) -> Step:
    torch.manual_seed(0)
    net = resnet18_network(torch, classes)
    net.eval()
    pictures = [(torch.randn(1, 3, side, side),) for _ in range(4)]

    def predict(picture: Any) -> Any:
        with torch.no_grad():
            return net(picture).square().mean()

    return in_turn(wrap(predict), pictures)


def resnet18_inference_32(torch: Any, wrap: Wrap = as_written) -> Step:
    """ResNet-18 in eval mode without gradients, one picture of 3x32x32."""
    return _inference(torch, 32, 10, wrap)


def resnet18_inference_224(torch: Any, wrap: Wrap = as_written) -> Step:
    """ResNet-18 in eval mode without gradients, one picture of 3x224x224."""
    return _inference(torch, 224, 1000, wrap)


def vision_transformer_network(torch: Any, depth: int) -> Any:
    """ViT-tiny for 32x32 in patches of 4: width 192, 3 heads (Dosovitskiy 2020, 2010.11929)."""
    nn, width, heads, patches = torch.nn, 192, 3, (32 // 4) ** 2

    class Attention(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(width, 3 * width)
            self.proj = nn.Linear(width, width)

        def forward(self, x: Any) -> Any:
            batch, tokens, _ = x.shape
            qkv = self.qkv(x).reshape(batch, tokens, 3, heads, width // heads)
            q, k, v = qkv.permute(2, 0, 3, 1, 4).unbind(0)
            x = nn.functional.scaled_dot_product_attention(q, k, v)
            return self.proj(x.transpose(1, 2).reshape(batch, tokens, width))

    block = transformer_block(torch, width, Attention)

    class VisionTransformer(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.patches = nn.Conv2d(3, width, kernel_size=4, stride=4)
            self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
            self.positions = nn.Parameter(0.02 * torch.randn(1, patches + 1, width))
            self.blocks = nn.Sequential(*[block() for _ in range(depth)])
            self.norm = nn.LayerNorm(width)
            self.head = nn.Linear(width, 10)

        def forward(self, pictures: Any) -> Any:
            x = self.patches(pictures).flatten(2).transpose(1, 2)
            x = torch.cat([self.cls_token.expand(x.shape[0], -1, -1), x], dim=1)
            x = self.blocks(x + self.positions)
            return self.head(self.norm(x)[:, 0])

    return VisionTransformer()


def vision_transformer(torch: Any, wrap: Wrap = as_written) -> Step:
    """ViT-tiny of 8 blocks, batch 16 of 3x32x32, cross entropy, AdamW."""
    torch.manual_seed(0)
    net = vision_transformer_network(torch, depth=8)
    optimizer = torch.optim.AdamW(net.parameters(), lr=3e-4, weight_decay=0.05)
    batches = [(torch.randn(16, 3, 32, 32), torch.randint(0, 10, (16,))) for _ in range(4)]
    return training(net, torch.nn.CrossEntropyLoss(), optimizer, batches, wrap)
