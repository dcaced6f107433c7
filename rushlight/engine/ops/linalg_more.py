"""Pseudo-inverses, least squares, the matrix exponential and LU: records and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import int32, int64
from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.join import cat
from rushlight.engine.ops.linalg_checks import (
    adjoint,
    batch_of,
    each_matrix,
    require_matrix,
    require_precise,
    require_square,
    table,
    triangle,
)
from rushlight.engine.ops.linalg_solve import solve_triangular
from rushlight.engine.ops.matmul import conj, product

Array = np.ndarray

# pseudo-inverse --------------------------------------------------------------------------------


def threshold(s: Array, shape: tuple[int, ...], atol: float | None, rtol: float | None) -> Array:
    """Below which singular values count as 0: PyTorch's defaults."""
    if rtol is None:
        rtol = 0.0 if atol else max(shape[-2:]) * float(np.finfo(s.dtype).eps)
    largest = s.max(-1, keepdims=True, initial=0)
    return np.maximum(np.asarray(atol or 0.0, s.dtype), largest * s.dtype.type(rtol))


def _pinv_infer(input: Meta, atol: Any, rtol: Any, hermitian: bool) -> Meta:
    if input.ndim < 2:
        name = input.dtype.name.capitalize().rstrip("0123456789")
        raise RuntimeError(
            f"linalg.pinv({name}{{{list(input.shape)}}}): expected a tensor with 2 or more "
            "dimensions of float, double, cfloat or cdouble types"
        )
    require_precise(input, "linalg.pinv")
    return input.like((*batch_of(input), input.shape[-1], input.shape[-2]))


def _pinv_kernel(
    spec: Spec, atol: Any, rtol: Any, hermitian: bool
) -> Callable[[Array], Array]:
    shape, out = tuple(spec.out.shape), spec.out.dtype.numpy
    if not spec.out.numel:
        return lambda x: np.zeros(shape, out)

    def compute(x: Array) -> Array:
        u, s, vh = np.linalg.svd(x, full_matrices=False, hermitian=hermitian)
        small = s <= threshold(s, x.shape, atol, rtol)
        scale = np.where(small, 0, 1 / np.where(small, 1, s))
        left = np.conj(np.swapaxes(vh, -1, -2)) * scale[..., None, :]
        return np.matmul(left, np.conj(np.swapaxes(u, -1, -2))).astype(out, copy=False)

    return compute


def pinv_grad(g: Any, a: Any, p: Any) -> Any:
    """From ``dP = -P dA P + P P^H dA^H (I - A P) + (I - P A) dA^H P^H P``.

    Source: G. Golub, V. Pereyra, The differentiation of pseudo-inverses, 1973.
    """
    p_adjoint, g_adjoint = adjoint(p), adjoint(g)
    made = -product(product(p_adjoint, g), p_adjoint)
    right = product(product(g_adjoint, p), p_adjoint)
    made = made + right - product(product(a, p), right)
    left = product(product(p_adjoint, p), g_adjoint)
    return made + left - product(left, product(p, a))


pinv = Op(
    "pinv_(Tensor input, float? atol, float? rtol, bool hermitian)",
    kind=OTHER,
    infer=_pinv_infer,
    kernel=_pinv_kernel,
    grad={"input": lambda g, input, result: pinv_grad(g, input, result)},
    grad_name="LinalgPinv",
    may_fail=True,
)


# least squares ---------------------------------------------------------------------------------


def _lstsq_infer(a: Meta, b: Meta, rcond: Any) -> Meta:
    require_matrix(a, "torch.linalg.lstsq", "input")
    require_precise(a, "torch.linalg.lstsq")
    if a.shape[-2] != b.shape[-2]:
        raise RuntimeError("torch.linalg.lstsq: input.size(-2) should match other.size(-2)")
    if a.dtype is not b.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got input's "
            f"dtype {a.dtype.name} and other's dtype {b.dtype.name}"
        )
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return make_meta((*batch, a.shape[-1], b.shape[-1]), a.dtype)


def _lstsq_kernel(spec: Spec, rcond: Any) -> Callable[[Array, Array], Array]:
    shape, out = tuple(spec.out.shape), spec.out.dtype.numpy
    if not spec.out.numel:
        return lambda a, b: np.zeros(shape, out)

    def compute(a: Array, b: Array) -> Array:
        batch = shape[:-2]
        left, _ = each_matrix(np.broadcast_to(a, (*batch, *a.shape[-2:])))
        right, _ = each_matrix(np.broadcast_to(b, (*batch, *b.shape[-2:])))
        limit = max(a.shape[-2:]) * float(np.finfo(out).eps) if rcond is None else rcond
        made = [np.linalg.lstsq(x, y, limit)[0] for x, y in zip(left, right, strict=True)]
        return np.asarray(made, out).reshape(shape)

    return compute


def _lstsq_grad(
    g: Any, a: Any, b: Any, needs: tuple[bool, bool]
) -> tuple[Any, Any]:
    p = pinv(a, atol=None, rtol=None, hermitian=False)
    to_b = product(conj(p), g, True, False)
    to_a = pinv_grad(product(g, conj(b), False, True), a, p) if needs[0] else None
    return to_a, to_b


lstsq = Op(
    "lstsq_(Tensor a, Tensor b, float? rcond)",
    kind=OTHER,
    infer=_lstsq_infer,
    kernel=_lstsq_kernel,
    grad={"a, b": _lstsq_grad},
    grad_name="LinalgLstsq",
    may_fail=True,
)


# the matrix exponential ------------------------------------------------------------------------


def _exp_infer(input: Meta) -> Meta:
    require_square(input, "linalg.matrix_exp")
    require_precise(input, "linalg.matrix_exp")
    return input.like()


def _exp_kernel(spec: Spec) -> Callable[[Array], Array]:
    from scipy.linalg import expm

    shape, out = tuple(spec.out.shape), spec.out.dtype.numpy
    if not spec.out.numel:
        return lambda x: np.zeros(shape, out)
    return lambda x: np.asarray(expm(x), out)


def _exp_grad(g: Any, input: Any) -> Any:
    """The upper right block of ``exp([[A^H, G], [0, A^H]])``.

    Source: C. Van Loan, Computing integrals involving the matrix exponential, 1978.
    """
    a = adjoint(input)
    n = a.shape[-1]
    whole = cat([cat([a, g], -1), cat([a * 0, a], -1)], -2)
    return matrix_exp(whole).narrow(-2, 0, n).narrow(-1, n, n)


matrix_exp = Op(
    "matrix_exp_(Tensor input)",
    kind=OTHER,
    infer=_exp_infer,
    kernel=_exp_kernel,
    grad={"input": _exp_grad},
    grad_name="LinalgMatrixExp",
)


# LU --------------------------------------------------------------------------------------------


def _lu_infer(input: Meta) -> tuple[Meta, Meta]:
    require_matrix(input, "torch.lu_factor")
    require_precise(input, "torch.lu_factor")
    k = min(input.shape[-2:])
    return input.like(), make_meta((*batch_of(input), k), int32)


def _lu_kernel(spec: Spec) -> Callable[[Array], tuple[Array, Array]]:
    from scipy.linalg.lapack import get_lapack_funcs

    factor = get_lapack_funcs("getrf", dtype=spec.out.dtype.numpy)
    shape = tuple(spec.outs[1].shape)

    def compute(x: Array) -> tuple[Array, Array]:
        matrices, _ = each_matrix(x)
        made = np.empty(matrices.shape, x.dtype)
        pivots = np.empty((len(matrices), shape[-1]), np.int32)
        for number, matrix in enumerate(matrices if x.size else ()):
            made[number], found, _ = factor(matrix)
            pivots[number] = found + 1
        return made.reshape(x.shape), pivots.reshape(shape)

    return compute


def _lu_grad(g0: Any, result: Any, result1: Any) -> Any:
    n, m = result.shape[-2:]
    if n != m:
        raise RuntimeError(
            "linalg.lu: the gradient of the decomposition is only known for square matrices"
        )
    strict, rest = triangle(n, n, False, 0.0), triangle(n, n, True, 1.0)
    lower = result * table(strict, result) + table(np.eye(n), result)
    upper = result * table(rest, result)
    from_lower = product(conj(lower), g0 * table(strict, result), True, False)
    from_upper = product(g0 * table(rest, result), conj(upper), False, True)
    inner = from_lower * table(strict, result) + from_upper * table(rest, result)
    half = solve_triangular(adjoint(lower), inner, upper=True, unitriangular=True)
    made = adjoint(solve_triangular(upper, adjoint(half), upper=True, unitriangular=False))
    return product(permutation(result1, rows=n).to(made.dtype), made)


# both factors in one matrix (the ones on the lower one's diagonal left out), and the row swaps
lu_factor = Op(
    "lu_factor_(Tensor input)",
    kind=OTHER,
    infer=_lu_infer,
    kernel=_lu_kernel,
    grad={"input": _lu_grad},
    grad_name="LinalgLuFactorEx",
    differentiable=1,
)


def swapped_rows(pivots: Array, rows: int) -> Array:
    """The order of the rows after the swaps that pivots (counted from 1) tell."""
    order = np.arange(rows)
    for k, pivot in enumerate(pivots):
        order[[k, pivot - 1]] = order[[pivot - 1, k]]
    return order


def _permutation_kernel(spec: Spec, rows: int) -> Callable[[Array], Array]:
    shape = tuple(spec.out.shape)

    def compute(pivots: Array) -> Array:
        listed = pivots.reshape(-1, pivots.shape[-1])
        made = np.zeros((len(listed), rows, rows), np.int64)
        for number, found in enumerate(listed):
            made[number, swapped_rows(found, rows), np.arange(rows)] = 1
        return made.reshape(shape)

    return compute


# P with A = P L U, as a matrix of zeros and ones
permutation = Op(
    "permutation(Tensor input, int rows)",
    kind=OTHER,
    infer=lambda input, rows: make_meta((*input.shape[:-1], rows, rows), int64),
    kernel=_permutation_kernel,
)
