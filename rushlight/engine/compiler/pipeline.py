"""The compiler: from a recorded program to the plan of native calls.

Pure functions over data, in this order: import, ``PASSES``, classify, fuse, choose what is written
in place, lower, place in memory. Each pass can be switched off by its name
(``RUSHLIGHT_PASSES_OFF``), and ``RUSHLIGHT_LOG=fusion,plan`` shows what came out of it.
"""

from __future__ import annotations

from typing import Any, Final

from rushlight.engine.backends.cpu import threads
from rushlight.engine.backends.cpu.onednn_prepared import aligned
from rushlight.engine.backends.cpu.primitives import primitive_for
from rushlight.engine.compiler import layout, simplify
from rushlight.engine.compiler.bodies import number_type
from rushlight.engine.compiler.classify import Classes, Way, own_loops
from rushlight.engine.compiler.fuse import CallUnit, Uncompilable, Units
from rushlight.engine.compiler.graph import (
    Graph,
    GraphValue,
    Pass,
    data_source,
    import_program,
)
from rushlight.engine.compiler.group import Group
from rushlight.engine.compiler.lower import Lowered, lower
from rushlight.engine.compiler.memory import Arena, choose_reuse, last_uses
from rushlight.engine.compiler.share import share_kernels
from rushlight.engine.core import log
from rushlight.engine.core.config import config
from rushlight.engine.core.dtype import float64
from rushlight.engine.ir.buffers import span_of
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.plan import (
    Constant,
    KernelCall,
    Place,
    Plan,
    PrimitiveCall,
    PythonCall,
)
from rushlight.engine.ir.program import Program

PASSES: Final[dict[str, Pass]] = {
    "common": simplify.common,
    "decompose": simplify.decompose,
    "common_again": simplify.common,
    "layout": layout.channels_last,
}


def simplified(program: Program) -> Graph:
    """The graph of a program after the passes."""
    graph = import_program(program)
    graph.link()
    for name, run in PASSES.items():
        if name not in config.passes_off:
            run(graph)
            graph.link()
            verify(graph)
    return graph


def verify(graph: Graph) -> None:
    """Raise if a node reads what has not been computed before it."""
    known = set(graph.outside.values())
    for node in graph.nodes:
        for value, meta in zip(node.inputs, node.spec.inputs, strict=True):
            if value is None:
                continue
            if value.constant is None and value not in known:
                raise AssertionError(f"{node!r} reads {value!r} before it is computed")
            if value.meta is not meta:
                raise AssertionError(f"{node!r}: {value!r} is {value.meta!r}, expected {meta!r}")
        known.update(node.outs)


def compile_program(program: Program, varying: bool = False) -> Plan:
    """The plan of a program.

    Args:
        program: the program.
        varying: whether it is one of many that differ in sizes alone: then it gets no code that
            is cut to its sizes.

    Raises:
        Uncompilable: the interpreter has to run it.
    """
    graph = simplified(program)
    if any(value.meta.weak for value in graph.keep.values()):
        raise Uncompilable("a result is a Python number")
    classes = Classes(graph, cut=not varying)
    units = Units(graph, classes)
    plan = _Planner(graph, classes, units).plan()
    plan.varying = varying
    for call in plan.calls:
        if isinstance(call, KernelCall):
            call.threads = threads.choose(threads.cost(call.kernel.operations, call.kernel.moved))
    if "share" not in config.passes_off:
        share_kernels(plan)
    if log.enabled("fusion"):
        log.write("fusion", describe(units))
    if log.enabled("plan"):
        log.write("plan", "\n".join(str(c.kernel) for c in plan.calls if hasattr(c, "kernel")))
    return plan


def describe(units: Units) -> str:
    """Which operations are computed together."""
    lines = []
    for position, unit in enumerate(units.order):
        if isinstance(unit, CallUnit):
            lines.append(f"{position:3} {unit.way.name.lower():9} {unit.node!r}")
            continue
        lines.append(f"{position:3} kernel over {list(unit.domain)}")
        for member in unit.members.values():
            stored = "stored" if member.stored else "kept in registers"
            lines.append(
                f"      stage {member.stage} {member.level.name.lower():10} {member.value!r} "
                f"{member.value.node.spec.op.name if member.value.node else ''} ({stored})"
            )
    return "\n".join(lines)


def _sources(unit: Group | CallUnit) -> tuple[Any, ...]:
    """The recorded operations that a unit does, in their order."""
    values = [m.value for m in unit.members.values()] if isinstance(unit, Group) else unit.node.outs
    nodes = [value.node for value in values]
    found = {id(n.origin): n.origin for n in nodes if n is not None and n.origin is not None}
    return tuple(sorted(found.values(), key=lambda node: node.first))


class _Planner:
    """Places values and lists the calls."""

    def __init__(self, graph: Graph, classes: Classes, units: Units) -> None:
        self.graph = graph
        self.classes = classes
        self.units = units
        self.made = Plan()
        self.places: dict[GraphValue, Place] = {}
        self.arena = Arena()
        self.last = last_uses(units)
        self.numbers: dict[GraphValue, int] = {}

    def plan(self) -> Plan:
        """Everything in order."""
        self._place_outside()
        aliases = {v for v in self.graph.keep.values() if v.node is None}
        self.reuse = choose_reuse(self.units, aliases)
        self._place_results()
        for position, unit in enumerate(self.units.order):
            before = len(self.made.calls)
            if isinstance(unit, Group):
                self._kernel(position, unit)
            else:
                self._call(position, unit)
            for call in self.made.calls[before:]:
                call.sources = _sources(unit)
        self.made.arena = self.arena.size
        self._checks()
        return self.made

    def _checks(self) -> None:
        """What has to be looked at before anything is computed."""
        for node in self.graph.checks:
            assert node.spec.op.check is not None
            numbers, factory = node.spec.op.check
            sources = [data_source(node.inputs[k]) for k in numbers]
            check = factory(node.spec, *node.spec.attrs)
            if check is not None:
                self.made.checks.append((check, sources))

    # places ------------------------------------------------------------------------------------

    def _slot(self) -> int:
        self.made.slots += 1
        return self.made.slots - 1

    def _place_outside(self) -> None:
        for number, value in self.graph.outside.items():
            if value.meta.weak or not self._read_natively(value):
                continue
            slot = self._slot()
            self.places[value] = Place(slot)
            self.made.inputs[slot] = number

    def _read_natively(self, value: GraphValue) -> bool:
        """Whether its address is needed: Python's kernels get an outside value as it is."""
        for position in self.units.readers.get(value, ()):
            unit = self.units.order[position]
            if isinstance(unit, Group) or unit.way is not Way.PYTHON:
                return True
            if value not in unit.node.inputs:  # a view of it
                return True
        return False

    def _place_results(self) -> None:
        named: dict[GraphValue, int] = {}
        for number, value in self.graph.keep.items():
            if value.node is None:
                self.made.shared[number] = value.number
            elif value in named:
                self.made.shared[number] = named[value]
            else:
                named[value] = number
                before = self.reuse.get(value)
                if before is not None:
                    self.made.reused[number] = before.number
                    self.places[value] = self.places[before]
                else:
                    slot = self._slot()
                    self.places[value] = Place(slot)
                    self.made.outputs[slot] = number, value.meta

    def _place(self, value: GraphValue, position: int) -> Place:
        found = self.places.get(value)
        if found is None:
            last = max(self.last.get(value, position), position)
            size = span_of(value.meta.shape, value.meta.strides) * value.meta.dtype.itemsize
            found = self.places[value] = Place(0, self.arena.place(size, position, last))
        return found

    def _number(self, value: GraphValue) -> int:
        found = self.numbers.get(value)
        if found is None:
            found = self.numbers[value] = len(self.made.numbers)
            passed = "d" if number_type(value.meta) is float64 else "q"
            self.made.numbers.append((value.number, passed))
        return found

    # calls -------------------------------------------------------------------------------------

    def _kernel(self, position: int, group: Group) -> None:
        if not any(m.stored for m in group.members.values()):
            return
        lowered: Lowered = lower(group, f"k{position}", self.reuse)
        self.made.calls.append(
            KernelCall(
                lowered.kernel,
                [self._place(value, position) for value in lowered.operands],
                [self._number(value) for value in lowered.numbers],
            )
        )

    def _resolved(self, value: GraphValue) -> tuple[Place, tuple[int, ...]]:
        found = self.classes.resolve(value)
        assert found is not None, f"{value!r} is not in memory"
        root, strides, offset = found
        place = self.places[root]
        return Place(place.slot, place.offset + offset * value.meta.dtype.itemsize), strides

    def _call(self, position: int, unit: CallUnit) -> None:
        if unit.way is Way.PRIMITIVE:
            self._primitive(position, unit)
        elif unit.way is Way.LOOPS:
            self._loops(position, unit)
        elif unit.way is Way.CONTRACTION:
            self._contraction(position, unit)
        else:
            self._python(position, unit)

    def _loops(self, position: int, unit: CallUnit) -> None:
        found = [None if v is None else self._resolved(v) for v in unit.node.inputs]
        kernel = own_loops(unit.node, [None if f is None else f[1] for f in found])
        assert kernel is not None
        places = [f[0] for f in found if f is not None]
        places += [self._place(value, position) for value in unit.node.outs]
        self.made.calls.append(KernelCall(kernel, places, []))

    def _primitive(self, position: int, unit: CallUnit) -> None:
        primitive = self._packed(unit) or self.classes.primitives[unit.node]
        places = []
        copies = {packing.position: packing for packing in primitive.packings}
        for position_of_handle, (number, meta) in enumerate(primitive.inputs):
            value = unit.node.inputs[number]
            assert value is not None
            if position_of_handle in copies:
                places.append(self._pack(value, copies[position_of_handle]))
                continue
            places.append(self._laid_out(unit, value, meta))
        for number, _ in primitive.outputs:
            places.append(self._place(unit.node.outs[number], position))
        scratch = None
        if primitive.prepared.scratch:
            offset = self.arena.place(primitive.prepared.scratch, position, position)
            scratch = Place(0, offset)
        self.made.calls.append(PrimitiveCall(primitive.prepared, places, scratch, primitive))

    def _laid_out(self, unit: CallUnit, value: GraphValue, meta: Meta) -> Place:
        """Where a value lies that is wanted with the strides of ``meta``."""
        place, strides = self._resolved(value)
        for size, have, want in zip(value.meta.shape, strides, meta.strides, strict=True):
            if size > 1 and have != want:
                raise Uncompilable(f"{unit.node!r}: strides {strides}, not {meta.strides}")
        return place

    def _contraction(self, position: int, unit: CallUnit) -> None:
        made = self.classes.contractions[unit.node]
        made.kernel.name += str(position)  # unique in the program
        places = []
        for number in made.inputs:
            value = unit.node.inputs[number]
            assert value is not None
            places.append(self._laid_out(unit, value, value.meta))
        places.append(self._place(unit.node.outs[0], position))
        self.made.calls.append(KernelCall(made.kernel, places, []))

    def _packed(self, unit: CallUnit) -> Any:
        """The primitive on weights kept in its own layout, if they stay when the program ends."""
        node = unit.node
        numbers = node.spec.op.weights
        if not numbers or "pack" in config.passes_off:
            return None
        for weight in [node.inputs[k] for k in numbers]:
            if weight is None or weight.node is not None or weight.number in self.graph.owned:
                return None
        found = primitive_for(node.spec, packed=numbers)
        return found if found is not None and found.packings else None

    def _pack(self, value: GraphValue, packing: Any) -> Place:
        """Where the copy of ``value`` is kept."""
        kept = Place(self._slot())
        self.made.constants[kept.slot] = aligned(packing.bytes)
        self.made.packing.append(
            PrimitiveCall(packing.prepared, [self.places[value], kept], None, packing)
        )
        self.made.packed.append(value.number)
        return kept

    def _python(self, position: int, unit: CallUnit) -> None:
        spec = unit.node.spec
        inputs: list[Any] = []
        for value in unit.node.inputs:
            if value is None:
                inputs.append(None)
            elif value.constant is not None:
                inputs.append(Constant(value.constant))
            elif value.node is None:
                inputs.append(value.number)
            elif value.meta.weak:
                raise Uncompilable(f"{unit.node!r} wants the number {value!r}")
            else:
                place, strides = self._resolved(value)
                inputs.append((place, value.meta, strides))
        outputs: list[Any] = []
        for value in unit.node.outs:
            outputs.append((self._place(value, position), value.meta))
        self.made.calls.append(
            PythonCall(spec.kernel, inputs, outputs, spec.into, unit.node.origin)
        )
