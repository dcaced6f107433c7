"""PyTorch's faces of normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod
from typing import Any

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, float32
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ops.conversion import clone_op
from rushlight.engine.ops.norm import (
    batch_norm_fixed,
    native_batch_norm,
    native_group_norm,
    native_layer_norm,
)
from rushlight.engine.ops.pad import constant_pad
from rushlight.engine.ops.pool_average import avg_pool, avg_pool3

_BOTH = ("nn.functional", "torch")


def _refuse_types(input: Any, kernel_name: str) -> None:
    if input.dtype.category != FLOATING:
        raise NotImplementedError(
            f"\"{kernel_name}\" not implemented for '{SCALAR_NAMES[input.dtype]}'"
        )


def _check_count(size: Sequence[int]) -> None:
    """PyTorch's error for a channel of a single value, whose variance is nothing."""
    if size[0] * prod(size[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {size}"
        )


def _check_channels(channels: int, **parts: Any) -> None:
    for name, part in parts.items():
        if part is not None and part.numel() != channels:
            raise RuntimeError(f"{name} should contain {channels} elements not {part.numel()}")


def _share(statistic: Any, *others: Any) -> bool:
    """Whether running statistics are the memory of something else, too."""
    if statistic is None:
        return False
    storage = statistic._alias
    return any(
        other is statistic or (other is not None and storage and other._alias is storage)
        for other in others
    )


# batch and instance ----------------------------------------------------------------------------

_X = t(4, 3, 2, 2)
_MEAN, _VAR = t(3, grad=False), t(3, low=0.5, grad=False)


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(t(4, 3, 2, 2), None, None, t(3), t(3), True),
        S(t(4, 3), _MEAN, _VAR, t(3), t(3), False),
        S(t(4, 3, 5), None, None, None, None, True, 0.1, 1e-3),
        S(t(4, 3, 2, 2), _MEAN, _VAR, t(3)),
        S(t(4, 3), None, None, None, t(3), True),
    ),
    errors=(
        ErrorSample(
            S(t(1, 3), None, None, training=True), ValueError, "Expected more than 1 value"
        ),
        ErrorSample(
            S(_X, t(2), t(3)), RuntimeError, "running_mean should contain 3 elements not 2"
        ),
        ErrorSample(
            S(_X, None, None, t(2), training=True),
            RuntimeError,
            "weight should contain 3 elements not 2",
        ),
        ErrorSample(
            S(_X, None, None), RuntimeError, "running_mean must be defined in evaluation mode"
        ),
        ErrorSample(S(t(3), None, None, training=True), IndexError, "Dimension out of range"),
        ErrorSample(
            S(_X, None, None, t(3, dtype="float64"), training=True),
            RuntimeError,
            "expect parameter to have scalar type of Float",
        ),
    ),
)
def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Normalise every channel over the batch, or by the running statistics.

    In training the running statistics are moved towards the batch's, in place.
    See Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167.

    Args:
        input: (N, C, ...).
        running_mean, running_var: statistics (C); they may be absent in training.
        weight, bias: what the result is scaled and shifted by, (C).
        training: whether to normalise by the batch.
        momentum: the share of the batch's statistics in the running ones.
        eps: added to the variance.

    >>> import rushlight as torch
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> torch.nn.functional.batch_norm(x, None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    if training:
        _check_count(input.shape)
    return _batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps)


def _batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any, bias: Any, training: bool,
    momentum: float, eps: float,
) -> Any:  # fmt: skip
    channels = input.size(1)
    if not training:
        for name, part in (("running_mean", running_mean), ("running_var", running_var)):
            if part is None:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
    _check_channels(
        channels, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    if not input.numel():
        made = clone_op(input)
        made = made if weight is None else made * weight[0]
        return made if bias is None else made + bias[0]
    _refuse_types(input, "batch_norm")
    if not training:
        return batch_norm_fixed(input, running_mean, running_var, weight, bias, eps=float(eps))
    if any(part is not None and part.requires_grad for part in (running_mean, running_var)):
        batch_norm_fixed(input, running_mean, running_var, None, None, eps=float(eps))  # refuses
    row = tuple(n if axis == 1 else 1 for axis, n in enumerate(input.shape))
    axes = tuple(axis for axis in range(input.dim()) if axis != 1)
    places = {"grouped": tuple(input.shape), "axes": axes, "affine": row, "eps": float(eps)}
    # PyTorch scales and shifts after it has moved the running statistics
    late = _share(running_mean, weight, bias) or _share(running_var, weight, bias)
    if late:
        _, mean, _, var = native_batch_norm(input.detach(), None, None, **places)
    else:
        y, mean, _, var = native_batch_norm(input, weight, bias, **places)
    if running_mean is not None:
        count = input.numel() // channels
        running_mean.copy_(running_mean * (1 - momentum) + mean.reshape(-1) * momentum)
        if running_var is not None:
            factor = count / (count - 1) if count > 1 else float("nan")
            unbiased = var.reshape(-1) * factor
            running_var.copy_(running_var * (1 - momentum) + unbiased * momentum)
    if late:
        y, *_ = native_batch_norm(input, weight, bias, **places)
    return y


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(t(2, 3, 4), None, None, t(3), t(3)),
        S(t(2, 3, 2, 2)),
        S(t(2, 3, 4), _MEAN, _VAR, t(3), t(3), False),
        S(t(0, 3, 4)),
    ),
    errors=(
        ErrorSample(S(t(2, 3, 1)), ValueError, "Expected more than 1 spatial element"),
        ErrorSample(
            S(t(2, 3, 2), use_input_stats=False),
            RuntimeError,
            "Expected running_mean and running_var to be defined when use_input_stats is false",
        ),
        ErrorSample(
            S(t(2, 3, 2), None, None, t(2)), RuntimeError, "weight should contain 6 elements not 4"
        ),
    ),
)
def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Normalise every channel of every sample of (N, C, ...).

    Arguments as for ``batch_norm``; see Ulyanov et al., 2016, https://arxiv.org/abs/1607.08022.

    >>> import rushlight as torch
    >>> torch.nn.functional.instance_norm(torch.tensor([[[1.0, 3.0]]]), eps=0.0)
    tensor([[[-1.,  1.]]])
    """
    if use_input_stats and prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    if not use_input_stats and (running_mean is None or running_var is None):
        raise RuntimeError(
            "Expected running_mean and running_var to be defined when use_input_stats is false"
        )
    batch, channels = input.size(0), input.size(1)

    def repeated(part: Any) -> Any:
        return None if part is None else part.repeat(batch)

    mean, var = repeated(running_mean), repeated(running_var)
    image = input.contiguous().view(1, batch * channels, *input.shape[2:])
    y = _batch_norm(
        image, mean, var, repeated(weight), repeated(bias), use_input_stats, momentum, eps
    )
    for running, moved in ((running_mean, mean), (running_var, var)):
        if running is not None and use_input_stats:
            running.copy_(moved.view(batch, channels).mean(0))
    return y.view(input.shape)


# groups and layers -----------------------------------------------------------------------------


def _check_normalized(input: Any, shape: Any, weight: Any, bias: Any) -> int:
    """The number of axes normalised over; PyTorch's errors where shapes do not fit."""
    listed = list(shape)
    if not listed:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            f"element, but got normalized_shape = {listed}"
        )
    for name, part in (("weight", weight), ("bias", bias)):
        if part is not None and list(part.shape) != listed:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(part.shape)} and normalized_shape = {listed}"
            )
    nd = len(listed)
    if input.dim() < nd or list(input.shape[input.dim() - nd :]) != listed:
        raise RuntimeError(
            f"Given normalized_shape={listed}, expected input with shape "
            f"[*, {', '.join(map(str, listed))}], but got input of size{list(input.shape)}"
        )
    return nd


_LAYER_ERRORS = (
    ErrorSample(S(t(2, 3), (2,)), RuntimeError, r"Given normalized_shape=\[2\], expected input"),
    ErrorSample(S(t(2, 3), ()), RuntimeError, "normalized_shape to be at least 1-dimensional"),
    ErrorSample(S(t(2, 3), (3,), t(2)), RuntimeError, "Expected weight to be of same shape"),
)


@composite(
    namespaces=_BOTH,
    samples=(S(t(2, 3, 4), (4,), t(4), t(4)), S(t(2, 3, 4), (3, 4)), S(t(0, 4), (4,))),
    errors=(
        *_LAYER_ERRORS,
        ErrorSample(S(t(2, 3), 3), TypeError, "must be tuple of ints"),
        ErrorSample(S(t(2, 3), (3,), None, t(2)), RuntimeError, "Expected bias to be of same"),
        ErrorSample(
            S(t(2, 3), (3,), t(3, dtype="float64")),
            RuntimeError,
            "expect parameter to have scalar type of Float",
        ),
    ),
)
def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:  # fmt: skip
    """Normalise over the trailing axes; see Ba et al., 2016, https://arxiv.org/abs/1607.06450.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the sizes of the axes normalised over.
        weight, bias: what the result is scaled and shifted by, of this shape.
        eps: added to the variance.

    >>> import rushlight as torch
    >>> torch.nn.functional.layer_norm(torch.tensor([1.0, 3.0]), (2,), eps=0.0)
    tensor([-1.,  1.])
    """
    if isinstance(normalized_shape, int):
        raise TypeError(
            "layer_norm(): argument 'normalized_shape' (position 2) must be tuple of ints, not int"
        )
    nd = _check_normalized(input, normalized_shape, weight, bias)
    _refuse_types(input, "LayerNormKernelImpl")
    lead = input.dim() - nd
    return native_layer_norm(
        input, weight, bias, grouped=tuple(input.shape), axes=tuple(range(lead, input.dim())),
        affine=(1,) * lead + tuple(input.shape[lead:]), eps=float(eps),
    )[0]  # fmt: skip


@composite(
    namespaces=_BOTH,
    samples=(S(t(2, 6, 3), 3, t(6), t(6)), S(t(2, 6), 2), S(t(2, 4, 2, 2), 1, t(4))),
    errors=(
        ErrorSample(S(t(6), 3), RuntimeError, "Expected at least 2 dimensions for input tensor"),
        ErrorSample(S(t(2, 6, 3), 4), RuntimeError, "to be divisible by num_groups"),
        ErrorSample(S(t(2, 6, 3), 3, t(5)), RuntimeError, "Expected weight to be a vector of size"),
        ErrorSample(S(t(1, 6), 6), ValueError, "Expected more than 1 value per channel"),
    ),
)
def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:  # fmt: skip
    """Normalise groups of channels; see Wu and He, 2018, https://arxiv.org/abs/1803.08494.

    Args:
        input: (N, C, ...).
        num_groups: how many groups.
        weight, bias: what every channel is scaled and shifted by, (C).
        eps: added to the variance.

    >>> import rushlight as torch
    >>> torch.nn.functional.group_norm(torch.tensor([[1.0, 3.0]]), 1, eps=0.0)
    tensor([[-1.,  1.]])
    """
    if input.dim() < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.dim()}"
        )
    batch, channels = input.shape[:2]
    _check_count([batch * channels // num_groups, num_groups, *input.shape[2:]])
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input.shape)} and num_groups={num_groups}"
        )
    for name, part in (("weight", weight), ("bias", bias)):
        if part is not None and (part.dim() != 1 or part.numel() != channels):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(part.shape)} and input of shape "
                f"{list(input.shape)}"
            )
    _refuse_types(input, "GroupNormKernelImpl")
    size = (batch, num_groups, channels // num_groups, prod(input.shape[2:]))
    return native_group_norm(
        input, weight, bias, grouped=size, axes=(2, 3),
        affine=(1, num_groups, channels // num_groups, 1), eps=float(eps),
    )[0]  # fmt: skip


@composite(
    namespaces=_BOTH,
    samples=(S(t(2, 3, 4), (4,), t(4)), S(t(2, 4), (4,), None, 1e-3), S(t(2, 3, 4), (3, 4))),
    errors=_LAYER_ERRORS,
)
def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """Divide by the root mean square of the trailing axes; https://arxiv.org/abs/1910.07467.

    Args:
        input: (..., *normalized_shape).
        normalized_shape: the sizes of the axes normalised over.
        weight: what the result is scaled by, of this shape.
        eps: added to the mean square; by default the precision of the input's type.

    >>> import rushlight as torch
    >>> torch.nn.functional.rms_norm(torch.tensor([3.0, 3.0]), (2,), eps=0.0)
    tensor([1., 1.])
    """
    nd = _check_normalized(input, normalized_shape, weight, None)
    if input.dtype.category < FLOATING:
        _refuse_types(input, "rms_norm")
    if eps is None:
        eps = _EPSILON[input.dtype.to_real().name]
    x = (input.to(float32) if input.dtype.itemsize < 4 else input).contiguous()
    dims = tuple(range(-nd, 0))
    y = x * (x.pow(2).mean(dims, keepdim=True) + eps).rsqrt()
    if weight is not None:
        y = y * weight
    return y.to(input.dtype) if y.dtype is not input.dtype else y


_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


@composite(
    namespaces=("nn.functional",),
    samples=(S(t(2, 5, 3, 3), 3), S(t(2, 4, 3), 2), S(t(2, 3, 2, 2, 2), 2, 0.1, 0.5, 2.0)),
    errors=(ErrorSample(S(t(2, 3), 3), ValueError, "Expected 3D or higher dimensionality"),),
)
def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Divide by a power of the mean square of neighbouring channels.

    See Krizhevsky et al., 2012.

    Args:
        input: (N, C, ...).
        size: how many channels count.
        alpha, beta, k: the divisor is ``(k + alpha * mean square) ** beta``.

    >>> import rushlight as torch
    >>> torch.nn.functional.local_response_norm(torch.ones(1, 1, 1), 1, alpha=0.0).item()
    1.0
    """
    if input.dim() < 3:
        raise ValueError(
            "Expected 3D or higher dimensionality                          input (got "
            f"{input.dim()} dimensions)"
        )
    if not input.numel():
        return input
    if size <= 0:
        raise RuntimeError(f"kernel size should be greater than zero, but got {size}")
    squares, shape = (input * input).unsqueeze(1), tuple(input.shape)
    ends = (size // 2, (size - 1) // 2)
    if input.dim() == 3:
        mean = _channel_mean(constant_pad(squares, 0.0, pad=(0, 0, *ends)), (size, 1))
    else:
        squares = squares.reshape(shape[0], 1, *shape[1:3], -1)
        mean = _channel_mean(constant_pad(squares, 0.0, pad=(0, 0, 0, 0, *ends)), (size, 1, 1))
    divisor = (mean.squeeze(1).reshape(shape) * alpha + k) ** beta
    return input / divisor


def _channel_mean(x: Any, kernel: Shape) -> Any:
    op = avg_pool if len(kernel) == 2 else avg_pool3
    return op(
        x, kernel=kernel, stride=(1,) * len(kernel), padding=(0,) * len(kernel), ceil=False,
        count_padding=True, divisor=None,
    )  # fmt: skip
