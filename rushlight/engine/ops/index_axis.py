"""Rows by number along one axis: index_select, index_add, index_copy, index_fill."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES, bool_, int32, int64
from rushlight.engine.core.shape import normalize_dim
from rushlight.engine.ir.buffers import copy_strided
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import GATHER, Op, Spec, composite, hooks
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.index import add_at, index_embed, index_op, locator, written
from rushlight.engine.ops.index_functions import checked_number
from rushlight.engine.ops.places import Load, Place, whole_number
from rushlight.engine.ops.view import numpy_sum
from rushlight.engine.ops.written_out import Build, is_half, usable

Array = np.ndarray


def _known(index: Any) -> Array | None:
    """The contents of an index that has been computed already."""
    buffer = index._read().buffer
    return buffer if isinstance(buffer, np.ndarray) and buffer.size else None


# select ----------------------------------------------------------------------------------------


def _select_infer(input: Meta, index: Meta, dim: int) -> Meta:
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype is not int64 and index.dtype is not int32:
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    if not input.ndim:
        return input
    shape = list(input.shape)
    if not shape[dim] and index.numel:
        if input.ndim == 1:
            raise IndexError("index out of range in self")
        raise RuntimeError("index_select(): self indexing axis dim should be positive")
    shape[dim] = index.numel
    return input.like(tuple(shape))


def _out_of_range(index: Array, size: int) -> IndexError:
    wrong = index[(index >= size) | (index < 0)]
    return IndexError(
        f"index out of range in self\nindex_select: row {int(wrong.flat[0])} was asked for, there "
        f"are rows 0 to {size - 1}"
    )


def _select_kernel(spec: Spec, dim: int) -> Callable[..., Array]:
    source = spec.inputs[0]
    assert source is not None
    size = source.shape[dim] if source.ndim else 1

    def call(x: Array, index: Array) -> Array:
        if index.size and (index.min() < 0 or index.max() >= size):
            raise _out_of_range(index, size)
        return x.take(index.reshape(-1), axis=dim) if x.ndim else x.copy()

    return call


def _select_check(spec: Spec, dim: int) -> Callable[[Array], None]:
    source = spec.inputs[0]
    assert source is not None
    size = source.shape[dim] if source.ndim else 1

    def check(index: Array) -> None:
        if index.size and (index.min() < 0 or index.max() >= size):
            raise _out_of_range(index, size)

    return check


def _select_element(load: Load, index: Place, spec: Spec, dim: int) -> Expr:
    named = spec.inputs[1]
    assert named is not None
    place = list(index)
    if place:
        place[dim] = whole_number(load(1, [index[dim]] if named.ndim else ()))
    return load(0, place)


index_select_op = Op(
    "index_select(Tensor input, Tensor index, int dim)",
    kind=GATHER,
    infer=_select_infer,
    kernel=_select_kernel,
    element=_select_element,
    check=((1,), _select_check),
    grad={
        "input": lambda g, index, input_meta, dim: index_embed(
            g, index.reshape(-1), whole=input_meta, dims=(dim,)
        ) if input_meta.ndim else g
    },
    may_fail=True,
)  # fmt: skip


@composite(
    method=True,
    samples=(
        S(t(3, 4), 0, ti(3, values=[2, 0, 0])), S(t(3, 4), -1, ti(2, values=[1, 3])),
        S(t(5), 0, ti(values=1)), S(t(2, 0), 0, ti(1, values=[1])),
    ),
    errors=(ErrorSample(S(t(3), 0, ti(1, values=[5])), IndexError, "index out of range in self"),),
)  # fmt: skip
def index_select(input: Any, dim: int, index: Any) -> Any:
    """The rows of ``input`` along ``dim`` that ``index`` names, as a copy.

    Args:
        input: any tensor.
        dim: the axis.
        index: int64 or int32, 1-d.

    See https://pytorch.org/docs/stable/generated/torch.index_select.html.

    >>> import rushlight as torch
    >>> torch.index_select(torch.tensor([5, 6, 7]), 0, torch.tensor([2, 0]))
    tensor([7, 5])
    """
    dim = normalize_dim(dim, input.ndim)
    found = _known(index)
    if found is not None and input.ndim:
        size = input.shape[dim]
        if size and found.dtype.kind == "i" and (found.min() < 0 or found.max() >= size):
            raise _out_of_range(found, size)
    return hooks.record(index_select_op, (input, index), (dim,))


# add and copy ----------------------------------------------------------------------------------


def _check_index(index: Meta, name: str) -> None:
    if index.dtype is not int64 and index.dtype is not int32:
        raise RuntimeError(
            f"{name}_(): Expected dtype int32/int64 for index but got: {SCALAR_NAMES[index.dtype]}"
        )
    if index.ndim > 1:
        raise IndexError(
            f"{name}_(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
            f"{SCALAR_NAMES[index.dtype]} and size: {list(index.shape)}"
        )


def _add_infer(input: Meta, source: Meta, index: Meta, dim: int) -> Meta:
    _check_index(index, "index_add")
    if input.dtype is not source.dtype:
        raise RuntimeError(
            f"index_add_(): self ({SCALAR_NAMES[input.dtype]}) and source "
            f"({SCALAR_NAMES[source.dtype]}) must have the same scalar type"
        )
    size = source.shape[dim] if source.ndim else 1
    if index.numel != size:
        raise RuntimeError(
            f"index_add_(): Number of indices ({index.numel}) should be equal to "
            f"source.size(dim): ({size}), for dim: {dim}"
        )
    rest = [n for axis, n in enumerate(input.shape) if axis != dim]
    if rest != [n for axis, n in enumerate(source.shape) if axis != dim]:
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {list(input.shape)} source.shape = {list(source.shape)}"
        )
    return input.like()


def _check_rows(input: Meta, index: Meta, dim: int, prefix: str) -> None:
    if input.ndim and not input.shape[dim] and index.numel:
        raise RuntimeError(f"{prefix}no row can be written to a tensor of size {list(input.shape)}")


def _copy_infer(input: Meta, source: Meta, index: Meta, dim: int) -> Meta:
    if index.dtype is not int64:
        raise RuntimeError(
            "index_copy_(): Expected a long tensor for index, but got "
            f"{SCALAR_NAMES[index.dtype]}"
        )
    _check_index(index, "index_copy")
    if input.dtype is not source.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{SCALAR_NAMES[input.dtype]} and (source) {SCALAR_NAMES[source.dtype]}"
        )
    size = source.shape[dim] if source.ndim else 1
    if index.numel != size:
        raise IndexError(
            f"index_copy_(): Number of indices ({index.numel}) should be equal to "
            f"source.size(dim) ({size})"
        )
    rest = [n for axis, n in enumerate(input.shape) if axis != dim]
    other = [n for axis, n in enumerate(source.shape) if axis != dim]
    if rest != other:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            f"slice shape: {' '.join(map(str, rest))} at dimension {dim} and source slice shape: "
            f"{' '.join(map(str, other))} at dimension 0."
        )
    _check_rows(input, index, dim, "index_copy_(): ")
    return input.like()


def _bounds(index: Array, dim: int, size: int, prefix: str, error: type[Exception]) -> Exception:
    wrong = index[(index >= size) | (index < 0)]
    return error(
        f"{prefix}index {int(wrong.flat[0])} is out of bounds for dimension {dim} with size {size}"
    )


def _row_kernel(adds: bool) -> Callable[..., Any]:
    prefix = "" if adds else "index_copy_(): "

    def prepare(spec: Spec, dim: int) -> Callable[..., Array]:
        meta = spec.out
        shape, found = tuple(meta.shape) or (1,), meta.dtype.numpy
        compute = numpy_sum(found)
        locate = locator(len(shape), (dim,))
        # PyTorch's loop over one axis raises another error than the one over rows
        error: type[Exception] = RuntimeError if adds and len(shape) > 1 else IndexError

        def into(base: Array, source: Array, index: Array) -> Array:
            rows = (index.reshape(-1),)
            if not base.size and base.ndim > 1:
                return base  # PyTorch does not look at the index then
            if index.size and (index.min() < 0 or index.max() >= shape[dim]):
                raise _bounds(index, dim, shape[dim], prefix, error)
            target, values = base.reshape(shape), source.reshape(source.shape or (1,))
            if not adds:
                target[locate(rows)] = values
            elif compute == found:
                add_at(target, rows, values, (dim,))
            else:
                wide = target.astype(compute)
                add_at(wide, rows, values.astype(compute), (dim,))
                target[...] = wide
            return base

        def call(base: Array, source: Array, index: Array) -> Array:
            return into(copy_strided(base, meta), source, index)

        return call

    return prepare


def _add_written_out(build: Build, x: Any, source: Any, index: Any, dim: int) -> Any:
    """The input plus what is added to zeros."""
    kind = x.meta.dtype
    if not usable(x, source, index) or not x.meta.ndim or not index.meta.ndim:
        return None
    if is_half(kind) or kind is bool_:
        return None
    return build("add", x, build("index_embed", source, index, whole=x.meta, dims=(dim,)))


def _add_check(spec: Spec, dim: int) -> Callable[[Array], None]:
    shape = tuple(spec.out.shape) or (1,)
    error: type[Exception] = RuntimeError if len(shape) > 1 else IndexError

    def check(index: Array) -> None:
        if index.size and (index.min() < 0 or index.max() >= shape[dim]):
            raise _bounds(index, dim, shape[dim], "", error)

    return check


index_add_op = Op(
    "index_add(Tensor input, Tensor source, Tensor index, int dim)",
    kind=GATHER,
    infer=_add_infer,
    kernel=_row_kernel(True),
    decompose=_add_written_out,
    check=((2,), _add_check),
    grad={
        "input": lambda g: g,
        "source": lambda g, index, source_meta, dim: index_select_op(g, index, dim=dim).reshape(
            source_meta.shape
        ),
    },
    may_fail=True,
)

index_copy_op = Op(
    "index_copy(Tensor input, Tensor source, Tensor index, int dim)",
    kind=GATHER,
    infer=_copy_infer,
    kernel=_row_kernel(False),
    grad={
        "input": lambda g, index, dim: index_fill_op(g, index, 0.0, dim=dim),
        "source": lambda g, index, source_meta, dim: index_select_op(g, index, dim=dim).reshape(
            source_meta.shape
        ),
    },
    may_fail=True,
)

_ROWS = (
    S(t(3, 4), 0, ti(2, values=[2, 0]), t(2, 4)),
    S(t(3, 4), -1, ti(3, values=[1, 3, 0]), t(3, 3)),
    S(t(5), 0, ti(1, values=[1]), t(1)),
)


@composite(
    method=True, inplace=True, samples=(*_ROWS, S(t(3), 0, ti(2, values=[1, 1]), t(2), alpha=2))
)
def index_add(input: Any, dim: int, index: Any, source: Any, *, alpha: Any = 1) -> Any:
    """``input`` with ``alpha * source`` added to the rows along ``dim`` that ``index`` names.

    Args:
        input: any tensor.
        dim: the axis.
        index: int64 or int32, 1-d; a row that is named twice gets both.
        source: the rows to add.
        alpha: a factor.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.index_add_.html.

    >>> import rushlight as torch
    >>> torch.zeros(2).index_add(0, torch.tensor([1, 1]), torch.ones(2))
    tensor([0., 2.])
    """
    dim = normalize_dim(dim, input.ndim)
    if alpha != 1:
        source = source * alpha
    return hooks.record(index_add_op, (input, source, index), (dim,))


@composite(method=True, inplace=True, samples=_ROWS)
def index_copy(input: Any, dim: int, index: Any, source: Any) -> Any:
    """``input`` with the rows along ``dim`` that ``index`` names taken from ``source``.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.index_copy_.html.

    >>> import rushlight as torch
    >>> torch.zeros(2).index_copy(0, torch.tensor([1]), torch.ones(1))
    tensor([0., 1.])
    """
    dim = normalize_dim(dim, input.ndim)
    return hooks.record(index_copy_op, (input, source, index), (dim,))


# fill ------------------------------------------------------------------------------------------


def _fill_infer(input: Meta, index: Meta, value: Meta, dim: int) -> Meta:
    if index.dtype is not int64 and index.dtype is not int32:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise IndexError("index_fill_(): Index is supposed to be a vector")
    if value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    _check_rows(input, index, dim, "index_fill_(): ")
    return written(input)


def _fill_kernel(spec: Spec, dim: int) -> Callable[..., Array]:
    meta = spec.out
    shape, found = tuple(meta.shape) or (1,), meta.dtype.numpy
    locate = locator(len(shape), (dim,))

    def into(base: Array, index: Array, value: Any) -> Array:
        try:
            base.reshape(shape)[locate((index.reshape(-1),))] = np.asarray(value).astype(found)
        except IndexError:
            size = shape[dim]
            wrong = index[(index >= size) | (index < -size)]
            raise IndexError(
                f"index {int(wrong.flat[0])} is out of bounds for dimension {dim} with size {size}"
            ) from None
        return base

    def call(base: Array, index: Array, value: Any) -> Array:
        return into(copy_strided(base, meta), index, value)

    return call


def _fill_op(name: str, grad_name: str) -> Op:
    return Op(
        f"{name}(Tensor input, Tensor index, Tensor value, int dim)",
        kind=GATHER,
        infer=_fill_infer,
        kernel=_fill_kernel,
        grad={
            "input": lambda g, index, dim: index_fill_op(g, index, 0.0, dim=dim),
            "value": lambda g, index, dim: index_op(g, index.reshape(-1), dims=(dim,)).sum(),
        },
        grad_name=grad_name,
        may_fail=True,
    )


index_fill_op: Op = _fill_op("index_fill", "IndexFillBackward0")
index_fill_tensor = _fill_op("index_fill_tensor", "IndexFillBackward1")


@composite(
    method=True,
    inplace=True,
    samples=(
        S(t(3, 4), 0, ti(2, values=[2, 0]), 1.5), S(t(3, 4), 1, ti(1, values=[-1]), 0),
        S(t(3, 4), 1, ti(2, values=[1, 2]), t()),
    ),
)  # fmt: skip
def index_fill(input: Any, dim: int, index: Any, value: Any) -> Any:
    """``input`` with ``value`` in the rows along ``dim`` that ``index`` names.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.index_fill_.html.

    >>> import rushlight as torch
    >>> torch.zeros(3).index_fill(0, torch.tensor([0, 2]), 5)
    tensor([5., 0., 5.])
    """
    dim = normalize_dim(dim, input.ndim)
    if isinstance(value, TensorBase):
        return hooks.record(index_fill_tensor, (input, index, value), (dim,))
    number = checked_number(value, input.dtype)
    return hooks.record(index_fill_op, (input, index, number), (dim,))
