"""Convolution: one record for 1 to 3 dimensions, plain and transposed, and its two gradients.

A transposed convolution computes what the input gradient of a plain one computes, so three
kernels serve everything: forward, input gradient, weight gradient.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import C_NAMES, SCALAR_NAMES, bool_, dtype, float32
from rushlight.engine.core.shape import Shape, is_channels_last
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import CONV, Op, Spec
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.memory_format import channels_last_meta

Array = np.ndarray


class Geometry:
    """Stride, padding, dilation and groups of a plain convolution, and what follows from them."""

    __slots__ = ("dilation", "groups", "padding", "stride")

    def __init__(self, stride: Shape, padding: Shape, dilation: Shape, groups: int) -> None:
        self.stride = stride
        self.padding = padding
        self.dilation = dilation
        self.groups = groups

    def windows(self, x: Array, kernel: Shape, out: Shape) -> Array:
        """A view (N, C, *out, *kernel) of the padded input."""
        pads = [(p, p) for p in self.padding]
        padded = np.pad(x, [(0, 0), (0, 0), *pads]) if any(self.padding) else x
        n, c, *steps = padded.strides
        strides = [step * s for step, s in zip(steps, self.stride, strict=True)]
        inner = [step * d for step, d in zip(steps, self.dilation, strict=True)]
        return np.lib.stride_tricks.as_strided(
            padded, (*x.shape[:2], *out, *kernel), (n, c, *strides, *inner), writeable=False
        )

    def columns(self, x: Array, kernel: Shape, out: Shape) -> Array:
        """The windows as matrices (groups, N * out, C / groups * kernel)."""
        batch, channels = x.shape[:2]
        nd, g = len(out), self.groups
        view = self.windows(x, kernel, out)
        view = view.reshape(batch, g, channels // g, *out, *kernel) if g > 1 else view[:, None]
        order = (1, 0, *range(3, 3 + nd), 2, *range(3 + nd, 3 + 2 * nd))
        return view.transpose(order).reshape(g, batch * int(np.prod(out)), -1)

    def rows(self, y: Array) -> Array:
        """An output (N, O, *out) as matrices (groups, N * out, O / groups)."""
        batch, channels = y.shape[:2]
        grouped = y.reshape(batch, self.groups, channels // self.groups, -1)
        return grouped.transpose(1, 0, 3, 2).reshape(self.groups, -1, channels // self.groups)

    def forward(self, x: Array, weight: Array, out: Shape) -> Array:
        """``x`` convolved with ``weight``."""
        kernel = weight.shape[2:]
        columns = self.columns(x, kernel, out)
        filters = weight.reshape(self.groups, weight.shape[0] // self.groups, -1)
        y = columns @ filters.transpose(0, 2, 1)
        y = y.reshape(self.groups, x.shape[0], -1, filters.shape[1]).transpose(1, 0, 3, 2)
        return np.ascontiguousarray(y).reshape(x.shape[0], weight.shape[0], *out)

    def input_gradient(self, g: Array, weight: Array, size: Shape) -> Array:
        """The gradient of an input with spatial ``size``."""
        batch, out, kernel = g.shape[0], g.shape[2:], weight.shape[2:]
        filters = weight.reshape(self.groups, weight.shape[0] // self.groups, -1)
        spread = self.rows(g) @ filters  # (groups, N * out, C / groups * kernel)
        spread = spread.reshape(self.groups, batch, *out, weight.shape[1], *kernel)
        nd = len(out)
        order = (1, 0, 2 + nd, *range(2, 2 + nd), *range(3 + nd, 3 + 2 * nd))
        spread = spread.transpose(order).reshape(batch, -1, *out, *kernel)
        padded = [n + 2 * p for n, p in zip(size, self.padding, strict=True)]
        made = np.zeros((batch, spread.shape[1], *padded), g.dtype)
        for place in np.ndindex(*kernel):
            where = tuple(
                slice(k * d, k * d + (o - 1) * s + 1, s)
                for k, d, o, s in zip(place, self.dilation, out, self.stride, strict=True)
            )
            made[(slice(None), slice(None), *where)] += spread[(..., *place)]
        inside = tuple(slice(p, p + n) for p, n in zip(self.padding, size, strict=True))
        return np.ascontiguousarray(made[(slice(None), slice(None), *inside)])

    def weight_gradient(self, x: Array, g: Array, shape: Shape) -> Array:
        """The gradient of a weight of this shape."""
        columns = self.columns(x, shape[2:], g.shape[2:])
        return (self.rows(g).transpose(0, 2, 1) @ columns).reshape(shape)


def output_size(
    size: Shape, kernel: Shape, stride: Shape, padding: Shape, dilation: Shape
) -> Shape:
    """The spatial size of a plain convolution's output."""
    rows = zip(size, kernel, stride, padding, dilation, strict=True)
    return tuple((n + 2 * p - d * (k - 1) - 1) // s + 1 for n, k, s, p, d in rows)


def _check_types(input: Meta, weight: Meta, bias: Meta | None) -> None:
    if bias is not None and bias.dtype is not input.dtype:
        raise RuntimeError(
            f"Input type ({C_NAMES[input.dtype]}) and bias type ({C_NAMES[bias.dtype]}) should be "
            f"the same{_CONVERT}"
        )
    if input.dtype is bool_:
        raise NotImplementedError("\"slow_conv2d_cpu\" not implemented for 'Bool'")
    if weight.dtype is not input.dtype:
        have, want = SCALAR_NAMES[input.dtype], SCALAR_NAMES[weight.dtype]
        if input.dtype is float32:
            raise RuntimeError(
                f"Input type (torch.{have}Tensor) and weight type (torch.{want}Tensor) should be "
                "the same or input should be a MKLDNN tensor and weight is a dense tensor"
                f"{_CONVERT}"
            )
        raise RuntimeError(f"expected scalar type {have} but found {want}{_CONVERT}")


_CONVERT = "\nConvert one side, e.g. x.to(conv.weight.dtype)."


def _check_weight(weight: Meta, transposed: bool, groups: int) -> None:
    shape = list(weight.shape)
    if shape[0] < groups or shape[0] == 0:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {shape} instead"
        )
    if shape[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{shape}] instead"
        )


def _check(
    input: Meta, weight: Meta, bias: Meta | None, stride: Shape, padding: Shape, dilation: Shape,
    transposed: bool, output_padding: Shape, groups: int,
) -> None:  # fmt: skip
    """PyTorch's errors for parts that do not go together."""
    _check_types(input, weight, bias)
    if groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    for what, numbers in (("stride", stride), ("dilation", dilation)):
        if min(numbers) <= 0:
            raise RuntimeError(f"non-positive {what} is not supported")
    if min(padding) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(output_padding) < 0:
        raise RuntimeError("negative output_padding is not supported")
    _check_weight(weight, transposed, groups)
    channels = weight.shape[0] if transposed else weight.shape[1] * groups
    kind = "transposed=1, " if transposed else ""
    if input.shape[1] != channels:
        raise RuntimeError(
            f"Given {kind or f'groups={groups}, '}weight of size {list(weight.shape)}, expected "
            f"input{list(input.shape)} to have {channels} channels, but got {input.shape[1]} "
            "channels instead"
        )
    outputs = weight.shape[1] * groups if transposed else weight.shape[0]
    if bias is not None and tuple(bias.shape) != (outputs,):
        raise RuntimeError(
            f"Given {kind}weight of size {list(weight.shape)}, expected bias to be 1-dimensional "
            f"with {outputs} elements, but got bias of size {list(bias.shape)} instead"
        )
    kernel, size = weight.shape[2:], input.shape[2:]
    if not transposed:
        reach = [d * (k - 1) + 1 for k, d in zip(kernel, dilation, strict=True)]
        padded = [n + 2 * p for n, p in zip(size, padding, strict=True)]
        if any(p < r for p, r in zip(padded, reach, strict=True)):
            raise RuntimeError(
                f"Calculated padded input size per channel: ({' x '.join(map(str, padded))}). "
                f"Kernel size: ({' x '.join(map(str, reach))}). Kernel size can't be greater than "
                "actual input size"
            )
    elif any(e >= max(s, d) for e, s, d in zip(output_padding, stride, dilation, strict=True)):
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got "
            f"output_padding: {list(output_padding)} stride: {list(stride)} dilation: "
            f"{list(dilation)}"
        )
    if 0 in size:
        raise RuntimeError(
            "Only zero batch or zero channel inputs are supported, but got input shape: "
            f"{list(input.shape)}"
        )


def _infer(
    input: Meta, weight: Meta, bias: Meta | None, stride: Shape, padding: Shape, dilation: Shape,
    transposed: bool, output_padding: Shape, groups: int,
) -> Meta:  # fmt: skip
    _check(
        input, weight, bias, stride, padding, dilation, transposed, output_padding, groups
    )
    kernel, size = tuple(weight.shape[2:]), tuple(input.shape[2:])
    if not transposed:
        out = output_size(size, kernel, stride, padding, dilation)
        return _result(input, weight, (input.shape[0], weight.shape[0], *out))
    rows = zip(size, kernel, stride, padding, dilation, output_padding, strict=True)
    out = tuple((n - 1) * s - 2 * p + d * (k - 1) + e + 1 for n, k, s, p, d, e in rows)
    if min(out) <= 0:
        raise RuntimeError(
            f"Given input size per channel: ({' x '.join(map(str, size))}). Calculated output size "
            f"per channel: ({' x '.join(map(str, out))}). Output size is too small"
        )
    return _result(input, weight, (input.shape[0], weight.shape[1] * groups, *out))


def _result(input: Meta, weight: Meta, shape: Shape) -> Meta:
    """Images have their channels innermost if those of the input or of the filters are."""
    if len(shape) == 4:
        for part in (input, weight):
            if not part.contiguous and is_channels_last(part.shape, part.strides):
                return channels_last_meta(input, shape, input.dtype)
    return make_meta(shape, input.dtype)


def rounded(kernel: Callable[..., Array], found: dtype) -> Callable[..., Array]:
    """Compute half types in float32 and round once."""
    compute = numpy_compute(found)
    if compute == found.numpy:
        return kernel
    return lambda *arrays: kernel(
        *[None if a is None else a.astype(compute) for a in arrays]
    ).astype(found.numpy)


def _kernel(
    spec: Spec, stride: Shape, padding: Shape, dilation: Shape, transposed: bool,
    output_padding: Shape, groups: int,
) -> Callable[..., Array]:  # fmt: skip
    geometry = Geometry(stride, padding, dilation, groups)
    out = tuple(spec.out.shape)
    column = (1, -1) + (1,) * (len(out) - 2)

    def call(x: Array, weight: Array, bias: Array | None = None) -> Array:
        if 0 in out or not x.size:
            made = np.zeros(out, x.dtype)
            return made if bias is None else made + bias.reshape(column)
        if transposed:
            y = geometry.input_gradient(x, weight, out[2:])
        else:
            y = geometry.forward(x, weight, out[2:])
        if bias is not None:
            y += bias.reshape(column)
        return y

    return rounded(call, spec.out.dtype)


def conjugate(x: Any) -> Any:
    """The conjugate of a complex tensor; a real one as it is."""
    return x.conj() if x.dtype.is_complex else x


def _input_grad(
    g: Any, weight: Any, input_meta: Meta, stride: Shape, padding: Shape, dilation: Shape,
    transposed: bool, output_padding: Shape, groups: int,
) -> Any:  # fmt: skip
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    weight = conjugate(weight)
    if transposed:
        zero = (0,) * len(stride)
        return convolution(g, weight, None, transposed=False, output_padding=zero, **attrs)
    return convolution_input_grad(g, weight, shape=tuple(input_meta.shape), **attrs)


def _weight_grad(
    g: Any, input: Any, weight_meta: Meta, stride: Shape, padding: Shape, dilation: Shape,
    transposed: bool, output_padding: Shape, groups: int,
) -> Any:  # fmt: skip
    attrs = {"stride": stride, "padding": padding, "dilation": dilation, "groups": groups}
    input = conjugate(input)
    pair = (g, input) if transposed else (input, g)
    return convolution_weight_grad(*pair, shape=tuple(weight_meta.shape), **attrs)


convolution = Op(
    "convolution(Tensor input, Tensor weight, Tensor? bias, int[] stride, int[] padding, "
    "int[] dilation, bool transposed, int[] output_padding, int groups)",
    kind=CONV,
    weights=(1,),
    infer=_infer,
    kernel=_kernel,
    grad={
        "input": _input_grad,
        "weight": _weight_grad,
        "bias": lambda g: g.sum((0, *range(2, g.dim()))),
    },
)


def _input_grad_kernel(
    spec: Spec, shape: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int
) -> Callable[..., Array]:
    geometry = Geometry(stride, padding, dilation, groups)

    def call(g: Array, weight: Array) -> Array:
        if not g.size or 0 in shape:
            return np.zeros(shape, g.dtype)
        return geometry.input_gradient(g, weight, shape[2:])

    return rounded(call, spec.out.dtype)


def _plain(
    x: Any, weight: Any, stride: Shape, padding: Shape, dilation: Shape, groups: int
) -> Any:
    return convolution(
        x, weight, None, stride=stride, padding=padding, dilation=dilation, transposed=False,
        output_padding=(0,) * len(stride), groups=groups,
    )  # fmt: skip


convolution_input_grad = Op(
    "convolution_input_grad(Tensor g_out, Tensor weight, int[] shape, int[] stride, "
    "int[] padding, int[] dilation, int groups)",
    kind=CONV,
    weights=(1,),
    infer=lambda g_out, weight, shape, *_: make_meta(shape, g_out.dtype),
    kernel=_input_grad_kernel,
    grad={
        "g_out": lambda g, weight, stride, padding, dilation, groups: _plain(
            g, weight, stride, padding, dilation, groups
        ),
        "weight": lambda g, g_out, weight_meta, stride, padding, dilation, groups: (
            convolution_weight_grad(
                g, g_out, shape=tuple(weight_meta.shape), stride=stride, padding=padding,
                dilation=dilation, groups=groups,
            )
        ),
    },
    grad_name="ConvolutionBackwardBackward0",
)  # fmt: skip


def _weight_grad_kernel(
    spec: Spec, shape: Shape, stride: Shape, padding: Shape, dilation: Shape, groups: int
) -> Callable[..., Array]:
    geometry = Geometry(stride, padding, dilation, groups)

    def call(x: Array, g: Array) -> Array:
        if not g.size or not x.size:
            return np.zeros(shape, g.dtype)
        return geometry.weight_gradient(x, g, shape)

    return rounded(call, spec.out.dtype)


convolution_weight_grad: Op = Op(
    "convolution_weight_grad(Tensor input, Tensor g_out, int[] shape, int[] stride, "
    "int[] padding, int[] dilation, int groups)",
    kind=CONV,
    weights=(),
    infer=lambda input, g_out, shape, *_: make_meta(shape, input.dtype),
    kernel=_weight_grad_kernel,
    grad={
        "input": lambda g, g_out, input_meta, stride, padding, dilation, groups: (
            convolution_input_grad(
                g_out, g, shape=tuple(input_meta.shape), stride=stride, padding=padding,
                dilation=dilation, groups=groups,
            )
        ),
        "g_out": lambda g, input, stride, padding, dilation, groups: _plain(
            input, g, stride, padding, dilation, groups
        ),
    },
    grad_name="ConvolutionBackwardBackward0",
)  # fmt: skip
