"""How far every program has come: kept in a checkpoint, so that a resumed run goes on from there.

Note: why a checkpoint knows of programs
    A program is interpreted until it has come often enough, then compiled, and the two may differ
    in the last bit. A run that is broken off and resumed in another process ends in the bits of
    the uninterrupted one only if every program is compiled at the same step as there. Programs are
    recognised by a digest of their operations.
"""

from __future__ import annotations

from typing import Any

from rushlight.engine.compiler import choices
from rushlight.engine.core.digest import sha256
from rushlight.engine.ir.program import Program
from rushlight.engine.runtime import compiling, misses
from rushlight.engine.runtime.cache import counters

#: Digests of programs written down already, by ``id``; the program is kept with its own.
_digests: dict[int, tuple[Program, str]] = {}

#: What a checkpoint says of programs that have not come yet in this process.
_expected: dict[str, dict[str, Any]] = {}

_KEPT = 4 * misses.REMEMBERED


def digest(program: Program) -> str:
    """A name for what a program does, the same in every process.

    >>> import rushlight as torch
    >>> _ = (torch.ones(2) + 1).sum().item()
    >>> len(digest(misses.history[-1].program))
    64
    """
    known = _digests.get(id(program))
    if known is None:
        if len(_digests) >= _KEPT:
            _digests.clear()
        text = f"{program}\nheld {program.held}\nowned {sorted(program.owned)}"
        known = _digests[id(program)] = program, sha256(text.encode()).hexdigest()
    return known[1]


def recorded() -> dict[str, Any]:
    """How far the programs of this process have come, as plain data."""
    programs = {name: dict(entry) for name, entry in _expected.items()}
    for miss in misses.history:
        programs[digest(miss.program)] = _entry(miss.program)
    return {"runs": counters.runs, "programs": programs}


def _entry(program: Program) -> dict[str, Any]:
    begun = program.compilation is not None
    return {
        "runs": program.runs,
        "seen": program.seen,
        "compiled": program.compiled is not None
        or (begun and program.compilation is not compiling.REFUSED),
        "refused": program.compilation is compiling.REFUSED,
        "varying": program.compiled is not None and bool(program.compiled.plan.varying),
    }


def restore(saved: dict[str, Any]) -> None:
    """Let programs that come from now on go on from where ``recorded`` saw them.

    Programs that this process knows already are set back or forth to it; those that had not
    come by then count as new.

    Args:
        saved: what ``recorded`` gave, perhaps in another process.
    """
    shift = counters.runs - saved["runs"]
    _expected.clear()
    for name, entry in saved["programs"].items():
        _expected[name] = {**entry, "seen": entry["seen"] + shift}
    if _recall not in misses.arrivals:
        misses.arrivals.append(_recall)
    for miss in misses.history:
        if digest(miss.program) in _expected:
            _recall(miss.program)
        else:  # as if it had not come yet, which is how it was then
            program = miss.program
            program.runs, program.seen = 0, -(1 << 60)
            program.compiled = program.compilation = None


def _recall(program: Program) -> None:
    """Give a program that is about to run for the first time its past."""
    if not _expected:
        return
    entry = _expected.pop(digest(program), None)
    if entry is None:
        return
    program.runs, program.seen = entry["runs"], entry["seen"]
    if entry["refused"]:
        program.compiled, program.compilation = None, compiling.REFUSED
    elif not entry["compiled"]:
        program.compiled = program.compilation = None
    elif program.compiled is None:
        program.compilation = _begin(program, entry["varying"])


def _begin(program: Program, varying: bool) -> compiling.Compilation:
    """Compile a program as it was compiled, with or without code for its own sizes."""
    counts = compiling._shapes._counts
    key = compiling._without_sizes(program)
    before = counts.get(key, 0)
    counts[key] = choices.OWN_SIZES if varying else 0
    made = compiling.Compilation(program)
    counts[key] = before + 1
    return made
