"""Advanced indexing: picking elements by index tensors, and writing or adding to them."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any, Final

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES
from rushlight.engine.core.shape import (
    Shape,
    broadcast_shapes,
    contiguous_strides,
    pointwise_strides,
    view_strides,
)
from rushlight.engine.ir.buffers import copy_strided, settle
from rushlight.engine.ir.graph import Meta, strided_meta
from rushlight.engine.ir.op import GATHER, Op, Spec
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.elementwise import broadcast_meta
from rushlight.engine.ops.places import Load, Part, Place, broadcast, wrapped
from rushlight.engine.ops.view import numpy_sum

Array = np.ndarray
Kernel = Callable[..., Array]

#: The index tensors of an operator that takes up to this many.
MOST = 8
_NAMES = ", ".join(f"Tensor? i{n}" for n in range(2, MOST))


def _index_shape(indices: list[Meta]) -> Shape:
    try:
        return broadcast_shapes(*[m.shape for m in indices])
    except RuntimeError:
        shapes = ", ".join(str(list(m.shape)) for m in indices)
        raise IndexError(
            "shape mismatch: indexing tensors could not be broadcast together with shapes "
            f"{shapes}"
        ) from None


def _place(dims: Shape) -> int:
    """Where the axes of the index stand in the result: in place of the first, or in front."""
    return dims[0] if dims[-1] - dims[0] == len(dims) - 1 else 0


def result_shape(input: Meta, indices: list[Meta], dims: Shape) -> Shape:
    """The shape of what an index picks."""
    kept = [size for axis, size in enumerate(input.shape) if axis not in dims]
    place = _place(dims)
    return (*kept[:place], *_index_shape(indices), *kept[place:])


def _picked(input: Meta, indices: list[Meta], dims: Shape) -> Meta:
    """Shape and layout: the memory order is the input's along the axes that were kept."""
    shape = result_shape(input, indices, dims)
    if input.strides == contiguous_strides(input.shape) and all(m.contiguous for m in indices):
        return input.like(shape)  # else even axes of size 1 have their say in the order
    common = _index_shape(indices)
    kept = [stride for axis, stride in enumerate(input.strides) if axis not in dims]
    place = _place(dims)
    rows = (*kept[:place], *(0,) * len(common), *kept[place:])
    operands: list[tuple[Shape, Shape]] = [(shape, tuple(rows))]
    whole = (*(1,) * place, *common, *(1,) * (len(kept) - place))
    for meta in indices:
        lead = len(common) - meta.ndim
        wide = (0,) * lead + tuple(
            0 if size == 1 and common[lead + axis] != 1 else meta.strides[axis]
            for axis, size in enumerate(meta.shape)
        )
        operands.append((whole, view_strides(common, wide, whole) or contiguous_strides(whole)))
    return strided_meta(shape, pointwise_strides(shape, operands), input.dtype, input.device)


def _present(indices: tuple[Any, ...]) -> list[Any]:
    return [m for m in indices if m is not None]


def _check_empty(input: Meta, indices: list[Meta], dims: Shape) -> None:
    if 0 in [input.shape[d] for d in dims] and 0 not in _index_shape(indices):
        raise IndexError("index is out of bounds for dimension with size 0")


def _infer_index(input: Meta, *rest: Any) -> Meta:
    indices, dims = _present(rest[:-1]), rest[-1]
    _check_empty(input, indices, dims)
    return _picked(input, indices, dims)


def locator(ndim: int, dims: Shape) -> Callable[[tuple[Any, ...]], tuple[Any, ...]]:
    """A function from index arrays to NumPy's index."""
    where: list[Any] = [slice(None)] * ndim

    def locate(arrays: tuple[Any, ...]) -> tuple[Any, ...]:
        found = list(where)
        for dim, array in zip(dims, arrays, strict=False):
            found[dim] = array
        return tuple(found)

    return locate


def out_of_bounds(arrays: Any, shape: Any, dims: Shape) -> IndexError:
    """PyTorch's error for the first index that is out of range."""
    for array, dim in zip(arrays, dims, strict=False):
        size = shape[dim]
        if not size:
            break
        wrong = array[(array >= size) | (array < -size)]
        if wrong.size:
            return IndexError(
                f"index {int(wrong.flat[0])} is out of bounds for dimension {dim} with size {size}"
            )
    return IndexError("index is out of bounds for dimension with size 0")


_UNSIGNED: dict[int, np.dtype] = {8: np.dtype(np.uint64), 4: np.dtype(np.uint32)}


def within(index: Array, size: int) -> bool:
    """Whether every number is from 0 to ``size`` - 1, in one pass: negative ones count as large."""
    return int(index.view(_UNSIGNED[index.itemsize]).max()) < size


def _kernel_index(spec: Spec, *attrs: Any) -> Kernel:
    dims: Shape = attrs[-1]
    source = spec.inputs[0]
    assert source is not None
    shape, rows = tuple(source.shape), dims == (0,)
    locate = locator(source.ndim, dims)

    if not spec.out.numel:
        return lambda x, *indices: np.empty(spec.out.shape, x.dtype)

    def pick(x: Array, *indices: Any) -> Array:
        try:
            if rows and x.flags.c_contiguous:
                return np.asarray(x.take(indices[0], axis=0))
            return np.asarray(x[locate(indices)])
        except IndexError:
            raise out_of_bounds(indices, shape, dims) from None

    return pick


def _check_index(spec: Spec, *attrs: Any) -> Callable[..., None]:
    dims: Shape = attrs[-1]
    source, empty = spec.inputs[0], not spec.out.numel
    assert source is not None
    shape = tuple(source.shape)

    def check(*indices: Array) -> None:
        for index, dim in zip(indices, dims, strict=True):
            if empty or not index.size:
                return
            if index.max() >= shape[dim] or index.min() < -shape[dim]:
                raise out_of_bounds(indices, shape, dims)

    return check


def _named_place(load: Load, index: Place, spec: Spec, shape: Shape, dims: Shape) -> list[Part]:
    """Where in an array of shape ``shape`` the element at ``index`` of what is picked stands."""
    indices = _present(spec.inputs[1:])
    start, count = _place(dims), len(_index_shape(indices))
    common, kept = index[start : start + count], [*index[:start], *index[start + count :]]
    place: list[Part] = []
    for axis, size in enumerate(shape):
        if axis in dims:
            number = dims.index(axis)
            named = load(1 + number, broadcast(common, indices[number].shape))
            place.append(wrapped(named, size))
        else:
            place.append(kept.pop(0))
    return place


def _index_element(load: Load, index: Place, spec: Spec, *attrs: Any) -> Expr:
    source = spec.inputs[0]
    assert source is not None
    return load(0, _named_place(load, index, spec, tuple(source.shape), attrs[-1]))


def _embed_at(
    load: Load, index: Place, spec: Spec, *attrs: Any
) -> tuple[list[Part], Expr]:
    """Where the gradient of a picked element is added, and that gradient."""
    return _named_place(load, index, spec, tuple(spec.out.shape), attrs[-1]), load(0, index)


_embed_at.domain = 0  # type: ignore[attr-defined]


def _check_embed(spec: Spec, *attrs: Any) -> Callable[..., None]:
    dims, shape = attrs[-1], tuple(spec.out.shape)
    number = len(_present(spec.inputs[1:]))

    def check(*indices: Array) -> None:
        for index, dim in zip(indices[:number], dims, strict=True):
            if index.size and (index.max() >= shape[dim] or index.min() < -shape[dim]):
                raise out_of_bounds(indices, shape, dims)

    return check


def _embedded(input: Meta, *rest: Any) -> Meta:
    return rest[-2].like(dtype=input.dtype)


#: So many elements are added at a time, to bound the memory of their places.
ROW_ELEMENTS: Final = 1 << 20


def add_rows(target: Array, rows: Array, values: Array) -> None:
    """``target[rows] += values`` where a row that is named twice gets both, in order.

    ``rows`` is 1-d and not negative, ``target`` lies in row-major order.
    """
    if not rows.size or not values.size:
        return
    if target.dtype == np.bool_:
        np.logical_or.at(target, rows, values)
        return
    if values.ndim == 1:
        np.add.at(target, rows, values)
        return
    # NumPy adds single elements much faster than rows
    width = values[0].size
    flat, columns = target.reshape(-1), np.arange(width)
    step = max(ROW_ELEMENTS // width, 1)
    for start in range(0, len(rows), step):
        places = rows[start : start + step, None] * width + columns
        np.add.at(flat, places.reshape(-1), values[start : start + step].reshape(-1))


def _flat_rows(indices: tuple[Any, ...], lead: Shape) -> Array:
    """Index arrays along the leading axes as numbers of rows."""
    positive = [
        i if not i.size or i.min() >= 0 else np.where(i < 0, i + n, i)
        for i, n in zip(indices, lead, strict=True)
    ]
    if len(positive) == 1:
        return positive[0].reshape(-1)
    return np.ravel_multi_index(np.broadcast_arrays(*positive), lead).reshape(-1)


def add_at(made: Array, indices: tuple[Any, ...], values: Array, dims: Shape) -> None:
    """Add ``values`` at the places that index arrays name along ``dims``, in one fixed order."""
    count = len(dims)
    common = np.broadcast_shapes(*[np.shape(i) for i in indices])
    order = (*dims, *(axis for axis in range(made.ndim) if axis not in dims))
    front = made if order == tuple(range(made.ndim)) else made.transpose(order)
    target = front if front.flags.c_contiguous else np.ascontiguousarray(front)
    lead, tail = target.shape[:count], target.shape[count:]
    rows = _flat_rows(indices, lead)
    place = _place(dims)
    wide = np.broadcast_to(values, (*tail[:place], *common, *tail[place:]))
    if place:
        wide = np.moveaxis(wide, range(place, place + len(common)), range(len(common)))
    add_rows(target.reshape(prod(lead), *tail), rows, wide.reshape(rows.size, *tail))
    if target is not front:
        front[...] = target


def _kernel_embed(spec: Spec, *attrs: Any) -> Kernel:
    whole, dims = attrs[-2], attrs[-1]
    found = spec.out.dtype.numpy
    compute = numpy_sum(found)

    def embed(g: Array, *indices: Any) -> Array:
        made = np.zeros(whole.shape, compute)
        used = tuple(i for i in indices if i is not None)
        add_at(made, used, g.astype(compute, copy=False), dims)
        return made.astype(found, copy=False)

    return embed


index_op = Op(
    "index(Tensor input, Tensor i0, int[] dims)",
    kind=GATHER,
    infer=_infer_index,
    kernel=_kernel_index,
    element=_index_element,
    check=((1,), _check_index),
    grad={
        "input": lambda g, i0, input_meta, dims: index_embed(g, i0, whole=input_meta, dims=dims)
    },
    may_fail=True,
)

index_embed: Op = Op(
    "index_embed(Tensor input, Tensor i0, Meta whole, int[] dims)",
    kind=GATHER,
    infer=_embedded,
    kernel=_kernel_embed,
    scatter=_embed_at,
    check=((1,), _check_embed),
    grad={"input": lambda g, i0, dims: index_op(g, i0, dims=dims)},
    may_fail=True,
    grad_name="IndexPut",
)

index_several = Op(
    f"index_several(Tensor input, Tensor i0, Tensor i1, {_NAMES}, int[] dims)",
    kind=GATHER,
    infer=_infer_index,
    kernel=_kernel_index,
    element=_index_element,
    check=(tuple(range(1, MOST + 1)), _check_index),
    grad={
        "input": lambda g, i0, i1, i2, i3, i4, i5, i6, i7, input_meta, dims: index_several_embed(
            g, i0, i1, i2, i3, i4, i5, i6, i7, whole=input_meta, dims=dims
        )
    },
    grad_name="Index",
    may_fail=True,
)

index_several_embed: Op = Op(
    f"index_several_embed(Tensor input, Tensor i0, Tensor i1, {_NAMES}, Meta whole, int[] dims)",
    kind=GATHER,
    infer=_embedded,
    kernel=_kernel_embed,
    scatter=_embed_at,
    check=(tuple(range(1, MOST + 1)), _check_embed),
    may_fail=True,
    grad={
        "input": lambda g, i0, i1, i2, i3, i4, i5, i6, i7, dims: index_several(
            g, i0, i1, i2, i3, i4, i5, i6, i7, dims=dims
        )
    },
    grad_name="IndexPut",
)


# writing ---------------------------------------------------------------------------------------


def _infer_put(input: Meta, values: Meta, *rest: Any) -> Meta:
    indices, dims = _present(rest[:-2]), rest[-2]
    shape = result_shape(input, indices, dims)
    lead = len(shape) - values.ndim
    fits = lead >= 0 and all(
        size in (1, shape[lead + axis]) for axis, size in enumerate(values.shape)
    )
    if not fits:
        extra = [n for n in values.shape[: max(-lead, 0)] if n != 1]
        if lead >= 0 or extra or not _fits(values.shape[-lead:], shape):
            raise RuntimeError(
                f"shape mismatch: value tensor of shape {list(values.shape)} cannot be broadcast "
                f"to indexing result of shape {list(shape)}"
            )
    if not values.weak and values.dtype is not input.dtype:
        raise RuntimeError(
            "Index put requires the source and destination dtypes match, got "
            f"{SCALAR_NAMES[input.dtype]} for the destination and {SCALAR_NAMES[values.dtype]} "
            "for the source."
        )
    _check_empty(input, indices, dims)
    return written(input)


def written(input: Meta) -> Meta:
    """The layout of a copy that is written to: the input's, if it has no gaps."""
    return input if input.contiguous else broadcast_meta((input,), input.dtype)


def _fits(small: Shape, shape: Shape) -> bool:
    return all(n in (1, have) for n, have in zip(small, shape, strict=True))


def _kernel_put(spec: Spec, *attrs: Any) -> Kernel:
    dims, accumulate = attrs[-2], attrs[-1]
    meta, given = spec.out, spec.inputs[1]
    assert given is not None
    locate, shape = locator(meta.ndim, dims), tuple(meta.shape)
    extra = max(given.ndim - len(result_shape(meta, _present(spec.inputs[2:]), dims)), 0)
    found = meta.dtype.numpy
    compute = numpy_sum(found)

    def into(base: Array, values: Any, *indices: Any) -> Array:
        base = settle(base, meta)
        if not base.size:
            return base
        used = tuple(i for i in indices if i is not None)
        if given.weak:
            values = np.asarray(values).astype(found)
        elif extra:
            values = values.reshape(values.shape[extra:])
        try:
            if not accumulate:
                base[locate(used)] = values
            elif compute == found:
                add_at(base, used, np.asarray(values), dims)
            else:
                wide = base.astype(compute)
                add_at(wide, used, np.asarray(values, compute), dims)
                base[...] = wide
        except (IndexError, ValueError):
            raise out_of_bounds(used, shape, dims) from None
        return base

    def put(base: Array, values: Any, *indices: Any) -> Array:
        return into(copy_strided(base, meta), values, *indices)

    put.into = into  # type: ignore[attr-defined]
    return put


index_put_op: Op = Op(
    "index_put(Tensor input, Tensor values, Tensor i0, int[] dims, bool accumulate)",
    kind=GATHER,
    infer=_infer_put,
    kernel=_kernel_put,
    grad={
        "input": lambda g, i0, dims, accumulate: g if accumulate else index_put_op(
            g, 0.0, i0, dims=dims, accumulate=False
        ),
        "values": lambda g, i0, dims: index_op(g, i0, dims=dims),
    },
    may_fail=True,
)

index_put_several: Op = Op(
    "index_put_several(Tensor input, Tensor values, Tensor i0, Tensor i1, "
    f"{_NAMES}, int[] dims, bool accumulate)",
    kind=GATHER,
    infer=_infer_put,
    kernel=_kernel_put,
    grad={
        "input": lambda g, i0, i1, i2, i3, i4, i5, i6, i7, dims, accumulate: (
            g if accumulate else index_put_several(
                g, 0.0, i0, i1, i2, i3, i4, i5, i6, i7, dims=dims, accumulate=False
            )
        ),
        "values": lambda g, i0, i1, i2, i3, i4, i5, i6, i7, dims: index_several(
            g, i0, i1, i2, i3, i4, i5, i6, i7, dims=dims
        ),
    },
    grad_name="IndexPut",
    may_fail=True,
)  # fmt: skip
