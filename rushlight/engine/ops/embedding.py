"""Embedding: rows of a table by number, and the gradient that adds to those rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, int32, int64
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import GATHER, Op, Spec, composite
from rushlight.engine.ir.samples import S, t, ti
from rushlight.engine.ops.elementwise import numpy_compute

Array = np.ndarray


def _infer(indices: Meta, weight: Meta, padding: int) -> Meta:
    if indices.dtype is not int64 and indices.dtype is not int32:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{SCALAR_NAMES[indices.dtype]}Tensor instead (while checking "
            "arguments for embedding)"
        )
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    return make_meta((*indices.shape, weight.shape[1]), weight.dtype)


def check_rows(indices: Array, rows: int) -> None:
    """PyTorch's error for a row that does not exist."""
    if indices.size and (indices.max() >= rows or indices.min() < 0):
        found = indices[(indices >= rows) | (indices < 0)].flat[0]
        raise IndexError(
            f"index out of range in self\nembedding: row {int(found)} was asked for, the table has "
            f"rows 0 to {rows - 1}"
        )


def _kernel(spec: Spec, padding: int) -> Callable[[Array, Array], Array]:
    table = spec.inputs[1]
    assert table is not None
    rows = table.shape[0]

    def call(indices: Array, weight: Array) -> Array:
        check_rows(indices, rows)
        return weight.take(indices, axis=0)

    return call


def _grad_kernel(spec: Spec, shape: Shape, padding: int) -> Callable[[Array, Array], Array]:
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)

    def call(g: Array, indices: Array) -> Array:
        made = np.zeros(shape, compute)
        flat = indices.reshape(-1)
        rows = g.reshape(-1, shape[1]).astype(compute, copy=False)
        if padding >= 0:
            kept = flat != padding
            flat, rows = flat[kept], rows[kept]
        order = np.argsort(flat, kind="stable")
        ordered = flat[order]
        if ordered.size:
            starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
            made[ordered[starts]] = np.add.reduceat(rows[order], starts, axis=0)
        return made.astype(found, copy=False)

    return call


embedding_op = Op(
    "embedding_(Tensor indices, Tensor weight, int padding)",
    kind=GATHER,
    infer=_infer,
    kernel=_kernel,
    grad={
        "weight": lambda g, indices, weight_meta, padding: embedding_grad(
            g, indices, shape=tuple(weight_meta.shape), padding=padding
        )
    },
    may_fail=True,
    grad_name="Embedding",
)

embedding_grad: Op = Op(
    "embedding_grad(Tensor g_out, Tensor indices, int[] shape, int padding)",
    kind=GATHER,
    infer=lambda g_out, indices, shape, padding: make_meta(shape, g_out.dtype),
    kernel=_grad_kernel,
    grad={"g_out": lambda g, indices, padding: embedding_op(indices, g, padding=padding)},
    grad_name="EmbeddingDenseBackward",
)


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(ti(2, 3, low=0, high=5), t(5, 4)),
        S(ti(3, low=0, high=5), t(5, 4), padding_idx=1),
        S(ti(low=0, high=5), t(5, 4)),
    ),
)
def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Any:  # fmt: skip
    """The rows of ``weight`` (V, D) that ``input`` (int64, any shape) names.

    Args:
        padding_idx: a row that gets no gradient.
        max_norm: rows longer than this are scaled down first, in place.

    >>> import rushlight as torch
    >>> torch.nn.functional.embedding(torch.tensor([1]), torch.tensor([[1.0], [2.0]]))
    tensor([[2.]])
    """
    padding = -1
    if padding_idx is not None:
        rows = weight.shape[0]
        if not -rows <= padding_idx < rows:
            raise AssertionError("Padding_idx must be within num_embeddings")
        padding = padding_idx % rows
    ready = input._value.buffer
    if isinstance(ready, np.ndarray):
        check_rows(ready, weight.shape[0])
    if max_norm is not None:
        _limit_rows(input, weight, max_norm, norm_type)
    return embedding_op(input, weight, padding=padding)


def _limit_rows(input: Any, weight: Any, max_norm: float, norm_type: float) -> None:
    table = weight.detach()
    lengths = (table.abs() ** norm_type).sum(1, keepdim=True) ** (1.0 / norm_type)
    scale = (max_norm / (lengths + 1e-7)).clamp(max=1.0)
    used = table.new_zeros((table.shape[0], 1))
    used[input.reshape(-1)] = 1.0
    table.copy_(table * (scale * used + (1 - used)))


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(ti(6, low=0, high=5), t(5, 4), ti(3, values=[0, 2, 5])),
        S(ti(2, 3, low=0, high=5), t(5, 4), mode="sum"),
        S(ti(2, 3, low=0, high=5), t(5, 4), mode="max"),
    ),
)
def embedding_bag(
    input: Any, weight: Any, offsets: Any = None, max_norm: float | None = None,
    norm_type: float = 2, scale_grad_by_freq: bool = False, mode: str = "mean",
    sparse: bool = False, per_sample_weights: Any = None, include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:  # fmt: skip
    """Sum, mean or maximum of bags of rows of ``weight``.

    Args:
        input: row numbers, (B, n) bags of one size, or (N) with ``offsets`` (B) where bags begin.

    >>> import rushlight as torch
    >>> torch.nn.functional.embedding_bag(torch.tensor([[0, 1]]), torch.tensor([[1.0], [3.0]]))
    tensor([[2.]])
    """
    if input.dim() == 1:
        if offsets is None:
            raise ValueError("if input is 1D, then offsets has to be a 1D Tensor of offsets")
        starts = offsets.tolist()
        if not include_last_offset:
            starts = [*starts, input.numel()]
        bags = [input[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)]
        weights = None
        if per_sample_weights is not None:
            weights = [
                per_sample_weights[a:b] for a, b in zip(starts[:-1], starts[1:], strict=True)
            ]
    else:
        bags = [input[i] for i in range(input.shape[0])]
        weights = None if per_sample_weights is None else list(per_sample_weights)
    rows = []
    for i, bag in enumerate(bags):
        if padding_idx is not None:
            bag = bag[bag != padding_idx]
        found = embedding(bag, weight, padding_idx, max_norm, norm_type)
        if weights is not None:
            found = found * weights[i].unsqueeze(-1)
        rows.append(_reduce_bag(found, mode))
    return rows[0].unsqueeze(0) if len(rows) == 1 else _stack(rows)


def _reduce_bag(rows: Any, mode: str) -> Any:
    if rows.shape[0] == 0:
        return rows.sum(0)
    if mode == "sum":
        return rows.sum(0)
    if mode == "mean":
        return rows.mean(0)
    if mode == "max":
        return rows.max(0)[0]
    raise ValueError(f"mode has to be one of sum, mean or max, but got {mode}")


def _stack(rows: list[Any]) -> Any:
    whole = rows[0].new_zeros((len(rows), *rows[0].shape))
    for i, row in enumerate(rows):
        whole[i] = row
    return whole
