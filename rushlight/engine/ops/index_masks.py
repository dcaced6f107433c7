"""Masks: masked_fill, masked_select, masked_scatter."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import C_NAMES, SCALAR_NAMES, bool_
from rushlight.engine.core.shape import Shape, broadcast_shapes
from rushlight.engine.ir.graph import Meta, TensorBase, make_meta
from rushlight.engine.ir.op import GATHER, POINTWISE, Op, Spec, composite, constant, hooks
from rushlight.engine.ir.samples import ErrorSample, S, Sample, t, tb
from rushlight.engine.ir.scalar import where
from rushlight.engine.ops.blend import choose
from rushlight.engine.ops.index_functions import checked_number
from rushlight.engine.ops.view import expand

Array = np.ndarray


# filling ---------------------------------------------------------------------------------------


def _fill_infer(input: Meta, mask: Meta, value: Meta) -> Meta:
    if mask.dtype is not bool_:
        raise RuntimeError(
            "masked_fill_ only supports boolean masks, but got mask with dtype "
            f"{C_NAMES[mask.dtype]}"
        )
    if value.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    return input.like(broadcast_shapes(mask.shape, input.shape))


def _fill_kernel(spec: Spec) -> Callable[..., Array]:
    found, shape = spec.out.dtype.numpy, tuple(spec.out.shape)
    source = spec.inputs[0]
    assert source is not None
    if tuple(source.shape) == shape:
        return lambda x, mask, value: np.asarray(
            choose(mask, np.asarray(value).astype(found), x, found)
        )
    return lambda x, mask, value: np.asarray(np.where(mask, np.asarray(value).astype(found), x))


def _fill(name: str, grad_name: str) -> Op:
    return Op(
        f"{name}(Tensor input, Tensor mask, Tensor value)",
        kind=POINTWISE,
        infer=_fill_infer,
        kernel=_fill_kernel,
        scalar=lambda x, mask, value: where(mask, value, x),
        compute=lambda metas, attrs: (metas[0].dtype, bool_, metas[0].dtype),
        grad={
            "input": lambda g, mask: masked_fill_op(g, mask, 0.0),
            "value": lambda g, mask: masked_fill_op(g, ~mask, 0.0).sum(),
        },
        grad_name=grad_name,
    )


# PyTorch tells by the name of grad_fn whether the value was a number or a tensor
masked_fill_op = _fill("masked_fill", "MaskedFillBackward0")
masked_fill_tensor = _fill("masked_fill_tensor", "MaskedFillBackward1")


@composite(
    method=True,
    inplace=True,
    samples=(
        S(t(3, 4), tb(3, 4), 1.5),
        Sample((t(3, 4), tb(4), float("-inf")), check_grad=False),
        S(t(3, 4), tb(3, 4), t()),
        S(t(3, 4), tb(3, 1), 0),
    ),
    errors=(
        ErrorSample(S(t(2), t(2), 0.0), RuntimeError, "only supports boolean masks"),
        ErrorSample(S(t(2), tb(2), t(2)), RuntimeError, "only supports a 0-dimensional value"),
    ),
)
def masked_fill(input: Any, mask: Any, value: Any) -> Any:
    """``input`` with ``value`` wherever ``mask`` is true.

    Args:
        input: any tensor.
        mask: bool, broadcasts with ``input``.
        value: a number, or a 0-d tensor.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.masked_fill_.html.

    >>> import rushlight as torch
    >>> torch.ones(3).masked_fill(torch.tensor([True, False, True]), 5)
    tensor([5., 1., 5.])
    """
    if isinstance(value, TensorBase):
        return hooks.record(masked_fill_tensor, (input, mask, value), ())
    kind = input._value.meta.dtype
    if not (value.__class__ is float and kind.category == 2):
        number = checked_number(value, kind)
        if number is None:
            raise TypeError(
                f"masked_fill(): argument 'value' (position 2) must be Tensor or Number, not "
                f"{type(value).__name__}"
            )
        value = number
    return hooks.record(masked_fill_op, (input, mask, value), ())


# selecting -------------------------------------------------------------------------------------


def _places_grad(g: Any, places: Any, input_meta: Meta) -> Any:
    return masked_embed(g, places, shape=tuple(input_meta.shape))


masked_select_op = Op(
    "masked_select(Tensor input, Tensor places)",
    kind=GATHER,
    infer=lambda input, places: make_meta(tuple(places.shape), input.dtype),
    kernel=lambda spec: lambda x, places: x.reshape(-1)[places],
    grad={"input": _places_grad},
)


def _embed_kernel(spec: Spec, shape: Shape) -> Callable[..., Array]:
    def call(g: Array, places: Array) -> Array:
        made = np.zeros(spec.out.numel, g.dtype)
        made[places] = g
        return made.reshape(shape)

    return call


masked_embed = Op(
    "masked_embed(Tensor input, Tensor places, int[] shape)",
    kind=GATHER,
    infer=lambda input, places, shape: make_meta(shape, input.dtype),
    kernel=_embed_kernel,
    grad={"input": lambda g, places: masked_select_op(g, places)},
    grad_name="MaskedScatter",
)


def _expanded(tensor: Any, shape: Shape) -> Any:
    return tensor if tuple(tensor.shape) == shape else expand(tensor, size=shape)


@composite(
    method=True,
    samples=(S(t(3, 4), tb(3, 4)), S(t(3, 4), tb(4)), S(t(4), tb(3, 1)), S(t(), tb())),
    errors=(ErrorSample(S(t(2), t(2)), RuntimeError, "expected BoolTensor for mask"),),
)
def masked_select(input: Any, mask: Any) -> Any:
    """The elements of ``input`` where ``mask`` is true, as a 1-d tensor.

    The mask is computed at once, since the size of the result depends on it.

    See https://pytorch.org/docs/stable/generated/torch.masked_select.html.

    >>> import rushlight as torch
    >>> x = torch.tensor([1, 5, 3])
    >>> torch.masked_select(x, x > 2)
    tensor([5, 3])
    """
    if mask.dtype is not bool_:
        raise RuntimeError(
            "masked_select: expected BoolTensor for mask\nConvert the mask with .bool()."
        )
    shape = broadcast_shapes(input.shape, mask.shape)
    marked = np.broadcast_to(mask._array("masked_select()"), shape)
    places = constant(np.flatnonzero(marked))
    return hooks.record(masked_select_op, (_expanded(input, shape), places), ())


# scattering ------------------------------------------------------------------------------------


def _scatter_infer(input: Meta, mask: Meta, source: Meta) -> Meta:
    if mask.dtype is not bool_:
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            f"{SCALAR_NAMES[mask.dtype]}"
        )
    if input.dtype is not source.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{SCALAR_NAMES[input.dtype]} and {SCALAR_NAMES[source.dtype]}"
        )
    return input.like(broadcast_shapes(input.shape, mask.shape))


def _scatter_kernel(spec: Spec) -> Callable[..., Array]:
    shape = tuple(spec.out.shape)

    def call(x: Array, mask: Array, source: Array) -> Array:
        made = np.array(np.broadcast_to(x, shape), order="C")
        marked = np.broadcast_to(mask, shape)
        count = int(np.count_nonzero(marked))
        if count > source.size:
            raise RuntimeError("Number of elements of source < number of ones in mask")
        made[marked] = source.reshape(-1)[:count]
        return made

    return call


def _source_kernel(spec: Spec, shape: Shape) -> Callable[..., Array]:
    def call(g: Array, mask: Array) -> Array:
        made = np.zeros(spec.out.numel, g.dtype)
        picked = g[np.broadcast_to(mask, g.shape)]
        made[: picked.size] = picked
        return made.reshape(shape)

    return call


masked_scatter_op = Op(
    "masked_scatter(Tensor input, Tensor mask, Tensor source)",
    kind=GATHER,
    infer=_scatter_infer,
    kernel=_scatter_kernel,
    grad={
        "input": lambda g, mask: masked_fill_op(g, mask, 0.0),
        "source": lambda g, mask, source_meta: masked_source(
            g, mask, shape=tuple(source_meta.shape)
        ),
    },
    may_fail=True,
)

masked_source: Op = Op(
    "masked_source(Tensor input, Tensor mask, int[] shape)",
    kind=GATHER,
    infer=lambda input, mask, shape: make_meta(shape, input.dtype),
    kernel=_source_kernel,
    grad={
        "input": lambda g, mask, input_meta: masked_scatter_op(
            g.new_zeros(input_meta.shape), mask, g
        )
    },
    grad_name="MaskedScatterBackward",
)


@composite(
    method=True,
    inplace=True,
    samples=(S(t(3, 4), tb(3, 4), t(3, 4)), S(t(3, 4), tb(4), t(12)), S(t(2), tb(2), t(5))),
)
def masked_scatter(input: Any, mask: Any, source: Any) -> Any:
    """``input`` with the elements of ``source``, in order, wherever ``mask`` is true.

    Args:
        input: any tensor.
        mask: bool, broadcasts with ``input``.
        source: at least as many elements as ``mask`` has true ones.

    See https://pytorch.org/docs/stable/generated/torch.Tensor.masked_scatter_.html.

    >>> import rushlight as torch
    >>> mask = torch.tensor([True, False, True])
    >>> torch.zeros(3).masked_scatter(mask, torch.tensor([1.0, 2.0]))
    tensor([1., 0., 2.])
    """
    return hooks.record(masked_scatter_op, (input, mask, source), ())
