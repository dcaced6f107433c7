"""Copies and conversions: clone, contiguous, to, and the functions named after types."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.core import dtype as dtypes
from rushlight.engine.core.device import device, require_device
from rushlight.engine.core.dtype import dtype
from rushlight.engine.core.shape import contiguous_strides
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import OTHER, POINTWISE, Op, composite
from rushlight.engine.ir.samples import UNARY, ErrorSample, S, t, tb, tc, ti
from rushlight.engine.ops.bodies import same
from rushlight.engine.ops.elementwise import broadcast_meta
from rushlight.engine.ops.view import as_layout, to_dtype, zeros
from rushlight.engine.ops.view_elements import second_input

clone_op = Op(
    "clone_(Tensor input)",
    kind=POINTWISE,
    infer=lambda input: broadcast_meta((input,), input.dtype),
    kernel=lambda spec: lambda x: np.array(x, order="K"),
    scalar=same,
    grad={"input": lambda g: g},
    grad_name="Clone",
)


def _copy_infer(input: Meta, source: Meta) -> Meta:
    return input


copy_into = Op(
    "copy_into(Tensor input, Tensor source)",
    kind=OTHER,
    infer=_copy_infer,
    kernel=lambda spec: lambda input, source: source,
    element=second_input,
    grad={
        "input": lambda g: zeros(shape=tuple(g.shape), dtype=g.dtype),
        "source": lambda g: g,
    },
    grad_name="CopyBackwards",
)


@composite(method=True, samples=UNARY)
def clone(input: Any, *, memory_format: Any = None) -> Any:
    """A copy of ``input``; gradients flow through it.

    >>> import rushlight as torch
    >>> torch.clone(torch.ones(2))
    tensor([1., 1.])
    """
    return clone_op(input)


@composite(namespaces=(), method=True, samples=(S(t(3, 4)),))
def contiguous(self: Any, memory_format: Any = None) -> Any:
    """``self`` if it lies in memory in row-major order, else such a copy.

    >>> import rushlight as torch
    >>> torch.zeros(2, 3).t().contiguous().stride()
    (2, 1)
    """
    if self.is_contiguous():
        return self
    return as_layout(self, strides=contiguous_strides(self.shape))


def _convert(tensor: Any, wanted: dtype | None, copy: bool) -> Any:
    if wanted is not None and wanted is not tensor.dtype:
        return to_dtype(tensor, dtype=wanted)
    return to_dtype(tensor, dtype=tensor.dtype) if copy else tensor


@composite(
    namespaces=(),
    method=True,
    samples=(
        S(t(3)),
        S(t(3), dtypes.float64),
        S(t(3), dtypes.int64),
        S(t(3), ti(1)),
        S(t(3), "cpu", dtypes.float16, numeric=False),
        S(t(3), dtypes.float32, False, True, numeric=False),
        S(t(2, 3), dtype=dtypes.bool_, copy=True),
    ),
    errors=(
        ErrorSample(S(t(3), "nowhere"), RuntimeError, "device type"),
    ),
)
def to(self: Any, *args: Any, **kwargs: Any) -> Any:
    """``self`` with another type or on another device (itself where nothing changes).

    Args:
        args: a dtype, a device, both, or another tensor to take both from.
        kwargs: ``dtype``, ``device``, ``non_blocking``, ``copy``, ``memory_format``.

    >>> import rushlight as torch
    >>> torch.ones(2).to(torch.int64)
    tensor([1, 1])
    """
    wanted, copy = kwargs.get("dtype"), bool(kwargs.get("copy", False))
    place = kwargs.get("device")
    flags = []
    for argument in args:
        if isinstance(argument, dtype):
            wanted = argument
        elif isinstance(argument, TensorBase):
            wanted = argument.dtype
        elif isinstance(argument, bool):
            flags.append(argument)
        elif isinstance(argument, (device, str, int)):
            place = argument
        elif argument is not None:
            raise TypeError(
                f"to() received an invalid combination of arguments - got "
                f"({', '.join(type(a).__name__ for a in args)})"
            )
    if len(flags) > 1:
        copy = flags[1]
    if place is not None:
        require_device(place)
    return _convert(self, wanted, copy)


@composite(namespaces=(), method=True, samples=(S(t(3)),))
def cpu(self: Any, memory_format: Any = None) -> Any:
    """``self`` in the processor's memory.

    >>> import rushlight as torch
    >>> torch.ones(1).cpu().device
    device(type='cpu')
    """
    return self


@composite(
    namespaces=(),
    method=True,
    errors=(ErrorSample(S(t(3)), AssertionError, "Torch not compiled with CUDA enabled"),),
)
def cuda(self: Any, device: Any = None, non_blocking: bool = False) -> Any:
    """``self`` on a GPU; PyTorch's error where there is none."""
    require_device("cuda" if device is None else device)
    return self


@composite(namespaces=(), method=True, samples=(S(t(3), ti(2)), S(ti(3), t(2)), S(t(3), t(2))))
def type_as(self: Any, other: Any) -> Any:
    """``self`` with the type of ``other``.

    >>> import rushlight as torch
    >>> torch.ones(1).type_as(torch.zeros(1, dtype=torch.int32))
    tensor([1], dtype=torch.int32)
    """
    return _convert(self, other.dtype, False)


# the derivative is that of the number, not of what becomes of it by rounding
_CONVERTED = (S(t(2, 3), numeric=False), S(ti(3)), S(tb(3)), S(tc(2), numeric=False))


def _named(name: str, found: dtype) -> None:
    def convert(self: Any, memory_format: Any = None) -> Any:
        return _convert(self, found, False)

    convert.__name__ = name
    convert.__doc__ = f"``self`` converted to ``torch.{found.name}``."
    composite(namespaces=(), method=True, samples=_CONVERTED)(convert)


_TYPE_METHODS: dict[str, dtype] = {
    **dtypes.ALIASES,
    "bool": dtypes.bool_,
    "byte": dtypes.uint8,
    "char": dtypes.int8,
    "bfloat16": dtypes.bfloat16,
}
for _name, _found in _TYPE_METHODS.items():
    _named(_name, _found)

#: Names of the old tensor classes, for ``tensor.type()``.
TYPE_NAMES: dict[str, dtype] = {
    f"torch.{scalar}Tensor": found for found, scalar in dtypes.SCALAR_NAMES.items()
}


@composite(
    namespaces=(),
    method="type",
    samples=(S(t(3)), S(t(3), dtypes.int32), S(ti(3), "torch.DoubleTensor"), S(tb(2))),
    errors=(ErrorSample(S(t(3), "torch.Real"), ValueError, "invalid type: 'torch.Real'"),),
)
def type_(self: Any, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's old type, or ``self`` converted to ``dtype``.

    >>> import rushlight as torch
    >>> torch.ones(1).type()
    'torch.FloatTensor'
    """
    if dtype is None:
        return f"torch.{dtypes.SCALAR_NAMES[self.dtype]}Tensor"
    if isinstance(dtype, str):
        if dtype not in TYPE_NAMES:
            raise ValueError(f"invalid type: '{dtype}'")
        dtype = TYPE_NAMES[dtype]
    return _convert(self, getattr(dtype, "dtype", dtype), False)


