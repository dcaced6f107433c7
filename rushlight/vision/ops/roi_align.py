"""The part of a picture under a box, brought to one size (He et al. 2017, arXiv:1703.06870)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

import rushlight as torch
from rushlight import nn
from rushlight._tensor import Tensor


def _regions(boxes: Any) -> Tensor:
    """Boxes as (K, 5), the number of the picture in front."""
    if isinstance(boxes, Tensor):
        if boxes.size(1) != 5:
            raise AssertionError("The boxes tensor shape is not correct as Tensor[K, 5]")
        return boxes
    if not isinstance(boxes, list | tuple):
        raise AssertionError("boxes is expected to be a Tensor[L, 5] or a List[Tensor[K, 4]]")
    for one in boxes:
        if one.size(1) != 4:
            raise AssertionError(
                "The shape of the tensor in the boxes list is not correct as List[Tensor[L, 4]]"
            )
    numbers = torch.cat([torch.full_like(one[:, :1], i) for i, one in enumerate(boxes)])
    return torch.cat([numbers, torch.cat(list(boxes))], dim=1)


def _weights(start: float, size: float, bins: int, samples: int, length: int) -> np.ndarray:
    """How much each of ``length`` points counts in each bin: (bins, length)."""
    samples = samples if samples > 0 else int(np.ceil(size / bins))
    table = np.zeros((bins, length))
    if samples == 0:
        return table
    steps = (np.arange(bins * samples) + 0.5) / samples
    places = start + steps * (size / bins)
    inside = (places >= -1.0) & (places <= length)
    places = np.clip(places, 0, length - 1)
    low = np.minimum(places.astype(np.int64), length - 1)
    high = np.minimum(low + 1, length - 1)
    share = np.where(inside, places - low, 0.0)
    rows = np.repeat(np.arange(bins), samples)
    np.add.at(table, (rows, high), share)
    np.add.at(table, (rows, low), np.where(inside, 1.0 - share, 0.0))
    return table / samples


def roi_align(
    input: Tensor,
    boxes: Tensor | Sequence[Tensor],
    output_size: int | Sequence[int],
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """The means of points between the pixels under each box, in a grid of bins.

    Args:
        input: (N, C, H, W).
        boxes: (K, 5), the number of the picture and x1, y1, x2, y2; or a list of (L, 4), one for
            each picture.
        output_size: rows and columns of bins.
        spatial_scale: from the boxes' points to the input's.
        sampling_ratio: points in each direction of a bin; by the bin's size where not positive.
        aligned: whether pixels are taken for squares whose centre is half a point further.

    Returns:
        (K, C, rows, columns); gradients go to ``input`` alone.

    Raises:
        AssertionError: boxes of another shape.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.roi_align.html

    >>> import rushlight as torch
    >>> from rushlight.vision.ops import roi_align
    >>> image = torch.arange(16.0).reshape(1, 1, 4, 4)
    >>> roi_align(image, [torch.tensor([[0.0, 0, 2, 2]])], 2, aligned=True)
    tensor([[[[0., 1.],
              [4., 5.]]]])
    """
    regions = _regions(boxes).detach().numpy().astype(np.float64)
    rows, columns = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
    _, channels, height, width = input.shape
    offset = 0.5 if aligned else 0.0
    parts, order = [], []
    for picture in np.unique(regions[:, 0]).astype(int):
        members = np.flatnonzero(regions[:, 0] == picture)
        down, across = [], []
        for x1, y1, x2, y2 in regions[members, 1:] * spatial_scale - offset:
            sides = (y2 - y1, x2 - x1) if aligned else (max(y2 - y1, 1.0), max(x2 - x1, 1.0))
            down.append(_weights(y1, sides[0], rows, sampling_ratio, height))
            across.append(_weights(x1, sides[1], columns, sampling_ratio, width))
        left = torch.from_numpy(np.stack(down)).to(input)[:, None]  # (L, 1, rows, H)
        right = torch.from_numpy(np.stack(across)).to(input)[:, None]  # (L, 1, columns, W)
        parts.append(left @ (input[picture] @ right.transpose(-1, -2)))
        order.append(members)
    if not parts:
        return input.new_zeros((0, channels, rows, columns))
    back = np.argsort(np.concatenate(order), kind="stable")
    return torch.cat(parts)[torch.from_numpy(back)]


class RoIAlign(nn.Module):
    """``roi_align`` as a layer.

    Args:
        output_size: rows and columns of bins.
        spatial_scale: from the boxes' points to the input's.
        sampling_ratio: points in each direction of a bin.
        aligned: whether pixels are taken for squares.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.ops.RoIAlign.html

    >>> from rushlight.vision.ops import RoIAlign
    >>> RoIAlign(7, 0.25, 2)
    RoIAlign(output_size=7, spatial_scale=0.25, sampling_ratio=2, aligned=False)
    """

    def __init__(
        self,
        output_size: int | Sequence[int],
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input: Tensor, rois: Tensor | Sequence[Tensor]) -> Tensor:
        """(K, C, rows, columns)."""
        return roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )

    def __repr__(self) -> str:
        names = ("output_size", "spatial_scale", "sampling_ratio", "aligned")
        return f"RoIAlign({', '.join(f'{name}={getattr(self, name)}' for name in names)})"
