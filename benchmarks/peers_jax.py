"""The small workloads for JAX: the whole step under ``jit``, parameters donated.

Networks, initial ranges, losses and optimizers are those of ``models.py``; the numbers drawn are
JAX's own. JAX's optimizer library is not needed: the rules are written out.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import jax  # type: ignore[import-not-found]
import jax.numpy as jnp  # type: ignore[import-not-found]
import numpy as np
from jax import lax, nn  # type: ignore[import-not-found]

from benchmarks.models import Step, in_turn

Tree = Any


def _linear(rng: np.random.Generator, inputs: int, outputs: int) -> Tree:
    bound = inputs**-0.5
    weight = rng.uniform(-bound, bound, (inputs, outputs)).astype(np.float32)
    return jnp.array(weight), jnp.array(rng.uniform(-bound, bound, outputs).astype(np.float32))


def _convolution(rng: np.random.Generator, inputs: int, outputs: int, size: int) -> Tree:
    bound = (inputs * size * size) ** -0.5
    weight = rng.uniform(-bound, bound, (outputs, inputs, size, size)).astype(np.float32)
    return jnp.array(weight), jnp.array(rng.uniform(-bound, bound, outputs).astype(np.float32))


def _dense(layer: Tree, x: Any) -> Any:
    return x @ layer[0] + layer[1]


def _nll(scores: Any, labels: Any) -> Any:
    return -jnp.take_along_axis(nn.log_softmax(scores), labels[:, None], axis=1).mean()


def _stepping(update: Callable[..., tuple[Tree, Any]], state: Tree, batches: list[Any]) -> Step:
    """Steps of ``update(state, *batch) -> state, loss``, compiled."""
    compiled = jax.jit(update, donate_argnums=0)
    current = [state]

    def step(*batch: Any) -> Any:
        current[0], loss = compiled(current[0], *batch)
        return loss

    return in_turn(step, batches)


def mlp() -> Step:
    """Two layers, 64 x 1000 x 100 x 10, squared error, SGD."""
    rng = np.random.default_rng(0)
    state = [_linear(rng, 1000, 100), _linear(rng, 100, 10)]
    batch = jnp.array(rng.standard_normal((64, 1000), dtype=np.float32))
    target = jnp.array(rng.standard_normal((64, 10), dtype=np.float32))

    def loss_of(layers: Tree, x: Any, y: Any) -> Any:
        return ((_dense(layers[1], nn.relu(_dense(layers[0], x))) - y) ** 2).sum()

    def update(layers: Tree, x: Any, y: Any) -> tuple[Tree, Any]:
        loss, gradients = jax.value_and_grad(loss_of)(layers, x, y)
        return jax.tree.map(lambda p, g: p - 1e-4 * g, layers, gradients), loss

    return _stepping(update, state, [(batch, target)])


def _pool(x: Any) -> Any:
    window = (1, 1, 2, 2)
    return lax.reduce_window(x, -jnp.inf, lax.max, window, window, "VALID")


def _convolve(layer: Tree, x: Any) -> Any:
    y = lax.conv_general_dilated(
        x, layer[0], (1, 1), "VALID", dimension_numbers=("NCHW", "OIHW", "NCHW")
    )
    return y + layer[1][:, None, None]


def lenet() -> Step:
    """LeNet, batch 4 of 3x32x32, cross entropy, SGD with momentum."""
    rng = np.random.default_rng(0)
    layers = [
        _convolution(rng, 3, 6, 5), _convolution(rng, 6, 16, 5), _linear(rng, 400, 120),
        _linear(rng, 120, 84), _linear(rng, 84, 10),
    ]  # fmt: skip

    def loss_of(layers: Tree, x: Any, y: Any) -> Any:
        x = _pool(nn.relu(_convolve(layers[0], x)))
        x = _pool(nn.relu(_convolve(layers[1], x))).reshape(-1, 400)
        x = nn.relu(_dense(layers[3], nn.relu(_dense(layers[2], x))))
        return _nll(_dense(layers[4], x), y)

    def update(state: Tree, x: Any, y: Any) -> tuple[Tree, Any]:
        layers, momenta = state
        loss, gradients = jax.value_and_grad(loss_of)(layers, x, y)
        momenta = jax.tree.map(lambda m, g: 0.9 * m + g, momenta, gradients)
        layers = jax.tree.map(lambda p, m: p - 0.001 * m, layers, momenta)
        return (layers, momenta), loss

    batches = [
        (
            jnp.array(rng.standard_normal((4, 3, 32, 32), dtype=np.float32)),
            jnp.array(rng.integers(0, 10, 4)),
        )
        for _ in range(8)
    ]
    return _stepping(update, (layers, jax.tree.map(jnp.zeros_like, layers)), batches)


def _adam(parameter: Any, mean: Any, square: Any, count: Any) -> Any:
    corrected = jnp.sqrt(square / (1 - 0.999**count)) + 1e-8
    return parameter - 2e-4 * (mean / (1 - 0.9**count)) / corrected


def _drop(key: Any, x: Any) -> Any:
    return jnp.where(jax.random.bernoulli(key, 0.9, x.shape), x / 0.9, 0.0)


def lit_mnist() -> Step:
    """A multi-layer perceptron on 1x28x28, batch 32, dropout, log softmax, NLL, Adam."""
    rng = np.random.default_rng(0)
    layers = [_linear(rng, 784, 64), _linear(rng, 64, 64), _linear(rng, 64, 10)]

    def loss_of(layers: Tree, key: Any, x: Any, y: Any) -> Any:
        first, second = jax.random.split(key)
        x = _drop(first, nn.relu(_dense(layers[0], x.reshape(-1, 784))))
        x = _drop(second, nn.relu(_dense(layers[1], x)))
        return _nll(_dense(layers[2], x), y)

    def update(state: Tree, x: Any, y: Any) -> tuple[Tree, Any]:
        layers, means, squares, count, key = state
        key, now = jax.random.split(key)
        loss, gradients = jax.value_and_grad(loss_of)(layers, now, x, y)
        count = count + 1
        means = jax.tree.map(lambda m, g: 0.9 * m + 0.1 * g, means, gradients)
        squares = jax.tree.map(lambda s, g: 0.999 * s + 0.001 * g * g, squares, gradients)
        layers = jax.tree.map(partial(_adam, count=count), layers, means, squares)
        return (layers, means, squares, count, key), loss

    zeros = [jax.tree.map(jnp.zeros_like, layers) for _ in range(2)]
    state = (layers, *zeros, jnp.array(0.0), jax.random.key(0))
    batches = [
        (
            jnp.array(rng.standard_normal((32, 1, 28, 28), dtype=np.float32)),
            jnp.array(rng.integers(0, 10, 32)),
        )
        for _ in range(8)
    ]
    return _stepping(update, state, batches)


WORKLOADS: dict[str, Callable[[], Step]] = {"mlp": mlp, "lenet": lenet, "lit_mnist": lit_mnist}
