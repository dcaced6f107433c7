"""Decompositions of matrices: QR, singular values, eigenvalues; records and gradients.

The gradients of vectors divide by differences of singular values or eigenvalues, so they are NaN
where two are equal; those of the values alone are not.
Sources: J. Townsend, Differentiating the SVD, 2016; M. Giles, An extended collection of matrix
derivative results, 2008.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.join import cat
from rushlight.engine.ops.linalg_checks import (
    LinAlgError,
    adjoint,
    batch_of,
    column_major,
    first_bad,
    require_matrix,
    require_precise,
    require_square,
    table,
    triangle,
)
from rushlight.engine.ops.linalg_solve import inverse, solve_triangular
from rushlight.engine.ops.matmul import conj, product

Array = np.ndarray


def _times(first: Any, second: Any) -> Any:
    return product(first, second, False, False)


def _adjoint_times(first: Any, second: Any) -> Any:
    return product(conj(first), second, True, False)


def _times_adjoint(first: Any, second: Any) -> Any:
    return product(first, conj(second), False, True)


def _gaps(values: Any) -> Any:
    """All differences: element (i, j) is ``values[j] - values[i]``."""
    return values.unsqueeze(-2) - values.unsqueeze(-1)


def _over(numerator: Any, gaps: Any) -> Any:
    """The quotient beside the diagonal, 0 on it (where the gap is 0)."""
    diagonal = table(np.eye(gaps.shape[-1]), gaps)
    return where_op(diagonal == 1, 0.0, numerator / (gaps + diagonal))


def _diagonal(values: Any, like: Any) -> Any:
    """Vectors as diagonal matrices of the type of ``like``."""
    made = values.unsqueeze(-1) * table(np.eye(values.shape[-1]), values)
    return made if made.dtype is like.dtype else made.to(like.dtype)


# QR --------------------------------------------------------------------------------------------


def _qr_infer(input: Meta, mode: str) -> tuple[Meta, Meta]:
    require_matrix(input, "linalg.qr")
    require_precise(input, "linalg.qr")
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    n, m = input.shape[-2:]
    k = n if mode == "complete" else min(n, m)
    q_shape = (0,) if mode == "r" else (*batch_of(input), n, k)
    return (
        column_major(input, q_shape),
        column_major(input, (*batch_of(input), k, m)),
    )


def _qr_kernel(spec: Spec, mode: str) -> Callable[[Array], Any]:
    decompose: Any = np.linalg.qr
    if mode == "r":
        empty = np.zeros(0, spec.out.dtype.numpy)
        return lambda x: (empty, decompose(x, "r"))
    return lambda x: tuple(decompose(x, mode))


def _square_qr_grad(g_q: Any, g_r: Any, q: Any, r: Any) -> Any:
    """The gradient for matrices with at least as many rows as columns."""
    m = _times_adjoint(r, g_r) - _adjoint_times(g_q, q)
    n = m.shape[-1]
    lower = m * table(triangle(n, n, False, 0.5), m)
    inner = g_q + _times(q, lower + adjoint(lower))
    return adjoint(solve_triangular(r, adjoint(inner), upper=True, unitriangular=False))


def _qr_grad(g0: Any, g1: Any, input: Any, result: Any, result1: Any, mode: str) -> Any:
    rows, columns = input.shape[-2:]
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please "
            "use linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
        )
    if mode == "complete" and rows > columns:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    if rows >= columns:
        return _square_qr_grad(g0, g1, result, result1)
    left, right = result1.narrow(-1, 0, rows), input.narrow(-1, rows, columns - rows)
    g_left, g_right = g1.narrow(-1, 0, rows), g1.narrow(-1, rows, columns - rows)
    first = _square_qr_grad(g0 + _times_adjoint(right, g_right), g_left, result, left)
    return cat([first, _times(result, g_right)], -1)


qr = Op(
    "qr_(Tensor input, str mode)",
    kind=OTHER,
    infer=_qr_infer,
    kernel=_qr_kernel,
    grad={"input": _qr_grad},
    grad_name="LinalgQr",
)


# singular values -------------------------------------------------------------------------------


def _svd_infer(input: Meta, full: bool) -> tuple[Meta, Meta, Meta]:
    require_matrix(input, "linalg.svd")
    require_precise(input, "linalg.svd")
    n, m = input.shape[-2:]
    k, batch = min(n, m), batch_of(input)
    return (
        column_major(input, (*batch, n, n if full else k)),
        make_meta((*batch, k), input.dtype.to_real()),
        column_major(input, (*batch, m if full else k, m)),
    )


def _svd_kernel(spec: Spec, full: bool) -> Callable[[Array], Any]:
    def decompose(x: Array) -> tuple[Array, ...]:
        try:
            return tuple(np.linalg.svd(x, full_matrices=full))
        except np.linalg.LinAlgError:
            note, _ = first_bad(x, lambda m: int(not np.isfinite(m).all()))
            raise LinAlgError(
                f"linalg.svd: {note}The algorithm failed to converge because the input matrix "
                "contained non-finite values."
            ) from None

    return decompose


def _narrowed(x: Any, dim: int, k: int) -> Any:
    return x if x is None or x.shape[dim] == k else x.narrow(dim, 0, k)


def _svd_grad(g0: Any, g1: Any, g2: Any, result: Any, result1: Any, result2: Any) -> Any:
    s, k = result1, result1.shape[-1]
    u, vh = _narrowed(result, -1, k), _narrowed(result2, -2, k)
    row, column = s.unsqueeze(-2), s.unsqueeze(-1)
    gaps = row * row - column * column
    inner = None if g1 is None else _diagonal(g1, u)
    outside_u = outside_v = None
    if g0 is not None:
        g0 = _narrowed(g0, -1, k)
        from_u = _adjoint_times(u, g0)
        turn = from_u - adjoint(from_u)
        part = _over(turn, gaps) * row
        if u.dtype.is_complex:
            part = part + turn * table(np.eye(k), s) / (2 * row)
        inner = part if inner is None else inner + part
        if u.shape[-2] > k:
            outside_u = _times((g0 - _times(u, from_u)) / row, vh)
    if g2 is not None:
        g2 = _narrowed(g2, -2, k)
        from_v = _times_adjoint(vh, g2)
        part = column * _over(from_v - adjoint(from_v), gaps)
        inner = part if inner is None else inner + part
        if vh.shape[-1] > k:
            outside_v = _times(u, (g2 - _times(adjoint(from_v), vh)) / column)
    made = _times(_times(u, inner), vh)
    for outside in (outside_u, outside_v):
        if outside is not None:
            made = made + outside
    return made


svd = Op(
    "svd_(Tensor input, bool full)",
    kind=OTHER,
    infer=_svd_infer,
    kernel=_svd_kernel,
    grad={"input": _svd_grad},
    grad_name="LinalgSvd",
    fills_missing=False,
    may_fail=True,
)


def svdvals(a: Any) -> Any:
    """The singular values of matrices."""
    return svd(a, full=False)[1]


# eigenvalues of Hermitian matrices -------------------------------------------------------------


def _eigh_infer(input: Meta, uplo: str) -> tuple[Meta, Meta]:
    require_square(input, "linalg.eigh")
    if uplo.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {uplo}")
    if input.dtype.category < FLOATING:
        name = SCALAR_NAMES[input.dtype]
        raise NotImplementedError(f"\"linalg_eigh_cpu\" not implemented for '{name}'")
    require_precise(input, "linalg.eigh")
    return make_meta(tuple(input.shape[:-1]), input.dtype.to_real()), column_major(input)


def _eigh_kernel(spec: Spec, uplo: str) -> Callable[[Array], Any]:
    decompose: Any = np.linalg.eigh
    return lambda x: tuple(decompose(x, uplo.upper()))


def _eigh_grad(g0: Any, g1: Any, result: Any, result1: Any) -> Any:
    inner = None if g0 is None else _diagonal(g0, result1)
    if g1 is not None:
        from_v = _adjoint_times(result1, g1)
        turn = (from_v - adjoint(from_v)) / 2  # vectors of length 1 can only turn
        part = _over(turn, _gaps(result))
        inner = part if inner is None else inner + part
    return _times_adjoint(_times(result1, inner), result1)


eigh = Op(
    "eigh_(Tensor input, str uplo)",
    kind=OTHER,
    infer=_eigh_infer,
    kernel=_eigh_kernel,
    grad={"input": _eigh_grad},
    grad_name="LinalgEigh",
    fills_missing=False,
    may_fail=True,
)


# eigenvalues of any matrices -------------------------------------------------------------------


def _eig_infer(input: Meta) -> tuple[Meta, Meta]:
    require_square(input, "linalg.eig")
    require_precise(input, "linalg.eig")
    kind = input.dtype.to_complex()
    return make_meta(tuple(input.shape[:-1]), kind), column_major(input, dtype=kind)


def _eig_kernel(spec: Spec) -> Callable[[Array], Any]:
    out = spec.out.dtype.numpy

    def decompose(x: Array) -> tuple[Array, Array]:
        if not np.isfinite(x).all():
            raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
        values, vectors = np.linalg.eig(x)
        return values.astype(out, copy=False), vectors.astype(out, copy=False)

    return decompose


def _eig_grad(g0: Any, g1: Any, result: Any, result1: Any) -> Any:
    inner = None if g0 is None else _diagonal(g0, result1)
    if g1 is not None:
        from_v = _adjoint_times(result1, g1)
        scale = (from_v * table(np.eye(result.shape[-1]), result)).sum(-1)
        scale = (scale + conj(scale)) / 2
        turn = from_v - _adjoint_times(result1, result1) * scale.unsqueeze(-2)
        part = _over(turn, conj(_gaps(result)))
        inner = part if inner is None else inner + part
    # V^-H inner V^H
    return product(_adjoint_times(inverse(result1), inner), conj(result1), False, True)


eig = Op(
    "eig_(Tensor input)",
    kind=OTHER,
    infer=_eig_infer,
    kernel=_eig_kernel,
    grad={"input": _eig_grad},
    grad_name="LinalgEig",
    fills_missing=False,
    may_fail=True,
)
