"""Passes over the graph before anything is decided about memory."""

from __future__ import annotations

from typing import Any

from rushlight.engine.backends.cpu.primitives import primitive_for
from rushlight.engine.compiler.graph import Builder, Graph, GraphNode, GraphValue, can_check
from rushlight.engine.core import log
from rushlight.engine.ir.op import RANDOM


def replace(graph: Graph, instead: dict[GraphValue, GraphValue]) -> None:
    """Let everybody who reads a key of ``instead`` read its value."""
    for node in graph.nodes:
        node.inputs = tuple([_seen(v, instead) for v in node.inputs])
    for number, value in graph.keep.items():
        found = _seen(value, instead)
        assert found is not None
        graph.keep[number] = found


def _seen(value: GraphValue | None, instead: dict[GraphValue, GraphValue]) -> GraphValue | None:
    while value is not None and value in instead:
        value = instead[value]
    return value


def decompose(graph: Graph) -> None:
    """Write operators with simpler ones where their records say how."""
    nodes, graph.nodes = graph.nodes, []
    instead: dict[GraphValue, GraphValue] = {}
    pending = list(reversed(nodes))
    while pending:
        node = pending.pop()
        node.inputs = tuple([_seen(v, instead) for v in node.inputs])
        made = _written_out(graph, node)
        if made is None:
            graph.nodes.append(node)
            continue
        inner, results = made
        for old, new in zip(node.outs, results, strict=True):
            if new is None:
                continue
            instead[old] = new
            if new.number < 0 and new.node is not None:
                new.number = old.number
        pending.extend(reversed(inner))  # they may be written out in turn
    replace(graph, instead)


def _written_out(graph: Graph, node: GraphNode) -> tuple[list[GraphNode], Any] | None:
    """The nodes that stand for ``node`` and its results; ``None``: it stays."""
    record = node.spec.op.decompose
    if record is None or primitive_for(node.spec) is not None or not can_check(node):
        return None
    scratch = Graph()
    results = record(Builder(scratch, node.origin), *node.inputs, *node.spec.attrs)
    if results is None:
        return None
    listed = list(results) if isinstance(results, (tuple, list)) else [results]
    pairs = zip(listed, node.spec.outs, strict=True)
    if any(new is not None and new.meta is not meta for new, meta in pairs):
        log.write("fusion", f"{node.spec!r} is not written out: other metas {listed}")
        return None
    if node.spec.op.may_fail:
        graph.checks.append(node)
    return scratch.nodes, listed


def common(graph: Graph) -> None:
    """Compute what is computed twice only once."""
    first: dict[Any, GraphNode] = {}
    instead: dict[GraphValue, GraphValue] = {}
    kept = []
    for node in graph.nodes:
        node.inputs = tuple([_seen(v, instead) for v in node.inputs])
        if node.spec.op.kind == RANDOM:
            kept.append(node)
            continue
        key = (node.spec, tuple([_name(v) for v in node.inputs]))
        known = first.setdefault(key, node)
        if known is node:
            kept.append(node)
        else:
            instead.update(zip(node.outs, known.outs, strict=True))
    graph.nodes = kept
    replace(graph, instead)


def _name(value: GraphValue | None) -> Any:
    if value is None:
        return None
    if value.constant is not None:
        return type(value.constant), repr(value.constant)
    return id(value)
