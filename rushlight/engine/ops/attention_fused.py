"""Attention as one operator that keeps no weights: of each row only the logarithm of their sum.

Forwards, a block of scores at a time becomes weights and is used up; backwards the weights are
computed again from the scores (Dao et al., 2022, https://arxiv.org/abs/2205.14135).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from math import prod
from typing import Any, Final

import numpy as np

from rushlight.engine.core.dtype import bool_
from rushlight.engine.core.shape import pointwise_strides
from rushlight.engine.ir.buffers import empty_strided
from rushlight.engine.ir.graph import Meta, make_meta, strided_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, constant, function_of
from rushlight.engine.ops.matmul import product
from rushlight.engine.ops.written_out import Build, usable

Array = np.ndarray

#: Scores of a block: 1 MiB of float32, which stays in the second-level cache while it is used.
BLOCK: Final = 1 << 18
#: Rows of a block under a causal mask: what lies behind its last row is not computed.
CAUSAL_ROWS: Final = 128
#: Scores up to which the compiler writes them all to memory, to multiply in the library: 16 MiB.
#: Beyond that blocks were as quick (4 x 8 heads of 512 tokens of 64, forwards and backwards on one
#: thread: 80 ms in blocks, 80 to 139 ms as a whole on a busy machine).
MOST_SCORES: Final = 1 << 22


def _laid_out(shape: tuple[int, ...], like: Meta) -> Meta:
    """A result in the memory order of ``like``, whose axes it has, as PyTorch gives it."""
    if like.contiguous or like.strides[-1] != 1:
        return make_meta(shape, like.dtype)
    strides = pointwise_strides(shape, [(shape, like.strides)])
    return strided_meta(shape, strides, like.dtype)


def _infer(
    query: Meta, key: Meta, value: Meta, mask: Meta | None, scale: float, causal: bool
) -> tuple[Meta, Meta]:
    rows = tuple(query.shape[:-1])
    return _laid_out((*rows, value.shape[-1]), query), make_meta(rows, query.dtype)


# blocks -----------------------------------------------------------------------------------------


class _Blocks:
    """How the scores are cut, and how a block of them is made.

    Attributes:
        lead: the axes before rows and columns.
    """

    def __init__(self, query: Meta, key: Meta, scale: float, causal: bool) -> None:
        self.lead = tuple(query.shape[:-2])
        self.rows, self.columns = query.shape[-2], key.shape[-2]
        self.scale = query.dtype.numpy.type(scale)
        self.causal = causal
        self.kind = query.dtype.numpy
        self.height = min(self.rows, CAUSAL_ROWS) if causal else self.rows
        one = self.height * self.columns * prod(self.lead[1:])
        self.batches = max(1, BLOCK // max(one, 1))
        self.hidden = np.triu(np.full((self.height, self.height), -np.inf, self.kind), 1)

    def parts(self) -> Iterator[tuple[Any, slice, slice]]:
        """Index of the first axis, rows and columns of every block."""
        count = self.lead[0] if self.lead else 1
        for first in range(0, count, self.batches):
            batch: Any = slice(first, first + self.batches) if self.lead else slice(None)
            for start in range(0, self.rows, self.height):
                stop = min(start + self.height, self.rows)
                end = min(stop, self.columns) if self.causal else self.columns
                yield batch, slice(start, stop), slice(0, end)

    def pick(self, x: Array, batch: Any, rows: slice) -> Array:
        """Some batches and some rows of an array (..., rows, width)."""
        return x[batch, ..., rows, :] if self.lead else x[rows, :]

    def scores(
        self, scaled: Array, key: Array, mask: Array | None, rows: slice, columns: slice
    ) -> Array:
        """A block of scores from scaled queries, keys and its part of the mask."""
        made: Array = np.matmul(scaled, key.swapaxes(-1, -2))
        if self.causal and columns.stop > rows.start:
            width = columns.stop - rows.start
            made[..., rows.start : columns.stop] += self.hidden[: rows.stop - rows.start, :width]
        if mask is None:
            return made
        if mask.dtype == np.bool_:
            np.copyto(made, -np.inf, where=~mask)
        else:
            made += mask
        return made

    def mask_part(self, mask: Array | None, batch: Any, rows: slice, columns: slice) -> Any:
        """The part of a mask (..., rows, columns) that belongs to a block."""
        if mask is None:
            return None
        whole = np.broadcast_to(mask, (*self.lead, self.rows, self.columns))
        return whole[batch, ..., rows, columns] if self.lead else whole[rows, columns]


def _kernel(spec: Spec, scale: float, causal: bool) -> Callable[..., tuple[Array, Array]]:
    query, key = spec.inputs[:2]
    assert query is not None
    assert key is not None
    blocks = _Blocks(query, key, scale, causal)
    shape = tuple(spec.outs[1].shape)

    def call(q: Array, k: Array, v: Array, mask: Array | None) -> tuple[Array, Array]:
        made, sums = empty_strided(spec.out), np.empty((*shape, 1), blocks.kind)
        for batch, rows, columns in blocks.parts():
            scaled = blocks.pick(q, batch, rows) * blocks.scale
            part = blocks.mask_part(mask, batch, rows, columns)
            weights = blocks.scores(scaled, blocks.pick(k, batch, columns), part, rows, columns)
            peak = weights.max(-1, keepdims=True)
            if mask is not None:
                peak[np.isneginf(peak)] = 0  # a row that is masked altogether
            weights -= peak
            np.exp(weights, out=weights)
            total = weights.sum(-1, keepdims=True)
            if mask is not None:
                total[total == 0] = np.inf
            result = np.matmul(weights, blocks.pick(v, batch, columns))
            result /= total
            blocks.pick(made, batch, rows)[...] = result
            peak += np.log(total)
            blocks.pick(sums, batch, rows)[...] = peak
        return made, sums.reshape(shape)

    return call


def _backward_infer(
    g_out: Meta, query: Meta, key: Meta, value: Meta, mask: Meta | None, result: Meta,
    sums: Meta, scale: float, causal: bool,
) -> tuple[Meta, Meta, Meta]:  # fmt: skip
    first, second, third = (_laid_out(tuple(part.shape), part) for part in (query, key, value))
    return first, second, third


def _backward_kernel(
    spec: Spec, scale: float, causal: bool
) -> Callable[..., tuple[Array, Array, Array]]:
    query, key = spec.inputs[1:3]
    assert query is not None
    assert key is not None
    blocks = _Blocks(query, key, scale, causal)

    def call(
        g: Array, q: Array, k: Array, v: Array, mask: Array | None, result: Array, sums: Array
    ) -> tuple[Array, Array, Array]:
        gq, gk, gv = (empty_strided(meta) for meta in spec.outs)
        gk[...] = 0
        gv[...] = 0
        along = np.einsum("...i,...i->...", g, result)[..., None]
        for batch, rows, columns in blocks.parts():
            scaled = blocks.pick(q, batch, rows) * blocks.scale
            keys, values = blocks.pick(k, batch, columns), blocks.pick(v, batch, columns)
            part = blocks.mask_part(mask, batch, rows, columns)
            weights = blocks.scores(scaled, keys, part, rows, columns)
            weights -= blocks.pick(sums[..., None], batch, rows)
            np.exp(weights, out=weights)
            own = blocks.pick(g, batch, rows)
            gv_part = blocks.pick(gv, batch, columns)
            gv_part += np.matmul(weights.swapaxes(-1, -2), own)
            slope = np.matmul(own, values.swapaxes(-1, -2))
            slope -= blocks.pick(along, batch, rows)
            slope *= weights
            gq_part = np.matmul(slope, keys)
            gq_part *= blocks.scale
            blocks.pick(gq, batch, rows)[...] = gq_part
            gk_part = blocks.pick(gk, batch, columns)
            gk_part += np.matmul(slope.swapaxes(-1, -2), scaled)
        return gq, gk, gv

    return call


# for the compiler -------------------------------------------------------------------------------


def _hidden(build: Build, scores: Any, mask: Any, causal: bool) -> Any:
    """Scores with the mask applied."""
    rows, columns = scores.meta.shape[-2:]
    if causal:
        own = [build("positions", shape=(rows, columns), dim=dim) for dim in (0, 1)]
        scores = build("where", build("le", own[1], own[0]), scores, -math.inf)
    if mask is None:
        return scores
    if mask.meta.dtype is bool_:
        return build("where", mask, scores, -math.inf)
    return build("add", scores, mask)


def _written_out(
    build: Build, q: Any, k: Any, v: Any, mask: Any, scale: float, causal: bool
) -> Any:
    """Two products around a softmax; not where all scores at once would take much memory."""
    rows, columns = q.meta.numel // q.meta.shape[-1], k.meta.shape[-2]
    if not usable(q, k, v) or rows * columns > MOST_SCORES:
        return None
    dims = (q.meta.ndim - 1,)
    scores = build("batched", build("mul", q, scale), k, transpose1=False, transpose2=True)
    scores = _hidden(build, scores, mask, causal)
    peak = build("amax_", scores, dims=dims, keepdim=True)
    if mask is not None:
        peak = build("where", build("eq", peak, -math.inf), 0.0, peak)
    weights = build("exp", build("sub", scores, peak))
    total = build("sum", weights, dims=dims, keepdim=True)
    if mask is not None:
        total = build("where", build("eq", total, 0.0), math.inf, total)
    y = build(
        "batched", build("div", weights, total), v, transpose1=False, transpose2=False
    )
    sums = build("add", build("log", total), peak)
    sums = build("view", sums, size=tuple(q.meta.shape[:-1]))
    wanted = _laid_out(tuple(y.meta.shape), q.meta)
    return y if y.meta is wanted else build("as_layout", y, strides=wanted.strides), sums


def _backward_written_out(
    build: Build, g: Any, q: Any, k: Any, v: Any, mask: Any, result: Any, sums: Any,
    scale: float, causal: bool,
) -> Any:  # fmt: skip
    rows, columns = q.meta.numel // q.meta.shape[-1], k.meta.shape[-2]
    if not usable(g, q, k, v) or rows * columns > MOST_SCORES:
        return None

    def times(x: Any, y: Any, transpose1: bool, transpose2: bool) -> Any:
        return build("batched", x, y, transpose1=transpose1, transpose2=transpose2)

    dims, scaled = (q.meta.ndim - 1,), build("mul", q, scale)
    scores = _hidden(build, times(scaled, k, False, True), mask, causal)
    sums = build("view", sums, size=(*sums.meta.shape, 1))
    weights = build("exp", build("sub", scores, sums))
    along = build("sum", build("mul", g, result), dims=dims, keepdim=True)
    slope = build("mul", build("sub", times(g, v, False, True), along), weights)
    made = (
        build("mul", times(slope, k, False, False), scale),
        times(slope, scaled, True, False),
        times(weights, g, True, False),
    )
    laid_out = []
    for part, like in zip(made, (q, k, v), strict=True):
        wanted = _laid_out(tuple(part.meta.shape), like.meta)
        if part.meta is not wanted:
            part = build("as_layout", part, strides=wanted.strides)
        laid_out.append(part)
    return laid_out


# gradients --------------------------------------------------------------------------------------


def weights_of(query: Any, key: Any, mask: Any, scale: float, causal: bool) -> Any:
    """All weights, by recorded operations; a row that is masked altogether has none."""
    scores = product(query * scale, key, False, True)
    rows, columns = query.shape[-2], key.shape[-2]
    if causal:
        allowed = constant(np.tri(rows, columns, dtype=np.bool_))
        scores = scores.masked_fill(~allowed, -math.inf)
    if mask is not None:
        plain = mask.dtype is bool_
        scores = scores.masked_fill(~mask, -math.inf) if plain else scores + mask
    weights = function_of("torch.softmax")(scores, -1)
    if mask is None:
        return weights
    return weights.masked_fill((scores == -math.inf).all(-1, keepdim=True), 0.0)


def _gradient(
    g0: Any, query: Any, key: Any, value: Any, mask: Any, result: Any, result1: Any,
    scale: float, causal: bool, needs: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    """One operator; written with others where it will be differentiated again."""
    if any(part.requires_grad for part in (g0, query, key, value)):
        weights = weights_of(query, key, mask, scale, causal)
        slope = product(g0, value, False, True)
        slope = weights * (slope - (weights * slope).sum(-1, keepdim=True))
        made = (
            product(slope, key) * scale,
            product(slope, query, True) * scale,
            product(weights, g0, True),
        )
    else:
        made = attention_backward(
            g0, query, key, value, mask, result, result1, scale=scale, causal=causal
        )
    return tuple(part if need else None for part, need in zip(made, needs, strict=False))


attention_backward = Op(
    "attention_backward(Tensor g_out, Tensor query, Tensor key, Tensor value, Tensor? mask, "
    "Tensor result, Tensor sums, float scale, bool causal)",
    kind=OTHER,
    infer=_backward_infer,
    kernel=_backward_kernel,
    decompose=_backward_written_out,
)

# softmax(scale query key^T + mask) value, and the logarithm of the sum under each softmax
attention_op = Op(
    "attention_(Tensor query, Tensor key, Tensor value, Tensor? mask, float scale, bool causal)",
    kind=OTHER,
    infer=_infer,
    kernel=_kernel,
    decompose=_written_out,
    grad={"query, key, value": _gradient, "mask": "scaled_dot_product_attention"},
    differentiable=1,
    grad_name="ScaledDotProductFlashAttentionForCpu",
)
