"""The zip files that PyTorch writes: entries stored as they are, each beginning at 64 bytes.

Note: what is checked before anything is read
    Every entry lies inside the file, overlaps no other, is stored uncompressed, has a name of its
    own inside one folder, and says the same in the directory and in front of its data. So all
    entries together are never larger than the file, and reading them allocates no more than that.
"""

from __future__ import annotations

import io
import os
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight._pickle_reader import DAMAGE, LoadError

#: The largest number of entries in a file.
MAX_ENTRIES = 1_000_000

_ALIGNMENT = 64
_LIMIT = 0xFFFFFFFF
_PADDING = b"FB"
_DATE = (1 << 5) | 1  # 1980-01-01


class ArchiveWriter:
    """Writes entries one behind the other; nothing of the file is ever touched again.

    Args:
        write: takes bytes, in order.
        folder: the folder of the archive in which all entries lie.
    """

    def __init__(self, write: Callable[[Any], Any], folder: str) -> None:
        self._write = write
        self._folder = folder
        self._position = 0
        self._directory: list[bytes] = []

    def _put(self, data: Any) -> None:
        self._write(data)
        self._position += len(data)

    def add(self, name: str, data: Any) -> None:
        """Write an entry.

        Args:
            name: its name in the folder.
            data: its bytes, or an array of them.
        """
        path = f"{self._folder}/{name}".encode()
        body = memoryview(data)
        size, start, crc = body.nbytes, self._position, zlib.crc32(body)
        long = size >= _LIMIT
        extra = struct.pack("<HHQQ", 1, 16, size, size) if long else b""
        gap = -(start + 30 + len(path) + len(extra) + 4) % _ALIGNMENT
        padding = _PADDING + struct.pack("<H", gap) + b"Z" * gap
        shown = _LIMIT if long else size
        version = 45 if long else 20
        self._put(
            struct.pack(
                "<4s5H3I2H", b"PK\3\4", version, 0x800, 0, 0, _DATE, crc, shown, shown,
                len(path), len(extra) + len(padding),
            )
        )  # fmt: skip
        for part in (path, extra, padding, body):
            if len(part):
                self._put(part)
        self._directory.append(_central(path, crc, size, start))

    def close(self) -> None:
        """Write the directory."""
        start = self._position
        for entry in self._directory:
            self._put(entry)
        size, count = self._position - start, len(self._directory)
        if start >= _LIMIT or size >= _LIMIT or count >= 0xFFFF:
            at = self._position
            fields = (44, 45, 45, 0, 0, count, count, size, start)
            self._put(struct.pack("<4sQ2H2I4Q", b"PK\6\6", *fields))
            self._put(struct.pack("<4sIQI", b"PK\6\7", 0, at, 1))
        short = min(count, 0xFFFF)
        ends = (short, short, min(size, _LIMIT), min(start, _LIMIT), 0)
        self._put(struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, *ends))


def _central(path: bytes, crc: int, size: int, start: int) -> bytes:
    """What the directory says of an entry."""
    numbers = [size, size] if size >= _LIMIT else []
    numbers += [start] if start >= _LIMIT else []
    extra = struct.pack(f"<HH{len(numbers)}Q", 1, 8 * len(numbers), *numbers) if numbers else b""
    version = 45 if numbers else 20
    shown = min(size, _LIMIT)
    return (
        struct.pack(
            "<4s6H3I5H2I", b"PK\1\2", version, version, 0x800, 0, 0, _DATE, crc, shown, shown,
            len(path), len(extra), 0, 0, 0, 0, min(start, _LIMIT),
        )
        + path
        + extra
    )  # fmt: skip


def _broken(what: object) -> LoadError:
    return LoadError(
        f"PytorchStreamReader failed reading zip archive: {what}. The file is damaged, incomplete, "
        "or was not written by torch.save: copy or download it again."
    )


class ArchiveReader:
    """Reads entries of an archive, after everything in its directory has been checked.

    Args:
        file: a binary file that can seek.
        path: where it lies, to map its entries into memory; ``None`` reads them.

    Raises:
        LoadError: it is no archive that PyTorch could have written.
    """

    def __init__(self, file: Any, path: str | None = None) -> None:
        self._file = file
        self._path = path
        self.length = file.seek(0, os.SEEK_END)
        try:
            with zipfile.ZipFile(file) as archive:
                entries = archive.infolist()
        except (zipfile.BadZipFile, NotImplementedError, *DAMAGE) as error:
            raise _broken(error) from error
        if len(entries) > MAX_ENTRIES:
            raise _broken(f"{len(entries)} entries")
        self._starts: dict[str, tuple[int, zipfile.ZipInfo]] = {}
        self._check(entries)
        self.folder = self._find_folder()

    def _check(self, entries: list[zipfile.ZipInfo]) -> None:
        end = 0
        for info in sorted(entries, key=lambda info: info.header_offset):
            name = info.filename
            parts = name.split("/")
            if name in self._starts:
                raise _broken(f"there are two entries {name!r}")
            if name.startswith("/") or "\\" in name or ".." in parts or "\0" in info.orig_filename:
                raise _broken(f"an entry is called {name!r}")
            if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 0x2041:
                raise _broken(f"entry {name!r} is compressed or encrypted")
            if info.file_size != info.compress_size or info.header_offset < end:
                raise _broken(f"entry {name!r} overlaps another or has two sizes")
            start = self._data_start(info)
            end = start + info.file_size
            if end > self.length:
                raise _broken(f"entry {name!r} reaches beyond the end of the file")
            self._starts[name] = start, info

    def _data_start(self, info: zipfile.ZipInfo) -> int:
        """Where the data of an entry begins, by what stands in front of it."""
        self._file.seek(info.header_offset)
        head = self._file.read(30)
        if len(head) != 30 or head[:4] != b"PK\3\4":
            raise _broken(f"entry {info.filename!r} does not begin where the directory says")
        _, flags, method = struct.unpack_from("<3H", head, 4)
        crc, packed, size, name_length, extra_length = struct.unpack_from("<3I2H", head, 14)
        name = self._file.read(name_length)
        if name != info.orig_filename.encode("utf-8" if flags & 0x800 else "cp437"):
            raise _broken(f"entry {info.filename!r} has another name in front of its data")
        described = flags & 8  # sizes follow the data
        same = (crc, packed, size) == (info.CRC, info.compress_size, info.file_size)
        wide = size == _LIMIT or packed == _LIMIT
        if method != 0 or not (described or same or (wide and crc == info.CRC)):
            raise _broken(f"entry {info.filename!r} is described in two ways")
        return int(info.header_offset + 30 + name_length + extra_length)

    def _find_folder(self) -> str:
        found = [name for name in self._starts if name.split("/")[1:] == ["data.pkl"]]
        if len(found) != 1:
            raise _broken("file in archive is not in a subdirectory with one data.pkl")
        folder = found[0][: -len("data.pkl")]
        if folder + "constants.pkl" in self._starts:
            raise LoadError(
                "the file is a TorchScript archive, which holds a program. rushlight reads "
                "tensors: save model.state_dict() instead."
            )
        return folder

    def __contains__(self, name: str) -> bool:
        return self.folder + name in self._starts

    def size(self, name: str) -> int:
        """The number of bytes of an entry.

        Raises:
            LoadError: there is none of that name.
        """
        return int(self._entry(name)[1].file_size)

    def _entry(self, name: str) -> tuple[int, zipfile.ZipInfo]:
        found = self._starts.get(self.folder + name)
        if found is None:
            raise _broken(f"file not found: {self.folder}{name}")
        return found

    def read(self, name: str) -> np.ndarray:
        """The bytes of an entry: memory of its own, or the file's mapped into memory.

        Raises:
            LoadError: the entry is missing, short, or has another checksum.
        """
        start, info = self._entry(name)
        size = info.file_size
        if self._path is not None and size:
            return np.memmap(self._path, np.uint8, "c", start, (size,))
        data = np.empty(size, np.uint8)
        self._file.seek(start)
        fill(self._file, data)
        # PyTorch leaves a checksum out, as 0, where it was told to
        if info.CRC and zlib.crc32(data.data) != info.CRC:
            raise _broken(f"entry {info.filename!r} has another checksum than the directory says")
        return data


def fill(file: Any, data: np.ndarray) -> None:
    """Read as many bytes from a file as an array has.

    Raises:
        LoadError: the file ends before.
    """
    done = 0
    while done < data.size and hasattr(file, "readinto"):
        count = file.readinto(data[done:].data)
        if not count:
            break
        done += count
    while done < data.size:
        wanted = min(data.size - done, 1 << 28)
        part = file.read(wanted)
        if not part:
            raise LoadError("the file ends too early: copy or download it again")
        data[done : done + len(part)] = np.frombuffer(part, np.uint8)
        done += len(part)


def is_archive(file: io.BufferedIOBase) -> bool:
    """Whether a file begins as a zip file does; it stays where it is."""
    at = file.tell()
    begin = file.read(4)
    file.seek(at)
    return begin == b"PK\3\4"
