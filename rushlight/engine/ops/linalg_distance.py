"""Distances and angles between vectors."""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES
from rushlight.engine.core.shape import broadcast_shapes
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import MATMUL, OTHER, REDUCTION, Op, Spec, composite, constant, hooks
from rushlight.engine.ir.samples import S, t, tc
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import result_type
from rushlight.engine.ops.linalg_norm import vector_norm
from rushlight.engine.ops.matmul import conj, in_compute_type, product
from rushlight.engine.ops.matmul_functions import require_tensor
from rushlight.engine.ops.reduce import axes
from rushlight.engine.ops.reduce_norm import norm_grad, pairwise_norm
from rushlight.engine.ops.reduce_select import one_axis

Array = np.ndarray

# between rows of two matrices ------------------------------------------------------------------


def _rows_infer(x1: Meta, x2: Meta, p: float, multiply: bool) -> Meta:
    batch = broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    return make_meta((*batch, x1.shape[-2], x2.shape[-2]), x1.dtype)


def length(gap: Array, p: float) -> Array:
    """The p-norm along the last axis; 0 where that has no elements."""
    size = np.abs(gap)
    if p == 2:
        return np.sqrt(np.add.reduce(size * size, axis=-1))
    if p == inf:
        return np.asarray(np.max(size, axis=-1, initial=0))
    if p == 0:
        return np.add.reduce(size != 0, axis=-1, dtype=size.dtype)
    return np.asarray(np.add.reduce(size**p, axis=-1) ** size.dtype.type(1 / p))


def _rows_kernel(spec: Spec, p: float, multiply: bool) -> Callable[[Array, Array], Array]:
    def by_product(x: Array, y: Array) -> Array:
        made = np.matmul(x, y.swapaxes(-1, -2))
        made *= -2
        made += np.add.reduce(x * x, axis=-1, keepdims=True)
        made += np.add.reduce(y * y, axis=-1)[..., None, :]
        np.maximum(made, 0, out=made)
        return np.sqrt(made, out=made)

    def by_difference(x: Array, y: Array) -> Array:
        return length(x[..., :, None, :] - y[..., None, :, :], p)

    return in_compute_type(spec, by_product if multiply else by_difference)


def gap_grad(g: Any, gap: Any, result: Any, p: float) -> Any:
    """The gradient of p-norms along the last axis."""
    if p == 0 or not gap.shape[-1]:
        return gap * 0.0
    return norm_grad(g, gap, result, gap._value.meta, p, (gap.ndim - 1,), False)


def _rows_grad(
    g: Any, x1: Any, x2: Any, result: Any, p: float, needs: tuple[bool, bool]
) -> tuple[Any, Any]:
    first = second = None
    if p == 2:
        weight = where_op(result == 0, 0.0, g / result)
        if needs[0]:
            first = weight.sum(-1, True) * x1 - product(weight, x2)
        if needs[1]:
            second = weight.sum(-2).unsqueeze(-1) * x2 - product(weight, x1, True, False)
        return first, second
    to_gap = gap_grad(g, x1.unsqueeze(-2) - x2.unsqueeze(-3), result, p)
    return to_gap.sum(-2), -to_gap.sum(-3)


distances = Op(
    "distances(Tensor x1, Tensor x2, float p, bool multiply)",
    kind=MATMUL,
    infer=_rows_infer,
    kernel=_rows_kernel,
    grad={"x1, x2": _rows_grad},
    grad_name="Cdist",
)

_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)
_CDIST = (
    S(t(3, 4), t(5, 4)), S(t(2, 3, 4), t(2, 5, 4)), S(t(2, 3, 4), t(5, 4)),
    S(t(3, 4), t(5, 4), 1.0), S(t(3, 4), t(5, 4), p=inf), S(t(3, 4), t(5, 4), p=3.0),
    S(t(3, 4), t(5, 4), p=0.0), S(t(0, 4), t(5, 4)), S(t(30, 3), t(4, 3)),
)  # fmt: skip


@composite(samples=_CDIST)
def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = _MODES[0]) -> Any:
    """The p-norm distances between all rows of ``x1`` and all rows of ``x2``.

    Args:
        x1: (..., n, k).
        x2: (..., m, k).
        p: the norm, from 0 to infinity.
        compute_mode: whether Euclidean distances of more than 25 rows are computed by a matrix
            product, always or never.

    Returns:
        (..., n, m).

    See https://pytorch.org/docs/stable/generated/torch.cdist.html.

    >>> import rushlight as torch
    >>> torch.cdist(torch.zeros(1, 2), torch.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    for number, x in ((1, x1), (2, x2)):
        require_tensor(x, "cdist", f"x{number}", number)
        if x.ndim < 2:
            raise RuntimeError(f"cdist only supports at least 2D tensors, X{number} got: {x.ndim}D")
    if x1.dtype.category < FLOATING or x2.dtype.category < FLOATING:
        wrong = 1 if x1.dtype.category < FLOATING else 2
        found = (x1, x2)[wrong - 1].dtype
        raise RuntimeError(f"cdist only supports floating-point dtypes, X{wrong} got: {found.name}")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if compute_mode not in _MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    many = x1.shape[-2] > 25 or x2.shape[-2] > 25
    multiply = compute_mode == _MODES[1] or (compute_mode == _MODES[0] and many)
    return hooks.record(distances, (x1, x2), (float(p), p == 2 and multiply))


_PDIST = (S(t(4, 3)), S(t(4, 3), 1.0), S(t(1, 3)), S(t(5, 2), p=inf))


def _pairs(count: int) -> tuple[Array, Array]:
    """The first and the second row of every pair."""
    first, second = np.triu_indices(count, 1)
    return first, second


def _pairs_infer(input: Meta, p: float) -> Meta:
    if input.ndim != 2:
        raise RuntimeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if input.dtype.category < FLOATING:
        raise RuntimeError("pdist only supports floating-point dtypes")
    n = input.shape[0]
    return make_meta((n * (n - 1) // 2,), input.dtype)


def _pairs_kernel(spec: Spec, p: float) -> Callable[[Array], Array]:
    source = spec.inputs[0]
    assert source is not None
    first, second = _pairs(source.shape[0])
    return in_compute_type(spec, lambda x: length(x[first] - x[second], p))


def _pairs_grad(g: Any, input: Any, result: Any, p: float) -> Any:
    rows = input.shape[0]
    first, second = _pairs(rows)
    gap = input.index_select(0, constant(first)) - input.index_select(0, constant(second))
    signs = np.zeros((len(first), rows), input.dtype.numpy)
    signs[np.arange(len(first)), first] = 1
    signs[np.arange(len(first)), second] = -1
    return product(constant(signs), gap_grad(g, gap, result, p), True, False)


pairs = Op(
    "pairs(Tensor input, float p)",
    kind=OTHER,
    infer=_pairs_infer,
    kernel=_pairs_kernel,
    grad={"input": _pairs_grad},
    grad_name="Pdist",
)


@composite(namespaces=("torch", "nn.functional"), samples=_PDIST)
def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances between every two rows of ``input`` (n, k): (n (n - 1) / 2).

    >>> import rushlight as torch
    >>> torch.pdist(torch.tensor([[0.0, 0.0], [3.0, 4.0], [0.0, 1.0]]))
    tensor([5.0000, 1.0000, 4.2426])
    """
    require_tensor(input, "pdist", "input", 1)
    return hooks.record(pairs, (input,), (float(p),))


# between two tensors ---------------------------------------------------------------------------


def _whole_infer(input: Meta, other: Meta, p: float) -> Meta:
    shape = broadcast_shapes(input.shape, other.shape)
    if p == inf and 0 in shape:
        raise RuntimeError(
            "linalg.vector_norm cannot compute the inf norm on an empty tensor because the "
            "operation does not have an identity"
        )
    made = result_type((input, other))
    if made.category < FLOATING:
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{SCALAR_NAMES[made]} instead."
        )
    return make_meta((), made.to_real())


def _whole_grad(g: Any, input: Any, other: Any, result: Any, p: float) -> tuple[Any, Any]:
    gap = input - other
    if p == 0:
        return gap * 0.0, gap * 0.0
    dims = tuple(range(gap.ndim))
    made = norm_grad(g, gap, result, gap._value.meta, p, dims, False)
    return made, -made


whole = Op(
    "dist_(Tensor input, Tensor other, float p)",
    kind=REDUCTION,
    infer=_whole_infer,
    kernel=lambda spec, p: in_compute_type(
        spec, lambda x, y: np.asarray(length(np.asarray(x - y).reshape(-1), p))
    ),
    grad={"input, other": _whole_grad},
    grad_name="Dist",
)


@composite(
    method=True,
    samples=(S(t(3, 4), t(3, 4)), S(t(3), t(3), 1), S(t(3, 4), t(4), p=inf), S(t(3), t(3), 3.5)),
)
def dist(input: Any, other: Any, p: float = 2) -> Any:
    """The p-norm of ``input - other``, over all elements.

    >>> import rushlight as torch
    >>> torch.dist(torch.zeros(2), torch.tensor([3.0, 4.0]))
    tensor(5.)
    """
    require_tensor(input, "dist", "input", 1)
    require_tensor(other, "dist", "other", 2)
    return hooks.record(whole, (input, other), (float(p),))


@composite(
    namespaces=("torch", "nn.functional"),
    samples=(S(t(3, 4), t(3, 4)), S(t(3, 4), t(3, 4), p=1.0), S(t(3, 4), t(4), 2.0, 1e-6, True),
             S(t(4), t(4))),
)  # fmt: skip
def pairwise_distance(
    x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False
) -> Any:
    """The p-norm of ``x1 - x2 + eps`` along the last axis.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.pairwise_distance.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.pairwise_distance(torch.zeros(1, 2), torch.tensor([[3.0, 4.0]]))
    tensor([5.0000])
    """
    gap = x1 - x2 + eps
    attrs = (float(p), axes(-1, gap.ndim), bool(keepdim), None)
    return hooks.record(pairwise_norm, (gap,), attrs)


@composite(
    namespaces=("torch", "nn.functional"),
    samples=(S(t(3, 4), t(3, 4)), S(t(3, 4), t(3, 4), 0), S(t(3, 4), t(4)),
             S(t(2, 3, 4), t(3, 4), 2), S(t(4), t(4), dim=0), S(t(2, 4, 2), t(1)),
             S(t(3, 1), t(3, 5), 1)),
)  # fmt: skip
def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along ``dim``.

    Args:
        x1: any shape.
        x2: broadcasts with ``x1``.
        dim: the axis of the vectors, counted in the common shape.
        eps: the least length a vector is divided by.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.cosine_similarity.html.

    >>> import rushlight as torch
    >>> a, b = torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 1.0]])
    >>> torch.nn.functional.cosine_similarity(a, b)
    tensor([0.7071])
    """
    ndim = max(x1.ndim, x2.ndim)
    shape = broadcast_shapes(x1.shape, x2.shape)
    axis = one_axis(dim, ndim, "cosine_similarity")
    back = axis - ndim
    parts = []
    for x in (x1, x2):
        if -back > x.ndim:
            x = x.reshape((1,) * (ndim - x.ndim) + tuple(x.shape))
        if ndim and x.shape[back] != shape[axis]:  # the same number at every place of the vector
            x = x.expand([n if i == back else -1 for i, n in enumerate(shape[-x.ndim :], -x.ndim)])
        parts.append(x / vector_norm(x, 2, back, True).clamp_min(eps))
    return (parts[0] * parts[1]).sum(axis)


# cross products --------------------------------------------------------------------------------


def _cross_infer(input: Meta, other: Meta, dim: int) -> Meta:
    return input.like()


def _cross_kernel(spec: Spec, dim: int) -> Callable[[Array, Array], Array]:
    lead: tuple[Any, ...] = (slice(None),) * dim

    def cross(x: Array, y: Array) -> Array:
        made = np.empty(x.shape, x.dtype)
        for i in range(3):
            j, k = (*lead, (i + 1) % 3), (*lead, (i + 2) % 3)
            made[(*lead, i)] = x[j] * y[k] - x[k] * y[j]
        return made

    return in_compute_type(spec, cross)


cross_record: Op = Op(
    "cross_(Tensor input, Tensor other, int dim)",
    kind=OTHER,
    infer=_cross_infer,
    kernel=_cross_kernel,
    grad={
        "input": lambda g, other, dim: cross_record(conj(other), g, dim=dim),
        "other": lambda g, input, dim: cross_record(g, conj(input), dim=dim),
    },
    grad_name="LinalgCross",
)


def _cross(input: Any, other: Any, dim: int) -> Any:
    if input.ndim != other.ndim:
        raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
    axis = one_axis(dim, input.ndim, "linalg.cross")
    if input.shape[axis] != 3 or other.shape[axis] != 3:
        raise RuntimeError(
            f"linalg.cross: inputs dimension {dim} must have length 3. Got {input.shape[axis]} and "
            f"{other.shape[axis]}"
        )
    shape = broadcast_shapes(input.shape, other.shape)
    if input.dtype is not other.dtype:
        zero = (input.reshape(-1)[:1] + other.reshape(-1)[:1]).dtype
        input, other = input.to(zero), other.to(zero)
    first, second = (x if tuple(x.shape) == shape else x.expand(shape) for x in (input, other))
    return hooks.record(cross_record, (first, second), (axis,))


@composite(
    name="cross",
    namespaces=("linalg",),
    samples=(S(t(2, 3), t(2, 3)), S(t(3, 2), t(3, 2), dim=0), S(t(2, 3), t(1, 3)), S(tc(3), tc(3))),
)
def linalg_cross(input: Any, other: Any, *, dim: int = -1) -> Any:
    """The cross products of vectors of three elements along ``dim``.

    >>> import rushlight as torch
    >>> torch.linalg.cross(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]))
    tensor([0, 0, 1])
    """
    return _cross(input, other, dim)


@composite(
    method=True,
    samples=(S(t(2, 3), t(2, 3), 1), S(t(3, 3), t(3, 3)), S(t(2, 3, 2), t(2, 3, 2)), S(t(3), t(3))),
)
def cross(input: Any, other: Any, dim: int | None = None) -> Any:
    """The cross products of vectors of three elements along ``dim``.

    Args:
        input: a tensor with an axis of size 3.
        other: a tensor that broadcasts with ``input``.
        dim: that axis; the first one of size 3 if absent.

    See https://pytorch.org/docs/stable/generated/torch.cross.html.

    >>> import rushlight as torch
    >>> torch.cross(torch.tensor([1, 0, 0]), torch.tensor([0, 1, 0]), dim=0)
    tensor([0, 0, 1])
    """
    require_tensor(input, "cross", "input", 1)
    require_tensor(other, "cross", "other", 2)
    if dim is None:
        if 3 not in input.shape:
            raise RuntimeError("no dimension of size 3 in input")
        dim = tuple(input.shape).index(3)
    return _cross(input, other, dim)
