"""Activation functions that are one call: smooth ones, shrinking ones, and the softmax family."""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module


class Sigmoid(Module):
    """``1 / (1 + exp(-x))``.

    >>> import rushlight as torch
    >>> torch.nn.Sigmoid()(torch.tensor([0.0]))
    tensor([0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return input.sigmoid()


class Tanh(Module):
    """The hyperbolic tangent.

    >>> import rushlight as torch
    >>> torch.nn.Tanh()(torch.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return input.tanh()


class LogSigmoid(Module):
    """``log(1 / (1 + exp(-x)))``.

    >>> import rushlight as torch
    >>> torch.nn.LogSigmoid()(torch.tensor([0.0]))
    tensor([-0.6931])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.logsigmoid(input)


class Softplus(Module):
    """``log(1 + exp(beta x)) / beta``, and ``x`` itself above ``threshold / beta``.

    >>> import rushlight as torch
    >>> torch.nn.Softplus()(torch.tensor([0.0]))
    tensor([0.6931])
    """

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.softplus(input, self.beta, self.threshold)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"beta={self.beta}, threshold={self.threshold}"


class Softsign(Module):
    """``x / (1 + |x|)``.

    >>> import rushlight as torch
    >>> torch.nn.Softsign()(torch.tensor([1.0]))
    tensor([0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.softsign(input)


class Tanhshrink(Module):
    """``x - tanh(x)``.

    >>> import rushlight as torch
    >>> torch.nn.Tanhshrink()(torch.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.tanhshrink(input)


class _Shrink(Module):
    """An activation that makes small numbers zero."""

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        """The bound."""
        return str(self.lambd)


class Hardshrink(_Shrink):
    """``x`` where ``|x|`` is above ``lambd``, else 0.

    >>> import rushlight as torch
    >>> torch.nn.Hardshrink()(torch.tensor([0.25, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.hardshrink(input, self.lambd)


class Softshrink(_Shrink):
    """``x`` moved towards 0 by ``lambd``, not beyond it.

    >>> import rushlight as torch
    >>> torch.nn.Softshrink()(torch.tensor([0.25, 2.0]))
    tensor([0.0000, 1.5000])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.softshrink(input, self.lambd)


class GELU(Module):
    """``x`` times the normal distribution's cumulative function at ``x``.

    Args:
        approximate: ``"none"``, or ``"tanh"`` for the formula with the hyperbolic tangent.

    From Hendrycks and Gimpel, Gaussian error linear units, 2016.

    >>> import rushlight as torch
    >>> torch.nn.GELU()(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 0.8413])
    """

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """The argument."""
        return f"approximate={self.approximate!r}"


class _OverAxis(Module):
    """An activation along one axis."""

    dim: Any

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self.__dict__.setdefault("dim", None)

    def extra_repr(self) -> str:
        """The axis."""
        return f"dim={self.dim}"


class GLU(_OverAxis):
    """The first half of the input times the sigmoid of the second, along ``dim``.

    From Dauphin and others, Language modeling with gated convolutional networks, 2016.

    >>> import rushlight as torch
    >>> torch.nn.GLU()(torch.tensor([4.0, 0.0]))
    tensor([2.])
    """

    dim: int

    def __init__(self, dim: int = -1) -> None:
        super().__init__(dim)

    def forward(self, input: Any) -> Any:
        """Halve the axis."""
        return F.glu(input, self.dim)


class Softmax(_OverAxis):
    """``exp(x)`` divided by its sum along ``dim``.

    >>> import rushlight as torch
    >>> torch.nn.Softmax(dim=0)(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Make the numbers along the axis sum to 1."""
        return F.softmax(input, self.dim)


class Softmin(_OverAxis):
    """The softmax of ``-x`` along ``dim``.

    >>> import rushlight as torch
    >>> torch.nn.Softmin(dim=0)(torch.zeros(2))
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Make the numbers along the axis sum to 1."""
        return F.softmin(input, self.dim)


class LogSoftmax(_OverAxis):
    """The logarithm of the softmax along ``dim``.

    >>> import rushlight as torch
    >>> torch.nn.LogSoftmax(dim=0)(torch.zeros(2))
    tensor([-0.6931, -0.6931])
    """

    def forward(self, input: Any) -> Any:
        """Apply it along the axis."""
        return F.log_softmax(input, self.dim)


class Softmax2d(Module):
    """The softmax over the channels of images (N, C, H, W) or (C, H, W).

    >>> import rushlight as torch
    >>> torch.nn.Softmax2d()(torch.zeros(2, 1, 1)).flatten()
    tensor([0.5000, 0.5000])
    """

    def forward(self, input: Any) -> Any:
        """Make the channels at every place sum to 1."""
        if input.dim() not in (3, 4):
            raise ValueError(
                f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead"
            )
        return F.softmax(input, -3)
