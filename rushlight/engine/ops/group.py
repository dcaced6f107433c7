"""One node for many tensors: a pointwise rule applied to every row of tensors of a group.

An optimizer's update is such a rule: parameter, gradient and state make a row.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import OTHER, POINTWISE, Op, Spec
from rushlight.engine.ir.program import Program

Array = np.ndarray

#: Elements worked on at a time, so that a rule's temporaries stay in the cache (LitMNIST's Adam:
#: 255 us at 2^13, 213 at 2^14).
CHUNK = 1 << 14


class RowRule:
    """A captured rule for rows of one kind: its program, where the inputs go, what comes out.

    Attributes:
        program: the recorded operations.
        scalars: numbers of the values that stand for the numbers given at run time.
        inputs: numbers of the values that stand for the tensors of a row.
        outputs: numbers of the results.
        constants: number and value of what the rule itself brings in.
    """

    __slots__ = (
        "constants", "inputs", "numbers", "outputs", "pieces", "pointwise", "program", "scalars", "scratch",
        "steps",
    )  # fmt: skip

    def __init__(
        self, program: Program, scalars: Sequence[int], inputs: Sequence[int],
        outputs: Sequence[int], constants: Sequence[tuple[int, Any]],
    ) -> None:  # fmt: skip
        self.program = program
        self.scalars = tuple(scalars)
        self.inputs = tuple(inputs)
        self.outputs = tuple(outputs)
        self.constants = tuple(constants)
        self.pointwise = all(node.spec.op.kind == POINTWISE for node in program.nodes)
        self.steps: list[tuple[Callable[..., Any], tuple[int, ...], int]] | None = None
        self.pieces: list[tuple[Callable[..., Any], tuple[int, ...], int, int]] | None = None
        self.numbers: list[tuple[Callable[..., Any], tuple[int, ...], int]] = []
        self.scratch: list[Array] = []

    def run(self, scalars: Sequence[Any], row: Sequence[Array]) -> list[Array]:
        """The results for one row."""
        if self.steps is None:
            self.steps = [
                (node.spec.kernel, node.inputs, node.first) for node in self.program.nodes
            ]
        environment = self._environment(scalars, row)
        for kernel, inputs, first in self.steps:
            environment[first] = kernel(*[environment[i] for i in inputs])
        return [environment[i] for i in self.outputs]

    def _environment(self, scalars: Sequence[Any], row: Sequence[Array]) -> list[Any]:
        environment: list[Any] = [None] * self.program.size
        for position, number in zip(self.scalars, scalars, strict=True):
            environment[position] = number
        for position, buffer in self.constants:
            environment[position] = buffer
        for position, array in zip(self.inputs, row, strict=False):
            environment[position] = array
        return environment

    def run_chunked(
        self, scalars: Sequence[Any], row: Sequence[Array], targets: Sequence[Array]
    ) -> None:
        """As ``run`` for contiguous arrays of one size, a piece at a time in scratch memory."""
        if self.pieces is None:
            self._plan_pieces(row[0].dtype)
        assert self.pieces is not None
        base = self._environment(scalars, ())
        for kernel, inputs, first in self.numbers:
            base[first] = kernel(*[base[i] for i in inputs])
        flat = [array.reshape(-1) for array in row]
        outs = [target.reshape(-1) for target in targets]
        total, pieces, scratch = flat[0].size, self.pieces, self.scratch
        for start in range(0, total, CHUNK):
            piece = slice(start, start + CHUNK)
            size = min(CHUNK, total - start)
            environment = base.copy()
            for position, array in zip(self.inputs, flat, strict=True):
                environment[position] = array[piece]
            for kernel, inputs, first, slot in pieces:
                arguments = [environment[i] for i in inputs]
                if slot >= 0:
                    arguments.append(scratch[slot][:size])
                environment[first] = kernel(*arguments)
            for out, position in zip(outs, self.outputs, strict=True):
                out[piece] = environment[position]

    def _plan_pieces(self, found: np.dtype) -> None:
        """Give every result of a plain NumPy function a place that is free by then.

        An operand's place is free for the result already: these functions work element by element.
        """
        last = {i: k for k, node in enumerate(self.program.nodes) for i in node.inputs}
        free: list[int] = []
        places: dict[int, int] = {}
        self.pieces = []
        for k, node in enumerate(self.program.nodes):
            if node.spec.out.weak:  # a number from numbers: computed once for all pieces
                self.numbers.append((node.spec.kernel, node.inputs, node.first))
                continue
            for i in set(node.inputs):
                if last[i] == k and i in places and i not in self.outputs:
                    free.append(places[i])
            kernel, meta, slot = node.spec.kernel, node.spec.out, -1
            if isinstance(kernel, np.ufunc) and meta.dtype.numpy == found:
                slot = free.pop() if free else len(self.scratch)
                if slot == len(self.scratch):
                    self.scratch.append(np.empty(CHUNK, found))
                places[node.first] = slot
            self.pieces.append((kernel, node.inputs, node.first, slot))


class GroupPlan:
    """The rules of all rows of a group; equal plans are the same object."""

    __slots__ = ("outputs", "rows", "scalars", "width")

    def __init__(
        self, scalars: int, width: int, rows: Sequence[RowRule], outputs: tuple[Meta, ...]
    ) -> None:
        self.scalars = scalars
        self.width = width
        self.rows = tuple(rows)
        self.outputs = outputs

    def __repr__(self) -> str:
        return f"<plan for {len(self.rows)} rows>"


def _writable(array: Array, references: int) -> bool:
    """Whether nobody else sees this memory, so that a result may be written into it."""
    return getrefcount(array) <= references and array.base is None and array.flags.writeable


def _kernel(spec: Spec, plan: GroupPlan) -> Any:
    count, width = plan.scalars, plan.width

    def one(rule: RowRule, scalars: Sequence[Any], row: Sequence[Array], own: Sequence[bool]) -> (
        list[Array]
    ):  # fmt: skip
        size = row[0].size
        regular = size > CHUNK and rule.pointwise and all(
            array.size == size and array.flags.c_contiguous for array in row
        )
        if not regular:
            return rule.run(scalars, row)
        # result k takes the place of the parameter (k = 0) or of state k, which is input k + 1
        targets = []
        for k in range(len(rule.outputs)):
            source = k if k == 0 else k + 1
            whole = source < len(row) and own[source]
            targets.append(row[source] if whole else np.empty_like(row[min(source, width - 1)]))
        rule.run_chunked(scalars, row, targets)
        return targets

    def call(*arrays: Any) -> Any:
        return owned(arrays, (0,) * len(arrays))

    single = len(spec.outs) == 1

    def owned(arrays: Sequence[Any], references: Sequence[int]) -> Any:
        """As ``call``; ``references[i]`` is the count at which input ``i`` may be written over."""
        scalars = arrays[:count]
        made: list[Array] = []
        at = count
        for rule in plan.rows:
            row = arrays[at : at + width]
            own = [
                n > 0 and _writable(arrays[at + k], n)
                for k, n in enumerate(references[at : at + width])
            ]
            made += one(rule, scalars, row, own)
            at += width
        return made[0] if single else made

    call.owned = owned  # type: ignore[attr-defined]
    return call


foreach = Op(
    "foreach(Tensor[] rows, Plan plan)",
    kind=OTHER,
    infer=lambda *arguments: arguments[-1].outputs,
    kernel=_kernel,
)
