"""Losses for finding things in pictures."""

from __future__ import annotations

import math

import rushlight as torch
from rushlight._tensor import Tensor
from rushlight.nn import functional as F


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    """All losses, their mean (zero where there are none) or their sum."""
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean() if loss.numel() > 0 else 0.0 * loss.sum()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(
        f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: 'none', "
        "'mean', 'sum'"
    )


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
) -> Tensor:
    """Binary cross entropy in which what is right already counts little (arXiv:1708.02002).

    Args:
        inputs: logits of any shape.
        targets: 0 or 1, of the same shape.
        alpha: weight of the ones against the zeros; -1 for none.
        gamma: how fast the weight of right answers falls.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.

    Raises:
        ValueError: another ``alpha`` or ``reduction``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.sigmoid_focal_loss.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import sigmoid_focal_loss
    >>> sigmoid_focal_loss(torch.tensor([4.0, -4.0]), torch.tensor([1.0, 1.0]))
    tensor([1.4679e-06, 9.6873e-01])
    """
    if not 0 <= alpha <= 1 and alpha != -1:
        raise ValueError(
            f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        )
    probability = torch.sigmoid(inputs)
    right = probability * targets + (1 - probability) * (1 - targets)
    entropy = F.binary_cross_entropy_with_logits(inputs, targets, reduction="none")
    loss = entropy * (1 - right) ** gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    if reduction == "mean":
        return loss.mean()
    return _reduced(loss, reduction)


def _wide(boxes: Tensor) -> Tensor:
    return boxes if boxes.dtype in (torch.float32, torch.float64) else boxes.float()


def _overlap(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
    """Of each pair what they share by what they cover, what they cover, the sides around them."""
    low1, high1, low2, high2 = boxes1[..., :2], boxes1[..., 2:], boxes2[..., :2], boxes2[..., 2:]
    sides = torch.min(high1, high2) - torch.max(low1, low2)
    met = (sides > 0).all(dim=-1)
    shared = torch.where(met, sides[..., 0] * sides[..., 1], 0.0)
    areas = (high1 - low1).prod(dim=-1) + (high2 - low2).prod(dim=-1)
    together = areas - shared
    return shared / (together + eps), together, torch.max(high1, high2) - torch.min(low1, low2)


def generalized_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """One less the generalised overlap of each pair (arXiv:1902.09630).

    Args:
        boxes1: (..., 4), each x1, y1, x2, y2.
        boxes2: of the same shape.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        eps: keeps the divisions from zero.

    Raises:
        ValueError: another ``reduction``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.generalized_box_iou_loss.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import generalized_box_iou_loss
    >>> generalized_box_iou_loss(torch.tensor([0.0, 0, 1, 1]), torch.tensor([1.0, 0, 3, 1]))
    tensor(1.)
    """
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    overlap, together, sides = _overlap(boxes1, boxes2, eps)
    around = sides[..., 0] * sides[..., 1]
    return _reduced(1 - (overlap - (around - together) / (around + eps)), reduction)


def _distance(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    overlap, _, sides = _overlap(boxes1, boxes2, eps)
    diagonal = (sides**2).sum(dim=-1) + eps
    centres = [(boxes[..., :2] + boxes[..., 2:]) / 2 for boxes in (boxes1, boxes2)]
    return 1 - overlap + ((centres[0] - centres[1]) ** 2).sum(dim=-1) / diagonal, overlap


def distance_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """One less the overlap of each pair, and the distance of their centres (arXiv:1911.08287).

    Args:
        boxes1: (..., 4), each x1, y1, x2, y2.
        boxes2: of the same shape.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        eps: keeps the divisions from zero.

    Raises:
        ValueError: another ``reduction``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.distance_box_iou_loss.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import distance_box_iou_loss
    >>> distance_box_iou_loss(torch.tensor([0.0, 0, 1, 1]), torch.tensor([1.0, 0, 2, 1]))
    tensor(1.2000)
    """
    return _reduced(_distance(_wide(boxes1), _wide(boxes2), eps)[0], reduction)


def complete_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """``distance_box_iou_loss`` and a term for different proportions (arXiv:1911.08287).

    Args:
        boxes1: (..., 4), each x1, y1, x2, y2.
        boxes2: of the same shape.
        reduction: ``"none"``, ``"mean"`` or ``"sum"``.
        eps: keeps the divisions from zero.

    Raises:
        ValueError: another ``reduction``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.complete_box_iou_loss.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import complete_box_iou_loss
    >>> complete_box_iou_loss(torch.tensor([0.0, 0, 1, 1]), torch.tensor([1.0, 0, 2, 1]))
    tensor(1.2000)
    """
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    loss, overlap = _distance(boxes1, boxes2, 1e-7)
    angles = []
    for boxes in (boxes1, boxes2):
        sides = boxes[..., 2:] - boxes[..., :2]
        angles.append(torch.atan(sides[..., 0] / sides[..., 1]))
    unlike = 4 / math.pi**2 * (angles[1] - angles[0]) ** 2
    with torch.no_grad():
        weight = unlike / (1 - overlap + unlike + eps)
    return _reduced(loss + weight * unlike, reduction)
