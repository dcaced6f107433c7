"""The hot path: recording one operation. Every line here is paid for at every operation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from sys import getrefcount
from typing import Any

import numpy as np

from rushlight.engine.core.config import config
from rushlight.engine.core.dtype import COMPLEX, FLOATING
from rushlight.engine.core.errors import user_location
from rushlight.engine.ir.graph import SHARED, WEAK_METAS, Meta, TensorBase, Value
from rushlight.engine.ir.op import MAX_SPECS, VIEW, Op, Spec, hooks
from rushlight.engine.runtime.cache import tree
from rushlight.engine.runtime.executor import flush, locations
from rushlight.engine.trace.gradient_node import Plan, node_class, plan_for

#: A trace that keeps more than this many bytes of outside values alive is run.
PINNED_BYTES = 1 << 29


class Mode:
    """Whether operations are differentiated, and when a trace has become too long."""

    __slots__ = ("grad", "inference", "limit", "tensor", "view")

    grad: bool
    inference: bool
    limit: int
    tensor: type[TensorBase]  # the public class, set by rushlight._tensor
    view: Callable[[Op, Any, tuple[Any, ...]], Any]  # set by engine.trace.views

    def __init__(self) -> None:
        self.grad = True
        self.inference = False
        self.limit = -1 if config.eager else config.trace_limit
        self.tensor = TensorBase


mode = Mode()


def overflow() -> None:
    """Run a trace that has become too long."""
    mode.limit = -1 if config.eager else config.trace_limit
    flush("trace limit")


def shared_elsewhere(value: Value) -> bool:
    """Whether memory handed out or taken over (NumPy, DLPack) is still held by somebody else."""
    owner = value.buffer.base
    if not isinstance(owner, np.ndarray):
        return True
    # the references that are ours: the buffer's `base`, the local name, getrefcount's argument
    return getrefcount(owner) > 3


def add_input(value: Value) -> int:
    """Enter an outside value into the trace; its number."""
    values = tree.values
    position = len(values)
    if value.pos == SHARED:
        if shared_elsewhere(value):
            value = Value(value.meta, position, value.buffer.copy(order="K"))
        else:
            value.pos = -1
            owner = value.buffer.base
            if owner.shape == value.buffer.shape and owner.strides == value.buffer.strides:
                value.buffer = owner  # ours alone again, so a kernel may write over it
    if value.pos != SHARED:
        value.pos = position
    values.append(value)
    if value.meta.numel > 4096:
        tree.pinned += value.meta.nbytes
        if tree.pinned > PINNED_BYTES:
            mode.limit = -1
    return position


def as_value(x: Any, op_name: str = "", argument: int = 0) -> Value:
    """The newest value of a tensor, or a Python number as a weak value."""
    kind = WEAK_METAS.get(x.__class__)
    if kind is not None:
        return Value(kind, -1, x)
    if isinstance(x, TensorBase):
        return x._value if x._alias is None else x._alias.read(x)
    if isinstance(x, (np.number, np.bool_, float, int)):
        return as_value(x.item() if isinstance(x, np.generic) else x.__class__.__mro__[-2](x))
    raise TypeError(
        f"{op_name}(): argument {argument + 1} must be Tensor or a number, "
        f"not {x.__class__.__name__}"
    )


def record_values(spec: Spec, values: Sequence[Value | None]) -> Value:
    """Record an operation on values; its first (usually only) output.

    The other outputs stand behind it in the trace.
    """
    key = [spec]
    for value in values:
        if value is None:
            key.append(-1)  # type: ignore[arg-type]
        else:
            position = value.pos
            key.append(position if position >= 0 else add_input(value))  # type: ignore[arg-type]
    trace = tree.values
    first = Value(spec.out, len(trace))
    trace.append(first)
    if len(spec.outs) > 1:
        for meta in spec.outs[1:]:
            trace.append(Value(meta, len(trace)))
    tree.state = tree.state[tuple(key)]
    return first


def record(op: Op, inputs: Sequence[Any], attrs: tuple[Any, ...]) -> Any:
    """Record any operation on tensors, numbers and ``None``; its tensor, or a tuple of them."""
    if op.kind == VIEW:
        return mode.view(op, inputs[0], attrs)
    values: list[Value | None] = [
        None if x is None else as_value(x, op.name, i) for i, x in enumerate(inputs)
    ]
    metas = tuple([None if v is None else v.meta for v in values])
    spec = op.specs.get((metas, attrs)) or op.specialize(metas, attrs)
    if not spec.outs:
        return ()
    first = record_values(spec, values)
    if op.may_fail:
        locations[first.pos] = user_location()  # type: ignore[assignment]
    position = first.pos
    made = [first]
    if len(spec.outs) > 1:
        made = tree.values[position : position + len(spec.outs)]
    node = None
    if mode.grad and op.grad is not None:
        for x in inputs:
            if isinstance(x, TensorBase) and x._edge is not None:
                node = _track(op, spec, inputs, values, made)
                break
    tensors = []
    differentiable = op.differentiable
    for number, value in enumerate(made):
        tensor = object.__new__(mode.tensor)
        tensor._value = value
        if node is not None and (differentiable is None or number < differentiable):
            category = value.meta.dtype.category
            if category == FLOATING or category == COMPLEX:
                tensor._edge = (node, number)
        tensors.append(tensor)
    if position > mode.limit:
        overflow()
    return tensors[0] if len(tensors) == 1 else tuple(tensors)


def _track(
    op: Op, spec: Spec, inputs: Sequence[Any], values: Sequence[Value | None], made: list[Value]
) -> Any:
    edges = tuple([x._edge if isinstance(x, TensorBase) else None for x in inputs])
    needs = tuple([edge is not None for edge in edges])
    plan: Plan = op.plans.get(needs) or plan_for(op, needs)
    saved = [values[i] for i in plan.inputs]
    for i in plan.outputs:
        saved.append(made[i])
    return (spec.node_class or node_class(spec))(spec, plan, edges, saved)


def unary(op: Op, attrs: tuple[Any, ...] = ()) -> Callable[[Any], Any]:
    """The recording function of a one-input operator with the same attributes at every call."""
    specs: dict[Meta, Spec] = {}

    def call(input: Any) -> Any:  # noqa: A002 - PyTorch's argument name
        try:
            value = input._value if input._alias is None else input._alias.read(input)
        except AttributeError:
            raise TypeError(
                f"{op.public_name}(): argument 'input' (position 1) must be Tensor, "
                f"not {input.__class__.__name__}"
            ) from None
        spec = specs.get(value.meta)
        if spec is None:
            if len(specs) > MAX_SPECS:
                specs.clear()
            spec = specs[value.meta] = op.specialize((value.meta,), attrs)
        position = value.pos
        if position < 0:
            position = add_input(value)
        trace = tree.values
        number = len(trace)
        out = Value(spec.out, number)
        trace.append(out)
        tree.state = tree.state[spec, position]
        tensor = object.__new__(mode.tensor)
        tensor._value = out
        edge = input._edge
        if edge is not None and mode.grad and op.grad is not None:
            if spec.out.dtype.category >= FLOATING:
                plan = op.plans.get(_ONE) or plan_for(op, _ONE)
                saved: list[Any] = [value] if plan.inputs else []
                if plan.outputs:
                    saved.append(out)
                node = (spec.node_class or node_class(spec))(spec, plan, (edge,), saved)
                tensor._edge = (node, 0)
        if number > mode.limit:
            overflow()
        return tensor

    return call


def binary(op: Op, operator: bool = False, swap: bool = False) -> Callable[[Any, Any], Any]:
    """The recording function of a two-input operator without attributes.

    Args:
        operator: for ``a + b``: answer ``NotImplemented`` to a foreign operand.
        swap: for ``__radd__`` and its like: the operands come in reverse.
    """
    specs: dict[tuple[Meta, Meta], Spec] = {}

    def call(input: Any, other: Any) -> Any:  # noqa: A002 - PyTorch's argument name
        kind = WEAK_METAS.get(other.__class__)
        if kind is not None:
            second = Value(kind, -1, other)
            second_edge = None
        elif isinstance(other, TensorBase):
            second = other._value if other._alias is None else other._alias.read(other)
            second_edge = other._edge
        elif operator and not isinstance(other, np.generic):
            return NotImplemented
        else:
            second = as_value(other, op.public_name, 1)
            second_edge = None
        if isinstance(input, TensorBase):
            first = input._value if input._alias is None else input._alias.read(input)
            first_edge = input._edge
        else:
            first = as_value(input, op.public_name, 0)
            first_edge = None
        if swap:
            first, second = second, first
            first_edge, second_edge = second_edge, first_edge
        key = (first.meta, second.meta)
        spec = specs.get(key)
        if spec is None:
            if len(specs) > MAX_SPECS:
                specs.clear()
            spec = specs[key] = op.specialize(key)
        position = first.pos
        if position < 0:
            position = add_input(first)
        other_position = second.pos
        if other_position < 0:
            other_position = add_input(second)
        trace = tree.values
        number = len(trace)
        out = Value(spec.out, number)
        trace.append(out)
        tree.state = tree.state[spec, position, other_position]
        tensor = object.__new__(mode.tensor)
        tensor._value = out
        if (first_edge is not None or second_edge is not None) and mode.grad:
            if spec.out.dtype.category >= FLOATING and op.grad is not None:
                needs = (first_edge is not None, second_edge is not None)
                plan = op.plans.get(needs) or plan_for(op, needs)
                saved = [second if i else first for i in plan.inputs]
                if plan.outputs:
                    saved.append(out)
                node = (spec.node_class or node_class(spec))(
                    spec, plan, (first_edge, second_edge), saved
                )
                tensor._edge = (node, 0)
        if number > mode.limit:
            overflow()
        return tensor

    return call


_ONE = (True,)


def wrap(value: Value, edge: Any = None) -> Any:
    """A tensor for ``value`` whose gradient goes to ``edge``."""
    tensor = object.__new__(mode.tensor)
    tensor._value = value
    if edge is not None:
        tensor._edge = edge
    return tensor


hooks.record = record


def _prepare(op: Op, attrs: tuple[Any, ...]) -> Callable[..., Any]:
    return unary(op, attrs) if len(op.input_names) == 1 else binary(op)


hooks.prepare = _prepare
hooks.wrap = wrap
