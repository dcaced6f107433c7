"""Basic indexing as one view: integers, slices with steps and new axes together."""

from __future__ import annotations

from collections.abc import Callable

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
            start, stop, step = item
            shape.append(max(0, -((start - stop) // step)))
            strides.append(steps[axis] * step)
        axis += 1
    shape += sizes[axis:]
    strides += steps[axis:]
    return strided_meta(tuple(shape), tuple(strides), input.dtype, input.device)


def _kernel(spec: Spec, items: Items) -> Callable[[np.ndarray], np.ndarray]:
    where = (*(slice(*item) if isinstance(item, tuple) else item for item in items), ...)
    return lambda x: x[where]


def _offset(input: Meta, items: Items) -> int:
    moved = axis = 0
    for item in items:
        if item is not None:
            start = item[0] if isinstance(item, tuple) else item
            moved += start * input.strides[axis]
            axis += 1
    return moved


def _node_name(spec: Spec) -> str:
    """The name of PyTorch's last step, which is the only one that shows."""
    last = spec.attrs[0][-1]
    if last is None:
        return "Unsqueeze"
    return "Slice" if isinstance(last, tuple) else "Select"


# The last item is never a whole axis: those need none.
index_view: Op = Op(
    "index_view(Tensor input, Index[] items)",
    kind=VIEW,
    infer=_infer,
    kernel=_kernel,
    offset=_offset,
    grad={"input": lambda g, input_meta, items: embed(g, index_view, input_meta, items)},
    grad_name=_node_name,
)

alias = Op(
    "alias(Tensor input)",
    kind=VIEW,
    infer=lambda input: input,
    kernel=lambda spec: lambda x: x[...],
    grad={"input": lambda g: g},
)
