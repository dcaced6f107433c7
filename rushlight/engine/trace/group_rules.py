"""A captured rule for rows of another size, without running the rule again."""

from __future__ import annotations

from collections.abc import Sequence

from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.program import Node, Program
from rushlight.engine.ops.group import RowRule


def _plain(row: Sequence[Meta]) -> bool:
    """Whether all tensors of a row are alike: contiguous, of one shape and type, not empty."""
    first = row[0]
    same = all(meta is first for meta in row)
    return same and first.contiguous and first.ndim > 0 and first.numel > 0


def resized(rule: RowRule, row: Sequence[Meta], other: Sequence[Meta]) -> RowRule | None:
    """What a rule captured for ``row`` is for the row ``other``.

    A rule of pointwise operations does the same at every size. Capturing it takes ten times as
    long as naming its operations again, and a network has a size for every layer.

    Returns:
        ``None`` where that is not sure: other operations, a row of unlike tensors, an attribute
        that names the shape.
    """
    if not rule.pointwise or not _plain(row) or not _plain(other):
        return None
    old, new = row[0], other[0]
    if old.dtype is not new.dtype or old.device is not new.device:
        return None
    nodes = []
    for node in rule.program.nodes:
        found = _renamed(node, old, new)
        if found is None:
            return None
        nodes.append(found)
    keep = set(rule.program.keep)
    size = rule.program.size
    program = Program(nodes, size, tuple([i in keep for i in range(size)]))
    return RowRule(program, rule.scalars, rule.inputs, rule.outputs, rule.constants)


def _fitted(meta: Meta | None, old: Meta, new: Meta) -> Meta | None:
    if meta is None or meta.weak or meta.ndim == 0:
        return meta
    if meta.shape != old.shape or not meta.contiguous:
        raise ValueError(meta)
    return new.like(dtype=meta.dtype)


def _renamed(node: Node, old: Meta, new: Meta) -> Node | None:
    spec = node.spec
    if any(isinstance(value, tuple) for value in spec.attrs):
        return None
    try:
        metas = tuple([_fitted(meta, old, new) for meta in spec.inputs])
        outs = tuple([_fitted(meta, old, new) for meta in spec.outs])
    except ValueError:
        return None
    key = metas, spec.attrs
    made = spec.op.specs.get(key) or spec.op.specialize(*key)
    if made.outs != outs:
        return None
    return Node(made, node.inputs, node.first, node.location)


def outputs_of(rule: RowRule, row: Sequence[Meta]) -> tuple[Meta, ...]:
    """The metas of a rule's results; one that is a tensor of the row itself keeps that one's."""
    made = {
        number: meta for node in rule.program.nodes
        for number, meta in zip(node.outputs, node.spec.outs, strict=True)
    }  # fmt: skip
    made |= dict(zip(rule.inputs, row, strict=True))
    return tuple([made[number] for number in rule.outputs])
