"""MNIST and its kin, on made-up files in their format."""

from __future__ import annotations

import gzip
import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rushlight as torch
from rushlight.utils.data import DataLoader
from rushlight.vision import transforms
from rushlight.vision.datasets import EMNIST, KMNIST, MNIST, FashionMNIST
from rushlight.vision.datasets.mnist import (
    read_image_file,
    read_label_file,
    read_sn3_pascalvincent_tensor,
)
from tests.vision.archives import idx, md5, mnist_files
from tests.vision.oracle import Sides
from tests.vision.server import Server, serving


@pytest.fixture
def files(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The four files of a small MNIST, whose checksums the classes expect."""
    made = mnist_files()
    for kind in (MNIST, FashionMNIST, KMNIST):
        monkeypatch.setattr(kind, "resources", [(name, md5(data)) for name, data in made.items()])
    return made


@pytest.fixture
def server(files: dict[str, bytes], monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with serving() as found:
        found.files.update(files)
        monkeypatch.setattr(MNIST, "mirrors", [found.url + "gone/", found.url])
        yield found


def _put(files: dict[str, bytes], folder: Path) -> None:
    folder.mkdir(parents=True)
    for name, data in files.items():
        (folder / name).write_bytes(data)


def _contents(files: dict[str, bytes], name: str, head: int) -> bytes:
    return gzip.decompress(files[name])[head:]


def test_downloaded_and_read(server: Server, files: dict[str, bytes], tmp_path: Path) -> None:
    train = MNIST(tmp_path, download=True)
    assert repr(train) == (
        f"Dataset MNIST\n    Number of datapoints: 20\n    Root location: {tmp_path}\n"
        "    Split: Train"
    )
    assert (train.data.shape, train.data.dtype) == ((20, 28, 28), torch.uint8)
    assert train.data.numpy().tobytes() == _contents(files, "train-images-idx3-ubyte.gz", 16)
    assert train.targets.dtype is torch.int64
    assert bytes(train.targets.tolist()) == _contents(files, "train-labels-idx1-ubyte.gz", 8)
    image, target = train[3]
    assert (image.mode, image.size, type(target)) == ("L", (28, 28), int)
    assert image.tobytes() == train.data[3].numpy().tobytes()
    assert train.class_to_idx["7 - seven"] == 7
    test = MNIST(str(tmp_path), train=False)
    assert (len(test), test.extra_repr()) == (5, "Split: Test")
    asked = len(server.asked)
    MNIST(tmp_path, download=True)
    assert len(server.asked) == asked == 8  # each file first at the mirror that lacks it
    with pytest.raises(IndexError):
        test[5]
    with pytest.warns(UserWarning, match="test_labels has been renamed targets"):
        assert test.test_labels is test.targets


def test_files_put_there_by_hand(files: dict[str, bytes], tmp_path: Path) -> None:
    _put(files, tmp_path / "FashionMNIST" / "raw")
    assert len(FashionMNIST(tmp_path)) == 20
    assert FashionMNIST(tmp_path, train=False).classes[9] == "Ankle boot"
    _put(files, tmp_path / "KMNIST" / "raw")
    assert KMNIST(tmp_path).class_to_idx["wo"] == 9


def test_offline(files: dict[str, bytes], tmp_path: Path, monkeypatch: Any) -> None:
    with pytest.raises(RuntimeError, match="You can use download=True to download it") as caught:
        MNIST(tmp_path)
    for name, data in files.items():
        assert f"{name}  (MD5 {md5(data)})" in str(caught.value)
    assert os.path.join(tmp_path, "MNIST", "raw") in str(caught.value)
    monkeypatch.setattr(MNIST, "mirrors", ["http://127.0.0.1:9/"])
    with pytest.raises(RuntimeError) as caught:
        MNIST(tmp_path, download=True)
    assert str(caught.value).startswith("Error downloading train-images-idx3-ubyte.gz:\nTried http")
    assert "by hand" in str(caught.value)


def test_changed_labels_and_images_are_used(files: dict[str, bytes], tmp_path: Path) -> None:
    _put(files, tmp_path / "MNIST" / "raw")
    dataset = MNIST(tmp_path, transform=transforms.ToTensor(), target_transform=str)
    dataset.targets[4] = 77
    dataset.data = dataset.data[4:] * 0 + 255
    dataset.targets = dataset.targets[4:]
    image, target = dataset[0]
    assert (target, image.min().item()) == ("77", 1.0)
    images, targets = next(iter(DataLoader(dataset, batch_size=3)))
    assert images.shape == (3, 1, 28, 28)
    assert len(targets) == 3


def test_old_tensors_are_read(files: dict[str, bytes], tmp_path: Path) -> None:
    folder = tmp_path / "MNIST" / "processed"
    folder.mkdir(parents=True)
    pair = (torch.zeros(2, 28, 28, dtype=torch.uint8), torch.tensor([4, 5]))
    for name in ("training.pt", "test.pt"):
        torch.save(pair, folder / name)
    assert MNIST(tmp_path)[1][1] == 5


def test_emnist(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "EMNIST" / "raw"
    folder.mkdir(parents=True)
    for kind in ("train", "test"):
        prefix = folder / f"emnist-letters-{kind}"
        images = np.arange(2 * 28 * 28).reshape(2, 28, 28).astype(np.uint8)
        prefix.with_name(prefix.name + "-images-idx3-ubyte").write_bytes(idx(images))
        labels = np.array([1, 26], np.uint8)
        prefix.with_name(prefix.name + "-labels-idx1-ubyte").write_bytes(idx(labels))
    dataset = EMNIST(tmp_path, "letters", train=False)
    assert [dataset.classes[label] for _, label in dataset] == ["a", "z"]
    assert len(EMNIST.classes_split_dict["bymerge"]) == 47
    with pytest.raises(ValueError, match="Unknown value 'words' for argument split"):
        EMNIST(tmp_path, "words")
    with pytest.raises(RuntimeError, match=r"gzip\.zip"):
        EMNIST(tmp_path, "digits")


def test_emnist_archive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as bundle:
        for name, data in mnist_files().items():
            kind = "train" if name.startswith("train") else "test"
            bundle.writestr(f"gzip/emnist-digits-{kind}{name[name.index('-') :]}", data)
    monkeypatch.setattr(EMNIST, "md5", md5(memory.getvalue()))
    with serving() as server:
        server.files["gzip.zip"] = memory.getvalue()
        monkeypatch.setattr(EMNIST, "url", server.url + "gzip.zip")
        assert len(EMNIST(tmp_path, "digits", download=True)) == 20
    assert not (tmp_path / "EMNIST" / "raw" / "gzip").exists()
    for file in (tmp_path / "EMNIST" / "raw").glob("*ubyte"):
        file.unlink()
    assert len(EMNIST(tmp_path, "digits", train=False)) == 5  # from the archive that lies there


@pytest.mark.parametrize("kind", ["u1", "i1", "i2", "i4", "f4", "f8"])
def test_types(tmp_path: Path, kind: str) -> None:
    array = (np.arange(6).reshape(3, 2) * 3 - 5).astype(kind)
    (tmp_path / "x").write_bytes(idx(array))
    found = read_sn3_pascalvincent_tensor(tmp_path / "x")
    assert np.array_equal(found.numpy(), array)
    assert found.numpy().dtype == array.dtype


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not in MNIST's format"),
        (b"\0\0\x07\x01\0\0\0\1\0", "not in MNIST's format"),
        (b"\0\0\x08\x04", "not in MNIST's format"),
        (b"\0\0\x08\x02\0\0\0\1", "not in MNIST's format"),
        (idx(np.zeros(5, np.uint8))[:-1], "holds 4 bytes, but its sizes .5. need 5"),
        (b"\0\0\x0e\x03" + b"\xff" * 12, "need "),
    ],
)
def test_damaged_files(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(ValueError, match=message):
        read_sn3_pascalvincent_tensor(tmp_path / "x")


def test_other_kinds_of_files(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(idx(np.zeros((2, 2), np.uint8)))
    (tmp_path / "y").write_bytes(idx(np.zeros(2, np.int32)))
    with pytest.raises(ValueError, match="x should have 1 dimension instead of 2"):
        read_label_file(tmp_path / "x")
    with pytest.raises(ValueError, match="x should have 3 dimension instead of 2"):
        read_image_file(tmp_path / "x")
    for read in (read_label_file, read_image_file):
        with pytest.raises(TypeError, match=r"dtype torch.uint8 instead of torch.int32"):
            read(tmp_path / "y")


def test_same_as_torchvision(
    torchvision: Any, files: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    _put(files, tmp_path / "MNIST" / "raw")
    monkeypatch.setattr(torchvision.datasets.MNIST, "resources", MNIST.resources)
    sides = Sides(torchvision)
    for train in (True, False):
        ours, theirs = [
            kind(str(tmp_path), train, transform=t.Compose([t.Resize(32), t.ToTensor()]))
            for kind, t in (
                (MNIST, transforms),
                (torchvision.datasets.MNIST, torchvision.transforms),
            )
        ]
        assert repr(ours) == repr(theirs)
        assert np.array_equal(ours.data.numpy(), theirs.data.numpy())
        assert ours.targets.tolist() == theirs.targets.tolist()
        sides.seed(3)
        ours_loaded = DataLoader(ours, 4, shuffle=True)
        theirs_loaded = sides.torch.utils.data.DataLoader(theirs, 4, shuffle=True)
        for (x, y), (u, v) in zip(ours_loaded, theirs_loaded, strict=True):
            assert y.tolist() == v.tolist()
            np.testing.assert_allclose(x.numpy(), u.numpy(), atol=1e-7)
