"""Tensors over NumPy arrays."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from rushlight.engine.core.device import CPU, require_device
from rushlight.engine.core.dtype import dtype, from_numpy_dtype, get_default_dtype
from rushlight.engine.core.shape import Size
from rushlight.engine.ir.graph import SHARED, TensorBase, Value, make_meta, strided_meta
from rushlight.engine.trace import views
from rushlight.engine.trace.recorder import wrap

if TYPE_CHECKING:
    from rushlight._tensor import Tensor


def value_of_array(array: np.ndarray, found: dtype | None = None) -> Value:
    """A ready value that owns ``array`` (any strides that are whole, non-negative elements)."""
    found = found or from_numpy_dtype(array.dtype)
    size = array.itemsize
    if array.flags.c_contiguous:
        return Value(make_meta(array.shape, found), -1, array)
    strides = tuple(s // size for s in array.strides)
    return Value(strided_meta(array.shape, strides, found), -1, array)


def tensor_of_array(array: np.ndarray) -> Tensor:
    """A tensor that owns ``array``."""
    return wrap(value_of_array(array))


def shared_tensor(array: np.ndarray) -> Tensor:
    """A tensor over memory that the outside keeps writing to and reading from."""
    value = value_of_array(array.view())
    value.pos = SHARED
    made: Tensor = wrap(value)
    views.storage_of(made)
    return made


def legacy_constructor(data: tuple[Any, ...], options: dict[str, Any]) -> Any:
    """What ``torch.Tensor(*data, **options)`` makes."""
    if options.get("device") not in (None, "cpu", CPU):
        require_device(options["device"])
    found = get_default_dtype()
    if len(data) == 1 and isinstance(data[0], TensorBase):
        return views.share(data[0])
    if len(data) == 1 and not isinstance(data[0], int):
        if isinstance(data[0], Size):
            return tensor_of_array(np.zeros(tuple(data[0]), found.numpy))
        if isinstance(data[0], (float, complex)):
            raise TypeError(f"new(): data must be a sequence (got {type(data[0]).__name__})")
        if isinstance(data[0], str):
            raise TypeError("new(): invalid data type 'str'")
        return tensor_of_array(np.array(data[0], dtype=found.numpy))
    return tensor_of_array(np.zeros(data or (0,), found.numpy))
