"""What is written for a call is what PyTorch writes for it."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")

import rushlight
from rushlight.utils.tensorboard import summary as ours

torch = pytest.importorskip("torch", reason="the extra 'oracle' (PyTorch) is not installed")
theirs = pytest.importorskip("torch.utils.tensorboard.summary")
pytorch_writer = pytest.importorskip("torch.utils.tensorboard").SummaryWriter

GENERATOR = np.random.default_rng(0)
PICTURE = GENERATOR.random((3, 12, 10), np.float32)
BYTES = GENERATOR.integers(0, 256, (5, 1, 6, 7), np.uint8)
NUMBERS = GENERATOR.normal(0, 3, (40, 25)).astype(np.float32)
LABELS, GUESSES = GENERATOR.integers(0, 2, 300), GENERATOR.random(300)
BOXES = np.array([[1.0, 2.0, 6.0, 9.0], [0.0, 0.0, 4.0, 4.0]])
POINTS = GENERATOR.random((1, 6, 3), np.float32)


#: Calls of the module ``summary`` by a name; ``t`` makes a tensor of the framework's.
CALLS: dict[str, Callable[[Any, Any], Any]] = {
    "scalar": lambda s, t: s.scalar("a/b", 0.1),
    "scalar of a tensor": lambda s, t: s.scalar("a", t(np.float32(2.5))),
    "scalar of one element": lambda s, t: s.scalar("a", t(np.array([[3]]))),
    "scalar of a NumPy number": lambda s, t: s.scalar("a", np.float16(0.1)),
    "scalar, new style": lambda s, t: s.scalar("a", 0.1, new_style=True),
    "scalar, 64 bits": lambda s, t: s.scalar("a", 0.1, new_style=True, double_precision=True),
    "scalar, 64 bits of no effect": lambda s, t: s.scalar("a", 0.1, double_precision=True),
    "histogram": lambda s, t: s.histogram("h", t(NUMBERS), ours.EDGES),
    "histogram of whole numbers": lambda s, t: s.histogram("h", t(np.arange(-5, 9)), ours.EDGES),
    "histogram of one number": lambda s, t: s.histogram("h", t(np.zeros(3)), ours.EDGES),
    "histogram, 7 bins": lambda s, t: s.histogram("h", t(NUMBERS), 7),
    "histogram, auto": lambda s, t: s.histogram("h", t(NUMBERS), "auto"),
    "histogram, merged": lambda s, t: s.histogram("h", t(NUMBERS), ours.EDGES, 100),
    "histogram, merged evenly": lambda s, t: s.histogram("h", t(NUMBERS), 64, 8),
    "histogram_raw": lambda s, t: s.histogram_raw("h", -1, 3, 4, 5.0, 11, [0, 1, 4], [1, 2, 1]),
    "image": lambda s, t: s.image("i", t(PICTURE), dataformats="CHW"),
    "image, HWC": lambda s, t: s.image("i", t(PICTURE.transpose(1, 2, 0)), dataformats="HWC"),
    "image, HW": lambda s, t: s.image("i", t(PICTURE[0]), dataformats="HW"),
    "image, WH": lambda s, t: s.image("i", t(PICTURE[0]), dataformats="WH"),
    "image, out of range": lambda s, t: s.image("i", t(PICTURE * 3 - 1), dataformats="CHW"),
    "images": lambda s, t: s.image("i", t(BYTES)),
    "images, NHWC": lambda s, t: s.image("i", PICTURE[None, ..., None][:, 0], dataformats="NHWC"),
    "image_boxes": lambda s, t: s.image_boxes("i", t(PICTURE), t(BOXES)),
    "audio": lambda s, t: s.audio("a", t(np.sin(np.arange(50, dtype=np.float32))[None]), 8000),
    "text": lambda s, t: s.text("t", "häuser *und* 木"),
    "pr_curve": lambda s, t: s.pr_curve("p", LABELS, GUESSES),
    "pr_curve, few": lambda s, t: s.pr_curve("p", LABELS, GUESSES, 11),
    "pr_curve, too many": lambda s, t: s.pr_curve("p", LABELS, GUESSES, 500),
    "pr_curve, weights": lambda s, t: s.pr_curve("p", LABELS, GUESSES, 9, GUESSES),
    "pr_curve_raw": lambda s, t: s.pr_curve_raw("p", *np.arange(18.0).reshape(6, 3), 3),
    "custom_scalars": lambda s, t: s.custom_scalars(
        {"a": {"b": ["Multiline", ["x", "y"]], "c": ["Margin", ["x", "y", "z"]]}, "d": {}}
    ),
    "mesh": lambda s, t: s.mesh("m", t(POINTS), None, None, None),
    "mesh, all": lambda s, t: s.mesh(
        "m", t(POINTS), t((POINTS * 255).astype(int)), t(np.array([[[0, 1, 2]]])), {"b": 1, "a": 2}
    ),
}


@pytest.mark.parametrize("call", CALLS)
def test_same_record(call: str) -> None:
    made = CALLS[call](ours, rushlight.tensor)
    expected = CALLS[call](theirs, torch.tensor)
    assert made == expected, f"{made}\n---\n{expected}"


def test_same_edges(tmp_path: Path) -> None:
    with pytorch_writer(tmp_path) as writer:
        assert writer.default_bins == ours.EDGES


@pytest.mark.parametrize(
    "given",
    [
        ({"lr": 0.1, "bs": 4, "name": "x", "on": True, "none": None}, {"acc": 1}, None),
        ({"lr": 0.1, "name": "x"}, {}, {"lr": [0.1, 0.2], "name": ["x", "y"]}),
        ({}, {"a/b": 0.5}, {}),
    ],
)
def test_same_hparams(given: Any) -> None:
    for made, expected in zip(ours.hparams(*given), theirs.hparams(*given), strict=True):
        assert made == expected


def test_hparams_of_a_tensor() -> None:
    made = ours.hparams({"lr": rushlight.tensor(0.5)}, {})
    expected = theirs.hparams({"lr": torch.tensor([0.5])}, {})
    assert list(made) == list(expected)


#: Calls that fail, in the same way.
ERRORS: dict[str, Callable[[Any, Any], Any]] = {
    "scalar of two": lambda s, t: s.scalar("a", t(np.ones(2))),
    "scalar of an object": lambda s, t: s.scalar("a", object()),
    "no numbers": lambda s, t: s.histogram("h", t(np.ones(0)), 3),
    "image of a wrong shape": lambda s, t: s.image("i", t(PICTURE), dataformats="HW"),
    "axis twice": lambda s, t: s.image("i", t(PICTURE), dataformats="CHH"),
    "two channels of sound": lambda s, t: s.audio("a", t(np.zeros((2, 9), np.float32))),
    "margin of two": lambda s, t: s.custom_scalars({"a": {"b": ["Margin", ["x", "y"]]}}),
    "hparams no dictionary": lambda s, t: s.hparams([], {}),
    "metrics no dictionary": lambda s, t: s.hparams({}, []),
    "domain no dictionary": lambda s, t: s.hparams({}, {}, [1]),
    "domain of another type": lambda s, t: s.hparams({"a": 1}, {}, {"a": ["x"]}),
    "domain of nothing": lambda s, t: s.hparams({"a": 1}, {}, {"b": [1]}),
    "hparam a list": lambda s, t: s.hparams({"a": [1]}, {}),
}


@pytest.mark.parametrize("call", ERRORS)
def test_same_error(call: str) -> None:
    with pytest.raises(Exception) as expected:  # which one, PyTorch says
        ERRORS[call](theirs, torch.tensor)
    with pytest.raises(expected.type) as raised:
        ERRORS[call](ours, rushlight.tensor)
    words = " ".join(str(expected.value).split())
    assert " ".join(str(raised.value).split()).startswith(words)


def test_same_video_frames() -> None:
    """PyTorch's needs another package to write the file; the frames can be compared."""
    from PIL import Image, ImageSequence
    from torch.utils.tensorboard._utils import _prepare_video

    films = GENERATOR.integers(0, 2, (3, 4, 3, 5, 6)).astype(np.uint8) * 255  # both in a GIF
    written = ours.video("v", rushlight.tensor(films)).value[0].image
    frames = [
        np.asarray(frame.convert("RGB"))
        for frame in ImageSequence.Iterator(Image.open(io.BytesIO(written.encoded_image_string)))
    ]
    expected = (_prepare_video(films) * 255).astype(np.uint8)
    assert np.array_equal(frames, expected)
    assert (written.height, written.width, written.colorspace) == expected.shape[1:]
