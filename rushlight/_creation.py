"""Making tensors from numbers, lists, arrays and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight._tensor import Tensor, shared_tensor, tensor_of_array
from rushlight.engine.core.device import require_device
from rushlight.engine.core.dtype import (
    bool_,
    default_complex,
    dtype,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    promote_types,
)
from rushlight.engine.core.shape import as_shape
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.trace import views


def _finish(made: Any, device: Any, requires_grad: bool) -> Any:
    if device is not None:
        require_device(device)
    if requires_grad:
        made.requires_grad_()
    return made


def infer_dtype(data: Any) -> dtype:
    """The type PyTorch gives to a number or nested lists of numbers."""
    if isinstance(data, bool):
        return bool_
    if isinstance(data, int):
        return int64
    if isinstance(data, float):
        return get_default_dtype()
    if isinstance(data, complex):
        return default_complex()
    if isinstance(data, TensorBase):
        return data._value.meta.dtype
    if isinstance(data, (np.ndarray, np.generic)):
        return from_numpy_dtype(data.dtype)
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _infer_sequence(data)
    if hasattr(data, "__array__"):
        return from_numpy_dtype(np.asarray(data).dtype)
    if isinstance(data, str):
        raise TypeError("new(): invalid data type 'str'")
    raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")


def _infer_sequence(data: Sequence[Any]) -> dtype:
    from_elements = {infer_dtype(x) for x in data}
    if not from_elements:
        return get_default_dtype()
    found = from_elements.pop()
    for other in from_elements:
        found = promote_types(found, other)
    return found


def _plain(data: Any) -> Any:
    """Nested lists without tensors in them."""
    if isinstance(data, TensorBase):
        return data.tolist() if data._value.meta.ndim else data.item()  # type: ignore[attr-defined]
    if isinstance(data, (list, tuple)):
        return [_plain(x) for x in data]
    return data


def _check_rectangular(data: Any) -> tuple[int, ...]:
    """The shape of nested lists; PyTorch's error where a row has another length."""
    if not isinstance(data, (list, tuple)):
        return np.shape(data)
    shapes = [_check_rectangular(x) for x in data]
    for shape in shapes[1:]:
        if shape != shapes[0]:
            if not shape or not shapes[0]:
                raise TypeError("only length-1 sequences can be mixed with numbers in new()")
            raise ValueError(
                f"expected sequence of length {shapes[0][0]} at dim 1 (got {shape[0]})"
            )
    return (len(data), *(shapes[0] if shapes else ()))


def _array(data: Any, wanted: dtype | None) -> np.ndarray:
    found = wanted or infer_dtype(data)
    if isinstance(data, TensorBase):
        array = np.array(data.detach()._array(), order="C")  # type: ignore[attr-defined]
    elif isinstance(data, (np.ndarray, np.generic)):
        array = np.array(data, order="C")
    else:
        data = _plain(data)
        if isinstance(data, (list, tuple)):
            _check_rectangular(data)
        target = found.numpy if found.numpy.kind != "V" else np.dtype(np.float32)
        if found.category == 1:
            try:
                array = np.array(data, dtype=target)
            except (OverflowError, TypeError, ValueError) as error:
                if isinstance(error, OverflowError):
                    raise RuntimeError("Overflow when unpacking long long") from None
                array = np.array(data)
        else:
            array = np.array(data, dtype=None if found.category else target)
    if array.dtype != found.numpy:
        with np.errstate(all="ignore"):
            if array.dtype.kind == "c" and found.numpy.kind != "c":
                array = array.real
            array = array.astype(found.numpy)
    return array


def tensor(
    data: Any,
    *,
    dtype: dtype | None = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A new tensor with a copy of ``data``.

    Args:
        data: a number, nested lists, a NumPy array or a tensor.
        dtype: type of the elements; inferred if absent (floats get the default type).
        device: where it lives.
        requires_grad: whether gradients are wanted.
        pin_memory: accepted; memory is not pinned without a GPU.

    See https://pytorch.org/docs/stable/generated/torch.tensor.html.

    >>> import rushlight as torch
    >>> torch.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    """
    return _finish(tensor_of_array(_array(data, dtype)), device, requires_grad)  # type: ignore[no-any-return]


def as_tensor(data: Any, dtype: dtype | None = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, sharing its memory where that is possible.

    >>> import rushlight as torch
    >>> torch.as_tensor([1, 2])
    tensor([1, 2])
    """
    if device is not None:
        require_device(device)
    if isinstance(data, TensorBase):
        return data.to(dtype) if dtype is not None else data  # type: ignore[attr-defined,no-any-return,return-value]
    if isinstance(data, np.ndarray):
        made = from_numpy(data)
        return made.to(dtype) if dtype is not None else made  # type: ignore[attr-defined,no-any-return]
    return tensor(data, dtype=dtype)


def from_numpy(array: np.ndarray) -> Tensor:
    """A tensor over the memory of a NumPy array: a write to either is seen by both.

    >>> import numpy, rushlight as torch
    >>> a = numpy.zeros(2)
    >>> t = torch.from_numpy(a)
    >>> a[0] = 5
    >>> t
    tensor([5., 0.], dtype=torch.float64)
    """
    if not isinstance(array, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(array).__name__})")
    from_numpy_dtype(array.dtype)
    if any(s < 0 for s in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )
    if any(s % array.itemsize for s in array.strides):
        raise ValueError(
            "given numpy array strides not a multiple of the element byte size. Copy the numpy "
            "array to reallocate the memory."
        )
    return shared_tensor(array)


asarray = as_tensor


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor over the memory of any object that speaks DLPack.

    >>> import numpy, rushlight as torch
    >>> torch.from_dlpack(numpy.ones(2, dtype=numpy.float32))
    tensor([1., 1.])
    """
    return shared_tensor(np.from_dlpack(ext_tensor))


def _filled(
    size: tuple[Any, ...], fill: Any, wanted: dtype | None, device: Any, requires_grad: bool
) -> Any:
    shape = as_shape(size)
    for n in shape:
        if n < 0:
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {n}: {list(shape)}"
            )
    found = wanted or get_default_dtype()
    if fill == 0:
        array = np.zeros(shape, found.numpy)
    else:
        array = np.full(shape, np.asarray(fill).astype(found.numpy), found.numpy)
    return _finish(tensor_of_array(array), device, requires_grad)


def zeros(
    *size: Any,
    out: Any = None,
    dtype: dtype | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of zeros; sizes are given as ``zeros(2, 3)`` or ``zeros((2, 3))``.

    >>> import rushlight as torch
    >>> torch.zeros(2, dtype=torch.long)
    tensor([0, 0])
    """
    return _out(out, _filled(_sizes(size), 0, dtype, device, requires_grad))


def ones(
    *size: Any,
    out: Any = None,
    dtype: dtype | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor of ones; sizes are given as ``ones(2, 3)`` or ``ones((2, 3))``.

    >>> import rushlight as torch
    >>> torch.ones(2)
    tensor([1., 1.])
    """
    return _out(out, _filled(_sizes(size), 1, dtype, device, requires_grad))


def empty(
    *size: Any,
    out: Any = None,
    dtype: dtype | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """A tensor whose contents do not matter (zeros, so that nothing depends on old memory).

    >>> import rushlight as torch
    >>> torch.empty(2, 3).shape
    torch.Size([2, 3])
    """
    return _out(out, _filled(_sizes(size), 0, dtype, device, requires_grad))


def full(
    size: Any,
    fill_value: Any,
    *,
    out: Any = None,
    dtype: dtype | None = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A tensor with the same number everywhere.

    >>> import rushlight as torch
    >>> torch.full((2,), 3.5)
    tensor([3.5000, 3.5000])
    """
    if isinstance(fill_value, TensorBase):
        fill_value = fill_value.item()  # type: ignore[attr-defined]
    wanted = dtype or infer_dtype(fill_value)
    return _out(out, _filled((tuple(size),), fill_value, wanted, device, requires_grad))


def _sizes(size: tuple[Any, ...]) -> tuple[Any, ...]:
    for n in size if len(size) != 1 or not isinstance(size[0], (tuple, list)) else size[0]:
        if not hasattr(n, "__index__"):
            raise TypeError(
                f"zeros(): argument 'size' must be tuple of ints, but found element of type "
                f"{type(n).__name__}"
            )
    return size


def _out(out: Any, made: Any) -> Any:
    return made if out is None else views.write(out, made)
