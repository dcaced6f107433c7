"""Boxes, losses and layers: torchvision's numbers, and the formulas where it has no kernel."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight
from rushlight import nn, vision
from rushlight.vision import ops
from tests.vision.calls import CALLS, result, some_boxes

RECORDED = json.loads(Path(__file__).with_name("recorded_calls.json").read_text("utf-8"))


@pytest.fixture
def theirs(torchvision: Any) -> Any:
    """``torchvision.ops``."""
    return torchvision.ops


def equal(name: str, module: Any, *arguments: Any, **options: Any) -> None:
    """The same call here and on torchvision; arrays become tensors."""
    import torch

    def call(owner: Any, from_numpy: Any) -> Any:
        given = [from_numpy(a) if isinstance(a, np.ndarray) else a for a in arguments]
        return getattr(owner, name)(*given, **options)

    ours, expected = call(ops, rushlight.from_numpy), call(module, torch.from_numpy)
    assert str(ours.dtype) == str(expected.dtype)
    assert tuple(ours.shape) == tuple(expected.shape)
    np.testing.assert_allclose(ours.numpy(), expected.numpy(), rtol=2e-5, atol=2e-5)


@pytest.mark.parametrize("name", CALLS)
def test_recorded_results(name: str) -> None:
    ours, expected = result(rushlight, vision, name), RECORDED[name]
    assert (ours["dtype"], ours["shape"]) == (expected["dtype"], expected["shape"])
    np.testing.assert_allclose(ours["values"], expected["values"], rtol=2e-5, atol=2e-5)


FORMATS = [("xyxy", "xywh", "cxcywh"), ("xywhr", "cxcywhr", "xyxyxyxy")]


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_boxes(theirs: Any, dtype: str) -> None:
    one, other = some_boxes(7, 1, dtype), some_boxes(5, 2, dtype)
    for name in ("box_iou", "generalized_box_iou"):
        equal(name, theirs, one, other)
    equal("box_area", theirs, one)
    equal("box_area", theirs, one, fmt="cxcywh")
    equal("clip_boxes_to_image", theirs, one, (50, 60))
    equal("remove_small_boxes", theirs, one, 20)
    for pair in itertools.product(FORMATS[0], repeat=2):
        equal("box_convert", theirs, one, *pair)
    if dtype != "int64":
        equal("distance_box_iou", theirs, one, other)
        equal("complete_box_iou", theirs, one, other)
        equal("box_iou", theirs, np.stack([one, one]), np.stack([other, other]))


@pytest.mark.parametrize("dtype", ["float32", "int64"])
def test_turned_boxes(theirs: Any, dtype: str) -> None:
    boxes = np.hstack([some_boxes(6), np.linspace(-80, 80, 6)[:, None]]).astype(dtype)
    for into in FORMATS[1]:
        equal("box_convert", theirs, boxes, "cxcywhr", into)
        equal("box_convert", theirs, boxes, "xywhr", into)
    corners = ops.box_convert(rushlight.from_numpy(boxes), "xywhr", "xyxyxyxy").numpy()
    for into in FORMATS[1]:
        equal("box_convert", theirs, corners, "xyxyxyxy", into)


def test_wrong_formats() -> None:
    boxes = rushlight.zeros(1, 4)
    with pytest.raises(ValueError, match="for given in_fmt xyxy and out_fmt abc"):
        ops.box_convert(boxes, "xyxy", "abc")
    with pytest.raises(NotImplementedError, match="in_fmt xyxy and out_fmt xywhr"):
        ops.box_convert(boxes, "xyxy", "xywhr")
    with pytest.raises(ValueError, match="Unsupported format 'xywhr'"):
        ops.box_iou(boxes, boxes, fmt="xywhr")
    with pytest.raises(ValueError, match="area for given format abc"):
        ops.box_area(boxes, fmt="abc")


def kept_one_by_one(boxes: np.ndarray, scores: np.ndarray, threshold: float) -> list[int]:
    """What is left when every box is compared with all kept before it, written plainly."""
    kept: list[int] = []
    for number in sorted(range(len(boxes)), key=lambda i: -scores[i]):
        for other in kept:
            low = np.maximum(boxes[number, :2], boxes[other, :2])
            high = np.minimum(boxes[number, 2:], boxes[other, 2:])
            shared = np.prod(np.maximum(high - low, 0))
            areas = [np.prod(boxes[i, 2:] - boxes[i, :2]) for i in (number, other)]
            if shared / (sum(areas) - shared) > threshold:
                break
        else:
            kept.append(number)
    return kept


@pytest.mark.parametrize("threshold", [0.0, 0.2, 0.5, 0.9, 1.0])
def test_nms(threshold: float) -> None:
    boxes, scores = some_boxes(60, 3), np.random.default_rng(4).random(60, np.float32)
    given = rushlight.from_numpy(boxes), rushlight.from_numpy(scores)
    kept = ops.nms(*given, threshold)
    assert kept.dtype == rushlight.int64
    assert kept.tolist() == kept_one_by_one(boxes, scores, threshold)


def test_nms_of_equal_scores_nothing_and_wrong_shapes() -> None:
    boxes = rushlight.tensor([[0.0, 0, 2, 2], [0, 0, 2, 2], [5, 5, 6, 6]])
    assert ops.nms(boxes, rushlight.ones(3), 0.5).tolist() == [0, 2]
    assert ops.nms(rushlight.zeros(0, 4), rushlight.zeros(0), 0.5).shape == (0,)
    with pytest.raises(RuntimeError, match="boxes should be a 2d tensor, got 1D"):
        ops.nms(rushlight.zeros(4), rushlight.zeros(1), 0.5)
    with pytest.raises(RuntimeError, match="same number of elements in dimension 0, got 3 and 2"):
        ops.nms(boxes, rushlight.zeros(2), 0.5)


@pytest.mark.parametrize("count", [40, 1100])  # one way for few boxes, another for many
def test_nms_of_each_class(count: int) -> None:
    generator = np.random.default_rng(5)
    boxes, scores = some_boxes(count, 6), generator.permutation(count).astype(np.float32)
    classes = generator.integers(3, size=count)
    expected = []
    for one in range(3):
        members = np.flatnonzero(classes == one)
        expected += [members[i] for i in kept_one_by_one(boxes[members], scores[members], 0.4)]
    given = [rushlight.from_numpy(array) for array in (boxes, scores, classes)]
    kept = ops.batched_nms(*given, 0.4).tolist()
    assert kept == sorted(expected, key=lambda i: -scores[i])


def test_masks(theirs: Any) -> None:
    masks = np.random.default_rng(7).random((4, 9, 8)) > 0.9
    masks[1] = False
    equal("masks_to_boxes", theirs, masks)
    assert ops.masks_to_boxes(rushlight.zeros(0, 3, 3)).shape == (0, 4)


@pytest.mark.parametrize("reduction", ["none", "mean", "sum"])
def test_losses(theirs: Any, reduction: str) -> None:
    one, other = some_boxes(8, 8), some_boxes(8, 9)
    for name in ("generalized", "distance", "complete"):
        equal(f"{name}_box_iou_loss", theirs, one, other, reduction=reduction)
    logits = np.random.default_rng(10).normal(size=(4, 5)).astype(np.float32)
    targets = (logits > 0.3).astype(np.float32)
    equal("sigmoid_focal_loss", theirs, logits, targets, reduction=reduction)
    equal("sigmoid_focal_loss", theirs, logits, targets, alpha=-1, reduction=reduction)


def test_wrong_losses() -> None:
    one = rushlight.zeros(2, 4)
    with pytest.raises(ValueError, match="Invalid Value for arg 'reduction': 'all"):
        ops.generalized_box_iou_loss(one, one, reduction="all")
    with pytest.raises(ValueError, match="Invalid alpha value: 3"):
        ops.sigmoid_focal_loss(one, one, alpha=3)


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize("sampling", [-1, 2])
def test_roi_align(theirs: Any, sampling: int, aligned: bool) -> None:
    import torch

    plain = theirs.roi_align.__globals__["_roi_align"].__wrapped__
    generator = np.random.default_rng(11)
    image = generator.normal(size=(2, 3, 20, 24)).astype(np.float32)
    boxes = np.hstack([[[1], [0], [1], [0]], some_boxes(4, 12)]).astype(np.float32)
    boxes[:, 1:] *= 0.75  # inside the picture: outside it the plain form does not do as the kernel
    given = rushlight.from_numpy(image).requires_grad_()
    ours = ops.roi_align(given, rushlight.from_numpy(boxes), (3, 2), 0.2, sampling, aligned)
    other = torch.from_numpy(image).requires_grad_()
    expected = plain(other, torch.from_numpy(boxes), 0.2, 3, 2, sampling, aligned)
    np.testing.assert_allclose(ours.detach().numpy(), expected.detach().numpy(), atol=2e-5)
    ours.square().sum().backward()
    expected.square().sum().backward()
    assert given.grad is not None
    np.testing.assert_allclose(given.grad.numpy(), other.grad.numpy(), atol=2e-4)


def test_roi_align_of_lists_of_boxes() -> None:
    image = rushlight.rand(2, 1, 8, 8)
    lists = [rushlight.tensor([[0.0, 0, 4, 4]]), rushlight.tensor([[1.0, 1, 5, 7], [0, 0, 8, 8]])]
    rows = [[0.0, 0, 0, 4, 4], [1, 1, 1, 5, 7], [1, 0, 0, 8, 8]]
    layer = ops.RoIAlign(2, 1.0, -1)
    one, other = layer(image, lists), layer(image, rushlight.tensor(rows))
    assert rushlight.equal(one, other)
    assert layer(image, rushlight.zeros(0, 5)).shape == (0, 1, 2, 2)
    outside = layer(image + 1, rushlight.tensor([[0.0, 20, 20, 30, 30]]))
    assert outside.tolist() == [[[[0.0, 0.0], [0.0, 0.0]]]]
    with pytest.raises(AssertionError, match=r"Tensor\[K, 5\]"):
        layer(image, rushlight.zeros(1, 4))


LAYERS: dict[str, tuple[Any, ...]] = {
    "Conv2dNormActivation": (3, 6, 5, 2),
    "Conv3dNormActivation": (3, 4),
    "FrozenBatchNorm2d": (3,),
    "MLP": (4, [8, 2], nn.LayerNorm),
    "SqueezeExcitation": (3, 2),
    "StochasticDepth": (0.4, "row"),
    "Permute": ([0, 2, 1, 3],),
}
SHAPES = {"Conv3dNormActivation": (2, 3, 4, 5, 5), "MLP": (3, 4)}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(theirs: Any, name: str) -> None:
    import torch

    arguments = list(LAYERS[name])
    rushlight.manual_seed(0)
    ours = getattr(ops, name)(*arguments)
    x = rushlight.rand(*SHAPES.get(name, (2, 3, 8, 8)))
    torch.manual_seed(0)
    changed = [torch.nn.LayerNorm if a is nn.LayerNorm else a for a in arguments]
    other = getattr(theirs, name)(*changed)
    expected = other(torch.rand(*x.shape))
    np.testing.assert_allclose(ours(x).detach().numpy(), expected.detach().numpy(), atol=1e-5)
    assert repr(ours) == repr(other)
    assert list(ours.state_dict()) == list(other.state_dict())


def test_frozen_takes_the_state_of_a_batch_norm() -> None:
    trained = nn.BatchNorm2d(3)
    trained(rushlight.randn(4, 3, 2, 2))
    trained.eval()
    frozen = ops.FrozenBatchNorm2d(3)
    frozen.load_state_dict(trained.state_dict())
    x = rushlight.randn(2, 3, 4, 4)
    np.testing.assert_allclose(frozen(x).numpy(), trained(x).detach().numpy(), atol=1e-6)


def test_stochastic_depth_refuses() -> None:
    x = rushlight.ones(4, 2)
    with pytest.raises(ValueError, match="has to be between 0 and 1, but got 2"):
        ops.stochastic_depth(x, 2, "row")
    with pytest.raises(ValueError, match="either 'batch' or 'row', but got all"):
        ops.stochastic_depth(x, 0.5, "all")
    assert ops.StochasticDepth(0.5, "batch").eval()(x) is x
    values = ops.stochastic_depth(x, 0.5, "batch").unique().tolist()
    assert values in ([0.0], [2.0])
