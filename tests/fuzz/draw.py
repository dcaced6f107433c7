"""The program of a seed, drawn from all phrases."""

from __future__ import annotations

import tests.fuzz.phrases
import tests.fuzz.phrases_records
import tests.fuzz.phrases_structured  # noqa: F401
from tests.fuzz.generator import Generator
from tests.fuzz.programs import Program


def generate(seed: int) -> Program:
    """The program of a seed."""
    return Generator(seed).program()
