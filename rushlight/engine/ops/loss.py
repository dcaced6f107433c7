"""The losses of pairs of numbers that have a node of their own in PyTorch's graph.

Each is a pointwise value that is left as it is, averaged or summed in the same pass. The
gradients are written with recorded operations, so that they can be differentiated again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES
from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.elementwise import broadcast_meta, numpy_compute, result_type
from rushlight.engine.ops.written_out import Build, averaged, usable, widened

Array = np.ndarray
NONE, MEAN, SUM = "none", "mean", "sum"


def reduced(losses: Array, reduction: str, found: np.dtype) -> Array:
    """Losses as they are, their mean or their sum, as the type of the result."""
    if reduction == NONE:
        return np.asarray(losses, found)
    total = losses.sum()
    if reduction == MEAN:
        total = total / losses.dtype.type(losses.size or np.nan)
    return np.asarray(total, found)


def scale_of(reduction: str, *metas: Meta | None) -> float:
    """What the gradient of one element is multiplied by: one over the count for a mean."""
    if reduction != MEAN:
        return 1.0
    count = 1
    for n in broadcast_shapes(*[m.shape for m in metas if m is not None]):
        count *= n
    return 1.0 / max(count, 1)


def _infer(kernel_name: str, own_shape: bool) -> Callable[..., Meta]:
    def infer(input: Meta, target: Meta, *attrs: Any) -> Meta:
        found = result_type((input, target))
        shape = broadcast_shapes(input.shape, target.shape)
        if own_shape and shape != tuple(input.shape):
            raise RuntimeError(
                f"output with shape {list(input.shape)} doesn't match the broadcast shape "
                f"{list(shape)}"
            )
        if found.category < FLOATING:
            raise NotImplementedError(
                f"\"{kernel_name}\" not implemented for '{SCALAR_NAMES[found]}'"
            )
        if attrs[-1] == NONE:
            return broadcast_meta((input, target), found)
        return make_meta((), found)

    return infer


def _kernel(value: Callable[..., Array]) -> Callable[..., Any]:
    def prepare(spec: Spec, *attrs: Any) -> Callable[..., Array]:
        found = spec.out.dtype.numpy
        compute = numpy_compute(spec.out.dtype)
        reduction, others = attrs[-1], attrs[:-1]

        def call(x: Array, y: Array) -> Array:
            x, y = x.astype(compute, copy=False), y.astype(compute, copy=False)
            return reduced(value(x, y, *others), reduction, found)

        return call

    return prepare


def _written_out(body: Callable[..., Any]) -> Callable[..., Any]:
    """The decomposition from ``body(build, x, y, *attributes)``, the losses themselves."""

    def decompose(build: Build, x: Any, y: Any, *attrs: Any) -> Any:
        found = result_type((x.meta, y.meta))
        if not usable(x, y):
            return None
        losses = body(build, widened(build, x, found), widened(build, y, found), *attrs[:-1])
        return averaged(build, losses, attrs[-1], found)

    return decompose


def _square(build: Build, x: Any, y: Any) -> Any:
    distance = build("sub", x, y)
    return build("mul", distance, distance)


def _pair_loss(
    name: str,
    grad_name: str,
    kernel_name: str,
    value: Callable[..., Array],
    body: Callable[..., Any],
    grad: dict[str, Any],
    attributes: str = "",
    own_shape: bool = False,
) -> Op:
    """The record of a loss of two tensors that broadcast (``own_shape``: to the first's shape)."""
    return Op(
        f"{name}(Tensor input, Tensor target, {attributes}str reduction)",
        kind=OTHER,
        infer=_infer(kernel_name, own_shape),
        kernel=_kernel(value),
        decompose=_written_out(body),
        grad=grad,
        grad_name=grad_name,
    )


mse_loss_op = _pair_loss(
    "mse_loss_",
    "MseLoss",
    "mse_cpu",
    lambda x, y: np.square(x - y),
    _square,
    {
        "input": lambda g, input, target, input_meta, target_meta, reduction: (
            (input - target) * (g * (2.0 * scale_of(reduction, input_meta, target_meta)))
        ),
        "target": lambda g, input, target, input_meta, target_meta, reduction: (
            (target - input) * (g * (2.0 * scale_of(reduction, input_meta, target_meta)))
        ),
    },
)


def _smooth_l1(x: Array, y: Array, beta: float) -> Array:
    distance = np.abs(x - y)
    small = np.minimum(distance, beta)
    return small * (distance - x.dtype.type(0.5) * small) / x.dtype.type(beta)


def _smooth_l1_body(build: Build, x: Any, y: Any, beta: float) -> Any:
    return build("div", _huber_body(build, x, y, beta), beta)


smooth_l1_op = _pair_loss(
    "smooth_l1_loss_",
    "SmoothL1Loss",
    "smooth_l1_cpu",
    _smooth_l1,
    _smooth_l1_body,
    {
        "input": lambda g, input, target, input_meta, target_meta, beta, reduction: (
            ((input - target) / beta).clamp(-1.0, 1.0)
            * (g * scale_of(reduction, input_meta, target_meta))
        ),
        "target": lambda g, input, target, input_meta, target_meta, beta, reduction: (
            ((target - input) / beta).clamp(-1.0, 1.0)
            * (g * scale_of(reduction, input_meta, target_meta))
        ),
    },
    "float beta, ",
)


def _huber(x: Array, y: Array, delta: float) -> Array:
    distance = np.abs(x - y)
    small = np.minimum(distance, delta)
    return small * (distance - x.dtype.type(0.5) * small)


def _huber_body(build: Build, x: Any, y: Any, delta: float) -> Any:
    distance = build("abs", build("sub", x, y))
    small = build("clamp_max", distance, None, delta)
    return build("mul", small, build("sub", distance, build("mul", small, 0.5)))


huber_op = _pair_loss(
    "huber_loss_",
    "HuberLoss",
    "huber_cpu",
    _huber,
    _huber_body,
    {
        "input": lambda g, input, target, input_meta, target_meta, delta, reduction: (
            (input - target).clamp(-delta, delta)
            * (g * scale_of(reduction, input_meta, target_meta))
        ),
        "target": lambda g, input, target, input_meta, target_meta, delta, reduction: (
            (target - input).clamp(-delta, delta)
            * (g * scale_of(reduction, input_meta, target_meta))
        ),
    },
    "float delta, ",
)


def _softplus(x: Array) -> Array:
    """log(1 + exp(x)) without overflow."""
    return np.log1p(np.exp(-np.abs(x))) + np.maximum(x, 0)


def _softplus_body(build: Build, x: Any) -> Any:
    bent = build("log1p", build("exp", build("neg", build("abs", x))))
    return build("add", bent, build("clamp_min", x, 0, None))


soft_margin_op = _pair_loss(
    "soft_margin_loss_",
    "SoftMarginLoss",
    "soft_margin_cpu",
    lambda x, y: _softplus(-y * x),
    lambda build, x, y: _softplus_body(build, build("mul", build("neg", y), x)),
    {
        "input": lambda g, input, target, input_meta, target_meta, reduction: (
            -target
            * (-target * input).sigmoid()
            * (g * scale_of(reduction, input_meta, target_meta))
        ),
        "target": "soft_margin_loss",
    },
    own_shape=True,
)


# cross entropy of one probability ----------------------------------------------------------------


def _binary_infer(input: Meta, target: Meta, weight: Meta | None, reduction: str) -> Meta:
    if target.dtype is not input.dtype or input.dtype.category < FLOATING:
        wanted, have = (input, target) if input.dtype.category >= FLOATING else (target, input)
        raise RuntimeError(
            f"Found dtype {SCALAR_NAMES[target.dtype]} but expected {SCALAR_NAMES[input.dtype]}\n"
            f"Convert the {'target' if have is target else 'input'}, e.g. with "
            f".to({wanted.dtype})."
        )
    if weight is not None:
        _check_weight(weight, input)
    if reduction == NONE:
        return broadcast_meta((input, target), input.dtype)
    return make_meta((), input.dtype)


def _check_weight(weight: Meta, input: Meta) -> None:
    """PyTorch's error for a weight that does not expand to the input."""
    pairs = zip(reversed(weight.shape), reversed(input.shape), strict=False)
    for offset, (n, m) in enumerate(pairs, 1):
        if n not in (1, m):
            raise RuntimeError(
                f"Attempting to broadcast a dimension of length {n} at -{offset}! Mismatching "
                f"argument at index 1 had {weight.shape}; but expected shape should be "
                f"broadcastable to {list(input.shape)}"
            )


def _check_probabilities(x: Array, y: Array) -> None:
    """PyTorch's error for numbers that are no probabilities."""
    for array, what in ((x, "input"), (y, "target")):
        if not ((array >= 0) & (array <= 1)).all():
            advice = "\nA sigmoid makes probabilities from scores." if what == "input" else ""
            raise RuntimeError(f"all elements of {what} should be between 0 and 1{advice}")


def _binary_kernel(spec: Spec, reduction: str) -> Callable[..., Array]:
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)

    def call(x: Array, y: Array, weight: Array | None) -> Array:
        _check_probabilities(x, y)
        x, y = x.astype(compute, copy=False), y.astype(compute, copy=False)
        held = compute.type(-100)
        losses = (y - 1) * np.maximum(np.log1p(-x), held) - y * np.maximum(np.log(x), held)
        if weight is not None:
            losses = losses * weight.astype(compute, copy=False)
        return reduced(losses, reduction, found)

    return call


def _binary_written_out(build: Build, x: Any, y: Any, weight: Any, reduction: str) -> Any:
    if not usable(x, y, weight):
        return None
    found = x.meta.dtype
    x, y, weight = (widened(build, part) for part in (x, y, weight))
    without = build("clamp_min", build("log1p", build("neg", x)), -100, None)
    held = build("clamp_min", build("log", x), -100, None)
    losses = build("sub", build("mul", build("sub", y, 1), without), build("mul", y, held))
    if weight is not None:
        losses = build("mul", losses, weight)
    return averaged(build, losses, reduction, found)


def _weighted(g: Any, weight: Any, scale: float) -> Any:
    g = g if scale == 1.0 else g * scale
    return g if weight is None else g * weight


binary_cross_entropy_op = Op(
    "binary_cross_entropy_(Tensor input, Tensor target, Tensor? weight, str reduction)",
    kind=OTHER,
    infer=_binary_infer,
    kernel=_binary_kernel,
    decompose=_binary_written_out,
    check=((0, 1), lambda spec, reduction: _check_probabilities),
    grad={
        "input": lambda g, input, target, weight, input_meta, reduction: (
            (input - target)
            / ((1.0 - input) * input).clamp(min=1e-12)
            * _weighted(g, weight, scale_of(reduction, input_meta))
        ),
        "target": lambda g, input, weight, input_meta, reduction: (
            ((1.0 - input).log() - input.log())
            * _weighted(g, weight, scale_of(reduction, input_meta))
        ),
        "weight": "binary_cross_entropy",
    },
    may_fail=True,
    grad_name="BinaryCrossEntropy",
)


def _logits_infer(
    input: Meta, target: Meta, weight: Meta | None, pos_weight: Meta | None, reduction: str
) -> Meta:
    metas = [m for m in (input, target, weight, pos_weight) if m is not None]
    found = result_type(metas)
    for part in (target, input):
        if part.dtype.category < FLOATING:
            raise RuntimeError(
                f"result type {SCALAR_NAMES[found]} can't be cast to the desired output type "
                f"{SCALAR_NAMES[part.dtype]}\nLabels must be floating-point numbers here: "
                "target.float()."
            )
    if reduction == NONE:
        return broadcast_meta(metas, found)
    broadcast_shapes(*[m.shape for m in metas])
    return make_meta((), found)


def _logits_kernel(spec: Spec, reduction: str) -> Callable[..., Array]:
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)

    def call(x: Array, y: Array, weight: Array | None, pos_weight: Array | None) -> Array:
        x, y = x.astype(compute, copy=False), y.astype(compute, copy=False)
        losses = _softplus(-x)
        if pos_weight is not None:
            losses = losses * ((pos_weight.astype(compute, copy=False) - 1) * y + 1)
        losses = losses + (1 - y) * x
        if weight is not None:
            losses = losses * weight.astype(compute, copy=False)
        return reduced(losses, reduction, found)

    return call


def _logits_written_out(
    build: Build, x: Any, y: Any, weight: Any, pos_weight: Any, reduction: str
) -> Any:
    given = [part for part in (x, y, weight, pos_weight) if part is not None]
    found = result_type([part.meta for part in given])
    if not usable(*given):
        return None
    x, y, weight, pos_weight = (
        None if part is None else widened(build, part, found) for part in (x, y, weight, pos_weight)
    )
    losses = _softplus_body(build, build("neg", x))
    if pos_weight is not None:
        factor = build("add", build("mul", build("sub", pos_weight, 1), y), 1)
        losses = build("mul", losses, factor)
    losses = build("add", losses, build("mul", build("rsub", y, 1), x))
    if weight is not None:
        losses = build("mul", losses, weight)
    return averaged(build, losses, reduction, found)


def _logits_input_grad(
    g: Any, input: Any, target: Any, weight: Any, pos_weight: Any, input_meta: Meta,
    target_meta: Meta, weight_meta: Meta | None, pos_weight_meta: Meta | None, reduction: str,
) -> Any:  # fmt: skip
    scale = scale_of(reduction, input_meta, target_meta, weight_meta, pos_weight_meta)
    if pos_weight is None:
        slope = input.sigmoid() - target
    else:
        positive = pos_weight * target
        slope = (positive + 1.0 - target) * input.sigmoid() - positive
    return slope * _weighted(g, weight, scale)


def _logits_target_grad(
    g: Any, input: Any, weight: Any, pos_weight: Any, input_meta: Meta, target_meta: Meta,
    weight_meta: Meta | None, pos_weight_meta: Meta | None, reduction: str,
) -> Any:  # fmt: skip
    scale = scale_of(reduction, input_meta, target_meta, weight_meta, pos_weight_meta)
    slope = -input
    if pos_weight is not None:
        softplus = (-input.abs()).exp().log1p() + (-input).clamp(min=0)
        slope = slope + (pos_weight - 1.0) * softplus
    return slope * _weighted(g, weight, scale)


binary_cross_entropy_with_logits_op = Op(
    "binary_cross_entropy_with_logits_(Tensor input, Tensor target, Tensor? weight, "
    "Tensor? pos_weight, str reduction)",
    kind=OTHER,
    infer=_logits_infer,
    kernel=_logits_kernel,
    decompose=_logits_written_out,
    grad={
        "input": _logits_input_grad,
        "target": _logits_target_grad,
        "weight": "binary_cross_entropy_with_logits",
        "pos_weight": "binary_cross_entropy_with_logits",
    },
    grad_name="BinaryCrossEntropyWithLogits",
)


# a check that is made when the data is there -----------------------------------------------------


def _not_negative_kernel(spec: Spec) -> Callable[[Array], Array]:
    def call(x: Array) -> Array:
        if (x < 0).any():
            raise ValueError("var has negative entry/entries")
        return x

    return call


not_negative = Op(
    "not_negative(Tensor input)",
    kind=OTHER,
    infer=lambda input: input,
    kernel=_not_negative_kernel,
    grad={"input": lambda g: g},
    may_fail=True,
    grad_name="Clone",
)
