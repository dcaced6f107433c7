"""Calling a module that has hooks: the long way of ``Module.__call__``."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from rushlight._tensor import Tensor
from rushlight.autograd.function import Function
from rushlight.engine.ops.matmul import linear, matmul_nt
from rushlight.engine.trace.recorder import mode
from rushlight.nn.modules.hooks import BoundHook, Hook, everywhere


class BackwardHookFunction(Function):
    """Passes tensors and gradients through; its node is where full backward hooks wait."""

    @staticmethod
    def forward(ctx: Any, *args: Any) -> Any:
        ctx.mark_non_differentiable(*[x for x in args if not x.requires_grad])
        return args

    @staticmethod
    def backward(ctx: Any, *args: Any) -> Any:
        return args


class BackwardHook:
    """Watches the gradients that come to a module's outputs and leave by its inputs.

    Args:
        module: handed to the hooks.
        hooks: called with the gradients of inputs and outputs.
        pre_hooks: called with the gradients of the outputs, when these arrive.
    """

    def __init__(self, module: Any, hooks: list[Hook], pre_hooks: list[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.grad_outputs: tuple[Any, ...] | None = None
        self.inputs: list[int] | None = None
        self.input_count = 0
        self.outputs: list[int] | None = None
        self.output_count = 0

    def watch_inputs(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """``args``, their tensors watched."""
        args, self.inputs, node = _watch(args)
        self.input_count = len(args)
        if node is not None:
            node.register_hook(self._at_inputs)
        return args

    def watch_outputs(self, result: Any) -> Any:
        """``result``, its tensors watched."""
        several = isinstance(result, tuple)
        outputs, self.outputs, node = _watch(result if several else (result,))
        self.output_count = len(outputs)
        if node is not None:
            node.register_hook(self._at_outputs)
        return outputs if several else outputs[0]

    def _at_outputs(self, _: Any, gradients: Sequence[Any]) -> tuple[Any, ...]:
        assert self.outputs is not None
        arrived = _spread(self.outputs, gradients, self.output_count)
        for hook in self.pre_hooks:
            changed = hook(self.module, arrived)
            if changed is not None:
                if not isinstance(changed, tuple):
                    changed = (changed,)
                _check_count("Backward pre hook", "grad_output", changed, arrived)
                arrived = changed
        if self.inputs is None:
            self._without_inputs(arrived)
        else:
            self.grad_outputs = arrived
        return tuple(arrived[i] for i in self.outputs)

    def _without_inputs(self, arrived: tuple[Any, ...]) -> None:
        if not self.hooks:
            return
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module "
            "outputs since no inputs require gradients. See "
            "https://docs.pytorch.org/docs/main/generated/torch.nn.Module.html"
            "#torch.nn.Module.register_full_backward_hook for more details.",
            stacklevel=2,
        )
        for hook in self.hooks:
            changed = hook(self.module, (None,) * self.input_count, arrived)
            if changed is not None and any(part is not None for part in changed):
                raise RuntimeError(
                    "Backward hook for Modules where no input requires gradient should always "
                    "return None or None for all gradients."
                )

    def _at_inputs(self, gradients: Sequence[Any], _: Any) -> tuple[Any, ...] | None:
        if self.grad_outputs is None:
            return None  # the backward pass did not go through the outputs
        assert self.inputs is not None
        leaving = _spread(self.inputs, gradients, self.input_count)
        for hook in self.hooks:
            changed = hook(self.module, leaving, self.grad_outputs)
            if changed is not None:
                if not isinstance(changed, tuple):
                    changed = (changed,)
                _check_count("Backward hook", "grad_input", changed, leaving)
                leaving = changed
        self.grad_outputs = None
        return tuple(leaving[i] for i in self.inputs)


def _check_count(kind: str, what: str, got: Sequence[Any], expected: Sequence[Any]) -> None:
    if len(got) != len(expected):
        raise RuntimeError(
            f"{kind} returned an invalid number of {what}, got {len(got)}, but expected "
            f"{len(expected)}"
        )


def _spread(places: list[int], values: Sequence[Any], count: int) -> tuple[Any, ...]:
    """``values`` at their places among ``count``, ``None`` elsewhere."""
    spread: list[Any] = [None] * count
    for place, value in zip(places, values, strict=True):
        spread[place] = value
    return tuple(spread)


def _watch(args: Any) -> tuple[Any, list[int] | None, Any]:
    """``args`` with its tensors passed through a node, their places, and the node."""
    places = [i for i, x in enumerate(args) if isinstance(x, Tensor)]
    if not (mode.grad and any(args[i].requires_grad for i in places)):
        return args, None, None
    watched = list(args)
    for place, tensor in zip(
        places, BackwardHookFunction.apply(*[args[i] for i in places]), strict=True
    ):
        watched[place] = tensor
    node = next(watched[i].grad_fn for i in places if watched[i].requires_grad)
    made = tuple(watched) if type(args) is tuple else type(args)(*watched)
    return made, places, node


def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward(*args, **kwargs)`` with the hooks of the module and of all modules."""
    call = _Call(module, args, kwargs)
    try:
        return call.run()
    except Exception:
        call.after_error()
        raise


class _Call:
    """One call of a module with hooks."""

    def __init__(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.module = module
        self.args = args
        self.kwargs = kwargs
        self.result: Any = None
        self.called: set[int] = set()

    def run(self) -> Any:
        module = self.module
        full, old = module._get_backward_hooks()
        pre = module._get_backward_pre_hooks()
        self._before()
        watcher = BackwardHook(module, full, pre) if full or pre else None
        if watcher is not None:
            self.args = watcher.watch_inputs(self.args)
        self.result = module.forward(*self.args, **self.kwargs)
        for number, hook, with_kwargs, always in self._forward_hooks():
            if always:
                self.called.add(number)
            self._call_forward_hook(hook, with_kwargs)
        if watcher is not None:
            if not isinstance(self.result, (Tensor, tuple)):
                warnings.warn(
                    "For backward hooks to be called, module output should be a Tensor or a tuple "
                    f"of Tensors but received {type(self.result)}",
                    stacklevel=4,
                )
            self.result = watcher.watch_outputs(self.result)
        if old:
            _register_old_hooks(module, old, self.args, self.result)
        return self.result

    def _before(self) -> None:
        """Run the forward pre-hooks, which may change the arguments."""
        module = self.module
        hooks = (*everywhere.forward_pre.items(), *module._forward_pre_hooks.items())
        for number, hook in hooks:
            if number in module._forward_pre_hooks_with_kwargs:
                changed = hook(module, self.args, self.kwargs)
                if changed is None:
                    continue
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise RuntimeError(
                        "forward pre-hook must return None or a tuple of (new_args, new_kwargs), "
                        f"but got {changed}."
                    )
                self.args, self.kwargs = changed
            else:
                changed = hook(module, self.args)
                if changed is not None:
                    self.args = changed if isinstance(changed, tuple) else (changed,)

    def _forward_hooks(self) -> list[tuple[int, Hook, bool, bool]]:
        """Number, hook, whether it takes keyword arguments, whether errors do not stop it."""
        module = self.module
        with_kwargs = {*everywhere.forward_with_kwargs, *module._forward_hooks_with_kwargs}
        always = {*everywhere.forward_always_called, *module._forward_hooks_always_called}
        return [
            (number, hook, number in with_kwargs, number in always)
            for number, hook in (*everywhere.forward.items(), *module._forward_hooks.items())
        ]

    def _call_forward_hook(self, hook: Hook, with_kwargs: bool) -> None:
        if with_kwargs:
            changed = hook(self.module, self.args, self.kwargs, self.result)
        else:
            changed = hook(self.module, self.args, self.result)
        if changed is not None:
            self.result = changed

    def after_error(self) -> None:
        """Run the hooks that are called whatever happens and have not been yet."""
        for number, hook, with_kwargs, always in self._forward_hooks():
            if always and number not in self.called:
                try:
                    self._call_forward_hook(hook, with_kwargs)
                except Exception as error:
                    kind = "global module" if number in everywhere.forward else "module"
                    warnings.warn(
                        f"{kind} forward hook with ``always_call=True`` raised an exception that "
                        f"was silenced as another error was raised in forward: {error!s}",
                        stacklevel=4,
                    )


def _register_old_hooks(module: Any, hooks: list[Hook], args: Any, result: Any) -> None:
    """Put backward hooks of the old kind on the last operation of the module."""
    first = result
    while not isinstance(first, Tensor):
        if isinstance(first, dict):
            first = next(value for value in first.values() if isinstance(value, Tensor))
        else:
            first = first[0]
    node = first.grad_fn
    if node is None:
        return
    spec = getattr(node, "spec", None)
    weight = None if spec is None else _TRANSPOSED.get(spec.op)
    for hook in hooks:
        bound = BoundHook(hook, module)
        node.register_hook(bound if weight is None else _turned(bound, weight))
    problem = _what_old_hooks_miss(args, result, node)
    if problem:
        warnings.warn(problem, FutureWarning, stacklevel=5)


#: Products that take their second factor as it is, where PyTorch's take its transpose: the number
#: of that input. Old backward hooks see the gradient of the transpose.
_TRANSPOSED = {linear: 2, matmul_nt: 1}


def _turned(hook: Hook, weight: int) -> Hook:
    """``hook`` for a node whose input ``weight`` is transposed in PyTorch's graph."""

    def turn(gradients: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(
            g.t() if i == weight and g is not None else g for i, g in enumerate(gradients)
        )

    def call(grad_input: Sequence[Any], grad_output: Sequence[Any]) -> Any:
        changed = hook(turn(grad_input), grad_output)
        return None if changed is None else turn(changed)

    return call


def _what_old_hooks_miss(args: Any, result: Any, node: Any) -> str | None:
    """PyTorch's warning where the last operation is not the whole module."""
    begin = "Using a non-full backward hook when "
    instead = "Please use register_full_backward_hook to get the documented behavior."
    deprecated = "is deprecated and will be removed in future versions. This hook will be missing "
    results = _all_tensors(result)
    if results is None:
        return (
            "Using non-full backward hooks on a Module that does not return a single Tensor or a "
            f"tuple of Tensors {deprecated}some of the grad_output. {instead}"
        )
    inputs = _all_tensors(args)
    if inputs is None:
        return (
            "Using non-full backward hooks on a Module that does not take as input a single "
            f"Tensor or a tuple of Tensors {deprecated}some of the grad_input. {instead}"
        )
    nodes = {x.grad_fn for x in results if x.grad_fn is not None}
    if node not in nodes:
        return (
            f"{begin}outputs are nested in python data structure {deprecated}some grad_output."
        )
    if len(nodes) > 1:
        return (
            f"{begin}outputs are generated by different autograd Nodes {deprecated}some "
            f"grad_output. {instead}"
        )
    sources = {x.grad_fn for x in inputs if x.grad_fn is not None}
    if sources != {following[0] for following in node.next_functions}:
        return (
            f"{begin}the forward contains multiple autograd Nodes {deprecated}some grad_input. "
            f"{instead}"
        )
    return None


def _all_tensors(value: Any) -> tuple[Any, ...] | None:
    if isinstance(value, Tensor):
        return (value,)
    if isinstance(value, tuple) and all(isinstance(x, Tensor) for x in value):
        return value
    return None
