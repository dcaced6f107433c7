"""What a recorded call does: programs and where their inputs come from, effects, results."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rushlight.compiler.references import Reference, Stream
from rushlight.engine.ir.program import Program
from rushlight.engine.trace.gradient_node import GradNode


@dataclass(frozen=True, slots=True)
class Bound:
    """A program, and for each of its inputs where it comes from."""

    program: Program
    inputs: tuple[tuple[int, Reference], ...]


@dataclass(frozen=True, slots=True)
class Write:
    """A tensor that holds another value after the call; ``versions``: how often it was written."""

    target: Reference
    value: Reference
    versions: int


@dataclass(frozen=True, slots=True)
class NewGradient:
    """A tensor whose ``grad`` is another after the call; no value: it is ``None``."""

    target: Reference
    before: bool
    value: Reference | None


@dataclass(frozen=True, slots=True)
class NodeTemplate:
    """A node of the autograd graph that the call leaves behind.

    ``edges`` are ``None``, or (number of the node, output), or (tensor it leads to, ``None``).
    """

    kind: type[GradNode]
    spec: Any
    plan: Any
    edges: tuple[Any, ...]
    saved: tuple[Reference | None, ...] | None


@dataclass(frozen=True, slots=True)
class Made:
    """A tensor among the results; ``edge`` is (number of its node, output)."""

    value: Reference
    edge: tuple[int, int] | None


@dataclass(frozen=True, slots=True)
class Same:
    """A tensor among the results that existed before the call."""

    tensor: Reference


@dataclass(frozen=True, slots=True)
class Parts:
    """A tuple, list, dictionary (then with keys) or named tuple among the results."""

    kind: type
    items: tuple[Any, ...]
    keys: tuple[Any, ...] = ()


@dataclass(frozen=True, slots=True)
class Constant:
    """Something among the results that is no tensor."""

    kind: type
    value: Any


@dataclass(frozen=True, slots=True)
class Capture:
    """Everything a replay needs, comparable with that of another call."""

    programs: tuple[Bound, ...]
    writes: tuple[Write, ...]
    gradients: tuple[NewGradient, ...]
    nodes: tuple[NodeTemplate, ...]
    result: Any
    streams: tuple[tuple[tuple[int, Stream], ...], ...]  #: of each segment, with their positions
    steps: tuple[tuple[int, int, int], ...]  #: optimizers by ``id``, how many numbers, segment
