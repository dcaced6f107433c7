"""Finding the program of a trace: a tree of recorded operations, walked while recording.

Note: the key of a trace
    Every recorded operation moves the trace from one ``State`` to the next along the key
    ``(spec, positions of the inputs)``. A spec stands for operator, attributes and the metas of
    the inputs, so two traces end in the same state exactly if they did the same operations on
    values of the same shapes and types in the same order. At the flush the reference counts of the
    values tell which of them somebody still holds; state and held values together are the key of
    the program. Python numbers and the contents of tensors are not part of it.
"""

from __future__ import annotations

from typing import Any

from rushlight.engine.core import log
from rushlight.engine.core.errors import Location, user_location
from rushlight.engine.ir.program import Node, Program

#: States kept before the tree starts anew: a bound for programs that never come back.
MAX_STATES = 100_000


class Counters:
    """What has happened since the start, for ``rushlight.debug.stats``."""

    __slots__ = ("flushes", "nodes_run", "programs", "runs", "states", "tree_resets")

    def __init__(self) -> None:
        self.flushes = self.runs = self.programs = self.states = 0
        self.tree_resets = self.nodes_run = 0


counters = Counters()


class State(dict[Any, "State"]):
    """A place in the tree: the operations recorded so far, in this order."""

    __slots__ = ("by_counts", "by_held", "first", "key", "location", "parent")

    def __init__(self, parent: State | None, key: Any, first: int, location: Any) -> None:
        self.parent = parent
        self.key = key
        self.first = first
        self.location: Location | None = location
        self.by_counts: dict[tuple[int, ...], Program] | None = None
        self.by_held: dict[tuple[bool, ...], Program] | None = None

    def __missing__(self, key: Any) -> State:
        counters.states += 1
        first = len(tree.values) - len(key[0].outs)
        made = self[key] = State(self, key, first, user_location())
        return made

    def nodes(self) -> list[Node]:
        """The operations from the root to here."""
        listed = []
        state = self
        while state.parent is not None:
            listed.append(Node(state.key[0], state.key[1:], state.first, state.location))
            state = state.parent
        listed.reverse()
        return listed


class Tree:
    """The root of all states, and the values of the trace being recorded."""

    __slots__ = ("pinned", "root", "state", "values")

    def __init__(self) -> None:
        self.root = State(None, None, 0, None)
        self.state = self.root
        self.values: list[Any] = []
        self.pinned = 0  # bytes of outside values that the trace keeps alive

    def restart(self) -> None:
        """Begin an empty trace."""
        self.values = []
        self.pinned = 0
        if counters.states > MAX_STATES:
            self.root = State(None, None, 0, None)
            counters.states = 0
            counters.tree_resets += 1
        self.state = self.root


tree = Tree()


def find_program(state: State, counts: tuple[int, ...], unheld: int) -> Program:
    """The program for a trace that ended in ``state`` with these reference counts.

    Args:
        state: where the trace ended.
        counts: the reference count of every value.
        unheld: the count of a value nobody but the trace holds.
    """
    if state.by_counts is None or state.by_held is None:
        state.by_counts, state.by_held = {}, {}
    program = state.by_counts.get(counts)
    if program is not None:
        return program
    held = tuple([count > unheld for count in counts])
    program = state.by_held.get(held)
    if program is None:
        program = state.by_held[held] = Program(state.nodes(), len(counts), held)
        counters.programs += 1
        if log.enabled("programs"):
            log.write("programs", f"new program\n{program}")
    if len(state.by_counts) > 64:
        state.by_counts.clear()
    state.by_counts[counts] = program
    return program
