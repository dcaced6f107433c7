"""The programs there are, with the numbers by which reports call them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.engine.core.errors import Location
from rushlight.engine.ir.program import Node, Program
from rushlight.engine.ops.group import foreach
from rushlight.engine.runtime.cache import slots
from rushlight.engine.runtime.misses import history


@dataclass(eq=False, slots=True)
class Known:
    """A program of the tree.

    Attributes:
        number: its place in the order in which programs appeared; 0 where that is forgotten.
        program: the program.
        reason: why it was run for the first time.
        location: the user's line that had it run then.
    """

    number: int
    program: Program
    reason: str = ""
    location: Location | None = None

    @property
    def compiled(self) -> bool:
        """Whether it has a compiled form."""
        return getattr(self.program, "compiled", None) is not None

    @property
    def report(self) -> Any:
        """What the compiler says of it, ``None`` where it says nothing."""
        return getattr(self.program, "report", None)


def known_programs() -> list[Known]:
    """All programs of all trees, in the order in which they appeared."""
    remembered = {id(miss.program): miss for miss in history}
    found = []
    for slot in list(slots.every.values()):
        stack: list[Any] = [slot.root]
        while stack:
            state = stack.pop()
            for program in list((state.by_held or {}).values()):
                miss = remembered.get(id(program))
                if miss is None:
                    found.append(Known(0, program))
                else:
                    found.append(Known(miss.serial, program, miss.reason, miss.location))
            stack.extend(list(state.values()))
    return sorted(found, key=lambda known: known.number)


def find_program(which: int | Program | None = None) -> Known:
    """A program by its number, or the one that has run the most operations.

    Raises:
        ValueError: there is none.
    """
    programs = known_programs()
    if isinstance(which, Program):
        return next((k for k in programs if k.program is which), Known(0, which))
    if which is not None:
        for known in programs:
            if known.number == which:
                return known
        numbers = ", ".join(str(known.number) for known in programs[-20:])
        raise ValueError(f"no program has the number {which}; there are {numbers or 'none'}")
    if not programs:
        raise ValueError("no program has run so far: read a result first, with .item() or print")
    return max(programs, key=lambda known: (known.program.runs * len(known.program.nodes)))


def label(node: Node) -> str:
    """The name of an operation as its user knows it."""
    spec = node.spec
    if spec.op is foreach:
        return f"optimizer ({len(spec.attrs[0].rows)} tensors)"
    return spec.op.name


def input_roles(program: Program) -> dict[int, str]:
    """What the outside values of a program are: their type and shape."""
    metas: dict[int, str] = {}
    for node in program.nodes:
        for number, meta in zip(node.inputs, node.spec.inputs, strict=True):
            if number in program.inputs and meta is not None:
                metas[number] = repr(meta).strip("<>")
    return metas
