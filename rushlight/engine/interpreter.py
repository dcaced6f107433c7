"""Tier 0: run a program one kernel after the other. What it computes is what a program means."""

from __future__ import annotations

from collections.abc import Callable
from operator import itemgetter
from sys import getrefcount
from time import perf_counter_ns
from typing import Any

import numpy as np

from rushlight.engine.core.errors import Location, with_location
from rushlight.engine.core.watch import watch
from rushlight.engine.ir.program import Node, Program


class Failed:
    """Stands for a value whose computation raised; whoever needs it gets that error again."""

    __slots__ = ("error", "traceback")

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.traceback = error.__traceback__

    def __array__(self, *_: Any, **__: Any) -> np.ndarray:
        raise self.error.with_traceback(self.traceback)


# One prepared operation: kernel, number of its only input (-1: see `many`), getter of several
# inputs, number of the output (-1: several, from `first` on), first output, number of the input it
# may write over (-1: none), values not needed afterwards, and the node.
Step = tuple[Callable[..., Any], int, Any, int, int, int, tuple[int, ...], Node]


def prepare(program: Program) -> list[Step]:
    """The steps of a program: kernels looked up, last uses worked out."""
    last: dict[int, int] = {}
    for index, node in enumerate(program.nodes):
        for position in node.inputs:
            last[position] = index
        for position in node.outputs:
            last.setdefault(position, index)
    kept = set(program.keep)
    outside = set(program.inputs)
    dead: list[list[int]] = [[] for _ in program.nodes]
    for position, index in last.items():
        if position >= 0 and position not in kept and position not in outside:
            dead[index].append(position)
    steps: list[Step] = []
    for index, node in enumerate(program.nodes):
        kernel = node.spec.kernel
        overwritable = -1
        into = getattr(kernel, "into", None)
        if getattr(kernel, "owned", None) is not None:
            program.overwrites |= not program.owned.isdisjoint(node.inputs)
            kernel = _owning(kernel, node, program, last, index, kept, outside)
        if into is not None:
            target = node.inputs[0]
            free = target in program.owned or (target not in outside and target not in kept)
            if free and last[target] == index and node.inputs.count(target) == 1:
                overwritable = target
                root = target if target in program.owned else program.roots.get(target, -1)
                if root >= 0:
                    program.overwrites = True
                    program.roots[node.first] = root
        single = node.inputs[0] if len(node.inputs) == 1 else -1
        getter = itemgetter(*[i if i >= 0 else program.size for i in node.inputs]) if (
            len(node.inputs) > 1
        ) else None
        several = len(node.spec.outs) != 1
        steps.append(
            (kernel, single, getter, -1 if several else node.first, node.first, overwritable,
             tuple(dead[index]), node)
        )  # fmt: skip
    return steps


def _owning(
    kernel: Any, node: Node, program: Program, last: dict[int, int], index: int, kept: set[int],
    outside: set[int],
) -> Callable[..., Any]:  # fmt: skip
    """A kernel that may write over several inputs, told which ones nobody else needs."""
    counts = []
    for position in node.inputs:
        alone = last.get(position) == index and node.inputs.count(position) == 1
        if alone and position in program.owned:
            counts.append(_SEEN_INPUT)
        elif alone and position not in outside and position not in kept:
            counts.append(_SEEN_COMPUTED)
        else:
            counts.append(0)
    references = tuple(counts)
    run_owned = kernel.owned

    def call(*arrays: Any) -> Any:
        _refuse_failed(arrays)
        return run_owned(arrays, references)

    return call


def _refuse_failed(arrays: tuple[Any, ...]) -> None:
    """Raise what spoiled an input, before the first of the others is written over."""
    if Failed in map(type, arrays):
        failed = next(array for array in arrays if array.__class__ is Failed)
        raise failed.error.with_traceback(failed.traceback)


# What getrefcount says inside a kernel's `owned` of an array nobody else holds: environment,
# arguments, local names; for an outside value also its own reference.
_SEEN_COMPUTED = 6
_SEEN_INPUT = 7

# A buffer that only the environment holds: list, the value's slot, the argument of getrefcount.
_ONLY_OURS_COMPUTED = 2
_ONLY_OURS_INPUT = 3


def run(
    program: Program, environment: list[Any], locations: dict[int, Location],
    first_step: int = 0, count: int = -1,
) -> BaseException | None:  # fmt: skip
    """Compute every kept value of ``program`` in ``environment`` (buffers by value number).

    A kernel that raises spoils only its own outputs and what is computed from them. The first
    error is returned, with the line that recorded the operation. ``first_step`` and ``count``
    say which steps, all of them by default.
    """
    steps = program.steps
    if steps is None:
        steps = program.steps = prepare(program)
    if count < 0:
        if watch.step is not None:
            return _run_watched(program, environment, locations)
        count = len(steps)
    error: BaseException | None = None
    index = first_step
    while True:
        try:
            while index < count:
                kernel, single, getter, out, first, target, dead, _ = steps[index]
                if target >= 0:
                    _overwrite(steps[index], environment, program)
                elif out >= 0:
                    if single >= 0:
                        environment[out] = kernel(environment[single])
                    elif getter is not None:
                        environment[out] = kernel(*getter(environment))
                    else:
                        environment[out] = kernel()
                else:
                    inputs = (environment[single],) if single >= 0 else (
                        getter(environment) if getter is not None else ()
                    )
                    for offset, buffer in enumerate(kernel(*inputs)):
                        environment[first + offset] = buffer
                for position in dead:
                    environment[position] = None
                index += 1
            return error
        except Exception as raised:
            found = _spoil(steps[index][-1], environment, raised, locations)
            error = error or found
            index += 1


def _run_watched(
    program: Program, environment: list[Any], locations: dict[int, Location]
) -> BaseException | None:
    """As ``run``, one step after the other under the eyes of ``watch``."""
    error: BaseException | None = None
    assert program.steps is not None
    for index, step in enumerate(program.steps):
        start = perf_counter_ns()
        found = run(program, environment, locations, index, index + 1)
        end = perf_counter_ns()
        error = error or found
        if watch.step is not None:
            watch.step(step[-1], start, end, environment)
    return error


def _overwrite(step: Step, environment: list[Any], program: Program) -> None:
    """Run a kernel that may write over its first input, if really nobody else sees that memory."""
    kernel, single, getter, out, first, target, _, _ = step
    limit = _ONLY_OURS_INPUT if target in program.owned else _ONLY_OURS_COMPUTED
    buffer = environment[target]
    root = program.roots.get(target, -1)
    if root >= 0 and environment[root] is buffer:
        limit = _ONLY_OURS_INPUT + 1  # the outside value has been written over before
    alone = (
        isinstance(buffer, np.ndarray)
        and getrefcount(buffer) <= limit + 1
        and buffer.base is None
        and buffer.flags.writeable
    )
    del buffer
    call = kernel.into if alone else kernel  # type: ignore[attr-defined]
    inputs = (environment[single],) if single >= 0 else getter(environment)
    result = call(*inputs)
    if out >= 0:
        environment[out] = result
    else:
        for offset, made in enumerate(result):
            environment[first + offset] = made


def _spoil(
    node: Node, environment: list[Any], raised: BaseException, locations: dict[int, Location]
) -> BaseException:
    """Mark the outputs of a node that raised; pass on the error of an input that had failed."""
    for position in node.inputs:
        if position >= 0 and isinstance(environment[position], Failed):
            failed = environment[position]
            raised = failed.error.with_traceback(failed.traceback)
            break
    else:
        with_location(raised, locations.get(node.first, node.location))
    for position in node.outputs:
        environment[position] = Failed(raised)
    return raised
