"""Calls of torchvision's operations and drawings whose results are recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Call = Callable[[Any, Any], Any]


def some_boxes(count: int, seed: int = 0, dtype: str = "float32") -> np.ndarray:
    """Boxes in a picture of 100 by 100."""
    generator = np.random.default_rng(seed)
    corners = generator.uniform(0, 80, (count, 2))
    return np.hstack([corners, corners + generator.uniform(1, 40, (count, 2))]).astype(dtype)


ONE, OTHER = some_boxes(4, 1), some_boxes(3, 2)
TURNED = np.hstack([ONE, np.linspace(-80, 80, 4, dtype=np.float32)[:, None]])
LOGITS = np.random.default_rng(10).normal(size=(2, 5)).astype(np.float32)
PICTURE = np.random.default_rng(1).integers(255, size=(3, 12, 14)).astype(np.uint8)
SMALL_BOXES = np.array([[1, 2, 8, 9], [4, 4, 13, 10]])


def _overlap(name: str) -> Call:
    return lambda torch, vision: getattr(vision.ops, name)(
        torch.from_numpy(ONE), torch.from_numpy(OTHER)
    )


def _loss(name: str) -> Call:
    return lambda torch, vision: getattr(vision.ops, name)(
        torch.from_numpy(ONE[:3]), torch.from_numpy(OTHER), reduction="sum"
    )


def _convert(boxes: np.ndarray, source: str, goal: str) -> Call:
    return lambda torch, vision: vision.ops.box_convert(torch.from_numpy(boxes), source, goal)


def _focal(torch: Any, vision: Any) -> Any:
    targets = torch.from_numpy((LOGITS > 0.3).astype(np.float32))
    return vision.ops.sigmoid_focal_loss(torch.from_numpy(LOGITS), targets)


def _masks(torch: Any, vision: Any) -> Any:
    return vision.ops.masks_to_boxes(torch.from_numpy(PICTURE > 240))


def _depth(torch: Any, vision: Any) -> Any:
    torch.manual_seed(0)
    return vision.ops.stochastic_depth(torch.ones(8, 1), 0.4, "row")


def _grid(torch: Any, vision: Any) -> Any:
    pictures = torch.from_numpy(LOGITS.reshape(5, 1, 1, 2))
    return vision.utils.make_grid(pictures, nrow=3, padding=1, normalize=True, pad_value=0.5)[0]


def _boxed(torch: Any, vision: Any) -> Any:
    boxes = torch.from_numpy(SMALL_BOXES)
    return vision.utils.draw_bounding_boxes(torch.from_numpy(PICTURE), boxes, fill=True)


def _masked(torch: Any, vision: Any) -> Any:
    masks = torch.from_numpy(PICTURE[:2] > 128)
    return vision.utils.draw_segmentation_masks(torch.from_numpy(PICTURE), masks, alpha=0.5)


#: Each takes ``torch`` and ``torchvision``, or what stands for them.
CALLS: dict[str, Call] = {
    **{
        name: _overlap(name)
        for name in ("box_iou", "generalized_box_iou", "distance_box_iou", "complete_box_iou")
    },
    **{
        name: _loss(name)
        for name in (
            "generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss",
        )
    },
    "xyxy to xywh": _convert(ONE, "xyxy", "xywh"),
    "xywh to cxcywh": _convert(ONE, "xywh", "cxcywh"),
    "cxcywh to xyxy": _convert(ONE, "cxcywh", "xyxy"),
    "cxcywhr to xyxyxyxy": _convert(TURNED, "cxcywhr", "xyxyxyxy"),
    "xywhr to cxcywhr": _convert(TURNED, "xywhr", "cxcywhr"),
    "sigmoid_focal_loss": _focal,
    "masks_to_boxes": _masks,
    "stochastic_depth": _depth,
    "make_grid": _grid,
    "draw_bounding_boxes": _boxed,
    "draw_segmentation_masks": _masked,
}  # fmt: skip


def result(torch: Any, vision: Any, name: str) -> dict[str, Any]:
    """What a call gives: dtype, shape, values."""
    given = CALLS[name](torch, vision)
    values = [float(f"{value:.7g}") for value in given.flatten().tolist()]
    return {"dtype": str(given.dtype), "shape": list(given.shape), "values": values}
