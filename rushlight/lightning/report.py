"""What an evaluation prints."""

from __future__ import annotations

from typing import Any

_WIDTH = 26


def print_results(results: list[dict[str, Any]], stage: str) -> None:
    """Print the values of an evaluation as a table.

    >>> print_results([{"acc": 0.5}], "test")
    ──────────────────────────────────────────────────────
            Test metric               DataLoader 0
    ──────────────────────────────────────────────────────
                acc                        0.5
    ──────────────────────────────────────────────────────
    """
    if not any(results):
        return
    line = "─" * (_WIDTH + _WIDTH * len(results) + 2)
    titles = [f"{stage.capitalize()} metric", *(f"DataLoader {n}" for n in range(len(results)))]
    names = dict.fromkeys(name.partition("/dataloader_idx_")[0] for one in results for name in one)
    print(line, _row(titles), line, sep="\n")
    for name in names:
        cells = [
            one.get(name, one.get(f"{name}/dataloader_idx_{n}")) for n, one in enumerate(results)
        ]
        print(_row([name, *("" if cell is None else str(cell) for cell in cells)]))
    print(line)


def _row(cells: list[str]) -> str:
    return "".join(f"{cell:^{_WIDTH + 1}}" for cell in cells).rstrip()
