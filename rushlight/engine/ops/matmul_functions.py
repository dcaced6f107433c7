"""PyTorch's faces of the matrix products."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import composite, hooks
from rushlight.engine.ir.samples import S, t, tc, ti
from rushlight.engine.ops import matmul as products, matmul_added as added, view


def require_tensor(x: Any, function: str, name: str, position: int) -> None:
    """PyTorch's error for an argument that is no tensor."""
    if not isinstance(x, TensorBase):
        raise TypeError(
            f"{function}(): argument '{name}' (position {position}) must be Tensor, "
            f"not {x.__class__.__name__}"
        )


_MM = (S(t(3, 4), t(4, 2)), S(t(1, 4), t(4, 1)), S(t(0, 4), t(4, 2)), S(t(3, 0), t(0, 2)),
       S(ti(3, 2), ti(2, 4)), S(tc(2, 3), tc(3, 2)))  # fmt: skip


@composite(method=True, samples=_MM)
def mm(input: Any, mat2: Any) -> Any:
    """The product of two matrices.

    Args:
        input: (n, k).
        mat2: (k, m), of the same type.

    Returns:
        (n, m).

    See https://pytorch.org/docs/stable/generated/torch.mm.html.

    >>> import rushlight as torch
    >>> torch.mm(torch.ones(2, 3), torch.ones(3, 1))
    tensor([[3.],
            [3.]])
    """
    return hooks.record(products.mm, (input, mat2), ())


_BMM = (S(t(2, 3, 4), t(2, 4, 2)), S(t(1, 3, 4), t(1, 4, 2)), S(t(2, 3, 0), t(2, 0, 2)),
        S(t(0, 3, 4), t(0, 4, 2)), S(ti(2, 2, 2), ti(2, 2, 3)))  # fmt: skip


@composite(method=True, samples=_BMM)
def bmm(input: Any, mat2: Any) -> Any:
    """The products of two batches of matrices, matrix by matrix.

    Args:
        input: (b, n, k).
        mat2: (b, k, m), of the same type.

    Returns:
        (b, n, m).

    See https://pytorch.org/docs/stable/generated/torch.bmm.html.

    >>> import rushlight as torch
    >>> torch.bmm(torch.ones(5, 2, 3), torch.ones(5, 3, 4)).shape
    torch.Size([5, 2, 4])
    """
    return hooks.record(products.bmm, (input, mat2), ())


@composite(method=True, samples=(S(t(3, 4), t(4)), S(t(0, 4), t(4)), S(t(3, 0), t(0))))
def mv(input: Any, vec: Any) -> Any:
    """The product of a matrix (n, k) and a vector (k): a vector (n).

    >>> import rushlight as torch
    >>> torch.mv(torch.ones(2, 3), torch.ones(3))
    tensor([3., 3.])
    """
    return hooks.record(products.mv, (input, vec), ())


@composite(method=True, samples=(S(t(4), t(4)), S(t(0), t(0)), S(ti(3), ti(3)), S(tc(3), tc(3))))
def dot(input: Any, tensor: Any) -> Any:
    """The sum of the products of the elements of two vectors.

    >>> import rushlight as torch
    >>> torch.dot(torch.tensor([2, 3]), torch.tensor([2, 1]))
    tensor(7)
    """
    return hooks.record(products.dot, (input, tensor), ())


@composite(method=True, samples=(S(t(4), t(4)), S(tc(3), tc(3))))
def vdot(input: Any, other: Any) -> Any:
    """The dot product of two vectors, the first one conjugated.

    >>> import rushlight as torch
    >>> torch.vdot(torch.tensor([2, 3]), torch.tensor([2, 1]))
    tensor(7)
    """
    return hooks.record(products.vdot, (input, other), ())


_MATMUL = (
    S(t(3), t(3)), S(t(3, 4), t(4)), S(t(3), t(3, 4)), S(t(3, 4), t(4, 2)), S(t(2, 3, 4), t(4)),
    S(t(2, 3, 4), t(4, 2)), S(t(2, 3, 4), t(2, 4, 2)), S(t(2, 3, 4), t(1, 4, 2)),
    S(t(5, 2, 3, 4), t(2, 4, 2)), S(t(3, 4), t(2, 4, 2)), S(t(4), t(2, 4, 2)), S(ti(2, 3), ti(3)),
    S(t(0, 3, 4), t(4, 2)), S(tc(2, 3), tc(3, 2)),
)  # fmt: skip


@composite(method=True, samples=_MATMUL)
def matmul(input: Any, other: Any) -> Any:
    """The matrix product over the last two axes; the axes before them are batches and broadcast.

    A vector on the left counts as one row, a vector on the right as one column.

    See https://pytorch.org/docs/stable/generated/torch.matmul.html.

    >>> import rushlight as torch
    >>> torch.matmul(torch.ones(10, 3, 4), torch.ones(4, 5)).shape
    torch.Size([10, 3, 5])
    """
    try:
        ndim, ndim2 = input._value.meta.ndim, other._value.meta.ndim
    except AttributeError:
        require_tensor(input, "matmul", "input", 1)
        require_tensor(other, "matmul", "other", 2)
        raise
    if ndim == 2 and ndim2 == 2:
        return hooks.record(products.mm, (input, other), ())
    if ndim >= 2 and ndim2 >= 3:
        return hooks.record(products.batched, (input, other), (False, False))
    if ndim >= 3 and ndim2 == 2:
        return hooks.record(products.matmul_nn, (input, other), ())
    return _matmul_vector(input, other, ndim, ndim2)


def _matmul_vector(input: Any, other: Any, ndim: int, ndim2: int) -> Any:
    """``matmul`` where one of the factors is a vector."""
    if ndim == 0 or ndim2 == 0:
        raise RuntimeError(
            f"both arguments to matmul need to be at least 1D, but they are {ndim}D and {ndim2}D"
        )
    if ndim == 1 and ndim2 == 1:
        return dot(input, other)
    if ndim == 1 and ndim2 > 2:
        return matmul(view.transpose(other, dim0=ndim2 - 2, dim1=ndim2 - 1), input)
    if ndim == 1:
        row = view.unsqueeze(input, dim=0)
        return view.squeeze(matmul(row, other), dims=(ndim2 - 2,))
    if ndim == 2:
        return mv(input, other)
    shape = tuple(input.shape)
    return mv(input.reshape((prod(shape[:-1]), shape[-1])), other).reshape(shape[:-1])


_LINEAR = (
    S(t(3, 4), t(2, 4), t(2)), S(t(3, 4), t(2, 4)), S(t(2, 3, 4), t(2, 4), t(2)), S(t(4), t(2, 4)),
    S(t(2, 3, 4), t(2, 4)), S(t(4), t(2, 4), t(2)), S(t(0, 4), t(2, 4), t(2)), S(t(3, 4), t(4)),
    S(t(5, 2, 3, 4), t(2, 4), t(2)), S(t(3, 4), t(2, 4), t(1)),
)  # fmt: skip


@composite(namespaces=("nn.functional",), samples=_LINEAR)
def linear(input: Any, weight: Any, bias: Any = None) -> Any:
    """``input @ weight.T + bias``, for an input of any rank.

    Args:
        input: (..., k).
        weight: (n, k), or (k) for a single output without an axis.
        bias: (n), or ``None``.

    Returns:
        (..., n).

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.linear.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.linear(torch.ones(2, 3), torch.ones(1, 3), torch.ones(1))
    tensor([[4.],
            [4.]])
    """
    try:
        ndim, weight_ndim = input._value.meta.ndim, weight._value.meta.ndim
    except AttributeError:
        require_tensor(input, "linear", "input", 1)
        require_tensor(weight, "linear", "weight", 2)
        raise
    if ndim == 0 or weight_ndim != 2:
        return _linear_vector(input, weight, bias, ndim, weight_ndim)
    if bias is None:
        op = products.matmul_nt if ndim == 2 else products.matmul_nt_rows
        return op.quick(input, weight)
    op = products.linear if ndim == 2 else products.linear_rows
    return op.quick(bias, input, weight)


def _linear_vector(input: Any, weight: Any, bias: Any, ndim: int, weight_ndim: int) -> Any:
    """``linear`` with a weight that is a vector."""
    if ndim == 0 or weight_ndim == 0:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are {ndim}D and "
            f"{weight_ndim}D"
        )
    if weight_ndim != 1 or (bias is not None and ndim > 1):
        raise RuntimeError(f"mat2 must be a matrix, got {weight_ndim}-D tensor")
    made = matmul(input, weight)
    return made if bias is None else made + bias


# products added to a tensor --------------------------------------------------------------------


def _number(x: Any) -> Any:
    """A factor as the operators take it: ``None`` for 1."""
    if isinstance(x, TensorBase):
        x = x.item()
    return None if x.__class__ is not float and x == 1 else x


_ADDMM = (S(t(2), t(3, 4), t(4, 2)), S(t(3, 2), t(3, 4), t(4, 2), beta=0.5, alpha=2.0),
          S(t(2), t(3, 4), t(4, 2), beta=0), S(ti(3, 2), ti(3, 4), ti(4, 2), alpha=2),
          S(t(2), t(3, 0), t(0, 2)))  # fmt: skip


@composite(method=True, inplace=True, samples=_ADDMM)
def addmm(input: Any, mat1: Any, mat2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)``; with ``beta=0`` the input does not count at all.

    Args:
        input: broadcasts to (n, m).
        mat1: (n, k).
        mat2: (k, m).
        beta: factor of ``input``.
        alpha: factor of the product.

    See https://pytorch.org/docs/stable/generated/torch.addmm.html.

    >>> import rushlight as torch
    >>> torch.addmm(torch.ones(1), torch.ones(1, 2), torch.ones(2, 2), beta=10)
    tensor([[12., 12.]])
    """
    return hooks.record(added.addmm, (input, mat1, mat2, _number(beta), _number(alpha)), ())


_BADDBMM = (S(t(2), t(2, 3, 4), t(2, 4, 2)),
            S(t(2, 3, 2), t(2, 3, 4), t(2, 4, 2), beta=0.5, alpha=2.0))  # fmt: skip


@composite(method=True, inplace=True, samples=_BADDBMM)
def baddbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * bmm(batch1, batch2)``.

    Args:
        input: broadcasts to (b, n, m).
        batch1: (b, n, k).
        batch2: (b, k, m).
        beta: factor of ``input``.
        alpha: factor of the products.

    >>> import rushlight as torch
    >>> torch.baddbmm(torch.ones(1), torch.ones(1, 1, 3), torch.ones(1, 3, 2))
    tensor([[[4., 4.]]])
    """
    return hooks.record(added.baddbmm, (input, batch1, batch2, _number(beta), _number(alpha)), ())


_ADDBMM = (S(t(3, 2), t(2, 3, 4), t(2, 4, 2)),
           S(t(3, 2), t(2, 3, 4), t(2, 4, 2), beta=0.5, alpha=2.0))  # fmt: skip


@composite(method=True, inplace=True, samples=_ADDBMM)
def addbmm(input: Any, batch1: Any, batch2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * bmm(batch1, batch2).sum(0)``.

    >>> import rushlight as torch
    >>> torch.addbmm(torch.ones(1), torch.ones(2, 1, 3), torch.ones(2, 3, 2))
    tensor([[7., 7.]])
    """
    return hooks.record(added.addbmm, (input, batch1, batch2, _number(beta), _number(alpha)), ())


_ADDMV = (S(t(3), t(3, 4), t(4)), S(t(3), t(3, 4), t(4), beta=0.5, alpha=2.0))


@composite(method=True, inplace=True, samples=_ADDMV)
def addmv(input: Any, mat: Any, vec: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * (mat @ vec)``.

    >>> import rushlight as torch
    >>> torch.addmv(torch.ones(2), torch.ones(2, 3), torch.ones(3))
    tensor([4., 4.])
    """
    return hooks.record(added.addmv, (input, mat, vec, _number(beta), _number(alpha)), ())


_ADDR = (S(t(3, 4), t(3), t(4)), S(t(1), t(3), t(4), beta=0.5, alpha=2.0))


@composite(method=True, inplace=True, samples=_ADDR)
def addr(input: Any, vec1: Any, vec2: Any, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """``beta * input + alpha * outer(vec1, vec2)``.

    >>> import rushlight as torch
    >>> torch.addr(torch.zeros(2, 2), torch.tensor([1.0, 2.0]), torch.ones(2))
    tensor([[1., 1.],
            [2., 2.]])
    """
    return hooks.record(added.addr, (input, vec1, vec2, _number(beta), _number(alpha)), ())
