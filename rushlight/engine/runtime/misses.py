"""Why a program was not found: where the path of its trace left the known ones.

Note: the place where a path left
    All traces lie in one tree. The states of a new trace that no other has passed have one child
    and no program but its own. Going back from its end, the first state with an older branch or an
    older program is where it left what was known: the older branch is what was expected there.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

from rushlight.engine.core import log
from rushlight.engine.core.errors import Location, user_location
from rushlight.engine.ir.program import Node, Program

#: Misses that are remembered.
REMEMBERED = 1000

#: Inputs, and differences, that are written out one by one.
LISTED = 6

#: States looked at below a branch to find a program that has run there.
SEARCHED = 5000

_next_serial = count(1).__next__


@dataclass(eq=False, slots=True)
class Miss:
    """A program that was new when a trace was run."""

    serial: int  #: programs are numbered in the order in which they appeared
    state: Any  #: the place in the tree where its trace ended
    program: Program
    reason: str  #: why the trace was run
    location: Location | None  #: the user's line that had it run


@dataclass(eq=False, slots=True)
class Departure:
    """How a new trace differs from the nearest known one.

    Attributes:
        kind: ``"first"`` (nothing like it was known), ``"operation"`` (another operation),
            ``"longer"`` (went on where a known one ended), ``"shorter"`` (ended where a known one
            went on), ``"held"`` (the same operations, other values wanted).
        common: how many operations both have in common.
        expected: the operation of the known trace, where there is one.
        got: the operation recorded instead.
        wanted: values wanted now and not then (``"held"``).
        spared: values wanted then and not now.
    """

    kind: str
    common: int = 0
    expected: Node | None = None
    got: Node | None = None
    wanted: tuple[int, ...] = ()
    spared: tuple[int, ...] = ()


history: deque[Miss] = deque(maxlen=REMEMBERED)


#: Who is shown every new program, after it has run.
lookers: list[Callable[[Miss], None]] = []

#: New programs not shown yet.
fresh: deque[Miss] = deque()

#: Who is given every new program before it runs.
arrivals: list[Callable[[Program], None]] = []


def look() -> None:
    """Show the new programs to those who asked for it."""
    while fresh:
        miss = fresh.popleft()
        for looker in lookers:
            looker(miss)


def note(state: Any, program: Program, reason: str) -> None:
    """Remember a program that was not found, and say so where the user wants to know."""
    miss = Miss(_next_serial(), state, program, reason, user_location())
    history.append(miss)
    for tell in arrivals:
        tell(program)
    if lookers:
        fresh.append(miss)
    if log.enabled("recompiles"):
        log.write("recompiles", describe(miss))


def depth_of(state: Any) -> int:
    """How many operations lead to a state."""
    depth = 0
    while state.parent is not None:
        state, depth = state.parent, depth + 1
    return depth


def operation(state: Any) -> Node:
    """The last operation on the way to a state."""
    base = _root_of(state).first
    inputs = tuple(i - base if i >= 0 else i for i in state.key[1:])
    return Node(state.key[0], inputs, state.first - base, state.location)


def _root_of(state: Any) -> Any:
    while state.parent is not None:
        state = state.parent
    return state


def _older(programs: Iterable[Program], newer: set[int]) -> list[Program]:
    return [p for p in programs if id(p) not in newer]


def _known_below(state: Any, newer: set[int]) -> bool:
    """Whether an older program ends at ``state`` or further on (in the states searched)."""
    stack, left = [state], SEARCHED
    while stack and left:
        at = stack.pop()
        left -= 1
        if at.by_held and _older(at.by_held.values(), newer):
            return True
        stack.extend(at.values())
    return False


def departure(miss: Miss) -> Departure:
    """How the trace of ``miss`` differs from the nearest one known at that time."""
    newer = {id(other.program) for other in history if other.serial >= miss.serial}
    state = miss.state
    common = depth_of(state)
    ended = _older((state.by_held or {}).values(), newer)
    if ended:
        nearest = max(ended, key=lambda program: program.runs)
        now, then = set(miss.program.keep), set(nearest.keep)
        inputs = set(miss.program.owned) ^ set(nearest.owned)
        wanted, spared = sorted(now - then), sorted(then - now)
        if not wanted and not spared:
            wanted = sorted(inputs - set(miss.program.owned))
            spared = sorted(inputs & set(miss.program.owned))
        return Departure("held", common, wanted=tuple(wanted), spared=tuple(spared))
    for branch in reversed(state.values()):
        if _known_below(branch, newer):
            return Departure("shorter", common, expected=operation(branch))
    child = state
    while child.parent is not None:
        parent, common = child.parent, common - 1
        earlier = []
        for branch in parent.values():
            if branch is child:
                break
            earlier.append(branch)
        for branch in reversed(earlier):
            if not common and branch.key[0].op is not child.key[0].op:
                continue  # at the very beginning another operation is another program
            if _known_below(branch, newer):
                return Departure("operation", common, operation(branch), operation(child))
        if parent.parent is not None and _older((parent.by_held or {}).values(), newer):
            return Departure("longer", common, got=operation(child))
        child = parent
    return Departure("first")


def describe(miss: Miss) -> str:
    """The miss in words, with the lines of the user's program."""
    found = departure(miss)
    head = f"program {miss.serial} ({len(miss.program.nodes)} operations) is new"
    why = f"run for {miss.reason or 'a read'}" + (f" at {miss.location}" if miss.location else "")
    return "\n".join([f"{head}; {why}", *("  " + line for line in _reasons(found, miss))])


def _reasons(found: Departure, miss: Miss) -> list[str]:
    after = f"after {found.common} operations in common with a known trace"
    if found.kind == "first":
        return ["no known trace begins like this one"]
    if found.kind == "held":
        return _held_lines(found, miss.program)
    if found.kind == "longer":
        return [f"{after}, which ended there, came", _line("got", found.got)]
    if found.kind == "shorter":
        return [f"{after} it was run already; the known one went on", _line("expected",
                found.expected)]  # fmt: skip
    assert found.expected is not None
    assert found.got is not None
    return [
        after, _line("expected", found.expected), _line("got", found.got),
        *("  " + text for text in differences(found.expected, found.got)),
    ]  # fmt: skip


def _line(title: str, node: Node | None) -> str:
    where = f"  {node.location}" if node is not None and node.location is not None else ""
    return f"  {title:<8} {short(node)}{where}"


def short(node: Node | None) -> str:
    """An operation in one line, however many inputs and outputs it has."""
    if node is None:
        return ""
    spec = node.spec
    several = f" and {len(spec.outs) - 1} more" if len(spec.outs) > 1 else ""
    names = [f"%{i}" for i in node.inputs]
    if len(names) > LISTED:
        names[LISTED:] = [f"... {len(names) - LISTED} more"]
    attrs = [
        f"{name}={value!r}" for name, value in zip(spec.op.attr_names, spec.attrs, strict=True)
    ]
    return f"%{node.first}: {spec.out!r}{several} = {spec.op.name}({', '.join(names + attrs)})"


def _held_lines(found: Departure, program: Program) -> list[str]:
    made = {i: node for node in program.nodes for i in node.outputs}
    lines = ["the operations are known, but other values are wanted by somebody:"]
    for title, numbers in (("wanted", found.wanted), ("spared", found.spared)):
        for number in numbers:
            node = made.get(number)
            if node is None:
                lines.append(f"  {title:<8} %{number} (not computed by it)")
            else:
                lines.append(_line(title, node))
    return lines


def differences(expected: Node, got: Node) -> list[str]:
    """In what two operations differ, one line each.

    >>> import rushlight as torch
    >>> from rushlight.engine.ir.op import Op
    >>> from rushlight.engine.ir.program import Node
    >>> op, x, y = Op.registry["exp"], torch.ones(2), torch.ones(3)
    >>> specs = [op.specialize((x._value.meta,)), op.specialize((y._value.meta,))]
    >>> differences(*[Node(spec, (0,), 1, None) for spec in specs])
    ['input 0: expected <float32[2]>, got <float32[3]>']
    """
    first, second = expected.spec, got.spec
    if first.op is not second.op:
        return [f"another operation: expected {first.op.name}, got {second.op.name}"]
    lines = []
    for index, (a, b) in enumerate(zip(first.inputs, second.inputs, strict=False)):
        if a is not b:
            lines.append(f"input {index}: expected {a!r}, got {b!r}")
    if len(first.inputs) != len(second.inputs):
        lines.append(f"expected {len(first.inputs)} inputs, got {len(second.inputs)}")
    for name, one, other in zip(first.op.attr_names, first.attrs, second.attrs, strict=True):
        if one != other and repr(one) != repr(other):
            lines.append(f"{name}: expected {one!r}, got {other!r}")
    for index, (i, j) in enumerate(zip(expected.inputs, got.inputs, strict=False)):
        if i != j and first is second:
            lines.append(f"input {index} is another value: expected %{i}, got %{j}")
    if len(lines) > LISTED:
        lines[LISTED:] = [f"and {len(lines) - LISTED} differences more"]
    return lines
