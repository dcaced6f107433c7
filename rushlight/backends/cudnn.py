"""Switches of PyTorch's ``torch.backends.cudnn``; accepted, without effect on a processor."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

benchmark = False
benchmark_limit: int | None = None
deterministic = False
enabled = True
allow_tf32 = True


def is_available() -> bool:
    """Whether cuDNN can be used.

    >>> import rushlight as torch
    >>> torch.backends.cudnn.is_available()
    False
    """
    return False


def version() -> int | None:
    """The version of cuDNN: none."""
    return None


@contextmanager
def flags(
    enabled: bool = False, benchmark: bool = False, benchmark_limit: int = 10,
    deterministic: bool = False, allow_tf32: bool = True,
) -> Iterator[None]:  # fmt: skip
    """Set the switches for a ``with`` block.

    >>> import rushlight as torch
    >>> with torch.backends.cudnn.flags(enabled=True, benchmark=True):
    ...     torch.backends.cudnn.benchmark
    True
    """
    own = globals()
    names = ("enabled", "benchmark", "benchmark_limit", "deterministic", "allow_tf32")
    before = {name: own[name] for name in names}
    own.update(
        enabled=enabled, benchmark=benchmark, benchmark_limit=benchmark_limit,
        deterministic=deterministic, allow_tf32=allow_tf32,
    )  # fmt: skip
    try:
        yield
    finally:
        own.update(before)
