"""The loss primitives: those for which PyTorch has a node of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, int64, uint8
from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.elementwise import broadcast_meta, numpy_compute, result_type

Array = np.ndarray
NONE, MEAN, SUM = "none", "mean", "sum"


# mean squared error ----------------------------------------------------------------------------


def _pair_infer(input: Meta, target: Meta, reduction: str) -> Meta:
    found = result_type((input, target))
    if reduction == NONE:
        return broadcast_meta((input, target), found)
    broadcast_shapes(input.shape, target.shape)
    return make_meta((), found)


def _mse_kernel(spec: Spec, reduction: str) -> Callable[[Array, Array], Array]:
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)

    def call(x: Array, y: Array) -> Array:
        difference = np.subtract(x, y, dtype=compute)
        if reduction == NONE:
            return np.square(difference).astype(found, copy=False)
        flat = difference.ravel()
        total = np.square(flat, out=flat).sum()
        if reduction == MEAN:
            total = total / compute.type(flat.size or np.nan)
        return np.asarray(total, found)

    return call


def _scale(meta: Meta, other: Meta, reduction: str) -> float:
    if reduction != MEAN:
        return 1.0
    count = 1
    for n in broadcast_shapes(meta.shape, other.shape):
        count *= n
    return 1.0 / max(count, 1)


mse_loss_op = Op(
    "mse_loss_(Tensor input, Tensor target, str reduction)",
    kind=OTHER,
    infer=_pair_infer,
    kernel=_mse_kernel,
    grad={
        "input": lambda g, input, target, input_meta, target_meta, reduction: (
            (input - target) * (g * (2.0 * _scale(input_meta, target_meta, reduction)))
        ),
        "target": lambda g, input, target, input_meta, target_meta, reduction: (
            (target - input) * (g * (2.0 * _scale(input_meta, target_meta, reduction)))
        ),
    },
    grad_name="MseLoss",
)


# negative log likelihood -----------------------------------------------------------------------


def check_targets(target: Array, classes: int, ignore: int) -> None:
    """PyTorch's error for a class that does not exist."""
    bad = (target != ignore) & ((target < 0) | (target >= classes))
    if bad.any():
        found = int(target[bad].flat[0])
        raise IndexError(
            f"Target {found} is out of bounds.\nClasses are numbered 0 to {classes - 1}; labels "
            "that count from 1 need `target - 1`."
        )


def _nll_infer(
    input: Meta, target: Meta, weight: Meta | None, reduction: str, ignore: int
) -> tuple[Meta, Meta]:
    if target.dtype is not int64 and target.dtype is not uint8:
        raise RuntimeError(
            f"expected scalar type Long but found {SCALAR_NAMES[target.dtype]}"
        )
    batch = input.shape[:1] + input.shape[2:] if input.ndim > 1 else ()
    if tuple(target.shape) != tuple(batch):
        if input.ndim > 1 and target.ndim and input.shape[0] != target.shape[0]:
            raise ValueError(
                f"Expected input batch_size ({input.shape[0]}) to match target batch_size "
                f"({target.shape[0]})."
            )
        raise RuntimeError(
            f"size mismatch (got input: {list(input.shape)} , target: {list(target.shape)})"
        )
    if weight is not None and weight.numel != input.shape[1 if input.ndim > 1 else 0]:
        raise RuntimeError(
            "weight tensor should be defined either for all or no classes"
        )
    if input.dtype.category < FLOATING:
        raise RuntimeError(f'"nll_loss" not implemented for \'{SCALAR_NAMES[input.dtype]}\'')
    out = tuple(target.shape) if reduction == NONE else ()
    return make_meta(out, input.dtype), make_meta((), input.dtype)


def _nll_kernel(spec: Spec, reduction: str, ignore: int) -> Callable[..., tuple[Array, Array]]:
    source = spec.inputs[0]
    assert source is not None
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    axis = 1 if source.ndim > 1 else 0
    classes = source.shape[axis]
    flat = source.ndim == 2
    rows = np.arange(source.shape[0]) if flat else None

    def call(x: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        if target.size and (target.max() >= classes or target.min() < 0):
            check_targets(target, classes, ignore)
            ignored = target == ignore
            picked = np.where(ignored, 0, target)
        else:
            ignored, picked = None, target
            if 0 <= ignore < classes:
                ignored = target == ignore
        if flat:
            chosen = x[rows, picked]
        else:
            chosen = np.take_along_axis(x, np.expand_dims(picked, axis), axis).squeeze(axis)
        losses = -chosen.astype(compute, copy=False)
        scale = None if weight is None else weight.astype(compute, copy=False)[picked]
        if ignored is not None:
            scale = np.where(ignored, 0, 1 if scale is None else scale).astype(compute)
        if scale is not None:
            losses = losses * scale if ignored is None else np.where(ignored, 0, losses * scale)
        total = compute.type(losses.size) if scale is None else scale.sum()
        if reduction == NONE:
            return np.asarray(losses, found), np.asarray(0, found)
        summed = losses.sum()
        if reduction == MEAN:
            summed = summed / total
        return np.asarray(summed, found), np.asarray(total, found)

    return call


def _nll_grad_kernel(spec: Spec, reduction: str, ignore: int) -> Callable[..., Array]:
    meta = spec.out
    found = meta.dtype.numpy
    axis = 1 if meta.ndim > 1 else 0
    shape = tuple(meta.shape)
    flat = meta.ndim == 2
    rows = np.arange(shape[0]) if flat else None

    def call(g: Array, target: Array, weight: Array | None, total: Array) -> Array:
        made = np.zeros(shape, found)
        ignored = target == ignore
        some = ignored.any()
        picked = np.where(ignored, 0, target) if some else target
        value: Any = -g
        if reduction == MEAN:
            value = value / total
        if weight is not None:
            value = value * weight[picked]
        if some:
            value = np.where(ignored, 0, value)
        if flat:
            made[rows, picked] = value
        else:
            value = np.broadcast_to(value, picked.shape).astype(found)
            np.put_along_axis(
                made, np.expand_dims(picked, axis), np.expand_dims(value, axis), axis
            )
        return made

    return call


nll_loss_op = Op(
    "nll_loss_(Tensor input, Tensor target, Tensor? weight, str reduction, int ignore)",
    kind=OTHER,
    infer=_nll_infer,
    kernel=_nll_kernel,
    grad={
        "input": lambda g0, target, weight, result1, input_meta, reduction, ignore: nll_loss_grad(
            g0, target, weight, result1, reduction=reduction, ignore=ignore,
            shape=tuple(input_meta.shape),
        )
    },
    differentiable=1,
    may_fail=True,
    grad_name="NllLoss",
)  # fmt: skip

nll_loss_grad = Op(
    "nll_loss_grad(Tensor g_out, Tensor target, Tensor? weight, Tensor total, str reduction, "
    "int ignore, int[] shape)",
    kind=OTHER,
    infer=lambda g_out, target, weight, total, reduction, ignore, shape: make_meta(
        shape, g_out.dtype
    ),
    kernel=lambda spec, reduction, ignore, shape: _nll_grad_kernel(spec, reduction, ignore),
    grad={
        "g_out": lambda g, target, weight, reduction, ignore: nll_loss_op(
            g, target, weight, reduction=reduction, ignore=ignore
        )[0]
    },
    grad_name="NllLossBackward",
)
