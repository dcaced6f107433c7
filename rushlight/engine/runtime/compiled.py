"""Running a compiled program: addresses in, one native call, results out."""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any
from weakref import ref

import numpy as np

from rushlight.engine.backends.cpu import threads
from rushlight.engine.backends.cpu.llvm.code import NativeCode
from rushlight.engine.backends.cpu.objects import Frame, Objects
from rushlight.engine.backends.cpu.onednn_prepared import address, aligned
from rushlight.engine.backends.cpu.tables import Numbers, Table
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
# argument; and of a result nobody has kept: the list of its arrays, the argument.
_ALONE_INPUT = 3
_ALONE_SPARE = 2

objects = Objects(Value)


class _Result:
    """A result with an array of its own: two, so that one is free while the last one is kept."""

    __slots__ = ("_arrays", "_frame", "_index", "_turn", "meta", "number", "slot")

    def __init__(self, index: int, slot: int, number: int, meta: Meta) -> None:
        self.slot, self.number, self.meta = slot, number, meta
        self._arrays: list[Any] = [None, None]
        self._turn = 1
        self._index = index
        self._frame: Frame | None = None

    def tell(self, frame: Frame) -> None:
        """Let generated code choose between the arrays from now on."""
        self._frame = frame

    @property
    def array(self) -> Any:
        """The array chosen last."""
        return self._arrays[self._turn]

    def choose(self) -> int:
        """Choose an array that nobody has kept, a new one if there is none; its address."""
        arrays = self._arrays
        for turn in (0, 1):
            if arrays[turn] is not None and getrefcount(arrays[turn]) == _ALONE_SPARE:
                break
        else:
            turn = 1 - self._turn
            self.forget(turn)
            arrays[turn] = made = empty_strided(self.meta)
            _lent[id(made)] = self, turn
            if self._frame is not None:
                self._frame.set_output(self._index, turn, made, address(made))
        self._turn = turn
        if self._frame is not None:
            self._frame.choose(self._index, turn)
        return address(arrays[turn])

    def forget(self, turn: int) -> None:
        """Keep one of the arrays no longer."""
        array = self._arrays[turn]
        if array is not None:
            _lent.pop(id(array), None)
            if self._frame is not None:
                self._frame.set_output(self._index, turn, None)
            self._arrays[turn] = None


#: Results that a program keeps for its next run, by ``id``.
_lent: dict[int, tuple[_Result, int]] = {}


def _take_back(buffer: np.ndarray) -> None:
    """Let no program keep ``buffer`` for its next run: it is about to be written over."""
    found = _lent.get(id(buffer))
    if found is not None:
        found[0].forget(found[1])


def _never() -> None:
    """A reference to no value."""


def _expect(failed: int) -> None:
    if failed:
        raise RuntimeError(f"oneDNN: call {failed - 1} of a compiled program failed")


def _independent(call: PythonCall) -> bool:
    """Whether a Python call needs nothing that the program computes, and writes to the arena."""
    outside = all(source is None or isinstance(source, (int, Constant)) for source in call.inputs)
    return outside and all(place.slot == 0 for place, _ in call.outputs)


class DataError(Exception):
    """A kernel cannot compute with the data it was given."""


class CompiledProgram:
    """A plan with its machine code, bound to memory.

    Args:
        plan: the plan.
        segments: its native segments, compiled, and its Python calls.
        held: numbers of the values that somebody holds after a run.

    Attributes:
        plan: the plan.
        epoch: for which setting of the threads it was made (``threads.state.epoch``).
        whole: whether it can run as one call, which nothing interrupts.
    """

    __slots__ = (
        "_arena", "_copies", "_early", "_frame", "_inputs", "_native", "_numbers", "_numbers_of",
        "_packed", "_packing", "_results", "_returned", "_reused", "_shared", "_steps",
        "_table", "_targets", "_timed", "epoch", "plan", "whole",
    )  # fmt: skip

    def __init__(
        self, plan: Plan, segments: Sequence[NativeCode | PythonCall], held: Sequence[int]
    ) -> None:
        self.plan = plan
        self.epoch = threads.state.epoch
        self._arena: Any = None
        reused = set(plan.reused.values())
        self._inputs = [(slot, n) for slot, n in plan.inputs.items() if n not in reused]
        slots = {number: slot for slot, number in plan.inputs.items()}
        self._reused = [(out, number, slots[number]) for out, number in plan.reused.items()]
        self._table = Table(plan.slots)
        self._copies: dict[int, Any] = {}
        self._targets: dict[int, list[np.ndarray]] = {}
        self._results = [
            _Result(index, slot, number, meta)
            for index, (slot, (number, meta)) in enumerate(plan.outputs.items())
        ]
        self._shared = list(plan.shared.items())
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
        self._frame: Frame | None = None
        self.whole = False
        if objects.ready():
            self._make_frame(held)

    def _make_frame(self, held: Sequence[int]) -> None:
        """Tell the functions that walk over the values what to do; find out about ``whole``."""
        rows = [(number, slot, False) for slot, number in self._inputs]
        rows += [(number, slot, True) for _, number, slot in self._reused]
        same = [(out, number) for out, number, _ in self._reused] + self._shared
        results = [(result.number, result.slot) for result in self._results]
        place = self._table.address, self._numbers.address
        self._frame = frame = Frame(objects.api, *place, rows, results, same, held)
        for result in self._results:
            result.tell(frame)
        native = self._steps[-1] if self._steps else None
        if not isinstance(native, NativeCode) or self._packing is not None:
            return
        self._early = [step for step in self._steps if isinstance(step, PythonCall)]
        if len(self._early) == len(self._steps) - 1 and all(map(_independent, self._early)):
            self.whole, self._native = True, native
            frame.set_main(*native.main, native.brief)

    def run(self, values: list[Value]) -> bool:
        """Compute the results of a trace with these values.

        Returns:
            Whether it was done; if not, nothing has been touched and the interpreter has to do it.

        Raises:
            DataError: a kernel cannot compute with this data; nothing outside has been touched.
        """
        self._check(values)
        if self._numbers_of:
            if not self._numbers.put([values[n].buffer for n in self._numbers_of]):
                return False
        bound = self._frame is not None and not objects.bind(values, self._frame.address)
        if not bound and not self._bind_one_by_one(values):
            return False
        if self._packing is not None:
            self._pack(values)
        self._choose()
        for step in self._steps if watch.calls is None else self._watched(values):
            if step.__class__ is NativeCode:
                _expect(step.run(self._table.address, self._numbers.address))
            else:
                self._python(step, values)  # type: ignore[arg-type]
        if bound:
            assert self._frame is not None
            objects.finish(values, self._frame.address)
        else:
            self._hand_out(values)
        return True

    def run_whole(self, values: list[Value]) -> bool:
        """As ``run``, in one call of native code; what is held belongs to no trace afterwards.

        Returns:
            Whether it was done; if not, ``run`` may be able to.
        """
        self._check(values)
        if self._numbers_of:
            if not self._numbers.put([values[n].buffer for n in self._numbers_of]):
                return False
        frame, native = self._frame, self._native
        assert frame is not None
        if self._early:
            if objects.bind(values, frame.address):
                return False
            for call in self._early:
                self._python(call, values)
        done = native.timed(objects.step, values, frame.address)
        if done == -1:
            self._choose()
            done = native.timed(objects.step, values, frame.address)
        if done < 0:
            return False
        _expect(done)
        return True

    def _choose(self) -> None:
        """Choose the arrays of the results."""
        for result in self._results:
            self._table.values[result.slot] = result.choose()

    def _hand_out(self, values: Sequence[Value]) -> None:
        """Give the results to their values."""
        for result in self._results:
            values[result.number].buffer = result.array
        for out, number, _ in self._reused:
            values[out].buffer = self._copies.get(out, values[number].buffer)
        self._copies.clear()
        for number, source in self._shared:
            values[number].buffer = values[source].buffer

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
        _expect(
            timed.run(
                self._table.address, self._numbers.address, lambda call: self._python(call, values)
            )
        )
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
        for result in self._results:
            result.forget(0)
            result.forget(1)

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
