"""PyTorch's faces of the convolution."""

from __future__ import annotations

from typing import Any

from rushlight.engine.core.shape import Shape, pair
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import S, t
from rushlight.engine.ops.conv import convolution

_NAMESPACES = ("nn.functional", "torch")


def _padding(padding: Any, weight: Any, stride: Shape, dilation: Shape) -> tuple[Shape, bool]:
    """Padding on both sides, and whether one more zero is wanted at the end."""
    nd = len(stride)
    if not isinstance(padding, str):
        return pair(padding, nd, "padding"), False
    if padding == "valid":
        return (0,) * nd, False
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'; use 'valid' or 'same'")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    return tuple(total // 2 for total in totals), any(total % 2 for total in totals)


def _check_rank(name: str, input: Any, weight: Any, nd: int) -> None:
    if weight.dim() != nd + 2:
        raise RuntimeError(
            f"weight should have at least three dimensions; {name} takes a {nd + 2}-d weight, "
            f"got {list(weight.shape)}"
        )
    if input.dim() not in (nd + 1, nd + 2):
        raise RuntimeError(
            f"Expected {nd + 1}D (unbatched) or {nd + 2}D (batched) input to {name}, but got "
            f"input of size: {list(input.shape)}"
        )


def _convolve(
    name: str, nd: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
    dilation: Any, groups: int, transposed: bool, output_padding: Any = 0,
) -> Any:  # fmt: skip
    _check_rank(name, input, weight, nd)
    steps, spread = pair(stride, nd, "stride"), pair(dilation, nd, "dilation")
    around, odd = _padding(padding, weight, steps, spread)
    if odd:
        ends: list[int] = []
        for d, k in zip(reversed(spread), reversed(weight.shape[2:]), strict=True):
            ends += [0, d * (k - 1) % 2]
        input = input  # replaced once pad exists
    unbatched = input.dim() == nd + 1
    if unbatched:
        input = input.unsqueeze(0)
    y = convolution(
        input, weight, bias, stride=steps, padding=around, dilation=spread, transposed=transposed,
        output_padding=pair(output_padding, nd, "output_padding"), groups=groups,
    )  # fmt: skip
    return y.squeeze(0) if unbatched else y


@composite(
    namespaces=_NAMESPACES,
    samples=(S(t(2, 4, 9), t(6, 4, 3), t(6)), S(t(4, 9), t(6, 2, 3), None, 2, 1, 2, 2)),
)
def conv1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Convolve signals (N, C, L) with filters (O, C / groups, K).

    >>> import rushlight as torch
    >>> torch.nn.functional.conv1d(torch.ones(1, 1, 4), torch.ones(1, 1, 2))
    tensor([[[2., 2., 2.]]])
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups, False)


@composite(
    namespaces=_NAMESPACES,
    samples=(
        S(t(2, 3, 6, 7), t(4, 3, 3, 2), t(4)),
        S(t(2, 4, 7, 7), t(6, 2, 3, 3), t(6), (2, 1), (1, 2), (1, 2), 2),
        S(t(2, 3, 5, 5), t(4, 3, 3, 3), None, padding="same"),
        S(t(3, 5, 5), t(4, 3, 3, 3)),
    ),
)
def conv2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Convolve images (N, C, H, W) with filters (O, C / groups, KH, KW).

    >>> import rushlight as torch
    >>> torch.nn.functional.conv2d(torch.ones(1, 1, 2, 2), torch.ones(1, 1, 2, 2))
    tensor([[[[4.]]]])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups, False)


@composite(
    namespaces=_NAMESPACES, samples=(S(t(1, 2, 4, 4, 4), t(3, 2, 2, 2, 2), t(3), 2, 1),)
)
def conv3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    dilation: Any = 1, groups: int = 1,
) -> Any:  # fmt: skip
    """Convolve volumes (N, C, D, H, W) with filters (O, C / groups, KD, KH, KW).

    >>> import rushlight as torch
    >>> torch.nn.functional.conv3d(torch.ones(1, 1, 1, 1, 2), torch.ones(1, 1, 1, 1, 2)).item()
    2.0
    """
    return _convolve("conv3d", 3, input, weight, bias, stride, padding, dilation, groups, False)


@composite(
    namespaces=_NAMESPACES, samples=(S(t(2, 4, 5), t(4, 3, 3), t(6), 2, 1, 1, 2, 1),)
)
def conv_transpose1d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The transposed convolution of signals (N, C, L) with filters (C, O / groups, K).

    >>> import rushlight as torch
    >>> torch.nn.functional.conv_transpose1d(torch.ones(1, 1, 2), torch.ones(1, 1, 2))
    tensor([[[1., 2., 1.]]])
    """
    return _convolve(
        "conv_transpose1d", 1, input, weight, bias, stride, padding, dilation, groups, True,
        output_padding,
    )  # fmt: skip


@composite(
    namespaces=_NAMESPACES,
    samples=(S(t(2, 4, 3, 4), t(4, 3, 3, 3), t(6), 2, 1, 1, 2), S(t(1, 2, 3, 3), t(2, 2, 2, 2))),
)
def conv_transpose2d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The transposed convolution of images (N, C, H, W) with filters (C, O / groups, KH, KW).

    >>> import rushlight as torch
    >>> torch.nn.functional.conv_transpose2d(torch.ones(1, 1, 1, 1), torch.ones(1, 1, 2, 2))
    tensor([[[[1., 1.],
              [1., 1.]]]])
    """
    return _convolve(
        "conv_transpose2d", 2, input, weight, bias, stride, padding, dilation, groups, True,
        output_padding,
    )  # fmt: skip


@composite(
    namespaces=_NAMESPACES, samples=(S(t(1, 2, 2, 3, 2), t(2, 2, 2, 2, 2), t(2), 2),)
)
def conv_transpose3d(
    input: Any, weight: Any, bias: Any = None, stride: Any = 1, padding: Any = 0,
    output_padding: Any = 0, groups: int = 1, dilation: Any = 1,
) -> Any:  # fmt: skip
    """The transposed convolution of volumes with filters (C, O / groups, KD, KH, KW).

    >>> import rushlight as torch
    >>> F = torch.nn.functional
    >>> F.conv_transpose3d(torch.ones(1, 1, 1, 1, 1), torch.ones(1, 1, 1, 1, 2)).shape
    torch.Size([1, 1, 1, 1, 2])
    """
    return _convolve(
        "conv_transpose3d", 3, input, weight, bias, stride, padding, dilation, groups, True,
        output_padding,
    )  # fmt: skip
