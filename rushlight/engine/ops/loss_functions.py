"""PyTorch's losses of numbers and of probabilities."""

from __future__ import annotations

import math
import warnings
from typing import Any

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ops.arithmetic_inplace import fill
from rushlight.engine.ops.loss import (
    MEAN,
    NONE,
    SUM,
    binary_cross_entropy_op,
    binary_cross_entropy_with_logits_op,
    huber_op,
    mse_loss_op,
    not_negative,
    smooth_l1_op,
)

_F = ("nn.functional",)


def reduction_of(reduction: str, size_average: Any = None, reduce: Any = None) -> str:
    """The reduction, from PyTorch's present argument and its two old ones."""
    if size_average is not None or reduce is not None:
        if reduce is False:
            found = NONE
        else:
            found = SUM if size_average is False else MEAN
        warnings.warn(
            "size_average and reduce args will be deprecated, please use "
            f"reduction='{found}' instead.",
            UserWarning,
            stacklevel=4,
        )
        return found
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
    if input._value.meta.shape != target._value.meta.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.\nOften target.unsqueeze(1), or "
            "input.squeeze(1), is what was meant.",
            UserWarning,
            stacklevel=4,
        )
        broadcast_shapes(input.shape, target.shape)


def _weighted(loss: Any, weight: Any, reduction: str) -> Any:
    """Weighted losses; their mean is taken over the weights."""
    weighted = loss * weight
    if reduction == NONE:
        return weighted
    return weighted.sum() if reduction == SUM else weighted.sum() / weight.sum()


_PAIRS = (
    S(t(3, 4), t(3, 4)),
    S(t(3, 4), t(3, 4), reduction="sum"),
    S(t(5), t(5), reduction="none"),
    S(t(3, 4), t(4)),
)
_REDUCTION = ErrorSample(
    S(t(3), t(3), reduction="all"), ValueError, "all is not a valid value for reduction"
)
_SIZES = ErrorSample(
    S(t(3, 4), t(3)), RuntimeError, r"The size of tensor a \(4\) must match the size of tensor b"
)
_WEIGHT = t(3, 4, low=0.1, grad=False)


@composite(
    namespaces=_F,
    samples=(*_PAIRS, S(t(), t()), S(t(3, 4), t(3, 4), weight=_WEIGHT)),
    errors=(
        _REDUCTION,
        _SIZES,
        ErrorSample(S(ti(3), ti(3)), NotImplementedError, '"mse_cpu" not implemented for'),
    ),
)
def mse_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN, weight: Any = None,
) -> Any:  # fmt: skip
    """The mean (or sum) of squared differences.

    Args:
        input: predictions, any shape.
        target: what they should be, the same shape.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        weight: a weight for every element.

    >>> import rushlight as torch
    >>> torch.nn.functional.mse_loss(torch.zeros(2), torch.ones(2))
    tensor(1.)
    """
    check_sizes(input, target)
    how = reduction_of(reduction, size_average, reduce)
    if weight is not None:
        return _weighted(mse_loss_op(input, target, reduction=NONE), weight, how)
    return mse_loss_op.fixed(how)(input, target)


@composite(
    namespaces=_F,
    samples=(*_PAIRS, S(t(3, 4), t(3, 4), weight=_WEIGHT)),
    errors=(_REDUCTION, _SIZES),
)
def l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = MEAN,
    weight: Any = None,
) -> Any:  # fmt: skip
    """The mean (or sum) of absolute differences; arguments as for ``mse_loss``.

    >>> import rushlight as torch
    >>> torch.nn.functional.l1_loss(torch.zeros(2), torch.ones(2))
    tensor(1.)
    """
    check_sizes(input, target)
    how = reduction_of(reduction, size_average, reduce)
    loss = (input - target).abs()
    return reduce_loss(loss, how) if weight is None else _weighted(loss, weight, how)


@composite(
    namespaces=_F,
    samples=(*_PAIRS, S(t(3, 4), t(3, 4), beta=0.5), S(t(3), t(3), beta=0)),
    errors=(
        _REDUCTION,
        _SIZES,
        ErrorSample(S(t(3), t(3), beta=-1), RuntimeError, "does not support negative values"),
    ),
)
def smooth_l1_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN, beta: float = 1.0,
) -> Any:  # fmt: skip
    """Quadratic for differences below ``beta``, linear above; arguments as for ``mse_loss``.

    >>> import rushlight as torch
    >>> torch.nn.functional.smooth_l1_loss(torch.zeros(1), torch.ones(1) * 3)
    tensor(2.5000)
    """
    check_sizes(input, target)
    how = reduction_of(reduction, size_average, reduce)
    if beta == 0:
        return reduce_loss((input - target).abs(), how)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    return smooth_l1_op(input, target, beta=float(beta), reduction=how)


@composite(
    namespaces=_F,
    samples=(
        *_PAIRS,
        S(t(3, 4), t(3, 4), delta=0.5),
        S(t(3, 4), t(3, 4), weight=_WEIGHT),
    ),
    errors=(
        _REDUCTION,
        _SIZES,
        ErrorSample(S(t(3), t(3), delta=0), RuntimeError, "does not support non-positive values"),
    ),
)
def huber_loss(
    input: Any, target: Any, reduction: str = MEAN, delta: float = 1.0, weight: Any = None
) -> Any:
    """Quadratic for differences below ``delta``, linear above; see Huber, 1964.

    Arguments as for ``mse_loss``.

    >>> import rushlight as torch
    >>> torch.nn.functional.huber_loss(torch.zeros(1), torch.ones(1) * 3)
    tensor(2.5000)
    """
    check_sizes(input, target)
    how = reduction_of(reduction)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    if weight is None:
        return huber_op(input, target, delta=float(delta), reduction=how)
    loss = huber_op(input, target, delta=float(delta), reduction=NONE)
    return reduce_loss(loss * weight, how)


# probabilities ---------------------------------------------------------------------------------

_CHANCE = t(3, 4, low=0.1, high=0.9)
_LABELS = t(3, 4, low=0.1, high=0.9, grad=False)
_ROW = t(4, low=0.5, grad=False)


@composite(
    namespaces=_F,
    samples=(
        S(_CHANCE, _CHANCE),
        S(_CHANCE, _LABELS, _ROW, reduction="sum"),
        S(_CHANCE, _LABELS, reduction="none"),
    ),
    errors=(
        ErrorSample(S(t(3), t(2)), ValueError, "that is different to the input size"),
        ErrorSample(
            S(t(3, low=1.5), t(3)), RuntimeError, "elements of input should be between 0 and 1"
        ),
        ErrorSample(
            S(_CHANCE, t(3, 4, low=1.5)),
            RuntimeError,
            "elements of target should be between 0 and 1",
        ),
        ErrorSample(S(_CHANCE, ti(3, 4)), RuntimeError, "Found dtype Long but expected Float"),
        ErrorSample(
            S(_CHANCE, _LABELS, t(3, grad=False)),
            RuntimeError,
            "Attempting to broadcast a dimension of length 3 at -1!",
        ),
        ErrorSample(
            S(_CHANCE, _LABELS, t(4)),
            RuntimeError,
            "is not differentiable with respect to argument 'weight'",
        ),
    ),
)
def binary_cross_entropy(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """Cross entropy of probabilities between 0 and 1; logarithms are held above -100.

    Args:
        input: probabilities, any shape.
        target: what they should be, the same shape.
        weight: a weight that broadcasts to the input.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> torch.nn.functional.binary_cross_entropy(torch.tensor([0.5]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    how = reduction_of(reduction, size_average, reduce)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    return binary_cross_entropy_op(input, target, weight, reduction=how)


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), t(3, 4, low=0.0, high=1.0)),
        S(t(3, 4), _CHANCE, _ROW, pos_weight=_ROW),
        S(t(3, 4), _CHANCE, reduction="sum", pos_weight=_ROW),
        S(t(3, 4), _LABELS, reduction="none"),
    ),
    errors=(
        ErrorSample(
            S(t(3), t(2)),
            ValueError,
            r"Target size \(torch.Size\(\[2\]\)\) must be the same as input size",
        ),
        ErrorSample(
            S(t(3, 4), ti(3, 4)),
            RuntimeError,
            "result type Float can't be cast to the desired output type Long",
        ),
    ),
)
def binary_cross_entropy_with_logits(
    input: Any, target: Any, weight: Any = None, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN, pos_weight: Any = None,
) -> Any:  # fmt: skip
    """Cross entropy of the sigmoid of ``input``, computed without overflow.

    Args:
        input: scores, any shape.
        target: probabilities, the same shape.
        weight: a weight that broadcasts to the input.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.
        pos_weight: a weight for the positive examples, that broadcasts to the input.

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> F.binary_cross_entropy_with_logits(torch.tensor([0.0]), torch.tensor([1.0]))
    tensor(0.6931)
    """
    how = reduction_of(reduction, size_average, reduce)
    if tuple(input.shape) != tuple(target.shape):
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    return binary_cross_entropy_with_logits_op(input, target, weight, pos_weight, reduction=how)


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), t(3, 4, low=0.1, high=1.0), reduction="batchmean"),
        S(t(3, 4), t(3, 4), reduction="sum", log_target=True),
        S(t(3, 4), t(3, 4, low=0.1, high=1.0), reduction="none"),
        S(t(3, 4), t(4, low=0.1, high=1.0)),
    ),
    errors=(_REDUCTION,),
)
def kl_div(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = MEAN,
    log_target: bool = False,
) -> Any:  # fmt: skip
    """The divergence of Kullback and Leibler of ``target`` from exp(``input``).

    Args:
        input: log probabilities, any shape.
        target: probabilities, or their logarithms with ``log_target``.
        reduction: ``"batchmean"`` (the sum over the first size, which is the definition),
            ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> torch.nn.functional.kl_div(torch.zeros(1, 1), torch.ones(1, 1), reduction="batchmean")
    tensor(0.)
    """
    whole = reduction == "batchmean"
    how = SUM if whole and size_average is None and reduce is None else reduction_of(
        reduction, size_average, reduce
    )
    if how == MEAN:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            UserWarning,
            stacklevel=3,
        )
    loss = target.exp() * (target - input) if log_target else target.xlogy(target) - target * input
    made = reduce_loss(loss, how)
    if whole and input.dim():
        made = made / input.shape[0] if input.shape[0] else made * math.nan
    return made


_COUNTS = t(3, 4, low=0.1, high=4.0)


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), _COUNTS),
        S(t(3, 4, low=0.1), _COUNTS, log_input=False, full=True),
        S(t(3, 4), _COUNTS, reduction="none"),
    ),
    errors=(_REDUCTION,),
)
def poisson_nll_loss(
    input: Any, target: Any, log_input: bool = True, full: bool = False, size_average: Any = None,
    eps: float = 1e-8, reduce: Any = None, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """Minus the log likelihood of counts under a Poisson distribution.

    Args:
        input: rates, or their logarithms with ``log_input``, any shape.
        target: counts, the same shape.
        full: add Stirling's approximation of the term that does not depend on the input.
        eps: kept away from zero by this before the logarithm.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> torch.nn.functional.poisson_nll_loss(torch.zeros(1), torch.ones(1))
    tensor(1.)
    """
    how = reduction_of(reduction, size_average, reduce)
    if log_input:
        loss = input.exp() - target * input
    else:
        loss = input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduce_loss(loss, how)


def _variances(input: Any, var: Any) -> Any:
    """The variances for every element; PyTorch's errors for sizes that do not fit."""
    if not isinstance(var, TensorBase):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        return fill(input.detach(), float(var))
    shape, wanted = tuple(var.shape), tuple(input.shape)
    if shape != wanted:
        if wanted[:-1] == shape:
            var = var.unsqueeze(-1)
        elif not (wanted and wanted[:-1] == shape[:-1] and shape[-1] == 1):
            count = sum(1 for a, b in zip(wanted, shape, strict=False) if a == b)
            if len(shape) != len(wanted) or count < len(wanted) - 1:
                raise ValueError("var is of incorrect size")
    return not_negative(var)


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), t(3, 4), t(3, 4, low=0.5)),
        S(t(3, 4), t(3, 4), t(3, low=0.5), full=True),
        S(t(3, 4), t(3, 4), t(3, 1, low=0.5), reduction="sum"),
        S(t(3, 4), t(3, 4), 0.5, reduction="none"),
    ),
    errors=(
        ErrorSample(S(t(3, 4), t(3, 4), t(4, low=1)), ValueError, "var is of incorrect size"),
        ErrorSample(
            S(t(3), t(3), t(3, low=-2, high=-1)), ValueError, "var has negative entry/entries"
        ),
        ErrorSample(S(t(3), t(3), 0.5, reduction="all"), ValueError, "all is not valid"),
    ),
)
def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """Minus the log likelihood under normal distributions with means and variances given.

    Args:
        input: means, any shape.
        target: what was seen, the same shape.
        var: variances: the same shape, one less axis, or a last axis of size 1; or a number.
        full: add the constant term.
        eps: variances below this count as this; no gradient stops there.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> one = torch.ones(1)
    >>> torch.nn.functional.gaussian_nll_loss(one, one, one)
    tensor(0.)
    """
    var = _variances(input, var)
    if reduction not in (NONE, MEAN, SUM):
        raise ValueError(f"{reduction} is not valid")
    safe = var
    if var.dtype.category == FLOATING:
        # clamped without a trace in the graph: the gradient goes on as if nothing had happened
        plain = var.detach()
        safe = var + (plain.clamp(min=eps) - plain)
    loss = 0.5 * (safe.log() + (input - target).square() / safe)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduce_loss(loss, reduction)
