"""Mixing: lerp, addcmul, addcdiv, and the replacement of NaN and infinities."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import ml_dtypes
import numpy as np

from rushlight.engine.core.dtype import C_NAMES, COMPLEX, FLOATING, bool_, int16, int64
from rushlight.engine.ir.graph import Meta, TensorBase
from rushlight.engine.ir.op import Spec, composite
from rushlight.engine.ir.samples import UNARY, S, Sample, t, tc, ti
from rushlight.engine.ir.scalar import Expr, function, where
from rushlight.engine.ops.arithmetic_rules import conjugate, numbered, plain, refuse
from rushlight.engine.ops.blend import where_op
from rushlight.engine.ops.elementwise import (
    SAME,
    broadcast_meta,
    numpy_compute,
    numpy_kernel,
    pointwise,
    result_type,
)
from rushlight.engine.ops.predicates import isfinite

# lerp -------------------------------------------------------------------------------------------


_SPELLED = {**C_NAMES, int64: "long int", int16: "short int"}


def _lerp_infer(input: Meta, end: Meta, weight: Meta) -> Meta:
    for meta, name in ((end, "end"), (weight, "weight")):
        if not meta.weak and meta.dtype is not input.dtype:
            raise RuntimeError(
                f"expected dtype {_SPELLED[input.dtype]} for `{name}` but got dtype "
                f"{_SPELLED[meta.dtype]}"
            )
    if input.dtype.category < FLOATING:
        refuse(f"lerp_kernel_{'scalar' if weight.weak else 'tensor'}", input.dtype)
    metas = (input, end) if weight.weak else (input, end, weight)
    return broadcast_meta(metas, input.dtype)


def _mix(x: Any, y: Any, weight: Any) -> Any:
    """Between x and y; counted from the nearer end, so that both ends are met exactly."""
    near_start = np.abs(weight) < 0.5
    if isinstance(near_start, (bool, np.bool_)):
        if near_start:
            return x + weight * (y - x)
        return y - (y - x) * (1 - weight)
    step = y - x
    return np.where(near_start, x + weight * step, y - step * (1 - weight))


def _scalar_mix(x: Expr, y: Expr, weight: Expr) -> Expr:
    step = y - x
    near_start = function("abs", weight) < 0.5
    return where(near_start, x + weight * step, y - step * (1 - weight))


def _lerp_kernel(spec: Spec) -> Callable[..., Any]:
    inner = numpy_kernel(_mix, SAME, 3)(spec)
    input, _, weight = spec.inputs
    assert weight is not None
    exact = numpy_compute(spec.out.dtype) == spec.out.dtype.numpy
    if input is not spec.out or not weight.weak or not spec.out.ndim or not exact:
        return inner

    def kernel(x: Any, y: Any, weight: Any) -> Any:
        return inner(x, y, weight)

    def into(x: Any, y: Any, weight: Any) -> Any:
        step = np.subtract(y, x)
        if abs(weight) < 0.5:
            return np.add(x, np.multiply(step, weight, step), x)
        return np.subtract(y, np.multiply(step, 1 - weight, step), x)

    kernel.into = into  # type: ignore[attr-defined]
    return kernel


lerp_op = pointwise(
    "lerp(Tensor input, Tensor end, Tensor weight)",
    _mix,
    infer=_lerp_infer,
    kernel=_lerp_kernel,
    scalar=_scalar_mix,
    compute=lambda metas, attrs: metas[0].dtype,
    grad={
        "input": lambda g, weight: g * (1 - conjugate(weight)),
        "end": lambda g, weight: g * conjugate(weight),
        "weight": lambda g, input, end: g * (end - input).conj(),
    },
    grad_name=numbered("Lerp", tensors=1, number=0),
)


@composite(
    method=True,
    inplace=True,
    samples=(
        S(t(3, 4), t(3, 4), 0.3),
        S(t(3, 4), t(3, 4), 0.8),
        S(t(3, 4), t(4), t(3, 1, low=0.0, high=1.0)),
        S(t(), t(), 0.5),
        S(t(0, 3), t(3), 0.5),
        S(tc(3), tc(3), 0.3),
    ),
)
def lerp(input: Any, end: Any, weight: Any) -> Any:
    """``input + weight * (end - input)``.

    Args:
        input: where weight 0 leads, a floating-point tensor.
        end: where weight 1 leads, a tensor of the same type.
        weight: a number or a tensor of the same type.

    >>> import rushlight as torch
    >>> torch.lerp(torch.tensor([1.0, 2.0]), torch.tensor([10.0, 10.0]), 0.5)
    tensor([5.5000, 6.0000])
    """
    return lerp_op(input, end, weight)


# products and quotients added -------------------------------------------------------------------


def _three_infer(input: Meta, tensor1: Meta, tensor2: Meta, value: Meta) -> Meta:
    metas = (input, tensor1, tensor2)
    return broadcast_meta(metas, result_type(metas))


def _addcmul_infer(input: Meta, tensor1: Meta, tensor2: Meta, value: Meta) -> Meta:
    made = _three_infer(input, tensor1, tensor2, value)
    if made.dtype is bool_:
        refuse("addcmul_cpu_out", made.dtype)
    return made


def _addcdiv_infer(input: Meta, tensor1: Meta, tensor2: Meta, value: Meta) -> Meta:
    if tensor1.dtype.category < FLOATING and tensor2.dtype.category < FLOATING:
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
            "behavior can be implemented as (input + value * torch.trunc(tensor1 / tensor2))"
            ".to(input.dtype) for integer inputs and as (input + value * tensor1 / tensor2) for "
            "float inputs. The future addcdiv behavior is just the latter implementation: "
            "(input + value * tensor1 / tensor2), for all dtypes."
        )
    return _three_infer(input, tensor1, tensor2, value)


def _added(combine: np.ufunc) -> Callable[[Spec], Callable[..., Any]]:
    """The kernel factory of ``x + value * combine(y, z)``."""

    def fused(x: Any, y: Any, z: Any, value: Any) -> Any:
        found = combine(y, z)
        if not isinstance(value, (int, float)) or value != 1:
            found = np.multiply(found, value)
        return np.add(x, found)

    def prepare(spec: Spec) -> Callable[..., Any]:
        compute = numpy_compute(spec.out.dtype)
        tensors = [m for m in spec.inputs[:3] if m is not None]
        if spec.out.dtype.category < FLOATING:  # the number loses what follows its point
            return lambda *arrays: np.asarray(
                fused(*[np.asarray(array).astype(compute) for array in arrays])
            )
        if any(m.dtype is not spec.out.dtype for m in tensors) or compute != spec.out.dtype.numpy:
            inner = numpy_kernel(fused, SAME, 4)
            return inner(spec)
        if not spec.out.ndim:
            return lambda *arrays: np.asarray(fused(*arrays), compute)

        def kernel(x: Any, y: Any, z: Any, value: Any) -> Any:
            return fused(x, y, z, value)

        if spec.inputs[0] is spec.out:
            kernel.into = lambda x, y, z, value: np.add(x, combine(y, z) * value, x)  # type: ignore[attr-defined]
        return kernel

    return prepare


addcmul_op = pointwise(
    "addcmul(Tensor input, Tensor tensor1, Tensor tensor2, Tensor value)",
    np.add,
    infer=_addcmul_infer,
    kernel=_added(np.multiply),
    scalar=lambda x, y, z, value: x + y * z * value,
    compute=lambda metas, attrs: result_type(metas[:3]),
    grad={
        "input": lambda g: g,
        "tensor1": lambda g, tensor2, value: g * (tensor2 * plain(value)).conj(),
        "tensor2": lambda g, tensor1, value: g * (tensor1 * plain(value)).conj(),
    },
)

addcdiv_op = pointwise(
    "addcdiv(Tensor input, Tensor tensor1, Tensor tensor2, Tensor value)",
    np.add,
    infer=_addcdiv_infer,
    kernel=_added(np.divide),
    scalar=lambda x, y, z, value: x + y / z * value,
    compute=lambda metas, attrs: result_type(metas[:3]),
    grad={
        "input": lambda g: g,
        "tensor1": lambda g, tensor2, value: g * conjugate(value) / tensor2.conj(),
        "tensor2": lambda g, tensor1, tensor2, value: -g
        * (tensor1 * plain(value) / (tensor2 * tensor2)).conj(),
    },
)


def _number(value: Any) -> Any:
    if isinstance(value, TensorBase) and not value._value.meta.weak:
        return value.item()
    return value


@composite(
    method=True,
    inplace=True,
    samples=(
        S(t(3, 4), t(3, 4), t(4)),
        S(t(3, 4), t(3, 4), t(3, 1), value=0.5),
        S(t(), t(), t(), value=-2),
        S(ti(3), ti(3), ti(3), value=2),
        S(tc(3), tc(3), tc(3), value=0.5),
        S(t(0, 3), t(3), t(3)),
    ),
)
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """``input + value * tensor1 * tensor2``.

    Args:
        input: a tensor.
        tensor1: a tensor that broadcasts with it.
        tensor2: a tensor that broadcasts with both.
        value: a number.

    >>> import rushlight as torch
    >>> torch.addcmul(torch.ones(2), torch.ones(2), torch.tensor([1.0, 2.0]), value=0.5)
    tensor([1.5000, 2.0000])
    """
    return addcmul_op(input, tensor1, tensor2, _number(value))


@composite(
    method=True,
    inplace=True,
    samples=(
        S(t(3, 4), t(3, 4), t(4, low=0.5)),
        S(t(3, 4), t(3, 4), t(3, 1, low=0.5), value=0.5),
        S(t(), t(), t(low=0.5), value=-2),
        Sample((t(3), t(3), ti(3, low=1)), check_grad=False),  # PyTorch's backward fails
        S(tc(3), tc(3), tc(3, low=0.5), value=0.5),
        S(t(0, 3), t(3), t(3)),
    ),
)
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Any = 1) -> Any:
    """``input + value * tensor1 / tensor2``.

    Args:
        input: a tensor.
        tensor1: a tensor that broadcasts with it.
        tensor2: a tensor that broadcasts with both; not both integers.
        value: a number.

    >>> import rushlight as torch
    >>> torch.addcdiv(torch.ones(2), torch.ones(2), torch.tensor([1.0, 2.0]), value=0.5)
    tensor([1.5000, 1.2500])
    """
    return addcdiv_op(input, tensor1, tensor2, _number(value))


# NaN and infinities -----------------------------------------------------------------------------


_SPECIAL_VALUES = t(4, values=[1.5, float("nan"), float("inf"), float("-inf")], grad=False)


def _replace(x: Any, nan: float | None, posinf: float | None, neginf: float | None) -> Any:
    if x.dtype.kind == "c":
        made = np.empty_like(x)
        made.real = _replace(x.real, nan, posinf, neginf)
        made.imag = _replace(x.imag, nan, posinf, neginf)
        return made
    if x.dtype.kind != "f":
        return x.copy(order="K")
    if np.isfinite(x).all():
        return x.copy(order="K")
    return np.nan_to_num(x, nan=nan or 0.0, posinf=posinf, neginf=neginf)


def _nan_to_num_kernel(spec: Spec, *values: Any) -> Callable[..., Any]:
    target = spec.out.dtype.numpy
    if spec.out.dtype.category == FLOATING and target.itemsize < 4:
        largest = float(ml_dtypes.finfo(target).max)
        nan, posinf, neginf = values
        limits = (
            nan,
            largest if posinf is None else posinf,
            -largest if neginf is None else neginf,
        )
        return lambda x: np.asarray(_replace(x.astype(np.float32), *limits)).astype(target)
    return lambda x: np.asarray(_replace(x, *values))


def _nan_to_num_element(
    load: Callable[..., Expr],
    index: Any,
    spec: Spec,
    nan: float | None,
    posinf: float | None,
    neginf: float | None,
) -> Expr:
    x = load(0, index)
    if not x.floating:
        return x
    largest = float(ml_dtypes.finfo(spec.out.dtype.numpy).max)
    above = where(x.eq(math.inf), largest if posinf is None else posinf, x)
    found = where(x.eq(-math.inf), -largest if neginf is None else neginf, above)
    return where(function("isnan", x), nan or 0.0, found)


nan_to_num_op = pointwise(
    "nan_to_num(Tensor input, float? nan, float? posinf, float? neginf)",
    _replace,
    infer=lambda input, *_: broadcast_meta((input,), input.dtype),
    kernel=_nan_to_num_kernel,
    element=_nan_to_num_element,
    grad={
        "input": lambda g, input: where_op(isfinite(input), g, 0)
        if input.dtype.category != COMPLEX
        else g * isfinite(input)
    },
)


@composite(
    method=True,
    inplace="torch",
    samples=(
        *UNARY,
        S(_SPECIAL_VALUES),
        S(_SPECIAL_VALUES, 1.0, 2.0, 3.0),
        S(ti(3)),
    ),
)
def nan_to_num(
    input: Any, nan: float | None = None, posinf: float | None = None, neginf: float | None = None
) -> Any:
    """Finite numbers in place of NaN and infinities.

    Args:
        input: a tensor.
        nan: what NaN becomes, 0 by default.
        posinf: what infinity becomes, the type's largest number by default.
        neginf: what minus infinity becomes, the type's smallest number by default.

    >>> import rushlight as torch
    >>> torch.nan_to_num(torch.tensor([float("nan"), 1.0]), nan=2.0)
    tensor([2., 1.])
    """
    return nan_to_num_op(input, nan=nan, posinf=posinf, neginf=neginf)
