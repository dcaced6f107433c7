"""Backward: walking the graph of nodes from outputs to leaves, gradients recorded like anything."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from typing import Any

import numpy as np

from rushlight.engine.ir.graph import Meta
from rushlight.engine.ops.view import as_layout, sum_to, to_dtype, zeros
from rushlight.engine.runtime.cache import here
from rushlight.engine.trace.gradient_node import HookHandle, next_sequence
from rushlight.engine.trace.recorder import wrap


class Anomaly:
    """Whether every gradient is looked at for NaN as soon as it has been recorded."""

    enabled = False


anomaly = Anomaly()


def _look_for_nan(node: Any, gradients: Sequence[Any]) -> None:
    for index, gradient in enumerate(gradients):
        if gradient is None:
            continue
        array = gradient.detach()._array("detect_anomaly")
        if array.dtype.kind in "fc" and np.isnan(array).any():
            raise RuntimeError(
                f"Function '{node.name()}' returned nan values in its {index}th output."
            )


class AccumulateGrad:
    """The end of an edge: adds the gradient that arrives to ``leaf.grad``.

    It knows its leaf weakly, so that a leaf nobody holds is freed with its memory at once.
    """

    __slots__ = ("__weakref__", "_leaf", "hooks", "meta", "post_hooks", "sequence")

    is_leaf_node = True
    edges: tuple[Any, ...] = ()
    next_functions: tuple[Any, ...] = ()
    output_count = 1

    def __init__(self, leaf: Any) -> None:
        self._leaf = weakref.ref(leaf)
        self.sequence = next_sequence()
        self.meta: Meta = leaf._value.meta
        self.hooks: Any = None
        self.post_hooks: Any = None

    @property
    def variable(self) -> Any:
        """The leaf tensor, ``None`` if it is gone."""
        return self._leaf()

    def name(self) -> str:
        """The name PyTorch prints."""
        return "AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {id(self):#x}>"

    def output_meta(self, number: int) -> Meta:
        """What is known of the leaf."""
        leaf = self._leaf()
        return self.meta if leaf is None else leaf._value.meta

    def register_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after the gradient has been added."""
        if self.post_hooks is None:
            self.post_hooks = {}
        return HookHandle(self.post_hooks, hook)

    def release(self) -> None:
        """Nothing is saved here."""

    def accumulate(self, gradient: Any, create_graph: bool) -> None:
        """Add ``gradient`` to the leaf's."""
        leaf = self._leaf()
        if leaf is None:
            return
        have = leaf._grad
        if gradient._value.meta is not leaf._value.meta:
            gradient = as_layout(gradient, strides=leaf._value.meta.strides)
        if have is None:
            leaf._grad = gradient if create_graph else wrap(gradient._value)
        elif create_graph:
            leaf._grad = have + gradient
        else:
            have.add_(gradient)
        for hook in list((getattr(leaf, "_post_accumulate_hooks", None) or {}).values()):
            hook(leaf)


def require_grad(tensor: Any, wanted: bool) -> None:
    """Mark a leaf as wanting a gradient, or not."""
    if wanted:
        if tensor._edge is None:
            tensor._edge = (AccumulateGrad(tensor), 0)
    elif tensor._edge is not None:
        if not tensor._edge[0].is_leaf_node:
            raise RuntimeError(
                "you can only change requires_grad flags of leaf variables. If you want to use a "
                "computed variable in a subgraph that doesn't require differentiation use "
                "var_no_grad = var.detach()."
            )
        tensor._edge = None


def _dependencies(roots: Sequence[Any]) -> dict[Any, int]:
    """How many edges of the reachable graph lead to each node."""
    counts: dict[Any, int] = dict.fromkeys(roots, 0)
    stack = list(counts)
    while stack:
        node = stack.pop()
        for edge in node.edges:
            if edge is not None:
                target = edge[0]
                if target in counts:
                    counts[target] += 1
                else:
                    counts[target] = 1
                    stack.append(target)
    return counts


def _needed(counts: dict[Any, int], wanted: set[Any]) -> set[Any]:
    """The nodes from which a wanted node can be reached (for ``autograd.grad``)."""
    needed = set(wanted)
    order = sorted(counts, key=lambda node: node.sequence)
    changed = True
    while changed:
        changed = False
        for node in order:
            if node not in needed and any(e is not None and e[0] in needed for e in node.edges):
                needed.add(node)
                changed = True
    return needed


def _fit(gradient: Any, meta: Meta, name: str, index: int) -> Any:
    """A gradient with the shape and type of what it is the gradient of."""
    have = gradient._value.meta
    if have.shape != meta.shape:
        if not _expandable(meta.shape, have.shape):
            raise RuntimeError(
                f"Function {name} returned an invalid gradient at index {index} - got "
                f"{list(have.shape)} but expected shape compatible with {list(meta.shape)}"
            )
        gradient = sum_to(gradient, meta)
    if gradient._value.meta.dtype is not meta.dtype:
        if gradient._value.meta.dtype.is_complex and not meta.dtype.is_complex:
            gradient = gradient.real
        gradient = to_dtype(gradient, dtype=meta.dtype)
    return gradient


def _expandable(small: Sequence[int], large: Sequence[int]) -> bool:
    if len(small) > len(large):
        return False
    pairs = zip(reversed(small), reversed(large), strict=False)
    return all(s in (1, n) for s, n in pairs)


class Backward:
    """One pass over the graph.

    Args:
        roots: pairs of (edge, gradient) to begin with.
        retain_graph: keep the saved values for another pass.
        create_graph: record the pass itself for differentiation.
        capture: edges whose gradients are wanted instead of being added to leaves, or ``None``.
    """

    def __init__(
        self,
        roots: Sequence[tuple[Any, Any]],
        retain_graph: bool,
        create_graph: bool,
        capture: Sequence[Any] | None = None,
    ) -> None:
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.arrived: dict[Any, list[Any]] = {}
        self.captured: dict[tuple[Any, int], Any] = {}
        self.capture = None if capture is None else set(capture)
        self.counts = _dependencies([edge[0] for edge, _ in roots])
        self.needed: set[Any] | None = None
        if self.capture is not None:
            self.needed = _needed(self.counts, {edge[0] for edge in self.capture})
        for edge, gradient in roots:
            self._deliver(edge, gradient)
        self.ready: list[tuple[int, int, Any]] = []
        for edge, _ in roots:
            if self.counts[edge[0]] == 0 and edge[0] in self.arrived:
                entry = (-edge[0].sequence, id(edge[0]), edge[0])
                if entry not in self.ready:
                    heappush(self.ready, entry)

    def run(self) -> None:
        """Walk the graph, later recorded nodes first."""
        # without the detour through `mode`: Ctrl-C may come wherever a function of ours is called
        before, here.trace.grad = here.trace.grad, self.create_graph
        try:
            while self.ready:
                _, _, node = heappop(self.ready)
                self._visit(node)
        finally:
            here.trace.grad = before

    def _deliver(self, edge: tuple[Any, int], gradient: Any) -> None:
        node, number = edge
        slots = self.arrived.get(node)
        if slots is None:
            slots = self.arrived[node] = [None] * node.output_count
        have = slots[number]
        slots[number] = gradient if have is None else have + gradient

    def _visit(self, node: Any) -> None:
        incoming = self.arrived.pop(node, None)
        if incoming is not None:
            incoming = self._run_hooks(node, incoming)
            if self.capture is not None:
                for number, gradient in enumerate(incoming):
                    if (node, number) in self.capture:
                        self.captured[node, number] = gradient
        if node.is_leaf_node:
            if incoming is not None and incoming[0] is not None and self.capture is None:
                node.accumulate(incoming[0], self.create_graph)
                _run_post_hooks(node, (), incoming)
            return
        gradients: Sequence[Any] = ()
        if incoming is not None and any(gradient is not None for gradient in incoming):
            if self.needed is None or any(
                edge is not None and edge[0] in self.needed for edge in node.edges
            ):
                gradients = self._differentiate(node, incoming)
        for index, edge in enumerate(node.edges):
            if edge is None:
                continue
            gradient = gradients[index] if gradients else None
            target = edge[0]
            if gradient is not None:
                fitted = _fit(gradient, target.output_meta(edge[1]), node.name(), index)
                self._deliver(edge, fitted)
            self.counts[target] -= 1
            if self.counts[target] == 0:
                heappush(self.ready, (-target.sequence, id(target), target))

    def _differentiate(self, node: Any, incoming: list[Any]) -> Sequence[Any]:
        filled = [
            zeros(shape=tuple(meta.shape), dtype=meta.dtype) if gradient is None else gradient
            for gradient, meta in zip(
                incoming,
                [node.output_meta(i) for i in range(node.output_count)],
                strict=True,
            )
        ] if node.output_count > 1 and node.fills_missing else incoming
        gradients: Sequence[Any] = node.gradients(filled, wrap, self.create_graph)
        if node.post_hooks:
            gradients = _run_post_hooks(node, gradients, filled)
        if anomaly.enabled:
            _look_for_nan(node, gradients)
        if not self.retain_graph:
            node.release()
        return gradients

    def _run_hooks(self, node: Any, incoming: list[Any]) -> list[Any]:
        if node.hooks:
            for number, hooks in list(node.hooks.items()):
                for hook in list(hooks.values()):
                    if incoming[number] is not None:
                        changed = hook(incoming[number])
                        if changed is not None:
                            incoming[number] = changed
        return incoming


def _run_post_hooks(node: Any, gradients: Sequence[Any], incoming: Sequence[Any]) -> Sequence[Any]:
    for hook in list((node.post_hooks or {}).values()):
        changed = hook(tuple(gradients), tuple(incoming))
        if changed is not None:
            gradients = list(changed) if isinstance(changed, (tuple, list)) else [changed]
    return gradients


def add_tensor_hook(tensor: Any, hook: Callable[[Any], Any]) -> HookHandle:
    """Call ``hook(gradient)`` when the gradient of ``tensor`` has been computed."""
    node, number = tensor._edge
    if node.hooks is None:
        node.hooks = {}
    return HookHandle(node.hooks.setdefault(number, {}), hook)


def retain_grad(tensor: Any) -> None:
    """Let a non-leaf tensor keep its gradient in ``.grad``."""
    reference = weakref.ref(tensor)

    def keep(gradient: Any) -> None:
        target = reference()
        if target is not None:
            target._grad = gradient if target._grad is None else target._grad + gradient

    add_tensor_hook(tensor, keep)

