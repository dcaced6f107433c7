"""Softmax and layer normalisation with oneDNN.

Batch normalisation is not here: on plain (N, C, ...) arrays oneDNN is 2.4 times slower than NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.onednn_prepared import Operation, Port, launcher
from rushlight.engine.backends.cpu.onednn_primitive import Description, strided

#: Operations per element of an exponential and what is around it.
_EXPONENTIAL = 20


def _slow_softmax(x: np.ndarray, axis: int, log: bool, out: np.ndarray) -> None:
    """A NaN or an infinity spoils all that it is compared with; oneDNN lets the others pass."""
    with np.errstate(invalid="ignore", divide="ignore"):
        wide = x.astype(np.float32)
        wide -= wide.max(axis, keepdims=True)
        exponentials = np.exp(wide)
        total = exponentials.sum(axis, keepdims=True)
        out[...] = wide - np.log(total) if log else exponentials / total


def prepare_softmax(
    shape: Sequence[int], axis: int, log: bool, dtype: np.dtype[Any]
) -> Callable[..., np.ndarray]:
    """Softmax, or its logarithm.

    Args:
        shape: of the input and the result.
        axis: the dimension whose results add up to one.
        log: whether the logarithm is wanted.
        dtype: of the input and the result.

    Returns:
        ``call(x, out=None) -> y``.

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    kind, dimension = np.dtype(dtype), axis % len(shape)
    algorithm = onednn.LOG_SOFTMAX if log else onednn.SOFTMAX
    cost = threads.cost(_EXPONENTIAL * prod(shape), 2 * kind.itemsize * prod(shape))
    x, size = strided(shape, kind), tuple(shape)

    def describe() -> Description:
        direction = onednn.FORWARD_INFERENCE
        return Description("softmax_forward", direction, algorithm, x, x, dimension).require_fast()

    ports = [Port(onednn.SRC, size, kind), Port(onednn.DST, size, kind, output=True)]
    launch = launcher(Operation(describe, ports, cost))

    def softmax(x: np.ndarray, out: np.ndarray | None = None) -> np.ndarray:
        if out is None:
            out = np.empty(size, kind)
        if np.maximum.reduce(x, axis=None) < np.inf:
            launch(x, out)
        else:
            _slow_softmax(x, dimension, log, out)
        return out

    return softmax


class _Layer:
    """The arrays of a layer normalisation as oneDNN sees them."""

    def __init__(
        self,
        shape: Sequence[int],
        normalized: int,
        affine: int,
        epsilon: float,
        kind: np.dtype[Any],
    ) -> None:
        self.columns = prod(shape[len(shape) - normalized :])
        self.rows = prod(shape) // self.columns
        self.kind = kind
        self.cost = threads.cost(8 * prod(shape), 3 * kind.itemsize * prod(shape))
        self._x = strided((self.rows, self.columns), kind)
        self._statistics = strided((self.rows,), np.dtype(np.float32))
        self._epsilon, self._flags = epsilon, affine

    def port(self, argument: int, shape: Sequence[int], output: bool = False) -> Port:
        """An array of the input's shape."""
        return Port(argument, shape, self.kind, output, descriptor=self._x)

    def column(self, argument: int, shape: Sequence[int], output: bool = False) -> Port:
        """An array of the normalised shape; oneDNN keeps weights in float32."""
        kind = np.dtype(np.float32)
        described = strided((self.columns,), kind)
        return Port(argument, shape, kind, output, descriptor=described)

    def row(self, argument: int, output: bool = False) -> Port:
        """One statistic of each row."""
        return Port(argument, (self.rows,), np.dtype(np.float32), output)

    def forward(self) -> Description:
        """oneDNN's description of the forward pass."""
        return Description(
            "layer_normalization_forward", onednn.FORWARD_TRAINING, self._x, self._x,
            self._statistics, self._epsilon, self._flags,
        ).require_fast()  # fmt: skip


def prepare_layer_norm(
    shape: Sequence[int],
    normalized: int,
    weight: bool,
    bias: bool,
    epsilon: float,
    dtype: np.dtype[Any],
) -> Callable[..., tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """Layer normalisation.

    Args:
        shape: of the input and the result.
        normalized: how many of the last dimensions are normalised together.
        weight, bias: whether there are such, both float32 and of the normalised shape.
        epsilon: added to the variance.
        dtype: of the input and the result.

    Returns:
        ``call(x, weight=None, bias=None, out=None) -> (y, mean, variance)``, the statistics being
        float32 vectors with one number for each normalised group.

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    affine = onednn.USE_SCALE * weight | onednn.USE_SHIFT * bias
    size, inner = tuple(shape), tuple(shape[len(shape) - normalized :])
    layer = _Layer(size, normalized, affine, epsilon, np.dtype(dtype))
    ports = [layer.port(onednn.SRC, size)]
    if weight:
        ports.append(layer.column(onednn.SCALE, inner))
    if bias:
        ports.append(layer.column(onednn.SHIFT, inner))
    ports.append(layer.port(onednn.DST, size, True))
    ports += [layer.row(onednn.MEAN, True), layer.row(onednn.VARIANCE, True)]
    launch = launcher(Operation(layer.forward, ports, layer.cost))

    def layer_norm(
        x: np.ndarray,
        weight: np.ndarray | None = None,
        bias: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        if out is None:
            out = np.empty(size, layer.kind)
        mean, variance = np.empty(layer.rows, np.float32), np.empty(layer.rows, np.float32)
        given = [array for array in (x, weight, bias) if array is not None]
        launch(*given, out, mean, variance)
        return out, mean, variance

    return layer_norm
