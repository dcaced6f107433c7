"""PyTorch's faces of the convolution."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rushlight.engine.core.shape import Shape, pair
from rushlight.engine.ir.op import MAX_SPECS, composite
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ops.conv import convolution as convolution_op
from rushlight.engine.ops.pad import constant_pad

_NAMESPACES = ("nn.functional", "torch")


def _padding(
    padding: Any, weight: Any, stride: Shape, dilation: Shape
) -> tuple[Shape, tuple[int, ...]]:
    """Padding on both sides, and what ``pad`` has to add at the ends before."""
    nd = len(stride)
    if not isinstance(padding, str):
        return pair(padding, nd, "padding"), ()
    if padding == "valid":
        return (0,) * nd, ()
    if padding != "same":
        raise RuntimeError(f"Invalid padding string: '{padding}'\nUse 'valid' or 'same'.")
    if any(s != 1 for s in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    totals = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    ends: list[int] = []
    if any(total % 2 for total in totals):
        for total in reversed(totals):
            ends += [0, total % 2]
    return tuple(total // 2 for total in totals), tuple(ends)


def _convolve(
    name: str, nd: int, input: Any, weight: Any, bias: Any, stride: Any, padding: Any,
    dilation: Any, groups: int, transposed: bool, output_padding: Any = 0,
) -> Any:  # fmt: skip
    try:
        key = (
            input._value.meta, weight._value.meta, stride, padding, dilation, groups,
            transposed, output_padding,
        )  # fmt: skip
        recorder = _recorders.get(key)
    except (AttributeError, TypeError):
        recorder = None  # no tensors, or numbers in a list
    if recorder is not None:
        return recorder(input, weight, bias)
    rank = input.dim()
    if rank not in (nd + 1, nd + 2):
        raise RuntimeError(
            f"Expected {nd + 1}D (unbatched) or {nd + 2}D (batched) input to {name}, but got "
            f"input of size: {list(input.shape)}"
        )
    if weight.dim() < 3:
        raise RuntimeError("weight should have at least three dimensions")
    steps, spread = pair(stride, nd, "stride"), pair(dilation, nd, "dilation")
    if weight.dim() != nd + 2:
        raise RuntimeError(
            "expected stride to be a single integer value or a list of "
            f"{weight.dim() - 2} values to match the convolution dimensions, but got "
            f"stride={list(steps)}\n{name} takes a weight of {nd + 2} dimensions, got "
            f"{list(weight.shape)}."
        )
    around, ends = _padding(padding, weight, steps, spread)
    if rank == nd + 1:
        input = input.unsqueeze(0)
    if ends:
        input = constant_pad(input, 0, pad=ends)
    extra = pair(output_padding, nd, "output_padding")
    recorder = convolution_op.fixed(steps, around, spread, transposed, extra, int(groups))
    y = recorder(input, weight, bias)
    if rank == nd + 1:
        return y.squeeze(0)
    if not ends:
        _remember(recorder, input, weight, stride, padding, dilation, groups, transposed,
                  output_padding)  # fmt: skip
    return y


#: Recording functions by what they were called with.
_recorders: dict[Any, Callable[..., Any]] = {}


def forget_recorders() -> None:
    """Look every recording function up anew: the operator's have been exchanged."""
    _recorders.clear()


def _remember(recorder: Callable[..., Any], input: Any, weight: Any, *arguments: Any) -> None:
    """Let the next call with these arguments go to ``recorder`` at once."""
    if any(isinstance(x, list) for x in arguments):
        return
    if len(_recorders) > MAX_SPECS:
        _recorders.clear()
    _recorders[(input._value.meta, weight._value.meta, *arguments)] = recorder


_X, _W = t(2, 3, 5, 5), t(4, 3, 3, 3)
_ERRORS = (
    ErrorSample(S(t(3, 3), _W), RuntimeError, r"Expected 3D \(unbatched\) or 4D \(batched\) input"),
    ErrorSample(S(t(2, 5, 4, 4), _W), RuntimeError, "to have 3 channels, but got 5 channels"),
    ErrorSample(S(t(2, 3, 2, 2), _W), RuntimeError, "Kernel size can't be greater than actual"),
    ErrorSample(S(_X, _W, t(3)), RuntimeError, "expected bias to be 1-dimensional with 4 elements"),
    ErrorSample(S(_X, t(4, 3, 3)), RuntimeError, "to match the convolution dimensions"),
    ErrorSample(
        S(_X, t(4, 3, 3, 3, dtype="float64")), RuntimeError, "Input type .* should be the same"
    ),
    ErrorSample(S(_X, _W, groups=3), RuntimeError, "weight to be divisible by 3 at dimension 0"),
    ErrorSample(S(_X, _W, groups=0), RuntimeError, "non-positive groups is not supported"),
    ErrorSample(S(_X, _W, stride=0), RuntimeError, "non-positive stride is not supported"),
    ErrorSample(S(_X, _W, padding=-1), RuntimeError, "negative padding is not supported"),
    ErrorSample(S(_X, _W, padding="full"), RuntimeError, "Invalid padding string: 'full'"),
    ErrorSample(
        S(_X, _W, stride=2, padding="same"),
        RuntimeError,
        "padding='same' is not supported for strided convolutions",
    ),
)
_TRANSPOSED_ERRORS = (
    ErrorSample(S(_X, t(3, 4, 2, 2), output_padding=2), RuntimeError, "output padding must be"),
    ErrorSample(S(_X, t(4, 4, 2, 2)), RuntimeError, "Given transposed=1, weight of size"),
    ErrorSample(S(t(1, 3, 1, 1), t(3, 4, 1, 1), padding=1), RuntimeError, "is too small"),
)


@composite(
    namespaces=_NAMESPACES,
    samples=(
        S(t(2, 4, 9), t(6, 4, 3), t(6)),
        S(t(4, 9), t(6, 2, 3), None, 2, 1, 2, 2),
        S(t(2, 4, 9), t(6, 4, 2), padding="same"),
    ),
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
        S(t(3, 5, 6), t(4, 3, 2, 3), t(4), padding="same", dilation=(1, 2)),
        S(t(2, 3, 5, 5), t(6, 1, 3, 3), t(6), padding=1, groups=3),
    ),
    errors=_ERRORS,
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
    samples=(
        S(t(2, 4, 3, 4), t(4, 3, 3, 3), t(6), 2, 1, 1, 2),
        S(t(1, 2, 3, 3), t(2, 2, 2, 2)),
        S(t(2, 3, 3), t(2, 2, 2, 3), None, (1, 2), (0, 1), 0, 1, (2, 1)),
    ),
    errors=_TRANSPOSED_ERRORS,
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


@composite(
    samples=(
        S(t(2, 4, 5), t(6, 4, 3), t(6), (1,), (1,), (1,), False, (0,), 1),
        S(t(2, 4, 5, 5), t(4, 3, 2, 2), None, (2, 2), (0, 0), (1, 1), True, (1, 0), 2),
    ),
)
def convolution(
    input: Any, weight: Any, bias: Any, stride: Any, padding: Any, dilation: Any,
    transposed: bool, output_padding: Any, groups: int,
) -> Any:  # fmt: skip
    """The convolution of any number of dimensions, plain or transposed.

    >>> import rushlight as torch
    >>> one = torch.ones(1, 1, 2)
    >>> torch.convolution(one, one, None, (1,), (0,), (1,), False, (0,), 1)
    tensor([[[2.]]])
    """
    nd = weight.dim() - 2
    return convolution_op(
        input, weight, bias, stride=pair(stride, nd, "stride"),
        padding=pair(padding, nd, "padding"), dilation=pair(dilation, nd, "dilation"),
        transposed=bool(transposed), output_padding=pair(output_padding, nd, "output_padding"),
        groups=int(groups),
    )  # fmt: skip
