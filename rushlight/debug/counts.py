"""Counters: how often programs ran, were found again, were new."""

from __future__ import annotations

from dataclasses import dataclass, fields

from rushlight.debug.programs import known_programs
from rushlight.engine.runtime.cache import counters, slots


@dataclass(frozen=True, slots=True)
class Stats:
    """What has happened since the start of the process.

    Attributes:
        flushes: how often recorded operations were run.
        program_hits: flushes whose program was known.
        program_misses: flushes that made a new program.
        runs: programs run (flushes without a wanted value run none).
        compiled_steps: programs run in their compiled form.
        compiled_programs: programs that have a compiled form.
        operations: operations run.
        states: places in the tree of traces.
        tree_resets: how often the tree had outgrown its bound and was begun anew.
        threads: threads that have recorded.
    """

    flushes: int
    program_hits: int
    program_misses: int
    runs: int
    compiled_steps: int
    compiled_programs: int
    operations: int
    states: int
    tree_resets: int
    threads: int

    def __str__(self) -> str:
        return "\n".join(
            f"{field.name.replace('_', ' '):<18} {getattr(self, field.name):>10,}"
            for field in fields(self)
        )


def stats() -> Stats:
    """The counters now.

    >>> import rushlight as torch
    >>> before = torch.debug.stats()
    >>> (torch.ones(2) + 1).tolist()
    [2.0, 2.0]
    >>> torch.debug.stats().flushes - before.flushes
    1
    """
    compiled = [known for known in known_programs() if known.compiled]
    return Stats(
        flushes=counters.flushes,
        program_hits=counters.flushes - counters.programs,
        program_misses=counters.programs,
        runs=counters.runs,
        compiled_steps=counters.compiled_runs,
        compiled_programs=len(compiled),
        operations=counters.nodes_run,
        states=counters.states,
        tree_resets=counters.tree_resets,
        threads=len(slots.every),
    )
