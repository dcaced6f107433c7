"""Tensors of regular numbers: arange, linspace, logspace, eye, the indices of triangles."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from rushlight._arrays import tensor_of_array
from rushlight._creation_data import as_dtype, finish
from rushlight._creation_fill import store
from rushlight._tensor import Tensor
from rushlight.engine.core.dtype import (
    COMPLEX,
    SCALAR_NAMES,
    bool_,
    default_complex,
    dtype,
    get_default_dtype,
    int64,
)
from rushlight.engine.ir.graph import TensorBase

__all__ = [
    "arange", "eye", "linspace", "logspace", "range", "tril_indices", "triu_indices",
]  # fmt: skip


def _number(x: Any) -> Any:
    if isinstance(x, TensorBase):
        return x.item()
    return x.item() if isinstance(x, np.generic) else x


def _give(array: np.ndarray, out: Any, device: Any, requires_grad: bool) -> Any:
    made = tensor_of_array(array)
    return finish(made, device, requires_grad) if out is None else store(made, out)


def _rounded_once(a: np.ndarray, b: Any, c: Any) -> np.ndarray:
    """``a * b + c`` in float64 as a fused multiply-add gives it (Dekker's exact product and sum).

    T. J. Dekker, A floating-point technique for extending the available precision (1971).
    """
    product = a * b
    split = 134217729.0
    a_high = a * split - (a * split - a)
    b_high = b * split - (b * split - b)
    a_low, b_low = a - a_high, b - b_high
    low = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    total = product + c
    part = total - product
    rest = (product - (total - part)) + (c - part)
    return np.asarray(total + (rest + low))


#: How many numbers PyTorch's AVX2 kernels compute at a time, by the size of an element.
_LANES = {2: 16, 4: 8, 8: 4}


def _floating_range(start: float, step: float, count: int, found: dtype) -> np.ndarray:
    """``start + step * i`` rounded where PyTorch's kernel rounds: at the head of every vector."""
    places = np.arange(count, dtype=np.float64)
    exact = _rounded_once(places, step, np.float64(start))
    lanes = _LANES[found.itemsize]
    whole = count // (2 * lanes) * (2 * lanes)
    head = exact[:whole:lanes].astype(found.numpy).astype(np.float64)
    lane = np.arange(lanes, dtype=np.float64)
    exact[:whole] = _rounded_once(lane[None, :], step, head[:, None]).reshape(-1)
    return exact.astype(found.numpy)


def _range_type(numbers: tuple[Any, ...]) -> dtype:
    if any(isinstance(n, float) for n in numbers):
        return get_default_dtype()
    return int64


def _check_range(start: Any, end: Any, step: Any) -> None:
    for number in (start, end, step):
        if isinstance(number, complex):
            raise RuntimeError("value cannot be converted to type double without overflow")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise RuntimeError(f"unsupported range: {start} -> {end}")
    if (step > 0) != (end >= start) and end != start:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")


def arange(
    start: Any = None,
    end: Any = None,
    step: Any = 1,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers from ``start`` to ``end`` (not included) with steps of ``step``.

    Args:
        start: the first number; 0 if only one number is given, which is then ``end``.
        end: the bound.
        step: the distance of neighbours.
        dtype: type of the elements; int64 if all numbers are ints, else the default type.

    See https://pytorch.org/docs/stable/generated/torch.arange.html.

    >>> import rushlight as torch
    >>> torch.arange(1, 7, 2)
    tensor([1, 3, 5])
    """
    if end is None:
        if start is None:
            raise TypeError(
                "arange() received an invalid combination of arguments - got (), but expected one "
                "of:\n * (Number end)\n * (Number start, Number end)\n"
                " * (Number start, Number end, Number step = 1)\n"
            )
        start, end = 0, start
    elif start is None:
        start = 0
    first, last, stride = _number(start), _number(end), _number(step)
    _check_range(first, last, stride)
    found = as_dtype(dtype) or (_range_type((first, last, stride)) if out is None else out.dtype)
    if found is bool_:
        raise NotImplementedError("\"arange_cpu\" not implemented for 'Bool'")
    if found.category == 1:
        if found is int64:  # computed in whole numbers throughout
            first, last, stride = int(first), int(last), int(stride)
        count = _count(first, last, stride)
        array = np.arange(count, dtype=np.int64) * int(stride) + int(first)
        return _give(array.astype(found.numpy), out, device, requires_grad)
    count = math.ceil((last - first) / stride)
    array = _floating_range(float(first), float(stride), count, found)
    return _give(array, out, device, requires_grad)


def _count(first: Any, last: Any, stride: Any) -> int:
    if all(isinstance(n, int) for n in (first, last, stride)):
        return -((first - last) // stride)
    return math.ceil((last - first) / stride)


def range(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers from ``start`` to ``end``, which is included; ``arange`` is the better way."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is "
        "inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    first, last, stride = _number(start), _number(end), _number(step)
    _check_range(first, last, stride)
    found = as_dtype(dtype) or get_default_dtype()
    array = first + stride * np.arange(math.floor((last - first) / stride) + 1)
    return _give(array.astype(found.numpy), out, device, requires_grad)


def _evenly(start: Any, end: Any, steps: int, found: dtype) -> np.ndarray:
    """``steps`` numbers from ``start`` to ``end``, counted from the nearer end.

    Every number is rounded once, as PyTorch's fused multiply-adds do.
    """
    compute = found.numpy if found.category >= 2 and found.itemsize >= 4 else np.dtype(np.float32)
    if found.category == COMPLEX:
        return np.linspace(start, end, steps, dtype=found.numpy)
    first, last = (np.float64(compute.type(x)) for x in (start, end))
    if steps == 1:
        return np.array([start]).astype(found.numpy)
    step = np.float64((compute.type(end) - compute.type(start)) / compute.type(max(steps - 1, 1)))
    places = np.arange(steps, dtype=np.float64)
    low = _rounded_once(places, step, first)
    high = _rounded_once(steps - 1 - places, -step, last)
    return np.where(places < steps // 2, low, high).astype(compute)


def _steps(steps: Any) -> int:
    count = int(_number(steps))
    if count < 0:
        raise RuntimeError("number of steps must be non-negative")
    return count


def _line_type(start: Any, end: Any, wanted: Any, out: Any) -> dtype:
    if wanted is not None:
        found = as_dtype(wanted)
        assert found is not None
        return found
    if out is not None:
        return out.dtype
    is_complex = isinstance(start, complex) or isinstance(end, complex)
    return default_complex() if is_complex else get_default_dtype()


def linspace(
    start: Any,
    end: Any,
    steps: Any,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """``steps`` numbers from ``start`` to ``end``, both included, at equal distances.

    See https://pytorch.org/docs/stable/generated/torch.linspace.html.

    >>> import rushlight as torch
    >>> torch.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    start, end, count = _number(start), _number(end), _steps(steps)
    found = _line_type(start, end, dtype, out)
    array = _evenly(start, end, count, found)
    return _give(array.astype(found.numpy), out, device, requires_grad)


def logspace(
    start: Any,
    end: Any,
    steps: Any,
    base: float = 10.0,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """``base`` to the powers of ``linspace(start, end, steps)``.

    See https://pytorch.org/docs/stable/generated/torch.logspace.html.

    >>> import rushlight as torch
    >>> torch.logspace(0, 2, 3)
    tensor([  1.,  10., 100.])
    """
    start, end, count = _number(start), _number(end), _steps(steps)
    found = _line_type(start, end, dtype, out)
    powers = _evenly(start, end, count, found)
    wide = np.dtype(np.complex128) if found.category == COMPLEX else np.dtype(np.float64)
    array = np.power(wide.type(_number(base)), powers.astype(wide))
    return _give(array.astype(found.numpy), out, device, requires_grad)


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
) -> Tensor:
    """A matrix (n, m) with ones on its diagonal and zeros elsewhere.

    See https://pytorch.org/docs/stable/generated/torch.eye.html.

    >>> import rushlight as torch
    >>> torch.eye(2)
    tensor([[1., 0.],
            [0., 1.]])
    """
    columns = n if m is None else m
    for name, size in (("n", n), ("m", columns)):
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    found = as_dtype(dtype) or (get_default_dtype() if out is None else out.dtype)
    return _give(np.eye(n, columns).astype(found.numpy), out, device, requires_grad)


def _triangle(mask: np.ndarray, wanted: Any, device: Any) -> Any:
    found = as_dtype(wanted) or int64
    if found.category >= 2:
        raise RuntimeError(
            f"\"tril_indices\" not implemented for '{SCALAR_NAMES[found]}'"
        )
    return finish(tensor_of_array(np.array(np.nonzero(mask)).astype(found.numpy)), device, False)


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = int64, device: Any = None,
    layout: Any = None,
) -> Tensor:  # fmt: skip
    """Rows and columns (2, N) of the lower triangle of a matrix (row, col).

    See https://pytorch.org/docs/stable/generated/torch.tril_indices.html.

    >>> import rushlight as torch
    >>> torch.tril_indices(2, 2)
    tensor([[0, 1, 1],
            [0, 0, 1]])
    """
    return _triangle(np.tri(row, col, offset, dtype=bool), dtype, device)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = int64, device: Any = None,
    layout: Any = None,
) -> Tensor:  # fmt: skip
    """Rows and columns (2, N) of the upper triangle of a matrix (row, col).

    See https://pytorch.org/docs/stable/generated/torch.triu_indices.html.

    >>> import rushlight as torch
    >>> torch.triu_indices(2, 2)
    tensor([[0, 0, 1],
            [0, 1, 1]])
    """
    return _triangle(~np.tri(row, col, offset - 1, dtype=bool), dtype, device)
