"""The convolution of signals that come with time as their first axis."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import SCALAR_NAMES
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import CONV, Op, Spec, composite
from rushlight.engine.ir.samples import ErrorSample, S, t
from rushlight.engine.ops.conv import (
    Geometry,
    convolution_input_grad,
    convolution_weight_grad,
    rounded,
)

Array = np.ndarray


def _infer(input: Meta, weight: Meta, bias: Meta, pad: int) -> Meta:
    for meta, name, rank in ((input, "Input", 3), (weight, "Weight", 3), (bias, "Bias", 1)):
        if meta.ndim != rank:
            axes = " (time, batch, in_channels)" if name == "Input" else ""
            raise RuntimeError(f"{name} must have {rank} dims:{axes} got {list(meta.shape)}")
    if input.shape[2] != weight.shape[1]:
        raise RuntimeError("Input dim 2 (input channels) is not == dim 1 in the weight tensor")
    if weight.shape[2] != bias.shape[0]:
        raise RuntimeError("Bias size must equal dim 2 in the weight tensor (output channels).")
    if weight.dtype is not input.dtype:
        raise RuntimeError(
            f"expected scalar type {SCALAR_NAMES[input.dtype]} but found "
            f"{SCALAR_NAMES[weight.dtype]}"
        )
    steps = input.shape[0] + 2 * pad - weight.shape[0] + 1
    if steps <= 0:
        raise RuntimeError(f"The output would have {steps} steps; the filters are too long.")
    return make_meta((steps, input.shape[1], weight.shape[2]), input.dtype)


def _kernel(spec: Spec, pad: int) -> Callable[..., Array]:
    geometry = Geometry((1,), (pad,), (1,), 1)
    shape = tuple(spec.out.shape)

    def call(x: Array, weight: Array, bias: Array) -> Array:
        if not x.size or not weight.size:
            return np.broadcast_to(bias, shape).astype(x.dtype)
        signals, filters = x.transpose(1, 2, 0), weight.transpose(2, 1, 0)
        y = geometry.forward(signals, np.ascontiguousarray(filters), shape[:1])
        return np.ascontiguousarray(y.transpose(2, 0, 1)) + bias

    return rounded(call, spec.out.dtype)


def _input_grad(g: Any, weight: Any, input_meta: Meta, pad: int) -> Any:
    steps, batch, channels = input_meta.shape
    made = convolution_input_grad(
        g.permute(1, 2, 0), weight.permute(2, 1, 0), shape=(batch, channels, steps), stride=(1,),
        padding=(pad,), dilation=(1,), groups=1,
    )  # fmt: skip
    return made.permute(2, 0, 1)


def _weight_grad(g: Any, input: Any, weight_meta: Meta, pad: int) -> Any:
    made = convolution_weight_grad(
        input.permute(1, 2, 0), g.permute(1, 2, 0), shape=tuple(reversed(weight_meta.shape)),
        stride=(1,), padding=(pad,), dilation=(1,), groups=1,
    )  # fmt: skip
    return made.permute(2, 1, 0)


conv_tbc_op = Op(
    "conv_tbc_(Tensor input, Tensor weight, Tensor bias, int pad)",
    kind=CONV,
    infer=_infer,
    kernel=_kernel,
    grad={
        "input": _input_grad,
        "weight": _weight_grad,
        "bias": lambda g: g.sum((0, 1)),
    },
    grad_name="ConvTbc",
)


@composite(
    namespaces=("nn.functional", "torch"),
    samples=(
        S(t(5, 2, 3), t(2, 3, 4), t(4), 1, twice=False),
        S(t(5, 2, 3), t(3, 3, 4), t(4), twice=False),
    ),
    errors=(
        ErrorSample(S(t(5, 3), t(2, 3, 4), t(4)), RuntimeError, "Input must have 3 dims"),
        ErrorSample(S(t(5, 2, 2), t(2, 3, 4), t(4)), RuntimeError, "is not == dim 1 in the weight"),
        ErrorSample(S(t(5, 2, 3), t(2, 3, 4), t(3)), RuntimeError, "Bias size must equal dim 2"),
    ),
)
def conv_tbc(input: Any, weight: Any, bias: Any, pad: int = 0) -> Any:
    """Convolve signals (T, N, C) with filters (K, C, O).

    >>> import rushlight as torch
    >>> one = torch.ones(2, 1, 1)
    >>> torch.nn.functional.conv_tbc(one, one, torch.zeros(1)).flatten()
    tensor([2.])
    """
    return conv_tbc_op(input, weight, bias, pad=int(pad))
