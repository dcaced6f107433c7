"""Padding: making the last axes longer."""

from __future__ import annotations

from typing import Any

from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import repeat


class _Pad(Module):
    """Adds to both ends of the last ``_axes`` axes."""

    __constants__ = ["padding"]
    _axes = 0
    _mode = "constant"

    def __init__(self, padding: Any) -> None:
        super().__init__()
        self.padding = repeat(padding, 2 * self._axes)

    def forward(self, input: Any) -> Any:
        """Pad the last axes."""
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self) -> str:
        """The padding."""
        return str(self.padding)


class _ConstantPad(_Pad):
    def __init__(self, padding: Any, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Any) -> Any:
        """Pad the last axes."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """The arguments."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPad):
    """Add a number at both ends of the last axis.

    Args:
        padding: how often at both ends, or (left, right).
        value: the number.

    >>> import rushlight as torch
    >>> torch.nn.ConstantPad1d((1, 0), 9.0)(torch.zeros(1, 2))
    tensor([[9., 0., 0.]])
    """

    _axes = 1


class ConstantPad2d(_ConstantPad):
    """Add a number around the last two axes: (left, right, top, bottom).

    >>> import rushlight as torch
    >>> torch.nn.ConstantPad2d(1, 9.0)(torch.zeros(1, 1, 1))
    tensor([[[9., 9., 9.],
             [9., 0., 9.],
             [9., 9., 9.]]])
    """

    _axes = 2


class ConstantPad3d(_ConstantPad):
    """Add a number around the last three axes: (left, right, top, bottom, front, back).

    >>> import rushlight as torch
    >>> torch.nn.ConstantPad3d(1, 9.0)(torch.zeros(1, 1, 1, 1)).shape
    torch.Size([1, 3, 3, 3])
    """

    _axes = 3


class _ZeroPad(_ConstantPad):
    def __init__(self, padding: Any) -> None:
        super().__init__(padding, 0.0)

    def extra_repr(self) -> str:
        """The padding."""
        return str(self.padding)


class ZeroPad1d(_ZeroPad, ConstantPad1d):
    """Add zeros at both ends of the last axis.

    >>> import rushlight as torch
    >>> torch.nn.ZeroPad1d(1)(torch.ones(1, 1))
    tensor([[0., 1., 0.]])
    """


class ZeroPad2d(_ZeroPad, ConstantPad2d):
    """Add zeros around the last two axes.

    >>> import rushlight as torch
    >>> torch.nn.ZeroPad2d((1, 0, 0, 0))(torch.ones(1, 1, 1))
    tensor([[[0., 1.]]])
    """


class ZeroPad3d(_ZeroPad, ConstantPad3d):
    """Add zeros around the last three axes.

    >>> import rushlight as torch
    >>> torch.nn.ZeroPad3d(1)(torch.ones(1, 1, 1, 1)).sum()
    tensor(1.)
    """


class ReflectionPad1d(_Pad):
    """Continue the last axis by its mirror image, the edge not repeated.

    >>> import rushlight as torch
    >>> torch.nn.ReflectionPad1d(2)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 2., 1., 2., 3., 2., 1.]])
    """

    _axes, _mode = 1, "reflect"


class ReflectionPad2d(_Pad):
    """Continue the last two axes by their mirror image.

    >>> import rushlight as torch
    >>> torch.nn.ReflectionPad2d(1)(torch.zeros(1, 2, 2)).shape
    torch.Size([1, 4, 4])
    """

    _axes, _mode = 2, "reflect"


class ReflectionPad3d(_Pad):
    """Continue the last three axes by their mirror image.

    >>> import rushlight as torch
    >>> torch.nn.ReflectionPad3d(1)(torch.zeros(1, 2, 2, 2)).shape
    torch.Size([1, 4, 4, 4])
    """

    _axes, _mode = 3, "reflect"


class ReplicationPad1d(_Pad):
    """Continue the last axis by its edges.

    >>> import rushlight as torch
    >>> torch.nn.ReplicationPad1d(2)(torch.tensor([[1.0, 2.0]]))
    tensor([[1., 1., 1., 2., 2., 2.]])
    """

    _axes, _mode = 1, "replicate"


class ReplicationPad2d(_Pad):
    """Continue the last two axes by their edges.

    >>> import rushlight as torch
    >>> torch.nn.ReplicationPad2d(1)(torch.zeros(1, 2, 2)).shape
    torch.Size([1, 4, 4])
    """

    _axes, _mode = 2, "replicate"


class ReplicationPad3d(_Pad):
    """Continue the last three axes by their edges.

    >>> import rushlight as torch
    >>> torch.nn.ReplicationPad3d(1)(torch.zeros(1, 2, 2, 2)).shape
    torch.Size([1, 4, 4, 4])
    """

    _axes, _mode = 3, "replicate"


class _CircularPad(_Pad):
    _mode = "circular"

    def forward(self, input: Any) -> Any:
        """Pad the last axes."""
        few = self._axes + 1
        if input.dim() not in (few, few + 1):
            raise ValueError(f"expected {few}D or {few + 1}D input (got {input.dim()}D input)")
        return F.pad(input, self.padding, "circular")


class CircularPad1d(_CircularPad):
    """Continue the last axis by itself, as if it were a ring.

    >>> import rushlight as torch
    >>> torch.nn.CircularPad1d(1)(torch.tensor([[1.0, 2.0, 3.0]]))
    tensor([[3., 1., 2., 3., 1.]])
    """

    _axes = 1


class CircularPad2d(_CircularPad):
    """Continue the last two axes by themselves.

    >>> import rushlight as torch
    >>> torch.nn.CircularPad2d(1)(torch.zeros(1, 2, 2)).shape
    torch.Size([1, 4, 4])
    """

    _axes = 2


class CircularPad3d(_CircularPad):
    """Continue the last three axes by themselves.

    >>> import rushlight as torch
    >>> torch.nn.CircularPad3d(1)(torch.zeros(1, 2, 2, 2)).shape
    torch.Size([1, 4, 4, 4])
    """

    _axes = 3
