"""scatter, scatter_add and scatter_reduce: one write per index along an axis."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import bool_, int32, int64
from rushlight.engine.core.shape import Shape, normalize_dim
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import GATHER, Op, Spec, composite, hooks
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ops.gather import (
    check_bounds,
    check_known,
    flat_places,
    full_shape,
    gather_op,
)
from rushlight.engine.ops.index import add_rows
from rushlight.engine.ops.index_functions import checked_number
from rushlight.engine.ops.view import numpy_sum
from rushlight.engine.ops.written_out import Build, is_half, usable

Array = np.ndarray


def _check(input: Meta, index: Meta, source: Meta | None, dim: int) -> None:
    """PyTorch's errors for an index that does not fit to what is written, or where to."""
    if index.dtype is not int64 and index.dtype is not int32:
        raise RuntimeError(
            "scatter(): Expected dtype int32/int64 for index\nConvert the index with .long()."
        )
    if source is not None and not source.weak and source.dtype is not input.dtype:
        raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
    if not index.numel:
        return
    if max(index.ndim, 1) != max(input.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    if source is not None and not source.weak and max(index.ndim, 1) != max(source.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    written = None if source is None or source.weak else source
    sizes = None if written is None else full_shape(written)
    for axis, size in enumerate(index.shape):
        too_many = axis != dim and size > full_shape(input)[axis]
        if too_many or (sizes is not None and size > sizes[axis]):
            end = "" if written is None else (
                f" and to be no larger size than src {list(written.shape)}"
            )
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self "
                f"{list(input.shape)} apart from dimension {dim}{end}"
            )


def _infer(input: Meta, index: Meta, source: Meta, dim: int, *_: Any) -> Meta:
    _check(input, index, source, dim)
    return input.like()


class _Places:
    """Where a scatter writes, and what, as flat arrays."""

    def __init__(self, spec: Spec, dim: int) -> None:
        whole, given, source = spec.inputs
        assert whole is not None
        assert given is not None
        assert source is not None
        self.dim = dim
        self.whole = full_shape(whole)
        self.shape: Shape = full_shape(given)
        self.part = tuple(slice(n) for n in self.shape)
        self.weak = source.weak
        self.found = spec.out.dtype.numpy

    def places(self, index: Array) -> Array:
        """The places in the memory of the result."""
        check_bounds(index, self.dim, self.whole[self.dim])
        return flat_places(index.reshape(self.shape), self.dim, self.whole).reshape(-1)

    def values(self, source: Any) -> Any:
        """What is written there."""
        if self.weak:
            return np.asarray(source).astype(self.found)
        return source.reshape(source.shape or (1,))[self.part].reshape(-1)


def _write_kernel(spec: Spec, dim: int) -> Callable[..., Array]:
    where, empty = _Places(spec, dim), not spec.inputs[1].numel  # type: ignore[union-attr]

    def into(base: Array, index: Array, source: Any) -> Array:
        if not base.flags.c_contiguous:
            base = np.ascontiguousarray(base)
        if not empty:
            base.reshape(-1)[where.places(index)] = where.values(source)
        return base

    def call(base: Array, index: Array, source: Any) -> Array:
        return into(np.array(base, order="C"), index, source)

    call.into = into  # type: ignore[attr-defined]
    return call


def _add_kernel(spec: Spec, dim: int) -> Callable[..., Array]:
    where, empty = _Places(spec, dim), not spec.inputs[1].numel  # type: ignore[union-attr]
    compute = numpy_sum(where.found)

    def call(base: Array, index: Array, source: Any) -> Array:
        made = np.array(base, compute, order="C")
        if not empty:
            values = where.values(source)
            if made.dtype == np.bool_:
                np.logical_or.at(made.reshape(-1), where.places(index), values)
            else:
                add_rows(
                    made.reshape(-1), where.places(index), values.astype(compute, copy=False)
                )
        return made.astype(where.found, copy=False)

    return call


def _add_written_out(build: Build, x: Any, index: Any, source: Any, dim: int) -> Any:
    """The input plus what is added to zeros."""
    kind = x.meta.dtype
    if not usable(x, index, source) or not x.meta.ndim or is_half(kind) or kind is bool_:
        return None
    for axis, size in enumerate(index.meta.shape):
        if source.meta.shape[axis] != size:
            source = build("slice", source, dim=axis, start=0, stop=size, step=1)
    shape = tuple(x.meta.shape)
    return build("add", x, build("gather_embed", source, index, shape=shape, dim=dim))


def _add_check(spec: Spec, dim: int) -> Callable[[Array], None]:
    size = full_shape(spec.out)[dim]
    return lambda index: check_bounds(index, dim, size)


def _write_written_out(build: Build, x: Any, index: Any, source: Any, dim: int) -> Any:
    """One place in every row is written: each element looks whether it is the one."""
    if not usable(x, index) or not x.meta.ndim or index.meta.ndim != x.meta.ndim:
        return None
    shape = tuple(x.meta.shape)
    if tuple(index.meta.shape) != (*shape[:dim], 1, *shape[dim + 1 :]):
        return None
    if not source.meta.weak and source.meta.shape != index.meta.shape:
        return None
    own = build("positions", shape=shape, dim=dim)
    return build("where", build("eq", own, index), source, x)


def _zeroed(g: Any, index: Any, dim: int) -> Any:
    return scatter_value(g, index, 0.0, dim=dim)


def _picked(g: Any, index: Any, source_meta: Meta, dim: int) -> Any:
    """The gradient of what was written; what of it was not written gets none."""
    picked = gather_op(g, index, dim=dim)
    if picked.shape == source_meta.shape:
        return picked
    padded = g.new_zeros(source_meta.shape)
    part = tuple(slice(n) for n in picked.shape)
    padded[part] = picked
    return padded


def _scatter(
    name: str, grad_name: str, grad: dict[str, Callable[..., Any]], kernel: Any, **record: Any
) -> Op:
    return Op(
        f"{name}(Tensor input, Tensor index, Tensor source, int dim)",
        kind=GATHER,
        infer=_infer,
        kernel=kernel,
        grad=grad,
        grad_name=grad_name,
        may_fail=True,
        **record,
    )


scatter_source = _scatter(
    "scatter",
    "ScatterBackward0",
    {
        "input": lambda g, index, dim: _zeroed(g, index, dim),
        "source": lambda g, index, source_meta, dim: _picked(g, index, source_meta, dim),
    },
    _write_kernel,
    decompose=_write_written_out,
    check=((1,), _add_check),
)
scatter_value = _scatter(
    "scatter_value",
    "ScatterBackward1",
    {"input": lambda g, index, dim: _zeroed(g, index, dim)},
    _write_kernel,
    decompose=_write_written_out,
    check=((1,), _add_check),
)
scatter_add_op = _scatter(
    "scatter_add",
    "ScatterAddBackward0",
    {
        "input": lambda g: g,
        "source": lambda g, index, source_meta, dim: _picked(g, index, source_meta, dim),
    },
    _add_kernel,
    decompose=_add_written_out,
    check=((1,), _add_check),
)


# reductions ------------------------------------------------------------------------------------

REDUCTIONS: dict[str, Any] = {
    "sum": np.add, "prod": np.multiply, "mean": np.add, "amax": np.maximum, "amin": np.minimum,
}  # fmt: skip


def _start(reduce: str, found: np.dtype) -> Any:
    """What a place begins with that does not count itself."""
    if reduce in ("sum", "mean", "prod"):
        return found.type(reduce == "prod")
    if found.kind == "f":
        return found.type(-np.inf if reduce == "amax" else np.inf)
    if found.kind == "b":
        return reduce == "amin"
    limits = np.iinfo(found)
    return limits.min if reduce == "amax" else limits.max


def _reduce_kernel(spec: Spec, dim: int, reduce: str, include_self: bool) -> Callable[..., Array]:
    where, empty = _Places(spec, dim), not spec.inputs[1].numel  # type: ignore[union-attr]
    compute = numpy_sum(where.found)
    size = prod(where.whole)

    def call(base: Array, index: Array, source: Any) -> Array:
        made = np.array(base, compute, order="C")
        if empty:
            return made.astype(where.found, copy=False)
        flat, places = made.reshape(-1), where.places(index)
        values = np.broadcast_to(where.values(source).astype(compute, copy=False), places.shape)
        if not include_self:
            flat[places] = _start(reduce, compute)
        if reduce in ("sum", "mean") and compute != np.bool_:
            add_rows(flat, places, values)
        else:
            REDUCTIONS[reduce].at(flat, places, values)
        if reduce == "mean":
            count = np.bincount(places, minlength=size)
            count = np.maximum(count + include_self, 1)
            if compute.kind in "iub":
                np.floor_divide(flat, count.astype(compute), out=flat)
            else:
                flat /= count.astype(compute)
        return made.astype(where.found, copy=False)

    return call


def _reduce_infer(
    input: Meta, index: Meta, source: Meta, dim: int, reduce: str, include_self: bool
) -> Meta:
    _check(input, index, source, dim)
    return input.like()


def _share(
    g: Any, input: Any, index: Any, source: Any, result: Any, dim: int, reduce: str, own: bool
) -> tuple[Any, Any]:
    """Gradients of the input and of the source before places left out are set to zero."""
    meta = source._value.meta
    if reduce == "sum":
        return g, _picked(g, index, meta, dim)
    if reduce == "mean":
        ones = g.new_ones(source.shape)
        count = g.new_ones(g.shape) if own else g.new_zeros(g.shape)
        count = count.scatter_add(dim, index, ones).clamp(min=1)
        g = g / count
        return g, _picked(g, index, meta, dim)
    if reduce == "prod":
        return _share_product(g, input, index, source, result, dim, own)
    top = gather_op(result, index, dim=dim)
    part = source if top.shape == source.shape else source[tuple(slice(n) for n in top.shape)]
    mine, theirs = (input == result).to(g.dtype), (part == top).to(g.dtype)
    if own:
        count = mine.scatter_add(dim, index, theirs)
    else:
        count = g.new_zeros(g.shape).scatter_add(dim, index, theirs)
    shared = g / count.clamp(min=1)
    picked = theirs * gather_op(shared, index, dim=dim)
    if picked.shape != source.shape:
        padded = g.new_zeros(source.shape)
        padded[tuple(slice(n) for n in picked.shape)] = picked
        picked = padded
    return mine * shared, picked


def _share_product(
    g: Any, input: Any, index: Any, source: Any, result: Any, dim: int, own: bool
) -> tuple[Any, Any]:
    """A factor's gradient is the product of the others, also where one of them is zero."""
    start = input if own else g.new_ones(g.shape)
    masked = source.masked_fill(source == 0, 1.0)
    zeros = g.new_zeros(g.shape).scatter_add(dim, index, (source == 0).to(g.dtype))
    without = start.scatter_reduce(dim, index, masked, "prod")  # no zeros of the source in it
    one_zero = gather_op(zeros == 1, index, dim=dim) & (source == 0)
    others = gather_op(result, index, dim=dim) / masked
    alone = gather_op(without, index, dim=dim)
    factor = one_zero.to(g.dtype) * alone + (source != 0).to(g.dtype) * others
    ones = g.new_ones(g.shape).scatter_reduce(dim, index, source, "prod")
    return g * ones, gather_op(g, index, dim=dim) * factor


def _reduce_grad(
    g: Any,
    input: Any,
    index: Any,
    source: Any,
    result: Any,
    dim: int,
    reduce: str,
    include_self: bool,
) -> tuple[Any, Any]:
    for_input, for_source = _share(
        g, input, index, source, result, dim, reduce, include_self
    )
    return (for_input if include_self else _zeroed(for_input, index, dim)), for_source


scatter_reduce_op = Op(
    "scatter_reduce(Tensor input, Tensor index, Tensor source, int dim, str reduce, "
    "bool include_self)",
    kind=GATHER,
    infer=_reduce_infer,
    kernel=_reduce_kernel,
    grad={"input, source": _reduce_grad},
    may_fail=True,
)


# faces -----------------------------------------------------------------------------------------


def _scattered(op: Op, input: Any, dim: int, index: Any, source: Any, *attrs: Any) -> Any:
    meta = input._value.meta
    dim = normalize_dim(dim, meta.ndim)
    check_known(index, meta, dim)
    return hooks.record(op, (input, index, source), (dim, *attrs))


_WRITES = (
    S(t(3, 4), 0, ti(2, 4, values=[[0, 1, 2, 0], [1, 2, 0, 2]]), t(2, 4)),
    S(t(3, 4), 1, ti(3, 2, values=[[0, 1], [3, 2], [1, 0]]), t(3, 3, grad=False)),
    S(t(5), 0, ti(2, values=[4, 0]), t(2)),
)


@composite(
    method=True,
    inplace=True,
    samples=(
        *_WRITES,
        S(t(3, 4), 1, ti(3, 1, values=[[0], [3], [1]]), 1.5),
        S(t(3, 4), 1, ti(3, 1, values=[[0], [3], [1]]), t(3, 1)),
        S(t(3, 4), -1, ti(2, 2, values=[[0, 0], [3, 1]]), 0),
        S(t(3, grad=False), 0, ti(2, values=[1, 1]), t(2, grad=False), reduce="add"),
        S(t(3, grad=False), 0, ti(2, values=[1, 1]), 3.0, reduce="multiply"),
    ),
    errors=(
        ErrorSample(S(t(3), 0, ti(1, values=[5]), 1.0), RuntimeError, "index 5 is out of bounds"),
        ErrorSample(
            S(t(3), 0, ti(1, values=[1]), 1.0, reduce="max"), RuntimeError, "add or multiply"
        ),
    ),
)
def scatter(
    input: Any, dim: int, index: Any, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Any:
    """``input`` with ``src`` written to the places that ``index`` names along ``dim``.

    Args:
        input: any tensor.
        dim: the axis along which is indexed.
        index: int64 or int32, as many axes as ``input``.
        src: a tensor at least as large as ``index``, or a number.
        value: the number by name.
        reduce: ``"add"`` or ``"multiply"`` to combine with what is there.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.scatter_.html.

    >>> import rushlight as torch
    >>> torch.zeros(2, 3).scatter(1, torch.tensor([[2], [0]]), 1.0)
    tensor([[0., 0., 1.],
            [1., 0., 0.]])
    """
    source = value if src is None else src
    if reduce is not None and reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    if not isinstance(source, TensorBase):
        source = checked_number(source, input.dtype)
        if reduce is None:
            return _scattered(scatter_value, input, dim, index, source)
        source = input.new_full(index.shape, source)
    if reduce is None:
        return _scattered(scatter_source, input, dim, index, source)
    name = "sum" if reduce == "add" else "prod"
    return _scattered(scatter_reduce_op, input, dim, index, source, name, True)


@composite(
    method=True,
    inplace=True,
    samples=(*_WRITES, S(t(4), 0, ti(3, values=[1, 1, 3]), t(3))),
)
def scatter_add(input: Any, dim: int, index: Any, src: Any) -> Any:
    """``input`` with ``src`` added at the places that ``index`` names along ``dim``.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.scatter_add_.html.

    >>> import rushlight as torch
    >>> torch.zeros(3).scatter_add(0, torch.tensor([0, 0, 2]), torch.ones(3))
    tensor([2., 0., 1.])
    """
    return _scattered(scatter_add_op, input, dim, index, src)


@composite(
    method=True,
    inplace=True,
    samples=tuple(
        S(t(4, 2), 0, ti(3, 2, values=[[1, 0], [1, 3], [3, 3]]), t(3, 2), reduce, **options)
        for reduce in REDUCTIONS
        for options in ({}, {"include_self": False})
    ),
    errors=(
        ErrorSample(
            S(t(3), 0, ti(1, values=[1]), t(1), "median"),
            RuntimeError,
            "reduce argument must be either sum, prod, mean, amax or amin, got median",
        ),
    ),
)
def scatter_reduce(
    input: Any, dim: int, index: Any, src: Any, reduce: str, *, include_self: bool = True
) -> Any:
    """``input`` with the elements of ``src`` that ``index`` leads to one place combined there.

    Args:
        input: any tensor.
        dim: the axis along which is indexed.
        index: int64 or int32, as many axes as ``input``.
        src: a tensor at least as large as ``index``.
        reduce: ``"sum"``, ``"prod"``, ``"mean"``, ``"amax"`` or ``"amin"``.
        include_self: whether what was there before counts.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.scatter_reduce_.html.

    >>> import rushlight as torch
    >>> index = torch.tensor([0, 0, 1])
    >>> torch.zeros(2).scatter_reduce(0, index, torch.tensor([1.0, 5.0, 2.0]), "amax")
    tensor([5., 2.])
    """
    reduce = {"max": "amax", "min": "amin"}.get(reduce, reduce)
    if reduce not in REDUCTIONS:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    return _scattered(scatter_reduce_op, input, dim, index, src, reduce, include_self)
