"""Contractions: products of two tensors summed over common axes, Einstein's notation.

Note: labels
    Axes carry labels (characters). ``contract`` multiplies two tensors whose axes are labelled and
    sums over the labels that the result lacks; each of these must stand in both tensors. Then the
    gradients are contractions too.
"""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from rushlight.engine.ir.graph import Meta, make_meta
from rushlight.engine.ir.op import MATMUL, Op, Spec, hooks
from rushlight.engine.ops.matmul import conj, in_compute_type, require_scalar_type

Array = np.ndarray


def _sizes(input: Meta, other: Meta, labels: str, labels2: str) -> dict[str, int]:
    return {
        **dict(zip(labels, input.shape, strict=True)),
        **dict(zip(labels2, other.shape, strict=True)),
    }


def _infer(input: Meta, other: Meta, labels: str, labels2: str, out: str) -> Meta:
    require_scalar_type(input, other)
    sizes = _sizes(input, other, labels, labels2)
    return make_meta(tuple([sizes[label] for label in out]), input.dtype)


def _arrange(labels: str, groups: list[str], sizes: dict[str, int]) -> Callable[[Array], Array]:
    """A function that brings axes into the order of ``groups`` and joins each group to one axis."""
    axes = [labels.index(label) for group in groups for label in group]
    shape = [prod([sizes[label] for label in group]) for group in groups]
    if axes == list(range(len(axes))):
        return lambda x: x.reshape(shape)
    return lambda x: x.transpose(axes).reshape(shape)


def _kernel(spec: Spec, labels: str, labels2: str, out: str) -> Callable[[Array, Array], Array]:
    input, other = spec.inputs
    assert input is not None
    assert other is not None
    sizes = _sizes(input, other, labels, labels2)
    batch = "".join([c for c in out if c in labels and c in labels2])
    rows = "".join([c for c in out if c in labels and c not in labels2])
    columns = "".join([c for c in out if c not in labels])
    summed = "".join([c for c in labels if c not in out])
    first = _arrange(labels, [batch, rows, summed], sizes)
    second = _arrange(labels2, [batch, summed, columns], sizes)
    made_labels = batch + rows + columns
    shape = [sizes[c] for c in made_labels]
    axes = [made_labels.index(c) for c in out]
    ordered = axes == list(range(len(axes)))

    def call(x: Array, y: Array) -> Array:
        left, right = first(x), second(y)
        made = np.matmul(left, right) if summed else left * right
        made = made.reshape(shape)
        return made if ordered else np.ascontiguousarray(made.transpose(axes))

    return in_compute_type(spec, call)


contract: Op = Op(
    "contract(Tensor input, Tensor other, str labels, str labels2, str out)",
    kind=MATMUL,
    infer=_infer,
    kernel=_kernel,
    grad={
        "input": lambda g, other, labels, labels2, out: hooks.record(
            contract, (g, conj(other)), (out, labels2, labels)
        ),
        "other": lambda g, input, labels, labels2, out: hooks.record(
            contract, (g, conj(input)), (out, labels, labels2)
        ),
    },
    grad_name="View",
)


def contracted(input: Any, other: Any, labels: str, labels2: str, out: str) -> Any:
    """The product of two tensors with labelled axes, summed over the labels not in ``out``.

    Labels of one tensor alone that ``out`` lacks are summed away first.
    """
    input, labels = summed_away(input, labels, labels2 + out)
    other, labels2 = summed_away(other, labels2, labels + out)
    return hooks.record(contract, (input, other), (labels, labels2, out))


def summed_away(x: Any, labels: str, kept: str) -> tuple[Any, str]:
    """``x`` summed over the axes whose labels are not in ``kept``."""
    dims = tuple([axis for axis, label in enumerate(labels) if label not in kept])
    if not dims:
        return x, labels
    return x.sum(dims), "".join([c for c in labels if c in kept])
