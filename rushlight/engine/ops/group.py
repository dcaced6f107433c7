"""One node for many tensors: a pointwise rule applied to every row of tensors of a group.

An optimizer's update is such a rule: parameter, gradient and state make a row.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import float64, int64
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import OTHER, POINTWISE, Op, Spec
from rushlight.engine.ir.program import Program

Array = np.ndarray

#: Elements worked on at a time, so that a rule's temporaries stay in the cache (Adam on a million
#: elements: 3.0 ms at 2^13, 2.4 at 2^14, 1.9 at 2^15, 1.8 at 2^16).
CHUNK = 1 << 16

#: Rows of at most so many elements are packed together: a NumPy call costs more than their work.
SMALL = 1 << 12


# Kernel; numbers of its inputs (`None` for a plain NumPy function); of such a one the first input,
# the second one (-1: there is none) and where the result goes; number of the result.
Piece = tuple[Callable[..., Any], "tuple[int, ...] | None", int, int, int, int]


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
        "constants", "direct", "inputs", "numbers", "outputs", "pieces", "pointwise", "program",
        "scalars", "scratch", "steps",
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
        self.pieces: list[Piece] | None = None
        self.numbers: list[tuple[Callable[..., Any], tuple[int, ...], int]] = []
        self.scratch: list[Array] = []
        self.direct: set[int] = set()

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
        total = flat[0].size
        if total <= CHUNK:
            scratch = [array[:total] for array in self.scratch]
            self._run_piece(base + scratch + outs, flat, outs)
            return
        for start in range(0, total, CHUNK):
            piece = slice(start, start + CHUNK)
            size = min(CHUNK, total - start)
            scratch = [array[:size] for array in self.scratch]
            places = [out[piece] for out in outs]
            self._run_piece(base + scratch + places, [x[piece] for x in flat], places)

    def _run_piece(
        self, environment: list[Any], row: Sequence[Array], places: Sequence[Array]
    ) -> None:
        """One piece; behind the values the environment has scratch memory and the outputs."""
        for position, array in zip(self.inputs, row, strict=True):
            environment[position] = array
        assert self.pieces is not None
        for kernel, inputs, first, second, place, result in self.pieces:
            if inputs is not None:
                environment[result] = kernel(*[environment[i] for i in inputs])
            elif second >= 0:
                environment[result] = kernel(
                    environment[first], environment[second], environment[place]
                )
            else:
                environment[result] = kernel(environment[first], environment[place])
        for out, position in zip(places, self.outputs, strict=True):
            if position not in self.direct:
                out[...] = environment[position]

    def _direct(self, position: int, k: int, last: dict[int, int]) -> int:
        """Number of the result that node ``k`` may write where it belongs at once, else -1.

        The result takes the place of an input, which nothing may read any more after this node.
        """
        if position not in self.outputs:
            return -1
        number = self.outputs.index(position)
        source = number if number == 0 else number + 1
        if source < len(self.inputs) and last.get(self.inputs[source], -1) > k:
            return -1
        return number

    def _plan_pieces(self, found: np.dtype) -> None:
        """Give every result of a plain NumPy function a place that is free by then.

        An operand's place is free for the result already: these functions work element by element.
        """
        last = {i: k for k, node in enumerate(self.program.nodes) for i in node.inputs}
        free: list[int] = []
        places: dict[int, int] = {}
        planned: list[tuple[Any, tuple[int, ...], int, int]] = []
        for k, node in enumerate(self.program.nodes):
            if node.spec.out.weak:  # a number from numbers: computed once for all pieces
                self.numbers.append((_on_numbers(node.spec), node.inputs, node.first))
                continue
            for i in set(node.inputs):
                if last[i] == k and i in places and i not in self.outputs:
                    free.append(places[i])
            kernel, meta, slot = node.spec.kernel, node.spec.out, -1
            direct = self._direct(node.first, k, last)
            plain = isinstance(kernel, np.ufunc) and meta.dtype.numpy == found
            if plain and len(node.inputs) <= 2 and direct >= 0:
                slot = -2 - direct
                self.direct.add(node.first)
            elif plain and len(node.inputs) <= 2:
                slot = free.pop() if free else len(self.scratch)
                if slot == len(self.scratch):
                    self.scratch.append(np.empty(CHUNK, found))
                places[node.first] = slot
            planned.append((kernel, node.inputs, node.first, slot))
        size, spare = self.program.size, len(self.scratch)
        self.pieces = []
        for kernel, inputs, result, slot in planned:
            if slot == -1:
                self.pieces.append((kernel, inputs, -1, -1, -1, result))
                continue
            place = size + slot if slot >= 0 else size + spare - 2 - slot
            second = inputs[1] if len(inputs) == 2 else -1
            kernel = _INTO.get(kernel, kernel)
            self.pieces.append((kernel, None, inputs[0], second, place, result))


#: NumPy wants the place of the result by name where a third operand could be meant.
_INTO: dict[Any, Callable[..., Any]] = {
    np.maximum: lambda x, y, out: np.maximum(x, y, out=out),
    np.minimum: lambda x, y, out: np.minimum(x, y, out=out),
}


def _on_numbers(spec: Spec) -> Callable[..., Any]:
    """The kernel of an operation on Python numbers: Python's own for the basic ones."""
    numbers = all(m is not None and m.dtype in (float64, int64) for m in spec.inputs)
    if spec.op.name in _PYTHON and spec.out.dtype is float64 and numbers:
        return _PYTHON[spec.op.name]
    return spec.kernel


def _divide(x: float, y: float) -> float:
    return x / y if y else float(np.divide(x, y))


_PYTHON: dict[str, Callable[..., Any]] = {
    "add": operator.add, "sub": operator.sub, "mul": operator.mul, "div": _divide,
    "rsub": lambda x, y: y - x,
}  # fmt: skip


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


def _small_rows(spec: Spec, plan: GroupPlan) -> list[int]:
    """Rows that are worked on together, end to end, because each is short (biases and the like)."""
    count, width = plan.scalars, plan.width
    found: list[int] = []
    for i, rule in enumerate(plan.rows):
        metas = spec.inputs[count + i * width : count + (i + 1) * width]
        first = metas[0]
        plain = first is not None and rule.pointwise and all(
            m is not None and m.contiguous and m.dtype is first.dtype and m.shape == first.shape
            for m in metas
        )
        if plain and first is not None and first.ndim and 0 < first.numel <= SMALL:
            if not found or first.dtype is spec.inputs[count + found[0] * width].dtype:  # type: ignore[union-attr]
                found.append(i)
    return found if len(found) > 1 else []


def _run_packed(
    rule: RowRule, scalars: Sequence[Any], columns: Sequence[Sequence[Array]]
) -> list[list[Array]]:
    """The results of several short rows, computed as one; they are views of packed memory."""
    packed = [
        np.concatenate([array if array.ndim == 1 else array.reshape(-1) for array in column])
        for column in columns
    ]
    targets = [np.empty_like(packed[0]) for _ in rule.outputs]
    rule.run_chunked(scalars, packed, targets)
    rows, start = [], 0
    for array in columns[0]:
        stop = start + array.size
        if array.ndim == 1:
            rows.append([target[start:stop] for target in targets])
        else:
            rows.append([target[start:stop].reshape(array.shape) for target in targets])
        start = stop
    return rows


def _kernel(spec: Spec, plan: GroupPlan) -> Any:
    count, width = plan.scalars, plan.width

    def one(rule: RowRule, scalars: Sequence[Any], row: Sequence[Array], own: Sequence[bool]) -> (
        list[Array]
    ):  # fmt: skip
        size = row[0].size
        regular = size > SMALL and rule.pointwise and all(
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

    small = _small_rows(spec, plan)

    def owned(arrays: Sequence[Any], references: Sequence[int]) -> Any:
        """As ``call``; ``references[i]`` is the count at which input ``i`` may be written over."""
        scalars = arrays[:count]
        made: list[Any] = [None] * len(plan.rows)
        if small:
            packed = [[arrays[count + i * width + k] for i in small] for k in range(width)]
            computed = _run_packed(plan.rows[small[0]], scalars, packed)
            for i, results in zip(small, computed, strict=True):
                made[i] = results
        at = count
        for i, rule in enumerate(plan.rows):
            if made[i] is None:
                row = arrays[at : at + width]
                own = [
                    n > 0 and _writable(arrays[at + k], n)
                    for k, n in enumerate(references[at : at + width])
                ]
                made[i] = one(rule, scalars, row, own)
            at += width
        return made[0][0] if single else [array for results in made for array in results]

    call.owned = owned  # type: ignore[attr-defined]
    return call


foreach = Op(
    "foreach(Tensor[] rows, Plan plan)",
    kind=OTHER,
    infer=lambda *arguments: arguments[-1].outputs,
    kernel=_kernel,
)
