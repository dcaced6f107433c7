"""Random numbers inside a trace: their share of the stream is set aside when they are recorded."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import dtype, int64
from rushlight.engine.core.mt19937 import Engine
from rushlight.engine.core.sampling import (
    dropout_draws,
    dropout_noise,
    uniform,
    uniform_draws,
)
from rushlight.engine.core.sampling_distributions import exponential
from rushlight.engine.core.shape import Shape, contiguous_strides, pointwise_strides
from rushlight.engine.ir.graph import Value, make_meta, strided_meta
from rushlight.engine.ir.op import RANDOM, Op, Spec, hooks

#: The generator everything draws from that is not given another.
default_engine = Engine()

_STREAM = make_meta((), int64)


def _noise_kernel(
    spec: Spec, shape: Shape, strides: Shape, dtype: dtype
) -> Callable[..., np.ndarray]:
    # PyTorch draws in the order of the input's memory
    order = sorted(range(len(shape)), key=lambda axis: -strides[axis])
    if order == list(range(len(shape))):
        return lambda stream, p: dropout_noise(stream, shape, float(p), dtype).reshape(shape)
    in_memory = tuple(shape[axis] for axis in order)
    back = np.argsort(order)
    return lambda stream, p: (
        dropout_noise(stream, in_memory, float(p), dtype).reshape(in_memory).transpose(back)
    )


dropout_noise_op = Op(
    "dropout_noise(Tensor stream, Tensor p, int[] shape, int[] strides, dtype dtype)",
    kind=RANDOM,
    infer=lambda stream, p, shape, strides, dtype: strided_meta(shape, strides, dtype),
    kernel=_noise_kernel,
)


def dropout_factors(input: Any, shape: Shape, p: float) -> Any:
    """Zeros with probability ``p``, else 1 / (1 - p), in the type of ``input``."""
    count = prod(shape)
    meta = input._value.meta
    if meta.contiguous or shape != tuple(meta.shape):
        strides = contiguous_strides(shape)
    else:
        strides = pointwise_strides(shape, [(shape, meta.strides)])
    stream = default_engine.reserve(dropout_draws(count, p))
    return dropout_noise_op(
        hooks.wrap(Value(_STREAM, -1, stream)), float(p), shape=shape, strides=strides,
        dtype=meta.dtype,
    )  # fmt: skip


def _fill_kernel(spec: Spec, kind: str, shape: Shape, dtype: dtype) -> Callable[..., np.ndarray]:
    if kind == "exponential":
        return lambda stream: exponential(stream, shape, 1.0, dtype).reshape(shape)
    return lambda stream: uniform(stream, shape, dtype).reshape(shape)


random_fill = Op(
    "random_fill(Tensor stream, str kind, int[] shape, dtype dtype)",
    kind=RANDOM,
    infer=lambda stream, kind, shape, dtype: make_meta(shape, dtype),
    kernel=_fill_kernel,
)


def _random(kind: str, shape: Shape, dtype: dtype, draws: int) -> Any:
    stream = hooks.wrap(Value(_STREAM, -1, default_engine.reserve(draws)))
    return random_fill(stream, kind=kind, shape=shape, dtype=dtype)


def uniform_noise(shape: Shape, dtype: dtype) -> Any:
    """Uniform numbers from [0, 1) as ``torch.rand`` gives them, drawn when they are needed."""
    return _random("uniform", shape, dtype, uniform_draws(prod(shape), dtype))


def exponential_noise(shape: Shape, dtype: dtype) -> Any:
    """Exponential numbers as ``exponential_()`` writes them, drawn when they are needed."""
    return _random("exponential", shape, dtype, 2 * prod(shape))
