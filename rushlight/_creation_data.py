"""Making tensors from numbers, lists, arrays and sizes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight._arrays import shared_tensor, tensor_of_array
from rushlight._tensor import Tensor
from rushlight.engine.core.device import require_device
from rushlight.engine.core.dtype import (
    FLOATING,
    bool_,
    complex128,
    default_complex,
    dtype,
    float64,
    from_numpy_dtype,
    get_default_dtype,
    int64,
    promote_types,
)
from rushlight.engine.ir.graph import TensorBase

__all__ = ["as_tensor", "asarray", "from_dlpack", "from_numpy", "frombuffer", "tensor"]

_PYTHON_TYPES: dict[Any, dtype] = {float: float64, int: int64, bool: bool_, complex: complex128}


def as_dtype(wanted: Any) -> dtype | None:
    """A type given as such, or as Python's ``int``, ``float``, ``bool`` or ``complex``."""
    if wanted is None or wanted.__class__ is dtype:
        return wanted
    found = _PYTHON_TYPES.get(wanted)
    if found is None:
        raise TypeError(
            f"argument 'dtype' must be torch.dtype, not {type(wanted).__name__}"
        )
    return found


def finish(made: Any, device: Any, requires_grad: bool) -> Any:
    """A new tensor, after looking at the device it was asked for and whether it is a leaf."""
    if device is not None:
        require_device(device)
    if requires_grad:
        if made._value.meta.dtype.category < FLOATING:
            raise RuntimeError(
                "Only Tensors of floating point and complex dtype can require gradients"
            )
        made.requires_grad_()
    return made


def infer_dtype(data: Any) -> dtype:
    """The type PyTorch gives to a number or nested lists of numbers."""
    if isinstance(data, (np.ndarray, np.generic)):  # before float: np.float64 is one of Python's
        return from_numpy_dtype(data.dtype)
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
        return data.tolist() if data._value.meta.ndim else data.item()
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
        array = np.array(data.detach()._array(), order="C")
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
    dtype: Any = None,
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
    return finish(tensor_of_array(_array(data, as_dtype(dtype))), device, requires_grad)


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, sharing its memory where that is possible.

    >>> import rushlight as torch
    >>> torch.as_tensor([1, 2])
    tensor([1, 2])
    """
    if device is not None:
        require_device(device)
    dtype = as_dtype(dtype)
    if isinstance(data, TensorBase):
        return data.to(dtype) if dtype is not None else data  # type: ignore[return-value]
    if isinstance(data, np.ndarray):
        made = from_numpy(data)
        return made.to(dtype) if dtype is not None else made
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


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool = False,
) -> Tensor:
    """``obj`` as a tensor: sharing its memory unless a copy is asked for or cannot be avoided.

    Args:
        obj: a tensor, a NumPy array, anything that speaks DLPack or has a buffer, numbers, lists.
        dtype: type of the elements; that of ``obj`` if absent.
        device: where it lives.
        copy: True for a copy, False for an error where one would be needed.
        requires_grad: whether gradients are wanted.

    See https://pytorch.org/docs/stable/generated/torch.asarray.html.

    >>> import rushlight as torch
    >>> torch.asarray([1, 2])
    tensor([1, 2])
    """
    wanted = as_dtype(dtype)
    if isinstance(obj, np.generic):
        obj = np.asarray(obj)
    shares = isinstance(obj, (TensorBase, np.ndarray)) or hasattr(obj, "__dlpack__")
    is_buffer = isinstance(obj, (bytes, bytearray, memoryview))
    if shares:
        if isinstance(obj, TensorBase):
            made: Any = obj
        else:
            made = from_numpy(obj) if isinstance(obj, np.ndarray) else from_dlpack(obj)
    elif is_buffer:
        shares, made = True, frombuffer(obj, dtype=wanted or get_default_dtype())
    else:
        made = tensor(obj, dtype=wanted)
    differs = wanted is not None and made.dtype is not wanted
    if copy is False and (differs or not shares):
        raise ValueError(
            "can't alias arbitrary sequence into a tensor." if not shares
            else f"can't alias tensor with dtype '{made.dtype}' into dtype '{wanted}'."
        )  # fmt: skip
    if differs:
        made = made.to(wanted)
    elif copy and shares:
        made = made.clone()
    if isinstance(obj, TensorBase) and not requires_grad and made is obj:
        return made.detach() if made.requires_grad else made  # type: ignore[return-value]
    return finish(made.detach() if made.requires_grad else made, device, requires_grad)


def frombuffer(
    buffer: Any, *, dtype: Any, count: int = -1, offset: int = 0, requires_grad: bool = False
) -> Tensor:
    """A 1-d tensor over the memory of an object with a buffer, such as ``bytearray``.

    Args:
        buffer: the object.
        dtype: type of the elements.
        count: how many elements; -1 for all.
        offset: bytes to skip at the beginning.
        requires_grad: whether gradients are wanted.

    Raises:
        ValueError: the buffer is empty, or does not hold so many whole elements.

    See https://pytorch.org/docs/stable/generated/torch.frombuffer.html.

    >>> import rushlight as torch
    >>> torch.frombuffer(bytearray([1, 0, 2, 0]), dtype=torch.int16)
    tensor([1, 2], dtype=torch.int16)
    """
    found = as_dtype(dtype)
    assert found is not None
    try:
        memory = memoryview(buffer).cast("B")
    except TypeError:
        raise ValueError("object does not implement Python buffer protocol.") from None
    length, size = memory.nbytes, found.itemsize
    if not length or not count:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({length} bytes) minus 1"
        )
    if count > 0 and offset + count * size > length:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must "
            f"not be greater than actual buffer length ({length} bytes)"
        )
    if count < 0 and (length - offset) % size:
        raise ValueError(
            f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a "
            f"multiple of element size ({size})"
        )
    array = np.frombuffer(memory, found.numpy, count, offset)
    return finish(shared_tensor(array), None, requires_grad)


def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor over the memory of any object that speaks DLPack.

    >>> import numpy, rushlight as torch
    >>> torch.from_dlpack(numpy.ones(2, dtype=numpy.float32))
    tensor([1., 1.])
    """
    return shared_tensor(np.from_dlpack(ext_tensor))
