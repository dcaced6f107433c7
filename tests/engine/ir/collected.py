"""The specs that the samples of all records make, forwards and backwards."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

import rushlight
from rushlight.engine.ir.op import Op, Spec
from rushlight.engine.ir.samples import Sample
from tests.ops.harness import Face, attempt, faces, make_call, quiet, run_own, tensors_in

#: The types in which the samples' floating-point tensors are tried.
TYPES = ("float32", "float64", "bfloat16", "int64", "int32", "uint8", "bool")


def _run(face: Face, sample: Sample, wanted: str) -> None:
    """One call and its gradients; what operators refuse is the records' own tests' business."""
    call = make_call(face, sample, wanted)
    result, leaves = run_own(face, call, grad=True)
    outputs = [out for out in tensors_in(result) if out.requires_grad]
    inputs = [leaf for leaf in leaves if leaf.requires_grad]
    if outputs and inputs:
        total = sum(out.sum() for out in outputs)
        rushlight.autograd.grad(total, inputs, allow_unused=True)


@cache
def run_all_samples() -> None:
    """Run every sample, so that every operator has specs."""
    with quiet():
        for face in faces():
            for sample in face.samples:
                for wanted in TYPES:
                    attempt(lambda face=face, sample=sample, wanted=wanted: _run(
                        face, sample, wanted
                    ))  # fmt: skip


def specs_of(op: Op) -> list[Spec]:
    """What the samples have made of an operator."""
    run_all_samples()
    return list(op.specs.values())


# numbers ----------------------------------------------------------------------------------------


def hard_numbers(found: np.dtype) -> np.ndarray:
    """Numbers of a type that kernels go wrong at."""
    if found.kind == "b":
        return np.array([False, True])
    if found.kind in "iu":
        info = np.iinfo(found)
        small = [0, 1, 2, 3, 5, 7, 8, 31, 100] + ([-1, -2, -3, -8] if info.min else [])
        return np.array([*small, info.min, info.max], found)
    info = np.finfo(np.float64 if found.itemsize == 8 else np.float32)
    tiny, largest = float(info.tiny), float(info.max)
    plain = [0.0, 1e-40, tiny, 1e-8, 0.25, 0.5, 1.0, 1.5, 2.5, 3.0, 6.0, 20.5, 100.0, 1e4]
    with np.errstate(all="ignore"):
        made = np.array([*plain, largest, np.inf]).astype(found)
    return np.concatenate([made, -made, np.array([np.nan]).astype(found)])


def draw(found: np.dtype, count: int, generator: np.random.Generator) -> np.ndarray:
    """Random numbers of a type, of everyday sizes."""
    if found.kind == "b":
        return generator.integers(0, 2, count).astype(found)
    if found.kind in "iu":
        return generator.integers(0 if found.kind == "u" else -9, 10, count).astype(found)
    return (generator.normal(size=count) * generator.choice([0.3, 3.0], count)).astype(found)


def mixed(found: list[np.dtype], generator: np.random.Generator) -> list[np.ndarray]:
    """Operands that meet each other in every combination of hard numbers, or in many of them."""
    hard = [hard_numbers(kind) for kind in found]
    if len(found) <= 2:
        grids = np.meshgrid(*hard, indexing="ij")
        chosen = [grid.reshape(-1) for grid in grids]
    else:
        chosen = [generator.choice(part, 800) for part in hard]
    return [
        np.concatenate([part, draw(kind, 200, generator)])
        for part, kind in zip(chosen, found, strict=True)
    ]


def numbers_for(category: int, signed: bool) -> list[Any]:
    """Python numbers of a category (boolean, integral, floating)."""
    made: tuple[list[Any], ...] = (
        [True, False], [2, 1, -3, 0], [0.75, 1.0, -2.5, 0.0, 0.3, 3.0]
    )  # fmt: skip
    return [x for x in made[category] if signed or x >= 0]
