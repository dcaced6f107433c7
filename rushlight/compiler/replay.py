"""Replaying a call: its programs on new inputs, without running the function.

The replay of a call is a Python function without a loop, written here line by line: what it does
is the same every time, and it is called at every step of a training.
"""

from __future__ import annotations

import linecache
from collections.abc import Callable
from itertools import count
from sys import getrefcount
from typing import Any

import numpy as np

from rushlight.compiler.optimizers import StepNumbers
from rushlight.compiler.recorded import Capture, Constant, Made, Parts, Same
from rushlight.compiler.references import (
    Argument,
    Fixed,
    GradientOf,
    Held,
    Number,
    Reference,
    Result,
    Stream,
    View,
)
from rushlight.engine.interpreter import Failed
from rushlight.engine.ir.graph import SHARED, Meta, Value
from rushlight.engine.runtime.executor import flush, materialize, run_again
from rushlight.engine.trace.recorder import mode

#: Stands for the result of a replay that does not fit this call.
MISS: Any = object()

_next_file = count().__next__


def _measure_ours() -> int:
    """The reference count of a value that a local name and one list hold."""
    value = Value(None)  # type: ignore[arg-type]
    values = [value]
    return getrefcount(value) + 0 * len(values)


_OURS = _measure_ours()


def _careful(value: Value, meta: Meta, written: bool) -> Value | None:
    """The value of a tensor that is not simply there; ``None`` if it does not fit."""
    if value.buffer is None:
        flush("compile")
    materialize(value)
    if value.meta is not meta or (written and value.pos == SHARED):
        return None
    if value.pos == SHARED:
        return Value(value.meta, -1, value.buffer.copy(order="K"))
    return value


def _copied(value: Value) -> Value:
    return Value(value.meta, -1, value.buffer.copy(order="K"))


def _put(tensor: Any, value: Value, versions: int) -> None:
    """Let a tensor that shares its storage hold a new value; nothing of it keeps the old one."""
    storage = tensor._alias
    storage.value = value
    storage.version += versions
    if tensor._chain:
        tensor._value = Value(tensor._value.meta)  # looked up again when it is read
        tensor._seen = storage.version - 1
    else:
        tensor._value = value
        tensor._seen = storage.version


def _view(whole: Value, offset: int, meta: Meta, steps: tuple[int, ...]) -> Value:
    """A part of the memory of a computed value."""
    part: np.ndarray = np.ndarray(
        tuple(meta.shape), meta.dtype.numpy, materialize(whole, "view"), offset, steps
    )
    return Value(meta, -1, part)


def _fail(raised: BaseException, made: Any, written: Any) -> None:
    """What was to be computed is not: whoever needs it gets the error, tensors keep their value."""
    for value in made:
        if value.buffer is None:
            value.buffer = Failed(raised)
    for tensor, old, new in reversed(written):
        if new.buffer.__class__ is not Failed:
            continue
        if tensor._alias is None and tensor._value is new:
            tensor._value = old
        elif tensor._alias is not None and tensor._alias.value is new:
            tensor._alias.value = old
            tensor._alias.version += 1


def make_replay(
    capture: Capture, steps: list[StepNumbers], arguments: list[Any]
) -> Callable[[list[Any]], Any]:
    """A function of the tensors among the arguments that does what the recorded call did.

    It returns ``MISS``, before anything has happened, where a tensor is not as it was recorded.

    Args:
        capture: what the call does.
        steps: the numbers of its optimizer steps.
        arguments: the tensors among the arguments of the recorded call.
    """
    return _Writer(capture, steps, arguments).function()


class _Writer:
    """Writes the source of a replay."""

    def __init__(
        self, capture: Capture, steps: list[StepNumbers], arguments: list[Any]
    ) -> None:
        self.capture = capture
        self.steps = steps
        self.arguments = arguments
        self.space: dict[str, Any] = {
            "MISS": MISS, "Value": Value, "new": object.__new__, "ndarray": np.ndarray,
            "careful": _careful, "copied": _copied, "put": _put, "view": _view, "fail": _fail,
            "run_again": run_again, "refs": getrefcount, "Tensor": mode.tensor,
        }  # fmt: skip
        self.lines: list[str] = []
        self.tensors: dict[Reference, int] = {}
        self.new: dict[Result, int] = {}
        self.written = {write.target for write in capture.writes}
        self.later: set[int] = set()  # tensors whose old value is asked for after programs ran

    def function(self) -> Callable[[list[Any]], Any]:
        """The finished function."""
        self._collect()
        self._write_reads()
        self._write_fresh()
        self._write_effects()
        self._write_runs()
        result = self._write_result()
        source = "def replay(arguments):\n" + "\n".join("    " + x for x in self.lines)
        source += f"\n    return {result}\n"
        name = f"<rushlight replay {_next_file()}>"
        linecache.cache[name] = (len(source), None, source.splitlines(True), name)
        exec(compile(source, name, "exec"), self.space)
        made: Callable[[list[Any]], Any] = self.space["replay"]
        return made

    def constant(self, kind: str, found: Any) -> str:
        """A name for an object."""
        name = f"{kind}{len(self.space)}"
        self.space[name] = found
        return name

    # what takes part ---------------------------------------------------------------------------

    def _collect(self) -> None:
        capture = self.capture
        for bound in capture.programs:
            for _, reference in bound.inputs:
                self._need(reference)
                if isinstance(reference, View):
                    self._need_later(reference)
        for number, bound in enumerate(capture.programs):
            for position in bound.program.keep:
                self._need(Result(number, position))
        for write in capture.writes:
            self._need(write.target)
            self._need(write.value)
        for gradient in capture.gradients:
            self._need(gradient.target)
            if gradient.value is not None:
                self._need(gradient.value)
        for node in capture.nodes:
            for saved in node.saved or ():
                if saved is not None:
                    self._need_later(saved)
            for edge in node.edges:
                if edge is not None and edge[1] is None:
                    self._need(edge[0])
        self._collect_result(capture.result)

    def _collect_result(self, part: Any) -> None:
        if isinstance(part, Parts):
            for item in part.items:
                self._collect_result(item)
        elif isinstance(part, Made):
            self._need_later(part.value)
        elif isinstance(part, Same):
            self._need(part.tensor)

    def _need(self, reference: Reference) -> None:
        if isinstance(reference, GradientOf):
            self._need(reference.of)
        if isinstance(reference, (Argument, Held, GradientOf)):
            self.tensors.setdefault(reference, len(self.tensors))
        elif isinstance(reference, Result):
            self.new.setdefault(reference, len(self.new))
        elif isinstance(reference, View):
            self._need(reference.of)

    def _need_later(self, reference: Reference) -> None:
        self._need(reference)
        while isinstance(reference, View):
            reference = reference.of
        if reference in self.tensors:
            self.later.add(self.tensors[reference])

    # the lines ---------------------------------------------------------------------------------

    def _write_reads(self) -> None:
        put = self.lines.append
        for reference, i in self.tensors.items():
            if isinstance(reference, Argument):
                put(f"t{i} = arguments[{reference.index}]")
            elif isinstance(reference, Held):
                self.space[f"t{i}"] = reference.tensor
            else:
                assert isinstance(reference, GradientOf)
                put(f"t{i} = t{self.tensors[reference.of]}._grad")
                put(f"if t{i} is None: return MISS")
            self.space[f"m{i}"] = self._meta_of(reference)
            put(f"v{i} = t{i}._value if t{i}._alias is None else t{i}._alias.read(t{i})")
            put(f"if v{i}.buffer.__class__ is not ndarray or v{i}.meta is not m{i} or "
                f"v{i}.pos < -1:")  # fmt: skip
            put(f"    v{i} = careful(v{i}, m{i}, {reference in self.written})")
            put(f"    if v{i} is None: return MISS")
            if isinstance(reference, Held):
                self.space[f"e{i}"] = reference.tensor._edge
                put(f"if t{i}._edge is not e{i}: return MISS")
        for gradient in self.capture.gradients:
            i = self.tensors[gradient.target]
            put(f"if (t{i}._grad is None) is {gradient.before}: return MISS")

    def _meta_of(self, reference: Reference) -> Meta:
        while isinstance(reference, GradientOf):
            reference = reference.of
        tensor = self.arguments[reference.index] if isinstance(reference, Argument) else (
            reference.tensor  # type: ignore[union-attr]
        )
        meta: Meta = tensor._value.meta
        return meta

    def _write_fresh(self) -> None:
        put = self.lines.append
        streams = [stream for part in self.capture.streams for _, stream in part]
        for i, stream in enumerate(streams):
            put(f"s{i} = {self.constant('reserve', stream.engine.reserve)}({stream.count})")
        metas: dict[int, str] = {}
        for result, i in self.new.items():
            program = self.capture.programs[result.segment].program
            meta = next(
                node.spec.outs[result.position - node.first]
                for node in program.nodes
                if result.position in node.outputs
            )
            name = metas.get(id(meta)) or metas.setdefault(id(meta), self.constant("meta", meta))
            put(f"r{i} = new(Value); r{i}.meta = {name}; r{i}.pos = -1; r{i}.buffer = None")

    def _write_effects(self) -> None:
        put = self.lines.append
        for write in self.capture.writes:
            i, value = self.tensors[write.target], self.value(write.value)
            put(f"if t{i}._alias is None: t{i}._value = {value}; "
                f"t{i}._version_count += {write.versions}")  # fmt: skip
            put(f"else: put(t{i}, {value}, {write.versions})")
        for gradient in self.capture.gradients:
            i = self.tensors[gradient.target]
            if gradient.value is None:
                put(f"t{i}._grad = None")
            else:
                put(f"g = t{i}._grad = new(Tensor); g._value = {self.value(gradient.value)}")
        put("try:")

    def _write_runs(self) -> None:
        put = self.lines.append
        stream = 0
        for number, bound in enumerate(self.capture.programs):
            order = {p: stream + i for i, (p, _) in enumerate(self.capture.streams[number])}
            stream += len(order)
            mine = [i for i, step in enumerate(self.capture.steps) if step[2] == number]
            for step in mine:
                put(f"    n{step} = {self.constant('collect', self.steps[step].collect)}()")
            metas = {
                p: m
                for node in bound.program.nodes
                for p, m in zip(node.inputs, node.spec.inputs, strict=True)
            }
            entries = ["None"] * bound.program.size
            for position in bound.program.keep:
                entries[position] = f"r{self.new[Result(number, position)]}"
            for position, reference in bound.inputs:
                if isinstance(reference, (Stream, Number)):
                    meta = self.constant("meta", metas[position])
                    given = f"s{order[position]}" if isinstance(reference, Stream) else (
                        f"n{reference.step}[{reference.index}]"
                    )
                    name = f"w{number}_{position}"
                    put(f"    {name} = new(Value); {name}.meta = {meta}; {name}.pos = -1; "
                        f"{name}.buffer = {given}")  # fmt: skip
                    entries[position] = name
                else:
                    entries[position] = self.value(reference)
            put(f"    values = [{', '.join(entries)}]")
            self._write_ownership(bound)
            put(f"    error = run_again({self.constant('program', bound.program)}, values)")
            put("    if error is not None:")
            for step in mine:
                name = self.constant("forget", self.steps[step].forget_failed_step)
                put(f"        {name}()")
            put("        raise error")
        made = "".join(f"r{i}, " for i in self.new.values())
        written = "".join(
            f"(t{self.tensors[w.target]}, v{self.tensors[w.target]}, {self.value(w.value)}), "
            for w in self.capture.writes
        )
        if not self.capture.programs:
            put("    pass")
        put("except BaseException as raised:")
        put(f"    fail(raised, ({made}), ({written}))")
        put("    raise")

    def _write_ownership(self, bound: Any) -> None:
        """Values that a program may write over must not be in anybody else's hands."""
        inputs = dict(bound.inputs)
        counted = []
        for position in sorted(bound.program.owned):
            reference = inputs[position]
            if not isinstance(reference, (Argument, Held, GradientOf)):
                continue
            number = self.tensors[reference]
            if number in self.later:
                self.lines.append(f"    values[{position}] = copied(v{number})")
            else:
                counted.append((position, number))
        if not counted:
            return
        total = " + ".join(f"refs(v{number})" for _, number in counted)
        self.lines.append(f"    if {total} != {_OURS * len(counted)}:")
        for position, number in counted:
            self.lines.append(
                f"        if refs(v{number}) > {_OURS}: values[{position}] = copied(v{number})"
            )

    def value(self, reference: Reference) -> str:
        """An expression for a value."""
        if isinstance(reference, Result):
            return f"r{self.new[reference]}"
        if isinstance(reference, Fixed):
            return self.constant("fixed", reference.value)
        if isinstance(reference, View):
            meta = self.constant("meta", reference.meta)
            whole = self.value(reference.of)
            return f"view({whole}, {reference.offset}, {meta}, {reference.steps})"
        return f"v{self.tensors[reference]}"

    # the result --------------------------------------------------------------------------------

    def _write_result(self) -> str:
        for number, node in enumerate(self.capture.nodes):
            edges = "".join(self._edge(edge) + ", " for edge in node.edges)
            saved = "[]" if node.saved is None else (
                "[" + ", ".join("None" if x is None else self.value(x) for x in node.saved) + "]"
            )
            kind, spec = self.constant("kind", node.kind), self.constant("spec", node.spec)
            plan = self.constant("plan", node.plan)
            self.lines.append(f"n{number} = {kind}({spec}, {plan}, ({edges}), {saved})")
            if node.saved is None:
                self.lines.append(f"n{number}.saved = None")
        self._made = count().__next__
        return self._assemble(self.capture.result)

    def _edge(self, edge: Any) -> str:
        if edge is None:
            return "None"
        place, output = edge
        if output is None:
            return f"t{self.tensors[place]}._edge"
        return f"(n{place}, {output})"

    def _assemble(self, part: Any) -> str:
        if isinstance(part, Made):
            name = f"x{self._made()}"
            self.lines.append(f"{name} = new(Tensor); {name}._value = {self.value(part.value)}")
            if part.edge is not None:
                self.lines.append(f"{name}._edge = (n{part.edge[0]}, {part.edge[1]})")
            return name
        if isinstance(part, Same):
            return f"t{self.tensors[part.tensor]}"
        if isinstance(part, Constant):
            return self.constant("result", part.value)
        items = [self._assemble(x) for x in part.items]
        if part.kind is tuple:
            return "(" + "".join(f"{x}, " for x in items) + ")"
        if part.kind is list:
            return "[" + ", ".join(items) + "]"
        kind = self.constant("kind", part.kind)
        if part.keys or issubclass(part.kind, dict):
            keys = [self.constant("key", key) for key in part.keys]
            pairs = ", ".join(f"({k}, {x})" for k, x in zip(keys, items, strict=True))
            return f"{kind}([{pairs}])"
        return f"{kind}({', '.join(items)})"
