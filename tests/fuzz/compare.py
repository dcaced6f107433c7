"""Runs a program in several modes and compares everything it looked at."""

from __future__ import annotations

import re
import warnings
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np

import rushlight
from tests.fuzz.guard import guard
from tests.fuzz.modes import COMPILER, MODES, library, noisy, oracle
from tests.fuzz.programs import Program, Script, leaf
from tests.ops.harness import array_of, dtype_name, is_tensor, quiet

#: Allowed difference by type, relative to an element and to the largest of its tensor.
TOLERANCE = {"float64": 1e-13, "float32": 4e-6, "bfloat16": 1.6e-2, "float": 1e-6}
#: Tensors of smaller numbers than this are compared as if they held this one.
SMALLEST_SCALE = 0.05
#: What the libraries need not agree on: the order of equal elements, and gradients of what has been
#: written to behind autograd's back (here they are those of the values that were computed with).
UNPROMISED = re.compile(r"argsort|msort|sort\(|topk|median|kthvalue|mode\(|\.data\.")
#: How much more the tolerance is where PyTorch computes otherwise: its own approximations.
OTHER_FORMULAS = {"float64": 1e4, "float32": 4.0}
#: Numbers beyond which nothing is compared.
OVERFLOWING = 1e25
#: How many times random last bits may move a result.
ROOM = 40.0
#: Runs with random last bits.
NOISY_RUNS = 4


@dataclass(frozen=True)
class Seen:
    """One thing that a program looked at."""

    label: str
    dtype: str
    array: Any


@dataclass
class Outcome:
    """What a run of a program gave: everything it looked at, and the error that ended it."""

    seen: list[Seen] = field(default_factory=list)
    error: BaseException | None = None
    beside: list[str] = field(default_factory=list)  #: what was written beside arrays


@dataclass(frozen=True)
class Failure:
    """Two modes that differ."""

    modes: tuple[str, str]
    kind: str
    message: str

    @property
    def key(self) -> tuple[Any, ...]:
        """What stays the same while a program is made smaller."""
        return self.modes, self.kind


def _view(thing: Any, label: str) -> Seen:
    if thing is None:
        return Seen(label, "None", None)
    if is_tensor(thing):
        return Seen(label, dtype_name(thing), np.array(array_of(thing)))
    array = np.asarray(thing)
    kind = "float" if array.dtype.kind == "f" else str(array.dtype)
    return Seen(label, kind, array)


def run(program: Program | Script, name: str) -> Outcome:
    """What a program gives in a mode."""
    manager: AbstractContextManager[Any]
    if name == "oracle":
        manager = nullcontext()
    elif name.startswith("noisy"):
        manager = noisy(int(name.removeprefix("noisy")))
    else:
        manager = MODES[name]()
    outcome = run_source(program.source(), library(name), manager)
    outcome.beside = guard.look() if name == "compiled" else []
    return outcome


def run_source(source: str, torch: Any, manager: AbstractContextManager[Any]) -> Outcome:
    """What the source of a program gives."""
    outcome = Outcome()

    def look(*things: Any) -> None:
        for thing in things:
            outcome.seen.append(_view(thing, f"look {len(outcome.seen)}"))

    namespace: dict[str, Any] = {"leaf": leaf, "inf": np.inf, "nan": np.nan}
    exec(compile(source, "<program>", "exec"), namespace)
    with quiet(), warnings.catch_warnings(), manager:
        warnings.simplefilter("ignore")
        try:
            namespace["program"](torch, look)
        except Exception as error:
            outcome.error = error.with_traceback(None)
        finally:
            namespace.clear()
            rushlight.set_grad_enabled(True)
    return outcome


def runs_away(outcome: Outcome) -> bool:
    """Whether a training has left the numbers there are: infinity minus infinity is anything."""
    arrays = [seen.array for seen in outcome.seen if seen.array is not None]
    return any(a.dtype.kind == "f" and np.isnan(a).all() and a.size for a in arrays[-8:])


def difference(
    one: Outcome,
    two: Outcome,
    noise: Sequence[Outcome] | None,
    room: Mapping[str, float] = MappingProxyType({}),
) -> tuple[str, str] | None:
    """How two outcomes differ: the kind and words, or ``None``.

    Args:
        one: what is looked at.
        two: what it should be.
        noise: runs of the second one with random last bits; ``None`` if all bits must agree.
        room: what the tolerance of some types is multiplied by.
    """
    if one.error is not None or two.error is not None:
        if type(one.error) is type(two.error):
            return None
        return "error", f"{one.error!r} instead of {two.error!r}"
    if len(one.seen) != len(two.seen):
        return "length", f"{len(one.seen)} results instead of {len(two.seen)}"
    chaotic = noise is not None and any(
        n.error is not None or len(n.seen) != len(two.seen) for n in noise
    )
    if chaotic:
        return None
    for index, (mine, other) in enumerate(zip(one.seen, two.seen, strict=True)):
        runs = None if noise is None else [n.seen[index] for n in noise]
        found = _differ(mine, other, runs, room.get(other.dtype, 1.0))
        if found:
            return found[0], f"{mine.label}: {found[1]}"
    return None


def _differ(
    mine: Seen, other: Seen, noise: list[Seen] | None, room: float
) -> tuple[str, str] | None:
    if mine.dtype != other.dtype:
        return "dtype", f"{mine.dtype} instead of {other.dtype}"
    if mine.array is None:
        return None
    if noise is not None and any(n.array.shape != other.array.shape for n in noise):
        return None
    if mine.array.shape != other.array.shape:
        return "shape", f"{mine.array.shape} instead of {other.array.shape}"
    a, b = mine.array, other.array
    good = (a == b) | ((a != a) & (b != b))
    if noise is not None and not good.all():
        good |= _within(a, b, room * TOLERANCE.get(other.dtype, 1e-6), noise)
    if good.all():
        return None
    return "values", f"{int((~good).sum())} of {good.size} elements differ\n{a}\ninstead of\n{b}"


def _within(a: np.ndarray, b: np.ndarray, tolerance: float, noise: list[Seen]) -> np.ndarray:
    """Where ``a`` is as near to ``b`` as random last bits leave it."""
    others = [n.array for n in noise]
    if b.dtype.kind not in "fc":
        open_ones = np.logical_or.reduce([other != b for other in others])
        # few runs do not find every element that hangs on a last bit
        return np.asarray(open_ones | (int((a != b).sum()) <= 2 * int(open_ones.sum())))
    with np.errstate(all="ignore"):
        wide = np.complex128 if b.dtype.kind == "c" else np.float64
        a, b = a.astype(wide), b.astype(wide)
        finite = np.isfinite(b)
        scale = max(SMALLEST_SCALE, float(np.abs(b[finite]).max(initial=0.0)))
        spread = np.zeros(b.shape)
        unstable = np.zeros(b.shape, bool)
        for other in others:
            moved = np.abs(other.astype(wide) - b)
            spread = np.maximum(spread, np.where(np.isfinite(moved), moved, 0))
            unstable |= np.isfinite(other) != finite
        wild = float(spread.max(initial=0.0))
        # a few runs tell little of one element: its neighbours' spread counts too
        allowed = tolerance * (np.abs(b) + scale) / 2 + ROOM * (spread + wild / 8)
        unstable |= allowed > 0.05 * scale
        if scale > OVERFLOWING:
            return np.ones(b.shape, bool)  # where infinity begins depends on the order of a sum
        return np.asarray(unstable | (finite & (np.abs(a - b) <= allowed)))


def check(program: Program | Script, modes: Sequence[str]) -> tuple[Failure | None, set[str]]:
    """The first difference between modes, and the modes that were compared.

    ``"eager"`` is what a program means; the others agree with it as far as rounding lets them
    (recorded, a sum may be taken over memory that lies otherwise). An operation whose result
    nobody holds is never run, so an error of its data comes up in the eager mode alone; what is
    compiled is therefore compared with what is recorded.
    """
    outcomes = {"eager": run(program, "eager")}
    if "compiled" in modes or "recorded" in modes:
        outcomes["recorded"] = run(program, "recorded")
    noise: list[Outcome] = []
    compared = {"eager"}
    for name, other in (("recorded", "eager"), ("compiled", "recorded"), ("oracle", "eager")):
        if name not in modes:
            continue
        for wanted in (name, other):
            if wanted not in outcomes:
                outcomes[wanted] = run(program, wanted)
        one, two = outcomes[name], outcomes[other]
        compared |= {name, other}
        if one.beside:
            return Failure((name, other), "memory", "\n".join(one.beside)), compared
        if name == "oracle" and (one.error is not None or UNPROMISED.search(program.source())):
            compared -= {"oracle"}  # it is stricter about what is saved for a gradient
            continue
        if name == "recorded" and one.error is None and two.error is not None:
            continue
        if difference(one, two, None) is None or (name == "oracle" and runs_away(two)):
            continue
        noise = noise or [run(program, f"noisy{number}") for number in range(NOISY_RUNS)]
        found = difference(one, two, noise, OTHER_FORMULAS if name == "oracle" else {})
        if found:
            return Failure((name, other), *found), compared
    return None, compared


def available(modes: Sequence[str]) -> list[str]:
    """Those of the modes that can be had here."""
    there = {"eager": True, "recorded": True, "compiled": COMPILER, "oracle": oracle is not None}
    return [name for name in modes if there[name]]


__all__ = ["Failure", "Outcome", "available", "check", "difference", "run", "run_source"]
