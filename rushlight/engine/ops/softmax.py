"""Softmax and its logarithm, with the gradients as operators of their own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import FLOATING, SCALAR_NAMES, dtype
from rushlight.engine.core.shape import normalize_dim
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import REDUCTION, Op, Spec, composite
from rushlight.engine.ir.samples import S, t
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.view import to_dtype

Array = np.ndarray


def _infer_as(name: str) -> Callable[[Meta, int], Meta]:
    def infer(input: Meta, dim: int) -> Meta:
        if input.dtype.category < FLOATING:
            raise NotImplementedError(f'"{name}" not implemented for \'{SCALAR_NAMES[input.dtype]}\'')
        return make_meta(tuple(input.shape), input.dtype)

    return infer


def _rounded(kernel: Callable[..., Array], found: dtype) -> Callable[..., Array]:
    compute = numpy_compute(found)
    if compute == found.numpy:
        return kernel
    return lambda *arrays: kernel(*[a.astype(compute) for a in arrays]).astype(found.numpy)


def _softmax_kernel(spec: Spec, dim: int) -> Callable[[Array], Array]:
    if spec.out.ndim == 0:
        return lambda x: np.ones((), x.dtype)

    def call(x: Array) -> Array:
        if not x.size:
            return np.empty(x.shape, x.dtype)
        made = x - np.maximum.reduce(x, axis=dim, keepdims=True)
        np.exp(made, made)
        made /= np.add.reduce(made, axis=dim, keepdims=True)
        return made

    return _rounded(call, spec.out.dtype)


def _log_softmax_kernel(spec: Spec, dim: int) -> Callable[[Array], Array]:
    if spec.out.ndim == 0:
        return lambda x: np.zeros((), x.dtype)

    def call(x: Array) -> Array:
        if not x.size:
            return np.empty(x.shape, x.dtype)
        made = x - np.maximum.reduce(x, axis=dim, keepdims=True)
        made -= np.log(np.add.reduce(np.exp(made), axis=dim, keepdims=True))
        return made

    return _rounded(call, spec.out.dtype)


def _softmax_backward(spec: Spec, dim: int) -> Callable[[Array, Array], Array]:
    if spec.out.ndim == 0:
        return lambda g, y: np.zeros((), g.dtype)

    def call(g: Array, y: Array) -> Array:
        made = g * y
        made -= y * np.add.reduce(made, axis=dim, keepdims=True)
        return made

    return _rounded(call, spec.out.dtype)


def _log_softmax_backward(spec: Spec, dim: int) -> Callable[[Array, Array], Array]:
    if spec.out.ndim == 0:
        return lambda g, y: np.zeros((), g.dtype)

    def call(g: Array, y: Array) -> Array:
        made = np.exp(y)
        made *= np.add.reduce(g, axis=dim, keepdims=True)
        return np.subtract(g, made, made)

    return _rounded(call, spec.out.dtype)


softmax_op = Op(
    "softmax_(Tensor input, int dim)",
    kind=REDUCTION,
    infer=_infer_as("softmax_lastdim_kernel_impl"),
    kernel=_softmax_kernel,
    grad={"input": lambda g, result, dim: softmax_backward(g, result, dim=dim)},
    grad_name="Softmax",
)

softmax_backward = Op(
    "softmax_backward(Tensor g_out, Tensor output, int dim)",
    kind=REDUCTION,
    infer=lambda g_out, output, dim: make_meta(tuple(output.shape), output.dtype),
    kernel=_softmax_backward,
    grad={
        "g_out": lambda g, output, dim: softmax_backward(g, output, dim=dim),
        "output": lambda g, g_out, output, dim: (
            g * g_out
            - g * (g_out * output).sum(dim, keepdim=True)
            - g_out * (g * output).sum(dim, keepdim=True)
        ),
    },
)

log_softmax_op = Op(
    "log_softmax_(Tensor input, int dim)",
    kind=REDUCTION,
    infer=_infer_as("log_softmax_lastdim_kernel_impl"),
    kernel=_log_softmax_kernel,
    grad={"input": lambda g, result, dim: log_softmax_backward(g, result, dim=dim)},
    grad_name="LogSoftmax",
)

log_softmax_backward = Op(
    "log_softmax_backward(Tensor g_out, Tensor output, int dim)",
    kind=REDUCTION,
    infer=lambda g_out, output, dim: make_meta(tuple(output.shape), output.dtype),
    kernel=_log_softmax_backward,
    grad={
        "g_out": lambda g, output, dim: g - (g * output.exp()).sum(dim, keepdim=True),
        "output": lambda g, g_out, output, dim: (
            -g * output.exp() * g_out.sum(dim, keepdim=True)
        ),
    },
)


def _dim(input: Any, dim: int | None) -> int:
    """The axis; without one PyTorch's old guess."""
    if dim is None:
        dim = 0 if input.dim() in (0, 1, 3) else 1
    return normalize_dim(dim, input.dim())


def _converted(input: Any, dtype: dtype | None) -> Any:
    return input if dtype is None or dtype is input.dtype else to_dtype(input, dtype=dtype)


_SAMPLES = (S(t(3, 4), 1), S(t(2, 3, 4), 0), S(t(), 0), S(t(0, 3), 1), S(t(5), -1))


@composite(namespaces=("torch", "special"), method=True, samples=_SAMPLES, oracle="softmax")
def softmax(input: Any, dim: int, dtype: dtype | None = None) -> Any:
    """exp(input) scaled to sum to 1 along ``dim``.

    >>> import rushlight as torch
    >>> torch.softmax(torch.zeros(2), 0)
    tensor([0.5000, 0.5000])
    """
    return softmax_op(_converted(input, dtype), dim=normalize_dim(dim, input.dim()))


@composite(namespaces=("torch", "special"), method=True, samples=_SAMPLES, oracle="log_softmax")
def log_softmax(input: Any, dim: int, dtype: dtype | None = None) -> Any:
    """The logarithm of ``softmax``, computed without overflow.

    >>> import rushlight as torch
    >>> torch.log_softmax(torch.zeros(2), 0)
    tensor([-0.6931, -0.6931])
    """
    return log_softmax_op(_converted(input, dtype), dim=normalize_dim(dim, input.dim()))


def _functional(name: str, op: Op, sign: int, text: str) -> None:
    def function(
        input: Any, dim: int | None = None, _stacklevel: int = 3, dtype: dtype | None = None
    ) -> Any:
        x = _converted(input, dtype)
        return op(x if sign > 0 else -x, dim=_dim(input, dim))

    function.__doc__ = text
    composite(name=name, namespaces=("nn.functional",), samples=_SAMPLES)(function)


_functional("softmax", softmax_op, 1, "exp(input) scaled to sum to 1 along ``dim``.")
_functional("log_softmax", log_softmax_op, 1, "The logarithm of ``softmax``.")
_functional("softmin", softmax_op, -1, "``softmax`` of ``-input``.")
