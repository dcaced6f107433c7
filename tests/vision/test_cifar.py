"""CIFAR, on made-up files in its format."""

from __future__ import annotations

import os
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from rushlight.vision.datasets import CIFAR10, CIFAR100
from rushlight.vision.datasets.cifar import read_batch
from tests.vision.archives import cifar_files, md5, python2_pickle, tar
from tests.vision.server import serving

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]


def _expect(kind: Any, files: dict[str, bytes], patch: pytest.MonkeyPatch) -> None:
    """Let a class expect these files."""
    for name in ("train_list", "test_list"):
        known = getattr(CIFAR100 if "100" in kind.__name__ else CIFAR10, name)
        patch.setattr(kind, name, [[file, md5(files[file])] for file, _ in known])
    patch.setattr(kind, "meta", {**kind.meta, "md5": md5(files[kind.meta["filename"]])})


@pytest.fixture
def archive(monkeypatch: pytest.MonkeyPatch) -> bytes:
    """A small CIFAR-10, which the class expects."""
    names = [name for name, _ in [*CIFAR10.train_list, *CIFAR10.test_list]]
    files = cifar_files(names, "labels", 10)
    files["batches.meta"] = python2_pickle({"label_names": NAMES, "num_vis": 3072})
    _expect(CIFAR10, files, monkeypatch)
    made = tar({f"cifar-10-batches-py/{name}": data for name, data in files.items()}, "w:gz")
    monkeypatch.setattr(CIFAR10, "tgz_md5", md5(made))
    return made


def test_downloaded_and_read(archive: bytes, tmp_path: Path, monkeypatch: Any) -> None:
    with serving() as server:
        server.files["c.tar.gz"] = archive
        monkeypatch.setattr(CIFAR10, "url", server.url + "c.tar.gz")
        train = CIFAR10(tmp_path, download=True)
        test = CIFAR10(tmp_path, train=False, download=True, target_transform=lambda t: -t)
        assert len(server.asked) == 1
    assert repr(train) == (
        f"Dataset CIFAR10\n    Number of datapoints: 20\n    Root location: {tmp_path}\n"
        "    Split: Train"
    )
    assert (train.data.shape, train.data.dtype) == ((20, 32, 32, 3), np.uint8)
    assert train.classes == NAMES
    assert train.class_to_idx["cat"] == 3
    first = read_batch(tmp_path / "cifar-10-batches-py" / "data_batch_1")
    image, target = train[1]
    assert (image.mode, image.size, target) == ("RGB", (32, 32), first["labels"][1])
    # The file keeps one channel after the other.
    assert image.getpixel((0, 0)) == tuple(int(first["data"][1, i * 1024]) for i in range(3))
    assert (len(test), test[0][1], test.extra_repr()) == (4, -test.targets[0], "Split: Test")


def test_an_archive_put_there_by_hand(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / CIFAR10.filename).write_bytes(archive)
    assert len(CIFAR10(tmp_path)) == 20


def test_cifar100(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    files = cifar_files(["train", "test"], "fine_labels", 100)
    files["meta"] = python2_pickle({"fine_label_names": [f"thing {i}" for i in range(100)]})
    _expect(CIFAR100, files, monkeypatch)
    (tmp_path / "cifar-100-python").mkdir()
    for name, data in files.items():
        (tmp_path / "cifar-100-python" / name).write_bytes(data)
    dataset = CIFAR100(tmp_path, train=False)
    assert (len(dataset), dataset.class_to_idx["thing 99"]) == (4, 99)


def test_offline(archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = rf"{CIFAR10.filename}  \(MD5 {md5(archive)}\)"
    with pytest.raises(RuntimeError, match="Dataset not found or corrupted") as caught:
        CIFAR10(tmp_path)
    assert caught.match(expected)
    monkeypatch.setattr(CIFAR10, "url", "http://127.0.0.1:9/x.tar.gz")
    with pytest.raises(RuntimeError, match=r"Error downloading cifar-10-python\.tar\.gz") as caught:
        CIFAR10(tmp_path, download=True)
    assert caught.match(expected)


def test_damaged_files_are_noticed(archive: bytes, tmp_path: Path) -> None:
    (tmp_path / CIFAR10.filename).write_bytes(archive)
    CIFAR10(tmp_path)
    folder = tmp_path / "cifar-10-batches-py"
    (folder / "batches.meta").write_bytes(b"")
    with pytest.raises(RuntimeError, match="metadata file not found or corrupted"):
        CIFAR10(tmp_path)
    (folder / "test_batch").unlink()
    assert len(CIFAR10.train_list) == 5
    os.truncate(tmp_path / CIFAR10.filename, 100)
    with pytest.raises(RuntimeError, match="Dataset not found or corrupted"):
        CIFAR10(tmp_path)


class _Evil:
    def __reduce__(self) -> Any:
        return os.system, ("true",)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (pickle.dumps({"data": _Evil()}, protocol=2), "asks for"),
        (pickle.dumps([1], protocol=2), "holds no dictionary"),
        (pickle.dumps({"data": np.array([None])}, protocol=2), "whole numbers|asks for"),
        (pickle.dumps({"data": np.zeros(3)}, protocol=2), "array of float64"),
        (pickle.dumps({"data": np.zeros(3, ">i4")}, protocol=2), "in another order"),
        (python2_pickle({"data": np.zeros((2, 3072), np.uint8)})[:-20], "cannot be read"),
        (b"", "cannot be read"),
    ],
)
def test_pickles_run_nothing(tmp_path: Path, data: bytes, message: str) -> None:
    (tmp_path / "x").write_bytes(data)
    with pytest.raises(RuntimeError, match=message):
        read_batch(tmp_path / "x")


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("protocol", [2, 3, 4])
def test_pickles_of_today(tmp_path: Path, order: Any, protocol: int) -> None:
    array = np.asarray(np.arange(12, dtype=np.uint8).reshape(3, 4), order=order)
    (tmp_path / "x").write_bytes(pickle.dumps({b"data": array, "labels": [1]}, protocol=protocol))
    found = read_batch(tmp_path / "x")
    assert np.array_equal(found["data"], array)
    assert found["labels"] == [1]


def test_same_as_torchvision(
    torchvision: Any, archive: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / CIFAR10.filename).write_bytes(archive)
    theirs = torchvision.datasets.CIFAR10
    for name in ("train_list", "test_list", "meta"):
        monkeypatch.setattr(theirs, name, getattr(CIFAR10, name))
    for train in (True, False):
        mine, other = CIFAR10(tmp_path, train), theirs(tmp_path, train)
        assert repr(mine) == repr(other)
        assert np.array_equal(mine.data, other.data)
        assert (mine.targets, mine.classes) == (other.targets, other.classes)
        assert mine.class_to_idx == other.class_to_idx
        assert mine[2][0].tobytes() == other[2][0].tobytes()
