"""The operators that all samples run, forwards and backwards, with the arrays they run on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any

import numpy as np

import rushlight
from rushlight.engine import interpreter
from rushlight.engine.ir.op import Spec
from rushlight.engine.ir.program import Program
from rushlight.engine.ir.samples import Sample
from rushlight.engine.runtime import executor
from tests.ops.harness import Face, attempt, faces, make_call, quiet, run_own, tensors_in

#: The types in which the samples' floating-point tensors are tried.
TYPES = ("float32", "bfloat16", "float64", "int64", "uint8", "bool")

#: Elements of the largest input that is remembered.
LARGEST = 1 << 16

Runs = dict[Spec, list[Any]]


def structured(spec: Spec) -> bool:
    """Whether a record says more about itself than a pointwise body."""
    op = spec.op
    return any(part is not None for part in (op.element, op.reduce, op.scatter, op.decompose))


@contextmanager
def remembering(runs: Runs) -> Iterator[None]:
    """Remember the first inputs of every structured operator that is run."""
    original = executor.run

    def run(program: Program, environment: list[Any], locations: Any) -> Any:
        if program.steps is None:
            program.steps = interpreter.prepare(program)
        error = None
        for index, node in enumerate(program.nodes):
            if node.spec not in runs and structured(node.spec):
                given = [environment[i] if i >= 0 else None for i in node.inputs]
                if all(not isinstance(x, np.ndarray) or x.size <= LARGEST for x in given):
                    runs[node.spec] = [
                        x.copy(order="K") if isinstance(x, np.ndarray) else x for x in given
                    ]
            error = original(program, environment, locations, index, index + 1) or error
        return error

    executor.run = run  # type: ignore[assignment]
    try:
        yield
    finally:
        executor.run = original


def _run(face: Face, sample: Sample, wanted: str) -> None:
    call = make_call(face, sample, wanted)
    result, leaves = run_own(face, call, grad=True)
    outputs = [out for out in tensors_in(result) if out.requires_grad]
    inputs = [leaf for leaf in leaves if leaf.requires_grad]
    if outputs and inputs:
        total = sum((out * out).sum() for out in outputs)
        for gradient in rushlight.autograd.grad(total, inputs, allow_unused=True):
            if gradient is not None:
                gradient.tolist()
    for out in tensors_in(result):
        out.tolist()


def _further() -> None:
    """Calls that no sample makes."""
    x = rushlight.arange(60.0).reshape(3, 4, 5).requires_grad_()
    rows, columns = rushlight.tensor([[2, -1, 0], [0, 2, 2]]), rushlight.tensor([1, 0, 1])
    (x[rows, columns] * 2).sum().backward()
    (x[:, columns, rows] * 3).sum().backward()
    assert x.grad is not None
    x.grad.tolist()


@cache
def captured() -> Runs:
    """The inputs of every spec that the samples lead to."""
    runs: Runs = {}
    with quiet(), remembering(runs):
        for face in faces():
            for sample in face.samples:
                for wanted in TYPES:
                    attempt(lambda face=face, sample=sample, wanted=wanted: _run(
                        face, sample, wanted
                    ))  # fmt: skip
        _further()
    return runs
