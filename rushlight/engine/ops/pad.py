"""Padding: a constant around a tensor, or its own elements reflected, repeated or wrapped."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.engine.core.shape import Shape, channels_last_strides, is_channels_last
from rushlight.engine.ir.graph import Meta, TensorBase, strided_meta
from rushlight.engine.ir.op import OTHER, Op, Spec, composite, hooks
from rushlight.engine.ir.samples import ErrorSample, S, t, ti
from rushlight.engine.ir.scalar import Expr, maximum, minimum, where
from rushlight.engine.ops.elementwise import broadcast_meta
from rushlight.engine.ops.index import add_rows
from rushlight.engine.ops.places import (
    Condition,
    Load,
    Part,
    Place,
    as_result,
    below,
    both,
    from_on,
    guarded,
    pick,
    plus,
    whole_number,
)
from rushlight.engine.ops.view import numpy_sum
from rushlight.engine.ops.written_out import source_place

Array = np.ndarray


def padded_meta(input: Meta, pad: Shape) -> Meta:
    """The shape after padding, the last axis first in ``pad``; channels-last layout is kept."""
    if not any(pad):
        return broadcast_meta((input,), input.dtype)
    shape = list(input.shape)
    for place in range(len(pad) // 2):
        axis = input.ndim - 1 - place
        shape[axis] += pad[2 * place] + pad[2 * place + 1]
    return _kept_layout(input, tuple(shape))


def _kept_layout(input: Meta, shape: Shape) -> Meta:
    if input.contiguous or not is_channels_last(input.shape, input.strides):
        return input.like(shape)
    return strided_meta(shape, channels_last_strides(shape), input.dtype, input.device)


# a constant ------------------------------------------------------------------------------------


def _constant_infer(input: Meta, value: Meta, pad: Shape) -> Meta:
    made = padded_meta(input, pad)
    for place in range(len(pad) // 2):
        axis = input.ndim - 1 - place
        cut = min(pad[2 * place], 0) + min(pad[2 * place + 1], 0)
        if input.shape[axis] + cut < 0:
            raise RuntimeError(
                f"narrow(): length must be non-negative.\nThe input has size {list(input.shape)}; "
                f"padding by {pad[2 * place]} and {pad[2 * place + 1]} leaves nothing of "
                f"dimension {axis}."
            )
    return made


def _constant_kernel(spec: Spec, pad: Shape) -> Callable[..., Array]:
    source = spec.inputs[0]
    assert source is not None
    shape, found = tuple(spec.out.shape), spec.out.dtype.numpy
    inside: list[slice] = [slice(None)] * source.ndim
    outside: list[slice] = [slice(None)] * source.ndim
    for place in range(len(pad) // 2):
        axis = source.ndim - 1 - place
        left, right = pad[2 * place], pad[2 * place + 1]
        size = source.shape[axis]
        inside[axis] = slice(max(-left, 0), size - max(-right, 0))
        outside[axis] = slice(max(left, 0), shape[axis] - max(right, 0))
    where, part = tuple(outside), tuple(inside)

    def call(x: Array, value: Any) -> Array:
        number = np.asarray(value).astype(found)
        made = np.full(shape, number) if number else np.zeros(shape, found)
        made[where] = x[part]
        return made

    return call


def _constant_element(load: Load, index: Place, spec: Spec, pad: Shape) -> Expr:
    source = spec.inputs[0]
    assert source is not None
    found = list(index)
    held: Condition = True
    for place in range(len(pad) // 2):
        axis = source.ndim - 1 - place
        moved, size = plus(index[axis], -pad[2 * place]), source.shape[axis]
        kept = both(from_on(index[axis], pad[2 * place]), below(moved, size))
        found[axis] = guarded(kept, moved)
        held = both(held, kept)
    if held is False or not source.numel:
        return as_result(load(1, ()), spec)
    return as_result(pick(held, load(0, found), as_result(load(1, ()), spec)), spec)


constant_pad: Op = Op(
    "constant_pad_nd(Tensor input, Tensor value, int[] pad)",
    kind=OTHER,
    infer=_constant_infer,
    kernel=_constant_kernel,
    element=_constant_element,
    grad={"input": lambda g, pad: constant_pad(g, 0.0, pad=tuple(-n for n in pad))},
    grad_name="ConstantPadNd",
)


# a tensor's own elements -----------------------------------------------------------------------


#: The number of the element that stands at each place of a padded axis: rule(left, right, size).
Rule = Callable[[int, int, int], Array]


def _reflect(left: int, right: int, size: int) -> Array:
    place = np.arange(-left, size + right)
    if size == 1:
        return np.zeros_like(place)
    period = 2 * (size - 1)
    turned = np.mod(place, period)
    return np.where(turned < size, turned, period - turned)


def _replicate(left: int, right: int, size: int) -> Array:
    return np.clip(np.arange(-left, size + right), 0, size - 1)


def _wrap(left: int, right: int, size: int) -> Array:
    cut = max(-left, 0)  # what is cut off takes no part in the wrapping
    kept = size - cut - max(-right, 0)
    place = np.arange(size + left + right) - max(left, 0)
    return cut + np.mod(place, max(kept, 1))


def _reflected(part: Part, size: int) -> Part:
    """The number of the element that a place of a reflected axis shows, at most one turn away."""
    number = whole_number(part)
    number = where(number < 0, -number, number)
    return where(number >= size, 2 * (size - 1) - number, number)


def _repeated(part: Part, size: int) -> Part:
    return minimum(maximum(whole_number(part), 0), size - 1)


def _wrapped(part: Part, left: int, right: int, size: int) -> Part | None:
    cut = max(-left, 0)
    kept = size - cut - max(-right, 0)
    if max(left, right) > kept:
        return None
    number = whole_number(part) - max(left, 0)
    number = where(number < 0, number + kept, where(number >= kept, number - kept, number))
    return plus(number, cut)


def _own_element(rule: Rule) -> Callable[..., Expr | None]:
    """The element body of a padding with a tensor's own elements."""

    def moved(part: Part, left: int, right: int, size: int) -> Part | None:
        if size < 2:
            return 0 if size else None
        if rule is _wrap:
            return _wrapped(part, left, right, size)
        return (_reflected if rule is _reflect else _repeated)(plus(part, -left), size)

    def element(load: Load, index: Place, spec: Spec, pad: Shape) -> Expr | None:
        source = spec.inputs[0]
        assert source is not None
        found = list(index)
        for place in range(len(pad) // 2):
            axis, (left, right) = source.ndim - 1 - place, pad[2 * place : 2 * place + 2]
            if left or right:
                part = moved(found[axis], left, right, source.shape[axis])
                if part is None:
                    return None
                found[axis] = part
        return load(0, found)

    return element


#: A padded axis: its number, which element stands at each place, and how many places are added
#: in front and behind.
Source = tuple[int, Array, int, int]


def _sources(input: Meta, pad: Shape, rule: Rule) -> list[Source]:
    """The axes that are padded."""
    listed = []
    for place in range(len(pad) // 2):
        left, right = pad[2 * place], pad[2 * place + 1]
        axis = input.ndim - 1 - place
        if left or right:
            listed.append((axis, rule(left, right, input.shape[axis]), left, right))
    return listed


def _padded(x: Array, axis: int, places: Array, left: int, right: int) -> Array:
    """``x`` with one axis longer: only what is added is picked element by element."""
    if left < 0 or right < 0:
        return x.take(places, axis)
    size = x.shape[axis]
    shape = list(x.shape)
    shape[axis] = len(places)
    made = np.empty(shape, x.dtype)
    before = (slice(None),) * axis
    made[(*before, slice(left, left + size))] = x
    if left:
        made[(*before, slice(0, left))] = x.take(places[:left], axis)
    if right:
        made[(*before, slice(left + size, None))] = x.take(places[left + size :], axis)
    return made


def _infer(rule: Rule) -> Callable[[Meta, Shape], Meta]:
    def infer(input: Meta, pad: Shape) -> Meta:
        made = padded_meta(input, pad)
        return made.like() if rule is _wrap else made  # wrapped around it is a new tensor

    return infer


def _padding(name: str, grad_name: str, rule: Rule) -> Op:
    """The operator of one way of padding, and the adjoint one its gradient needs."""

    def kernel(spec: Spec, pad: Shape) -> Callable[[Array], Array]:
        assert spec.inputs[0] is not None
        sources = _sources(spec.inputs[0], pad, rule)

        def call(x: Array) -> Array:
            made = x
            for source in sources:
                made = _padded(made, *source)
            return made if sources else np.array(x)

        return call

    def fold_kernel(spec: Spec, whole: Meta, pad: Shape) -> Callable[[Array], Array]:
        sources = _sources(whole, pad, rule)
        found = spec.out.dtype.numpy
        compute = numpy_sum(found)

        def call(g: Array) -> Array:
            made = g.astype(compute, copy=False)
            for axis, places, _, _ in reversed(sources):
                front = np.ascontiguousarray(np.moveaxis(made, axis, 0))
                shape = (whole.shape[axis], *front.shape[1:])
                folded = np.zeros((shape[0], front[0].size if len(front) else 0), compute)
                add_rows(folded, places, front.reshape(len(front), -1))
                made = np.moveaxis(folded.reshape(shape), 0, axis)
            return np.array(made, found, order="C")

        return call

    def fold_at(load: Load, index: Place, spec: Spec, whole: Meta, pad: Shape) -> tuple[Any, Expr]:
        assert spec.inputs[0] is not None
        source = whole.like(dtype=spec.inputs[0].dtype)
        return source_place(op, source, (pad,), index), load(0, index)

    fold_at.domain = 0  # type: ignore[attr-defined]
    op = Op(
        f"{name}(Tensor input, int[] pad)",
        kind=OTHER,
        infer=_infer(rule),
        kernel=kernel,
        element=_own_element(rule),
        grad={"input": lambda g, input_meta, pad: folding(g, whole=input_meta, pad=pad)},
        grad_name=grad_name,
    )
    folding = Op(
        f"{name}_backward(Tensor input, Meta whole, int[] pad)",
        kind=OTHER,
        infer=lambda input, whole, pad: whole.like(dtype=input.dtype),
        kernel=fold_kernel,
        scatter=fold_at,
        grad={"input": lambda g, pad: op(g, pad=pad)},
        grad_name=f"{grad_name}Backward",
    )
    return op


REFLECT = [_padding(f"reflection_pad{n}d", f"ReflectionPad{n}D", _reflect) for n in (1, 2, 3)]
REPLICATE = [_padding(f"replication_pad{n}d", f"ReplicationPad{n}D", _replicate) for n in (1, 2, 3)]
CIRCULAR = _padding("circular_pad", "CopySlices", _wrap)


def _check_reflect(meta: Meta, pad: Shape) -> None:
    for place in range(len(pad) // 2):
        axis = meta.ndim - 1 - place
        left, right = pad[2 * place], pad[2 * place + 1]
        if left >= meta.shape[axis] or right >= meta.shape[axis]:
            raise RuntimeError(
                f"Argument #{4 + 2 * place}: Padding size should be less than the corresponding "
                f"input dimension, but got: padding ({left}, {right}) at dimension {axis} of input "
                f"{list(meta.shape)}"
            )


def _check_sizes(meta: Meta, count: int) -> None:
    batched = meta.ndim == count + 2
    if 0 in meta.shape[batched:]:
        raise RuntimeError(
            f"Expected {count + 1}D or {count + 2}D (batch mode) tensor with possibly 0 batch size "
            f"and other non-zero dimensions for input, but got: {list(meta.shape)}"
        )


def _check_circular(meta: Meta, pad: Shape) -> None:
    for place in range(len(pad) // 2):
        size = meta.shape[meta.ndim - 1 - place]
        left, right = pad[2 * place], pad[2 * place + 1]
        if left > size or right > size:
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if left + right + size < 0:
            raise RuntimeError("Negative padding value is resulting in an empty dimension")


def _pad_own(input: Any, pad: Shape, mode: str) -> Any:
    meta = input._value.meta
    count = len(pad) // 2
    if count not in (1, 2, 3) or meta.ndim not in (count + 1, count + 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {meta.ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    if mode == "circular":
        _check_circular(meta, pad)
        return hooks.record(CIRCULAR, (input,), (pad,))
    _check_sizes(meta, count)
    if mode == "reflect":
        _check_reflect(meta, pad)
    ops = REFLECT if mode == "reflect" else REPLICATE
    return hooks.record(ops[count - 1], (input,), (pad,))


def _pad(input: Any, pad: Shape, value: Any) -> Any:
    if isinstance(value, TensorBase):
        value = value.item()
    return hooks.record(constant_pad, (input, 0.0 if value is None else value), (pad,))


@composite(
    namespaces=("nn.functional",),
    samples=(
        S(t(3, 4), (1, 2)), S(t(3, 4), (1, 0, 2, 1), value=2.5), S(t(3, 4), (-1, 2)),
        S(t(2, 3), ()), S(ti(3), (1, 1), value=2), S(t(2, 3, 4), (1, 2), "reflect"),
        S(t(1, 2, 3, 4), (1, 2, 2, 0), mode="reflect"), S(t(2, 3, 4), (2, 1), mode="replicate"),
        S(t(1, 2, 3, 4), (1, 2, 0, 3), mode="replicate"), S(t(2, 3, 4), (1, 4), mode="circular"),
        S(t(1, 2, 3, 4), (1, 2, 2, 1), mode="circular"), S(t(2, 3, 4), (-1, 2), mode="reflect"),
        S(t(2, 3, 4), (-1, 1), mode="circular"), S(t(2, 3, 4), (2, -1), mode="circular"),
        S(t(1, 1, 2, 3, 2), (1, 1, 1, 2, 0, 1), mode="replicate"),
        S(t(1, 1, 2, 3, 2), (1, 1, 1, 2, 0, 1), mode="reflect"),
    ),
    errors=(
        ErrorSample(S(t(2), (1,)), RuntimeError, "Padding length must be divisible by 2"),
        ErrorSample(S(t(2, 3), (3, 1), "reflect"), RuntimeError, "Argument #4: Padding size"),
        ErrorSample(S(t(2, 3), (1, 1), "mirror"), NotImplementedError, "Unrecognised padding"),
    ),
)  # fmt: skip
def pad(input: Any, pad: Sequence[int], mode: str = "constant", value: Any = None) -> Any:
    """``input`` with elements added (or, for negative numbers, cut off) at its edges.

    Args:
        input: any tensor.
        pad: how many to add before and after the last axis, then the one before it, ...
        mode: ``"constant"``, ``"reflect"``, ``"replicate"`` or ``"circular"``.
        value: the constant, 0 if absent.

    See https://pytorch.org/docs/stable/generated/torch.nn.functional.pad.html.

    >>> import rushlight as torch
    >>> torch.nn.functional.pad(torch.tensor([1, 2]), (1, 2))
    tensor([0, 1, 2, 0, 0])
    """
    sizes = tuple([int(n) for n in pad])
    if len(sizes) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(sizes) > 2 * input.ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(sizes)} and input of dimension {input.ndim}"
        )
    if mode == "constant":
        return _pad(input, sizes, value)
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    return _pad_own(input, sizes, mode)


@composite(samples=(S(t(3, 4), (1, 2), 2.0), S(t(3, 4), (1, 0, -1, 1))))
def constant_pad_nd(input: Any, pad: Sequence[int], value: Any = 0) -> Any:
    """``input`` with a constant added at its edges, see :func:`torch.nn.functional.pad`.

    >>> import rushlight as torch
    >>> torch.constant_pad_nd(torch.tensor([1, 2]), (1, 0))
    tensor([0, 1, 2])
    """
    if len(pad) % 2:
        raise RuntimeError(f"Length of pad must be even but instead it equals {len(pad)}")
    return _pad(input, tuple(int(n) for n in pad), value)
