"""Tensors of one number: zeros, ones, full, empty, and the forms that follow another tensor."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._creation_data import as_dtype, finish, infer_dtype, tensor
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import dtype, get_default_dtype
from rushlight.engine.core.shape import Shape, channels_last_strides
from rushlight.engine.ir.buffers import empty_strided as empty_buffer
from rushlight.engine.ir.graph import Meta, TensorBase, Value, strided_meta
from rushlight.engine.ops.elementwise import broadcast_meta
from rushlight.engine.trace import views
from rushlight.engine.trace.recorder import wrap

__all__ = [
    "empty", "empty_like", "empty_strided", "full", "full_like", "ones", "ones_like",
    "scalar_tensor", "zeros", "zeros_like",
]  # fmt: skip


def shape_of(size: tuple[Any, ...], name: str) -> Shape:
    """Sizes given as ``f(2, 3)`` or ``f((2, 3))``; PyTorch's errors for anything else."""
    if len(size) == 1 and not hasattr(size[0], "__index__"):
        if not isinstance(size[0], (tuple, list)):
            raise TypeError(
                f"{name}(): argument 'size' (position 1) must be tuple of ints, not "
                f"{type(size[0]).__name__}"
            )
        size = tuple(size[0])
    for place, n in enumerate(size):
        if not hasattr(n, "__index__"):
            raise TypeError(
                f"{name}(): argument 'size' failed to unpack the object at pos {place + 1} with "
                f'error "type must be tuple of ints,but got {type(n).__name__}"'
            )
    shape = tuple([n if n.__class__ is int else int(n.__index__()) for n in size])
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"{name}: Dimension size must be non-negative.\nGot size {list(shape)}."
            )
    return shape


def _given(size: tuple[Any, ...], named: Any, name: str) -> Shape:
    """The shape from positional sizes or from ``size=``."""
    if named is not None:
        return shape_of((named,), name)
    if not size:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    return shape_of(size, name)


def _array(shape: Shape, fill: Any, found: dtype) -> np.ndarray:
    if fill.__class__ is not complex and fill == 0:
        return np.zeros(shape, found.numpy)
    if fill.__class__ is complex and found.numpy.kind != "c":
        raise RuntimeError(
            f"value cannot be converted to type {found.name} without overflow"
        )
    with np.errstate(all="ignore"):
        return np.full(shape, np.asarray(fill).astype(found.numpy), found.numpy)


def _made(
    shape: Shape, fill: Any, wanted: Any, device: Any, requires_grad: bool, out: Any
) -> Any:
    found = as_dtype(wanted) or (get_default_dtype() if out is None else out.dtype)
    made = tensor_of_array(_array(shape, fill, found))
    if out is not None:
        return store(made, out)
    return finish(made, device, requires_grad) if device is not None or requires_grad else made


def store(made: Any, out: Any) -> Any:
    """Put a new tensor into the one given as ``out=``, which takes its shape."""
    if out._value.meta.shape != made._value.meta.shape:
        out.resize_(made.shape)
    return views.write(out, made)


def zeros(
    *sizes: Any,
    size: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of zeros; sizes are given as ``zeros(2, 3)`` or ``zeros((2, 3))``.

    See https://pytorch.org/docs/stable/generated/torch.zeros.html.

    >>> import rushlight as torch
    >>> torch.zeros(2, dtype=torch.long)
    tensor([0, 0])
    """
    return _made(_given(sizes, size, "zeros"), 0, dtype, device, requires_grad, out)


def ones(
    *sizes: Any,
    size: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of ones; sizes are given as ``ones(2, 3)`` or ``ones((2, 3))``.

    See https://pytorch.org/docs/stable/generated/torch.ones.html.

    >>> import rushlight as torch
    >>> torch.ones(2)
    tensor([1., 1.])
    """
    return _made(_given(sizes, size, "ones"), 1, dtype, device, requires_grad, out)


def empty(
    *sizes: Any,
    size: Any = None,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor whose contents do not matter (zeros, so that nothing depends on old memory).

    See https://pytorch.org/docs/stable/generated/torch.empty.html.

    >>> import rushlight as torch
    >>> torch.empty(2, 3).shape
    torch.Size([2, 3])
    """
    return _made(_given(sizes, size, "empty"), 0, dtype, device, requires_grad, out)


def full(
    size: Any,
    fill_value: Any,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with the same number everywhere; its type is the number's if none is given.

    See https://pytorch.org/docs/stable/generated/torch.full.html.

    >>> import rushlight as torch
    >>> torch.full((2,), 3.5)
    tensor([3.5000, 3.5000])
    """
    if isinstance(fill_value, TensorBase):
        fill_value = fill_value.item()
    if dtype is None and out is None:
        dtype = infer_dtype(fill_value)
    return _made(shape_of((size,), "full"), fill_value, dtype, device, requires_grad, out)


def scalar_tensor(
    s: Any, *, dtype: Any = None, layout: Any = None, device: Any = None, pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A 0-d tensor of the default type (or the one given) with this number.

    >>> import rushlight as torch
    >>> torch.scalar_tensor(3)
    tensor(3.)
    """
    return _made((), s, dtype, device, requires_grad, None)


def empty_strided(
    size: Any, stride: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of this shape and these strides (in elements), whose contents do not matter.

    >>> import rushlight as torch
    >>> torch.empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    shape, strides = shape_of((size,), "empty_strided"), tuple(int(s) for s in stride)
    if len(shape) != len(strides):
        raise RuntimeError(
            f"dimensionality of sizes ({len(shape)}) must match dimensionality of strides "
            f"({len(strides)})"
        )
    found = as_dtype(dtype) or get_default_dtype()
    return finish(_strided(strided_meta(shape, strides, found), 0), device, requires_grad)


def _strided(meta: Meta, fill: Any) -> Any:
    if meta.contiguous:
        made = _array(tuple(meta.shape), fill, meta.dtype)
    else:
        made = empty_buffer(meta)
        made[...] = np.asarray(fill).astype(meta.dtype.numpy)
    return wrap(Value(meta, -1, made))


# like another tensor ---------------------------------------------------------------------------


def _like_meta(input: Any, wanted: Any, memory_format: Any, name: str) -> Meta:
    if not isinstance(input, TensorBase):
        raise TypeError(
            f"{name}(): argument 'input' (position 1) must be Tensor, not {type(input).__name__}"
        )
    meta = input._value.meta
    found = as_dtype(wanted) or meta.dtype
    if memory_format is None or str(memory_format).endswith("preserve_format"):
        return broadcast_meta((meta,), found)
    if str(memory_format).startswith("torch.channels_last"):
        strides = channels_last_strides(meta.shape)
        return strided_meta(tuple(meta.shape), strides, found, meta.device)
    return meta.like(dtype=found)


def _like(fill: Any, name: str, doc: str) -> Callable[..., Tensor]:
    def like(
        input: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
        requires_grad: bool = False, memory_format: Any = None, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        made = _strided(_like_meta(input, dtype, memory_format, name), fill)
        return finish(made, device, requires_grad)

    like.__name__ = like.__qualname__ = name
    like.__doc__ = doc
    return like


zeros_like = _like(
    0,
    "zeros_like",
    """Zeros with shape, layout and type of another tensor.

    See https://pytorch.org/docs/stable/generated/torch.zeros_like.html.

    >>> import rushlight as torch
    >>> torch.zeros_like(torch.tensor([1, 2]))
    tensor([0, 0])
    """,
)
ones_like = _like(
    1,
    "ones_like",
    """Ones with shape, layout and type of another tensor.

    See https://pytorch.org/docs/stable/generated/torch.ones_like.html.

    >>> import rushlight as torch
    >>> torch.ones_like(torch.tensor([1, 2]))
    tensor([1, 1])
    """,
)
empty_like = _like(
    0,
    "empty_like",
    """A tensor like another one, whose contents do not matter.

    See https://pytorch.org/docs/stable/generated/torch.empty_like.html.

    >>> import rushlight as torch
    >>> torch.empty_like(torch.ones(2, 3)).shape
    torch.Size([2, 3])
    """,
)


def full_like(
    input: Any, fill_value: Any, *, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, memory_format: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """One number everywhere, with shape, layout and type of another tensor.

    See https://pytorch.org/docs/stable/generated/torch.full_like.html.

    >>> import rushlight as torch
    >>> torch.full_like(torch.ones(2), 7)
    tensor([7., 7.])
    """
    if isinstance(fill_value, TensorBase):
        fill_value = fill_value.item()
    meta = _like_meta(input, dtype, memory_format, "full_like")
    return finish(_strided(meta, fill_value), device, requires_grad)


# methods that make a tensor of the same type ---------------------------------------------------


def _new(fill: Any, name: str, what: str) -> Callable[..., Tensor]:
    def new(
        self: Any, *sizes: Any, size: Any = None, dtype: Any = None, device: Any = None,
        requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
    ) -> Tensor:  # fmt: skip
        shape = _given(sizes, size, name)
        return _made(shape, fill, dtype or self.dtype, device, requires_grad, None)

    new.__name__, new.__qualname__ = name, f"Tensor.{name}"
    new.__doc__ = f"A tensor {what}, of this shape and of the type of ``self`` if none is given."
    return new


def new_full(
    self: Any, size: Any, fill_value: Any, *, dtype: Any = None, device: Any = None,
    requires_grad: bool = False, layout: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor with one number everywhere, of the type of ``self`` if none is given.

    >>> import rushlight as torch
    >>> torch.ones(1).new_full((2,), 7)
    tensor([7., 7.])
    """
    if isinstance(fill_value, TensorBase):
        fill_value = fill_value.item()
    shape = shape_of((size,), "new_full")
    return _made(shape, fill_value, dtype or self.dtype, device, requires_grad, None)


def new_tensor(
    self: Any, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False,
    layout: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor with a copy of ``data``, of the type of ``self`` if none is given.

    >>> import rushlight as torch
    >>> torch.ones(1).new_tensor([1, 2])
    tensor([1., 2.])
    """
    return tensor(data, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad)


def new_empty_strided(
    self: Any, size: Any, stride: Any, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """A tensor of this shape and these strides, of the type of ``self`` if none is given.

    >>> import rushlight as torch
    >>> torch.ones(1).new_empty_strided((2, 3), (1, 2)).stride()
    (1, 2)
    """
    return empty_strided(
        size, stride, dtype=dtype or self.dtype, device=device, requires_grad=requires_grad
    )


#: What Tensor gets from here.
METHODS: dict[str, Callable[..., Any]] = {
    "new_zeros": _new(0, "new_zeros", "of zeros"),
    "new_ones": _new(1, "new_ones", "of ones"),
    "new_empty": _new(0, "new_empty", "whose contents do not matter"),
    "new_full": new_full,
    "new_tensor": new_tensor,
    "new_empty_strided": new_empty_strided,
}
