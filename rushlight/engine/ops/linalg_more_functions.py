"""PyTorch's faces of pseudo-inverses, ranks, least squares and further functions of matrices."""

from __future__ import annotations

from math import inf, prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import int64
from rushlight.engine.ir.op import composite, constant, hooks
from rushlight.engine.ir.samples import S, Sample, t, tc, ti
from rushlight.engine.ops import linalg_more as records, return_types
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.join import cat
from rushlight.engine.ops.linalg_checks import require_matrix
from rushlight.engine.ops.linalg_decompose_functions import eigvalsh, svdvals
from rushlight.engine.ops.linalg_functions import inv, solve
from rushlight.engine.ops.linalg_norm import matrix_norm
from rushlight.engine.ops.linalg_solve import inverse_or_infinite
from rushlight.engine.ops.matmul import conj
from rushlight.engine.ops.matmul_functions import matmul, vdot
from rushlight.engine.ops.reduce_products import trace as trace_record
from rushlight.engine.ops.reduce_select import tensor_meta
from rushlight.engine.ops.scan_functions import cumprod

_TALL = t(4, 3, values=[[2.0, 1.0, 0.0], [0.5, 3.0, -1.0], [1.0, -0.5, 1.5], [0.0, 1.0, 1.0]])
_STACK = t(1, 4, 3, values=[_TALL.values])
_WIDE = t(2, 3, values=[[2.0, 1.0, 0.5], [0.5, -3.0, 1.0]])
_SQUARE = t(3, 3, values=[[4.0, 1.0, -1.0], [0.5, 3.0, 0.25], [1.0, -0.5, 2.0]])
_BATCH = t(2, 2, 2, values=[[[2.0, 1.0], [0.5, 3.0]], [[1.0, -1.0], [2.0, 0.5]]])
_HERMITIAN = t(3, 3, values=[[4.0, 1.0, 0.5], [1.0, 3.0, 0.25], [0.5, 0.25, 2.0]])
_SMALL = t(2, 2, values=[[0.25, -0.5], [0.5, 0.125]])
_COMPLEX = tc(2, 2, values=[[0.25, -0.5j], [0.5, 0.125]])
_SWIRL = tc(1, 1, values=[[1.0j]])
_SINGULAR = t(3, 3, values=[[1.0, 2.0, 3.0], [2.0, 4.0, 6.0], [0.0, 1.0, 1.0]])

# rank, condition -------------------------------------------------------------------------------


def _number(x: Any) -> float | None:
    return None if x is None else float(x)


@composite(
    namespaces=("linalg",),
    samples=(S(_TALL), S(_BATCH), S(_SINGULAR),
             S(_TALL, tol=2.0), S(_HERMITIAN, hermitian=True)),
)  # fmt: skip
def matrix_rank(
    A: Any,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Any:
    """How many singular values of matrices count as larger than 0.

    Args:
        A: (..., n, m).
        tol: the least singular value that counts (the old name of ``atol``).
        hermitian: ``A`` is Hermitian.
        atol: the least singular value that counts.
        rtol: the same, relative to the largest one.

    See https://pytorch.org/docs/stable/generated/torch.linalg.matrix_rank.html.

    >>> import rushlight as torch
    >>> torch.linalg.matrix_rank(torch.ones(2, 2))
    tensor(1)
    """
    require_matrix(tensor_meta(A, "linalg.matrix_rank"), "torch.linalg.matrix_rank", "input")
    if tol is not None:
        atol, rtol = tol, 0.0
    values = eigvalsh(A).abs() if hermitian else svdvals(A)
    if not values.shape[-1]:
        return constant(np.zeros(tuple(values.shape[:-1]), np.int64))
    if rtol is None:
        eps = float(np.finfo(values.dtype.numpy).eps)
        rtol = 0.0 if _number(atol) else max(A.shape[-2:]) * eps
    least = values.amax(-1, True) * rtol
    if atol is not None:
        least = least.clamp_min(_number(atol))
    return (values > least).sum(-1, dtype=int64)


# pseudo-inverse, least squares -----------------------------------------------------------------


def _pinv(a: Any, atol: Any, rtol: Any, hermitian: bool) -> Any:
    tensor_meta(a, "linalg.pinv")
    return hooks.record(records.pinv, (a,), (_number(atol), _number(rtol), bool(hermitian)))


@composite(
    namespaces=("linalg",),
    samples=(S(_TALL), S(_WIDE), S(_BATCH), S(_SQUARE, atol=0.5),
             Sample((_HERMITIAN,), {"hermitian": True}, check_grad=False),
             S(t(0, 3))),
)  # fmt: skip
def pinv(
    A: Any,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Any:
    """The pseudo-inverses of matrices.

    Args:
        A: (..., n, m).
        rcond: the old name of ``rtol``.
        hermitian: ``A`` is Hermitian.
        atol: singular values up to it count as 0.
        rtol: the same, relative to the largest one.

    Returns:
        (..., m, n).

    See https://pytorch.org/docs/stable/generated/torch.linalg.pinv.html.

    >>> import rushlight as torch
    >>> torch.linalg.pinv(torch.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return _pinv(A, atol, rcond if rtol is None else rtol, hermitian)


@composite(method=True, samples=(S(_STACK), S(_BATCH)))
def pinverse(input: Any, rcond: float = 1e-15) -> Any:
    """The pseudo-inverses of matrices, see ``torch.linalg.pinv``.

    >>> import rushlight as torch
    >>> torch.pinverse(torch.tensor([[2.0], [0.0]]))
    tensor([[0.5000, 0.0000]])
    """
    return _pinv(input, None, rcond, False)


@composite(
    namespaces=("linalg",),
    samples=(S(_STACK, t(1, 4, 2)), S(_STACK, t(1, 4)), S(_WIDE, t(2, 1)), S(_BATCH, t(2, 2, 3))),
)
def lstsq(A: Any, B: Any, rcond: Any = None, *, driver: Any = None) -> Any:
    """The ``X`` for which ``A X`` is nearest to ``B``; the shortest one where there are many.

    Args:
        A: (..., n, m).
        B: (..., n, k), or vectors (..., n).
        rcond: singular values count as 0 up to this share of the largest one.
        driver: LAPACK's method ``"gelsy"``, ``"gels"``, ``"gelsd"`` or ``"gelss"``; all are
            computed by singular values, and the last two also return these.

    Returns:
        A named tuple ``(solution, residuals, rank, singular_values)``.

    See https://pytorch.org/docs/stable/generated/torch.linalg.lstsq.html.

    >>> import rushlight as torch
    >>> a, b = torch.tensor([[1.0], [1.0]]), torch.tensor([[1.0], [3.0]])
    >>> torch.linalg.lstsq(a, b).solution
    tensor([[2.]])
    """
    if driver not in (None, "gelsy", "gels", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    require_matrix(tensor_meta(A, "torch.linalg.lstsq"), "torch.linalg.lstsq", "input")
    vector = B.ndim == A.ndim - 1 and (B.ndim == 1 or tuple(B.shape[:-1]) == tuple(A.shape[:-2]))
    made, residuals = hooks.record(records.lstsq, (A, B), (_number(rcond), vector))
    empty = constant(np.zeros(0, A.dtype.to_real().numpy))
    if driver not in (None, "gelsy") and A.shape[-2] > A.shape[-1]:
        columns = (made.unsqueeze(-1), B.unsqueeze(-1)) if vector else (made, B)
        residuals = ((A @ columns[0] - columns[1]).abs() ** 2).sum(-2)
    known = A.detach()
    if driver == "gels":
        rank = constant(np.zeros(0, np.int64))
    elif B.numel():
        rank = matrix_rank(known, rtol=_number(rcond))
    else:
        rank = constant(np.zeros(tuple(A.shape[:-2]), np.int64))
    values = svdvals(known) if driver in ("gelsd", "gelss") else empty
    return return_types.linalg_lstsq(made, residuals, rank, values)


# functions of matrices -------------------------------------------------------------------------


@composite(
    namespaces=("torch", "linalg"),
    method=True,
    samples=(S(_COMPLEX), S(_SWIRL), S(_SMALL), S(_BATCH)),
)
def matrix_exp(input: Any) -> Any:
    """The exponentials of square matrices: ``1 + A + A A / 2 + ...``.

    See https://pytorch.org/docs/stable/generated/torch.linalg.matrix_exp.html.

    >>> import rushlight as torch
    >>> torch.matrix_exp(torch.zeros(2, 2))
    tensor([[1., 0.],
            [0., 1.]])
    """
    tensor_meta(input, "linalg.matrix_exp")
    return hooks.record(records.matrix_exp, (input,), ())


@composite(
    namespaces=("linalg",),
    samples=(S(_SQUARE), S(_TALL, 2), S(_TALL, -2), Sample((_SQUARE, 1), check_grad=False),
             Sample((_SQUARE, "fro"), check_grad=False), Sample((_BATCH, inf), check_grad=False)),
)  # fmt: skip
def cond(A: Any, p: Any = None) -> Any:
    """How much errors grow when ``A`` is inverted: the norm of ``A`` times that of its inverse.

    See https://pytorch.org/docs/stable/generated/torch.linalg.cond.html.

    >>> import rushlight as torch
    >>> torch.linalg.cond(torch.tensor([[2.0, 0.0], [0.0, 1.0]]))
    tensor(2.)
    """
    meta = tensor_meta(A, "linalg.cond")
    if p in (None, 2, -2):
        values = svdvals(A)
        largest, smallest = values.select(-1, 0), values.select(-1, -1)
        return smallest / largest if p == -2 else largest / smallest
    records.require_square(meta, f"linalg.cond(ord={p})")
    size = matrix_norm(hooks.record(inverse_or_infinite, (A,), ()), p)
    return where_op(size == inf, inf, matrix_norm(A, p) * size)


@composite(namespaces=("linalg",), samples=(S(t(3)), S(ti(2, 3), N=4)))
def vander(x: Any, N: Any = None) -> Any:
    """The powers 0, 1, ..., N - 1 of the elements of vectors (..., n): (..., n, N).

    >>> import rushlight as torch
    >>> torch.linalg.vander(torch.tensor([1, 2, 3]))
    tensor([[1, 1, 1],
            [1, 2, 4],
            [1, 3, 9]])
    """
    count = (x.shape[-1] if x.ndim else 1) if N is None else N
    if count <= 1:
        raise RuntimeError("N must be greater than 1.")
    if not x.ndim:
        x = x.unsqueeze(0)
    powers = cumprod(x.unsqueeze(-1).expand((*x.shape, count - 1)), -1)
    return cat([powers.new_ones((*x.shape, 1)), powers], -1)


@composite(
    namespaces=("linalg",),
    samples=(S(t(3, 4), t(3, 4)), S(t(3, 4), t(4)), S(t(3, 4), t(3, 4), dim=0), S(tc(3), tc(3))),
)
def vecdot(x: Any, y: Any, *, dim: int = -1) -> Any:
    """The dot products of vectors along ``dim``, the first ones conjugated.

    >>> import rushlight as torch
    >>> torch.linalg.vecdot(torch.tensor([[1, 2], [3, 4]]), torch.tensor([1, 1]))
    tensor([3, 7])
    """
    if x.ndim == y.ndim == 1:
        return vdot(x, y)
    return (conj(x) * y).sum(dim)


def _require_square_sides(a: Any, left: int, condition: str) -> tuple[int, int]:
    first, second = prod(a.shape[:left]), prod(a.shape[left:])
    if first != second:
        raise RuntimeError(
            f"Expected self to satisfy the requirement {condition}, but got {second} != {first}"
        )
    return first, second


@composite(namespaces=("linalg",), samples=(S(t(2, 2, 4, values=np.eye(4).reshape(2, 2, 4) + 0.1)),
                                            S(_SQUARE, ind=1)))  # fmt: skip
def tensorinv(A: Any, ind: int = 2) -> Any:
    """The inverse of ``A`` seen as a matrix: its first ``ind`` axes are the rows.

    >>> import rushlight as torch
    >>> torch.linalg.tensorinv(torch.eye(4).reshape(2, 2, 4)).shape
    torch.Size([4, 2, 2])
    """
    if ind <= 0:
        raise RuntimeError("Expected a strictly positive integer for 'ind'")
    sides = _require_square_sides(A, ind, "prod(self.shape[ind:]) == prod(self.shape[:ind])")
    return inv(A.reshape(sides)).reshape((*A.shape[ind:], *A.shape[:ind]))


@composite(
    namespaces=("linalg",),
    samples=(S(t(2, 2, 4, values=np.eye(4).reshape(2, 2, 4) + 0.1), t(2, 2)), S(_SQUARE, t(3))),
)
def tensorsolve(A: Any, B: Any, dims: Any = None) -> Any:
    """The ``X`` whose product with ``A`` over all axes of ``X`` is ``B``.

    >>> import rushlight as torch
    >>> torch.linalg.tensorsolve(torch.eye(4).reshape(2, 2, 4), torch.ones(2, 2))
    tensor([1., 1., 1., 1.])
    """
    if dims is not None:
        A = A.movedim(tuple(dims), tuple(range(A.ndim - len(dims), A.ndim)))
    condition = "prod(self.shape[other.ndim:]) == prod(self.shape[:other.ndim])"
    sides = _require_square_sides(A, B.ndim, condition)
    return solve(A.reshape(sides), B.reshape((-1,))).reshape(A.shape[B.ndim :])


@composite(
    name="matmul", namespaces=("linalg",), samples=(S(t(3, 4), t(4, 2)), S(t(2, 3, 4), t(4, 2)))
)
def linalg_matmul(input: Any, other: Any) -> Any:
    """The matrix product over the last two axes, see ``torch.matmul``.

    >>> import rushlight as torch
    >>> torch.linalg.matmul(torch.ones(1, 2), torch.ones(2, 1))
    tensor([[2.]])
    """
    return matmul(input, other)


@composite(namespaces=("linalg",), samples=(S(t(3, 3)), S(t(2, 3, 4), offset=1, dim1=0, dim2=2)))
def diagonal(A: Any, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Any:
    """The diagonals of matrices, as a view.

    >>> import rushlight as torch
    >>> torch.linalg.diagonal(torch.tensor([[1, 2], [3, 4]]))
    tensor([1, 4])
    """
    return A.diagonal(offset, dim1, dim2)


@composite(method=True, samples=(S(t(3, 3)), S(t(2, 4)), S(ti(3, 3))))
def trace(input: Any) -> Any:
    """The sum of the diagonal of a matrix.

    >>> import rushlight as torch
    >>> torch.trace(torch.tensor([[1, 2], [3, 4]]))
    tensor(5)
    """
    tensor_meta(input, "trace")
    return hooks.record(trace_record, (input,), ())
