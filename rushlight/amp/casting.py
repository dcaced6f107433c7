"""What stands in the way of operators while a thread is inside ``autocast``.

Note: recording costs nothing while autocast is off
    The recording functions know nothing of autocast. When the first thread enters a block, the
    recording functions and faces of the operators in the table are exchanged for ones that look
    at the thread's state and convert; when the last one leaves, they are changed back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

from rushlight._api import api
from rushlight._tensor import Tensor
from rushlight.amp.categories import CATEGORIES, Category
from rushlight.engine.core.dtype import COMPLEX, FLOATING, dtype, float32, float64
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import Composite, Op, Record, hooks
from rushlight.engine.ops.conv_functions import forget_recorders
from rushlight.engine.trace.autocast import state
from rushlight.engine.trace.recorder import mode, record as plain_record

Function = Callable[..., Any]
_plain_prepare = hooks.prepare


def cast(value: Any, to: dtype | None) -> Any:
    """A tensor of ``float16``, ``bfloat16`` or ``float32`` in another type; others as they are."""
    if to is None:
        return value
    if isinstance(value, TensorBase):
        found = value._value.meta.dtype
        if found is to or found is float64 or not FLOATING <= found.category < COMPLEX:
            return value
        return _cached(value, to) if found is float32 else value.to(to)  # type: ignore[attr-defined]
    if type(value) in (list, tuple):
        return type(value)(cast(part, to) for part in value)
    return value


def _cached(tensor: Any, to: dtype) -> Any:
    """A converted tensor; a parameter is converted once, so that its gradient is added up there."""
    if not (state.cache_enabled and state.depth and tensor.requires_grad and tensor.is_leaf):
        return tensor.to(to)
    key, value = (id(tensor), mode.grad), tensor._read()
    found = state.cache.get(key)
    if found is None or found[1] is not value or found[2].dtype is not to:
        found = state.cache[key] = tensor, value, tensor.to(to)
    return found[2]


def _target(category: Category, values: Any) -> dtype | None:
    if category is Category.LOWER:
        return state.dtype
    if category is Category.FLOAT32:
        return float32
    if category is Category.WIDEST and any(_is_float32(value) for value in values):
        return float32
    return None


def _is_float32(value: Any) -> bool:
    if isinstance(value, (list, tuple)):
        return any(_is_float32(part) for part in value)
    return isinstance(value, TensorBase) and value._value.meta.dtype is float32


def guarded(function: Function, category: Category) -> Function:
    """A function that converts its inputs where the present thread is inside ``autocast``.

    Args:
        function: a recording function, or a face.
        category: to which type.
    """

    def call(*args: Any, **kwargs: Any) -> Any:
        if not state.enabled:
            return function(*args, **kwargs)
        to = _target(category, args)
        state.enabled = False
        try:
            args = tuple([cast(value, to) for value in args])
            kwargs = {name: cast(value, to) for name, value in kwargs.items()}
            return function(*args, **kwargs)
        finally:
            state.enabled = True

    return call


def _record(op: Op, inputs: Any, attrs: tuple[Any, ...]) -> Any:
    category = CATEGORIES.get(op)
    if category is None or not state.enabled:
        return plain_record(op, inputs, attrs)
    to = _target(category, inputs)
    state.enabled = False
    try:
        return plain_record(op, [cast(value, to) for value in inputs], attrs)
    finally:
        state.enabled = True


def _prepare(op: Op, attrs: tuple[Any, ...], sure: bool = False) -> Function:
    made = _plain_prepare(op, attrs, sure)
    category = CATEGORIES.get(op)
    return made if category is None else guarded(made, category)


class _Exchange:
    """Puts the converting functions in place, and takes them away again."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.inside = 0
        #: for every operator what is put in place the next time: its recording functions
        self.recorders: dict[Op, tuple[Any, dict[Any, Any]]] = {
            op: (None, {}) for op in CATEGORIES if isinstance(op, Op)
        }
        self.faces: list[tuple[Any, Function, Function]] = []
        self.methods: list[tuple[str, Function, Function]] = []
        for found, category in CATEGORIES.items():
            if isinstance(found, Composite):
                self._add(found, category)

    def _add(self, found: Record, category: Category) -> None:
        plain = found.function  # type: ignore[attr-defined]
        converting = guarded(plain, category)
        for namespace in found.namespaces:
            face: Any = api.namespaces[namespace][found.public_name]
            if face.__wrapped__ is plain:
                self.faces.append((face, plain, converting))
                break
        names = [found.method_name] if found.method else []
        if "matmul" in names:
            names += ["__matmul__", "__rmatmul__"]
        for name in names:
            method = getattr(Tensor, name)
            self.methods.append((name, method, guarded(method, category)))

    def enter(self) -> None:
        """A thread has entered its outermost block."""
        with self.lock:
            self.inside += 1
            if self.inside == 1:
                self._exchange(True)

    def leave(self) -> None:
        """A thread has left its outermost block."""
        with self.lock:
            self.inside -= 1
            if self.inside == 0:
                self._exchange(False)

    def _exchange(self, converting: bool) -> None:
        hooks.record = _record if converting else plain_record
        hooks.prepare = _prepare if converting else _plain_prepare
        for op, (quick, fixed) in self.recorders.items():
            self.recorders[op] = op.__dict__.pop("quick", None), op._fixed
            op._fixed = fixed
            if quick is not None:
                op.__dict__["quick"] = quick
        for face, plain, other in self.faces:
            face.redirect(other if converting else plain)
        for name, plain, other in self.methods:
            setattr(Tensor, name, other if converting else plain)
        forget_recorders()


exchange = _Exchange()
