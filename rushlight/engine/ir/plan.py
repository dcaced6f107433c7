"""The plan of a compiled program: what is called, in which order, on which memory.

A plan is split into native segments, each one call into generated code, and Python calls between
them for operators that nothing lowers (most programs have none: one segment).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.loops import Kernel

#: Recorded operations (`ir.program.Node`) that a call comes from, in their order.
Sources = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Place:
    """Where a value lies: slot ``slot`` of the table of addresses, ``offset`` bytes further.

    Slot 0 is the arena. The other slots are inputs, results and constants of the program.
    """

    slot: int
    offset: int = 0


@dataclass(eq=False, slots=True)
class KernelCall:
    """Calls a loop kernel.

    Attributes:
        kernel: the kernel.
        places: one for each of its buffers.
        numbers: for each scalar argument the number of a run-time number of the program
            (``Plan.numbers``), or a Python number known now.
        threads: on how many threads.
        sources: the recorded operations it does, or does a part of.
    """

    kernel: Kernel
    places: list[Place]
    numbers: list[int | Constant]
    threads: int = 1
    sources: Sources = ()


@dataclass(frozen=True, slots=True)
class Constant:
    """A number known when the program is compiled."""

    value: float | int


@dataclass(eq=False, slots=True)
class PrimitiveCall:
    """Calls a primitive of a library (oneDNN): a prepared object and where its arguments lie.

    Attributes:
        prepared: what the backend has prepared: ``executions`` to run one after the other, the
            memory objects of its arguments in the order of ``places``, its number of threads and
            how many bytes of the arena it needs besides (``scratch``).
        places: one for each argument.
        scratch: its scratch memory.
        owner: what keeps the prepared object alive.
        sources: the recorded operations it does, or does a part of.
    """

    prepared: Any
    places: list[Place]
    scratch: Place | None = None
    owner: Any = None
    sources: Sources = ()


@dataclass(eq=False, slots=True)
class PythonCall:
    """Calls a kernel of the interpreter between two native segments.

    Attributes:
        kernel: takes arrays (and Python objects), gives an array or a tuple of them.
        inputs: for each argument the number of an outside value, a constant, a place with meta and
            strides, or ``None``.
        outputs: for each result the place and meta to copy it to.
        into: the same kernel for one result, which it writes into its first argument.
        sources: the recorded operation.
    """

    kernel: Callable[..., Any]
    inputs: list[int | Constant | tuple[Place, Meta, tuple[int, ...]] | None]
    outputs: list[tuple[Place, Meta]]
    into: Callable[..., None] | None = None
    sources: Sources = ()


#: A way to an input's data: its number, and the kernels of the views to look at it through.
DataSource = tuple[int, tuple[Callable[[Any], Any], ...]]

Call = KernelCall | PrimitiveCall | PythonCall


@dataclass(eq=False, slots=True)
class Plan:
    """A whole program.

    Attributes:
        calls: in order.
        arena: bytes of working memory.
        inputs: value number of the program for each slot that is an input.
        outputs: value number and meta for each slot that is a result to be allocated.
        reused: for the number of a result that is written into the memory of an input that
            input's number.
        shared: for the number of a result that is the same array as another result or an input:
            its number.
        numbers: value numbers of the run-time numbers, with ``"d"`` or ``"q"``.
        constants: arrays for the slots of constants.
        packing: copies of weights into a library's own layout, in slots of constants: to be made
            when one of the values ``packed`` is another one than at the last run.
        packed: their value numbers.
        varying: whether programs that differ in sizes alone come in so many shapes that they are
            to share their code.
        checks: functions that raise if the data of some inputs is wrong, with how to get these.
    """

    checks: list[tuple[Callable[..., None], list[DataSource | None]]] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    arena: int = 0
    inputs: dict[int, int] = field(default_factory=dict)
    outputs: dict[int, tuple[int, Meta]] = field(default_factory=dict)
    reused: dict[int, int] = field(default_factory=dict)
    shared: dict[int, int] = field(default_factory=dict)
    numbers: list[tuple[int, str]] = field(default_factory=list)
    constants: dict[int, Any] = field(default_factory=dict)
    packing: list[PrimitiveCall] = field(default_factory=list)
    packed: list[int] = field(default_factory=list)
    slots: int = 1
    varying: bool = False
