"""The nodes of the autograd graph, and what each of them saves for its gradient formulas."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from rushlight.engine.ir.graph import Meta, TensorBase, Value
from rushlight.engine.ir.op import Op, Spec

next_sequence = count().__next__

FREED_MESSAGE = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)


class Plan:
    """Which formulas a node runs, and which inputs and outputs they need.

    Made once per operator and set of inputs that want a gradient.
    """

    __slots__ = ("formulas", "inputs", "needs", "outputs")

    def __init__(self, op: Op, needs: tuple[bool, ...]) -> None:
        assert op.grad is not None
        self.needs = needs
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        wanted: list[tuple[Callable[..., Any], tuple[str, ...], tuple[int, ...]]] = []
        for key, formula in op.grad.items():
            names = tuple(name.strip() for name in key.split(","))
            if op.variadic:
                targets: tuple[int, ...] = (-1,)
            else:
                targets = tuple(op.input_names.index(name) for name in names)
                if not any(needs[i] for i in targets):
                    continue
            if isinstance(formula, str):
                raise RuntimeError(
                    f"The function '{formula}' is not differentiable with respect to argument "
                    f"'{key}'. This input cannot have requires_grad True."
                )
            parameters = formula.__code__.co_varnames[: formula.__code__.co_argcount]
            wanted.append((formula, parameters, targets))
            for name in parameters:
                self._save(op, name)
        self.formulas = [
            (formula, [self._source(op, name) for name in parameters], targets)
            for formula, parameters, targets in wanted
        ]

    def _save(self, op: Op, name: str) -> None:
        if name in op.input_names and not op.variadic:
            index = op.input_names.index(name)
            if index not in self.inputs:
                self.inputs.append(index)
        elif name.startswith("result"):
            index = int(name[6:] or 0)
            if index not in self.outputs:
                self.outputs.append(index)

    def _source(self, op: Op, name: str) -> tuple[str, Any]:
        """Where the argument called ``name`` of a formula comes from."""
        if name == "g" or (name[0] == "g" and name[1:].isdigit()):
            return "gradient", int(name[1:] or 0)
        if name == "needs":
            return "needs", None
        if name == "gradients":
            return "gradients", None
        if name.startswith("result") and (op.variadic or name not in op.input_names):
            index = int(name[6:] or 0)
            kind = "output" if op.differentiable is None or index < op.differentiable else "value"
            return kind, (len(self.inputs) + self.outputs.index(index), index)
        if name == "metas":
            return "metas", None
        if name.endswith("_meta"):
            return "meta", op.input_names.index(name[:-5])
        if name in op.input_names:
            index = op.input_names.index(name)
            return "input", (self.inputs.index(index), index)
        if name in op.attr_names:
            return "attribute", op.attr_names.index(name)
        raise ValueError(f"{op.name}: gradient formula asks for unknown {name!r}")


class GradNode:
    """A recorded differentiable operation: ``tensor.grad_fn``.

    ``edges`` lead to the nodes of the inputs; ``saved`` are the values the formulas need, or
    ``None`` once the graph has been freed. Values are immutable, so no later in-place write can
    spoil a gradient. ``place`` is where the first output stands, counted over all traces
    (``Trace.origin``), -1 where that does not tell what was saved.
    """

    __slots__ = (
        "__weakref__", "_metadata", "edges", "hooks", "place", "plan", "post_hooks", "saved",
        "sequence", "spec",
    )  # fmt: skip

    is_leaf_node = False
    fills_missing = True

    def __init__(
        self, spec: Spec, plan: Plan, edges: tuple[Any, ...], saved: list[Value | None]
    ) -> None:
        self.spec = spec
        self.plan = plan
        self.edges = edges
        self.saved: list[Value | None] | None = saved
        self.place = -1
        self.sequence = next_sequence()
        self.hooks: Any = None  # output number -> functions, run on the gradient that arrives
        self.post_hooks: Any = None
        self._metadata: dict[str, Any] | None = None

    def name(self) -> str:
        """The name PyTorch prints, such as ``AddBackward0``."""
        return type(self).__name__

    def __repr__(self) -> str:
        return f"<{self.name()} object at {id(self):#x}>"

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes the gradients go to, with the number of their output."""
        return tuple((None, 0) if edge is None else edge for edge in self.edges)

    @property
    def metadata(self) -> dict[str, Any]:
        """A dictionary for the user's own notes."""
        if self._metadata is None:
            self._metadata = {}
        return self._metadata

    def register_hook(self, hook: Callable[..., Any]) -> Any:
        """Call ``hook(grad_inputs, grad_outputs)`` after this node has computed its gradients."""
        if self.post_hooks is None:
            self.post_hooks = {}
        return HookHandle(self.post_hooks, hook)

    def output_meta(self, number: int) -> Meta:
        """What is known of output ``number``."""
        return self.spec.outs[number]

    @property
    def output_count(self) -> int:
        """How many outputs the operation has."""
        return len(self.spec.outs)

    def release(self) -> None:
        """Forget the saved values; a node that has saved no tensor can be passed again."""
        saved = self.saved
        # what PyTorch has as a tensor: a number counts as a factor (x * 2), not as a weight
        two = len(self.edges) == 2
        if saved and any(x is not None and (two or not x.meta.weak) for x in saved):
            self.saved = None

    def unpack(self, slot: int, edge: Any, wrap: Callable[..., TensorBase]) -> TensorBase | None:
        """Saved value ``slot`` as a tensor that leads back into the graph by ``edge``."""
        if self.saved is None:
            raise RuntimeError(FREED_MESSAGE)
        value = self.saved[slot]
        return None if value is None else wrap(value, edge)

    def gradients(
        self, incoming: list[Any], wrap: Callable[..., TensorBase], create_graph: bool
    ) -> list[Any]:
        """The gradients of the inputs, from those of the outputs."""
        if self.saved is None:
            raise RuntimeError(FREED_MESSAGE)
        results: list[Any] = [None] * len(self.edges)
        for formula, sources, targets in self.plan.formulas:
            arguments = []
            for kind, where in sources:
                if kind == "gradient":
                    arguments.append(incoming[where])
                elif kind == "input":
                    slot, index = where
                    arguments.append(
                        self.unpack(slot, self.edges[index] if create_graph else None, wrap)
                    )
                elif kind == "output":
                    slot, index = where
                    edge = (self, index) if create_graph else None
                    arguments.append(self.unpack(slot, edge, wrap))
                elif kind == "value":  # an output without gradients
                    arguments.append(self.unpack(where[0], None, wrap))
                elif kind == "attribute":
                    arguments.append(self.spec.attrs[where])
                elif kind == "meta":
                    arguments.append(self.spec.inputs[where])
                elif kind == "metas":
                    arguments.append(self.spec.inputs)
                elif kind == "gradients":
                    arguments.append(incoming)
                else:
                    arguments.append(tuple(edge is not None for edge in self.edges))
            made = formula(*arguments)
            if targets == (-1,):
                results[:] = made
            elif len(targets) == 1:
                results[targets[0]] = made
            else:
                for target, gradient in zip(targets, made, strict=True):
                    results[target] = gradient
        return results


class HookHandle:
    """What ``register_hook`` returns: ``remove()`` takes the hook away again.

    It also works as a context manager.
    """

    __slots__ = ("_hooks", "id")

    _ids = count().__next__

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self._hooks = hooks
        self.id = HookHandle._ids()
        hooks[self.id] = hook

    def remove(self) -> None:
        """Take the hook away; a second call does nothing."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def node_class(spec: Spec) -> type[GradNode]:
    """The class of the nodes of ``spec``, called as PyTorch calls it."""
    if spec.node_class is None:
        op = spec.op
        name = op.grad_name if isinstance(op.grad_name, str) else op.grad_name(spec)
        if "Backward" not in name and name not in ("NotImplemented", "CopySlices"):
            name += "Backward0"
        if name not in op.node_classes:
            body = {"__slots__": (), "fills_missing": op.fills_missing}
            op.node_classes[name] = type(name, (GradNode,), body)
        spec.node_class = op.node_classes[name]
    made: type[GradNode] = spec.node_class
    return made


def plan_for(op: Op, needs: tuple[bool, ...]) -> Plan:
    """The plan of ``op`` when the inputs marked in ``needs`` want gradients."""
    plan: Plan | None = op.plans.get(needs)
    if plan is None:
        plan = op.plans[needs] = Plan(op, needs)
    return plan


def grow(
    spec: Spec, plan: Plan, edges: tuple[Any, ...], saved: list[Any], place: int = -1
) -> Any:
    """The node of an operation; calling its class takes twice as long."""
    node: Any = object.__new__(spec.node_class or node_class(spec))
    node.spec = spec
    node.plan = plan
    node.edges = edges
    node.saved = saved
    node.place = place
    node.sequence = next_sequence()
    node.hooks = node.post_hooks = node._metadata = None
    return node
