"""Machine code on disk, so that the next process need not make it again.

An entry is a file named after the hash of all that its content follows from. It begins with a
mark and a hash of the key and the content: a file that is cut off, altered or of somebody else is
as good as none. Writing goes to a file of another name first, which then takes the entry's name,
so any number of processes may read and write. Whatever the disk refuses only costs time.
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final

from rushlight.engine.core import digest
from rushlight.engine.core.config import config

_MARK: Final = b"rushlight code 1\n"
_HEAD: Final = len(_MARK) + digest.SIZE
_ENDING: Final = ".code"
_UNFINISHED: Final = ".part"

#: Bytes that all entries together may take.
LIMIT: Final = 1 << 30

#: What is left when entries are removed, so that it is not done at every write.
_KEPT: Final = 0.9

#: Seconds after which a file that was never finished is removed.
_ABANDONED: Final = 3600.0

_numbers = count()


@dataclass(frozen=True, slots=True)
class Usage:
    """What a cache takes on disk.

    Attributes:
        folder: where it is; ``None`` where there is none.
        entries: how many.
        bytes: their sizes together.
    """

    folder: Path | None
    entries: int
    bytes: int


def key(*parts: str) -> str:
    """The name of an entry whose content follows from ``parts``.

    >>> key("text", "processor") == key("text", "processor") != key("textp", "rocessor")
    True
    """
    total = digest.sha256()
    for part in parts:
        data = part.encode()
        total.update(len(data).to_bytes(8, "little"))
        total.update(data)
    return total.hexdigest()


def _seal(name: str, content: bytes) -> bytes:
    return digest.sha256(name.encode() + content).digest()


class Store:
    """The entries in one folder.

    Args:
        folder: it is made when something is first kept; ``None`` keeps nothing.
        limit: bytes that all entries together may take.
    """

    def __init__(self, folder: Path | None, limit: int = LIMIT) -> None:
        self.folder = folder
        self.limit = limit
        self._held: int | None = None

    def get(self, name: str) -> bytes | None:
        """The content of an entry, or ``None`` if there is none that can be trusted."""
        if self.folder is None:
            return None
        path = self.folder / f"{name}{_ENDING}"
        try:
            with open(path, "rb") as file:
                if not _ours(file.fileno()):
                    return None
                data = file.read()
        except OSError:  # absent, or not to be read: as good as none
            return None
        content = data[_HEAD:]
        if data[:_HEAD] != _MARK + _seal(name, content):
            return None
        with contextlib.suppress(OSError):  # a disk that is only read keeps its times
            os.utime(path)
        return content

    def put(self, name: str, content: bytes) -> bool:
        """Keep an entry; whether the disk took it."""
        if self.folder is None or len(content) + _HEAD > self.limit:
            return False
        data = _MARK + _seal(name, content) + content
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            unfinished = self.folder / f"{name}.{os.getpid()}.{next(_numbers)}{_UNFINISHED}"
            number = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        except OSError:  # full, or only to be read
            return False
        try:
            with os.fdopen(number, "wb") as file:
                file.write(data)
            os.replace(unfinished, self.folder / f"{name}{_ENDING}")
        except OSError:  # full
            with contextlib.suppress(OSError):
                os.unlink(unfinished)
            return False
        self._make_room(len(data))
        return True

    def usage(self) -> Usage:
        """Where it is and what it takes."""
        sizes = [status.st_size for _, status in self._files(_ENDING)]
        return Usage(self.folder, len(sizes), sum(sizes))

    def clear(self) -> None:
        """Remove all entries."""
        for ending in (_ENDING, _UNFINISHED):
            for path, _ in self._files(ending):
                _remove(path)
        self._held = 0

    def _files(self, ending: str) -> Iterator[tuple[str, os.stat_result]]:
        if self.folder is None:
            return
        try:
            found = os.scandir(self.folder)
        except OSError:  # not made yet
            return
        with found:  # one after the other: there may be many
            for entry in found:
                if entry.name.endswith(ending):
                    with contextlib.suppress(OSError):  # another process has just removed it
                        yield entry.path, entry.stat(follow_symlinks=False)

    def _make_room(self, added: int) -> None:
        """Remove what was used least recently. What other processes add is seen at a count."""
        if self._held is not None:
            self._held += added
            if self._held <= self.limit:
                return
        now, total = time.time(), 0
        for path, status in self._files(""):
            if path.endswith(_ENDING):
                total += status.st_size
            elif path.endswith(_UNFINISHED) and now - status.st_mtime > _ABANDONED:
                _remove(path)
        if total > self.limit:
            entries = sorted(self._files(_ENDING), key=lambda pair: pair[1].st_mtime_ns)
            for path, status in entries:
                if total <= self.limit * _KEPT:
                    break
                _remove(path)
                total -= status.st_size
        self._held = total


def _ours(file: int) -> bool:
    """Whether a file belongs to this user: nobody else's code is run."""
    return not hasattr(os, "geteuid") or os.fstat(file).st_uid == os.geteuid()


def _remove(path: str) -> None:
    with contextlib.suppress(OSError):  # another process was faster, or the disk is only read
        os.unlink(path)


def folder() -> Path | None:
    """Where machine code is kept, or ``None`` if it is not."""
    if not config.cache:
        return None
    if config.cache_dir is not None:
        return Path(config.cache_dir)
    if config.cache_home is not None and os.path.isabs(config.cache_home):
        return Path(config.cache_home, "rushlight")
    try:
        return Path.home() / ".cache" / "rushlight"
    except RuntimeError:  # this user has no home
        return None


@cache
def shared() -> Store:
    """The cache that all programs of this process use."""
    return Store(folder())


def usage() -> Usage:
    """Where machine code is kept and what it takes.

    >>> from rushlight.engine.backends.cpu.llvm import store
    >>> store.usage().entries >= 0
    True
    """
    return shared().usage()
