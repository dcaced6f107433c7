"""The same calls of both frameworks' writers leave the same folders with the same events."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("tensorboard", reason="the extra 'tensorboard' is not installed")

from PIL import Image

import rushlight
from rushlight.utils import tensorboard
from tests.tensorboard.events import events, runs

torch = pytest.importorskip("torch", reason="the extra 'oracle' (PyTorch) is not installed")
pytorch_tensorboard = pytest.importorskip("torch.utils.tensorboard")

GENERATOR = np.random.default_rng(3)
PICTURES = GENERATOR.random((7, 3, 4, 4), np.float32)
NUMBERS = GENERATOR.normal(size=(7, 3)).astype(np.float32)
LABELS = ["a", "two words", 3, None, "ü", 0.5, "z"]


def log(framework: Any, writer: Any) -> None:
    """A call of nearly everything."""
    pictures, numbers = framework.tensor(PICTURES), framework.tensor(NUMBERS)
    flags = framework.tensor([0, 1, 1, 0, 1, 0, 1])
    writer.add_scalar("Loss/train", numbers[0, 0], 1)
    writer.add_scalar("Loss/train", np.float64(0.25), global_step=np.int64(2))
    writer.add_scalar("new", 0.5, 2, new_style=True, double_precision=True)
    writer.add_scalars("Loss/both", {"train": 1.0, "test": framework.tensor(2)}, 3)
    writer.add_histogram("h", numbers, 1)
    writer.add_histogram("h", numbers, 2, bins="fd", max_bins=3)
    writer.add_histogram_raw("raw", 0, 1, 2, 3.0, 4, [1, 2], [1, 1], 3)
    writer.add_image("one", pictures[0], 1)
    writer.add_images("all", pictures, 1)
    writer.add_images("bytes", (pictures * 255).to(framework.uint8), dataformats="NCHW")
    writer.add_image_with_boxes("boxes", pictures[0], framework.tensor([[0, 1, 3, 3]]), 1)
    writer.add_image_with_boxes("unlabelled", pictures[0], framework.zeros(2, 4), 1, labels="x")
    writer.add_audio("sound", numbers[:, 0].clamp(-1, 1), 1, sample_rate=8000)
    writer.add_text("words", "# a\nb", 1)
    writer.add_pr_curve("pr", flags, numbers[:, 0].clamp(0, 1), 1)
    writer.add_pr_curve_raw("pr2", *np.eye(6), global_step=1, num_thresholds=6)
    writer.add_custom_scalars_multilinechart(["a", "b"])
    writer.add_custom_scalars_marginchart(["a", "b", "c"], "category", "title")
    writer.add_mesh("mesh", numbers[None], global_step=1, config_dict={"camera": {"fov": 75}})
    writer.add_hparams({"lr": 0.1, "on": True, "net": "a"}, {"hparam/acc": 1}, run_name="hp")
    writer.add_embedding(numbers, LABELS, pictures, global_step=12, tag="a/b%")
    writer.add_embedding(flags[:, None], [[1, "x"]] * 7, metadata_header=["n", "c"])


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What both have written: rushlight's folder, and PyTorch's."""
    both = []
    for framework, board in ((rushlight, tensorboard), (torch, pytorch_tensorboard)):
        folder = tmp_path_factory.mktemp("runs")
        with board.SummaryWriter(str(folder), purge_step=1, filename_suffix=".x") as writer:
            log(framework, writer)
        both.append(folder)
    return both[0], both[1]


def test_same_events(folders: tuple[Path, Path]) -> None:
    made, expected = folders
    assert runs(made) == runs(expected) == [".", "Loss_both_test", "Loss_both_train", "hp"]
    for run in runs(made):
        listed = []
        for folder in folders:
            for event in (found := events(folder / run)):
                event.wall_time = 0
            listed.append(found)
        assert listed[0] == listed[1], run


def test_same_embeddings(folders: tuple[Path, Path]) -> None:
    made, expected = folders
    files = [
        sorted(f.relative_to(folder) for kind in ("tsv", "png", "pbtxt")
               for f in folder.rglob(f"*.{kind}"))
        for folder in folders
    ]  # fmt: skip
    assert files[0] == files[1]
    assert len(files[0]) == 6
    for file in files[0]:
        if file.suffix == ".png":
            assert np.array_equal(Image.open(made / file), Image.open(expected / file))
        else:
            assert (made / file).read_text("utf-8") == (expected / file).read_text("utf-8")


def test_embeddings_that_do_not_fit(tmp_path: Path) -> None:
    for framework, board in ((torch, pytorch_tensorboard), (rushlight, tensorboard)):
        points = framework.zeros(4, 2)
        with board.SummaryWriter(str(tmp_path / framework.__name__)) as writer:
            with pytest.raises(AssertionError, match="#labels should equal with #data points"):
                writer.add_embedding(points, ["a"])
            with pytest.raises(AssertionError, match="#images should equal with #data points"):
                writer.add_embedding(points, None, framework.zeros(3, 3, 2, 2), 1)
            with pytest.raises(AssertionError, match="mat should be 2D"):
                writer.add_embedding(framework.zeros(4), None, None, 2)
            with pytest.raises(AssertionError, match="len of header must be equal"):
                writer.add_embedding(points, [["a"]] * 4, None, 3, metadata_header=["x", "y"])


def test_an_embedding_again(tmp_path: Path) -> None:
    with tensorboard.SummaryWriter(tmp_path) as writer:
        writer.add_embedding(rushlight.zeros(2, 2), ["a\tb", "c\nd"])
        writer.add_embedding(rushlight.ones(2, 2), ["a\tb", "c\nd"])
    assert (tmp_path / "projector_config.pbtxt").read_text().count("tensor_path") == 1
    place = tmp_path / "00000" / "default"
    assert (place / "tensors.tsv").read_text() == "1.0\t1.0\n1.0\t1.0\n"
    assert (place / "metadata.tsv").read_text() == "a b\nc d\n"
