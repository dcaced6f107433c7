"""Layer, group, root-mean-square and local response normalisation."""

from __future__ import annotations

from numbers import Integral
from typing import Any

from rushlight._creation import empty
from rushlight.nn import functional as F, init
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import fill_in
from rushlight.nn.parameter import Parameter


class _ResponseNorm(Module):
    """Divides each number by the strength of its neighbours among the channels."""

    def __init__(self, size: int, alpha: float, beta: float, k: float) -> None:
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input: Any) -> Any:
        """(N, C, *) to the same shape."""
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self) -> str:
        """The arguments."""
        return fill_in("{size}, alpha={alpha}, beta={beta}, k={k}", self)


class LocalResponseNorm(_ResponseNorm):
    """Divide each number by the strength of its neighbours among the channels.

    Args:
        size: how many channels count as neighbours.
        alpha: how much they count.
        beta: the exponent.
        k: added to the sum.

    From Krizhevsky and others, ImageNet classification with deep convolutional networks, 2012.

    >>> import rushlight as torch
    >>> torch.nn.LocalResponseNorm(2)
    LocalResponseNorm(2, alpha=0.0001, beta=0.75, k=1.0)
    """

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
    ) -> None:
        super().__init__(size, alpha, beta, k)


class CrossMapLRN2d(_ResponseNorm):
    """The older name of ``LocalResponseNorm`` for images."""

    def __init__(
        self, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1
    ) -> None:
        super().__init__(size, alpha, beta, k)


class _Scaled(Module):
    """A norm with a trained scale and shift, 1 and 0 in the beginning."""

    def _make_parameters(
        self, shape: Any, weight: bool, bias: bool, device: Any, dtype: Any
    ) -> None:
        for name, wanted in (("weight", weight), ("bias", weight and bias)):
            made = Parameter(empty(shape, device=device, dtype=dtype)) if wanted else None
            self.register_parameter(name, made)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Scale by 1 and shift by 0."""
        if self._parameters["weight"] is not None:
            init.ones_(self.weight)
        if self._parameters.get("bias") is not None:
            init.zeros_(self.bias)


def _as_shape(normalized_shape: Any) -> tuple[int, ...]:
    if isinstance(normalized_shape, Integral):
        return (normalized_shape,)  # type: ignore[return-value]
    return tuple(normalized_shape)


class LayerNorm(_Scaled):
    """Normalise over the last axes.

    Args:
        normalized_shape: the sizes of these axes.
        eps: added to the variance.
        elementwise_affine: whether the result is scaled and shifted by trained parameters.
        bias: whether it is shifted.

    From Ba and others, Layer normalization, 2016.

    >>> import rushlight as torch
    >>> torch.nn.LayerNorm(2)(torch.tensor([[-1.0, 1.0]])).detach()
    tensor([[-1.0000,  1.0000]])
    """

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]

    def __init__(
        self,
        normalized_shape: Any,
        eps: float = 1e-5,
        elementwise_affine: bool = True,
        bias: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        self._make_parameters(self.normalized_shape, elementwise_affine, bias, device, dtype)

    def forward(self, input: Any) -> Any:
        """(*, normalized_shape) to the same shape."""
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(_Scaled):
    """Normalise groups of channels of each example.

    Args:
        num_groups: how many groups.
        num_channels: how many channels, a multiple of ``num_groups``.
        eps: added to the variance.
        affine: whether channels are scaled and shifted by trained parameters.
        bias: whether they are shifted.

    From Wu and He, Group normalization, 2018.

    >>> import rushlight as torch
    >>> torch.nn.GroupNorm(2, 4)(torch.ones(1, 4, 3)).shape
    torch.Size([1, 4, 3])
    """

    __constants__ = ["num_groups", "num_channels", "eps", "affine"]

    def __init__(
        self,
        num_groups: int,
        num_channels: int,
        eps: float = 1e-5,
        affine: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        self._make_parameters(num_channels, affine, bias, device, dtype)

    def forward(self, input: Any) -> Any:
        """(N, C, *) to the same shape."""
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, affine={self.affine}, "
            f"bias={self.bias is not None}"
        )


class RMSNorm(_Scaled):
    """Divide by the root of the mean square over the last axes.

    Args:
        normalized_shape: the sizes of these axes.
        eps: added to the mean square; the type's smallest step by default.
        elementwise_affine: whether the result is scaled by trained parameters.

    From Zhang and Sennrich, Root mean square layer normalization, 2019.

    >>> import rushlight as torch
    >>> torch.nn.RMSNorm(2)(torch.tensor([[3.0, 3.0]])).detach()
    tensor([[1., 1.]])
    """

    __constants__ = ["normalized_shape", "eps", "elementwise_affine"]

    def __init__(
        self,
        normalized_shape: Any,
        eps: float | None = None,
        elementwise_affine: bool = True,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self.normalized_shape = _as_shape(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        wanted = elementwise_affine
        made = Parameter(empty(self.normalized_shape, device=device, dtype=dtype))
        self.register_parameter("weight", made if wanted else None)
        self.reset_parameters()

    def forward(self, x: Any) -> Any:
        """(*, normalized_shape) to the same shape."""
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self) -> str:
        """The arguments."""
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}"
        )
