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
    column_major,
    each_matrix,
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
from rushlight.engine.ops.view_elements import same_place

Array = np.ndarray


def _square_infer(function: str) -> Callable[..., Meta]:
    def infer(input: Meta, *attrs: Any) -> Meta:
        require_square(input, function)
        require_precise(input, function)
        return column_major(input)

    return infer


# inverse ---------------------------------------------------------------------------------------


def _inverse_kernel(spec: Spec) -> Callable[[Array], Array]:
    def compute(x: Array) -> Array:
        try:
            return np.linalg.inv(x)
        except np.linalg.LinAlgError:
            note, pivot = first_bad(x, zero_pivot)
            raise LinAlgError(
                f"linalg.inv: {note}The diagonal element {pivot} is zero, the inversion could not "
                "be completed because the input matrix is singular."
            ) from None

    return compute


def _inverse_or_infinite_kernel(spec: Spec) -> Callable[[Array], Array]:
    def one(matrix: Array) -> Array:
        try:
            return np.linalg.inv(matrix)
        except np.linalg.LinAlgError:
            return np.full_like(matrix, np.inf)

    def compute(x: Array) -> Array:
        made = [one(matrix) for matrix in each_matrix(x)[0]]
        return np.asarray(made, x.dtype).reshape(x.shape)

    return compute


def _inverse_grad(g: Any, result: Any) -> Any:
    result = conj(result)
    return -product(product(result, g, True, False), result, False, True)


def _inverse(name: str, kernel: Callable[[Spec], Callable[[Array], Array]], may_fail: bool) -> Op:
    return Op(
        f"{name}(Tensor input)",
        kind=OTHER,
        infer=_square_infer("linalg.inv"),
        kernel=kernel,
        grad={"input": _inverse_grad},
        grad_name="LinalgInvEx",
        may_fail=may_fail,
    )


inverse = _inverse("inverse_", _inverse_kernel, True)
inverse_or_infinite = _inverse("inverse_or_infinite", _inverse_or_infinite_kernel, False)


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


def _solve_infer(a: Meta, b: Meta, left: bool, vector: bool) -> Meta:
    require_square(a, "linalg.solve")
    require_precise(a, "linalg.solve")
    require_same_type(a, b, "linalg.solve")
    batch = a.shape[:-2]
    if vector:
        require_fit(a, b.like((*b.shape, 1)), "linalg.solve")
        return column_major(a, (*broadcast_shapes(batch, b.shape[:-1]), b.shape[-1]))
    n, m = b.shape[-2:] if left else b.shape[-2:][::-1]
    require_fit(a, b.like((n, m)), "linalg.solve")
    shape = (*broadcast_shapes(batch, b.shape[:-2]), *b.shape[-2:])
    return column_major(a, shape) if left else a.like(shape)


def _solve_kernel(spec: Spec, left: bool, vector: bool) -> Callable[[Array, Array], Array]:
    def columns(a: Array, b: Array) -> Array:
        try:
            return np.linalg.solve(a, b)
        except np.linalg.LinAlgError:
            note, _ = first_bad(a, zero_pivot)
            raise LinAlgError(
                f"torch.linalg.solve: {note}The solver failed because the input matrix is singular."
            ) from None

    if vector:
        return lambda a, b: columns(a, b[..., None])[..., 0]
    if not left:
        return lambda a, b: columns(a.swapaxes(-1, -2), b.swapaxes(-1, -2)).swapaxes(-1, -2)
    return columns


def _solve_grad(
    g: Any, a: Any, result: Any, left: bool, vector: bool, needs: tuple[bool, bool]
) -> tuple[Any, Any]:
    to_b = solve(adjoint(a), g, left=left, vector=vector)
    if not needs[0]:
        return None, to_b
    if vector:
        return -product(to_b.unsqueeze(-1), conj(result).unsqueeze(-1), False, True), to_b
    if left:
        return -product(to_b, conj(result), False, True), to_b
    return -product(conj(result), to_b, True, False), to_b


# X with a X = b, or X a = b; ``vector``: b and X are without the axis of columns
solve = Op(
    "solve_(Tensor a, Tensor b, bool left, bool vector)",
    kind=OTHER,
    infer=_solve_infer,
    kernel=_solve_kernel,
    grad={"a, b": _solve_grad},
    grad_name="LinalgSolveEx",
    may_fail=True,
)


def _triangular_infer(a: Meta, b: Meta, upper: bool, unitriangular: bool, left: bool) -> Meta:
    function = "linalg.solve_triangular"
    require_square(a, function)
    require_matrix(b, function, "B")
    require_same_type(a, b, function)
    n, m = b.shape[-2:] if left else b.shape[-2:][::-1]
    require_fit(a, b.like((n, m)), function)
    return column_major(a, (*broadcast_shapes(a.shape[:-2], b.shape[:-2]), *b.shape[-2:]))


def _triangular_kernel(
    spec: Spec, upper: bool, unitriangular: bool, left: bool
) -> Callable[[Array, Array], Array]:
    from scipy.linalg.blas import get_blas_funcs

    shape, out = tuple(spec.out.shape), spec.out.dtype.numpy
    batch, (n, m) = shape[:-2], shape[-2:]
    size = n if left else m
    multiply = get_blas_funcs("trsm", dtype=out)

    def compute(a: Array, b: Array) -> Array:
        if not spec.out.numel:
            return np.zeros(shape, out)
        factors = np.broadcast_to(a, (*batch, size, size)).reshape(-1, size, size)
        given = np.broadcast_to(b, shape).reshape(-1, n, m)
        made = np.empty(given.shape, out)
        for factor, side, place in zip(factors, given, made, strict=True):
            place[...] = multiply(
                1.0, factor, side, side=not left, lower=not upper, diag=unitriangular
            )
        return made.reshape(shape)

    return compute


def _triangular_grad(
    g: Any, a: Any, result: Any, a_meta: Meta, upper: bool, unitriangular: bool, left: bool,
    needs: tuple[bool, bool],
) -> tuple[Any, Any]:  # fmt: skip
    to_b = solve_triangular(adjoint(a), g, upper=not upper, unitriangular=unitriangular, left=left)
    if not needs[0]:
        return None, to_b
    n = a_meta.shape[-1]
    mask = table(triangle(n, n, upper, 0.0 if unitriangular else 1.0), result)
    first, second = (to_b, conj(result)) if left else (conj(result), to_b)
    return -product(first, second, not left, left) * mask, to_b


def _triangular(name: str, grad_name: str) -> Op:
    return Op(
        f"{name}(Tensor a, Tensor b, bool upper, bool unitriangular, bool left=True)",
        kind=MATMUL,
        infer=_triangular_infer,
        kernel=_triangular_kernel,
        grad={"a, b": _triangular_grad},
        grad_name=grad_name,
    )


# only one triangle of ``a`` is read, ones instead of its diagonal if ``unitriangular``
solve_triangular = _triangular("solve_triangular_", "LinalgSolveTriangular")
# the last step of functions that PyTorch's graph shows by their own names
triangular_old = _triangular("triangular_old", "TriangularSolve")
cholesky_last = _triangular("cholesky_last", "CholeskySolve")
cholesky_inverse_last = _triangular("cholesky_inverse_last", "CholeskyInverse")
lu_last = _triangular("lu_last", "LinalgLuSolve")

copy_columns = Op(
    "copy_columns(Tensor input)",
    kind=OTHER,
    infer=lambda input: column_major(input),
    kernel=lambda spec: lambda x: x.copy(),
    element=same_place,
    grad={"input": lambda g: g},
    grad_name="TriangularSolve",
)


# Cholesky --------------------------------------------------------------------------------------


def _cholesky_kernel(spec: Spec, upper: bool) -> Callable[[Array], Array]:
    def factor(x: Array) -> Array:
        try:
            return np.linalg.cholesky(x, upper=upper)
        except np.linalg.LinAlgError:
            note, order = first_bad(x, bad_minor)
            raise LinAlgError(
                f"linalg.cholesky: {note}The factorization could not be completed because the "
                f"input is not positive-definite (the leading minor of order {order} is not "
                "positive-definite)."
            ) from None

    return factor


def _cholesky_grad(g: Any, result: Any, upper: bool) -> Any:
    lower, turned = (adjoint(result), result) if upper else (result, adjoint(result))
    if upper:
        g = adjoint(g)
    n = lower.shape[-1]
    inner = product(conj(lower), g, True, False)
    inner = inner * table(triangle(n, n, False, 1.0), result)
    inner = inner + adjoint(inner * table(triangle(n, n, False, 0.0), result))
    half = solve_triangular(turned, inner, upper=True, unitriangular=False)
    made = solve_triangular(lower, half, upper=False, unitriangular=False, left=False)
    return made / 2


def _cholesky(name: str, grad_name: str) -> Op:
    return Op(
        f"{name}(Tensor input, bool upper)",
        kind=OTHER,
        infer=_square_infer("linalg.cholesky"),
        kernel=_cholesky_kernel,
        grad={"input": _cholesky_grad},
        grad_name=grad_name,
        may_fail=True,
    )


# the lower or upper factor; only that triangle of the input is read
cholesky = _cholesky("cholesky_ex_", "LinalgCholeskyEx")
cholesky_old = _cholesky("cholesky_", "Cholesky")
