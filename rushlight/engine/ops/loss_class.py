"""The losses of class numbers that have a node of their own in PyTorch's graph."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, int64
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, constant
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.loss import MEAN, NONE, reduced

Array = np.ndarray


# margins between classes -----------------------------------------------------------------------


def _margin_input(input: Meta) -> None:
    shape = tuple(input.shape)
    if len(shape) > 2 or (len(shape) == 2 and shape[1] == 0) or shape == (0,):
        raise RuntimeError(
            "Expected non-empty vector or matrix with optional 0-dim batch size, but got: "
            f"{list(shape)}"
        )
    if input.dtype.category != FLOATING:
        raise NotImplementedError(
            f"\"multi_margin_loss\" not implemented for '{SCALAR_NAMES[input.dtype]}'"
        )


def _long_target(target: Meta) -> None:
    if target.dtype is not int64:
        raise RuntimeError(f"expected scalar type Long but found {SCALAR_NAMES[target.dtype]}")


def _multi_infer(
    input: Meta, target: Meta, weight: Meta | None, p: int, margin: float, reduction: str
) -> Meta:
    _margin_input(input)
    rows = input.shape[0] if input.ndim == 2 else 1
    if target.ndim > 1 or target.numel != rows:
        raise RuntimeError(
            "multi_margin_loss: target tensor should be 1-D with size equal to the number of input "
            f"samples (batch size). Expected target size [{rows}], but got {list(target.shape)}. "
            f"Input has shape {list(input.shape)}."
        )
    _long_target(target)
    classes = input.shape[-1] if input.ndim else 1
    if weight is not None and tuple(weight.shape) != (classes,):
        raise RuntimeError(
            f"inconsistent weight size, expected {classes} but got {list(weight.shape)}"
        )
    keep = reduction == NONE and input.ndim == 2
    return make_meta((rows,) if keep else (), input.dtype)


def _multi_kernel(spec: Spec, p: int, margin: float, reduction: str) -> Callable[..., Array]:
    source = spec.inputs[0]
    assert source is not None
    found, out = spec.out.dtype.numpy, tuple(spec.out.shape)
    compute = numpy_compute(spec.out.dtype)
    classes = source.shape[-1] if source.ndim else 1

    def call(x: Array, target: Array, weight: Array | None) -> Array:
        scores = x.reshape(-1, classes).astype(compute, copy=False)
        places = target.reshape(-1, 1)
        if places.size and (places.max() >= classes or places.min() < 0):
            raise RuntimeError("target out of range")
        own = np.take_along_axis(scores, places, 1)
        losses = np.maximum(compute.type(margin) - own + scores, 0) ** p
        if weight is not None:
            losses = losses * weight.astype(compute, copy=False)[places]
        np.put_along_axis(losses, places, 0, 1)
        rows = losses.sum(1) / compute.type(classes)
        return reduced(rows, reduction, found).reshape(out)

    return call


def _multi_grad(
    g: Any, input: Any, target: Any, weight: Any, p: int, margin: float, reduction: str
) -> Any:
    classes = input.shape[-1] if input.dim() else 1
    scores, places = input.reshape(-1, classes), target.reshape(-1, 1)
    own = constant(np.arange(classes)) == places
    others = (~own).to(input.dtype)
    kept = own.to(input.dtype)
    # the score of the target itself, as a sum, so that it can be differentiated again
    gap = margin - (scores * kept).sum(1, keepdim=True) + scores
    slope = (gap > 0).to(input.dtype) if p == 1 else gap.clamp(min=0) * 2.0
    slope = slope * others
    if weight is not None:
        slope = slope * weight[target.reshape(-1)].reshape(-1, 1)
    slope = slope - kept * slope.sum(1, keepdim=True)
    rows = scores.shape[0]
    scale = 1.0 / (classes * (max(rows, 1) if reduction == MEAN else 1))
    g = g.reshape(-1, 1) * scale
    return (slope * g).reshape(input.shape)


multi_margin_op = Op(
    "multi_margin_loss_(Tensor input, Tensor target, Tensor? weight, int p, float margin, "
    "str reduction)",
    kind=OTHER,
    infer=_multi_infer,
    kernel=_multi_kernel,
    grad={"input": _multi_grad, "weight": "multi_margin_loss"},
    may_fail=True,
    grad_name="MultiMarginLoss",
)


def _multilabel_infer(input: Meta, target: Meta, reduction: str) -> tuple[Meta, Meta]:
    _margin_input(input)
    if input.shape != target.shape and not (input.ndim == 0 and target.numel == 1):
        raise RuntimeError(
            f"inconsistent target size: {list(target.shape)} for input of size: "
            f"{list(input.shape)}"
        )
    _long_target(target)
    rows = (input.shape[0],) if reduction == NONE and input.ndim == 2 else ()
    return make_meta(rows, input.dtype), make_meta(tuple(input.shape), input.dtype)


def _multilabel_kernel(spec: Spec, reduction: str) -> Callable[..., tuple[Array, Array]]:
    """The loss, and its slope: the loss is linear in pieces."""
    source = spec.inputs[0]
    assert source is not None
    found, shape = spec.out.dtype.numpy, tuple(source.shape)
    compute = numpy_compute(spec.out.dtype)
    classes = shape[-1] if shape else 1

    def call(x: Array, target: Array) -> tuple[Array, Array]:
        scores = x.reshape(-1, classes).astype(compute, copy=False)
        labels = target.reshape(-1, classes)
        if labels.size and (labels.max() >= classes or labels.min() < -1):
            raise RuntimeError("argument #2 'target' is out of range")
        listed = np.cumprod(labels >= 0, 1).astype(np.bool_)  # the list ends at the first -1
        own = np.zeros(scores.shape, np.bool_)
        rows, columns = np.nonzero(listed)
        own[rows, labels[rows, columns]] = True
        gap = 1 - scores[rows, labels[rows, columns]][:, None] + scores[rows]
        counted = (gap > 0) & ~own[rows]
        losses = np.zeros(scores.shape[0], compute)
        np.add.at(losses, rows, np.where(counted, gap, 0).sum(1))
        slope = np.zeros(scores.shape, compute)
        np.add.at(slope, rows, counted.astype(compute))
        np.add.at(slope, (rows, labels[rows, columns]), -counted.sum(1).astype(compute))
        made = reduced(losses / compute.type(classes), reduction, found)
        count = compute.type(classes * (max(len(losses), 1) if reduction == MEAN else 1))
        return made.reshape(spec.out.shape), (slope / count).reshape(shape).astype(found)

    return call


multilabel_margin_op = Op(
    "multilabel_margin_loss_(Tensor input, Tensor target, str reduction)",
    kind=OTHER,
    infer=_multilabel_infer,
    kernel=_multilabel_kernel,
    grad={
        "input": lambda g0, result1: (
            result1 * (g0.unsqueeze(-1) if g0.dim() < result1.dim() and g0.dim() else g0)
        )
    },
    differentiable=1,
    may_fail=True,
    grad_name="MultilabelMarginLoss",
)
