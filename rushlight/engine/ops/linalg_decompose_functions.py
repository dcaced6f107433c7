"""PyTorch's faces of decompositions: QR, singular values, eigenvalues, LU."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.ir.op import composite, constant, hooks
from rushlight.engine.ir.samples import S, Sample, t, tc, ti
from rushlight.engine.ops import linalg_decompose as records, linalg_lu as factors, return_types
from rushlight.engine.ops.linalg_checks import adjoint as hermitian_transpose
from rushlight.engine.ops.linalg_functions import solve, solve_triangular
from rushlight.engine.ops.linalg_info import zero_diagonal
from rushlight.engine.ops.linalg_solve import lu_last
from rushlight.engine.ops.matmul import product
from rushlight.engine.ops.reduce_select import tensor_meta

_ROWS = [[2.0, 1.0, 0.0], [0.5, 3.0, -1.0], [1.0, -0.5, 1.5], [0.0, 1.0, 1.0]]
_TALL = t(1, 4, 3, values=[_ROWS])
_FIXED = t(1, 4, 3, values=[_ROWS], grad=False)
_WIDE = t(1, 2, 3, values=[[[2.0, 1.0, 0.5], [0.5, -3.0, 1.0]]])
_SQUARE = t(3, 3, values=[[4.0, 1.0, -1.0], [0.5, 3.0, 0.25], [1.0, -0.5, 2.0]])
_BATCH = t(2, 2, 2, values=[[[2.0, 1.0], [0.5, 3.0]], [[1.0, -1.0], [2.0, 0.5]]])


def _free(*args: Any, **kwargs: Any) -> Sample:
    """A call whose vectors may come with another sign than PyTorch's."""
    return Sample(args, kwargs, oracle=False)


def _still(*args: Any) -> Sample:
    """A call whose vectors depend on a choice that the gradient leaves open."""
    return Sample(args, oracle=False, check_grad=False)


def _one_triangle(*args: Any) -> Sample:
    """A call that reads one triangle, while its gradient counts both."""
    return Sample(args, check_grad=False)


# QR --------------------------------------------------------------------------------------------


@composite(
    name="qr",
    namespaces=("linalg",),
    samples=(S(_TALL), S(_SQUARE), S(_WIDE), S(_BATCH), S(_FIXED, "r"),
             S(_FIXED, mode="complete")),
)  # fmt: skip
def linalg_qr(A: Any, mode: str = "reduced") -> Any:
    """An orthogonal ``Q`` and an upper triangular ``R`` with ``Q R = A``.

    Args:
        A: (..., n, m), float or complex.
        mode: ``"reduced"``, ``"complete"`` (a square Q) or ``"r"`` (an empty Q).

    See https://pytorch.org/docs/stable/generated/torch.linalg.qr.html.

    >>> import rushlight as torch
    >>> torch.linalg.qr(torch.tensor([[3.0, 1.0], [4.0, 2.0]])).R.abs()
    tensor([[5.0000, 2.2000],
            [0.0000, 0.4000]])
    """
    tensor_meta(A, "linalg.qr")
    return return_types.linalg_qr(*hooks.record(records.qr, (A,), (mode,)))


@composite(method=True, samples=(S(_TALL), S(_WIDE), S(_FIXED, False)))
def qr(input: Any, some: bool = True) -> Any:
    """``Q`` and ``R`` with ``Q R = input``; a square ``Q`` if not ``some``.

    >>> import rushlight as torch
    >>> torch.qr(torch.eye(2)).R.abs()
    tensor([[1., 0.],
            [0., 1.]])
    """
    return return_types.qr(*linalg_qr(input, "reduced" if some else "complete"))


# singular values -------------------------------------------------------------------------------


@composite(
    name="svd",
    namespaces=("linalg",),
    samples=(_free(_TALL, full_matrices=False), _free(_WIDE, full_matrices=False), _free(_BATCH),
             Sample((_TALL,), check_grad=False, oracle=False)),
)  # fmt: skip
def linalg_svd(A: Any, full_matrices: bool = True) -> Any:
    """Orthogonal ``U`` and ``Vh`` and singular values ``S`` with ``U diag(S) Vh = A``.

    Args:
        A: (..., n, m), float or complex.
        full_matrices: square ``U`` and ``Vh``.

    Returns:
        A named tuple ``(U, S, Vh)``; the singular values fall.

    See https://pytorch.org/docs/stable/generated/torch.linalg.svd.html.

    >>> import rushlight as torch
    >>> torch.linalg.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    tensor_meta(A, "linalg.svd")
    return return_types.linalg_svd(*hooks.record(records.svd, (A,), (bool(full_matrices),)))


@composite(method=True, samples=(_free(_TALL), _free(_WIDE)))
def svd(input: Any, some: bool = True, compute_uv: bool = True) -> Any:
    """``U``, ``S`` and ``V`` with ``U diag(S) V^H = input``; square ``U``, ``V`` if not ``some``.

    >>> import rushlight as torch
    >>> torch.svd(torch.tensor([[3.0, 0.0], [0.0, 4.0]])).S
    tensor([4., 3.])
    """
    u, s, vh = linalg_svd(input, full_matrices=not some)
    if compute_uv:
        return return_types.svd(u, s, hermitian_transpose(vh))
    rows, columns = input.shape[-2:]
    zeros = [np.zeros((*input.shape[:-2], n, n), input.dtype.numpy) for n in (rows, columns)]
    return return_types.svd(constant(zeros[0]), s, constant(zeros[1]))


@composite(namespaces=("linalg",), samples=(S(_TALL), S(_WIDE), S(_BATCH)))
def svdvals(A: Any) -> Any:
    """The singular values of matrices, falling.

    >>> import rushlight as torch
    >>> torch.linalg.svdvals(torch.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor([4., 3.])
    """
    tensor_meta(A, "linalg.svdvals")
    return records.svdvals(A)


# eigenvalues -----------------------------------------------------------------------------------

_HERMITIAN = t(3, 3, values=[[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]])
_COMPLEX = tc(2, 2, values=[[2.0, 0.5 + 0.5j], [0.5 - 0.5j, 1.0]])


@composite(
    namespaces=("linalg",), samples=(_still(_HERMITIAN), _still(_HERMITIAN, "U"), S(t(0, 3, 3)))
)
def eigh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues (rising) and eigenvectors of symmetric or Hermitian matrices.

    Args:
        A: (..., n, n), float or complex.
        UPLO: which triangle is read, ``"L"`` or ``"U"``.

    Returns:
        A named tuple ``(eigenvalues, eigenvectors)``; the vectors are columns.

    See https://pytorch.org/docs/stable/generated/torch.linalg.eigh.html.

    >>> import rushlight as torch
    >>> torch.linalg.eigh(torch.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([1., 2.])
    """
    tensor_meta(A, "linalg.eigh")
    return return_types.linalg_eigh(*hooks.record(records.eigh, (A,), (UPLO,)))


@composite(
    namespaces=("linalg",),
    samples=(_one_triangle(_HERMITIAN), _one_triangle(_HERMITIAN, "U"), _one_triangle(_COMPLEX)),
)
def eigvalsh(A: Any, UPLO: str = "L") -> Any:
    """The eigenvalues (rising) of symmetric or Hermitian matrices.

    >>> import rushlight as torch
    >>> torch.linalg.eigvalsh(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([1., 2.])
    """
    return eigh(A, UPLO)[0]


@composite(namespaces=("linalg",), samples=(_still(_SQUARE), _still(_BATCH)))
def eig(A: Any) -> Any:
    """The complex eigenvalues and eigenvectors of square matrices.

    Returns:
        A named tuple ``(eigenvalues, eigenvectors)``; the vectors are columns of length 1.

    See https://pytorch.org/docs/stable/generated/torch.linalg.eig.html.

    >>> import rushlight as torch
    >>> torch.linalg.eig(torch.tensor([[2.0, 0.0], [0.0, 1.0]])).eigenvalues
    tensor([2.+0.j, 1.+0.j])
    """
    tensor_meta(A, "linalg.eig")
    return return_types.linalg_eig(*hooks.record(records.eig, (A,), ()))


@composite(namespaces=("linalg",), samples=(S(_SQUARE), S(_BATCH)))
def eigvals(A: Any) -> Any:
    """The complex eigenvalues of square matrices.

    >>> import rushlight as torch
    >>> torch.linalg.eigvals(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor([2.+0.j, 1.+0.j])
    """
    return eig(A)[0]


# LU --------------------------------------------------------------------------------------------


@composite(namespaces=("linalg",), samples=(S(_SQUARE), S(_BATCH), S(_TALL), S(_WIDE)))
def lu_factor(A: Any, *, pivot: bool = True) -> Any:
    """Both factors of ``A = P L U`` in one matrix, and the swaps of rows (counted from 1).

    See https://pytorch.org/docs/stable/generated/torch.linalg.lu_factor.html.

    >>> import rushlight as torch
    >>> torch.linalg.lu_factor(torch.tensor([[1.0, 2.0], [2.0, 5.0]])).pivots
    tensor([2, 2], dtype=torch.int32)
    """
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    tensor_meta(A, "torch.lu_factor")
    return return_types.linalg_lu_factor(*hooks.record(factors.lu_factor, (A,), (True,)))


@composite(namespaces=("linalg",), samples=(S(_SQUARE),))
def lu_factor_ex(A: Any, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """:func:`lu_factor`, and 0 for each matrix, or which pivot is zero (counted from 1).

    >>> import rushlight as torch
    >>> torch.linalg.lu_factor_ex(torch.eye(1)).info
    tensor(0, dtype=torch.int32)
    """
    if check_errors or not pivot:
        packed, pivots = lu_factor(A, pivot=pivot)
    else:
        tensor_meta(A, "torch.lu_factor")
        packed, pivots = hooks.record(factors.lu_factor, (A,), (False,))
    info = hooks.record(zero_diagonal, (packed,), ())
    return return_types.linalg_lu_factor_ex(packed, pivots, info)


@composite(namespaces=("linalg",), samples=(S(_SQUARE), S(_BATCH), S(_TALL), S(_WIDE)))
def lu(A: Any, *, pivot: bool = True) -> Any:
    """A permutation ``P``, a lower ``L`` and an upper triangular ``U`` with ``P L U = A``.

    See https://pytorch.org/docs/stable/generated/torch.linalg.lu.html.

    >>> import rushlight as torch
    >>> torch.linalg.lu(torch.tensor([[1.0, 2.0], [2.0, 4.0]])).U
    tensor([[2., 4.],
            [0., 0.]])
    """
    if not pivot:
        raise RuntimeError("linalg.lu: LU without pivoting is not implemented on the CPU")
    tensor_meta(A, "linalg.lu")
    lower, upper, swaps = hooks.record(factors.lu, (A,), ())
    return return_types.linalg_lu(swaps, lower, upper)


def _unpack(packed: Any, pivots: Any) -> tuple[Any, Any, Any]:
    lower, upper = hooks.record(factors.lu_unpack, (packed,), ())
    swaps = hooks.record(factors.permutation, (pivots,), (packed.shape[-2],))
    return swaps.to(packed.dtype), lower, upper


_FACTORS = t(2, 2, values=[[2.0, 1.0], [0.5, 3.0]])
_SWAPS = ti(2, values=[2, 2], dtype="int32")


@composite(samples=(S(_FACTORS, _SWAPS),))
def lu_unpack(
    LU_data: Any,
    LU_pivots: Any,
    unpack_data: bool = True,
    unpack_pivots: bool = True,
) -> Any:
    """``P``, ``L`` and ``U`` from what :func:`torch.linalg.lu_factor` returned.

    >>> import rushlight as torch
    >>> torch.lu_unpack(*torch.linalg.lu_factor(torch.eye(1))).L
    tensor([[1.]])
    """
    order, lower, upper = _unpack(LU_data, LU_pivots)
    empty = constant(np.zeros(0, LU_data.dtype.numpy))
    return return_types.lu_unpack(
        order if unpack_pivots else empty,
        lower if unpack_data else empty,
        upper if unpack_data else empty,
    )


def _solve_factored(packed: Any, pivots: Any, b: Any) -> Any:
    order, lower, upper = _unpack(packed, pivots)
    half = solve_triangular(lower, product(order, b, True, False), upper=False, unitriangular=True)
    return hooks.record(lu_last, (upper, half), (True, False, True))


@composite(
    name="lu_solve",
    namespaces=("linalg",),
    samples=(S(_FACTORS, _SWAPS, t(2, 3)), S(_FACTORS, _SWAPS, t(3, 2), left=False),
             S(_FACTORS, _SWAPS, t(2, 3), adjoint=True)),
)  # fmt: skip
def linalg_lu_solve(
    LU: Any,
    pivots: Any,
    B: Any,
    *,
    left: bool = True,
    adjoint: bool = False,
) -> Any:
    """The solution of ``A X = B``, given what :func:`lu_factor` returned for ``A``.

    >>> import rushlight as torch
    >>> lu, pivots = torch.linalg.lu_factor(torch.tensor([[2.0]]))
    >>> torch.linalg.lu_solve(lu, pivots, torch.tensor([[4.0]]))
    tensor([[2.]])
    """
    if left and not adjoint:
        return _solve_factored(LU, pivots, B)
    order, lower, upper = _unpack(LU, pivots)
    matrix = product(product(order, lower), upper)
    return solve(hermitian_transpose(matrix) if adjoint else matrix, B, left=left)


@composite(name="lu_solve", method=True, samples=(S(t(2, 3), _FACTORS, _SWAPS),))
def old_lu_solve(b: Any, LU_data: Any, LU_pivots: Any) -> Any:
    """The solution of ``A X = b``, given what ``torch.linalg.lu_factor`` returned for ``A``.

    >>> import rushlight as torch
    >>> torch.lu_solve(torch.tensor([[4.0]]), *torch.linalg.lu_factor(torch.tensor([[2.0]])))
    tensor([[2.]])
    """
    return _solve_factored(LU_data, LU_pivots, b)
