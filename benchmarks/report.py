"""The results as Markdown tables and as a plot."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

from benchmarks.sides import SIDES

BASE = "torch"
Results = dict[str, Any]

_HEADS = {"rushlight": "rushlight", "torch": "PyTorch", "jax": "JAX"}


def shown(seconds: float | None) -> str:
    """Seconds in a unit that suits them."""
    if seconds is None:
        return "-"
    if seconds < 1e-3:
        return f"{seconds * 1e6:.0f} µs"
    return f"{seconds * 1e3:.2f} ms" if seconds < 1 else f"{seconds:.2f} s"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in lines)


def _beside(values: dict[str, float], side: str, show: Callable[[float], str] = shown) -> str:
    """A figure, and how it stands to PyTorch eager's."""
    if side not in values:
        return "-"
    text = show(values[side])
    return (
        text
        if side == BASE or BASE not in values
        else (f"{text} ({values[side] / values[BASE]:.2f})")
    )


def _sides(rows: Iterable[dict[str, Any]], field: str) -> list[str]:
    present = {side for row in rows for side in row[field]}
    return [side for side in SIDES if side in present]


def _heads(sides: Iterable[str]) -> list[str]:
    return [_HEADS.get(side, side) for side in sides]


def steady_table(rows: list[dict[str, Any]]) -> str:
    """Seconds of a step."""
    sides = _sides(rows, "read every step")
    blocks = []
    for what, text in (
        ("read every step", "A training step (or one inference), the loss read every step"),
        ("read at the end", "The loss read once, after the last of the steps"),
        ("processor", "Processor time of a step, all threads, the loss read every step"),
    ):
        lines = [[row["title"], *(_beside(row[what], side) for side in sides)] for row in rows]
        blocks += [f"{text}:", _table(["step", *_heads(sides)], lines)]
    return "\n\n".join([*blocks, *_absent(rows), *_swings(rows)])


def _absent(rows: list[dict[str, Any]]) -> list[str]:
    """Which sides are missing, and why."""
    reasons = {
        f"{_HEADS.get(side, side)}: {reason}"
        for row in rows
        for side, reason in row.get("absent", {}).items()
    }
    return [f"Absent: {reason}." for reason in sorted(reasons)]


def _swings(rows: list[dict[str, Any]]) -> list[str]:
    """A warning where the rounds of one side differ much: the machine was busy otherwise."""
    found = [
        f"{row['title']}, {_HEADS.get(side, side)} ({factor:.1f})"
        for row in rows
        for side, factor in row["unsteady"].items()
    ]
    return [f"Unsteady (slowest round over fastest): {'; '.join(found)}."] if found else []


def startup_table(rows: list[dict[str, Any]]) -> str:
    """Fresh processes: time and memory."""
    sides = _sides(rows, "sides")
    blocks = []
    for what, text, show in (
        ("first step", "The first step", shown),
        ("first step, processor", "Processor time of the first step, all threads", shown),
        ("early", "The first steps, from the start of the process, import included", shown),
        ("peak", "Peak resident memory of the process", _megabytes),
        ("above import", "Peak resident memory above what is there after the import", _megabytes),
    ):
        lines = []
        for row in rows:
            values = {side: row["sides"][side][what] for side in row["sides"]}
            title = row["title"] + (f", {row['early steps']} steps" if what == "early" else "")
            lines.append([title, *(_beside(values, side, show) for side in sides)])
        blocks += [f"{text}:", _table(["workload", *_heads(sides)], lines)]
    return "\n\n".join([*blocks, *_absent(rows)])


def _megabytes(count: float) -> str:
    return f"{count / 2**20:.0f} MiB"


def payback_table(rows: list[dict[str, Any]]) -> str:
    """Compiling and its return."""
    sides = _sides(rows, "cold")
    lines = []
    for row in rows:
        for what in ("cold", "warm"):
            title = f"{row['title']}: first {row[f'{what} steps']}, {what}"
            lines.append([title, *(_beside(row[what], side) for side in sides)])
    table = _table(["from the start of the process", *_heads(sides)], lines)
    text = "\n\n".join([table, *_absent(rows)])
    if all(row["rushlight keeps code"] for row in rows):
        return text
    return f"{text}\n\nrushlight keeps no compiled code on disk yet: its warm rows are cold ones."


def neighbour_table(rows: list[dict[str, Any]]) -> str:
    """Slower by which factor."""
    sides = _sides(rows, "factor")
    lines = [
        [
            row["title"],
            *(f"{row['factor'][side]:.2f} ({shown(row['beside'][side])})" for side in sides),
        ]
        for row in rows
    ]
    table = _table(["slower by, beside a busy neighbour (step)", *_heads(sides)], lines)
    return "\n\n".join([table, *_absent(rows)])


def limit_table(rows: list[dict[str, Any]]) -> str:
    """What the arithmetic needs, what the step takes."""
    lines = []
    for row in rows:
        rest = row["step"] - row["products alone"]
        others = sum(row["other kernels alone"].values())
        lines.append(
            [
                row["title"], f"{row['operations'] / 1e6:.1f} MFLOP", shown(row["at best rate"]),
                shown(row["products alone"]), shown(others), shown(row["step"]), shown(rest),
                f"{row['step'] / row['products alone']:.2f}",
            ]
        )  # fmt: skip
    heads = [
        "workload", "products and convolutions", "at the best rate", "measured alone",
        "other operations alone, interpreter", "step", "step less products", "step / products",
    ]  # fmt: skip
    best = max(row["rate"] for row in rows) / 1e9
    missing = sorted({name for row in rows for name in row["not measured"]})
    note = f"\n\nNot measured alone: {'; '.join(missing)}." if missing else ""
    return f"{_table(heads, lines)}\n\nBest rate of a product: {best:.0f} GFLOP/s.{note}"


_PARTS: list[tuple[str, str, Callable[[list[dict[str, Any]]], str]]] = [
    ("steady", "Steady steps", steady_table),
    ("startup", "Fresh processes", startup_table),
    ("payback", "Pay-back of compiling", payback_table),
    ("neighbour", "A busy neighbour", neighbour_table),
    ("limit", "Distance from the limit", limit_table),
]


def markdown(results: Results) -> str:
    """All tables that there are results for; figures in brackets are ratios to PyTorch eager."""
    about = results["about"]
    where = [about["date"], about["machine"], f"{about['cores']} cores", f"load {about['load']}"]
    where += [f"{name} {version}" for name, version in about["versions"].items()]
    text = [f"{', '.join(where)}. In brackets: ratio to PyTorch eager in the same run."]
    if float(about["load"]) > 0.25 * about["cores"]:
        text.append("The machine was busy with something else: these ratios say little.")
    for name, title, table in _PARTS:
        if results.get(name):
            text += [f"## {title}", table(results[name])]
    return "\n\n".join(text) + "\n"


def plot(results: Results, file: Path) -> bool:
    """How many times faster than PyTorch eager a steady step is, as bars; False without a plotter.

    Args:
        results: what has been measured, with rows in ``results["steady"]``.
        file: the picture to write.
    """
    rows = [row for row in results.get("steady", []) if BASE in row["read every step"]]
    if not rows:
        return False
    try:
        import matplotlib
    except ImportError:
        return False
    matplotlib.use("Agg")
    from matplotlib import pyplot

    sides = [side for side in _sides(rows, "read every step") if side != BASE]
    figure, axes = pyplot.subplots(figsize=(8, 1.5 + 0.6 * len(rows)), layout="constrained")
    width = 0.8 / max(1, len(sides))
    for number, side in enumerate(sides):
        known = [(i, row["read every step"]) for i, row in enumerate(rows)]
        places = [(i, times[BASE] / times[side]) for i, times in known if side in times]
        axes.barh(
            [i + (number - (len(sides) - 1) / 2) * width for i, _ in places],
            [speed for _, speed in places], height=width, label=_HEADS.get(side, side),
        )  # fmt: skip
    axes.axvline(1.0, color="black", linewidth=1)
    axes.set_xscale("log", base=2)
    axes.xaxis.set_major_formatter(lambda speed, _: f"{speed:g}")
    axes.set_yticks(range(len(rows)), [row["title"] for row in rows])
    axes.invert_yaxis()
    axes.set_xlabel("times faster than PyTorch eager (a steady step; further right is faster)")
    axes.legend(fontsize="small")
    figure.savefig(file, dpi=120)
    pyplot.close(figure)
    return True
