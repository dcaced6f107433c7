"""What is recorded of each of torchvision's models, and compared with ours."""

from __future__ import annotations

import hashlib
from typing import Any

#: Every model whose names and shapes are compared.
BUILT = (
    "alexnet",
    *(f"vgg{depth}{kind}" for depth in (11, 13, 16, 19) for kind in ("", "_bn")),
    *(f"resnet{depth}" for depth in (18, 34, 50, 101, 152)),
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
    "googlenet",
    "inception_v3",
    "mobilenet_v2",
    "mobilenet_v3_large",
    "mobilenet_v3_small",
    "vit_b_16",
    "vit_b_32",
    "vit_l_16",
    "vit_l_32",
    "vit_h_14",
    "squeezenet1_0",
    "squeezenet1_1",
    *(f"densenet{depth}" for depth in (121, 161, 169, 201)),
    *(f"shufflenet_v2_x{width}" for width in ("0_5", "1_0", "1_5", "2_0")),
    *(f"efficientnet_b{number}" for number in range(8)),
    *(f"efficientnet_v2_{size}" for size in "sml"),
    *(f"convnext_{size}" for size in ("tiny", "small", "base", "large")),
)

#: How small forms of the models are built whose outputs are compared, and on which pictures.
COMPUTED: dict[str, tuple[dict[str, Any], int]] = {
    "alexnet": ({"num_classes": 10}, 64),
    "resnet18": ({"num_classes": 10}, 64),
    "resnext50_32x4d": ({"num_classes": 10}, 64),
    "googlenet": ({"num_classes": 10, "init_weights": True, "transform_input": True}, 64),
    "mobilenet_v2": ({"num_classes": 10, "width_mult": 0.5}, 64),
    "mobilenet_v3_large": ({"num_classes": 10, "reduced_tail": True}, 64),
    "mobilenet_v3_small": ({"num_classes": 10, "dilated": True}, 64),
    "VisionTransformer": (
        {
            "image_size": 32, "patch_size": 16, "num_layers": 2, "num_heads": 4, "hidden_dim": 32,
            "mlp_dim": 64, "representation_size": 16, "num_classes": 10,
        },
        32,
    ),
    "squeezenet1_1": ({"num_classes": 10}, 64),
    "DenseNet": ({"growth_rate": 8, "block_config": (2, 3, 2), "num_classes": 10}, 64),
    "shufflenet_v2_x0_5": ({"num_classes": 10}, 64),
    "efficientnet_b0": ({"num_classes": 10}, 64),
}  # fmt: skip


def layout(model: Any) -> str:
    """The names and shapes of a state, parameters and their order as a hash."""
    state = [(name, list(value.shape)) for name, value in model.state_dict().items()]
    parameters = [name for name, _ in model.named_parameters()]
    modules = [(name, type(module).__name__) for name, module in model.named_modules()]
    return hashlib.sha256(repr((state, parameters, modules)).encode()).hexdigest()[:16]


def built(torch: Any, models: Any, name: str) -> Any:
    """The small form of a model, for seed 0."""
    torch.manual_seed(0)
    return getattr(models, name)(**COMPUTED[name][0])


def outputs(torch: Any, models: Any, name: str) -> dict[str, list[float]]:
    """What one seed gives: sums of parameters, answers in both modes, a next random number."""
    model = built(torch, models, name)
    side = COMPUTED[name][1]
    drawn = torch.rand(1).item()
    values = [value.double().abs().mean().item() for value in model.parameters()]
    torch.manual_seed(1)
    with torch.no_grad():
        for value in model.parameters():
            if value.dim() > 1 and not value.any():  # a head that answers nothing at first
                value.normal_(std=0.1)
        pictures = torch.rand(2, 3, side, side)
        model.train()
        trained = model(pictures)
        trained = trained if isinstance(trained, torch.Tensor) else torch.stack(list(trained))
        model.eval()
        answers = model(pictures)
    return {
        "drawn": [drawn],
        "parameters": [float(f"{value:.9g}") for value in values],
        "trained": [float(f"{value:.6g}") for value in trained.flatten().tolist()],
        "answers": [float(f"{value:.6g}") for value in answers.flatten().tolist()],
    }


#: Whose training is compared. In single precision rounding grows a hundredfold with every step,
#: since a batch normalisation over few values passes little of a gradient on.
TRAINED = ("resnet18", "mobilenet_v2", "mobilenet_v3_small", "shufflenet_v2_x0_5", "DenseNet")


def losses(torch: Any, models: Any, name: str) -> list[float]:
    """The losses of some steps in double precision, dropout and momentum and all."""
    model = built(torch, models, name).double()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.02, momentum=0.9, weight_decay=5e-4)
    pictures = torch.rand(4, 3, 64, 64).double()
    labels = torch.arange(4)
    recorded = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(model(pictures), labels)
        loss.backward()
        optimizer.step()
        recorded.append(loss.item())
    return recorded
