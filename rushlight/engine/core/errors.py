"""Finding the user's line, and building messages that say what to do."""

from __future__ import annotations

import os
import sys
from types import FrameType

PACKAGE_FOLDER = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Location:
    """A line of the user's program: where an operation was recorded."""

    __slots__ = ("filename", "function", "line")

    def __init__(self, filename: str, line: int, function: str) -> None:
        self.filename = filename
        self.line = line
        self.function = function

    def __str__(self) -> str:
        return f'File "{self.filename}", line {self.line}, in {self.function}'


def user_frame() -> FrameType | None:
    """The innermost frame that is not rushlight's own."""
    frame: FrameType | None = sys._getframe(1)
    while frame is not None and frame.f_code.co_filename.startswith(PACKAGE_FOLDER):
        frame = frame.f_back
    return frame


def user_location() -> Location | None:
    """Where in the user's program the present call was made."""
    frame = user_frame()
    if frame is None:
        return None
    return Location(frame.f_code.co_filename, frame.f_lineno, frame.f_code.co_name)


def with_location(error: BaseException, location: Location | None) -> BaseException:
    """``error`` with a note naming the line that recorded the operation."""
    if location is not None:
        error.add_note(f"recorded at: {location}")
    return error
