"""Data that has been looked at when an operation was recorded."""

from __future__ import annotations

from typing import Any


class Checked:
    """Arrays whose elements were found to be good: class numbers, places in a table.

    What has been computed already is looked at when an operation on it is recorded, so that the
    error names that line; before a compiled program runs, it need not be looked at again. Between
    the two nothing writes to an array that the trace reads. It is all forgotten at the flush.
    """

    __slots__ = ("known",)

    def __init__(self) -> None:
        #: by ``id``: the array, kept so that no other gets its ``id``, and what it is good for
        self.known: dict[int, tuple[Any, Any]] = {}

    def add(self, array: Any, purpose: Any) -> None:
        """``array`` is good for a purpose."""
        self.known[id(array)] = array, purpose

    def has(self, array: Any, purpose: Any) -> bool:
        """Whether ``array`` was found to be good for that since the last flush."""
        found = self.known.get(id(array))
        return found is not None and found[1] == purpose


checked = Checked()
