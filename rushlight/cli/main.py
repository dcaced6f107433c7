"""What ``rushlight ...`` and ``python -m rushlight ...`` do."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from rushlight.cli.info import report
from rushlight.engine.backends.cpu.llvm import store


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit status.

    Args:
        arguments: the words after the program's name, the process's own by default.
    """
    parser = argparse.ArgumentParser(prog="rushlight", description="PyTorch's programs, recorded.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="command")
    commands.add_parser("info", help="versions, processor, threads, oneDNN, the cache of code")
    cache = commands.add_parser("cache", help="the machine code kept on disk")
    cache.add_argument("what", choices=["show", "clear"], nargs="?", default="show")
    chosen = parser.parse_args(arguments)
    if chosen.command == "info":
        print(report())
    else:
        _cache(chosen.what)
    return 0


def _cache(what: str) -> None:
    if what == "clear":
        store.shared().clear()
    print(store.usage())


if __name__ == "__main__":
    sys.exit(main())
