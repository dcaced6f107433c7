"""Norms of vectors and matrices: PyTorch's faces."""

from __future__ import annotations

from math import inf
from typing import Any

from rushlight.engine.core.shape import normalize_dim
from rushlight.engine.ir.op import composite, hooks
from rushlight.engine.ir.samples import S, t, tc
from rushlight.engine.ops.linalg_decompose import svdvals
from rushlight.engine.ops.reduce import axes
from rushlight.engine.ops.reduce_norm import (
    renorm as renorm_record,
    require_inexact,
    vector_norm as vector_norm_record,
)
from rushlight.engine.ops.reduce_select import one_axis, tensor_meta


def _vector(x: Any, ord: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    meta = tensor_meta(x, "linalg.vector_norm")
    attrs = (float(ord), axes(dim, meta.ndim), bool(keepdim), dtype)
    return hooks.record(vector_norm_record, (x,), attrs)


_VECTOR = (
    S(t(3, 4)), S(t(3, 4), 1), S(t(3, 4), inf), S(t(3, 4), -inf, 0), S(t(3, 4), 3.5, 1, True),
    S(t(3, 4), 0, 1), S(t(2, 3, 4), 2, (0, 2)), S(t(3, 4), 1.5, 0), S(t(3, 4, low=0.5), 0.5, 0),
    S(t(0)), S(t()), S(tc(3, 2)), S(tc(3, 2), 1, 0), S(t(2, values=[0.0, 0.0], grad=False)),
)  # fmt: skip


@composite(namespaces=("linalg",), samples=_VECTOR)
def vector_norm(
    x: Any, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The length of vectors: ``sum(abs(x) ** ord) ** (1 / ord)`` along ``dim``.

    Args:
        x: floating-point or complex, any shape.
        ord: 2, 1, any number; ``inf`` and ``-inf`` for the largest and smallest absolute value, 0
            for the number of elements that are not 0.
        dim: one axis or several that hold a vector; all if absent.
        keepdim: leave the axes as axes of size 1.
        dtype: the type to compute in.

    See https://pytorch.org/docs/stable/generated/torch.linalg.vector_norm.html.

    >>> import rushlight as torch
    >>> torch.linalg.vector_norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    return _vector(x, ord, dim, keepdim, dtype)


def _matrix_dims(meta: Any, dim: Any) -> tuple[int, int]:
    if meta.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    if isinstance(dim, int) or len(dim) != 2:
        shown = dim if isinstance(dim, int) else " ".join(map(str, dim))
        raise RuntimeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {shown}")
    rows, columns = (normalize_dim(d, meta.ndim) for d in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({dim[0]}, {dim[1]})")
    return rows, columns


def _matrix(a: Any, ord: Any, dim: Any, keepdim: bool, dtype: Any) -> Any:
    meta = tensor_meta(a, "linalg.matrix_norm")
    require_inexact(meta, "linalg.matrix_norm")
    rows, columns = _matrix_dims(meta, dim)
    known = ord in ("fro", "nuc") or (not isinstance(ord, str) and abs(ord) in (1, 2, inf))
    if not known:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord == "fro":
        return _vector(a, 2, (rows, columns), keepdim, dtype)
    if dtype is not None:
        a = a.to(dtype)
    if ord == "nuc" or abs(ord) == 2:
        values = svdvals(a.movedim((rows, columns), (-2, -1)))
        made = values.sum(-1) if ord == "nuc" else _most(values, -1, ord, False)
        for d in sorted((rows, columns)) if keepdim else ():
            made = made.unsqueeze(d)
        return made
    summed, compared = (rows, columns) if abs(ord) == 1 else (columns, rows)
    if not keepdim and compared > summed:
        compared -= 1
    return _most(a.abs().sum(summed, keepdim), compared, ord, keepdim)


def _most(x: Any, dim: int, ord: float, keepdim: bool) -> Any:
    """The largest element along an axis (the smallest for a negative order), 0 of none."""
    if ord < 0:
        return x.amin(dim, keepdim)
    if not x.shape[dim]:
        return x.detach().sum(dim, keepdim)
    return x.amax(dim, keepdim)


_MATRIX = (
    S(t(3, 4)), S(t(3, 4), 1), S(t(3, 4), -1), S(t(3, 4), inf), S(t(3, 4), -inf, keepdim=True),
    S(t(3, 4), "nuc"), S(t(3, 4), 2), S(t(3, 4), -2), S(t(2, 3, 4), "fro", (0, 2)),
    S(t(2, 3, 4), 1, (0, 2), True), S(t(2, 3, 4), 2, (0, 2), True),
)  # fmt: skip


@composite(namespaces=("linalg",), samples=_MATRIX)
def matrix_norm(
    A: Any,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """The norm of matrices.

    Args:
        A: (..., n, m), floating-point or complex.
        ord: ``"fro"``, ``"nuc"``, ``inf``, ``-inf``, 1, -1, 2 or -2.
        dim: the two axes that hold a matrix.
        keepdim: leave the axes as axes of size 1.
        dtype: the type to compute in.

    See https://pytorch.org/docs/stable/generated/torch.linalg.matrix_norm.html.

    >>> import rushlight as torch
    >>> torch.linalg.matrix_norm(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), ord=1)
    tensor(6.)
    """
    return _matrix(A, ord, dim, keepdim, dtype)


_NORM = (
    S(t(3, 4)), S(t(3, 4), 1), S(t(3, 4), 2), S(t(4), 3), S(t(3, 4), "fro"), S(t(3, 4), inf),
    S(t(2, 3, 4), 2, 1), S(t(2, 3, 4), "nuc", (0, 1)), S(t(2, 3, 4), dim=(0, 1), keepdim=True),
    S(t(2, 3, 4)),
)  # fmt: skip


@composite(name="norm", namespaces=("linalg",), samples=_NORM)
def linalg_norm(
    A: Any,
    ord: Any = None,
    dim: Any = None,
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Any:
    """The norm of a vector or of a matrix.

    Without ``ord`` the root of the sum of squares of all elements along ``dim``; with it a vector
    norm where ``dim`` is one axis (or ``A`` is 1-d), a matrix norm where it is two.

    See https://pytorch.org/docs/stable/generated/torch.linalg.norm.html.

    >>> import rushlight as torch
    >>> torch.linalg.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    meta = tensor_meta(A, "linalg.norm")
    if ord is None:
        return _vector(A, 2, dim, keepdim, dtype)
    if dim is None and meta.ndim not in (1, 2):
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{meta.ndim}D."
        )
    count = meta.ndim if dim is None else 1 if isinstance(dim, int) else len(dim)
    if count == 2:
        return _matrix(A, ord, (-2, -1) if dim is None else dim, keepdim, dtype)
    if isinstance(ord, str):
        return _matrix(A, ord, dim, keepdim, dtype)
    return _vector(A, ord, dim, keepdim, dtype)


_OLD_NORM = (
    S(t(3, 4)), S(t(3, 4), 1), S(t(3, 4), 2, 1), S(t(3, 4), "fro", dim=(0, 1)), S(t(3, 3), "nuc"),
    S(t(3, 4), p=inf), S(t(3, 4), dim=0, keepdim=True), S(t(3, 4), p=3, dim=(0, 1)), S(t(3), p=0),
)  # fmt: skip


@composite(method=True, samples=_OLD_NORM)
def norm(
    input: Any, p: Any = "fro", dim: Any = None, keepdim: bool = False, dtype: Any = None
) -> Any:
    """The norm of a tensor: of all its elements, or along ``dim``.

    Args:
        input: floating-point or complex.
        p: ``"fro"`` (the root of the sum of squares), ``"nuc"``, or the number of a vector norm.
        dim: one axis or several; all if absent.
        keepdim: leave the axes as axes of size 1.
        dtype: the type to compute in.

    See https://pytorch.org/docs/stable/generated/torch.norm.html.

    >>> import rushlight as torch
    >>> torch.norm(torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    if p is None:
        p = 2.0
    if p == "fro" and (dim is None or isinstance(dim, int) or len(dim) <= 2):
        return _vector(input, 2, dim, keepdim, dtype)
    if isinstance(p, str):
        return _matrix(input, p, (-2, -1) if dim is None else dim, keepdim, dtype)
    return _vector(input, p, dim, keepdim, dtype)


# scaling to a norm -----------------------------------------------------------------------------


@composite(
    method=True,
    inplace=True,
    samples=(S(t(3, 4), 2, 0, 1.0), S(t(2, 3, 4), 1, 1, 2.5), S(t(3, 4), inf, 1, 0.5)),
)
def renorm(input: Any, p: float, dim: int, maxnorm: float) -> Any:
    """``input`` with every slice along ``dim`` scaled down to a p-norm of at most ``maxnorm``.

    >>> import rushlight as torch
    >>> torch.renorm(torch.tensor([[3.0, 4.0], [0.3, 0.4]]), 2, 0, 1.0)
    tensor([[0.6000, 0.8000],
            [0.3000, 0.4000]])
    """
    meta = tensor_meta(input, "renorm")
    axis = one_axis(dim, meta.ndim, "renorm")
    return hooks.record(renorm_record, (input, maxnorm), (float(p), axis))


@composite(
    namespaces=("nn.functional",),
    samples=(S(t(3, 4)), S(t(3, 4), 1.0, 0), S(t(2, 3, 4), p=3.0, dim=(1, 2)),
             S(t(2, 2, values=[[0.0, 0.0], [1.0, 1.0]], grad=False))),
)  # fmt: skip
def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12) -> Any:
    """``input`` divided by its p-norm along ``dim`` (by ``eps`` where that is larger).

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.normalize.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.normalize(torch.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    return input / _vector(input, p, dim, True, None).clamp_min(eps)
