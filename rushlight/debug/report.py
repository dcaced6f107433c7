"""Why: the programs there are, why some were new, and why values had to be kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from rushlight.debug.holders import holders_of
from rushlight.debug.programs import Known, known_programs, label
from rushlight.engine.core.errors import Location, user_location
from rushlight.engine.core.watch import watching
from rushlight.engine.ir.program import Program
from rushlight.engine.runtime.executor import flush
from rushlight.engine.runtime.misses import Miss, describe, history, short


@dataclass(eq=False, slots=True)
class Flush:
    """One run of recorded operations, looked at while it happened.

    Attributes:
        reason: why they were run.
        location: the user's line that asked for it.
        program: what was run.
        known: whether the program was known.
        kept: for each value that was kept: the operation, its line, and who holds it.
    """

    reason: str
    location: Location | None
    program: Program
    known: bool
    kept: list[tuple[str, Location | None, list[str]]] = field(default_factory=list)

    def __str__(self) -> str:
        where = f" at {self.location}" if self.location is not None else ""
        state = "known" if self.known else "new"
        lines = [
            f"run for {self.reason or 'a read'}{where}: {state} program of "
            f"{len(self.program.nodes)} operations; {len(self.kept)} values kept"
        ]
        for operation, location, reasons in self.kept:
            line = f" ({location})" if location is not None else ""
            lines.append(f"  {operation}{line}")
            lines.extend(f"      held: {reason}" for reason in reasons or ["nobody found"])
        return "\n".join(lines)


class Report:
    """What ``explain`` gives: its text is its ``str``.

    Attributes:
        programs: the programs, those that have run most operations first.
        misses: the last programs that were new, the newest first.
        flushes: with a function given: the runs it caused.
        result: with a function given: what it returned.
    """

    def __init__(
        self, programs: list[Known], misses: list[Miss], flushes: list[Flush], result: Any = None
    ) -> None:
        self.programs = programs
        self.misses = misses
        self.flushes = flushes
        self.result = result

    def __str__(self) -> str:
        parts = []
        if self.flushes:
            parts.append("What this call ran\n" + _indented(map(str, self.flushes)))
        again = sum(known.program.runs > 1 for known in self.programs)
        parts.append(
            f"Programs: {len(self.programs)}, of which {again} were found again\n"
            + _indented(map(_program_lines, self.programs[:SHOWN]))
        )
        if len(self.programs) > SHOWN:
            parts[-1] += f"\n  and {len(self.programs) - SHOWN} programs that ran less"
        new = _indented(map(describe, self.misses)) or "  none"
        parts.append(f"The last programs that were new, and what differed\n{new}")
        return "\n\n".join(parts)

    __repr__ = __str__


#: Programs, and misses, that a report lists by default.
SHOWN = 10


def _indented(texts: Any) -> str:
    return "\n".join("  " + line for text in texts for line in text.split("\n"))


def _program_lines(known: Known) -> str:
    program = known.program
    state = "compiled" if known.compiled else "interpreted"
    where = f", ends at {known.location}" if known.location is not None else ""
    head = (
        f"program {known.number or '?'}: {len(program.nodes)} operations, {len(program.inputs)} "
        f"inputs, {len(program.keep)} values kept; run {program.runs} times, {state}{where}"
    )
    names: dict[str, int] = {}
    for node in program.nodes:
        name = label(node)
        names[name] = names.get(name, 0) + 1
    most = sorted(names, key=lambda name: -names[name])[:8]
    counted = ", ".join(f"{names[name]} {name}" if names[name] > 1 else name for name in most)
    lines = [head, f"  {counted}{', ...' if len(names) > 8 else ''}"]
    if known.report is not None:
        lines.extend("  " + line for line in str(known.report).split("\n"))
    return "\n".join(lines)


def explain(
    function: Callable[..., Any] | None = None, *args: Any, shown: int = SHOWN, **kwargs: Any
) -> Report:
    """Say what has been recorded and run, and why.

    Args:
        function: called with ``args`` and ``kwargs`` under observation: the report then also
            says what the call ran, and which tensors, variables and gradient formulas hold the
            values it had to keep. Without it the report is on everything so far.
        shown: how many misses are listed.

    Returns:
        A report; ``print`` it, or look at its attributes.

    >>> import rushlight as torch
    >>> x = torch.ones(3)
    >>> report = torch.debug.explain(lambda: (x * 2).sum().item())
    >>> report.result, len(report.flushes), len(report.flushes[0].program.nodes)
    (6.0, 1, 2)
    """
    flushes: list[Flush] = []
    result = None
    if function is not None:
        flush("debug.explain()")
        with watching(flush=_observer(flushes)):
            result = function(*args, **kwargs)
            flush("end of the call explained")
    programs = sorted(
        known_programs(), key=lambda known: -known.program.runs * len(known.program.nodes)
    )
    return Report(programs, list(reversed(history))[:shown], flushes, result)


def _observer(flushes: list[Flush]) -> Callable[[Any, Program, str], None]:
    def look(trace: Any, program: Program, reason: str) -> None:
        seen = Flush(reason, user_location(), program, program.runs > 0)
        made = {number: node for node in program.nodes for number in node.outputs}
        for number in program.keep if trace is not None else ():  # a replay has no trace
            value = trace.values[number]
            node = made[number]
            reasons = holders_of(value, trace.values)
            seen.kept.append((short(node), node.location, reasons))
            del value
        flushes.append(seen)

    return look
