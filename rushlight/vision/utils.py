"""Pictures of pictures: grids, files, boxes and masks drawn upon them."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import rushlight as torch
from rushlight._tensor import Tensor
from rushlight.engine.core import dtype as dtypes
from rushlight.vision.transforms import functional

__all__ = [
    "draw_bounding_boxes",
    "draw_keypoints",
    "draw_segmentation_masks",
    "make_grid",
    "save_image",
]

Color = str | tuple[int, int, int]
Colors = Color | list[Color] | None


@torch.no_grad()
def make_grid(
    tensor: Tensor | list[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Pictures side by side, as one picture.

    Args:
        tensor: (N, C, H, W), a list of (C, H, W), or one picture; one channel becomes three.
        nrow: pictures in a row.
        padding: points between the pictures.
        normalize: whether values are scaled to [0, 1].
        value_range: what becomes 0 and 1; the least and the greatest value by default.
        scale_each: whether each picture is scaled by its own values.
        pad_value: value of the points between.

    Returns:
        (3, height, width), or C channels where there are more than one.

    Raises:
        TypeError: no tensors, or a ``value_range`` that is no pair.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.utils.make_grid.html

    >>> import rushlight as torch
    >>> from rushlight.vision.utils import make_grid
    >>> make_grid(torch.zeros(5, 3, 8, 8), nrow=3).shape
    torch.Size([3, 22, 32])
    """
    images = _batch(tensor)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError(
                "value_range has to be a tuple (min, max) if specified. min and max are numbers"
            )
        images = images.clone()
        for part in images if scale_each else [images]:
            _scale(part, value_range)
    if images.size(0) == 1:
        return images.squeeze(0)
    count = images.size(0)
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = images.size(2) + padding, images.size(3) + padding
    grid = images.new_full(
        (images.size(1), height * rows + padding, width * columns + padding), pad_value
    )
    for number in range(count):
        top = number // columns * height + padding
        left = number % columns * width + padding
        place = grid.narrow(1, top, height - padding).narrow(2, left, width - padding)
        place.copy_(images[number])
    return grid


def _batch(tensor: Any) -> Tensor:
    """What the caller has given, as (N, C, H, W) with three channels instead of one."""
    if isinstance(tensor, list):
        for one in tensor:
            if not isinstance(one, Tensor):
                raise TypeError(
                    f"tensor or list of tensors expected, got a list containing {type(one)}"
                )
        tensor = torch.stack(tensor, dim=0)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 4 and tensor.size(1) == 1:
        tensor = torch.cat((tensor, tensor, tensor), 1)
    return tensor


def _scale(image: Tensor, value_range: tuple[float, float] | None) -> None:
    """Bring values to [0, 1], in place."""
    low, high = value_range or (float(image.min()), float(image.max()))
    image.clamp_(min=low, max=high)
    image.sub_(low).div_(max(high - low, 1e-5))


@torch.no_grad()
def save_image(
    tensor: Tensor | list[Tensor],
    fp: str | Path | BinaryIO,
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Write pictures as one file.

    Args:
        tensor: as for ``make_grid``, values from 0 to 1.
        fp: the file, or its name.
        format: the file's kind, where its name does not say it.
        **kwargs: for ``make_grid``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.utils.save_image.html

    >>> import io
    >>> import rushlight as torch
    >>> from rushlight.vision.utils import save_image
    >>> file = io.BytesIO()
    >>> save_image(torch.rand(4, 3, 8, 8), file, format="png")
    >>> file.getvalue()[1:4]
    b'PNG'
    """
    from PIL import Image

    grid = make_grid(tensor, **kwargs)
    points = grid.mul(255).add_(0.5).clamp_(0, 255).permute(1, 2, 0).to("cpu", torch.uint8)
    Image.fromarray(points.numpy()).save(fp, format=format)


def _require_image(image: Any, channels: Sequence[int], wrong: str, what: str) -> None:
    """Raise unless ``image`` is one picture of bytes or floats with so many channels."""
    if not isinstance(image, Tensor):
        raise TypeError(f"{what}, got {type(image)}")
    if not (image.dtype == torch.uint8 or image.is_floating_point()):
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    if image.size(0) not in channels:
        raise ValueError(wrong)


_NOT_RGB = "Pass an RGB image. Other Image formats are not supported"


def _drawn(image: Tensor, draw: Callable[[Any], None]) -> Tensor:
    """What Pillow makes of a picture, in the picture's own dtype."""
    floating = image.is_floating_point()
    shown = functional.convert_image_dtype(image, torch.uint8) if floating else image
    picture = functional.to_pil_image(shown)
    draw(picture)
    out = functional.pil_to_tensor(picture)
    return functional.convert_image_dtype(out, image.dtype) if floating else out


def _palette(count: int) -> list[tuple[int, ...]]:
    """As many colours that differ."""
    steps = (2**25 - 1, 2**15 - 1, 2**21 - 1)
    return [tuple(number * step % 255 for step in steps) for number in range(count)]


def _colors(colors: Any, count: int) -> list[tuple[int, ...]]:
    """One colour in red, green and blue for each object."""
    from PIL import ImageColor

    if colors is None:
        return _palette(count)
    if isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                "Number of colors must be equal or larger than the number of objects, "
                f"but got {len(colors)} < {count}."
            )
    elif not isinstance(colors, tuple | str):
        raise ValueError(
            f"colors must be a tuple or a string, or a list thereof, but got {colors}."
        )
    elif isinstance(colors, tuple) and len(colors) != 3:
        raise ValueError(f"If passed as tuple, colors should be an RGB triplet, but got {colors}.")
    else:
        colors = [colors] * count
    return [ImageColor.getrgb(color) if isinstance(color, str) else color for color in colors]


@torch.no_grad()
def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: list[str] | None = None,
    colors: Colors = None,
    fill: bool | None = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
    label_colors: Colors = None,
    label_background_colors: Colors = None,
    fill_labels: bool = False,
) -> Tensor:
    """A picture with boxes upon it.

    Args:
        image: (C, H, W), bytes or floats, one or three channels.
        boxes: (N, 4), each xmin, ymin, xmax, ymax; half transparent inside with ``fill``.
        labels: a text for each box, in a TrueType ``font`` of ``font_size``.
        colors: one for all boxes, or a list; names or triplets. ``label_colors`` are the texts',
            ``label_background_colors`` those behind them with ``fill_labels``.
        width: of the lines.

    Returns:
        (3, H, W), of the picture's dtype.

    Raises:
        TypeError: ``image`` is no tensor.
        ValueError: dtypes, shapes or counts that do not fit.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.utils.draw_bounding_boxes.html

    >>> import rushlight as torch
    >>> from rushlight.vision.utils import draw_bounding_boxes
    >>> image = torch.zeros(3, 8, 8, dtype=torch.uint8)
    >>> draw_bounding_boxes(image, torch.tensor([[1, 1, 3, 3]]), colors="red")[0, 1]
    tensor([  0, 255, 255, 255,   0,   0,   0,   0], dtype=torch.uint8)
    """
    _require_image(image, (1, 3), "Only grayscale and RGB images are supported", "Tensor expected")
    _check_boxes(boxes, labels)
    count = boxes.shape[0]
    if count == 0:
        warnings.warn("boxes doesn't contain any box. No box was drawn", stacklevel=3)
        return image
    outlines = texts = behind = _colors(colors, count)
    if label_colors or fill_labels:
        texts = _colors(label_colors or "black", count)
    if fill_labels and label_background_colors:
        behind = _colors(label_background_colors, count)
    labelled = _Labels(labels, texts, behind if fill_labels else None, _font(font, font_size))
    if image.size(0) == 1:
        image = torch.tile(image, (3, 1, 1))
    corners = boxes.to(torch.int64).tolist()
    return _drawn(image, lambda picture: _boxes(picture, corners, outlines, fill, width, labelled))


def _check_boxes(boxes: Tensor, labels: list[str] | None) -> None:
    upside_down = (boxes[:, 0] > boxes[:, 2]).any() or (boxes[:, 1] > boxes[:, 3]).any()
    if boxes.shape[0] and upside_down:
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. "
            "Use torchvision.ops.box_convert to convert them"
        )
    if boxes.shape[0] and labels is not None and len(labels) != boxes.shape[0]:
        raise ValueError(
            f"Number of boxes ({boxes.shape[0]}) and labels ({len(labels)}) mismatch. "
            "Please specify labels for each box."
        )


class _Labels(NamedTuple):
    """The texts beside the boxes, their colours, and the colours behind them."""

    texts: list[str] | None
    colors: list[tuple[int, ...]]
    behind: list[tuple[int, ...]] | None
    font: Any


def _boxes(
    picture: Any,
    corners: list[list[int]],
    outlines: list[tuple[int, ...]],
    fill: bool | None,
    width: int,
    labels: _Labels,
) -> None:
    """Draw boxes and their texts."""
    from PIL import ImageDraw

    pen = ImageDraw.Draw(picture, "RGBA") if fill else ImageDraw.Draw(picture)
    for number, box in enumerate(corners):
        inside = (*outlines[number], 100) if fill else None
        pen.rectangle(box, width=width, outline=outlines[number], fill=inside)
        text = labels.texts[number] if labels.texts is not None else None
        if text is None:
            continue
        place = (box[0] + width + 1, box[1] + width + 1)
        if labels.behind is not None:
            left, top, right, bottom = pen.textbbox(place, text, font=labels.font)
            edges = (left - 1, top - 1, right + 1, bottom + 1)
            pen.rectangle(edges, fill=labels.behind[number])
        pen.text(place, text, fill=labels.colors[number], font=labels.font)


def _font(font: str | None, size: int | None) -> Any:
    from PIL import ImageFont

    if font is not None:
        return ImageFont.truetype(font=font, size=size or 10)
    if size is not None:
        warnings.warn("Argument 'font_size' will be ignored since 'font' is not set.", stacklevel=4)
    return ImageFont.load_default()


@torch.no_grad()
def draw_segmentation_masks(
    image: Tensor, masks: Tensor, alpha: float = 0.8, colors: Colors = None
) -> Tensor:
    """A picture with masks upon it; where masks overlap it grows dark.

    Args:
        image: (3, H, W), bytes or floats.
        masks: (N, H, W) or (H, W), bool.
        alpha: 1 hides the picture behind the masks, 0 the masks.
        colors: one for all masks, or a list; names or triplets.

    Returns:
        (3, H, W), of the picture's dtype.

    Raises:
        TypeError: ``image`` is no tensor.
        ValueError: dtypes or shapes that do not fit.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.utils.draw_segmentation_masks.html

    >>> import rushlight as torch
    >>> from rushlight.vision.utils import draw_segmentation_masks
    >>> image = torch.zeros(3, 2, 2, dtype=torch.uint8)
    >>> draw_segmentation_masks(image, torch.eye(2).bool(), colors="blue")[2]
    tensor([[204,   0],
            [  0, 204]], dtype=torch.uint8)
    """
    _require_image(image, (3,), _NOT_RGB, "The image must be a tensor")
    masks = masks[None] if masks.ndim == 2 else masks
    if masks.ndim != 3:
        raise ValueError("masks must be of shape (H, W) or (batch_size, H, W)")
    if masks.dtype != dtypes.bool_:
        raise ValueError(f"The masks must be of dtype bool. Got {masks.dtype}")
    if masks.shape[-2:] != image.shape[-2:]:
        raise ValueError("The image and the masks must have the same height and width")
    count = masks.size(0)
    if count == 0:
        warnings.warn("masks doesn't contain any mask. No mask was drawn", stacklevel=3)
        return image
    painted = image.detach().clone()
    unit = 255 if image.is_floating_point() else 1
    for mask, color in zip(masks, _colors(colors, count), strict=False):
        values = torch.tensor([value / unit for value in color]).to(image.dtype)
        painted = torch.where(mask, values[:, None, None], painted)
    painted[:, masks.sum(dim=0) > 1] = 0
    return (image * (1 - alpha) + painted * alpha).to(image.dtype)


@torch.no_grad()
def draw_keypoints(
    image: Tensor,
    keypoints: Tensor,
    connectivity: Iterable[tuple[int, int]] | None = None,
    colors: Color | None = None,
    radius: int = 2,
    width: int = 3,
    visibility: Tensor | None = None,
) -> Tensor:
    """A picture with points upon it, and lines between them.

    Args:
        image: (3, H, W), bytes or floats.
        keypoints: (N, K, 2), each x and y.
        connectivity: pairs of points with a line between.
        colors: of the points.
        radius: of the points.
        width: of the lines.
        visibility: (N, K), which points are shown.

    Returns:
        (3, H, W), of the picture's dtype.

    Raises:
        TypeError: ``image`` is no tensor.
        ValueError: dtypes or shapes that do not fit.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.utils.draw_keypoints.html

    >>> import rushlight as torch
    >>> from rushlight.vision.utils import draw_keypoints
    >>> image = torch.zeros(3, 9, 9, dtype=torch.uint8)
    >>> draw_keypoints(image, torch.tensor([[[4, 4]]]), colors="red", radius=1)[0].sum()
    tensor(1275)
    """
    _require_image(image, (3,), _NOT_RGB, "The image must be a tensor")
    if keypoints.ndim != 3:
        raise ValueError("keypoints must be of shape (num_instances, K, 2)")
    shown = _visible(keypoints, visibility)
    places, visible = keypoints.to(torch.int64).tolist(), shown.bool().tolist()
    lines = list(connectivity or [])

    def draw(picture: Any) -> None:
        from PIL import ImageDraw

        pen = ImageDraw.Draw(picture)
        for points, seen in zip(places, visible, strict=True):
            for (x, y), one in zip(points, seen, strict=True):
                if one:
                    edges = [x - radius, y - radius, x + radius, y + radius]
                    pen.ellipse(edges, fill=colors, outline=None, width=0)
            for start, end in lines:
                if seen[start] and seen[end]:
                    pen.line((*points[start], *points[end]), width=width)

    return _drawn(image, draw)


def _visible(keypoints: Tensor, visibility: Tensor | None) -> Tensor:
    """Which points are shown, (N, K)."""
    if visibility is None:
        return torch.ones(keypoints.shape[:-1]) > 0
    shown = visibility.squeeze(-1) if visibility.ndim == 3 else visibility
    if shown.ndim != 2:
        raise ValueError(f"visibility must be of shape (num_instances, K). Got ndim={shown.ndim}")
    if shown.shape != keypoints.shape[:-1]:
        raise ValueError(
            "keypoints and visibility must have the same dimensionality for num_instances and K. "
            f"Got visibility.shape={shown.shape!r} and keypoints.shape={keypoints.shape!r}"
        )
    return shown
