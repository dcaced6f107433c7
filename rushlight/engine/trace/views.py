"""Views and in-place writes: tensors that share a storage.

Note: views and writes on immutable values
    A ``Storage`` is a cell with the newest value of the whole memory and a version counter. A
    tensor that shares it remembers the chain of view operations that leads from the whole to
    itself, and the version at which it last looked. Reading a tensor that is behind takes the chain
    again from the newest value. Writing to a tensor makes a new value of the whole, in which the
    part the chain leads to is replaced; the old value stays what it was for whoever saved it.
    The autograd side follows the same way: a view knows the tensor it was taken from (``_base``);
    a write through the view gives the base a new ``grad_fn`` (``view_scatter``), and every view
    whose base has a new one derives its own anew from it.
"""

from __future__ import annotations

from collections.abc import Sequence
from sys import getrefcount
from typing import Any
from weakref import ref

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, can_cast
from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.core.watch import watch
from rushlight.engine.ir.buffers import copy_strided
from rushlight.engine.ir.graph import SHARED, WEAK_METAS, Meta, Value
from rushlight.engine.ir.op import Op, Spec, hooks
from rushlight.engine.ops.view import as_layout, expand, to_dtype, view_scatter
from rushlight.engine.ops.view_window import span_of
from rushlight.engine.runtime.cache import here
from rushlight.engine.runtime.executor import materialize
from rushlight.engine.trace.gradient_node import grow, plan_for
from rushlight.engine.trace.recorder import mode, overflow, record_values, shared_elsewhere

Chain = tuple[Spec, ...]


class Storage:
    """Memory that several tensors look at: its newest value and how often it was written."""

    __slots__ = ("__weakref__", "value", "version")

    def __init__(self, value: Value, version: int) -> None:
        self.value = value
        self.version = version

    def read(self, tensor: Any) -> Value:
        """The newest value of a tensor that looks at this storage."""
        if tensor._seen != self.version:
            tensor._value = follow(self.value, tensor._chain)
            tensor._seen = self.version
        base = tensor._base
        if base is not None:
            if base._former is not None:
                base = tensor._base = base._former
            if base._edge is not tensor._base_edge:
                refresh_edge(tensor)
        value: Value = tensor._value
        return value


def storage_of(tensor: Any) -> Storage:
    """The storage of a tensor, made when first asked for."""
    if tensor._alias is None:
        tensor._alias = Storage(tensor._value, tensor._version_count)
        tensor._chain = ()
        tensor._seen = tensor._version_count
        tensor._base = None
        tensor._base_edge = None
    storage: Storage = tensor._alias
    return storage


def apply_view(spec: Spec, value: Value) -> Value:
    """One view operation on a value: at once where its memory exists, else recorded."""
    buffer = value.buffer
    if buffer is not None:
        ready = materialize(value, "view")
        return Value(spec.out, SHARED if value.pos == SHARED else -1, spec.kernel(ready))
    if spec.passing:
        spec = spec.op.settle(spec)
    return record_values(spec, (value,))


def follow(value: Value, chain: Chain) -> Value:
    """The value a chain of views leads to."""
    for spec in chain:
        value = apply_view(spec, value)
    return value


def make_view(op: Op, tensor: Any, attrs: tuple[Any, ...]) -> Any:
    """Record a view operation: a new tensor that looks at the same storage."""
    storage = tensor._alias or storage_of(tensor)
    value = storage.read(tensor)
    key = ((value.meta,), attrs)
    made: Any = object.__new__(mode.tensor)
    spec = op.specs.get(key)
    if spec is not None:
        made._value = apply_view(spec, value)
    elif value.buffer.__class__ is np.ndarray and tensor._edge is None:
        spec = op.pass_by(*key)
        if watch.read is not None:
            watch.read(value, "view")
        found = Value.__new__(Value)
        found.meta, found.pos = spec.out, SHARED if value.pos == SHARED else -1
        kernel = op.kernel(spec, *attrs)  # not kept: seldom needed again
        assert kernel is not None
        found.buffer = kernel(value.buffer)
        made._value = found
    else:
        spec = op.specialize(*key)
        made._value = apply_view(spec, value)
    made._alias = storage
    made._chain = (*tensor._chain, spec)
    made._seen = storage.version
    base = tensor if tensor._base is None else tensor._base
    made._base = base
    made._base_edge = base._edge
    edge = tensor._edge
    trace = here.trace
    if edge is not None:
        if trace.grad:
            made._edge = _view_edge(spec, edge)
        else:
            made._base = None  # made without gradients: stays outside the graph of its base
    if len(trace.values) > trace.limit:
        overflow()
    return made


def make_views(
    op: Op, tensor: Any, parts: Sequence[tuple[Any, ...]], node_op: Op, attrs: tuple[Any, ...]
) -> tuple[Any, ...]:
    """Several views of one tensor, one for each tuple of attributes, with a common node."""
    with_edge = tensor.requires_grad and here.trace.grad
    before, here.trace.grad = here.trace.grad, False
    try:
        made = tuple([make_view(op, tensor, part) for part in parts])
    finally:
        here.trace.grad = before
    if with_edge and made:
        key = ((tensor._value.meta,), attrs)
        spec = node_op.specs.get(key) or node_op.specialize(*key)
        plan = plan_for(node_op, (True,))
        node = grow(spec, plan, (tensor._edge,), [])
        base = tensor if tensor._base is None else tensor._base
        for number, view in enumerate(made):
            view._edge = (node, number)
            view._base = base
            view._base_edge = base._edge
    return made


def _view_edge(spec: Spec, edge: Any) -> Any:
    op = spec.op
    if spec.passing:
        spec = op.settle(spec)
    if op.grad is None or spec.out.dtype.category < 2:
        return None
    return (grow(spec, plan_for(op, (True,)), (edge,), []), 0)


def become_view(op: Op, tensor: Any, attrs: tuple[Any, ...]) -> Any:
    """Let the tensor itself look at its memory through a view operation: ``x.t_()``."""
    check_inplace(tensor)
    if tensor._alias is None:
        value = tensor._value
        key = ((value.meta,), attrs)
        spec = op.specs.get(key) or op.specialize(*key)
        if tensor._edge is not None and not _is_leaf(tensor):
            tensor._edge = _view_edge(spec, tensor._edge)  # also in no_grad: the shape is another
        tensor._value = apply_view(spec, value)
        tensor._version_count += 1
        return tensor
    made = make_view(op, tensor, attrs)
    if tensor._base is None:
        # views may have been taken from it: an unnamed tensor stands for what it was to them
        root: Any = object.__new__(mode.tensor)
        root._value, root._alias, root._chain = tensor._value, tensor._alias, tensor._chain
        root._seen, root._base, root._base_edge = tensor._seen, None, None
        root._edge = tensor._edge
        tensor._former = root
        if not _is_leaf(tensor):
            tensor._base, tensor._base_edge = root, root._edge
    tensor._value, tensor._chain, tensor._seen = made._value, made._chain, made._seen
    if tensor._edge is not None and not _is_leaf(tensor):
        tensor._edge = _view_edge(made._chain[-1], tensor._edge)
    return tensor


def offset_of(tensor: Any) -> int:
    """Where the tensor begins in its storage, in elements."""
    if tensor._alias is None or not tensor._chain:
        return 0
    moved = 0
    for spec in tensor._chain:
        if spec.op.offset is not None:
            input_meta = spec.inputs[0]
            moved += spec.op.offset(input_meta, *spec.attrs) * input_meta.dtype.itemsize
    return int(moved // meta_of(tensor).dtype.itemsize)


def memory(tensor: Any, offset: int, span: int) -> tuple[Any, int]:
    """A tensor in whose memory a part of the storage lies, and the part's offset in it.

    It is the tensor itself if that has no gaps and reaches so far; else what it is a view of.
    """
    meta = meta_of(tensor)
    own = offset_of(tensor)
    dense = meta.numel == span_of(tuple(meta.shape), meta.strides)
    if not tensor._alias or not tensor._chain:
        return tensor, offset
    if dense and own <= offset and offset + span <= own + meta.numel:
        return tensor, offset - own
    storage_of(tensor).read(tensor)
    base = tensor._base
    if base is not None and not base._chain:
        return base, offset
    made: Any = object.__new__(mode.tensor)
    made._value, made._alias, made._chain = tensor._alias.value, tensor._alias, ()
    made._seen, made._base, made._base_edge = tensor._alias.version, None, None
    return made, offset


def refresh_edge(tensor: Any) -> None:
    """Derive the ``grad_fn`` of a view anew after its base has got another one."""
    base = tensor._base
    edge = base._edge
    tensor._base_edge = edge
    if edge is not None:
        for spec in tensor._chain[len(base._chain) :]:
            edge = _view_edge(spec, edge)
    tensor._edge = edge


def share(tensor: Any) -> Any:
    """A tensor that looks at the same memory and is outside the graph: ``detach()``."""
    storage = storage_of(tensor)
    made: Any = object.__new__(mode.tensor)
    made._value = storage.read(tensor)
    made._alias = storage
    made._chain = tensor._chain
    made._seen = storage.version
    made._base = None
    made._base_edge = None
    return made


def version(tensor: Any) -> int:
    """How often the memory of the tensor was written."""
    if tensor._alias is None:
        return int(tensor._version_count)
    return int(tensor._alias.version)


def check_inplace(tensor: Any) -> None:
    """Refuse a write that autograd cannot follow, in PyTorch's words."""
    if not mode.grad:
        return
    edge = tensor._edge
    if edge is not None and edge[0].is_leaf_node:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation.\n"
            "Write under torch.no_grad(), or to x.data, or make a new tensor instead."
        )
    base = getattr(tensor, "_base", None) if tensor._alias is not None else None
    if base is not None and base._edge is not None and base._edge[0].is_leaf_node:
        raise RuntimeError(
            "a view of a leaf Variable that requires grad is being used in an in-place operation.\n"
            "Write under torch.no_grad(), or to x.data, or make a new tensor instead."
        )


def write(tensor: Any, source: Any, op_name: str = "copy_") -> Any:
    """Put what ``source`` holds into ``tensor``, in place; every view of its memory sees it.

    ``source`` must broadcast to the tensor's shape, and its type must convert to the tensor's.
    """
    check_inplace(tensor)
    if not tensor._value.meta.contiguous:
        _refuse_overlap(tensor._value.meta)
    source = fit(source, tensor, op_name)
    value = source._value if source._alias is None else source._alias.read(source)
    edge = source._edge if here.trace.grad else None
    assign(tensor, value, edge)
    return tensor


def write_part(tensor: Any, op: Op, attrs: tuple[Any, ...], source: Any) -> None:
    """Write into the part of ``tensor`` that a view operation looks at.

    ``source`` is a tensor that broadcasts to the part, or a number that the type can hold.
    Without gradients no view is made for it.
    """
    trace = here.trace
    storage = storage_of(tensor)
    value = storage.read(tensor)
    key = ((value.meta,), attrs)
    spec = op.specs.get(key) or op.specialize(*key)
    whole = storage.value
    if source.__class__ in WEAK_METAS:
        new, edge = Value(WEAK_METAS[source.__class__], -1, source), None
    else:
        new = source._value if source._alias is None else source._alias.read(source)
        edge = source._edge
    base = tensor._base
    watched = tensor._edge is not None or edge is not None or (
        base is not None and base._edge is not None
    )
    plain = new.meta.weak or (new.meta.dtype is spec.out.dtype and fits(new.meta, spec.out))
    if (watched and trace.grad) or not plain or whole.pos == SHARED:
        part = make_view(op, tensor, attrs)
        if new.meta.weak:
            source = hooks.constant(np.asarray(source).astype(spec.out.dtype.numpy))
        write(part, source)
        return
    if not spec.out.contiguous:
        _refuse_overlap(spec.out)
    scattered = _scatter(whole, new, (*tensor._chain, spec))
    _remember(storage, whole)  # now that it stands in the trace, so that it is not held for this
    storage.value = scattered
    storage.version += 1
    # what the tensor saw before must not keep the old memory alive, or it could not be written over
    tensor._value = Value(value.meta) if tensor._chain else scattered
    tensor._seen = storage.version - 1 if tensor._chain else storage.version
    if len(trace.values) > trace.limit:
        overflow()


def fits(have: Meta, wanted: Meta) -> bool:
    """Whether ``have`` broadcasts to the shape of ``wanted``."""
    if have.shape == wanted.shape:
        return True
    lead = wanted.ndim - have.ndim
    return lead >= 0 and all(
        size in (1, wanted.shape[lead + axis]) for axis, size in enumerate(have.shape)
    )


def _refuse_overlap(meta: Meta) -> None:
    for size, stride in zip(meta.shape, meta.strides, strict=True):
        if stride == 0 and size > 1 and meta.numel:
            raise RuntimeError(
                "unsupported operation: more than one element of the written-to tensor refers to "
                "a single memory location. Please clone() the tensor before performing the "
                "operation."
            )


def fit(source: Any, tensor: Any, op_name: str = "copy_") -> Any:
    """``source`` brought to the shape, type and layout of ``tensor``; PyTorch's errors if not."""
    meta = meta_of(tensor)
    have = meta_of(source)
    if have is meta:
        return source
    if have.shape != meta.shape:
        if broadcast_shapes(have.shape, meta.shape) != tuple(meta.shape):
            raise RuntimeError(
                f"output with shape {list(meta.shape)} doesn't match the broadcast shape "
                f"{list(broadcast_shapes(have.shape, meta.shape))}"
            )
        source = expand(source, size=tuple(meta.shape))
    if have.dtype is not meta.dtype:
        if op_name != "copy_" and not can_cast(have.dtype, meta.dtype):
            raise RuntimeError(
                f"result type {SCALAR_NAMES[have.dtype]} can't be cast to the desired output type "
                f"{SCALAR_NAMES[meta.dtype]}"
            )
        source = to_dtype(source, dtype=meta.dtype)
    if meta_of(source) is not meta and (tensor._alias is None or not tensor._chain):
        source = as_layout(source, strides=meta.strides)
    return source


def meta_of(tensor: Any) -> Meta:
    """What is known of a tensor (the layout never changes by a write)."""
    meta: Meta = tensor._value.meta
    return meta


def assign(tensor: Any, value: Value, edge: Any) -> None:
    """Make ``value`` the newest value of ``tensor``: same meta, gradients going to ``edge``."""
    storage = tensor._alias
    if storage is None:
        if tensor._value.pos == SHARED and shared_elsewhere(tensor._value):
            tensor._value = _write_through(tensor._value, tensor._value, value)
        else:
            if value.buffer is None:
                _remember(tensor, tensor._value)
            tensor._value = value
        tensor._version_count += 1
        if mode.grad and not _is_leaf(tensor):
            tensor._edge = edge
        return
    storage.read(tensor)
    if storage.value.pos == SHARED and shared_elsewhere(storage.value):
        storage.value = _write_through(storage.value, follow(storage.value, tensor._chain), value)
        storage.version += 1
        storage.read(tensor)
    else:
        whole = value
        if tensor._chain:
            whole = _scatter(storage.value, value, tensor._chain)
        if whole.buffer is None:
            _remember(storage, storage.value)
        storage.value = whole
        storage.version += 1
        if value.meta is meta_of(tensor):  # else it is looked up again where it was written
            tensor._value = value
            tensor._seen = storage.version
    _assign_edge(tensor, edge)


def _remember(target: Any, before: Value) -> None:
    """Note what a tensor or storage held, should what it gets now turn out not computable."""
    trace = here.trace
    if trace.writes is None:
        trace.writes = []
    position = before.pos - trace.slot.base
    if 0 <= position < len(trace.values):
        trace.writes.append((ref(target), position, None))
    else:
        trace.writes.append((ref(target), -1, before))


def _is_leaf(tensor: Any) -> bool:
    return tensor._edge is not None and tensor._edge[0].is_leaf_node


def _assign_edge(tensor: Any, edge: Any) -> None:
    base = tensor._base
    if base is None:
        if mode.grad and not _is_leaf(tensor):
            tensor._edge = edge
        return
    if not mode.grad or (edge is None and base._edge is None):
        return
    chain = tensor._chain[len(base._chain) :]
    spec = _scatter_spec(base._value.meta, tensor._value.meta, chain)
    edges = (base._edge, edge)
    plan = plan_for(view_scatter, (base._edge is not None, edge is not None))
    node = grow(spec, plan, edges, [])
    base._edge = (node, 0)
    refresh_edge(tensor)


def _scatter_spec(whole: Meta, part: Meta, chain: Chain) -> Spec:
    if any(spec.passing for spec in chain):
        chain = tuple([spec.op.settle(spec) if spec.passing else spec for spec in chain])
    key = ((whole, part), (chain,))
    return view_scatter.specs.get(key) or view_scatter.specialize(*key)


def _scatter(whole: Value, part: Value, chain: Chain) -> Value:
    return record_values(_scatter_spec(whole.meta, part.meta, chain), (whole, part))


def _write_through(whole: Value, target: Value, value: Value) -> Value:
    """Write into memory that others share, at once; the value that stands for it from now on.

    Whoever saved the old value keeps what it was.
    """
    new = materialize(value, "write to shared memory")
    buffer, written = whole.buffer, target.buffer  # `target` may be `whole` itself
    saved_elsewhere = getrefcount(whole) > 5
    fresh = Value(whole.meta, SHARED, buffer)
    if saved_elsewhere:
        whole.buffer = copy_strided(buffer, whole.meta)
        whole.pos = -1
    written[...] = new
    return fresh


mode.view = make_view
hooks.views = make_views
hooks.memory = memory
hooks.become = become_view
hooks.write = write
