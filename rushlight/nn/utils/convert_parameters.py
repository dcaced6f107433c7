"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from rushlight._info import typename
from rushlight._tensor import Tensor
from rushlight.nn._torch import ops


def parameters_to_vector(parameters: Iterable[Any]) -> Any:
    """The parameters one after the other in one vector.

    >>> import rushlight as torch
    >>> torch.nn.utils.parameters_to_vector([torch.ones(1, 2), torch.zeros(1)])
    tensor([1., 1., 0.])
    """
    return ops.cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Any, parameters: Iterable[Any]) -> None:
    """Make pieces of ``vec`` the contents of the parameters.

    >>> import rushlight as torch
    >>> w = torch.nn.Parameter(torch.zeros(1, 2))
    >>> torch.nn.utils.vector_to_parameters(torch.tensor([1.0, 2.0]), [w])
    >>> w.data
    tensor([[1., 2.]])
    """
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {typename(vec)}")
    source: Any = vec
    start = 0
    for parameter in parameters:
        stop = start + parameter.numel()
        parameter.data = source[start:stop].reshape(parameter.shape).data
        start = stop
