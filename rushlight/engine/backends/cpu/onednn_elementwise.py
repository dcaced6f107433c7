"""Elementwise functions with oneDNN, and their gradients: those that NumPy has no fast code for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.onednn_prepared import Operation, Port, launcher
from rushlight.engine.backends.cpu.onednn_primitive import FUNCTIONS, Description, strided

#: Operations per element, roughly.
_OPERATIONS = 20


class _Elements:
    """An elementwise function of a contiguous array as oneDNN sees it."""

    def __init__(self, name: str, shape: Sequence[int], dtype: np.dtype[Any]) -> None:
        self.size, self.kind = tuple(shape), np.dtype(dtype)
        self._algorithm, *self._parameters = FUNCTIONS[name]
        self._layout = strided((prod(shape),), self.kind)

    def port(self, argument: int, output: bool = False) -> Port:
        """An array of the shape."""
        return Port(argument, self.size, self.kind, output, descriptor=self._layout)

    def cost(self, arrays: int) -> float:
        """Microseconds on one thread, roughly."""
        count = prod(self.size)
        return threads.cost(_OPERATIONS * count, arrays * self.kind.itemsize * count)

    def forward(self) -> Description:
        """oneDNN's description of the function."""
        return Description(
            "eltwise_forward", onednn.FORWARD_TRAINING, self._algorithm, self._layout,
            self._layout, *self._parameters,
        ).require_fast()  # fmt: skip

    def backward(self) -> Description:
        """oneDNN's description of the gradient."""
        layout = self._layout
        return Description(
            "eltwise_backward", self._algorithm, layout, layout, layout, *self._parameters,
            self.forward(),
        ).require_fast()  # fmt: skip


def prepare_elementwise(
    name: str, shape: Sequence[int], dtype: np.dtype[Any]
) -> Callable[[np.ndarray], np.ndarray]:
    """A function of every element.

    Args:
        name: one of ``onednn_primitive.FUNCTIONS``.
        shape: of the input and the result.
        dtype: of both.

    Returns:
        ``call(x) -> y``.

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    elements = _Elements(name, shape, dtype)
    ports = [elements.port(onednn.SRC), elements.port(onednn.DST, True)]
    launch = launcher(Operation(elements.forward, ports, elements.cost(2)))

    def apply(x: np.ndarray) -> np.ndarray:
        y = np.empty(elements.size, elements.kind)
        launch(x, y)
        return y

    return apply


def prepare_elementwise_backward(
    name: str, shape: Sequence[int], dtype: np.dtype[Any]
) -> Callable[[np.ndarray, np.ndarray], np.ndarray]:
    """The gradient of a function of every element; arguments as for `prepare_elementwise`.

    Returns:
        ``call(gradient of y, x) -> gradient of x``.

    Raises:
        Unsupported: oneDNN has no fast code for it.
    """
    elements = _Elements(name, shape, dtype)
    ports = [elements.port(onednn.SRC), elements.port(onednn.DIFF_DST)]
    ports.append(elements.port(onednn.DIFF_SRC, True))
    launch = launcher(Operation(elements.backward, ports, elements.cost(3)))

    def apply(g: np.ndarray, x: np.ndarray) -> np.ndarray:
        made = np.empty(elements.size, elements.kind)
        launch(x, g, made)
        return made

    return apply
