"""The small workloads for tinygrad: the whole step under ``TinyJit``.

Networks, losses and optimizers are those of ``models.py``; the numbers drawn are tinygrad's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from tinygrad import Context, Tensor, TinyJit, dtypes, nn  # type: ignore[import-not-found]

from benchmarks.models import Step, in_turn


def _training(loss_of: Callable[[Any, Any], Any], optimizer: Any, batches: list[Any]) -> Step:
    """Steps of the usual kind, compiled as one, with training switched on for dropout."""

    @TinyJit
    def train(inputs: Any, labels: Any) -> Any:
        optimizer.zero_grad()
        loss = loss_of(inputs, labels).backward()
        return loss.realize(*optimizer.schedule_step())

    def step(inputs: Any, labels: Any) -> Any:
        with Context(TRAINING=1):
            return train(inputs, labels)

    return in_turn(step, batches)


def _numbers(rng: np.random.Generator, *shape: int) -> Any:
    return Tensor(rng.standard_normal(shape, dtype=np.float32)).realize()


def _labels(rng: np.random.Generator, count: int) -> Any:
    return Tensor(rng.integers(0, 10, count), dtype=dtypes.int32).realize()


def mlp() -> Step:
    """Two layers, 64 x 1000 x 100 x 10, squared error, SGD."""
    rng = np.random.default_rng(0)
    first, second = nn.Linear(1000, 100), nn.Linear(100, 10)
    optimizer = nn.optim.SGD(nn.state.get_parameters([first, second]), lr=1e-4)

    def loss_of(x: Any, y: Any) -> Any:
        return ((second(first(x).relu()) - y) ** 2).sum()

    return _training(loss_of, optimizer, [(_numbers(rng, 64, 1000), _numbers(rng, 64, 10))])


def lenet() -> Step:
    """LeNet, batch 4 of 3x32x32, cross entropy, SGD with momentum."""
    rng = np.random.default_rng(0)
    conv1, conv2 = nn.Conv2d(3, 6, 5), nn.Conv2d(6, 16, 5)
    fc1, fc2, fc3 = nn.Linear(400, 120), nn.Linear(120, 84), nn.Linear(84, 10)
    parameters = nn.state.get_parameters([conv1, conv2, fc1, fc2, fc3])
    optimizer = nn.optim.SGD(parameters, lr=0.001, momentum=0.9, classic=True)

    def loss_of(x: Any, y: Any) -> Any:
        x = conv1(x).relu().max_pool2d((2, 2))
        x = conv2(x).relu().max_pool2d((2, 2)).reshape(-1, 400)
        return fc3(fc2(fc1(x).relu()).relu()).sparse_categorical_crossentropy(y)

    batches = [(_numbers(rng, 4, 3, 32, 32), _labels(rng, 4)) for _ in range(8)]
    return _training(loss_of, optimizer, batches)


def lit_mnist() -> Step:
    """A multi-layer perceptron on 1x28x28, batch 32, dropout, log softmax, NLL, Adam."""
    rng = np.random.default_rng(0)
    layers = [nn.Linear(784, 64), nn.Linear(64, 64), nn.Linear(64, 10)]
    optimizer = nn.optim.Adam(nn.state.get_parameters(layers), lr=2e-4)

    def loss_of(x: Any, y: Any) -> Any:
        x = layers[0](x.reshape(-1, 784)).relu().dropout(0.1)
        x = layers[1](x).relu().dropout(0.1)
        return layers[2](x).sparse_categorical_crossentropy(y)

    batches = [(_numbers(rng, 32, 1, 28, 28), _labels(rng, 32)) for _ in range(8)]
    return _training(loss_of, optimizer, batches)


WORKLOADS: dict[str, Callable[[], Step]] = {"mlp": mlp, "lenet": lenet, "lit_mnist": lit_mnist}
