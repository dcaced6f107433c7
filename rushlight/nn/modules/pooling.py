"""Pooling: one number for each window."""

from __future__ import annotations

from inspect import unwrap
from typing import Any

from rushlight.nn import functional as F
from rushlight.nn.modules.module import Module
from rushlight.nn.modules.utils import fill_in, repeat

_MAX = {name: unwrap(getattr(F, name)) for name in ("max_pool1d", "max_pool2d", "max_pool3d")}


class _MaxPoolNd(Module):
    """The greatest number of each window."""

    _function = ""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        dilation: Any = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        """Pool; with ``return_indices`` also say where the greatest numbers were."""
        return _MAX[self._function](
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode,
            self.return_indices,
        )  # fmt: skip

    def extra_repr(self) -> str:
        """The windows."""
        return fill_in(
            "kernel_size={kernel_size}, stride={stride}, padding={padding}, "
            "dilation={dilation}, ceil_mode={ceil_mode}",
            self,
        )


class MaxPool1d(_MaxPoolNd):
    """The greatest number of each window of signals (N, C, L).

    Args:
        kernel_size: the windows' size.
        stride: steps between windows; their size by default.
        padding: what is added at both ends.
        dilation: steps between a window's elements.
        return_indices: also give the places, for ``MaxUnpool1d``.
        ceil_mode: keep a last window that does not fit entirely.

    See https://pytorch.org/docs/stable/generated/torch.nn.MaxPool1d.html.

    >>> import rushlight as torch
    >>> torch.nn.MaxPool1d(2)(torch.tensor([[1.0, 2.0, 4.0, 3.0]]))
    tensor([[2., 4.]])
    """

    _function = "max_pool1d"


class MaxPool2d(_MaxPoolNd):
    """The greatest number of each window of images (N, C, H, W); arguments as for ``MaxPool1d``.

    >>> import rushlight as torch
    >>> torch.nn.MaxPool2d(2)(torch.ones(1, 4, 4)).shape
    torch.Size([1, 2, 2])
    """

    _function = "max_pool2d"


class MaxPool3d(_MaxPoolNd):
    """The greatest number of each window of volumes; arguments as for ``MaxPool1d``.

    >>> import rushlight as torch
    >>> torch.nn.MaxPool3d(2)(torch.ones(1, 4, 4, 4)).shape
    torch.Size([1, 2, 2, 2])
    """

    _function = "max_pool3d"


class _MaxUnpoolNd(Module):
    """Puts pooled numbers back where they came from, zeros elsewhere."""

    _axes = 0

    def __init__(self, kernel_size: Any, stride: Any = None, padding: Any = 0) -> None:
        super().__init__()
        self.kernel_size = repeat(kernel_size, self._axes)
        self.stride = repeat(kernel_size if stride is None else stride, self._axes)
        self.padding = repeat(padding, self._axes)

    def forward(self, input: Any, indices: Any, output_size: Any = None) -> Any:
        """Undo the pooling that gave ``input`` and ``indices``."""
        return getattr(F, f"max_unpool{self._axes}d")(
            input, indices, self.kernel_size, self.stride, self.padding, output_size
        )

    def extra_repr(self) -> str:
        """The windows."""
        return fill_in("kernel_size={kernel_size}, stride={stride}, padding={padding}", self)


class MaxUnpool1d(_MaxUnpoolNd):
    """Undoes ``MaxPool1d`` as far as that is possible.

    >>> import rushlight as torch
    >>> y, places = torch.nn.MaxPool1d(2, return_indices=True)(torch.tensor([[1.0, 2.0]]))
    >>> torch.nn.MaxUnpool1d(2)(y, places)
    tensor([[0., 2.]])
    """

    _axes = 1


class MaxUnpool2d(_MaxUnpoolNd):
    """Undoes ``MaxPool2d`` as far as that is possible."""

    _axes = 2


class MaxUnpool3d(_MaxUnpoolNd):
    """Undoes ``MaxPool3d`` as far as that is possible."""

    _axes = 3


class _AvgPoolNd(Module):
    """The mean of each window."""

    def extra_repr(self) -> str:
        """The windows."""
        return fill_in("kernel_size={kernel_size}, stride={stride}, padding={padding}", self)


class AvgPool1d(_AvgPoolNd):
    """The mean of each window of signals (N, C, L).

    Args:
        kernel_size: the windows' size.
        stride: steps between windows; their size by default.
        padding: zeros added at both ends.
        ceil_mode: keep a last window that does not fit entirely.
        count_include_pad: whether the added zeros count.

    See https://pytorch.org/docs/stable/generated/torch.nn.AvgPool1d.html.

    >>> import rushlight as torch
    >>> torch.nn.AvgPool1d(2)(torch.tensor([[1.0, 3.0]]))
    tensor([[2.]])
    """

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = repeat(kernel_size, 1)
        self.stride = repeat(kernel_size if stride is None else stride, 1)
        self.padding = repeat(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Any) -> Any:
        """Pool."""
        return F.avg_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad,
        )  # fmt: skip


class _DividedAvgPool(_AvgPoolNd):
    """The sum of each window, divided by its size or by another number."""

    _function = ""

    def __init__(
        self,
        kernel_size: Any,
        stride: Any = None,
        padding: Any = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = stride if stride is not None else kernel_size
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Any) -> Any:
        """Pool."""
        return getattr(F, self._function)(
            input, self.kernel_size, self.stride, self.padding, self.ceil_mode,
            self.count_include_pad, self.divisor_override,
        )  # fmt: skip


class AvgPool2d(_DividedAvgPool):
    """The mean of each window of images (N, C, H, W).

    ``divisor_override`` is what the sum is divided by; the other arguments are those of
    ``AvgPool1d``.

    >>> import rushlight as torch
    >>> torch.nn.AvgPool2d(2)(torch.ones(1, 4, 4)).shape
    torch.Size([1, 2, 2])
    """

    _function = "avg_pool2d"


class AvgPool3d(_DividedAvgPool):
    """The mean of each window of volumes; arguments as for ``AvgPool2d``.

    >>> import rushlight as torch
    >>> torch.nn.AvgPool3d(2)(torch.ones(1, 4, 4, 4)).shape
    torch.Size([1, 2, 2, 2])
    """

    _function = "avg_pool3d"


class _FractionalMaxPool(Module):
    """The greatest number of windows of pseudo-random places (Graham, 2014)."""

    _axes = 0

    def __init__(
        self,
        kernel_size: Any,
        output_size: Any = None,
        output_ratio: Any = None,
        return_indices: bool = False,
        _random_samples: Any = None,
    ) -> None:
        super().__init__()
        name = f"FractionalMaxPool{self._axes}d"
        self.kernel_size = repeat(kernel_size, self._axes)
        if any(size <= 0 for size in self.kernel_size):
            raise ValueError(f"kernel_size must be greater than 0, but got {kernel_size}")
        self.return_indices = return_indices
        self.register_buffer("_random_samples", _random_samples)
        self.output_size = None if output_size is None else repeat(output_size, self._axes)
        self.output_ratio = None if output_ratio is None else repeat(output_ratio, self._axes)
        if output_size is None and output_ratio is None:
            raise ValueError(
                f"{name} requires specifying either an output size, or a pooling ratio"
            )
        if output_size is not None and output_ratio is not None:
            raise ValueError("only one of output_size and output_ratio may be specified")
        if self.output_ratio is not None and not all(0 < r < 1 for r in self.output_ratio):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")

    def forward(self, input: Any) -> Any:
        """Pool."""
        return getattr(F, f"fractional_max_pool{self._axes}d")(
            input, self.kernel_size, self.output_size, self.output_ratio, self.return_indices,
            _random_samples=self._random_samples,
        )  # fmt: skip


class FractionalMaxPool2d(_FractionalMaxPool):
    """Max pooling of images to an output of any size, at pseudo-random places.

    Args:
        kernel_size: the windows' size.
        output_size: the output's size, or
        output_ratio: its ratio to the input's.
        return_indices: also give the places of the greatest numbers.
    """

    _axes = 2


class FractionalMaxPool3d(_FractionalMaxPool):
    """Max pooling of volumes to an output of any size; arguments as for ``FractionalMaxPool2d``."""

    _axes = 3


class _LPPoolNd(Module):
    """The power mean of each window."""

    _function = ""

    def __init__(
        self, norm_type: float, kernel_size: Any, stride: Any = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def forward(self, input: Any) -> Any:
        """Pool."""
        return getattr(F, self._function)(
            input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """The windows."""
        return fill_in(
            "norm_type={norm_type}, kernel_size={kernel_size}, stride={stride}, "
            "ceil_mode={ceil_mode}",
            self,
        )


class LPPool1d(_LPPoolNd):
    """``sum(x^p)^(1/p)`` of each window of signals.

    >>> import rushlight as torch
    >>> torch.nn.LPPool1d(2, 2)(torch.tensor([[3.0, 4.0]]))
    tensor([[5.]])
    """

    _function = "lp_pool1d"


class LPPool2d(_LPPoolNd):
    """``sum(x^p)^(1/p)`` of each window of images."""

    _function = "lp_pool2d"


class LPPool3d(_LPPoolNd):
    """``sum(x^p)^(1/p)`` of each window of volumes."""

    _function = "lp_pool3d"


class _AdaptivePoolNd(Module):
    """Pooling to an output of a given size."""

    _function = ""

    def __init__(self, output_size: Any) -> None:
        super().__init__()
        self.output_size = output_size

    def forward(self, input: Any) -> Any:
        """Pool."""
        return getattr(F, self._function)(input, self.output_size)

    def extra_repr(self) -> str:
        """The size."""
        return f"output_size={self.output_size}"


class _AdaptiveAvgPoolNd(_AdaptivePoolNd):
    """The mean of each window."""


class _AdaptiveMaxPoolNd(_AdaptivePoolNd):
    def __init__(self, output_size: Any, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices

    def forward(self, input: Any) -> Any:
        """Pool; with ``return_indices`` also say where the greatest numbers were."""
        return getattr(F, self._function)(input, self.output_size, self.return_indices)


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """Max pooling of signals to ``output_size`` places.

    >>> import rushlight as torch
    >>> torch.nn.AdaptiveMaxPool1d(1)(torch.tensor([[1.0, 5.0, 2.0]]))
    tensor([[5.]])
    """

    _function = "adaptive_max_pool1d"


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """Max pooling of images to ``output_size``; ``None`` keeps an axis as it is."""

    _function = "adaptive_max_pool2d"


class AdaptiveMaxPool3d(_AdaptiveMaxPoolNd):
    """Max pooling of volumes to ``output_size``."""

    _function = "adaptive_max_pool3d"


class AdaptiveAvgPool1d(_AdaptiveAvgPoolNd):
    """Average pooling of signals to ``output_size`` places.

    >>> import rushlight as torch
    >>> torch.nn.AdaptiveAvgPool1d(1)(torch.tensor([[1.0, 5.0]]))
    tensor([[3.]])
    """

    _function = "adaptive_avg_pool1d"


class AdaptiveAvgPool2d(_AdaptiveAvgPoolNd):
    """Average pooling of images to ``output_size``; ``None`` keeps an axis as it is.

    >>> import rushlight as torch
    >>> torch.nn.AdaptiveAvgPool2d((1, None))(torch.ones(1, 4, 6)).shape
    torch.Size([1, 1, 6])
    """

    _function = "adaptive_avg_pool2d"


class AdaptiveAvgPool3d(_AdaptiveAvgPoolNd):
    """Average pooling of volumes to ``output_size``."""

    _function = "adaptive_avg_pool3d"
