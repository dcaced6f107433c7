"""Inverses, determinants and systems of equations: records and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import MATMUL, OTHER, Op, Spec
from rushlight.engine.ops.linalg_checks import (
    LinAlgError,
    adjoint,
    bad_minor,
    batch_of,
    first_bad,
    require_matrix,
    require_precise,
    require_same_type,
    require_square,
    swap,
    table,
    triangle,
    zero_pivot,
)
from rushlight.engine.ops.matmul import conj, product

Array = np.ndarray


def _square_infer(function: str) -> Callable[..., Meta]:
    def infer(input: Meta, *attrs: Any) -> Meta:
        require_square(input, function)
        require_precise(input, function)
        return input.like()

    return infer


# inverse ---------------------------------------------------------------------------------------


def _inverse_kernel(spec: Spec) -> Callable[[Array], Array]:
    def inverse(x: Array) -> Array:
        try:
            return np.linalg.inv(x)
        except np.linalg.LinAlgError:
            note, pivot = first_bad(x, zero_pivot)
            raise LinAlgError(
                f"linalg.inv: {note}The diagonal element {pivot} is zero, the inversion could not "
                "be completed because the input matrix is singular."
            ) from None

    return inverse


def _inverse_grad(g: Any, result: Any) -> Any:
    result = conj(result)
    return -product(product(result, g, True, False), result, False, True)


inverse = Op(
    "inverse_(Tensor input)",
    kind=OTHER,
    infer=_square_infer("linalg.inv"),
    kernel=_inverse_kernel,
    grad={"input": _inverse_grad},
    grad_name="LinalgInvEx",
    may_fail=True,
)


# determinants ----------------------------------------------------------------------------------


def _matrix(x: Any) -> Any:
    """Numbers as matrices of one element, to multiply with matrices."""
    return x.unsqueeze(-1).unsqueeze(-1)


def _det_infer(input: Meta) -> Meta:
    require_square(input, "linalg.det")
    require_precise(input, "linalg.det")
    return make_meta(batch_of(input), input.dtype)


det = Op(
    "det_(Tensor input)",
    kind=OTHER,
    infer=_det_infer,
    kernel=lambda spec: lambda x: np.asarray(np.linalg.det(x), spec.out.dtype.numpy),
    grad={"input": lambda g, input: _matrix(g) * cofactors(input)},
    grad_name="LinalgDet",
)


def _cofactors_kernel(spec: Spec) -> Callable[[Array], Array]:
    """By singular values, since there may be no inverse."""
    out = spec.out.dtype.numpy

    def compute(x: Array) -> Array:
        u, s, vh = np.linalg.svd(x)
        ones = np.ones_like(s[..., :1])
        before = np.cumprod(np.concatenate([ones, s[..., :-1]], -1), -1)
        behind = np.cumprod(np.concatenate([ones, s[..., :0:-1]], -1), -1)[..., ::-1]
        sign = np.conj(np.linalg.det(u) * np.linalg.det(vh))[..., None]
        return np.matmul(u * (sign * before * behind)[..., None, :], vh).astype(out, copy=False)

    return compute


def _cofactors_grad(g: Any, input: Any, result: Any) -> Any:
    """For matrices that have an inverse."""
    turned = swap(inverse(conj(input)))
    g = conj(g)
    weight = _matrix((g * turned).sum((-2, -1)))
    return weight * result - product(product(turned, g, False, True), result)


# the conjugated matrix of cofactors: the gradient of the determinant
cofactors: Op = Op(
    "cofactors(Tensor input)",
    kind=OTHER,
    infer=_square_infer("linalg.det"),
    kernel=_cofactors_kernel,
    grad={"input": _cofactors_grad},
)


def _slogdet_infer(input: Meta) -> tuple[Meta, Meta]:
    require_square(input, "linalg.slogdet")
    require_precise(input, "linalg.slogdet")
    batch = batch_of(input)
    return make_meta(batch, input.dtype), make_meta(batch, input.dtype.to_real())


def _slogdet_kernel(spec: Spec) -> Callable[[Array], tuple[Array, Array]]:
    kinds = [meta.dtype.numpy for meta in spec.outs]

    def compute(x: Array) -> tuple[Array, Array]:
        sign, size = np.linalg.slogdet(x)
        return np.asarray(sign, kinds[0]), np.asarray(size, kinds[1])

    return compute


def _slogdet_grad(g0: Any, g1: Any, input: Any, result: Any) -> Any:
    weight = g1
    if input.dtype.is_complex:
        turn = g0 * conj(result)
        weight = g1 + (turn - conj(turn)) / 2
    return _matrix(weight) * adjoint(inverse(input))


slogdet = Op(
    "slogdet_(Tensor input)",
    kind=OTHER,
    infer=_slogdet_infer,
    kernel=_slogdet_kernel,
    grad={"input": _slogdet_grad},
    grad_name="LinalgSlogdet",
)


# systems of equations --------------------------------------------------------------------------


def require_fit(a: Meta, b: Meta, function: str) -> None:
    """PyTorch's error for systems whose sides do not fit together."""
    if a.shape[-1] != b.shape[-2]:
        raise RuntimeError(
            f"{function}: Incompatible shapes of A and B for the equation AX = B "
            f"({a.shape[-2]}x{a.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})"
        )


def _solve_infer(a: Meta, b: Meta) -> Meta:
    require_square(a, "linalg.solve")
    require_precise(a, "linalg.solve")
    require_same_type(a, b, "linalg.solve")
    require_fit(a, b, "linalg.solve")
    return make_meta((*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), a.dtype)


def _solve_kernel(spec: Spec) -> Callable[[Array, Array], Array]:
    def compute(a: Array, b: Array) -> Array:
        try:
            return np.linalg.solve(a, b)
        except np.linalg.LinAlgError:
            note, _ = first_bad(a, zero_pivot)
            raise LinAlgError(
                f"torch.linalg.solve: {note}The solver failed because the input matrix is singular."
            ) from None

    return compute


solve: Op = Op(
    "solve_(Tensor a, Tensor b)",
    kind=OTHER,
    infer=_solve_infer,
    kernel=_solve_kernel,
    grad={
        "a": lambda g, a, result: -product(solve(adjoint(a), g), conj(result), False, True),
        "b": lambda g, a: solve(adjoint(a), g),
    },
    grad_name="LinalgSolveEx",
    may_fail=True,
)


def _triangular_infer(a: Meta, b: Meta, upper: bool, unitriangular: bool) -> Meta:
    function = "linalg.solve_triangular"
    require_square(a, function)
    require_matrix(b, function, "B")
    require_same_type(a, b, function)
    require_fit(a, b, function)
    return make_meta((*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]), a.dtype)


def _triangular_kernel(
    spec: Spec, upper: bool, unitriangular: bool
) -> Callable[[Array, Array], Array]:
    from scipy.linalg.blas import get_blas_funcs

    shape, out = tuple(spec.out.shape), spec.out.dtype.numpy
    batch, (n, m) = shape[:-2], shape[-2:]
    multiply = get_blas_funcs("trsm", dtype=out)

    def compute(a: Array, b: Array) -> Array:
        if not spec.out.numel:
            return np.zeros(shape, out)
        left = np.broadcast_to(a, (*batch, n, n)).reshape(-1, n, n)
        right = np.broadcast_to(b, shape).reshape(-1, n, m)
        made = np.empty(right.shape, out)
        for matrix, given, place in zip(left, right, made, strict=True):
            place[...] = multiply(1.0, matrix, given, lower=not upper, diag=unitriangular)
        return made.reshape(shape)

    return compute


def _triangular_grad(
    g: Any, a: Any, result: Any, a_meta: Meta, upper: bool, unitriangular: bool,
    needs: tuple[bool, bool],
) -> tuple[Any, Any]:  # fmt: skip
    to_b = solve_triangular(adjoint(a), g, upper=not upper, unitriangular=unitriangular)
    if not needs[0]:
        return None, to_b
    n = a_meta.shape[-1]
    mask = table(triangle(n, n, upper, 0.0 if unitriangular else 1.0), result)
    return -product(to_b, conj(result), False, True) * mask, to_b


# only one triangle of ``a`` is read, ones instead of its diagonal if ``unitriangular``
solve_triangular = Op(
    "solve_triangular_(Tensor a, Tensor b, bool upper, bool unitriangular)",
    kind=MATMUL,
    infer=_triangular_infer,
    kernel=_triangular_kernel,
    grad={"a, b": _triangular_grad},
    grad_name="LinalgSolveTriangular",
)


# Cholesky --------------------------------------------------------------------------------------


def _cholesky_kernel(spec: Spec) -> Callable[[Array], Array]:
    def compute(x: Array) -> Array:
        try:
            return np.linalg.cholesky(x)
        except np.linalg.LinAlgError:
            note, order = first_bad(x, bad_minor)
            raise LinAlgError(
                f"linalg.cholesky: {note}The factorization could not be completed because the "
                f"input is not positive-definite (the leading minor of order {order} is not "
                "positive-definite)."
            ) from None

    return compute


def _cholesky_grad(g: Any, result: Any) -> Any:
    n = result.shape[-1]
    inner = product(conj(result), g, True, False)
    inner = inner * table(triangle(n, n, False, 1.0), result)
    inner = inner + adjoint(inner * table(triangle(n, n, False, 0.0), result))
    upper = adjoint(result)
    half = solve_triangular(upper, inner, upper=True, unitriangular=False)
    made = adjoint(solve_triangular(upper, adjoint(half), upper=True, unitriangular=False))
    return made / 2


# the lower factor; only the lower triangle of the input is read
cholesky = Op(
    "cholesky_(Tensor input)",
    kind=OTHER,
    infer=_square_infer("linalg.cholesky"),
    kernel=_cholesky_kernel,
    grad={"input": _cholesky_grad},
    grad_name="LinalgCholeskyEx",
    may_fail=True,
)
