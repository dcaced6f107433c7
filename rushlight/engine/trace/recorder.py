"""The hot path: recording one operation. Every line here is paid for at every operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.core.errors import user_location
from rushlight.engine.core.watch import watch
from rushlight.engine.ir.buffers import copy_strided
from rushlight.engine.ir.graph import SHARED, WEAK_METAS, TensorBase, Value, returned
from rushlight.engine.ir.op import VIEW, Op, Spec, hooks
from rushlight.engine.runtime.cache import ForeignValueError, Trace, here
from rushlight.engine.runtime.executor import adopt, flush
from rushlight.engine.trace.gradient_node import Plan, grow, plan_for

#: A trace that keeps more than this many bytes of outside values alive is run.
PINNED_BYTES = 1 << 29

new = object.__new__


class Mode:
    """What the recorder is told from above, and the switches of the current thread."""

    __slots__ = ("tensor", "view")

    tensor: type[TensorBase]  # the public class, set by rushlight._tensor
    view: Callable[[Op, Any, tuple[Any, ...]], Any]  # set by engine.trace.views

    def __init__(self) -> None:
        self.tensor = TensorBase

    @property
    def grad(self) -> bool:
        """Whether operations are differentiated."""
        return here.trace.grad

    @grad.setter
    def grad(self, wanted: bool) -> None:
        here.trace.grad = wanted

    @property
    def inference(self) -> bool:
        """Whether inference mode is on."""
        return here.trace.inference

    @inference.setter
    def inference(self, wanted: bool) -> None:
        here.trace.inference = wanted

    @property
    def limit(self) -> int:
        """The number of values after which the trace being recorded is run; -1: at once."""
        return here.trace.limit

    @limit.setter
    def limit(self, limit: int) -> None:
        here.trace.limit = limit


mode = Mode()


def overflow() -> None:
    """Run a trace that has become too long.

    In a loop whose results nobody reads it is run at the operation at which the last one was, so
    that the traces of such a loop are all the same and not one for every place in the loop.
    """
    trace = here.trace
    if not trace.values:
        return
    spec, slot = trace.state.key[0], trace.slot
    patience = 2 * trace.limit - slot.base if trace.limit > slot.base else -1
    if spec is slot.turn or slot.turn is None or len(trace.values) > patience:
        slot.turn = spec
        flush("trace limit")


def shared_elsewhere(value: Value) -> bool:
    """Whether memory handed out or taken over (NumPy, DLPack) is still held by somebody else."""
    owner = value.buffer.base
    if not isinstance(owner, np.ndarray):
        return True
    # the references that are ours: the buffer's `base`, the local name, getrefcount's argument
    return getrefcount(owner) > 3


def enter(trace: Trace, value: Value) -> int:
    """Enter an outside value into the trace; its number."""
    if value.pos == SHARED:
        if shared_elsewhere(value):
            copy = Value(value.meta, -1, copy_strided(value.buffer, value.meta))
            if watch.copied is not None:
                watch.copied(value, copy)
            value = copy
        else:
            owner = value.buffer.base
            if owner.shape == value.buffer.shape and owner.strides == value.buffer.strides:
                value.buffer = owner  # ours alone again, so a kernel may write over it
            returned.add(value)
    listed = trace.values
    value.pos = position = len(listed)
    listed.append(value)
    meta = value.meta
    if meta.numel > 4096:
        trace.pinned += meta.nbytes
        if trace.pinned > PINNED_BYTES:
            trace.limit = -1
    return position


def own(trace: Trace, value: Value | None) -> Value | None:
    """``value``, or the copy that stands for it where it belongs to another thread's trace."""
    if value is None or value.pos < 0 or trace.slot.base <= value.pos < len(trace.values):
        return value
    if trace.copies is None:
        trace.copies = {}
    known = trace.copies.get(id(value))
    if known is None:
        if value.buffer is None:
            adopt(value)
        known = trace.copies[id(value)] = value, Value(value.meta, -1, value.buffer)
    copy: Value = known[1]
    return copy


def as_value(x: Any, op: Op, argument: int) -> Value:
    """The newest value of a tensor, or a Python number as a weak value."""
    kind = WEAK_METAS.get(x.__class__)
    if kind is not None:
        return Value(kind, -1, x)
    if isinstance(x, TensorBase):
        return x._value if x._alias is None else x._alias.read(x)
    if isinstance(x, (np.number, np.bool_, float, int)):
        plain = x.item() if isinstance(x, np.generic) else x.__class__.__mro__[-2](x)
        return as_value(plain, op, argument)
    name = "tensors" if op.variadic else op.input_names[argument]
    raise TypeError(
        f"{op.public_name}(): argument '{name}' (position {argument + 1}) must be Tensor, "
        f"not {x.__class__.__name__}"
    )


def record_values(spec: Spec, values: Sequence[Value | None]) -> Value:
    """Record an operation on values; its first (usually only) output.

    The other outputs stand behind it in the trace.
    """
    trace = here.trace
    key: list[Any] = [spec]
    try:
        for value in values:
            if value is None:
                key.append(-1)
            else:
                position = value.pos
                key.append(position if position >= 0 else enter(trace, value))
        listed = trace.values
        first = Value(spec.out, len(listed))
        listed.append(first)
        if len(spec.outs) > 1:
            for meta in spec.outs[1:]:
                listed.append(Value(meta, len(listed)))
        trace.state = trace.state[tuple(key)]
    except ForeignValueError:
        trace.trim()
        return record_values(spec, [own(trace, value) for value in values])
    except BaseException:
        trace.trim()
        raise
    return first


def record(op: Op, inputs: Sequence[Any], attrs: tuple[Any, ...]) -> Any:
    """Record any operation on tensors, numbers and ``None``; its tensor, or a tuple of them."""
    if op.kind == VIEW:
        return mode.view(op, inputs[0], attrs)
    values: list[Value | None] = []
    edges, tracked = [], False
    for x in inputs:
        if isinstance(x, TensorBase):
            values.append(x._value if x._alias is None else x._alias.read(x))
            edge = x._edge
            edges.append(edge)
            if edge is not None:
                tracked = True
        else:
            values.append(None if x is None else as_value(x, op, len(values)))
            edges.append(None)
    metas = tuple([None if v is None else v.meta for v in values])
    spec = op.specs.get((metas, attrs)) or op.specialize(metas, attrs)
    if not spec.outs:
        return ()
    first = record_values(spec, values)
    trace, position = here.trace, first.pos
    if op.may_fail:
        if trace.locations is None:
            trace.locations = {}
        trace.locations[position - trace.slot.base] = user_location()  # type: ignore[assignment]
    several = len(spec.outs) > 1
    made = trace.values[-len(spec.outs) :] if several else [first]
    node = None
    if tracked and trace.grad and op.grad is not None:
        node = _track(op, spec, tuple(edges), values, made)
    tensors = []
    differentiable = op.differentiable
    for number, value in enumerate(made):
        tensor = new(mode.tensor)
        tensor._value = value
        if node is not None and (differentiable is None or number < differentiable):
            if value.meta.dtype.category >= FLOATING:
                tensor._edge = (node, number)
        tensors.append(tensor)
    if position > trace.limit:
        overflow()
    return tuple(tensors) if several else tensors[0]


def _track(
    op: Op, spec: Spec, edges: tuple[Any, ...], values: Sequence[Value | None], made: list[Value]
) -> Any:
    needs = tuple([edge is not None for edge in edges])
    plan: Plan = op.plans.get(needs) or plan_for(op, needs)
    saved = [values[i] for i in plan.inputs]
    for i in plan.outputs:
        saved.append(made[i])
    return grow(spec, plan, edges, saved, here.trace.origin + made[0].pos)


def wrap(value: Value, edge: Any = None) -> Any:
    """A tensor for ``value`` whose gradient goes to ``edge``."""
    tensor = object.__new__(mode.tensor)
    tensor._value = value
    if edge is not None:
        tensor._edge = edge
    return tensor


hooks.record = record
hooks.wrap = wrap
