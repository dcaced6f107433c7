"""The old tensor types: ``torch.FloatTensor`` and its like, constructors and for ``isinstance``."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._creation_data import tensor
from rushlight.engine.core.dtype import (
    C_NAMES,
    SCALAR_NAMES,
    bfloat16,
    bool_,
    complex64,
    complex128,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    uint8,
)
from rushlight.engine.core.shape import Size
from rushlight.engine.ir.graph import TensorBase


class tensortype(type):
    """The class of the old tensor types: one type of elements on one kind of device."""

    dtype: dtype
    is_cuda = False

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TensorBase) and instance._value.meta.dtype is cls.dtype

    def __call__(cls, *data: Any, device: Any = None) -> Any:
        return _construct(cls.dtype, data)

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def _construct(found: dtype, data: tuple[Any, ...]) -> Any:
    """A tensor from sizes, a sequence or another tensor of the same type."""
    if len(data) == 1 and not isinstance(data[0], int):
        (source,) = data
        if isinstance(source, TensorBase):
            have = source._value.meta.dtype
            if have is not found:
                raise TypeError(
                    f"expected TensorOptions(dtype={C_NAMES.get(found, found.name)}, device=cpu) "
                    f"(got TensorOptions(dtype={C_NAMES.get(have, have.name)}, device=cpu))\n"
                    f"Convert the tensor with .to({found!r})."
                )
            return source.detach()
        if isinstance(source, Size):
            return tensor_of_array(np.zeros(tuple(source), found.numpy))
        if isinstance(source, (float, complex)):
            raise TypeError(f"new(): data must be a sequence (got {type(source).__name__})")
        return tensor(list(source) if isinstance(source, range) else source, dtype=found)
    return tensor_of_array(np.zeros(data or (0,), found.numpy))


def _type(found: dtype) -> tensortype:
    name = f"{SCALAR_NAMES[found]}Tensor"
    made = tensortype(name, (), {"__module__": "torch", "__doc__": f"Tensors of {found!r}."})
    made.dtype = found
    return made


_TYPES = (
    uint8, int8, int16, int32, int64, float16, float32, float64, bool_, bfloat16, complex64,
    complex128,
)  # fmt: skip

#: The old types by name: ``"FloatTensor"``, ``"LongTensor"``, ...
LEGACY: dict[str, tensortype] = {made.__name__: made for made in map(_type, _TYPES)}


def new(self: Any, *data: Any, device: Any = None) -> Any:
    """A tensor of the type of ``self``, from sizes or from data; ``new_tensor`` is the better way.

    >>> import rushlight as torch
    >>> torch.ones(1).new([1, 2])
    tensor([1., 2.])
    """
    return _construct(self.dtype, data)
