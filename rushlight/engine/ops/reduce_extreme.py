"""Largest and smallest elements and where they stand: the records."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import BOOL, bool_, int64
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import REDUCTION, Op, Spec
from rushlight.engine.ir.scalar import Reduction
from rushlight.engine.ops.reduce import reduced_shape, restore_dims
from rushlight.engine.ops.reduce_select import (
    chosen_grad,
    comparable,
    first_place,
    require_elements,
    require_ordered,
    tie_share,
)
from rushlight.engine.ops.written_out import Build, shaped, usable

Array = np.ndarray


def _require_any(meta: Meta, dims: Shape, function: str) -> None:
    """PyTorch's errors for an extreme of nothing."""
    for dim in dims:
        if meta.shape[dim] == 0:
            if len(dims) == meta.ndim:
                raise RuntimeError(
                    f"{function}(): Expected reduction dim to be specified for input.numel() == 0. "
                    "Specify the reduction dim with the 'dim' argument."
                )
            require_elements(meta, dim, function)


# over several axes, ties sharing the gradient --------------------------------------------------


def ties_grad(g: Any, input: Any, result: Any, input_meta: Meta, dims: Shape, keepdim: bool) -> Any:
    """The gradient of an extreme: equal parts to all elements that equal the result."""
    result = restore_dims(result, input_meta, dims, keepdim)
    return restore_dims(g, input_meta, dims, keepdim) * tie_share(input, result, dims=dims)


def _reduction(
    function: Any, spec: Spec, source: Meta, dims: Shape, keepdim: bool
) -> Callable[[Array], Array]:
    out = spec.out.dtype.numpy
    prepare = comparable(source)
    reduce = function.reduce
    return lambda x: np.asarray(reduce(prepare(x), axis=dims, keepdims=keepdim), out)


def _extreme(name: str, function: Any, grad_name: str, alone: str) -> Op:
    public = name.split("_")[0]

    def infer(input: Meta, dims: Shape, keepdim: bool) -> Meta:
        if input.numel == 0:
            _require_any(input, dims, public)
        require_ordered(input, alone)
        return make_meta(reduced_shape(tuple(input.shape), dims, keepdim), input.dtype)

    def kernel(spec: Spec, dims: Shape, keepdim: bool) -> Callable[[Array], Array]:
        source = spec.inputs[0]
        assert source is not None
        return _reduction(function, spec, source, dims, keepdim)

    def decompose(build: Build, x: Any, dims: Shape, keepdim: bool) -> Any:
        if x.meta.dtype.category != BOOL:
            return None
        return build("any_" if largest else "all_", x, dims=dims, keepdim=keepdim)

    largest = function is np.maximum
    return Op(
        f"{name}(Tensor input, int[] dims, bool keepdim=False)",
        kind=REDUCTION,
        infer=infer,
        kernel=kernel,
        reduce=Reduction("maximum" if largest else "minimum"),
        decompose=decompose,
        grad={"input": ties_grad},
        grad_name=grad_name,
    )


amax = _extreme("amax_", np.maximum, "Amax", "max_values_cpu")
amin = _extreme("amin_", np.minimum, "Amin", "min_values_cpu")
max_all = _extreme("max_all", np.maximum, "MaxBackward1", "max_all")
min_all = _extreme("min_all", np.minimum, "MinBackward1", "min_all")


def _aminmax_infer(input: Meta, dims: Shape, keepdim: bool) -> tuple[Meta, Meta]:
    for dim in dims:
        if input.shape[dim] == 0:
            if len(dims) == 1:
                raise IndexError(f"aminmax: Expected reduction dim {dim} to have non-zero size.")
            raise RuntimeError(
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
                "identity."
            )
    require_ordered(input, "aminmax_cpu")
    out = make_meta(reduced_shape(tuple(input.shape), dims, keepdim), input.dtype)
    return out, out


def _aminmax_kernel(spec: Spec, dims: Shape, keepdim: bool) -> Callable[[Array], Any]:
    source = spec.inputs[0]
    assert source is not None
    low = _reduction(np.minimum, spec, source, dims, keepdim)
    high = _reduction(np.maximum, spec, source, dims, keepdim)
    return lambda x: (low(x), high(x))


def _aminmax_written_out(build: Build, x: Any, dims: Shape, keepdim: bool) -> Any:
    return [build(name, x, dims=dims, keepdim=keepdim) for name in ("amin_", "amax_")]


def _aminmax_grad(
    g0: Any, g1: Any, input: Any, result: Any, result1: Any, input_meta: Meta, dims: Shape,
    keepdim: bool,
) -> Any:  # fmt: skip
    return ties_grad(g0, input, result, input_meta, dims, keepdim) + ties_grad(
        g1, input, result1, input_meta, dims, keepdim
    )


aminmax = Op(
    "aminmax_(Tensor input, int[] dims, bool keepdim=False)",
    kind=REDUCTION,
    infer=_aminmax_infer,
    kernel=_aminmax_kernel,
    decompose=_aminmax_written_out,
    grad={"input": _aminmax_grad},
    grad_name="Aminmax",
)


# along one axis, with the index ----------------------------------------------------------------


def _along(name: str, function: Any, index_of: Any, grad_name: str) -> Op:
    public = name.split("_")[0]

    def infer(input: Meta, dim: int, keepdim: bool) -> tuple[Meta, Meta]:
        require_elements(input, dim, public)
        if input.dtype.is_complex:
            raise RuntimeError(f"{public}(): does not support complex input")
        dims = (dim,) if input.ndim else ()
        shape = reduced_shape(tuple(input.shape), dims, keepdim)
        return make_meta(shape, input.dtype), make_meta(shape, int64)

    def kernel(spec: Spec, dim: int, keepdim: bool) -> Callable[[Array], Any]:
        source = spec.inputs[0]
        assert source is not None
        out = spec.out.dtype.numpy
        prepare = comparable(source)
        if not source.ndim:
            return lambda x: (x.copy(), np.zeros((), np.int64))
        reduce = function.reduce

        def call(x: Array) -> tuple[Array, Array]:
            x = prepare(x)
            return (
                np.asarray(reduce(x, axis=dim, keepdims=keepdim), out),
                np.asarray(index_of(x, axis=dim, keepdims=keepdim)),
            )

        return call

    def decompose(build: Build, x: Any, dim: int, keepdim: bool) -> Any:
        if not usable(x) or not x.meta.ndim:
            return None
        extreme = build(reduced, x, dims=(dim,), keepdim=keepdim)
        kept = reduced_shape(tuple(x.meta.shape), (dim,), True)
        return extreme, first_place(build, x, shaped(build, extreme, kept), dim, keepdim)

    reduced = "amax_" if function is np.maximum else "amin_"
    return Op(
        f"{name}(Tensor input, int dim, bool keepdim=False)",
        kind=REDUCTION,
        infer=infer,
        kernel=kernel,
        decompose=decompose,
        grad={
            "input": lambda g0, result1, input_meta, dim, keepdim: chosen_grad(
                g0, result1, input_meta, dim, keepdim
            )
        },
        grad_name=grad_name,
        differentiable=1,
    )


max_dim = _along("max_dim", np.maximum, np.argmax, "Max")
min_dim = _along("min_dim", np.minimum, np.argmin, "Min")


def _index(name: str, index_of: Any) -> Op:
    public = name.rstrip("_")

    def infer(input: Meta, dim: int | None, keepdim: bool) -> Meta:
        if dim is None and input.numel == 0:
            raise IndexError(
                f"{public}(): Expected reduction dim to be specified for input.numel() == 0."
            )
        if dim is not None:
            require_elements(input, dim, public)
        if input.dtype.is_complex or input.dtype is bool_:
            kind = "complex" if input.dtype.is_complex else "bool"
            raise RuntimeError(f"{public}(): does not support {kind} input")
        dims = tuple(range(input.ndim)) if dim is None or not input.ndim else (dim,)
        return make_meta(reduced_shape(tuple(input.shape), dims, keepdim), int64)

    def kernel(spec: Spec, dim: int | None, keepdim: bool) -> Callable[[Array], Array]:
        source = spec.inputs[0]
        assert source is not None
        prepare = comparable(source)
        axis = dim if source.ndim else None
        return lambda x: np.asarray(index_of(prepare(x), axis=axis, keepdims=keepdim), np.int64)

    def decompose(build: Build, x: Any, dim: int | None, keepdim: bool) -> Any:
        if not usable(x) or not x.meta.ndim:
            return None
        dims = tuple(range(x.meta.ndim)) if dim is None else (dim,)
        extreme = build(f"a{public[3:]}_", x, dims=dims, keepdim=True)
        return first_place(build, x, extreme, dim, keepdim)

    return Op(
        f"{name}(Tensor input, int? dim=None, bool keepdim=False)",
        kind=REDUCTION,
        infer=infer,
        kernel=kernel,
        decompose=decompose,
    )


argmax = _index("argmax_", np.argmax)
argmin = _index("argmin_", np.argmin)
