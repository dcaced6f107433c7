"""Batch, layer, group and instance normalisation: one mechanism, one record per PyTorch name.

Every one of them looks at its input as an array of shape ``grouped``, normalises it over ``axes``
and scales it by weights that broadcast as ``affine``.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import dtype, float32
from rushlight.engine.core.shape import Shape
from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import OTHER, Op, Spec
from rushlight.engine.ops.elementwise import numpy_compute
from rushlight.engine.ops.memory_format import kept_layout
from rushlight.engine.ops.written_out import Build, narrowed, shaped, usable, widened

Array = np.ndarray


def _statistics_shape(grouped: Shape, axes: Shape) -> Shape:
    return tuple(1 if a in axes else n for a, n in enumerate(grouped))


def check_types(input: Meta, *parameters: Meta | None) -> dtype:
    """The type of the statistics; PyTorch's error for parameters of another type.

    Half-precision inputs may have parameters in single precision.
    """
    half = input.dtype.is_floating_point and input.dtype.itemsize < 4
    kept = input.dtype
    for other in parameters:
        if other is None or other.dtype is input.dtype:
            continue
        if not half or other.dtype is not float32:
            raise RuntimeError(
                "mixed dtype (CPU): expect parameter to have scalar type of Float\nThe input is "
                f"{input.dtype}, a parameter {other.dtype}."
            )
        kept = other.dtype
    return kept


def _infer(
    input: Meta, weight: Meta | None, bias: Meta | None, grouped: Shape, axes: Shape,
    affine: Shape, eps: float,
) -> tuple[Meta, ...]:  # fmt: skip
    kept = check_types(input, weight, bias)
    row = make_meta(_statistics_shape(grouped, axes), kept)
    return kept_layout(input, tuple(input.shape)), row, row, row


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


def _for_rows(build: Build, weight: Any, affine: Shape) -> Any:
    """A weight as it broadcasts; one of the last axes does as it is."""
    if weight is None:
        return None
    shape = tuple(weight.meta.shape)
    plain = affine[len(affine) - len(shape) :] == shape and prod(affine) == prod(shape)
    return widened(build, weight if plain else shaped(build, weight, affine))


def _average(build: Build, x: Any, axes: Shape) -> Any:
    return build("mean", x, dims=axes, keepdim=True)


def _in_groups(build: Build, x: Any, grouped: Shape) -> Any:
    """``x`` (N, C, ...) with its channels cut into groups, (N, G, C / G, ...)."""
    return shaped(build, x, (*grouped[:3], *x.meta.shape[2:]))


def _per_channel(build: Build, row: Any, grouped: Shape, ndim: int) -> Any:
    """A number for each group repeated for its channels, (N, C, 1, ...)."""
    batch, groups, channels, _ = grouped
    row = shaped(build, row, (batch, groups, 1))
    if channels > 1:
        row = build("repeat", row, repeats=(1, 1, channels))
    return shaped(build, row, (batch, groups * channels, *(1,) * (ndim - 2)))


def _groups_written_out(
    build: Build, x: Any, weight: Any, bias: Any, grouped: Shape, eps: float
) -> Any:
    """Statistics of groups of channels; what is made of them stays in the input's own shape."""
    if not x.meta.contiguous or len(grouped) != 4 or x.meta.ndim < 2:
        return None
    found, ndim = x.meta.dtype, x.meta.ndim
    kept = check_types(*[v.meta for v in (x, weight, bias) if v is not None])
    x = widened(build, x)
    channels = (x.meta.shape[1], *(1,) * (ndim - 2))
    weight, bias = (
        None if v is None else shaped(build, widened(build, v), channels) for v in (weight, bias)
    )
    parts = _in_groups(build, x, grouped)
    axes = tuple(range(2, parts.meta.ndim))
    mean = _average(build, parts, axes)
    distance = build("sub", parts, mean)
    var = _average(build, build("mul", distance, distance), axes)
    rstd = build("rsqrt", build("add", var, eps))
    y = build("sub", x, _per_channel(build, mean, grouped, ndim))
    y = build("mul", y, _per_channel(build, rstd, grouped, ndim))
    y = y if weight is None else build("mul", y, weight)
    y = y if bias is None else build("add", y, bias)
    rows = (*grouped[:2], 1, 1)
    statistics = [narrowed(build, shaped(build, s, rows), kept) for s in (mean, rstd, var)]
    return narrowed(build, y, found), *statistics


def _written_out(
    build: Build, x: Any, weight: Any, bias: Any, grouped: Shape, axes: Shape, affine: Shape,
    eps: float,
) -> Any:  # fmt: skip
    if not usable(x, weight, bias):
        return None
    if grouped != tuple(x.meta.shape):
        return _groups_written_out(build, x, weight, bias, grouped, eps)
    found, kept = x.meta.dtype, check_types(*[v.meta for v in (x, weight, bias) if v is not None])
    x = widened(build, x)
    weight, bias = (_for_rows(build, part, affine) for part in (weight, bias))
    mean = _average(build, x, axes)
    centred = build("sub", x, mean)
    var = _average(build, build("mul", centred, centred), axes)
    rstd = build("rsqrt", build("add", var, eps))
    if weight is not None and affine == _statistics_shape(grouped, axes):
        y = build("mul", centred, build("mul", rstd, weight))
    else:
        y = build("mul", centred, rstd)
        y = y if weight is None else build("mul", y, weight)
    y = y if bias is None else build("add", y, bias)
    return narrowed(build, y, found), *[narrowed(build, s, kept) for s in (mean, rstd, var)]


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
        normal = x.reshape(grouped).astype(compute, copy=False) - mean.astype(compute, copy=False)
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


def _groups_backward_written_out(
    build: Build, g: Any, x: Any, mean: Any, rstd: Any, weight: Any, grouped: Shape
) -> Any:
    """Sums over the places of each channel first; those over groups and samples are made of them.

    With a = g w, n normalised and m elements in a group:
    ``gx = rstd (a - (sum(a) + n sum(a n)) / m)``.
    """
    if not x.meta.contiguous or not g.meta.contiguous or len(grouped) != 4 or x.meta.ndim < 3:
        return None
    found, kept, ndim = x.meta.dtype, mean.meta.dtype, x.meta.ndim
    channels = x.meta.shape[1]
    g, x, mean, rstd, weight = (widened(build, v) for v in (g, x, mean, rstd, weight))
    mean, rstd = (_per_channel(build, v, grouped, ndim) for v in (mean, rstd))
    normal = build("mul", build("sub", x, mean), rstd)
    places = tuple(range(2, ndim))
    sums = [build("sum", v, dims=places) for v in (g, build("mul", g, normal))]
    bias_grad, weight_grad = (build("sum", v, dims=(0,)) for v in sums)
    if weight is not None:
        sums = [build("mul", v, weight) for v in sums]
    rows = [shaped(build, v, grouped[:3]) for v in sums]
    rows = [build("sum", v, dims=(2,), keepdim=True) for v in rows]
    count = grouped[2] * grouped[3]
    first, second = (
        _per_channel(build, build("div", v, count), grouped, ndim) for v in rows
    )
    if weight is not None:
        g = build("mul", g, shaped(build, weight, (channels, *(1,) * (ndim - 2))))
    made = build("sub", build("sub", g, build("mul", normal, second)), first)
    made = build("mul", made, rstd)
    return [narrowed(build, made, found)] + [
        narrowed(build, v, kept) for v in (weight_grad, bias_grad)
    ]


def _backward_written_out(
    build: Build, g: Any, x: Any, mean: Any, rstd: Any, weight: Any, grouped: Shape, axes: Shape,
    affine: Shape, eps: float,
) -> Any:  # fmt: skip
    if not usable(g, x, weight):
        return None
    if grouped != tuple(x.meta.shape):
        return _groups_backward_written_out(build, g, x, mean, rstd, weight, grouped)
    found, kept = x.meta.dtype, mean.meta.dtype
    row = (prod(affine),) if weight is None else tuple(weight.meta.shape)
    g, x, mean, rstd = (widened(build, v) for v in (g, x, mean, rstd))
    scale = _for_rows(build, weight, affine)
    normal = build("mul", build("sub", x, mean), rstd)
    product = build("mul", g, normal)
    spread = tuple(a for a, n in enumerate(affine) if n == 1)
    weight_grad = build("sum", product, dims=spread) if spread else product
    bias_grad = build("sum", g, dims=spread) if spread else g
    if affine == _statistics_shape(grouped, axes):
        count = prod(grouped[a] for a in axes)
        rows = (shaped(build, v, affine) for v in (bias_grad, weight_grad))
        first, second = (build("div", v, count) for v in rows)
        made = build("sub", build("sub", g, build("mul", normal, second)), first)
        made = build("mul", made, rstd if scale is None else build("mul", rstd, scale))
    else:
        scaled = g if scale is None else build("mul", g, scale)
        weighted = product if scale is None else build("mul", product, scale)
        first, second = _average(build, scaled, axes), _average(build, weighted, axes)
        made = build("sub", build("sub", scaled, build("mul", normal, second)), first)
        made = build("mul", made, rstd)
    sums = [narrowed(build, shaped(build, v, row), kept) for v in (weight_grad, bias_grad)]
    return narrowed(build, made, found), *sums


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
        decompose=_backward_written_out,
        grad={"g_out, input, mean, rstd, weight": _twice},
        grad_name=f"{grad_name}BackwardBackward0",
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
        decompose=_written_out,
        grad={"input, weight, bias": gradient},
        differentiable=1,
        grad_name=grad_name,
    )


native_batch_norm = _norm("native_batch_norm", "NativeBatchNorm")
native_layer_norm = _norm("native_layer_norm", "NativeLayerNorm")
native_group_norm = _norm("native_group_norm", "NativeGroupNorm")


# with the running statistics -------------------------------------------------------------------


def _row(meta: Meta) -> Shape:
    """How one number per channel broadcasts."""
    return tuple(n if axis == 1 else 1 for axis, n in enumerate(meta.shape))


def _fixed_infer(
    input: Meta, mean: Meta, var: Meta, weight: Meta | None, bias: Meta | None, eps: float
) -> Meta:
    check_types(input, mean, var, weight, bias)
    return kept_layout(input, tuple(input.shape))


def _fixed_kernel(spec: Spec, eps: float) -> Callable[..., Array]:
    found = spec.out.dtype.numpy
    compute = numpy_compute(spec.out.dtype)
    row = _row(spec.out)

    def call(
        x: Array, mean: Array, var: Array, weight: Array | None, bias: Array | None
    ) -> Array:
        scale = 1 / np.sqrt(var.astype(compute, copy=False) + compute.type(eps))
        if weight is not None:
            scale = scale * weight.astype(compute, copy=False)
        shift = -mean.astype(compute, copy=False) * scale
        if bias is not None:
            shift = shift + bias.astype(compute, copy=False)
        y = x.astype(compute, copy=False) * scale.reshape(row)
        y += shift.reshape(row)
        return y.astype(found, copy=False)

    return call


def _fixed_written_out(
    build: Build, x: Any, mean: Any, var: Any, weight: Any, bias: Any, eps: float
) -> Any:
    if not usable(x, mean, var, weight, bias):
        return None
    found, row = x.meta.dtype, _row(x.meta)
    x, mean, var, weight, bias = (widened(build, v) for v in (x, mean, var, weight, bias))
    scale = build("rsqrt", build("add", var, eps))
    scale = scale if weight is None else build("mul", scale, weight)
    shift = build("mul", build("neg", mean), scale)
    shift = shift if bias is None else build("add", shift, bias)
    y = build("mul", x, shaped(build, scale, row))
    return narrowed(build, build("add", y, shaped(build, shift, row)), found)


def _fixed_scale(var: Any, weight: Any, input_meta: Meta, eps: float) -> Any:
    scale = (var + eps).rsqrt()
    return (scale if weight is None else scale * weight).reshape(_row(input_meta))


def _fixed_weight_grad(
    g: Any, input: Any, running_mean: Any, running_var: Any, input_meta: Meta, eps: float
) -> Any:
    row = _row(input_meta)
    normal = (input - running_mean.reshape(row)) * (running_var + eps).rsqrt().reshape(row)
    return (g * normal).sum(_others(input_meta))


def _others(meta: Meta) -> Shape:
    return tuple(axis for axis in range(meta.ndim) if axis != 1)


batch_norm_fixed = Op(
    "batch_norm_fixed(Tensor input, Tensor running_mean, Tensor running_var, Tensor? weight, "
    "Tensor? bias, float eps)",
    kind=OTHER,
    infer=_fixed_infer,
    kernel=_fixed_kernel,
    decompose=_fixed_written_out,
    grad={
        "input": lambda g, running_var, weight, input_meta, eps: (
            g * _fixed_scale(running_var, weight, input_meta, eps)
        ),
        "running_mean": "native_batch_norm",
        "running_var": "native_batch_norm",
        "weight": _fixed_weight_grad,
        "bias": lambda g, input_meta: g.sum(_others(input_meta)),
    },
    grad_name="NativeBatchNorm",
)
