"""Operations with a gradient of the user's own: ``torch.autograd.Function``."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

from rushlight.engine.core.dtype import FLOATING
from rushlight.engine.ir.graph import Meta, TensorBase, Value
from rushlight.engine.ops.view import zeros
from rushlight.engine.runtime.cache import here
from rushlight.engine.trace import views
from rushlight.engine.trace.gradient_node import FREED_MESSAGE, HookHandle, next_sequence
from rushlight.engine.trace.recorder import wrap


class FunctionCtx:
    """What a ``Function`` remembers between forward and backward; also its ``grad_fn``."""

    is_leaf_node = False
    fills_missing = False

    def __init__(self) -> None:
        self.edges: tuple[Any, ...] = ()
        self.needs_input_grad: tuple[bool, ...] = ()
        self.materialize_grads = True
        self.sequence = next_sequence()
        self.hooks: Any = None
        self.post_hooks: Any = None
        self._to_save: tuple[Any, ...] = ()
        self._saved: list[tuple[Value, Any] | None] | None = []
        self._dirty: tuple[Any, ...] = ()
        self._non_differentiable: tuple[Any, ...] = ()
        self._metas: tuple[Meta, ...] = ()

    def save_for_backward(self, *tensors: Any) -> None:
        """Keep inputs or outputs (or ``None``) for ``backward``."""
        for x in tensors:
            if x is not None and not isinstance(x, TensorBase):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument is of type "
                    f"{type(x).__name__}"
                )
        self._to_save = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors: Any) -> None:
        """Say which inputs ``forward`` has written to."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Any) -> None:
        """Say which outputs carry no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether missing output gradients arrive as zeros (the default) or as ``None``."""
        self.materialize_grads = value

    @property
    def saved_tensors(self) -> tuple[Any, ...]:
        """What ``save_for_backward`` kept."""
        if self._saved is None:
            raise RuntimeError(FREED_MESSAGE)
        return tuple(None if kept is None else wrap(*kept) for kept in self._saved)

    # what the engine asks of a node ------------------------------------------------------------

    def name(self) -> str:
        """The name PyTorch prints."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes the gradients go to."""
        return tuple((None, 0) if edge is None else edge for edge in self.edges)

    @property
    def output_count(self) -> int:
        """How many outputs ``forward`` gave."""
        return len(self._metas)

    def output_meta(self, number: int) -> Meta:
        """What is known of output ``number``."""
        return self._metas[number]

    def register_hook(self, hook: Callable[..., Any]) -> HookHandle:
        """Call ``hook(grad_inputs, grad_outputs)`` after ``backward``."""
        if self.post_hooks is None:
            self.post_hooks = {}
        return HookHandle(self.post_hooks, hook)

    def release(self) -> None:
        """Forget the saved tensors."""
        self._saved = None

    def gradients(self, incoming: list[Any], _: Any, create_graph: bool) -> list[Any]:
        """Run the user's ``backward``."""
        if self.materialize_grads:
            incoming = [
                zeros(shape=tuple(meta.shape), dtype=meta.dtype) if g is None else g
                for g, meta in zip(incoming, self._metas, strict=True)
            ]
        made = self._function.backward(self, *incoming)  # type: ignore[attr-defined]
        results = list(made) if isinstance(made, (tuple, list)) else [made]
        count = len(self.edges)
        if len(results) > count and all(r is None for r in results[count:]):
            results = results[:count]
        if len(results) != count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients "
                f"(expected {count}, got {len(results)})"
            )
        for index, gradient in enumerate(results):
            if gradient is not None and not isinstance(gradient, TensorBase):
                raise TypeError(
                    f"function {self.name()} returned a {type(gradient).__name__} as gradient "
                    f"{index}; expected a Tensor or None"
                )
        return results


class Function:
    """Base of operations that bring their own gradient.

    Subclasses define static methods ``forward(ctx, *args)`` and ``backward(ctx, *grads)`` (or
    ``forward(*args)`` with ``setup_context(ctx, inputs, output)``) and are called by ``apply``.
    See https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function.

    >>> import rushlight as torch
    >>> class Square(torch.autograd.Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...     @staticmethod
    ...     def backward(ctx, g):
    ...         (x,) = ctx.saved_tensors
    ...         return g * 2 * x
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise RuntimeError(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so you should invoke them on the class itself. Instantiating an autograd "
            "function will raise an error in a future version of PyTorch."
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the result; to be written by the subclass."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Save what ``backward`` needs, where ``forward`` takes no ``ctx``."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Compute the gradients of the inputs; to be written by the subclass."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to use it with backward mode AD."
        )

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Call the operation and record it for differentiation."""
        ctx: FunctionCtx = _node_class(cls)()
        edges = tuple(x._edge if isinstance(x, TensorBase) and _fresh(x) else None for x in args)
        ctx.needs_input_grad = tuple(edge is not None for edge in edges)
        before, here.trace.grad = here.trace.grad, False
        try:
            if cls.setup_context is not Function.setup_context:
                output = cls.forward(*args, **kwargs)
                cls.setup_context(ctx, args, output)
            else:
                output = cls.forward(ctx, *args, **kwargs)
        finally:
            here.trace.grad = before
        outputs = output if isinstance(output, tuple) else (output,)
        tracked = before and any(ctx.needs_input_grad)
        made = _finish(ctx, args, outputs, edges if tracked else None)
        return tuple(made) if isinstance(output, tuple) else made[0]


def _fresh(tensor: Any) -> bool:
    """Bring the edge of a view up to date."""
    if tensor._alias is not None:
        tensor._alias.read(tensor)
    return True


_node_classes: dict[type, type] = {}


def _node_class(function: type) -> Any:
    made = _node_classes.get(function)
    if made is None:
        made = type(f"{function.__name__}Backward", (FunctionCtx,), {"_function": function})
        _node_classes[function] = made
    return made


def _finish(
    ctx: FunctionCtx, args: Sequence[Any], outputs: Sequence[Any], edges: Any
) -> list[Any]:
    """Give the outputs their edges, and the saved tensors theirs."""
    made = []
    for output in outputs:
        if isinstance(output, TensorBase) and any(output is x for x in args):
            dirty = any(output is x for x in ctx._dirty)
            made.append(output if dirty or edges is None else views.share(output))
        else:
            made.append(output)
    tensors = [x for x in made if isinstance(x, TensorBase)]
    ctx._metas = tuple(x._value.meta for x in tensors)
    saved: list[tuple[Value, Any] | None] = []
    for kept in ctx._to_save:
        if kept is None:
            saved.append(None)
            continue
        value = kept._value if kept._alias is None else kept._alias.read(kept)
        saved.append((value, kept._edge))
    if edges is not None:
        ctx.edges = edges
        positions = {id(x): i for i, x in enumerate(tensors)}
        for slot, kept in enumerate(ctx._to_save):
            if kept is not None and id(kept) in positions and not any(kept is x for x in args):
                saved[slot] = (saved[slot][0], (ctx, positions[id(kept)]))  # type: ignore[index]
        given = [x for x in outputs if isinstance(x, TensorBase)]
        for number, tensor in enumerate(tensors):
            plain = any(given[number] is x for x in ctx._non_differentiable)
            if not plain and tensor._value.meta.dtype.category >= FLOATING:
                if tensor._alias is not None:
                    tensor._base = None  # type: ignore[attr-defined]
                tensor._edge = (ctx, number)
    ctx._saved = saved
    ctx._to_save = ctx._dirty = ctx._non_differentiable = ()
    return made


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a ``backward`` as not differentiable itself; differentiating it raises."""

    @functools.wraps(backward)
    def call(ctx: Any, *gradients: Any) -> Any:
        wanted = here.trace.grad and any(
            isinstance(g, TensorBase) and g._edge is not None for g in gradients
        )
        before, here.trace.grad = here.trace.grad, False
        try:
            results = backward(ctx, *gradients)
        finally:
            here.trace.grad = before
        if not wanted:
            return results
        listed = results if isinstance(results, tuple) else (results,)
        return tuple(None if r is None else _Once.apply(r, *gradients) for r in listed)

    return call


class _Once(Function):
    """Passes a gradient on, as depending on ``sources``, and refuses to be differentiated."""

    @staticmethod
    def forward(ctx: Any, gradient: Any, *sources: Any) -> Any:
        return gradient.clone()

    @staticmethod
    def backward(ctx: Any, *_: Any) -> Any:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )
