"""Activation functions with a parameter or a flag of their own."""

from __future__ import annotations

import warnings
from typing import Any

from rushlight._creation import empty
from rushlight.engine.ops.activation import relu
from rushlight.nn import functional as F, init as initial
from rushlight.nn.modules.module import Module
from rushlight.nn.parameter import Parameter


class _Inplace(Module):
    """An activation that may write over its input."""

    __constants__ = ["inplace"]

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace

    def _shown(self) -> str:
        """The arguments but ``inplace``, as they are printed."""
        return ""

    def extra_repr(self) -> str:
        """The arguments that are not the default."""
        parts = [self._shown(), "inplace=True" if self.inplace else ""]
        return ", ".join(part for part in parts if part)


class Threshold(_Inplace):
    """``x`` where it is above ``threshold``, else ``value``.

    >>> import rushlight as torch
    >>> torch.nn.Threshold(0.5, 9.0)(torch.tensor([0.0, 1.0]))
    tensor([9., 1.])
    """

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.threshold = threshold
        self.value = value

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.threshold(input, self.threshold, self.value, self.inplace)

    def _shown(self) -> str:
        return f"threshold={self.threshold}, value={self.value}"


class ReLU(_Inplace):
    """``max(0, x)``.

    See https://pytorch.org/docs/stable/generated/torch.nn.ReLU.html.

    >>> import rushlight as torch
    >>> torch.nn.ReLU()(torch.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return relu(input, self.inplace)


class RReLU(_Inplace):
    """``x`` where it is positive, else ``a x`` with ``a`` drawn from [lower, upper) in training.

    From Xu and others, Empirical evaluation of rectified activations, 2015.

    >>> import rushlight as torch
    >>> torch.nn.RReLU(0.25, 0.75).eval()(torch.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(
        self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False
    ) -> None:
        super().__init__(inplace)
        self.lower = lower
        self.upper = upper

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)

    def _shown(self) -> str:
        return f"lower={self.lower}, upper={self.upper}"


class Hardtanh(_Inplace):
    """``x`` kept between ``min_val`` and ``max_val``.

    >>> import rushlight as torch
    >>> torch.nn.Hardtanh()(torch.tensor([-2.0, 0.5]))
    tensor([-1.0000,  0.5000])
    """

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__(inplace)
        for old, new, given in (
            ("min_value", "min_val", min_value),
            ("max_value", "max_val", max_value),
        ):
            if given is not None:
                warnings.warn(
                    f"keyword argument `{old}` is deprecated and renamed to `{new}`",
                    FutureWarning,
                    stacklevel=2,
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        if self.max_val <= self.min_val:
            raise AssertionError(
                f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})"
            )

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)

    def _shown(self) -> str:
        return f"min_val={self.min_val}, max_val={self.max_val}"


class ReLU6(Hardtanh):
    """``x`` kept between 0 and 6.

    >>> import rushlight as torch
    >>> torch.nn.ReLU6()(torch.tensor([-1.0, 9.0]))
    tensor([0., 6.])
    """

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def _shown(self) -> str:
        return ""


class _Silent(_Inplace):
    """An activation that prints without its argument, as PyTorch has it."""

    def extra_repr(self) -> str:
        """Nothing."""
        return ""


class Hardsigmoid(_Silent):
    """``relu6(x + 3) / 6``.

    >>> import rushlight as torch
    >>> torch.nn.Hardsigmoid()(torch.tensor([-3.0, 0.0, 3.0]))
    tensor([0.0000, 0.5000, 1.0000])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.hardsigmoid(input, self.inplace)


class SiLU(_Inplace):
    """``x sigmoid(x)``, also called swish.

    >>> import rushlight as torch
    >>> torch.nn.SiLU()(torch.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.silu(input, self.inplace)


class Mish(_Inplace):
    """``x tanh(softplus(x))``, from Misra, Mish, 2019.

    >>> import rushlight as torch
    >>> torch.nn.Mish()(torch.tensor([0.0]))
    tensor([0.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.mish(input, self.inplace)


class Hardswish(_Silent):
    """``x relu6(x + 3) / 6``, from Howard and others, Searching for MobileNetV3, 2019.

    >>> import rushlight as torch
    >>> torch.nn.Hardswish()(torch.tensor([-4.0, 3.0]))
    tensor([-0., 3.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.hardswish(input, self.inplace)


class _Exponential(_Inplace):
    """An activation with a parameter ``alpha``."""

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.alpha = alpha

    def _shown(self) -> str:
        return f"alpha={self.alpha}"


class ELU(_Exponential):
    """``x`` where it is positive, else ``alpha (exp(x) - 1)``.

    >>> import rushlight as torch
    >>> torch.nn.ELU()(torch.tensor([0.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.elu(input, self.alpha, self.inplace)


class CELU(_Exponential):
    """``x`` where it is positive, else ``alpha (exp(x / alpha) - 1)``.

    >>> import rushlight as torch
    >>> torch.nn.CELU(2.0)(torch.tensor([0.0, 2.0]))
    tensor([0., 2.])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.celu(input, self.alpha, self.inplace)


class SELU(_Inplace):
    """The scaled ELU that keeps mean 0 and variance 1 (Klambauer and others, 2017).

    >>> import rushlight as torch
    >>> torch.nn.SELU()(torch.tensor([0.0, 1.0]))
    tensor([0.0000, 1.0507])
    """

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.selu(input, self.inplace)


class LeakyReLU(_Inplace):
    """``x`` where it is positive, else ``negative_slope x``.

    >>> import rushlight as torch
    >>> torch.nn.LeakyReLU(0.5)(torch.tensor([-2.0, 2.0]))
    tensor([-1.,  2.])
    """

    def __init__(self, negative_slope: float = 1e-2, inplace: bool = False) -> None:
        super().__init__(inplace)
        self.negative_slope = negative_slope

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.leaky_relu(input, self.negative_slope, self.inplace)

    def _shown(self) -> str:
        return f"negative_slope={self.negative_slope}"


class PReLU(Module):
    """``x`` where it is positive, else ``a x`` with a trained ``a``.

    Args:
        num_parameters: one ``a`` for all, or one for each channel.
        init: where ``a`` begins.

    >>> import rushlight as torch
    >>> torch.nn.PReLU()
    PReLU(num_parameters=1)
    """

    def __init__(
        self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None
    ) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set all slopes to ``init``."""
        initial.constant_(self.weight, self.init)

    def forward(self, input: Any) -> Any:
        """Apply it element by element."""
        return F.prelu(input, self.weight)

    def extra_repr(self) -> str:
        """How many slopes."""
        return f"num_parameters={self.num_parameters}"
