"""Unpacking archives: nothing outside the goal, and each file whole or not there at all."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import shutil
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

_OPENERS: dict[str, Callable[..., Any]] = {".bz2": bz2.open, ".gz": gzip.open, ".xz": lzma.open}
_ALIASES = {".tbz": (".tar", ".bz2"), ".tbz2": (".tar", ".bz2"), ".tgz": (".tar", ".gz")}
_ARCHIVES = (".tar", ".zip")


def _kind(file: Path) -> tuple[str, str | None, str | None]:
    """The end of the name, and the archive and compression that it tells of."""
    suffixes = file.suffixes
    if not suffixes:
        raise RuntimeError(
            f"File '{file}' has no suffixes that could be used to detect the archive type and "
            "compression."
        )
    last = suffixes[-1]
    if last in _ALIASES:
        return last, *_ALIASES[last]
    if last in _ARCHIVES:
        return last, last, None
    if last in _OPENERS:
        if len(suffixes) > 1 and suffixes[-2] in _ARCHIVES:
            return suffixes[-2] + last, suffixes[-2], last
        return last, None, last
    known = sorted({*_ALIASES, *_ARCHIVES, *_OPENERS})
    raise RuntimeError(
        f"Unknown compression or archive type: '{last}'.\nKnown suffixes are: '{known}'."
    )


def _move(source: Path, goal: Path) -> None:
    """Put a file or a folder into its place, over what has the same name."""
    if not source.is_dir() or source.is_symlink() or not goal.exists():
        os.replace(source, goal)
        return
    for entry in source.iterdir():
        _move(entry, goal / entry.name)


def _unpack(file: Path, goal: Path, archive: str, compression: str | None) -> None:
    goal.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".unpacking-", dir=goal))
    try:
        if archive == ".tar":
            mode: Any = f"r:{compression[1:]}" if compression else "r:"
            with tarfile.open(file, mode) as tar:
                tar.extractall(scratch, filter="data")
        else:
            with zipfile.ZipFile(file) as bundle:
                bundle.extractall(scratch)
        for entry in scratch.iterdir():
            _move(entry, goal / entry.name)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _decompress(file: Path, goal: Path, compression: str) -> None:
    goal.parent.mkdir(parents=True, exist_ok=True)
    handle, scratch = tempfile.mkstemp(prefix=goal.name, suffix=".part", dir=goal.parent)
    try:
        with os.fdopen(handle, "wb") as target, _OPENERS[compression](file, "rb") as source:
            shutil.copyfileobj(source, target, 1 << 20)
        os.chmod(scratch, 0o644)  # mkstemp makes files for their owner alone
        os.replace(scratch, goal)
    except BaseException:
        os.unlink(scratch)
        raise


def extract_archive(
    from_path: str | os.PathLike[str],
    to_path: str | os.PathLike[str] | None = None,
    remove_finished: bool = False,
) -> Any:
    """Unpack an archive, or decompress a file.

    Args:
        from_path: the file; the end of its name tells its kind.
        to_path: the folder for what is in it; that of the file if absent.
        remove_finished: whether the file is deleted afterwards.

    Returns:
        The folder, or the decompressed file.

    Raises:
        RuntimeError: the name tells no kind that is known.

    Source: https://github.com/pytorch/vision/blob/main/torchvision/datasets/utils.py
    """
    file = Path(from_path)
    folder = file.parent if to_path is None else Path(to_path)
    suffix, archive, compression = _kind(file)
    made = folder
    if archive is not None:
        _unpack(file, folder, archive, compression)
    else:
        made = folder / file.name.removesuffix(suffix)
        _decompress(file, made, suffix)
    if remove_finished:
        file.unlink()
    return os.fspath(made) if isinstance(from_path, str) else made
