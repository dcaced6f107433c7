"""Putting samples together to a batch."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._creation import as_tensor, tensor
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import float64
from rushlight.engine.core.watch import watch
from rushlight.engine.ir.op import function_of

#: For a type (or several) the function that makes a batch of its objects.
CollateMap = dict[type | tuple[type, ...], Callable[..., Any]]

np_str_obj_array_pattern = re.compile(r"[SaUO]")
default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)
_UNEQUAL = "each element in list of batch should be of equal size"


def default_convert(data: Any) -> Any:
    """Turn the NumPy arrays in nested containers into tensors.

    Args:
        data: one sample; everything in it that is no NumPy array stays what it is.

    See https://pytorch.org/docs/stable/data.html#torch.utils.data.default_convert.

    >>> import numpy as np
    >>> from rushlight.utils.data import default_convert
    >>> default_convert([np.array([0, 1]), "a"])
    [tensor([0, 1]), 'a']
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if np_str_obj_array_pattern.search(data.dtype.str) else as_tensor(data)
    if isinstance(data, Mapping):
        return _like_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*map(default_convert, data))
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _like_sequence(data, map(default_convert, data))
    return data


def _like_mapping(model: Mapping[Any, Any], made: dict[Any, Any]) -> Any:
    """The entries ``made`` in a mapping of the same type, a plain one where that cannot be."""
    try:
        if not isinstance(model, MutableMapping):
            return type(model)(made)  # type: ignore[call-arg]
        other = copy.copy(model)
        other.update(made)
        return other
    except TypeError:
        return made


def _like_sequence(model: Sequence[Any], made: Iterable[Any]) -> Any:
    """The elements ``made`` in a sequence of the same type; in a list for a tuple, as always."""
    items = list(made)
    if isinstance(model, tuple) or type(model) is list:
        return items
    try:
        if not isinstance(model, MutableSequence):
            return type(model)(items)  # type: ignore[call-arg]
        other = copy.copy(model)
        for place, item in enumerate(items):
            other[place] = item
        return other
    except TypeError:
        return items


def collate(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Put samples together, inside containers too, by the functions of a table.

    Args:
        batch: the samples, all of the first one's type.
        collate_fn_map: for types the functions that are called as
            ``function(samples, collate_fn_map=...)``; a type that is not there is looked for among
            its base classes, in the order of the table.

    Raises:
        RuntimeError: sequences of unequal lengths.
        TypeError: a type that is neither in the table nor a container.
    """
    first = batch[0]
    if collate_fn_map is not None:
        function = _function_for(first, collate_fn_map)
        if function is not None:
            return function(batch, collate_fn_map=collate_fn_map)

    def column(samples: Sequence[Any]) -> Any:
        return collate(samples, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        made = {key: column([sample[key] for sample in batch]) for key in first}
        return _like_mapping(first, made)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*map(column, zip(*batch, strict=False)))
    if isinstance(first, Sequence):
        if any(len(sample) != len(first) for sample in batch):
            raise RuntimeError(_UNEQUAL)
        return _like_sequence(first, map(column, zip(*batch, strict=True)))
    raise TypeError(default_collate_err_msg_format.format(type(first)))


def _function_for(sample: Any, table: CollateMap) -> Callable[..., Any] | None:
    found = table.get(type(sample))
    if found is None:
        found = next((table[kind] for kind in table if isinstance(sample, kind)), None)
    return found


def known(tensor: Tensor) -> np.ndarray | None:
    """The numbers of a plain tensor that has been computed, not to be written to; else ``None``."""
    value = tensor._read()
    buffer = value.buffer
    if buffer.__class__ is np.ndarray and tensor._edge is None and watch.read is None:
        return buffer  # type: ignore[no-any-return]
    return None


def _as_usual(table: CollateMap | None) -> bool:
    """Whether tensors are stacked, as they are unless a user has put another function there."""
    return table is not None and table.get(Tensor) is collate_tensor_fn


def _joined(arrays: Sequence[np.ndarray]) -> Any:
    """A tensor of arrays of one shape and type."""
    if not arrays[0].shape:
        return tensor_of_array(np.array(arrays, arrays[0].dtype))
    return tensor_of_array(np.concatenate(arrays).reshape(len(arrays), *arrays[0].shape))


def collate_tensor_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Stack tensors; computed ones at once in NumPy, which costs a tenth of recording them."""
    meta = batch[0]._value.meta
    ready = [known(sample) for sample in batch if sample._value.meta is meta]
    if len(ready) == len(batch) and not any(array is None for array in ready):
        return _joined(ready)  # type: ignore[arg-type]
    for place, sample in enumerate(batch):
        if sample.shape != meta.shape:
            shown = f"{list(meta.shape)} at entry 0 and {list(sample.shape)} at entry {place}"
            raise RuntimeError(f"stack expects each tensor to be equal size, but got {shown}")
    return function_of("torch.stack")(list(batch))


def collate_numpy_array_fn(
    batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None
) -> Any:
    """Stack arrays to a tensor."""
    first = batch[0]
    if np_str_obj_array_pattern.search(first.dtype.str):
        raise TypeError(default_collate_err_msg_format.format(first.dtype))
    shape, kind = first.shape, first.dtype
    if kind.isnative and kind.kind in "biufc" and _as_usual(collate_fn_map):
        if all(
            type(a) is np.ndarray and a.shape == shape and a.dtype == kind and a.flags.forc
            for a in batch
        ):
            return _joined(batch)
    return collate([as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(
    batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None
) -> Any:
    """A tensor of NumPy's numbers."""
    return as_tensor(batch)


def collate_float_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """A tensor of Python floats, in double precision."""
    return tensor(list(batch), dtype=float64)


def collate_int_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """A tensor of whole numbers or truth values."""
    if set(map(type, batch)) == {int}:
        array = np.array(batch)
        if array.dtype == np.int64:  # none of them needs more bits
            return tensor_of_array(array)
    return tensor(list(batch))


def collate_str_fn(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Any:
    """Texts stay as they are."""
    return batch


default_collate_fn_map: CollateMap = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def columns_wanted(collate_fn: Any) -> bool:
    """Whether samples of tensors will become a list of tensors with one more axis."""
    return collate_fn is default_collate and _as_usual(default_collate_fn_map)


def default_collate(batch: Sequence[Any]) -> Any:
    """Stack samples along a new first axis, inside tuples, lists and dictionaries.

    Args:
        batch: the samples: tensors, arrays and numbers of equal shapes, texts, or containers of
            such.

    Returns:
        Tensors with one more axis in the containers of the first sample; lists for tuples.

    Raises:
        RuntimeError: sizes or lengths differ.
        TypeError: something of which no tensor can be made.

    See https://pytorch.org/docs/stable/data.html#torch.utils.data.default_collate.

    >>> from rushlight.utils.data import default_collate
    >>> default_collate([(1, 2.0), (3, 4.0)])
    [tensor([1, 3]), tensor([2., 4.], dtype=torch.float64)]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)
