"""LU decompositions of matrices: records and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import int32
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.join import cat
from rushlight.engine.ops.linalg_checks import (
    batch_note,
    batch_of,
    column_major,
    each_matrix,
    require_matrix,
    require_precise,
    table,
    triangle,
)
from rushlight.engine.ops.linalg_solve import solve_triangular
from rushlight.engine.ops.matmul import conj, product

Array = np.ndarray

# with the swaps of rows ------------------------------------------------------------------------


def _factor_infer(input: Meta, check: bool) -> tuple[Meta, Meta]:
    require_matrix(input, "torch.lu_factor")
    require_precise(input, "torch.lu_factor")
    k = min(input.shape[-2:])
    return column_major(input), make_meta((*batch_of(input), k), int32)


def _factor(matrices: Array) -> tuple[Array, Array]:
    """Both factors and the pivots, counted from 1, of matrices (count, n, m)."""
    from scipy.linalg.lapack import get_lapack_funcs

    made = np.empty(matrices.shape, matrices.dtype)
    pivots = np.empty((len(matrices), min(matrices.shape[1:])), np.int32)
    if made.size:
        factor = get_lapack_funcs("getrf", dtype=matrices.dtype)
        for number, matrix in enumerate(matrices):
            made[number], found, _ = factor(matrix)
            pivots[number] = found + 1
    return made, pivots


def _require_pivots(made: Array, batch: Shape) -> None:
    for number, matrix in enumerate(made):
        zeros = np.flatnonzero(np.diagonal(matrix) == 0)
        if zeros.size:
            k = int(zeros[0]) + 1
            raise RuntimeError(
                f"torch.linalg.lu_factor: {batch_note(number, batch)}U[{k},{k}] is zero and using "
                "it on lu_solve would result in a division by zero. If you still want to perform "
                "the factorization, consider calling linalg.lu(A, pivot) or "
                "linalg.lu_factor_ex(A, pivot)"
            )


def _factor_kernel(spec: Spec, check: bool) -> Callable[[Array], tuple[Array, Array]]:
    shapes = [tuple(meta.shape) for meta in spec.outs]

    def compute(x: Array) -> tuple[Array, Array]:
        made, pivots = _factor(each_matrix(x)[0])
        if check:
            _require_pivots(made, shapes[0][:-2])
        return made.reshape(shapes[0]), pivots.reshape(shapes[1])

    return compute


def _ones_below(lower: Any) -> Any:
    return table(triangle(lower.shape[-2], lower.shape[-1], False, 0.0), lower)


def _ones_above(upper: Any) -> Any:
    return table(triangle(upper.shape[-2], upper.shape[-1], True, 1.0), upper)


def _split(factors: Any) -> tuple[Any, Any]:
    """The lower factor with its ones, and the upper one, from both in one matrix."""
    n, m = factors.shape[-2:]
    k = min(n, m)
    lower = factors.narrow(-1, 0, k)
    upper = factors.narrow(-2, 0, k)
    return lower * _ones_below(lower) + table(np.eye(n, k), lower), upper * _ones_above(upper)


def _join(lower: Any, upper: Any) -> Any:
    """The gradient of both factors in one matrix, from those of each."""
    lower, upper = lower * _ones_below(lower), upper * _ones_above(upper)
    (n, k), m = lower.shape[-2:], upper.shape[-1]
    if m > k:
        lower = cat([lower, upper.narrow(-1, k, m - k) * 0], -1)
    if n > k:
        upper = cat([upper, lower.narrow(-2, k, n - k) * 0], -2)
    return lower + upper


def factors_grad(g_lower: Any, g_upper: Any, lower: Any, upper: Any, swaps: Any) -> Any:
    """The gradient of ``A = P L U``.

    Source: the differential ``L^-1 P^T dA U^-1 = L^-1 dL + dU U^-1``, whose terms are strictly
    lower and upper triangular.
    """
    (n, k), m = lower.shape[-2:], upper.shape[-1]
    top, left = lower.narrow(-2, 0, k), upper.narrow(-1, 0, k)
    from_lower = product(conj(top), g_lower.narrow(-2, 0, k), True, False)
    from_upper = product(g_upper.narrow(-1, 0, k), conj(left), False, True)
    if m > k:
        rest = g_upper.narrow(-1, k, m - k)
        from_lower = from_lower - product(rest, conj(upper.narrow(-1, k, m - k)), False, True)
    if n > k:
        below = g_lower.narrow(-2, k, n - k)
        from_upper = from_upper - product(conj(lower.narrow(-2, k, n - k)), below, True, False)
    inner = from_lower * _ones_below(from_lower) + from_upper * _ones_above(from_upper)
    lower_adjoint, upper_adjoint = conj(top).transpose(-2, -1), conj(left).transpose(-2, -1)
    made = solve_triangular(lower_adjoint, inner, upper=True, unitriangular=True)
    made = solve_triangular(upper_adjoint, made, upper=False, unitriangular=False, left=False)
    if m > k:
        beside = solve_triangular(lower_adjoint, rest, upper=True, unitriangular=True)
        made = cat([made, beside], -1)
    if n > k:
        under = solve_triangular(upper_adjoint, below, upper=False, unitriangular=False, left=False)
        made = cat([made, under], -2)
    return product(swaps, made)


def _factor_grad(g0: Any, result: Any, result1: Any) -> Any:
    lower, upper = _split(result)
    n, m = result.shape[-2:]
    k = min(n, m)
    swaps = permutation(result1, rows=n).to(result.dtype)
    return factors_grad(g0.narrow(-1, 0, k), g0.narrow(-2, 0, k), lower, upper, swaps)


# both factors in one matrix (the ones on the lower one's diagonal left out), and the row swaps
lu_factor = Op(
    "lu_factor_(Tensor input, bool check)",
    kind=OTHER,
    infer=_factor_infer,
    kernel=_factor_kernel,
    grad={"input": _factor_grad},
    grad_name="LinalgLuFactorEx",
    differentiable=1,
    may_fail=True,
)


# permutations ----------------------------------------------------------------------------------


def _permutations(pivots: Array, rows: int) -> Array:
    """Matrices P with A = P L U, (count, rows, rows), from pivots (count, k) counted from 1."""
    made = np.zeros((len(pivots), rows, rows), np.int8)
    for number, found in enumerate(pivots):
        order = np.arange(rows)
        for k, pivot in enumerate(found):
            order[[k, pivot - 1]] = order[[pivot - 1, k]]
        made[number, order, np.arange(rows)] = 1
    return made


def _permutation_kernel(spec: Spec, rows: int) -> Callable[[Array], Array]:
    shape = tuple(spec.out.shape)
    return lambda pivots: (
        _permutations(pivots.reshape(-1, pivots.shape[-1]), rows).astype(np.int32).reshape(shape)
    )


permutation = Op(
    "permutation(Tensor input, int rows)",
    kind=OTHER,
    infer=lambda input, rows: make_meta((*input.shape[:-1], rows, rows), int32),
    kernel=_permutation_kernel,
)


# as three matrices -----------------------------------------------------------------------------


def _lu_infer(input: Meta) -> tuple[Meta, Meta, Meta]:
    require_matrix(input, "linalg.lu")
    require_precise(input, "linalg.lu")
    n, m = input.shape[-2:]
    k, batch = min(n, m), batch_of(input)
    lower, upper, swaps = (input.like((*batch, *size)) for size in ((n, k), (k, m), (n, n)))
    return lower, upper, swaps


def _halves(made: Array) -> tuple[Array, Array]:
    n, m = made.shape[-2:]
    k = min(n, m)
    return np.tril(made[..., :k], -1) + np.eye(n, k, dtype=made.dtype), np.triu(made[..., :k, :])


def _lu_kernel(spec: Spec) -> Callable[[Array], tuple[Array, ...]]:
    shapes = [tuple(meta.shape) for meta in spec.outs]

    def compute(x: Array) -> tuple[Array, ...]:
        made, pivots = _factor(each_matrix(x)[0])
        parts = (*_halves(made), _permutations(pivots, x.shape[-2]).astype(x.dtype))
        return tuple([p.reshape(shape) for p, shape in zip(parts, shapes, strict=True)])

    return compute


# the lower factor, the upper factor and the permutation
lu = Op(
    "lu_(Tensor input)",
    kind=OTHER,
    infer=_lu_infer,
    kernel=_lu_kernel,
    grad={
        "input": lambda g0, g1, result, result1, result2: factors_grad(
            g0, g1, result, result1, result2
        )
    },
    grad_name="LinalgLu",
    differentiable=2,
)


def _unpack_infer(input: Meta) -> tuple[Meta, Meta]:
    n, m = input.shape[-2:]
    k, batch = min(n, m), batch_of(input)
    return input.like((*batch, n, k)), input.like((*batch, k, m))


# the lower and the upper factor, from both in one matrix
lu_unpack = Op(
    "lu_unpack_(Tensor input)",
    kind=OTHER,
    infer=_unpack_infer,
    kernel=lambda spec: _halves,
    grad={"input": lambda g0, g1: _join(g0, g1)},
    grad_name="LuUnpack",
)
