"""Basic indexing as one view: integers, slices with steps and new axes together."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rushlight.engine.ir.graph import Meta, strided_meta
from rushlight.engine.ir.op import VIEW, Op, Spec
from rushlight.engine.ops.view import embed

#: What stands for one place of an index: a number, (start, stop, step), or None for a new axis.
#: All are in range and not negative; axes left out at the end are taken whole.
Item = int | tuple[int, int, int] | None
Items = tuple[Item, ...]


def _infer(input: Meta, items: Items) -> Meta:
    sizes, steps = input.shape, input.strides
    shape: list[int] = []
    strides: list[int] = []
    axis = 0
    for item in items:
        if item is None:  # as if it were inserted before the axes behind it are cut
            shape.append(1)
            strides.append(sizes[axis] * steps[axis] if axis < input.ndim else 1)
            continue
        if item.__class__ is tuple:
            start, stop, step = item  # type: ignore[misc]
            shape.append(max(0, -((start - stop) // step)))
            strides.append(steps[axis] * step)
        axis += 1
    shape += sizes[axis:]
    strides += steps[axis:]
    return strided_meta(tuple(shape), tuple(strides), input.dtype, input.device)


def _kernel(spec: Spec, items: Items) -> Callable[[np.ndarray], np.ndarray]:
    where = (*(slice(*item) if isinstance(item, tuple) else item for item in items), ...)
    return lambda x: x[where]


def _basic(name: str, grad_name: str) -> Op:
    op = Op(
        f"{name}(Tensor input, Index[] items)",
        kind=VIEW,
        infer=_infer,
        kernel=_kernel,
        grad={"input": lambda g, input_meta, items: embed(g, op, input_meta, items)},
        grad_name=grad_name,
    )
    return op


# One view whatever the index; the name of the node is that of PyTorch's last step.
index_select_view = _basic("index_select_view", "Select")
index_slice_view = _basic("index_slice_view", "Slice")
index_unsqueeze_view = _basic("index_unsqueeze_view", "Unsqueeze")
alias = Op(
    "alias(Tensor input)",
    kind=VIEW,
    infer=lambda input: input,
    kernel=lambda spec: lambda x: x[...],
    grad={"input": lambda g: g},
)


def view_op(items: Items) -> Op:
    """The operator for an index that does not end in whole axes: by its last item."""
    last: Any = items[-1]
    if last is None:
        return index_unsqueeze_view
    return index_select_view if last.__class__ is int else index_slice_view
