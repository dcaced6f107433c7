"""Running a compiled program: addresses in, one native call, results out."""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any
from weakref import ref

import numpy as np

from rushlight.engine.backends.cpu import threads
from rushlight.engine.backends.cpu.binding import Binder, Numbers, Table
from rushlight.engine.backends.cpu.llvm.code import NativeCode
from rushlight.engine.backends.cpu.onednn_prepared import address, aligned
from rushlight.engine.core.watch import watch
from rushlight.engine.ir.buffers import copy_strided, empty_strided
from rushlight.engine.ir.graph import Meta, Value, returned
from rushlight.engine.ir.plan import (
    Constant,
    DataSource,
    KernelCall,
    Place,
    Plan,
    PrimitiveCall,
    PythonCall,
)
from rushlight.engine.runtime.timed import Timed, possible

# What getrefcount says of an array nobody else holds: the value that has it, a local name, the
# argument; and of a result nobody has kept: the list of spare ones, a local name, the argument.
_ALONE_INPUT = 3
_ALONE_SPARE = 3

_binder = Binder(Value)

#: Results that a program keeps for its next run, by ``id``: where it keeps them.
_lent: dict[int, tuple[dict[int, Any], int]] = {}


def _take_back(buffer: np.ndarray) -> None:
    """Let no program keep ``buffer`` for its next run: it is about to be written over."""
    spare, slot = _lent.get(id(buffer), ({}, 0))
    if spare.get(slot) is buffer:
        del spare[slot], _lent[id(buffer)]


def _never() -> None:
    """A reference to no value."""


class DataError(Exception):
    """A kernel cannot compute with the data it was given."""


class CompiledProgram:
    """A plan with its machine code, bound to memory.

    Attributes:
        plan: the plan.
        epoch: for which setting of the threads it was made (``threads.state.epoch``).
    """

    __slots__ = (
        "_arena", "_copies", "_inputs", "_numbers", "_numbers_of", "_outputs", "_packed",
        "_packing", "_returned", "_reused",
        "_shared", "_spare", "_steps", "_table", "_targets", "_timed", "epoch", "plan",
    )  # fmt: skip

    def __init__(self, plan: Plan, segments: Sequence[NativeCode | PythonCall]) -> None:
        self.plan = plan
        self.epoch = threads.state.epoch
        self._arena: Any = None
        reused = set(plan.reused.values())
        self._inputs = [(slot, n) for slot, n in plan.inputs.items() if n not in reused]
        slots = {number: slot for slot, number in plan.inputs.items()}
        self._reused = [(out, number, slots[number]) for out, number in plan.reused.items()]
        rows = [(number, slot, False) for slot, number in self._inputs]
        rows += [(number, slot, True) for _, number, slot in self._reused]
        self._table = Table(plan.slots, rows)
        self._copies: dict[int, Any] = {}
        self._targets: dict[int, list[np.ndarray]] = {}
        self._outputs = [(slot, number, meta) for slot, (number, meta) in plan.outputs.items()]
        self._shared = list(plan.shared.items())
        self._spare: dict[int, Any] = {}
        self._numbers_of = [number for number, _ in plan.numbers]
        self._numbers = Numbers([kind for _, kind in plan.numbers])
        self._steps = list(segments)
        self._timed: Timed | None = None
        if plan.arena:
            self._arena = aligned(plan.arena)
            self._table.values[0] = address(self._arena)
        for step in self._steps:
            if isinstance(step, NativeCode):
                step.load({0: self._table.values[0]})
        self._packed: list[tuple[int, Any]] = [(number, _never) for number in plan.packed]
        self._packing: NativeCode | None = None
        self._returned = 0
        if plan.packing:
            self._packing = NativeCode(plan, plan.packing)
            self._packing.compile()
            self._packing.load({0: self._table.values[0]})

    def run(self, values: list[Value]) -> bool:
        """Compute the results of a trace with these values.

        Returns:
            Whether it was done; if not, nothing has been touched and the interpreter has to do it.

        Raises:
            DataError: a kernel cannot compute with this data; nothing outside has been touched.
        """
        self._check(values)
        bind, table = _binder.function(), self._table
        if bind is None or not table.bind(bind, values):
            if not self._bind_one_by_one(values):
                return False
        if self._numbers_of:
            if not self._numbers.put([values[n].buffer for n in self._numbers_of]):
                return False
        if self._packing is not None:
            self._pack(values)
        made: list[tuple[int, Any]] = []
        spare = self._spare
        for slot, number, meta in self._outputs:
            buffer = spare.get(slot)
            if buffer is None or getrefcount(buffer) > _ALONE_SPARE:
                if buffer is not None:
                    _lent.pop(id(buffer), None)
                buffer = spare[slot] = empty_strided(meta)
                _lent[id(buffer)] = spare, slot
                table.values[slot] = address(buffer)
            made.append((number, buffer))
        for step in self._steps if watch.calls is None else self._watched(values):
            if step.__class__ is NativeCode:
                failed = step.run(table.address, self._numbers.address)
                if failed:
                    raise RuntimeError(f"oneDNN: call {failed - 1} of a compiled program failed")
            else:
                self._python(step, values)  # type: ignore[arg-type]
        for number, buffer in made:
            values[number].buffer = buffer
        copies = self._copies
        for out, number, _ in self._reused:
            values[out].buffer = values[number].buffer
        if copies:
            for number, buffer in copies.items():
                values[number].buffer = buffer
            copies.clear()
        for number, source in self._shared:
            values[number].buffer = values[source].buffer
        return True

    def with_clock(self) -> Timed | None:
        """The steps with a clock beside each call; they are compiled when first asked for."""
        if self._timed is None and possible():
            self._timed = Timed(self.plan, self._steps, {0: self._table.values[0]})
        return self._timed

    def _watched(self, values: Sequence[Value]) -> Sequence[Any]:
        """Do the steps with a clock beside each call, if that can be; the steps that remain."""
        timed = self.with_clock()
        if timed is None:
            return self._steps
        failed = timed.run(
            self._table.address, self._numbers.address, lambda call: self._python(call, values)
        )
        if failed:
            raise RuntimeError(f"oneDNN: call {failed - 1} of a compiled program failed")
        return ()

    def _pack(self, values: Sequence[Value]) -> None:
        """Copy the weights into the library's layout if one of them has changed.

        A value changes only while its memory is shared with the outside; otherwise, as long as
        it lives, the same value is the same data.
        """
        same = all(values[number] is seen() for number, seen in self._packed)
        if same and self._returned != returned.count:
            since, last = self._returned, returned.last
            same = all(last.get(values[number], 0) <= since for number, _ in self._packed)
        self._returned = returned.count
        if same:
            return
        assert self._packing is not None
        failed = self._packing.run(self._table.address, self._numbers.address)
        if failed:
            raise RuntimeError(f"oneDNN: copy {failed - 1} of the weights failed")
        self._packed = [(number, ref(values[number])) for number, _ in self._packed]

    def __del__(self) -> None:
        for buffer in self._spare.values():
            _lent.pop(id(buffer), None)

    def _check(self, values: Sequence[Value]) -> None:
        try:
            for check, sources in self.plan.checks:
                check(*[_data(source, values) for source in sources])
        except Exception as error:
            raise DataError from error

    def _bind_one_by_one(self, values: Sequence[Value]) -> bool:
        """Take the addresses of the inputs; what is written over but held elsewhere is copied."""
        self._copies.clear()
        for slot, number in self._inputs:
            buffer = values[number].buffer
            if buffer.__class__ is not np.ndarray:
                return False
            self._table.values[slot] = address(buffer)
        for out, number, slot in self._reused:
            buffer = values[number].buffer
            if buffer.__class__ is not np.ndarray:
                return False
            _take_back(buffer)
            held = getrefcount(buffer) > _ALONE_INPUT
            if held or buffer.base is not None or not buffer.flags.writeable:
                buffer = self._copies[out] = copy_strided(buffer, values[number].meta)
            self._table.values[slot] = address(buffer)
        return True

    # Python calls ------------------------------------------------------------------------------

    def _python(self, call: PythonCall, values: Sequence[Value]) -> None:
        arguments = [self._argument(source, values) for source in call.inputs]
        targets = self._targets.get(id(call)) or self._targets_of(call)
        if call.into is not None:
            call.into(targets[0], *arguments)
            return
        try:
            with np.errstate(all="ignore"):
                results = call.kernel(*arguments)
        except Exception as error:
            raise DataError from error
        if len(call.outputs) == 1:
            results = (results,)
        for target, result in zip(targets, results, strict=True):
            target[...] = result

    def _targets_of(self, call: PythonCall) -> list[np.ndarray]:
        """Where the results of a Python call go; remembered if that never moves."""
        made = [self._array(place, meta, tuple(meta.strides)) for place, meta in call.outputs]
        if all(place.slot == 0 for place, _ in call.outputs):
            self._targets[id(call)] = made
        return made

    def _argument(self, source: Any, values: Sequence[Value]) -> Any:
        if source is None:
            return None
        if isinstance(source, Constant):
            return source.value
        if isinstance(source, int):
            return values[source].buffer
        place, meta, strides = source
        return self._array(place, meta, strides)

    def _array(self, place: Place, meta: Meta, strides: tuple[int, ...]) -> np.ndarray:
        """The memory of a value as an array."""
        return self._table.array(
            place.slot, place.offset, tuple(meta.shape), meta.dtype.numpy, strides
        )


def segments_of(plan: Plan) -> list[NativeCode | PythonCall]:
    """The calls of a plan: machine code, compiled, and between it calls of Python kernels."""
    made: list[NativeCode | PythonCall] = []
    native: list[KernelCall | PrimitiveCall] = []
    for call in [*plan.calls, None]:
        if isinstance(call, (KernelCall, PrimitiveCall)):
            native.append(call)
            continue
        if native:
            code = NativeCode(plan, native)
            code.compile()
            made.append(code)
            native = []
        if call is not None:
            made.append(call)
    return made


def _data(source: DataSource | None, values: Sequence[Value]) -> Any:
    if source is None:
        return None
    number, views = source
    array = values[number].buffer
    for view in views:
        array = view(array)
    return array
