"""Runs a plan element by element, in Python: slow, and what generated code has to agree with."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import BOOL, FLOATING
from rushlight.engine.ir.buffers import empty_strided
from rushlight.engine.ir.loops import (
    Accumulator,
    Axis,
    Contract,
    Declare,
    For,
    Index,
    Kernel,
    Reduce,
    Store,
)
from rushlight.engine.ir.plan import Constant, KernelCall, Plan, PythonCall
from rushlight.engine.ir.program import Program
from rushlight.engine.ir.scalar import Expr
from tests.engine.ir.evaluate import converted, evaluate

_NEUTRAL = {
    "add": 0, "mul": 1, "maximum": -np.inf, "minimum": np.inf, "and": True, "or": False,
}  # fmt: skip

_COMBINE: dict[str, Any] = {
    "add": np.add, "mul": np.multiply, "maximum": np.maximum, "minimum": np.minimum,
    "and": np.logical_and, "or": np.logical_or,
}  # fmt: skip


def _neutral(accumulator: Accumulator) -> np.ndarray:
    kind = accumulator.dtype.numpy
    if accumulator.op in ("maximum", "minimum") and accumulator.dtype.category != FLOATING:
        bounds = (0, 1) if accumulator.dtype.category == BOOL else (
            np.iinfo(kind).min, np.iinfo(kind).max
        )
        return np.asarray(bounds[accumulator.op == "minimum"], kind)
    return np.asarray(_NEUTRAL[accumulator.op], kind)


class KernelRun:
    """One run of a kernel on flat arrays."""

    def __init__(
        self, kernel: Kernel, arrays: Sequence[np.ndarray], numbers: Sequence[Any]
    ) -> None:
        self.arrays = {id(b): a for b, a in zip(kernel.buffers, arrays, strict=True)}
        self.numbers = numbers
        self.loops: dict[int, int] = {}
        self.accumulators: dict[int, np.ndarray] = {}
        self._body(kernel.body)

    def _place(self, index: Index) -> int:
        place = index.offset
        place += sum(self.loops[loop.number] * stride for loop, stride in index.terms)
        return place + sum(int(self._value(e)) * stride for e, stride in index.dynamic)

    def _read(self, expr: Expr) -> np.ndarray:
        if expr.op == "scalar":
            return np.asarray(self.numbers[expr.extra]).astype(expr.dtype.numpy)
        if expr.op == "loop":
            return np.asarray(self.loops[expr.extra.number], np.int64)
        if expr.op == "accumulator":
            return self.accumulators[expr.extra.number]
        assert expr.op == "load", expr.op
        buffer, index = expr.extra
        place = self._place(index)
        array = self.arrays[id(buffer)]
        assert 0 <= place < array.size, f"element {place} of {array.size}"
        return np.asarray(array[place]).astype(expr.dtype.numpy)

    def _value(self, expr: Expr) -> np.ndarray:
        return evaluate(expr, self._read)

    def _body(self, body: Sequence[Any]) -> None:
        stores = []
        for item in body:  # what a body reads, it reads before it writes
            if isinstance(item, Store):
                stores.append((item, self._place(item.index), self._value(item.value)))
                continue
            self._write(stores)
            stores = []
            if isinstance(item, For):
                size = item.loop.size
                for i in range(size if isinstance(size, int) else int(self._value(size))):
                    self.loops[item.loop.number] = i
                    self._body(item.body)
            elif isinstance(item, Declare):
                self.accumulators[item.accumulator.number] = _neutral(item.accumulator)
            elif isinstance(item, Contract):
                self._contract(item)
            else:
                assert isinstance(item, Reduce)
                number, op = item.accumulator.number, item.accumulator.op
                value = self._value(item.value)
                assert value.dtype == item.accumulator.dtype.numpy
                with np.errstate(all="ignore"):
                    self.accumulators[number] = np.asarray(
                        _COMBINE[op](self.accumulators[number], value)
                    )
        self._write(stores)

    def _contract(self, item: Contract) -> None:
        (a, first), (b, second), (c, result) = item.first, item.second, item.result
        begins = [self._place(index) for index in (first, second, result)]
        x, y, z = self.arrays[id(a)], self.arrays[id(b)], self.arrays[id(c)]
        kept = [*item.kept, *([] if item.sums_lanes else [item.lanes])]
        summed = [*item.summed, *([item.lanes] if item.sums_lanes else [])]
        for where in product(*[range(axis.size) for axis in kept]):
            total = np.float32(0)
            if item.start is not None:
                buffer, index, steps = item.start
                place = self._place(index) + sum(
                    n * step for n, step in zip(where, [*steps, 0], strict=False)
                )
                total = self.arrays[id(buffer)][place]
            for turn in product(*[range(axis.size) for axis in summed]):
                places = list(zip([*kept, *summed], [*where, *turn], strict=True))
                if not _inside(places):
                    continue
                at = [begin + sum(axis.at(n)[k] for axis, n in places)
                      for k, begin in enumerate(begins)]  # fmt: skip
                assert min(at) >= 0
                total += x[at[0]] * y[at[1]]
            z[begins[2] + sum(axis.at(n)[2] for axis, n in zip(kept, where, strict=True))] = total

    def _write(self, stores: Sequence[Any]) -> None:
        for item, place, value in stores:
            array = self.arrays[id(item.buffer)]
            assert 0 <= place < array.size, f"element {place} of {array.size}"
            with np.errstate(all="ignore"):
                made = value if item.op is None else _COMBINE[item.op](array[place], value)
                array[place] = converted(np.asarray(made), item.buffer.dtype)


def _inside(places: Sequence[tuple[Axis, int]]) -> bool:
    """Whether the first factor of a contraction is there."""
    walked: dict[Any, int] = {}
    for axis, n in places:
        if axis.edge is not None:
            walked[axis.edge] = walked.get(axis.edge, 0) + axis.steps[0] // axis.edge[0] * n
    return all(0 <= place < edge[1] for edge, place in walked.items())


def _flat(array: np.ndarray) -> np.ndarray:
    """The memory of an array from its first element on, as a flat array that shares it."""
    if not array.size:
        return np.empty(0, array.dtype)
    span = 1 + sum((n - 1) * s // array.itemsize for n, s in zip(array.shape, array.strides,
                                                                 strict=True))  # fmt: skip
    return np.lib.stride_tricks.as_strided(array, (span,), (array.itemsize,))


def run_plan(plan: Plan, program: Program, given: dict[int, Any]) -> dict[int, np.ndarray]:
    """The results of a plan of loop kernels and Python calls, by value number."""
    memory: dict[int, np.ndarray] = {0: np.empty(plan.arena, np.uint8)}
    memory[0][:] = 0xA5
    results: dict[int, np.ndarray] = {}
    for slot, number in plan.inputs.items():
        memory[slot] = given[number]
    slots = {number: slot for slot, number in plan.inputs.items()}
    for out, number in plan.reused.items():
        copied = empty_strided_like(given[number])
        results[out] = memory[slots[number]] = copied
    for slot, (number, meta) in plan.outputs.items():
        results[number] = memory[slot] = empty_strided(meta)

    def array(place: Any, kind: np.dtype, span: int | None = None) -> np.ndarray:
        if place.slot == 0:
            return memory[0][place.offset :][: memory[0].size // kind.itemsize * kind.itemsize][
                : (memory[0].size - place.offset) // kind.itemsize * kind.itemsize
            ].view(kind)
        return _flat(memory[place.slot])[place.offset // kind.itemsize :]

    def view(place: Any, meta: Any, strides: Sequence[int]) -> np.ndarray:
        flat = array(place, meta.dtype.numpy)
        steps = tuple([s * flat.itemsize for s in strides])
        return np.lib.stride_tricks.as_strided(flat, tuple(meta.shape), steps)

    for call in plan.calls:
        if isinstance(call, KernelCall):
            numbers = [
                n.value if isinstance(n, Constant) else given[plan.numbers[n][0]]
                for n in call.numbers
            ]
            pairs = zip(call.places, call.kernel.buffers, strict=True)
            KernelRun(call.kernel, [array(p, b.dtype.numpy) for p, b in pairs], numbers)
            continue
        assert isinstance(call, PythonCall), "primitives are not for this interpreter"
        arguments = []
        for source in call.inputs:
            if source is None:
                arguments.append(None)
            elif isinstance(source, Constant):
                arguments.append(source.value)
            elif isinstance(source, int):
                arguments.append(given[source])
            else:
                arguments.append(view(*source))
        made = call.kernel(*arguments)
        made = (made,) if len(call.outputs) == 1 else made
        for (place, meta), result in zip(call.outputs, made, strict=True):
            view(place, meta, meta.strides)[...] = result
    for number, source in plan.shared.items():
        results[number] = results[source] if source in results else given[source]
    return results


def empty_strided_like(array: np.ndarray) -> np.ndarray:
    """A copy with the same strides."""
    flat = _flat(array).copy()
    return np.lib.stride_tricks.as_strided(flat, array.shape, array.strides)
