"""CIFAR-10 and CIFAR-100, read from their pickles without running what a pickle could ask for."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from rushlight._pickle_reader import Global, LoadError, Reader
from rushlight.vision.datasets._archives import extract_archive
from rushlight.vision.datasets._download import by_hand, check_integrity, fetch
from rushlight.vision.datasets.vision import VisionDataset


class _Array:
    """A pickled array, before and after its contents are known."""

    def __init__(self, *_: Any) -> None:
        self.array: np.ndarray | None = None

    def fill(self, state: Any) -> None:
        """Take the shape, the type and the bytes that a pickle gives to an array."""
        _, shape, kind, is_fortran, raw = state
        if not isinstance(kind, np.dtype):
            raise LoadError("the file describes an array without a type")
        data = raw.encode("latin-1") if isinstance(raw, str) else raw
        order: Any = "F" if is_fortran else "C"
        self.array = np.frombuffer(data, kind).reshape(shape, order=order)


def _dtype(code: Any, *_: Any) -> np.dtype[Any]:
    """A type by its code; only whole numbers occur."""
    found = np.dtype(code if isinstance(code, str) else "O").newbyteorder("<")
    if found.kind not in "iu":
        raise LoadError(f"the file holds an array of {found}, expected whole numbers")
    return found


def _encoded(text: Any, encoding: Any) -> bytes:
    """Bytes as Python 3 writes them for Python 2."""
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise LoadError("the file holds bytes in an encoding that is not known")
    return text.encode("latin-1")


#: The only names that these files need.
_ALLOWED = {
    "numpy.core.multiarray _reconstruct": _Array,
    "numpy._core.multiarray _reconstruct": _Array,
    "numpy ndarray": None,
    "numpy dtype": _dtype,
    "_codecs encode": _encoded,
}


def _find(module: str, name: str) -> Global:
    full = f"{module} {name}"
    if full not in _ALLOWED:
        raise LoadError(f"the file asks for {module}.{name}, which no part of this data set needs")
    return Global(full, _ALLOWED[full])


def _no_storage(_: Any) -> Any:
    raise LoadError("the file refers to another file")


def _set_state(target: Any, state: Any) -> Any:
    if isinstance(target, _Array):
        target.fill(state)
    elif not isinstance(target, np.dtype):
        raise LoadError(f"the file sets the state of a {type(target).__name__}")
    elif state[1] not in ("<", "|"):  # the order of its bytes
        raise LoadError("the file holds numbers whose bytes come in another order")
    return target


def _text(value: Any) -> Any:
    """Names as ``str``, whichever Python wrote them."""
    return value.decode("latin-1") if isinstance(value, bytes) else value


def read_batch(file: str | os.PathLike[str]) -> dict[str, Any]:
    """The dictionary in one of the files.

    Args:
        file: a pickle that holds a dictionary of lists and arrays of whole numbers.

    Raises:
        RuntimeError: the file is damaged, or holds anything else.
    """
    try:
        found = Reader(_find, _no_storage, _set_state).read(Path(file).read_bytes())
    except (LoadError, ValueError, TypeError) as error:
        raise RuntimeError(f"{os.fspath(file)} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise RuntimeError(f"{os.fspath(file)} holds no dictionary")
    return {
        _text(key): value.array if isinstance(value, _Array) else value
        for key, value in found.items()
    }


class CIFAR10(VisionDataset):
    """60,000 colour pictures of 32 by 32 pixels in ten classes.

    An item is a pair: a Pillow image of mode ``RGB`` and the class as an ``int``.

    Args:
        root: the folder that has (or gets) ``cifar-10-batches-py/``.
        train: True for the 50,000 training images, False for the 10,000 test images.
        transform: called with the image.
        target_transform: called with the class.
        download: whether the archive is brought from the network where files are missing.

    Attributes:
        data: the images, a uint8 array of shape ``(N, 32, 32, 3)``.
        targets: the classes, a list of N ints.
        classes: the names of the classes.
        class_to_idx: the number of each class by its name.

    Raises:
        RuntimeError: files are missing or damaged, or no server gave them; says which file belongs
            where.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.CIFAR10.html
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

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
        if not self._is_complete(download):
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it\n"
                + self._by_hand()
            )
        self.targets: list[int] = []
        images = []
        for name, _ in self.train_list if train else self.test_list:
            batch = read_batch(self._folder / name)
            images.append(batch["data"])
            self.targets += batch["labels"] if "labels" in batch else batch["fine_labels"]
        planes = np.vstack(images).reshape(-1, 3, 32, 32)
        # Pixel by pixel in memory, as Pillow wants them.
        self.data = np.ascontiguousarray(planes.transpose(0, 2, 3, 1))
        self._load_meta()

    def _is_complete(self, download: bool) -> bool:
        """Whether all files are there, unpacked or brought if need be."""
        if self._check_integrity():
            return True
        if download:
            self.download()
        elif check_integrity(self._archive, self.tgz_md5):
            extract_archive(self._archive)
        return self._check_integrity()

    @property
    def _folder(self) -> Path:
        return Path(self.root or "") / self.base_folder

    @property
    def _archive(self) -> Path:
        return Path(self.root or "") / self.filename

    def _load_meta(self) -> None:
        file = self._folder / self.meta["filename"]
        if not check_integrity(file, self.meta["md5"]):
            raise RuntimeError(
                "Dataset metadata file not found or corrupted. You can use download=True to "
                "download it"
            )
        self.classes = [_text(name) for name in read_batch(file)[self.meta["key"]]]
        self.class_to_idx = {name: index for index, name in enumerate(self.classes)}

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        from PIL import Image

        return self._transformed(Image.fromarray(self.data[index]), self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def _check_integrity(self) -> bool:
        files = [*self.train_list, *self.test_list]
        return all(check_integrity(self._folder / name, md5) for name, md5 in files)

    def _by_hand(self) -> str:
        return by_hand(self.root or ".", [(self.filename, self.tgz_md5)])

    def download(self) -> None:
        """Bring the archive if files are missing, and unpack it."""
        if self._check_integrity():
            return
        try:
            fetch([self.url], self._archive, self.tgz_md5)
        except RuntimeError as error:
            raise RuntimeError(f"{error}{self._by_hand()}") from None
        extract_archive(self._archive)

    def extra_repr(self) -> str:
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """60,000 colour pictures of 32 by 32 pixels in a hundred classes.

    Args: as for ``CIFAR10``; the files lie in ``cifar-100-python/``.

    Source: https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.CIFAR100.html
    """

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }
