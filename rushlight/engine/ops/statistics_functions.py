"""PyTorch's faces of the spread of numbers: variance, standard deviation, covariance."""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.engine.core.dtype import BOOL, FLOATING, INTEGRAL, SCALAR_NAMES
from rushlight.engine.ir.op import Op, composite, hooks
from rushlight.engine.ir.samples import S, t, tc, ti
from rushlight.engine.ops import statistics
from rushlight.engine.ops.complex import complex_
from rushlight.engine.ops.reduce import axes, reduced_count
from rushlight.engine.ops.reduce_select import tensor_meta


def _spread(
    op: Op, name: str, input: Any, dim: Any, unbiased: Any, keepdim: bool, correction: Any
) -> Any:
    meta = tensor_meta(input, name)
    if isinstance(dim, bool):  # the old form var(input, unbiased)
        dim, unbiased = None, dim
    if correction is None:
        correction = 1 if unbiased is None or unbiased else 0
    dims = axes(dim, meta.ndim)
    if reduced_count(meta, dims) - correction <= 0 < meta.numel:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel). Take correction=0 for a "
            "single number.",
            UserWarning,
            stacklevel=4,
        )
    return hooks.record(op, (input,), (dims, correction, keepdim))


_SPREAD = (
    S(t(3, 4)), S(t(3, 4), 0), S(t(3, 4), -1, False), S(t(3, 4), 1, True, True), S(t(3, 4), False),
    S(t(2, 3, 4), (0, 2)), S(t(3, 4), dim=1, correction=0, keepdim=True), S(t(3), unbiased=False),
    S(tc(4)), S(t(5), correction=2),
)  # fmt: skip


@composite(method=True, samples=_SPREAD)
def var(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
    axis: Any = None,
) -> Any:
    """The variance of all elements or along ``dim``: squares of distances over n - correction.

    Args:
        input: floating-point or complex.
        dim: one axis or several; all if absent.
        unbiased: the old spelling, ``True`` for ``correction=1``, ``False`` for ``correction=0``.
        keepdim: leave the axes as axes of size 1.
        correction: what is taken off the number of elements, 1 by default.

    See https://pytorch.org/docs/stable/generated/torch.var.html.

    >>> import rushlight as torch
    >>> torch.var(torch.tensor([1.0, 2.0, 3.0]))
    tensor(1.)
    """
    dim = dim if axis is None else axis
    return _spread(statistics.var, "var", input, dim, unbiased, keepdim, correction)


@composite(method=True, samples=_SPREAD)
def std(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
    axis: Any = None,
) -> Any:
    """The standard deviation: the root of the variance (see :func:`var` for the arguments).

    See https://pytorch.org/docs/stable/generated/torch.std.html.

    >>> import rushlight as torch
    >>> torch.std(torch.tensor([1.0, 2.0, 3.0]), correction=0)
    tensor(0.8165)
    """
    dim = dim if axis is None else axis
    return _spread(statistics.std, "std", input, dim, unbiased, keepdim, correction)


@composite(samples=_SPREAD)
def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """Variance and mean in one go (see :func:`var` for the arguments).

    >>> import rushlight as torch
    >>> torch.var_mean(torch.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    return _spread(statistics.var_mean, "var_mean", input, dim, unbiased, keepdim, correction)


@composite(samples=_SPREAD)
def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: Any = None,
    keepdim: bool = False,
    *,
    correction: Any = None,
) -> Any:
    """Standard deviation and mean in one go (see :func:`var` for the arguments).

    >>> import rushlight as torch
    >>> torch.std_mean(torch.tensor([1.0, 2.0, 3.0]))
    (tensor(1.), tensor(2.))
    """
    return _spread(statistics.std_mean, "std_mean", input, dim, unbiased, keepdim, correction)


# covariance ------------------------------------------------------------------------------------


def _check_weights(weights: Any, name: str, count: int, category: int) -> None:
    kind = "integral" if category == INTEGRAL else "floating point"
    if weights.ndim > 1:
        raise RuntimeError(
            f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
            f"{weights.ndim} dimensions"
        )
    if weights.dtype.category != category:
        raise RuntimeError(
            f"cov(): expected {name} to have {kind} dtype but got {name} with "
            f"{SCALAR_NAMES[weights.dtype]} dtype"
        )
    if weights.numel() != count:
        raise RuntimeError(
            f"cov(): expected {name} to have the same numel as there are observations in the "
            f"input but got {weights.numel()} != {count}"
        )


_COV = (S(t(3, 5)), S(t(5)), S(t(3, 5), correction=0),
        S(t(3, 5, grad=False), fweights=ti(5, low=1, high=4)),
        S(t(3, 5, grad=False), aweights=t(5, low=0.5, grad=False)), S(tc(2, 4)),
        S(t(3, 5), fweights=ti(5, low=1, high=4), aweights=t(5, low=0.5, grad=False)))  # fmt: skip


@composite(method=True, samples=_COV)
def cov(input: Any, *, correction: int = 1, fweights: Any = None, aweights: Any = None) -> Any:
    """The covariances of the rows of ``input``; its columns are the observations.

    Args:
        input: (variables, observations), or one variable (observations).
        correction: what is taken off the number of observations.
        fweights: how often each observation counts, integers.
        aweights: how much each observation weighs, floating point.

    See https://pytorch.org/docs/stable/generated/torch.cov.html.

    >>> import rushlight as torch
    >>> torch.cov(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    meta = tensor_meta(input, "cov")
    if meta.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{meta.ndim} dimensions"
        )
    if meta.dtype.category == BOOL:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    rows = input.reshape((1, -1)) if meta.ndim < 2 else input
    count = rows.shape[1]
    weights = None
    if fweights is not None:
        _check_weights(fweights, "fweights", count, INTEGRAL)
        weights = fweights
    if aweights is not None:
        _check_weights(aweights, "aweights", count, FLOATING)
        weights = aweights if weights is None else weights * aweights
    if weights is None:
        total, center = count, rows.sum(1, True) / count
    else:
        total = weights.sum()
        if total.item() == 0:
            raise RuntimeError("cov(): weights sum to zero, can't be normalized")
        center = (rows * weights).sum(1, True) / total
    if correction and aweights is not None:
        taken = correction * (weights * aweights).sum() / total
    else:
        taken = correction
    freedom = total - taken if weights is not None else float(max(total - taken, 0))
    centered = rows - center
    weighted = centered if weights is None else centered * weights
    made = centered @ weighted.t().conj() / freedom
    return made.squeeze()


@composite(method=True, samples=(S(t(3, 5)), S(t(5)), S(tc(2, 4))))
def corrcoef(input: Any) -> Any:
    """The correlation coefficients of the rows of ``input``; its columns are the observations.

    See https://pytorch.org/docs/stable/generated/torch.corrcoef.html.

    >>> import rushlight as torch
    >>> torch.corrcoef(torch.tensor([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]]))
    tensor([[ 1., -1.],
            [-1.,  1.]])
    """
    meta = tensor_meta(input, "corrcoef")
    if meta.ndim > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{meta.ndim} dimensions"
        )
    covariance = cov(input)
    if covariance.ndim == 0:
        return covariance / covariance
    deviation = covariance.diagonal().sqrt()
    ratio = covariance / deviation.reshape((-1, 1)) / deviation.reshape((1, -1))
    if ratio.dtype.is_complex:
        return complex_(ratio.real.clip(-1, 1), ratio.imag.clip(-1, 1))
    return ratio.clip(-1, 1)
