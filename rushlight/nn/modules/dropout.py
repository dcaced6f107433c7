"""Dropout: zeroing numbers at random in training."""

from __future__ import annotations

from typing import Any

from rushlight.engine.ops.dropout import dropout, dropout1d, dropout2d, dropout3d
from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module

_FUNCTIONS = {
    "dropout": dropout, "dropout1d": dropout1d, "dropout2d": dropout2d, "dropout3d": dropout3d,
}  # fmt: skip


class _DropoutNd(Module):
    """Zeroes with probability ``p`` in training, does nothing in evaluation."""

    __constants__ = ["p", "inplace"]
    _function = ""

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        if p < 0 or p > 1:
            raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Any) -> Any:
        """Drop, if the module is in training mode."""
        return _FUNCTIONS[self._function](input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_DropoutNd):
    """Zero each number with probability ``p`` in training, and scale the others up.

    From Hinton and others, Improving neural networks by preventing co-adaptation of feature
    detectors, 2012.

    >>> import rushlight as torch
    >>> torch.nn.Dropout(0.5).eval()(torch.ones(2))
    tensor([1., 1.])
    """

    _function = "dropout"


class Dropout1d(_DropoutNd):
    """Zero whole channels of signals (N, C, L) or (C, L) with probability ``p`` in training."""

    _function = "dropout1d"


class Dropout2d(_DropoutNd):
    """Zero whole channels of images (N, C, H, W) with probability ``p`` in training."""

    _function = "dropout2d"


class Dropout3d(_DropoutNd):
    """Zero whole channels of volumes (N, C, D, H, W) with probability ``p`` in training."""

    _function = "dropout3d"


class AlphaDropout(_DropoutNd):
    """Dropout that keeps mean and variance after ``SELU`` (Klambauer and others, 2017)."""

    def forward(self, input: Any) -> Any:
        """Drop, if the module is in training mode."""
        return F.alpha_dropout(input, self.p, self.training)


class FeatureAlphaDropout(_DropoutNd):
    """``AlphaDropout`` of whole channels."""

    def forward(self, input: Any) -> Any:
        """Drop, if the module is in training mode."""
        return F.feature_alpha_dropout(input, self.p, self.training)
