"""Data sets of folders, ImageNet's archives, and noise."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import rushlight as torch
from rushlight.vision import transforms
from rushlight.vision.datasets import DatasetFolder, FakeData, ImageFolder, ImageNet, imagenet
from rushlight.vision.datasets.folder import find_classes, is_image_file, make_dataset
from tests.vision.archives import md5, picture, tar


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Three classes; names in several cases, folders in folders, and a file that is no image."""
    for name in ("b/2.PNG", "b/10.png", "c/deep/er/1.jpg", "a/z.bmp", "a/notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        kind = {"jpg": "JPEG", "txt": "PNG"}.get(name[-3:].lower(), name[-3:])
        path.write_bytes(picture(kind))
    Image.new("L", (3, 2), 9).save(tmp_path / "c" / "grey.png")
    return tmp_path


def test_image_folder(root: Path) -> None:
    dataset = ImageFolder(root, transforms.ToTensor(), target_transform=lambda t: 10 * t)
    assert dataset.classes == ["a", "b", "c"]
    assert dataset.class_to_idx == {"a": 0, "b": 1, "c": 2}
    names = [Path(path).relative_to(root).as_posix() for path, _ in dataset.samples]
    assert names == ["a/z.bmp", "b/10.png", "b/2.PNG", "c/grey.png", "c/deep/er/1.jpg"]
    assert dataset.imgs is dataset.samples
    assert dataset.targets == [0, 1, 1, 2, 2]
    image, target = dataset[3]
    assert (image.shape, target) == ((3, 2, 3), 20)  # grey images come in three channels
    assert len(dataset) == 5


def test_same_as_torchvision(torchvision: Any, root: Path) -> None:
    ours, theirs = ImageFolder(root), torchvision.datasets.ImageFolder(root)
    assert repr(ours) == repr(theirs)
    for name in ("imgs", "classes", "class_to_idx", "targets", "extensions"):
        assert getattr(ours, name) == getattr(theirs, name)
    for (mine, _), (other, _) in zip(ours, theirs, strict=True):
        assert (mine.mode, mine.tobytes()) == (other.mode, other.tobytes())


def test_samples_of_another_kind(root: Path) -> None:
    notes = DatasetFolder(root, os.path.basename, is_valid_file=lambda p: "notes" in p,
                          allow_empty=True)  # fmt: skip
    assert list(notes) == [("notes.txt", 0)]
    assert make_dataset(root, extensions=".txt", class_to_idx={"a": 7})[0][1] == 7
    assert not is_image_file("notes.txt")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda r: find_classes(r / "a"), FileNotFoundError, "Couldn't find any class folder in"),
        (lambda r: make_dataset(r, {}), ValueError, "must have at least one entry"),
        (lambda r: make_dataset(r), ValueError, "cannot be None or not None at the same time"),
        (lambda r: make_dataset(r, extensions=(".txt", ".md")), FileNotFoundError,
         "Found no valid file for the classes b, c. Supported extensions are: .txt, .md"),
        (lambda r: DatasetFolder.make_dataset(r, None), ValueError, "class_to_idx parameter"),
    ],
)  # fmt: skip
def test_errors(root: Path, call: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        call(root)


# ImageNet ----------------------------------------------------------------------------------------

TRUTH = [2, 1, 2]


def _synsets() -> np.ndarray:
    fields = [
        ("ILSVRC2012_ID", object), ("WNID", object), ("words", object), ("gloss", object),
        ("num_children", object),
    ]  # fmt: skip
    rows = [
        (1, "n01", "tench, Tinca tinca", "a fish", 0),
        (2, "n02", "goldfish", "another", 0),
        (3, "n03", "fish", "both", 2),
    ]
    return np.array(rows, dtype=fields)


@pytest.fixture
def archives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """ImageNet with two classes, which the module expects."""
    from scipy.io import savemat

    root = tmp_path / "imagenet"
    root.mkdir()
    savemat(tmp_path / "meta.mat", {"synsets": _synsets()})
    kit = {
        "ILSVRC2012_devkit_t12/data/meta.mat": (tmp_path / "meta.mat").read_bytes(),
        "ILSVRC2012_devkit_t12/data/ILSVRC2012_validation_ground_truth.txt": "\n".join(
            map(str, TRUTH)
        ).encode(),
    }
    train = {
        f"{wnid}.tar": tar({f"{wnid}_{i}.JPEG": picture("JPEG") for i in range(2)})
        for wnid in ("n02", "n01")
    }
    val = {f"ILSVRC2012_val_{i:08}.JPEG": picture("JPEG") for i in (1, 2, 3)}
    data = {"devkit": tar(kit, "w:gz"), "train": tar(train), "val": tar(val)}
    known = imagenet.ARCHIVE_META
    monkeypatch.setattr(
        imagenet, "ARCHIVE_META", {kind: (known[kind][0], md5(data[kind])) for kind in known}
    )
    for kind, (name, _) in known.items():
        (root / name).write_bytes(data[kind])
    return root


def test_imagenet(archives: Path) -> None:
    train = ImageNet(archives)
    assert (train.wnids, train.wnid_to_idx) == (["n01", "n02"], {"n01": 0, "n02": 1})
    assert train.classes == [("tench", "Tinca tinca"), ("goldfish",)]
    assert train.class_to_idx == {"tench": 0, "Tinca tinca": 0, "goldfish": 1}
    assert train.targets == [0, 0, 1, 1]
    assert train[0][0].mode == "RGB"
    val = ImageNet(archives, "val", transform=transforms.ToTensor())
    names = {Path(path).stem[-1]: wnid for path, wnid in val.samples}
    assert names == {"1": 1, "2": 0, "3": 1}
    assert "Split: val" in repr(val)
    assert f"Root location: {archives}" in repr(val)
    for archive in archives.glob("*.tar*"):  # not needed any more
        archive.unlink()
    assert len(ImageNet(archives, "val")) == 3


def test_imagenet_same_as_torchvision(torchvision: Any, archives: Path, monkeypatch: Any) -> None:
    theirs = torchvision.datasets.imagenet
    monkeypatch.setattr(theirs, "ARCHIVE_META", imagenet.ARCHIVE_META)
    ours = ImageNet(archives, "val")
    assert imagenet.load_meta_file(archives) == theirs.load_meta_file(archives)  # one file for both
    other = theirs.ImageNet(archives, "val")
    assert repr(ours) == repr(other)
    for name in ("imgs", "classes", "class_to_idx", "wnids", "wnid_to_idx"):
        assert getattr(ours, name) == getattr(other, name)


def test_imagenet_without_archives(archives: Path) -> None:
    ImageNet(archives)
    (archives / "ILSVRC2012_img_val.tar").write_bytes(b"damaged")
    with pytest.raises(RuntimeError, match=r"ILSVRC2012_img_val\.tar is not present") as caught:
        ImageNet(archives, "val")
    assert caught.match(r"ILSVRC2012_img_val.tar  \(MD5 ")
    with pytest.raises(ValueError, match="Unknown value 'test' for argument split"):
        ImageNet(archives, "test")
    (archives / "meta.bin").unlink()
    with pytest.raises(RuntimeError, match=r"The meta file meta\.bin is not present"):
        imagenet.load_meta_file(archives)


def test_an_interrupted_unpacking_is_begun_anew(archives: Path) -> None:
    broken = archives / "train.unpacking" / "n01"
    broken.mkdir(parents=True)
    (broken / "half.JPEG").write_bytes(b"x")
    assert len(ImageNet(archives)) == 4
    assert not (archives / "train.unpacking").exists()


# noise -------------------------------------------------------------------------------------------


def test_fake_data(torchvision: Any) -> None:
    options: dict[str, Any] = {"size": 4, "image_size": (3, 8, 6), "random_offset": 5}
    ours, theirs = FakeData(**options), torchvision.datasets.FakeData(**options)
    assert repr(ours) == repr(theirs)
    for (mine, one), (other, two) in zip(ours, theirs, strict=True):
        assert (mine.tobytes(), one) == (other.tobytes(), two)


def test_fake_data_leaves_the_generator_alone() -> None:
    torch.manual_seed(1)
    expected = torch.rand(1).item()
    torch.manual_seed(1)
    image, target = FakeData(3, target_transform=lambda t: t + 100)[2]
    assert torch.rand(1).item() == expected
    assert (image.size, type(target), target >= 100) == ((224, 224), int, True)
    with pytest.raises(IndexError, match="FakeData index out of range"):
        FakeData(3)[3]
