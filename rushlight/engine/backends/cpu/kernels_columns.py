"""Convolutions of few pixels as matrix products, for the interpreter (see `primitives_columns`)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn
from rushlight.engine.backends.cpu.onednn_convolution import BACKWARD_DATA, FORWARD, Geometry
from rushlight.engine.backends.cpu.onednn_prepared import Operation, Port, launcher
from rushlight.engine.backends.cpu.primitives_columns import Columns, pays
from rushlight.engine.backends.cpu.primitives_recipe import SINGLE
from rushlight.engine.core.dtype import float32
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import make_meta

Kernel = Callable[..., Any]


def as_product(geometry: Geometry, direction: str, bias: bool = False) -> Kernel | None:
    """The convolution or a gradient of it as a product, if that is faster.

    Returns:
        ``call(*arrays) -> array`` on C-contiguous arrays (others are copied first): input,
        weights and bias; gradient of the result and weights; input and gradient of the result.
    """
    g = geometry
    if not pays(g) or min(g.padding) < 0:
        return None
    image, result, weights = tuple(g.x_shape), tuple(g.y_shape), tuple(g.w_shape)
    shapes: list[Shape]
    if direction == FORWARD:
        shapes, kinds = [image, weights], [onednn.SRC, onednn.WEIGHTS]
        made = result
        if bias:
            shapes, kinds = [*shapes, (g.channels_out,)], [*kinds, onednn.BIAS]
    elif direction == BACKWARD_DATA:
        shapes, kinds, made = [result, weights], [onednn.DIFF_DST, onednn.WEIGHTS], image
    else:
        shapes, kinds, made = [image, result], [onednn.SRC, onednn.DIFF_DST], weights
    ports = [Port(kind, shape, SINGLE) for kind, shape in zip(kinds, shapes, strict=True)]
    ports.append(Port(onednn.DST, made, SINGLE, output=True))
    columns = Columns(g, *(make_meta(shape, float32) for shape in (image, result, weights)))
    launch = launcher(
        Operation(
            None, ports, g.microseconds,
            lambda count: columns.assemble(direction, bias, (), count),
        )
    )  # fmt: skip
    count = len(shapes)

    def product(*arrays: np.ndarray) -> np.ndarray:
        out = np.empty(made, SINGLE)
        launch(*arrays[:count], out)
        return out

    return product
