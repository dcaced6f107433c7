"""Finding the user's line, and building messages that say what to do."""

from __future__ import annotations

import ast
import linecache
import os
import sys
from types import FrameType, TracebackType

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
    """``error`` as if it had been raised by the line that recorded the operation.

    Its traceback goes through that line, and a note says that the line was run earlier.
    """
    if location is not None:
        error.add_note(f"recorded at: {location}")
        inner, entry = error.__traceback__, _entry(location)
        if entry is not None:
            entry.tb_next = inner
            error.__traceback__ = entry
    return error


def _entry(location: Location) -> TracebackType | None:
    """A traceback of one entry, for a line that has been left already."""
    text = linecache.getline(location.filename, location.line).rstrip()
    start = len(text) - len(text.lstrip())
    place = {
        "lineno": location.line,
        "end_lineno": location.line,
        "col_offset": start,
        "end_col_offset": max(len(text.encode()), start + 1),
    }
    error = ast.Call(ast.Name("_error", ast.Load(), **place), [], [], **place)
    module = ast.Module([ast.Raise(error, None, **place)], [])
    code = compile(module, location.filename, "exec").replace(co_name=location.function)
    try:
        exec(code, {"_error": _Marker})
    except _Marker as marker:
        return marker.__traceback__.tb_next if marker.__traceback__ else None
    return None


class _Marker(Exception):
    """Raised to get a traceback."""
