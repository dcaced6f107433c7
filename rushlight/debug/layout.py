"""Where the boxes of a drawn graph go: layers from top to bottom, few crossings.

The steps are those of Sugiyama, Tagawa and Toda, 1981, https://doi.org/10.1109/TSMC.1981.4308636:
a layer for each box, points on the way of long edges, an order within each layer, coordinates.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

GAP_X, GAP_Y = 24.0, 44.0


@dataclass(eq=False, slots=True)
class Box:
    """A box of the drawing, or (with no width) a point an edge passes through."""

    width: float
    height: float
    layer: int = 0
    x: float = 0.0  #: of its middle
    y: float = 0.0  #: of its top
    above: list[Box] = field(default_factory=list)
    below: list[Box] = field(default_factory=list)


@dataclass(slots=True)
class Layout:
    """A drawing: the size, and for each edge the boxes and points it goes through."""

    width: float
    height: float
    routes: dict[tuple[int, int], list[Box]]


def arrange(boxes: Sequence[Box], edges: Sequence[tuple[int, int]]) -> Layout:
    """Place the boxes; every edge leads from an earlier box of the sequence to a later one.

    >>> boxes = [Box(50, 20), Box(50, 20), Box(50, 20)]
    >>> _ = arrange(boxes, [(0, 1), (1, 2), (0, 2)])
    >>> [box.layer for box in boxes]
    [0, 1, 2]
    """
    for source, target in edges:
        boxes[target].layer = max(boxes[target].layer, boxes[source].layer + 1)
    _pull_down(boxes, edges)
    layers: list[list[Box]] = [[] for _ in range(1 + max((b.layer for b in boxes), default=0))]
    for box in boxes:
        layers[box.layer].append(box)
    routes = {}
    for source, target in dict.fromkeys(edges):
        route = [boxes[source]]
        for layer in range(boxes[source].layer + 1, boxes[target].layer):
            point = Box(0.0, 0.0, layer)
            layers[layer].append(point)
            route.append(point)
        route.append(boxes[target])
        for upper, lower in pairwise(route):
            upper.below.append(lower)
            lower.above.append(upper)
        routes[source, target] = route
    _order(layers)
    width = _place(layers)
    return Layout(width, _stack(layers), routes)


def _pull_down(boxes: Sequence[Box], edges: Sequence[tuple[int, int]]) -> None:
    """Bring a box without anything above it close to what it leads to."""
    fed = {target for _, target in edges}
    nearest: dict[int, int] = {}
    for source, target in edges:
        nearest[source] = min(nearest.get(source, 1 << 30), boxes[target].layer)
    for index, layer in nearest.items():
        if index not in fed:
            boxes[index].layer = layer - 1


def _order(layers: list[list[Box]]) -> None:
    """Order every layer by the middle of its neighbours, downwards and upwards in turn."""
    for sweep in range(12):
        downwards = sweep % 2 == 0
        for layer in layers if downwards else reversed(layers):
            places = {}
            for index, box in enumerate(layer):
                near = box.above if downwards else box.below
                places[id(box)] = sum(b.x for b in near) / len(near) if near else float(index)
            layer.sort(key=lambda box: places[id(box)])
            for index, box in enumerate(layer):
                box.x = float(index)


def _place(layers: list[list[Box]]) -> float:
    """Give every box its x, as near to its neighbours as the room allows; the width."""
    for layer in layers:
        at = 0.0
        for box in layer:
            box.x = at + box.width / 2
            at += box.width + GAP_X
    for sweep in range(24):
        for layer in layers if sweep % 2 == 0 else reversed(layers):
            wanted = []
            for box in layer:
                near = [*box.above, *box.below]
                wanted.append(sum(b.x for b in near) / len(near) if near else box.x)
            _fit(layer, wanted)
    left = min((b.x - b.width / 2 for layer in layers for b in layer), default=0.0)
    right = max((b.x + b.width / 2 for layer in layers for b in layer), default=0.0)
    for layer in layers:
        for box in layer:
            box.x += GAP_X - left
    return right - left + 2 * GAP_X


def _fit(layer: list[Box], wanted: list[float]) -> None:
    """Move boxes towards where they want to be without overlap."""
    to_right, to_left = list(wanted), list(wanted)
    for i in range(1, len(layer)):
        room = (layer[i - 1].width + layer[i].width) / 2 + GAP_X
        to_right[i] = max(to_right[i], to_right[i - 1] + room)
    for i in range(len(layer) - 2, -1, -1):
        room = (layer[i].width + layer[i + 1].width) / 2 + GAP_X
        to_left[i] = min(to_left[i], to_left[i + 1] - room)
    for box, a, b in zip(layer, to_right, to_left, strict=True):
        box.x = (a + b) / 2


def _stack(layers: list[list[Box]]) -> float:
    at = GAP_Y / 2
    for layer in layers:
        tallest = max((box.height for box in layer), default=0.0)
        for box in layer:
            box.y = at + (tallest - box.height) / 2
        at += tallest + GAP_Y
    return at
