"""PyTorch's results as recorded figures, for where PyTorch is not installed.

``python -m tests.ops.figures`` records them anew: for every sample in float64 a few numbers for
every result and every gradient. An entry knows the sample it was made for, so a changed sample
is not compared with old figures.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np

import rushlight
from rushlight.engine.ir.samples import Sample
from tests.ops.checks import Failures, gradients_of
from tests.ops.harness import (
    Face,
    array_of,
    attempt,
    dtype_name,
    faces,
    make_call,
    oracle,
    own,
    quiet,
    run_own,
    run_theirs,
    tensors_in,
    theirs,
)

PATH = Path(__file__).with_name("figures.json")

#: How far a figure may be off, relative to the sum of the elements' sizes.
TOLERANCE = 1e-8


def key_of(face: Face, sample: Sample) -> str:
    """The name of a sample's entry; it changes with the sample."""
    return f"{face.name} {crc32(repr((sample.args, sample.kwargs)).encode()):08x}"


def figure(array: np.ndarray) -> tuple[float, float]:
    """One number that tells most arrays apart, and one for its scale."""
    wide = array.astype(np.complex128).ravel()
    flat = np.where(np.abs(wide) < 1e60, wide, 0)  # neither NaN nor a number too large to add
    weights = np.cos(np.arange(flat.size)) + 1.5
    return float((flat.real + 0.5 * flat.imag) @ weights), float(np.abs(flat).sum())


def describe(tensors: Sequence[Any]) -> list[Any]:
    """What is recorded of results."""
    rows = []
    for tensor in tensors:
        number, size = figure(array_of(tensor))
        rows.append([dtype_name(tensor), list(tensor.shape), _short(number), _short(size)])
    return rows


def _short(number: float) -> float:
    return float(f"{number:.12g}")


def _entry(face: Face, sample: Sample) -> dict[str, Any]:
    call = make_call(face, sample, "float64")
    result, tensors = run_theirs(face, call, sample.check_grad)
    entry = {"results": describe(tensors_in(result))}
    if sample.check_grad:
        first, _ = gradients_of(oracle, result, tensors, theirs, False)
        if first:
            entry["gradients"] = describe(_not_zero(first))
    return entry


def compared(ours: Sequence[Any], recorded: Sequence[Any]) -> None:
    """Fail where results are not those recorded."""
    assert len(ours) == len(recorded), f"{len(ours)} tensors, PyTorch gave {len(recorded)}"
    for tensor, (name, shape, number, size) in zip(ours, recorded, strict=True):
        assert (dtype_name(tensor), list(tensor.shape)) == (name, shape)
        have, _ = figure(array_of(tensor))
        wide = 4e-6 / 1e-9 if name in ("float32", "complex64") else 1.0
        wide = 4e6 if name in ("float16", "bfloat16") else wide
        assert abs(have - number) <= TOLERANCE * wide * max(size, 1.0), f"{have}, not {number}"


def check_figures(face: Face, figures: dict[str, Any]) -> None:
    """Results and gradients are those that were recorded."""
    failures = Failures()
    for sample in face.samples:
        entry = figures.get(key_of(face, sample))
        if entry is not None:
            failures.run(sample, "figures", lambda s=sample, e=entry: _against(face, s, e))
    failures.report()


def _against(face: Face, sample: Sample, entry: dict[str, Any]) -> None:
    call = make_call(face, sample, "float64")
    result, tensors = run_own(face, call, sample.check_grad)
    compared(tensors_in(result), entry["results"])
    if "gradients" in entry:
        first, _ = gradients_of(rushlight, result, tensors, own, False)
        compared(_not_zero(first), entry["gradients"])


def _not_zero(gradients: Sequence[Any]) -> list[Any]:
    """Gradients but those that are absent or zero, which mean the same."""
    return [g for g in gradients if g is not None and array_of(g).any()]


def load() -> dict[str, Any]:
    """The recorded figures by sample."""
    found: dict[str, Any] = json.loads(PATH.read_text("utf-8"))
    return found


def record() -> None:
    """Write the figures of every sample that PyTorch takes."""
    made: dict[str, Any] = {}
    with quiet():
        for face in faces():
            for sample in face.samples if face.reference is not None else ():
                if sample.oracle:
                    entry, error = attempt(lambda f=face, s=sample: _entry(f, s))
                    if error is None and entry["results"]:
                        made[key_of(face, sample)] = entry
    lines = [f"{json.dumps(key)}:{json.dumps(made[key], separators=(',', ':'))}" for key in made]
    PATH.write_text("{" + ",\n".join(lines) + "}\n", "utf-8")
    print(f"{len(made)} entries, {PATH.stat().st_size} bytes", file=sys.stderr)


if __name__ == "__main__":
    record()
