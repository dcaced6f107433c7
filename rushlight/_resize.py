"""Methods that give a tensor another memory or another extent of it: resize_, resize_as_, set_."""

from __future__ import annotations

from math import prod
from typing import Any

import numpy as np

from rushlight._creation_fill import shape_of
from rushlight.engine.core.dtype import C_NAMES
from rushlight.engine.core.shape import Shape, contiguous_strides
from rushlight.engine.ir.buffers import span_of
from rushlight.engine.ir.graph import TensorBase, Value, make_meta
from rushlight.engine.ops.view_window import as_strided
from rushlight.engine.runtime.executor import materialize
from rushlight.engine.trace import views


def _take_over(tensor: Any, source: Any) -> None:
    """Let ``tensor`` look at the memory of ``source`` in the same way."""
    storage = views.storage_of(source)
    tensor._value = storage.read(source)
    tensor._alias, tensor._chain, tensor._seen = storage, source._chain, storage.version
    tensor._base = tensor._base_edge = None


def _grow(tensor: Any, shape: Shape) -> None:
    """New memory that begins with what the old one held, followed by zeros."""
    meta = tensor._value.meta
    storage = views.storage_of(tensor)
    whole = storage.value
    buffer = materialize(whole, "resize_()")
    room = span_of(tuple(whole.meta.shape), whole.meta.strides)
    flat = np.lib.stride_tricks.as_strided(buffer, (room,), (buffer.itemsize,))
    kept = flat[views.offset_of(tensor) :]
    made = np.zeros(prod(shape), meta.dtype.numpy)
    made[: kept.size] = kept
    count = storage.version + 1
    tensor._alias = tensor._base = None
    tensor._value = Value(make_meta(shape, meta.dtype, meta.device), -1, made.reshape(shape))
    tensor._version_count = count


def resize_(self: Any, *sizes: Any, memory_format: Any = None) -> Any:
    """Give the tensor another shape over its memory, in place; where that is too small, it grows.

    A tensor that grows gets memory of its own: views taken before keep looking at the old one.

    Args:
        sizes: the new sizes, one by one or as a tuple.
        memory_format: accepted; the elements lie in row-major order.

    Raises:
        RuntimeError: the tensor requires gradients.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.resize_.html.

    >>> import rushlight as torch
    >>> torch.arange(6).resize_(2, 2)
    tensor([[0, 1],
            [2, 3]])
    """
    if self.requires_grad:
        raise RuntimeError("cannot resize variables that require grad")
    shape = shape_of(sizes, "resize_")
    if shape == tuple(self.shape):
        return self
    storage = views.storage_of(self)
    whole = storage.value.meta
    offset = views.offset_of(self)
    count = prod(shape)
    if offset + count > span_of(tuple(whole.shape), whole.strides):
        _grow(self, shape)
        return self
    source, moved = views.memory(self, offset, count)
    attrs = (shape, contiguous_strides(shape), moved)
    _take_over(self, views.make_view(as_strided, source, attrs))
    return self


def resize_as_(self: Any, other: Any, memory_format: Any = None) -> Any:
    """Give the tensor the shape of another one, see :func:`resize_`.

    >>> import rushlight as torch
    >>> torch.arange(6).resize_as_(torch.ones(2))
    tensor([0, 1])
    """
    return resize_(self, tuple(other.shape))


def set_(
    self: Any, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Any:
    """Let the tensor look at the memory of another one, in place.

    Args:
        source: a tensor of the same type; none for an empty tensor.
        storage_offset: where to begin in its storage, with ``size``.
        size: the shape; the same view as ``source`` if absent.
        stride: the strides; row-major if absent.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.set_.html.

    >>> import rushlight as torch
    >>> a = torch.zeros(3)
    >>> torch.zeros(2).set_(a).data_ptr() == a.data_ptr()
    True
    """
    have = self._value.meta.dtype
    if source is None:
        self._alias = self._base = None
        self._value = Value(make_meta((0,), have), -1, np.zeros(0, have.numpy))
        return self
    if not isinstance(source, TensorBase):
        raise TypeError(
            f"set_(): argument 'source' (position 1) must be Tensor, not {type(source).__name__}"
        )
    found = source._value.meta.dtype
    if found is not have:
        raise RuntimeError(
            f"Could not set tensor of type {C_NAMES.get(found, found.name)} to a tensor of type "
            f"{C_NAMES.get(have, have.name)}"
        )
    if size is not None:
        shape = shape_of((size,), "set_")
        source = source.as_strided(shape, stride or contiguous_strides(shape), storage_offset)
    _take_over(self, source)
    return self


#: What Tensor gets from here.
METHODS = {"resize_": resize_, "resize_as_": resize_as_, "set_": set_}
