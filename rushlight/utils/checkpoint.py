"""Computing activations a second time in the backward pass instead of keeping them."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from rushlight._random import get_rng_state, set_rng_state
from rushlight.amp.autocast_mode import autocast
from rushlight.autograd.grad_mode import enable_grad, is_grad_enabled, no_grad
from rushlight.engine.ir.graph import Meta, TensorBase, Value
from rushlight.engine.trace.autocast import state as autocast_state
from rushlight.engine.trace.gradient_node import GradNode, HookHandle, next_sequence

Contexts = Callable[[], tuple[AbstractContextManager[Any], AbstractContextManager[Any]]]


class CheckpointError(RuntimeError):
    """The second computation did something else than the first."""


def noop_context_fn() -> tuple[AbstractContextManager[Any], AbstractContextManager[Any]]:
    """Two contexts that do nothing: for the first computation, and for the second."""
    return nullcontext(), nullcontext()


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Contexts = noop_context_fn,
    determinism_check: str = "default",
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Call ``function`` without keeping what its gradients need; backward computes it again.

    Args:
        function: what to call.
        args: its arguments.
        use_reentrant: PyTorch's two ways. With ``True`` there are gradients only if a tensor
            among ``args`` requires one.
        context_fn: gives two contexts, one for each computation.
        determinism_check: ``"default"`` compares types and shapes of what the two computations
            save, ``"none"`` does not.
        debug: accepted; the error always tells where the two computations part.
        early_stop: accepted; the second computation is recorded and only what is needed is run.
        kwargs: ``preserve_rng_state=False`` lets the second computation draw other random
            numbers; the rest goes to ``function``, which ``use_reentrant=True`` does not allow.

    Returns:
        What ``function`` returns.

    Raises:
        CheckpointError: in the backward pass, if the second computation saves something else.

    See https://pytorch.org/docs/stable/checkpoint.html and Chen et al., "Training Deep Nets with
    Sublinear Memory Cost", https://arxiv.org/abs/1604.06174.

    >>> import rushlight as torch
    >>> from rushlight.utils.checkpoint import checkpoint
    >>> x = torch.tensor([2.0], requires_grad=True)
    >>> checkpoint(lambda x: x * x, x, use_reentrant=False).backward()
    >>> x.grad
    tensor([4.])
    """
    if use_reentrant is None:
        use_reentrant = _not_told("checkpoint", "calling checkpoint without use_reentrant will")
    preserve = kwargs.pop("preserve_rng_state", True)
    _check_options(use_reentrant, determinism_check, kwargs, context_fn, debug)
    if use_reentrant and not any(x.requires_grad for x in _tensors(args)):
        warnings.warn(
            "None of the inputs have requires_grad=True. Gradients will be None", stacklevel=2
        )
        with no_grad():
            return function(*args)
    first, second = context_fn()
    if not is_grad_enabled():
        with first:
            return function(*args, **kwargs)
    region = _Region(function, args, kwargs, second, preserve, determinism_check == "default")
    return region.run(first)


def _check_options(
    use_reentrant: bool, determinism_check: str, kwargs: dict[str, Any], context_fn: Contexts,
    debug: bool,
) -> None:  # fmt: skip
    """PyTorch's errors for options that do not go together."""
    if determinism_check not in ("default", "none"):
        raise ValueError(
            f"determinism_check should be one of ['default', 'none'], got {determinism_check}"
        )
    if use_reentrant and kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    if use_reentrant and (context_fn is not noop_context_fn or debug):
        raise ValueError(
            "Passing `context_fn` or `debug` is only supported when use_reentrant=False."
        )


def _not_told(name: str, threat: str) -> bool:
    """PyTorch's warning for a missing ``use_reentrant``, and the default."""
    warnings.warn(
        f"torch.utils.checkpoint{'' if name == 'checkpoint' else '.' + name}: the use_reentrant "
        f"parameter should be passed explicitly. Starting in PyTorch 2.9, {threat} raise an "
        "exception. use_reentrant=False is recommended, but if you need to preserve the current "
        "default behavior, you can pass use_reentrant=True. Refer to docs for more details on the "
        "differences between the two variants.",
        stacklevel=3,
    )
    return True


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, **kwargs: Any
) -> Any:
    """Call functions one after the other, all segments but the last under ``checkpoint``.

    Args:
        functions: an ``nn.Sequential``, or a sequence of functions of one argument.
        segments: how many parts to cut it into.
        input: goes to the first function.
        use_reentrant: as for ``checkpoint``.
        kwargs: ``preserve_rng_state``.

    Returns:
        What the last function returns.

    See https://pytorch.org/docs/stable/checkpoint.html.

    >>> import rushlight as torch
    >>> from rushlight.utils.checkpoint import checkpoint_sequential
    >>> layers = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.ReLU(), torch.nn.Linear(2, 1))
    >>> checkpoint_sequential(layers, 2, torch.ones(5, 2), use_reentrant=False).shape
    torch.Size([5, 1])
    """
    if use_reentrant is None:
        use_reentrant = _not_told("checkpoint_sequential", "a call without use_reentrant will")
    preserve = kwargs.pop("preserve_rng_state", True)
    if kwargs:
        raise ValueError("Unexpected keyword arguments: " + ",".join(kwargs))
    listed = list(functions.children()) if hasattr(functions, "children") else list(functions)
    size = len(listed) // segments
    starts = range(0, size * (segments - 1), size)
    for start in starts:
        input = checkpoint(
            _chain(listed[start : start + size]), input, use_reentrant=use_reentrant,
            preserve_rng_state=preserve,
        )  # fmt: skip
    return _chain(listed[len(starts) * size :])(input)


def _chain(functions: Sequence[Callable[[Any], Any]]) -> Callable[[Any], Any]:
    def call(input: Any) -> Any:
        for function in functions:
            input = function(input)
        return input

    return call


class _Region:
    """The part of the graph that one call has made, whose nodes have forgotten their values."""

    def __init__(
        self, function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any],
        context: AbstractContextManager[Any], preserve: bool, compare: bool,
    ) -> None:  # fmt: skip
        self.call: Any = lambda: function(*args, **kwargs)
        self.context = context
        self.state = get_rng_state() if preserve else None
        now = autocast_state
        self.autocast = now.enabled, now.dtype, now.cache_enabled
        self.compare = compare
        self.nodes: list[Any] = []
        self.metas: list[list[Meta | None]] = []
        self.handles: list[Any] = []

    def run(self, context: AbstractContextManager[Any]) -> Any:
        """Compute for the first time; the result."""
        begin = next_sequence()
        with context:
            result = self.call()
        self.nodes = _nodes_since(begin, result)
        for node in self.nodes:
            kept = _saved(node)
            self.metas.append([None if value is None else value.meta for value in kept])
            _keep(node, [None] * len(kept))
            if node.hooks is None:
                node.hooks = {}
            for number in range(node.output_count):
                hooks = node.hooks.setdefault(number, {})
                self.handles.append(HookHandle(hooks, self._restore))
        return result

    def _restore(self, gradient: Any) -> None:
        """Compute for the second time, and give every node its values back."""
        if self.call is None:
            return
        call, self.call = self.call, None
        for handle in self.handles:
            handle.remove()
        before = get_rng_state()
        if self.state is not None:
            set_rng_state(self.state)
        begin = next_sequence()
        try:
            with enable_grad(), self._as_before(), self.context:
                result = call()
        finally:
            if self.state is not None:
                set_rng_state(before)
        nodes = _nodes_since(begin, result)
        self._check(nodes)
        for node, other in zip(self.nodes, nodes, strict=True):
            _keep(node, _saved(other))
        self.nodes = []

    def _as_before(self) -> AbstractContextManager[Any]:
        """The autocast block that the first computation was in."""
        enabled, dtype, cache_enabled = self.autocast
        if not enabled and not autocast_state.enabled:
            return nullcontext()
        return autocast("cpu", dtype, enabled, cache_enabled)

    def _check(self, nodes: Sequence[Any]) -> None:
        before = sum(map(len, self.metas))
        found = [[None if v is None else v.meta for v in _saved(node)] for node in nodes]
        if len(nodes) != len(self.nodes) or list(map(len, found)) != list(map(len, self.metas)):
            raise CheckpointError(
                "torch.utils.checkpoint: A different number of tensors was saved during the "
                "original forward and recomputation.\n"
                f"Number of tensors saved during forward: {before}\n"
                f"Number of tensors saved during recomputation: {sum(map(len, found))}.\n"
                f"{_parting(self.nodes, nodes)}"
            )
        if self.compare and found != self.metas:
            at = next(
                i
                for i, pair in enumerate(zip(self.metas, found, strict=True))
                if pair[0] != pair[1]
            )
            raise CheckpointError(
                "torch.utils.checkpoint: Recomputed values for the following tensors have "
                "different metadata than during the forward pass.\n"
                f"{self.nodes[at].name()} saved {self.metas[at]}, then {found[at]}."
            )


def _parting(nodes: Sequence[Any], others: Sequence[Any]) -> str:
    """Where two graphs part."""
    for node, other in zip(nodes, others, strict=False):
        if node.name() != other.name():
            return f"The first one did {node.name()} where the second one did {other.name()}."
    return f"The first one made {len(nodes)} nodes of the graph, the second one {len(others)}."


def _nodes_since(begin: int, result: Any) -> list[Any]:
    """The nodes younger than ``begin`` a result leads to that have saved something, in order."""
    waiting = [x._edge[0] for x in _tensors(result) if x.requires_grad]
    found: dict[int, Any] = {}
    while waiting:
        node = waiting.pop()
        if node.is_leaf_node or node.sequence <= begin or id(node) in found:
            continue
        found[id(node)] = node
        waiting.extend(edge[0] for edge in node.edges if edge is not None)
    return sorted(filter(_saved, found.values()), key=lambda node: node.sequence)


def _tensors(result: Any) -> list[Any]:
    if isinstance(result, TensorBase):
        return [result]
    if isinstance(result, dict):
        result = result.values()
    elif not isinstance(result, (list, tuple)):
        return []
    return [tensor for part in result for tensor in _tensors(part)]


def _saved(node: Any) -> list[Value | None]:
    """The values a node has saved for its gradients."""
    if isinstance(node, GradNode):
        return list(node.saved or ())
    return [None if kept is None else kept[0] for kept in node._saved or ()]


def _keep(node: Any, values: list[Value | None]) -> None:
    """Have a node save other values."""
    if isinstance(node, GradNode):
        node.saved, node.place = values, -1  # no longer told by its place
        return
    node._saved = [
        None if kept is None else (value, kept[1])
        for kept, value in zip(node._saved, values, strict=True)
    ]
