"""PyTorch's faces of softmax and its logarithm."""

from __future__ import annotations

import warnings
from typing import Any

from rushlight.engine.ir.op import Op, composite
from rushlight.engine.ir.samples import S, t
from rushlight.engine.ops import softmax as records
from rushlight.engine.ops.reduce_select import one_axis, tensor_meta


def _record(op: Op, input: Any, dim: Any, dtype: Any, name: str) -> Any:
    if dim is None:
        raise TypeError(f'{name}() missing 1 required positional arguments: "dim"')
    axis = one_axis(dim, tensor_meta(input, name).ndim, name)
    return op.fixed(axis, dtype)(input)


def _implicit_dim(name: str, ndim: int, stacklevel: int) -> int:
    """The axis the old functions took when none was given, with PyTorch's warning."""
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include "
        "dim=X as an argument.",
        UserWarning,
        stacklevel=stacklevel + 2,
    )
    return 0 if ndim in (0, 1, 3) else 1


_SAMPLES = (S(t(3, 4), 1), S(t(3, 4), dim=0), S(t(2, 3, 4), -1), S(t(2, 3, 4), 1), S(t(5), 0),
            S(t(), 0), S(t(0, 3), 1), S(t(2, values=[1000.0, 0.0]), 0))  # fmt: skip


@composite(namespaces=("torch", "special"), method=True, samples=_SAMPLES)
def softmax(input: Any, dim: Any = None, dtype: Any = None, *, axis: Any = None) -> Any:
    """Exponentials along ``dim``, divided by their sum: positive numbers that add up to 1.

    Args:
        input: floating-point, any shape.
        dim: the axis along which the numbers add up to 1.
        dtype: the type to compute in and to return.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html.

    >>> import rushlight as torch
    >>> torch.softmax(torch.zeros(2, 4), dim=1)[0]
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """
    return _record(records.softmax, input, dim if axis is None else axis, dtype, "softmax")


@composite(namespaces=("torch", "special"), method=True, samples=_SAMPLES)
def log_softmax(input: Any, dim: Any = None, dtype: Any = None, *, axis: Any = None) -> Any:
    """The logarithm of :func:`softmax`, computed without losing small numbers.

    Args:
        input: floating-point, any shape.
        dim: the axis along which the probabilities add up to 1.
        dtype: the type to compute in and to return.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html.

    >>> import rushlight as torch
    >>> torch.log_softmax(torch.zeros(4), dim=0)
    tensor([-1.3863, -1.3863, -1.3863, -1.3863])
    """
    return _record(records.log_softmax, input, dim if axis is None else axis, dtype, "log_softmax")


@composite(name="softmax", namespaces=("nn.functional",), samples=_SAMPLES)
def functional_softmax(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """Exponentials along ``dim``, divided by their sum.

    Args:
        input: floating-point, any shape.
        dim: the axis along which the numbers add up to 1.
        dtype: the type to compute in and to return.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.softmax.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.softmax(torch.zeros(2), dim=0)
    tensor([0.5000, 0.5000])
    """
    if dim is None:
        dim = _implicit_dim("softmax", tensor_meta(input, "softmax").ndim, _stacklevel)
    return _record(records.softmax, input, dim, dtype, "softmax")


@composite(name="log_softmax", namespaces=("nn.functional",), samples=_SAMPLES)
def functional_log_softmax(
    input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None
) -> Any:
    """The logarithm of the softmax along ``dim``.

    Args:
        input: floating-point, any shape.
        dim: the axis along which the probabilities add up to 1.
        dtype: the type to compute in and to return.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.log_softmax.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.log_softmax(torch.zeros(2), dim=0)
    tensor([-0.6931, -0.6931])
    """
    if dim is None:
        dim = _implicit_dim("log_softmax", tensor_meta(input, "log_softmax").ndim, _stacklevel)
    return _record(records.log_softmax, input, dim, dtype, "log_softmax")


@composite(namespaces=("nn.functional",), samples=_SAMPLES)
def softmin(input: Any, dim: Any = None, _stacklevel: int = 3, dtype: Any = None) -> Any:
    """The softmax of ``-input`` along ``dim``.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.softmin.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.softmin(torch.tensor([0.0, 1.0]), dim=0)
    tensor([0.7311, 0.2689])
    """
    if dim is None:
        dim = _implicit_dim("softmin", tensor_meta(input, "softmin").ndim, _stacklevel)
    return _record(records.softmax, -input, dim, dtype, "softmin")
