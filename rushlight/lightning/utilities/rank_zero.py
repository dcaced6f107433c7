"""What is done by one process of several alone; in a single process that is this one."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Callable
from typing import Any

log = logging.getLogger("rushlight.lightning")


def rank_zero_only(function: Callable[..., Any]) -> Callable[..., Any]:
    """Run a function in the process of number 0 alone; the others get ``None``.

    >>> rank_zero_only(lambda: "here")()
    'here'
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs) if rank_zero_only.rank == 0 else None  # type: ignore[attr-defined]

    return call


rank_zero_only.rank = 0  # type: ignore[attr-defined]


@rank_zero_only
def rank_zero_info(message: str, *args: Any, **kwargs: Any) -> None:
    """Tell the log."""
    log.info(message, *args, **kwargs)


@rank_zero_only
def rank_zero_debug(message: str, *args: Any, **kwargs: Any) -> None:
    """Tell the log, where it wants details."""
    log.debug(message, *args, **kwargs)


@rank_zero_only
def rank_zero_warn(message: str, category: type[Warning] = UserWarning, **_: Any) -> None:
    """Warn."""
    warnings.warn(message, category, stacklevel=4)


@rank_zero_only
def rank_zero_deprecation(message: str, **_: Any) -> None:
    """Warn of something that will go."""
    warnings.warn(message, DeprecationWarning, stacklevel=4)
