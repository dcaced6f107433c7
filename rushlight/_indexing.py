"""``x[...]`` and ``x[...] = value``: how an index is read, as a view, a gather or a write.

Note: reading an index
    Integers, slices, ``None`` and ``...`` are taken first, all at once, as one view. Index tensors
    (also lists and NumPy arrays) then pick from the axes of that view; boolean masks stand for the
    places where they are true. This is PyTorch's order, which differs from NumPy's where an
    integer meets index tensors, see https://pytorch.org/cppdocs/notes/tensor_indexing.html.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._creation_data import tensor as make_tensor
from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, bool_, int32, int64, uint8
from rushlight.engine.core.shape import length
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import Op
from rushlight.engine.ops.arithmetic_inplace import copy_
from rushlight.engine.ops.index import index_op
from rushlight.engine.ops.index_functions import (
    check_bounds,
    check_mask,
    checked_number,
    is_mask,
    pick,
    put_at,
    resolve,
)
from rushlight.engine.ops.index_masks import masked_fill_op
from rushlight.engine.ops.view import select, slice_
from rushlight.engine.ops.view_index import alias, index_view
from rushlight.engine.trace.recorder import record
from rushlight.engine.trace.views import check_inplace, fits, make_view, write, write_part

Item = int | tuple[int, int, int] | None

class Parsed:
    """An index in its two parts: the items of the view, and index tensors by axis of that view."""

    __slots__ = ("items", "sliced", "tensors")

    def __init__(self) -> None:
        self.items: list[Item] = []
        self.tensors: list[tuple[int, Any]] = []
        self.sliced = False  #: some slice was written, even if it takes a whole axis


def getitem(self: Any, index: Any) -> Any:
    """``self[index]``: a view for integers, slices, ``None`` and ``...``; else the picked elements.

    See https://pytorch.org/cppdocs/notes/tensor_indexing.html.
    """
    kind = index.__class__
    if kind is int:
        return make_view(select, self, (0, _number(index, self._value.meta, 0)))
    if kind is slice and self._value.meta.ndim:
        return make_view(slice_, self, (0, *_cut(index, self._value.meta.shape[0])))
    if isinstance(index, TensorBase):
        meta = self._value.meta
        have = index._value.meta
        if have.ndim and meta.ndim and (have.dtype is int64 or have.dtype is int32):
            if meta.numel:
                check_bounds(index, meta, 0)
            return record(index_op, (self, index), ((0,),))
    elif kind is tuple:
        items = _plain_items(self._value.meta, index)
        if items:
            return make_view(index_view, self, (items,))
    parsed = _parse(self._value.meta, _as_tuple(index))
    part = _basic(self, parsed)
    if not parsed.tensors:
        return part
    dims, tensors = resolve(part, parsed.tensors)
    return pick(part, dims, tensors)


def setitem(self: Any, index: Any, value: Any) -> None:
    """``self[index] = value``: written in place, seen by every view of the same memory."""
    meta = self._value.meta
    if value.__class__ is not float or meta.dtype.category != FLOATING:
        value = _assignable(value, meta)
    kind = index.__class__
    if kind is int:
        _write_part(self, select, (0, _number(index, meta, 0)), value)
        return
    if kind is tuple or kind is slice:
        items = _plain_items(meta, index if kind is tuple else (index,))
        if items:
            _write_part(self, index_view, (items,), value)
            return
    parsed = _parse(meta, _as_tuple(index))
    if parsed.tensors:
        _set_picked(self, parsed, value)
    elif parsed.items:
        _write_part(self, index_view, (tuple(parsed.items),), value)
    else:
        copy_(self, _filling(value, meta))


def _assignable(value: Any, meta: Meta) -> Any:
    """A tensor, or a number the tensor can hold; PyTorch's errors for anything else."""
    if isinstance(value, TensorBase):
        return value
    number = checked_number(value, meta.dtype)
    if number is None:
        name = "numpy.ndarray" if isinstance(value, np.ndarray) else type(value).__name__
        raise TypeError(f"can't assign a {name} to a torch.{SCALAR_NAMES[meta.dtype]}Tensor")
    return number


def _set_picked(self: Any, parsed: Parsed, value: Any) -> None:
    part = _basic(self, parsed) if parsed.items else self
    check_inplace(part)
    single = len(parsed.tensors) == 1
    axis, index = parsed.tensors[0]
    single_value = not isinstance(value, TensorBase) or not value._value.meta.ndim
    if single and single_value and is_mask(index):
        check_mask(index, part._value.meta, axis)
        lead = part.ndim - axis - index.ndim
        mask = index if not lead else index[(..., *[None] * lead)]
        if mask.dtype is uint8:
            mask = mask.bool()
        if isinstance(value, TensorBase) and value.dtype is not part.dtype:
            value = value.to(part.dtype)
        write(part, record(masked_fill_op, (part, mask, value), ()), "index_put_")
        return
    dims, tensors = resolve(part, parsed.tensors)
    write(part, put_at(part, dims, tensors, value, False), "index_put_")


def _filling(value: Any, meta: Meta) -> Any:
    """What is written to a basic index: a tensor that broadcasts to the part."""
    if not isinstance(value, TensorBase):
        return tensor_of_array(np.asarray(value).astype(meta.dtype.numpy))
    have, wanted = value._value.meta.shape, meta.shape
    lead = len(have) - len(wanted)
    if lead > 0 and all(n == 1 for n in have[:lead]):
        value = value.reshape(have[lead:])
    if value._value.meta.shape != wanted:
        return value.expand(wanted)
    return value


def _write_part(self: Any, op: Op, attrs: tuple[Any, ...], value: Any) -> None:
    """Write to the part a view operation looks at, in PyTorch's words where it does not fit."""
    if isinstance(value, TensorBase):
        meta = self._value.meta
        spec = op.specs.get(((meta,), attrs)) or op.specialize((meta,), attrs)
        if not fits(value._value.meta, spec.out):
            value = _filling(value, spec.out)
    write_part(self, op, attrs, value)


# reading an index ------------------------------------------------------------------------------


def _as_tuple(index: Any) -> tuple[Any, ...]:
    if isinstance(index, tuple):
        return index
    if isinstance(index, list) and len(index) < 32:
        for item in index:  # a list that holds lists, slices or tensors counts as a tuple
            if item is None or item is ... or isinstance(item, (slice, TensorBase, list, tuple)):
                return tuple(index)
    return (index,)


def _number(index: int, meta: Meta, axis: int) -> int:
    if not meta.ndim:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or "
            "`tensor.item<T>()` in C++ to convert a 0-dim tensor to a number"
        )
    size = length(meta.shape, axis)
    if not -size <= index < size:
        raise IndexError(
            f"index {index} is out of bounds for dimension {axis} with size {size}"
        )
    return index + size if index < 0 else index


def _cut(item: slice, size: int) -> tuple[int, int, int]:
    try:
        start, stop, step = item.indices(size)
    except TypeError as error:
        if "__index__" in str(error):
            raise TypeError(
                "slice indices must be integers or None or have an __index__ method"
            ) from None
        raise
    if step < 0:
        raise ValueError(
            "step must be greater than zero\nUse torch.flip to go through a tensor backwards."
        )
    return start, max(start, stop), step


def _weight(item: Any) -> int:
    """How many axes an item of an index takes."""
    if item is None or item is ... or item.__class__ is bool:
        return 0
    if isinstance(item, TensorBase):
        meta = item._value.meta
        return meta.ndim if meta.dtype is bool_ or meta.dtype is uint8 else 1
    return 1


def _plain_items(meta: Meta, index: tuple[Any, ...]) -> tuple[Item, ...] | None:
    """The items of an index of numbers, slices, ``None`` and ``...``; ``None`` for any other.

    Also ``None`` where the whole axes leave nothing over, and for mistakes: `_parse` names them.
    """
    shape = meta.shape
    ndim = len(shape)
    made: list[Item] = []
    axis = used = 0  # `used`: up to where items are not whole axes
    for place, item in enumerate(index):
        kind = item.__class__
        if kind is int:
            if axis >= ndim:
                return None
            size = shape[axis]
            if not -size <= item < size:
                return None
            made.append(item + size if item < 0 else item)
            axis += 1
            used = len(made)
        elif kind is slice:
            if axis >= ndim:
                return None
            size = shape[axis]
            found = _cut(item, size)
            made.append(found)
            axis += 1
            if found != (0, size, 1):
                used = len(made)
        elif item is None:
            made.append(None)
            used = len(made)
        elif item is ...:
            rest = index[place + 1 :]
            after = len(rest) - rest.count(None) if ... not in rest else -1
            if after < 0 or axis + after > ndim:
                return None
            while axis < ndim - after:
                made.append((0, shape[axis], 1))
                axis += 1
        else:
            return None
    return tuple(made[:used])


def _parse(meta: Meta, index: tuple[Any, ...]) -> Parsed:
    items: list[Any] = [item if item.__class__ in _PLAIN else _as_index(item) for item in index]
    taken = sum(map(_weight, items))
    ndim = meta.ndim
    if taken > ndim:
        if not ndim:
            if any(isinstance(item, slice) for item in items):
                raise IndexError("slice() cannot be applied to a 0-dim tensor.")
            _number(0, meta, 0)
        raise IndexError(f"too many indices for tensor of dimension {ndim}")
    parsed = Parsed()
    made, axis, out = parsed.items, 0, 0
    shape = meta.shape
    for item in items:
        kind = item.__class__
        if kind is int:
            made.append(_number(item, meta, axis))
            axis += 1
        elif kind is slice:
            made.append(_cut(item, shape[axis]))
            parsed.sliced = True
            axis += 1
            out += 1
        elif item is None:
            made.append(None)
            out += 1
        elif item is ...:
            for _ in range(ndim - taken):
                made.append((0, shape[axis], 1))
                axis += 1
                out += 1
            taken = ndim  # a second `...` stands for nothing
        elif kind is bool:
            made.append(None)
            parsed.tensors.append((out, tensor_of_array(np.array([item]))))
            out += 1
        else:
            weight = _weight(item)
            if not weight:  # a 0-d mask
                made.append(None)
                parsed.tensors.append((out, item.reshape((1,))))
                out += 1
            else:
                parsed.tensors.append((out, item))
                for _ in range(weight):
                    made.append((0, shape[axis], 1))
                    axis += 1
                    out += 1
    _drop_whole(made, shape)
    return parsed


_PLAIN = {int, slice, type(None), type(...), bool}


def _drop_whole(items: list[Item], shape: Sequence[int]) -> None:
    """Leave out the whole axes at the end, which need no item."""
    axis = sum(item is not None for item in items)
    while items and items[-1] is not None:
        axis -= 1
        if items[-1] != (0, shape[axis], 1):
            return
        items.pop()


def _as_index(item: Any) -> Any:
    """An item that is neither a number nor a slice as an index tensor (or a number after all)."""
    if isinstance(item, (int, np.integer)):
        return int(item)
    if isinstance(item, TensorBase):
        meta = item._value.meta
        if meta.dtype.category > 1 or meta.dtype not in _INDEX_TYPES:
            raise IndexError(
                "tensors used as indices must be long, int, byte or bool tensors\n"
                "Convert the index with .long()."
            )
        if not meta.ndim and meta.dtype is not bool_ and meta.dtype is not uint8:
            return int(item.item())
        return item
    if isinstance(item, np.bool_):
        return bool(item)
    if isinstance(item, (np.ndarray, list, tuple, range)) or _is_sequence(item):
        made = make_tensor(list(item) if isinstance(item, range) else item)
        if not made.numel() and made.dtype.category > 1:
            return made.long()
        return _as_index(made)
    if hasattr(item, "__index__"):
        return int(item.__index__())
    if isinstance(item, str):
        raise TypeError("new(): invalid data type 'str'")
    raise IndexError(
        "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
        f"indices (got {type(item).__name__})"
    )


def _is_sequence(item: Any) -> bool:
    return isinstance(item, Sequence) and not isinstance(item, (str, bytes))


_INDEX_TYPES = {int64, int32, uint8, bool_}


# the parts -------------------------------------------------------------------------------------


def _basic(self: Any, parsed: Parsed) -> Any:
    """The view of the basic part of an index."""
    if parsed.items:
        items = tuple(parsed.items)
        return make_view(index_view, self, (items,))
    if parsed.tensors:
        return self
    if parsed.sliced:
        return make_view(slice_, self, (0, 0, self._value.meta.shape[0], 1))
    return make_view(alias, self, ())
