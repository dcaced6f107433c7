"""Functions that find, pick or write elements by index: index_put, take, put, nonzero."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import (
    COMPLEX,
    FLOATING,
    INTEGRAL,
    SCALAR_NAMES,
    bool_,
    dtype,
    int64,
    uint8,
)
from rushlight.engine.ir.buffers import copy_strided
from rushlight.engine.ir.graph import Meta, TensorBase, Value, strided_meta
from rushlight.engine.ir.op import GATHER, Op, Spec, composite, constant, hooks
from rushlight.engine.ir.samples import ErrorSample, S, t, tb, ti
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.index import (
    MOST,
    add_rows,
    index_embed,
    index_op,
    index_put_op,
    index_put_several,
    index_several,
    out_of_bounds,
    within,
    written,
)
from rushlight.engine.ops.places import Load, Place, unjoined, wrapped
from rushlight.engine.ops.view import numpy_sum

_C_NAMES = {
    "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t",
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
}  # fmt: skip


def checked_number(value: Any, wanted: dtype) -> Any:
    """A Python number that a tensor of type ``wanted`` can hold; ``None`` if it is no number."""
    if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
        value = value.item()
    if not isinstance(value, (bool, int, float, complex)):
        return None
    if wanted is bool_ or wanted.category == COMPLEX:
        return bool(value) if wanted is bool_ else value
    fits = not isinstance(value, complex) or value.imag == 0
    if fits and isinstance(value, complex):
        value = value.real
    if fits and wanted.category == INTEGRAL:
        limits = np.iinfo(wanted.numpy)
        finite = value == value and value not in (float("inf"), float("-inf"))
        low = -limits.max - 1 if limits.min == 0 else limits.min
        fits = finite and low <= int(value) <= limits.max
        value = int(value) if fits else value
    elif fits and wanted.category == FLOATING and isinstance(value, int):
        value = float(value)
    if not fits:
        name = _C_NAMES.get(wanted.name, wanted.name)
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")
    return value


def put_at(
    part: Any, dims: tuple[int, ...], tensors: Sequence[Any], value: Any, accumulate: bool
) -> Any:
    """``part`` with ``value`` written (or added) at the places the index tensors name."""
    attrs = (dims, accumulate)
    if len(tensors) == 1:
        return hooks.record(index_put_op, (part, value, tensors[0]), attrs)
    missing = (None,) * (MOST - len(tensors))
    return hooks.record(index_put_several, (part, value, *tensors, *missing), attrs)


# index tensors, in any axes --------------------------------------------------------------------


def is_mask(tensor: Any) -> bool:
    """Whether an index tensor marks places instead of naming them."""
    found = tensor._value.meta.dtype
    return found is bool_ or found is uint8


def check_mask(mask: Any, meta: Meta, axis: int) -> None:
    """PyTorch's error for a mask whose sizes are not those of the axes it stands for."""
    for place, size in enumerate(mask._value.meta.shape):
        if axis + place >= meta.ndim or size != meta.shape[axis + place]:
            raise IndexError(
                f"The shape of the mask {list(mask.shape)} at index {place} does not match the "
                f"shape of the indexed tensor {list(meta.shape)} at index {axis + place}"
            )


def check_bounds(index: Any, meta: Meta, axis: int) -> None:
    """Refuse an index out of range at the call, where its contents are known already."""
    buffer = index._read().buffer
    if not isinstance(buffer, np.ndarray) or not buffer.size:
        return
    size = meta.shape[axis]
    if within(buffer, size):
        return
    if buffer.max() >= size or buffer.min() < -size:
        raise out_of_bounds((buffer,), {axis: size}, (axis,))


def resolve(part: Any, tensors: Sequence[tuple[int, Any]]) -> tuple[tuple[int, ...], list[Any]]:
    """Axes and integer index tensors; a mask becomes the places where it is true."""
    dims: list[int] = []
    listed: list[Any] = []
    meta = part._value.meta
    for axis, index in tensors:
        if is_mask(index):
            check_mask(index, meta, axis)
            for place, found in enumerate(np.nonzero(index._array("index by a mask"))):
                dims.append(axis + place)
                listed.append(constant(np.ascontiguousarray(found)))
        else:
            if meta.numel:
                check_bounds(index, meta, axis)
            dims.append(axis)
            listed.append(index)
    if len(listed) > MOST:
        raise RuntimeError(
            f"an index of more than {MOST} index tensors is not supported, got {len(listed)}\n"
            "Index in two steps instead."
        )
    return tuple(dims), listed


def pick(part: Any, dims: tuple[int, ...], tensors: Sequence[Any]) -> Any:
    """The elements of ``part`` that index tensors name along ``dims``."""
    if len(tensors) == 1:
        return hooks.record(index_op, (part, tensors[0]), (dims,))
    missing = (None,) * (MOST - len(tensors))
    return hooks.record(index_several, (part, *tensors, *missing), (dims,))


@composite(
    method=True,
    inplace=True,
    samples=(
        S(t(4, 3), (ti(2, values=[0, 2]),), t(2, 3)),
        S(t(4, 3), (ti(2, values=[0, -1]), ti(2, values=[1, 0])), t(2)),
        S(t(4, 3), [ti(2, 2, values=[[1, 1], [3, 1]])], t(3), accumulate=True),
        S(t(3), (tb(3),), t()),
    ),
    errors=(
        ErrorSample(S(t(3), (ti(1, values=[5]),), t()), IndexError, "index 5 is out of bounds"),
    ),
)
def index_put(input: Any, indices: Any, values: Any, accumulate: bool = False) -> Any:
    """``input`` with ``values`` written at the places a tuple of index tensors names.

    Args:
        input: the tensor.
        indices: tensors of integers (or a mask), one for each of the leading axes.
        values: what is written; it broadcasts to the shape the index picks.
        accumulate: add to what is there, also several times at one place.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.index_put_.html.

    >>> import rushlight as torch
    >>> torch.zeros(3).index_put((torch.tensor([0, 2]),), torch.tensor(1.0))
    tensor([1., 0., 1.])
    """
    if not isinstance(indices, (tuple, list)):
        raise TypeError(
            "index_put(): argument 'indices' (position 1) must be tuple of Tensors, not "
            f"{'Tensor' if isinstance(indices, TensorBase) else type(indices).__name__}"
        )
    if not isinstance(values, TensorBase):
        raise TypeError(
            "index_put(): argument 'values' (position 2) must be Tensor, not "
            f"{type(values).__name__}"
        )
    tensors, axis = [], 0
    for place, index in enumerate(indices):
        if not isinstance(index, TensorBase):
            raise TypeError(
                f"expected Tensor as element {place} in argument 0, but got "
                f"{type(index).__name__}"
            )
        tensors.append((axis, index))
        axis += index._value.meta.ndim if is_mask(index) else 1
    if axis > input.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input.ndim} (got {axis})")
    dims, listed = resolve(input, tensors)
    return put_at(input, dims, listed, values, accumulate)


# one flat index --------------------------------------------------------------------------------


def _flat_bounds(index: np.ndarray, count: int) -> IndexError:
    wrong = index[(index >= count) | (index < -count)]
    return IndexError(
        f"out of range: tried to access index {int(wrong.flat[0])} on a tensor of {count} elements."
    )


def _require_long(index: Meta, name: str) -> None:
    if index.dtype is not int64:
        raise RuntimeError(
            f"{name}(): Expected a long tensor for index, but got {SCALAR_NAMES[index.dtype]}"
        )


def _take_infer(input: Meta, index: Meta) -> Meta:
    _require_long(index, "take")
    if not input.numel and index.numel:
        raise IndexError("take(): tried to take from an empty tensor")
    return input.like(tuple(index.shape))


def _take_kernel(spec: Spec) -> Callable[..., np.ndarray]:
    def call(x: np.ndarray, index: np.ndarray) -> np.ndarray:
        try:
            return np.asarray(x.reshape(-1)[index])
        except IndexError:
            raise _flat_bounds(index, x.size) from None

    return call


def _take_grad(g: Any, index: Any, input_meta: Meta) -> Any:
    flat = input_meta.like((input_meta.numel,))
    return index_embed(g, index, whole=flat, dims=(0,)).reshape(input_meta.shape)


def _take_check(spec: Spec) -> Callable[[np.ndarray], None]:
    source = spec.inputs[0]
    assert source is not None
    count = source.numel

    def check(index: np.ndarray) -> None:
        if index.size and (index.max() >= count or index.min() < -count):
            raise _flat_bounds(index, count)

    return check


def _take_element(load: Load, index: Place, spec: Spec) -> Expr:
    source = spec.inputs[0]
    assert source is not None
    number = wrapped(load(1, index), source.numel)
    return load(0, unjoined(number, source.shape))


take_op = Op(
    "take(Tensor input, Tensor index)",
    kind=GATHER,
    infer=_take_infer,
    kernel=_take_kernel,
    element=_take_element,
    check=((1,), _take_check),
    grad={"input": _take_grad},
    may_fail=True,
)


@composite(
    method=True,
    samples=(
        S(t(2, 3), ti(2, 2, values=[[0, 5], [5, -1]])), S(t(2, 3), ti()), S(t(4), ti(0, values=[])),
    ),
    errors=(ErrorSample(S(t(3), ti(1, values=[5])), IndexError, "tried to access index 5"),),
)  # fmt: skip
def take(input: Any, index: Any) -> Any:
    """The elements at these places of ``input`` read row by row.

    Args:
        input: any tensor.
        index: int64, any shape, which becomes the result's.

    See https://pytorch.org/docs/stable/generated/torch.take.html.

    >>> import rushlight as torch
    >>> torch.take(torch.tensor([[1, 2], [3, 4]]), torch.tensor([0, 3]))
    tensor([1, 4])
    """
    buffer = index._read().buffer
    if isinstance(buffer, np.ndarray) and buffer.size and input.numel():
        count = input.numel()
        if buffer.max() >= count or buffer.min() < -count:
            raise _flat_bounds(buffer, count)
    return hooks.record(take_op, (input, index), ())


def _put_infer(input: Meta, index: Meta, source: Meta, accumulate: bool) -> Meta:
    _require_long(index, "put_")
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{SCALAR_NAMES[input.dtype]} and source.dtype = {SCALAR_NAMES[source.dtype]}"
        )
    if source.numel != index.numel:
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.numel}, index.numel() = {index.numel}"
        )
    return written(input)


def _put_kernel(spec: Spec, accumulate: bool) -> Callable[..., np.ndarray]:
    found = spec.out.dtype.numpy
    compute = numpy_sum(found)

    def call(x: np.ndarray, index: np.ndarray, source: np.ndarray) -> np.ndarray:
        flat = np.array(x, order="C").reshape(-1)
        places, values = index.reshape(-1), source.reshape(-1)
        if places.size and (places.max() >= flat.size or places.min() < -flat.size):
            raise _flat_bounds(places, flat.size)
        if accumulate:
            wide = flat.astype(compute, copy=False)
            places = np.where(places < 0, places + flat.size, places)
            add_rows(wide, places, values.astype(compute, copy=False))
            flat = wide.astype(found, copy=False)
        else:
            flat[places] = values
        return copy_strided(flat.reshape(x.shape), spec.out)

    return call


put_op: Op = Op(
    "put(Tensor input, Tensor index, Tensor source, bool accumulate)",
    kind=GATHER,
    infer=_put_infer,
    kernel=_put_kernel,
    grad={
        "input": lambda g, index, accumulate: g if accumulate else put_op(
            g, index, g.new_zeros(index.shape), accumulate=False
        ),
        "source": lambda g, index, source_meta: take_op(g, index).reshape(source_meta.shape),
    },
    may_fail=True,
)  # fmt: skip


@composite(
    method=True,
    inplace=True,
    samples=(
        S(t(2, 3), ti(2, values=[0, -1]), t(2)),
        S(t(2, 3), ti(2, 2, values=[[0, 5], [5, 1]]), t(4), accumulate=True),
    ),
)
def put(input: Any, index: Any, source: Any, accumulate: bool = False) -> Any:
    """``input`` with ``source`` written (or added) at these places, counted row by row.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.put_.html.

    >>> import rushlight as torch
    >>> torch.zeros(3).put(torch.tensor([1]), torch.tensor([5.0]))
    tensor([0., 5., 0.])
    """
    return hooks.record(put_op, (input, index, source), (accumulate,))


# places that are not zero ----------------------------------------------------------------------


def _places(input: Any) -> tuple[np.ndarray, ...]:
    array = input.detach()._array("nonzero()")
    return np.nonzero(array.reshape(1)) if not array.ndim else np.nonzero(array)


_NONZERO = (S(ti(3, 4, low=0, high=2)), S(ti(5, low=-1, high=2)), S(ti()), S(tb(2, 3)), S(t(0, 2)))


def _column_major(places: tuple[np.ndarray, ...]) -> Any:
    """The places as rows of a matrix that lies in memory axis by axis, as PyTorch's does."""
    count = len(places[0]) if places else 0
    meta = strided_meta((count, len(places)), (1, max(count, 1)), int64)
    rows = np.array(places, np.int64).reshape(len(places), count)
    return hooks.wrap(Value(meta, -1, rows.T))


@composite(method=True, samples=(*_NONZERO, S(ti(3, 4, low=0, high=2), as_tuple=True)))
def nonzero(input: Any, *, as_tuple: bool = False) -> Any:
    """The places (N, input.ndim) of the elements that are not zero, row by row.

    Args:
        input: any tensor.
        as_tuple: give one tensor per axis instead, ready to index with.

    See https://pytorch.org/docs/stable/generated/torch.nonzero.html.

    >>> import rushlight as torch
    >>> torch.nonzero(torch.tensor([0, 5, 7]))
    tensor([[1],
            [2]])
    """
    places = _places(input)
    if as_tuple:
        return tuple(constant(np.ascontiguousarray(place)) for place in places)
    if not input.ndim:
        return constant(np.empty((len(places[0]), 0), np.int64))
    return _column_major(places)


@composite(method=True, samples=_NONZERO)
def argwhere(input: Any) -> Any:
    """The places of the elements that are not zero, see :func:`nonzero`.

    >>> import rushlight as torch
    >>> torch.argwhere(torch.tensor([0, 5, 7]))
    tensor([[1],
            [2]])
    """
    return nonzero(input)
