"""Named logs: ``RUSHLIGHT_LOG=flush,recompiles`` prints those artefacts to standard error."""

from __future__ import annotations

import sys

from rushlight.engine.core.config import config

#: Every log there is, with what it tells.
ARTEFACTS: dict[str, str] = {
    "compile": "torch.compile: what is replayed, and why something is not",
    "flush": "each flush: why, how many operations, how many values were kept",
    "programs": "each new program: its operations as text",
    "fusion": "what the compiler computes together, and why something is left to the interpreter",
    "plan": "the loop kernels of each compiled program",
    "code": "the generated code",
    "recompiles": "each new program and how it differs from the nearest known one; each program "
    "that is compiled, and each that is refused, with the reason",
}


def check() -> None:
    """Refuse an unknown name in RUSHLIGHT_LOG, naming the known ones."""
    for name in config.log:
        if name not in ARTEFACTS:
            known = "; ".join(f"{key}: {text}" for key, text in ARTEFACTS.items())
            raise ValueError(f"RUSHLIGHT_LOG: no log called {name!r}; known are {known}")


def enabled(name: str) -> bool:
    """Whether the user asked for this log."""
    return name in config.log


def write(name: str, message: str) -> None:
    """Print ``message`` if the user asked for the log ``name``."""
    if name in config.log:
        print(f"[rushlight {name}] {message}", file=sys.stderr)


check()
