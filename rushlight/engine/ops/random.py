"""Random numbers inside a trace: their share of the stream is set aside when they are recorded."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import dtype, float32, float64, int32, int64
from rushlight.engine.core.mt19937 import Engine
from rushlight.engine.core.sampling import (
    dropout_draws,
    dropout_noise,
    uniform,
    uniform_draws,
)
from rushlight.engine.core.sampling_distributions import exponential
from rushlight.engine.core.shape import Shape, contiguous_strides, pointwise_strides
from rushlight.engine.ir.graph import Meta, Value, make_meta, strided_meta
from rushlight.engine.ir.loops import as_expr
from rushlight.engine.ir.op import MAX_SPECS, OTHER, RANDOM, Op, Spec, hooks
from rushlight.engine.ir.scalar import Expr, cast, const, where

#: The generator everything draws from that is not given another.
default_engine = Engine()

# Held over a fork, so that no child inherits it locked by a thread that is not there any more.
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=default_engine.lock.acquire,
        after_in_parent=default_engine.lock.release,
        after_in_child=default_engine.lock.release,
    )

_STREAM = make_meta((), int64)


def _noise_kernel(
    spec: Spec, shape: Shape, strides: Shape, dtype: dtype
) -> Callable[..., np.ndarray]:
    # PyTorch draws in the order of the input's memory
    order = _order(strides)
    if order == list(range(len(shape))):
        return lambda stream, p: dropout_noise(stream, shape, float(p), dtype).reshape(shape)
    in_memory = tuple(shape[axis] for axis in order)
    back = np.argsort(order)
    return lambda stream, p: (
        dropout_noise(stream, in_memory, float(p), dtype).reshape(in_memory).transpose(back)
    )


def _order(strides: Shape) -> list[int]:
    """The axes, far strides first: the order in which PyTorch draws."""
    return sorted(range(len(strides)), key=lambda axis: -strides[axis])


def _written_out(build: Any, stream: Any, p: Any, shape: Shape, strides: Shape, dtype: Any) -> Any:
    draws = build("random_draws", stream, count=dropout_draws(prod(shape), 0.5))
    return build("dropout_from_draws", draws, p, shape=shape, strides=strides, dtype=dtype)


dropout_noise_op = Op(
    "dropout_noise(Tensor stream, Tensor p, int[] shape, int[] strides, dtype dtype)",
    kind=RANDOM,
    infer=lambda stream, p, shape, strides, dtype: strided_meta(shape, strides, dtype),
    kernel=_noise_kernel,
    decompose=_written_out,
)

random_draws = Op(
    "random_draws(Tensor stream, int count)",
    kind=RANDOM,
    infer=lambda stream, count: make_meta((count,), int32),
    kernel=lambda spec, count: lambda stream: stream.draw32(count).view(np.int32),
    into=lambda spec, count: lambda result, stream: stream.draw_into(result.view(np.uint32)),
)


class _Draws:
    """Draws made already, as the samplers take them."""

    def __init__(self, made: np.ndarray) -> None:
        self._made = made.view(np.uint32)

    def draw32(self, count: int) -> np.ndarray:
        """The first ``count`` of them."""
        return self._made[:count]

    def draw64(self, count: int) -> np.ndarray:
        """The same in pairs, the first of a pair in the high half."""
        pairs = self._made[: 2 * count].astype(np.uint64)
        return pairs[0::2] << np.uint64(32) | pairs[1::2]


def _from_draws_kernel(spec: Spec, *attrs: Any) -> Callable[..., np.ndarray]:
    noise = _noise_kernel(spec, *attrs)
    return lambda draws, p: noise(_Draws(draws), p)


def _from_draws(
    load: Callable[..., Expr], index: Sequence[Any], spec: Spec, shape: Shape, strides: Shape,
    dtype: dtype,
) -> Expr:  # fmt: skip
    """One factor: 53 random bits, as a number below 1, are compared with 1 - p."""
    place: Expr = const(0, int64)
    for axis in _order(strides):
        place = place * shape[axis] + as_expr(index[axis], int64)
    high = cast(load(0, [place * 2]), int64) & 0x1FFFFF
    low = cast(load(0, [place * 2 + 1]), int64) & 0xFFFFFFFF
    drawn = (cast(high, float64) * 2.0**32 + cast(low, float64)) * 2.0**-53
    kept = 1.0 - cast(load(1, []), float64)
    kind = float64 if dtype is float64 else float32
    return where(drawn < kept, 1.0 / cast(kept, kind), const(0.0, kind))


dropout_from_draws = Op(
    "dropout_from_draws(Tensor draws, Tensor p, int[] shape, int[] strides, dtype dtype)",
    kind=OTHER,
    infer=lambda draws, p, shape, strides, dtype: strided_meta(shape, strides, dtype),
    kernel=_from_draws_kernel,
    element=_from_draws,
)


def dropout_factors(input: Any, shape: Shape, p: float) -> Any:
    """Zeros with probability ``p``, else 1 / (1 - p), in the type of ``input``."""
    meta = input._value.meta
    known = _noise.get((meta, shape, p))
    if known is None:
        if len(_noise) > MAX_SPECS:
            _noise.clear()
        if meta.contiguous or shape != tuple(meta.shape):
            strides = contiguous_strides(shape)
        else:
            strides = pointwise_strides(shape, [(shape, meta.strides)])
        recorder = dropout_noise_op.fixed(shape, strides, meta.dtype)
        known = _noise[meta, shape, p] = recorder, dropout_draws(prod(shape), p)
    recorder, draws = known
    stream = default_engine.reserve(draws)
    return recorder(hooks.wrap(Value(_STREAM, -1, stream)), float(p))


#: How noise is recorded and how many numbers it draws, by what it is wanted for.
_noise: dict[tuple[Meta, Shape, float], tuple[Callable[..., Any], int]] = {}


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
