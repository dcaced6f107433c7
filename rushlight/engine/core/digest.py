"""Hashes of texts and bytes; what computes them (3 ms to load) comes with the first one."""

from __future__ import annotations

from typing import Any, Final

#: How many bytes a digest has.
SIZE: Final = 32


def sha256(data: bytes = b"") -> Any:
    """The standard library's SHA-256 object for ``data``.

    >>> from rushlight.engine.core.digest import SIZE, sha256
    >>> len(sha256(b"text").digest()) == SIZE
    True
    """
    import hashlib

    return hashlib.sha256(data)
