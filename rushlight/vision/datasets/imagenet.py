"""ImageNet, unpacked from the archives in which it comes."""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path
from typing import Any

import rushlight
from rushlight.vision.datasets._archives import extract_archive
from rushlight.vision.datasets._download import by_hand, check_integrity
from rushlight.vision.datasets.folder import ImageFolder
from rushlight.vision.datasets.utils import verify_str_arg

_Path = str | os.PathLike[str]

ARCHIVE_META = {
    "train": ("ILSVRC2012_img_train.tar", "1d675b47d978889d74fa0da5fadfb00e"),
    "val": ("ILSVRC2012_img_val.tar", "29b22e2961454d5413ddabcf34fc5622"),
    "devkit": ("ILSVRC2012_devkit_t12.tar.gz", "fa75699e90414af021442c21a62c3abf"),
}
META_FILE = "meta.bin"


def load_meta_file(root: _Path, file: str | None = None) -> tuple[dict[str, Any], list[str]]:
    """The names of each class by its WordNet id, and the id of each validation image.

    Raises:
        RuntimeError: the file, which ``ImageNet`` writes, is missing.
    """
    path = os.path.join(root, META_FILE if file is None else file)
    if not check_integrity(path):
        raise RuntimeError(
            f"The meta file {os.path.basename(path)} is not present in the root directory or is "
            "corrupted. This file is automatically created by the ImageNet dataset."
        )
    found: tuple[dict[str, Any], list[str]] = rushlight.load(path, weights_only=True)
    return found


def _archive(root: _Path, kind: str, file: str | None) -> Path:
    """One of the archives, once its checksum is right."""
    name, md5 = ARCHIVE_META[kind]
    path = Path(root) / (name if file is None else file)
    if not check_integrity(path, md5):
        raise RuntimeError(
            f"The archive {path.name} is not present in the root directory or is corrupted. You "
            f"need to download it externally and place it in {os.fspath(root)}.\n"
            + by_hand(root, list(ARCHIVE_META.values()))
        )
    return path


def _read_synsets(devkit: Path) -> tuple[dict[int, str], dict[str, tuple[str, ...]]]:
    """The WordNet id of each class's number, and the names of each id."""
    from scipy.io import loadmat

    synsets = loadmat(devkit / "data" / "meta.mat", squeeze_me=True)["synsets"]
    ids: dict[int, str] = {}
    names: dict[str, tuple[str, ...]] = {}
    for number, wnid, words, _, children, *_ in synsets.tolist():
        if children == 0:  # the others are kinds of things, such as "animal"
            ids[int(number)] = str(wnid)
            names[str(wnid)] = tuple(str(words).split(", "))
    return ids, names


def parse_devkit_archive(root: _Path, file: str | None = None) -> None:
    """Write ``meta.bin`` from the development kit.

    Args:
        root: the folder of the archives.
        file: the name of the archive, if it has another than usual.
    """
    archive = _archive(root, "devkit", file)
    with tempfile.TemporaryDirectory() as folder:
        extract_archive(archive, folder)
        devkit = Path(folder) / "ILSVRC2012_devkit_t12"
        ids, names = _read_synsets(devkit)
        truth = devkit / "data" / "ILSVRC2012_validation_ground_truth.txt"
        numbers = [int(line) for line in truth.read_text().splitlines()]
    wnids = [ids[number] for number in numbers]
    rushlight.save((names, wnids), os.path.join(root, META_FILE))


def _scratch(root: _Path, folder: str) -> Path:
    """Where a split is unpacked: it takes its name only when it is complete."""
    path = Path(root) / f"{folder}.unpacking"
    shutil.rmtree(path, ignore_errors=True)
    return path


def parse_train_archive(root: _Path, file: str | None = None, folder: str = "train") -> None:
    """Unpack the training images, a folder for each class.

    Args:
        root: the folder of the archives.
        file: the name of the archive, if it has another than usual.
        folder: the folder for the images.
    """
    archive = _archive(root, "train", file)
    scratch = _scratch(root, folder)
    extract_archive(archive, scratch)
    for each in sorted(scratch.iterdir()):
        extract_archive(each, each.with_suffix(""), remove_finished=True)
    os.replace(scratch, Path(root) / folder)


def parse_val_archive(
    root: _Path, file: str | None = None, wnids: list[str] | None = None, folder: str = "val"
) -> None:
    """Unpack the validation images, and sort them into a folder for each class.

    Args:
        root: the folder of the archives.
        file: the name of the archive, if it has another than usual.
        wnids: the WordNet id of each image in the order of their names; from ``meta.bin`` if
            absent.
        folder: the folder for the images.
    """
    archive = _archive(root, "val", file)
    ids = load_meta_file(root)[1] if wnids is None else wnids
    scratch = _scratch(root, folder)
    extract_archive(archive, scratch)
    images = sorted(scratch.iterdir())
    for wnid in set(ids):
        (scratch / wnid).mkdir()
    for wnid, image in zip(ids, images, strict=False):
        os.replace(image, scratch / wnid / image.name)
    os.replace(scratch, Path(root) / folder)


class ImageNet(ImageFolder):
    """1.3 million photographs in a thousand classes (ILSVRC 2012).

    The archives need an agreement with their owners, so they are brought by hand; they are
    unpacked when they are first used.

    Args:
        root: the folder of the archives, which gets ``train/``, ``val/`` and ``meta.bin``.
        split: ``"train"`` or ``"val"``.
        kwargs: as for ``ImageFolder``.

    Attributes:
        wnids: the WordNet id of each class.
        wnid_to_idx: the number of each id.
        classes: the names of each class, a tuple for each.
        class_to_idx: the number of each name.

    Raises:
        RuntimeError: an archive is missing or damaged; says which belongs where.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.ImageNet.html
    """

    def __init__(self, root: _Path, split: str = "train", **kwargs: Any) -> None:
        folder = self.root = os.path.expanduser(root)
        self.split = verify_str_arg(split, "split", ("train", "val"))
        self.parse_archives()
        names = load_meta_file(folder)[0]
        super().__init__(self.split_folder, **kwargs)
        self.root = folder
        self.wnids = self.classes
        self.wnid_to_idx = self.class_to_idx
        self.classes = [names[wnid] for wnid in self.wnids]
        self.class_to_idx = {
            name: index for index, words in enumerate(self.classes) for name in words
        }

    def parse_archives(self) -> None:
        """Unpack what is not unpacked yet."""
        assert self.root is not None
        if not check_integrity(os.path.join(self.root, META_FILE)):
            parse_devkit_archive(self.root)
        if not os.path.isdir(self.split_folder):
            (parse_train_archive if self.split == "train" else parse_val_archive)(self.root)

    @property
    def split_folder(self) -> str:
        """The folder of the images."""
        return os.path.join(self.root or "", self.split)

    def extra_repr(self) -> str:
        return f"Split: {self.split}"
