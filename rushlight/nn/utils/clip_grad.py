"""Keeping gradients from growing too large."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator
from typing import Any

from rushlight._creation import tensor
from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import no_grad
from rushlight.nn._torch import linalg, ops


def _listed(tensors: Any) -> list[Any]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: Any) -> list[Any]:
    return [p.grad for p in _listed(parameters) if p.grad is not None]


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """The norm of all tensors taken as one long vector.

    Args:
        tensors: a tensor or several.
        norm_type: which norm.
        error_if_nonfinite: raise if it is not finite.
        foreach: accepted; all tensors are worked on together anyway.

    >>> import rushlight as torch
    >>> torch.nn.utils.get_total_norm([torch.tensor([3.0]), torch.tensor([4.0])])
    tensor(5.)
    """
    norm_type = float(norm_type)
    with no_grad():
        listed = _listed(tensors)
        if not listed:
            return tensor(0.0)
        norms = [linalg.vector_norm(x, norm_type) for x in listed]
        total = linalg.vector_norm(ops.stack(norms), norm_type)
        if error_if_nonfinite and not bool(total.isfinite()):
            raise RuntimeError(
                f"The total norm of order {norm_type} for gradients from `parameters` is "
                "non-finite, so it cannot be clipped. To disable this error and scale the "
                "gradients by the non-finite norm anyway, set `error_if_nonfinite=False`"
            )
        return total


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    total_norm: Any,
    foreach: bool | None = None,
) -> None:
    """Scale the gradients so that their norm, which is ``total_norm``, is at most ``max_norm``.

    >>> import rushlight as torch
    >>> w = torch.ones(1, requires_grad=True)
    >>> w.grad = torch.tensor([4.0])
    >>> torch.nn.utils.clip_grads_with_norm_(w, 2.0, torch.tensor(4.0))
    >>> w.grad
    tensor([2.0000])
    """
    with no_grad():
        factor = (float(max_norm) / (total_norm + 1e-6)).clamp(max=1.0)
        for gradient in _gradients(parameters):
            gradient.mul_(factor)


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Any:
    """Scale the gradients of all parameters so that their common norm is at most ``max_norm``.

    Args:
        parameters: a tensor or several, with gradients.
        max_norm: the greatest norm.
        norm_type: which norm.
        error_if_nonfinite: raise if the norm is not finite.
        foreach: accepted; all gradients are worked on together anyway.

    Returns:
        The norm before.

    See https://pytorch.org/docs/stable/generated/torch.nn.utils.clip_grad_norm_.html.

    >>> import rushlight as torch
    >>> w = torch.ones(2, requires_grad=True)
    >>> w.grad = torch.tensor([3.0, 4.0])
    >>> torch.nn.utils.clip_grad_norm_([w], 1.0)
    tensor(5.)
    >>> w.grad
    tensor([0.6000, 0.8000])
    """
    listed = _listed(parameters)
    if not listed and isinstance(parameters, Iterator):
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2
        )
    total = get_total_norm(_gradients(listed), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(listed, max_norm, total)
    return total


def clip_grad_norm(*args: Any, **kwargs: Any) -> Any:
    """The old name of ``clip_grad_norm_``."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of "
        "`torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)


def clip_grad_value_(
    parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None
) -> None:
    """Keep every element of the gradients between ``-clip_value`` and ``clip_value``.

    >>> import rushlight as torch
    >>> w = torch.ones(2, requires_grad=True)
    >>> w.grad = torch.tensor([3.0, -0.5])
    >>> torch.nn.utils.clip_grad_value_(w, 1.0)
    >>> w.grad
    tensor([ 1.0000, -0.5000])
    """
    bound = float(clip_value)
    with no_grad():
        for gradient in _gradients(parameters):
            gradient.clamp_(min=-bound, max=bound)
