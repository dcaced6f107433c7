"""Appending many new values to a trace at once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import repeat
from typing import Any

from rushlight.engine.backends.cpu.objects import Words
from rushlight.engine.ir.graph import Meta, Value
from rushlight.engine.runtime.compiled import objects

new = object.__new__


def rows_of(metas: Sequence[Meta], buffers: Sequence[Any]) -> Words:
    """The addresses of metas and buffers that the caller keeps, for ``append``."""
    return Words(zip(map(id, metas), map(id, buffers), strict=True))


def append(
    listed: list[Any], metas: Sequence[Meta], rows: Words | None, first: int,
    buffers: Sequence[Any] | None = None,
) -> None:  # fmt: skip
    """Append a value for each of ``metas``, numbered from ``first`` on.

    Args:
        listed: the values of a trace.
        metas: what is known of the new ones.
        rows: the addresses of the metas and buffers (``rows_of``), for generated code, or ``None``.
        first: the number of the first one.
        buffers: their buffers; ``None`` where nothing has been computed.
    """
    if rows is not None and objects.append is not None:
        objects.append(listed, rows.address, len(metas), first, objects.api)
        return
    made: list[Any] = list(map(new, repeat(Value, len(metas))))
    for value, meta, buffer in zip(made, metas, buffers or repeat(None)):  # noqa: B905
        value.meta = meta
        value.pos = first
        value.buffer = buffer
        first += 1
    listed += made
