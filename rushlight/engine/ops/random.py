"""Dropout: its mask's share of the stream is set aside when it is recorded, drawn when it runs."""

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
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Value, make_meta
from rushlight.engine.ir.op import RANDOM, Op, Spec, composite, hooks
from rushlight.engine.ir.samples import S, t

#: The generator everything draws from that is not given another.
default_engine = Engine()

_STREAM = make_meta((), int64)


def _noise_kernel(spec: Spec, shape: Shape, dtype: dtype) -> Callable[..., np.ndarray]:
    return lambda stream, p: dropout_noise(stream, shape, float(p), dtype).reshape(shape)


dropout_noise_op = Op(
    "dropout_noise(Tensor stream, Tensor p, int[] shape, dtype dtype)",
    kind=RANDOM,
    infer=lambda stream, p, shape, dtype: make_meta(shape, dtype),
    kernel=_noise_kernel,
)


def _noise(input: Any, shape: Shape, p: float) -> Any:
    """Zeros with probability ``p``, else 1 / (1 - p)."""
    count = 1
    for n in shape:
        count *= n
    stream = default_engine.reserve(dropout_draws(count, p))
    return dropout_noise_op(
        hooks.wrap(Value(_STREAM, -1, stream)), float(p), shape=shape, dtype=input.dtype
    )


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


def _check(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _drop(input: Any, p: float, training: bool, inplace: bool, shape: Shape) -> Any:
    _check(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    y = input * (_noise(input, shape, p) if p < 1 else 0.0)
    return input.copy_(y) if inplace else y


@composite(
    namespaces=("nn.functional",),
    samples=(S(t(3, 4), 0.0), S(t(3, 4), 0.3, False), S(t(3, 4), 1.0)),
)
def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Zero elements with probability ``p`` in training and scale the others by 1 / (1 - p).

    See Hinton et al., 2012, https://arxiv.org/abs/1207.0580.

    >>> import rushlight as torch
    >>> torch.nn.functional.dropout(torch.ones(2), 0.5, training=False)
    tensor([1., 1.])
    """
    return _drop(input, p, training, inplace, tuple(input.shape))


def _feature_shape(input: Any, spatial: int) -> Shape:
    """One number per sample and channel."""
    batched = input.dim() == spatial + 2
    kept = 2 if batched else 1
    return tuple(input.shape[:kept]) + (1,) * (input.dim() - kept)


def _feature(name: str, spatial: int) -> None:
    def drop(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
        return _drop(input, p, training, inplace, _feature_shape(input, spatial))

    drop.__doc__ = "Zero whole channels with probability ``p`` in training, and scale the others."
    composite(name=name, namespaces=("nn.functional",), samples=(S(t(2, 3, 4), 0.3, False),))(drop)


for _name, _spatial in (("dropout1d", 1), ("dropout2d", 2), ("dropout3d", 3)):
    _feature(_name, _spatial)


def _alpha(input: Any, p: float, training: bool, shape: Shape) -> Any:
    _check(p)
    if not training or p == 0 or input.numel() == 0:
        return input
    if p == 1:
        return input * 0.0
    alpha = 1.7580993408473766
    scale = 1.0 / ((alpha**2 * p + 1) * (1 - p)) ** 0.5
    kept = _noise(input, shape, p) * (1 - p)
    shift = (kept - 1) * (alpha * scale) + alpha * scale * p
    return input * (kept * scale) + shift


@composite(namespaces=("nn.functional",), samples=(S(t(3, 4), 0.3, False),))
def alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """Dropout that keeps mean and variance of SELU networks; https://arxiv.org/abs/1706.02515.

    >>> import rushlight as torch
    >>> torch.nn.functional.alpha_dropout(torch.ones(2), 0.5)
    tensor([1., 1.])
    """
    return _alpha(input, p, training, tuple(input.shape))


@composite(namespaces=("nn.functional",), samples=(S(t(2, 3, 4), 0.3, False),))
def feature_alpha_dropout(
    input: Any, p: float = 0.5, training: bool = False, inplace: bool = False
) -> Any:
    """``alpha_dropout`` of whole channels.

    >>> import rushlight as torch
    >>> torch.nn.functional.feature_alpha_dropout(torch.ones(1, 2, 1), 0.5).shape
    torch.Size([1, 2, 1])
    """
    return _alpha(input, p, training, _feature_shape(input, input.dim() - 2))
