"""The negative log likelihood of class numbers, and its gradient: the records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, float32, int64, uint8
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.checked import checked
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import GATHER, OTHER, Op, Spec
from rushlight.engine.ir.scalar import Expr, cast, where
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.loss import MEAN, NONE
from rushlight.engine.ops.places import Load, Place, whole_number
from rushlight.engine.ops.written_out import Build, all_axes, narrowed, shaped, usable

Array = np.ndarray


def check_targets(target: Array, classes: int, ignore: int) -> None:
    """PyTorch's error for a class that does not exist."""
    if not target.size or _exist(target, classes):
        return
    bad = (target != ignore) & ((target < 0) | (target >= classes))
    if bad.any():
        found = int(target[bad].flat[0])
        raise IndexError(
            f"Target {found} is out of bounds.\nClasses are numbered 0 to {classes - 1}; labels "
            "that count from 1 need `target - 1`."
        )


def _exist(target: Array, classes: int) -> bool:
    """Whether all are class numbers, the cheapest way."""
    if target.size <= _FEW and target.ndim == 1:
        numbers = target.tolist()
        return max(numbers) < classes and min(numbers) >= 0
    if target.dtype is _LONG:  # negative numbers are large ones without their sign
        return bool(np.maximum.reduce(target.view(np.uint64), axis=None) < classes)
    return bool(target.max() < classes and target.min() >= 0)


_LONG = np.dtype(np.int64)

#: So few numbers are compared faster by Python than by NumPy.
_FEW = 48


def _nll_sizes(input: Meta, target: Meta, weight: Meta | None) -> None:
    """PyTorch's errors for targets and weights that do not go with the input."""
    classes = input.shape[1 if input.ndim > 1 else 0]
    if input.ndim <= 2:
        if target.ndim > 1:
            raise RuntimeError(
                "0D or 1D target tensor expected, multi-target not supported\nClass numbers have "
                "the shape of the input without its classes; target.squeeze(1) is often meant."
            )
        if input.ndim == 1 and target.ndim == 1 and target.shape[0] != 1:
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.shape[0]}"
            )
        if weight is not None and tuple(weight.shape) != (classes,):
            raise RuntimeError(
                f"weight tensor should be defined either for all {classes} classes or no classes "
                f"but got weight tensor of shape: {list(weight.shape)}"
            )
        return
    if target.ndim != input.ndim - 1:
        raise RuntimeError(
            "only batches of spatial targets supported (3D tensors) but got targets of "
            f"dimension: {target.ndim}"
        )
    if (input.shape[0], *input.shape[2:]) != tuple(target.shape):
        raise RuntimeError(
            f"size mismatch (got input: {list(input.shape)} , target: {list(target.shape)}"
        )
    if weight is not None and weight.numel != classes:
        raise RuntimeError("weight tensor should be defined either for all or no classes")


def _nll_infer(
    input: Meta, target: Meta, weight: Meta | None, reduction: str, ignore: int
) -> tuple[Meta, Meta]:
    _nll_sizes(input, target, weight)
    if target.dtype is not int64 and target.dtype is not uint8:
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {SCALAR_NAMES[target.dtype]}\n"
            "Class numbers are integers: target.long()."
        )
    if input.dtype.category != FLOATING:
        raise NotImplementedError(
            f"\"nll_loss_out_frame\" not implemented for '{SCALAR_NAMES[input.dtype]}'"
        )
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(
            f"expected scalar type {SCALAR_NAMES[input.dtype]} but found "
            f"{SCALAR_NAMES[weight.dtype]}"
        )
    out = tuple(target.shape) if reduction == NONE and input.ndim > 1 else ()
    return make_meta(out, input.dtype), make_meta((), input.dtype)


def _nll_kernel(spec: Spec, reduction: str, ignore: int) -> Callable[..., tuple[Array, Array]]:
    source = spec.inputs[0]
    assert source is not None
    found, out = spec.out.dtype.numpy, tuple(spec.out.shape)
    compute = numpy_compute(spec.out.dtype)
    axis = 1 if source.ndim > 1 else 0
    classes = source.shape[axis]
    flat = source.ndim == 2
    rows = np.arange(source.shape[0]) if flat else None

    def call(x: Array, target: Array, weight: Array | None) -> tuple[Array, Array]:
        if source.ndim == 1:
            target = target.reshape(())
        if target.size and (target.max() >= classes or target.min() < 0):
            check_targets(target, classes, ignore)
            ignored: Any = target == ignore
            picked = np.where(ignored, 0, target)
        else:
            ignored, picked = None, target
            if 0 <= ignore < classes:
                ignored = target == ignore
        if classes == 0:
            chosen = np.zeros(target.shape, x.dtype)
        elif flat:
            chosen = x[rows, picked]
        else:
            chosen = np.take_along_axis(x, np.expand_dims(picked, axis), axis).squeeze(axis)
        losses = -chosen.astype(compute, copy=False)
        total: Any = losses.size
        if weight is not None:
            factors = weight.astype(compute, copy=False)[picked]
            if ignored is not None:
                factors = np.where(ignored, 0, factors)
            losses = losses * factors
            total = factors.sum() if reduction == MEAN else 0
        elif ignored is not None:
            total = losses.size - np.count_nonzero(ignored)
        if ignored is not None:
            losses = np.where(ignored, compute.type(0), losses)
        if reduction == NONE:
            return np.asarray(losses, found).reshape(out), np.asarray(0, found)
        summed = losses.sum()
        if reduction == MEAN:
            summed = np.divide(summed, total, dtype=compute)
        return np.asarray(summed, found), np.asarray(total, found)

    return call


# the losses before they are averaged, for the compiler


def _class_place(index: Place, number: Expr, axis: int) -> list[Any]:
    """The index of the score of class ``number``."""
    return [*index[:axis], number, *index[axis:]]


def _class_losses_kernel(spec: Spec, ignore: int) -> Callable[..., Array]:
    source = spec.inputs[0]
    compute = numpy_compute(spec.out.dtype)
    axis = 1 if source is not None and source.ndim > 1 else 0

    def call(x: Array, target: Array, weight: Array | None) -> Array:
        ignored = target == ignore
        picked = np.where(ignored, 0, target)
        chosen = np.take_along_axis(x, np.expand_dims(picked, axis), axis).squeeze(axis)
        losses = -chosen.astype(compute, copy=False)
        if weight is not None:
            losses = losses * weight.astype(compute, copy=False)[picked]
        return np.where(ignored, compute.type(0), losses)

    return call


def _class_losses_element(load: Load, index: Place, spec: Spec, ignore: int) -> Expr:
    source = spec.inputs[0]
    assert source is not None
    target = cast(load(1, index), int64)
    ignored = target.eq(ignore)
    number = where(ignored, 0, target)
    loss = -load(0, _class_place(index, number, 1 if source.ndim > 1 else 0))
    if spec.inputs[2] is not None:
        loss = loss * load(2, [number])
    return where(ignored, 0, loss)


# minus the score of the target's class, times its weight; 0 where the target is ``ignore``
class_losses = Op(
    "class_losses(Tensor input, Tensor target, Tensor? weight, int ignore)",
    kind=GATHER,
    infer=lambda input, target, weight, ignore: make_meta(
        tuple(target.shape), float32 if input.dtype.itemsize < 4 else input.dtype
    ),
    kernel=_class_losses_kernel,
    element=_class_losses_element,
)


def _class_shares_kernel(spec: Spec, ignore: int) -> Callable[..., Array]:
    compute = spec.out.dtype.numpy

    def call(target: Array, weight: Array) -> Array:
        ignored = target == ignore
        chosen = weight.astype(compute, copy=False)[np.where(ignored, 0, target)]
        return np.where(ignored, compute.type(0), chosen)

    return call


def _class_shares_element(load: Load, index: Place, spec: Spec, ignore: int) -> Expr:
    target = cast(load(0, index), int64)
    ignored = target.eq(ignore)
    return where(ignored, 0, load(1, [where(ignored, 0, target)]))


# the weight of the target's class; 0 where the target is ``ignore``
class_shares = Op(
    "class_shares(Tensor target, Tensor weight, int ignore)",
    kind=GATHER,
    infer=lambda target, weight, ignore: make_meta(
        tuple(target.shape), float32 if weight.dtype.itemsize < 4 else weight.dtype
    ),
    kernel=_class_shares_kernel,
    element=_class_shares_element,
)


def _nll_written_out(
    build: Build, x: Any, target: Any, weight: Any, reduction: str, ignore: int
) -> Any:
    if not usable(x, target, weight):
        return None
    found = x.meta.dtype
    if x.meta.ndim == 1:
        target = shaped(build, target, ())
    losses = build("class_losses", x, target, weight, ignore=ignore)
    kind, dims = losses.meta.dtype, all_axes(losses.meta)
    if reduction == NONE:
        return narrowed(build, losses, found), build("zeros_", shape=(), dtype=found)
    summed = build("sum_all", losses, dims=dims) if dims else losses
    if weight is None:
        counted = build("ne", build("to_dtype", target, dtype=int64), ignore)
        counted = build("to_dtype", counted, dtype=kind)
    elif reduction == MEAN:
        counted = build("class_shares", target, weight, ignore=ignore)
    else:
        total = build("zeros_", shape=(), dtype=found)
        return narrowed(build, summed, found), total
    total = build("sum_all", counted, dims=dims) if dims else counted
    if reduction == MEAN:
        summed = build("div", summed, total)
    return narrowed(build, summed, found), narrowed(build, total, found)


def _nll_check(spec: Spec, reduction: str, ignore: int) -> Callable[[Array], None]:
    source = spec.inputs[0]
    assert source is not None
    classes = source.shape[1 if source.ndim > 1 else 0]

    def check(target: Array) -> None:
        if not checked.has(target, (classes, ignore)):
            check_targets(target, classes, ignore)

    return check


def _nll_grad_element(
    load: Load, index: Place, spec: Spec, reduction: str, ignore: int, shape: Shape
) -> Expr:
    axis = 1 if len(shape) > 1 else 0
    row = [*index[:axis], *index[axis + 1 :]]
    of_target, of_gradient = (
        row if len(shape) > 1 else [0] * meta.ndim for meta in (spec.inputs[1], spec.inputs[0])
        if meta is not None
    )  # fmt: skip
    target = cast(load(1, of_target), int64)
    value = -load(0, of_gradient if reduction == NONE else ())
    if reduction == MEAN:
        value = value / load(3, ())
    if spec.inputs[2] is not None:
        value = value * load(2, [index[axis]])
    hit = whole_number(index[axis]).eq(target)
    if 0 <= ignore < shape[axis]:
        hit = hit & target.ne(ignore)
    return where(hit, value, 0)


def _nll_grad_kernel(
    spec: Spec, reduction: str, ignore: int, shape: Shape
) -> Callable[..., Array]:
    found = spec.out.dtype.numpy
    axis = 1 if len(shape) > 1 else 0
    flat = len(shape) == 2
    rows = np.arange(shape[0]) if flat else None

    def call(g: Array, target: Array, weight: Array | None, total: Array) -> Array:
        made = np.zeros(shape, found)
        if 0 in shape:
            return made
        if len(shape) == 1:
            target = target.reshape(())
        ignored = target == ignore
        some = ignored.any()
        picked = np.where(ignored, 0, target) if some else target
        value: Any = -g
        if reduction == MEAN:
            value = value / total
        if weight is not None:
            value = value * weight[picked]
        if some:
            value = np.where(ignored, found.type(0), value)
        if flat:
            made[rows, picked] = value
        else:
            value = np.broadcast_to(value, picked.shape).astype(found)
            np.put_along_axis(made, np.expand_dims(picked, axis), np.expand_dims(value, axis), axis)
        return made

    return call


def _nll(name: str, grad_name: str) -> Op:
    """The record of the loss and of its gradient; there is one for images beside the plain one."""

    def gradient(
        g0: Any, target: Any, weight: Any, result1: Any, input_meta: Meta, reduction: str,
        ignore: int,
    ) -> Any:  # fmt: skip
        return backward(
            g0, target, weight, result1, reduction=reduction, ignore=ignore,
            shape=tuple(input_meta.shape),
        )  # fmt: skip

    forward = Op(
        f"{name}(Tensor input, Tensor target, Tensor? weight, str reduction, int ignore)",
        kind=OTHER,
        infer=_nll_infer,
        kernel=_nll_kernel,
        decompose=_nll_written_out,
        check=((1,), _nll_check),
        grad={"input": gradient, "weight": f"{name}forward"},
        differentiable=1,
        may_fail=True,
        grad_name=grad_name,
    )
    backward = Op(
        f"{name}grad(Tensor g_out, Tensor target, Tensor? weight, Tensor total, str reduction, "
        "int ignore, int[] shape)",
        kind=OTHER,
        infer=lambda g_out, target, weight, total, reduction, ignore, shape: make_meta(
            shape, g_out.dtype
        ),
        kernel=_nll_grad_kernel,
        element=_nll_grad_element,
        grad={
            "g_out": lambda g, target, weight, reduction, ignore: forward(
                g, target, weight, reduction=reduction, ignore=ignore
            )[0]
        },
        grad_name=f"{grad_name}BackwardBackward0",
    )
    return forward


nll_loss_op = _nll("nll_loss_", "NllLoss")
nll_loss2d_op = _nll("nll_loss2d_", "NllLoss2D")
