"""Every operator's samples, compiled: results and gradients are those of the interpreter.

Each sample is a program of its own (the call and its gradients) that is run often enough to be
compiled; what it gives then is compared with what the interpreter gave, as far as rounding lets
two orders of evaluation agree.
"""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest

from rushlight.engine.ir.samples import Sample
from rushlight.engine.runtime.cache import counters
from tests.fuzz import modes
from tests.fuzz.compare import NOISY_RUNS, Outcome, Seen, difference
from tests.fuzz.guard import guard
from tests.ops.checks import Failures
from tests.ops.harness import (
    Call,
    Face,
    array_of,
    attempt,
    dtype_name,
    faces,
    make_call,
    quiet,
    run_pending,
)

pytestmark = pytest.mark.skipif(not modes.COMPILER, reason=modes.NO_COMPILER)

FACES = faces()
BY_NAME = {face.name: face for face in FACES}

#: Runs of a program in the compiled mode: the first is the interpreter's.
RUNS = 3

#: Types tried besides float32, on the first sample alone.
OTHER_TYPES = ("float64", "bfloat16", "int64", "uint8", "bool")


def whole(face: Face, call: Call) -> Outcome:
    """Results and gradients of a call on values that are still pending, read at the end."""
    results, gradients = run_pending(face, call)
    named = [(f"result {i}", t) for i, t in enumerate(results)]
    named += [(f"gradient {i}", t) for i, t in enumerate(gradients) if t is not None]
    return Outcome([Seen(name, dtype_name(t), np.array(array_of(t))) for name, t in named])


def check_sample(face: Face, sample: Sample, wanted: str) -> None:
    """Fail if a sample's program gives something else when it is compiled."""
    call = make_call(face, sample, wanted)
    with modes.recorded():
        meant, refused = attempt(lambda: whole(face, call))
    if refused is not None:
        if wanted == "float32":
            raise refused
        return
    with modes.compiled():
        made = [whole(face, call) for _ in range(RUNS)]
    beside = guard.look()
    assert not beside, "\n".join(beside)
    noise = None
    for number, outcome in enumerate(made):
        if difference(outcome, meant, None) is None:
            continue
        if noise is None:
            noise = []
            for seed in range(NOISY_RUNS):
                with modes.noisy(seed):
                    shaken, error = attempt(lambda: whole(face, call))
                if error is None:  # a shaken number may lead to no place of a table
                    noise.append(shaken)
        found = difference(outcome, meant, noise)
        assert found is None, f"run {number}, {found[0]}: {found[1]}"


def check_face(face: Face) -> None:
    """All samples of an operator."""
    failures = Failures()
    for index, sample in enumerate(face.samples):
        for wanted in ("float32", *(OTHER_TYPES if index == 0 else ())):
            failures.run(sample, wanted, partial(check_sample, face, sample, wanted))
    failures.report()


@pytest.mark.parametrize("name", BY_NAME)
def test_compiled_record(name: str) -> None:
    with quiet():
        check_face(BY_NAME[name])


def test_most_records_run_compiled() -> None:
    """The comparison above is one of compiled programs, not of the interpreter with itself."""
    compiled = []
    with quiet():
        for name in ("exp", "add", "sum", "nn.functional.softmax", "where", "matmul", "cat"):
            face = BY_NAME[name]
            before = counters.compiled_runs
            check_sample(face, face.samples[0], "float32")
            compiled.append(counters.compiled_runs - before)
    assert compiled == [RUNS - 1] * len(compiled)
