"""Tables, times and sizes as text."""

from __future__ import annotations

from collections.abc import Sequence


def format_time(microseconds: float, unit: str | None = None) -> str:
    """A time with its unit.

    >>> format_time(1234.5), format_time(12.0), format_time(3e6), format_time(12.0, "ms")
    ('1.234ms', '12.000us', '3.000s', '0.012ms')
    """
    scales = {"s": 1e6, "ms": 1e3, "us": 1.0}
    if unit is None:
        unit = "s" if microseconds >= 1e6 else "ms" if microseconds >= 1e3 else "us"
    return f"{microseconds / scales[unit]:.3f}{unit}"


def format_memory(size: float) -> str:
    """A number of bytes with its unit.

    >>> format_memory(12), format_memory(2048), format_memory(-3 * 1024**2)
    ('12 B', '2.00 KB', '-3.00 MB')
    """
    for unit, scale in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(size) >= scale:
            return f"{size / scale:.2f} {unit}"
    return f"{size:.0f} B"


def format_table(
    titles: Sequence[str], rows: Sequence[Sequence[str]], footer: str, header: str | None = None
) -> str:
    """Columns aligned to the right, between lines of dashes.

    >>> [line.strip() for line in format_table(["a"], [["1"]], "end").split("\\n")][1:4:2]
    ['a', '1']
    """
    widths = [
        max(12, len(title), *[len(row[i]) for row in rows]) for i, title in enumerate(titles)
    ]
    line = "".join("-" * width + "  " for width in widths)

    def aligned(cells: Sequence[str]) -> str:
        return "".join(cell.rjust(width) + "  " for cell, width in zip(cells, widths, strict=True))

    parts = [line, aligned(titles), line, *map(aligned, rows), line, footer, ""]
    if header is not None:
        parts = ["=" * len(line), header, *parts]
    return "\n".join(parts)
