"""Marking the main function of a launched script."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def record(fn: Callable[..., Any], error_handler: Any = None) -> Callable[..., Any]:
    """Mark ``fn`` as the script's main function.

    The launcher shows the error of the rank that goes wrong first whether its main function is
    marked or not, so the function is only called.

    Args:
        fn: the function.
        error_handler: accepted for PyTorch's sake.

    >>> from rushlight.distributed.elastic.multiprocessing.errors import record
    >>> record(lambda: 3)()
    3
    """

    @functools.wraps(fn)
    def call(*args: Any, **kwargs: Any) -> Any:
        return fn(*args, **kwargs)

    return call
