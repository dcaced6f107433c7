"""Matrix products with oneDNN: batches that broadcast, transposed operands, a bias."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import onednn, threads
from rushlight.engine.backends.cpu.onednn_prepared import (
    BRIEF,
    Operation,
    Port,
    address,
    launcher,
)
from rushlight.engine.backends.cpu.onednn_primitive import (
    Description,
    Descriptor,
    contiguous_strides,
    strided,
)


class Operand:
    """Sizes and strides of an operand while its batch dimensions are simplified.

    An operand of what follows the product (`attributes_for`) broadcasts along any dimension.
    """

    __slots__ = ("shape", "strides")

    def __init__(self, shape: Sequence[int], strides: Sequence[int], ndim: int) -> None:
        lacking = ndim - len(shape)
        self.shape = [1] * lacking + list(shape)
        self.strides = [0] * lacking + list(strides)
        for i in range(ndim - 2):
            if self.strides[i] == 0 or self.shape[i] == 1:  # the same matrix again and again
                self.shape[i], self.strides[i] = 1, 0

    def follows(self, i: int) -> bool:
        """Whether dimensions i and i + 1 lie in memory like one."""
        if self.shape[i] == 1 and self.shape[i + 1] == 1:
            return True
        return self.strides[i] == self.strides[i + 1] * self.shape[i + 1] and self.shape[i + 1] > 1

    def merge(self, i: int) -> None:
        """Make one dimension of i and i + 1."""
        self.shape[i : i + 2] = [self.shape[i] * self.shape[i + 1]]
        del self.strides[i]

    def transpose(self) -> None:
        """Read every matrix the other way round."""
        self.shape[-2:] = self.shape[:-3:-1]
        self.strides[-2:] = self.strides[:-3:-1]

    def describe(self, dtype: np.dtype[Any]) -> Descriptor:
        """The operand for oneDNN: one dimension of each matrix must be contiguous."""
        rows, columns = self.shape[-2:]
        down, right = self.strides[-2:]
        if columns == 1:
            right = 1 if down != 1 else max(1, rows)
        if rows == 1:
            down = max(columns, 1) if right == 1 else 1
        low = min(down, right)
        if low != 1 or max(down, right) < (columns if right == 1 else rows):
            raise onednn.Unsupported(f"matrix of {rows}x{columns} with strides {down}, {right}")
        whole = max(down * rows, right * columns)
        steps = [step or whole for step in self.strides[:-2]]
        return strided(self.shape, dtype, [*steps, down, right])


def _rows_of_all(y: Operand, other: Operand) -> bool:
    """Whether an operand of what follows can be seen like ``y`` with batch and rows in one."""
    if other.shape[0] == other.shape[1] == 1:
        return True
    if other.shape[:2] != y.shape[:2]:
        return False
    return other.shape[1] == 1 or other.strides[0] == other.strides[1] * other.shape[1]


def simplify(operands: list[Operand]) -> None:
    """Fewer dimensions that mean the same: merge batches, or let a batch of rows be one matrix.

    Args:
        operands: the factors, the product, then what broadcasts with the product.
    """
    a, b, y = operands[0], operands[1], operands[2]
    i = len(y.shape) - 4
    while i >= 0:
        if all(operand.follows(i) for operand in operands):
            for operand in operands:
                operand.merge(i)
        i -= 1
    alone = len(y.shape) == 3 and b.shape[0] == 1 and a.shape[0] > 1
    alone = alone and all(_rows_of_all(y, other) for other in operands[3:])
    if alone and all(o.shape[1] == 1 or o.strides[0] == o.strides[1] * o.shape[1] for o in (a, y)):
        for operand in (a, y, *operands[3:]):
            if operand.shape[1] == 1:
                operand.strides[1] = operand.strides[0]
            operand.shape[:2] = [operand.shape[0] * operand.shape[1]]
            del operand.strides[0]
        del b.shape[0], b.strides[0]


#: Multiplications up to which NumPy serves the interpreter (64×100×10: 2.5 µs, oneDNN 3.4 µs; a
#: primitive has to be made first, which takes 200 µs of a first step), and with them
#: the elements of a matrix that meets a vector. OpenBLAS uses one thread for so little work; its
#: threads would go on spinning after larger products and slow the next kernel down threefold.
NUMPY_PRODUCT, NUMPY_VECTOR = 262144, 9216

#: Multiplications up to which NumPy serves it in slices that each stay on one thread: programs
#: whose sizes vary meet many such products, and a slice costs 3 µs (17×64×256: 8 µs in two
#: slices, oneDNN 6 µs, its primitive 250 to 600 µs). Not for fewer rows or columns than that: NumPy
#: copies the whole other factor for them (2×256×1024: 57 µs, oneDNN 15).
NUMPY_SLICED, NUMPY_ROWS = 1048576, 16


def _small(m: int, n: int, k: int) -> bool:
    if m == 1 or n == 1:
        return k * max(m, n) <= NUMPY_VECTOR
    return m * n * k <= NUMPY_PRODUCT


def _slices(m: int, n: int, k: int) -> list[tuple[slice, slice]]:
    """Rows and columns of parts of a product that NumPy computes on one thread each."""
    most = NUMPY_PRODUCT // (min(m, n) * k)
    cuts = [slice(i, i + most) for i in range(0, max(m, n), most)]
    return [(slice(None), cut) if n >= m else (cut, slice(None)) for cut in cuts]


def _sliced_matmul(m: int, n: int, k: int) -> Callable[..., np.ndarray]:
    parts, kind = _slices(m, n, k), np.float32

    def sliced_matmul(
        a: np.ndarray,
        b: np.ndarray,
        bias: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        if out is None:
            out = np.empty((m, n), kind)
        for rows, columns in parts:
            np.matmul(a[rows], b[:, columns], out=out[rows, columns])
        if bias is not None:
            out += bias
        return out

    return sliced_matmul


def _numpy_matmul() -> Callable[..., np.ndarray]:
    def small_matmul(
        a: np.ndarray,
        b: np.ndarray,
        bias: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        out = np.matmul(a, b, out=out)
        if bias is not None:
            out += bias
        return out

    return small_matmul


def _leading(operand: Operand) -> tuple[bytes, int]:
    """Whether a matrix lies transposed, and the distance between what lies in lines."""
    (rows, columns), (down, right) = operand.shape, operand.strides
    if (right == 1 or columns == 1) and (rows == 1 or down >= columns):
        return b"N", max(1, columns if rows == 1 else down)
    if (down == 1 or rows == 1) and right >= rows:
        return b"T", right
    raise onednn.Unsupported(f"matrix of {rows}x{columns} with strides {down}, {right}")


def _vector_matmul(
    a: Operand, b: Operand, first: Port, second: Port, microseconds: float
) -> Callable[..., np.ndarray]:
    """A matrix and a vector; the matmul primitive would first copy a transposed matrix."""
    (m, k), n = a.shape, b.shape[1]
    (a_way, a_step), (b_way, b_step) = _leading(a), _leading(b)
    library = onednn.library()
    product = library.function("sgemm", brief=microseconds < BRIEF)
    dtype = first.dtype

    def vector_matmul(
        a: np.ndarray,
        b: np.ndarray,
        bias: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        a, b = first.accept(a), second.accept(b)
        made = np.empty((m, n), dtype)
        with threads.lock:
            count, before = threads.choose(microseconds), library.max_threads()
            if before != count:
                library.set_threads(count)
            try:
                status = product(
                    a_way, b_way, m, n, k, 1.0, address(a), a_step, address(b), b_step,
                    0.0, address(made), n,
                )  # fmt: skip
            finally:
                if before != count:
                    library.set_threads(before)
        if status:
            raise onednn.OneDNNError("dnnl_sgemm", status)
        if bias is not None:
            made += bias
        if out is None:
            return made
        out[...] = made
        return out

    return vector_matmul


def _primitive_matmul(
    operands: list[Operand],
    ports: list[Port],
    shape: tuple[int, ...],
    bias_shape: Sequence[int] | None,
    microseconds: float,
) -> Callable[..., np.ndarray]:
    """The general case; ``ports`` are those of a and b, without descriptors."""
    kind = ports[0].dtype
    simplify(operands)
    swapped = shape[-1] == 1
    if swapped:  # oneDNN has no fast code for one column, but for one row: (a b)ᵀ = bᵀ aᵀ
        for operand in operands:
            operand.transpose()
    a, b, y = (operand.describe(kind) for operand in operands)
    ports[0].descriptor, ports[1].descriptor = a, b
    ports[swapped].kind, ports[not swapped].kind = onednn.SRC, onednn.WEIGHTS
    bias: Descriptor | None = None
    if bias_shape is not None:
        if tuple(bias_shape) != shape[-1:]:
            raise onednn.Unsupported(f"a bias of shape {tuple(bias_shape)} for {shape}")
        if not swapped:
            bias = strided([1] * (len(operands[2].shape) - 1) + [shape[-1]], kind)
            ports.append(Port(onednn.BIAS, bias_shape, kind, descriptor=bias))
    factors = (b, a) if swapped else (a, b)
    ports.append(Port(onednn.DST, shape, kind, output=True, descriptor=y))

    def describe() -> Description:
        return Description("matmul", *factors, bias, y).require_fast()

    launch, empty = launcher(Operation(describe, ports, microseconds)), np.empty

    def matmul(
        a: np.ndarray,
        b: np.ndarray,
        bias: np.ndarray | None = None,
        out: np.ndarray | None = None,
    ) -> np.ndarray:
        if out is None:
            out = empty(shape, kind)
        if bias is None:
            launch(a, b, out)
        elif swapped:
            launch(a, b, out)
            out += bias
        else:
            launch(a, b, bias, out)
        return out

    return matmul


def prepare_matmul(
    a_shape: Sequence[int],
    a_strides: Sequence[int],
    b_shape: Sequence[int],
    b_strides: Sequence[int],
    bias_shape: Sequence[int] | None,
    dtype: np.dtype[Any],
) -> Callable[..., np.ndarray]:
    """A matrix product for these shapes.

    Args:
        a_shape, b_shape: at least two dimensions each; those before the last two broadcast.
        a_strides, b_strides: in elements; transposed matrices are read where they lie.
        bias_shape: (N,) for one that is added to each row, or ``None``.
        dtype: of all arrays.

    Returns:
        ``call(a, b, bias=None, out=None) -> y`` with a C-contiguous ``y``. Arrays with other
        strides than prepared for are copied first.

    Raises:
        Unsupported: oneDNN has no fast code for it, or neither dimension of a matrix is contiguous.
    """
    kind = np.dtype(dtype)
    ndim = max(len(a_shape), len(b_shape))
    m, k, n = a_shape[-2], a_shape[-1], b_shape[-1]
    if ndim == 2 and kind == np.float32 and _small(m, n, k):
        return _numpy_matmul()
    sliced = ndim == 2 and kind == np.float32 and m * n * k <= NUMPY_SLICED
    if sliced and min(m, n) >= NUMPY_ROWS and min(m, n) * k <= NUMPY_PRODUCT:
        return _sliced_matmul(m, n, k)
    batch = np.broadcast_shapes(tuple(a_shape[:-2]), tuple(b_shape[:-2]))
    shape = (*batch, m, n)
    operands = [
        Operand(a_shape, a_strides, ndim),
        Operand(b_shape, b_strides, ndim),
        Operand(shape, contiguous_strides(shape), ndim),
    ]
    moved = kind.itemsize * (prod(a_shape) + prod(b_shape) + prod(shape))
    cost = threads.cost(2 * prod(shape) * k, moved)
    given = (a_shape, a_strides), (b_shape, b_strides)
    ports = [Port(onednn.SRC, size, kind, strides=steps) for size, steps in given]
    if ndim == 2 and kind == np.float32 and 1 in (m, n):
        return _vector_matmul(operands[0], operands[1], ports[0], ports[1], cost)
    return _primitive_matmul(operands, ports, shape, bias_shape, cost)
