"""What the operators on matrices share: errors in PyTorch's words, batches, transposes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, dtype
from rushlight.engine.core.shape import Shape, contiguous_strides
from rushlight.engine.ir.graph import Meta, strided_meta
from rushlight.engine.ir.op import constant
from rushlight.engine.ops.matmul import conj
from rushlight.engine.ops.view import transpose

Array = np.ndarray


class LinAlgError(RuntimeError):
    """A decomposition or solution that does not exist: ``torch.linalg.LinAlgError``."""


LinAlgError.__name__ = LinAlgError.__qualname__ = "_LinAlgError"


def require_matrix(meta: Meta, function: str, name: str = "A") -> None:
    """PyTorch's error for a tensor that holds no matrices."""
    if meta.ndim < 2:
        raise RuntimeError(f"{function}: The input tensor {name} must have at least 2 dimensions.")


def require_square(meta: Meta, function: str, name: str = "A") -> None:
    """PyTorch's error for matrices that are not square."""
    require_matrix(meta, function, name)
    rows, columns = meta.shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"{function}: {name} must be batches of square matrices, but they are {rows} by "
            f"{columns} matrices"
        )


def require_precise(meta: Meta, function: str) -> None:
    """PyTorch's errors for integers and for the half types."""
    if meta.dtype.category < FLOATING:
        raise RuntimeError(
            f"{function}: Expected a floating point or complex tensor as input. Got "
            f"{SCALAR_NAMES[meta.dtype]}"
        )
    if meta.dtype.itemsize < 4:
        raise RuntimeError(
            f"{function}: Low precision dtypes not supported. Got {SCALAR_NAMES[meta.dtype]}"
        )


def require_same_type(a: Meta, b: Meta, function: str) -> None:
    """PyTorch's error for two matrices of different types."""
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{function}: Expected A and B to have the same dtype, but found A of type "
            f"{SCALAR_NAMES[a.dtype]} and B of type {SCALAR_NAMES[b.dtype]} instead"
        )


def batch_of(meta: Meta) -> Shape:
    """The axes before the matrices."""
    return tuple(meta.shape[:-2])


def column_major(meta: Meta, shape: Shape | None = None, dtype: dtype | None = None) -> Meta:
    """Matrices whose columns lie one after the other in memory, as LAPACK returns them."""
    shape = tuple(meta.shape) if shape is None else shape
    strides = list(contiguous_strides(shape))
    if len(shape) > 1:
        strides[-2], strides[-1] = 1, max(shape[-2], 1)
    return strided_meta(shape, tuple(strides), dtype or meta.dtype, meta.device)


def swap(x: Any) -> Any:
    """Matrices transposed."""
    ndim = x._value.meta.ndim
    return transpose(x, dim0=ndim - 2, dim1=ndim - 1)


def adjoint(x: Any) -> Any:
    """Matrices transposed and conjugated."""
    return conj(swap(x))


def table(array: Array, like: Any) -> Any:
    """A constant of the (real) type of ``like``."""
    return constant(array.astype(like.dtype.to_real().numpy))


def triangle(n: int, m: int, upper: bool, diagonal: float) -> Array:
    """Ones in one triangle, ``diagonal`` on the diagonal, zeros in the other triangle."""
    made = np.triu(np.ones((n, m)), 1) if upper else np.tril(np.ones((n, m)), -1)
    return made + diagonal * np.eye(n, m)


def each_matrix(x: Array) -> tuple[Array, Shape]:
    """The matrices one after the other, (count, n, m), and the axes they were arranged in."""
    batch = x.shape[:-2]
    count = int(np.prod(batch, dtype=np.int64))
    return x.reshape(count, *x.shape[-2:]), batch


def batch_note(number: int, batch: Shape) -> str:
    """Which matrix of a batch an error is about."""
    return f"(Batch element {number}): " if batch else ""


def zero_pivot(matrix: Array) -> int:
    """Which pivot of Gaussian elimination is zero, counted from 1; 0 if none is."""
    work = np.array(matrix)
    n = len(work)
    for k in range(n):
        best = k + int(np.abs(work[k:, k]).argmax())
        if work[best, k] == 0:
            return k + 1
        work[[k, best]] = work[[best, k]]
        work[k + 1 :] -= np.outer(work[k + 1 :, k] / work[k, k], work[k])
    return 0


def bad_minor(matrix: Array) -> int:
    """The order of the first leading minor that is not positive-definite; 0 if all are."""
    for order in range(1, len(matrix) + 1):
        try:
            np.linalg.cholesky(matrix[:order, :order])
        except np.linalg.LinAlgError:
            return order
    return 0


def first_bad(x: Array, find: Callable[[Array], int]) -> tuple[str, int]:
    """The note and finding of the first matrix for which ``find`` does not answer 0."""
    matrices, batch = each_matrix(x)
    for number, matrix in enumerate(matrices):
        found = find(matrix)
        if found:
            return batch_note(number, batch), found
    return "", 0
