"""Embedding: rows of a table by number, and the gradient that adds to those rows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, int32, int64
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.loops import computing
from rushlight.engine.ir.op import GATHER, Op, Spec, composite
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ir.scalar import Expr, where
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.places import Load, Part, Place, whole_number
from rushlight.engine.ops.written_out import Build, narrowed, usable, widened

Array = np.ndarray


def index_types(indices: Meta, function: str) -> None:
    """PyTorch's error for row numbers that are no integers."""
    if indices.dtype is not int64 and indices.dtype is not int32:
        raise RuntimeError(
            "Expected tensor for argument #1 'indices' to have one of the following scalar types: "
            f"Long, Int; but got torch.{SCALAR_NAMES[indices.dtype]}Tensor instead (while checking "
            f"arguments for {function})"
        )


def _infer(indices: Meta, weight: Meta, padding: int, by_frequency: bool) -> Meta:
    index_types(indices, "embedding")
    if weight.ndim != 2:
        raise RuntimeError("'weight' must be 2-D")
    return make_meta((*indices.shape, weight.shape[1]), weight.dtype)


def check_rows(indices: Array, rows: int) -> None:
    """PyTorch's error for a row that does not exist."""
    if indices.size and rows == 0:
        raise RuntimeError("index_select(): self indexing axis dim should be positive")
    if indices.size and (indices.max() >= rows or indices.min() < 0):
        found = indices[(indices >= rows) | (indices < 0)].flat[0]
        raise IndexError(
            f"index out of range in self\nembedding: row {int(found)} was asked for, the table has "
            f"rows 0 to {rows - 1}"
        )


def _kernel(spec: Spec, padding: int, by_frequency: bool) -> Callable[[Array, Array], Array]:
    table = spec.inputs[1]
    assert table is not None
    rows = table.shape[0]

    def call(indices: Array, weight: Array) -> Array:
        check_rows(indices, rows)
        return weight.take(indices, axis=0)

    return call


def _check(spec: Spec, *attrs: Any) -> Callable[[Array], None]:
    table = spec.inputs[1]
    assert table is not None
    rows = table.shape[0]
    return lambda indices: check_rows(indices, rows)


def _element(load: Load, index: Place, spec: Spec, *attrs: Any) -> Expr:
    return load(1, [whole_number(load(0, index[:-1])), index[-1]])


def _grad_kernel(
    spec: Spec, shape: Shape, padding: int, by_frequency: bool
) -> Callable[[Array, Array], Array]:
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
            sums = np.add.reduceat(rows[order], starts, axis=0)
            if by_frequency:
                sums /= np.diff(starts, append=ordered.size)[:, None].astype(compute)
            made[ordered[starts]] = sums
        return made.astype(found, copy=False)

    return call


def _added_at(
    load: Load, index: Place, spec: Spec, shape: Shape, padding: int, by_frequency: bool
) -> tuple[list[Part], Expr]:
    """The row a gradient is added to, and that gradient; nothing to the row ``padding``."""
    row = whole_number(load(1, index[:-1]))
    g = load(0, index)
    return [row, index[-1]], g if padding < 0 else where(row.eq(padding), 0, g)


_added_at.domain = 0  # type: ignore[attr-defined]


def _by_frequency(
    build: Build, g: Any, indices: Any, shape: Shape, padding: int, by_frequency: bool
) -> Any:
    """Gradients divided by how often their row was asked for, then added up."""
    if not by_frequency or not usable(g, indices):
        return None
    ones = build("ones_", shape=(*indices.meta.shape, 1), dtype=computing(g.meta.dtype))
    counts = build(
        "embedding_grad", ones, indices, shape=(shape[0], 1), padding=-1, by_frequency=False
    )
    often = build("embedding_", indices, counts, padding=-1, by_frequency=False)
    found = g.meta.dtype
    shares = narrowed(build, build("div", widened(build, g), often), found)
    return build(
        "embedding_grad", shares, indices, shape=shape, padding=padding, by_frequency=False
    )


def _grad_check(
    spec: Spec, shape: Shape, padding: int, by_frequency: bool
) -> Callable[[Array], None]:
    return lambda indices: check_rows(indices, shape[0])


def _again(g: Any, indices: Any, padding: int, by_frequency: bool) -> Any:
    """The gradient of the gradient: the rows again, those that count."""
    made = embedding_op(indices, g, padding=padding, by_frequency=by_frequency)
    if by_frequency:
        flat = indices.reshape(-1)
        counts = (flat.unsqueeze(0) == flat.unsqueeze(1)).sum(1).reshape((*indices.shape, 1))
        made = made / counts
    return made if padding < 0 else made.masked_fill((indices == padding).unsqueeze(-1), 0)


embedding_op = Op(
    "embedding_(Tensor indices, Tensor weight, int padding, bool by_frequency)",
    kind=GATHER,
    infer=_infer,
    kernel=_kernel,
    element=_element,
    check=((0,), _check),
    grad={
        "weight": lambda g, indices, weight_meta, padding, by_frequency: embedding_grad(
            g, indices, shape=tuple(weight_meta.shape), padding=padding, by_frequency=by_frequency
        )
    },
    may_fail=True,
    grad_name="Embedding",
)

embedding_grad: Op = Op(
    "embedding_grad(Tensor g_out, Tensor indices, int[] shape, int padding, bool by_frequency)",
    kind=GATHER,
    infer=lambda g_out, indices, shape, padding, by_frequency: make_meta(shape, g_out.dtype),
    kernel=_grad_kernel,
    scatter=_added_at,
    decompose=_by_frequency,
    check=((1,), _grad_check),
    may_fail=True,
    grad={"g_out": _again},
    grad_name="EmbeddingDenseBackwardBackward0",
)


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(ti(2, 3, low=0, high=5), t(5, 4)),
        S(ti(3, low=0, high=5), t(5, 4), padding_idx=1, numeric=False),
        S(ti(low=0, high=5), t(5, 4)),
        # PyTorch forgets the frequencies in the second derivative
        S(ti(6, low=0, high=3), t(5, 4), scale_grad_by_freq=True, twice=False, numeric=False),
    ),
    errors=(
        ErrorSample(S(t(3), t(5, 4)), RuntimeError, "Long, Int; but got torch.FloatTensor"),
        ErrorSample(S(ti(3, low=7, high=8), t(5, 4)), IndexError, "index out of range in self"),
        ErrorSample(S(ti(3, low=-2, high=-1), t(5, 4)), IndexError, "index out of range in self"),
        ErrorSample(S(ti(3, low=0, high=5), t(5)), RuntimeError, "'weight' must be 2-D"),
        ErrorSample(
            S(ti(3, low=0, high=5), t(5, 4), padding_idx=9),
            AssertionError,
            "Padding_idx must be within num_embeddings",
        ),
    ),
)
def embedding(
    input: Any, weight: Any, padding_idx: int | None = None, max_norm: float | None = None,
    norm_type: float = 2.0, scale_grad_by_freq: bool = False, sparse: bool = False,
) -> Any:  # fmt: skip
    """The rows of a table by number.

    Args:
        input: row numbers (int64 or int32), any shape.
        weight: the table, (V, D).
        padding_idx: a row that gets no gradient.
        max_norm: rows longer than this are scaled down first, in place.
        norm_type: the power of that length.
        scale_grad_by_freq: divide a row's gradient by how often it was asked for.
        sparse: accepted; gradients are dense.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.embedding.html.

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
    check_ready(input, weight)
    if max_norm is not None:
        limit_rows(input, weight, max_norm, norm_type)
    return embedding_op(input, weight, padding=padding, by_frequency=bool(scale_grad_by_freq))


def check_ready(input: Any, weight: Any) -> None:
    """Look at row numbers at the call if they are known already."""
    ready = input._read().buffer
    if ready.__class__ is np.ndarray and ready.dtype.kind in "iu" and weight.dim() == 2:
        check_rows(ready, weight.shape[0])


def limit_rows(input: Any, weight: Any, max_norm: float, norm_type: float) -> None:
    """Scale the rows that are asked for down to ``max_norm``, in place."""
    table = weight.detach()
    lengths = (table.abs() ** norm_type).sum(1, keepdim=True) ** (1.0 / norm_type)
    scale = (max_norm / (lengths + 1e-7)).clamp(max=1.0)
    used = table.new_zeros((table.shape[0], 1))
    used[input.reshape(-1)] = 1.0
    table.copy_(table * (scale * used + (1 - used)))
