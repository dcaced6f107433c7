"""How a view operator finds its elements: asked of its own kernel, on memory nobody reads.

A view operator's kernel is applied to an empty array whose strides are known; the strides and the
beginning of what comes back say where each element comes from. So no operator needs a second
description of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from rushlight.engine.core.dtype import int64
from rushlight.engine.core.shape import contiguous_strides
from rushlight.engine.ir.buffers import empty_strided
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.loops import as_expr
from rushlight.engine.ir.op import Spec

Strides = tuple[int, ...]

_flat: dict[Spec, tuple[Strides, int] | None] = {}
_logical: dict[Spec, list[tuple[int, tuple[tuple[int, int], ...]]] | None] = {}


def _looked_through(spec: Spec, memory: np.ndarray) -> tuple[Strides, int] | None:
    seen = spec.kernel(memory)
    if not isinstance(seen, np.ndarray) or seen.dtype != memory.dtype:
        return None
    if seen.size and not np.may_share_memory(seen, memory):
        return None
    start = seen.__array_interface__["data"][0] - memory.__array_interface__["data"][0]
    if not seen.size:
        start = 0
    return tuple([s // seen.itemsize for s in seen.strides]), start // seen.itemsize


def alias(spec: Spec) -> tuple[Strides, int] | None:
    """Strides and offset (in elements) of a view of memory laid out as the input's meta says.

    ``None`` if the operator copies, or changes the type.
    """
    if spec not in _flat:
        meta = spec.inputs[0]
        assert meta is not None
        found = None
        if meta.dtype is spec.out.dtype:
            found = _looked_through(spec, empty_strided(meta))
        _flat[spec] = found
    return _flat[spec]


def _places(meta: Meta, strides: Strides, start: int, out: Meta) -> Any:
    """For each input axis: a number, and pairs of output axis and factor. ``None``: not linear."""
    shape = tuple(meta.shape)
    steps = contiguous_strides(shape)
    axes = [axis for axis, size in enumerate(shape) if size > 1]
    index: dict[int, int] = {}
    rest = start
    for axis in axes:
        index[axis], rest = divmod(rest, steps[axis])
    terms: dict[int, list[tuple[int, int]]] = {axis: [] for axis in axes}
    reach = dict(index)
    for place, (size, stride) in enumerate(zip(out.shape, strides, strict=True)):
        if size <= 1 or stride == 0:
            continue
        if stride < 0:
            return None
        into = next((a for a in axes if steps[a] <= stride), None)
        if into is None or stride % steps[into]:
            return None
        factor = stride // steps[into]
        reach[into] += factor * (size - 1)
        terms[into].append((place, factor))
    if any(reach[axis] >= shape[axis] for axis in axes):
        return None
    return [(index.get(a, 0), tuple(terms.get(a, ()))) for a in range(len(shape))]


def logical(spec: Spec) -> list[tuple[int, tuple[tuple[int, int], ...]]] | None:
    """Where an element of a view comes from, axis by axis of the input.

    Returns:
        For each axis of the input a number and pairs ``(axis of the output, factor)``, of which
        the index is the sum; ``None`` if it is no such sum (several axes seen as one, say).
    """
    if spec not in _logical:
        meta = spec.inputs[0]
        assert meta is not None
        found = None
        if meta.dtype is spec.out.dtype and meta.numel:
            plain = meta if meta.contiguous else meta.like()
            seen = _looked_through(spec, empty_strided(plain))
            if seen is not None:
                found = _places(meta, *seen, spec.out)
        _logical[spec] = found
    return _logical[spec]


def index_through(spec: Spec, index: Sequence[Any]) -> list[Any] | None:
    """The index in the input for an index in the view; ``None`` if ``logical`` has none."""
    found = logical(spec)
    if found is None:
        return None
    made: list[Any] = []
    for start, terms in found:
        parts: list[Any] = [(index[place], factor) for place, factor in terms]
        if not parts:
            made.append(start)
        elif len(parts) == 1 and parts[0][1] == 1 and start == 0:
            made.append(parts[0][0])
        else:
            total: Any = None
            for part, factor in parts:
                if isinstance(part, int):
                    start += part * factor
                    continue
                term = as_expr(part, int64) * factor if factor != 1 else as_expr(part, int64)
                total = term if total is None else total + term
            made.append(start if total is None else total + start if start else total)
    return made
