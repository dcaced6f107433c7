"""Grids, files and drawings are torchvision's, point for point."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rushlight
from rushlight.vision import utils


@pytest.fixture
def theirs(torchvision: Any) -> Any:
    """``torchvision.utils``."""
    return torchvision.utils


def both(theirs: Any, name: str, *arrays: np.ndarray, **options: Any) -> None:
    """The same call on both sides gives the same points."""
    import torch

    ours = getattr(utils, name)(*map(rushlight.from_numpy, arrays), **options)
    expected = getattr(theirs, name)(*map(torch.from_numpy, arrays), **options)
    assert str(ours.dtype) == str(expected.dtype)
    np.testing.assert_allclose(ours.numpy(), expected.numpy(), atol=1e-6)


def pictures(*shape: int) -> np.ndarray:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(
    "shape", [(5, 3, 4, 6), (3, 1, 4, 4), (4, 5), (1, 4, 5), (1, 3, 4, 5), (9, 2, 3, 3)]
)
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"nrow": 2, "padding": 1, "pad_value": 0.5},
        {"normalize": True},
        {"normalize": True, "scale_each": True},
        {"normalize": True, "value_range": (-1, 1)},
    ],
)  # fmt: skip
def test_grids(theirs: Any, shape: tuple[int, ...], options: dict[str, Any]) -> None:
    array = pictures(*shape)
    before = array.copy()
    both(theirs, "make_grid", array, **options)
    np.testing.assert_array_equal(array, before)


def test_grids_without_torchvision() -> None:
    images = [rushlight.full((1, 2, 2), float(i)) for i in range(3)]
    grid = utils.make_grid(images, nrow=2, padding=1, pad_value=9)
    assert grid.shape == (3, 7, 7)
    assert grid[0].tolist() == [
        [9, 9, 9, 9, 9, 9, 9],
        [9, 0, 0, 9, 1, 1, 9],
        [9, 0, 0, 9, 1, 1, 9],
        [9, 9, 9, 9, 9, 9, 9],
        [9, 2, 2, 9, 9, 9, 9],
        [9, 2, 2, 9, 9, 9, 9],
        [9, 9, 9, 9, 9, 9, 9],
    ]
    with pytest.raises(TypeError, match="tensor or list of tensors expected, got <class 'int'>"):
        utils.make_grid(3)
    with pytest.raises(TypeError, match="got a list containing <class 'int'>"):
        utils.make_grid([3])
    with pytest.raises(TypeError, match="value_range has to be a tuple"):
        utils.make_grid(images, normalize=True, value_range=[0, 1])


def test_saved_pictures(tmp_path: Path) -> None:
    file, memory = tmp_path / "grid.png", io.BytesIO()
    images = rushlight.rand(2, 3, 5, 5)
    utils.save_image(images, file, padding=0)
    utils.save_image(list(images), memory, format="bmp", padding=0)
    expected = np.hstack([image.permute(1, 2, 0).numpy() for image in images]) * 255 + 0.5
    for written in (file, memory):
        np.testing.assert_array_equal(np.array(Image.open(written)), expected.astype(np.uint8))


BOXES = np.array([[2, 3, 20, 25], [10, 10, 38, 30], [0, 0, 5, 5]], np.int64)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"colors": "red", "width": 3, "fill": True},
        {"labels": ["a", "bc", "d"], "colors": ["blue", (1, 2, 3), "#aabbcc"]},
        {"labels": ["a", "bc", "d"], "fill_labels": True, "label_background_colors": "yellow"},
        {"labels": ["a", "bc", "d"], "label_colors": "white"},
    ],
)
def test_boxes(theirs: Any, options: dict[str, Any], dtype: Any) -> None:
    image = np.random.default_rng(1).integers(255, size=(3, 40, 44)).astype(dtype)
    image = image / np.float32(255) if dtype is np.float32 else image
    both(theirs, "draw_bounding_boxes", image, BOXES, **options)
    both(theirs, "draw_bounding_boxes", image[:1].copy(), BOXES, **options)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_masks_and_points(theirs: Any, dtype: Any) -> None:
    generator = np.random.default_rng(2)
    image = generator.integers(255, size=(3, 20, 22)).astype(dtype)
    image = image / np.float32(255) if dtype is np.float32 else image
    masks = generator.random((3, 20, 22)) > 0.7
    both(theirs, "draw_segmentation_masks", image, masks)
    both(theirs, "draw_segmentation_masks", image, masks[0], alpha=0.3, colors="green")
    points = generator.integers(20, size=(2, 4, 2))
    both(theirs, "draw_keypoints", image, points, colors="blue", connectivity=[(0, 1), (2, 3)])
    seen = generator.random((2, 4)) > 0.5
    import torch

    ours = utils.draw_keypoints(
        rushlight.from_numpy(image), rushlight.from_numpy(points),
        visibility=rushlight.from_numpy(seen), colors="red", connectivity=[(0, 1), (2, 3)],
    )  # fmt: skip
    expected = theirs.draw_keypoints(
        torch.from_numpy(image), torch.from_numpy(points), visibility=torch.from_numpy(seen),
        colors="red", connectivity=[(0, 1), (2, 3)],
    )  # fmt: skip
    np.testing.assert_allclose(ours.numpy(), expected.numpy(), atol=1e-6)


def test_what_cannot_be_drawn() -> None:
    image, boxes = rushlight.zeros(3, 8, 8), rushlight.tensor([[1, 1, 3, 3]])
    with pytest.raises(TypeError, match="Tensor expected, got <class 'int'>"):
        utils.draw_bounding_boxes(3, boxes)
    with pytest.raises(ValueError, match=r"dtype must be uint8 or float, got torch\.int64"):
        utils.draw_bounding_boxes(image.long(), boxes)
    with pytest.raises(ValueError, match="Pass individual images, not batches"):
        utils.draw_bounding_boxes(image[None], boxes)
    with pytest.raises(ValueError, match="Only grayscale and RGB"):
        utils.draw_bounding_boxes(image[:2], boxes)
    with pytest.raises(ValueError, match=r"in \(xmin, ymin, xmax, ymax\) format"):
        utils.draw_bounding_boxes(image, boxes.flip(1))
    with pytest.raises(ValueError, match=r"boxes \(1\) and labels \(2\) mismatch"):
        utils.draw_bounding_boxes(image, boxes, labels=["a", "b"])
    with pytest.raises(ValueError, match="equal or larger than the number of objects, but got 0"):
        utils.draw_bounding_boxes(image, boxes, colors=[])
    with pytest.raises(ValueError, match="must be of dtype bool"):
        utils.draw_segmentation_masks(image, image)
    with pytest.warns(UserWarning, match="No box was drawn"):
        assert utils.draw_bounding_boxes(image, rushlight.zeros(0, 4)) is image
    with pytest.warns(UserWarning, match="No mask was drawn"):
        utils.draw_segmentation_masks(image, rushlight.zeros(0, 8, 8) > 0)
