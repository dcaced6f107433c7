"""Pseudo-inverses, least squares and the matrix exponential: records and gradients."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.core.shape import broadcast_shapes, contiguous_strides
from rushlight.engine.ir.graph import Meta, make_meta, strided_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.join import cat
from rushlight.engine.ops.linalg_checks import (
    adjoint,
    batch_of,
    each_matrix,
    require_matrix,
    require_precise,
    require_square,
)
from rushlight.engine.ops.matmul import conj, in_compute_type, product

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


def _pinv_kernel(spec: Spec, atol: Any, rtol: Any, hermitian: bool) -> Callable[[Array], Array]:
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


def _lstsq_infer(a: Meta, b: Meta, rcond: Any, vector: bool) -> tuple[Meta, Meta]:
    require_matrix(a, "torch.linalg.lstsq", "input")
    require_precise(a, "torch.linalg.lstsq")
    axis = 1 if vector or b.ndim < 2 else 2
    if a.shape[-2] != b.shape[-axis] or (b.ndim < 2 and not vector):
        raise RuntimeError(f"torch.linalg.lstsq: input.size(-2) should match other.size(-{axis})")
    if a.dtype is not b.dtype:
        raise RuntimeError(
            "torch.linalg.lstsq: Expected input and other to have the same dtype, but got input's "
            f"dtype {a.dtype.name} and other's dtype {b.dtype.name}"
        )
    columns = 1 if vector else b.shape[-1]
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-1] if vector else b.shape[:-2])
    # LAPACK leaves the solution in the memory of the right side, which may have more rows.
    longest = max(*a.shape[-2:], 1)
    outer = contiguous_strides((*batch, longest * columns))[:-1]
    if vector:
        made = strided_meta((*batch, a.shape[-1]), (*outer, 1), a.dtype)
    else:
        made = strided_meta((*batch, a.shape[-1], columns), (*outer, 1, longest), a.dtype)
    return made, make_meta((0,), a.dtype.to_real())


def _lstsq_kernel(
    spec: Spec, rcond: Any, vector: bool
) -> Callable[[Array, Array], tuple[Array, Array]]:
    shape, out = tuple(spec.out.shape), spec.out.dtype.numpy
    empty = np.zeros(0, spec.outs[1].dtype.numpy)
    if not spec.out.numel:
        return lambda a, b: (np.zeros(shape, out), empty)

    def compute(a: Array, b: Array) -> tuple[Array, Array]:
        if vector:
            b = b[..., None]
        batch = shape[:-1] if vector else shape[:-2]
        left, _ = each_matrix(np.broadcast_to(a, (*batch, *a.shape[-2:])))
        right, _ = each_matrix(np.broadcast_to(b, (*batch, *b.shape[-2:])))
        limit = max(a.shape[-2:]) * float(np.finfo(out).eps) if rcond is None else rcond
        made = [np.linalg.lstsq(x, y, limit)[0] for x, y in zip(left, right, strict=True)]
        return np.asarray(made, out).reshape(shape), empty

    return compute


def _lstsq_grad(g0: Any, a: Any, b: Any, vector: bool, needs: tuple[bool, bool]) -> tuple[Any, Any]:
    if vector:
        g0, b = g0.unsqueeze(-1), b.unsqueeze(-1)
    p = pinv(a, atol=None, rtol=None, hermitian=False)
    to_b = product(conj(p), g0, True, False)
    to_a = pinv_grad(product(g0, conj(b), False, True), a, p) if needs[0] else None
    return to_a, to_b.squeeze(-1) if vector else to_b


# the solution, and an empty tensor where the residuals of other methods stand
lstsq = Op(
    "lstsq_(Tensor a, Tensor b, float? rcond, bool vector)",
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
    if input.dtype.category < FLOATING:
        require_precise(input, "linalg.matrix_exp")
    return input.like()


def _exp_kernel(spec: Spec) -> Callable[[Array], Array]:
    from scipy.linalg import expm

    shape, out = tuple(spec.out.shape), spec.out.dtype.numpy
    if not spec.out.numel:
        return lambda x: np.zeros(shape, out)
    return in_compute_type(spec, lambda x: np.asarray(expm(x), x.dtype))


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
