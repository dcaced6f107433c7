"""Backward passes that have been recorded before: recorded again without asking the formulas.

Note: the memo of a backward pass
    The same pass over the same graph, begun in the same state of the trace, always records the same
    operations on the same values. A memo says which graph it was (the nodes in the order in which
    they were visited, where what they saved stands in the trace, where their edges lead), what was
    appended to the trace, in which state that ended, and which value became the ``grad`` of which
    leaf. The next pass compares its graph with the memo, without changing anything; if all of it is
    equal, it appends in bulk what the memo lists. Only the plainest passes have memos: from one
    scalar, without hooks and functions of the user's, into leaves that have no gradient yet. A
    formula that reads the contents of a tensor, or brings in a tensor of its own, spoils the memo.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Any
from weakref import ref

from rushlight.engine.core.errors import user_location
from rushlight.engine.ir.graph import Meta, Value
from rushlight.engine.runtime.cache import State, Trace, here
from rushlight.engine.trace.appending import append, rows_of
from rushlight.engine.trace.differentiate import anomaly
from rushlight.engine.trace.recorder import enter, mode, overflow

new = object.__new__

#: Memos of one state: of graphs that differ though the operations recorded are the same.
PER_STATE = 16

#: States with memos; the oldest loses its own when there are more.
MAX_STATES = 2000

# A node of the graph, as it was when the pass came by: where it stands in this trace (then the
# trace's state tells its spec and what it saved), or -1; its plan and spec, which tell its class
# too; places in the trace of what it saved (-1: from outside, `None`: it saved nothing there);
# which of its edges leads to which visit, with the number of the output there. An edge that leads
# nowhere is not listed: the plan says where these are.
Visit = tuple[int, Any, Any, list[int | None], list[tuple[int, int, int]]]


class Memo:
    """One recorded pass.

    Attributes:
        retain: whether the graph was kept.
        output: number of the root's output the pass began with, and the meta of that.
        start: how many values the trace had.
        visits: the nodes in their order; each but the first was found by one before it.
        count: how many nodes and leaves there are; the leaves come last.
        metas: what is known of the leaves.
        outside: visit and slot of every saved value from outside the trace, and its number.
        distinct: how many different ones these are.
        entries: metas of everything that was appended.
        numbers: the Python numbers among it, else ``None``.
        entered: which entries are values from outside, and their numbers.
        end: the state reached.
        gradients: for every leaf the place of its gradient in the trace, -1 if it got none.
        locations: operations that may fail when they run.
        freed: visits at which what was saved is forgotten if the graph is not kept.
        rows: the entries as generated code takes them, once it has.
    """

    __slots__ = (
        "count", "distinct", "end", "entered", "entries", "freed", "gradients", "locations",
        "metas", "numbers", "output", "outside", "retain", "rows", "start", "visits",
    )  # fmt: skip

    retain: bool
    output: tuple[int, Meta]
    start: int
    visits: list[Visit]
    count: int
    metas: list[Meta]
    outside: list[tuple[int, int, int]]
    distinct: int
    entries: list[Meta]
    numbers: list[Any]
    entered: dict[int, int]
    end: State
    gradients: list[int]
    locations: list[int]
    freed: list[int]
    rows: Any


class Passes:
    """The passes that began in one state.

    Attributes:
        memos: those that are remembered.
        tries: how many have been watched since one was recorded from its memo.
        skip: how many pass by before the next one is watched.
    """

    __slots__ = ("__weakref__", "memos", "skip", "tries")

    def __init__(self) -> None:
        self.memos: list[Memo] = []
        self.tries = 0
        self.skip = 0


# Known weakly: a memo leads to a state, and so to all of its tree, which may have been given up.
_with_memos: deque[ref[Passes]] = deque()


def remember(passes: Passes, memo: Memo) -> None:
    """Keep a memo; the states that got theirs long ago give it up."""
    if not passes.memos:
        _with_memos.append(ref(passes))
        while len(_with_memos) > MAX_STATES:
            oldest = _with_memos.popleft()()
            if oldest is not None:
                oldest.memos.clear()
    passes.memos.append(memo)
    if len(passes.memos) > PER_STATE:
        del passes.memos[0]


def settled(tensor: Any) -> bool:
    """Whether ``tensor`` need not be looked up: it is alone, or the whole of a storage as it is.

    A loss has a storage as soon as somebody has asked for ``loss.detach()``.
    """
    alias = tensor._alias
    return alias is None or (alias.version == tensor._seen and tensor._base is None)


def replay(tensor: Any, retain: bool) -> bool:
    """Record the backward pass from ``tensor`` if it is one that has a memo; whether it is."""
    trace = here.trace
    passes = trace.state.passes
    if passes is None or anomaly.enabled or tensor._edge is None or not settled(tensor):
        return False
    count = len(trace.values)
    for memo in passes.memos:
        if memo.retain is retain and memo.start == count:
            nodes = _nodes(memo, tensor)
            if nodes is None:
                continue
            leaves = _leaves(memo, nodes)
            if leaves is None:
                continue
            outside = _outside(memo, nodes) if memo.outside else ()
            if outside is None:
                continue
            if count + len(memo.entries) > trace.limit:
                return False
            _append(memo, trace, nodes, leaves, outside)
            passes.tries = 0
            return True
    return False


def _nodes(memo: Memo, tensor: Any) -> list[Any] | None:
    """The nodes and leaves of the graph, if its nodes are those of the memo."""
    root, output = tensor._edge
    wanted, meta = memo.output
    if output != wanted or tensor._value.meta is not meta:
        return None
    nodes: list[Any] = [None] * memo.count
    nodes[0] = root
    last = root.sequence + 1
    origin = here.trace.origin
    try:
        for node, (there, plan, spec, saved, edges) in zip(nodes, memo.visits, strict=False):
            # passes visit later nodes first; the order also tells the nodes apart
            sequence = node.sequence
            if (
                sequence >= last
                or node.plan is not plan
                or node.hooks
                or node.post_hooks
                or node.saved is None
            ):
                return None
            if there >= 0:
                if node.place - origin != there:
                    return None
            elif node.spec is not spec or saved != [
                None if value is None else value.pos for value in node.saved
            ]:
                return None
            last = sequence
            every = node.edges
            for index, place, number in edges:
                target, output = every[index]
                have = nodes[place]
                if have is None:
                    nodes[place] = target
                elif have is not target:
                    return None
                if output != number:
                    return None
    except (AttributeError, TypeError):
        return None  # another kind of node, or a graph that has been freed
    return nodes


def _leaves(memo: Memo, nodes: list[Any]) -> list[Any] | None:
    """The leaves of the graph, if they are like those of the memo."""
    ends = nodes[len(memo.visits) :]
    try:
        leaves = [node._leaf() for node in ends]
        # different nodes, each the present one of its leaf: so the leaves are different too
        if len(set(map(id, ends))) != len(ends) or [leaf._edge[0] for leaf in leaves] != ends:
            return None
        if [leaf._value.meta for leaf in leaves] != memo.metas:
            return None
        for leaf, node in zip(leaves, ends, strict=True):
            if leaf._grad is not None or leaf._post_accumulate_hooks:
                return None
            if node.post_hooks or (node.hooks and any(node.hooks.values())):
                return None
    except (AttributeError, TypeError):
        return None  # no leaf, one that is gone, or does without gradients now
    return leaves


def _outside(memo: Memo, nodes: list[Any]) -> list[Any] | None:
    """What the graph has saved of values from outside the trace, if they are shared alike."""
    outside: list[Any] = [None] * memo.distinct
    for visit, slot, number in memo.outside:
        value = nodes[visit].saved[slot]
        if outside[number] is None:
            outside[number] = value
        elif outside[number] is not value:
            return None
    return outside if len(set(map(id, outside))) == memo.distinct else None


def _append(
    memo: Memo, trace: Trace, nodes: list[Any], leaves: list[Any], outside: Sequence[Value]
) -> None:
    """Append what the memo lists, and hand out the gradients."""
    listed = trace.values
    if memo.rows is None:
        memo.rows = rows_of(memo.entries, memo.numbers)
    try:
        if memo.entered:
            _append_with_outside(memo, trace, outside)
        else:
            append(listed, memo.entries, memo.rows, memo.start, memo.numbers)
        trace.state = memo.end
    except BaseException:  # Ctrl-C: values without their operations would be taken for others
        trace.trim()
        raise
    position = memo.start + len(memo.entries)
    base, plain = trace.slot.base, mode.tensor
    for leaf, place in zip(leaves, memo.gradients, strict=True):
        if place >= 0:
            leaf._grad = gradient = new(plain)
            gradient._value = listed[place - base]
    if memo.locations:
        if trace.locations is None:
            trace.locations = {}
        found: Any = user_location()
        trace.locations.update(dict.fromkeys(memo.locations, found))
    if not memo.retain:
        for index in memo.freed:
            nodes[index].saved = None
    if position > trace.limit:
        overflow()


def _append_with_outside(memo: Memo, trace: Trace, outside: Sequence[Value]) -> None:
    made: list[Any] = []
    append(made, memo.entries, None, memo.start, memo.numbers)
    for index, value in enumerate(made):
        if index in memo.entered:
            enter(trace, outside[memo.entered[index]])
        else:
            trace.values.append(value)
