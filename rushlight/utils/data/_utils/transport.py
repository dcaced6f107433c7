"""How a batch travels through a block of shared memory: what it holds is not pickled, only where.

A block holds, one behind the other: a table of offset and length of every buffer, the pickled batch
without the contents of its tensors and arrays, and these contents.
"""

from __future__ import annotations

import io
import pickle
import struct
from typing import Any, NamedTuple

import numpy as np

from rushlight._arrays import value_of_array
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import dtype
from rushlight.engine.ir.graph import Meta
from rushlight.engine.trace.recorder import wrap
from rushlight.utils.data._utils.blocks import Block

_ALIGNMENT = 64
_ENTRY = 16  # bytes of an entry of the table

_NON_LEAF = (
    "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not "
    "support crossing process boundaries.  If you just want to transfer the data, call detach() on "
    "the tensor before serializing (e.g., putting it on the queue)."
)


class Extent(NamedTuple):
    """What of a block is in use: buffers, bytes of the pickled batch, bytes altogether."""

    buffers: int
    pickled: int
    total: int


class _Pickler(pickle.Pickler):
    """Takes the contents of tensors aside, as ``pickle`` does it with those of arrays."""

    def reducer_override(self, item: Any) -> Any:
        if isinstance(item, Tensor) and type(item).__reduce_ex__ is Tensor.__reduce_ex__:
            return _reduce(item)
        return NotImplemented


def _reduce(item: Tensor) -> Any:
    if item.requires_grad and not item.is_leaf:
        raise RuntimeError(_NON_LEAF)
    meta = item._meta
    array = item._array("sent to the main process")
    flat, strides = _in_one_piece(array, meta)
    layout = (item.dtype, tuple(meta.shape), strides)
    return _tensor, (pickle.PickleBuffer(flat), *layout, item.requires_grad, type(item))


def _in_one_piece(array: np.ndarray, meta: Meta) -> tuple[Any, tuple[int, ...] | None]:
    """The memory of a tensor as bytes without gaps, with its strides if they are not the usual."""
    if array.flags.c_contiguous:
        return array.reshape(-1).view(np.uint8), None
    order = sorted(range(array.ndim), key=lambda axis: -meta.strides[axis])
    turned = array.transpose(order)
    if turned.flags.c_contiguous:
        return turned.reshape(-1).view(np.uint8), tuple(array.strides)
    return np.ascontiguousarray(array).reshape(-1).view(np.uint8), None


def _tensor(
    buffer: Any,
    found: dtype,
    shape: tuple[int, ...],
    strides: tuple[int, ...] | None,
    requires_grad: bool,
    kind: type,
) -> Any:
    """The tensor over memory that has arrived."""
    array = np.ndarray(shape, found.numpy, buffer, strides=strides)
    made: Any = wrap(value_of_array(array, found))
    if kind is not Tensor:
        made = made.as_subclass(kind)
    return made.requires_grad_() if requires_grad else made


def _aligned(offset: int) -> int:
    return -(-offset // _ALIGNMENT) * _ALIGNMENT


def pack(batch: Any, block: Block) -> Extent:
    """Write a batch into a block.

    Raises:
        RuntimeError: a tensor of an autograd graph, or too little memory.
        Exception: whatever pickling an object of the batch raises.
    """
    buffers: list[pickle.PickleBuffer] = []
    stream = io.BytesIO()
    _Pickler(stream, pickle.HIGHEST_PROTOCOL, buffer_callback=buffers.append).dump(batch)
    pickled = stream.getbuffer()
    contents = [buffer.raw() for buffer in buffers]
    begin = _ENTRY * len(contents)
    table, end = [], begin + len(pickled)
    for content in contents:
        start = _aligned(end)
        table.append((start, content.nbytes))
        end = start + content.nbytes
    with memoryview(block.memory(end)) as memory:
        for place, (start, size) in enumerate(table):
            struct.pack_into("<QQ", memory, place * _ENTRY, start, size)
            memory[start : start + size] = contents[place]
        memory[begin : begin + len(pickled)] = pickled
    return Extent(len(contents), len(pickled), end)


def unpack(memory: np.ndarray, extent: Extent) -> Any:
    """The batch in this memory; its tensors and arrays use it and keep it.

    >>> import numpy as np
    >>> from rushlight.utils.data._utils.blocks import Block
    >>> from rushlight.utils.data._utils.transport import pack, unpack
    >>> block = Block()
    >>> extent = pack({"x": np.arange(3), "name": "a"}, block)
    >>> unpack(np.frombuffer(block.memory(extent.total), np.uint8).copy(), extent)
    {'x': array([0, 1, 2]), 'name': 'a'}
    >>> block.close()
    """
    view = memory.data
    begin = _ENTRY * extent.buffers
    table = [struct.unpack_from("<QQ", view, place) for place in range(0, begin, _ENTRY)]
    contents = [view[start : start + size] for start, size in table]
    return pickle.loads(view[begin : begin + extent.pickled], buffers=contents)
