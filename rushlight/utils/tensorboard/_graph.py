"""The operations of a model as the graph that TensorBoard draws."""

from __future__ import annotations

import inspect
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from rushlight._random import fork_rng
from rushlight._tensor import Tensor
from rushlight.autograd.grad_mode import no_grad
from rushlight.engine.core.watch import watching
from rushlight.engine.runtime.cache import here
from rushlight.engine.runtime.executor import flush
from rushlight.utils.tensorboard._graph_nodes import Nodes
from rushlight.utils.tensorboard._protos import (
    DeviceStepStats,
    GraphDef,
    RunMetadata,
    StepStats,
    VersionDef,
)

#: More values and bytes than any trace has.
_NO_LIMIT = 1 << 62


def _without_limit() -> Any:
    """The trace being recorded, which from now on nothing ends but a number that is needed."""
    trace = here.trace
    trace.limit, trace.pinned = _NO_LIMIT, -_NO_LIMIT
    return trace


def _each(x: Any, name: str) -> Iterator[tuple[str, Tensor]]:
    """The tensors in nested containers, with a name for each."""
    if isinstance(x, Tensor):
        yield name, x
    elif isinstance(x, Mapping):
        for key, part in x.items():
            yield from _each(part, f"{name}.{key}")
    elif isinstance(x, (list, tuple)):
        for number, part in enumerate(x):
            yield from _each(part, f"{name}.{number}")


def _replaced(x: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Nested containers with every tensor changed."""
    if isinstance(x, Tensor):
        return change(x)
    if isinstance(x, Mapping):
        return type(x)({key: _replaced(part, change) for key, part in x.items()})  # type: ignore[call-arg]
    if isinstance(x, (list, tuple)):
        parts = [_replaced(part, change) for part in x]
        return type(x)(*parts) if hasattr(x, "_fields") else type(x)(parts)
    return x


def _copy(tensor: Tensor) -> Tensor:
    """A copy that is still to be computed, so that views of it are recorded, too."""
    made: Tensor = tensor.detach().clone()
    return made


def _scopes(model: Any) -> dict[int, str]:
    """The place of every module in the drawing: ``Net/Sequential[features]/Conv2d[0]``."""
    root = type(model).__name__
    places, listed = {"": root}, {id(model): root}
    for name, module in model.named_modules(remove_duplicate=False):
        if name:
            parent, _, own = name.rpartition(".")
            places[name] = f"{places[parent]}/{type(module).__name__}[{own}]"
            listed.setdefault(id(module), places[name])
    return listed


class Recorder:
    """Keeps in mind in which module what was recorded, and turns traces into nodes.

    Args:
        model: the module whose operations are drawn.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.scopes = _scopes(model)
        self.nodes = Nodes()
        self.stack = [self.scopes[id(model)]]
        self.computed: list[Any] = []
        self.begin()

    def begin(self) -> None:
        """A new trace: it is not run before its end, and what is recorded has the present scope."""
        self.slot = _without_limit().slot
        self.starts, self.names = [0], [self.stack[-1]]

    def _mark(self) -> None:
        self.starts.append(len(here.trace.values) - self.slot.base)
        self.names.append(self.stack[-1])

    def enter(self, module: Any, *_: Any) -> None:
        """Called before a module."""
        self.stack.append(self.scopes.get(id(module), self.stack[-1]))
        self._mark()

    def leave(self, *_: Any) -> None:
        """Called after a module."""
        self.stack.pop()
        self._mark()

    def take(self, trace: Any) -> None:
        """Turn the operations of a trace into nodes."""
        values = list(trace.values)
        for node in trace.state.nodes(self.slot.base):
            scope = self.names[bisect_right(self.starts, node.first) - 1]
            self.nodes.add(scope, node, values)

    def on_flush(self, trace: Any, program: Any, reason: str) -> None:
        """Called before what has been recorded is run, because the model looks at a number.

        What is computed then is kept, so that views of it can be told by their memory.
        """
        if trace.slot is self.slot:
            self.take(trace)
            self.computed += [trace.values[i] for i in program.held]
            self.begin()

    def members(self) -> Iterator[tuple[str, Any, str]]:
        """Parameters and buffers: name, tensor, and what it is."""
        for module in self.model.modules():
            scope = self.scopes[id(module)]
            for name, parameter in module.named_parameters(recurse=False):
                yield f"{scope}/{name}", parameter, "Parameter"
            for name, buffer in module.named_buffers(recurse=False):
                yield f"{scope}/{name}", buffer, "Buffer"


def _plain(module: Any) -> Any:
    """The module that ``compile`` has wrapped, or the module itself."""
    return module if module is None else module._modules.get("_orig_mod", module)


@contextmanager
def _as_it_was(model: Any) -> Iterator[None]:
    """Let a model run for evaluation, and leave no trace in it.

    Its buffers are copies meanwhile, and nothing of it runs as ``compile`` has arranged.
    """
    modules = list(model.modules())
    modes = [module.training for module in modules]
    children = [dict(module._modules) for module in modules]
    compiled = [module.__dict__.pop("_compiled_call_impl", None) for module in modules]
    buffers = [dict(module._buffers) for module in modules]
    copies: dict[int, Any] = {}
    try:
        with no_grad(), fork_rng():
            model.eval()
            for module in modules:
                for name, child in module._modules.items():
                    module._modules[name] = _plain(child)
                for name, buffer in module._buffers.items():
                    if buffer is not None:
                        if id(buffer) not in copies:
                            copies[id(buffer)] = _copy(buffer)
                        module._buffers[name] = copies[id(buffer)]
            yield
    finally:
        for i, module in enumerate(modules):
            module._modules.update(children[i])
            module._buffers.update(buffers[i])
            module.training = modes[i]
            if compiled[i] is not None:
                module._compiled_call_impl = compiled[i]


@contextmanager
def _recording(recorder: Recorder) -> Iterator[None]:
    """Have the modules tell the recorder where the program is."""
    nodes = recorder.nodes
    with ExitStack() as stack:
        for module in recorder.model.modules():
            for handle in (
                module.register_forward_pre_hook(recorder.enter, prepend=True),
                module.register_forward_hook(recorder.leave, always_call=True),
            ):
                stack.callback(handle.remove)
        stack.enter_context(watching(flush=recorder.on_flush, copied=nodes.copied))
        yield


def _argument_names(model: Any, count: int) -> list[str]:
    """What ``forward`` calls its first ``count`` arguments."""
    names: list[str] = []
    for parameter in inspect.signature(model.forward).parameters.values():
        if parameter.kind is parameter.VAR_POSITIONAL:
            break
        names.append(parameter.name)
    return [names[i] if i < len(names) else f"argument.{i}" for i in range(count)]


def _arguments(given: Any) -> tuple[Any, ...]:
    if given is None:
        raise RuntimeError(
            "add_graph needs input_to_model: the model is run once to see its operations.\n"
            "Pass a batch, such as writer.add_graph(model, torch.zeros(1, 3, 224, 224))."
        )
    return tuple(given) if isinstance(given, (list, tuple)) else (given,)


def graph(model: Any, given: Any) -> tuple[Any, Any, str]:
    """Run a model once and list its operations.

    Args:
        model: a module.
        given: its argument, or a tuple or list of its arguments.

    Returns:
        The ``GraphDef``; the ``RunMetadata`` that TensorBoard wants beside it; both as text.
    """
    model, arguments = _plain(model), _arguments(given)
    flush("add_graph")
    _without_limit()
    try:
        nodes = _run(model, arguments)
    finally:
        flush("add_graph")  # ends the trace that had no limit
    made = GraphDef(node=nodes.protos(), versions=VersionDef(producer=22))
    device = DeviceStepStats(device="/device:CPU:0")
    return made, RunMetadata(step_stats=StepStats(dev_stats=[device])), str(nodes)


def _run(model: Any, arguments: tuple[Any, ...]) -> Nodes:
    """Record a call of the model; where nobody keeps a result, none is computed."""
    with _as_it_was(model):
        recorder = Recorder(model)
        nodes = recorder.nodes
        for name, member, kind in recorder.members():
            nodes.declare(name, kind, member)
        copies = _replaced(arguments, _copy)
        _declare_inputs(nodes, model, copies)
        with _recording(recorder):
            result = model(*copies)
            recorder.take(here.trace)
            for number, (_, tensor) in enumerate(_each(result, ""), 1):
                nodes.finish(f"output/output.{number}", tensor)
    return nodes


def _declare_inputs(nodes: Nodes, model: Any, arguments: Sequence[Any]) -> None:
    names = _argument_names(model, len(arguments))
    for name, argument in zip(names, arguments, strict=True):
        for full, tensor in _each(argument, f"input/{name}"):
            nodes.declare(full, "IO Node", tensor)
