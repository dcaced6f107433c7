"""A recorded program: its nodes, which of its values are wanted, and how it is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.engine.core.errors import Location
from rushlight.engine.ir.op import Spec


@dataclass(slots=True)
class Node:
    """One recorded operation; values are numbered in the order in which they appeared."""

    spec: Spec
    inputs: tuple[int, ...]  #: numbers of the input values, -1 where there is none
    first: int  #: number of the first output; the others follow
    location: Location | None  #: where it was recorded for the first time

    @property
    def outputs(self) -> range:
        """The numbers of the output values."""
        return range(self.first, self.first + len(self.spec.outs))

    def __str__(self) -> str:
        names = ", ".join(f"%{i}" for i in self.inputs)
        attrs = "".join(
            f", {n}={v!r}"
            for n, v in zip(self.spec.op.attr_names, self.spec.attrs, strict=True)
        )
        outs = zip(self.outputs, self.spec.outs, strict=True)
        results = ", ".join(f"%{i}: {m!r}" for i, m in outs)
        return f"{results} = {self.spec.op.name}({names}{attrs})"


class Program:
    """The nodes that somebody waits for, in order, and what becomes of every value.

    Attributes:
        nodes: the live nodes; what nobody holds and nobody needs is not among them.
        size: how many values the trace has.
        inputs: numbers of the values that come from outside and are read.
        held: numbers of the values somebody holds.
        keep: those of them that are computed.
        owned: numbers of outside values nobody else holds: their memory may be written over.
        runs: how often it has run.
        steps: the prepared form the interpreter walks, made on the first run.
        overwrites: whether a step may write over an outside value, so that the program cannot be
            run twice on the same inputs.
        roots: results that may lie in the memory of an outside value, with that value's number.
        compiled: its compiled form, once it has one.
        compilation: the compilation under way, or why there will be none.
        seen: when it was last considered for compilation, in runs of any program.
    """

    __slots__ = (
        "compilation", "compiled", "held", "inputs", "keep", "nodes", "overwrites", "owned",
        "roots", "runs", "seen", "size", "steps",
    )  # fmt: skip

    def __init__(self, nodes: list[Node], size: int, held: tuple[bool, ...]) -> None:
        produced = {position for node in nodes for position in node.outputs}
        self.size = size
        self.held = [i for i in range(size) if held[i]]
        self.keep = [i for i in self.held if i in produced]
        self.nodes = _live(nodes, self.keep)
        read = {i for node in self.nodes for i in node.inputs if i >= 0}
        self.inputs = sorted(read - produced)
        self.owned = frozenset(i for i in self.inputs if not held[i])
        self.runs = 0
        self.overwrites = False
        self.roots: dict[int, int] = {}
        self.steps: list[Any] | None = None
        self.compiled: Any = None
        self.compilation: Any = None
        self.seen = -(1 << 60)

    def __str__(self) -> str:
        lines = [f"inputs {' '.join(f'%{i}' for i in self.inputs)}"]
        lines += [f"  {node}" for node in self.nodes]
        return "\n".join([*lines, f"keep {' '.join(f'%{i}' for i in self.keep)}"])


def _live(nodes: list[Node], keep: list[int]) -> list[Node]:
    needed = set(keep)
    live = []
    for node in reversed(nodes):
        if any(position in needed for position in node.outputs):
            needed.update(node.inputs)
            live.append(node)
    live.reverse()
    return live
