"""PyTorch's faces of inverses, determinants and systems of equations."""

from __future__ import annotations

from typing import Any

import numpy as np

from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.op import composite, constant, hooks
from rushlight.engine.ir.samples import S, Sample, t, tc
from rushlight.engine.ops import linalg_info as information, linalg_solve as records, return_types
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.linalg_checks import adjoint, require_matrix
from rushlight.engine.ops.matmul import mm, product
from rushlight.engine.ops.reduce_select import tensor_meta

_GOOD = [[4.0, 1.0, -1.0], [0.5, 3.0, 0.25], [1.0, -0.5, 2.0]]
_SQUARE = t(3, 3, values=_GOOD)
_BATCH = t(2, 3, 3, values=[_GOOD, [[2.0, 0.5, 0.0], [0.0, 1.0, 0.5], [0.5, 0.0, 3.0]]])
_COMPLEX = tc(2, 2, values=[[2.0 + 1.0j, 0.5], [0.25 - 1.0j, 1.5]])
_INVERTIBLE = (
    S(_SQUARE),
    S(_BATCH),
    S(t(1, 1, low=0.5)),
    S(_COMPLEX),
    Sample((t(0, 3, 3),), twice=False),
)

# inverse ---------------------------------------------------------------------------------------


@composite(namespaces=("linalg",), samples=_INVERTIBLE)
def inv(A: Any) -> Any:
    """The inverses of square matrices.

    Args:
        A: (..., n, n), float or complex.

    Raises:
        RuntimeError: the matrices are not square.
        LinAlgError: a matrix has no inverse (found when the result is computed).

    See https://pytorch.org/docs/stable/generated/torch.linalg.inv.html.

    >>> import rushlight as torch
    >>> torch.linalg.inv(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    tensor_meta(A, "linalg.inv")
    return hooks.record(records.inverse, (A,), ())


@composite(method=True, samples=_INVERTIBLE)
def inverse(input: Any) -> Any:
    """The inverses of square matrices, see ``torch.linalg.inv``.

    >>> import rushlight as torch
    >>> torch.inverse(torch.tensor([[2.0, 0.0], [0.0, 4.0]]))
    tensor([[0.5000, 0.0000],
            [0.0000, 0.2500]])
    """
    return inv(input)


def _no_info(batch: Shape) -> Any:
    return constant(np.zeros(batch, np.int32))


@composite(namespaces=("linalg",), samples=(S(_BATCH),))
def inv_ex(A: Any, *, check_errors: bool = False) -> Any:
    """The inverses of square matrices, and 0 for each; NaN and the zero pivot where there is none.

    >>> import rushlight as torch
    >>> torch.linalg.inv_ex(torch.tensor([[2.0]])).info
    tensor(0, dtype=torch.int32)
    """
    if check_errors:
        return return_types.linalg_inv_ex(inv(A), _no_info(tuple(A.shape[:-2])))
    tensor_meta(A, "linalg.inv")
    return return_types.linalg_inv_ex(*hooks.record(information.inverse_info, (A,), ()))


# determinants ----------------------------------------------------------------------------------


@composite(namespaces=("torch", "linalg"), method=True, samples=_INVERTIBLE)
def det(input: Any) -> Any:
    """The determinants of square matrices (..., n, n).

    See https://pytorch.org/docs/stable/generated/torch.linalg.det.html.

    >>> import rushlight as torch
    >>> torch.det(torch.tensor([[2.0, 1.0], [0.0, 3.0]]))
    tensor(6.)
    """
    tensor_meta(input, "linalg.det")
    return hooks.record(records.det, (input,), ())


@composite(namespaces=("linalg",), samples=_INVERTIBLE)
def slogdet(A: Any) -> Any:
    """The sign of the determinants and the logarithm of their absolute values.

    See https://pytorch.org/docs/stable/generated/torch.linalg.slogdet.html.

    >>> import rushlight as torch
    >>> torch.linalg.slogdet(torch.tensor([[-1.0, 0.0], [0.0, 1.0]]))
    torch.return_types.linalg_slogdet(
    sign=tensor(-1.),
    logabsdet=tensor(0.))
    """
    tensor_meta(A, "linalg.slogdet")
    return return_types.linalg_slogdet(*hooks.record(records.slogdet, (A,), ()))


@composite(name="slogdet", method=True, samples=_INVERTIBLE)
def old_slogdet(input: Any) -> Any:
    """The sign of the determinants and the logarithm of their absolute values.

    >>> import rushlight as torch
    >>> torch.slogdet(torch.tensor([[-1.0, 0.0], [0.0, 1.0]])).sign
    tensor(-1.)
    """
    return return_types.slogdet(*slogdet(input))


@composite(method=True, samples=(S(_SQUARE), S(_BATCH)))
def logdet(input: Any) -> Any:
    """The logarithm of the determinants; NaN where one is negative.

    >>> import rushlight as torch
    >>> torch.logdet(torch.eye(2))
    tensor(0.)
    """
    sign, size = slogdet(input)
    if size.dtype is not sign.dtype:
        return sign.log() + size
    return where_op(sign == -1, float("nan"), size)


# systems of equations --------------------------------------------------------------------------


def _is_vector(a: Any, b: Any) -> bool:
    return b.ndim == 1 or (a.ndim - 1 == b.ndim and tuple(b.shape) == tuple(a.shape[:-1]))


_SYSTEMS = (
    S(_SQUARE, t(3, 2)), S(_SQUARE, t(3)), S(_BATCH, t(2, 3, 2)), S(_BATCH, t(2, 3)),
    S(_BATCH, t(3, 2)), S(_COMPLEX, tc(2, 3)),
)  # fmt: skip


@composite(namespaces=("linalg",), samples=(*_SYSTEMS, S(_SQUARE, t(2, 3), left=False)))
def solve(A: Any, B: Any, *, left: bool = True) -> Any:
    """The solution ``X`` of ``A X = B`` (of ``X A = B`` if not ``left``).

    Args:
        A: (..., n, n).
        B: (..., n, k), or a vector (n), or a batch of vectors (..., n).
        left: on which side ``A`` stands.

    Raises:
        LinAlgError: a matrix is singular (found when the result is computed).

    See https://pytorch.org/docs/stable/generated/torch.linalg.solve.html.

    >>> import rushlight as torch
    >>> torch.linalg.solve(torch.tensor([[2.0, 0.0], [0.0, 4.0]]), torch.tensor([2.0, 2.0]))
    tensor([1.0000, 0.5000])
    """
    require_matrix(tensor_meta(A, "linalg.solve"), "linalg.solve")
    vector = _is_vector(A, B)
    return hooks.record(records.solve, (A, B), (bool(left) or vector, vector))


@composite(namespaces=("linalg",), samples=(S(_BATCH, t(2, 3, 2)), S(_BATCH, t(2, 3))))
def solve_ex(
    A: Any,
    B: Any,
    *,
    left: bool = True,
    check_errors: bool = False,
) -> Any:
    """The solution of ``A X = B``, and 0 for each matrix; NaN where one is singular.

    >>> import rushlight as torch
    >>> torch.linalg.solve_ex(torch.tensor([[2.0]]), torch.tensor([[2.0]])).result
    tensor([[1.]])
    """
    if check_errors:
        made = solve(A, B, left=left)
        return return_types.linalg_solve_ex(made, _no_info(tuple(A.shape[:-2])))
    require_matrix(tensor_meta(A, "linalg.solve"), "linalg.solve")
    vector = _is_vector(A, B)
    found = hooks.record(information.solve_info, (A, B), (bool(left) or vector, vector))
    return return_types.linalg_solve_ex(*found)


_UPPER = t(3, 3, values=[[2.0, 1.0, -1.0], [0.0, 1.5, 0.5], [0.0, 0.0, 3.0]])


@composite(
    namespaces=("linalg",),
    samples=(S(_UPPER, t(3, 2), upper=True), S(_SQUARE, t(3, 2), upper=False),
             S(_SQUARE, t(2, 3), upper=True, left=False), S(_COMPLEX, tc(2, 1), upper=True),
             S(_BATCH, t(3, 2), upper=True, unitriangular=True)),
)  # fmt: skip
def solve_triangular(
    A: Any,
    B: Any,
    *,
    upper: bool,
    left: bool = True,
    unitriangular: bool = False,
) -> Any:
    """The solution ``X`` of ``A X = B`` for triangular matrices; the other triangle is not read.

    Args:
        A: (..., n, n).
        B: (..., n, k).
        upper: which triangle of ``A`` counts.
        left: on which side ``A`` stands.
        unitriangular: count the diagonal as ones.

    See https://pytorch.org/docs/stable/generated/torch.linalg.solve_triangular.html.

    >>> import rushlight as torch
    >>> a = torch.tensor([[2.0, 2.0], [0.0, 4.0]])
    >>> torch.linalg.solve_triangular(a, torch.tensor([[4.0], [4.0]]), upper=True)
    tensor([[1.],
            [1.]])
    """
    attrs = (bool(upper), bool(unitriangular), bool(left))
    return hooks.record(records.solve_triangular, (A, B), attrs)


@composite(
    method=True,
    samples=(S(t(3, 2), _UPPER), S(t(3, 2), _SQUARE, upper=False),
             S(t(3, 2), _SQUARE, transpose=True, unitriangular=True)),
)  # fmt: skip
def triangular_solve(
    input: Any,
    A: Any,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    """The solution of ``A X = input`` for triangular ``A``, and a copy of ``A``.

    >>> import rushlight as torch
    >>> torch.triangular_solve(torch.ones(1, 1), torch.tensor([[2.0]])).solution
    tensor([[0.5000]])
    """
    matrix = adjoint(A) if transpose else A
    attrs = (bool(upper) != bool(transpose), bool(unitriangular), True)
    made = hooks.record(records.triangular_old, (matrix, input), attrs)
    return return_types.triangular_solve(made, hooks.record(records.copy_columns, (A,), ()))


# Cholesky --------------------------------------------------------------------------------------

_POSITIVE = t(3, 3, values=[[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]])
_SELFADJOINT = tc(2, 2, values=[[2.0, 0.5 + 0.5j], [0.5 - 0.5j, 1.5]])
_STACK = t(1, 3, 3, values=[_POSITIVE.values])
# The gradient counts both triangles, though one is read: it has no numeric counterpart.
_CHOLESKY = (Sample((_POSITIVE,), check_grad=False), S(t(1, 1, low=0.5)),
             Sample((_POSITIVE,), {"upper": True}, check_grad=False),
             Sample((_SELFADJOINT,), check_grad=False))  # fmt: skip


@composite(name="cholesky", namespaces=("linalg",), samples=_CHOLESKY)
def linalg_cholesky(A: Any, *, upper: bool = False) -> Any:
    """The triangular ``L`` with ``L L^H = A`` for Hermitian positive-definite matrices.

    Args:
        A: (..., n, n); only one triangle is read.
        upper: return ``L^H`` instead.

    Raises:
        LinAlgError: a matrix is not positive-definite (found when the result is computed).

    See https://pytorch.org/docs/stable/generated/torch.linalg.cholesky.html.

    >>> import rushlight as torch
    >>> torch.linalg.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]))
    tensor([[2., 0.],
            [1., 2.]])
    """
    tensor_meta(A, "linalg.cholesky")
    return hooks.record(records.cholesky, (A,), (bool(upper),))


@composite(method=True, samples=_CHOLESKY)
def cholesky(input: Any, upper: bool = False) -> Any:
    """The Cholesky factor of positive-definite matrices, see ``torch.linalg.cholesky``.

    >>> import rushlight as torch
    >>> torch.cholesky(torch.tensor([[4.0, 2.0], [2.0, 5.0]]), upper=True)
    tensor([[2., 1.],
            [0., 2.]])
    """
    tensor_meta(input, "linalg.cholesky")
    return hooks.record(records.cholesky_old, (input,), (bool(upper),))


@composite(namespaces=("linalg",), samples=(Sample((_STACK,), check_grad=False),))
def cholesky_ex(A: Any, *, upper: bool = False, check_errors: bool = False) -> Any:
    """The Cholesky factor of positive-definite matrices, and 0 for each; NaN where there is none.

    >>> import rushlight as torch
    >>> torch.linalg.cholesky_ex(torch.eye(1)).info
    tensor(0, dtype=torch.int32)
    """
    if check_errors:
        made = linalg_cholesky(A, upper=upper)
        return return_types.linalg_cholesky_ex(made, _no_info(tuple(A.shape[:-2])))
    tensor_meta(A, "linalg.cholesky")
    found = hooks.record(information.cholesky_info, (A,), (bool(upper),))
    return return_types.linalg_cholesky_ex(*found)


# PyTorch's gradient of a factor has numbers in the triangle that is not read: not compared
_LOWER = t(3, 3, values=[[2.0, 0.0, 0.0], [0.5, 1.5, 0.0], [-1.0, 0.25, 3.0]], grad=False)
_RAISED = t(3, 3, values=[[2.0, 1.0, -1.0], [0.0, 1.5, 0.5], [0.0, 0.0, 3.0]], grad=False)


@composite(method=True, samples=(S(t(3, 2), _LOWER), S(t(3, 2), _RAISED, True)))
def cholesky_solve(input: Any, L: Any, upper: bool = False) -> Any:
    """The solution of ``A X = input``, given the Cholesky factor ``L`` of ``A``.

    >>> import rushlight as torch
    >>> torch.cholesky_solve(torch.ones(1, 1), torch.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    lower = adjoint(L) if upper else L
    half = solve_triangular(lower, input, upper=False)
    return hooks.record(records.cholesky_last, (adjoint(lower), half), (True, False, True))


@composite(method=True, samples=(S(_LOWER), S(_RAISED, True)))
def cholesky_inverse(L: Any, upper: bool = False) -> Any:
    """The inverse of the matrix whose Cholesky factor is ``L``.

    >>> import rushlight as torch
    >>> torch.cholesky_inverse(torch.tensor([[2.0]]))
    tensor([[0.2500]])
    """
    lower = adjoint(L) if upper else L
    eye = constant(np.eye(L.shape[-1], dtype=L.dtype.numpy))
    half = solve_triangular(lower, eye, upper=False)
    return hooks.record(records.cholesky_inverse_last, (adjoint(lower), half), (True, False, True))


# powers ----------------------------------------------------------------------------------------


def _power(a: Any, n: int) -> Any:
    """Repeated squaring."""
    multiply = mm if a.ndim == 2 else product
    made = None
    while n:
        if n & 1:
            made = a if made is None else multiply(made, a)
        n >>= 1
        if n:
            a = multiply(a, a)
    return made


_POWERS = (S(_SQUARE, 3), S(t(3, 3, grad=False), 0), S(_BATCH, 2), S(_SQUARE, -2), S(_SQUARE, 1))


@composite(namespaces=("torch", "linalg"), method=True, samples=_POWERS)
def matrix_power(input: Any, n: int) -> Any:
    """The ``n``-th power of square matrices; of their inverses where ``n`` is negative.

    See https://pytorch.org/docs/stable/generated/torch.linalg.matrix_power.html.

    >>> import rushlight as torch
    >>> torch.matrix_power(torch.tensor([[1.0, 1.0], [0.0, 1.0]]), 3)
    tensor([[1., 3.],
            [0., 1.]])
    """
    meta = tensor_meta(input, "matrix_power")
    if not isinstance(n, int):
        raise TypeError(
            f"matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}"
        )
    records.require_square(meta, "linalg.matrix_power")
    if n == 0:
        eye = np.eye(meta.shape[-1], dtype=meta.dtype.numpy)
        return constant(np.ascontiguousarray(np.broadcast_to(eye, tuple(meta.shape))))
    if n == 1:
        return input.clone().contiguous()
    return _power(input, n) if n > 0 else _power(inv(input), -n)
