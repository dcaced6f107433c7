"""Recording functions made for one operator: what ``record`` does, unrolled for their inputs.

Every line here is paid for at every operation, so these functions are long and alike on purpose.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.core.errors import user_location
from rushlight.engine.ir.graph import WEAK_METAS, Meta, TensorBase, Value
from rushlight.engine.ir.op import MAX_SPECS, VIEW, Op, Spec, hooks
from rushlight.engine.runtime.cache import ForeignValueError, Trace, here
from rushlight.engine.trace.gradient_node import grow, plan_for
from rushlight.engine.trace.recorder import (
    as_value,
    enter,
    mode,
    overflow,
    own,
    record,
    record_values,
)

new = object.__new__

_ONE = (True,)


def append_rest(trace: Trace, spec: Spec) -> None:
    """Append the outputs behind the first one."""
    listed = trace.values
    for meta in spec.outs[1:]:
        listed.append(Value(meta, len(listed)))


def locate(trace: Trace, number: int) -> None:
    """Note the user's line for an operation that may fail when it runs."""
    if trace.locations is None:
        trace.locations = {}
    trace.locations[number - trace.slot.base] = user_location()  # type: ignore[assignment]


def specialize(op: Op, specs: dict[Any, Spec], key: Any, metas: Any, attrs: Any) -> Spec:
    """The spec for these metas, from now on found in ``specs``."""
    if len(specs) > MAX_SPECS:
        specs.clear()
    spec = specs[key] = op.specs.get((metas, attrs)) or op.specialize(metas, attrs)
    return spec


def unary(op: Op, attrs: tuple[Any, ...] = ()) -> Callable[[Any], Any]:
    """The recording function of a one-input operator with the same attributes at every call.

    It gives the first output.
    """
    specs: dict[Meta, Spec] = {}
    differentiable, plans, may_fail = op.grad is not None, op.plans, op.may_fail

    def call(input: Any) -> Any:
        try:
            value = input._value if input._alias is None else input._alias.read(input)
        except AttributeError:
            raise TypeError(
                f"{op.public_name}(): argument 'input' (position 1) must be Tensor, "
                f"not {input.__class__.__name__}"
            ) from None
        meta = value.meta
        spec = specs.get(meta) or specialize(op, specs, meta, (meta,), attrs)
        trace = here.trace
        try:
            position = value.pos
            if position < 0:
                position = enter(trace, value)
            listed = trace.values
            number = len(listed)
            out = new(Value)  # calling the class takes twice as long
            out.meta, out.pos, out.buffer = spec.out, number, None
            listed.append(out)
            if len(spec.outs) > 1:
                append_rest(trace, spec)
            trace.state = trace.state[spec, position]
        except ForeignValueError:
            trace.trim()
            out = record_values(spec, (own(trace, value),))
            number = out.pos
        except BaseException:
            trace.trim()
            raise
        tensor = new(mode.tensor)
        tensor._value = out
        if may_fail:
            locate(trace, number)
        edge = input._edge
        if edge is not None and differentiable and trace.grad:
            if spec.out.dtype.category >= FLOATING:
                plan = plans.get(_ONE) or plan_for(op, _ONE)
                saved: list[Any] = [value] if plan.inputs else []
                for i in plan.outputs:
                    saved.append(trace.values[number - trace.slot.base + i])
                tensor._edge = (grow(spec, plan, (edge,), saved, trace.origin + number), 0)
        if number > trace.limit:
            overflow()
        return tensor

    return call


def binary(
    op: Op, operator: bool = False, swap: bool = False, attrs: tuple[Any, ...] = ()
) -> Callable[[Any, Any], Any]:
    """The recording function of a two-input operator, with the same attributes at every call.

    Args:
        operator: for ``a + b``: answer ``NotImplemented`` to a foreign operand.
        swap: for ``__radd__`` and its like: the operands come in reverse.
        attrs: the attributes.
    """
    specs: dict[tuple[Meta, Meta], Spec] = {}
    differentiable, plans, may_fail = op.grad is not None, op.plans, op.may_fail

    def call(input: Any, other: Any) -> Any:
        kind = WEAK_METAS.get(other.__class__)
        if kind is not None:
            second = new(Value)
            second.meta, second.pos, second.buffer = kind, -1, other
            second_edge = None
        elif isinstance(other, TensorBase):
            second = other._value if other._alias is None else other._alias.read(other)
            second_edge = other._edge
        elif operator and not isinstance(other, np.generic):
            return NotImplemented
        else:
            second = as_value(other, op, 1)
            second_edge = None
        if isinstance(input, TensorBase):
            first = input._value if input._alias is None else input._alias.read(input)
            first_edge = input._edge
        else:
            first = as_value(input, op, 0)
            first_edge = None
        if swap:
            first, second = second, first
            first_edge, second_edge = second_edge, first_edge
        key = (first.meta, second.meta)
        spec = specs.get(key) or specialize(op, specs, key, key, attrs)
        trace = here.trace
        try:
            position = first.pos
            if position < 0:
                position = enter(trace, first)
            other_position = second.pos
            if other_position < 0:
                other_position = enter(trace, second)
            listed = trace.values
            number = len(listed)
            out = new(Value)  # calling the class takes twice as long
            out.meta, out.pos, out.buffer = spec.out, number, None
            listed.append(out)
            if len(spec.outs) > 1:
                append_rest(trace, spec)
            trace.state = trace.state[spec, position, other_position]
        except ForeignValueError:
            trace.trim()
            out = record_values(spec, (own(trace, first), own(trace, second)))
            number = out.pos
        except BaseException:
            trace.trim()
            raise
        tensor = new(mode.tensor)
        tensor._value = out
        if may_fail:
            locate(trace, number)
        if (first_edge is not None or second_edge is not None) and trace.grad:
            if differentiable and spec.out.dtype.category >= FLOATING:
                needs = (first_edge is not None, second_edge is not None)
                plan = plans.get(needs) or plan_for(op, needs)
                saved: list[Any] = []
                for i in plan.inputs:
                    saved.append(second if i else first)
                for i in plan.outputs:
                    saved.append(trace.values[number - trace.slot.base + i])
                edges = (first_edge, second_edge)
                tensor._edge = (grow(spec, plan, edges, saved, trace.origin + number), 0)
        if number > trace.limit:
            overflow()
        return tensor

    return call


def ternary(
    op: Op, attrs: tuple[Any, ...] = (), sure: bool = False
) -> Callable[[Any, Any, Any], Any]:
    """The recording function of a three-input operator with the same attributes at every call.

    The third input may be ``None``; numbers and foreign objects take the long way. It gives the
    first output.
    """
    specs: dict[tuple[Meta | None, ...], Spec] = {}
    differentiable, plans, may_fail = op.grad is not None, op.plans, op.may_fail and not sure

    def long_way(*inputs: Any) -> Any:
        made = record(op, inputs, attrs)
        return made[0] if made.__class__ is tuple else made

    def call(input: Any, other: Any, third: Any) -> Any:
        try:
            alias = input._alias
            if alias is None or (alias.version == input._seen and input._base is None):
                first = input._value
            else:
                first = alias.read(input)
            alias = other._alias
            if alias is None or (alias.version == other._seen and other._base is None):
                second = other._value
            else:
                second = alias.read(other)
            first_edge, second_edge = input._edge, other._edge
            if third is None:
                last, last_meta, third_edge = None, None, None
            else:
                alias = third._alias
                if alias is None or (alias.version == third._seen and third._base is None):
                    last = third._value
                else:
                    last = alias.read(third)
                last_meta, third_edge = last.meta, third._edge
        except AttributeError:
            return long_way(input, other, third)
        key = (first.meta, second.meta, last_meta)
        spec = specs.get(key) or specialize(op, specs, key, key, attrs)
        trace = here.trace
        try:
            position = first.pos
            if position < 0:
                position = enter(trace, first)
            other_position = second.pos
            if other_position < 0:
                other_position = enter(trace, second)
            last_position = -1
            if last is not None:
                last_position = last.pos
                if last_position < 0:
                    last_position = enter(trace, last)
            listed = trace.values
            number = len(listed)
            out = new(Value)  # calling the class takes twice as long
            out.meta, out.pos, out.buffer = spec.out, number, None
            listed.append(out)
            if len(spec.outs) > 1:
                append_rest(trace, spec)
            trace.state = trace.state[spec, position, other_position, last_position]
        except ForeignValueError:
            trace.trim()
            out = record_values(spec, [own(trace, value) for value in (first, second, last)])
            number = out.pos
        except BaseException:
            trace.trim()
            raise
        tensor = new(mode.tensor)
        tensor._value = out
        if may_fail:
            locate(trace, number)
        if differentiable and trace.grad and not first_edge is second_edge is third_edge is None:
            if spec.out.dtype.category >= FLOATING:
                needs = (first_edge is not None, second_edge is not None, third_edge is not None)
                plan = plans.get(needs) or plan_for(op, needs)
                values = (first, second, last)
                saved: list[Any] = []
                for i in plan.inputs:
                    saved.append(values[i])
                for i in plan.outputs:
                    saved.append(trace.values[number - trace.slot.base + i])
                edges = (first_edge, second_edge, third_edge)
                tensor._edge = (grow(spec, plan, edges, saved, trace.origin + number), 0)
        if number > trace.limit:
            overflow()
        return tensor

    return call


def _prepare(op: Op, attrs: tuple[Any, ...], sure: bool = False) -> Callable[..., Any]:
    if op.kind == VIEW or op.variadic or len(op.input_names) > 3:
        raise ValueError(f"{op.name} has no short way of recording")
    if len(op.input_names) == 1:
        made: Any = unary(op, attrs)
    else:
        made = binary(op, attrs=attrs) if len(op.input_names) == 2 else ternary(op, attrs, sure)
    # code of its own: the interpreter's inline caches, one set per code, then fit one operator
    made.__code__ = made.__code__.replace()
    return made


hooks.prepare = _prepare
