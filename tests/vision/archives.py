"""Tiny data sets in the formats of the large ones, made up for tests."""

from __future__ import annotations

import gzip
import hashlib
import io
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

_random = np.random.default_rng(7)


def md5(data: bytes | Path) -> str:
    """The checksum of some bytes or of a file."""
    return hashlib.md5(data if isinstance(data, bytes) else data.read_bytes()).hexdigest()


def idx(array: np.ndarray) -> bytes:
    """An array in MNIST's format."""
    kind = {"u1": 8, "i1": 9, "i2": 11, "i4": 12, "f4": 13, "f8": 14}[array.dtype.str[1:]]
    head = struct.pack(">HBB", 0, kind, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
    return head + array.astype(array.dtype.newbyteorder(">")).tobytes()


def mnist_files(train: int = 20, test: int = 5) -> dict[str, bytes]:
    """The four packed files by their names."""
    files = {}
    for name, count in (("train", train), ("t10k", test)):
        images = _random.integers(0, 256, (count, 28, 28), dtype=np.uint8)
        labels = _random.integers(0, 10, count, dtype=np.uint8)
        files[f"{name}-images-idx3-ubyte.gz"] = gzip.compress(idx(images), mtime=0)
        files[f"{name}-labels-idx1-ubyte.gz"] = gzip.compress(idx(labels), mtime=0)
    return files


def python2_pickle(value: Any) -> bytes:
    """A dictionary as Python 2 pickled it, the way in which CIFAR's files were written."""
    return b"\x80\x02" + _encode(value) + b"."


def _encode(value: Any) -> bytes:
    if isinstance(value, dict):
        entries = b"".join(_encode(k) + _encode(v) for k, v in value.items())
        return b"}(" + entries + b"u"
    if isinstance(value, list):
        return b"](" + b"".join(map(_encode, value)) + b"e"
    if isinstance(value, int):
        return b"J" + struct.pack("<i", value)
    if isinstance(value, str):
        return b"U" + bytes([len(value)]) + value.encode("latin-1")
    assert isinstance(value, np.ndarray)
    rows, columns = value.shape
    shape = b"J" + struct.pack("<i", rows) + b"J" + struct.pack("<i", columns) + b"\x86"
    kind = b"cnumpy\ndtype\nU\x02u1K\x00K\x01\x87R(K\x03U\x01|NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xff"
    raw = value.tobytes()
    return (
        b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85U\x01b\x87R(K\x01"
        + shape + kind + b"K\x00tb\x89T" + struct.pack("<I", len(raw)) + raw + b"tb"
    )  # fmt: skip


def cifar_files(names: list[str], label_key: str, classes: int, rows: int = 4) -> dict[str, bytes]:
    """Batches by their names."""
    files = {}
    for name in names:
        batch = {
            "batch_label": name,
            label_key: _random.integers(0, classes, rows).tolist(),
            "data": _random.integers(0, 256, (rows, 3072), dtype=np.uint8),
            "filenames": ["a.png"] * rows,
        }
        files[name] = python2_pickle(batch)
    return files


def tar(files: dict[str, bytes], mode: str = "w") -> bytes:
    """An archive of these files."""
    memory = io.BytesIO()
    with tarfile.open(fileobj=memory, mode=mode) as archive:  # type: ignore[call-overload]
        for name, data in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(data)
            archive.addfile(entry, io.BytesIO(data))
    return memory.getvalue()


def picture(kind: str = "PNG", size: tuple[int, int] = (6, 5)) -> bytes:
    """A coloured image file."""
    pixels = _random.integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
    memory = io.BytesIO()
    Image.fromarray(pixels).save(memory, kind)
    return memory.getvalue()
