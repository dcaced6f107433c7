"""Watching a backward pass that is recorded the long way, to make a memo of it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

from rushlight.engine.core.watch import watch
from rushlight.engine.ir.graph import Value
from rushlight.engine.runtime.cache import State, here
from rushlight.engine.trace.differentiate import AccumulateGrad, Backward, anomaly
from rushlight.engine.trace.replay import Memo, Passes, remember, settled

#: So many passes in a row are watched for nothing; then ever fewer.
TRIES = 8


def learner(tensor: Any, retain: bool) -> Learner | None:
    """Who watches the pass from ``tensor`` that begins now; nobody when a state is new."""
    state = here.trace.state
    passes = state.passes
    if passes is None:
        state.passes = Passes()
        return None
    if watch.read is not None or anomaly.enabled:
        return None
    if tensor._edge is None or not settled(tensor):
        return None
    if passes.skip:
        passes.skip -= 1
        return None
    passes.tries += 1
    if passes.tries > TRIES:
        passes.skip = 1 << min(passes.tries - TRIES, 12)
    return Learner(tensor, retain)


class _Watched(Backward):
    """A pass that tells its learner where it is."""

    learner: Learner

    def _visit(self, node: Any) -> None:
        self.learner.see(node)
        super()._visit(node)


class Learner:
    """Watches one pass and makes its memo.

    Args:
        tensor: what the pass begins with.
        retain: whether the graph is kept.
    """

    def __init__(self, tensor: Any, retain: bool) -> None:
        self.trace = here.trace
        self.state = self.trace.state
        self.start = len(self.trace.values)
        self.writes = len(self.trace.writes or ())
        self.failing = set(self.trace.locations or ())
        self.output = tensor._edge[1], tensor._value.meta
        self.retain = retain
        self.plain = True
        self.nodes: list[Any] = []
        self.leaves: list[Any] = []
        self.saved: list[list[Value | None]] = []

    def run(self, roots: Sequence[tuple[Any, Any]]) -> None:
        """Record the pass, and keep its memo if it is plain."""
        note = self._note_read
        watch.read = note
        try:
            walk = _Watched(roots, self.retain, False)
            walk.learner = self
            walk.run()
        finally:
            if watch.read is note:
                watch.read = None
        memo = self._memo() if self.plain else None
        if memo is not None:
            remember(self.state.passes, memo)

    def _note_read(self, *_: Any) -> None:
        self.plain = False

    def see(self, node: Any) -> None:
        """Take down a node before it is visited."""
        if node.post_hooks or (node.hooks and any(node.hooks.values())):
            self.plain = False
        elif node.__class__ is AccumulateGrad:
            leaf = node.variable
            self.plain = (
                self.plain
                and leaf is not None
                and leaf._grad is None
                and not leaf._post_accumulate_hooks
                and leaf._edge is not None
                and leaf._edge[0] is node
            )
        elif getattr(node, "plan", None) is None or node.__class__ is not node.spec.node_class:
            self.plain = False  # a function of the user's
        if self.plain:
            self.nodes.append(node)
            self.saved.append([] if node.is_leaf_node else list(node.saved or ()))

    def _memo(self) -> Memo | None:
        """The memo of what has been seen, ``None`` if the pass was not as plain as it has to be."""
        trace, sequences = self.trace, [node.sequence for node in self.nodes]
        if trace is not here.trace or len(trace.writes or ()) != self.writes:
            return None
        if any(a <= b for a, b in pairwise(sequences)):
            return None
        memo = Memo()
        memo.retain, memo.output, memo.start = self.retain, self.output, self.start
        memo.end = trace.state
        memo.locations = sorted(set(trace.locations or ()) - self.failing)
        numbers: dict[int, int] = {}
        complete = (
            self._put_visits(memo)
            and self._put_outside(memo, numbers)
            and self._put_entries(memo, numbers)
            and self._put_gradients(memo)
        )
        return memo if complete else None

    def _put_visits(self, memo: Memo) -> bool:
        leaves = [node for node in self.nodes if node.is_leaf_node]
        inner = [node for node in self.nodes if not node.is_leaf_node]
        order = {id(node): index for index, node in enumerate(inner + leaves)}
        memo.count = len(order)
        memo.metas = [node.variable._value.meta for node in leaves]
        memo.visits = []
        self.saved = [
            saved
            for node, saved in zip(self.nodes, self.saved, strict=True)
            if not node.is_leaf_node
        ]
        for node, saved in zip(inner, self.saved, strict=True):
            if node.plan.needs != tuple(edge is not None for edge in node.edges):
                return False
            edges = [
                (index, order[id(edge[0])], edge[1])
                for index, edge in enumerate(node.edges)
                if edge is not None
            ]
            places = [self._place(value) for value in saved]
            there = node.place - self.trace.origin
            if not 0 <= there < self.start - self.trace.slot.base or -1 in places:
                there = -1  # from another trace
            memo.visits.append((there, node.plan, node.spec, places, edges))
        memo.freed = [i for i, node in enumerate(inner) if node.saved is None]
        memo.rows = None
        self.leaves = leaves
        return True

    def _place(self, value: Value | None) -> int | None:
        """Where a saved value stood when the pass began, -1 if outside."""
        if value is None:
            return None
        return value.pos if value.pos < self.start else -1

    def _put_outside(self, memo: Memo, numbers: dict[int, int]) -> bool:
        memo.outside = []
        for visit, saved in enumerate(self.saved):
            for slot, value in enumerate(saved):
                if value is None or 0 <= value.pos < self.start:
                    if value is not None and value.pos < self.trace.slot.base:
                        return False  # of another thread
                    continue
                if value.pos < -1:
                    return False  # memory that others write to
                number = numbers.setdefault(id(value), len(numbers))
                memo.outside.append((visit, slot, number))
        memo.distinct = len(numbers)
        return True

    def _put_entries(self, memo: Memo, numbers: dict[int, int]) -> bool:
        produced: set[int] = set()
        state: State | None = self.trace.state
        while state is not self.state:
            if state is None or state.parent is None:
                return False
            produced.update(range(state.first, state.first + len(state.key[0].outs)))
            state = state.parent
        memo.entries, memo.numbers, memo.entered = [], [], {}
        base = self.trace.slot.base
        for position in range(self.start, len(self.trace.values)):
            value = self.trace.values[position - base]
            number = None
            if position not in produced:
                if id(value) in numbers:
                    memo.entered[len(memo.entries)] = numbers[id(value)]
                elif value.meta.weak:
                    number = value.buffer
                else:
                    return False  # a tensor that a formula has made
            memo.entries.append(value.meta)
            memo.numbers.append(number)
        return True

    def _put_gradients(self, memo: Memo) -> bool:
        memo.gradients = []
        for node in self.leaves:
            gradient = node.variable._grad
            place = -1 if gradient is None else gradient._value.pos
            if gradient is not None and not (
                self.trace.slot.base <= place < len(self.trace.values)
            ):
                return False
            memo.gradients.append(place)
        return True
