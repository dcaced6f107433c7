"""When a program is compiled: by how often it has come, on a thread of its own, waited for once."""

from __future__ import annotations

import os
import threading
from typing import Any

from rushlight.engine.backends.cpu import twister
from rushlight.engine.compiler import choices
from rushlight.engine.compiler.fuse import Uncompilable
from rushlight.engine.compiler.pipeline import compile_program
from rushlight.engine.core import log
from rushlight.engine.core.config import config
from rushlight.engine.ir.op import RANDOM
from rushlight.engine.ir.program import Program
from rushlight.engine.runtime.cache import counters
from rushlight.engine.runtime.compiled import CompiledProgram, segments_of


class Compilation:
    """A compilation under way; ``result`` waits for it.

    It runs on a thread of its own, after those that have begun before: which programs share their
    code depends on the order.
    """

    __slots__ = ("_before", "_error", "_program", "_result", "_thread", "_varying")

    def __init__(self, program: Program) -> None:
        self._program = program
        self._varying = _shapes.like(program) > choices.OWN_SIZES
        self._result: CompiledProgram | None = None
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="rushlight-compile", daemon=True)
        self._before = _shapes.latest
        self._thread.start()
        _shapes.latest = self._thread

    def _work(self) -> None:
        if self._before is not None:
            self._before.join()
            self._before = None
        try:
            plan = compile_program(self._program, self._varying)
            if any(node.spec.op.kind == RANDOM for node in self._program.nodes):
                twister.install()
            self._result = CompiledProgram(plan, segments_of(plan), self._program.held)
        except Exception as error:  # told to whoever waits
            self._error = error

    def result(self) -> CompiledProgram:
        """The compiled program.

        Raises:
            Uncompilable: the interpreter has to run it.
        """
        self._thread.join()
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result


class Shapes:
    """In how many sizes programs have come that do the same otherwise.

    Attributes:
        latest: the thread of the compilation that has begun last.
    """

    #: Programs remembered.
    MOST = 1024

    def __init__(self) -> None:
        self.latest: threading.Thread | None = None
        self._counts: dict[Any, int] = {}

    def add(self, program: Program) -> None:
        """Count a program that comes often enough to be looked at for the first time."""
        key = _without_sizes(program)
        if len(self._counts) >= self.MOST:
            self._counts.clear()
        self._counts[key] = self._counts.get(key, 0) + 1

    def like(self, program: Program) -> int:
        """How many programs there are that do the same in other sizes, this one among them."""
        return self._counts.get(_without_sizes(program), 0)


def _without_sizes(program: Program) -> Any:
    """What a program does, but for sizes. Those of what it updates count: a layer of another width
    makes another program."""
    metas: dict[int, Any] = {}
    for node in program.nodes:
        metas.update(zip(node.inputs, node.spec.inputs, strict=True))
        metas.update(zip(node.outputs, node.spec.outs, strict=True))
    state = {metas[i] for i in program.owned if i in metas}
    updated = tuple([metas[i] for i in program.keep if metas[i] in state])
    steps = tuple([(node.spec.op.name, node.inputs) for node in program.nodes])
    return steps, tuple(program.keep), updated


_shapes = Shapes()


class Thresholds:
    """From which run on a program is compiled, and how long it must be.

    Attributes:
        begin: the run at which compilation begins on its own thread.
        use: the run from which on the compiled form runs.
        nodes: the operations a program must have.
        patient: whether it must have come back soon.
    """

    __slots__ = ("begin", "nodes", "patient", "use")

    def __init__(self) -> None:
        wanted = config.compile_from
        self.use = choices.USE_FROM if wanted is None else wanted - 1
        self.begin = min(choices.BEGIN_AT, self.use)
        self.nodes = choices.LEAST_NODES if wanted is None else 1
        self.patient = wanted is None

    def never(self) -> None:
        """Compile nothing any more: in a forked child, where LLVM's locks may be held for good."""
        self.begin = self.use = 1 << 60


thresholds = Thresholds()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=thresholds.never)


def _worthwhile(program: Program) -> bool:
    return len(program.nodes) >= thresholds.nodes


def consider(program: Program) -> CompiledProgram | None:
    """The compiled form of a program that is about to run for the n-th time, if it is time."""
    state: Any = program.compilation
    if program.compiled is not None:  # made for another number of threads
        program.compiled = None
        state = program.compilation = None
    if state is REFUSED:
        return None
    if state is None:
        if not config.compiler or not _worthwhile(program):
            program.compilation = REFUSED
            return None
        if program.seen < 0:
            _shapes.add(program)
        before, program.seen = program.seen, counters.runs
        if thresholds.patient and counters.runs - before > choices.WINDOW:
            return None
        state = program.compilation = Compilation(program)
    if program.runs < thresholds.use:
        return None
    try:
        program.compiled = state.result()
        program.compilation = None
        log.write("recompiles", f"compiled: {len(program.nodes)} operations")
    except Uncompilable as reason:
        program.compilation = REFUSED
        log.write("recompiles", f"left to the interpreter: {reason}")
    return program.compiled  # type: ignore[no-any-return]


REFUSED = object()
