"""Every workload with how often it is run: what benchmarks and their tests go through."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from benchmarks import models, models_text, models_vision
from benchmarks.models import Step


@dataclass(frozen=True)
class Workload:
    """One row of the tables.

    Turns of ``warmup`` steps come before any steady measurement, at least two and until they get no
    faster, so that what compiles after some returns of a trace has compiled by then. ``steps`` are
    timed together, ``rounds`` times, the sides in turn.
    """

    key: str
    title: str
    build: Callable[..., Step]
    warmup: int
    steps: int
    rounds: int = 7
    training: bool = True


_ALL = [
    Workload("mlp", "MLP 64x1000x100x10, SGD", models.mlp, 60, 200),
    Workload("lenet", "LeNet, batch 4, momentum", models.lenet, 60, 200),
    Workload("lit_mnist", "LitMNIST, batch 32, Adam", models.lit_mnist, 60, 200),
    Workload(
        "lstm", "LSTM tagger, 5 to 30 words, SGD", models_text.lstm_tagger,
        4 * len(models_text.LENGTHS), len(models_text.LENGTHS), rounds=5,
    ),
    Workload("gpt", "GPT, 4 layers of 128, AdamW", models_text.gpt, 12, 4, rounds=5),
    Workload("vit", "ViT-tiny, batch 16, AdamW", models_vision.vision_transformer, 8, 2, rounds=5),
    Workload("resnet18", "ResNet-18, 16x3x32x32, momentum", models_vision.resnet18, 8, 2, rounds=5),
    Workload(
        "resnet18_32", "ResNet-18 inference, 1x3x32x32", models_vision.resnet18_inference_32,
        30, 10, training=False,
    ),
    Workload(
        "resnet18_224", "ResNet-18 inference, 1x3x224x224",
        models_vision.resnet18_inference_224, 12, 4, rounds=5, training=False,
    ),
]  # fmt: skip

WORKLOADS: dict[str, Workload] = {workload.key: workload for workload in _ALL}
