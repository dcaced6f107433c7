"""Reductions: sums, means and products over axes, and their gradients."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import BOOL, FLOATING, SCALAR_NAMES, bool_, dtype, int64
from rushlight.engine.core.shape import Shape, is_contiguous, normalize_dim, normalize_dims
from rushlight.engine.ir.graph import Meta, make_meta, strided_meta
from rushlight.engine.ir.op import REDUCTION, Op, Spec
from rushlight.engine.ir.scalar import Reduction
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.reduce_sums import blocked_sum
from rushlight.engine.ops.view import expand
from rushlight.engine.ops.written_out import Build, narrowed

Array = np.ndarray

_axes: dict[Any, Shape] = {}


def axes(dim: Any, ndim: int) -> Shape:
    """The axes ``dim`` means in rising order; ``None`` and ``()`` mean all of them."""
    if dim.__class__ is list:
        dim = tuple(dim)
    found = _axes.get((dim, ndim))
    if found is None:
        if dim.__class__ is int:
            normalize_dim(dim, ndim)
        elif dim is not None and not hasattr(dim, "__index__") and not isinstance(dim, tuple):
            raise TypeError(
                f"argument 'dim' must be an int or a tuple of ints, not {type(dim).__name__}"
            )
        found = tuple(sorted(normalize_dims(dim, ndim)))
        if dim is None or dim.__class__ is int or all(d.__class__ is int for d in dim):
            _axes[dim, ndim] = found
    return found


def reduced_shape(shape: Shape, dims: Shape, keepdim: bool) -> Shape:
    """The shape after reducing over ``dims``."""
    if keepdim:
        return tuple([1 if a in dims else n for a, n in enumerate(shape)])
    return tuple([n for a, n in enumerate(shape) if a not in dims])


def reduced_count(meta: Meta, dims: Shape) -> int:
    """How many elements go into each element of the result."""
    return prod([meta.shape[d] for d in dims])


def restore_dims(g: Any, meta: Meta, dims: Shape, keepdim: bool) -> Any:
    """A reduced tensor with its reduced axes back as axes of size 1."""
    if keepdim or not meta.ndim:
        return g
    return g.reshape(reduced_shape(tuple(meta.shape), dims, True))


def expand_back(g: Any, input_meta: Meta, dims: Shape, keepdim: bool) -> Any:
    """A reduced tensor repeated along its reduced axes."""
    return expand(restore_dims(g, input_meta, dims, keepdim), size=tuple(input_meta.shape))


# sum, mean -------------------------------------------------------------------------------------


def sum_infer(input: Meta, dims: Shape, keepdim: bool, dtype: dtype | None) -> Meta:
    """Shape and type of a sum: integers and booleans are summed as int64."""
    out = dtype or (input.dtype if input.dtype.category >= FLOATING else int64)
    return make_meta(reduced_shape(tuple(input.shape), dims, keepdim), out)


Sum = Callable[[Array], Array]


def _expanded_sum(source: Meta, kind: np.dtype, dims: Shape, keepdim: bool) -> Sum | None:
    """The sum of a tensor that is expanded along some of these axes: their size times the rest."""
    repeated = [d for d in dims if source.strides[d] == 0 and source.shape[d] > 1]
    if not repeated:
        return None
    shape = tuple([1 if d in repeated else n for d, n in enumerate(source.shape)])
    total = summation(strided_meta(shape, source.strides, source.dtype), kind, dims, keepdim)
    once = tuple([slice(0, 1) if d in repeated else slice(None) for d in range(source.ndim)])
    count = kind.type(prod([source.shape[d] for d in repeated]))
    return lambda x: np.asarray(total(x[once]) * count)


def _copied_sum(source: Meta, kind: np.dtype, dims: Shape, keepdim: bool) -> Sum | None:
    """The sum of a tensor with gaps in its memory."""
    inner = None if 0 in source.strides else blocked_sum(tuple(source.shape), dims, kind, keepdim)
    if inner is None:
        return None
    total = inner
    return lambda x: total(np.ascontiguousarray(x))


def _permuted_sum(source: Meta, kind: np.dtype, dims: Shape, keepdim: bool) -> Sum | None:
    """The sum of a tensor whose axes lie in memory in another order, in that order."""
    order = sorted(range(source.ndim), key=lambda axis: -source.strides[axis])
    shape = tuple([source.shape[axis] for axis in order])
    if not is_contiguous(shape, [source.strides[axis] for axis in order]):
        return None
    summed = tuple([place for place, axis in enumerate(order) if axis in dims])
    inner = blocked_sum(shape, summed, kind, True)
    if inner is None:
        return None
    total, back = inner, [order.index(axis) for axis in range(source.ndim)]
    made = reduced_shape(tuple(source.shape), dims, keepdim)
    return lambda x: total(x.transpose(order)).transpose(back).reshape(made)


def summation(source: Meta, compute: np.dtype, dims: Shape, keepdim: bool) -> Callable[..., Array]:
    """A function that sums arrays of meta ``source`` over ``dims`` in the type ``compute``."""
    kind = source.dtype.numpy
    if kind == compute and kind in (np.float32, np.float64):
        shape = tuple(source.shape)
        if source.contiguous:
            blocked = blocked_sum(shape, dims, kind, keepdim)
        else:
            blocked = (
                _expanded_sum(source, kind, dims, keepdim)
                or _permuted_sum(source, kind, dims, keepdim)
                or _copied_sum(source, kind, dims, keepdim)
            )
        if blocked is not None:
            return blocked
    reduce: Callable[..., Any] = np.add.reduce
    if not np.can_cast(kind, compute, "same_kind") or numpy_compute(source.dtype) != kind:
        return lambda x: np.asarray(reduce(x.astype(compute), axis=dims, keepdims=keepdim))
    return lambda x: np.asarray(reduce(x, axis=dims, dtype=compute, keepdims=keepdim))


def _sum_kernel(spec: Spec, dims: Shape, keepdim: bool, _: Any) -> Callable[[Any], Any]:
    source = spec.inputs[0]
    assert source is not None
    out = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    total = summation(source, compute, dims, keepdim)
    if compute != out:
        return lambda x: total(x).astype(out)
    return total


def truth(name: str) -> Callable[..., Any]:
    """The decomposition of a sum or product of type bool: whether any or all are true."""

    def decompose(build: Build, x: Any, dims: Shape, keepdim: bool, kind: dtype | None) -> Any:
        if kind is None or kind.category != BOOL:
            return None
        return build(name, narrowed(build, x, bool_), dims=dims, keepdim=keepdim)

    return decompose


_SUM: dict[str, Any] = {"kind": REDUCTION, "infer": sum_infer, "kernel": _sum_kernel,
                        "grad": {"input": expand_back}, "reduce": Reduction("add"),
                        "decompose": truth("any_")}  # fmt: skip

sum_ = Op(
    "sum(Tensor input, int[] dims, bool keepdim=False, dtype? dtype=None)",
    grad_name="SumBackward1",
    **_SUM,
)

# PyTorch's graph tells the sum of everything from a sum over named axes.
sum_all = Op(
    "sum_all(Tensor input, int[] dims, bool keepdim=False, dtype? dtype=None)",
    grad_name="SumBackward0",
    **_SUM,
)


def _mean_infer(input: Meta, dims: Shape, keepdim: bool, dtype: dtype | None) -> Meta:
    out = dtype or input.dtype
    if out.category < FLOATING:
        what = "Input" if dtype is None else "Output"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {what} dtype must be either a floating point "
            f"or complex dtype. Got: {SCALAR_NAMES[out]}\n"
            "Convert the tensor first, for example with .float()."
        )
    return make_meta(reduced_shape(tuple(input.shape), dims, keepdim), out)


def _mean_kernel(spec: Spec, dims: Shape, keepdim: bool, _: Any) -> Callable[[Any], Any]:
    source = spec.inputs[0]
    assert source is not None
    out = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    total = summation(source, compute, dims, keepdim)
    count = compute.type(reduced_count(source, dims))
    if compute != out:
        return lambda x: np.asarray(total(x) / count).astype(out)
    return lambda x: np.asarray(total(x) / count)


def _mean_grad(g: Any, input_meta: Meta, dims: Shape, keepdim: bool) -> Any:
    count = max(reduced_count(input_meta, dims), 1)
    return expand_back(g / count, input_meta, dims, keepdim)


_MEAN: dict[str, Any] = {
    "kind": REDUCTION,
    "infer": _mean_infer,
    "kernel": _mean_kernel,
    "grad": {"input": _mean_grad},
    "reduce": Reduction("add", finish=lambda total, count, spec: total / count),
}

mean = Op(
    "mean(Tensor input, int[] dims, bool keepdim=False, dtype? dtype=None)",
    grad_name="MeanBackward1",
    **_MEAN,
)

mean_all = Op(
    "mean_all(Tensor input, int[] dims, bool keepdim=False, dtype? dtype=None)",
    grad_name="MeanBackward0",
    **_MEAN,
)
