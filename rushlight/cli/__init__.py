"""The command line: ``rushlight info``."""

from rushlight.cli.main import main as main

__all__ = ["main"]
