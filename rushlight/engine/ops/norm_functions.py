"""PyTorch's faces of normalisation."""

from __future__ import annotations

from math import prod
from typing import Any

from rushlight.engine.core.dtype import get_default_dtype
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.op import composite
from rushlight.engine.ir.samples import S, t
from rushlight.engine.ops.norm import native_batch_norm, native_group_norm, native_layer_norm

_BOTH = ("nn.functional", "torch")


def _channel_row(input: Any) -> Shape:
    return tuple(n if axis == 1 else 1 for axis, n in enumerate(input.shape))


def _check_channels(input: Any, **parts: Any) -> None:
    for name, part in parts.items():
        if part is not None and part.numel() != input.shape[1]:
            raise RuntimeError(
                f"{name} should contain {input.shape[1]} elements not {part.numel()}"
            )


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(t(4, 3, 2, 2), None, None, t(3), t(3), True),
        S(t(4, 3), t(3, grad=False), t(3, low=0.5, grad=False), t(3), t(3), False),
        S(t(4, 3, 5), None, None, None, None, True, 0.1, 1e-3),
    ),
)
def batch_norm(
    input: Any, running_mean: Any, running_var: Any, weight: Any = None, bias: Any = None,
    training: bool = False, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Normalise every channel of (N, C, ...) over the batch, or by the running statistics.

    In training the running statistics are moved towards the batch's, in place.
    See Ioffe and Szegedy, 2015, https://arxiv.org/abs/1502.03167.

    >>> import rushlight as torch
    >>> x = torch.tensor([[1.0], [3.0]])
    >>> torch.nn.functional.batch_norm(x, None, None, training=True, eps=0.0)
    tensor([[-1.],
            [ 1.]])
    """
    if input.dim() < 2:
        raise ValueError(f"expected at least 2D input (got {input.dim()}D input)")
    _check_channels(
        input, running_mean=running_mean, running_var=running_var, weight=weight, bias=bias
    )
    row = _channel_row(input)
    if not training and running_mean is not None:
        scale = (running_var + eps).rsqrt()
        if weight is not None:
            scale = scale * weight
        y = (input - running_mean.reshape(row)) * scale.reshape(row)
        return y if bias is None else y + bias.reshape(row)
    count = input.numel() // max(input.shape[1], 1)
    if count <= 1:
        raise ValueError(
            f"Expected more than 1 value per channel when training, got input size {input.shape}"
        )
    axes = tuple(axis for axis in range(input.dim()) if axis != 1)
    y, mean, _, var = native_batch_norm(
        input, weight, bias, grouped=tuple(input.shape), axes=axes, affine=row, eps=float(eps)
    )
    if running_mean is not None:
        running_mean.copy_(running_mean * (1 - momentum) + mean.reshape(-1) * momentum)
        unbiased = var.reshape(-1) * (count / (count - 1))
        running_var.copy_(running_var * (1 - momentum) + unbiased * momentum)
    return y


@composite(
    namespaces=_BOTH,
    samples=(S(t(2, 3, 4), (4,), t(4), t(4)), S(t(2, 3, 4), (3, 4)), S(t(0, 4), (4,))),
)
def layer_norm(
    input: Any, normalized_shape: Any, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn_enable: bool = True,
) -> Any:  # fmt: skip
    """Normalise over the trailing axes; see Ba et al., 2016, https://arxiv.org/abs/1607.06450.

    >>> import rushlight as torch
    >>> torch.nn.functional.layer_norm(torch.tensor([1.0, 3.0]), (2,), eps=0.0)
    tensor([-1.,  1.])
    """
    shape = tuple(normalized_shape)
    nd = len(shape)
    if tuple(input.shape[input.dim() - nd :]) != shape or input.dim() < nd:
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape "
            f"[*, {', '.join(map(str, shape))}], but got input of size{list(input.shape)}"
        )
    lead = input.dim() - nd
    return native_layer_norm(
        input, weight, bias, grouped=tuple(input.shape),
        axes=tuple(range(lead, input.dim())), affine=(1,) * lead + shape, eps=float(eps),
    )[0]  # fmt: skip


@composite(namespaces=_BOTH, samples=(S(t(2, 6, 3), 3, t(6), t(6)), S(t(2, 4), 2)))
def group_norm(
    input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5,
    cudnn_enabled: bool = True,
) -> Any:  # fmt: skip
    """Normalise groups of channels; see Wu and He, 2018, https://arxiv.org/abs/1803.08494.

    >>> import rushlight as torch
    >>> torch.nn.functional.group_norm(torch.tensor([[1.0, 3.0]]), 1, eps=0.0)
    tensor([[-1.,  1.]])
    """
    channels = input.shape[1]
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input.shape)} and num_groups={num_groups}"
        )
    size = (input.shape[0], num_groups, channels // num_groups, prod(input.shape[2:]))
    return native_group_norm(
        input, weight, bias, grouped=size, axes=(2, 3),
        affine=(1, num_groups, channels // num_groups, 1), eps=float(eps),
    )[0]  # fmt: skip


@composite(namespaces=("nn.functional",), samples=(S(t(2, 3, 4), None, None, t(3), t(3)),))
def instance_norm(
    input: Any, running_mean: Any = None, running_var: Any = None, weight: Any = None,
    bias: Any = None, use_input_stats: bool = True, momentum: float = 0.1, eps: float = 1e-5,
) -> Any:  # fmt: skip
    """Normalise every channel of every sample; see https://arxiv.org/abs/1607.08022.

    >>> import rushlight as torch
    >>> torch.nn.functional.instance_norm(torch.tensor([[[1.0, 3.0]]]), eps=0.0)
    tensor([[[-1.,  1.]]])
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    count = prod(input.shape[2:])
    if count <= 1:
        raise ValueError(
            "Expected more than 1 spatial element when training, got input size "
            f"{input.shape}"
        )
    size = (*input.shape[:2], count)
    y, mean, _, var = native_batch_norm(
        input, weight, bias, grouped=size, axes=(2,), affine=(1, input.shape[1], 1), eps=float(eps)
    )
    if running_mean is not None:
        running_mean.copy_(running_mean * (1 - momentum) + mean.mean((0, 2)) * momentum)
        unbiased = var.mean((0, 2)) * (count / (count - 1))
        running_var.copy_(running_var * (1 - momentum) + unbiased * momentum)
    return y


@composite(namespaces=_BOTH, samples=(S(t(2, 3, 4), (4,), t(4)), S(t(2, 4), (4,), None, 1e-3)))
def rms_norm(
    input: Any, normalized_shape: Any, weight: Any = None, eps: float | None = None
) -> Any:
    """Divide by the root mean square of the trailing axes; https://arxiv.org/abs/1910.07467.

    >>> import rushlight as torch
    >>> torch.nn.functional.rms_norm(torch.tensor([3.0, 3.0]), (2,), eps=0.0)
    tensor([1., 1.])
    """
    dims = tuple(range(input.dim() - len(tuple(normalized_shape)), input.dim()))
    if eps is None:
        eps = _machine_epsilon(input)
    y = input * (input.square().mean(dims, keepdim=True) + eps).rsqrt()
    return y if weight is None else y * weight


def _machine_epsilon(input: Any) -> float:
    found = input.dtype if input.dtype.is_floating_point else get_default_dtype()
    return _EPSILON[found.name]


_EPSILON = {"float64": 2.0**-52, "float32": 2.0**-23, "float16": 2.0**-10, "bfloat16": 2.0**-7}


@composite(namespaces=("nn.functional",), samples=(S(t(2, 5, 3, 3), 3), S(t(2, 4, 3), 2)))
def local_response_norm(
    input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0
) -> Any:
    """Divide by a power of the mean square of neighbouring channels.

    See Krizhevsky et al., 2012.

    >>> import rushlight as torch
    >>> torch.nn.functional.local_response_norm(torch.ones(1, 1, 1), 1, alpha=0.0).item()
    1.0
    """
    channels = input.shape[1]
    squares = input * input
    total = None
    for shift in range(-(size // 2), (size - 1) // 2 + 1):
        start, stop = max(shift, 0), min(channels + shift, channels)
        if stop <= start:
            continue
        part = squares.new_zeros(input.shape)
        part[:, start - shift : stop - shift] = squares[:, start:stop]
        total = part if total is None else total + part
    return input / (total * (alpha / size) + k) ** beta
