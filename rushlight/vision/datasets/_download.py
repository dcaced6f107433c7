"""Files from the network: checked, resumed where a download broke off, whole or not there at all.

Note: what lies on the disk
    A download grows in ``name.part`` beside its goal, under a lock where the system has one, and
    takes its name once its checksum is right. Whoever asks for the same file meanwhile waits and
    finds it; whoever asks after a break goes on from what is there.
"""

from __future__ import annotations

import contextlib
import hashlib
import http.client
import os
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO, Any

try:
    import fcntl
except ImportError:  # not on Windows: two processes that download at once both do the work
    fcntl = None  # type: ignore[assignment]

USER_AGENT = "rushlight"

#: Seconds without an answer after which a server counts as absent.
TIMEOUT = 30.0

_CHUNK = 1 << 16
_PARTIAL_CONTENT = 206
_RANGE_REFUSED = 416


def calculate_md5(fpath: str | os.PathLike[str], chunk_size: int = 1024 * 1024) -> str:
    """The MD5 checksum of a file as 32 hexadecimal digits.

    >>> import os
    >>> from rushlight.vision.datasets.utils import calculate_md5
    >>> calculate_md5(os.devnull)
    'd41d8cd98f00b204e9800998ecf8427e'
    """
    digest = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            digest.update(chunk)
    return digest.hexdigest()


def check_integrity(fpath: str | os.PathLike[str], md5: str | None = None) -> bool:
    """Whether the file is there and has this checksum (any, if ``None``)."""
    return os.path.isfile(fpath) and (md5 is None or calculate_md5(fpath) == md5)


@contextlib.contextmanager
def _locked(file: IO[bytes]) -> Iterator[None]:
    """Let other processes wait that download the same file."""
    if fcntl is not None:
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        yield
    finally:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_UN)


def _receive(response: Any, file: IO[bytes], already: int, name: str) -> None:
    """Write what the server sends, with a bar that shows how far it is."""
    from tqdm import tqdm

    length = response.headers.get("Content-Length")
    total = None if length is None else already + int(length)
    with tqdm(total=total, initial=already, unit="B", unit_scale=True, desc=name) as bar:
        while chunk := response.read(_CHUNK):
            file.write(chunk)
            bar.update(len(chunk))
    if total is not None and file.tell() < total:
        raise urllib.error.URLError(f"the connection broke off at {file.tell()} of {total} bytes")


def _fetch(url: str, file: IO[bytes], name: str) -> None:
    """Complete ``file``, beginning behind what it holds already."""
    already = file.seek(0, os.SEEK_END)
    headers = {"User-Agent": USER_AGENT}
    if already:
        headers["Range"] = f"bytes={already}-"
    request = urllib.request.Request(url, headers=headers)
    try:
        response = urllib.request.urlopen(request, timeout=TIMEOUT)
    except urllib.error.HTTPError as error:
        if error.code == _RANGE_REFUSED and already:
            return  # nothing is left to send; the checksum tells whether this is the file
        raise
    with response:
        if already and response.status != _PARTIAL_CONTENT:
            already = file.seek(0)
            file.truncate()
        _receive(response, file, already, name)
    file.flush()
    os.fsync(file.fileno())


def _complete(url: str, partial: Path, goal: Path, md5: str | None) -> None:
    with open(partial, "ab+") as file, _locked(file):
        if check_integrity(goal, md5):  # another process was first
            return
        _fetch(url, file, goal.name)
        if md5 is not None and calculate_md5(partial) != md5:
            found = calculate_md5(partial)
            file.truncate(0)  # so that the next attempt begins anew
            raise RuntimeError(
                f"File not found or corrupted. {url} has the MD5 checksum {found}, expected {md5}"
            )
        os.replace(partial, goal)


def fetch(urls: Sequence[str], goal: Path, md5: str | None) -> None:
    """Bring a file from the first of several addresses that has it.

    Args:
        urls: the addresses, tried in this order.
        goal: where the file shall be.
        md5: its checksum; a file that has it already is left alone.

    Raises:
        RuntimeError: no address gave the file; says what each answered.
    """
    if check_integrity(goal, md5):
        return
    goal.parent.mkdir(parents=True, exist_ok=True)
    partial = goal.with_name(goal.name + ".part")
    problems = []
    for url in urls:
        try:
            _complete(url, partial, goal, md5)
        except (OSError, RuntimeError, http.client.HTTPException) as error:
            problems.append(f"Tried {url}, got:\n{error}\n")
            continue
        partial.unlink(missing_ok=True)
        return
    if partial.exists() and not partial.stat().st_size:
        partial.unlink(missing_ok=True)
    raise RuntimeError(f"Error downloading {goal.name}:\n{''.join(problems)}")


def by_hand(folder: str | os.PathLike[str], files: Sequence[tuple[str, str | None]]) -> str:
    """What to do without a network: which files belong where, and how to know them.

    >>> from rushlight.vision.datasets._download import by_hand
    >>> print(by_hand("data", [("a.gz", "0123"), ("b.gz", None)]))
    Without a network, bring these files into data by hand:
      a.gz  (MD5 0123)
      b.gz
    """
    lines = [f"Without a network, bring these files into {os.fspath(folder)} by hand:"]
    lines += [f"  {name}" + ("" if md5 is None else f"  (MD5 {md5})") for name, md5 in files]
    return "\n".join(lines)
