"""PyTorch's losses of class numbers."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.ir.checked import checked
from rushlight.engine.ir.op import MAX_SPECS, composite, function_of
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ops.activation_smooth import logsigmoid
from rushlight.engine.ops.loss import MEAN, NONE, SUM
from rushlight.engine.ops.loss_class import multi_margin_op, multilabel_margin_op
from rushlight.engine.ops.loss_functions import (
    reduce_loss,
    reduction_of,
)
from rushlight.engine.ops.loss_nll import check_targets, nll_loss2d_op, nll_loss_op
from rushlight.engine.ops.softmax import log_softmax as log_softmax_op

_F = ("nn.functional",)
_WEIGHT = t(3, low=0.5, grad=False)
_CLASSES = ti(4, low=0, high=3)
_ERRORS = (
    ErrorSample(
        S(t(4, 3), ti(2, low=0, high=3)),
        ValueError,
        r"Expected input batch_size \(4\) to match target batch_size \(2\).",
    ),
    ErrorSample(S(t(4, 3), ti(4, low=5, high=6)), IndexError, "Target 5 is out of bounds."),
    ErrorSample(
        S(t(4, 3), ti(4, 1, low=0, high=3)),
        RuntimeError,
        "0D or 1D target tensor expected, multi-target not supported",
    ),
    ErrorSample(
        S(t(4, 3), t(4)), RuntimeError, "expected target dtype to be Long or Byte, but got Float"
    ),
    ErrorSample(
        S(t(4, 3), _CLASSES, t(3)),
        RuntimeError,
        "'nll_loss_forward' is not differentiable with respect to argument 'weight'",
    ),
    ErrorSample(
        S(t(4, 3), _CLASSES, t(2, grad=False)),
        RuntimeError,
        "weight tensor should be defined either for all 3 classes or no classes",
    ),
)


@composite(
    namespaces=_F,
    samples=(
        S(t(4, 3), _CLASSES, tolerance=4),
        S(t(4, 3), _CLASSES, _WEIGHT, reduction="sum"),
        S(t(4, 3), _CLASSES, _WEIGHT, ignore_index=2),
        S(t(2, 3, 5), ti(2, 5, low=0, high=3), ignore_index=1),
        S(t(2, 3, 2, 2), ti(2, 2, 2, low=0, high=3), _WEIGHT, reduction="none"),
        S(t(4, 3), _CLASSES, reduction="none", ignore_index=0),
        S(t(3), ti(low=0, high=3)),
        S(t(2, 3), ti(2, values=[-100, -100])),
    ),
    errors=(
        *_ERRORS,
        ErrorSample(
            S(t(2, 3, 5), ti(2, 4, low=0, high=3)), RuntimeError, r"Expected target size \[2, 5\]"
        ),
        ErrorSample(
            S(t(2, 3, 5, 5), ti(2, 5, low=0, high=3)),
            RuntimeError,
            "only batches of spatial targets supported",
        ),
    ),
)
def nll_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None,
    ignore_index: int = -100, reduce: Any = None, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """Minus the log probability of the target class.

    Args:
        input: log probabilities, (N, C), (C) or (N, C, d1, ...).
        target: class numbers (int64), (N), () or (N, d1, ...).
        weight: a weight per class.
        ignore_index: a class number that does not count.
        reduction: ``"mean"`` (over the weights), ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> torch.nn.functional.nll_loss(torch.tensor([[-1.0, -2.0]]), torch.tensor([1]))
    tensor(2.)
    """
    key = input._value.meta, target._value.meta, reduction, ignore_index
    if size_average is None and reduce is None:
        known = _recorders.get(key)
        if known is not None:
            sure = _look_at_targets(target, known[2], ignore_index)
            return (known[1] if sure else known[0])(input, target, weight)
    how = reduction_of(reduction, size_average, reduce)
    shape = input._value.meta.shape
    nd = len(shape)
    if nd < 1:
        raise ValueError(f"Expected 1 or more dimensions (got {nd})")
    if nd != 1 and target.dim() and shape[0] != target.shape[0]:
        raise ValueError(
            f"Expected input batch_size ({shape[0]}) to match target batch_size "
            f"({target.shape[0]})."
        )
    classes = shape[1 if nd > 1 else 0]
    sure = _look_at_targets(target, classes, ignore_index)
    ignore = int(ignore_index)
    if nd < 3:
        if len(_recorders) > MAX_SPECS:
            _recorders.clear()
        known = nll_loss_op.fixed(how, ignore), nll_loss_op.sure(how, ignore), classes
        _recorders[key] = known
        return (known[1] if sure else known[0])(input, target, weight)
    if nd == 4:
        return nll_loss2d_op.fixed(how, ignore)(input, target, weight)
    return _nll_reshaped(input, target, weight, how, ignore)


#: Recording functions, for any targets and for those that were looked at, and numbers of classes,
#: by what they were called with; and the same behind the recording function of log_softmax.
_recorders: dict[Any, tuple[Callable[..., Any], Callable[..., Any], int]] = {}
_both_recorders: dict[Any, tuple[Any, Callable[..., Any], Callable[..., Any], int]] = {}


def _look_at_targets(target: Any, classes: int, ignore_index: int) -> bool:
    """Refuse class numbers that do not exist at once, if they have been computed; whether so."""
    value = target._value if target._alias is None else target._alias.read(target)
    ready = value.buffer
    if ready.__class__ is np.ndarray and classes and ready.dtype.kind in "iu":
        check_targets(ready, classes, ignore_index)
        checked.add(ready, (classes, ignore_index))
        return True
    return False


def _nll_reshaped(input: Any, target: Any, weight: Any, how: str, ignore: int) -> Any:
    """As an image of height 1, the way PyTorch treats one or more than two trailing axes."""
    shape = (input.shape[0], *input.shape[2:])
    if tuple(target.shape[1:]) != shape[1:]:
        raise RuntimeError(f"Expected target size {list(shape)}, got {list(target.shape)}")
    rows, count = input.shape[:2]
    image = input.reshape((rows, count, *((1, -1) if input.numel() else (0, 0))))
    classes = target.reshape((rows, *((1, -1) if target.numel() else (0, 0))))
    loss = nll_loss2d_op(image, classes, weight, reduction=how, ignore=ignore)[0]
    return loss.view(shape) if how == NONE else loss


@composite(
    namespaces=_F,
    samples=(
        S(t(4, 3), _CLASSES),
        S(t(4, 3), _CLASSES, _WEIGHT, label_smoothing=0.1),
        S(t(4, 3), _CLASSES, _WEIGHT, label_smoothing=0.1, ignore_index=1, reduction="sum"),
        S(t(4, 3), t(4, 3, low=0.1, high=1.0)),
        S(t(4, 3), t(4, 3, low=0.1, high=1.0), _WEIGHT, label_smoothing=0.2, reduction="sum"),
        S(t(2, 3, 5), t(2, 3, 5, low=0.1, high=1.0), _WEIGHT, reduction="none"),
        S(t(2, 3, 5), ti(2, 5, low=0, high=3), ignore_index=1, label_smoothing=0.2),
        S(t(4, 3), _CLASSES, reduction="none", label_smoothing=0.1),
        S(t(2, 3, 2, 2), ti(2, 2, 2, low=0, high=3)),
        S(t(3), ti(low=0, high=3)),
    ),
    errors=(
        *_ERRORS,
        ErrorSample(
            S(t(4, 3), _CLASSES, label_smoothing=2.0),
            RuntimeError,
            "label_smoothing must be between 0.0 and 1.0. Got: 2",
        ),
        ErrorSample(
            S(t(4, 3), t(4, 3), ignore_index=1),
            RuntimeError,
            "ignore_index is not supported for floating point target",
        ),
    ),
)
def cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None,
    ignore_index: int = -100, reduce: Any = None, reduction: str = MEAN,
    label_smoothing: float = 0.0,
) -> Any:  # fmt: skip
    """Minus the log probability of the target class, from unnormalised scores.

    Args:
        input: scores, (N, C), (C) or (N, C, d1, ...).
        target: class numbers, or probabilities of the shape of ``input``.
        weight: a weight per class.
        ignore_index: a class number that does not count.
        reduction: ``"mean"`` (over the weights), ``"sum"`` or ``"none"``.
        label_smoothing: share of probability given evenly to all classes.

    >>> import rushlight as torch
    >>> torch.nn.functional.cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6931)
    """
    key = input._value.meta, target._value.meta, reduction, ignore_index
    if label_smoothing == 0.0 and size_average is None and reduce is None:
        known = _both_recorders.get(key)
        if known is not None:
            sure = _look_at_targets(target, known[3], ignore_index)
            return (known[2] if sure else known[1])(known[0](input), target, weight)
    how = reduction_of(reduction, size_average, reduce)
    if input._value.meta.shape == target._value.meta.shape:
        return _soft_targets(input, target, weight, how, label_smoothing, ignore_index)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(
            f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing:g}"
        )
    dim = 1 if input.dim() > 1 else 0
    recorder = log_softmax_op.fixed(dim, None)
    log_probability = recorder(input)
    loss = nll_loss(log_probability, target, weight, None, ignore_index, None, how)
    last = _recorders.get((log_probability._value.meta, key[1], how, ignore_index))
    if last is not None and how is reduction:
        if len(_both_recorders) > MAX_SPECS:
            _both_recorders.clear()
        _both_recorders[key] = recorder, *last
    if label_smoothing == 0.0:
        return loss
    return _smoothed(log_probability, target, weight, ignore_index, how, label_smoothing, dim, loss)


def _row(weight: Any, input: Any, dim: int) -> Any:
    return weight.reshape([-1 if a == dim else 1 for a in range(input.dim())])


def _soft_targets(
    input: Any, target: Any, weight: Any, how: str, smoothing: float, ignore: int
) -> Any:
    """The loss of probabilities."""
    if not target.dtype.is_floating_point:
        raise RuntimeError(
            "Expected floating point type for target with class probabilities, got "
            f"{_scalar_name(target)}"
        )
    if ignore >= 0:
        raise RuntimeError("ignore_index is not supported for floating point target")
    dim = 1 if input.dim() > 1 else 0
    log_probability = input.log_softmax(dim)
    classes = input.shape[dim]
    if smoothing:
        target = target * (1 - smoothing) + (smoothing / classes if classes else math.inf)
    loss = log_probability * target
    if weight is not None:
        loss = loss * _row(weight, loss, dim)
    if how == NONE:
        return -loss.sum(dim)
    if how == SUM:
        return -loss.sum()
    rows = input.numel() / classes if classes else 0.0
    return -(loss.sum() / rows) if not rows else -loss.sum() / rows


def _scalar_name(tensor: Any) -> str:
    """The old name of a tensor's type, as error messages give it."""
    name: str = tensor.type()
    return name.removeprefix("torch.").removesuffix("Tensor")


def _smoothed(
    log_probability: Any, target: Any, weight: Any, ignore: int, how: str, smoothing: float,
    dim: int, loss: Any,
) -> Any:  # fmt: skip
    """The loss of a class number mixed with that of all classes alike."""
    ignored = target == ignore
    weighted = log_probability
    if weight is not None:
        weighted = log_probability * _row(weight, log_probability, dim)
    smooth = (-weighted.sum(dim)).masked_fill(ignored, 0.0)
    classes = log_probability.shape[dim]
    if how == MEAN:
        if weight is None:
            total = (~ignored).sum()
        else:
            total = weight[target.masked_fill(ignored, 0)].masked_fill(ignored, 0.0).sum()
        smooth = smooth.sum() / total
    elif how == SUM:
        smooth = smooth.sum()
    return loss * (1 - smoothing) + smooth * (smoothing / classes if classes else math.inf)


@composite(
    namespaces=_F,
    samples=(
        S(t(4, 5), t(3, 5), _CLASSES),
        S(t(4, 5), t(3, 5), _CLASSES, linear_bias=t(3), weight=_WEIGHT, reduction="sum"),
        S(t(4, 5), t(3, 5), t(4, 3, low=0.1, high=1.0), label_smoothing=0.1),
        S(t(5), t(3, 5), ti(low=0, high=3), ignore_index=1),
    ),
)
def linear_cross_entropy(
    input: Any, linear_weight: Any, target: Any, *, linear_bias: Any = None, weight: Any = None,
    reduction: str = MEAN, ignore_index: int | None = None, label_smoothing: float = 0.0,
    options: Any = None,
) -> Any:  # fmt: skip
    """The cross entropy of a linear layer's scores.

    Args:
        input: (N, I) or (I).
        linear_weight: the layer's weight, (C, I) or (C, d1, ..., I).
        target: as for ``cross_entropy``.
        linear_bias: the layer's bias, the weight's shape without I.
        weight, reduction, ignore_index, label_smoothing: as for ``cross_entropy``.
        options: accepted; the scores are computed in one piece.

    >>> import rushlight as torch
    >>> x, w = torch.zeros(1, 2), torch.ones(2, 2)
    >>> torch.nn.functional.linear_cross_entropy(x, w, torch.tensor([0]))
    tensor(0.6931)
    """
    shape = tuple(linear_weight.shape[:-1])
    flat = linear_weight
    if len(shape) > 1:
        flat = linear_weight.reshape(math.prod(shape), linear_weight.shape[-1])
    bias = None if linear_bias is None else linear_bias.reshape(-1)
    scores = function_of("nn.functional.linear")(input, flat, bias)
    if len(shape) > 1:
        scores = scores.reshape((*scores.shape[:-1], *shape))
    return cross_entropy(
        scores, target, weight, ignore_index=-100 if ignore_index is None else ignore_index,
        reduction=reduction, label_smoothing=label_smoothing,
    )  # fmt: skip


# margins ---------------------------------------------------------------------------------------

_MARGIN_CLASSES = ti(3, low=0, high=4)
_SHAPE = ErrorSample(
    S(t(2, 3, 4), ti(3, low=0, high=4)),
    RuntimeError,
    "Expected non-empty vector or matrix with optional 0-dim batch size",
)


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), _MARGIN_CLASSES, twice=False),
        S(t(3, 4), _MARGIN_CLASSES, 2, 0.5, t(4, low=0.5, grad=False), twice=False),
        S(t(3, 4), _MARGIN_CLASSES, reduction="none", twice=False),
        S(t(4), ti(low=0, high=4), reduction="sum", twice=False),
    ),
    errors=(
        _SHAPE,
        ErrorSample(S(t(3, 4), _MARGIN_CLASSES, 3), ValueError, "only p == 1 and p == 2 supported"),
        ErrorSample(S(t(3, 4), ti(3, low=7, high=8)), RuntimeError, "target out of range"),
        ErrorSample(
            S(t(3, 4), ti(2, low=0, high=4)),
            RuntimeError,
            "target tensor should be 1-D with size equal to the number of input samples",
        ),
        ErrorSample(
            S(t(3, 4), _MARGIN_CLASSES, weight=t(3, grad=False)),
            RuntimeError,
            r"inconsistent weight size, expected 4 but got \[3\]",
        ),
    ),
)
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None,
    size_average: Any = None, reduce: Any = None, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """The hinge loss over several classes.

    Args:
        input: scores, (N, C) or (C).
        target: class numbers, (N) or ().
        p: the power of the hinge, 1 or 2.
        margin: by how much the target's score should be above the others.
        weight: a weight per class.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> torch.nn.functional.multi_margin_loss(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.5000)
    """
    how = reduction_of(reduction, size_average, reduce)
    if p not in (1, 2):
        raise ValueError("only p == 1 and p == 2 supported")
    if weight is not None and weight.dim() != 1:
        raise ValueError("weight must be one-dimensional")
    return multi_margin_op(input, target, weight, p=int(p), margin=float(margin), reduction=how)


@composite(
    namespaces=_F,
    samples=(
        S(t(2, 4), ti(2, 4, values=[3, 0, -1, 1, 1, -1, 2, 2]), twice=False),
        S(t(2, 3), ti(2, 3, values=[0, 1, 2, -1, 0, 0]), reduction="none", twice=False),
        S(t(4), ti(4, values=[3, 1, -1, 0]), reduction="sum", twice=False),
    ),
    errors=(
        _SHAPE,
        ErrorSample(S(t(3, 4), ti(3)), RuntimeError, "inconsistent target size"),
        ErrorSample(
            S(t(2, 3), ti(2, 3, low=5, high=6)),
            RuntimeError,
            "argument #2 'target' is out of range",
        ),
    ),
)
def multilabel_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = MEAN
) -> Any:
    """The hinge loss of several classes that all apply.

    Args:
        input: scores, (N, C) or (C).
        target: the classes that apply, in any order, then -1; the shape of the input.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> x, y = torch.tensor([0.0, 2.0]), torch.tensor([0, -1])
    >>> torch.nn.functional.multilabel_margin_loss(x, y)
    tensor(1.5000)
    """
    how = reduction_of(reduction, size_average, reduce)
    return multilabel_margin_op(input, target, reduction=how)[0]


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), t(3, 4, low=0.0, high=1.0)),
        S(t(3, 4), t(3, 4, low=0.0, high=1.0), t(4, low=0.5), reduction="sum"),
        S(t(3, 4), t(3, 4, low=0.0, high=1.0), reduction="none"),
    ),
)
def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """The mean over classes of the cross entropy of every class on its own.

    Args:
        input: scores, (N, C).
        target: probabilities, (N, C).
        weight: a weight per class.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> torch.nn.functional.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.ones(1, 2))
    tensor(0.6931)
    """
    how = reduction_of(reduction, size_average, reduce)
    loss = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss.sum(-1) / input.shape[-1], how)
