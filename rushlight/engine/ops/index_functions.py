"""Functions that pick, write, add or fill elements by index or mask."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import COMPLEX, FLOATING, INTEGRAL, SCALAR_NAMES, bool_, dtype
from rushlight.engine.core.shape import broadcast_shapes, pointwise_strides
from rushlight.engine.ir.graph import Meta, TensorBase, strided_meta
from rushlight.engine.ir.op import POINTWISE, Op, Spec, composite, hooks
from rushlight.engine.ir.samples import S, t, tb, ti
from rushlight.engine.ops.index import MOST, index_put, index_put_several

_C_NAMES = {
    "uint8": "uint8_t", "int8": "int8_t", "int16": "int16_t", "int32": "int", "int64": "int64_t",
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
}  # fmt: skip


def checked_number(value: Any, wanted: dtype) -> Any:
    """A Python number that a tensor of type ``wanted`` can hold; ``None`` if it is no number."""
    if isinstance(value, (np.generic, np.ndarray)) and np.ndim(value) == 0:
        value = value.item()
    if not isinstance(value, (bool, int, float, complex)):
        return None
    if wanted is bool_ or wanted.category == COMPLEX:
        return bool(value) if wanted is bool_ else value
    fits = not isinstance(value, complex) or value.imag == 0
    if fits and isinstance(value, complex):
        value = value.real
    if fits and wanted.category == INTEGRAL:
        limits = np.iinfo(wanted.numpy)
        finite = value == value and value not in (float("inf"), float("-inf"))
        low = -limits.max - 1 if limits.min == 0 else limits.min
        fits = finite and low <= int(value) <= limits.max
        value = int(value) if fits else value
    elif fits and wanted.category == FLOATING and isinstance(value, int):
        value = float(value)
    if not fits:
        name = _C_NAMES.get(wanted.name, wanted.name)
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")
    return value


def put_at(
    part: Any, dims: tuple[int, ...], tensors: Sequence[Any], value: Any, accumulate: bool
) -> Any:
    """``part`` with ``value`` written (or added) at the places the index tensors name."""
    attrs = (dims, accumulate)
    if len(tensors) == 1:
        return hooks.record(index_put, (part, value, tensors[0]), attrs)
    missing = (None,) * (MOST - len(tensors))
    return hooks.record(index_put_several, (part, value, *tensors, *missing), attrs)


# masks -----------------------------------------------------------------------------------------


def _fill_infer(input: Meta, mask: Meta, value: Meta) -> Meta:
    if mask.dtype is not bool_:
        raise RuntimeError("masked_fill only supports boolean masks, but got mask with dtype "
                           f"{SCALAR_NAMES[mask.dtype].lower()}")  # fmt: skip
    if value.ndim:
        raise RuntimeError(
            "masked_fill only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    shape = broadcast_shapes(input.shape, mask.shape)
    if input.contiguous and mask.contiguous:
        return input.like(shape)
    operands = [(tuple(m.shape), m.strides) for m in (input, mask)]
    return strided_meta(shape, pointwise_strides(shape, operands), input.dtype, input.device)


def _fill_kernel(spec: Spec) -> Callable[..., np.ndarray]:
    found = spec.out.dtype.numpy
    return lambda x, mask, value: np.where(mask, np.asarray(value).astype(found), x)


masked_fill_op = Op(
    "masked_fill(Tensor input, Tensor mask, Tensor value)",
    kind=POINTWISE,
    infer=_fill_infer,
    kernel=_fill_kernel,
    grad={
        "input": lambda g, mask: masked_fill_op(g, mask, 0.0),
        "value": lambda g, mask: (g * mask).sum(),
    },
)
