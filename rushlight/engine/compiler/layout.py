"""One layout for a whole convolutional program: channels innermost, from layer to layer.

Note: why channels innermost
    oneDNN computes no convolution at full speed on plain arrays (N, C, H, W): each call would
    copy its arrays into a layout of its own and back. Its code for arrays whose channels lie
    innermost (N, H, W, C) is as fast as that for blocks of channels (nChw16c), needs no padding
    of the channels, and such an array has ordinary strides: pointwise code stays one flat loop,
    reductions over pixels add up rows, views remain views. So the pass only gives values other
    strides; everything after it is as before. What is seen outside keeps its strides.

    Milliseconds of processor time on one core of a Zen 5 processor, all convolutions of one
    training step. "In and out": plain arrays, copied into oneDNN's choice by every call;
    "blocks": activations stay in oneDNN's blocks; "w": weights stay in oneDNN's layout, too.

    ======================================  =====  ==========  ====  ======  ==========  ========
    network                                 plain  in and out  last  last+w  in blocks   blocks+w
    ======================================  =====  ==========  ====  ======  ==========  ========
    ResNet-18, 16 x 3x32x32, stride 1 stem    344         235   218     212         232       234
    ResNet-18, 16 x 3x32x32, torchvision's   56.5        33.9  25.8    16.9        28.2      18.5
    two layers, 64 x 1x28x28, 32 and 64      37.8        23.0  19.1    18.6        19.3      20.3
    LeNet, 4 x 3x32x32                       0.39        0.15  0.15    0.15        0.15      0.15
    ======================================  =====  ==========  ====  ======  ==========  ========
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from rushlight.engine.backends.cpu.primitives import primitive_for
from rushlight.engine.compiler.graph import Graph, GraphNode, GraphValue
from rushlight.engine.core.dtype import dtype
from rushlight.engine.core.shape import channels_last_strides, is_channels_last
from rushlight.engine.ir.graph import Meta, strided_meta
from rushlight.engine.ir.op import RANDOM, VIEW, Spec
from rushlight.engine.ops.conversion import clone_op

#: Channels (of input or output) from which a convolution asks for the layout. LeNet's, with 3, 6
#: and 16, gain nothing by it.
CHANNELS: Final = 32

_specs: dict[Any, Spec] = {}


def _spec(spec: Spec, inputs: Sequence[GraphValue | None], outs: Sequence[Meta]) -> Spec:
    """The operator for inputs and outputs with these metas; equal ones are the same object."""
    metas = tuple([None if v is None else v.meta for v in inputs])
    if metas == spec.inputs and tuple(outs) == spec.outs:
        return spec
    key = spec.op, metas, spec.attrs, tuple(outs)
    found = _specs.get(key)
    if found is None:
        found = _specs[key] = Spec(spec.op, metas, spec.attrs, tuple(outs))
    return found


def _last(meta: Meta, kind: dtype | None = None) -> Meta:
    """The meta of the same array with its channels innermost."""
    strides = channels_last_strides(meta.shape)
    return strided_meta(tuple(meta.shape), strides, kind or meta.dtype, meta.device)


def _either(meta: Meta) -> bool:
    """Whether both layouts put every element at the same place."""
    shape = meta.shape
    return meta.ndim == 4 and meta.contiguous and (shape[1] == 1 or shape[2] == shape[3] == 1)


def _asks(node: GraphNode) -> bool:
    """Whether a node is a convolution that gains by the layout."""
    if node.spec.op.weights is None:
        return False
    shapes = [m.shape for m in (*node.spec.inputs, *node.spec.outs) if m is not None]
    images = [shape for shape in shapes if len(shape) == 4]
    if len(images) < 3 or primitive_for(node.spec) is None:
        return False
    filters = [node.spec.inputs[k] for k in node.spec.op.weights] or [node.spec.out]
    return any(meta is not None and max(meta.shape[:2]) >= CHANNELS for meta in filters)


class _Values:
    """The versions of every value: as it was, and with its channels innermost."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self._given: dict[GraphValue, GraphValue] = {}
        self._last: dict[GraphValue, GraphValue] = {}

    def given(self, value: GraphValue) -> GraphValue:
        """The version with the strides it had; a copy if need be."""
        if value not in self._last:
            return value
        found = self._given.get(value)
        if found is None:
            source = self._last[value]
            spec = _spec(
                Spec(clone_op, (source.meta,), (), source.meta), (source,), (value.meta,)
            )
            assert source.node is not None
            found = self.graph.add(spec, (source,), source.node.origin).outs[0]
            found.number = value.number
            self._given[value] = found
        return found

    def best(self, value: GraphValue | None) -> GraphValue | None:
        """The version that exists already."""
        if value is None:
            return None
        return self._last.get(value, value)

    def replace(self, old: GraphValue, new: GraphValue) -> None:
        """``new`` is computed instead of ``old``, perhaps with other strides."""
        new.number = old.number
        self._last[old] = new
        if new.meta is old.meta:
            self._given[old] = new


def channels_last(graph: Graph) -> None:
    """Let convolutions and what lies between them keep the channels innermost."""
    if not any(_asks(node) for node in graph.nodes):
        return
    nodes, graph.nodes = graph.nodes, []
    values = _Values(graph)
    for node in nodes:
        made = _rewritten(values, node)
        if made is None:
            inputs = [None if v is None else values.given(v) for v in node.inputs]
            outs: Sequence[Meta] = node.spec.outs
        else:
            inputs, outs = made
        new = graph.add(_spec(node.spec, inputs, outs), inputs, node.origin)
        for old, value in zip(node.outs, new.outs, strict=True):
            values.replace(old, value)
    for number, value in graph.keep.items():
        graph.keep[number] = values.given(value)
    if len(_specs) > 4096:
        _specs.clear()


Rewritten = tuple[list[GraphValue | None], Sequence[Meta]]


def _rewritten(values: _Values, node: GraphNode) -> Rewritten | None:
    """A node's inputs and outputs with the channels innermost; ``None``: it stays as it is."""
    op = node.spec.op
    if op.weights is not None:
        return _convolution(values, node, op.weights)
    if op.kind in (RANDOM, VIEW) or not any(_innermost(values, v) for v in node.inputs):
        return None
    if op.reduce is not None and len(node.outs) == 1:
        return [values.best(v) for v in node.inputs], node.spec.outs
    if op.scalar is None and op.element is None:
        return None
    inputs = [values.best(v) for v in node.inputs]
    return inputs, [_follow(values, node, meta) for meta in node.spec.outs]


def _innermost(values: _Values, value: GraphValue | None) -> bool:
    """Whether a value has its channels innermost by now, and both layouts are not the same."""
    found = values.best(value)
    if found is None or found.meta.ndim != 4 or _either(found.meta):
        return False
    return is_channels_last(found.meta.shape, found.meta.strides)


def _follow(values: _Values, node: GraphNode, meta: Meta) -> Meta:
    """The meta of a result: its channels lie innermost if those of an input do."""
    if meta.ndim != 4 or _either(meta):
        return meta
    for value in node.inputs:
        if value is None or value.meta.shape[:2] != meta.shape[:2]:
            continue
        if _innermost(values, value):
            return _last(meta)
    return meta


def _convolution(
    values: _Values, node: GraphNode, weights: tuple[int, ...]
) -> Rewritten | None:
    asks = _asks(node)
    if not asks and not any(_innermost(values, v) for v in node.inputs):
        return None
    inputs: list[GraphValue | None] = []
    for k, value in enumerate(node.inputs):
        if value is None or k in weights or value.meta.ndim != 4:
            inputs.append(None if value is None else values.given(value))
        else:
            inputs.append(values.best(value))
    outs = node.spec.outs
    if weights:
        outs = tuple([m if _either(m) else _last(m) for m in outs])
    spec = _spec(node.spec, inputs, outs)
    return (inputs, outs) if primitive_for(spec) is not None else None
