"""What data sets are made with: downloads, checksums, archives, checks of arguments."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from rushlight.vision.datasets._archives import extract_archive
from rushlight.vision.datasets._download import calculate_md5, check_integrity, fetch

__all__ = [
    "calculate_md5",
    "check_integrity",
    "check_md5",
    "download_and_extract_archive",
    "download_url",
    "extract_archive",
    "list_dir",
    "list_files",
    "verify_str_arg",
]

_Path = str | os.PathLike[str]


def check_md5(fpath: _Path, md5: str) -> bool:
    """Whether the file has this checksum."""
    return calculate_md5(fpath) == md5


def download_url(
    url: str, root: _Path, filename: _Path | None = None, md5: str | None = None
) -> None:
    """Bring a file from the network, unless it is there already.

    Args:
        url: its address.
        root: the folder for it.
        filename: its name there; the last part of the address if absent.
        md5: its checksum.

    Raises:
        RuntimeError: the address did not give it; says what it answered.
    """
    name = os.path.basename(url) if filename is None else filename
    fetch([url], Path(os.path.expanduser(root)) / name, md5)


def download_and_extract_archive(
    url: str,
    download_root: _Path,
    extract_root: _Path | None = None,
    filename: _Path | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """Bring an archive from the network, unless it is there already, and unpack it.

    Args:
        url: its address.
        download_root: the folder for it.
        extract_root: the folder for what is in it; the same if absent.
        filename: its name there; the last part of the address if absent.
        md5: its checksum.
        remove_finished: whether the archive is deleted afterwards.
    """
    folder = os.path.expanduser(download_root)
    name = os.path.basename(url) if filename is None else filename
    download_url(url, folder, name, md5)
    extract_archive(os.path.join(folder, name), extract_root or folder, remove_finished)


def list_dir(root: _Path, prefix: bool = False) -> list[str]:
    """The folders in a folder, with the path to it in front if ``prefix``."""
    folder = os.path.expanduser(root)
    found = [name for name in os.listdir(folder) if os.path.isdir(os.path.join(folder, name))]
    return [os.path.join(folder, name) for name in found] if prefix else found


def list_files(root: _Path, suffix: str, prefix: bool = False) -> list[str]:
    """The files in a folder whose names end like this, with the path in front if ``prefix``."""
    folder = os.path.expanduser(root)
    found = [
        name
        for name in os.listdir(folder)
        if name.endswith(suffix) and os.path.isfile(os.path.join(folder, name))
    ]
    return [os.path.join(folder, name) for name in found] if prefix else found


def verify_str_arg(
    value: Any,
    arg: str | None = None,
    valid_values: Iterable[str] | None = None,
    custom_msg: str | None = None,
) -> str:
    """``value`` itself, once it is known to be one of some strings.

    >>> from rushlight.vision.datasets.utils import verify_str_arg
    >>> verify_str_arg("train", "split", ("train", "val"))
    'train'
    """
    if not isinstance(value, str):
        place = "" if arg is None else f" for argument {arg}"
        raise ValueError(f"Expected type str{place}, but got type {type(value)}.")
    if valid_values is not None:
        known = list(valid_values)
        if value not in known:
            shown = "'" + "', '".join(known) + "'"
            raise ValueError(
                custom_msg
                or f"Unknown value '{value}' for argument {arg}. Valid values are {{{shown}}}."
            )
    return value
