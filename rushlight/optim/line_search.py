"""A line search for the strong Wolfe conditions.

From Nocedal and Wright, Numerical Optimization, 2006, algorithms 3.5 and 3.6, with the safeguards
of Schmidt's minFunc.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import sqrt
from typing import Any

#: How much of the promised decrease must come true, and how much the slope must flatten.
DECREASE, FLATTEN = 1e-4, 0.9
#: Brackets whose ends differ by less than this along every axis are not divided further.
SMALLEST_CHANGE = 1e-9


@dataclass
class Point:
    """A place on the line: how far, with loss, gradient, and slope along the line."""

    length: float
    loss: float
    gradient: Any
    slope: float


def cubic_minimum(a: Point, b: Point, low: float, high: float) -> float:
    """Where the cubic through two points with these slopes is least, between the bounds."""
    if a.length > b.length:
        a, b = b, a
    if a.length == b.length:
        return (low + high) / 2.0
    d1 = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.length - b.length)
    square = d1**2 - a.slope * b.slope
    if square < 0:
        return (low + high) / 2.0
    d2 = sqrt(square)
    width = b.length - a.length
    divisor = b.slope - a.slope + 2 * d2
    if divisor == 0:
        return (low + high) / 2.0
    least = b.length - width * ((b.slope + d2 - d1) / divisor)
    return min(max(least, low), high)


def strong_wolfe(
    look: Callable[[float], Point], start: Point, length: float, longest: float, most: int = 25
) -> tuple[Point, int]:
    """A point that satisfies the strong Wolfe conditions, or the best that was found.

    Args:
        look: evaluates a place on the line.
        start: the place to start from.
        length: where to look first.
        longest: the largest element of the direction.
        most: how many places may be looked at beyond the first.

    Returns:
        The point, and how often ``look`` was called.
    """
    search = _Search(look, start, longest, most)
    ends = search.bracket(length)
    if len(ends) == 1:
        return ends[0], search.evaluations
    return search.zoom(*ends), search.evaluations


class _Search:
    def __init__(
        self, look: Callable[[float], Point], start: Point, longest: float, most: int
    ) -> None:
        self.look = look
        self.start = start
        self.longest = longest
        self.most = most
        self.rounds = 0
        self.evaluations = 0

    def _evaluate(self, length: float) -> Point:
        self.evaluations += 1
        return self.look(length)

    def _too_high(self, point: Point) -> bool:
        start = self.start
        return point.loss > start.loss + DECREASE * point.length * start.slope

    def _flat_enough(self, point: Point) -> bool:
        return abs(point.slope) <= -FLATTEN * self.start.slope

    def bracket(self, length: float) -> tuple[Point, ...]:
        """One good point, or two between which a good one lies."""
        before, point = self.start, self._evaluate(length)
        while self.rounds < self.most:
            if self._too_high(point) or (self.rounds > 1 and point.loss >= before.loss):
                return before, point
            if self._flat_enough(point):
                return (point,)
            if point.slope >= 0:
                return before, point
            low = point.length + 0.01 * (point.length - before.length)
            following = cubic_minimum(before, point, low, point.length * 10)
            before, point = point, self._evaluate(following)
            self.rounds += 1
        return self.start, point

    def zoom(self, one: Point, other: Point) -> Point:
        """Make the bracket smaller until its better end is good."""
        best, worst = (one, other) if one.loss <= other.loss else (other, one)
        stuck = False
        while self.rounds < self.most:
            low, high = sorted((best.length, worst.length))
            if (high - low) * self.longest < SMALLEST_CHANGE:
                break
            length = cubic_minimum(best, worst, low, high)
            length, stuck = self._keep_away(length, low, high, stuck)
            point = self._evaluate(length)
            self.rounds += 1
            if self._too_high(point) or point.loss >= best.loss:
                worst = point
                if worst.loss < best.loss:
                    best, worst = worst, best
                continue
            if self._flat_enough(point):
                return point
            if point.slope * (worst.length - best.length) >= 0:
                worst = best
            best = point
        return best

    @staticmethod
    def _keep_away(length: float, low: float, high: float, stuck: bool) -> tuple[float, bool]:
        """Keep the next place away from the bracket's ends, at the latest at the second try."""
        margin = 0.1 * (high - low)
        if min(high - length, length - low) >= margin:
            return length, False
        if not stuck and low < length < high:
            return length, True
        near_high = abs(length - high) < abs(length - low)
        return (high - margin if near_high else low + margin), False
