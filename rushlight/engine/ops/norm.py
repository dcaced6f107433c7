"""Batch, layer, group and instance normalisation: one mechanism, one record per PyTorch name.

Every one of them looks at its input as an array of shape ``grouped``, normalises it over ``axes``
and scales it by weights that broadcast as ``affine``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import C_NAMES
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.elementwise import numpy_compute

Array = np.ndarray


def _statistics_shape(grouped: Shape, axes: Shape) -> Shape:
    return tuple(1 if a in axes else n for a, n in enumerate(grouped))


def _infer(
    input: Meta, weight: Meta | None, bias: Meta | None, grouped: Shape, axes: Shape,
    affine: Shape, eps: float,
) -> tuple[Meta, ...]:  # fmt: skip
    for other in (weight, bias):
        if other is not None and other.dtype is not input.dtype and input.dtype.itemsize >= 4:
            raise RuntimeError(
                f"expected scalar type {C_NAMES[input.dtype]} but found {C_NAMES[other.dtype]}"
            )
    half = input.dtype.is_floating_point and input.dtype.itemsize < 4
    kept = weight.dtype if weight is not None and half else input.dtype
    row = make_meta(_statistics_shape(grouped, axes), kept)
    return make_meta(tuple(input.shape), input.dtype), row, row, row


def _kernel(
    spec: Spec, grouped: Shape, axes: Shape, affine: Shape, eps: float
) -> Callable[..., tuple[Array, ...]]:
    count = prod(grouped[a] for a in axes)
    shape, found = tuple(spec.out.shape), spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    kept = spec.outs[1].dtype.numpy

    def call(x: Array, weight: Array | None, bias: Array | None) -> tuple[Array, ...]:
        x = x.reshape(grouped).astype(compute, copy=False)
        mean = x.sum(axis=axes, keepdims=True) / compute.type(max(count, 1))
        centred = x - mean
        var = np.square(centred).sum(axis=axes, keepdims=True) / compute.type(max(count, 1))
        rstd = 1 / np.sqrt(var + compute.type(eps))
        if weight is None:
            centred *= rstd
        elif _statistics_shape(affine, ()) == rstd.shape:
            centred *= rstd * weight.reshape(affine).astype(compute, copy=False)
        else:
            centred *= rstd
            centred *= weight.reshape(affine).astype(compute, copy=False)
        if bias is not None:
            centred += bias.reshape(affine).astype(compute, copy=False)
        y = centred.reshape(shape).astype(found, copy=False)
        return y, *(s.astype(kept, copy=False) for s in (mean, rstd, var))

    return call


def _backward_kernel(
    spec: Spec, grouped: Shape, axes: Shape, affine: Shape, eps: float
) -> Callable[..., tuple[Array, ...]]:
    count = prod(grouped[a] for a in axes)
    shape, found = tuple(spec.out.shape), spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    spread = tuple(a for a, n in enumerate(affine) if n == 1)
    weighted = spec.outs[1]
    same_rows = affine == _statistics_shape(grouped, axes)

    def call(
        g: Array, x: Array, mean: Array, rstd: Array, weight: Array | None
    ) -> tuple[Array, ...]:
        g = g.reshape(grouped).astype(compute, copy=False)
        normal = (x.reshape(grouped) - mean).astype(compute, copy=False)
        normal *= rstd
        product = g * normal
        weight_grad = product.sum(axis=spread, keepdims=True)
        bias_grad = g.sum(axis=spread, keepdims=True)
        scale = None if weight is None else weight.reshape(affine).astype(compute, copy=False)
        if same_rows:
            # the rows that are normalised are the rows that share a weight (batch norm)
            first, second = bias_grad, weight_grad
            factor = rstd if scale is None else rstd * scale
            normal *= second / compute.type(count)
            made = g - normal
            made -= first / compute.type(count)
            made *= factor
        else:
            scaled = g if scale is None else g * scale
            if scale is not None:
                product = product * scale
            first = scaled.sum(axis=axes, keepdims=True) / compute.type(max(count, 1))
            second = product.sum(axis=axes, keepdims=True) / compute.type(max(count, 1))
            normal *= second
            made = scaled - normal
            made -= first
            made *= rstd
        rows = tuple(weighted.shape)
        return (
            made.reshape(shape).astype(found, copy=False),
            weight_grad.reshape(rows).astype(weighted.dtype.numpy, copy=False),
            bias_grad.reshape(rows).astype(weighted.dtype.numpy, copy=False),
        )

    return call


def _backward_infer(
    g_out: Meta, input: Meta, mean: Meta, rstd: Meta, weight: Meta | None, grouped: Shape,
    axes: Shape, affine: Shape, eps: float,
) -> tuple[Meta, ...]:  # fmt: skip
    row = make_meta((prod(affine),) if weight is None else tuple(weight.shape), mean.dtype)
    return make_meta(tuple(input.shape), input.dtype), row, row


def _twice(
    g0: Any, g1: Any, g2: Any, g_out: Any, input: Any, weight: Any, grouped: Shape, axes: Shape,
    affine: Shape, eps: float, needs: tuple[bool, ...],
) -> tuple[Any, ...]:  # fmt: skip
    """Gradients of the backward, from the cotangents of its three results.

    With ``a = g w``, normalised ``n``, ``r = 1 / sqrt(var + eps)`` and means over ``axes``:
    ``gx = r (a - mean(a) - n mean(a n))``, ``gw = sum(g n)``, ``gb = sum(g)``. Mean and ``r`` are
    taken from the input again, so that the result can be differentiated further.
    """
    shape = tuple(input.shape)
    x, g, hx = (v.reshape(grouped) for v in (input, g_out, g0))
    hw, hb = g1.reshape(affine), g2.reshape(affine)
    w = None if weight is None else weight.reshape(affine)
    count = prod(grouped[a] for a in axes)

    def average(v: Any) -> Any:
        return v.sum(axes, keepdim=True) / count

    centred = x - average(x)
    r = (average(centred * centred) + eps).rsqrt()
    n = centred * r

    def project(v: Any) -> Any:
        return (v - average(v) - n * average(v * n)) * r

    a = g if w is None else g * w
    through = project(hx)
    for_g = (through if w is None else through * w) + hw * n + hb
    for_weight = None
    if w is not None and needs[4]:
        spread = tuple(i for i, size in enumerate(affine) if size == 1)
        for_weight = (g * through).sum(spread, keepdim=True).reshape(weight.shape)
    for_n = hw * g - (hx * average(a * n) + a * average(hx * n)) * r
    for_r = (hx * project(a)).sum(axes, keepdim=True) / r
    for_x = project(for_n) - for_r * r * r * n / count
    return for_g.reshape(shape), for_x.reshape(shape), None, None, for_weight


def _norm(name: str, grad_name: str) -> Op:
    """The record of one kind of normalisation and of its backward."""
    backward = Op(
        f"{name}_backward(Tensor g_out, Tensor input, Tensor mean, Tensor rstd, Tensor? weight, "
        "int[] grouped, int[] axes, int[] affine, float eps)",
        kind=OTHER,
        infer=_backward_infer,
        kernel=_backward_kernel,
        grad={"g_out, input, mean, rstd, weight": _twice},
        grad_name=f"{grad_name}Backward",
    )

    def gradient(
        g0: Any, input: Any, result1: Any, result2: Any, weight: Any, grouped: Shape, axes: Shape,
        affine: Shape, eps: float, needs: tuple[bool, ...],
    ) -> tuple[Any, ...]:  # fmt: skip
        made = backward(
            g0, input, result1, result2, weight, grouped=grouped, axes=axes, affine=affine, eps=eps
        )
        return tuple(x if need else None for x, need in zip(made, needs, strict=True))

    return Op(
        f"{name}(Tensor input, Tensor? weight, Tensor? bias, int[] grouped, int[] axes, "
        "int[] affine, float eps)",
        kind=OTHER,
        infer=_infer,
        kernel=_kernel,
        grad={"input, weight, bias": gradient},
        differentiable=1,
        grad_name=grad_name,
    )


native_batch_norm = _norm("native_batch_norm", "NativeBatchNorm")
native_layer_norm = _norm("native_layer_norm", "NativeLayerNorm")
native_group_norm = _norm("native_group_norm", "NativeGroupNorm")
