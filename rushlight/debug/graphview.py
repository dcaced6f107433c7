"""A program as a picture: an HTML page with its operations, shapes and lines."""

from __future__ import annotations

import os
from collections.abc import Iterator
from html import escape
from os import PathLike
from typing import Any

from rushlight.debug.layout import Box, Layout, arrange
from rushlight.debug.programs import Known, find_program, input_roles, label
from rushlight.engine.ir.program import Node, Program

#: A kind of operation, its colour.
COLOURS: dict[str, str] = {
    "pointwise": "#e8f0fe",
    "reduction": "#e6f4ea",
    "view": "#f1f3f4",
    "matmul": "#fce8e6",
    "conv": "#fef7e0",
    "gather": "#e4f7fb",
    "random": "#f3e8fd",
    "other": "#fff0e0",
}

#: Outlines of groups that are computed together.
OUTLINES = ("#1a73e8", "#188038", "#d93025", "#9334e6", "#e37400", "#129eaf", "#b80672", "#5f6368")

CHARACTER, LINE = 6.6, 15.0

_STYLE = """
body { margin: 0; font: 14px system-ui, sans-serif; color: #202124; background: #fff }
header { padding: 12px 16px; border-bottom: 1px solid #dadce0 }
h1 { font-size: 16px; margin: 0 0 4px }
p { margin: 2px 0; color: #5f6368 }
main { overflow: auto }
svg text { font: 11px ui-monospace, monospace }
svg .name { font-weight: bold; font-size: 12px }
svg .where { fill: #80868b }
svg path { fill: none; stroke: #9aa0a6 }
svg g:hover rect { stroke: #202124; stroke-width: 2 }
.key span { display: inline-block; padding: 0 6px; margin-right: 6px; border: 1px solid #dadce0 }
pre { padding: 0 16px; color: #5f6368 }
"""


def graph(path: str | PathLike[str], program: int | Program | None = None) -> str:
    """Write a page that shows a program as a graph; open it in a browser.

    Args:
        path: the file to write, such as ``"program.html"``.
        program: its number in ``explain()``, or the program itself; by default the one that has
            run the most operations.

    Returns:
        The absolute path of the page.

    Raises:
        ValueError: there is no such program.

    >>> import rushlight as torch, tempfile, os
    >>> _ = (torch.ones(3).exp() * 2).sum().item()
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     page = torch.debug.graph(os.path.join(folder, "program.html"))
    ...     os.path.getsize(page) > 1000
    True
    """
    known = find_program(program)
    with open(path, "w", encoding="utf-8") as file:
        file.write(page(known))
    return os.path.abspath(path)


def page(known: Known) -> str:
    """The page of a program as text."""
    program = known.program
    title = f"Program {known.number}" if known.number else "Program"
    facts = [
        f"{len(program.nodes)} operations, {len(program.inputs)} inputs, {len(program.keep)} "
        f"values kept; run {program.runs} times, "
        + ("compiled" if known.compiled else "interpreted")
    ]
    if known.location is not None:
        facts.append(f"run for {known.reason or 'a read'} at {known.location}")
    kinds = sorted({node.spec.op.kind for node in program.nodes})
    key = "".join(
        f'<span style="background:{COLOURS.get(kind, "#fff")}">{kind}</span>' for kind in kinds
    )
    report = "" if known.report is None else f"<pre>{escape(str(known.report))}</pre>"
    return (
        f'<!DOCTYPE html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        f"<style>{_STYLE}</style></head><body><header><h1>{title}</h1>"
        + "".join(f"<p>{escape(fact)}</p>" for fact in facts)
        + f'<p class="key">{key} a double frame: the value is kept</p></header><main>'
        + drawing(known)
        + f"</main>{report}</body></html>\n"
    )


def drawing(known: Known) -> str:
    """The graph of a program as SVG."""
    program = known.program
    texts = [list(_texts(program, node)) for node in program.nodes]
    boxes = [
        Box(max(map(len, text)) * CHARACTER + 16, len(text) * LINE + 10) for text in texts
    ]
    maker = {number: i for i, node in enumerate(program.nodes) for number in node.outputs}
    edges = [
        (maker[number], i)
        for i, node in enumerate(program.nodes)
        for number in dict.fromkeys(node.inputs)
        if number in maker
    ]
    found = arrange(boxes, edges)
    groups = getattr(known.report, "groups", None) or {}
    shapes = [
        _box(node, box, text, program, groups)
        for node, box, text in zip(program.nodes, boxes, texts, strict=True)
    ]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{found.width:.0f}" '
        f'height="{found.height:.0f}">{_edges(found)}{"".join(shapes)}</svg>'
    )


def _texts(program: Program, node: Node) -> Iterator[str]:
    """The lines written into a box."""
    spec = node.spec
    yield label(node)
    more = f" and {len(spec.outs) - 1} more" if len(spec.outs) > 1 else ""
    yield f"%{node.first} {spec.out!r}".replace("<", "").replace(">", "") + more
    for name, value in zip(spec.op.attr_names, spec.attrs, strict=True):
        if value != spec.op.attr_defaults.get(name) and name != "plan":
            yield f"{name}={value!r}"[:48]
    roles = input_roles(program)
    outside = [n for n in dict.fromkeys(node.inputs) if n in roles]
    for number in outside[:4]:
        yield f"in %{number} {roles[number]}"
    if len(outside) > 4:
        yield f"and {len(outside) - 4} inputs more"
    if node.location is not None:
        yield f"{os.path.basename(node.location.filename)}:{node.location.line}"


def _box(node: Node, box: Box, texts: list[str], program: Program, groups: dict[int, Any]) -> str:
    x, y = box.x - box.width / 2, box.y
    group = groups.get(node.first)
    outline = "#dadce0" if group is None else OUTLINES[hash(group) % len(OUTLINES)]
    fill = COLOURS.get(node.spec.op.kind, "#fff")
    frame = (
        f'<rect x="{x:.1f}" y="{y:.1f}" width="{box.width:.1f}" height="{box.height:.1f}" '
        f'rx="4" fill="{fill}" stroke="{outline}"/>'
    )
    if any(number in program.keep for number in node.outputs):
        frame += (
            f'<rect x="{x - 3:.1f}" y="{y - 3:.1f}" width="{box.width + 6:.1f}" '
            f'height="{box.height + 6:.1f}" rx="6" fill="none" stroke="{outline}"/>'
        )
    lines = []
    for index, text in enumerate(texts):
        last = index == len(texts) - 1 and node.location is not None
        kind = "name" if index == 0 else "where" if last else "fact"
        lines.append(
            f'<text class="{kind}" x="{x + 8:.1f}" y="{y + 16 + index * LINE:.1f}">'
            f"{escape(text)}</text>"
        )
    hint = f"{node}" + (f"\n{node.location}" if node.location is not None else "")
    if group is not None:
        hint += f"\ncomputed together with group {group}"
    return f"<g><title>{escape(hint)}</title>{frame}{''.join(lines)}</g>"


def _edges(found: Layout) -> str:
    drawn = []
    for route in found.routes.values():
        x, y = route[0].x, route[0].y + route[0].height
        path = f"M{x:.1f} {y:.1f}"
        for box in route[1:]:
            middle = (y + box.y) / 2
            path += f"C{x:.1f} {middle:.1f} {box.x:.1f} {middle:.1f} {box.x:.1f} {box.y:.1f}"
            x, y = box.x, box.y
        drawn.append(f'<path d="{path}"/>')
    return "".join(drawn)
