"""Who looks on while programs run: nobody, unless a profiler or the debugging tools ask for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

#: ``flush(trace, program, reason)``: a program is about to run; it may return what is called after.
OnFlush = Callable[[Any, Any, str], Callable[[], None] | None]
#: ``read(value, reason)``: Python is about to look at the contents of a value.
OnRead = Callable[[Any, str], None]
#: ``copied(value, copy)``: shared memory has been copied to be read by a trace.
OnCopy = Callable[[Any, Any], None]
#: ``step(node, start, end, environment)``: the interpreter has run a node, in nanoseconds.
OnStep = Callable[[Any, int, int, list[Any]], None]
#: ``calls(calls, times)``: a compiled program has done calls of its plan, one after the other; a
#: time in nanoseconds before each of them and after the last.
OnCalls = Callable[[Sequence[Any], Sequence[int]], None]


class Watch:
    """What is called at which occasion; ``None`` (looked at once per program run) costs nothing."""

    __slots__ = ("calls", "copied", "flush", "read", "step")

    flush: OnFlush | None
    read: OnRead | None
    step: OnStep | None
    copied: OnCopy | None
    calls: OnCalls | None

    def __init__(self) -> None:
        self.flush = self.read = self.step = self.copied = self.calls = None


watch = Watch()


@contextmanager
def watching(
    flush: OnFlush | None = None,
    read: OnRead | None = None,
    step: OnStep | None = None,
    copied: OnCopy | None = None,
    calls: OnCalls | None = None,
) -> Iterator[None]:
    """Call these besides whoever is looking on already, as long as the ``with`` block lasts.

    >>> from rushlight.engine.core.watch import watch, watching
    >>> with watching(read=lambda value, reason: None):
    ...     watch.read is None
    False
    >>> watch.read is None
    True
    """
    before = watch.flush, watch.read, watch.step, watch.copied, watch.calls
    watch.flush = _both_flush(before[0], flush)
    watch.read = _both(before[1], read)
    watch.step = _both(before[2], step)
    watch.copied = _both(before[3], copied)
    watch.calls = _both(before[4], calls)
    try:
        yield
    finally:
        watch.flush, watch.read, watch.step, watch.copied, watch.calls = before


def _both(first: Any, second: Any) -> Any:
    if first is None or second is None:
        return first or second

    def call(*arguments: Any) -> None:
        first(*arguments)
        second(*arguments)

    return call


def _both_flush(first: OnFlush | None, second: OnFlush | None) -> OnFlush | None:
    if first is None or second is None:
        return first or second

    def call(trace: Any, program: Any, reason: str) -> Callable[[], None] | None:
        ends = [end for on in (first, second) if (end := on(trace, program, reason)) is not None]
        return None if not ends else lambda: _call_each(ends)

    return call


def _call_each(ends: list[Callable[[], None]]) -> None:
    for end in reversed(ends):
        end()
