"""Exceptions of a worker, raised again where the batch was waited for."""

from __future__ import annotations

import traceback
from typing import Any, NoReturn


class KeyErrorMessage(str):
    """Shown as it is by ``KeyError``, which shows the ``repr`` of what it gets."""

    __slots__ = ()

    def __repr__(self) -> str:
        return self


class ExceptionWrapper:
    """An exception with its traceback as text, since the frames themselves cannot travel.

    Args:
        error: what was raised.
        where: words for the place, such as ``"in DataLoader worker process 0"``.
    """

    def __init__(self, error: BaseException, where: str = "in background") -> None:
        self.exc_type: Any = type(error)
        self.exc_msg = "".join(traceback.format_exception(error))
        self.where = where

    def reraise(self) -> NoReturn:
        """Raise an exception of the same type whose message tells the worker's traceback."""
        message = f"Caught {self.exc_type.__name__} {self.where}.\nOriginal {self.exc_msg}"
        if self.exc_type is KeyError:
            raise KeyError(KeyErrorMessage(message))
        if getattr(self.exc_type, "message", None):
            raise self.exc_type(message=message)
        try:
            error = self.exc_type(message)
        except Exception:
            error = None  # a type whose arguments we do not know
        if not isinstance(error, BaseException):
            raise RuntimeError(message)
        raise error
