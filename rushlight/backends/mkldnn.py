"""Switches of PyTorch's ``torch.backends.mkldnn``: oneDNN, which rushlight computes with."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rushlight.engine.backends.cpu import onednn

enabled = True
deterministic = False
allow_tf32 = False


def is_available() -> bool:
    """Whether oneDNN is there.

    >>> import rushlight as torch
    >>> torch.backends.mkldnn.is_available() in (True, False)
    True
    """
    return onednn.available()


@contextmanager
def flags(
    enabled: bool = False, deterministic: bool = False, allow_tf32: bool = True
) -> Iterator[None]:
    """Set the switches for a ``with`` block; they are remembered, without effect on results."""
    own = globals()
    names = ("enabled", "deterministic", "allow_tf32")
    before = {name: own[name] for name in names}
    own.update(enabled=enabled, deterministic=deterministic, allow_tf32=allow_tf32)
    try:
        yield
    finally:
        own.update(before)
