"""Small made-up data sets in the files, and the formats, in which the authors' programs find them."""

from __future__ import annotations

import hashlib
import pickle
import struct
from pathlib import Path
from typing import Any

import numpy as np


def _patterns(classes: int, shape: tuple[int, ...]) -> np.ndarray:
    """One picture for each class, all far apart."""
    return np.random.default_rng(7).integers(0, 256, (classes, *shape), dtype=np.uint8)


def write_mnist(folder: Path, train: int, test: int) -> None:
    """MNIST's four IDX files below ``folder``, where ``torchvision.datasets.MNIST`` looks."""
    raw = folder / "MNIST" / "raw"
    raw.mkdir(parents=True)
    patterns = _patterns(10, (28, 28))
    for name, count in (("train", train), ("t10k", test)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        header = struct.pack(">IIII", 0x803, count, 28, 28)
        (raw / f"{name}-images-idx3-ubyte").write_bytes(header + patterns[labels].tobytes())
        header = struct.pack(">II", 0x801, count)
        (raw / f"{name}-labels-idx1-ubyte").write_bytes(header + labels.tobytes())


def _write(path: Path, content: dict[str, Any]) -> list[str]:
    """A pickled file; its name and checksum, as the data set's list of files has them."""
    data = pickle.dumps(content, protocol=2)
    path.write_bytes(data)
    return [path.name, hashlib.md5(data).hexdigest()]


def write_cifar(folder: Path, data_set: Any, each: int, names: list[str]) -> dict[str, Any]:
    """CIFAR's pickled batches below ``folder``.

    Args:
        folder: the ``root`` of the data set.
        data_set: the class that will read them, ``CIFAR10`` or ``CIFAR100``.
        each: how many pictures a file has.
        names: of the classes.

    Returns:
        The class's attributes that list its files, with the checksums of these.
    """
    base = folder / data_set.base_folder
    base.mkdir(parents=True)
    key = "labels" if len(names) == 10 else "fine_labels"
    patterns = _patterns(len(names), (3072,))
    lists: dict[str, Any] = {"train_list": [], "test_list": []}
    for which, wanted in lists.items():
        for number, (name, _) in enumerate(getattr(data_set, which)):
            labels = [(number + n) % len(names) for n in range(each)]
            content = {"batch_label": name, key: labels, "data": patterns[labels]}
            wanted.append(_write(base / name, content))
    meta = dict(data_set.meta)
    meta["filename"], meta["md5"] = _write(base / meta["filename"], {meta["key"]: names})
    return {**lists, "meta": meta}
