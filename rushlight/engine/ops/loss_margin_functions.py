"""PyTorch's losses of distances and margins."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ops.blend_functions import where
from rushlight.engine.ops.linalg_distance import pairwise_distance
from rushlight.engine.ops.loss import MEAN, soft_margin_op
from rushlight.engine.ops.loss_functions import reduce_loss, reduction_of

_F = ("nn.functional",)
_SIGNS = t(5, values=[1.0, -1, 1, -1, 1], grad=False)
_DIMENSIONS = ErrorSample(
    S(t(3, 4), t(3, 4), t(4)),
    RuntimeError,
    "The anchor, positive, and negative tensors are expected to have the same number of dimensions",
)
_MARGIN = ErrorSample(
    S(t(3, 4), t(3, 4), t(3, 4), margin=-1.0),
    ValueError,
    "margin must be greater than 0, got -1.0",
)


@composite(
    namespaces=_F,
    samples=(
        S(t(5), _SIGNS),
        S(t(5), _SIGNS, margin=0.5, reduction="sum"),
        S(t(3, 5), _SIGNS, reduction="none"),
    ),
)
def hinge_embedding_loss(
    input: Any, target: Any, margin: float = 1.0, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """``input`` where the target is 1, max(0, margin - input) where it is -1.

    Args:
        input: distances, any shape.
        target: 1 or -1, the same shape.
        margin: how far apart what is different should be.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> torch.nn.functional.hinge_embedding_loss(torch.zeros(1), -torch.ones(1))
    tensor(1.)
    """
    how = reduction_of(reduction, size_average, reduce)
    zeros = input.new_zeros(())
    if not input.dtype.is_floating_point:
        margin = int(margin)  # PyTorch keeps integers what they are
    apart = where(target != 1, (margin - input).clamp_min(0), zeros)
    return reduce_loss(apart + where(target != -1, input, zeros), how)


@composite(
    namespaces=_F,
    samples=(
        S(t(5), t(5), _SIGNS, 0.5),
        S(t(5), t(5), _SIGNS, reduction="sum"),
        S(t(3, 5), t(3, 5), t(3, 5, grad=False), reduction="none"),
    ),
    errors=(
        ErrorSample(
            S(t(3, 4), t(3, 4), t(4)),
            RuntimeError,
            "margin_ranking_loss : All input tensors should have same dimension but got sizes",
        ),
    ),
)
def margin_ranking_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None,
    reduce: Any = None, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """max(0, -target (input1 - input2) + margin).

    Args:
        input1: scores, any shape.
        input2: other scores, the same shape.
        target: 1 where the first should be larger, -1 where the second should.
        margin: by how much.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> one = torch.ones(1)
    >>> torch.nn.functional.margin_ranking_loss(one, one, one, margin=0.5)
    tensor(0.5000)
    """
    how = reduction_of(reduction, size_average, reduce)
    if not input1.dim() == input2.dim() == target.dim():
        raise RuntimeError(
            "margin_ranking_loss : All input tensors should have same dimension but got sizes: "
            f"input1: {input1.shape}, input2: {input2.shape}, target: {target.shape} "
        )
    return ranking_loss(input1, input2, target, margin, how)


def ranking_loss(input1: Any, input2: Any, target: Any, margin: float, reduction: str) -> Any:
    """``margin_ranking_loss`` of anything that broadcasts."""
    loss = (-target * (input1 - input2) + float(margin)).clamp_min(0)
    return reduce_loss(loss, reduction)


@composite(
    namespaces=_F,
    samples=(
        S(t(5), _SIGNS),
        S(t(5), _SIGNS, reduction="sum"),
        S(t(3, 5), _SIGNS, reduction="none"),
    ),
    errors=(
        ErrorSample(
            S(t(5), t(5)),
            RuntimeError,
            "'soft_margin_loss' is not differentiable with respect to argument 'target'",
        ),
    ),
)
def soft_margin_loss(
    input: Any, target: Any, size_average: Any = None, reduce: Any = None, reduction: str = MEAN
) -> Any:
    """log(1 + exp(-target input)).

    Args:
        input: scores, any shape.
        target: 1 or -1, the same shape.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> torch.nn.functional.soft_margin_loss(torch.zeros(1), torch.ones(1))
    tensor(0.6931)
    """
    return soft_margin_op(input, target, reduction=reduction_of(reduction, size_average, reduce))


def _check_triplet(anchor: Any, positive: Any, negative: Any, margin: float) -> None:
    if margin <= 0:
        raise ValueError(f"margin must be greater than 0, got {margin}")
    if not anchor.dim() == positive.dim() == negative.dim():
        raise RuntimeError(
            "The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.dim()}D, positive {positive.dim()}D, and "
            f"negative {negative.dim()}D inputs"
        )


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), t(3, 4), t(3, 4)),
        S(t(4), t(4), t(4), swap=True),
        S(t(3, 4), t(3, 4), t(3, 4), margin=0.5, p=3, reduction="none"),
        S(t(3, 4), t(3, 4), t(3, 4), margin=4.0, swap=True, reduction="sum"),
    ),
    errors=(_DIMENSIONS, _MARGIN),
)
def triplet_margin_loss(
    anchor: Any, positive: Any, negative: Any, margin: float = 1.0, p: float = 2,
    eps: float = 1e-6, swap: bool = False, size_average: Any = None, reduce: Any = None,
    reduction: str = MEAN,
) -> Any:  # fmt: skip
    """max(0, d(anchor, positive) - d(anchor, negative) + margin).

    Args:
        anchor: (N, D) or (D).
        positive: what should be near, the same shape.
        negative: what should be far, the same shape.
        margin: how much farther.
        p: the power of the distance.
        eps: added to the differences.
        swap: take the distance of positive and negative where it is the smaller one.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> one = torch.ones(1, 2)
    >>> torch.nn.functional.triplet_margin_loss(one, one, one)
    tensor(1.)
    """
    how = reduction_of(reduction, size_average, reduce)
    _check_triplet(anchor, positive, negative, margin)
    near = pairwise_distance(anchor, positive, p, eps)
    far = pairwise_distance(anchor, negative, p, eps)
    if swap:
        far = far.minimum(pairwise_distance(positive, negative, p, eps))
    return reduce_loss((margin + near - far).clamp_min(0), how)


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), t(3, 4), t(3, 4)),
        S(t(3, 4), t(3, 4), t(3, 4), swap=True, margin=3.0, reduction="sum"),
        S(t(3, 4), t(3, 4), t(3, 4), reduction="none"),
    ),
    errors=(_DIMENSIONS, _MARGIN),
)
def triplet_margin_with_distance_loss(
    anchor: Any, positive: Any, negative: Any, *,
    distance_function: Callable[[Any, Any], Any] | None = None, margin: float = 1.0,
    swap: bool = False, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """``triplet_margin_loss`` with any distance.

    Args:
        anchor, positive, negative: (N, ...).
        distance_function: the distance of two such tensors, ``pairwise_distance`` by default.
        margin, swap, reduction: as for ``triplet_margin_loss``.

    >>> import rushlight as torch
    >>> zero, one = torch.zeros(1, 2), torch.ones(1, 2)
    >>> torch.nn.functional.triplet_margin_with_distance_loss(
    ...     zero, zero, one, distance_function=lambda a, b: (a - b).abs().sum(-1), margin=3.0)
    tensor(1.)
    """
    how = reduction_of(reduction)
    _check_triplet(anchor, positive, negative, margin)
    distance = pairwise_distance if distance_function is None else distance_function
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = far.minimum(distance(positive, negative))
    return reduce_loss((margin + near - far).clamp_min(0), how)


@composite(
    namespaces=_F,
    samples=(
        S(t(3, 4), t(3, 4), t(3, values=[1.0, -1, 1], grad=False), 0.1),
        S(t(3, 4), t(3, 4), t(3, values=[1.0, -1, 1], grad=False), reduction="none"),
        S(t(4), t(4), t(values=-1.0, grad=False), reduction="sum"),
    ),
    errors=(
        ErrorSample(
            S(t(3, 4), t(3, 4), t(3, 1)),
            RuntimeError,
            "0D or 1D target tensor expected, multi-target not supported",
        ),
        ErrorSample(
            S(t(4), t(4), t(3)), RuntimeError, "1D target tensor expects 2D input tensors"
        ),
    ),
)
def cosine_embedding_loss(
    input1: Any, input2: Any, target: Any, margin: float = 0, size_average: Any = None,
    reduce: Any = None, reduction: str = MEAN,
) -> Any:  # fmt: skip
    """1 - cos where the target is 1, max(0, cos - margin) where it is -1.

    Args:
        input1: (N, D) or (D).
        input2: the same shape.
        target: 1 or -1, (N) or ().
        margin: the cosine that is small enough.
        reduction: ``"mean"``, ``"sum"`` or ``"none"``.

    >>> import rushlight as torch
    >>> one = torch.ones(1, 2)
    >>> torch.nn.functional.cosine_embedding_loss(one, one, -torch.ones(1))
    tensor(1.)
    """
    how = reduction_of(reduction, size_average, reduce)
    if target.dim() > 1:
        raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
    wanted = target.dim() + 1
    if input1.dim() != wanted or input2.dim() != wanted:
        raise RuntimeError(
            f"{target.dim()}D target tensor expects {wanted}D input tensors, but found inputs with "
            f"sizes {list(input1.shape)} and {list(input2.shape)}."
        )
    epsilon = 1e-12
    dot = (input1 * input2).sum(-1)
    length = ((input1 * input1).sum(-1) + epsilon) * ((input2 * input2).sum(-1) + epsilon)
    cosine = dot / length.sqrt()
    zeros = cosine.new_zeros(())
    near = where(target == 1, 1 - cosine, zeros)
    far = where(target == -1, (cosine - margin).clamp_min(0), zeros)
    return reduce_loss(near + far, how)
