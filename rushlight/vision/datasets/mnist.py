"""MNIST and the data sets that come in its format."""

from __future__ import annotations

import os
import shutil
import string
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import rushlight
from rushlight._arrays import tensor_of_array
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import int64, uint8
from rushlight.vision.datasets._archives import extract_archive
from rushlight.vision.datasets._download import by_hand, check_integrity, fetch
from rushlight.vision.datasets.utils import verify_str_arg
from rushlight.vision.datasets.vision import VisionDataset

#: The third byte of a file in MNIST's format tells the type; the bytes of a number come high first.
_TYPES: dict[int, np.dtype[Any]] = {
    8: np.dtype(np.uint8),
    9: np.dtype(np.int8),
    11: np.dtype(">i2"),
    12: np.dtype(">i4"),
    13: np.dtype(">f4"),
    14: np.dtype(">f8"),
}


def read_sn3_pascalvincent_tensor(path: str | os.PathLike[str], strict: bool = True) -> Tensor:
    """A tensor from a file in MNIST's format (IDX): a type, sizes, then the numbers.

    Args:
        path: the file.
        strict: whether it may hold no more than the sizes say.

    Raises:
        ValueError: the file is not in this format, or its length does not fit its sizes.

    Source: http://yann.lecun.com/exdb/mnist/
    """
    data = Path(path).read_bytes()
    dims = data[3] if len(data) >= 4 else 0
    found = _TYPES.get(data[2]) if dims else None
    if found is None or data[:2] != b"\0\0" or not 1 <= dims <= 3 or len(data) < 4 * (dims + 1):
        raise ValueError(f"{os.fspath(path)} is not in MNIST's format (IDX)")
    shape = tuple(np.frombuffer(data, ">u4", dims, 4).astype(np.int64).tolist())
    begin = 4 * (dims + 1)
    expected = int(np.prod(shape, dtype=object)) * found.itemsize
    length = len(data) - begin
    if length < expected or (strict and length > expected):
        raise ValueError(
            f"{os.fspath(path)} holds {length} bytes, but its sizes {list(shape)} need {expected}"
        )
    numbers = np.frombuffer(data, found, expected // found.itemsize, begin)
    return tensor_of_array(numbers.astype(found.newbyteorder("=")).reshape(shape))


def read_label_file(path: str | os.PathLike[str]) -> Tensor:
    """The labels in a file of MNIST's format, as int64 of shape ``(N,)``."""
    labels = read_sn3_pascalvincent_tensor(path, strict=False)
    if labels.dtype is not uint8:
        raise TypeError(f"x should be of dtype torch.uint8 instead of {labels.dtype}")
    if labels.ndim != 1:
        raise ValueError(f"x should have 1 dimension instead of {labels.ndim}")
    return tensor_of_array(labels._array().astype(int64.numpy))


def read_image_file(path: str | os.PathLike[str]) -> Tensor:
    """The images in a file of MNIST's format, as uint8 of shape ``(N, H, W)``."""
    images = read_sn3_pascalvincent_tensor(path, strict=False)
    if images.dtype is not uint8:
        raise TypeError(f"x should be of dtype torch.uint8 instead of {images.dtype}")
    if images.ndim != 3:
        raise ValueError(f"x should have 3 dimension instead of {images.ndim}")
    return images


def _renamed(old: str, new: str) -> property:
    def read(self: Any) -> Any:
        warnings.warn(f"{old} has been renamed {new}", stacklevel=2)
        return getattr(self, new)

    return property(read, doc=f"What ``{new}`` was called once.")


class MNIST(VisionDataset):
    """70,000 handwritten digits of 28 by 28 pixels.

    An item is a pair: a Pillow image of mode ``L`` and the digit as an ``int``.

    Args:
        root: the folder that has (or gets) ``MNIST/raw/`` with the four files.
        train: True for the 60,000 training images, False for the 10,000 test images.
        transform: called with the image.
        target_transform: called with the digit.
        download: whether missing files are brought from the network.

    Attributes:
        data: the images, uint8 ``(N, 28, 28)``.
        targets: the digits, int64 ``(N,)``.
        classes: a name for each digit.
        class_to_idx: the digit of each name.

    Raises:
        RuntimeError: files are missing, or no server gave them; says which and where they belong.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.MNIST.html
    """

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    training_file = "training.pt"
    test_file = "test.pt"
    classes = [
        "0 - zero", "1 - one", "2 - two", "3 - three", "4 - four", "5 - five", "6 - six",
        "7 - seven", "8 - eight", "9 - nine",
    ]  # fmt: skip

    train_labels = _renamed("train_labels", "targets")
    test_labels = _renamed("test_labels", "targets")
    train_data = _renamed("train_data", "data")
    test_data = _renamed("test_data", "data")

    def __init__(
        self,
        root: str | os.PathLike[str],
        train: bool = True,
        transform: Callable[..., Any] | None = None,
        target_transform: Callable[..., Any] | None = None,
        download: bool = False,
    ) -> None:
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        old = [Path(self.processed_folder) / name for name in (self.training_file, self.test_file)]
        if all(file.is_file() for file in old):  # as torchvision wrote them before 0.10
            self.data, self.targets = rushlight.load(old[0 if train else 1], weights_only=True)
            return
        if download:
            self.download()
        elif not self._check_exists():
            self._extract_present()
        if not self._check_exists():
            raise RuntimeError(
                "Dataset not found. You can use download=True to download it\n" + self._by_hand()
            )
        self.data, self.targets = self._load_data()

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from PIL import Image

        # Looked at as arrays: a tensor for each image would cost more than the image.
        target = int(self.targets._array()[index])
        return self._transformed(Image.fromarray(self.data._array()[index]), target)

    def __len__(self) -> int:
        return len(self.data)

    @property
    def raw_folder(self) -> str:
        """The folder of the files."""
        return os.path.join(self.root or "", type(self).__name__, "raw")

    @property
    def processed_folder(self) -> str:
        """The folder in which torchvision kept tensors before 0.10."""
        return os.path.join(self.root or "", type(self).__name__, "processed")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The number of each class by its name."""
        return {name: index for index, name in enumerate(self.classes)}

    @property
    def _file_prefix(self) -> str:
        return "train" if self.train else "t10k"

    @property
    def images_file(self) -> str:
        """The file of the images."""
        return os.path.join(self.raw_folder, f"{self._file_prefix}-images-idx3-ubyte")

    @property
    def labels_file(self) -> str:
        """The file of the labels."""
        return os.path.join(self.raw_folder, f"{self._file_prefix}-labels-idx1-ubyte")

    def _load_data(self) -> tuple[Tensor, Tensor]:
        return read_image_file(self.images_file), read_label_file(self.labels_file)

    def _unpacked(self, name: str) -> Path:
        return Path(self.raw_folder) / os.path.splitext(name)[0]

    def _check_exists(self) -> bool:
        return all(self._unpacked(name).is_file() for name, _ in self.resources)

    def _extract_present(self) -> None:
        """Decompress what somebody has put into the folder by hand."""
        for name, md5 in self.resources:
            packed = Path(self.raw_folder) / name
            if not self._unpacked(name).is_file() and check_integrity(packed, md5):
                extract_archive(packed)

    def _by_hand(self) -> str:
        return by_hand(self.raw_folder, self.resources)

    def download(self) -> None:
        """Bring the files that are missing, and decompress them."""
        if self._check_exists():
            return
        for name, md5 in self.resources:
            goal = Path(self.raw_folder) / name
            try:
                fetch([f"{mirror}{name}" for mirror in self.mirrors], goal, md5)
            except RuntimeError as error:
                raise RuntimeError(f"{error}{self._by_hand()}") from None
            extract_archive(goal)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"


class FashionMNIST(MNIST):
    """70,000 pictures of clothes of 28 by 28 pixels, in the format of ``MNIST``.

    Args: as for ``MNIST``; the files lie in ``FashionMNIST/raw/``.

    Source: H. Xiao et al. (2017), Fashion-MNIST, https://arxiv.org/abs/1708.07747
    """

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [
        "T-shirt/top", "Trouser", "Pullover", "Dress", "Coat", "Sandal", "Shirt", "Sneaker", "Bag",
        "Ankle boot",
    ]  # fmt: skip


class KMNIST(MNIST):
    """70,000 handwritten Japanese letters of 28 by 28 pixels, in the format of ``MNIST``.

    Args: as for ``MNIST``; the files lie in ``KMNIST/raw/``.

    Source: T. Clanuwat et al. (2018), Deep Learning for Classical Japanese Literature,
    https://arxiv.org/abs/1812.01718
    """

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


_CHARACTERS = set(string.digits + string.ascii_letters)
_MERGED = sorted(_CHARACTERS - set("cijklmopsuvwxyz"))


class EMNIST(MNIST):
    """Handwritten digits and letters of 28 by 28 pixels, in the format of ``MNIST``.

    Args:
        root: the folder that has (or gets) ``EMNIST/raw/``.
        split: ``byclass``, ``bymerge``, ``balanced``, ``letters``, ``digits`` or ``mnist``.
        kwargs: as for ``MNIST``.

    Source: G. Cohen et al. (2017), EMNIST, https://arxiv.org/abs/1702.05373
    """

    url = "https://biometrics.nist.gov/cs_links/EMNIST/gzip.zip"
    md5 = "58c8d27c78d21e728a6bc7b3cc06412e"
    splits = ("byclass", "bymerge", "balanced", "letters", "digits", "mnist")
    classes_split_dict = {
        "byclass": sorted(_CHARACTERS),
        "bymerge": _MERGED,
        "balanced": _MERGED,
        "letters": ["N/A", *string.ascii_lowercase],
        "digits": list(string.digits),
        "mnist": list(string.digits),
    }

    def __init__(self, root: str | os.PathLike[str], split: str, **kwargs: Any) -> None:
        self.split = verify_str_arg(split, "split", self.splits)
        self.training_file = f"training_{split}.pt"
        self.test_file = f"test_{split}.pt"
        super().__init__(root, **kwargs)
        self.classes = self.classes_split_dict[self.split]

    @property
    def _file_prefix(self) -> str:
        return f"emnist-{self.split}-{'train' if self.train else 'test'}"

    def _check_exists(self) -> bool:
        return os.path.isfile(self.images_file) and os.path.isfile(self.labels_file)

    def _extract_present(self) -> None:
        archive = Path(self.raw_folder) / os.path.basename(self.url)
        if not check_integrity(archive, self.md5):
            return
        extract_archive(archive)
        packed = Path(self.raw_folder) / "gzip"
        for file in packed.glob("*.gz"):
            extract_archive(file, self.raw_folder)
        shutil.rmtree(packed)

    def _by_hand(self) -> str:
        return by_hand(self.raw_folder, [(os.path.basename(self.url), self.md5)])

    def download(self) -> None:
        """Bring the archive if it is missing, and unpack it."""
        if self._check_exists():
            return
        try:
            fetch([self.url], Path(self.raw_folder) / os.path.basename(self.url), self.md5)
        except RuntimeError as error:
            raise RuntimeError(f"{error}{self._by_hand()}") from None
        self._extract_present()
