"""The two ways to ask for gradients: into the leaves' ``grad``, or as results."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from rushlight.engine.core.dtype import COMPLEX, FLOATING
from rushlight.engine.ir.graph import TensorBase
from rushlight.engine.ir.op import Composite
from rushlight.engine.ops.view import ones
from rushlight.engine.trace.differentiate import Backward
from rushlight.engine.trace.learning import learner
from rushlight.engine.trace.recorder import wrap
from rushlight.engine.trace.replay import replay

#: Called whenever a pass into the leaves' ``grad`` has been recorded (see ``HookHandle``).
after_backward: dict[int, Callable[[], None]] = {}


def as_tuple(x: Any) -> tuple[Any, ...]:
    """One tensor, or a sequence of them, as a tuple."""
    if x is None:
        return ()
    return (x,) if isinstance(x, TensorBase) else tuple(x)


def _roots(
    tensors: Sequence[Any], gradients: Sequence[Any], create_graph: bool
) -> list[tuple[Any, Any]]:
    roots = []
    for index, tensor in enumerate(tensors):
        gradient = gradients[index] if index < len(gradients) else None
        if not tensor.requires_grad:
            raise RuntimeError(
                f"element {index} of tensors does not require grad and does not have a grad_fn\n"
                "Was it computed under torch.no_grad(), or from tensors without requires_grad=True?"
            )
        meta = tensor._value.meta
        if gradient is None:
            if meta.numel != 1:
                raise RuntimeError(
                    "grad can be implicitly created only for scalar outputs\n"
                    "Call .mean() or .sum() first, or pass gradient= of shape "
                    f"{list(meta.shape)}."
                )
            if meta.dtype.category == COMPLEX:
                raise RuntimeError(
                    "grad can be implicitly created only for real scalar outputs but got "
                    f"{meta.dtype}"
                )
            gradient = ones(shape=tuple(meta.shape), dtype=meta.dtype)
        elif gradient._value.meta.shape != meta.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{index}] has a shape of {gradient.shape} and "
                f"output[{index}] has a shape of {meta.shape}."
            )
        elif not create_graph:
            value = gradient._value if gradient._alias is None else gradient._alias.read(gradient)
            gradient = wrap(value)
        roots.append((tensor._edge, gradient))
    return roots


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    *,
    inputs: Any = None,
) -> None:
    """Add the gradients of ``tensors`` to the ``grad`` of the leaves they were computed from.

    Args:
        tensors: a tensor or a sequence of tensors.
        grad_tensors: their gradients; may be left out for tensors of one element.
        retain_graph: keep the graph for another pass (default: ``create_graph``).
        create_graph: make the gradients differentiable themselves.
        inputs: only these leaves get their ``grad``; all of them by default.

    See https://pytorch.org/docs/stable/generated/torch.autograd.backward.html.

    >>> import rushlight as torch
    >>> x = torch.tensor([2.0], requires_grad=True)
    >>> torch.autograd.backward((x * x).sum())
    >>> x.grad
    tensor([4.])
    """
    _record(tensors, grad_tensors, retain_graph, create_graph, inputs)
    for call in list(after_backward.values()):
        call()


def _record(
    tensors: Any, grad_tensors: Any, retain_graph: bool | None, create_graph: bool, inputs: Any
) -> None:
    """Record the pass, from a memo if there is one."""
    retain = bool(create_graph if retain_graph is None else retain_graph)
    watcher = None
    if grad_tensors is None and inputs is None and not create_graph:
        if isinstance(tensors, TensorBase):
            if replay(tensors, retain):
                return
            watcher = learner(tensors, retain)
    roots = _roots(as_tuple(tensors), as_tuple(grad_tensors), create_graph)
    if watcher is not None:
        watcher.run(roots)
        return
    if inputs is None:
        Backward(roots, retain, create_graph).run()
        return
    wanted = as_tuple(inputs)
    if not wanted:
        raise RuntimeError("`inputs` argument to `backward()` cannot be empty.")
    edges = [x._edge for x in wanted]
    run = Backward(roots, retain, create_graph, edges)
    run.run()
    for x, edge in zip(wanted, edges, strict=True):
        gradient = run.captured.get(edge)
        if gradient is not None:
            if edge[0].is_leaf_node:
                edge[0].accumulate(gradient, create_graph)
            else:
                x._grad = gradient if x._grad is None else x._grad + gradient


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``, returned instead of accumulated.

    Args:
        outputs: a tensor or a sequence of tensors.
        inputs: the tensors to differentiate by; they must require gradients.
        grad_outputs: the gradients of the outputs; may be left out for single elements.
        retain_graph: keep the graph for another pass (default: ``create_graph``).
        create_graph: make the gradients differentiable themselves.
        allow_unused: give ``None`` for an input the outputs do not depend on, not an error.
        materialize_grads: give zeros instead of ``None``.

    See https://pytorch.org/docs/stable/generated/torch.autograd.grad.html.

    >>> import rushlight as torch
    >>> x = torch.tensor(3.0, requires_grad=True)
    >>> (slope,) = torch.autograd.grad(x ** 3, x, create_graph=True)
    >>> torch.autograd.grad(slope, x)
    (tensor(18.),)
    """
    if is_grads_batched:
        vectors = as_tuple(grad_outputs)
        rows = [
            grad(outputs, inputs, [v[i] for v in vectors], True, create_graph, True, True)
            for i in range(vectors[0].shape[0])
        ]
        return tuple(_stack(column) for column in zip(*rows, strict=True))
    wanted = as_tuple(inputs)
    for x in wanted:
        if not x.requires_grad:
            raise RuntimeError("One of the differentiated Tensors does not require grad")
        if x._value.meta.dtype.category < FLOATING:
            raise RuntimeError("only Tensors of floating point dtype can require gradients")
    retain = create_graph if retain_graph is None else retain_graph
    roots = _roots(as_tuple(outputs), as_tuple(grad_outputs), create_graph)
    edges = [x._edge for x in wanted]
    run = Backward(roots, retain, create_graph, edges)
    run.run()
    results = []
    for index, (x, edge) in enumerate(zip(wanted, edges, strict=True)):
        gradient = run.captured.get(edge)
        if gradient is None and materialize_grads:
            gradient = ones(shape=tuple(x.shape), dtype=x.dtype) * 0
        if gradient is None and not allow_unused:
            raise RuntimeError(
                f"The differentiated Tensor at index {index} appears to not have been used in the "
                "graph. Set allow_unused=True if this is the desired behavior."
            )
        results.append(gradient)
    return tuple(results)


def _stack(column: Sequence[Any]) -> Any:
    if column[0] is None:
        return None
    return Composite.registry["torch.stack"].function(list(column))
