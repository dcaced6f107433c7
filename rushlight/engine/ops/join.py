"""Joining tensors: cat, stack and the functions named after directions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import dtype, promote_types
from rushlight.engine.core.shape import channels_last_strides, is_channels_last, normalize_dim
from rushlight.engine.ir.graph import Meta, TensorBase, make_meta, strided_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, composite, hooks
from rushlight.engine.ir.samples import S, t, tb, ti
from rushlight.engine.ir.scalar import Expr
from rushlight.engine.ops.places import (
    MOST_JOINED,
    Load,
    Place,
    as_result,
    below,
    both,
    equal,
    from_on,
    guarded,
    pick,
    plus,
)
from rushlight.engine.ops.view import slice_, to_dtype

Array = np.ndarray


def _common(metas: Sequence[Meta]) -> dtype:
    found = metas[0].dtype
    for meta in metas[1:]:
        if meta.dtype is not found:
            found = promote_types(found, meta.dtype)
    return found


def _legacy_empty(meta: Meta) -> bool:
    """A 1-d tensor without elements joins anything."""
    return meta.ndim == 1 and meta.shape[0] == 0


def _cat_infer(*arguments: Any) -> Meta:
    metas: tuple[Meta, ...] = arguments[:-1]
    dim: int = arguments[-1]
    if not metas:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for place, meta in enumerate(metas):
        if not meta.ndim:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {place}) cannot be concatenated\n"
                "Use torch.stack to join 0-d tensors."
            )
    first = next((m for m in metas if not _legacy_empty(m)), metas[0])
    dim = normalize_dim(dim, first.ndim)
    total = 0
    for place, meta in enumerate(metas):
        if _legacy_empty(meta):
            continue
        if meta.ndim != first.ndim:
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {first.ndim} and {meta.ndim}"
            )
        for axis in range(first.ndim):
            if axis != dim and meta.shape[axis] != first.shape[axis]:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size "
                    f"{first.shape[axis]} but got size {meta.shape[axis]} for tensor number "
                    f"{place} in the list."
                )
        total += meta.shape[dim]
    shape = list(first.shape)
    shape[dim] = total
    if not first.contiguous and all(is_channels_last(m.shape, m.strides) for m in metas):
        return strided_meta(tuple(shape), channels_last_strides(shape), _common(metas))
    return make_meta(tuple(shape), _common(metas))


def _cat_kernel(spec: Spec, dim: int) -> Callable[..., Array]:
    target = spec.out.dtype.numpy
    axis = normalize_dim(dim, spec.out.ndim)
    used = [i for i, m in enumerate(spec.inputs) if m is not None and not _legacy_empty(m)]
    plain = all(m is not None and m.dtype is spec.out.dtype for m in spec.inputs)
    if not used:
        return lambda *arrays: np.empty(spec.out.shape, target)
    if plain and len(used) == len(spec.inputs):
        return lambda *arrays: np.concatenate(arrays, axis)
    return lambda *arrays: np.concatenate([arrays[i].astype(target) for i in used], axis)


def _cat_grad(g: Any, metas: Sequence[Meta], needs: Sequence[bool], dim: int) -> list[Any]:
    axis = normalize_dim(dim, g.dim())
    parts, start = [], 0
    for meta, needed in zip(metas, needs, strict=True):
        if _legacy_empty(meta) and g.dim() != 1:
            parts.append(g.new_zeros((0,)) if needed else None)
            continue
        end = start + meta.shape[axis]
        parts.append(slice_(g, dim=axis, start=start, stop=end, step=1) if needed else None)
        start = end
    return parts


def _cat_element(load: Load, index: Place, spec: Spec, dim: int) -> Expr | None:
    axis = normalize_dim(dim, spec.out.ndim)
    used = [
        (k, m.shape[axis])
        for k, m in enumerate(spec.inputs)
        if m is not None and not _legacy_empty(m) and m.shape[axis]
    ]
    if not 0 < len(used) <= MOST_JOINED:
        return None
    part, start, chosen = index[axis], spec.out.shape[axis], None
    for k, size in reversed(used):
        end, start = start, start - size
        inside = both(from_on(part, start), below(part, end))
        place = [*index[:axis], guarded(inside, plus(part, -start)), *index[axis + 1 :]]
        found = as_result(load(k, place), spec)
        chosen = found if chosen is None else as_result(pick(below(part, end), found, chosen), spec)
    return chosen


cat_op = Op(
    "cat(Tensor[] tensors, int dim=0)",
    kind=OTHER,
    infer=_cat_infer,
    kernel=_cat_kernel,
    element=_cat_element,
    grad={"tensors": _cat_grad},
)


def _stack_infer(*arguments: Any) -> Meta:
    metas: tuple[Meta, ...] = arguments[:-1]
    dim: int = arguments[-1]
    first = metas[0]
    for place, meta in enumerate(metas):
        if meta.shape != first.shape:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first.shape)} at "
                f"entry 0 and {list(meta.shape)} at entry {place}"
            )
    shape = tuple(first.shape)
    return make_meta((*shape[:dim], len(metas), *shape[dim:]), _common(metas))


def _stack_kernel(spec: Spec, dim: int) -> Callable[..., Array]:
    target = spec.out.dtype.numpy
    if all(m is not None and m.dtype is spec.out.dtype for m in spec.inputs):
        if dim == 0:
            return lambda *arrays: np.array(arrays, target)
        return lambda *arrays: np.stack(arrays, dim)
    return lambda *arrays: np.stack([a.astype(target) for a in arrays], dim)


def _stack_element(load: Load, index: Place, spec: Spec, dim: int) -> Expr | None:
    if len(spec.inputs) > MOST_JOINED:
        return None
    part, rest = index[dim], [*index[:dim], *index[dim + 1 :]]
    chosen = as_result(load(len(spec.inputs) - 1, rest), spec)
    for k in range(len(spec.inputs) - 1):
        found = as_result(load(k, rest), spec)
        chosen = as_result(pick(equal(part, k), found, chosen), spec)
    return chosen


stack_op = Op(
    "stack(Tensor[] tensors, int dim=0)",
    kind=OTHER,
    infer=_stack_infer,
    kernel=_stack_kernel,
    element=_stack_element,
    grad={"tensors": lambda g, dim: list(g.unbind(dim))},
)


def listed(tensors: Any, name: str) -> Sequence[Any]:
    """A list of tensors given to a function; PyTorch's error for anything else."""
    if not isinstance(tensors, (list, tuple)):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not "
            f"{'Tensor' if isinstance(tensors, TensorBase) else type(tensors).__name__}"
        )
    for place, tensor in enumerate(tensors):
        if not isinstance(tensor, TensorBase):
            raise TypeError(
                f"expected Tensor as element {place} in argument 0, but got "
                f"{type(tensor).__name__}"
            )
    return tensors


_CAT = (
    S([t(2, 3), t(1, 3)]),
    S([t(2, 3), t(2, 1)], dim=1),
    S([t(2, 3), t(2, 1)], -1),
    S([t(2, 3), ti(1, 3)]),
    S([t(0), t(2, 3)]),
    S([t(3)]),
    S([tb(2), tb(1)]),
)


@composite(samples=_CAT)
def cat(tensors: Any, dim: int = 0) -> Any:
    """The tensors one after the other along ``dim``.

    Args:
        tensors: tensors of equal sizes, except along ``dim``; their types are promoted.
        dim: the axis along which they are joined.

    See https://pytorch.org/docs/stable/generated/torch.cat.html.

    >>> import rushlight as torch
    >>> torch.cat([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    return hooks.record(cat_op, listed(tensors, "cat"), (dim,))


@composite(samples=_CAT)
def concat(tensors: Any, dim: int = 0) -> Any:
    """Another name of :func:`cat`.

    >>> import rushlight as torch
    >>> torch.concat([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    return hooks.record(cat_op, listed(tensors, "concat"), (dim,))


@composite(samples=_CAT)
def concatenate(tensors: Any, dim: int = 0) -> Any:
    """Another name of :func:`cat`.

    >>> import rushlight as torch
    >>> torch.concatenate([torch.tensor([1, 2]), torch.tensor([3])])
    tensor([1, 2, 3])
    """
    return hooks.record(cat_op, listed(tensors, "concatenate"), (dim,))


@composite(
    samples=(
        S([t(2, 3), t(2, 3)]), S([t(2, 3), t(2, 3), t(2, 3)], dim=1), S([t(), t()]),
        S([t(2), ti(2)], -1), S([t(0, 2), t(0, 2)]),
    )
)  # fmt: skip
def stack(tensors: Any, dim: int = 0) -> Any:
    """Tensors of one shape along a new axis.

    Args:
        tensors: tensors of equal shape.
        dim: where the new axis stands in the result.

    See https://pytorch.org/docs/stable/generated/torch.stack.html.

    >>> import rushlight as torch
    >>> torch.stack([torch.tensor([1, 2]), torch.tensor([3, 4])], dim=1)
    tensor([[1, 3],
            [2, 4]])
    """
    parts = listed(tensors, "stack")
    if not parts:
        raise RuntimeError("stack expects a non-empty TensorList")
    return hooks.record(stack_op, parts, (normalize_dim(dim, parts[0]._value.meta.ndim + 1),))


def joined(tensors: Sequence[Any], dim: int) -> Any:
    """:func:`cat` of tensors known to be tensors."""
    return hooks.record(cat_op, tensors, (dim,))


def converted(tensor: Any, wanted: dtype) -> Any:
    """``tensor`` with this type, itself if it has it."""
    return tensor if tensor.dtype is wanted else to_dtype(tensor, dtype=wanted)
