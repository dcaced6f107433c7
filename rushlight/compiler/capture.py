"""From a watched call to what a replay has to do: programs, where their inputs come from, effects.

Note: when a call may be replayed
    A call is recorded until two in a row come out the same: the same programs, fed from the same
    tensors, with the same effects and the same constants. What differs from call to call without
    being an argument, a tensor in reach, a reserved stretch of random numbers or a number of an
    optimizer therefore never gets into a replay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from rushlight.compiler.recorded import (
    Bound,
    Capture,
    Constant,
    Made,
    NewGradient,
    NodeTemplate,
    Parts,
    Same,
    Write,
)
from rushlight.compiler.references import (
    Argument,
    Fixed,
    GradientOf,
    Held,
    Number,
    Reference,
    Result,
    Stream,
    UnsupportedError,
    View,
)
from rushlight.compiler.watcher import Segment, Watched
from rushlight.compiler.world import Noted, Tensors, World, version_of
from rushlight.engine.core.mt19937 import Reservation
from rushlight.engine.ir.graph import Value
from rushlight.engine.ir.program import Program
from rushlight.engine.runtime import misses
from rushlight.engine.trace.gradient_node import GradNode


@dataclass(eq=False)
class Analysis:
    """Works out the ``Capture`` of a watched call.

    Args:
        watched: what was seen.
        tensors: all tensors as they were before.
        world: what is in reach of the function.
        arguments: the tensors among the arguments.
        begun: the sequence number of autograd nodes at the beginning.
    """

    watched: Watched
    tensors: Tensors
    world: World
    arguments: list[Any]
    begun: int
    nodes: list[NodeTemplate] = field(default_factory=list)
    held: dict[int, Any] = field(default_factory=dict)  #: tensors besides the arguments, by id

    def __post_init__(self) -> None:
        self._arguments = {id(x): i for i, x in reversed(list(enumerate(self.arguments)))}
        self._results: dict[int, Result] = {}
        self._owners: dict[int, list[Value]] = {}
        self._known: dict[int, Reference] = {}
        self._node_numbers: dict[int, int] = {}
        self._needed: list[set[int]] = [set() for _ in self.watched.segments]
        for number, segment in enumerate(self.watched.segments):
            for node in segment.nodes:
                for position in node.outputs:
                    value = segment.values[position]
                    self._results[id(value)] = Result(number, position)
                    if isinstance(value.buffer, np.ndarray):
                        self._owners.setdefault(owner_of(value.buffer), []).append(value)
        for noted in self.tensors.noted.values():
            if isinstance(noted.value.buffer, np.ndarray):
                owner = owner_of(noted.value.buffer)
                self._owners.setdefault(owner, []).append(noted.value)
        self._numbers = self._number_places()

    def capture(self) -> Capture:
        """The whole call.

        Raises:
            UnsupportedError: it cannot be replayed.
        """
        if self.watched.reasons:
            raise UnsupportedError(self.watched.reasons[0])
        changed = self.world.changes()
        if changed is not None:
            raise UnsupportedError(f"besides tensors {changed}")
        writes, gradients = self._effects()
        result = self._result(self.watched.result)
        programs: list[Bound] = []
        written = {write.target for write in writes}
        for number in range(len(self.watched.segments) - 1, -1, -1):
            programs.append(self._bind(number, written))
        programs.reverse()
        return Capture(
            tuple(programs), tuple(writes), tuple(gradients), tuple(self.nodes), result,
            tuple(map(_streams, self.watched.segments)),
            tuple((id(step.numbers.optimizer), count, step.segment)
                  for step, count in zip(self.watched.steps, self._counts, strict=True)),
        )  # fmt: skip

    # where values come from --------------------------------------------------------------------

    def _number_places(self) -> dict[tuple[int, int], Number]:
        """The numbers that enter the trace in an optimizer's step, by segment and position."""
        found: dict[tuple[int, int], Number] = {}
        self._counts: list[int] = []
        for index, step in enumerate(self.watched.steps):
            count = 0
            values = self.watched.segments[step.segment].values
            for position in range(step.first, step.end):
                if values[position].meta.weak and values[position].buffer is not None:
                    found[step.segment, position] = Number(index, count)
                    count += 1
            self._counts.append(count)
        return found

    def reference(self, value: Value) -> Reference:
        """Where a value comes from."""
        found = self._known.get(id(value))
        if found is None:
            found = self._known[id(value)] = self._find(value)
        return found

    def _find(self, value: Value) -> Reference:
        result = self._results.get(id(value))
        if result is not None:
            self._needed[result.segment].add(result.position)
            return result
        copied = self.watched.copies.get(id(value))
        if copied is not None:
            return self.reference(copied[0])
        tensors = self.tensors.by_value.get(id(value))
        if tensors is not None:
            return self.tensor(min(tensors, key=self._distance))
        if isinstance(value.buffer, Reservation):
            return Stream(value.buffer._engine, value.buffer.count)
        if isinstance(value.buffer, np.ndarray):
            wholes = self._owners.get(owner_of(value.buffer))
            if wholes is not None:
                return self._view(min(wholes, key=self._distance_of), value)
        if value.buffer is None:
            raise UnsupportedError("a value of another thread is used")
        return Fixed(value)

    def _distance(self, tensor: Any) -> int:
        """Which of several tensors that share their memory stands for it."""
        if id(tensor) in self._arguments:
            return 0
        return 1 if id(tensor) in self.world.ways else 2

    def _distance_of(self, value: Value) -> tuple[int, int]:
        """Which of several values in one memory a part of it is taken from: the largest."""
        tensors = self.tensors.by_value.get(id(value))
        near = 0 if tensors is None else min(map(self._distance, tensors))
        return near, -value.meta.numel

    def _view(self, whole: Value, part: Value) -> Reference:
        offset = address_of(part.buffer) - address_of(whole.buffer)
        inside = 0 <= offset <= whole.buffer.nbytes
        if not inside or not whole.buffer.flags.c_contiguous:
            raise UnsupportedError("it looks at memory from outside the tensor it was given")
        return View(self.reference(whole), offset, part.meta, part.buffer.strides)

    def tensor(self, tensor: Any) -> Reference:
        """How a tensor that existed before the call is found again."""
        index = self._arguments.get(id(tensor))
        if index is not None:
            if id(tensor) in self.world.ways:
                raise UnsupportedError("an argument can be reached from the function as well")
            return Argument(index)
        if id(tensor) in self.world.ways:
            self.held[id(tensor)] = tensor
            return Held(tensor)
        of = self.tensors.gradient_of.get(id(tensor))
        if of is not None:
            owner = self.tensor(of)
            if isinstance(owner, (Argument, Held)):
                return GradientOf(owner)
        self.world.checks_for(tensor)  # says why not
        raise AssertionError("a tensor in reach was not found")

    # programs ----------------------------------------------------------------------------------

    def _bind(self, number: int, written: set[Reference]) -> Bound:
        segment = self.watched.segments[number]
        needed = self._needed[number]
        held = [False] * len(segment.values)
        for position in needed:
            held[position] = True
        made = {position for node in segment.nodes for position in node.outputs}
        outside = Program(segment.nodes, len(held), tuple(held)).inputs
        inputs: list[tuple[int, Reference]] = []
        for position in range(len(held)):
            if position in made:
                continue
            held[position] = True
            if position in outside:
                given = self._numbers.get((number, position))
                found = given or self.reference(segment.values[position])
                inputs.append((position, found))
                if found in written and not self._read_later(found, number):
                    held[position] = False
        return Bound(program_for(segment, tuple(held)), tuple(inputs))

    def _read_later(self, reference: Reference, number: int) -> bool:
        """Whether a later program (bound already) reads the same tensor's old value."""
        return any(
            self._known.get(id(value)) == reference
            for segment in self.watched.segments[number + 1 :]
            for value in segment.values
        )

    # effects -----------------------------------------------------------------------------------

    def _effects(self) -> tuple[list[Write], list[NewGradient]]:
        writes: list[Write] = []
        gradients: list[NewGradient] = []
        stepped = self._kept_by_optimizers()
        for noted in list(self.tensors.noted.values()):
            tensor = noted.tensor
            if tensor._edge is not noted.edge:
                self._compare_edges(noted)
            grad = getattr(tensor, "_grad", None)
            if grad is not noted.grad:
                gradients.append(self._gradient(noted, grad))
            if tensor._alias is None:
                value = tensor._value
            elif noted.alias is None and not tensor._chain:
                value = tensor._alias.value
            elif tensor._alias is not noted.alias:
                raise UnsupportedError("it gives a tensor other memory (.data = ...)")
            else:
                continue  # with its storage
            if value is not noted.value and id(tensor) not in stepped:
                bumps = version_of(tensor) - noted.version
                writes.append(self._write(tensor, value, bumps))
        for storage, before, version, lookers in self.tensors.storages.values():
            if storage.value is not before:
                writes.append(self._write_storage(storage, version, lookers))
        order = self._order()
        writes.sort(key=lambda write: order(write.target))
        gradients.sort(key=lambda gradient: order(gradient.target))
        return writes, gradients

    def _order(self) -> Callable[[Reference], tuple[int, int]]:
        """The order of effects, the same at every call: arguments, then along the ways."""
        places = {identity: number for number, identity in enumerate(self.world.ways)}

        def order(reference: Reference) -> tuple[int, int]:
            if isinstance(reference, Argument):
                return 0, reference.index
            if isinstance(reference, Held):
                return 1, places[id(reference.tensor)]
            assert isinstance(reference, GradientOf)
            return 2 + order(reference.of)[0], order(reference.of)[1]

        return order

    def _write(self, tensor: Any, value: Value, versions: int) -> Write:
        found = self.reference(value)
        if isinstance(found, View):
            raise UnsupportedError("it makes a tensor look at a part of another")
        return Write(self.tensor(tensor), found, versions)

    def _kept_by_optimizers(self) -> set[int]:
        """State that an optimizer's own code moves on: what got a ready value in its step."""
        found = set()
        for step in self.watched.steps:
            for own in step.numbers.optimizer.state.values():
                for tensor in own.values() if isinstance(own, dict) else ():
                    value = getattr(tensor, "_value", None)
                    if value is not None and id(value) not in self._results:
                        found.add(id(tensor))
        return found

    def _write_storage(self, storage: Any, version: int, lookers: list[Any]) -> Write:
        for tensor in lookers:
            if not tensor._chain and (
                id(tensor) in self._arguments or id(tensor) in self.world.ways
            ):
                return self._write(tensor, storage.value, storage.version - version)
        raise UnsupportedError("it writes into a view of a tensor that is out of reach")

    def _compare_edges(self, noted: Noted) -> None:
        tensor = noted.tensor
        if id(tensor) in self._arguments or id(tensor) in self.world.ways:
            raise UnsupportedError("it changes which tensors take part in autograd")
        if tensor._base is None:
            raise UnsupportedError("it writes into a tensor that takes part in autograd")

    def _gradient(self, noted: Noted, grad: Any) -> NewGradient:
        target = self.tensor(noted.tensor)
        before = noted.grad is not None
        if grad is None:
            return NewGradient(target, before, None)
        if id(grad) in self.tensors.noted:
            raise UnsupportedError("it makes a tensor from outside the grad of another")
        if grad._edge is not None:
            raise UnsupportedError("it leaves gradients that take part in autograd")
        value = self.reference(_newest(grad))
        if isinstance(value, View):
            raise UnsupportedError("it makes a gradient of a part of another tensor")
        return NewGradient(target, before, value)

    # results -----------------------------------------------------------------------------------

    def _result(self, found: Any) -> Any:
        if hasattr(found, "_value") and hasattr(found, "_edge"):
            return self._result_tensor(found)
        kind = type(found)
        if isinstance(found, (tuple, list)):
            return Parts(kind, tuple(map(self._result, found)))
        if isinstance(found, dict):
            items = tuple(self._result(x) for x in found.values())
            return Parts(kind, items, tuple(found))
        if found is None or isinstance(found, (bool, int, float, complex, str, bytes)):
            return Constant(kind, found)
        if id(found) in self.world.objects:
            return Constant(kind, found)
        raise UnsupportedError(f"it returns a new {kind.__name__}; return tensors, alone or in "
                               "tuples, lists and dictionaries")  # fmt: skip

    def _result_tensor(self, found: Any) -> Any:
        if id(found) in self.tensors.noted:
            return Same(self.tensor(found))
        storage = found._alias
        if storage is not None and id(storage) in self.tensors.storages:
            raise UnsupportedError("it returns a view of a tensor from outside")
        if storage is not None:
            for noted in self.tensors.noted.values():
                if noted.tensor._alias is storage:
                    raise UnsupportedError("it returns a view of a tensor from outside")
            twins = [x for x in flattened(self.watched.result) if x._alias is storage]
            if len({id(x) for x in twins}) > 1:
                raise UnsupportedError("it returns several tensors that share their memory")
        value = self.reference(_newest(found))
        if type(found).__name__ == "Parameter":
            raise UnsupportedError("it returns a new parameter")
        edge = found._edge
        if edge is None:
            return Made(value, None)
        return Made(value, (self._node(edge[0]), edge[1]))

    def _node(self, node: Any) -> int:
        """The number of the template of a node of the graph, made with those it leads to."""
        if id(node) not in self._node_numbers:
            reached = {id(node): node}
            stack = [node]
            while stack:
                for edge in _edges_of(stack.pop()):
                    inner = edge[0] if edge is not None else None
                    if inner is not None and self._is_new(inner) and id(inner) not in reached:
                        reached[id(inner)] = inner
                        stack.append(inner)
            for inner in sorted(reached.values(), key=lambda found: found.sequence):
                if id(inner) not in self._node_numbers:
                    self._template(inner)
        return self._node_numbers[id(node)]

    def _is_new(self, node: Any) -> bool:
        return not node.is_leaf_node and node.sequence >= self.begun

    def _template(self, node: Any) -> None:
        if not isinstance(node, GradNode):
            raise UnsupportedError(f"{node.name()} stands in the graph it returns")
        if node.hooks or node.post_hooks:
            raise UnsupportedError("there are hooks in the graph it returns")
        saved: tuple[Any, ...] | None = None
        if node.saved is not None:
            saved = tuple(None if v is None else self.reference(v) for v in node.saved)
        edges = tuple(map(self._edge, _edges_of(node)))
        self._node_numbers[id(node)] = len(self.nodes)
        self.nodes.append(NodeTemplate(type(node), node.spec, node.plan, edges, saved))

    def _edge(self, edge: Any) -> Any:
        if edge is None:
            return None
        node, number = edge
        if self._is_new(node):
            return self._node_numbers[id(node)], number
        candidates = [*self.arguments, *self.held.values()]
        if node.is_leaf_node and node.variable is not None:
            candidates.append(node.variable)
        for tensor in candidates:
            if tensor._edge is not None and tensor._edge[0] is node and tensor._edge[1] == number:
                return self.tensor(tensor), None
        raise UnsupportedError("its graph leads to a tensor that is out of reach")


def _edges_of(node: Any) -> tuple[Any, ...]:
    """Where a node leads to; nowhere once the graph has been freed."""
    if isinstance(node, GradNode) and node.saved is None:
        return ()
    edges: tuple[Any, ...] = node.edges
    return edges


def _newest(tensor: Any) -> Value:
    value: Value = tensor._value if tensor._alias is None else tensor._alias.read(tensor)
    return value


def flattened(found: Any) -> list[Any]:
    """The tensors in a result."""
    if hasattr(found, "_value") and hasattr(found, "_edge"):
        return [found]
    if isinstance(found, (tuple, list)):
        return [x for part in found for x in flattened(part)]
    if isinstance(found, dict):
        return [x for part in found.values() for x in flattened(part)]
    return []


def _streams(segment: Segment) -> tuple[tuple[int, Stream], ...]:
    return tuple(
        (position, Stream(value.buffer._engine, value.buffer.count))
        for position, value in enumerate(segment.values)
        if isinstance(value.buffer, Reservation)
    )


def program_for(segment: Segment, held: tuple[bool, ...]) -> Program:
    """The program of a segment in which these values are held, the known one if there is one."""
    programs: dict[tuple[bool, ...], Program] = segment.state.programs()
    program = programs.get(held)
    if program is None:
        program = programs[held] = Program(segment.nodes, len(held), held)
        misses.note(segment.state, program, "torch.compile")
    return program


def owner_of(buffer: np.ndarray) -> int:
    """The ``id`` of the array that owns the memory of ``buffer``."""
    while isinstance(buffer.base, np.ndarray):
        buffer = buffer.base
    return id(buffer)


def address_of(buffer: np.ndarray) -> int:
    """Where the elements of ``buffer`` begin."""
    return int(buffer.__array_interface__["data"][0])
