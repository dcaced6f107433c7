"""What a oneDNN primitive of a compiled program is made from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rushlight.engine.backends.cpu import threads
from rushlight.engine.backends.cpu.onednn_prepared import Kernel, Port, Prepared
from rushlight.engine.backends.cpu.onednn_primitive import Description, Descriptor, thread_count
from rushlight.engine.backends.cpu.primitives_assembly import Assembly
from rushlight.engine.core.dtype import dtype, float32
from rushlight.engine.ir.graph import Meta
from rushlight.engine.ir.op import Spec

#: One thing done to a result: ``("relu",)``, ``("add", Meta)``; see `primitives.primitive_for`.
Step = tuple[Any, ...]
Epilogue = tuple[Step, ...]

SINGLE = np.dtype(np.float32)

#: An argument or result: its number in the spec, and the Meta whose strides its memory has.
Part = tuple[int, Meta]


class Recipe:
    """How to make a primitive, found once for an operator.

    Args:
        describe: makes the description of the primitive.
        ports: its arrays.
        inputs, outputs: what the ports are: first the inputs, then the outputs.
        microseconds: what it costs on one thread, roughly.
        accumulates: whether it reads its first output before it writes it.
    """

    __slots__ = ("_describe", "_known", "accumulates", "inputs", "microseconds", "outputs", "ports")

    def __init__(
        self,
        describe: Callable[[], Description],
        ports: Sequence[Port],
        inputs: Sequence[Part],
        outputs: Sequence[Part],
        microseconds: float,
        accumulates: bool = False,
    ) -> None:
        self._describe = describe
        self._known: tuple[int, Description] | None = None
        self.ports = tuple(ports)
        self.inputs = list(inputs)
        self.outputs = list(outputs)
        self.microseconds = microseconds
        self.accumulates = accumulates

    @property
    def threads(self) -> int:
        """How many threads it is to run on."""
        return threads.choose(self.microseconds)

    def describe(self) -> Description:
        """The description for the number of threads it is to run on."""
        count = self.threads
        if self._known is None or self._known[0] != count:
            with thread_count(count):
                self._known = count, self._describe()
        return self._known[1]

    def packings(self) -> list[Packing]:
        """How the packed inputs get into oneDNN's layout."""
        made = []
        for position, (port, part) in enumerate(zip(self.ports, self.inputs, strict=False)):
            if port.packed:
                wanted = self.describe().argument(port.kind)
                made.append(Packing(position, part, port, wanted, self.threads))
        return made

    def build(self) -> Prepared:
        """The primitive with new memory objects."""
        return Kernel(self.describe, self.ports, self.threads)


class Assembled(Recipe):
    """A recipe for several primitives.

    Args:
        assemble: makes them for a number of threads.
    """

    __slots__ = ("_assemble", "_spare")

    def __init__(
        self,
        assemble: Callable[[int], Assembly],
        inputs: Sequence[Part],
        outputs: Sequence[Part],
        microseconds: float,
    ) -> None:
        super().__init__(_none, (), inputs, outputs, microseconds)
        self._assemble = assemble
        self._spare: Assembly | None = self.build()

    def build(self) -> Assembly:
        spare, self._spare = getattr(self, "_spare", None), None
        if spare is not None and spare.threads == self.threads:
            return spare
        with thread_count(self.threads):
            return self._assemble(self.threads)


def _none() -> Description:
    raise AssertionError("several primitives have no description")


class Packing:
    """The copy of an input into the layout in which oneDNN wants it, to be kept between calls.

    Attributes:
        position: which handle of the primitive has the copy.
        number: the number of the spec's input.
        meta: the input's Meta.
        bytes: the size of the copy.
    """

    __slots__ = ("_count", "_port", "_prepared", "_wanted", "bytes", "meta", "number", "position")

    def __init__(
        self, position: int, part: Part, port: Port, wanted: Descriptor, count: int
    ) -> None:
        self.position = position
        self.number, self.meta = part
        self.bytes = wanted.bytes
        self._port, self._wanted, self._count = port, wanted, count
        self._prepared: Assembly | None = None

    @property
    def prepared(self) -> Assembly:
        """What native code needs; the handles are those of the input and of the copy."""
        if self._prepared is None:
            with threads.lock, thread_count(self._count):
                made = Assembly(self._count)
                source, target = self._port.descriptor, self._wanted
                ends = (source, made.outside(source)), (target, made.outside(target))
                made.copy(*ends)
                self._prepared = made
        return self._prepared


class Primitive:
    """A primitive with memory objects of its own, for one place in one compiled program.

    Attributes:
        inputs: for each leading handle the number of the spec's input and the Meta whose strides
            its memory must have. The operands of an epilogue have the numbers after the spec's.
        outputs: for each handle after those, the number of the output and its Meta.
        accumulates: the first output's memory must hold what is added to (``("sum",)``).
        microseconds: what it costs on one thread, roughly.
        packings: how the inputs asked for in ``packed`` get into oneDNN's layout.
    """

    __slots__ = (
        "_prepared", "_recipe", "accumulates", "inputs", "microseconds", "outputs", "packings",
    )  # fmt: skip

    def __init__(self, recipe: Recipe) -> None:
        self._recipe = recipe
        self.packings = recipe.packings()
        self._prepared: Prepared | None = None
        self.inputs = recipe.inputs
        self.outputs = recipe.outputs
        self.microseconds = recipe.microseconds
        self.accumulates = recipe.accumulates

    @property
    def prepared(self) -> Prepared:
        """What native code needs: executions, handles, internal memories; made when asked for."""
        if self._prepared is None:
            with threads.lock:
                self._prepared = self._recipe.build()
        return self._prepared

    @property
    def implementation(self) -> str:
        """oneDNN's names for its steps, such as ``jit:uni > jit:avx2 > jit:uni``."""
        return self.prepared.implementation


def usable(spec: Spec, type_: dtype = float32) -> bool:
    """Whether all tensors are of a type that oneDNN computes in here, and none is empty."""
    metas = [*(m for m in spec.inputs if m is not None), *spec.outs]
    return all(m.dtype is type_ and not m.weak and m.numel > 0 for m in metas)


def split(epilogue: Epilogue) -> tuple[list[Meta], bool]:
    """The arrays that an epilogue reads, and whether it adds to the result's memory."""
    return [step[1] for step in epilogue if step[0] in ("add", "mul")], ("sum",) in epilogue
