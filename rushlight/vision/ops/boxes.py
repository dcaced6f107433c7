"""Boxes: their areas and overlaps, other ways of writing them, which of them to keep."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

import rushlight as torch
from rushlight._tensor import Tensor
from rushlight.engine.core import dtype as dtypes

#: The ways of writing a box whose sides lie along the picture's.
_FORMATS = ("xyxy", "xywh", "cxcywh")


def upcast(t: Tensor) -> Tensor:
    """Numbers wide enough to be multiplied: at least float32 or int32."""
    if t.is_floating_point():
        return t if t.dtype in (torch.float32, torch.float64) else t.float()
    return t if t.dtype in (torch.int32, torch.int64) else t.int()


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Which boxes stay when each takes away the ones of lower score that overlap it too much.

    Args:
        boxes: (N, 4), each x1, y1, x2, y2.
        scores: (N).
        iou_threshold: overlaps greater than this are too much.

    Returns:
        int64, the numbers of the boxes that stay, best score first.

    Raises:
        RuntimeError: shapes or dtypes that do not fit.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.nms.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import nms
    >>> boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11], [20, 20, 30, 30]])
    >>> nms(boxes, torch.tensor([0.8, 0.9, 0.7]), 0.5)
    tensor([1, 2])
    """
    _check_nms(boxes, scores)
    x1, y1, x2, y2 = boxes.detach().numpy().T
    areas = (x2 - x1) * (y2 - y1)
    left = np.argsort(-scores.detach().numpy(), kind="stable")
    kept = []
    while len(left):
        best, left = left[0], left[1:]
        kept.append(best)
        width = np.minimum(x2[best], x2[left]) - np.maximum(x1[best], x1[left])
        height = np.minimum(y2[best], y2[left]) - np.maximum(y1[best], y1[left])
        shared = np.maximum(width, 0) * np.maximum(height, 0)
        with np.errstate(invalid="ignore"):  # two boxes without any area
            overlap = shared / (areas[best] + areas[left] - shared)
        left = left[~(overlap.astype(np.float64) > iou_threshold)]
    return torch.tensor(kept, dtype=torch.int64, device=boxes.device)


def _check_nms(boxes: Tensor, scores: Tensor) -> None:
    if boxes.dim() != 2:
        raise RuntimeError(f"boxes should be a 2d tensor, got {boxes.dim()}D")
    if boxes.size(1) != 4:
        raise RuntimeError(f"boxes should have 4 elements in dimension 1, got {boxes.size(1)}")
    if scores.dim() != 1:
        raise RuntimeError(f"scores should be a 1d tensor, got {scores.dim()}D")
    if boxes.size(0) != scores.size(0):
        raise RuntimeError(
            "boxes and scores should have same number of elements in dimension 0, "
            f"got {boxes.size(0)} and {scores.size(0)}"
        )
    if boxes.dtype != scores.dtype:
        raise RuntimeError("dets should have the same type as scores")


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """``nms`` for each class by itself.

    Args:
        boxes: (N, 4), each x1, y1, x2, y2.
        scores: (N).
        idxs: (N), the classes; boxes of different ones do not disturb each other.
        iou_threshold: overlaps greater than this are too much.

    Returns:
        int64, the numbers of the boxes that stay, best score first.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.batched_nms.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import batched_nms
    >>> boxes = torch.tensor([[0.0, 0, 10, 10], [1, 1, 11, 11]])
    >>> batched_nms(boxes, torch.tensor([0.8, 0.9]), torch.tensor([0, 1]), 0.5)
    tensor([1, 0])
    """
    if boxes.numel() == 0:
        return torch.empty((0,), dtype=torch.int64, device=boxes.device)
    if boxes.numel() <= 4000:  # a class moved away from the others overlaps none of them
        offsets = idxs.to(boxes) * (boxes.max() + 1)
        return nms(boxes + offsets[:, None], scores, iou_threshold)
    kept = torch.zeros_like(scores, dtype=dtypes.bool_)
    for one in torch.unique(idxs):
        members = torch.where(idxs == one)[0]
        kept[members[nms(boxes[members], scores[members], iou_threshold)]] = True
    numbers = torch.where(kept)[0]
    return numbers[scores[numbers].sort(descending=True)[1]]


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Which boxes have sides of at least ``min_size``.

    Args:
        boxes: (N, 4), each x1, y1, x2, y2.
        min_size: the least side.

    Returns:
        int64, the numbers of these boxes.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.remove_small_boxes.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import remove_small_boxes
    >>> remove_small_boxes(torch.tensor([[0, 0, 1, 9], [0, 0, 2, 2]]), 2)
    tensor([1])
    """
    widths, heights = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    return torch.where((widths >= min_size) & (heights >= min_size))[0]


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Boxes with every corner inside the picture.

    Args:
        boxes: (..., 4), each x1, y1, x2, y2.
        size: height and width of the picture.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.clip_boxes_to_image.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import clip_boxes_to_image
    >>> clip_boxes_to_image(torch.tensor([[-1, 2, 30, 40]]), (10, 20))
    tensor([[ 0,  2, 20, 10]])
    """
    height, width = size
    x = boxes[..., 0::2].clamp(min=0, max=width)
    y = boxes[..., 1::2].clamp(min=0, max=height)
    return torch.stack((x, y), dim=boxes.dim()).reshape(boxes.shape)


def _degrees(angle: Tensor) -> tuple[Tensor, Tensor]:
    """Cosine and sine."""
    radians = angle * math.pi / 180.0
    return torch.cos(radians), torch.sin(radians)


def _corners(x: Tensor, y: Tensor, w: Tensor, h: Tensor, r: Tensor) -> tuple[Tensor, ...]:
    cos, sin = _degrees(r)
    x2, y2 = x + w * cos, y - w * sin
    return x, y, x2, y2, x2 + h * sin, y2 + h * cos, x + h * sin, y + h * cos


def _from_corners(*values: Tensor) -> tuple[Tensor, ...]:
    x1, y1, x2, y2, x3, y3, _, _ = values
    angle = torch.atan2(y1 - y2, x2 - x1) * 180 / math.pi
    width = ((x2 - x1) ** 2 + (y1 - y2) ** 2).sqrt()
    height = ((x3 - x2) ** 2 + (y3 - y2) ** 2).sqrt()
    return x1, y1, width, height, angle


def _turned_from_centre(
    cx: Tensor, cy: Tensor, w: Tensor, h: Tensor, r: Tensor
) -> tuple[Tensor, ...]:
    cos, sin = _degrees(r)
    return cx - w / 2 * cos - h / 2 * sin, cy - h / 2 * cos + w / 2 * sin, w, h, r


def _turned_to_centre(x: Tensor, y: Tensor, w: Tensor, h: Tensor, r: Tensor) -> tuple[Tensor, ...]:
    cos, sin = _degrees(r)
    return x + w / 2 * cos + h / 2 * sin, y - w / 2 * sin + h / 2 * cos, w, h, r


Parts = Callable[..., tuple[Tensor, ...]]

#: To the format in the middle of each family and back: ``xyxy`` for the straight boxes, ``xywhr``
#: for the turned ones.
_TO_MIDDLE: dict[str, Parts] = {
    "xyxy": lambda *box: box,
    "xywh": lambda x, y, w, h: (x, y, x + w, y + h),
    "cxcywh": lambda x, y, w, h: (x - 0.5 * w, y - 0.5 * h, x + 0.5 * w, y + 0.5 * h),
    "xywhr": lambda *box: box,
    "cxcywhr": _turned_from_centre,
    "xyxyxyxy": _from_corners,
}
_FROM_MIDDLE: dict[str, Parts] = {
    "xyxy": lambda *box: box,
    "xywh": lambda x1, y1, x2, y2: (x1, y1, x2 - x1, y2 - y1),
    "cxcywh": lambda x1, y1, x2, y2: ((x1 + x2) / 2, (y1 + y2) / 2, x2 - x1, y2 - y1),
    "xywhr": lambda *box: box,
    "cxcywhr": _turned_to_centre,
    "xyxyxyxy": _corners,
}


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """The same boxes, written in another way.

    Args:
        boxes: (..., K), K numbers for each box.
        in_fmt: how they are written: ``"xyxy"`` two corners, ``"xywh"`` a corner and the sizes,
            ``"cxcywh"`` the centre and the sizes; with ``r`` turned by so many degrees:
            ``"xywhr"``, ``"cxcywhr"``, or ``"xyxyxyxy"`` by all corners.
        out_fmt: how they shall be written.

    Raises:
        ValueError: another format.
        NotImplementedError: from straight boxes to turned ones, or back.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.box_convert.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import box_convert
    >>> box_convert(torch.tensor([[1.0, 2, 5, 6]]), "xyxy", "cxcywh")
    tensor([[3., 4., 4., 4.]])
    """
    if in_fmt not in _TO_MIDDLE or out_fmt not in _TO_MIDDLE:
        raise ValueError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    if in_fmt == out_fmt:
        return boxes.clone()
    if (in_fmt in _FORMATS) != (out_fmt in _FORMATS):
        raise NotImplementedError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    for step in (_TO_MIDDLE[in_fmt], _FROM_MIDDLE[out_fmt]):
        dtype = boxes.dtype
        boxes = torch.stack(step(*boxes.unbind(-1)), dim=-1)
        if in_fmt not in _FORMATS and not dtype.is_floating_point:
            boxes = boxes.round().to(dtype)  # turned boxes of whole numbers stay so
    return boxes


def box_area(boxes: Tensor, fmt: str = "xyxy") -> Tensor:
    """The area of each box.

    Args:
        boxes: (..., 4).
        fmt: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``.

    Raises:
        ValueError: another format.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.box_area.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import box_area
    >>> box_area(torch.tensor([[0.0, 0, 2, 3]]))
    tensor([6.])
    """
    if fmt not in _FORMATS:
        raise ValueError(f"Unsupported Bounding Box area for given format {fmt}")
    boxes = upcast(boxes)
    if fmt == "xyxy":
        return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])
    return boxes[..., 2] * boxes[..., 3]


def _pairs(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, ...]:
    """Upper left and lower right corners, the first boxes' against the second's."""
    one, other = boxes1[..., None, :], boxes2[..., None, :, :]
    return one[..., :2], one[..., 2:], other[..., :2], other[..., 2:]


def _shared_and_all(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """The areas of what two boxes share and of what they cover together, for all pairs."""
    low1, high1, low2, high2 = _pairs(boxes1, boxes2)
    sides = upcast(torch.min(high1, high2) - torch.max(low1, low2)).clamp(min=0)
    shared = sides[..., 0] * sides[..., 1]
    return shared, box_area(boxes1)[..., None] + box_area(boxes2)[..., None, :] - shared


def _hull(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """The sides of the least box around two, for all pairs."""
    low1, high1, low2, high2 = _pairs(boxes1, boxes2)
    return upcast(torch.max(high1, high2) - torch.min(low1, low2)).clamp(min=0)


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """What two boxes share, by what they cover together (the Jaccard index).

    Args:
        boxes1: (..., N, 4).
        boxes2: (..., M, 4).
        fmt: ``"xyxy"``, ``"xywh"`` or ``"cxcywh"``.

    Returns:
        (..., N, M).

    Raises:
        ValueError: another format; turned boxes have no overlap here.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.box_iou.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import box_iou
    >>> box_iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[1.0, 1, 3, 3], [4, 4, 5, 5]]))
    tensor([[0.1429, 0.0000]])
    """
    if fmt not in _FORMATS:
        raise ValueError(f"Unsupported format '{fmt}'. Supported axis-aligned formats: {_FORMATS}.")
    shared, together = _shared_and_all(
        box_convert(boxes1, fmt, "xyxy"), box_convert(boxes2, fmt, "xyxy")
    )
    return shared / together


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """``box_iou`` less the empty share of the least box around both (arXiv:1902.09630).

    Args:
        boxes1: (N, 4), each x1, y1, x2, y2.
        boxes2: (M, 4).

    Returns:
        (N, M), from -1 to 1.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.generalized_box_iou.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import generalized_box_iou
    >>> generalized_box_iou(torch.tensor([[0.0, 0, 1, 1]]), torch.tensor([[1.0, 0, 3, 1]]))
    tensor([[0.]])
    """
    shared, together = _shared_and_all(boxes1, boxes2)
    sides = _hull(boxes1, boxes2)
    around = sides[..., 0] * sides[..., 1]
    return shared / together - (around - together) / around


def _distance_and_overlap(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    boxes1, boxes2 = upcast(boxes1), upcast(boxes2)
    overlap = box_iou(boxes1, boxes2)
    sides = _hull(boxes1, boxes2)
    diagonal = sides[..., 0] ** 2 + sides[..., 1] ** 2 + eps
    centres = [(boxes[..., :2] + boxes[..., 2:]) / 2 for boxes in (boxes1, boxes2)]
    apart = upcast(centres[0][..., None, :] - centres[1][..., None, :, :]) ** 2
    return overlap - (apart[..., 0] + apart[..., 1]) / diagonal, overlap


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """``box_iou`` less the squared distance of the centres (arXiv:1911.08287).

    Args:
        boxes1: (N, 4), each x1, y1, x2, y2.
        boxes2: (M, 4).
        eps: keeps the division from zero.

    Returns:
        (N, M).

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.distance_box_iou.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import distance_box_iou
    >>> distance_box_iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[0.0, 0, 2, 2]]))
    tensor([[1.]])
    """
    return _distance_and_overlap(boxes1, boxes2, eps)[0]


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """``distance_box_iou`` less a term for different proportions (arXiv:1911.08287).

    Args:
        boxes1: (N, 4), each x1, y1, x2, y2.
        boxes2: (M, 4).
        eps: keeps the division from zero.

    Returns:
        (N, M).

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.complete_box_iou.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import complete_box_iou
    >>> complete_box_iou(torch.tensor([[0.0, 0, 2, 2]]), torch.tensor([[0.0, 0, 2, 2]]))
    tensor([[1.]])
    """
    distance, overlap = _distance_and_overlap(boxes1, boxes2, eps)
    angles: list[Any] = []
    for boxes in (upcast(boxes1), upcast(boxes2)):
        sides = boxes[..., 2:] - boxes[..., :2]
        angles.append(torch.atan(sides[..., 0] / sides[..., 1]))
    unlike = 4 / math.pi**2 * (angles[0][..., None] - angles[1][..., None, :]) ** 2
    with torch.no_grad():
        weight = unlike / (1 - overlap + unlike + eps)
    return distance - weight * unlike


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The least box around each mask.

    Args:
        masks: (N, H, W).

    Returns:
        float32 (N, 4), each x1, y1, x2, y2; zeros for an empty mask.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.masks_to_boxes.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import masks_to_boxes
    >>> masks_to_boxes(torch.eye(4)[None, 1:])
    tensor([[1., 0., 3., 2.]])
    """
    if masks.numel() == 0:
        return torch.zeros((0, 4), device=masks.device, dtype=torch.float32)
    inside = masks.bool()
    edges = []
    for lines in (inside.any(dim=1), inside.any(dim=2)):  # columns give x, rows give y
        first = lines.float().argmax(dim=1)
        last = lines.shape[1] - 1 - lines.float().flip([1]).argmax(dim=1)
        edges.append((first, last))
    (x1, x2), (y1, y2) = edges
    boxes = torch.stack([x1, y1, x2, y2], dim=1).float()
    return torch.where(inside.flatten(1).any(dim=1)[:, None], boxes, 0.0)
