"""Bags of rows of a table, added up, averaged, or with the largest of their elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import int64
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import GATHER, Op, Spec, composite, constant
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.embedding import embedding_grad, embedding_op, index_types, limit_rows

Array = np.ndarray


def _infer(
    indices: Meta, weight: Meta, offsets: Meta, share: Meta | None, mode: str, last: bool,
    padding: int,
) -> tuple[Meta, ...]:  # fmt: skip
    index_types(indices, "embedding_bag")
    bags = offsets.shape[0] - (1 if last else 0)
    out = make_meta((max(bags, 0), weight.shape[1]), weight.dtype)
    if mode == "max":
        return out, make_meta(tuple(out.shape), int64), make_meta(out.shape[:1], weight.dtype)
    flat = tuple(indices.shape)
    return out, make_meta(flat, int64), make_meta(flat, weight.dtype)


def check_bags(indices: Array, offsets: Array, rows: int) -> None:
    """PyTorch's errors for rows and bags that do not exist."""
    if offsets.size and offsets[0] != 0:
        raise RuntimeError(
            "offsets[0] has to be 0, i.e., the first sequence in the mini-batch has to start from "
            f"position 0. However, got {int(offsets[0])}"
        )
    if offsets.size and offsets[-1] > indices.size:
        raise RuntimeError(
            f"offsets[-1] can not be greater than input's length {indices.size} but got "
            f"offsets[-1] of {int(offsets[-1])}"
        )
    bad = (indices < 0) | (indices >= rows)
    if bad.any():
        place = int(bad.argmax())
        raise RuntimeError(
            f"Index {place} of input takes value {int(indices[place])} which is not in the valid "
            f"range [0, {rows})"
        )


def _bags(offsets: Array, count: int, last: bool) -> tuple[Array, Array]:
    """The bag of every index (-1: in none), and where the bags begin and the last one ends."""
    edges = offsets if last else np.append(offsets, count)
    numbers = np.searchsorted(edges, np.arange(count), side="right") - 1
    return np.where(numbers < len(edges) - 1, numbers, -1), edges


def _kernel(spec: Spec, mode: str, last: bool, padding: int) -> Callable[..., tuple[Array, ...]]:
    table = spec.inputs[1]
    assert table is not None
    out, found = tuple(spec.out.shape), spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)

    def call(
        indices: Array, weight: Array, offsets: Array, factors: Array | None
    ) -> tuple[Array, ...]:
        check_bags(indices, offsets, table.shape[0])
        bags, _ = _bags(offsets, len(indices), last)
        counted = (bags >= 0) & (indices != padding)
        if mode == "max":
            return _largest(weight, indices[counted], bags[counted], out)
        share = counted.astype(compute)
        if mode == "mean":
            counts = np.bincount(bags[counted], minlength=out[0])
            share[counted] /= counts[bags[counted]].astype(compute)
        rows = weight[indices[counted]].astype(compute, copy=False) * share[counted][:, None]
        if factors is not None:
            rows = rows * factors[counted][:, None].astype(compute, copy=False)
        made = np.zeros(out, compute)
        np.add.at(made, bags[counted], rows)
        return made.astype(found, copy=False), bags.clip(0), share.astype(found, copy=False)

    return call


def _largest(weight: Array, indices: Array, bags: Array, out: Shape) -> tuple[Array, ...]:
    """The largest elements, the rows they come from, and which bags have any."""
    made, chosen = np.zeros(out, weight.dtype), np.zeros(out, np.int64)
    there = np.zeros(out[0], weight.dtype)
    edges = np.flatnonzero(bags[1:] != bags[:-1]) + 1
    pairs = zip([0, *edges], [*edges, len(bags)], strict=True)
    for start, stop in pairs if bags.size else ():
        rows = weight[indices[start:stop]]
        best = rows.argmax(0)
        bag = bags[start]
        made[bag] = np.take_along_axis(rows, best[None], 0)[0]
        chosen[bag] = indices[start:stop][best]
        there[bag] = 1
    return made, chosen, there


def _weight_grad(
    g0: Any, indices: Any, share: Any, result1: Any, result2: Any, weight_meta: Meta, mode: str,
    padding: int,
) -> Any:  # fmt: skip
    if mode == "max":
        zeros = g0.new_zeros(tuple(weight_meta.shape))
        return zeros.scatter_add(0, result1, g0 * result2.unsqueeze(1))
    if share is not None:
        result2 = result2 * share
    rows = embedding_op(result1, g0, padding=-1, by_frequency=False) * result2.unsqueeze(1)
    return embedding_grad(
        rows, indices, shape=tuple(weight_meta.shape), padding=padding, by_frequency=False
    )


def _share_grad(g0: Any, indices: Any, weight: Any, result1: Any, result2: Any) -> Any:
    bags = embedding_op(result1, g0, padding=-1, by_frequency=False)
    rows = embedding_op(indices, weight, padding=-1, by_frequency=False)
    return (bags * rows).sum(1) * result2


embedding_bag_op = Op(
    "embedding_bag_(Tensor indices, Tensor weight, Tensor offsets, Tensor? share, str mode, "
    "bool last, int padding)",
    kind=GATHER,
    infer=_infer,
    kernel=_kernel,
    grad={"weight": _weight_grad, "share": _share_grad},
    differentiable=1,
    may_fail=True,
    grad_name="EmbeddingBag",
)


def _flatten(input: Any, offsets: Any, per_sample_weights: Any) -> tuple[Any, Any, Any]:
    """Row numbers one after the other, where bags begin, and a factor for each."""
    if per_sample_weights is not None and input.shape != per_sample_weights.shape:
        raise ValueError(
            f"embedding_bag: If per_sample_weights ({per_sample_weights.shape}) is not None, then "
            f"it must have the same shape as the input ({input.shape})"
        )
    if input.dim() == 2:
        if offsets is not None:
            raise ValueError(
                "if input is 2D, then offsets has to be None, as input is treated is a mini-batch "
                f"of fixed length sequences. However, found offsets of type {type(offsets)}"
            )
        if input.shape[1] == 0:
            raise RuntimeError("step must be nonzero\nA bag of fixed size needs an element.")
        starts = np.arange(input.shape[0], dtype=np.int64) * input.shape[1]
        if per_sample_weights is not None:
            per_sample_weights = per_sample_weights.reshape(-1)
        return input.reshape(-1), constant(starts), per_sample_weights
    if input.dim() != 1:
        raise ValueError(
            f"input has to be 1D or 2D Tensor, but got Tensor of dimension {input.dim()}"
        )
    if offsets is None:
        raise ValueError("offsets has to be a 1D Tensor but got None")
    if offsets.dim() != 1:
        raise ValueError("offsets has to be a 1D Tensor")
    return input, offsets, per_sample_weights


_ROWS, _TABLE = ti(6, low=0, high=5), t(5, 4)
_OFFSETS = ti(3, values=[0, 2, 5])


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(_ROWS, _TABLE, _OFFSETS),
        S(ti(2, 3, low=0, high=5), _TABLE, mode="sum"),
        S(ti(2, 3, low=0, high=5), _TABLE, mode="max"),
        S(_ROWS, _TABLE, ti(3, values=[0, 2, 2]), mode="max", padding_idx=1),
        S(_ROWS, _TABLE, _OFFSETS, mode="sum", per_sample_weights=t(6)),
        S(_ROWS, _TABLE, ti(3, values=[0, 2, 6]), include_last_offset=True),
        S(_ROWS, _TABLE, ti(3, values=[0, 3, 3]), padding_idx=2),
    ),
    errors=(
        ErrorSample(S(_ROWS, _TABLE), ValueError, "offsets has to be a 1D Tensor but got None"),
        ErrorSample(
            S(_ROWS, _TABLE, ti(2, values=[1, 2])), RuntimeError, r"offsets\[0\] has to be"
        ),
        ErrorSample(S(_ROWS, _TABLE, ti(2, values=[0, 9])), RuntimeError, r"offsets\[-1\] can not"),
        ErrorSample(S(_ROWS, _TABLE, _OFFSETS, mode="min"), ValueError, "mode has to be one of"),
        ErrorSample(
            S(ti(3, low=7, high=8), _TABLE, ti(1, values=[0])),
            RuntimeError,
            r"which is not in the valid range \[0, 5\)",
        ),
        ErrorSample(
            S(_ROWS, _TABLE, _OFFSETS, per_sample_weights=t(6)),
            NotImplementedError,
            "per_sample_weights is only supported for mode='sum'",
        ),
    ),
)
def embedding_bag(
    input: Any, weight: Any, offsets: Any = None, max_norm: float | None = None,
    norm_type: float = 2, scale_grad_by_freq: bool = False, mode: str = "mean",
    sparse: bool = False, per_sample_weights: Any = None, include_last_offset: bool = False,
    padding_idx: int | None = None,
) -> Any:  # fmt: skip
    """The sum, mean or maximum of bags of rows of a table.

    Args:
        input: row numbers, (B, n) for bags of one size, or all of them one after the other.
        weight: the table, (V, D).
        offsets: where the bags begin, (B), for row numbers one after the other.
        max_norm, norm_type: as for ``embedding``.
        mode: ``"mean"``, ``"sum"`` or ``"max"``.
        per_sample_weights: a factor for every row number (for sums).
        include_last_offset: the last offset is where the last bag ends.
        padding_idx: a row that does not count.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.embedding_bag.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.embedding_bag(torch.tensor([[0, 1]]), torch.tensor([[1.0], [3.0]]))
    tensor([[2.]])
    """
    indices, starts, share = _flatten(input, offsets, per_sample_weights)
    if mode not in ("sum", "mean", "max"):
        raise ValueError("mode has to be one of sum, mean or max")
    if mode == "max" and scale_grad_by_freq:
        raise ValueError("max mode does not support scaling the gradient by the frequency")
    if share is not None and mode != "sum":
        raise NotImplementedError(
            "embedding_bag: per_sample_weights was not None. per_sample_weights is only supported "
            f"for mode='sum' (got mode='{mode}'). Please open a feature request on GitHub."
        )
    rows = weight.shape[0]
    if padding_idx is not None and not -rows <= padding_idx < rows:
        raise RuntimeError(
            f"padding_idx must be within the number of embeddings, {-rows} through {rows - 1}, but "
            f"got {padding_idx}"
        )
    ready = indices._read().buffer, starts._read().buffer
    if all(part.__class__ is np.ndarray and part.dtype.kind in "iu" for part in ready):
        check_bags(*ready, rows)
    if max_norm is not None:
        limit_rows(indices, weight, max_norm, norm_type)
    return embedding_bag_op(
        indices, weight, starts, share, mode=mode, last=bool(include_last_offset),
        padding=-1 if padding_idx is None else padding_idx % rows,
    )[0]  # fmt: skip
