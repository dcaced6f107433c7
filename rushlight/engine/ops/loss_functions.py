"""PyTorch's loss functions."""

from __future__ import annotations

import math
import warnings
from typing import Any

from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import S, t, ti
from rushlight.engine.ops.loss import MEAN, NONE, SUM, check_targets, mse_loss_op, nll_loss_op

_F = ("nn.functional",)


def reduction_of(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """The reduction, from PyTorch's present argument and its two old ones."""
    if size_average is not None or reduce is not None:
        if reduce is False:
            return NONE
        return SUM if size_average is False else MEAN
    if reduction not in (NONE, MEAN, SUM):
        raise ValueError(f"{reduction} is not a valid value for reduction")
    return reduction


def reduce_loss(loss: Any, reduction: str) -> Any:
    """Losses of single elements as their mean, their sum, or as they are."""
    if reduction == NONE:
        return loss
    return loss.mean() if reduction == MEAN else loss.sum()


def check_sizes(input: Any, target: Any) -> None:
    """PyTorch's warning for a loss of two sizes, which is nearly always a mistake."""
    if tuple(input.shape) != tuple(target.shape):
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.\nOften target.unsqueeze(1), or "
            "input.squeeze(1), is what was meant.",
            UserWarning,
            stacklevel=4,
        )
        broadcast_shapes(input.shape, target.shape)


_PAIRS = (
    S(t(3, 4), t(3, 4)),
    S(t(3, 4), t(3, 4), reduction="sum"),
    S(t(5), t(5), reduction="none"),
)


@composite(namespaces=_F, samples=(*_PAIRS, S(t(), t())))
def mse_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN, weight: Any = None,
) -> Any:  # fmt: skip
    """The mean (or sum) of squared differences.

    >>> import rushlight as torch
    >>> torch.nn.functional.mse_loss(torch.zeros(2), torch.ones(2))
    tensor(1.)
    """
    check_sizes(input, target)
    how = reduction_of(reduction, size_average, reduce)
    if weight is not None:
        return reduce_loss(mse_loss_op(input, target, reduction=NONE) * weight, how)
    return mse_loss_op(input, target, reduction=how)


@composite(namespaces=_F, samples=_PAIRS)
def l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = MEAN,
    weight: Any = None,
) -> Any:  # fmt: skip
    """The mean (or sum) of absolute differences.

    >>> import rushlight as torch
    >>> torch.nn.functional.l1_loss(torch.zeros(2), torch.ones(2))
    tensor(1.)
    """
    check_sizes(input, target)
    loss = (input - target).abs()
    return reduce_loss(
        loss if weight is None else loss * weight, reduction_of(reduction, size_average, reduce)
    )


@composite(namespaces=_F, samples=(*_PAIRS, S(t(3, 4), t(3, 4), beta=0.5)))
def smooth_l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN, beta: float = 1.0,
) -> Any:  # fmt: skip
    """Quadratic for differences below ``beta``, linear above.

    >>> import rushlight as torch
    >>> torch.nn.functional.smooth_l1_loss(torch.zeros(1), torch.ones(1) * 3)
    tensor(2.5000)
    """
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    how = reduction_of(reduction, size_average, reduce)
    if beta == 0:
        return l1_loss(input, target, reduction=how)
    check_sizes(input, target)
    distance = (input - target).abs()
    small = distance.clamp(max=beta)
    return reduce_loss(small * (distance - 0.5 * small) / beta, how)


@composite(namespaces=_F, samples=(*_PAIRS, S(t(3, 4), t(3, 4), delta=0.5)))
def huber_loss(
    input: Any, target: Any, reduction: str = MEAN, delta: float = 1.0, weight: Any = None
) -> Any:
    """Quadratic for differences below ``delta``, linear above; see Huber, 1964.

    >>> import rushlight as torch
    >>> torch.nn.functional.huber_loss(torch.zeros(1), torch.ones(1) * 3)
    tensor(2.5000)
    """
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    check_sizes(input, target)
    distance = (input - target).abs()
    small = distance.clamp(max=delta)
    loss = small * (distance - 0.5 * small)
    return reduce_loss(loss if weight is None else loss * weight, reduction_of(reduction))


@composite(
    namespaces=_F,
    samples=(
        S(t(4, 3), ti(4, low=0, high=3)),
        S(t(4, 3), ti(4, low=0, high=3), t(3, low=0.5, grad=False), reduction="sum"),
        S(t(2, 3, 5), ti(2, 5, low=0, high=3), ignore_index=1),
        S(t(4, 3), ti(4, low=0, high=3), reduction="none"),
        S(t(3), ti(low=0, high=3)),
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

    >>> import rushlight as torch
    >>> torch.nn.functional.nll_loss(torch.tensor([[-1.0, -2.0]]), torch.tensor([1]))
    tensor(2.)
    """
    how = reduction_of(reduction, size_average, reduce)
    ready = target._value.buffer
    if ready is not None and input.dim() and ready.__class__.__name__ == "ndarray":
        classes = input.shape[1 if input.dim() > 1 else 0]
        if ready.size and (ready.max() >= classes or ready.min() < 0):
            check_targets(ready, classes, ignore_index)
    return nll_loss_op(input, target, weight, reduction=how, ignore=int(ignore_index))[0]


@composite(
    namespaces=_F,
    samples=(
        S(t(4, 3), ti(4, low=0, high=3)),
        S(t(4, 3), ti(4, low=0, high=3), t(3, low=0.5, grad=False), label_smoothing=0.1),
        S(t(4, 3), t(4, 3, low=0.1, high=1.0)),
        S(t(2, 3, 5), ti(2, 5, low=0, high=3), ignore_index=1, label_smoothing=0.2),
        S(t(4, 3), ti(4, low=0, high=3), reduction="none"),
        S(t(3), ti(low=0, high=3)),
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
        label_smoothing: share of probability given evenly to all classes.

    >>> import rushlight as torch
    >>> torch.nn.functional.cross_entropy(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.6931)
    """
    how = reduction_of(reduction, size_average, reduce)
    dim = 1 if input.dim() > 1 else 0
    log_probability = input.log_softmax(dim)
    if tuple(input.shape) == tuple(target.shape) and target.dtype.is_floating_point:
        return _soft_targets(log_probability, target, weight, how, label_smoothing, dim)
    loss = nll_loss(log_probability, target, weight, None, ignore_index, None, how)
    if label_smoothing == 0.0:
        return loss
    return _smoothed(log_probability, target, weight, ignore_index, how, label_smoothing, dim, loss)


def _row(weight: Any, input: Any, dim: int) -> Any:
    return weight.reshape([-1 if a == dim else 1 for a in range(input.dim())])


def _soft_targets(
    log_probability: Any, target: Any, weight: Any, how: str, smoothing: float, dim: int
) -> Any:
    classes = log_probability.shape[dim]
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    loss = log_probability * target
    if weight is not None:
        loss = loss * _row(weight, loss, dim)
    loss = -loss.sum(dim)
    if how == MEAN:
        return loss.sum() / max(loss.numel(), 1)
    return reduce_loss(loss, how)


def _smoothed(
    log_probability: Any, target: Any, weight: Any, ignore: int, how: str, smoothing: float,
    dim: int, loss: Any,
) -> Any:  # fmt: skip
    counted = target != ignore
    weighted = log_probability
    if weight is not None:
        weighted = log_probability * _row(weight, log_probability, dim)
    smooth = -weighted.sum(dim) * counted
    classes = log_probability.shape[dim]
    if how == MEAN:
        if weight is None:
            total = counted.sum()
        else:
            total = (weight[target.clamp(min=0)] * counted).sum()
        smooth = smooth.sum() / total
    elif how == SUM:
        smooth = smooth.sum()
    return loss * (1 - smoothing) + smooth * (smoothing / classes)


_PROBABILITIES = (
    S(t(3, 4, low=0.1, high=0.9), t(3, 4, low=0.0, high=1.0, grad=False)),
    S(
        t(3, 4, low=0.1, high=0.9),
        t(3, 4, low=0.0, high=1.0, grad=False),
        t(4, low=0.5, grad=False),
        reduction="sum",
    ),
)


@composite(namespaces=_F, samples=_PROBABILITIES)
def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """Cross entropy of probabilities between 0 and 1; logarithms are held above -100.

    >>> import rushlight as torch
    >>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    logs = input.log().clamp(min=-100.0)
    others = (1 - input).log().clamp(min=-100.0)
    loss = (target - 1) * others - target * logs
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss, reduction_of(reduction, size_average, reduce))


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), t(3, 4, low=0.0, high=1.0, grad=False)),
        S(
            t(3, 4),
            t(3, 4, low=0.0, high=1.0, grad=False),
            t(4, low=0.5, grad=False),
            pos_weight=t(4, low=0.5, grad=False),
        ),
    ),
)
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN, pos_weight: Any = None,
) -> Any:  # fmt: skip
    """Cross entropy of the sigmoid of ``input``, computed without overflow.

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> F.binary_cross_entropy_with_logits(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    # log(1 + exp(-x)) as softplus(-x), which does not overflow
    softplus = (-input.abs()).exp().log1p() + (-input).clamp(min=0)
    if pos_weight is not None:
        loss = (1 - target) * input + ((pos_weight - 1) * target + 1) * softplus
    else:
        loss = (1 - target) * input + softplus
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss, reduction_of(reduction, size_average, reduce))


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), t(3, 4, low=0.1, high=1.0, grad=False), reduction="batchmean"),
        S(t(3, 4), t(3, 4), reduction="sum", log_target=True),
    ),
)
def kl_div(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = MEAN,
    log_target: bool = False,
) -> Any:  # fmt: skip
    """The divergence of Kullback and Leibler of ``target`` from exp(``input``).

    >>> import rushlight as torch
    >>> torch.nn.functional.kl_div(torch.zeros(1, 1), torch.ones(1, 1), reduction="batchmean")
    tensor(0.)
    """
    loss = target.exp() * (target - input) if log_target else target.xlogy(target) - target * input
    if reduction == "batchmean":
        return loss.sum() / max(input.shape[0] if input.dim() else 1, 1)
    return reduce_loss(loss, reduction_of(reduction, size_average, reduce))


@composite(namespaces=_F, samples=(S(t(3, 4), t(3, 4, low=0.1, high=4.0, grad=False)),))
def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, size_average: Any = None,
    eps: float = 1e-8, reduce: Any = None, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """Minus the log likelihood of counts under a Poisson distribution.

    >>> import rushlight as torch
    >>> torch.nn.functional.poisson_nll_loss(torch.zeros(1), torch.ones(1))
    tensor(1.)
    """
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling * (target > 1)
    return reduce_loss(loss, reduction_of(reduction, size_average, reduce))


@composite(namespaces=_F, samples=(S(t(3, 4), t(3, 4), t(3, 4, low=0.5, high=2.0)),))
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """Minus the log likelihood under normal distributions with means and variances given.

    >>> import rushlight as torch
    >>> one = torch.ones(1)
    >>> torch.nn.functional.gaussian_nll_loss(one, one, one)
    tensor(0.)
    """
    if isinstance(var, float):
        var = input.new_full(input.shape, var)
    safe = var + (var.detach().clamp(min=eps) - var.detach())
    loss = 0.5 * (safe.log() + (input - target).square() / safe)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce_loss(loss, reduction_of(reduction))


@composite(namespaces=_F, samples=(S(t(5), t(5, values=[1.0, -1, 1, -1, 1], grad=False)),))
def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """``input`` where the target is 1, max(0, margin - input) where it is -1.

    >>> import rushlight as torch
    >>> torch.nn.functional.hinge_embedding_loss(torch.zeros(1), -torch.ones(1))
    tensor(1.)
    """
    apart = (margin - input).clamp(min=0) * (target != 1)
    together = input * (target != -1)
    return reduce_loss(apart + together, reduction_of(reduction, size_average, reduce))


@composite(
    namespaces=_F, samples=(S(t(5), t(5), t(5, values=[1.0, -1, 1, -1, 1], grad=False), 0.5),)
)
def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None,
    reduce: Any = None, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """max(0, -target (input1 - input2) + margin).

    >>> import rushlight as torch
    >>> one = torch.ones(1)
    >>> torch.nn.functional.margin_ranking_loss(one, one, one, margin=0.5)
    tensor(0.5000)
    """
    loss = (-target * (input1 - input2) + margin).clamp(min=0)
    return reduce_loss(loss, reduction_of(reduction, size_average, reduce))


@composite(namespaces=_F, samples=(S(t(5), t(5, values=[1.0, -1, 1, -1, 1], grad=False)),))
def soft_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = MEAN
) -> Any:
    """log(1 + exp(-target input)).

    >>> import rushlight as torch
    >>> torch.nn.functional.soft_margin_loss(torch.zeros(1), torch.ones(1))
    tensor(0.6931)
    """
    loss = (-target * input).exp().log1p()
    return reduce_loss(loss, reduction_of(reduction, size_average, reduce))


@composite(namespaces=_F, samples=(S(t(3, 4), t(3, 4), t(3, 4)), S(t(4), t(4), t(4), swap=True)))
def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin).

    >>> import rushlight as torch
    >>> one = torch.ones(1, 2)
    >>> torch.nn.functional.triplet_margin_loss(one, one, one)
    tensor(1.)
    """

    def distance(a: Any, b: Any) -> Any:
        return ((a - b + eps).abs() ** p).sum(-1) ** (1.0 / p)

    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    loss = (near - far + margin).clamp(min=0)
    return reduce_loss(loss, reduction_of(reduction, size_average, reduce))


@composite(
    namespaces=_F, samples=(S(t(3, 4), t(3, 4), t(3, values=[1.0, -1, 1], grad=False), 0.1),)
)
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None,
    reduce: Any = None, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1.

    >>> import rushlight as torch
    >>> one = torch.ones(1, 2)
    >>> torch.nn.functional.cosine_embedding_loss(one, one, -torch.ones(1))
    tensor(1.)
    """
    epsilon = 1e-12
    dot = (input1 * input2).sum(-1)
    length = ((input1.square().sum(-1) + epsilon) * (input2.square().sum(-1) + epsilon)).sqrt()
    cosine = dot / length
    loss = (1 - cosine) * (target == 1) + (cosine - margin).clamp(min=0) * (target == -1)
    return reduce_loss(loss, reduction_of(reduction, size_average, reduce))


@composite(
    namespaces=_F, samples=(S(t(3, 4), ti(3, low=0, high=4)), S(t(3, 4), ti(3, low=0, high=4), 2))
)
def multi_margin_loss(
    input: Any, target: Any, p: int = 1, margin: float = 1.0, weight: Any = None,
    size_average: Any = None, reduce: Any = None, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """The hinge loss over several classes.

    >>> import rushlight as torch
    >>> torch.nn.functional.multi_margin_loss(torch.zeros(1, 2), torch.tensor([0]))
    tensor(0.5000)
    """
    scores = input if input.dim() == 2 else input.unsqueeze(0)
    places = target.reshape(-1, 1)
    own = scores.gather(1, places)
    loss = (margin - own + scores).clamp(min=0) ** p
    if weight is not None:
        loss = loss * weight[places]
    others = loss.new_ones(loss.shape).scatter(1, places, 0.0)
    rows = (loss * others).sum(1) / scores.shape[1]
    rows = rows if input.dim() == 2 else rows.squeeze(0)
    return reduce_loss(rows, reduction_of(reduction, size_average, reduce))


@composite(namespaces=_F, samples=(S(t(3, 4), t(3, 4, low=0.0, high=1.0, grad=False)),))
def multilabel_soft_margin_loss(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """The mean over classes of the cross entropy of every class on its own.

    >>> import rushlight as torch
    >>> torch.nn.functional.multilabel_soft_margin_loss(torch.zeros(1, 2), torch.ones(1, 2))
    tensor(0.6931)
    """
    loss = binary_cross_entropy_with_logits(input, target, reduction=NONE)
    if weight is not None:
        loss = loss * weight
    return reduce_loss(loss.mean(-1), reduction_of(reduction, size_average, reduce))
